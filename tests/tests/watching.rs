//! What people watch, in a real browser. Live: Chromium plays the wall through hls.js without a stall, and the clock
//! in the picture tells the delay from the camera's lens to the glass. Many: the same footage is 36 cameras, behind a
//! CDN's prefix. The past: Chromium plays footage that two cameras sent late, over the border of an hour and a gap, and
//! the clock in the picture is the one that the page tells; motion and thumbnails are what the functions made of it.

use std::{
    fs,
    path::Path,
    process::Command,
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use teiten_bucket::{S3Bucket, put_changed};
use teiten_footage::{Timestamp, key};
use teiten_host::Chore as _;
use teiten_pictures::Pictures;
use teiten_tests::{
    backlog, browser,
    pipeline::{camera, s3_config_of},
    process::{Process, eventually, free_port, listening, program, project},
};

const HOUR: Duration = Duration::from_secs(3600);
const FRAME: Duration = Duration::from_millis(200);
/// Where keyframes alone are watched, there are many other frames between them.
const FRAME_BETWEEN: Duration = Duration::from_millis(50);
/// The left edge of the picture, where the test picture's ball is for some two of its eight seconds.
const MOTION_SETTINGS: &str = r#"{"zones":[[[0,0.2],[0.14,0.2],[0.14,0.49],[0,0.49]]]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_live_and_past_as_people_watch_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("bucket");
    let [http, s3, mqtt] = [free_port()?, free_port()?, free_port()?];
    let demo = Process::start("demo", folder.path(), {
        let (path, data) = (program("teiten-dev")?, data.clone());
        move || {
            let mut command = Command::new(&path);
            command.args(["--cameras", "2", "--keep", "12h", "--http", &http.to_string()]);
            command.args(["--s3", &s3.to_string(), "--mqtt", &mqtt.to_string()]).arg("--data").arg(&data);
            command.arg("--viewer").arg(project().join("viewer/dist"));
            command
        }
    })?;
    listening("the viewer", http).await?;
    listening("the broker", mqtt).await?;

    // An hour that is over, and the one before it, with a gap around the border.
    let hour = HOUR.as_millis() as u64;
    let border = Timestamp::from_unix_millis((teiten_telemetry::now().unix_millis() / hour - 1) * hour);
    let from = before(border, 25);
    let gap = before(border, 5)..border + Duration::from_secs(10);
    let to = border + Duration::from_secs(30);
    let wound = border + Duration::from_secs(600)..border + Duration::from_secs(660);
    let (demo_1, demo_2) = (camera("demo-1")?, camera("demo-2")?);
    let s3_config = s3_config_of(s3, "teiten", "teiten-secret")?;
    let media = Arc::new(S3Bucket::new(&s3_config, "media"));
    put_changed(&key::motion_settings_key(&demo_1), MOTION_SETTINGS.into(), &*media).await?;
    let begun = Instant::now();
    // At once: while the pictures of one are painted, others are stored and encoded.
    let around = [from..gap.start, gap.end..to];
    let shorter = [from..before_frames(gap.start, 2)];
    tokio::try_join!(
        backlog::send(mqtt, &demo_1, &around, FRAME),
        backlog::send(mqtt, &demo_2, &shorter, FRAME),
        backlog::send(mqtt, &demo_1, slice::from_ref(&wound), FRAME_BETWEEN),
        backlog::send(mqtt, &demo_2, slice::from_ref(&wound), FRAME_BETWEEN),
    )?;
    took("sending the late footage", begun);
    let begun = Instant::now();
    eventually("the late footage is stored", Duration::from_secs(60), async || {
        let stored = |name: &str| old_segments(&data.join("media").join(name), border);
        Ok((stored("demo-1")? >= 100 && stored("demo-2")? >= 80).then_some(()))
    })
    .await?;
    took("awaiting that it is stored", begun);

    let page = format!("http://127.0.0.1:{http}/");
    // The schedule looks that far back only once in half an hour.
    let every_hour = teiten_pictures::Settings { period: HOUR, ..teiten_pictures::Settings::default() };
    let frames = Arc::new(S3Bucket::new(&s3_config, "frames"));
    Pictures::new(frames, media, every_hour).run().await.map_err(|failure| anyhow!("{failure:?}"))?;

    let live = in_browser(&[
        ["watch.mjs", "--url"].as_slice(),
        &[&page, "--seconds", "20", "--times", "3", "--cameras", "2", "--screenshots", "../../artifacts"],
    ])
    .await;

    let many = in_browser(&[
        ["many.mjs", "--url"].as_slice(),
        &[&page, "--sources", "demo-1,demo-2", "--screenshots", "../../artifacts"],
    ])
    .await;

    let begun = Instant::now();
    eventually("the late footage is in all that the page reads", Duration::from_secs(150), async || {
        let said = async |camera: &str, at: Timestamp, what: Said| said(&page, camera, at, what).await;
        let complete = said("demo-1", from, SEGMENTS).await? >= 20
            && said("demo-1", border, SEGMENTS).await? >= 80
            && said("demo-2", border, SEGMENTS).await? >= 60
            && said("demo-1", border, KEYFRAMES).await? >= 80
            && said("demo-2", border, KEYFRAMES).await? >= 60
            && said("demo-2", from, SEGMENTS).await? >= 20
            && said("demo-1", from, MOTION).await? >= 2
            && said("demo-1", border, MOTION).await? >= 2
            && said("demo-1", from, THUMBNAILS).await? >= 3
            && said("demo-1", border, THUMBNAILS).await? >= 2;
        Ok(complete.then_some(()))
    })
    .await?;
    took("awaiting that it is in all that the page reads", begun);
    let times = [from, gap.start, gap.end, to, wound.start, wound.end].map(|time| time.to_string());
    let past = in_browser(&[
        ["past.mjs", "--camera", "demo-1", "--other", "demo-2", "--frame-ms", "200"].as_slice(),
        &["--url", &page, "--prefixed", &format!("http://127.0.0.1:{s3}/media/index.html")],
        &["--from", &times[0], "--gap-from", &times[1], "--gap-to", &times[2], "--to", &times[3]],
        &["--wound-from", &times[4], "--wound-to", &times[5], "--screenshots", "../../artifacts"],
    ])
    .await;
    println!("{}", demo.log_tail());
    let wrong: Vec<_> =
        [live, many, past].into_iter().filter_map(Result::err).map(|one| format!("{one:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn before(time: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis() - seconds * 1000)
}

fn before_frames(time: Timestamp, count: u64) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis() - count * FRAME.as_millis() as u64)
}

/// How many segments of a camera start within the hour before `border` or the one behind it.
fn old_segments(camera: &Path, border: Timestamp) -> anyhow::Result<usize> {
    let mut count = 0;
    for time in [before(border, 1), border] {
        let folder = camera.join(hour_path(time));
        if folder.is_dir() {
            count += fs::read_dir(folder)?.count();
        }
    }
    Ok(count)
}

/// What one of an hour's objects says: how its name ends, and what stands in it for each thing that it tells of.
type Said = (&'static str, &'static str);
const SEGMENTS: Said = ("m3u8", "#EXTINF");
const KEYFRAMES: Said = ("iframes.m3u8", "#EXTINF");
const MOTION: Said = ("motion.json", "\"source\"");
const THUMBNAILS: Said = ("sprites.vtt", "#xywh");

/// How often the object of the hour of `at` says it.
async fn said(page: &str, camera: &str, at: Timestamp, (ending, word): Said) -> anyhow::Result<usize> {
    let answer = reqwest::get(format!("{page}{camera}/{}.{ending}", hour_path(at))).await?;
    Ok(if answer.status().is_success() { answer.text().await?.matches(word).count() } else { 0 })
}

/// `2026-11-23/04`
fn hour_path(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}/{}", &text[..10], &text[11..13])
}

async fn in_browser(arguments: &[&[&str]]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let arguments = arguments.concat();
    let watched = browser::watch(&arguments, Duration::from_secs(600)).await;
    took(arguments[0], begun);
    watched
}

/// Says how long a part of it took, for whoever wants it to be shorter.
fn took(part: &str, begun: Instant) {
    println!("{part} took {:.1} s", begun.elapsed().as_secs_f64());
}
