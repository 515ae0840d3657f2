//! The shell around [`crate::plan`]: list, read, put together, switch, delete.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use teiten_archive::{
    Archive, CLOSE_AFTER, Cameras, HourPlaylist, Listing, Packed, ShellError, mend_packed_motion, pack,
    read_hour, stored_objects, update_hour,
};
use teiten_bucket::{Bucket, BucketError, Condition, Headers};
use teiten_footage::{CameraId, ContentHash, Hour, InitKey, PackKey, Timestamp, key};
use teiten_host::{Chore, Clock, Failure};
use teiten_telemetry::metrics::function_metrics;
use tracing::{info, warn};

use crate::plan;

const HEADERS: Headers =
    Headers { content_type: "video/mp4", cache_control: "max-age=31536000, immutable", ..Headers::NONE };

/// How many segments are read at a time. A store takes its time for each, and a run has to put together what all cameras film in an
/// hour. They take no memory of their own: all that is put into a pack is held until it is made.
const SEGMENTS_AT_A_TIME: usize = 32;

const _: () =
    assert!(plan::KEPT_AFTER.as_secs() + RUN_MAX.as_secs() < 2 * 3600, "deleted by the run two hours later");

/// The most steps that a playlist takes until it is up to date: an end, and what came late or was put together.
const STEPS_MAX: usize = 3;

/// How often a run is called for.
const RUN_EVERY: Duration = Duration::from_secs(3600);

/// How long a run goes on to further hours, if it is not told otherwise.
const RUN_MAX: Duration = Duration::from_secs(8 * 60);

/// How to compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long after its end an hour is put together.
    pub after: Duration,
    /// How old an hour may be that is still looked at. Up to [`plan::LAST_BEFORE_HORIZON`] before, it is put together.
    pub horizon: Duration,
    /// How long a run goes on to further hours. Less than its caller waits for: it sees the last one through.
    pub run_max: Duration,
}

/// Settings by which some hours, or all, would never be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "hours that are put together {after_minutes} minutes after their end have to be looked at for {horizon_hours} h at least: \
     two runs are to come in time, and four hours are left to delete what is put together"
)]
pub struct SettingsError {
    after_minutes: u64,
    horizon_hours: u64,
}

impl Settings {
    /// These, if two runs at least put an hour together while it is old enough and not too old: one may fail.
    pub fn checked(self) -> Result<Self, SettingsError> {
        let least = self.after + 2 * RUN_EVERY + plan::LAST_BEFORE_HORIZON;
        if least <= self.horizon {
            return Ok(self);
        }
        let (after_minutes, horizon_hours) = (self.after.as_secs() / 60, least.as_secs().div_ceil(3600));
        Err(SettingsError { after_minutes, horizon_hours })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let [after, horizon] = [3600, 12 * 3600].map(Duration::from_secs);
        Self { after, horizon, run_max: RUN_MAX }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Hours that were looked at.
    pub hours: usize,
    /// Packs that were made.
    pub packs: usize,
    /// Segments in them.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Objects that were deleted, as a pack counts in their place.
    pub deleted: usize,
    /// Hours of which it was written down anew what moved.
    pub motion_mended: usize,
    /// Hours that could not be dealt with; the log says why.
    pub failed: usize,
    /// Cameras that it was not done with when its time was over.
    pub cameras_left: usize,
}

/// Puts hours together.
#[derive(Debug)]
pub struct Compact {
    media: Arc<dyn Bucket>,
    clock: Clock,
    settings: Settings,
}

impl Compact {
    /// Puts together what is in `media`.
    pub fn new(media: Arc<dyn Bucket>, settings: Settings) -> Self {
        Self::with_clock(media, settings, teiten_telemetry::now)
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(
        media: Arc<dyn Bucket>,
        settings: Settings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { media, clock: Clock::new(clock), settings }
    }

    /// The hours of a camera that are old enough, and not too old.
    async fn hours(&self, camera: &CameraId, now: Timestamp) -> Result<Vec<Hour>, ShellError> {
        let Some(object) = self.media.get(&key::archive_key(camera)).await? else { return Ok(Vec::new()) };
        let archive = Archive::parse(&object.bytes)
            .map_err(|error| ShellError::Foreign { key: key::archive_key(camera), why: error.to_string() })?;
        let after = self.settings.after.max(CLOSE_AFTER);
        let is_due = |hour: &Hour| hour.end() + after <= now && now < hour.end() + self.settings.horizon;
        Ok(archive.hours().filter(is_due).collect())
    }

    async fn hour(
        &self,
        camera: &CameraId,
        hour: Hour,
        now: Timestamp,
        until: Timestamp,
        report: &mut Report,
    ) -> Result<(), ShellError> {
        let media = &*self.media;
        let stored = stored_objects(media, camera, hour).await?;
        let before = read_hour(media, camera, hour).await?.filter(HourPlaylist::ended);
        let is_settled = before.as_ref().is_some_and(|playlist| plan::is_settled(playlist, &stored));
        let playlist = match &before {
            // Of most hours nothing else is to be asked for.
            Some(playlist) if is_settled => Some(playlist.clone()),
            // What an interrupted run has put together is listed by this.
            _ => self.up_to_date(camera, hour, now).await?,
        };
        let Some(playlist) = playlist else { return Ok(()) };
        if mend_packed_motion(media, &playlist, &stored.sensor, now).await? {
            report.motion_mended += 1;
        }
        if is_settled {
            return Ok(());
        }
        let may_be_put_together = now + plan::LAST_BEFORE_HORIZON < hour.end() + self.settings.horizon;
        if may_be_put_together && plan::is_quiet(&stored, now) {
            let runs = plan::runs(&playlist, &stored);
            for run in runs.iter().take_while(|_| !self.is_over(until)) {
                let as_of = plan::as_of(run, &stored);
                report.bytes += self.put_together(camera, run, as_of).await?;
                report.packs += 1;
                report.segments += run.len();
            }
            if !runs.is_empty() {
                self.up_to_date(camera, hour, now).await?;
                return Ok(());
            }
        }
        let superseded = plan::superseded(&playlist, &stored, now);
        // Whoever plays by a playlist from before this run, or by one of a short while ago, needs them still.
        if superseded.is_empty()
            || before != Some(playlist)
            || !self.is_of_long_ago(&key::hour_playlist_key(camera, hour), now).await?
        {
            return Ok(());
        }
        media.delete_all(&superseded).await?;
        report.deleted += superseded.len();
        Ok(())
    }

    /// Whether an object was written so long ago that nobody plays by what was there before it.
    async fn is_of_long_ago(&self, key: &str, now: Timestamp) -> Result<bool, BucketError> {
        let listed = self.media.list_after(key, "", 1).await?;
        let written = listed.first().filter(|object| object.key == key);
        Ok(written.is_some_and(|object| plan::is_of_long_ago(object.modified_unix_millis, now)))
    }

    /// Whether a run's time is over.
    fn is_over(&self, until: Timestamp) -> bool {
        self.clock.now() >= until
    }

    /// The playlist of an hour, up to date; `None` if there is none, or if it is not ended.
    async fn up_to_date(
        &self,
        camera: &CameraId,
        hour: Hour,
        now: Timestamp,
    ) -> Result<Option<HourPlaylist>, ShellError> {
        for _ in 0..STEPS_MAX {
            if update_hour(&*self.media, camera, hour, now).await?.is_none() {
                break;
            }
        }
        Ok(read_hour(&*self.media, camera, hour).await?.filter(HourPlaylist::ended))
    }

    /// What was listed, or is named by that, is not there: the next run lists anew.
    fn gone(&self, key: &str) -> ShellError {
        let (bucket, key, why) = (self.media.name().to_owned(), key.to_owned(), "it is gone".to_owned());
        BucketError::Unavailable { bucket, operation: "get", key, why }.into()
    }

    /// Makes a pack of a run of segments; answers its size.
    async fn put_together(
        &self,
        camera: &CameraId,
        run: &[Listing],
        as_of: Timestamp,
    ) -> Result<u64, ShellError> {
        let keys: Vec<String> = run.iter().map(|listing| listing.object(camera)).collect();
        let segments: Vec<Bytes> = stream::iter(keys)
            .map(|key| async move { self.read(&key).await })
            .buffered(SEGMENTS_AT_A_TIME)
            .try_collect()
            .await?;
        let Listing { window: first, init, .. } = run[0];
        let packed: Vec<Packed<'_>> = run.iter().zip(&segments).map(packed).collect();
        let bytes = pack(
            &self.read(&InitKey { camera: camera.clone(), hash: init }.to_string()).await?,
            first,
            &packed,
        );
        let (camera, count, hash) = (camera.clone(), run.len() as u32, ContentHash::of(&bytes));
        let key = PackKey { camera, first, count, init, as_of, hash };
        let size = bytes.len() as u64;
        // Refused is fine: another run has made the same.
        self.media.put(&key.to_string(), bytes, HEADERS, Condition::IfAbsent).await?;
        Ok(size)
    }

    async fn read(&self, key: &str) -> Result<Bytes, ShellError> {
        let object = self.media.get(key).await?;
        object.map(|object| object.bytes).ok_or_else(|| self.gone(key))
    }
}

fn packed<'a>((listing, bytes): (&Listing, &'a Bytes)) -> Packed<'a> {
    Packed { bytes, keyframe_bytes: listing.keyframe_bytes().unwrap_or(bytes.len() as u32) }
}

#[async_trait]
impl Chore for Compact {
    const NAME: &'static str = "compact";
    const REPORT_KIND: &'static str = "teiten.compacted";
    type Report = Report;

    async fn run(&self) -> Result<Report, Failure> {
        let now = self.clock.now();
        let list = self.media.get(key::CAMERAS_KEY).await.map_err(Failure::transient)?;
        let cameras = match list {
            None => Cameras::default(),
            Some(object) => Cameras::parse(&object.bytes)
                .map_err(|error| Failure::Permanent(anyhow::anyhow!("{}: {error}", key::CAMERAS_KEY)))?,
        };
        let cameras: Vec<CameraId> = cameras.cameras.into_iter().collect();
        let mut report = Report { cameras_left: cameras.len(), ..Report::default() };
        let mut failure = None;
        // What is not ours costs itself only; a store that fails is asked again.
        let mut note = |error: ShellError| match error {
            ShellError::Foreign { .. } => {}
            error => _ = failure.get_or_insert(error),
        };
        let until = now + self.settings.run_max;
        for camera in plan::order(cameras.len(), now).map(|index| &cameras[index]) {
            let hours = self.hours(camera, now).await.unwrap_or_else(|error| {
                warn!(%camera, %error, "camera not compacted");
                report.failed += 1;
                note(error);
                Vec::new()
            });
            for hour in hours.into_iter().take_while(|_| !self.is_over(until)) {
                report.hours += 1;
                if let Err(error) = self.hour(camera, hour, now, until, &mut report).await {
                    warn!(%camera, %hour, %error, "hour not compacted");
                    report.failed += 1;
                    note(error);
                }
            }
            if self.is_over(until) {
                break;
            }
            report.cameras_left -= 1;
        }
        let Report { hours, packs, segments, bytes, deleted, motion_mended, failed, cameras_left } =
            report.clone();
        info!(hours, packs, segments, bytes, deleted, motion_mended, failed, cameras_left, "compacted");
        function_metrics().cameras_left.set(cameras_left as i64);
        if let Some(error) = failure {
            return Err(Failure::Transient(error.into()));
        }
        function_metrics().compacted(self.clock.now());
        Ok(report)
    }
}
