//! The shell around [`crate::plan`]: list, decide, send.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use teiten_bucket::{Bucket, BucketError, Listed};
use teiten_footage::{BatchKey, CameraId, Event, Hour, PackKey, SensorKey, Timestamp, key};
use teiten_host::{Chore, Failure};
use teiten_playlist::{Footage, LIVE_AGE_MAX, LivePlaylist, PerCamera};
use teiten_sink::Sink;
use teiten_telemetry::{
    metrics::function_metrics,
    traces::{Cause, Kind, Step},
};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    archive, cameras,
    found::{Found, Sight},
    listing::{self, Hours},
    memory::Memory,
    plan::{self, StoredBatch},
    share::{self, Lack},
};

/// Cameras that are looked at at a time.
const CAMERAS_AT_A_TIME: usize = 4;

type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// How long a run may take, whatever the time between two is: who calls for it waits for five minutes, and calls once more then.
pub const RUN_MAX: Duration = Duration::from_secs(240);

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
    /// competes with what is live. It is more where many cameras lack some ([`share::room`]).
    pub batches_max: usize,
    /// Over how much time they are spread: many at once would stand before what is live.
    pub spread: Duration,
    /// For how long a run looks farther back than every run does. What is left then is the next one's.
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

/// What a run found and mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How far it looked back at most, in seconds.
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
    memories: PerCamera<Memory>,
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
        Self { frames, media, sink, clock: Box::new(clock), settings, memories: PerCamera::default() }
    }

    async fn look(&self, camera: CameraId, now: Timestamp, until: Instant) -> Result<Found, BucketError> {
        let Settings { period, horizon, batches_max, .. } = self.settings;
        let (run, memory) = (plan::run_of(&camera, now, period), self.memories.of(&camera));
        let is_newest = memory.is_unanswered();
        let sight = Sight {
            now,
            from: memory.from(plan::look_from(run, now, period, horizon)),
            until,
            sent: memory.all_sent(),
            batches_max: if is_newest { share::of_camera(batches_max) } else { batches_max },
            is_newest,
        };
        let mut found = Found::nothing_of(camera, memory, sight.from);
        self.look_at_hours(&sight, &mut found).await?;
        self.look_at_playlist(&mut found, now).await?;
        let survey = plan::is_surveys_turn(run);
        let (camera, filmed) = (&found.camera, &found.filmed);
        found.archive_rebuilt = plan::is_archives_turn(run)
            && archive::mend_archive(&*self.media, camera, filmed, found.newest, now, survey).await?;
        Ok(found)
    }

    /// An hour at a time, for a horizon may be weeks.
    async fn look_at_hours(&self, sight: &Sight, found: &mut Found) -> Result<(), BucketError> {
        let Sight { now, until, .. } = *sight;
        let (camera, horizon) = (found.camera.clone(), now - self.settings.horizon);
        let mut from = sight.from;
        let mut batches = Hours::since(&*self.frames, &camera, from);
        if from < horizon {
            // What is published is of interest from the first batch on.
            from = batches.next().await?.map_or(horizon, |first| horizon.min(first.start()));
        }
        let mut published = Hours::since(&*self.media, &camera, plan::listed_from(from, now));
        let recent = now - self.settings.period * plan::PERIODS_MIN;
        loop {
            let next = (batches.next().await?, published.next().await?);
            let Some(hour) = next.0.into_iter().chain(next.1).min() else { return Ok(()) };
            if hour.end() <= recent && until <= Instant::now() {
                found.unseen = Some(from.max(hour.start()));
                from = recent;
                batches = Hours::since(&*self.frames, &camera, from);
                published = Hours::since(&*self.media, &camera, plan::listed_from(from, now));
                continue;
            }
            let batches = batches.take(hour, stored_batch).await?;
            let published = published.take(hour, Some).await?;
            self.look_at_hour(hour, &batches, published, from, sight, found).await?;
        }
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
        let now = &sight.now;
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
        let missing = plan::without_segment(batches, &segments, &packs, &written);
        let was_sent =
            |batch: &&StoredBatch| sight.sent.contains(&batch.key) && written.contains(&batch.modified());
        let sent = batches.iter().filter(was_sent).count();
        found.without_segment.note(sent, &missing, sight);
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

    /// Sends batches without segments, as many as may be encoded at a time, of each camera as many as of the others. The oldest go
    /// first; but of a camera of which nothing comes back some of the newest, which the next runs see.
    async fn send_batches(&self, found: &[Found], end: Instant, report: &mut Report) -> Result<(), Failure> {
        let lacks: Vec<Lack> = found.iter().map(Found::lack).collect();
        let batches_max = self.settings.batches_max;
        let room = share::room(batches_max, &lacks);
        let shares = share::share(room, batches_max, &lacks);
        let mut batches: Vec<(usize, usize, &BatchKey)> = Vec::new();
        for (camera, found) in found.iter().enumerate() {
            let first = found.without_segment.first.iter().take(shares[camera]);
            batches.extend(first.enumerate().map(|(index, key)| (camera, index, key)));
            report.batches_left += found.without_segment.count;
            report.batches_awaited += found.without_segment.awaited.len();
        }
        // By turns: whatever there is no time for is not all of one camera.
        batches.sort_by_key(|(_, index, key)| (*index, key.window.start()));
        let mut sent = vec![Vec::new(); found.len()];
        let outcome = self.send_paced(&batches, room, end, &mut sent).await;
        for (found, sent) in found.iter().zip(&sent) {
            report.batches_sent += sent.len();
            report.batches_left -= sent.len();
            found.memory.note(&found.done(sent));
        }
        outcome
    }

    /// Sends `batches`, each that of a camera by its index, and notes in `sent` which were.
    async fn send_paced(
        &self,
        batches: &[(usize, usize, &BatchKey)],
        room: usize,
        end: Instant,
        sent: &mut [Vec<BatchKey>],
    ) -> Result<(), Failure> {
        let pause = self.settings.spread / room.max(1) as u32;
        let mut next = Instant::now();
        for (camera, _, key) in batches {
            tokio::time::sleep_until(next).await;
            next = Instant::now() + pause;
            let bucket = self.frames.name().to_owned();
            self.send(&Event::BatchStored { bucket, key: (*key).clone(), frames: None }).await?;
            sent[*camera].push((*key).clone());
            if end <= next {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Chore for Reconcile {
    const NAME: &'static str = "reconcile";
    const REPORT_KIND: &'static str = "teiten.reconciled";
    type Report = Report;

    async fn run(&self) -> Result<Report, Failure> {
        let now = (self.clock)();
        let begun = Instant::now();
        let Settings { period, horizon, looks, all, .. } = self.settings;
        let list = cameras::read(&*self.media).await.map_err(unavailable)?;
        let (filmed, published) =
            tokio::try_join!(listing::folders(&*self.frames), listing::folders(&*self.media))
                .map_err(unavailable)?;
        let mut looked_at: Vec<CameraId> = filmed.union(&published).cloned().collect();
        // None is always the last one.
        let first = plan::run_number(now, period) as usize % looked_at.len().max(1);
        looked_at.rotate_left(first);
        let found: Vec<Found> = stream::iter(looked_at)
            .map(|camera| self.look(camera, now, begun + looks))
            .buffered(CAMERAS_AT_A_TIME)
            .try_collect()
            .await
            .map_err(unavailable)?;

        let from = found.iter().map(|found| found.from).min().unwrap_or(now);
        let look_back = now.since(from).min(horizon);
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
        for Found { camera, without_segment, .. } in &found {
            if let Some(first) = without_segment.oldest {
                warn!(%camera, count = without_segment.count, %first, "batches without segments");
            }
        }
        let playing =
            found.iter().filter(|found| found.has_playlist).map(|found| found.camera.clone()).collect();
        report.cameras_rebuilt = cameras::rebuild(&*self.media, list, playing).await.map_err(unavailable)?;
        report.dead_letters = listing::dead_letters(&*self.frames, now).await.map_err(unavailable)?;
        self.send_batches(&found, begun + all, &mut report).await?;
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
