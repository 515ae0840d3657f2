//! A time in which something moved, as pictures or a sensor show it.

use std::{fmt, str::FromStr};

use crate::{sensor::SensorState, time::Timestamp};

/// What shows that something moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MotionSource {
    /// The pictures.
    Picture,
    /// A sensor of the camera.
    Sensor,
}

impl MotionSource {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Picture, Self::Sensor];

    /// Its name: `picture` or `sensor`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Picture => "picture",
            Self::Sensor => "sensor",
        }
    }
}

impl fmt::Display for MotionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MotionSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let source = Self::ALL.into_iter().find(|source| source.name() == text);
        source.ok_or_else(|| format!("{text:?} is neither picture nor sensor"))
    }
}

/// A time in which something moved. Times are whole milliseconds, as playlists have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MotionSpan {
    /// What showed it.
    pub source: MotionSource,
    /// When it began.
    pub start: Timestamp,
    /// When it ended; `None` while it may go on.
    pub end: Option<Timestamp>,
    /// The greatest level in it ([`crate::MotionMap::level`]), where it is over and a picture's.
    pub peak: Option<u8>,
}

impl MotionSpan {
    /// What names it among a camera's: `picture-20261123T040502.000Z`. It does not depend on whether it has ended.
    pub fn id(&self) -> String {
        format!("{}-{}", self.source, compact(&self.start.rfc3339_millis()))
    }

    /// Which end of it is the last one that is known.
    pub const fn state(&self) -> SensorState {
        match self.end {
            None => SensorState::Started,
            Some(_) => SensorState::Ended,
        }
    }
}

/// RFC 3339 without the marks that have no place in a name.
pub(crate) fn compact(rfc3339: &str) -> String {
    rfc3339.replace(['-', ':'], "")
}
