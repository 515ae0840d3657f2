//! The agent on Linux for arm64, with Linux's virtual camera.

use std::{fs, time::Duration};

use teiten_footage::jpeg;
use teiten_tests::{
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
