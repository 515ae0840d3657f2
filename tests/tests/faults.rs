//! kill -9 of every part but the store, at random moments: no frame is lost, none is doubled. The router forgets its
//! events, and the bridge those of what it stored just before; `reconcile` finds the batches that they were about.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, ensure};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use teiten_bucket::Bucket;
use teiten_footage::{CameraId, WindowLength};
use teiten_tests::{
    collector::Collector,
    pipeline::{Options, Pipeline, camera},
    process::{Process, eventually, footage, some_footage},
    verify::{Recording, batches},
};

/// The parts, of which the last is an agent: each round another one.
const PARTS: usize = 6;

const KILLS: usize = 20;

// Every part is killed, and both agents are.
const _: () = assert!(KILLS >= 2 * PARTS);

#[tokio::test(flavor = "multi_thread")]
async fn no_frame_is_lost_or_doubled_when_parts_are_killed() -> anyhow::Result<()> {
    let seed = std::env::var("TEITEN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("TEITEN_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);

    let folder = tempfile::tempdir()?;
    let mut pipeline = Pipeline::start(folder.path(), WindowLength::DEFAULT).await?;
    let outcome = kill_parts_and_count(&mut pipeline, &mut random).await;
    if outcome.is_err() {
        println!("{}", pipeline.logs());
    }
    outcome
}

async fn kill_parts_and_count(pipeline: &mut Pipeline, random: &mut StdRng) -> anyhow::Result<()> {
    let cameras = [camera("gate")?, camera("yard")?];
    let mut agents = Vec::new();
    for camera in &cameras {
        agents.push(pipeline.agent(camera, &footage()?, 10.0, true)?);
    }

    let mut killed = HashMap::<String, usize>::new();
    let mut parts: Vec<usize> = Vec::new();
    for kill in 0..KILLS {
        // Random moments are the point of this test: nothing is awaited here but time.
        tokio::time::sleep(Duration::from_millis(random.random_range(300..2500))).await;
        // Every part has its turn, in random order within each round.
        if parts.is_empty() {
            parts = (0..PARTS).collect();
            parts.shuffle(random);
        }
        let part: &mut Process = match parts.pop().context("a round has parts")? {
            0 => &mut pipeline.mosquitto,
            1 => &mut pipeline.bridge,
            2 => &mut pipeline.encode,
            3 => &mut pipeline.playlist,
            4 => &mut pipeline.router,
            _ => &mut agents[kill / PARTS % 2],
        };
        let down = Duration::from_millis(random.random_range(0..1500));
        println!("kill -9 {}, down for {down:?}", part.name());
        *killed.entry(part.name().to_owned()).or_default() += 1;
        part.kill()?;
        tokio::time::sleep(down).await;
        part.restart()?;
    }
    println!("killed: {killed:?}");
    ensure!(killed.len() == PARTS + 1, "not every part was killed: {killed:?}");

    // Stopped while frames wait for their bridge's grace; what one run could not drain the next one does.
    for (agent, camera) in agents.iter_mut().zip(&cameras) {
        // The last part to be killed may be this one, just started again.
        agent.has_said("started", Duration::from_secs(10)).await?;
        let status = agent.stop(Duration::from_secs(30)).await?;
        ensure!(status.success(), "the agent ended with {status}:\n{}", agent.log_tail());
        if pipeline.drained(camera, Duration::ZERO).await.is_err() {
            agent.restart()?;
            // It captures on while it drains, so what is asked is only that it ends with nothing left.
            eventually("the spool drains at a stop", Duration::from_secs(120), async || {
                agent.has_said("started", Duration::from_secs(10)).await?;
                let _status = agent.stop(Duration::from_secs(30)).await?;
                if pipeline.drained(camera, Duration::ZERO).await.is_ok() {
                    return Ok(Some(()));
                }
                agent.restart()?;
                Ok(None)
            })
            .await
            .with_context(|| agent.log_tail())?;
        }
    }

    let (frames, media) = (pipeline.frames(), pipeline.media());
    for camera in &cameras {
        let recording = reconciled(pipeline, &*frames, &*media, camera).await?;
        let counts = recording.every_frame_is_there_once()?;
        recording.every_sample_is_at_its_capture_time()?;
        println!(
            "{camera}: {} frames of {} runs in {} segments",
            counts.values().sum::<u64>(),
            counts.len(),
            recording.segments.len()
        );
        ensure!(counts.values().sum::<u64>() > 100, "too few frames for a test: {counts:?}");
    }
    let dead = pipeline.dead_letters().await?;
    ensure!(dead.is_empty(), "events were given up: {dead:?}");
    Ok(())
}

/// What is recorded of `camera`, once every batch has its segment. `reconcile` is called until then, as a schedule
/// does.
async fn reconciled(
    pipeline: &Pipeline,
    frames: &dyn Bucket,
    media: &dyn Bucket,
    camera: &CameraId,
) -> anyhow::Result<Recording> {
    let mut schedule = tokio::time::interval(Duration::from_secs(2));
    let mut last_error = None;
    let recording = eventually("every batch has its segment", Duration::from_secs(60), async || {
        schedule.tick().await;
        match Recording::read(frames, media, camera).await {
            Ok(recording) => Ok(Some(recording)),
            Err(error) => {
                println!("{error}; reconciled: {}", pipeline.reconcile().await?);
                last_error = Some(error);
                Ok(None)
            }
        }
    })
    .await;
    recording.map_err(|error| last_error.unwrap_or(error))
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_whose_events_were_forgotten_get_their_segments() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let collector = Collector::start().await?;
    let options = Options::traced(&collector);
    let mut pipeline = Pipeline::start_with(folder.path(), WindowLength::DEFAULT, options).await?;
    let camera = camera("gate")?;
    pipeline.encode.kill()?;
    let mut agent = pipeline.agent(&camera, &some_footage(folder.path(), 50)?, 10.0, false)?;
    let status = agent.ended(Duration::from_secs(60)).await?;
    ensure!(status.success(), "{}", agent.log_tail());
    // All is stored, and the router has every event; what it has not delivered dies with it.
    pipeline.router.kill()?;
    pipeline.router.restart()?;
    pipeline.encode.restart()?;
    let (frames, media) = (pipeline.frames(), pipeline.media());
    ensure!(Recording::read(&*frames, &*media, &camera).await.is_err(), "no event was forgotten");

    let recording = reconciled(&pipeline, &*frames, &*media, &camera).await?;
    recording.every_frame_is_there_once()?;
    recording.every_sample_is_at_its_capture_time()?;
    ensure!(recording.frames().count() == 50);
    // A held window's batch may just have come, and wait for a busy machine.
    eventually("reconcile finds nothing to send", Duration::from_secs(30), async || {
        let report = pipeline.reconcile().await?;
        Ok((report["batches_sent"] == 0 && report["batches_left"] == 0).then_some(()))
    })
    .await?;
    // What was sent again goes on in the trace that the bridge began. (Held windows came later, as usual.)
    let mut sent_again = 0;
    for window in batches(&*frames, &camera).await?.keys() {
        let [_, send, ..] = collector.follows(&camera, *window, Duration::from_secs(10)).await?.steps;
        sent_again += usize::from(send.service == "teiten-reconcile" && send.name == "send again");
    }
    ensure!(sent_again >= 3, "{sent_again} windows are followed through reconcile");
    Ok(())
}
