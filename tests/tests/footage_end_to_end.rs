//! Real surveillance footage through every part: what was sent is what can be watched.

use std::{collections::BTreeSet, ffi::OsStr, fs, path::Path, process::Command, time::Duration};

use teiten_bucket::S3Bucket;
use teiten_footage::{
    CameraId, Hour, SensorEvent, SensorKey, SensorState, WindowLength, key, sensor::SensorKind,
};
use teiten_tests::{
    pipeline::{self, Pipeline, camera},
    process::{Process, eventually, free_port, listening, program, some_footage},
    verify::{Recording, decode_without_a_message, packets, ssim},
};

/// The mean SSIM that a segment must keep against its JPEGs, over all planes.
const SSIM_MIN: f64 = 0.95;
const FRAMES: usize = 150;

/// Everything that the formats promise of a whole recording without faults.
fn check(
    recording: &Recording,
    folder: &Path,
    camera: &CameraId,
    source: Option<&Path>,
) -> anyhow::Result<()> {
    recording.every_frame_is_there_once()?;
    recording.every_sample_is_at_its_capture_time()?;
    recording.windows_follow_each_other()?;
    let (mp4, mjpeg) = (folder.join("segments.mp4"), folder.join("frames.mjpeg"));
    recording.write_mp4(&mp4)?;
    recording.write_mjpeg(&mjpeg)?;
    assert_eq!(decode_without_a_message(&mp4)?, recording.sample_count());
    let ssim = ssim(&mp4, &mjpeg)?;
    println!(
        "{camera}: {} frames in {} segments, SSIM {ssim:.4}",
        recording.sample_count(),
        recording.segments.len()
    );
    assert!(ssim >= SSIM_MIN, "SSIM {ssim} is below {SSIM_MIN}");
    if let Some(source) = source {
        pictures_are_those_of(recording, source)?;
    }
    Ok(())
}

/// Fails unless frame number n carries the picture of file number n of `source`, byte for byte but the stamp.
fn pictures_are_those_of(recording: &Recording, source: &Path) -> anyhow::Result<()> {
    let mut paths: Vec<_> =
        fs::read_dir(source)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.sort();
    for frame in recording.frames() {
        let path = &paths[frame.id.sequence as usize % paths.len()];
        let original = fs::read(path)?;
        assert!(frame.jpeg.ends_with(&original[2..]), "frame {} is not {}", frame.id, path.display());
    }
    Ok(())
}

/// Ends the hours that were filmed, as is done when they are over, and awaits that ffmpeg finds every picture. Windows
/// that hold the last frame may still come for some seconds.
async fn hours_can_be_played(pipeline: &Pipeline, camera: &CameraId) -> anyhow::Result<()> {
    let (frames, media) = (pipeline.frames(), pipeline.media());
    eventually("every picture is in the hours' playlists", Duration::from_secs(30), async || {
        let Ok(recording) = Recording::read(&*frames, &*media, camera).await else { return Ok(None) };
        let hours: BTreeSet<Hour> = recording.segments.keys().map(|window| Hour::of(*window)).collect();
        let mut pictures = 0;
        for hour in hours {
            let over = hour.end() + teiten_archive::CLOSE_AFTER;
            teiten_archive::update_hour(&*media, camera, hour, over).await?;
            pictures += packets(&pipeline.media_url(&key::hour_playlist_key(camera, hour)))?;
        }
        Ok((pictures == recording.sample_count()).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_through_mosquitto_is_in_the_segments_frame_by_frame() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = some_footage(folder.path(), FRAMES)?;
    let pipeline = Pipeline::start(folder.path(), WindowLength::DEFAULT).await?;
    let camera = camera("gate")?;
    let mut agent = pipeline.agent(&camera, &source, 10.0, false)?;
    let status = agent.ended(Duration::from_secs(60)).await?;
    assert!(status.success(), "{}", agent.log_tail());
    let (frames, media) = (pipeline.frames(), pipeline.media());
    // Looked at once: windows that hold the last frame come for some seconds, each a while before its segment.
    let recording = eventually("every batch has its segment", Duration::from_secs(20), async || {
        Ok(Recording::read(&*frames, &*media, &camera).await.ok())
    })
    .await?;
    check(&recording, folder.path(), &camera, Some(&source))?;
    assert_eq!(recording.frames().count(), FRAMES);
    hours_can_be_played(&pipeline, &camera).await?;
    assert_eq!(pipeline.dead_letters().await?, Vec::<serde_json::Value>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_through_the_demo_is_in_the_segments_frame_by_frame() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = some_footage(folder.path(), FRAMES)?;
    let data = folder.path().join("bucket");
    let ports = [free_port()?, free_port()?, free_port()?];
    let mut demo = Process::start("demo", folder.path(), {
        let (path, source, data) = (program("teiten-dev")?, source.clone(), data.clone());
        move || {
            let mut command = Command::new(&path);
            command.args(["--cameras", "1", "--window", "500ms", "--for", "15s", "--footage"]).arg(&source);
            command.arg("--data").arg(&data);
            for (option, port) in ["--http", "--s3", "--mqtt"].iter().zip(ports) {
                command.arg(option).arg(port.to_string());
            }
            command
        }
    })?;
    let status = demo.ended(Duration::from_secs(60)).await?;
    println!("{}", demo.log_tail());
    assert!(status.success());

    // What it left is read with another instance of the store.
    let port = free_port()?;
    let _store = pipeline::store(folder.path(), port)?;
    listening("the store", port).await?;
    let config = pipeline::s3_config(port)?;
    let (frames, media) = (S3Bucket::new(&config, "frames"), S3Bucket::new(&config, "media"));
    for (name, source) in [("footage", Some(source.as_path())), ("demo-1", None)] {
        let camera = camera(name)?;
        let recording = Recording::read(&frames, &media, &camera).await?;
        check(&recording, folder.path(), &camera, source)?;
        assert!(recording.frames().count() >= 100, "{} frames in 15 s", recording.frames().count());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_from_mosquitto_pub_make_a_camera_appear_with_what_its_sensor_saw() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = some_footage(folder.path(), FRAMES)?;
    let pipeline = Pipeline::start(folder.path(), WindowLength::DEFAULT).await?;
    let photo = source.join("00001.jpg");
    let media = pipeline.media();
    // A bridge that has not subscribed yet hears nothing, as is the way of a plain publisher: publish again.
    let publish = |topic: &str, what: [&OsStr; 2]| -> anyhow::Result<()> {
        let port = pipeline.mqtt_port.to_string();
        let mut command = Command::new("mosquitto_pub");
        assert!(command.args(["-p", &port, "-q", "1", "-t", topic]).args(what).status()?.success());
        Ok(())
    };
    let playlist = eventually("a playlist of camera other", Duration::from_secs(30), async || {
        publish("teiten/other/frame", ["-f".as_ref(), photo.as_os_str()])?;
        Ok(media.get("other/live.m3u8").await?)
    })
    .await?;
    assert!(playlist.bytes.starts_with(b"#EXTM3U"));
    // It is listed once its first playlist is written.
    let cameras = eventually("the list of cameras", Duration::from_secs(10), async || {
        Ok(media.get("cameras.json").await?)
    })
    .await?;
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&cameras.bytes)?["cameras"][0], "other");

    let kind = SensorKind::Motion;
    let start = teiten_telemetry::now();
    for (state, at) in
        [(SensorState::Started, start), (SensorState::Ended, start + Duration::from_millis(1500))]
    {
        let event = SensorEvent { kind, state, at }.to_json();
        publish("teiten/other/event", ["-m".as_ref(), event.as_ref()])?;
        let key = SensorKey { camera: camera("other")?, event: SensorEvent { kind, state, at } }.to_string();
        let mark = if state == SensorState::Ended { "END-DATE" } else { "CLASS=\"teiten.motion.sensor\"" };
        eventually("the sensor's mark is in the playlist", Duration::from_secs(20), async || {
            publish("teiten/other/frame", ["-f".as_ref(), photo.as_os_str()])?;
            let playlist = media.get("other/live.m3u8").await?.expect("the playlist stays");
            let is_marked = std::str::from_utf8(&playlist.bytes)?.contains(mark);
            Ok((is_marked && media.get(&key).await?.is_some()).then_some(()))
        })
        .await?;
    }
    assert_eq!(pipeline.dead_letters().await?, Vec::<serde_json::Value>::new());
    Ok(())
}
