//! Wall-clock time, in the two units that Teiten speaks: microseconds where frames are captured and 90 kHz
//! ticks where they are media. Both count from the Unix epoch and ignore leap seconds, as Unix time does.

use std::{fmt, ops::Add, ops::Sub, time::Duration};

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// Media time: 90 kHz ticks since 1970-01-01T00:00:00Z, as in `tfdt` (64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticks(pub u64);

impl Ticks {
    /// Ticks in a second: the timescale of all of Teiten's media.
    pub const PER_SECOND: u32 = 90_000;
}

impl Timestamp {
    /// 2020-01-01T00:00:00Z: nothing that Teiten handles was captured before it, and media sequence
    /// numbers count from it.
    pub const Y2020: Self = Self(1_577_836_800_000_000);

    /// The last time that has a name: 2999-12-31T23:59:59.999999Z. Keys of later years would not sort as
    /// [`crate::key::segments_prefix`] promises.
    pub const MAX: Self = Self(32_503_679_999_999_999);

    /// `micros` microseconds after the Unix epoch; later than [`Timestamp::MAX`] becomes that.
    pub const fn from_unix_micros(micros: u64) -> Self {
        if micros > Self::MAX.0 { Self::MAX } else { Self(micros) }
    }

    /// `millis` milliseconds after the Unix epoch.
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self::from_unix_micros(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn unix_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    pub const fn unix_millis(self) -> u64 {
        self.0 / 1000
    }

    /// The 90 kHz tick that this time falls in (rounded down, so order is kept).
    pub const fn ticks(self) -> Ticks {
        Ticks(self.0 * 9 / 100)
    }

    /// The time from `earlier` to this, or zero if this is not later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Year, month, day, hour, minute, second (UTC) and microsecond.
    pub(crate) fn civil(self) -> jiff::civil::DateTime {
        let timestamp =
            jiff::Timestamp::from_microsecond(self.0 as i64).expect("a Timestamp ends before the year 3000");
        jiff::tz::Offset::UTC.to_datetime(timestamp)
    }

    /// The time named by a UTC date and time of day; `None` before the Unix epoch.
    pub(crate) fn from_civil(civil: jiff::civil::DateTime) -> Option<Self> {
        let timestamp = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
        u64::try_from(timestamp.as_microsecond()).ok().map(Self::from_unix_micros)
    }

    /// The time that RFC 3339 text names, with any offset, rounded down to the microsecond; `None` before the
    /// Unix epoch and after [`Timestamp::MAX`].
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        let micros = u64::try_from(timestamp.as_microsecond()).ok()?;
        (micros <= Self::MAX.0).then_some(Self(micros))
    }

    /// RFC 3339 in UTC, rounded down to the millisecond, as playlists have dates (RFC 8216bis §4.4.4.6):
    /// `2026-11-23T04:05:01.000Z`.
    pub fn rfc3339_millis(self) -> String {
        let micros = self.to_string();
        format!("{}Z", &micros[..micros.len() - "000Z".len()])
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self::from_unix_micros(self.0.saturating_add(duration.as_micros().min(u64::MAX as u128) as u64))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Earlier by `duration`, but not before the Unix epoch.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_micros().min(u64::MAX as u128) as u64))
    }
}

/// RFC 3339 in UTC, to the microsecond: `2026-11-23T04:05:01.000000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            c.second(),
            self.0 % 1_000_000
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_of_2020_is_where_a_calendar_has_it() {
        assert_eq!(Timestamp::Y2020.to_string(), "2020-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "2999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_unix_micros(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_microsecond_has_its_tick() {
        assert_eq!(Timestamp::from_unix_micros(1_000_000).ticks(), Ticks(90_000));
        assert_eq!(Timestamp::from_unix_micros(11).ticks(), Ticks(0));
        assert_eq!(Timestamp::from_unix_micros(12).ticks(), Ticks(1));
        assert_eq!(Timestamp::MAX.ticks().0, 2_925_331_199_999_999);
    }
}
