//! `[light]`: when the infrared light is on.

use std::time::Duration;

use teiten_footage::Timestamp;

use super::section::Section;

const DAY_MINUTES: u64 = 24 * 60;

/// Every day from one time of day to another, by a clock with a fixed distance to UTC. (There is no summer time: a
/// light that is on an hour too long does no harm, and the camera's card has no tables of time zones.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// `from`, in minutes after midnight UTC.
    from: u64,
    /// `to`; earlier than `from` if midnight UTC is between them.
    to: u64,
}

impl Schedule {
    /// From and to, in minutes after midnight of a clock that is `utc_offset` minutes ahead of UTC; `None` unless
    /// they differ, are less than a day, and the offset is at most 14 hours.
    pub fn new(from: u16, to: u16, utc_offset: i16) -> Option<Self> {
        let times = from != to && u64::from(from.max(to)) < DAY_MINUTES;
        let utc =
            |minutes: u16| (i64::from(minutes) - i64::from(utc_offset)).rem_euclid(DAY_MINUTES as i64) as u64;
        (times && utc_offset.abs() <= 14 * 60).then(|| Self { from: utc(from), to: utc(to) })
    }

    /// Whether the light is on at `time`.
    pub fn is_on(&self, time: Timestamp) -> bool {
        let since_epoch = Duration::from_micros(time.unix_micros());
        let minute = since_epoch.as_secs() / 60 % DAY_MINUTES;
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

/// The schedule, if there is one; `None` after a mistake.
pub(super) fn read(mut section: Section<'_>) -> Option<Option<Schedule>> {
    const TIME: &str = "a time of day such as \"18:30\"";
    let from = section.or("from", None, TIME, |value| time(value.as_str()?).map(Some));
    let to = section.or("to", None, TIME, |value| time(value.as_str()?).map(Some));
    let offset = section.or("utc_offset", 0, "an offset such as \"+01:00\", at most 14 hours", |value| {
        offset(value.as_str()?)
    });
    let (from, to, offset) = match (from, to, offset) {
        (Some(from), Some(to), Some(offset)) => (from, to, offset),
        _ => {
            section.finish();
            return None;
        }
    };
    let schedule = match (from, to) {
        (None, None) => Some(None),
        (Some(from), Some(to)) => Schedule::new(from, to, offset).map(Some),
        _ => None,
    };
    if schedule.is_none() {
        section.mistake("to", "expected both from and to, at different times".to_owned());
    }
    section.finish();
    schedule
}

/// `18:30`, in minutes after midnight.
fn time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse::<u16>().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// `+01:00`, in minutes.
fn offset(text: &str) -> Option<i16> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let minutes = i16::try_from(time(rest)?).ok()?;
    (minutes <= 14 * 60).then_some(sign * minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn light(keys: &str) -> Result<Option<Schedule>, String> {
        let text = format!("camera = \"a\"\n[light]\n{keys}");
        Config::from_toml(&text).map(|config| config.light).map_err(|errors| errors.to_string())
    }

    fn at(hours: u64, minutes: u64) -> Timestamp {
        Timestamp::Y2020 + Duration::from_secs((400 * 24 + hours) * 3600 + minutes * 60)
    }

    #[test]
    fn a_night_spans_midnight() {
        let night = Schedule::new(18 * 60 + 30, 7 * 60, 0).unwrap();
        for (hours, minutes, on) in
            [(18, 29, false), (18, 30, true), (0, 0, true), (6, 59, true), (7, 0, false), (12, 0, false)]
        {
            assert_eq!(night.is_on(at(hours, minutes)), on, "{hours}:{minutes}");
        }
    }

    #[test]
    fn an_offset_moves_the_night() {
        let tokyo = light("from = \"18:00\"\nto = \"06:00\"\nutc_offset = \"+09:00\"").unwrap().unwrap();
        for (hours, on) in [(8, false), (9, true), (20, true), (21, false)] {
            assert_eq!(tokyo.is_on(at(hours, 0)), on, "{hours} UTC");
        }
        let west = light("from = \"18:00\"\nto = \"06:00\"\nutc_offset = \"-05:30\"").unwrap().unwrap();
        assert!(west.is_on(at(23, 30)) && !west.is_on(at(23, 29)) && !west.is_on(at(11, 30)));
    }

    #[test]
    fn half_a_schedule_and_times_that_are_none_are_mistakes() {
        assert_eq!(light(""), Ok(None));
        for keys in [
            "from = \"18:00\"",
            "from = \"18:00\"\nto = \"18:00\"",
            "from = \"24:00\"\nto = \"06:00\"",
            "from = \"6:00\"\nto = \"07:00\"",
            "from = \"06:60\"\nto = \"07:00\"",
            "from = 6\nto = 7",
            "from = \"18:00\"\nto = \"06:00\"\nutc_offset = \"01:00\"",
            "from = \"18:00\"\nto = \"06:00\"\nutc_offset = \"+15:00\"",
            "from = \"18:00\"\nto = \"06:00\"\nutc_offset = \"é\"",
        ] {
            assert!(light(keys).is_err(), "{keys}");
        }
    }
}
