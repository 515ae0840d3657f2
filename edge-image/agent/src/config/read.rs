//! Reads a settings file key by key, so that every mistake in it is found in one go.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    net::Ipv6Addr,
    path::{Path, PathBuf},
};

use serde::Serialize;
use teiten_footage::CameraId;
use teiten_mqtt::{Identity, TlsFiles};
use toml::{Table, Value, de::DeTable};

use super::{
    Broker, Config, ControlValue, Footage, FrameCount, Gpio, HomeAssistant, Mebibytes, Pattern, PictureSize,
    PixelFormat, Quality, RangeError, Rate, Share, Source, Spool, System, Uplink, V4l2, WholeRate, Wifi,
    bare, light, section::Section,
};

/// One thing that is wrong in a settings file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The key, with its section: `source.rate`. Empty where the file is no TOML at all.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub why: String,
}

/// Everything that is wrong in a settings file, in the order of its sections; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    /// The mistakes.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }

    /// Something that is wrong with the file as a whole, or with what it names.
    pub fn of_the_whole(why: impl Into<String>) -> Self {
        Self(vec![Mistake { key: String::new(), why: why.into() }])
    }
}

/// One mistake a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the settings have a mistake:")?,
            count => write!(f, "the settings have {count} mistakes:")?,
        }
        for Mistake { key, why } in &self.0 {
            match key.as_str() {
                "" => write!(f, "\n  {why}")?,
                key => write!(f, "\n  {key}: {why}")?,
            }
        }
        Ok(())
    }
}

/// The text of the file at `path`.
pub(super) fn text(path: &Path) -> Result<String, ConfigErrors> {
    fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        ConfigErrors::of_the_whole(match error.kind() {
            ErrorKind::NotFound => format!(
                "there is no {path}. On a camera's card the settings belong on the first partition (TEITEN), with the \
                 certificates beside them: copy there what `camera add` has made, and switch the camera off and on"
            ),
            ErrorKind::InvalidData => format!("{path} is no UTF-8: save it as a plain text in UTF-8"),
            _ => format!("{path} cannot be read: {error}"),
        })
    })
}

/// The settings that `text` gives.
pub(super) fn config(text: &str) -> Result<Config, ConfigErrors> {
    let table = text.parse::<Table>().map_err(|error| ConfigErrors(not_toml(text, error)))?;
    let mut mistakes = Vec::new();
    let mut top = Section::new(String::new(), table, &mut mistakes);
    let camera = top.required("camera", "a name of 1 to 63 lower-case letters, digits and hyphens", camera);
    let (broker_table, source_table, spool_table) =
        (top.section("broker"), top.section("source"), top.section("spool"));
    let (preview_table, control_table) = (top.section("preview"), top.section("control"));
    let (home_assistant_table, gpio_table, light_table) =
        (top.section("home_assistant"), top.section("gpio"), top.section("light"));
    let (wifi_table, system_table) = (top.section("wifi"), top.section("system"));
    let uplink_table = top.section("uplink");
    top.finish();
    let broker = broker_table.and_then(|table| broker(Section::new("broker".into(), table, &mut mistakes)));
    let source = source_table.and_then(|table| source(Section::new("source".into(), table, &mut mistakes)));
    let spool = spool_table.and_then(|table| spool(Section::new("spool".into(), table, &mut mistakes)));
    let preview =
        preview_table.and_then(|table| enabled(Section::new("preview".into(), table, &mut mistakes)));
    let control =
        control_table.and_then(|table| enabled(Section::new("control".into(), table, &mut mistakes)));
    let home_assistant = home_assistant_table
        .and_then(|table| HomeAssistant::read(Section::new("home_assistant".into(), table, &mut mistakes)));
    let gpio = gpio_table.and_then(|table| Gpio::read(Section::new("gpio".into(), table, &mut mistakes)));
    let light = light_table.and_then(|table| light::read(Section::new("light".into(), table, &mut mistakes)));
    let wifi = wifi_table.and_then(|table| Wifi::read(Section::new("wifi".into(), table, &mut mistakes)));
    let system =
        system_table.and_then(|table| System::read(Section::new("system".into(), table, &mut mistakes)));
    let uplink = uplink_table.and_then(|table| uplink(Section::new("uplink".into(), table, &mut mistakes)));
    // A section that could not be read has left a mistake.
    let config = || {
        Some(Config {
            camera: camera?,
            broker: broker?,
            source: source?,
            spool: spool?,
            uplink: uplink?,
            preview: preview?,
            control: control?,
            home_assistant: home_assistant?,
            gpio: gpio?,
            light: light?,
            wifi: wifi?,
            system: system?,
        })
    };
    match config() {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(ConfigErrors(mistakes)),
    }
}

/// What is wrong and where, the first thing in each line. (The errors themselves show the whole line, in which a password
/// may be.)
fn not_toml(text: &str, error: toml::de::Error) -> Vec<Mistake> {
    let mut lines = BTreeMap::new();
    // What is TOML, and cannot be read (a number that is too large), `error` alone tells.
    for error in DeTable::parse_recoverable(text).1.into_iter().chain([error]) {
        let (before, after) =
            error.span().and_then(|span| text.split_at_checked(span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let quotes = after.starts_with(TYPOGRAPHIC_QUOTES);
        let remedy = if quotes { ": write straight quotation marks (\") in place of these" } else { "" };
        lines
            .entry(line)
            .or_insert(format!("not TOML: line {line}, column {column}: {}{remedy}", error.message()));
    }
    lines.into_values().map(|why| Mistake { key: String::new(), why }).collect()
}

/// What word processors and telephones make of quotation marks.
const TYPOGRAPHIC_QUOTES: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];

pub(super) fn broker(mut section: Section<'_>) -> Option<Broker> {
    let default = Broker::default();
    let expected = "a host name or an address, and its port in `port`";
    let host = section.or("host", default.host, expected, |value| {
        host(value.as_str()?).filter(|host| !host.contains(':') || is_ipv6(host))
    });
    let tls = tls(&mut section);
    let with_tls = tls.as_ref().is_some_and(Option::is_some);
    let default = if with_tls { Broker::TLS_PORT } else { Broker::PORT };
    let port = section.or("port", default, "a port number from 1 to 65535", |value| {
        u16::try_from(value.as_integer()?).ok().filter(|port| *port != 0)
    });
    section.finish();
    Some(Broker { host: host?, port: port?, tls: tls? })
}

/// `ca`, and `certificate` with `key`.
fn tls(section: &mut Section<'_>) -> Option<Option<TlsFiles>> {
    const FILE: &str = "the name of a PEM file";
    let mut file = |key| section.or(key, None, FILE, |value| path(value).map(Some));
    let (ca, certificate, key) = (file("ca"), file("certificate"), file("key"));
    let (ca, certificate, key) = (ca?, certificate?, key?);
    let together = "set certificate and key together, with ca, or leave them out together";
    let lacking = match (&ca, &certificate, &key) {
        (None, None, None) | (Some(_), None, None) | (Some(_), Some(_), Some(_)) => None,
        (_, None, Some(_)) => Some("certificate"),
        (_, Some(_), None) => Some("key"),
        (None, Some(_), Some(_)) => Some("ca"),
    };
    if let Some(lacking) = lacking {
        section.mistake(lacking, format!("missing, {together}"));
        return None;
    }
    let identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
    Some(ca.map(|ca| TlsFiles { ca, identity }))
}

fn source(mut section: Section<'_>) -> Option<Source> {
    let kind = section.or("kind", "pattern".to_owned(), "\"pattern\", \"footage\" or \"v4l2\"", |value| {
        ["pattern", "footage", "v4l2"]
            .contains(&value.as_str()?)
            .then(|| value.as_str().map(str::to_owned))?
    })?;
    match kind.as_str() {
        "footage" => {
            let path = section.required("path", PATH, path);
            let rate = section.or("rate", Rate::default(), Rate::EXPECTED, rate);
            let repeat = section.or("repeat", true, "true or false", Value::as_bool);
            section.finish();
            Some(Source::Footage(Footage { path: path?, rate: rate?, repeat: repeat? }))
        }
        "v4l2" => v4l2(section).map(Source::V4l2),
        _pattern => {
            let size = section.size();
            let rate = section.or("rate", Rate::default(), Rate::EXPECTED, rate);
            section.finish();
            Some(Source::Pattern(Pattern { size: size?, rate: rate? }))
        }
    }
}

fn v4l2(mut section: Section<'_>) -> Option<V4l2> {
    let default = V4l2::default();
    let device = section.or("device", default.device, "the path of a video device", path);
    let width = section.or("width", None, PictureSize::EXPECTED_WIDTH, |value| {
        unless_auto(value, |value| whole(value).filter(|width| PictureSize::width_fits(*width)))
    });
    let height = section.or("height", None, PictureSize::EXPECTED_HEIGHT, |value| {
        unless_auto(value, |value| whole(value).filter(|height| PictureSize::height_fits(*height)))
    });
    let size = match (width, height) {
        (Some(Some(width)), Some(Some(height))) => PictureSize::new(width, height).ok().map(Some),
        (Some(None), Some(None)) => Some(None),
        (Some(Some(_)), Some(None)) => {
            section.mistake("height", "missing, as a width is given".to_owned());
            None
        }
        (Some(None), Some(Some(_))) => {
            section.mistake("width", "missing, as a height is given".to_owned());
            None
        }
        _ => None,
    };
    let rate = section.or("rate", None, WholeRate::EXPECTED, |value| {
        unless_auto(value, |value| in_range(whole(value)?, WholeRate::new))
    });
    let format = section.or("format", None, PixelFormat::EXPECTED, |value| {
        unless_auto(value, |value| {
            PixelFormat::ALL.into_iter().find(|format| Some(format.name()) == value.as_str())
        })
    });
    let quality = section.or("quality", None, "\"auto\" or a whole number from 1 to 100", |value| {
        unless_auto(value, |value| in_range(whole(value)?, Quality::new))
    });
    let controls = section.or("controls", BTreeMap::new(), CONTROLS, controls);
    section.finish();
    Some(V4l2 {
        device: device?,
        size: size?,
        rate: rate?,
        format: format?,
        quality: quality?,
        controls: controls?,
    })
}

const CONTROLS: &str = "a section of names in snake_case with numbers, texts, true or false";

fn controls(value: &Value) -> Option<BTreeMap<String, ControlValue>> {
    let control = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Integer(number) => ControlValue::Number(*number),
            Value::Boolean(on) => ControlValue::Switch(*on),
            Value::String(item) => ControlValue::Item(item.clone()),
            _ => return None,
        };
        Some((name.clone(), value))
    };
    value.as_table()?.iter().map(control).collect()
}

/// `Some(None)` for `"auto"`.
fn unless_auto<T>(value: &Value, parse: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    if value.as_str() == Some("auto") { Some(None) } else { parse(value).map(Some) }
}

fn whole<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_integer()?).ok()
}

fn spool(mut section: Section<'_>) -> Option<Spool> {
    let in_directory =
        section.or("kind", false, "\"memory\" or \"directory\"", |value| match value.as_str()? {
            "memory" => Some(false),
            "directory" => Some(true),
            _ => None,
        })?;
    let max = |section: &mut Section<'_>, default| {
        section.or("mebibytes_max", default, Mebibytes::EXPECTED, |value| {
            in_range(u64::try_from(value.as_integer()?).ok()?, Mebibytes::new)
        })
    };
    if in_directory {
        let path = section.required("path", PATH, path);
        let max = max(&mut section, Mebibytes::DIRECTORY_DEFAULT);
        let frames_max = section.or("frames_max", FrameCount::default(), FrameCount::EXPECTED, |value| {
            in_range(whole(value)?, FrameCount::new)
        });
        section.finish();
        Some(Spool::Directory { path: path?, max: max?, frames_max: frames_max? })
    } else {
        let max = max(&mut section, Mebibytes::MEMORY_DEFAULT);
        section.finish();
        Some(Spool::Memory { max: max? })
    }
}

fn uplink(mut section: Section<'_>) -> Option<Uplink> {
    let share = section.or("backlog_share", Share::default(), Share::EXPECTED, |value| {
        in_range(value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?, Share::new)
    });
    section.finish();
    Some(Uplink { backlog_share: share? })
}

fn enabled(mut section: Section<'_>) -> Option<bool> {
    let enabled = section.or("enabled", true, "true or false", Value::as_bool);
    section.finish();
    enabled
}

/// A host name or an address, as far as text can be told to be none.
pub(super) fn host(text: &str) -> Option<String> {
    let usable = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/');
    usable.then(|| text.to_owned())
}

/// With or without square brackets, and the interface that it is reached by.
fn is_ipv6(host: &str) -> bool {
    let address = bare(host).split('%').next();
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

const PATH: &str = "a path";

pub(super) fn camera(value: &Value) -> Option<CameraId> {
    CameraId::new(value.as_str()?).ok()
}

fn path(value: &Value) -> Option<PathBuf> {
    value.as_str().filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn rate(value: &Value) -> Option<Rate> {
    let per_second = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
    in_range(per_second, Rate::new)
}

fn in_range<V, T>(value: V, new: impl FnOnce(V) -> Result<T, RangeError>) -> Option<T> {
    new(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Address, InputPin, OutputPin, Pull, Schedule, Usable};

    #[test]
    fn an_ipv6_brokers_brackets_are_no_part_of_its_name() {
        assert_eq!(Broker::plain("[fd00::1]", 8883).bare_host(), "fd00::1");
        assert_eq!(Broker::plain("broker.home", 8883).bare_host(), "broker.home");
    }

    #[test]
    fn a_brokers_port_is_no_part_of_its_host() {
        let read = |host: &str| config(&format!("camera = \"a\"\n[broker]\nhost = \"{host}\""));
        for host in ["10.0.0.5:8883", "broker.home:1883", "[fd00::1]:8883", "mqtt://broker.home"] {
            let why = read(host).unwrap_err().to_string();
            assert!(why.contains("its port in `port`"), "{why}");
        }
        for host in ["10.0.0.5", "broker.home", "fd00::1", "[fd00::1]", "fe80::1%wlan0", "::ffff:10.0.0.5"] {
            assert_eq!(read(host).unwrap().broker.host, host);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_mistake_that_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("teiten.toml");
        let why = || Config::from_file(&path).unwrap_err().to_string();
        assert!(why().contains("first partition (TEITEN)"), "{}", why());
        // As Windows' Notepad can save it.
        fs::write(&path, b"\xff\xfec\0a\0").unwrap();
        assert!(why().contains("in UTF-8"), "{}", why());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(why().contains("cannot be read"), "{}", why());
        assert_eq!(Config::usable_of_file(&path), Usable::default());
    }

    #[test]
    fn a_byte_order_mark_does_no_harm() {
        assert!(config("\u{feff}camera = \"front-door\"").is_ok());
    }

    const EXAMPLE: &str = include_str!("../../teiten.toml.example");

    fn front_door() -> Config {
        Config::new(CameraId::new("front-door").unwrap())
    }

    fn mistakes(text: &str) -> Vec<String> {
        let errors = config(text).unwrap_err();
        errors.mistakes().iter().map(|mistake| mistake.key.clone()).collect()
    }

    /// The alternatives that the example shows as comments: runs of lines that start with `#[` or `#key`.
    fn alternatives() -> Vec<String> {
        let mut blocks = vec![String::new()];
        for line in EXAMPLE.lines() {
            match line
                .strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_lowercase()))
            {
                Some(setting) => {
                    if setting.starts_with('[') {
                        blocks.push(String::new());
                    }
                    let block = blocks.last_mut().unwrap();
                    block.push_str(setting);
                    block.push('\n');
                }
                None => continue,
            }
        }
        blocks.split_off(1)
    }

    #[test]
    fn the_example_shows_every_default() {
        assert_eq!(config(EXAMPLE), Ok(front_door()));
        assert_eq!(config("camera = \"front-door\""), Ok(front_door()));
    }

    #[test]
    fn the_alternatives_in_the_example_show_their_defaults() {
        let read: Vec<Config> = alternatives()
            .iter()
            .map(|block| config(&format!("camera = \"front-door\"\n{block}")).unwrap())
            .collect();
        let source = |source| Config { source, ..front_door() };
        let output = |pin| Some(OutputPin { pin, active_high: true });
        let pir = Some(InputPin { pin: 17, active_high: true, pull: Pull::Down });
        let gpio = Gpio { pir, led: output(27), infrared: output(22) };
        assert_eq!(
            read,
            [
                Config {
                    broker: Broker {
                        host: "broker.example.org".to_owned(),
                        port: 8883,
                        tls: Some(TlsFiles {
                            ca: "ca.pem".into(),
                            identity: Some(Identity {
                                certificate: "certificate.pem".into(),
                                key: "key.pem".into(),
                            }),
                        }),
                    },
                    ..front_door()
                },
                source(Source::Footage(Footage::new("/var/lib/teiten/footage"))),
                source(Source::V4l2(V4l2::default())),
                Config { spool: Spool::directory("/var/lib/teiten/spool"), ..front_door() },
                Config { gpio, ..front_door() },
                Config { light: Schedule::new(18 * 60 + 30, 7 * 60, 0), ..front_door() },
                Config {
                    wifi: Some(Wifi {
                        network: "my network".to_owned(),
                        password: Some("my password".to_owned()),
                        country: "DE".to_owned(),
                    }),
                    ..front_door()
                },
                Config {
                    system: System {
                        syslog: Some(Address { host: "192.168.1.2".to_owned(), port: Some(514) }),
                        ssh_key: Some("ssh-ed25519 AAAA me@my-desk".to_owned()),
                        ..System::default()
                    },
                    ..front_door()
                },
            ]
        );
    }

    #[test]
    fn certificates_lie_beside_the_settings_and_move_the_port() {
        let text = "camera = \"a\"\n[broker]\nca = \"ca.pem\"\ncertificate = \"c.pem\"\nkey = \"/k.pem\"";
        let broker = config(text).unwrap().in_folder(std::path::Path::new("/card")).broker;
        assert_eq!(broker.port, 8883);
        let identity = Identity { certificate: "/card/c.pem".into(), key: "/k.pem".into() };
        assert_eq!(broker.tls, Some(TlsFiles { ca: "/card/ca.pem".into(), identity: Some(identity) }));
    }

    #[test]
    fn a_certificate_without_its_key_or_its_authority_is_a_mistake() {
        let text = |lines: &str| format!("camera = \"a\"\n[broker]\n{lines}");
        assert_eq!(mistakes(&text("ca = \"ca.pem\"\ncertificate = \"c.pem\"")), ["broker.key"]);
        assert_eq!(mistakes(&text("key = \"k.pem\"")), ["broker.certificate"]);
        assert_eq!(mistakes(&text("certificate = \"c.pem\"\nkey = \"k.pem\"")), ["broker.ca"]);
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let errors = config(
            r#"
            camera = "Front Door"
            colour = "green"
            [broker]
            host = ""
            port = 70000
            [source]
            kind = "pattern"
            width = 641
            height = "tall"
            rate = 0
            path = "/tmp"
            [spool]
            kind = "directory"
            mebibytes_max = 1
            "#,
        )
        .unwrap_err();
        assert_eq!(
            errors.to_string(),
            "the settings have 10 mistakes:\n  \
             camera: \"Front Door\" will not do, expected a name of 1 to 63 lower-case letters, digits and hyphens\n  \
             colour: no such key here, expected one of camera, broker, source, spool, preview, control, \
             home_assistant, gpio, light, wifi, system, uplink\n  \
             broker.host: \"\" will not do, expected a host name or an address, and its port in `port`\n  \
             broker.port: 70000 will not do, expected a port number from 1 to 65535\n  \
             source.width: 641 will not do, expected an even number of pixels from 320 to 3840\n  \
             source.height: \"tall\" will not do, expected an even number of pixels from 180 to 2160\n  \
             source.rate: 0 will not do, expected a number of frames per second from 0.1 to 120\n  \
             source.path: no such key here, expected one of kind, width, height, rate\n  \
             spool.path: missing, expected a path\n  \
             spool.mebibytes_max: 1 will not do, expected a whole number of MiB from 16 to 1048576"
        );
    }

    #[test]
    fn a_key_of_another_kind_of_source_is_refused() {
        assert_eq!(mistakes("camera = \"a\"\n[source]\nkind = \"v4l2\"\nrepeat = true"), ["source.repeat"]);
        assert_eq!(
            mistakes("camera = \"a\"\n[source]\nkind = \"footage\"\nwidth = 640"),
            ["source.path", "source.width"]
        );
        assert_eq!(mistakes("camera = \"a\"\n[source]\nkind = \"rtsp\""), ["source.kind"]);
        assert_eq!(mistakes("camera = \"a\"\nsource = 1"), ["source"]);
        assert_eq!(mistakes(""), ["camera"]);
    }

    #[test]
    fn what_is_no_toml_is_one_mistake() {
        assert_eq!(mistakes("camera = "), [""]);
        assert_eq!(mistakes("camera = \"a\"\ncamera = \"b\""), [""]);
        assert_eq!(mistakes("camera = 99999999999999999999"), [""]);
        let why = config("camera = \"a\"\n\n[source\nrate = 1").unwrap_err().to_string();
        assert!(why.contains("not TOML: line 3, column 8: "), "{why}");
    }

    #[test]
    fn typographic_quotes_are_told_line_by_line_with_what_to_write() {
        let text = "camera = \"gate\"\n[source]\n  kind = “v4l2”\nrate = 10\n[wifi]\nnetwork = „Hof“";
        let errors = config(text).unwrap_err();
        let told: Vec<&str> = errors.mistakes().iter().map(|mistake| mistake.why.as_str()).collect();
        for (why, place) in told.iter().zip(["line 3, column 10: ", "line 6, column 11: "]) {
            assert!(
                why.contains(place) && why.ends_with("write straight quotation marks (\") in place of these"),
                "{told:?}"
            );
        }
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn whatever_is_wrong_no_password_is_told() {
        for text in [
            "[wifi]\npassword = \"hunter2\"",
            "[[wifi]]\nnetwork = \"home\"\npassword = \"hunter2-long-enough\"",
            "wifi = [{ password = \"hunter2\" }]",
            "wifi = \"hunter2\"",
            "broker = [{ password = \"hunter2\" }]",
            "[broker]\nhost = { password = \"hunter2\" }",
            "[source]\nrate = { wifi = { password = \"hunter2\" } }",
            "[system]\ntime_servers = [{ password = \"hunter2\" }]",
            "[wifi]\nnetwork = { password = \"hunter2\" }",
            "[wifi]\npassword = \"hunter2",
            "[wifi]\npassword = 'hunter2",
            "[wifi]\npassword = hunter2",
            "[wifi]\npassword = \"hunter2\" \"hunter2\"",
            "[wifi]\npassword = \"\\hunter2\"",
            "[wifi]\npassword = \"hunter2\"\npassword = \"hunter2\"",
            "[wifi]\npassword = 2hunter2",
            "[wifi]\npassword = \"hunter2\" # \u{0}",
        ] {
            let errors = config(&format!("camera = \"a\"\n{text}")).unwrap_err();
            let told = format!("{errors} {}", serde_json::to_string(&errors.0).unwrap());
            assert!(!told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn a_camera_is_set_by_number_name_and_auto() {
        let text = r#"
            camera = "a"
            [source]
            kind = "v4l2"
            width = 1280
            height = 720
            rate = 5
            format = "yuyv"
            quality = 60
            [source.controls]
            gain = 16
            horizontal_flip = true
            auto_exposure = "Manual Mode"
            "#;
        let controls = [
            ("auto_exposure", ControlValue::Item("Manual Mode".to_owned())),
            ("gain", ControlValue::Number(16)),
            ("horizontal_flip", ControlValue::Switch(true)),
        ];
        let expected = V4l2 {
            size: PictureSize::new(1280, 720).ok(),
            rate: WholeRate::new(5).ok(),
            format: Some(PixelFormat::Yuyv),
            quality: Quality::new(60).ok(),
            controls: controls.map(|(name, value)| (name.to_owned(), value)).into(),
            ..V4l2::default()
        };
        assert_eq!(config(text).unwrap().source, Source::V4l2(expected));

        let source = |keys: &str| format!("camera = \"a\"\n[source]\nkind = \"v4l2\"\n{keys}");
        assert_eq!(mistakes(&source("width = 1280")), ["source.height"]);
        assert_eq!(mistakes(&source("height = 720\nwidth = \"auto\"")), ["source.width"]);
        assert_eq!(
            mistakes(&source("format = \"h264\"\nquality = 0\ncontrols = { gain = 1.5 }")),
            ["source.format", "source.quality", "source.controls"]
        );
    }

    #[test]
    fn a_fractional_rate_is_for_sources_that_can_keep_it() {
        let text = |kind: &str| format!("camera = \"a\"\n[source]\nkind = \"{kind}\"\nrate = 12.5");
        assert!(
            matches!(config(&text("pattern")), Ok(Config { source: Source::Pattern(p), .. }) if p.rate.period().as_millis() == 80)
        );
        assert_eq!(mistakes(&text("v4l2")), ["source.rate"]);
    }
}
