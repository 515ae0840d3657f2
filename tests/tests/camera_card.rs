//! The card that `just image-debian` makes, booted in an emulated Raspberry Pi 3A+ with Linux's virtual camera.

use std::time::Duration;

use teiten_footage::Frame;
use teiten_tests::{card::Card, mosquitto::Mosquitto, sntp};

/// The emulated Pi, on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_card_boots_waits_for_the_time_sends_frames_and_is_not_written_to() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mosquitto = Mosquitto::start(folder.path()).await?;
    let settings = format!(
        "camera = \"gate\"\n[broker]\nhost = \"10.0.2.2\"\nport = {}\n\
         [source]\nkind = \"v4l2\"\nwidth = 320\nheight = 180\nrate = 5\n\
         [system]\ntime_servers = [\"10.0.2.2:{}\"]\n",
        mosquitto.port,
        sntp::serve().await?
    );
    let card = Card::with_settings(folder.path(), &settings, &[])?;
    let before = card.hash()?;
    let started = teiten_telemetry::now();
    let mut machine = card.boot("pi", folder.path(), "vivid,softdog").await?;
    let frames = mosquitto.messages("teiten/gate/frame", 5, BOOT_MAX).await;
    for jpeg in frames.inspect_err(|_| println!("{}", machine.console()))? {
        let frame = Frame::parse(jpeg.into())?.expect("a stamp");
        assert!(frame.captured >= started, "a frame of {:?}, before the clock was set", frame.captured);
    }
    machine.says("frames flow", BOOT_MAX).await?;
    let console = machine.console();
    println!("{}", console.split("Seconds from power to frames:").last().unwrap_or_default());
    machine.cut_power()?;
    assert_eq!(card.hash()?, before, "something was written to the card");
    Ok(())
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
