//! The card that `just image-debian` makes, booted in an emulated Raspberry Pi 3A+ with Linux's virtual camera.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use teiten_footage::{Frame, WindowLength};
use teiten_owner::cameras::{Cameras, Home};
use teiten_tests::{
    card::Card,
    pipeline::{Options, Pipeline, camera},
    process::{eventually, free_port},
    sntp,
    verify::Recording,
};

/// The emulated Pi, on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(120);

/// The frames of the cut follow behind live ones.
const CATCH_UP_MAX: Duration = Duration::from_secs(240);

/// How long the cable is pulled.
const CUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_cards_frames_go_by_tls_to_the_playlist_and_a_cut_link_loses_none_of_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let gate = camera("gate")?;
    // The emulated Pi knows this machine as 10.0.2.2.
    let port = free_port()?;
    let home = Home { broker: vec!["10.0.2.2".to_owned()], port, wifi: None };
    let cameras = folder.path().join("cameras");
    let added = Cameras::at(&cameras).add(&gate, &home, false, teiten_telemetry::now())?;
    let broker = cameras.join("broker.teiten");
    let mosquitto = format!(
        "user root\nlistener {port} 127.0.0.1\nrequire_certificate true\nuse_identity_as_username true\n\
         cafile {0}/ca.pem\ncertfile {0}/certificate.pem\nkeyfile {0}/key.pem\n",
        broker.display()
    );
    let options = Options { mosquitto, ..Options::default() };
    let pipeline = Pipeline::start_with(folder.path(), WindowLength::DEFAULT, options).await?;

    let settings = with_virtual_camera(&added.folder.join("teiten.toml"), sntp::serve().await?)?;
    let beside = ["ca.pem", "certificate.pem", "key.pem"].map(|file| added.folder.join(file));
    let card = Card::with_settings(folder.path(), &settings, &beside.each_ref().map(PathBuf::as_path))?;
    let before = card.hash()?;
    let started = teiten_telemetry::now();
    let mut machine = card.boot("pi", folder.path(), "vivid,softdog").await?;
    machine.says("frames flow", BOOT_MAX).await?;
    println!("{}", machine.console().split("Seconds from power to frames:").last().unwrap_or_default());
    let (frames, media) = (pipeline.frames(), pipeline.media());
    let listed = eventually("a playlist", BOOT_MAX, async || Ok(media.get("gate/live.m3u8").await?)).await;
    listed.inspect_err(|_| println!("{}{}", machine.console(), pipeline.logs()))?;

    machine.cable(false)?;
    tokio::time::sleep(CUT).await;
    machine.cable(true)?;
    let plugged_in = teiten_telemetry::now();
    let recording = eventually("every frame of before, while and after", CATCH_UP_MAX, async || {
        let Ok(recording) = Recording::read(&*frames, &*media, &gate).await else { return Ok(None) };
        let caught_up = recording.frames().last().is_some_and(|frame| frame.captured > plugged_in + CUT / 3);
        Ok((caught_up && recording.every_frame_is_there_once().is_ok()).then_some(recording))
    });
    let recording = recording.await.inspect_err(|_| println!("{}{}", machine.console(), pipeline.logs()))?;
    recording.every_sample_is_at_its_capture_time()?;
    let counts = recording.every_frame_is_there_once()?;
    println!("{} frames of {} runs, none lost", counts.values().sum::<u64>(), counts.len());
    ensure!(counts.len() == 1, "the agent was started {} times", counts.len());
    let during = |frame: &&Frame| (plugged_in - CUT..plugged_in).contains(&frame.captured);
    let captured = recording.frames().filter(during).count();
    ensure!(captured >= 50, "{captured} frames while the cable was pulled, 2/s were asked for");
    let first = recording.frames().next().context("no frame")?.captured;
    ensure!(first >= started, "a frame of {first}, before the clock was set");

    machine.cut_power()?;
    ensure!(card.hash()? == before, "something was written to the card");
    Ok(())
}

/// Ready settings, with Linux's virtual camera for a camera, and the time from this machine.
fn with_virtual_camera(ready: &Path, sntp_port: u16) -> anyhow::Result<String> {
    let mut settings: toml::Table = fs::read_to_string(ready)?.parse()?;
    let table = |text: String| text.parse::<toml::Table>().map(toml::Value::Table);
    let source = "kind = \"v4l2\"\nwidth = 320\nheight = 180\nrate = 2".to_owned();
    settings.insert("source".to_owned(), table(source)?);
    let time_servers = format!("time_servers = [\"10.0.2.2:{sntp_port}\"]");
    settings.insert("system".to_owned(), table(time_servers)?);
    // The emulated Pi's network carries some 70 kB/s: few pictures, and the backlog may have what they leave.
    settings.insert("uplink".to_owned(), table("backlog_share = 1.0".to_owned())?);
    Ok(settings.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_with_mistakes_are_told_on_the_console() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = "camera = \"gate\"\ncolour = \"green\"\n[broker]\nport = 70000\n";
    let card = Card::with_settings(folder.path(), settings, &[])?;
    let machine = card.boot("pi", folder.path(), "softdog").await?;
    machine.says("colour: no such key here", BOOT_MAX).await?;
    machine.says("broker.port: 70000 will not do", BOOT_MAX).await?;
    Ok(())
}
