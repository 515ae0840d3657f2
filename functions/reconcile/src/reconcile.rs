//! The shell around [`crate::plan`]: list, decide, send.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use teiten_bucket::{Bucket, BucketError, Listed};
use teiten_footage::{
    BatchKey, CameraId, Event, Hour, MotionSpan, PackKey, SegmentKey, SensorKey, Timestamp, Window, key,
};
use teiten_host::{Chore, Failure};
use teiten_playlist::{Footage, HEADS_MAX, LIVE_AGE_MAX, LivePlaylist};
use teiten_sink::Sink;
use teiten_telemetry::{
    metrics::function_metrics,
    traces::{Cause, Kind, Step},
};
use tracing::{info, warn};

use crate::{
    archive, cameras,
    left::Left,
    listing::{self, Hours},
    plan::{self, StoredBatch},
    sent::Sent,
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
    /// How many batches a run sends again at most, with those that earlier ones sent and that have no segment yet: encoding them
    /// competes with what is live.
    pub batches_max: usize,
    /// How much time there is between two of them: many at once would stand before what is live.
    pub pause: Duration,
}

impl Settings {
    /// The pause that spreads as many batches as a run may send over three quarters of its period.
    pub const fn pause(period: Duration, batches_max: usize) -> Duration {
        let micros = period.as_micros() as u64 * 3 / 4;
        Duration::from_micros(if batches_max == 0 { micros } else { micros / batches_max as u64 })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (period, batches_max) = (Duration::from_secs(60), 1000);
        Self {
            period,
            delay: Duration::from_secs(30),
            horizon: Duration::from_secs(24 * 3600),
            batches_max,
            pause: Self::pause(period, batches_max),
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

/// Finds what got lost between the parts, and sends its events again.
pub struct Reconcile {
    frames: Arc<dyn Bucket>,
    media: Arc<dyn Bucket>,
    sink: Sink,
    clock: Box<Clock>,
    settings: Settings,
    left: Left,
    sent: Sent,
}

/// How far a run looks.
struct Sight {
    now: Timestamp,
    from: Timestamp,
    /// Whether it is as far as batches are kept: then all that are there are looked at. They are kept by when they were written,
    /// and late ones are of windows long ago.
    is_all: bool,
    /// What earlier runs sent.
    sent: HashSet<BatchKey>,
}

/// What was found of one camera.
struct Found {
    camera: CameraId,
    batches: usize,
    without_segment: WithoutSegment,
    /// Hours with segments.
    filmed: BTreeSet<Hour>,
    newest: Option<Window>,
    /// Segments that can be part of the live playlist.
    live: Vec<Footage>,
    heads_left: usize,
    unlisted: Option<SegmentKey>,
    /// What moved when the camera fell silent, just now.
    cut_off: Option<MotionSpan>,
    has_playlist: bool,
    hours_mended: usize,
    motion_mended: usize,
    archive_rebuilt: bool,
}

/// Batches of one camera that have no segment.
#[derive(Default)]
struct WithoutSegment {
    /// The oldest ones, one more than a run may send.
    oldest: Vec<BatchKey>,
    /// How many there are.
    count: usize,
    /// Those beside them that earlier runs sent.
    awaited: Vec<BatchKey>,
}

impl Found {
    fn nothing_of(camera: CameraId) -> Self {
        Self {
            camera,
            batches: 0,
            without_segment: WithoutSegment::default(),
            filmed: BTreeSet::new(),
            newest: None,
            live: Vec::new(),
            heads_left: HEADS_MAX,
            unlisted: None,
            cut_off: None,
            has_playlist: false,
            hours_mended: 0,
            motion_mended: 0,
            archive_rebuilt: false,
        }
    }
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
        Self {
            frames,
            media,
            sink,
            clock: Box::new(clock),
            settings,
            left: Left::default(),
            sent: Sent::default(),
        }
    }

    async fn look(&self, camera: CameraId, sight: &Sight) -> Result<Found, BucketError> {
        let Sight { now, mut from, is_all, .. } = *sight;
        let mut found = Found::nothing_of(camera.clone());
        let mut batches = if is_all {
            Hours::all(&*self.frames, &camera)
        } else {
            Hours::since(&*self.frames, &camera, from)
        };
        if is_all && let Some(first) = batches.next().await? {
            from = from.min(first.start());
        }
        let mut published = Hours::since(&*self.media, &camera, plan::listed_from(from, now));
        // An hour at a time, for a horizon may be weeks.
        loop {
            let next = (batches.next().await?, published.next().await?);
            let Some(hour) = next.0.into_iter().chain(next.1).min() else { break };
            let batches = batches.take(hour, stored_batch).await?;
            let published = published.take(hour, Some).await?;
            self.look_at_hour(hour, &batches, published, from, sight, &mut found).await?;
        }
        self.look_at_playlist(&mut found, now).await?;
        let period = self.settings.period;
        let survey = plan::is_surveys_turn(now, period);
        found.archive_rebuilt = plan::is_archives_turn(now, period)
            && archive::mend_archive(&*self.media, &camera, &found.filmed, found.newest, now, survey).await?;
        Ok(found)
    }

    async fn look_at_hour(
        &self,
        hour: Hour,
        batches: &[StoredBatch],
        published: Vec<Listed>,
        from: Timestamp,
        sight: &Sight,
        found: &mut Found,
    ) -> Result<(), BucketError> {
        let Sight { now, sent, .. } = sight;
        let (mut segments, mut packs, mut sensor) = (Vec::new(), Vec::new(), Vec::new());
        for object in published {
            if let Ok(key) = object.key.parse::<SensorKey>() {
                sensor.push(key);
            } else if let Ok(key) = object.key.parse::<PackKey>() {
                packs.push(key);
            } else {
                segments.extend(footage(object).filter(|segment| segment.key.window.end() > from));
            }
        }
        // What is about to expire may outlive its segment by a moment.
        let written = *now - self.settings.horizon..=*now - self.settings.delay;
        for key in plan::without_segment(batches, &segments, &packs, &written) {
            found.without_segment.note(key, sent, self.settings.batches_max);
        }
        found.batches += batches.len();
        let (media, camera) = (&*self.media, &found.camera);
        found.hours_mended +=
            usize::from(archive::mend_hour(media, camera, hour, &segments, from, *now).await?);
        found.motion_mended +=
            archive::mend_motion(media, camera, &segments, &sensor, &mut found.heads_left, *now).await?;
        if let Some(newest) =
            segments.iter().map(|segment| segment.key.window).max_by_key(|window| window.start())
        {
            found.filmed.insert(hour);
            found.newest = Some(newest);
        }
        found.live.extend(segments.into_iter().filter(|item| *now < item.key.window.end() + LIVE_AGE_MAX));
        Ok(())
    }

    async fn look_at_playlist(&self, found: &mut Found, now: Timestamp) -> Result<(), BucketError> {
        let camera = &found.camera;
        let Some(object) = self.media.get(&key::live_playlist_key(camera)).await? else {
            found.unlisted = plan::unlisted(None, &found.live, now).cloned();
            // A camera may have a past alone.
            let archive = key::archive_key(camera);
            let listed = self.media.list_after(&archive, "", 1).await?;
            found.has_playlist = listed.first().is_some_and(|listed| listed.key == archive);
            return Ok(());
        };
        found.has_playlist = true;
        match LivePlaylist::parse(camera, &String::from_utf8_lossy(&object.bytes)) {
            Ok(playlist) => {
                let silent = now.since(playlist.next().start());
                // Twice at least, for an event may be lost, and no longer.
                let told = LIVE_AGE_MAX..LIVE_AGE_MAX + 2 * self.settings.period;
                found.cut_off = teiten_playlist::cut_off(&playlist).filter(|_| told.contains(&silent));
                found.unlisted = plan::unlisted(Some(&playlist), &found.live, now).cloned();
            }
            Err(error) => {
                warn!(%camera, %error, "live playlist was not written by Teiten: delete it, and a new one is begun");
            }
        }
        Ok(())
    }

    async fn send(&self, event: &Event) -> Result<(), Failure> {
        // What got lost goes on in its window's trace.
        let step = Step::begin("send again", Kind::Producer, &Cause::window_of(event));
        let sent = self.sink.post(&step.as_cause().of(event)).await;
        sent.inspect_err(|error| step.fail(error)).map_err(|error| Failure::Transient(error.into()))
    }

    /// Tells what the live playlists lack.
    async fn send_live(&self, found: &[Found]) -> Result<usize, Failure> {
        let mut stale = 0;
        for found in found {
            if let Some(span) = found.cut_off {
                self.send(&Event::Motion { camera: found.camera.clone(), span }).await?;
            }
            if let Some(key) = &found.unlisted {
                warn!(camera = %found.camera, %key, "live playlist is stale");
                let bucket = self.media.name().to_owned();
                self.send(&Event::SegmentStored { bucket, key: key.clone(), motion: None }).await?;
                stale += 1;
            }
        }
        Ok(stale)
    }

    /// Sends batches without segments, the oldest first, as many as may be encoded at a time.
    async fn send_batches(&self, found: Vec<WithoutSegment>, report: &mut Report) -> Result<(), Failure> {
        let mut awaited = HashSet::new();
        let mut batches = Vec::new();
        for found in found {
            report.batches_left += found.count;
            batches.extend(found.oldest);
            awaited.extend(found.awaited);
        }
        report.batches_awaited = awaited.len();
        batches.sort_by_key(|key| key.window.start());
        // Where the sink is away, all are left.
        self.left.note(batches.first().map(|key| key.window.start()));
        let room = self.settings.batches_max.saturating_sub(awaited.len());
        let left = batches.split_off(batches.len().min(room));
        for (index, key) in batches.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(self.settings.pause).await;
            }
            let bucket = self.frames.name().to_owned();
            self.send(&Event::BatchStored { bucket, key: key.clone(), frames: None }).await?;
            report.batches_sent += 1;
            report.batches_left -= 1;
        }
        match left.first() {
            Some(left) => {
                let sent = self.sent.note(&batches, &awaited);
                self.left.note(sent.into_iter().chain([left.window.start()]).min());
            }
            None => {
                self.sent.forget();
                self.left.note(None);
            }
        }
        Ok(())
    }
}

impl WithoutSegment {
    /// Notes a batch; the older ones come first.
    fn note(&mut self, key: &BatchKey, sent: &HashSet<BatchKey>, batches_max: usize) {
        if sent.contains(key) {
            self.awaited.push(key.clone());
            return;
        }
        self.count += 1;
        if self.oldest.len() <= batches_max {
            self.oldest.push(key.clone());
        }
    }
}

#[async_trait]
impl Chore for Reconcile {
    const NAME: &'static str = "reconcile";
    const REPORT_KIND: &'static str = "teiten.reconciled";
    type Report = Report;

    async fn run(&self) -> Result<Report, Failure> {
        let now = (self.clock)();
        let Settings { period, horizon, .. } = self.settings;
        let look_back = self.left.look_back(now, period, horizon);
        let (from, is_all) = (now - look_back, look_back >= horizon);
        let sight = Sight { now, from, is_all, sent: self.sent.all() };
        let list = cameras::read(&*self.media).await.map_err(unavailable)?;
        let (filmed, published) =
            tokio::try_join!(listing::folders(&*self.frames), listing::folders(&*self.media))
                .map_err(unavailable)?;
        let found: Vec<Found> = stream::iter(filmed.into_iter().chain(published).collect::<BTreeSet<_>>())
            .map(|camera| self.look(camera, &sight))
            .buffered(CAMERAS_AT_A_TIME)
            .try_collect()
            .await
            .map_err(unavailable)?;

        let mut report = Report {
            looked_back_seconds: look_back.as_secs(),
            cameras: found.iter().filter(|found| found.has_playlist || found.batches > 0).count(),
            batches: found.iter().map(|found| found.batches).sum(),
            hours_mended: found.iter().map(|found| found.hours_mended).sum(),
            motion_mended: found.iter().map(|found| found.motion_mended).sum(),
            archives_rebuilt: found.iter().filter(|found| found.archive_rebuilt).count(),
            playlists_stale: self.send_live(&found).await?,
            ..Report::default()
        };
        let (mut playing, mut without_segment) = (BTreeSet::new(), Vec::new());
        for found in found {
            if let Some(first) = found.without_segment.oldest.first() {
                let count = found.without_segment.count;
                warn!(camera = %found.camera, count, first = %first.window, "batches without segments");
            }
            without_segment.push(found.without_segment);
            playing.extend(found.has_playlist.then_some(found.camera));
        }
        report.cameras_rebuilt = cameras::rebuild(&*self.media, list, playing).await.map_err(unavailable)?;
        report.dead_letters = listing::dead_letters(&*self.frames, now).await.map_err(unavailable)?;
        self.send_batches(without_segment, &mut report).await?;
        count(&report, (self.clock)());
        info!(
            looked_back_seconds = report.looked_back_seconds,
            cameras = report.cameras,
            batches = report.batches,
            batches_sent = report.batches_sent,
            batches_left = report.batches_left,
            batches_awaited = report.batches_awaited,
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
