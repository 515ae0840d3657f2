//! The agent's settings: one TOML file, or a [`Config`] built in code.
//!
//! Every value is a type that cannot be wrong, so a `Config` is valid however it was made. Reading a file
//! finds all of its mistakes, not just the first ([`ConfigErrors`]). `teiten.toml.example`, beside this
//! crate's manifest, shows every key with its default.

mod card;
mod gpio;
mod home_assistant;
mod light;
mod read;
mod section;
mod usable;
mod v4l2;
mod values;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use teiten_footage::CameraId;
use teiten_mqtt::{Identity, TlsFiles};

pub use card::{Address, System, Usable, Wifi};
pub use gpio::{Gpio, InputPin, OutputPin, Pull};
pub use home_assistant::HomeAssistant;
pub use light::Schedule;
pub use read::{ConfigErrors, Mistake};
pub use v4l2::{ControlValue, PixelFormat, V4l2};
pub use values::{FrameCount, Mebibytes, PictureSize, Quality, RangeError, Rate, Share, WholeRate};

/// What one agent does: one camera, one source of pictures, one broker, one spool.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `camera`: the camera's name; required. It is in its topics and in all object keys.
    pub camera: CameraId,
    /// `[broker]`: where frames are published.
    pub broker: Broker,
    /// `[source]`: where pictures come from.
    pub source: Source,
    /// `[spool]`: where frames wait until they are stored.
    pub spool: Spool,
    /// `[preview] enabled`: whether a picture a second is published for dashboards. Default true.
    pub preview: bool,
    /// `[control] enabled`: whether the camera does what its control topic says. Default true.
    pub control: bool,
    /// `[home_assistant]`: whether Home Assistant finds the camera by itself.
    pub home_assistant: HomeAssistant,
    /// `[gpio]`: what is on the pins of a Raspberry Pi's header.
    pub gpio: Gpio,
    /// `[light]`: when the infrared light is on. Default: only when control says so.
    pub light: Option<Schedule>,
    /// `[wifi]`: the wireless network that the camera's card joins.
    pub wifi: Option<Wifi>,
    /// `[system]`: clock, log and login of the camera's card.
    pub system: System,
    /// `[uplink]`: what the way to the broker is used for.
    pub uplink: Uplink,
}

impl Config {
    /// `camera` with every other setting at its default: a pattern, a broker on this machine, a spool in
    /// memory.
    pub fn new(camera: CameraId) -> Self {
        Self {
            camera,
            broker: Broker::default(),
            source: Source::default(),
            spool: Spool::default(),
            preview: true,
            control: true,
            home_assistant: HomeAssistant::default(),
            gpio: Gpio::default(),
            light: None,
            wifi: None,
            system: System::default(),
            uplink: Uplink::default(),
        }
    }

    /// Reads the text of a settings file; reports all mistakes together. The names of certificates are taken
    /// as they are.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        read::config(text)
    }

    /// Reads the settings file at `path`, and takes the names of certificates from its folder on. A file that
    /// cannot be read is a mistake too.
    pub fn from_file(path: &Path) -> Result<Self, ConfigErrors> {
        Ok(Self::from_toml(&read::text(path)?)?.in_folder(folder(path)))
    }

    /// What can be used of the text of a settings file, whatever else is wrong in it.
    pub fn usable(text: &str) -> Usable {
        usable::usable(text)
    }

    /// The same of the settings file at `path`, with certificates as [`Config::from_file`] has them.
    pub fn usable_of_file(path: &Path) -> Usable {
        let bytes = std::fs::read(path).unwrap_or_default();
        Self::usable(&String::from_utf8_lossy(&bytes)).in_folder(folder(path))
    }

    /// The hosts that no card finds, by their keys: names of mDNS.
    pub fn mdns_names(&self) -> Vec<(&'static str, &str)> {
        let System { time_servers, syslog, .. } = &self.system;
        let broker = [("broker.host", self.broker.host.as_str())];
        let servers = time_servers.iter().map(|server| ("system.time_servers", server.host.as_str()));
        let log = syslog.iter().map(|server| ("system.syslog", server.host.as_str()));
        broker.into_iter().chain(servers).chain(log).filter(|(_, host)| is_mdns_name(host)).collect()
    }

    /// The same with the names of certificates taken from `folder` on, where the settings file is: the files of
    /// one camera can then be carried together wherever it likes.
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.broker = self.broker.in_folder(folder);
        self
    }
}

/// `[broker]`: the MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// `host`: a name or an address. Default `127.0.0.1`.
    pub host: String,
    /// `port`. Default 1883, with TLS 8883.
    pub port: u16,
    /// `ca`, and `certificate` with `key`: PEM files. With a `ca`, TLS is spoken, and without one it is not.
    /// Default: none.
    pub tls: Option<TlsFiles>,
}

/// Whether a name is one of mDNS (RFC 6762 §3). A camera's card has no mDNS: it asks the DNS that its network names.
pub fn is_mdns_name(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("local"))
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl Broker {
    pub(crate) const PORT: u16 = 1883;
    pub(crate) const TLS_PORT: u16 = 8883;

    /// The broker at `host` and `port`, without TLS.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: None }
    }

    /// The host without the square brackets that an IPv6 address may have: TLS takes none in a server's name.
    pub fn bare_host(&self) -> &str {
        bare(&self.host)
    }

    /// As [`Config::in_folder`].
    fn in_folder(mut self, folder: &Path) -> Self {
        if let Some(TlsFiles { ca, identity }) = &mut self.tls {
            *ca = folder.join(&*ca);
            if let Some(Identity { certificate, key }) = identity {
                *certificate = folder.join(&*certificate);
                *key = folder.join(&*key);
            }
        }
        self
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::plain("127.0.0.1", Self::PORT)
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        self.tls.as_ref().map_or(Ok(()), |tls| write!(f, " by {tls}"))
    }
}

/// `[source]`: where pictures come from; `kind` says which.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `kind = "pattern"`, the default: a test picture with a clock in it.
    Pattern(Pattern),
    /// `kind = "footage"`: JPEGs from files.
    Footage(Footage),
    /// `kind = "v4l2"`: a camera that Linux knows.
    V4l2(V4l2),
}

impl Default for Source {
    fn default() -> Self {
        Self::Pattern(Pattern::default())
    }
}

/// What the log says of a source.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => write!(f, "pattern {} at {}", pattern.size, pattern.rate),
            Self::Footage(footage) => write!(f, "footage {} at {}", footage.path.display(), footage.rate),
            Self::V4l2(v4l2) => v4l2.fmt(f),
        }
    }
}

/// A drawn test picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pattern {
    /// `width` and `height`. Default 640 and 480.
    pub size: PictureSize,
    /// `rate`, in frames per second. Default 10.
    pub rate: Rate,
}

/// Recorded JPEGs, played back as if they were captured now.
#[derive(Debug, Clone, PartialEq)]
pub struct Footage {
    /// `path`: a directory whose `.jpg` and `.jpeg` files are played in the order of their names, or a file
    /// of concatenated JPEGs (`.mjpeg`), which is held in memory. Required.
    pub path: PathBuf,
    /// `rate`, in frames per second. Default 10.
    pub rate: Rate,
    /// `repeat`: whether to start again after the last frame (default), or to end once all of them are
    /// stored.
    pub repeat: bool,
}

impl Footage {
    /// The footage at `path`, with everything else at its default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), rate: Rate::default(), repeat: true }
    }
}

/// `[spool]`: where frames wait until they are stored; `kind` says which. A full spool drops its oldest
/// frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spool {
    /// `kind = "memory"`, the default: frames are gone when the agent ends.
    Memory {
        /// `mebibytes_max`. Default 64.
        max: Mebibytes,
    },
    /// `kind = "directory"`: frames outlive the agent, even one that is killed.
    Directory {
        /// `path`: the spool is the directory `<path>/<camera>`, made if it is missing. Required.
        path: PathBuf,
        /// `mebibytes_max`. Default 1024.
        max: Mebibytes,
        /// `frames_max`. Default 200,000.
        frames_max: FrameCount,
    },
}

impl Spool {
    /// A spool in the directory `path`, with the default limits.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::Directory {
            path: path.into(),
            max: Mebibytes::DIRECTORY_DEFAULT,
            frames_max: FrameCount::default(),
        }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self::Memory { max: Mebibytes::MEMORY_DEFAULT }
    }
}

/// What the log says of a spool.
impl fmt::Display for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { max } => write!(f, "memory, {max}"),
            Self::Directory { path, max, .. } => write!(f, "{}, {max}", path.display()),
        }
    }
}

/// `[uplink]`: what the way to the broker is used for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Uplink {
    /// `backlog_share`: how much of it frames may take that were not sent in their time. Default 0.5.
    pub backlog_share: Share,
}
