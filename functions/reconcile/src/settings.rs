//! How to reconcile, and for how long.

use std::time::Duration;

use teiten_host::turns::RUN_MAX;

/// How to reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much time there is between two runs, as the schedule has it.
    pub period: Duration,
    /// How long the pipeline may take from a batch to its segment: younger batches are left to it.
    pub delay: Duration,
    /// How old a window may be that is still looked at; no more than batches are kept.
    pub horizon: Duration,
    /// How many batches a run sends again at most, with those that earlier ones sent and that have no segment yet: encoding them
    /// competes with what is live. It is more where many cameras lack some ([`crate::share::room`]).
    pub batches_max: usize,
    /// Over how much time they are spread: many at once would stand before what is live.
    pub spread: Duration,
    /// For how long a run looks farther back than every run does, once it knows which cameras there are. What is left then is the
    /// next one's.
    pub looks: Duration,
    /// How long it takes at most before it leaves to the next one what it could send.
    pub all: Duration,
}

impl Settings {
    /// For a run in each `period`.
    pub fn each(period: Duration) -> Self {
        let time = period.min(RUN_MAX);
        Self {
            period,
            delay: Duration::from_secs(30),
            horizon: Duration::from_secs(24 * 3600),
            batches_max: 1000,
            spread: time * 3 / 4,
            looks: time / 8,
            all: time * 9 / 10,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::each(Duration::from_secs(60))
    }
}
