//! What Teiten's parts tell each other: three events, as CloudEvents.
//!
//! An event's id is made of what happened, so an event that is sent again has the same id.

use crate::{
    camera::CameraId,
    cloudevent::CloudEvent,
    hash::ContentHash,
    key::{BatchKey, SegmentKey},
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
    },
    /// `teiten.window.missed`: a camera gave nothing for a window, and its last frame is too old to hold.
    WindowMissed {
        /// The camera.
        camera: CameraId,
        /// The window.
        window: Window,
    },
}

/// A CloudEvent that is none of Teiten's, or is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Its type is not ours.
    #[error("event type {kind:?} is none of teiten.batch.stored, teiten.segment.stored, teiten.window.missed")]
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
}

impl Event {
    /// The type of [`Event::BatchStored`].
    pub const BATCH_STORED: &str = "teiten.batch.stored";
    /// The type of [`Event::SegmentStored`].
    pub const SEGMENT_STORED: &str = "teiten.segment.stored";
    /// The type of [`Event::WindowMissed`].
    pub const WINDOW_MISSED: &str = "teiten.window.missed";

    /// The camera it is about: the CloudEvent's subject.
    pub fn camera(&self) -> &CameraId {
        match self {
            Self::BatchStored { key, .. } => &key.camera,
            Self::SegmentStored { key, .. } => &key.camera,
            Self::WindowMissed { camera, .. } => camera,
        }
    }
}

#[allow(unused)] // replaced with the conversions
type Envelope = CloudEvent;
