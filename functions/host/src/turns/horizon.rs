//! For how long there are batches, and so how far one looks back for them.

use std::time::Duration;

/// The setting that tells it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct HorizonArgs {
    /// Days for which batches are kept: as far back it looks, unless it is told otherwise.
    #[arg(
        long,
        env = "TEITEN_FRAMES_RETENTION_DAYS",
        value_name = "DAYS",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=36_500)
    )]
    frames_retention_days: u64,
}

impl HorizonArgs {
    /// How old a window may be that is looked at: so many hours, but no more than batches are kept.
    pub fn horizon(self, hours: Option<u64>) -> Duration {
        let kept = self.frames_retention_days * 24;
        Duration::from_secs(hours.unwrap_or(kept).min(kept) * 3600)
    }
}
