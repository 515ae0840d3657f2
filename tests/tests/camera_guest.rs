//! The agent on Linux for arm64, with Linux's virtual camera.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use teiten_footage::{Frame, FrameId, Stored, Unstamped, jpeg};
use teiten_tests::{
    debian::{self, succeed},
    guest::{Guest, Ingredients},
    machine::Board,
    mosquitto::Mosquitto,
    process::{eventually, some_footage},
};

#[test]
fn a_cameras_program_is_small_and_its_panics_unwind() -> anyhow::Result<()> {
    let agent = debian::agent()?;
    let bytes = fs::metadata(&agent)?.len();
    assert!(bytes <= debian::AGENT_BYTES_MAX, "{bytes} bytes");
    // Printing to a full device panics. With unwinding that ends the thread, here the first one, which Rust tells by
    // this status; without, it ends the process by SIGABRT, as it would if it were the capture thread's.
    let mut devices = Command::new("qemu-aarch64-static");
    devices.arg(agent).arg("devices").stdout(fs::File::create("/dev/full")?);
    let output = devices.stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains("panicked"), "{said}");
    Ok(())
}

const WAIT_MAX: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_on_an_emulated_pi_switches_light_and_led_and_reaches_mosquitto() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mosquitto = Mosquitto::start(folder.path()).await?;
    let settings = folder.path().join("teiten.toml");
    fs::write(
        &settings,
        format!(
            "camera = \"guest\"\n[broker]\nhost = \"10.0.2.2\"\nport = {}\n\
             [source]\nkind = \"pattern\"\nwidth = 320\nheight = 180\nrate = 1\n\
             [gpio]\nled = {LED}\ninfrared = {INFRARED}\ninfrared_active = \"low\"\n",
            mosquitto.port
        ),
    )?;
    let ingredients = Ingredients {
        files: vec![(settings, "/teiten.toml".to_owned())],
        // Debian's kernel has no /dev/gpiomem.
        command_line: "iomem=relaxed".to_owned(),
        ..Ingredients::default()
    };
    let mut guest = Guest::boot(Board::Pi3aPlus, folder.path(), &ingredients).await?;
    // A Pi does not know the time.
    let now = teiten_telemetry::now().unix_micros() / 1_000_000;
    guest.run(&format!("date -s @{now}"), WAIT_MAX).await?;
    guest.run("teiten-agent --config /teiten.toml >/dev/console 2>&1 &", WAIT_MAX).await?;
    let frames = mosquitto.messages("teiten/guest/frame", 2, 2 * WAIT_MAX).await;
    for frame in frames.inspect_err(|_| println!("{}", guest.machine.console()))? {
        assert_eq!(jpeg::whole(&frame), Some(&frame[..]));
    }
    for (light, led) in [(true, false), (false, true), (true, true), (false, false)] {
        let word = |on| if on { "on" } else { "off" };
        let request = format!(r#"{{"light":"{}","led":"{}"}}"#, word(light), word(led));
        let reply =
            mosquitto.ask("teiten/guest/control", &request, "teiten/guest/control-reply", WAIT_MAX).await;
        assert_eq!(reply.inspect_err(|_| println!("{}", guest.machine.console()))?, br#"{"ok":true}"#);
        // The LED follows with the next step of its pattern.
        eventually(&format!("the pins follow {request}"), WAIT_MAX, async || {
            let levels = guest.run(&format!("devmem {PIN_LEVELS}"), WAIT_MAX).await?;
            let digits = levels.trim().strip_prefix("0x").context("devmem prints a number")?;
            let levels = u32::from_str_radix(digits, 16)?;
            let is_high = |pin: u32| levels >> pin & 1 == 1;
            Ok(((is_high(INFRARED), is_high(LED)) == (!light, led)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Pins by their BCM numbers, and the register that has the levels of pins 0 to 31 (BCM2837's GPLEV0).
const LED: u32 = 27;
const INFRARED: u32 = 22;
const PIN_LEVELS: &str = "0x3f200034";

/// Vivid's controls that make something go wrong, once.
const DISCONNECT: u32 = 0x00F0_F041;
const BUFFER_ERROR: u32 = 0x00F0_F042;
const REQBUFS_ERROR: u32 = 0x00F0_F043;
const QBUF_ERROR: u32 = 0x00F0_F044;
const STREAMON_ERROR: u32 = 0x00F0_F045;
const FATAL_STREAMING_ERROR: u32 = 0x00F0_F046;
/// And the one that does for good: per cent of the buffers.
const DROPPED: u32 = 0x00F0_F040;

/// The agent's memory may grow to this, with 64 MiB of spool empty: what a Raspberry Pi with 512 MB can spare easily.
const RESIDENT_KIB_MAX: u64 = 20 << 10;

fn settings(
    folder: &Path,
    port: u16,
    format: &str,
    (width, height, rate): (u32, u32, u32),
    (device, more): (&str, &str),
) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{format}.toml"));
    fs::write(
        &path,
        format!(
            "camera = \"{format}\"\n[broker]\nhost = \"10.0.2.2\"\nport = {port}\n[source]\nkind = \"v4l2\"\n\
             device = \"{device}\"\nformat = \"{format}\"\nwidth = {width}\nheight = {height}\nrate = {rate}\n{more}"
        ),
    )?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_captured_whatever_its_driver_does() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let mosquitto = Mosquitto::start(folder).await?;
    let [control, feed] = [helper(folder, "v4l2-control")?, helper(folder, "v4l2-feed")?];
    let mut files = vec![
        (settings(folder, mosquitto.port, "yuyv", (320, 180, 5), VIVID)?, "/yuyv.toml".to_owned()),
        (settings(folder, mosquitto.port, "rgb24", (1280, 720, 5), VIVID)?, "/rgb24.toml".to_owned()),
        (settings(folder, mosquitto.port, "mjpeg", (768, 576, 10), LOOPBACK)?, "/mjpeg.toml".to_owned()),
        (control, "/bin/v4l2-control".to_owned()),
        (feed, "/bin/v4l2-feed".to_owned()),
    ];
    let pictures: Vec<PathBuf> = fs::read_dir(some_footage(folder, PICTURES)?)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    for (number, picture) in (0..).zip(&pictures) {
        files.push((picture.clone(), format!("/pictures/{number}.jpg")));
    }
    let loopback = "video_nr=9 exclusive_caps=1 max_buffers=8".to_owned();
    let ingredients = Ingredients {
        modules: vec!["vivid n_devs=1 node_types=0x1".to_owned()],
        built: vec![(debian::v4l2loopback()?, loopback)],
        files,
        ..Ingredients::default()
    };
    let mut guest = Guest::boot(Board::Virt, folder, &ingredients).await?;
    let wait_max = WAIT_MAX;

    let devices = guest.run("teiten-agent devices", wait_max).await?;
    for part in ["/dev/video0", "yuyv   1280x720", "rgb24", "horizontal_flip", "auto: "] {
        assert!(devices.contains(part), "{part}: {devices}");
    }

    guest.run("teiten-agent --config /yuyv.toml >/dev/console 2>&1 &", wait_max).await?;
    for frame in mosquitto.messages("teiten/yuyv/frame", 3, wait_max).await? {
        assert_eq!(jpeg::dimensions(&frame), Some((320, 180)));
    }
    more_is_asked_of_it(&guest, &mosquitto).await?;
    let faults = [
        (BUFFER_ERROR, 1, None),
        (QBUF_ERROR, 1, None),
        (DROPPED, 60, None),
        (DISCONNECT, 1, Some("there is no /dev/video0")),
        (FATAL_STREAMING_ERROR, 1, Some("/dev/video0 failed")),
    ];
    for (control, value, said) in faults {
        let seen = guest.machine.console().len();
        if control == FATAL_STREAMING_ERROR {
            // Opening it anew fails at first, too, and then once more.
            for control in [REQBUFS_ERROR, STREAMON_ERROR] {
                guest.run(&format!("v4l2-control /dev/video0 {control} 1"), wait_max).await?;
            }
        }
        guest.run(&format!("v4l2-control /dev/video0 {control} {value}"), wait_max).await?;
        if let Some(said) = said {
            guest.machine.says_after(seen, said, wait_max).await?;
            guest.machine.says_after(seen, "the camera is opened", wait_max).await?;
        }
        let frames = mosquitto.messages("teiten/yuyv/frame", 3, wait_max).await;
        frames.inspect_err(|_| println!("{}", guest.machine.console()))?;
    }
    guest.run(END_AGENT, wait_max).await?;

    guest.run("teiten-agent --config /rgb24.toml >/dev/console 2>&1 &", wait_max).await?;
    for frame in mosquitto.messages("teiten/rgb24/frame", 5, wait_max).await? {
        assert_eq!(jpeg::dimensions(&frame), Some((1280, 720)));
    }
    let status = guest.run("grep VmRSS /proc/$(pidof teiten-agent)/status", wait_max).await?;
    let resident: Vec<u64> = status.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    println!("resident at 1280x720: {resident:?} KiB");
    assert!(resident.iter().all(|kib| *kib <= RESIDENT_KIB_MAX) && !resident.is_empty(), "{status}");
    guest.run(END_AGENT, wait_max).await?;

    guest.run("v4l2-feed /dev/video9 768 576 /pictures/* >/dev/console 2>&1 &", wait_max).await?;
    guest.run("teiten-agent --config /mjpeg.toml >/dev/console 2>&1 &", wait_max).await?;
    let originals: HashSet<Vec<u8>> = pictures
        .iter()
        .map(|picture| Ok(Unstamped::new(&fs::read(picture)?)?.jpeg().to_vec()))
        .collect::<anyhow::Result<_>>()?;
    let frames = mosquitto.messages("teiten/mjpeg/frame", 2 * PICTURES, wait_max).await;
    let mut seen = HashSet::new();
    for frame in frames.inspect_err(|_| println!("{}", guest.machine.console()))? {
        assert_eq!(jpeg::whole(&frame), Some(&frame[..]), "the driver's padding is left off");
        seen.insert(Unstamped::new(&frame)?.jpeg().to_vec());
    }
    assert!(
        seen.is_subset(&originals) && seen.len() > 1,
        "{} of {PICTURES} pictures as they are",
        seen.len()
    );
    // It says so every ten seconds; by then a torn picture has been among them.
    for telemetry in mosquitto.messages("teiten/mjpeg/telemetry", 1, wait_max).await? {
        let telemetry: Value = serde_json::from_slice(&telemetry)?;
        let dropped = &telemetry["frames"]["dropped"];
        assert!(dropped["torn"].as_u64().is_some_and(|torn| torn > 0), "{telemetry}");
        assert_eq!(telemetry["source"]["state"], "flowing", "{telemetry}");
    }
    Ok(())
}

/// Vivid runs at the rate of the settings until more is asked of it, and gives what it can.
async fn more_is_asked_of_it(guest: &Guest, mosquitto: &Mosquitto) -> anyhow::Result<()> {
    for (rate, said) in [
        (13, Some("yuyv 320x180 at 15/s")),
        (120, Some("fewer pictures a second than it is asked for")),
        (5, None),
    ] {
        let (seen, request) = (guest.machine.console().len(), format!(r#"{{"rate":{rate}}}"#));
        let reply = mosquitto.ask("teiten/yuyv/control", &request, "teiten/yuyv/control-reply", WAIT_MAX);
        assert_eq!(reply.await?, br#"{"ok":true}"#);
        if let Some(said) = said {
            guest.machine.says_after(seen, said, WAIT_MAX).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_on_a_full_disk_costs_no_frame() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mosquitto = Mosquitto::start(folder.path()).await?;
    let settings = folder.path().join("teiten.toml");
    let text = format!(
        "camera = \"guest\"\n[broker]\nhost = \"10.0.2.2\"\nport = {}\n\
         [source]\nkind = \"pattern\"\nwidth = 320\nheight = 180\nrate = 5\n\
         [spool]\nkind = \"directory\"\npath = \"/spool\"\n[preview]\nenabled = false\n",
        mosquitto.port
    );
    fs::write(&settings, text)?;
    let ingredients =
        Ingredients { files: vec![(settings, "/teiten.toml".to_owned())], ..Ingredients::default() };
    let mut guest = Guest::boot(Board::Virt, folder.path(), &ingredients).await?;
    guest.run("mkdir /spool && mount -t tmpfs -o size=200k tmpfs /spool", WAIT_MAX).await?;
    guest.machine.cable(false)?;
    guest.run("teiten-agent --config /teiten.toml >/dev/console 2>&1 &", WAIT_MAX).await?;
    guest.machine.says("the spool directory cannot be written", WAIT_MAX).await?;
    let on_disk: u64 = guest.run("ls /spool/guest | grep -c jpg$", WAIT_MAX).await?.trim().parse()?;

    guest.machine.cable(true)?;
    // What nobody says is stored comes again, so these are enough even if somebody listened late.
    let messages = mosquitto.messages("teiten/guest/frame", 80, WAIT_MAX).await;
    let messages = messages.inspect_err(|_| println!("{}", guest.machine.console()))?;
    let frames = messages.into_iter().map(|jpeg| Frame::parse(jpeg.into())?.context("a frame's stamp"));
    let ids = frames.map(|frame| Ok(frame?.id)).collect::<anyhow::Result<BTreeSet<_>>>()?;
    let first = *ids.first().context("a frame")?;
    println!("{} frames, {on_disk} of them on the disk", ids.len());
    // The first one that had no place there, and some after it, are there too.
    assert!((0..on_disk + 5).all(|sequence| ids.contains(&FrameId { sequence, ..first })), "{ids:?}");

    // What is stored makes room.
    let seen = guest.machine.console().len();
    for stored in Stored::of_frames(ids) {
        mosquitto.publish("teiten/guest/stored", &stored.to_string())?;
    }
    guest.machine.says_after(seen, "the spool directory can be written again", WAIT_MAX).await?;
    Ok(())
}

/// The pictures that a device of v4l2loopback gives, as they are and torn.
const PICTURES: usize = 3;

/// Devices, with what else there is to be set for them.
const VIVID: (&str, &str) = ("/dev/video0", "[source.controls]\nhorizontal_flip = true\n");
const LOOPBACK: (&str, &str) = ("/dev/video9", "");

const END_AGENT: &str = "killall -9 teiten-agent; while pidof teiten-agent >/dev/null; do usleep 50000; done";

/// A program of the guest's, `tests/guest/<name>.c`.
fn helper(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let program = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("guest/{name}.c"));
    succeed(Command::new("aarch64-linux-gnu-gcc").args(["-static", "-O2", "-o"]).args([&program, &source]))?;
    Ok(program)
}
