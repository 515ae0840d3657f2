//! Measures the delay of the whole pipeline on this machine, at D = 1 s and 500 ms, with four cameras of
//! 640x480 at 10 frames/s: from the capture of a window's first frame until the live playlist lists its segment, and
//! from capture to the glass in Chromium.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use teiten_bucket::{Bucket, S3Bucket};
use teiten_footage::{
    BatchKey, CameraId, SegmentKey, Timestamp, WindowLength, key::BatchFormat, key::live_playlist_key,
};
use teiten_tests::{
    pipeline::{camera, s3_config},
    process::{Process, eventually, free_port, listening, program, project},
};

const CAMERAS: usize = 4;
/// How often the playlist is looked at; delays are this much too long at worst.
const LOOK: Duration = Duration::from_millis(20);

/// Measures the delay of the whole pipeline on this machine.
#[derive(Parser)]
struct Options {
    /// How long to measure for each figure, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut rows = Vec::new();
    for window in ["1s", "500ms"] {
        let window: WindowLength = window.parse()?;
        let folder = tempfile::tempdir()?;
        let [http, s3, mqtt] = [free_port()?, free_port()?, free_port()?];
        let _stack = Process::start("stack", folder.path(), {
            let path = program("teiten-dev")?;
            move || {
                let mut command = Command::new(&path);
                command.args(["--cameras", &CAMERAS.to_string(), "--window", &window.to_string()]);
                command.args([
                    "--http",
                    &http.to_string(),
                    "--s3",
                    &s3.to_string(),
                    "--mqtt",
                    &mqtt.to_string(),
                ]);
                command
            }
        })?;
        listening("the store", s3).await?;
        let config = s3_config(s3)?;
        let frames: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&config, "frames"));
        let media: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&config, "media"));
        let cameras: Vec<_> =
            (1..=CAMERAS).map(|n| camera(&format!("demo-{n}"))).collect::<Result<_, _>>()?;
        let to_playlist =
            to_playlist(&cameras, &frames, &media, Duration::from_secs(options.seconds)).await?;
        ensure!(!to_playlist.is_empty(), "no segment was listed");
        let goal = window.duration() + Duration::from_millis(300);
        rows.push((window, "capture to playlist".to_owned(), summary(to_playlist), goal));

        let report = folder.path().join("watched.json");
        let status = Command::new("node")
            .current_dir(project().join("tests/browser"))
            .args(["watch.mjs", "--url", &format!("http://127.0.0.1:{http}/"), "--out"])
            .arg(&report)
            .args(["--seconds", &options.seconds.to_string(), "--cameras", &CAMERAS.to_string()])
            .stdin(Stdio::null())
            .status()?;
        let verdict = if status.success() { "without a stall" } else { "with the faults above" };
        println!("D = {window}: Chromium played {verdict}");
        let watched: serde_json::Value = serde_json::from_slice(&std::fs::read(&report)?)?;
        for camera in watched["cameras"].as_array().context("what the browser saw of the cameras")? {
            let millis = |key: &str| camera[key].as_u64().map(Duration::from_millis).unwrap_or_default();
            let figures =
                (millis("medianMs"), millis("p95Ms"), camera["samples"].as_u64().unwrap_or(0) as usize);
            let what = format!("glass to glass, {}", camera["name"].as_str().unwrap_or("?"));
            rows.push((window, what, figures, window.duration() + Duration::from_secs(1)));
        }
    }
    println!("\n| D | delay | median | p95 | n | goal (median) |\n|---|---|---|---|---|---|");
    for (window, what, (median, p95, count), goal) in rows {
        let [median, p95, goal] = [median, p95, goal].map(|duration| duration.as_millis());
        println!("| {window} | {what} | {median} ms | {p95} ms | {count} | ≤ {goal} ms |");
    }
    Ok(())
}

/// The delays of all segments that become listed within `time`, after the first few.
async fn to_playlist(
    cameras: &[CameraId],
    frames: &Arc<dyn Bucket>,
    media: &Arc<dyn Bucket>,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    for camera in cameras {
        eventually("a first playlist", Duration::from_secs(30), async || {
            Ok(media.get(&live_playlist_key(camera)).await?)
        })
        .await?;
    }
    let mut listed: BTreeMap<String, (SegmentKey, Timestamp)> = BTreeMap::new();
    let started = teiten_telemetry::now();
    while teiten_telemetry::now().since(started) < time {
        for camera in cameras {
            let playlist = media.get(&live_playlist_key(camera)).await?.context("the playlist is gone")?;
            let seen = teiten_telemetry::now();
            let newest = std::str::from_utf8(&playlist.bytes)?.lines().rfind(|line| line.ends_with(".m4s"));
            if let Some(newest) = newest {
                let key = SegmentKey::from_relative(camera, newest)?;
                listed.entry(key.to_string()).or_insert((key, seen));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    let mut delays = Vec::new();
    for (key, seen) in listed.into_values() {
        if key.window.start() < started {
            continue; // it may have been listed before the first look
        }
        let batch_key = BatchKey { camera: key.camera, window: key.window, format: BatchFormat::Mjpeg };
        let object = frames.get(&batch_key.to_string()).await?.context("a listed window has no batch")?;
        let batch =
            teiten_footage::batch::parse(key.window, &object.bytes).batch.context("an empty batch")?;
        delays.push(seen.since(batch.frames()[0].captured));
    }
    Ok(delays)
}

/// Median, 95th percentile, count.
fn summary(mut delays: Vec<Duration>) -> (Duration, Duration, usize) {
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    (at(0.5), at(0.95), delays.len())
}
