//! From a message's payload to a frame: what is no JPEG is rejected, and a JPEG without a credible stamp is
//! stamped with its time of arrival, so that any MQTT camera works.
//!
//! A JPEG without a stamp gets an identity that is made of its bytes. One whose time cannot be keeps its identity,
//! so that its publisher still learns that it is stored.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use teiten_footage::{
    CameraId, Frame, FrameId, Timestamp,
    limits::{CAPTURED_AHEAD_MAX, FRAME_BYTES_MAX, UNSTORED_FRAMES_MAX},
};

/// How many re-stamped frames of a camera are remembered: an agent sends its unstored ones again.
const RESTAMPED_MAX: usize = 2 * UNSTORED_FRAMES_MAX;

/// How far the clock must have been set back before arrival times follow it.
const CLOCK_SET_BACK_MIN: Duration = Duration::from_secs(1);

/// How long after its last frame a camera's arrivals are remembered.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Why a payload makes no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejected {
    /// Larger than [`FRAME_BYTES_MAX`].
    #[error("the frame is too large")]
    TooLarge,
    /// Not exactly one whole JPEG.
    #[error("the payload is not one whole JPEG")]
    NoJpeg,
    /// More cameras without credible stamps than are kept track of.
    #[error("too many cameras without stamps")]
    TooManyCameras,
}

/// Where a frame's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// The camera's stamp.
    Camera,
    /// Its arrival: there was no stamp.
    ArrivalUnstamped,
    /// Its arrival: the stamp's time is before 2020 or too far ahead.
    ArrivalImpossible,
}

/// Turns payloads into frames.
#[derive(Debug)]
pub struct Intake {
    cameras_max: usize,
    arrivals: HashMap<CameraId, Arrivals>,
}

#[derive(Debug, Default)]
struct Arrivals {
    last: Timestamp,
    /// Frames with an impossible time, and the time they were given: one that is sent again must not
    /// become a second frame.
    restamped: VecDeque<(FrameId, Timestamp)>,
}

impl Arrivals {
    /// The time of arrival: later than any before, unless the clock was set back.
    fn next(&mut self, now: Timestamp) -> Timestamp {
        let set_back = self.last.since(now) >= CLOCK_SET_BACK_MIN;
        self.last = if set_back { now } else { now.max(self.last + Duration::from_micros(1)) };
        self.last
    }

    fn of(&mut self, id: FrameId, now: Timestamp) -> Timestamp {
        if let Some((_, arrival)) = self.restamped.iter().find(|(known, _)| *known == id) {
            return *arrival;
        }
        let arrival = self.next(now);
        if self.restamped.len() == RESTAMPED_MAX {
            self.restamped.pop_front();
        }
        self.restamped.push_back((id, arrival));
        arrival
    }
}

impl Intake {
    /// An intake that keeps track of the arrivals of `cameras_max` cameras.
    pub fn new(cameras_max: usize) -> Self {
        Self { cameras_max, arrivals: HashMap::new() }
    }

    /// Whether `payload` is a JPEG whose publisher gives it no identity, so that it cannot be told that it is stored.
    pub fn is_unstamped(payload: &Bytes) -> bool {
        payload.len() <= FRAME_BYTES_MAX && matches!(Frame::parse(payload.clone()), Ok(None))
    }

    /// The frame in `payload`, which arrived from `camera` at `now`. The frame owns its bytes: it does not
    /// keep a network buffer alive.
    pub fn frame(
        &mut self,
        camera: &CameraId,
        payload: &Bytes,
        now: Timestamp,
    ) -> Result<(Frame, TimeSource), Rejected> {
        if payload.len() > FRAME_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        let jpeg = Bytes::copy_from_slice(payload);
        match Frame::parse(jpeg.clone()).map_err(|_| Rejected::NoJpeg)? {
            Some(frame) if is_possible(frame.captured, now) => Ok((frame, TimeSource::Camera)),
            Some(frame) => {
                let captured = self.arrivals(camera, now)?.of(frame.id, now);
                let frame = stamp(&jpeg, frame.id, captured)?;
                Ok((frame, TimeSource::ArrivalImpossible))
            }
            None => {
                let captured = self.arrivals(camera, now)?.next(now);
                let frame = stamp(&jpeg, FrameId::of_unstamped(&jpeg), captured)?;
                Ok((frame, TimeSource::ArrivalUnstamped))
            }
        }
    }

    fn arrivals(&mut self, camera: &CameraId, now: Timestamp) -> Result<&mut Arrivals, Rejected> {
        if !self.arrivals.contains_key(camera) {
            if self.arrivals.len() >= self.cameras_max {
                self.arrivals.retain(|_, arrivals| arrivals.last + FORGET_AFTER > now);
            }
            if self.arrivals.len() >= self.cameras_max {
                return Err(Rejected::TooManyCameras);
            }
        }
        Ok(self.arrivals.entry(camera.clone()).or_default())
    }
}

fn is_possible(captured: Timestamp, now: Timestamp) -> bool {
    captured >= Timestamp::Y2020 && captured <= now + CAPTURED_AHEAD_MAX
}

fn stamp(jpeg: &Bytes, id: FrameId, captured: Timestamp) -> Result<Frame, Rejected> {
    let frame = Frame::stamp(jpeg, id, captured).map_err(|_| Rejected::NoJpeg)?;
    // A stamp makes a JPEG longer.
    if frame.jpeg.len() > FRAME_BYTES_MAX { Err(Rejected::TooLarge) } else { Ok(frame) }
}

#[cfg(test)]
mod tests;
