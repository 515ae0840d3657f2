//! Teiten's vocabulary: cameras, times, windows, frames, batches, segments, keys, topics and events.
//!
//! Everything here is a value or a pure function of values: no I/O, no async, no clock. What the parts of
//! Teiten promise each other (docs/formats.md) is defined once, here, and nowhere else.
//!
//! The way of a frame through the types: a [`Frame`] is one JPEG with its capture time and identity inside
//! ([`stamp`]); all frames of one camera in one [`Window`] make a [`Batch`], stored under a
//! [`BatchKey`]; a batch is encoded to a segment, stored under a [`SegmentKey`]; a playlist lists segments.

pub mod batch;
pub mod camera;
pub mod cloudevent;
pub mod dead_letter;
pub mod domain;
pub mod duration;
pub mod event;
pub mod frame;
pub mod hash;
pub mod hour;
pub mod jpeg;
pub mod key;
pub mod limits;
pub mod motion;
pub mod notification;
pub mod origin;
pub mod range;
pub mod replica;
pub mod sensor;
pub mod stamp;
pub mod stored;
pub mod time;
pub mod topic;
pub mod unstamped;
pub mod window;

pub use batch::Batch;
pub use camera::CameraId;
pub use cloudevent::CloudEvent;
pub use dead_letter::DeadLetter;
pub use domain::Domain;
pub use event::Event;
pub use frame::{BootId, Frame, FrameId};
pub use hash::ContentHash;
pub use hour::Hour;
pub use key::{BatchKey, InitKey, PackKey, Pictures, SegmentKey, SensorKey};
pub use motion::{MotionMap, MotionSettings, MotionSource, MotionSpan};
pub use origin::{Origin, OriginError};
pub use range::{RangeForm, TimeRange};
pub use replica::ReplicaId;
pub use sensor::{SensorEvent, SensorState};
pub use stored::Stored;
pub use time::{Ticks, Timestamp};
pub use topic::Topic;
pub use unstamped::Unstamped;
pub use window::{Window, WindowLength};
