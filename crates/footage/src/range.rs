//! Any range of time, and the forms that playlists of one have.

use std::time::Duration;

use crate::{Timestamp, Window};

/// Times from the first on and before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    from: Timestamp,
    to: Timestamp,
}

impl TimeRange {
    /// `None` unless `from` is before `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// Its first instant.
    pub fn from(self) -> Timestamp {
        self.from
    }

    /// The first instant after it.
    pub fn to(self) -> Timestamp {
        self.to
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        self.to.since(self.from)
    }

    /// Whether some of `window` is in it.
    pub fn touches(self, window: Window) -> bool {
        window.start() < self.to && self.from < window.end()
    }
}

/// Which playlist of a range is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeForm {
    /// The playlist of its segments.
    Whole,
    /// That of its keyframes alone.
    Keyframes,
    /// The one that names both.
    Variants,
}

impl RangeForm {
    /// What follows the camera in the names of such playlists.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Whole => ".m3u8",
            Self::Keyframes => ".iframes.m3u8",
            Self::Variants => ".master.m3u8",
        }
    }

    /// By the name that is asked for.
    pub fn of(name: &str) -> Self {
        let longer = [Self::Keyframes, Self::Variants];
        longer.into_iter().find(|form| name.ends_with(form.extension())).unwrap_or(Self::Whole)
    }
}
