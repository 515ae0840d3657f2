//! Measures what a camera's agent needs: its size, its memory, and what it costs to encode pictures. `./just bench` runs
//! it after it has built the agent for this machine and for a camera.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, ensure};
use teiten_footage::WindowLength;
use teiten_tests::{
    debian::{self, AGENT_BYTES_MAX, succeed},
    pipeline::{Pipeline, camera},
    process::{Process, eventually, program},
    verify::{batches, list_all},
};

/// Windows of a second that are stored before the agent's memory is looked at.
const WINDOWS: usize = 20;

/// What the agent may hold in memory with an empty spool.
const RESIDENT_MEBIBYTES_MAX: f64 = 20.0;

/// Pictures that instructions are counted for, beside those of starting.
const COUNTED: u64 = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let size = fs::metadata(debian::agent()?)?.len();
    println!(
        "the camera's program: {:.2} MiB, {:.2} are allowed",
        mebibytes(size),
        mebibytes(AGENT_BYTES_MAX)
    );
    ensure!(size <= AGENT_BYTES_MAX);

    let Resident { mebibytes, per_second } = resident().await?;
    println!(
        "resident at 1280x720, {per_second:.1}/s, all stored: {mebibytes:.1} MiB, {RESIDENT_MEBIBYTES_MAX} are allowed \
         (this machine's program, a drawn picture)"
    );
    ensure!(mebibytes <= RESIDENT_MEBIBYTES_MAX);
    ensure!(per_second > 14.5, "this machine is too busy for 15/s");

    let agent = program("teiten-agent")?;
    for format in ["yuyv", "rgb24"] {
        print!("{}", succeed(Command::new(&agent).args(["cost", "--pictures", "200", "--format", format]))?);
        let many = instructions(&agent, format, 1 + COUNTED)?;
        let one = instructions(&agent, format, 1)?;
        println!("  {:.1} million instructions", (many - one) as f64 / COUNTED as f64 / 1e6);
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What the agent holds in memory once it has sent pictures for a while, and those are stored.
struct Resident {
    mebibytes: f64,
    /// The pictures that it did send.
    per_second: f64,
}

async fn resident() -> anyhow::Result<Resident> {
    let folder = tempfile::tempdir()?;
    let pipeline = Pipeline::start(folder.path(), WindowLength::DEFAULT).await?;
    let settings = folder.path().join("teiten.toml");
    let text = format!(
        "camera = \"a\"\n[broker]\nport = {}\n[source]\nwidth = 1280\nheight = 720\nrate = 15\n",
        pipeline.mqtt_port
    );
    fs::write(&settings, text)?;
    let path = program("teiten-agent")?;
    let agent = Process::start("agent", folder.path(), move || {
        let mut command = Command::new(&path);
        command.arg("--config").arg(&settings);
        command
    })?;
    let (frames, stored) = (pipeline.frames(), WINDOWS);
    eventually("some seconds of pictures are stored", Duration::from_secs(120), async || {
        Ok((list_all(&*frames, "a/").await?.len() >= stored).then_some(()))
    })
    .await?;
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id().context("the agent runs")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    let stored = batches(&*frames, &camera("a")?).await?;
    // Those at both ends need not be whole.
    let whole: Vec<_> = stored.values().skip(1).take(WINDOWS - 2).map(|batch| batch.frames().len()).collect();
    let per_second = whole.iter().sum::<usize>() as f64 / whole.len() as f64;
    Ok(Resident { mebibytes: kib / 1024.0, per_second })
}

/// Instructions that the program executes to encode so many pictures, by valgrind.
fn instructions(agent: &Path, format: &str, pictures: u64) -> anyhow::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(agent);
    valgrind.args(["cost", "--pictures", &pictures.to_string(), "--format", format]);
    let output = valgrind.output().context("valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.with_context(|| said.clone().into_owned())?;
    Ok(count.trim().parse()?)
}
