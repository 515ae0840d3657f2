//! What a run found and mended, in numbers.

use std::time::Duration;

use serde::Serialize;
use teiten_footage::Timestamp;
use teiten_telemetry::metrics::function_metrics;
use tracing::info;

use crate::found::Found;

/// What a run found and mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How far it looked back at most, in seconds, at a camera of which it left out nothing on the way.
    pub looked_back_seconds: u64,
    /// Cameras at which it had no time to look as far back as it should.
    pub cameras_unseen: usize,
    /// Cameras that have footage, or had some a short while ago.
    pub cameras: usize,
    /// Batches that it looked at.
    pub batches: usize,
    /// Batches without segments whose events were sent again.
    pub batches_sent: usize,
    /// More of them, left for later runs.
    pub batches_left: usize,
    /// Those that earlier runs sent, and that have no segment yet.
    pub batches_awaited: usize,
    /// Cameras whose live playlist was stale: the event of their newest segment was sent again.
    pub playlists_stale: usize,
    /// Playlists of hours that were brought up to date.
    pub hours_mended: usize,
    /// Hours of which it was written down anew what moved.
    pub motion_mended: usize,
    /// Cameras whose `archive.json` was written anew.
    pub archives_rebuilt: usize,
    /// Whether `cameras.json` was written anew.
    pub cameras_rebuilt: bool,
    /// Dead letters of the last 24 hours that are kept, up to a thousand: nothing that it mends.
    pub dead_letters: usize,
}

impl Report {
    /// What was found and mended of all cameras, and nothing else yet.
    pub(crate) fn of(found: &[Found], now: Timestamp, horizon: Duration) -> Self {
        let seen_from = found.iter().map(Found::seen_from).min().unwrap_or(now);
        Self {
            looked_back_seconds: now.since(seen_from).min(horizon).as_secs(),
            cameras_unseen: found.iter().filter(|found| found.unseen.is_some()).count(),
            cameras: found.iter().filter(|found| found.is_listed || found.batches > 0).count(),
            batches: found.iter().map(|found| found.batches).sum(),
            hours_mended: found.iter().map(|found| found.hours_mended).sum(),
            motion_mended: found.iter().map(|found| found.motion_mended).sum(),
            archives_rebuilt: found.iter().filter(|found| found.archive_rebuilt).count(),
            ..Self::default()
        }
    }

    /// Tells it to the log, and to whoever asks for numbers.
    pub(crate) fn tell(&self) {
        let metrics = function_metrics();
        metrics.batches_sent.inc_by(self.batches_sent as u64);
        metrics.batches_left.set(self.batches_left as i64);
        metrics.cameras_unseen.set(self.cameras_unseen as i64);
        metrics.playlists_stale.inc_by(self.playlists_stale as u64);
        metrics.cameras_rebuilt.inc_by(u64::from(self.cameras_rebuilt));
        metrics.dead_letters.set(self.dead_letters as i64);
        info!(
            looked_back_seconds = self.looked_back_seconds,
            cameras_unseen = self.cameras_unseen,
            cameras = self.cameras,
            batches = self.batches,
            batches_sent = self.batches_sent,
            batches_left = self.batches_left,
            batches_awaited = self.batches_awaited,
            playlists_stale = self.playlists_stale,
            hours_mended = self.hours_mended,
            motion_mended = self.motion_mended,
            archives_rebuilt = self.archives_rebuilt,
            cameras_rebuilt = self.cameras_rebuilt,
            dead_letters = self.dead_letters,
            "reconciled"
        );
    }
}
