//! Makes motion of a sensor's level. A passive infrared sensor holds its level for seconds, but long wires pick up
//! spikes, and some sensors let go for a moment between two movements.

use std::time::{Duration, Instant};

/// A level that is active for less than this is a spike.
pub(crate) const STARTED_AFTER: Duration = Duration::from_millis(50);
/// Motion has ended once the level was inactive for this long.
pub(crate) const ENDED_AFTER: Duration = Duration::from_secs(2);

/// Whether something moves.
#[derive(Debug)]
pub(crate) struct Motion {
    moving: bool,
    active: bool,
    /// When `active` last changed.
    changed: Instant,
    /// Since when the level was inactive before it became active.
    quiet: Instant,
}

impl Motion {
    pub(crate) fn new(now: Instant) -> Self {
        Self { moving: false, active: false, changed: now, quiet: now }
    }

    /// The sensor's level, and since when it has it.
    pub(crate) fn level(&mut self, active: bool, since: Instant) {
        if active == self.active {
            return;
        }
        let is_spike = !active && since.saturating_duration_since(self.changed) < STARTED_AFTER;
        if active {
            self.quiet = self.changed;
        }
        self.active = active;
        // A spike does not end the quiet that motion ends with.
        self.changed = if is_spike { self.quiet } else { since };
    }

    /// Whether something moves, as far as was said.
    pub(crate) fn is_moving(&self) -> bool {
        self.moving
    }

    /// Nobody will look any more: when motion ended that was said to go on.
    pub(crate) fn stop(&mut self, now: Instant) -> Option<Instant> {
        std::mem::take(&mut self.moving).then_some(if self.active { now } else { self.changed })
    }

    /// When [`Motion::poll`] has something to say, unless the level changes before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let lasts = if self.active { STARTED_AFTER } else { ENDED_AFTER };
        (self.active != self.moving).then(|| self.changed + lasts)
    }

    /// Motion that has started (`true`) or ended by `now`, and when it did.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<(bool, Instant)> {
        if self.due()? > now {
            return None;
        }
        self.moving = self.active;
        Some((self.moving, self.changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn motion_starts_with_a_level_that_lasts_and_ends_some_time_after_it() {
        let start = Instant::now();
        let mut motion = Motion::new(start);
        assert_eq!(motion.due(), None);
        motion.level(true, start);
        assert_eq!(motion.poll(start + 49 * MS), None);
        assert_eq!(motion.poll(motion.due().unwrap()), Some((true, start)));
        assert_eq!((motion.due(), motion.poll(start + 500 * MS)), (None, None));
        let end = start + 3000 * MS;
        motion.level(false, end);
        assert_eq!(motion.poll(end + 1999 * MS), None);
        assert_eq!(motion.poll(end + 2000 * MS), Some((false, end)));
    }

    #[test]
    fn motion_that_goes_on_ends_with_whoever_looks() {
        let start = Instant::now();
        let mut motion = Motion::new(start);
        motion.level(true, start);
        assert_eq!(motion.stop(start + 10 * MS), None, "it was not said yet");
        assert!(motion.poll(start + 50 * MS).is_some() && motion.is_moving());
        motion.level(false, start + 900 * MS);
        assert_eq!(motion.stop(start + 1000 * MS), Some(start + 900 * MS));
        assert_eq!(motion.stop(start + 1000 * MS), None);
    }

    #[test]
    fn a_spike_is_no_motion() {
        let start = Instant::now();
        let mut motion = Motion::new(start);
        for spike in 0..10 {
            motion.level(true, start + 100 * spike * MS);
            motion.level(false, start + (100 * spike + 20) * MS);
            assert_eq!(motion.due(), None);
        }
    }

    #[test]
    fn a_spike_does_not_put_off_the_end() {
        let start = Instant::now();
        let mut motion = Motion::new(start);
        motion.level(true, start);
        assert!(motion.poll(start + 50 * MS).is_some());
        let end = start + 3000 * MS;
        motion.level(false, end);
        for spike in 1..4 {
            motion.level(true, end + 500 * spike * MS);
            motion.level(false, end + (500 * spike + 20) * MS);
            assert_eq!(motion.poll(end + (500 * spike + 20) * MS), None);
        }
        assert_eq!(motion.poll(end + 2000 * MS), Some((false, end)));
    }

    #[test]
    fn motion_goes_on_through_a_gap() {
        let start = Instant::now();
        let mut motion = Motion::new(start);
        motion.level(true, start);
        assert!(motion.poll(start + 50 * MS).is_some());
        motion.level(false, start + 1000 * MS);
        motion.level(true, start + 2500 * MS);
        assert_eq!((motion.due(), motion.poll(start + 5000 * MS)), (None, None));
    }

    #[test]
    fn the_same_level_again_does_not_put_it_off() {
        let start = Instant::now();
        let mut motion = Motion::new(start);
        motion.level(true, start);
        motion.level(true, start + 40 * MS);
        assert_eq!(motion.poll(start + 50 * MS), Some((true, start)));
    }
}
