//! The status LED: how the camera is, as a pattern that a person can tell apart by counting flashes.
//!
//! | pattern | what it means |
//! |---|---|
//! | quick, even blinking | the agent starts, no picture has come yet |
//! | one flash, pause | no network |
//! | two flashes, pause | the clock is not set |
//! | three flashes, pause | no connection to the broker |
//! | four flashes, pause | no pictures from the camera |
//! | five flashes, pause | the settings have mistakes, or are missing |
//! | six flashes, pause | pictures go to the broker, and nobody says that they are stored |
//! | steady | live |
//!
//! What comes first in this table hides what comes after it, since it is most often its cause.

use std::time::Duration;

/// What the LED shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Starting,
    NoNetwork,
    NoClock,
    NoBroker,
    NoCamera,
    NoSettings,
    NotStored,
    Live,
}

/// One flash, and the dark before the next; half of a quick blink.
pub(crate) const STEP: Duration = Duration::from_millis(200);
/// How often the LED is looked after: half a flash.
pub(crate) const PERIOD: Duration = Duration::from_millis(STEP.as_millis() as u64 / 2);
/// The dark between two groups of flashes.
const PAUSE: Duration = Duration::from_millis(1400);

impl Pattern {
    /// Whether the LED is lit when the pattern has been shown for `shown`.
    pub(crate) fn is_lit(self, shown: Duration) -> bool {
        let flashes = match self {
            Self::Live => return true,
            Self::Starting => return is_even(shown, STEP / 2),
            Self::NoNetwork => 1,
            Self::NoClock => 2,
            Self::NoBroker => 3,
            Self::NoCamera => 4,
            Self::NoSettings => 5,
            Self::NotStored => 6,
        };
        let group = STEP * 2 * flashes;
        let within = remainder(shown, group + PAUSE);
        within < group && is_even(within, STEP)
    }
}

fn is_even(time: Duration, step: Duration) -> bool {
    (time.as_millis() / step.as_millis()).is_multiple_of(2)
}

fn remainder(time: Duration, cycle: Duration) -> Duration {
    Duration::from_millis((time.as_millis() % cycle.as_millis()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern in steps of 100 ms: `#` is lit.
    fn drawn(pattern: Pattern, steps: u64) -> String {
        let lit = |step| pattern.is_lit(Duration::from_millis(100 * step));
        (0..steps).map(|step| if lit(step) { '#' } else { '.' }).collect()
    }

    /// Golden: docs/cameras.md and people's habits rely on it.
    #[test]
    fn patterns_are_told_apart_by_counting() {
        assert_eq!(drawn(Pattern::Starting, 8), "#.#.#.#.");
        assert_eq!(drawn(Pattern::NoNetwork, 20), "##................##");
        assert_eq!(drawn(Pattern::NoClock, 24), "##..##................##");
        assert_eq!(drawn(Pattern::NoBroker, 28), "##..##..##................##");
        assert_eq!(drawn(Pattern::NoCamera, 32), "##..##..##..##................##");
        assert_eq!(drawn(Pattern::NoSettings, 36), "##..##..##..##..##................##");
        assert_eq!(drawn(Pattern::NotStored, 40), "##..##..##..##..##..##................##");
        assert_eq!(drawn(Pattern::Live, 8), "########");
    }
}
