//! Drivers' times: CLOCK_MONOTONIC becomes wall time here and nowhere else.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use teiten_footage::Timestamp;

/// A buffer that is older than this was not stamped with CLOCK_MONOTONIC.
const AGE_MAX: Duration = Duration::from_secs(10);

/// When a picture was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// On CLOCK_MONOTONIC.
    pub(super) monotonic: Duration,
    /// On the wall clock.
    pub(super) wall: Timestamp,
}

impl Taken {
    /// What a driver's time means, given what both clocks show now. A time that is no recent monotonic one (some
    /// drivers leave it at zero or use the wall clock) counts as now.
    pub(super) fn new(stamp: Duration, monotonic_now: Duration, wall_now: Timestamp) -> Self {
        match monotonic_now.checked_sub(stamp) {
            Some(age) if age <= AGE_MAX => Self { monotonic: stamp, wall: wall_now - age },
            _ => Self { monotonic: monotonic_now, wall: wall_now },
        }
    }
}

/// CLOCK_MONOTONIC, which drivers stamp their buffers with.
pub(super) fn monotonic_now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_406_701_234);

    #[test]
    fn a_drivers_time_becomes_wall_time() {
        let now = Duration::from_secs(1000);
        let age = Duration::from_micros(33_333);
        assert_eq!(Taken::new(now - age, now, NOW), Taken { monotonic: now - age, wall: NOW - age });
        for stamp in [Duration::ZERO, Duration::from_secs(1_795_406_701)] {
            assert_eq!(Taken::new(stamp, now, NOW), Taken { monotonic: now, wall: NOW });
        }
    }

    #[test]
    fn the_monotonic_clock_is_the_one_that_linux_counts_from_boot() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // /proc/uptime also counts time spent asleep.
        assert!(monotonic_now().as_secs_f64() <= uptime + 1.0);
        assert!(monotonic_now() > Duration::ZERO);
    }
}
