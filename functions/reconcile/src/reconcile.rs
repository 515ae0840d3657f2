//! The shell around [`crate::plan`]: list, decide, send.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use teiten_bucket::{Bucket, BucketError, Listed};
use teiten_footage::{BatchKey, CameraId, Event, MotionSpan, PackKey, SegmentKey, SensorKey, Timestamp, key};
use teiten_host::{Chore, Failure};
use teiten_playlist::{Footage, LIVE_AGE_MAX, LivePlaylist};
use teiten_sink::Sink;
use teiten_telemetry::{
    metrics::function_metrics,
    traces::{Cause, Kind, Step},
};
use tracing::{info, warn};

use crate::{
    archive, cameras, listing,
    plan::{self, StoredBatch},
};

/// Cameras that are looked at at a time.
const CAMERAS_AT_A_TIME: usize = 4;

type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// How to reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much time there is between two runs, as the schedule has it.
    pub period: Duration,
    /// How long the pipeline may take from a batch to its segment: younger batches are left to it.
    pub delay: Duration,
    /// How old a window may be that is still looked at; no more than batches are kept.
    pub horizon: Duration,
    /// How many batches a run sends again at most: encoding them competes with what is live.
    pub batches_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(60),
            delay: Duration::from_secs(30),
            horizon: Duration::from_secs(24 * 3600),
            batches_max: 1000,
        }
    }
}

/// What a run found and mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How far it looked back, in seconds.
    pub looked_back_seconds: u64,
    /// Cameras that have something in a bucket.
    pub cameras: usize,
    /// Batches that it looked at.
    pub batches: usize,
    /// Batches without segments whose events were sent again.
    pub batches_sent: usize,
    /// More of them, left for later runs.
    pub batches_left: usize,
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

/// Finds what got lost between the parts, and sends its events again.
pub struct Reconcile {
    frames: Arc<dyn Bucket>,
    media: Arc<dyn Bucket>,
    sink: Sink,
    clock: Box<Clock>,
    settings: Settings,
    /// The start of the oldest window that the last run found without a segment, and did not send: the next one looks as far
    /// back. What forgets it (a process that ends) only costs time, until a run looks as far again by itself.
    left: Mutex<Option<Timestamp>>,
}

/// What was found of one camera.
struct Found {
    camera: CameraId,
    batches: usize,
    without_segment: Vec<BatchKey>,
    unlisted: Option<SegmentKey>,
    /// What moved when the camera fell silent, just now.
    cut_off: Option<MotionSpan>,
    has_playlist: bool,
    hours_mended: usize,
    motion_mended: usize,
    archive_rebuilt: bool,
}

impl Reconcile {
    /// Compares `frames` with `media`, and sends events to `sink`.
    pub fn new(frames: Arc<dyn Bucket>, media: Arc<dyn Bucket>, sink: Sink, settings: Settings) -> Self {
        Self::with_clock(frames, media, sink, settings, teiten_telemetry::now)
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(
        frames: Arc<dyn Bucket>,
        media: Arc<dyn Bucket>,
        sink: Sink,
        settings: Settings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { frames, media, sink, clock: Box::new(clock), settings, left: Mutex::default() }
    }

    async fn look(&self, camera: CameraId, from: Timestamp, now: Timestamp) -> Result<Found, BucketError> {
        // Batches first: what is encoded meanwhile is then seen.
        let batches = listing::since(&*self.frames, &camera, from, stored_batch).await?;
        let (mut segments, mut packs, mut sensor) = (Vec::new(), Vec::new(), Vec::new());
        for object in listing::since(&*self.media, &camera, plan::listed_from(from, now), Some).await? {
            if let Ok(key) = object.key.parse::<SensorKey>() {
                sensor.push(key);
            } else if let Ok(key) = object.key.parse::<PackKey>() {
                packs.push(key);
            } else {
                segments.extend(footage(object).filter(|segment| segment.key.window.end() > from));
            }
        }
        let without_segment = plan::without_segment(&batches, &segments, &packs, now, self.settings.delay);
        let without_segment = without_segment.into_iter().cloned().collect();
        let playlist = self.media.get(&key::live_playlist_key(&camera)).await?;
        let mut cut_off = None;
        let unlisted = match &playlist {
            None => plan::unlisted(None, &segments, now).cloned(),
            Some(object) => {
                let text = String::from_utf8_lossy(&object.bytes);
                match LivePlaylist::parse(&camera, &text) {
                    Ok(playlist) => {
                        let silent = now.since(playlist.next().start());
                        // Twice at least, for an event may be lost, and no longer.
                        let told = LIVE_AGE_MAX..LIVE_AGE_MAX + 2 * self.settings.period;
                        cut_off = teiten_playlist::cut_off(&playlist).filter(|_| told.contains(&silent));
                        plan::unlisted(Some(&playlist), &segments, now).cloned()
                    }
                    Err(error) => {
                        warn!(%camera, %error, "live playlist was not written by Teiten: delete it, and a new one is begun");
                        None
                    }
                }
            }
        };
        let hours_mended = archive::mend_hours(&*self.media, &camera, &segments, from, now).await?;
        let motion_mended = archive::mend_motion(&*self.media, &camera, &segments, &sensor, now).await?;
        let period = self.settings.period;
        let survey = plan::is_surveys_turn(now, period);
        let archive_rebuilt = plan::is_archives_turn(now, period)
            && archive::mend_archive(&*self.media, &camera, &segments, now, survey).await?;
        // A camera may have a past alone.
        let has_playlist = playlist.is_some() || self.media.get(&key::archive_key(&camera)).await?.is_some();
        Ok(Found {
            camera,
            batches: batches.len(),
            without_segment,
            unlisted,
            cut_off,
            has_playlist,
            hours_mended,
            motion_mended,
            archive_rebuilt,
        })
    }

    async fn send(&self, event: &Event) -> Result<(), Failure> {
        // What got lost goes on in its window's trace.
        let step = Step::begin("send again", Kind::Producer, &Cause::window_of(event));
        let sent = self.sink.post(&step.as_cause().of(event)).await;
        sent.inspect_err(|error| step.fail(error)).map_err(|error| Failure::Transient(error.into()))
    }

    fn look_back(&self, now: Timestamp) -> Duration {
        let Settings { period, horizon, .. } = self.settings;
        match *self.left() {
            Some(left) => plan::look_back_to(left, now, period, horizon),
            None => plan::look_back(now, period, horizon),
        }
    }

    fn leave(&self, oldest: Option<&&BatchKey>) {
        *self.left() = oldest.map(|key| key.window.start());
    }

    fn left(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Chore for Reconcile {
    const NAME: &'static str = "reconcile";
    const REPORT_KIND: &'static str = "teiten.reconciled";
    type Report = Report;

    async fn run(&self) -> Result<Report, Failure> {
        let now = (self.clock)();
        let look_back = self.look_back(now);
        let list = cameras::read(&*self.media).await.map_err(unavailable)?;
        let (filmed, published) =
            tokio::try_join!(listing::folders(&*self.frames), listing::folders(&*self.media))
                .map_err(unavailable)?;
        let found: Vec<Found> = stream::iter(filmed.into_iter().chain(published).collect::<BTreeSet<_>>())
            .map(|camera| self.look(camera, now - look_back, now))
            .buffered(CAMERAS_AT_A_TIME)
            .try_collect()
            .await
            .map_err(unavailable)?;

        let mut batches: Vec<&BatchKey> = found.iter().flat_map(|found| &found.without_segment).collect();
        batches.sort_by_key(|key| key.window.start());
        // Where the sink is away, all are left.
        self.leave(batches.first());
        let left = batches.split_off(batches.len().min(self.settings.batches_max));

        let mut report = Report {
            looked_back_seconds: look_back.as_secs(),
            cameras: found.iter().filter(|found| found.has_playlist || found.batches > 0).count(),
            batches: found.iter().map(|found| found.batches).sum(),
            batches_left: left.len(),
            hours_mended: found.iter().map(|found| found.hours_mended).sum(),
            motion_mended: found.iter().map(|found| found.motion_mended).sum(),
            archives_rebuilt: found.iter().filter(|found| found.archive_rebuilt).count(),
            ..Report::default()
        };
        for found in &found {
            if let Some(span) = found.cut_off {
                self.send(&Event::Motion { camera: found.camera.clone(), span }).await?;
            }
            if let Some(first) = found.without_segment.first() {
                let count = found.without_segment.len();
                warn!(camera = %found.camera, count, first = %first.window, "batches without segments");
            }
            if let Some(key) = &found.unlisted {
                warn!(camera = %found.camera, %key, "live playlist is stale");
                let bucket = self.media.name().to_owned();
                self.send(&Event::SegmentStored { bucket, key: key.clone(), motion: None }).await?;
                report.playlists_stale += 1;
            }
        }
        for key in batches {
            let bucket = self.frames.name().to_owned();
            self.send(&Event::BatchStored { bucket, key: key.clone(), frames: None }).await?;
            report.batches_sent += 1;
        }
        self.leave(left.first());
        let playing = found.into_iter().filter(|found| found.has_playlist).map(|found| found.camera);
        report.cameras_rebuilt =
            cameras::rebuild(&*self.media, list, playing.collect()).await.map_err(unavailable)?;
        report.dead_letters = listing::dead_letters(&*self.frames, now).await.map_err(unavailable)?;
        count(&report, (self.clock)());
        info!(
            looked_back_seconds = report.looked_back_seconds,
            cameras = report.cameras,
            batches = report.batches,
            batches_sent = report.batches_sent,
            batches_left = report.batches_left,
            playlists_stale = report.playlists_stale,
            hours_mended = report.hours_mended,
            motion_mended = report.motion_mended,
            archives_rebuilt = report.archives_rebuilt,
            cameras_rebuilt = report.cameras_rebuilt,
            dead_letters = report.dead_letters,
            "reconciled"
        );
        Ok(report)
    }
}

impl fmt::Debug for Reconcile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconcile")
            .field("frames", &self.frames)
            .field("media", &self.media)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn count(report: &Report, now: Timestamp) {
    let metrics = function_metrics();
    metrics.batches_sent.inc_by(report.batches_sent as u64);
    metrics.batches_left.set(report.batches_left as i64);
    metrics.playlists_stale.inc_by(report.playlists_stale as u64);
    metrics.cameras_rebuilt.inc_by(u64::from(report.cameras_rebuilt));
    metrics.dead_letters.set(report.dead_letters as i64);
    metrics.reconciled(now);
}

/// Even a store that refuses is asked again by the next run: someone mends its set-up.
fn unavailable(error: BucketError) -> Failure {
    Failure::Transient(error.into())
}

fn stored_batch(object: Listed) -> Option<StoredBatch> {
    let key = object.key.parse().ok()?;
    Some(StoredBatch { key, modified_unix_millis: object.modified_unix_millis })
}

fn footage(object: Listed) -> Option<Footage> {
    let key = object.key.parse().ok()?;
    let Listed { modified_unix_millis, size_bytes, .. } = object;
    Some(Footage { key, modified_unix_millis, size_bytes })
}
