//! The settings of an installation, `infra/settings/teiten.env`: NAME=value, one a line. What the bridge and the functions
//! read is theirs to judge; what deploying needs is judged here, all mistakes together, before anything is applied.

use std::{collections::BTreeMap, fmt, fs, path::Path, str::FromStr, time::Duration};

use anyhow::Context as _;
use teiten_archive::{LIVE_AGE_MAX, LIVE_WINDOW_SECONDS, WINDOWS_MIN};
use teiten_bucket::{Credentials, Validity, ValidityError};
use teiten_footage::{Domain, Origin, WindowLength};
use teiten_mqtt::HostPort;
use teiten_owner::authority::BrokerHost;

use crate::volume::Size;

/// Which parts are inside of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// Broker and store are inside, all on one node.
    Local,
    /// Broker and store are the user's own.
    Production,
}

impl Overlay {
    /// Its folder below `infra/overlays`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Production => "production",
        }
    }
}

/// The settings that deploying needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which parts are inside.
    pub overlay: Overlay,
    /// Where the outside reaches the store, if it is told: `https://store.example.org`.
    pub media_url: Option<String>,
    /// Where players reach the functions that answer requests, if it is told.
    pub domain: Option<Domain>,
    /// Where cameras reach the broker, if it is told.
    pub broker_hosts: Vec<BrokerHost>,
    /// How long a window is.
    pub window: WindowLength,
    /// The bucket of batches.
    pub frames_bucket: String,
    /// The bucket of media.
    pub media_bucket: String,
    /// How large the volume of the store that is brought along is to be.
    pub(crate) storage: Size,
    /// Whether anybody may read footage whose address they know.
    pub public: bool,
    /// The store as the cluster reaches it; `None` is AWS.
    pub endpoint: Option<String>,
    /// The store's region.
    pub region: String,
    /// The user's own broker.
    pub mqtt: HostPort,
    /// Where images are.
    pub images: String,
    /// Their tag, if it is told.
    pub version: Option<String>,
}

/// Everything that is wrong with a settings file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Settings {
    /// Reads the settings file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        text.parse().with_context(|| path.display().to_string())
    }

    /// Whether what functions sign holds inside of the cluster only: for the address by which they reach its store.
    pub fn links_stay_inside(&self) -> bool {
        self.overlay == Overlay::Local && self.media_url.is_none()
    }

    /// Where players reach the object `key` of the bucket of media, of a store at `store`.
    pub fn media_url(&self, store: &str, key: &str) -> String {
        format!("{}/{}/{key}", store.trim_end_matches('/'), self.media_bucket)
    }
}

/// How the names of settings begin: our own, and those that libraries read.
const PREFIXES: [&str; 3] = ["TEITEN_", "AWS_", "OTEL_"];

/// As the file has them.
struct Reader {
    values: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

impl Reader {
    fn of(text: &str) -> Self {
        let mut reader = Self { values: BTreeMap::new(), mistakes: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    // Applied as it is, and so part of the value for all who read it.
                    if value.trim() != value {
                        reader
                            .mistakes
                            .push(format!("line {number}: {name} has spaces before or behind its value"));
                    }
                    if reader.values.insert(name.to_owned(), value.trim().to_owned()).is_some() {
                        reader.mistakes.push(format!("line {number}: {name} is there twice"));
                    }
                }
                _ => {
                    let names = PREFIXES.map(|prefix| format!("{prefix}NAME=value")).join(", ");
                    reader.mistakes.push(format!("line {number} is none of {names}"))
                }
            }
        }
        reader
    }

    fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    fn required(&mut self, name: &str) -> String {
        let value = self.text(name).to_owned();
        if value.is_empty() {
            self.mistakes.push(format!("{name} is missing"));
        }
        value
    }

    /// What `read` makes of a value, or a mistake and `otherwise`.
    fn value<T>(&mut self, name: &str, otherwise: T, read: impl FnOnce(&str) -> Result<T, String>) -> T {
        match read(self.text(name)) {
            Ok(value) => value,
            Err(why) => {
                self.mistakes.push(format!("{name}: {why}"));
                otherwise
            }
        }
    }
}

impl FromStr for Settings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut reader = Reader::of(text);
        let overlay = reader.value("TEITEN_OVERLAY", Overlay::Local, |text| match text {
            "local" => Ok(Overlay::Local),
            "production" => Ok(Overlay::Production),
            other => Err(format!("local or production, not {other:?}")),
        });
        let window = reader.value("TEITEN_WINDOW", WindowLength::DEFAULT, |text| {
            text.parse::<WindowLength>().map_err(|error| error.to_string())
        });
        let public = reader.value("TEITEN_MEDIA_ACCESS", false, |text| match text {
            "private" => Ok(false),
            "public" => Ok(true),
            other => Err(format!("private or public, not {other:?}")),
        });
        let listed =
            reader.value("TEITEN_LIVE_WINDOW_SECONDS", Duration::ZERO, |text| match text.parse::<u64>() {
                Ok(seconds) if LIVE_WINDOW_SECONDS.contains(&seconds) => Ok(Duration::from_secs(seconds)),
                _ => {
                    let (least, most) = LIVE_WINDOW_SECONDS.into_inner();
                    Err(format!("{least} to {most} whole seconds, not {text:?}"))
                }
            });
        reader.value("TEITEN_SIGNED_FOR", (), |text| {
            let valid: Validity = text.parse().map_err(|error: ValidityError| error.to_string())?;
            if public { Ok(()) } else { lasts(valid, window, listed) }
        });
        let media_url = reader.value("TEITEN_PUBLIC_URL", None, url);
        let domain = reader
            .value("TEITEN_DOMAIN", None, |text| Domain::parse(text).map_err(|error| error.to_string()));
        let endpoint = reader.value("AWS_ENDPOINT_URL_S3", None, url);
        let storage = reader.value("TEITEN_STORAGE_SIZE", Size::default(), str::parse);
        let broker_hosts = reader.value("TEITEN_BROKER_HOSTS", Vec::new(), |text| {
            text.split_whitespace().map(|host| host.parse().map_err(|error| format!("{error}"))).collect()
        });
        let nobody = HostPort { host: "broker".to_owned(), port: 8883 };
        let mqtt = reader.value("TEITEN_MQTT", nobody, |text| {
            let mqtt: HostPort = text.parse().map_err(|error| format!("{error}"))?;
            mqtt.host.parse::<BrokerHost>().map_err(|error| error.to_string())?;
            Ok(mqtt)
        });
        let settings = Self {
            overlay,
            media_url,
            domain,
            broker_hosts,
            window,
            frames_bucket: reader.required("TEITEN_FRAMES_BUCKET"),
            media_bucket: reader.required("TEITEN_MEDIA_BUCKET"),
            storage,
            public,
            endpoint,
            region: reader.required("AWS_REGION"),
            mqtt,
            images: reader.required("TEITEN_IMAGES"),
            version: Some(reader.text("TEITEN_VERSION").to_owned()).filter(|tag| !tag.is_empty()),
        };
        if settings.media_bucket == settings.frames_bucket && !settings.media_bucket.is_empty() {
            let mistake = "TEITEN_MEDIA_BUCKET: not TEITEN_FRAMES_BUCKET's, for batches are private and are deleted sooner";
            reader.mistakes.push(mistake.to_owned());
        }
        reader.value("OTEL_EXPORTER_OTLP_ENDPOINT", (), |text| match url(text)? {
            Some(url) if url.starts_with("https:") => {
                Err("a collector is spoken to by http:// only".to_owned())
            }
            _ => Ok(()),
        });
        reader.value("TEITEN_CORS_ORIGIN", (), |text| {
            if text.contains(char::is_whitespace) {
                return Err("origins have commas between them and no spaces, as MinIO reads them".to_owned());
            }
            text.split(',')
                .try_for_each(|origin| Origin::new(origin).map(drop))
                .map_err(|error| error.to_string())
        });
        let frames_days = reader.value("TEITEN_FRAMES_RETENTION_DAYS", 1, whole_days);
        let outlives_batches = |text: &str| match whole_days(text)? {
            days if days < frames_days => Err(format!(
                "batches are kept for {frames_days} days (TEITEN_FRAMES_RETENTION_DAYS), and footage that has expired would be made \
                 of them again: {days} is too few"
            )),
            _ => Ok(()),
        };
        reader.value("TEITEN_MEDIA_RETENTION_DAYS", (), outlives_batches);
        reader.value("TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA", (), |text| {
            text.split_whitespace().try_for_each(|pair| {
                let (camera, days) = pair.split_once('=').ok_or(format!("{pair:?} is not camera=days"))?;
                let camera = teiten_footage::CameraId::new(camera).map_err(|error| error.to_string())?;
                outlives_batches(days).map_err(|why| format!("{camera}: {why}"))
            })
        });
        if reader.mistakes.is_empty() { Ok(settings) } else { Err(SettingsError(reader.mistakes)) }
    }
}

/// Whether links that are valid for `valid` last as long as live playlists that list `listed` need them.
fn lasts(valid: Validity, window: WindowLength, listed: Duration) -> Result<(), String> {
    let window = window.duration();
    let listed = listed.max(window * WINDOWS_MIN as u32);
    // From the window's start: until the last moment at which it is listed, while it is, and as long again for who has just
    // read the list (draft-pantos-hls-rfc8216bis §6.2.2).
    let needed = (window + LIVE_AGE_MAX) + listed + (window + listed);
    // A link has three quarters of its time left when its window starts.
    let least = needed * 4 / 3;
    if valid.duration() >= least {
        return Ok(());
    }
    Err(format!(
        "links would end while players need them, take {} s or more: three quarters of it have to last for a window that is listed \
         {} s late, for the playlist's {} s, and as long again for who has just read it",
        least.as_secs_f64().ceil(),
        LIVE_AGE_MAX.as_secs(),
        listed.as_secs_f64()
    ))
}

/// The store's keys of one component.
pub fn credentials(access_key: &str, secret_key: &str) -> Credentials {
    Credentials { access_key: access_key.to_owned(), secret_key: secret_key.to_owned(), session_token: None }
}

fn is_name(text: &str) -> bool {
    let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
    rest.is_some_and(|rest| {
        rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

fn whole_days(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(days @ 1..) => Ok(days),
        _ => Err(format!("a whole number of days, not {text:?}")),
    }
}

fn url(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    if rest.is_empty() || rest.contains(char::is_whitespace) {
        return Err(format!("{text:?} is no http:// or https:// URL"));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../settings/teiten.env");

    fn with(name: &str, value: &str) -> Result<Settings, SettingsError> {
        let mut lines: Vec<String> = SHIPPED.lines().map(str::to_owned).collect();
        let line = lines.iter_mut().find(|line| line.starts_with(&format!("{name}="))).unwrap();
        *line = format!("{name}={value}");
        lines.join("\n").parse()
    }

    #[test]
    fn the_shipped_settings_are_complete_and_local() {
        let settings: Settings = SHIPPED.parse().unwrap();
        assert_eq!(settings.overlay, Overlay::Local);
        assert!(!settings.public, "footage is private unless somebody says otherwise");
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let text =
            format!("{}AWS_REGION=again\nteiten_qp=30\n", SHIPPED.replace("TEITEN_IMAGES=", "TEITEN_IMAGE="));
        let SettingsError(mistakes) = text.parse::<Settings>().unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].contains("AWS_REGION is there twice"), "{mistakes:?}");
        assert_eq!(mistakes[2], "TEITEN_IMAGES is missing");
    }

    #[test]
    fn a_value_that_cannot_be_is_named() {
        for (name, value) in [
            ("TEITEN_OVERLAY", "prod"),
            ("TEITEN_WINDOW", "7s"),
            ("TEITEN_MEDIA_ACCESS", "yes"),
            ("TEITEN_LIVE_WINDOW_SECONDS", "12s"),
            ("TEITEN_LIVE_WINDOW_SECONDS", "0"),
            ("TEITEN_LIVE_WINDOW_SECONDS", "601"),
            ("TEITEN_SIGNED_FOR", "8d"),
            ("TEITEN_PUBLIC_URL", "store.example.org"),
            ("TEITEN_DOMAIN", "ftp://example.org"),
            ("TEITEN_BROKER_HOSTS", "a b:1"),
            ("TEITEN_STORAGE_SIZE", ""),
            ("TEITEN_STORAGE_SIZE", "300 GB"),
            ("TEITEN_MEDIA_RETENTION_DAYS", "0"),
            ("TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA", "gate"),
            ("TEITEN_MQTT", "broker"),
            ("TEITEN_MQTT", "broker:0"),
            ("TEITEN_MQTT", "2001:db8::7:8883"),
            ("TEITEN_MQTT", "my_broker:8883"),
            ("AWS_REGION", ""),
            ("TEITEN_MEDIA_BUCKET", "frames"),
            ("TEITEN_CORS_ORIGIN", ""),
            ("TEITEN_CORS_ORIGIN", ","),
            ("TEITEN_CORS_ORIGIN", "https://a.example.org https://b.example.org"),
            ("TEITEN_CORS_ORIGIN", "https://a.example.org, https://b.example.org"),
            ("TEITEN_CORS_ORIGIN", "https://a.example.org,"),
            ("TEITEN_CORS_ORIGIN", "https://a.example.org/"),
            ("TEITEN_CORS_ORIGIN", "https://a.example.org,b.example.org"),
            ("TEITEN_CORS_ORIGIN", "https://A.example.org"),
            ("TEITEN_CORS_ORIGIN", "https://a.example.org:443"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        ] {
            let SettingsError(mistakes) = with(name, value).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].starts_with(name), "{mistakes:?}");
        }
        with("TEITEN_CORS_ORIGIN", "https://a.example.org,https://b.example.org").unwrap();
        let mistake = with("TEITEN_CORS_ORIGIN", "https://a.example.org/").unwrap_err().to_string();
        assert!(mistake.ends_with("write https://a.example.org"), "{mistake}");
    }

    #[test]
    fn spaces_around_a_value_are_a_mistake_of_their_line() {
        let number = SHIPPED.lines().position(|line| line.starts_with("TEITEN_OVERLAY=")).unwrap() + 1;
        for value in [" local", "local ", "\tlocal"] {
            let SettingsError(mistakes) = with("TEITEN_OVERLAY", value).unwrap_err();
            assert_eq!(
                mistakes,
                [format!("line {number}: TEITEN_OVERLAY has spaces before or behind its value")]
            );
        }
    }

    #[test]
    fn links_that_end_before_their_footage_has_left_the_playlist_are_refused_where_there_are_links() {
        let with_all = |changes: &[(&str, &str)]| {
            let text = changes.iter().fold(SHIPPED.to_owned(), |text, (from, to)| text.replace(from, to));
            text.parse::<Settings>().map_err(|SettingsError(mistakes)| mistakes.join("; "))
        };
        for (window, live, least) in [("1s", 12, 75), ("1s", 60, 203), ("6s", 12, 152)] {
            let settings = |seconds: u32, access: &str| {
                with_all(&[
                    ("TEITEN_WINDOW=1s", &format!("TEITEN_WINDOW={window}")),
                    ("TEITEN_LIVE_WINDOW_SECONDS=12", &format!("TEITEN_LIVE_WINDOW_SECONDS={live}")),
                    ("TEITEN_SIGNED_FOR=24h", &format!("TEITEN_SIGNED_FOR={seconds}s")),
                    ("ACCESS=private", &format!("ACCESS={access}")),
                ])
            };
            settings(least, "private").unwrap();
            let mistake = settings(least - 1, "private").unwrap_err();
            let words =
                format!("TEITEN_SIGNED_FOR: links would end while players need them, take {least} s or more");
            assert!(mistake.starts_with(&words), "{mistake}");
            settings(least - 1, "public").unwrap();
        }
    }

    #[test]
    fn batches_that_outlive_footage_are_refused() {
        let with_days = |frames: &str, media: &str, by_camera: &str| {
            let text = [("FRAMES", "1", frames), ("MEDIA", "7", media)].into_iter().fold(
                SHIPPED.replace("DAYS_BY_CAMERA=", &format!("DAYS_BY_CAMERA={by_camera}")),
                |text, (bucket, shipped, days)| {
                    let line = format!("TEITEN_{bucket}_RETENTION_DAYS=");
                    text.replace(&format!("{line}{shipped}\n"), &format!("{line}{days}\n"))
                },
            );
            text.parse::<Settings>().map_err(|SettingsError(mistakes)| mistakes)
        };
        with_days("3", "3", "gate=3 garden=30").unwrap();
        for (frames, media, by_camera, named) in [
            ("3", "2", "", "TEITEN_MEDIA_RETENTION_DAYS: "),
            ("3", "7", "gate=3 garden=2", "TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA: garden: "),
        ] {
            let mistakes = with_days(frames, media, by_camera).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].starts_with(named), "{mistakes:?}");
        }
    }

    #[test]
    fn an_objects_address_has_bucket_and_key() {
        let settings = with("TEITEN_PUBLIC_URL", "https://store.example.org/").unwrap();
        let store = settings.media_url.clone().unwrap();
        assert_eq!(
            settings.media_url(&store, "gate/live.m3u8"),
            "https://store.example.org/media/gate/live.m3u8"
        );
    }
}
