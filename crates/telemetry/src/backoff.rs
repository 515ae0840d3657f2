//! How long to wait before trying again.

use std::time::Duration;

use rand::Rng;

/// Exponential back-off with jitter: each wait is between half and all of twice the one before, up to a
/// maximum, so that many who failed together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits of about `first`, then twice that, and so on up to `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// How long to wait now.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Goes straight to the longest wait: a quick retry cannot help.
    pub fn wait_longest(&mut self) -> Duration {
        self.next = self.max;
        self.wait()
    }

    /// It worked: the next failure starts anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_start_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        for expected in [200, 400, 800, 1600, 3200, 5000, 5000] {
            let wait = backoff.wait().as_millis();
            assert!(wait <= expected && wait * 2 >= expected, "{wait} ms of {expected}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(200));
        assert!(backoff.wait_longest() >= Duration::from_millis(2500));
    }
}
