//! Measures what a camera's agent needs: its size, its memory, and what it costs to encode pictures. `./just bench` runs
//! it after it has built the agent for this machine and for a camera.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use teiten_footage::WindowLength;
use teiten_tests::{
    debian::{self, AGENT_BYTES_MAX, succeed},
    pipeline::{Pipeline, camera},
    process::{Process, eventually, footage, program},
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

    for build in [Build::Here, Build::Camera] {
        let Resident { mebibytes, per_second } = resident(build).await?;
        println!(
            "resident at 1280x720, {per_second:.1}/s, all stored: {mebibytes:.1} MiB, {RESIDENT_MEBIBYTES_MAX} are \
             allowed ({build})"
        );
        ensure!(mebibytes <= RESIDENT_MEBIBYTES_MAX);
        ensure!(per_second > 14.5, "this machine is too busy for 15/s");
    }

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

/// Which of the agent's builds.
#[derive(Clone, Copy)]
enum Build {
    /// This machine's. It draws and encodes its pictures.
    Here,
    /// A camera's, under qemu-user, which is too slow to encode at that rate: it sends pictures as a camera gives them.
    Camera,
}

impl Build {
    /// Starts it with these settings, but for the source.
    fn start(self, folder: &Path, settings: &str) -> anyhow::Result<Process> {
        let picture = "rate = 15";
        let (mut words, source) = match self {
            Self::Here => {
                let drawn = format!("width = 1280\nheight = 720\n{picture}");
                (vec![text(program("teiten-agent")?)], drawn)
            }
            Self::Camera => {
                let qemu = ["qemu-aarch64-static", "-R", GUEST_BYTES].map(str::to_owned);
                let recorded = format!("kind = \"footage\"\npath = {:?}\n{picture}", recorded(folder)?);
                (qemu.into_iter().chain([text(debian::agent()?)]).collect(), recorded)
            }
        };
        let file = folder.join("teiten.toml");
        fs::write(&file, format!("{settings}[source]\n{source}\n"))?;
        words.extend(["--config".to_owned(), text(file)]);
        Process::start("agent", folder, move || {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        })
    }

    /// The mebibytes that a process of it holds in memory. Of qemu's, those of the program that it runs.
    fn resident(self, id: u32) -> anyhow::Result<f64> {
        let guest_end = match self {
            Self::Here => u64::MAX,
            Self::Camera => u64::from_str_radix(GUEST_BYTES.trim_start_matches("0x"), 16)?,
        };
        let (mut kib, mut counts) = (0, false);
        for line in fs::read_to_string(format!("/proc/{id}/smaps"))?.lines() {
            let word = line.split(' ').next().unwrap_or_default();
            if let Some((start, _)) = word.split_once('-') {
                counts = u64::from_str_radix(start, 16)? < guest_end;
            } else if let Some(size) = line.strip_prefix("Rss:").filter(|_| counts) {
                kib += size.trim().trim_end_matches(" kB").parse::<u64>()?;
            }
        }
        Ok(kib as f64 / 1024.0)
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "this machine's program, which draws the pictures and encodes them",
            Self::Camera => "a camera's program under qemu-user, with pictures of a camera",
        })
    }
}

/// Where qemu puts all that its program has: below this address, and nothing of its own.
const GUEST_BYTES: &str = "0x100000000";

/// Real footage as a camera of 1280x720 gives it: a folder of JPEGs.
fn recorded(folder: &Path) -> anyhow::Result<String> {
    let pictures = folder.join("recorded");
    fs::create_dir(&pictures)?;
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-pattern_type", "glob", "-i", &text(footage()?.join("*.jpg"))]);
    ffmpeg.args(["-frames:v", "150", "-vf", "scale=1280:720", "-q:v", "5", &text(pictures.join("%05d.jpg"))]);
    succeed(&mut ffmpeg)?;
    Ok(text(pictures))
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

/// What the agent holds in memory once it has sent pictures for a while, and those are stored.
struct Resident {
    mebibytes: f64,
    /// The pictures that it did send.
    per_second: f64,
}

async fn resident(build: Build) -> anyhow::Result<Resident> {
    let folder = tempfile::tempdir()?;
    let pipeline = Pipeline::start(folder.path(), WindowLength::DEFAULT).await?;
    let settings = format!("camera = \"a\"\n[broker]\nport = {}\n", pipeline.mqtt_port);
    let agent = build.start(folder.path(), &settings)?;
    let (frames, stored) = (pipeline.frames(), WINDOWS);
    eventually("some seconds of pictures are stored", Duration::from_secs(120), async || {
        Ok((list_all(&*frames, "a/").await?.len() >= stored).then_some(()))
    })
    .await?;
    let mebibytes = build.resident(agent.id().context("the agent runs")?)?;
    let stored = batches(&*frames, &camera("a")?).await?;
    // Those at both ends need not be whole.
    let whole: Vec<_> = stored.values().skip(1).take(WINDOWS - 2).map(|batch| batch.frames().len()).collect();
    let per_second = whole.iter().sum::<usize>() as f64 / whole.len() as f64;
    Ok(Resident { mebibytes, per_second })
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
