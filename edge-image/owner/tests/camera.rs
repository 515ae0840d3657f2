//! A camera that was added, as its agent and a real broker see it.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use teiten_footage::{CameraId, Timestamp};
use teiten_mqtt::{Identity, TlsFiles};
use teiten_owner::{
    Wifi,
    bundle::{self, Slot},
    cameras::{CARD_FILES, Cameras, Home, Which},
    update::{self, Broker},
};
use tokio::sync::mpsc;

const NOW: Timestamp = Timestamp::from_unix_millis(1_795_406_701_234);

fn camera(name: &str) -> CameraId {
    CameraId::new(name).unwrap()
}

fn home(broker: &[&str]) -> Home {
    Home { broker: broker.iter().map(|host| (*host).to_owned()).collect(), port: 8883, wifi: None }
}

fn openssl(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_agent_accepts_the_ready_settings() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    let added = cameras.add(&camera("yard"), &home(&["192.168.1.10"]), false, NOW).unwrap();
    let text = fs::read_to_string(added.folder.join("teiten.toml")).unwrap();
    let config = teiten_agent::Config::from_toml(&text).unwrap().in_folder(&added.folder);
    assert_eq!((config.camera.as_str(), config.broker.host.as_str()), ("yard", "192.168.1.10"));
    let tls = config.broker.tls.unwrap();
    let identity = tls.identity.unwrap();
    for file in [tls.ca, identity.certificate, identity.key] {
        assert!(file.is_file(), "{}", file.display());
    }
}

#[test]
fn an_agent_accepts_the_wireless_network_and_a_wrong_one_makes_no_camera() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    let with = |password: &str| {
        let (network, password, country) = ("Müller's".into(), Some(password.into()), "DE".into());
        Home { wifi: Some(Wifi { network, password, country }), ..home(&["mqtt.home"]) }
    };
    assert!(cameras.add(&camera("yard"), &with("short"), false, NOW).is_err());
    assert!(!cameras.card(&camera("yard")).exists());
    let added = cameras.add(&camera("yard"), &with("long \"enough\""), false, NOW).unwrap();
    let text = fs::read_to_string(added.folder.join("teiten.toml")).unwrap();
    let config = teiten_agent::Config::from_toml(&text).unwrap();
    assert!(config.wifi.is_some_and(|wifi| wifi.network == "Müller's"));
}

#[test]
fn a_broker_that_no_camera_would_find_by_its_name_makes_no_camera() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    let refused = cameras.add(&camera("yard"), &home(&["desk.local"]), false, NOW).unwrap_err().to_string();
    assert!(refused.contains("desk.local") && refused.contains("address"), "{refused}");
    assert!(!place.path().join("cameras").exists());
    // Other machines may find it by that name.
    assert!(cameras.add(&camera("yard"), &home(&["192.168.1.10", "desk.local"]), false, NOW).is_ok());
}

#[test]
fn who_renews_a_certificate_is_told_what_to_copy_onto_the_card_whose_settings_stay() {
    let place = tempfile::tempdir().unwrap();
    owner(place.path(), &["camera", "add", "yard", "--broker", "mqtt.home", "--wifi", ""], None);
    let renewed = owner(place.path(), &["camera", "add", "yard", "--renew"], None);
    for expected in ["ca.pem, certificate.pem, key.pem and updates.pem", "TEITEN", "cameras/yard"] {
        assert!(renewed.contains(expected), "{expected}: {renewed}");
    }
    // What writes the settings that are in the folder is for a new card alone.
    let (_, flash) = renewed.split_once("a new card").unwrap();
    assert_eq!((renewed.matches("./just flash").count(), flash.matches("./just flash").count()), (1, 1));
}

#[test]
fn a_password_for_wifi_in_the_environment_is_used_where_a_network_is_named_and_elsewhere_harmless() {
    let place = tempfile::tempdir().unwrap();
    let add = |arguments: &[&str]| {
        owner(place.path(), &[&["camera", "add"], arguments].concat(), Some("long enough"))
    };
    add(&["yard", "--broker", "mqtt.home", "--wifi", ""]);
    add(&["gate"]);
    add(&["shed", "--wifi", "Hof", "--country", "DE"]);
    let settings =
        |name: &str| fs::read_to_string(place.path().join("cameras").join(name).join("teiten.toml")).unwrap();
    assert!(!settings("gate").contains("long enough"), "{}", settings("gate"));
    assert!(settings("shed").contains("password = \"long enough\""), "{}", settings("shed"));
}

/// What the program says when it is run in `folder`, which must succeed, with a Wi-Fi's password in its environment.
fn owner(folder: &Path, arguments: &[&str], password: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teiten-owner"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env_remove("TEITEN_CAMERAS");
    match password {
        Some(password) => command.env("TEITEN_WIFI_PASSWORD", password),
        None => command.env_remove("TEITEN_WIFI_PASSWORD"),
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_owners_own_tools_have_a_certificate_as_soon_as_there_is_a_camera() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    cameras.add(&camera("yard"), &home(&["mqtt.home"]), false, NOW).unwrap();
    let shown = openssl(
        &["x509", "-in", "certificate.pem", "-noout", "-subject"],
        &place.path().join("owner.teiten"),
    );
    assert!(shown.contains("CN = owner.teiten"), "{shown}");
}

#[test]
fn only_the_owner_can_read_what_is_made() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    let added = cameras.add(&camera("yard"), &home(&["mqtt.home"]), false, NOW).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&added.folder), 0o700);
    for file in CARD_FILES {
        assert_eq!(mode(&added.folder.join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(&added.folder).unwrap().count(), CARD_FILES.len());
    assert_eq!(mode(&place.path().join("cameras/ca.teiten/key.pem")), 0o600);
}

#[test]
fn certificates_are_good_for_a_clock_of_2020_and_for_ten_years() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    let added = cameras.add(&camera("yard"), &home(&["mqtt.home", "192.168.1.10"]), false, NOW).unwrap();
    let shown = openssl(
        &["x509", "-in", "certificate.pem", "-noout", "-subject", "-startdate", "-enddate"],
        &added.folder,
    );
    for expected in ["CN = yard", "Jan  1 00:00:00 2020 GMT", " 2036 GMT"] {
        assert!(shown.contains(expected), "{shown}");
    }
    openssl(
        &["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem", "certificate.pem"],
        &added.folder,
    );
    let broker = place.path().join("broker.teiten");
    for host in [["-verify_hostname", "mqtt.home"], ["-verify_ip", "192.168.1.10"]] {
        let purpose = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem"];
        openssl(&[&purpose[..], &host, &["certificate.pem"]].concat(), &broker);
    }
}

#[test]
fn an_update_is_signed_with_the_owners_key_and_a_cameras_key_signs_none() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    assert!(cameras.updates(NOW).unwrap_err().to_string().contains("./just camera add"));
    let added = cameras.add(&camera("yard"), &home(&["mqtt.home"]), false, NOW).unwrap();
    let stranger = Cameras::at(place.path().join("others"));
    stranger.add(&camera("yard"), &home(&["mqtt.home"]), false, NOW).unwrap();
    let signer = cameras.updates(NOW).unwrap();
    let shown = openssl(&["x509", "-in", "certificate.pem", "-noout", "-ext", "extendedKeyUsage"], &signer);
    assert!(shown.contains("Code Signing"), "{shown}");
    openssl(&["verify", "-x509_strict", "-CAfile", "ca.pem", "certificate.pem"], &signer);

    let image = place.path().join("image");
    fs::create_dir(&image).unwrap();
    // RAUC makes no bundle of less than a block.
    let noise: Vec<u8> = rand::random_iter().take(8192).collect();
    for (file, content) in [("boot.vfat", &*noise), ("root.squashfs", b"root"), ("release", b"1.2.3\n")] {
        fs::write(image.join(file), content).unwrap();
    }
    let slot = Slot::in_folder(&image).unwrap();
    // What the camera has: its configuration, with the authority from its card.
    let system = fs::read_to_string("../overlay/etc/rauc/system.conf").unwrap();
    let trusted = added.folder.join("updates.pem");
    let config = place.path().join("system.conf");
    fs::write(&config, system.replace("/run/teiten/card/updates.pem", trusted.to_str().unwrap())).unwrap();
    let bundle = place.path().join("update.raucb");
    let info = |signer: &Path| {
        bundle::make(&slot, signer, &bundle).unwrap();
        Command::new("rauc").arg("-c").arg(&config).arg("info").arg(&bundle).output().unwrap()
    };
    let own = info(&signer);
    let (shown, said) = (String::from_utf8_lossy(&own.stdout), String::from_utf8_lossy(&own.stderr));
    assert!(own.status.success() && shown.contains("1.2.3"), "{shown}{said}");
    for other in [&added.folder, &stranger.updates(NOW).unwrap()] {
        let refused = info(other);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("signature verification failed"), "{said}");
    }
}

#[test]
fn a_name_that_is_there_is_refused_until_it_is_renewed_and_keeps_its_settings() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    let (yard, home) = (camera("yard"), home(&["mqtt.home"]));
    assert!(cameras.add(&yard, &home, true, NOW).unwrap_err().to_string().contains("no camera yard"));
    let added = cameras.add(&yard, &home, false, NOW).unwrap();
    let refused = cameras.add(&yard, &home, false, NOW).unwrap_err().to_string();
    assert!(refused.contains("--renew"), "{refused}");

    let settings = added.folder.join("teiten.toml");
    let edited = fs::read_to_string(&settings).unwrap() + "# mine\n";
    fs::write(&settings, &edited).unwrap();
    let before = fs::read_to_string(added.folder.join("certificate.pem")).unwrap();
    cameras.add(&yard, &home, true, NOW).unwrap();
    assert_ne!(fs::read_to_string(added.folder.join("certificate.pem")).unwrap(), before);
    assert_eq!(fs::read_to_string(&settings).unwrap(), edited);
}

#[test]
fn the_brokers_certificate_is_renewed_when_it_has_a_new_name_only() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    let add = |name: &str, hosts: &[&str]| {
        cameras.add(&camera(name), &home(hosts), false, NOW).unwrap().broker_renewed
    };
    assert!(add("a", &["mqtt.home"]));
    assert!(!add("b", &["mqtt.home"]));
    assert!(add("c", &["192.168.1.10", "mqtt.home"]));
    assert!(!add("d", &["mqtt.home", "192.168.1.10"]));
}

#[test]
fn what_ends_within_a_year_is_made_anew_and_told_when_a_camera_is_added() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    let years = |years: f64| NOW + Duration::from_secs_f64(years * 365.2425 * 86400.0);
    let add = |name: &str, now: Timestamp| {
        let added = cameras.add(&camera(name), &home(&["mqtt.home"]), false, now).unwrap();
        let renewed = added.others_renewed.iter();
        let renewed: Vec<_> = renewed.map(|folder| folder.file_name().unwrap().to_str().unwrap()).collect();
        (added.broker_renewed, renewed.join(" "))
    };
    let ends = |name: &str| {
        let place = place.path().join(name);
        openssl(&["verify", "-x509_strict", "-CAfile", "ca.pem", "certificate.pem"], &place);
        openssl(&["x509", "-in", "certificate.pem", "-noout", "-enddate"], &place)
    };
    assert_eq!(add("a", NOW), (true, String::new()));
    cameras.updates(NOW).unwrap();
    assert_eq!(add("b", years(8.9)), (false, String::new()));
    assert_eq!(add("c", years(9.5)), (true, "bridge.teiten owner.teiten".to_owned()));
    assert_eq!(add("d", years(9.5)), (false, String::new()));
    // Cameras know the authority, not who signs updates in its name.
    cameras.updates(years(9.5)).unwrap();
    for name in ["broker.teiten", "bridge.teiten", "owner.teiten", "updates.teiten"] {
        assert!(ends(name).contains(" 2046 GMT"), "{name}: {}", ends(name));
    }
    // The date of that one is written in another way (RFC 5280 §4.1.2.5).
    assert_eq!(add("e", years(18.0)), (false, String::new()));
    assert_eq!(add("f", years(19.0)), (true, "bridge.teiten owner.teiten".to_owned()));
    assert_eq!(add("g", years(27.0)), (false, String::new()));
}

#[test]
fn a_lost_authority_is_not_replaced_silently() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    cameras.add(&camera("a"), &home(&["mqtt.home"]), false, NOW).unwrap();
    fs::remove_file(place.path().join("ca.teiten/key.pem")).unwrap();
    let error = cameras.add(&camera("b"), &home(&["mqtt.home"]), false, NOW).unwrap_err();
    assert!(error.to_string().contains("put it back"), "{error}");
}

#[test]
fn a_broker_that_asks_for_certificates_takes_the_camera_and_knows_its_name() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    let added = cameras.add(&camera("yard"), &home(&["127.0.0.1"]), false, NOW).unwrap();
    let stranger = Cameras::at(place.path().join("others"));
    let stranger = stranger.add(&camera("yard"), &home(&["127.0.0.1"]), false, NOW).unwrap();
    let broker = Mosquitto::start(&place.path().join("cameras/broker.teiten"));

    let own = broker.publish(&added.folder, &added.folder, "teiten/yard/frame");
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    assert!(broker.0.says("u'yard'"), "{}", broker.0.log());
    let foreign = broker.publish(&added.folder, &stranger.folder, "teiten/yard/frame");
    assert!(!foreign.status.success());
}

#[test]
fn a_stolen_card_is_refused_by_the_broker_once_it_is_revoked_and_the_new_one_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    let (yard, home) = (camera("yard"), home(&["127.0.0.1"]));
    let files = place.path().join("cameras/broker.teiten");
    // What a camera's card has now.
    let card = |name: &str, copy: &str| {
        let copy = place.path().join(copy);
        fs::create_dir(&copy).unwrap();
        for file in CARD_FILES {
            fs::copy(cameras.card(&camera(name)).join(file), copy.join(file)).unwrap();
        }
        copy
    };
    let taken = |identities: &[&Path]| -> Vec<bool> {
        let broker = Mosquitto::start(&files);
        let publish = |identity| broker.publish(identity, identity, "teiten/yard/frame").status.success();
        identities.iter().map(|identity| publish(identity)).collect()
    };
    cameras.add(&yard, &home, false, NOW).unwrap();
    cameras.add(&camera("gate"), &home, false, NOW).unwrap();
    let (stolen, other) = (card("yard", "stolen"), card("gate", "other"));
    // As a folder is in which nobody noted what was given out.
    fs::remove_file(place.path().join("cameras/ca.teiten/given")).unwrap();
    fs::remove_file(files.join("revoked.pem")).unwrap();
    cameras.add(&yard, &home, true, NOW).unwrap();
    let second = card("yard", "second");
    assert_eq!(taken(&[&stolen, &second, &other]), [true, true, true], "nothing is revoked yet");

    assert!(cameras.revoke(&camera("gate"), Which::Replaced, NOW).is_err(), "it had no other one");
    let replaced = cameras.revoke(&yard, Which::Replaced, NOW).unwrap();
    assert_eq!(
        (replaced.certificates, replaced.renewed, &replaced.list),
        (1, None, &files.join("revoked.pem"))
    );
    assert_eq!(taken(&[&stolen, &second, &other]), [false, true, true]);
    let repeated = cameras.revoke(&yard, Which::Replaced, NOW).unwrap();
    assert_eq!((repeated.certificates, repeated.renewed, repeated.list), (0, None, replaced.list));
    // Where its folder is gone, nobody knows which one it has.
    let (folder, away) = (cameras.card(&yard), place.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    assert!(cameras.revoke(&yard, Which::Replaced, NOW).is_err());
    fs::rename(&away, &folder).unwrap();
    assert_eq!(taken(&[&stolen, &second]), [false, true]);

    // The second one was there when the first one was revoked.
    let all = cameras.revoke(&yard, Which::Once, NOW).unwrap();
    assert_eq!((all.certificates, all.renewed), (1, Some(cameras.card(&yard))));
    let third = card("yard", "third");
    let tools = ["owner.teiten", "bridge.teiten"].map(|name| files.with_file_name(name));
    let [owner, bridge] = &tools;
    let identities: [&Path; 6] = [&stolen, &second, &third, &other, owner, bridge];
    assert_eq!(taken(&identities), [false, false, true, true, true, true]);
    assert!(cameras.revoke(&camera("shed"), Which::Once, NOW).is_err());

    // Who asks again has the third one in a camera.
    let repeated = cameras.revoke(&yard, Which::Once, NOW).unwrap();
    assert_eq!((repeated.certificates, repeated.renewed, repeated.stays), (0, None, true));
    assert_eq!(taken(&[&second, &third]), [false, true]);
    let gone_too = cameras.revoke(&yard, Which::All, NOW).unwrap();
    assert_eq!((gone_too.certificates, gone_too.renewed), (1, Some(cameras.card(&yard))));
    assert_eq!(taken(&[&third, &card("yard", "fourth")]), [false, true]);
}

#[test]
fn the_list_of_revoked_certificates_is_good_for_ever_and_for_a_clock_of_2020() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path());
    cameras.add(&camera("yard"), &home(&["mqtt.home"]), false, NOW).unwrap();
    let shown = || {
        let what = ["crl", "-in", "revoked.pem", "-noout", "-text", "-CAfile", "ca.pem", "-verify"];
        openssl(&what, &place.path().join("broker.teiten"))
    };
    let (before, revoked) = (shown(), cameras.revoke(&camera("yard"), Which::Once, NOW).unwrap());
    assert_eq!(revoked.certificates, 1);
    for (list, since) in [(&before, "Jan  1 00:00:00 2020 GMT"), (&shown(), "Jan  1 00:00:01 2020 GMT")] {
        for expected in [since, "Dec 31 00:00:00 9999 GMT"] {
            assert!(list.contains(expected), "{list}");
        }
    }
    assert!(before.contains("No Revoked Certificates") && shown().contains("Key Compromise"));
}

#[test]
fn who_revokes_a_camera_is_told_what_the_broker_needs_and_gets_a_new_certificate() {
    let place = tempfile::tempdir().unwrap();
    owner(place.path(), &["camera", "add", "yard", "--broker", "mqtt.home", "--wifi", ""], None);
    let broker_needs =
        ["cameras/broker.teiten/revoked.pem\n", "systemctl restart mosquitto", "crlfile", "./just deploy"];
    let says = |arguments: &[&str], what: &str| {
        let said = owner(place.path(), &[&["camera", "revoke", "yard"], arguments].concat(), None);
        for expected in broker_needs.iter().chain([&what]) {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        said.contains("./just flash DEVICE yard")
    };
    assert!(says(&[], "revoked now: 1"));
    // Who has forgotten what the broker needs asks again.
    assert!(!says(&[], "./just camera revoke yard --again"));
    assert!(!says(&["--replaced"], "revoked now: 0"));
    assert!(says(&["--again"], "revoked now: 1"));
}

#[tokio::test]
async fn of_a_camera_that_is_there_and_does_not_answer_it_is_told_what_may_keep_it() {
    let place = tempfile::tempdir().unwrap();
    let cameras = Cameras::at(place.path().join("cameras"));
    let yard = cameras.add(&camera("yard"), &home(&["127.0.0.1"]), false, NOW).unwrap().folder;
    let mosquitto = Mosquitto::start(&place.path().join("cameras/broker.teiten"));
    let publish = |topic, more: &[&str]| {
        assert!(mosquitto.publish_with(&yard, &yard, topic, more).status.success());
    };
    publish("teiten/yard/status", &["--retain", "-m", "online"]);
    let owner = cameras.owner(NOW).unwrap().folder;
    let [ca, certificate, key] = ["ca.pem", "certificate.pem", "key.pem"].map(|file| owner.join(file));
    let tls = TlsFiles { ca, identity: Some(Identity { certificate, key }) };
    let broker = Broker { host: "127.0.0.1".into(), port: mosquitto.0.port(), tls };
    let (told, mut hint) = mpsc::unbounded_channel();
    let say = |news: &str| match news {
        // It is the last thing that is subscribed to.
        "online" => {
            let telemetry = r#"{"agent_uptime_seconds":30,"versions":{}}"#;
            publish("teiten/yard/telemetry", &["-m", telemetry, "--repeat", "7"]);
        }
        _ if news.contains("[control]") => told.send(()).unwrap(),
        _ => {}
    };
    let name = camera("yard");
    tokio::select! {
        outcome = update::update(&broker, &name, "http://nowhere/", Duration::from_secs(60), say) => panic!("{outcome:?}"),
        hint = hint.recv() => assert_eq!(hint, Some(())),
    }
}

/// A broker that takes nobody without a certificate of the owner's authority.
struct Mosquitto(teiten_testing::Mosquitto);

impl Mosquitto {
    /// With its own folder of `files`.
    fn start(files: &Path) -> Self {
        let [ca, certificate, key] = ["ca.pem", "certificate.pem", "key.pem"].map(|name| files.join(name));
        let certified = teiten_testing::tls(&ca, &certificate, &key);
        let settings = format!("{certified}crlfile {}\nlog_type all\n", files.join("revoked.pem").display());
        Self(teiten_testing::Mosquitto::start(&settings).unwrap())
    }

    fn publish(&self, authority: &Path, identity: &Path, topic: &str) -> Output {
        self.publish_with(authority, identity, topic, &["-m", "x"])
    }

    fn publish_with(&self, authority: &Path, identity: &Path, topic: &str, more: &[&str]) -> Output {
        Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.0.port().to_string(), "-q", "1", "-t", topic])
            .args(more)
            .arg("--cafile")
            .arg(authority.join("ca.pem"))
            .arg("--cert")
            .arg(identity.join("certificate.pem"))
            .arg("--key")
            .arg(identity.join("key.pem"))
            .output()
            .unwrap()
    }
}
