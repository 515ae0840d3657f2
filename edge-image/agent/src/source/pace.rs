//! Leaving out pictures evenly.

use std::time::Duration;

/// Picks from a steady run of pictures those that make a lower rate, spread as evenly as the run allows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    /// When the next picture is due, on the clock of the pictures.
    due: Option<Duration>,
    last: Option<Duration>,
}

impl Pace {
    /// Whether to keep the picture taken at `time` (any clock that does not run backwards), one being wanted
    /// every `period`.
    pub(crate) fn keeps(&mut self, time: Duration, period: Duration) -> bool {
        // The run's own period, half of which is as close as a picture can be to when it is due.
        let spacing = self.last.replace(time).map_or(Duration::ZERO, |last| time.saturating_sub(last));
        let due = match self.due {
            // After a pause, or where `period` was longer: nothing is made up for, and no picture waits for long.
            Some(due) if time < due + period && due < time + 2 * period => due,
            _ => time,
        };
        let keeps = time + spacing.min(period) / 2 >= due;
        self.due = Some(if keeps { due + period } else { due });
        keeps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which of the pictures that come at `from` per second are kept for `to` per second.
    fn kept(pace: &mut Pace, start: Duration, seconds: u32, from: f64, to: f64) -> Vec<Duration> {
        let (period, wanted) = (Duration::from_secs_f64(1.0 / from), Duration::from_secs_f64(1.0 / to));
        let count = (f64::from(seconds) * from) as u32;
        (0..count).map(|n| start + period * n).filter(|time| pace.keeps(*time, wanted)).collect()
    }

    proptest! {
        #[test]
        fn a_lower_rate_is_met_evenly(from in 1.0..60.0f64, share in 0.05..1.0f64) {
            let to = from * share;
            let times = kept(&mut Pace::default(), Duration::from_secs(7), 60, from, to);
            prop_assert!((times.len() as f64 - 60.0 * to).abs() <= 2.0, "{} of {}", times.len(), 60.0 * to);
            let (period, spacing) = (1.0 / to, 1.0 / from);
            for pair in times.windows(2) {
                let apart = (pair[1] - pair[0]).as_secs_f64();
                prop_assert!((apart - period).abs() <= spacing + 1e-6, "{apart} s apart, not {period} s");
            }
        }

        #[test]
        fn a_rate_that_the_run_does_not_reach_leaves_nothing_out(from in 1.0..60.0f64, times in 1.0..5.0f64) {
            let kept = kept(&mut Pace::default(), Duration::ZERO, 10, from, from * times);
            prop_assert_eq!(kept.len(), (10.0 * from) as usize);
        }
    }

    #[test]
    fn jitter_costs_no_picture() {
        let mut pace = Pace::default();
        let period = Duration::from_millis(100);
        for n in 1..100u32 {
            let jitter = Duration::from_millis(u64::from(n * 7 % 13));
            assert!(pace.keeps(period * n + jitter, period), "picture {n}");
        }
    }

    #[test]
    fn a_higher_rate_and_a_pause_take_effect_at_once() {
        let mut pace = Pace::default();
        let seconds = Duration::from_secs;
        assert_eq!(kept(&mut pace, seconds(0), 20, 10.0, 0.1).len(), 2);
        assert_eq!(kept(&mut pace, seconds(20), 1, 10.0, 10.0).len(), 10);
        assert_eq!(kept(&mut pace, seconds(500), 2, 10.0, 5.0).len(), 10);
    }
}
