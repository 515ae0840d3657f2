//! The turns of chores: what number a run has, how far it looks back, at which camera it begins, and what the last one left to it.
//! The numbers follow from the time, so that nothing has to be remembered for them.

mod horizon;
mod left;

use std::time::Duration;

use teiten_footage::{CameraId, ContentHash, Timestamp};

pub use horizon::HorizonArgs;
pub use left::Left;

/// How long a run may take, whatever the time between two is: who calls for it waits for five minutes, and calls once more then.
pub const RUN_MAX: Duration = Duration::from_secs(240);

/// How many periods every run looks back at least.
pub const PERIODS_MIN: u32 = 5;

/// The number of the run of this time for a camera, if there is one in each `period`. Each camera counts from elsewhere, so that what is
/// done by every 1024th run is not done for all of them by one.
pub fn run_of(camera: &CameraId, now: Timestamp, period: Duration) -> u64 {
    run_number(now, period).wrapping_add(ContentHash::of(camera.as_str().as_bytes()).to_u64())
}

/// The same for all cameras. Rounded, so that runs that start a little early or late still get successive numbers.
pub fn run_number(now: Timestamp, period: Duration) -> u64 {
    (now + period / 2).unix_micros() / (period.as_micros().max(1) as u64)
}

/// How far a run looks back: five periods, every second run twice as far, every fourth four times, and so on up to `horizon`.
///
/// So a batch is looked at every minute while it is young, and half as often whenever its age has doubled. This
/// is all the back-off that one needs which can never be encoded, without anything remembered of it; and the listing
/// of a whole horizon is shared among many runs.
pub fn look_back(run: u64, period: Duration, horizon: Duration) -> Duration {
    let doublings = run.trailing_zeros().min(16);
    let least = period * PERIODS_MIN;
    least.saturating_mul(1 << doublings).min(horizon.max(least))
}

/// From when on that run looks at windows. One that looks as far as batches are kept looks at all that are there: they are kept by
/// when they were written, and late ones are of windows long ago.
pub fn look_from(run: u64, now: Timestamp, period: Duration, horizon: Duration) -> Timestamp {
    let look_back = look_back(run, period, horizon);
    if look_back >= horizon { Timestamp::Y2020 } else { now - look_back }
}

/// At which of so many cameras the run of this number begins. Where a run does not have the time for all, the same ones would be left
/// each time if all began at one place; the golden ratio spreads the places, so that none waits for long.
pub fn first_of(cameras: usize, run: u64) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    ((u128::from(run.wrapping_mul(GOLDEN)) * cameras as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const NOON: Timestamp = Timestamp::from_unix_millis(1_795_435_200_000);

    fn camera() -> CameraId {
        CameraId::new("gate").unwrap()
    }

    #[test]
    fn every_second_run_looks_twice_as_far_up_to_the_horizon() {
        let look_back = |run: u64| look_back(run, MINUTE, 6 * HOUR).as_secs() / 60;
        let runs: Vec<u64> = (1..=16).map(look_back).collect();
        assert_eq!(runs, [5, 10, 5, 20, 5, 10, 5, 40, 5, 10, 5, 20, 5, 10, 5, 80]);
        assert_eq!((look_back(32), look_back(64)), (160, 320));
        assert!((1..=128).map(look_back).all(|minutes| minutes <= 360));
    }

    #[test]
    fn a_run_that_looks_as_far_as_the_horizon_looks_at_all_that_is_there() {
        let look_from = |run| look_from(run, NOON, MINUTE, 6 * HOUR);
        assert_eq!(look_from(64), NOON - MINUTE * 320);
        assert_eq!(look_from(128), Timestamp::Y2020);
    }

    proptest! {
        /// However old a batch is, it is looked at again before its age has doubled; and no more than a few
        /// times while it doubles.
        #[test]
        fn what_cannot_be_encoded_is_tried_a_few_times_while_its_age_doubles(
            first_minute in 0_u32..1_000_000,
            jitter_millis in proptest::collection::vec(0_u64..20_000, 640),
            octave in 0_u32..6,
        ) {
            let stored = NOON + MINUTE * first_minute;
            let young = PERIODS_MIN << octave;
            let tries = (young..2 * young)
                .filter(|age| {
                    let late = Duration::from_millis(jitter_millis[*age as usize]);
                    let now = stored + MINUTE * *age + late;
                    let run = run_of(&camera(), now, MINUTE);
                    stored >= now - look_back(run, MINUTE, 6 * HOUR)
                })
                .count();
            prop_assert!((1..=PERIODS_MIN as usize).contains(&tries), "{tries} tries");
        }
    }
}
