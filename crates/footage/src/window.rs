//! Windows: the wall clock cut into pieces of one length. Everything a stream says of itself (keys, `tfdt`,
//! PROGRAM-DATE-TIME, media sequence numbers) follows from a window's index, so nothing has to be counted.

use std::{fmt, str::FromStr, time::Duration};

use crate::{
    duration,
    time::{Ticks, Timestamp},
};

/// The length of a stream's windows: 500 ms to 6 s, a divisor of one minute, in whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowLength {
    millis: u32,
}

/// A length that windows cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given} is no window length: use 500ms to 6s, a length that divides a minute (such as 500ms, 1s, 2s)"
)]
pub struct WindowLengthError {
    given: String,
}

impl WindowLength {
    /// One second, the default.
    pub const DEFAULT: Self = Self { millis: 1000 };
    /// The shortest, 500 ms.
    pub const MIN: Self = Self { millis: 500 };
    /// The longest, 6 s.
    pub const MAX: Self = Self { millis: 6000 };

    /// Windows of `millis` milliseconds.
    pub fn from_millis(millis: u32) -> Result<Self, WindowLengthError> {
        if (Self::MIN.millis..=Self::MAX.millis).contains(&millis) && 60_000_u32.is_multiple_of(millis) {
            Ok(Self { millis })
        } else {
            Err(WindowLengthError { given: format!("{millis}ms") })
        }
    }

    /// The length in milliseconds.
    pub const fn millis(self) -> u32 {
        self.millis
    }

    /// The length.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis as u64)
    }

    /// The length in 90 kHz ticks.
    pub const fn ticks(self) -> Ticks {
        Ticks(self.millis as u64 * 90)
    }
}

impl Default for WindowLength {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `500ms`, `1s`, `1500ms`.
impl fmt::Display for WindowLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis.is_multiple_of(1000) {
            write!(f, "{}s", self.millis / 1000)
        } else {
            write!(f, "{}ms", self.millis)
        }
    }
}

impl fmt::Debug for WindowLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WindowLength {
    type Err = WindowLengthError;

    /// As `500ms`, `2s` or `1.5s`: [`duration::parse`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let length = duration::parse(text)?;
            let millis = u32::try_from(length.as_millis()).ok()?;
            Self::from_millis(millis).ok().filter(|parsed| parsed.duration() == length)
        };
        parse().ok_or_else(|| WindowLengthError { given: text.chars().take(40).collect() })
    }
}

/// One window of a stream: [start, end), where start is a multiple of the length since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    // Sorted by time first; a stream has one length, so the order of the fields decides nothing within it.
    index: u64,
    length: WindowLength,
}

impl Window {
    /// The window that holds `time`.
    pub const fn containing(time: Timestamp, length: WindowLength) -> Self {
        Self { index: time.unix_millis() / length.millis as u64, length }
    }

    /// The window that starts at `start`, or `None` if none does.
    pub fn starting_at(start: Timestamp, length: WindowLength) -> Option<Self> {
        let window = Self::containing(start, length);
        (window.start() == start).then_some(window)
    }

    /// k: windows of this length since the Unix epoch.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The length.
    pub const fn length(self) -> WindowLength {
        self.length
    }

    /// The first instant in the window.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_unix_millis(self.index * self.length.millis as u64)
    }

    /// The first instant after the window.
    pub const fn end(self) -> Timestamp {
        Timestamp::from_unix_millis((self.index + 1) * self.length.millis as u64)
    }

    /// Whether `time` is in [start, end).
    pub fn contains(self, time: Timestamp) -> bool {
        Self::containing(time, self.length) == self
    }

    /// The window `windows` after this one.
    pub const fn plus(self, windows: u64) -> Self {
        Self { index: self.index + windows, length: self.length }
    }

    /// The next window.
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The media sequence number (RFC 8216bis §4.4.3.2): windows since 2020-01-01T00:00:00Z, `None` before
    /// it. It fits 31 bits until the year 2054 even at 500 ms.
    pub const fn media_sequence(self) -> Option<u64> {
        let first = Timestamp::Y2020.unix_millis() / self.length.millis as u64;
        self.index.checked_sub(first)
    }

    /// The window with this media sequence number.
    pub const fn from_media_sequence(number: u64, length: WindowLength) -> Self {
        Self { index: Timestamp::Y2020.unix_millis() / length.millis as u64 + number, length }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.start(), self.length)
    }
}

/// `20261123T040501.000Z-1000`: UTC start and length in milliseconds, as in keys; sorts by time.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.start().civil();
        write!(
            f,
            "{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z-{}",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            c.second(),
            self.start().unix_millis() % 1000,
            self.length.millis
        )
    }
}

/// Text that names no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no window: expected a form like 20261123T040501.000Z-1000")]
pub struct WindowNameError {
    text: String,
}

impl FromStr for Window {
    type Err = WindowNameError;

    /// The inverse of `Display`; only the canonical form is taken.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (start, millis) = text.split_once('-')?;
            let b = start.as_bytes();
            if b.len() != 20 || b[8] != b'T' || b[15] != b'.' || b[19] != b'Z' {
                return None;
            }
            let number = |range: std::ops::Range<usize>| -> Option<i32> {
                let digits = start.get(range)?;
                digits.bytes().all(|d| d.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
            };
            let civil = jiff::civil::DateTime::new(
                number(0..4)? as i16,
                number(4..6)? as i8,
                number(6..8)? as i8,
                number(9..11)? as i8,
                number(11..13)? as i8,
                number(13..15)? as i8,
                number(16..19)? * 1_000_000,
            )
            .ok()?;
            let length = WindowLength::from_millis(millis.parse().ok()?).ok()?;
            let window = Window::starting_at(Timestamp::from_civil(civil)?, length)?;
            (window.to_string() == text).then_some(window)
        };
        parse().ok_or_else(|| WindowNameError { text: text.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(text: &str) -> WindowLength {
        text.parse().unwrap()
    }

    #[test]
    fn only_lengths_that_divide_a_minute_are_taken() {
        for text in ["500ms", "600ms", "1s", "1.5s", "2s", "2.5s", "6s", "1500ms"] {
            assert_eq!(60_000 % length(text).millis(), 0, "{text}");
        }
        for text in ["", "1", "s", "0s", "499ms", "700ms", "7s", "10s", "-1s", "NaNs", "1e9s", "1.0001s"] {
            assert!(text.parse::<WindowLength>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        let window = Window::containing(Timestamp::Y2020 + Duration::from_millis(1999), length("2s"));
        assert_eq!(window.start(), Timestamp::Y2020);
        assert!(window.contains(window.start()));
        assert!(!window.contains(window.end()));
        assert_eq!(window.next().start(), window.end());
    }

    #[test]
    fn media_sequence_numbers_count_windows_since_2020() {
        let window = Window::containing(Timestamp::Y2020, length("1s"));
        assert_eq!(window.media_sequence(), Some(0));
        assert_eq!(window.plus(3600).media_sequence(), Some(3600));
        assert_eq!(Window::from_media_sequence(3600, length("1s")), window.plus(3600));
        assert_eq!(Window::containing(Timestamp::default(), length("1s")).media_sequence(), None);
    }

    #[test]
    fn a_window_is_named_by_its_start_and_length() {
        let name = "20261123T040501.500Z-500";
        let window: Window = name.parse().unwrap();
        assert_eq!(window.to_string(), name);
        assert_eq!(window.start().to_string(), "2026-11-23T04:05:01.500000Z");
        for text in [
            "",
            "20261123T040501.500Z",
            "20261123T040501.500Z-0500",
            "20261123T040501.250Z-500",
            "20261323T040501.500Z-500",
            "20261123T040501.500Z-700",
            "20261123T240501.500Z-500",
            "+0261123T040501.500Z-500",
            "20261123T040501.5é0Z-500",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text:?}");
        }
    }
}
