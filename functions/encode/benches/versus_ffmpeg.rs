//! Encoding a batch, against what the same frames cost ffmpeg (libx264 ultrafast, zerolatency, CRF 26): both as
//! processes of their own, in turns, on one core.
//!
//!     cargo bench -p teiten-encode [-- --footage VIDEO] [--rounds N] [--codec x264]
//!
//! Without `--footage` it takes `target/footage/vtest.avi` (a surveillance camera's recording) if that is there,
//! else a drawn pattern. Both get a sensor's grain. Quality is made equal first: OpenH264 runs at the coarsest QP
//! whose SSIM is not below ffmpeg's, and the bits are those of ffmpeg's SSIM, interpolated between QPs. Besides, what part of
//! encoding it is to measure what moves: both on one thread of this process, in turns.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be taken ends the run")]

use std::{
    fs,
    hint::black_box,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::Parser;
use teiten_encode::{Settings, encode, jpeg::Decoder, motion::Meter, picture::Picture};
use teiten_footage::{Batch, BootId, Frame, FrameId, Window};

const FRAMES: usize = 30;
const FRAMES_PER_SECOND: &str = "15";
const WINDOW: &str = "20261123T040500.000Z-2000";
const SIZES: [(u32, u32); 3] = [(848, 480), (1280, 720), (1920, 1080)];
/// Between these the bits at ffmpeg's SSIM are interpolated.
const QPS: [u8; 4] = [24, 27, 30, 33];

#[derive(Parser)]
struct Options {
    /// A video to take the frames from.
    #[arg(long, env = "TEITEN_BENCH_FOOTAGE")]
    footage: Option<PathBuf>,
    /// How often each side runs; the fastest counts.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Our encoder.
    #[arg(long, default_value = "openh264")]
    codec: String,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let footage = options.footage.clone().or_else(|| {
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/footage/vtest.avi");
        fetched.exists().then_some(fetched)
    });
    match &footage {
        Some(path) => println!("{FRAMES} frames of {}", path.display()),
        None => println!("{FRAMES} frames of ffmpeg's testsrc2"),
    }
    println!(
        "{:38}{:27}{:16}{:9}{:24}motion, of",
        "", "CPU ms", "peak MiB", "bits at", "first segment, warm"
    );
    println!(
        "{:11}{:>3} {:>7} {:>11}  {:>7} {:>7} {:>6}  {:>6} {:>7}  {:>8}  {:>6} {:>7} {:>6}  encoding",
        "",
        "QP",
        "SSIM",
        "wall ratio",
        "ours",
        "ffmpeg",
        "ratio",
        "ours",
        "ffmpeg",
        "= SSIM",
        "ours",
        "ffmpeg",
        "ratio"
    );
    let results = SIZES.map(|(width, height)| Comparison::run(&options, footage.as_deref(), width, height));
    let [_, hd, _] = &results;
    for (goal, value, bound) in [
        ("CPU at 720p, of ffmpeg's", hd.ours.cpu_ms() / hd.ffmpeg.cpu_ms(), 0.8),
        ("bits at 720p and equal SSIM, of ffmpeg's", hd.bits_ratio, 1.0),
        ("peak memory at 720p, MiB", hd.ours.peak_mib, 30.0),
        (
            "first segment at 720p, warm, of ffmpeg's",
            hd.ours_first.wall_ms() / hd.ffmpeg_first.wall_ms(),
            0.25,
        ),
        ("motion, percent of encoding at 720p", hd.motion_percent, 3.0),
    ] {
        let verdict = if value <= bound { "reached" } else { "MISSED" };
        println!("{goal:42} {value:6.2}, goal {bound:5.2}: {verdict}");
    }
}

/// What one run of a process cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
    peak_mib: f64,
}

impl Cost {
    fn cpu_ms(self) -> f64 {
        self.cpu.as_secs_f64() * 1000.0
    }

    fn wall_ms(self) -> f64 {
        self.wall.as_secs_f64() * 1000.0
    }

    /// The least time and the most memory of both.
    fn best(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.min(other.cpu),
            wall: self.wall.min(other.wall),
            peak_mib: self.peak_mib.max(other.peak_mib),
        }
    }
}

struct Comparison {
    ours: Cost,
    ffmpeg: Cost,
    bits_ratio: f64,
    ours_first: Cost,
    ffmpeg_first: Cost,
    motion_percent: f64,
}

impl Comparison {
    fn run(options: &Options, footage: Option<&Path>, width: u32, height: u32) -> Self {
        let material = Material::make(options, footage, width, height);
        run(material.ffmpeg(FRAMES));
        let (ffmpeg_ssim, ffmpeg_bytes) = material.quality();
        let curve: Vec<(f64, f64, f64)> = QPS
            .iter()
            .map(|qp| {
                run(material.ours("batch", *qp));
                let (ssim, bytes) = material.quality();
                (ssim, bytes.ln(), f64::from(*qp))
            })
            .collect();
        // SSIM falls as the QP grows. The pair around ffmpeg's, or the nearest one.
        let pair =
            curve.windows(2).find(|pair| pair[1].0 <= ffmpeg_ssim).unwrap_or(&curve[curve.len() - 2..]);
        let part = (ffmpeg_ssim - pair[0].0) / (pair[1].0 - pair[0].0);
        let between = |from: f64, to: f64| from + part * (to - from);
        let bits_ratio = between(pair[0].1, pair[1].1).exp() / ffmpeg_bytes;
        let qp = between(pair[0].2, pair[1].2).floor().clamp(24.0, 51.0) as u8;

        let (ours, ffmpeg) =
            in_turns(options.rounds, || material.ours("batch", qp), || material.ffmpeg(FRAMES));
        let (ours_first, ffmpeg_first) =
            in_turns(options.rounds, || material.ours("one", qp), || material.ffmpeg(1));
        let motion_percent = motion_percent(&material.batch, options.rounds);
        println!(
            "{:11}{:3} {:7.4} {:11.2}  {:7.0} {:7.0} {:6.2}  {:6.1} {:7.1}  {:8.2}  {:6.1} {:7.1} {:6.2}  {:5.1} %",
            format!("{width}x{height}"),
            qp,
            ffmpeg_ssim,
            ours.wall_ms() / ffmpeg.wall_ms(),
            ours.cpu_ms(),
            ffmpeg.cpu_ms(),
            ours.cpu_ms() / ffmpeg.cpu_ms(),
            ours.peak_mib,
            ffmpeg.peak_mib,
            bits_ratio,
            ours_first.wall_ms(),
            ffmpeg_first.wall_ms(),
            ours_first.wall_ms() / ffmpeg_first.wall_ms(),
            motion_percent,
        );
        Self { ours, ffmpeg, bits_ratio, ours_first, ffmpeg_first, motion_percent }
    }
}

/// The frames of one size: as numbered JPEGs for ffmpeg, as batches for us.
struct Material {
    directory: tempfile::TempDir,
    codec: String,
    batch: Batch,
}

impl Material {
    fn make(options: &Options, footage: Option<&Path>, width: u32, height: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error"]);
        match footage {
            Some(path) => make.args(["-stream_loop", "-1", "-i"]).arg(path),
            None => make.args([
                "-f",
                "lavfi",
                "-i",
                &format!("testsrc2=s={width}x{height}:r={FRAMES_PER_SECOND}"),
            ]),
        };
        make.args(["-vf", &format!("scale={width}:{height},noise=alls=6:allf=t"), "-pix_fmt", "yuvj422p"]);
        make.args(["-frames:v", &FRAMES.to_string(), "-q:v", "4"]).arg(path("%05d.jpg"));
        run(make);

        let window: Window = WINDOW.parse().unwrap();
        let apart = window.length().duration() / FRAMES as u32;
        let frames: Vec<Frame> = (1..=FRAMES)
            .map(|i| {
                let jpeg = fs::read(path(&format!("{i:05}.jpg"))).unwrap();
                let id = FrameId { boot: BootId(1), sequence: i as u64 };
                Frame::stamp(&jpeg, id, window.start() + apart * (i - 1) as u32).unwrap()
            })
            .collect();
        let [one, batch] =
            [&frames[..1], &frames].map(|frames| Batch::new(window, frames.iter().cloned()).unwrap());
        for (name, batch) in [("one", &one), ("batch", &batch)] {
            fs::write(path(name), batch.to_bytes()).unwrap();
        }
        Self { directory, codec: options.codec.clone(), batch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ours(&self, batch: &str, qp: u8) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teiten-encode"));
        command.arg("file").arg(self.path(batch)).arg(self.path("out.mp4"));
        command.args(["--window", WINDOW, "--qp", &qp.to_string(), "--codec", &self.codec]);
        command.env("RUST_LOG", "off");
        command
    }

    fn ffmpeg(&self, frames: usize) -> Command {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-framerate", FRAMES_PER_SECOND, "-i"]).arg(self.path("%05d.jpg"));
        command.args(["-frames:v", &frames.to_string(), "-c:v", "libx264", "-preset", "ultrafast"]);
        // The range stays that of the JPEGs, as with us: ffmpeg has no more to convert than we have.
        command.args(["-tune", "zerolatency", "-crf", "26", "-pix_fmt", "yuvj420p"]);
        command.args(["-movflags", "+empty_moov+default_base_moof+frag_keyframe"]).arg(self.path("out.mp4"));
        command
    }

    /// SSIM of the last output against the JPEGs, and its bytes.
    fn quality(&self) -> (f64, f64) {
        let same_times = format!("settb=1/{FRAMES_PER_SECOND},setpts=N,format=yuvj420p");
        let output = Command::new("ffmpeg")
            .args(["-i"])
            .arg(self.path("out.mp4"))
            .args(["-framerate", FRAMES_PER_SECOND, "-i"])
            .arg(self.path("%05d.jpg"))
            .args([
                "-lavfi",
                &format!("[0:v]{same_times}[a];[1:v]{same_times}[b];[a][b]ssim"),
                "-f",
                "null",
                "-",
            ])
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let (_, all) = log.rsplit_once("All:").unwrap_or_else(|| panic!("no SSIM: {log}"));
        let ssim = all.split(' ').next().unwrap().parse().unwrap();
        (ssim, fs::metadata(self.path("out.mp4")).unwrap().len() as f64)
    }
}

/// What part of the time that encoding a batch takes is spent on what moves in it; the fastest of each counts.
fn motion_percent(batch: &Batch, rounds: usize) -> f64 {
    let settings = Settings { decode_ahead: false, ..Settings::default() };
    let (mut decoder, mut picture) = (Decoder::new(), Picture::default());
    let (mut motion, mut whole) = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        let begun = Instant::now();
        black_box(encode(batch, &settings).unwrap());
        whole = whole.min(begun.elapsed());

        let mut meter = Meter::new(batch.window(), batch.frames().len());
        let mut spent = Duration::ZERO;
        for (index, frame) in batch.frames().iter().enumerate() {
            decoder.decode(&frame.jpeg, &mut picture).unwrap();
            let begun = Instant::now();
            meter.look(index, &picture);
            spent += begun.elapsed();
        }
        let begun = Instant::now();
        black_box(meter.finish());
        motion = motion.min(spent + begun.elapsed());
    }
    motion.as_secs_f64() / whole.as_secs_f64() * 100.0
}

/// Runs both in turns, so that what else the machine does hits both.
fn in_turns(rounds: usize, ours: impl Fn() -> Command, ffmpeg: impl Fn() -> Command) -> (Cost, Cost) {
    let mut best = (run(ours()), run(ffmpeg()));
    for _ in 1..rounds {
        best = (best.0.best(run(ours())), best.1.best(run(ffmpeg())));
    }
    best
}

/// Runs a command to its end on one core.
#[expect(clippy::zombie_processes, reason = "wait4 waits, and tells the cost")]
fn run(mut command: Command) -> Cost {
    // SAFETY: what runs between fork and exec is one system call on a value made here.
    unsafe {
        command.pre_exec(|| {
            let mut core: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(0, &mut core);
            match libc::sched_setaffinity(0, size_of_val(&core), &raw const core) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let started = Instant::now();
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut status = 0;
    // SAFETY: all zeros are a valid `rusage`; wait4 fills it in, and nothing else waits for this child.
    let (ended, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage), usage)
    };
    assert!(ended == child.id() as i32 && status == 0, "{command:?} failed: {status}");
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    Cost {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        wall: started.elapsed(),
        peak_mib: usage.ru_maxrss as f64 / 1024.0,
    }
}
