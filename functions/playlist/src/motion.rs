//! The shell around [`MotionHour`]: what moved, written down once a minute in the wake of events, and by `reconcile`
//! for what was not told.
//!
//! A segment's event tells its motion map, so that a minute's maps cost no request. What an event did not tell, and what
//! was forgotten before it was written down, stands in the head of the segment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Put};
use teiten_footage::{CameraId, Hour, MotionMap, MotionSettings, SegmentKey, Timestamp, key};
use tracing::{error, warn};

use crate::{
    advance::Footage,
    function::{COLLISIONS_MAX, ShellError},
    hour_advance::{cutoff, is_over},
    motion_hour::MotionHour,
    per_camera::PerCamera,
};

/// The most segments of one camera that are remembered for not being written down; `reconcile` finds the others.
const TOLD_MAX: usize = 1024;

/// The most segments of one camera whose heads one run reads.
const HEADS_MAX: usize = 600;
const HEADS_AT_A_TIME: usize = 8;

/// How long something may be overdue before `reconcile` sees to it.
const OVERDUE_MAX: Duration = Duration::from_secs(150);

const HEADERS: Headers = Headers { content_type: "application/json", cache_control: "no-cache" };

/// Keeps `<camera>/<yyyy-mm-dd>/<hh>.motion.json` of every camera.
#[derive(Debug)]
pub(crate) struct Motions {
    media: Arc<dyn Bucket>,
    cameras: PerCamera<Memory>,
}

/// What is remembered of a camera.
#[derive(Debug, Default)]
struct Memory {
    told: Mutex<BTreeMap<String, (SegmentKey, Option<MotionMap>)>>,
    work: tokio::sync::Mutex<Work>,
}

/// Where one at a time is at work.
#[derive(Debug, Default)]
struct Work {
    /// The cutoff of the last versions that were tried.
    tried: Timestamp,
    /// Hours that were written and not over then.
    open: BTreeSet<Hour>,
}

impl Motions {
    pub(crate) fn new(media: Arc<dyn Bucket>) -> Self {
        Self { media, cameras: PerCamera::default() }
    }

    /// Works in what moved in `segment`, and writes it down with what came before, if the time for that has come
    /// and nobody else is at it.
    pub(crate) async fn segment_stored(
        &self,
        segment: &SegmentKey,
        motion: Option<MotionMap>,
        now: Timestamp,
    ) -> Result<(), ShellError> {
        let camera = &segment.camera;
        let memory = self.cameras.of(camera);
        memory.note(segment, motion);
        let Ok(mut work) = memory.work.try_lock() else { return Ok(()) };
        let cutoff = cutoff(camera, now);
        if cutoff <= work.tried {
            return Ok(());
        }
        work.tried = cutoff;
        let told = std::mem::take(&mut *memory.told());
        let mut hours: BTreeMap<Hour, Vec<(SegmentKey, Option<MotionMap>)>> =
            work.open.iter().map(|hour| (*hour, Vec::new())).collect();
        for (segment, motion) in told.into_values() {
            hours.entry(Hour::of(segment.window)).or_default().push((segment, motion));
        }
        for (hour, told) in hours {
            write_down(&*self.media, camera, hour, told, now).await?;
            if is_over(hour, now) {
                work.open.remove(&hour);
            } else {
                work.open.insert(hour);
            }
        }
        Ok(())
    }
}

impl Memory {
    fn note(&self, segment: &SegmentKey, motion: Option<MotionMap>) {
        let mut told = self.told();
        if told.len() < TOLD_MAX {
            told.insert(segment.to_string(), (segment.clone(), motion));
        }
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, (SegmentKey, Option<MotionMap>)>> {
        // No statement that holds the lock can leave the map half changed.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what moved in those of `segments` (of a camera) whose events were lost, and ends what was not ended.
/// Answers how many hours were written.
pub async fn mend_motion(
    media: &dyn Bucket,
    camera: &CameraId,
    segments: &[Footage],
    now: Timestamp,
) -> Result<usize, ShellError> {
    let overdue = (now - OVERDUE_MAX).unix_millis();
    let mut hours: BTreeMap<Hour, Vec<&Footage>> = BTreeMap::new();
    for segment in segments {
        hours.entry(Hour::of(segment.key.window)).or_default().push(segment);
    }
    let (mut left, mut mended) = (HEADS_MAX, 0);
    for (hour, segments) in hours {
        let motion = read(media, camera, hour).await?;
        let known = motion.as_ref().map(|(known, ..)| known);
        let is_due = |segment: &&Footage| {
            segment.modified_unix_millis <= overdue
                && known.is_none_or(|known| !known.knows(segment.key.window))
        };
        let due: Vec<_> = segments.into_iter().filter(is_due).take(left).collect();
        let is_ended = motion.as_ref().is_none_or(|(known, bytes, _)| known.to_json(true) == *bytes);
        if due.is_empty() && (is_ended || !is_over(hour, now - OVERDUE_MAX)) {
            continue;
        }
        left -= due.len();
        let untold = due.into_iter().map(|segment| (segment.key.clone(), None)).collect();
        mended += usize::from(write_down(media, camera, hour, untold, now).await?);
    }
    Ok(mended)
}

/// Works what is `told` of an hour's segments into its object; says whether it was written.
async fn write_down(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    told: Vec<(SegmentKey, Option<MotionMap>)>,
    now: Timestamp,
) -> Result<bool, ShellError> {
    let settings = settings(media, camera).await?;
    let levels: Vec<_> = stream::iter(told)
        .map(|(segment, motion)| level(media, segment, motion, &settings))
        .buffered(HEADS_AT_A_TIME)
        .try_collect()
        .await?;
    let key = key::motion_key(camera, hour);
    for _ in 0..COLLISIONS_MAX {
        let current = read(media, camera, hour).await?;
        let mut motion =
            current.as_ref().map_or_else(|| MotionHour::new(hour), |(motion, ..)| motion.clone());
        for (window, level) in levels.iter().flatten() {
            motion.note(*window, *level);
        }
        let json = motion.to_json(is_over(hour, now));
        let condition = match current {
            Some((_, bytes, _)) if bytes == json => return Ok(false),
            Some((.., condition)) => condition,
            None => Condition::IfAbsent,
        };
        if let Put::Stored(_) = media.put(&key, json.into(), HEADERS, condition).await? {
            return Ok(true);
        }
    }
    Err(ShellError::Contended { key })
}

/// How much moves in a segment; `None` if it is gone. One that was made without a map counts as still.
async fn level(
    media: &dyn Bucket,
    segment: SegmentKey,
    motion: Option<MotionMap>,
    settings: &MotionSettings,
) -> Result<Option<(teiten_footage::Window, u8)>, BucketError> {
    let motion = match motion {
        Some(motion) => motion,
        None => {
            let head = media.get_range(&segment.to_string(), 0, MotionMap::SEGMENT_HEAD_BYTES as u64).await?;
            let Some(head) = head else { return Ok(None) };
            MotionMap::of_segment(&head.bytes).unwrap_or_default()
        }
    };
    Ok(Some((segment.window, motion.level(settings))))
}

/// An hour's object: what it says, its bytes, and the condition under which another may take its place.
async fn read(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
) -> Result<Option<(MotionHour, Bytes, Condition)>, ShellError> {
    let key = key::motion_key(camera, hour);
    let Some(object) = media.get(&key).await? else { return Ok(None) };
    match MotionHour::parse(hour, &object.bytes) {
        Ok(motion) => Ok(Some((motion, object.bytes, Condition::IfMatch(object.etag)))),
        Err(why) => {
            // All of it can be read from the segments again.
            warn!(key, why, "what moved in an hour was not written by Teiten, and is written anew");
            Ok(Some((MotionHour::new(hour), object.bytes, Condition::IfMatch(object.etag))))
        }
    }
}

/// The camera's settings. A mistake in them is told, and costs no more than what they were to change.
async fn settings(media: &dyn Bucket, camera: &CameraId) -> Result<MotionSettings, BucketError> {
    let key = key::motion_settings_key(camera);
    let Some(object) = media.get(&key).await? else { return Ok(MotionSettings::default()) };
    Ok(MotionSettings::from_json(&object.bytes).unwrap_or_else(|why| {
        error!(%camera, key, %why, "motion settings cannot be used, the usual ones are");
        MotionSettings::default()
    }))
}
