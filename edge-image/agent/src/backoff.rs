//! Waits between attempts: doubled each time up to a limit, with jitter, so that many cameras that lost one
//! broker do not come back in step.

use std::time::Duration;

/// The next wait, and how far it may grow.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// How long to wait now: between `min` and `max`.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.next.mul_f64(rand::random_range(0.7..1.3));
        self.next = (self.next * 2).min(self.max);
        wait.clamp(self.min, self.max)
    }

    /// All is well: the next wait is the shortest again.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_min_to_max_and_start_again_after_a_reset() {
        let (min, max) = (Duration::from_millis(200), Duration::from_secs(10));
        let mut backoff = Backoff::new(min, max);
        let waits: Vec<Duration> = (0..20).map(|_| backoff.wait()).collect();
        assert!(waits.iter().all(|wait| (min..=max).contains(wait)), "{waits:?}");
        assert!(
            waits[0] < Duration::from_millis(261) && waits[10..].iter().all(|wait| *wait >= max.mul_f64(0.7))
        );
        backoff.reset();
        assert!(backoff.wait() < Duration::from_millis(261));
    }
}
