//! The agent on Linux for arm64, with Linux's virtual camera.

use std::{fs, path::Path, process::Command, time::Duration};

use teiten_footage::jpeg;
use teiten_tests::{
    debian::succeed,
    guest::{Guest, Ingredients},
    machine::Board,
    mosquitto::Mosquitto,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_a_guest_with_a_virtual_camera_reaches_mosquitto() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mosquitto = Mosquitto::start(folder.path()).await?;
    let settings = folder.path().join("teiten.toml");
    fs::write(
        &settings,
        format!(
            "camera = \"guest\"\n[broker]\nhost = \"10.0.2.2\"\nport = {}\n\
             [source]\nkind = \"pattern\"\nwidth = 320\nheight = 180\n",
            mosquitto.port
        ),
    )?;
    let ingredients = Ingredients {
        modules: vec!["vivid n_devs=1 node_types=0x1".to_owned()],
        files: vec![(settings, "/teiten.toml".to_owned())],
        ..Ingredients::default()
    };
    let mut guest = Guest::boot(Board::Virt, folder.path(), &ingredients).await?;
    guest.run("test -c /dev/video0", Duration::from_secs(10)).await?;
    guest.run("teiten-agent --config /teiten.toml >/dev/console 2>&1 &", Duration::from_secs(10)).await?;
    let frames = mosquitto.messages("teiten/guest/frame", 3, Duration::from_secs(60)).await;
    let frames = frames.inspect_err(|_| println!("{}", guest.machine.console()))?;
    for frame in frames {
        assert_eq!(jpeg::whole(&frame), Some(&frame[..]));
    }
    Ok(())
}

/// Vivid's controls that make something go wrong, once.
const DISCONNECT: u32 = 0x00F0_F041;
const BUFFER_ERROR: u32 = 0x00F0_F042;
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
    width: u32,
    height: u32,
) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join(format!("{format}.toml"));
    fs::write(
        &path,
        format!(
            "camera = \"{format}\"\n[broker]\nhost = \"10.0.2.2\"\nport = {port}\n[source]\nkind = \"v4l2\"\n\
             format = \"{format}\"\nwidth = {width}\nheight = {height}\nrate = 5\n\
             [source.controls]\nhorizontal_flip = true\n"
        ),
    )?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_of_raw_pictures_is_captured_whatever_its_driver_does() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let mosquitto = Mosquitto::start(folder).await?;
    let helper = folder.join("v4l2-control");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/v4l2-control.c");
    succeed(Command::new("aarch64-linux-gnu-gcc").args(["-static", "-O2", "-o"]).args([&helper, &source]))?;
    let files = vec![
        (settings(folder, mosquitto.port, "yuyv", 320, 180)?, "/yuyv.toml".to_owned()),
        (settings(folder, mosquitto.port, "rgb24", 1280, 720)?, "/rgb24.toml".to_owned()),
        (helper, "/bin/v4l2-control".to_owned()),
    ];
    let ingredients = Ingredients {
        modules: vec!["vivid n_devs=1 node_types=0x1".to_owned()],
        files,
        ..Ingredients::default()
    };
    let mut guest = Guest::boot(Board::Virt, folder, &ingredients).await?;
    let wait_max = Duration::from_secs(60);

    let devices = guest.run("teiten-agent devices", wait_max).await?;
    for part in ["/dev/video0", "yuyv   1280x720", "rgb24", "horizontal_flip", "auto: "] {
        assert!(devices.contains(part), "{part}: {devices}");
    }

    guest.run("teiten-agent --config /yuyv.toml >/dev/console 2>&1 &", wait_max).await?;
    for frame in mosquitto.messages("teiten/yuyv/frame", 3, wait_max).await? {
        assert_eq!(jpeg::dimensions(&frame), Some((320, 180)));
    }
    let faults = [
        (BUFFER_ERROR, 1, None),
        (DROPPED, 60, None),
        (DISCONNECT, 1, Some("there is no /dev/video0")),
        (FATAL_STREAMING_ERROR, 1, Some("/dev/video0 failed")),
    ];
    for (control, value, said) in faults {
        let seen = guest.machine.console().len();
        if control == FATAL_STREAMING_ERROR {
            // Opening it anew fails at first, too.
            guest.run(&format!("v4l2-control /dev/video0 {STREAMON_ERROR} 1"), wait_max).await?;
        }
        guest.run(&format!("v4l2-control /dev/video0 {control} {value}"), wait_max).await?;
        if let Some(said) = said {
            guest.machine.says_after(seen, said, wait_max).await?;
            guest.machine.says_after(seen, "the camera is opened", wait_max).await?;
        }
        let frames = mosquitto.messages("teiten/yuyv/frame", 3, wait_max).await;
        frames.inspect_err(|_| println!("{}", guest.machine.console()))?;
    }
    guest
        .run("killall -9 teiten-agent; while pidof teiten-agent >/dev/null; do usleep 50000; done", wait_max)
        .await?;

    guest.run("teiten-agent --config /rgb24.toml >/dev/console 2>&1 &", wait_max).await?;
    for frame in mosquitto.messages("teiten/rgb24/frame", 5, wait_max).await? {
        assert_eq!(jpeg::dimensions(&frame), Some((1280, 720)));
    }
    let status = guest.run("grep VmRSS /proc/$(pidof teiten-agent)/status", wait_max).await?;
    let resident: Vec<u64> = status.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    println!("resident at 1280x720: {resident:?} KiB");
    assert!(resident.iter().all(|kib| *kib <= RESIDENT_KIB_MAX) && !resident.is_empty(), "{status}");
    Ok(())
}
