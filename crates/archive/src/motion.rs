//! The shell around [`MotionHour`]: reads and writes what moved in an hour.
//!
//! A segment's event tells its motion map. What an event did not tell, and what was forgotten before it was written down, stands in the
//! head of the segment.

pub(crate) mod hour;
pub(crate) mod mend;

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use teiten_bucket::{Bucket, BucketError, Condition, Put};
use teiten_footage::{
    CameraId, Hour, MotionMap, MotionSettings, MotionSpan, SegmentKey, SensorEvent, SensorKey, SensorState,
    Timestamp, Window, key,
};
use tracing::{error, warn};

use crate::{
    hour::advance::is_over,
    motion::hour::MotionHour,
    shell::{COLLISIONS_MAX, JSON_HEADERS, ShellError},
};

/// How many segments' heads are read at a time.
const HEADS_AT_A_TIME: usize = 8;

/// How many objects of what sensors saw are listed at a time: what one request to S3 gives.
const SENSOR_PAGE: usize = 1000;

/// What is known of an hour, and not written down.
#[derive(Debug, Default)]
pub struct Told {
    /// Segments, with what moves in them, if their events told it.
    pub segments: Vec<(SegmentKey, Option<MotionMap>)>,
    /// How much moves in other windows.
    pub levels: Vec<(Window, u8)>,
    /// What sensors saw.
    pub sensor: Vec<SensorEvent>,
}

/// When began what has ended: in this hour or the one before.
pub async fn sensor_start(
    media: &dyn Bucket,
    camera: &CameraId,
    end: SensorEvent,
) -> Result<Option<Timestamp>, BucketError> {
    let hour = Hour::containing(end.at);
    for hour in [hour, before(hour)] {
        if let Some(seen) = seen_in(media, camera, hour, end).await? {
            return Ok(seen.since);
        }
    }
    Ok(None)
}

fn before(hour: Hour) -> Hour {
    Hour::containing(hour.start() - Duration::from_millis(1))
}

/// What a sensor sees.
#[derive(Debug, Clone, Copy, Default)]
struct SeenBefore {
    /// Since when, if anything.
    since: Option<Timestamp>,
}

/// What a sensor saw last in an hour before `end`; `None` if it saw nothing.
async fn seen_in(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    end: SensorEvent,
) -> Result<Option<SeenBefore>, BucketError> {
    let prefix = key::sensor_prefix(camera, hour);
    let (mut seen, mut after): (Option<SeenBefore>, _) = (None, String::new());
    loop {
        let page = media.list_after(&prefix, &after, SENSOR_PAGE).await?;
        let events = page.iter().filter_map(|object| object.key.parse::<SensorKey>().ok());
        for event in events.map(|key| key.event).filter(|event| *event < end) {
            let at = Timestamp::from_unix_millis(event.at.unix_millis());
            let SeenBefore { since } = seen.get_or_insert_default();
            *since = match event.state {
                SensorState::Started => since.or(Some(at)),
                SensorState::Ended => None,
            };
        }
        match page.last() {
            Some(last) if page.len() == SENSOR_PAGE => after.clone_from(&last.key),
            _ => return Ok(seen),
        }
    }
}

/// Works what is `told` of an hour into its object; answers what that says now, and whether it was written.
pub async fn write_down(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    told: Told,
    settings: &MotionSettings,
    now: Timestamp,
) -> Result<(MotionHour, bool), ShellError> {
    let levels: Vec<_> = stream::iter(told.segments)
        .map(|(segment, motion)| level(media, segment, motion, settings))
        .buffered(HEADS_AT_A_TIME)
        .try_collect()
        .await?;
    let key = key::motion_key(camera, hour);
    for _ in 0..COLLISIONS_MAX {
        let current = read(media, camera, hour).await?;
        let mut motion =
            current.as_ref().map_or_else(|| MotionHour::new(hour), |(motion, ..)| motion.clone());
        for (window, level) in levels.iter().flatten().chain(&told.levels) {
            motion.note(*window, *level);
        }
        told.sensor.iter().for_each(|event| motion.note_sensor(*event));
        if let Some(end) = told.sensor.first().filter(|_| motion.lacks_a_start())
            && let Some(seen) = seen_in(media, camera, before(hour), *end).await?
            && seen.since.is_some()
        {
            motion.note_sensor_before();
        }
        let json = motion.to_json(is_over(hour, now));
        let condition = match current {
            Some((_, bytes, _)) if bytes == json => return Ok((motion, false)),
            Some((.., condition)) => condition,
            None => Condition::IfAbsent,
        };
        if let Put::Stored(_) = media.put(&key, json.into(), JSON_HEADERS, condition).await? {
            return Ok((motion, true));
        }
    }
    Err(ShellError::Contended { key })
}

/// When something moved in an hour, as far as it is written down; `None` if nothing is.
pub(crate) async fn motion_of(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    now: Timestamp,
) -> Result<Option<Vec<MotionSpan>>, BucketError> {
    let Some(object) = media.get(&key::motion_key(camera, hour)).await? else { return Ok(None) };
    Ok(MotionHour::parse(hour, &object.bytes).ok().map(|motion| motion.spans(is_over(hour, now))))
}

/// How much moves in a segment; `None` if it is gone. One that was made without a map counts as still.
async fn level(
    media: &dyn Bucket,
    segment: SegmentKey,
    motion: Option<MotionMap>,
    settings: &MotionSettings,
) -> Result<Option<(Window, u8)>, BucketError> {
    let level = match motion {
        Some(motion) => Some(motion.level(settings)),
        None => read_level(media, &segment, settings).await?,
    };
    Ok(level.map(|level| (segment.window, level)))
}

/// The same from the segment alone.
pub async fn read_level(
    media: &dyn Bucket,
    segment: &SegmentKey,
    settings: &MotionSettings,
) -> Result<Option<u8>, BucketError> {
    let head = media.get_range(&segment.to_string(), 0, MotionMap::SEGMENT_HEAD_BYTES as u64).await?;
    Ok(head.map(|head| level_of_head(&head.bytes, settings)))
}

/// The same from the segment's head.
pub(crate) fn level_of_head(head: &[u8], settings: &MotionSettings) -> u8 {
    MotionMap::of_segment(head).unwrap_or_default().level(settings)
}

/// An hour's object: what it says, its bytes, and the condition under which another may take its place.
pub(crate) async fn read(
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
pub async fn motion_settings(media: &dyn Bucket, camera: &CameraId) -> Result<MotionSettings, BucketError> {
    let key = key::motion_settings_key(camera);
    let Some(object) = media.get(&key).await? else { return Ok(MotionSettings::default()) };
    Ok(MotionSettings::from_json(&object.bytes).unwrap_or_else(|why| {
        error!(%camera, key, %why, "motion settings cannot be used, the usual ones are");
        MotionSettings::default()
    }))
}
