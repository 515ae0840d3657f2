//! Hours of the wall clock (UTC): what the archive is cut into. Objects are in the folder of the hour in which their
//! window starts; as a window's length divides a minute, no window is in two hours.

use std::{fmt, str::FromStr, time::Duration};

use crate::{time::Timestamp, window::Window};

const HOUR: Duration = Duration::from_secs(3600);

/// One hour (UTC), written as the folder of its objects: `2026-11-23/04`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour {
    /// Hours since the Unix epoch.
    index: u64,
}

impl Hour {
    /// The hour that holds `time`.
    pub const fn containing(time: Timestamp) -> Self {
        Self { index: time.unix_millis() / HOUR.as_millis() as u64 }
    }

    /// The hour that `window` is in.
    pub const fn of(window: Window) -> Self {
        Self::containing(window.start())
    }

    /// The hour that starts at this hour of the day (`2026-11-23`); `None` if there is no such hour.
    pub fn on(day: &str, hour_of_day: u8) -> Option<Self> {
        let date: jiff::civil::Date = day.parse().ok()?;
        if hour_of_day > 23 || date.to_string() != day {
            return None;
        }
        Timestamp::from_civil(date.at(hour_of_day as i8, 0, 0, 0)).map(Self::containing)
    }

    /// Its first instant.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_unix_millis(self.index * HOUR.as_millis() as u64)
    }

    /// The first instant after it.
    pub const fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The hour after it.
    pub const fn next(self) -> Self {
        Self { index: self.index + 1 }
    }

    /// Its day: `2026-11-23`.
    pub fn day(self) -> String {
        self.start().civil().date().to_string()
    }

    /// Which hour of its day it is, 0 to 23.
    pub const fn of_day(self) -> u8 {
        (self.index % 24) as u8
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.start().civil();
        write!(f, "{:04}-{:02}-{:02}/{:02}", c.year(), c.month(), c.day(), c.hour())
    }
}

impl fmt::Debug for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that names no [`Hour`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no hour: expected a form like 2026-11-23/04")]
pub struct HourError {
    text: String,
}

impl FromStr for Hour {
    type Err = HourError;

    /// The inverse of `Display`; only the canonical form is taken.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (day, hour) = text.split_once('/')?;
            let parsed = Self::on(day, hour.parse().ok()?)?;
            (parsed.to_string() == text).then_some(parsed)
        };
        parse().ok_or_else(|| HourError { text: text.chars().take(40).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_named_by_its_day_and_read_back() {
        let window: Window = "20261123T235959.000Z-1000".parse().unwrap();
        let hour = Hour::of(window);
        assert_eq!(
            (hour.to_string(), hour.day(), hour.of_day()),
            ("2026-11-23/23".into(), "2026-11-23".into(), 23)
        );
        assert_eq!(hour.end(), window.end());
        assert_eq!(hour.next().to_string(), "2026-11-24/00");
        assert_eq!("2026-11-23/23".parse(), Ok(hour));
        assert_eq!(Hour::on("2026-11-23", 23), Some(hour));
        for text in
            ["", "2026-11-23", "2026-11-23/24", "2026-11-23/4", "2026-11-31/04", "2026-11-23/04/", "-1/00"]
        {
            assert!(text.parse::<Hour>().is_err(), "{text:?}");
        }
        assert_eq!(Hour::on("2026-11-23", 200), None);
    }
}
