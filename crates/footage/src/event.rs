//! What Teiten's parts tell each other and whoever else subscribes, as CloudEvents.
//!
//! An event's id is made of what happened, so an event that is sent again has the same id.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    camera::CameraId,
    cloudevent::CloudEvent,
    hash::ContentHash,
    key::{BatchKey, SegmentKey, SensorKey},
    motion::{MotionMap, MotionSource, MotionSpan},
    notification::ObjectCreated,
    sensor::SensorEvent,
    time::Timestamp,
    window::Window,
};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `teiten.batch.stored`: a batch is in the bucket, or was merged with late frames.
    BatchStored {
        /// The bucket.
        bucket: String,
        /// The batch.
        key: BatchKey,
        /// Which frames are in it; unknown where a storage's own notification was the source.
        frames: Option<ContentHash>,
    },
    /// `teiten.segment.stored`: a segment and its init section are in the bucket.
    SegmentStored {
        /// The bucket.
        bucket: String,
        /// The segment.
        key: SegmentKey,
        /// What moved in it; unknown where a listing or a storage's own notification was the source. The segment
        /// itself tells it.
        motion: Option<MotionMap>,
    },
    /// `teiten.window.missed`: a camera gave nothing for a window, and its last frame is too old to hold.
    WindowMissed {
        /// The camera.
        camera: CameraId,
        /// The window.
        window: Window,
    },
    /// `teiten.sensor.changed`: a camera's sensor saw something begin or end.
    SensorChanged {
        /// The camera.
        camera: CameraId,
        /// What it saw.
        event: SensorEvent,
    },
    /// `teiten.motion.started`, and `teiten.motion.ended` where the span has an end.
    Motion {
        /// The camera.
        camera: CameraId,
        /// What moved.
        span: MotionSpan,
    },
}

/// A CloudEvent that is none of Teiten's, or is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Its type is not ours.
    #[error(
        "event type {kind:?} is none of teiten.batch.stored, teiten.segment.stored, teiten.window.missed, teiten.sensor.changed, teiten.motion.started, teiten.motion.ended"
    )]
    UnknownType {
        /// The type.
        kind: String,
    },
    /// Its data lacks something, or it is wrong.
    #[error("event {id:?} of type {kind}: {why}")]
    Malformed {
        /// The id.
        id: String,
        /// The type.
        kind: String,
        /// What is wrong.
        why: String,
    },
    /// A stored object that is neither a batch nor a segment.
    #[error("object {key:?} in bucket {bucket:?} is neither a batch nor a segment")]
    OtherObject {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
}

impl Event {
    /// The type of [`Event::BatchStored`].
    pub const BATCH_STORED: &str = "teiten.batch.stored";
    /// The type of [`Event::SegmentStored`].
    pub const SEGMENT_STORED: &str = "teiten.segment.stored";
    /// The type of [`Event::WindowMissed`].
    pub const WINDOW_MISSED: &str = "teiten.window.missed";
    /// The type of [`Event::SensorChanged`].
    pub const SENSOR_CHANGED: &str = "teiten.sensor.changed";
    /// The type of [`Event::Motion`] without an end.
    pub const MOTION_STARTED: &str = "teiten.motion.started";
    /// The type of [`Event::Motion`] with an end.
    pub const MOTION_ENDED: &str = "teiten.motion.ended";

    /// The camera it is about: the CloudEvent's subject.
    pub fn camera(&self) -> &CameraId {
        match self {
            Self::BatchStored { key, .. } => &key.camera,
            Self::SegmentStored { key, .. } => &key.camera,
            Self::WindowMissed { camera, .. }
            | Self::SensorChanged { camera, .. }
            | Self::Motion { camera, .. } => camera,
        }
    }

    /// The window it is about, if it is about one.
    pub fn window(&self) -> Option<Window> {
        if let Self::BatchStored { key, .. } = self {
            Some(key.window)
        } else if let Self::SegmentStored { key, .. } = self {
            Some(key.window)
        } else if let Self::WindowMissed { window, .. } = self {
            Some(*window)
        } else {
            None
        }
    }

    /// This as a CloudEvent, without a time.
    pub fn to_cloud_event(&self) -> CloudEvent {
        let (kind, source, id) = match self {
            Self::BatchStored { key, frames: Some(frames), .. } => {
                (Self::BATCH_STORED, BRIDGE, format!("{key}#{frames}"))
            }
            Self::BatchStored { key, frames: None, .. } => (Self::BATCH_STORED, BRIDGE, key.to_string()),
            Self::SegmentStored { key, .. } => (Self::SEGMENT_STORED, ENCODE, key.to_string()),
            Self::WindowMissed { camera, window } => {
                (Self::WINDOW_MISSED, BRIDGE, format!("{camera}/{window}"))
            }
            Self::SensorChanged { camera, event } => {
                let key = SensorKey { camera: camera.clone(), event: *event };
                (Self::SENSOR_CHANGED, BRIDGE, key.to_string())
            }
            Self::Motion { camera, span } => {
                let kind = if span.end.is_none() { Self::MOTION_STARTED } else { Self::MOTION_ENDED };
                let source = match span.source {
                    MotionSource::Picture => PICTURE,
                    MotionSource::Sensor => SENSOR,
                };
                (kind, source, format!("{camera}/{}#{}", span.id(), span.state().name()))
            }
        };
        CloudEvent {
            id,
            source: source.to_owned(),
            kind: kind.to_owned(),
            subject: Some(self.camera().to_string()),
            time: None,
            extensions: BTreeMap::new(),
            data: self.data(),
        }
    }

    fn data(&self) -> Value {
        // Members in alphabetical order: `Map` keeps that whichever way serde_json was built.
        match self {
            Self::BatchStored { bucket, key, frames: Some(frames) } => {
                json!({ "bucket": bucket, "frames": frames, "key": key.to_string() })
            }
            Self::BatchStored { bucket, key, frames: None } => {
                json!({ "bucket": bucket, "key": key.to_string() })
            }
            Self::SegmentStored { bucket, key, motion: Some(motion) } => {
                json!({ "bucket": bucket, "key": key.to_string(), "motion": motion.to_string() })
            }
            Self::SegmentStored { bucket, key, motion: None } => {
                json!({ "bucket": bucket, "key": key.to_string() })
            }
            Self::WindowMissed { window, .. } => json!({ "window": window.to_string() }),
            Self::SensorChanged { event, .. } => json!(event),
            Self::Motion { span, .. } => {
                let mut data = json!({ "source": span.source.name(), "start": span.start.rfc3339_millis() });
                if let Some(end) = span.end {
                    data["end"] = end.rfc3339_millis().into();
                }
                if let Some(peak) = span.peak {
                    data["peak"] = peak.into();
                }
                data
            }
        }
    }

    /// What the creation of an object means, by its key.
    ///
    /// # Errors
    /// [`EventError::OtherObject`] if it is neither a batch nor a segment: nothing follows from it.
    pub fn from_object_created(created: &ObjectCreated) -> Result<Self, EventError> {
        let ObjectCreated { bucket, key } = created;
        if let Ok(key) = key.parse() {
            Ok(Self::BatchStored { bucket: bucket.clone(), key, frames: None })
        } else if let Ok(key) = key.parse() {
            Ok(Self::SegmentStored { bucket: bucket.clone(), key, motion: None })
        } else {
            Err(EventError::OtherObject { bucket: clip(bucket), key: clip(key) })
        }
    }
}

/// The inverse of [`Event::to_cloud_event`]. Source, id, time and extensions do not matter, nor do members of
/// the data that are not known here.
impl TryFrom<&CloudEvent> for Event {
    type Error = EventError;

    fn try_from(event: &CloudEvent) -> Result<Self, EventError> {
        let parsed = match event.kind.as_str() {
            Self::BATCH_STORED => from_data(event).and_then(|StoredData { bucket, key, frames, .. }| {
                Ok(Self::BatchStored { bucket, key: parse(&key)?, frames })
            }),
            Self::SEGMENT_STORED => {
                from_data(event).and_then(|StoredData { bucket, key, motion, .. }| {
                    let motion = motion.as_deref().map(parse).transpose()?;
                    Ok(Self::SegmentStored { bucket, key: parse(&key)?, motion })
                })
            }
            Self::WINDOW_MISSED => from_data(event).and_then(|MissedData { window }| {
                Ok(Self::WindowMissed { camera: subject(event)?, window: parse(&window)? })
            }),
            Self::SENSOR_CHANGED => {
                subject(event).and_then(|camera| Ok(Self::SensorChanged { camera, event: from_data(event)? }))
            }
            Self::MOTION_STARTED | Self::MOTION_ENDED => from_data(event).and_then(|data: MotionData| {
                let ended = event.kind == Self::MOTION_ENDED;
                Ok(Self::Motion { camera: subject(event)?, span: data.span(ended)? })
            }),
            kind => return Err(EventError::UnknownType { kind: clip(kind) }),
        };
        let why = match parsed {
            Ok(parsed)
                if event.subject.as_deref().is_none_or(|subject| subject == parsed.camera().as_str()) =>
            {
                return Ok(parsed);
            }
            Ok(_) => "the subject is not the camera".to_owned(),
            Err(why) => why,
        };
        Err(EventError::Malformed { id: clip(&event.id), kind: event.kind.clone(), why })
    }
}

/// Sources: who says so.
const BRIDGE: &str = "/teiten/bridge";
const ENCODE: &str = "/teiten/encode";
/// Motion is told by what shows it, so that a subscriber can filter.
const PICTURE: &str = "/teiten/playlist/picture";
const SENSOR: &str = "/teiten/playlist/sensor";

#[derive(Deserialize)]
struct StoredData {
    bucket: String,
    key: String,
    #[serde(default)]
    frames: Option<ContentHash>,
    #[serde(default)]
    motion: Option<String>,
}

#[derive(Deserialize)]
struct MissedData {
    window: String,
}

#[derive(Deserialize)]
struct MotionData {
    source: String,
    start: String,
    #[serde(default)]
    end: Option<String>,
    #[serde(default)]
    peak: Option<u8>,
}

impl MotionData {
    fn span(&self, ended: bool) -> Result<MotionSpan, String> {
        let time = |text: &String| {
            Timestamp::from_rfc3339(text).ok_or_else(|| format!("{text:?} is no RFC 3339 time"))
        };
        let end = self.end.as_ref().map(time).transpose()?;
        let (source, start) = (parse(&self.source)?, time(&self.start)?);
        if end.is_some() != ended || end.is_some_and(|end| end < start) {
            return Err("the end is not there, too early, or not to be there".to_owned());
        }
        Ok(MotionSpan { source, start, end, peak: self.peak })
    }
}

fn subject(event: &CloudEvent) -> Result<CameraId, String> {
    parse(event.subject.as_deref().ok_or("there is no subject")?)
}

fn from_data<'a, Data: Deserialize<'a>>(event: &'a CloudEvent) -> Result<Data, String> {
    Data::deserialize(&event.data).map_err(|error| error.to_string())
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Foreign text, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
