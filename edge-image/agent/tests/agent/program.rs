//! The agent as a program: its arguments, its signals, and `kill -9`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use crate::common::*;
use rcgen::{CertificateParams, DnType, KeyPair};
use teiten_footage::{
    FrameId,
    topic::{OFFLINE, ONLINE},
};

fn program(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teiten-agent"));
    command.arg("--config").arg(config);
    command
}

/// A settings file for a pattern and a spool in `directory`.
fn settings(directory: &Path, port: u16) -> PathBuf {
    let path = directory.join("teiten.toml");
    let text = format!(
        "camera = \"front-door\"\n[broker]\nport = {port}\n[source]\nrate = 20\n\
         [spool]\nkind = \"directory\"\npath = {:?}\n",
        directory.join("spool")
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// The frames in the spool.
fn spooled(directory: &Path) -> Vec<FrameId> {
    let files = std::fs::read_dir(directory.join("spool/front-door")).unwrap();
    files
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".jpg")?.split_once('-')?.1.parse().ok()
        })
        .collect()
}

async fn stop(process: Child) {
    let status = ended(process).await;
    assert!(status.success(), "{status}");
}

/// How it ends when it is told to.
async fn ended(mut process: Child) -> ExitStatus {
    assert!(Command::new("kill").arg("-TERM").arg(process.id().to_string()).status().unwrap().success());
    soon(tokio::task::spawn_blocking(move || process.wait())).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_in_the_directory_outlive_kill_9() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path(), broker.port);

    let mut bridge = Bridge::start(broker.port, false);
    let mut process = program(&settings).spawn().unwrap();
    bridge.status(ONLINE).await;
    bridge.frames(10).await;
    process.kill().unwrap();
    process.wait().unwrap();
    bridge.status(OFFLINE).await;
    drop(bridge);
    let left = spooled(place.path());
    assert!(left.len() >= 10);

    let mut bridge = Bridge::start(broker.port, true);
    let process = program(&settings).spawn().unwrap();
    let mut frames = Vec::new();
    while !left.iter().all(|id| ids(&frames).contains(id)) {
        frames.push(bridge.frame().await);
    }
    stop(process).await;
    bridge.status(OFFLINE).await;
    assert_consistent(&frames);
    assert_eq!(spooled(place.path()), []);
}

/// As two cards are that were written for one camera.
#[tokio::test(flavor = "multi_thread")]
async fn two_cameras_of_one_name_that_take_each_others_place_at_the_broker_are_told_so() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let cameras = ["one", "other"].map(|name| {
        let (folder, log) = (place.path().join(name), place.path().join(name).join("log"));
        std::fs::create_dir(&folder).unwrap();
        let process = program(&settings(&folder, broker.port))
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        (process, log)
    });
    let is_told = |log: &Path| {
        std::fs::read_to_string(log).unwrap().contains("is another camera called front-door running?")
    };
    soon(async {
        while !cameras.iter().all(|(_, log)| is_told(log)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for (process, _) in cameras {
        stop(process).await;
    }
}

#[test]
fn cost_is_told_of_a_format_that_is_encoded_here_and_what_has_none_is_refused() {
    let cost = |format: &str| {
        let arguments = ["cost", "--pictures", "1", "--format", format];
        Command::new(env!("CARGO_BIN_EXE_teiten-agent")).args(arguments).output().unwrap()
    };
    let told = cost("yuyv");
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success() && text.starts_with("yuyv 1280x720: "), "{text}");
    for (format, expected) in [("yuyw", "yuyv"), ("mjpeg", "the camera encodes mjpeg itself")] {
        let refused = cost(format);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && text.contains(expected), "{text}");
    }
}

fn check(settings: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings).unwrap();
    program(file.path()).arg("check").output().unwrap()
}

#[test]
fn check_lists_all_mistakes_at_once() {
    let output = check(
        "camera = \"Front Door\"\n[source]\nkind = \"v4l2\"\nrate = 0.5\nquality = 900\n[spool]\nkind = \"tape\"",
    );
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    for key in ["camera:", "source.rate:", "source.quality:", "spool.kind:"] {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn check_starts_nothing_when_all_is_well() {
    let output = check("camera = \"front-door\"");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("camera front-door, pattern 640x480 at 10/s, broker 127.0.0.1:1883\n"), "{text}");
}

#[test]
fn check_tells_of_names_that_no_card_finds() {
    let output = check(
        "camera = \"front-door\"\n[broker]\nhost = \"desk.local\"\n\
         [system]\ntime_servers = [\"ntp.home\", \"Clock.LOCAL.:123\"]\nsyslog = \"localhost\"",
    );
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    let keys: Vec<_> = told.lines().filter_map(|line| line.split_once(": ")).map(|(key, _)| key).collect();
    assert_eq!(keys, ["broker.host", "system.time_servers"], "{told}");
    assert!(told.contains("desk.local") && told.contains("take the address"), "{told}");
}

#[test]
fn check_tells_of_a_certificate_that_was_made_for_another_camera() {
    let place = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "yard");
    let certificate = params.self_signed(&key).unwrap().pem();
    for (name, text) in [("ca", &certificate), ("certificate", &certificate), ("key", &key.serialize_pem())] {
        std::fs::write(place.path().join(format!("{name}.pem")), text).unwrap();
    }
    let settings = place.path().join("teiten.toml");
    let said_of = |camera: &str| {
        let files = "ca = \"ca.pem\"\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"";
        std::fs::write(&settings, format!("camera = \"{camera}\"\n[broker]\n{files}")).unwrap();
        let output = program(&settings).arg("check").output().unwrap();
        assert!(output.status.success(), "a broker may not go by it");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said_of("yard"), "");
    let said = said_of("garden");
    assert!(said.contains("made for \"yard\", and camera is \"garden\""), "{said}");
}

#[test]
fn bad_settings_stop_the_program_before_it_starts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "camera = 7\nbroker = 8").unwrap();
    let output = program(file.path()).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("camera:") && text.contains("broker:"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cards_program_goes_on_without_settings_or_what_they_name() {
    let place = tempfile::tempdir().unwrap();
    let settings = place.path().join("teiten.toml");
    let start = || {
        let mut command = program(&settings);
        command.arg("--run-directory").arg(place.path()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for (text, expected) in [
        (None, "belong on the first partition (TEITEN)"),
        (Some("camera = \"front-door\"\n[broker]\nca = \"ca.pem\""), "ca.pem: no "),
    ] {
        text.iter().for_each(|text| std::fs::write(&settings, text).unwrap());
        let mut process = start();
        health_is("absent", place.path()).await;
        assert!(process.try_wait().unwrap().is_none(), "it goes on");
        process.kill().unwrap();
        let said = String::from_utf8(process.wait_with_output().unwrap().stderr).unwrap();
        assert!(said.contains(expected), "{said}");
        std::fs::remove_file(place.path().join("health")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cards_program_goes_on_and_tells_the_broker_what_is_wrong_with_its_settings() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let settings = place.path().join("teiten.toml");
    let text = "camera = \"front-door\"\ncolour = 1\n[wifi]\npassword = \"secret\"\n[broker]\nport = ";
    std::fs::write(&settings, format!("{text}{}", broker.port)).unwrap();
    let process = program(&settings).arg("--run-directory").arg(place.path()).spawn().unwrap();
    let told = tokio::process::Command::new("mosquitto_sub")
        .args(["-p", &broker.port.to_string(), "-t", "teiten/front-door/mistakes", "-C", "1", "-W", "40"])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    for part in
        [r#"{"key":"colour","why":"no such key here, expected one of camera, "#, r#""key":"wifi.network""#]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("secret"), "{told}");
    let health = std::fs::read_to_string(place.path().join("health")).unwrap();
    assert!(health.starts_with("absent "), "{health}");
    assert!(!ended(process).await.success());
}
