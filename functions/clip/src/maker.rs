//! Making of files: everything up to their first byte.

use std::{sync::Arc, time::Duration};

use mp4_atom::Avc1;
use teiten_archive::{LIVE_AGE_MAX, sample_entry};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, InitKey, Ticks, TimeRange, Timestamp};
use teiten_host::{Clock, Refusal};
use tokio::sync::Semaphore;

use crate::{
    cut::{Cut, Progress},
    file::File,
    measure::{MeasureError, measure},
    movie,
    view::{Keeper, View, next_second},
};

/// How many files are made at a time.
const FILES_AT_A_TIME: usize = 4;

/// How long one waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) camera: CameraId,
    pub(crate) range: TimeRange,
    pub(crate) lapse: Option<u32>,
}

/// Makes files of what is stored in `media`.
#[derive(Debug, Clone)]
pub(crate) struct Maker {
    media: Arc<dyn Bucket>,
    turns: Arc<Semaphore>,
    /// For what is kept of heads, in KiB.
    room: Arc<Semaphore>,
    pub(crate) clock: Clock,
}

impl Maker {
    /// All files together keep so many bytes of heads.
    pub(crate) fn new(media: Arc<dyn Bucket>, kept_bytes_max: usize) -> Self {
        let (turns, room) = (Semaphore::new(FILES_AT_A_TIME), Semaphore::new(kept_bytes_max / 1024));
        Self { media, turns: turns.into(), room: room.into(), clock: Clock::default() }
    }

    /// The file of what is stored now, or was at that time.
    pub(crate) async fn make(self, wanted: Wanted, as_of: Option<Timestamp>) -> Result<File, Refusal> {
        let turn = tokio::time::timeout(TURN_MAX, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| Refusal::unavailable("many files are being made: ask again later"))?;
        let Wanted { camera, range, lapse } = wanted;
        let media = Arc::clone(&self.media);
        let as_of = match as_of {
            Some(as_of) => as_of,
            None => self.next_second(&camera, range).await?,
        };
        let cut = Cut { from: range.from().ticks(), to: range.to().ticks(), lapse };
        let view = View { media, camera, range, as_of, is_of_keyframes: lapse.is_some() };
        let measured = measure(&view, &cut, Keeper::new(&self.room)).await.map_err(|error| match error {
            MeasureError::Bucket(error) => unavailable(error),
            MeasureError::Changes { .. } => Refusal::bad_request(error.to_string()),
        })?;
        let whole = measured.whole().progress;
        let camera = &view.camera;
        if whole.samples == 0 {
            let (from, to) = (range.from(), range.to());
            return Err(Refusal::not_found(format!("there is no footage of {camera} from {from} to {to}")));
        }
        let captured = range.from().max(time_of(whole.start));
        let mut entries = Vec::new();
        for hash in &measured.inits {
            entries.push(self.sample_entry(InitKey { camera: camera.clone(), hash: *hash }).await?);
        }
        let head = movie::head(camera, captured, entries, &whole, &measured.chunks)
            .map_err(|error| Refusal::bad_request(format!("{error}: ask for less")))?;
        let name = file_name(camera, captured, &whole, lapse);
        Ok(File::new(name, view, cut, head, measured))
    }

    /// As of when a file is that is asked for now. Where footage of its range may be on its way, that is awaited: what is written in the
    /// second that has begun is seen by all walks then, and by the first one too.
    async fn next_second(&self, camera: &CameraId, range: TimeRange) -> Result<Timestamp, Refusal> {
        let now = self.clock.now();
        let next = next_second(&*self.media, camera, now).await.map_err(unavailable)?;
        if range.to() + LIVE_AGE_MAX > now {
            // The store's clock may be far ahead of ours, but its second has begun as well.
            let wait = next.since(self.clock.now()).min(Duration::from_secs(1));
            tokio::time::sleep(wait).await;
        }
        Ok(next)
    }

    async fn sample_entry(&self, key: InitKey) -> Result<Avc1, Refusal> {
        let object = self.media.get(&key.to_string()).await.map_err(unavailable)?;
        let object = object.ok_or_else(|| Refusal::unavailable(format!("{key} is not there")))?;
        sample_entry(&object.bytes).map_err(|error| Refusal::unavailable(format!("{key}: {error}")))
    }
}

/// The first microsecond of a tick.
fn time_of(ticks: Ticks) -> Timestamp {
    Timestamp::from_unix_micros((ticks.0 * 100).div_ceil(9))
}

/// `gate-20261123T040501Z-60s.mp4`, `gate-20261123T040501Z-60x.mp4`.
fn file_name(camera: &CameraId, captured: Timestamp, whole: &Progress, lapse: Option<u32>) -> String {
    let start: String = captured.to_string().chars().take("2026-11-23T04:05:01".len()).collect();
    let start = start.replace([':', '-'], "");
    let what = match lapse {
        Some(lapse) => format!("{lapse}x"),
        None => format!("{}s", whole.shown_ticks().div_ceil(Ticks::PER_SECOND.into())),
    };
    format!("{camera}-{start}Z-{what}.mp4")
}

fn unavailable(error: BucketError) -> Refusal {
    Refusal::unavailable(error.to_string())
}
