//! How a source is doing: its state, and what became of the pictures that became none.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::stamper::Rejected;

/// The state of a source, as it changes ([`super::Pictures::health`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Health {
    /// Nothing has come yet, and nothing has failed.
    #[default]
    Starting,
    /// Pictures come.
    Flowing,
    /// There are none, and it is known why; the device is tried again.
    Failing {
        /// What is wrong, and what to do.
        why: String,
    },
    /// There are none, and none will come before the device is plugged in anew or the machine restarts.
    Hung {
        /// What is wrong, and what to do.
        why: String,
    },
}

/// A source none of whose pictures has become a frame for this long gives none that can. (A rate of 0.1/s is the lowest.)
const UNUSABLE_AFTER: Duration = Duration::from_secs(15);

impl Health {
    /// The same, but for a source whose pictures flow and are too large: `rejected` is why the last one became no
    /// frame, and the last frame is `without_frame` ago. That is as known a reason as a missing device, and a restart
    /// of the machine would not mend it.
    pub(crate) fn or_unusable(self, rejected: Option<Rejected>, without_frame: Duration) -> Self {
        match (self, rejected) {
            (Self::Flowing, Some(rejected @ Rejected::TooLarge)) if without_frame >= UNUSABLE_AFTER => {
                Self::Failing { why: format!("its pictures are {rejected}") }
            }
            (health, _) => health,
        }
    }
}

/// Why there was no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A picture was left out because fewer are wanted than the device gives.
    Skipped,
    /// A buffer held no whole picture.
    Torn,
    /// The encoder refused a picture.
    Unencodable,
    /// The device gave nothing for too long.
    Stalled,
    /// The device is not there, or went away.
    Missing,
    /// The device is in use by another program.
    InUse,
    /// The device refuses the settings.
    Refused,
    /// The device failed in another way.
    Failed,
}

impl Loss {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 8] = [
        Self::Skipped,
        Self::Torn,
        Self::Unencodable,
        Self::Stalled,
        Self::Missing,
        Self::InUse,
        Self::Refused,
        Self::Failed,
    ];

    /// Its name in telemetry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Torn => "torn",
            Self::Unencodable => "unencodable",
            Self::Stalled => "stalled",
            Self::Missing => "missing",
            Self::InUse => "in_use",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// How often each [`Loss`] happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Losses([AtomicU64; Loss::ALL.len()]);

impl Losses {
    /// Counts one more.
    pub(crate) fn add(&self, loss: Loss) {
        self.0[loss as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many of them there were.
    pub(crate) fn of(&self, loss: Loss) -> u64 {
        self.0[loss as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_whose_pictures_are_all_too_large_fails_with_what_to_do() {
        let unusable =
            |rejected, seconds| Health::Flowing.or_unusable(rejected, Duration::from_secs(seconds));
        let Health::Failing { why } = unusable(Some(Rejected::TooLarge), 15) else {
            panic!("it does not fail")
        };
        assert_eq!(
            why,
            "its pictures are larger than 1048576 bytes: choose a smaller width and height, or a lower quality, \
             under [source]"
        );
        // One of many, or of few in a long time; and where there is another reason, or the clock is waited for.
        assert_eq!(unusable(Some(Rejected::TooLarge), 14), Health::Flowing);
        assert_eq!(unusable(None, 60), Health::Flowing);
        assert_eq!(unusable(Some(Rejected::ClockNotSet), 60), Health::Flowing);
        let gone = Health::Failing { why: "gone".to_owned() };
        assert_eq!(gone.clone().or_unusable(Some(Rejected::TooLarge), Duration::from_secs(60)), gone);
    }

    #[test]
    fn every_loss_is_counted_by_itself() {
        let losses = Losses::default();
        for (times, loss) in (1..).zip(Loss::ALL) {
            (0..times).for_each(|_| losses.add(loss));
        }
        for (times, loss) in (1..).zip(Loss::ALL) {
            assert_eq!(losses.of(loss), times, "{}", loss.name());
        }
    }
}
