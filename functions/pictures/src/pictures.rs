//! The shell: list batches, see what is missing, read a frame for it, write by compare-and-swap.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use serde::Serialize;
use teiten_bucket::{
    Bucket, Condition, ETag, Headers, Put,
    listing::{self, Hours},
};
use teiten_encode::jpeg::Decoder;
use teiten_footage::{
    BatchKey, CameraId, Frame, Hour, Timestamp, batch,
    key::{self, BatchFormat},
    limits::FRAME_BYTES_MAX,
};
use teiten_host::{
    Chore, Clock, Failure, PerCamera,
    turns::{self, Left, RUN_MAX},
};
use teiten_telemetry::metrics::function_metrics;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    sheet::{SLOT_SECONDS, SLOTS, Sheet, TILE_HEIGHT_MAX, TILE_WIDTH, to_jpeg},
    thumbnail,
};

/// Cameras that are looked at at a time: each takes the memory of a sheet and of a decoded frame.
const CAMERAS_AT_A_TIME: usize = 2;

/// So many batches are looked into for a thumbnail: the first frame of one may be damaged.
const BATCHES_OF_SLOT_MAX: usize = 3;

/// So many batches are read at a time for what is missing of an hour: six are in a usual run, which waits for the store more than for the
/// decoder.
const FRAMES_AT_A_TIME: usize = 8;

/// The most of a batch that is read at first: most frames are smaller.
const FIRST_BYTES: usize = 256 << 10;

const JPEG: Headers = Headers { content_type: "image/jpeg", cache_control: "no-cache", ..Headers::NONE };
const INDEX: Headers = Headers { content_type: "text/vtt", cache_control: "no-cache", ..Headers::NONE };

/// How pictures are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much time there is between two runs, as the schedule has it.
    pub period: Duration,
    /// How old a batch may be that is still looked at; no more than batches are kept.
    pub horizon: Duration,
    /// How many thumbnails a run makes for one camera at most: one that was away for hours must not hold up the others.
    pub thumbnails_max: usize,
    /// For how long a run makes thumbnails: what is missing then is the next one's.
    pub time_max: Duration,
    /// For how long it goes on to further cameras, to make posters at least.
    pub cameras_time_max: Duration,
}

impl Settings {
    /// For a run in each `period`: it is over before the next one is called for, which would wait for it.
    pub fn each(period: Duration) -> Self {
        let time = period.min(RUN_MAX);
        Self {
            period,
            horizon: Duration::from_secs(24 * 3600),
            thumbnails_max: SLOTS,
            time_max: time * 9 / 10,
            cameras_time_max: time * 19 / 20,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::each(Duration::from_secs(60))
    }
}

/// What a run made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How far it looked back at most, in seconds.
    pub looked_back_seconds: u64,
    /// Cameras that have batches.
    pub cameras: usize,
    /// Posters that it wrote.
    pub posters: usize,
    /// Thumbnails that it put on sheets.
    pub thumbnails: usize,
    /// Sheets that it wrote.
    pub sheets: usize,
    /// Cameras of which it left something to later runs.
    pub cameras_left: usize,
}

/// Keeps the pictures of every camera.
#[derive(Debug)]
pub struct Pictures {
    frames: Arc<dyn Bucket>,
    media: Arc<dyn Bucket>,
    clock: Clock,
    settings: Settings,
    /// Of each camera the oldest thumbnail that the last run did not make.
    left: PerCamera<Left>,
}

impl Pictures {
    /// Makes pictures of batches in `frames`, and writes them to `media`.
    pub fn new(frames: Arc<dyn Bucket>, media: Arc<dyn Bucket>, settings: Settings) -> Self {
        Self::with_clock(frames, media, settings, teiten_telemetry::now)
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(
        frames: Arc<dyn Bucket>,
        media: Arc<dyn Bucket>,
        settings: Settings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { frames, media, clock: Clock::new(clock), settings, left: PerCamera::default() }
    }

    /// Looks at the batches of one camera, and makes thumbnails until `end`.
    async fn camera(&self, camera: CameraId, now: Timestamp, end: Instant) -> Result<Report, Failure> {
        let left = self.left.of(&camera);
        let Settings { period, horizon, thumbnails_max, .. } = self.settings;
        let run = turns::run_of(&camera, now, period);
        // What is left may be of windows before the horizon: it goes on there, and not at the oldest each time.
        let from = turns::look_from(run, now, period, horizon);
        let from = left.oldest().map_or(from, |left| left.min(from));
        let recent = now - turns::look_back(1, period, horizon);
        let mut hours = Hours::since(&*self.frames, &camera, from);
        let looked_back_seconds = now.since(from).min(horizon).as_secs();
        let mut report = Report { looked_back_seconds, ..Report::default() };
        let mut room = Room { thumbnails: thumbnails_max, end, oldest_left: None };
        let (mut newest, mut failure) = (None, None);
        while let Some(hour) = hours.next().await.map_err(Failure::transient)? {
            if room.is_over() && hour.end() <= recent {
                room.leave(hour.start());
                hours = Hours::since(&*self.frames, &camera, recent);
                continue;
            }
            let batches = hours.take(hour, |listed| listed.key.parse::<BatchKey>().ok());
            let mut batches = batches.await.map_err(Failure::transient)?;
            batches.retain(|key| key.format == BatchFormat::Mjpeg);
            if room.oldest_left.is_none() && !batches.is_empty() {
                let slots = batches_of_slots(hour, &batches);
                match self.hour(&camera, hour, slots, &mut room).await {
                    Ok((thumbnails, sheets)) => {
                        report.thumbnails += thumbnails;
                        report.sheets += sheets;
                    }
                    // Other hours have sheets of their own, and there is a poster to be made.
                    Err(error) => _ = failure.get_or_insert(error),
                }
            }
            newest = batches.pop().or(newest);
        }
        if failure.is_none() {
            left.note(room.oldest_left);
        }
        report.cameras_left = usize::from(room.oldest_left.is_some());
        report.cameras = usize::from(newest.is_some());
        // What came since the run before this, and a little more: a run may be late.
        let is_new = |key: &BatchKey| key.window.end() + 2 * period > now;
        if let Some(newest) = newest.filter(is_new)
            && let Some(frame) = self.first_frame(&newest).await?
        {
            report.posters += usize::from(self.write_poster(&camera, frame).await?);
        }
        failure.map_or(Ok(report), Err)
    }

    /// Puts what is missing on the sheet of an hour, as far as there is room, and writes its index if that is another. Answers how
    /// many thumbnails and sheets were made.
    async fn hour(
        &self,
        camera: &CameraId,
        hour: Hour,
        slots: BTreeMap<usize, Vec<BatchKey>>,
        room: &mut Room,
    ) -> Result<(usize, usize), Failure> {
        let sheet_key = key::sheet_key(camera, hour);
        let (mut sheet, condition) = self.read_sheet(&sheet_key).await?;
        let missing =
            slots.into_iter().filter(|(slot, _)| sheet.as_ref().is_none_or(|sheet| !sheet.has(*slot)));
        let mut missing: Vec<(usize, Vec<BatchKey>)> = missing.collect();
        room.take(hour, &mut missing);
        let (mut made, mut failure) = (0, None);
        let end = room.end;
        let mut first_frames = stream::iter(missing)
            .map(|(slot, batches)| async move {
                let first = match batches.first() {
                    Some(batch) if Instant::now() < end => self.first_frame(batch).await,
                    _ => Ok(None),
                };
                (slot, batches, first)
            })
            .buffered(FRAMES_AT_A_TIME);
        while let Some((slot, batches, first)) = first_frames.next().await {
            if end <= Instant::now() {
                room.leave(start_of(hour, slot));
                break;
            }
            let mut first = Some(first);
            for batch in batches {
                let frame = match first.take() {
                    Some(first) => first,
                    None if end <= Instant::now() => {
                        room.leave(start_of(hour, slot));
                        break;
                    }
                    None => self.first_frame(&batch).await,
                };
                // A single object can be damaged for good: the others' thumbnails are made.
                let frame = frame.unwrap_or_else(|error| {
                    failure.get_or_insert(error);
                    None
                });
                let Some(frame) = frame else { continue };
                match put(sheet.take(), slot, frame.jpeg).await? {
                    Ok(with_it) => {
                        sheet = Some(with_it);
                        made += 1;
                        break;
                    }
                    Err((without, why)) => {
                        sheet = without;
                        warn!(%camera, key = %batch, why, "no thumbnail of a frame");
                    }
                }
            }
        }
        let Some(sheet) = sheet else { return failure.map_or(Ok((0, 0)), Err) };
        if made > 0 {
            let jpeg = sheet.to_jpeg().map_err(|error| Failure::Permanent(error.into()))?;
            let written =
                self.media.put(&sheet_key, jpeg, JPEG, condition).await.map_err(Failure::transient)?;
            if written == Put::Refused {
                // Another run was quicker; the next one finds what is missing then.
                return failure.map_or(Ok((0, 0)), Err);
            }
        }
        // The sheet first: an index never names what is not there.
        self.write_index(camera, hour, &sheet).await?;
        failure.map_or(Ok((made, usize::from(made > 0))), Err)
    }

    async fn read_sheet(&self, key: &str) -> Result<(Option<Sheet>, Condition), Failure> {
        let Some(object) = self.media.get(key).await.map_err(Failure::transient)? else {
            return Ok((None, Condition::IfAbsent));
        };
        let condition = |etag: ETag| Condition::IfMatch(etag);
        match Sheet::parse(&object.bytes) {
            Ok(sheet) => Ok((Some(sheet), condition(object.etag))),
            Err(error) => {
                warn!(key, %error, "a sheet is begun anew");
                Ok((None, condition(object.etag)))
            }
        }
    }

    async fn write_index(&self, camera: &CameraId, hour: Hour, sheet: &Sheet) -> Result<(), Failure> {
        let index_key = key::sheet_index_key(camera, hour);
        let file = key::sheet_key(camera, hour);
        let (_, file) = file.rsplit_once('/').context("a key has folders").map_err(Failure::Permanent)?;
        let index = Bytes::from(sheet.to_vtt(file));
        let current = self.media.get(&index_key).await.map_err(Failure::transient)?;
        if current.is_none_or(|current| current.bytes != index) {
            self.media.put(&index_key, index, INDEX, Condition::Always).await.map_err(Failure::transient)?;
        }
        Ok(())
    }

    /// The first frame of a batch; `None` if the batch is gone or has none.
    async fn first_frame(&self, key: &BatchKey) -> Result<Option<Frame>, Failure> {
        let name = key.to_string();
        for bytes_max in [FIRST_BYTES, 2 * FRAME_BYTES_MAX] {
            let Some(object) =
                self.frames.get_range(&name, 0, bytes_max as u64).await.map_err(Failure::transient)?
            else {
                return Ok(None);
            };
            let is_all = object.bytes.len() < bytes_max;
            let first = batch::parse(key.window, &object.bytes)
                .batch
                .and_then(|batch| batch.frames().first().cloned());
            if first.is_some() || is_all {
                return Ok(first);
            }
        }
        Ok(None)
    }

    /// Writes a camera's poster, stamped as its frame is; whether it could.
    async fn write_poster(&self, camera: &CameraId, frame: Frame) -> Result<bool, Failure> {
        let (id, captured) = (frame.id, frame.captured);
        let poster = blocking(move || {
            let picture =
                thumbnail::poster(&mut Decoder::new(), &frame.jpeg).map_err(|error| error.to_string())?;
            let jpeg = to_jpeg(&picture).map_err(|error| error.to_string())?;
            Frame::stamp(&jpeg, id, captured).map_err(|error| error.to_string())
        });
        match poster.await? {
            Ok(poster) => {
                let key = key::poster_key(camera);
                self.media
                    .put(&key, poster.jpeg, JPEG, Condition::Always)
                    .await
                    .map_err(Failure::transient)?;
                Ok(true)
            }
            Err(why) => {
                warn!(%camera, frame = %id, why, "no poster of a frame");
                Ok(false)
            }
        }
    }
}

/// `sheet`, or a new one, with a thumbnail of `jpeg` in a slot; or as it was, and why.
async fn put(
    sheet: Option<Sheet>,
    slot: usize,
    jpeg: Bytes,
) -> Result<Result<Sheet, (Option<Sheet>, String)>, Failure> {
    blocking(move || {
        let mut decoder = Decoder::new();
        let height = match &sheet {
            Some(sheet) => Ok(sheet.height()),
            None => thumbnail::height(&mut decoder, &jpeg, TILE_WIDTH, TILE_HEIGHT_MAX),
        };
        let picture = height.and_then(|height| thumbnail::thumbnail(&mut decoder, &jpeg, TILE_WIDTH, height));
        let picture = match picture {
            Ok(picture) => picture,
            Err(error) => return Err((sheet, error.to_string())),
        };
        let mut sheet = sheet.unwrap_or_else(|| Sheet::new(picture.size.height()));
        match sheet.put(slot, &picture) {
            Ok(()) => Ok(sheet),
            Err(error) => Err((Some(sheet), error.to_string())),
        }
    })
    .await
}

/// Runs what takes the CPU for milliseconds where it holds up nothing.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::Permanent(anyhow!("a frame made the decoder panic: {error}")))
}

/// What a run can still do for a camera.
struct Room {
    thumbnails: usize,
    /// When it has to come to an end.
    end: Instant,
    /// When the first thumbnail is that is left for the next run.
    oldest_left: Option<Timestamp>,
}

impl Room {
    /// Leaves what there is no room for of what is `missing` in an hour, by slot.
    fn take(&mut self, hour: Hour, missing: &mut Vec<(usize, Vec<BatchKey>)>) {
        if let Some((slot, _)) = missing.get(self.thumbnails) {
            self.leave(start_of(hour, *slot));
        }
        missing.truncate(self.thumbnails);
        self.thumbnails -= missing.len();
    }

    /// Whether nothing more is made, of what is not new at least.
    fn is_over(&self) -> bool {
        self.oldest_left.is_some() || self.end <= Instant::now()
    }

    fn leave(&mut self, from: Timestamp) {
        self.oldest_left = Some(self.oldest_left.map_or(from, |left| left.min(from)));
    }
}

/// When a slot of an hour begins.
fn start_of(hour: Hour, slot: usize) -> Timestamp {
    hour.start() + Duration::from_secs(SLOT_SECONDS) * slot as u32
}

/// The first batches of each ten seconds of an hour.
fn batches_of_slots(hour: Hour, batches: &[BatchKey]) -> BTreeMap<usize, Vec<BatchKey>> {
    let mut slots: BTreeMap<usize, Vec<BatchKey>> = BTreeMap::new();
    for key in batches {
        let into = key.window.start().since(hour.start());
        let batches = slots.entry((into.as_secs() / SLOT_SECONDS) as usize).or_default();
        if batches.len() < BATCHES_OF_SLOT_MAX {
            batches.push(key.clone());
        }
    }
    slots
}

#[async_trait]
impl Chore for Pictures {
    const NAME: &'static str = "pictures";
    const REPORT_KIND: &'static str = "teiten.pictures.made";
    type Report = Report;

    async fn run(&self) -> Result<Report, Failure> {
        let now = self.clock.now();
        let begun = Instant::now();
        let Settings { period, time_max, cameras_time_max, .. } = self.settings;
        let (end, cameras_end) = (begun + time_max, begun + cameras_time_max);
        let cameras = listing::folders(&*self.frames).await.map_err(Failure::transient)?;
        let mut cameras: Vec<CameraId> = cameras.into_iter().collect();
        let first = turns::first_of(cameras.len(), turns::run_number(now, period));
        cameras.rotate_left(first);
        let mut reports = stream::iter(cameras)
            .map(|camera| async move {
                if cameras_end <= Instant::now() {
                    return (Ok(Report { cameras_left: 1, ..Report::default() }), camera);
                }
                (self.camera(camera.clone(), now, end).await, camera)
            })
            .buffered(CAMERAS_AT_A_TIME);
        let mut total = Report::default();
        let mut failure = None;
        while let Some((report, camera)) = reports.next().await {
            let report = match report {
                Ok(report) => report,
                // The others go on: a single object can be damaged for good.
                Err(error) => {
                    warn!(%camera, %error, "camera without new pictures");
                    failure.get_or_insert(error);
                    continue;
                }
            };
            total.looked_back_seconds = total.looked_back_seconds.max(report.looked_back_seconds);
            total.cameras += report.cameras;
            total.posters += report.posters;
            total.thumbnails += report.thumbnails;
            total.sheets += report.sheets;
            total.cameras_left += report.cameras_left;
        }
        let Report { looked_back_seconds, cameras, posters, thumbnails, sheets, cameras_left } = total;
        info!(looked_back_seconds, cameras, posters, thumbnails, sheets, cameras_left, "pictures made");
        function_metrics().pictures_left.set(cameras_left as i64);
        failure.map_or(Ok(total), Err)
    }
}
