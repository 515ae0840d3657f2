//! Two and three bridges share the cameras of one broker. One is killed and brought back, one comes, one goes, one is
//! stopped for a while as a cut network would: every frame is stored once.

use std::time::Duration;

use anyhow::ensure;
use teiten_footage::WindowLength;
use teiten_tests::{
    pipeline::{Pipeline, camera},
    process::{Process, some_footage},
    verify::Recording,
};

const CAMERAS: [&str; 4] = ["gate", "yard", "porch", "attic"];

/// Pictures of each camera, and how many a second: twenty seconds.
const FRAMES: usize = 100;
const RATE_HZ: f64 = 5.0;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_stored_once_while_bridges_are_killed_come_go_and_are_cut_off() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut pipeline = Pipeline::start(folder.path(), WindowLength::DEFAULT).await?;
    // Batches are what counts here; encoding them would take the machine's time.
    pipeline.encode.kill()?;
    let mut bridges = vec![pipeline.another_bridge("bridge-1")?];
    let outcome = change_bridges_and_count(&mut pipeline, &mut bridges).await;
    if outcome.is_err() {
        println!("{}", pipeline.logs());
        for bridge in &bridges {
            println!("--- {}\n{}", bridge.name(), bridge.log_tail());
        }
    }
    outcome
}

async fn change_bridges_and_count(pipeline: &mut Pipeline, bridges: &mut Vec<Process>) -> anyhow::Result<()> {
    pipeline.bridge.has_said("others=1", PATIENCE).await?;
    bridges[0].has_said("others=1", PATIENCE).await?;
    let footage = some_footage(&pipeline.folder, FRAMES)?;
    let mut agents = Vec::new();
    for name in CAMERAS {
        agents.push(pipeline.agent(&camera(name)?, &footage, RATE_HZ, false)?);
    }
    for agent in &agents {
        agent.has_said("started", PATIENCE).await?;
    }

    println!("bridge-0 is killed, and comes back");
    pipeline.bridge.kill()?;
    bridges[0].has_said("online=false others=0", PATIENCE).await?;
    pipeline.bridge.restart()?;
    pipeline.bridge.has_said("others=1", PATIENCE).await?;

    println!("bridge-2 comes");
    bridges.push(pipeline.another_bridge("bridge-2")?);
    for bridge in [&pipeline.bridge, &bridges[1]] {
        bridge.has_said("others=2", PATIENCE).await?;
    }

    println!("bridge-1 hears and says nothing for a while");
    bridges[0].pause()?;
    pipeline.bridge.has_said("a bridge has fallen silent", PATIENCE).await?;
    bridges[1].has_said("a bridge has fallen silent", PATIENCE).await?;
    bridges[0].resume()?;

    println!("bridge-0 leaves");
    let status = pipeline.bridge.stop(PATIENCE).await?;
    ensure!(status.success(), "bridge-0 ended with {status}");

    for agent in &mut agents {
        let status = agent.ended(Duration::from_secs(180)).await?;
        ensure!(status.success(), "{} ended with {status}:\n{}", agent.name(), agent.log_tail());
    }
    for bridge in bridges {
        let status = bridge.stop(PATIENCE).await?;
        ensure!(status.success(), "{} ended with {status}", bridge.name());
    }
    let frames = pipeline.frames();
    for name in CAMERAS {
        let recording = Recording::of_batches(&*frames, &camera(name)?).await?;
        let counts = recording.every_frame_is_there_once()?;
        ensure!(counts.values().eq([&(FRAMES as u64)]), "{name}: {counts:?} of {FRAMES} frames");
        println!("{name}: {FRAMES} frames in {} windows", recording.batches.len());
    }
    Ok(())
}
