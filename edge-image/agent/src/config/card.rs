//! `[wifi]` and `[system]`: what the rest of a camera's card needs to know. The agent itself uses none of it; it
//! checks it with all other settings, and `teiten-agent system` writes it in the form that each program wants
//! ([`crate::system`]).

use std::path::Path;

use toml::Value;

use super::{Broker, OutputPin, read::host, section::Section};

/// `[wifi]`: the wireless network. Left out, the camera uses a cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wifi {
    /// `network`: its name (SSID), 1 to 32 bytes. Required.
    pub network: String,
    /// `password`: 8 to 63 printable ASCII characters, or the 64 hexadecimal digits of the key itself. Left out,
    /// the network is an open one.
    pub password: Option<String>,
    /// `country`: where the camera is, as two letters (ISO 3166-1): which channels it may use. Required.
    pub country: String,
}

impl Wifi {
    /// The section, if there is one.
    pub(super) fn read(mut section: Section<'_>) -> Option<Option<Self>> {
        if section.is_empty() {
            return Some(None);
        }
        let network = section.required("network", "a network's name of 1 to 32 bytes", |value| {
            value.as_str().filter(|name| (1..=32).contains(&name.len())).map(str::to_owned)
        });
        let password = section.or(
            "password",
            None,
            "8 to 63 printable ASCII characters or 64 hexadecimal digits",
            |value| password(value.as_str()?).map(Some),
        );
        let country = section.required("country", "two capital letters such as \"DE\"", |value| {
            let country = value.as_str()?;
            let is_code = country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_uppercase());
            is_code.then(|| country.to_owned())
        });
        section.finish();
        Some(Some(Self { network: network?, password: password?, country: country? }))
    }
}

fn password(text: &str) -> Option<String> {
    let phrase = (8..=63).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (phrase || key).then(|| text.to_owned())
}

/// `[system]`: clock, log and login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// `time_servers`: NTP servers, `host` or `host:port`, at most 8. Default `pool.ntp.org`.
    pub time_servers: Vec<Address>,
    /// `syslog`: where the log is also sent (UDP), `host` or `host:port`. Default: nowhere.
    pub syslog: Option<Address>,
    /// `ssh_key`: a public key that opens a login as root, one line as in `authorized_keys`. Default: no login.
    pub ssh_key: Option<String>,
}

/// A host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// If it is not the usual one.
    pub port: Option<u16>,
}

const TIME_SERVERS_MAX: usize = 8;

impl Default for System {
    fn default() -> Self {
        let pool = Address { host: "pool.ntp.org".to_owned(), port: None };
        Self { time_servers: vec![pool], syslog: None, ssh_key: None }
    }
}

impl System {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let default = Self::default();
        let time_servers = section.or(
            "time_servers",
            default.time_servers,
            "a list of 1 to 8 servers, \"host\" or \"host:port\"",
            |value| {
                let servers: Option<Vec<_>> = value.as_array()?.iter().map(address).collect();
                servers.filter(|servers| (1..=TIME_SERVERS_MAX).contains(&servers.len()))
            },
        );
        let syslog = section
            .or("syslog", None, "a server, \"host\" or \"host:port\"", |value| address(value).map(Some));
        let ssh_key = section.or("ssh_key", None, "a public key in one line, as in a .pub file", |value| {
            ssh_key(value.as_str()?).map(Some)
        });
        section.finish();
        Some(Self { time_servers: time_servers?, syslog: syslog?, ssh_key: ssh_key? })
    }
}

fn address(value: &Value) -> Option<Address> {
    let text = value.as_str()?;
    // A bare IPv6 address has several colons and no port.
    match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
            let name = name.trim_start_matches('[').trim_end_matches(']');
            Some(Address { host: host(name)?, port: Some(port) })
        }
        _ => Some(Address { host: host(text.trim_start_matches('[').trim_end_matches(']'))?, port: None }),
    }
}

fn ssh_key(text: &str) -> Option<String> {
    let text = text.trim();
    let mut words = text.split(' ');
    let kind = words.next()?;
    // Those that begin with sk- are on a security key (FIDO).
    let is_key = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|begin| kind.starts_with(begin))
        && words.next().is_some_and(|key| key.starts_with("AAAA"))
        && !text.chars().any(char::is_control);
    is_key.then(|| text.to_owned())
}

/// What can be used of a settings file, whatever else is wrong in it: a camera with a mistake in its settings can
/// then still be found in the network, and say what is wrong.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usable {
    /// The camera's name.
    pub camera: Option<teiten_footage::CameraId>,
    /// `[broker]`.
    pub broker: Option<Broker>,
    /// `[wifi]`.
    pub wifi: Option<Wifi>,
    /// `[system]`, with defaults where it cannot be used.
    pub system: System,
    /// `[gpio] led`.
    pub led: Option<OutputPin>,
}

impl Usable {
    /// As [`Config::in_folder`](super::Config::in_folder).
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.broker = self.broker.map(|broker| broker.in_folder(folder));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn system(text: &str) -> Option<System> {
        Config::from_toml(&format!("camera = \"a\"\n[system]\n{text}")).ok().map(|config| config.system)
    }

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        let read = |text: &str| {
            let server = system(&format!("syslog = {text:?}"))?.syslog?;
            Some((server.host, server.port))
        };
        assert_eq!(read("log.lan"), Some(("log.lan".into(), None)));
        assert_eq!(read("10.0.2.2:5140"), Some(("10.0.2.2".into(), Some(5140))));
        assert_eq!(read("fd00::1"), Some(("fd00::1".into(), None)));
        assert_eq!(read("[fd00::1]:514"), Some(("fd00::1".into(), Some(514))));
        for wrong in ["", "a b", "a:0", "a:port", ":5", "a\nserver evil"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_wireless_network_needs_a_name_and_a_country() {
        let read = |text: &str| Config::from_toml(&format!("camera = \"a\"\n[wifi]\n{text}"));
        let open = read("network = \"Hof\"\ncountry = \"DE\"").unwrap().wifi.unwrap();
        assert_eq!((open.network.as_str(), open.password), ("Hof", None));
        assert!(read("network = \"Hof\"\ncountry = \"DE\"\npassword = \"correct horse\"").is_ok());
        assert!(read("network = \"Hof\"\ncountry = \"de\"").is_err());
        assert!(read("network = \"Hof\"").is_err());
        let short =
            read("network = \"Hof\"\ncountry = \"DE\"\npassword = \"short\"").unwrap_err().to_string();
        assert!(short.contains("wifi.password: this password will not do"), "{short}");
        assert_eq!(Config::from_toml("camera = \"a\"").unwrap().wifi, None);
    }

    #[test]
    fn a_key_is_one_line_of_a_public_key_file() {
        assert!(system("ssh_key = \"ssh-ed25519 AAAAC3Nza me@desk\"").unwrap().ssh_key.is_some());
        for kind in
            ["ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"]
        {
            assert!(system(&format!("ssh_key = \"{kind} AAAAGnNr\"")).unwrap().ssh_key.is_some(), "{kind}");
        }
        assert_eq!(system("ssh_key = \"-----BEGIN OPENSSH PRIVATE KEY-----\""), None);
        assert_eq!(system("ssh_key = \"ssh-ed25519 AAAA\\nssh-rsa AAAA\""), None);
    }

    #[test]
    fn what_is_right_beside_a_mistake_can_be_used() {
        let usable = Config::usable(
            "camera = \"gate\"\ncolour = 1\n[broker]\nhost = \"b\"\n[source]\nrate = -1\n\
             [wifi]\nnetwork = \"Hof\"\ncountry = \"DE\"\n[system]\nntp = 1\n[gpio]\nled = 27",
        );
        assert_eq!(usable.camera.unwrap().as_str(), "gate");
        assert_eq!(usable.broker.unwrap().host, "b");
        assert_eq!(usable.wifi.unwrap().network, "Hof");
        assert_eq!(usable.system, System::default());
        assert_eq!(usable.led, Some(OutputPin { pin: 27, active_high: true }));
        assert_eq!(Config::usable("camera ="), Usable::default());
    }
}
