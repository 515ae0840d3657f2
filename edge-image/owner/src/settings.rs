//! A camera's ready settings: the commented example with the owner's values in it, so that the file on the card
//! still explains every key.
//!
//! The example's own conventions are all that is relied on: a line that starts with `#[` or `#key` is a setting
//! that is switched off, and a section can be shown with several alternatives.

use teiten_footage::CameraId;

use crate::authority::BrokerHost;

const EXAMPLE: &str = include_str!("../../agent/teiten.toml.example");

/// A wireless network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Its name (SSID).
    pub network: String,
    /// Its passphrase; none for an open network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Where it is, as two letters: what may be sent differs by country.
    pub country: String,
}

/// The settings of `camera`, which finds its certificates beside the settings file.
pub(crate) fn ready(camera: &CameraId, host: &BrokerHost, port: u16, wifi: Option<&Wifi>) -> String {
    let mut text = Text { lines: EXAMPLE.lines().map(str::to_owned).collect() };
    text.set(None, "camera", quoted(camera.as_str()));
    text.choose("broker", "ca = ");
    text.set(Some("broker"), "host", quoted(&host.to_string()));
    text.set(Some("broker"), "port", port.to_string());
    for (key, file) in [("ca", "ca.pem"), ("certificate", "certificate.pem"), ("key", "key.pem")] {
        text.set(Some("broker"), key, quoted(file));
    }
    text.choose("source", "kind = \"v4l2\"");
    if let Some(Wifi { network, password, country }) = wifi {
        text.set(Some("wifi"), "network", quoted(network));
        if let Some(password) = password {
            text.set(Some("wifi"), "password", quoted(password));
        }
        text.set(Some("wifi"), "country", quoted(country));
    }
    text.lines.join("\n") + "\n"
}

/// A TOML basic string.
fn quoted(value: &str) -> String {
    toml::Value::from(value).to_string()
}

struct Text {
    lines: Vec<String>,
}

impl Text {
    /// Gives `key` its `value`, in the first `section` that is switched on (`None`: before all sections). What
    /// the example does not show is added.
    fn set(&mut self, section: Option<&str>, key: &str, value: String) {
        let setting = format!("{key} = {value}");
        let start = section.map_or(0, |section| self.header(section) + 1);
        let end =
            (start..self.lines.len()).find(|at| is_header(&self.lines[*at])).unwrap_or(self.lines.len());
        let shown = (start..end).find(|at| key_of(&self.lines[*at]) == Some(key));
        match shown {
            Some(at) => self.lines[at] = setting,
            None => self.lines.insert(start, setting),
        }
    }

    /// Where `section` begins; one that is switched off is switched on, one that is missing is added.
    fn header(&mut self, section: &str) -> usize {
        let (on, off) = (format!("[{section}]"), format!("#[{section}]"));
        if let Some(at) = self.lines.iter().position(|line| *line == on) {
            return at;
        }
        let at = self.lines.iter().position(|line| *line == off).unwrap_or_else(|| {
            self.lines.extend([String::new(), String::new()]);
            self.lines.len() - 1
        });
        self.lines[at] = on;
        at
    }

    /// Switches on the alternative of `section` in which a line starts with `mark`, and off the others.
    fn choose(&mut self, section: &str, mark: &str) {
        let starts: Vec<usize> = (0..self.lines.len())
            .filter(|at| self.lines[*at].trim_start_matches('#') == format!("[{section}]"))
            .collect();
        for start in starts {
            let end = (start + 1..self.lines.len())
                .find(|at| is_header(&self.lines[*at]))
                .unwrap_or(self.lines.len());
            let block = &mut self.lines[start..end];
            let chosen = block.iter().any(|line| line.trim_start_matches('#').starts_with(mark));
            for line in block {
                let on = line.trim_start_matches('#');
                if is_header(line) || key_of(line).is_some() {
                    *line = if chosen { on.to_owned() } else { format!("#{on}") };
                }
            }
        }
    }
}

/// Whether a section begins here, switched on or off.
fn is_header(line: &str) -> bool {
    line.strip_prefix('#').unwrap_or(line).starts_with('[')
}

/// The key that a line sets, switched on or off.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    plain.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(wifi: Option<&Wifi>) -> toml::Table {
        let camera = CameraId::new("yard").unwrap();
        let text = ready(&camera, &"mqtt.home".parse().unwrap(), 8883, wifi);
        text.parse().unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    #[test]
    fn the_owners_values_stand_in_the_example() {
        let table = table(None);
        assert_eq!(table["camera"].as_str(), Some("yard"));
        assert_eq!(table["broker"]["host"].as_str(), Some("mqtt.home"));
        assert_eq!(table["broker"]["port"].as_integer(), Some(8883));
        assert_eq!(table["broker"]["key"].as_str(), Some("key.pem"));
        assert_eq!(table["source"]["kind"].as_str(), Some("v4l2"));
    }

    #[test]
    fn any_network_name_and_password_can_be_given() {
        let wifi = Wifi {
            network: "Müller's \"guest\" net".into(),
            password: Some(r#"a\b"c# d = e "#.into()),
            country: "CH".into(),
        };
        let set = table(Some(&wifi));
        assert_eq!(set["wifi"]["network"].as_str(), Some(wifi.network.as_str()));
        assert_eq!(set["wifi"]["password"].as_str(), wifi.password.as_deref());
        let set = table(Some(&Wifi { password: None, ..wifi }));
        assert_eq!(set["wifi"]["country"].as_str(), Some("CH"));
        assert_eq!(set["wifi"].get("password"), None, "an open network");
    }
}
