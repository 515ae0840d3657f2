//! From a message's payload to a frame: what is no JPEG is rejected, and a JPEG without a credible stamp is
//! stamped with its time of arrival, so that any MQTT camera works.
//!
//! A JPEG without a stamp gets an identity that is made of its bytes. One whose time cannot be keeps its identity,
//! so that its publisher still learns that it is stored; by what its clock is off, so are the others of its run.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use teiten_footage::{
    BootId, CameraId, Frame, FrameId, Timestamp,
    limits::{CAPTURED_AHEAD_MAX, FRAME_BYTES_MAX},
    stamp,
};

/// Stretches of a camera's runs with a wrong clock that are remembered.
const WRONG_CLOCKS_MAX: usize = 16;

/// How far from its arrival a wrong clock, set right by what it was off, may put a new frame: beyond that, it has been
/// set, or has drifted.
const OFF_MAX: Duration = Duration::from_secs(5);

// A clock that was set right is never taken for one that is as wrong as before.
const _: () = assert!(OFF_MAX.as_millis() < CAPTURED_AHEAD_MAX.as_millis());

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
    /// Its arrival, or that of another frame of its run: the stamp's time is before 2020 or too far ahead.
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
    /// Where clocks were wrong, the latest last.
    wrong_clocks: VecDeque<WrongClock>,
}

/// A stretch of a camera's run in which its clock was wrong, and by how much. Frames of it get the time that this makes
/// of theirs, the same one however often they are sent: none becomes a second frame.
#[derive(Debug)]
struct WrongClock {
    boot: BootId,
    first: u64,
    last: u64,
    /// What it said when a frame arrived at `arrived`.
    said: Timestamp,
    arrived: Timestamp,
}

impl WrongClock {
    /// The time that it should have said when it said `said`.
    fn right(&self, said: Timestamp) -> Timestamp {
        if said < self.said {
            self.arrived - self.said.since(said)
        } else {
            self.arrived + said.since(self.said)
        }
    }

    /// Whether `frame`, which arrived at `now`, is of this stretch, or goes on with it.
    fn covers(&self, frame: &Frame, now: Timestamp) -> bool {
        let (sequence, right) = (frame.id.sequence, self.right(frame.captured));
        let covers = if sequence > self.last {
            // New, so taken not long ago.
            right <= now + OFF_MAX && now <= right + OFF_MAX
        } else {
            // When an earlier one was taken, the clock may have been right.
            sequence >= self.first || !is_possible(frame.captured, now)
        };
        covers && is_possible(right, now)
    }
}

impl Arrivals {
    /// The time of arrival: later than any before, unless the clock was set back.
    fn next(&mut self, now: Timestamp) -> Timestamp {
        let set_back = self.last.since(now) >= CLOCK_SET_BACK_MIN;
        self.last = if set_back { now } else { now.max(self.last + Duration::from_micros(1)) };
        self.last
    }

    /// The time of a frame, if its clock is known to have been wrong.
    fn set_right(&mut self, frame: &Frame, now: Timestamp) -> Option<Timestamp> {
        let FrameId { boot, sequence } = frame.id;
        let clocks = || self.wrong_clocks.iter().enumerate().filter(|(_, clock)| clock.boot == boot);
        let since = clocks().filter(|(_, clock)| sequence <= clock.last).min_by_key(|(_, clock)| clock.last);
        let (i, _) = since.or_else(|| clocks().max_by_key(|(_, clock)| clock.last))?;
        let clock = self.wrong_clocks.get_mut(i).filter(|clock| clock.covers(frame, now))?;
        clock.first = clock.first.min(sequence);
        clock.last = clock.last.max(sequence);
        let right = clock.right(frame.captured);
        self.next(now);
        Some(right)
    }

    /// The time of a frame whose clock turns out to be wrong.
    fn begin_wrong_clock(&mut self, frame: &Frame, now: Timestamp) -> Timestamp {
        let arrived = self.next(now);
        if self.wrong_clocks.len() == WRONG_CLOCKS_MAX {
            self.wrong_clocks.pop_front();
        }
        let FrameId { boot, sequence } = frame.id;
        let clock = WrongClock { boot, first: sequence, last: sequence, said: frame.captured, arrived };
        self.wrong_clocks.push_back(clock);
        arrived
    }
}

impl Intake {
    /// An intake that keeps track of the arrivals of `cameras_max` cameras.
    pub fn new(cameras_max: usize) -> Self {
        Self { cameras_max, arrivals: HashMap::new() }
    }

    /// When the JPEG in `payload` was captured, as its stamp has it; `None` if its publisher gives it none, and so no
    /// identity: then it cannot be told that it is stored. The picture itself is not looked at: it may be torn.
    pub fn capture_time(payload: &Bytes) -> Result<Option<Timestamp>, Rejected> {
        let stamp = stamp::peek(within_limit(payload)?).map_err(|_| Rejected::NoJpeg)?;
        Ok(stamp.map(|(_, captured)| captured))
    }

    /// The frame in `payload`, which arrived from `camera` at `now`. The frame owns its bytes: it does not
    /// keep a network buffer alive.
    pub fn frame(
        &mut self,
        camera: &CameraId,
        payload: &Bytes,
        now: Timestamp,
    ) -> Result<(Frame, TimeSource), Rejected> {
        let jpeg = Bytes::copy_from_slice(within_limit(payload)?);
        match parse(jpeg.clone())? {
            Some(frame) => {
                let known = self.arrivals.get_mut(camera);
                let right = known.and_then(|arrivals| arrivals.set_right(&frame, now));
                let captured = match right {
                    Some(right) => right,
                    None if is_possible(frame.captured, now) => return Ok((frame, TimeSource::Camera)),
                    None => self.arrivals(camera, now)?.begin_wrong_clock(&frame, now),
                };
                let frame = stamped(&jpeg, frame.id, captured)?;
                Ok((frame, TimeSource::ArrivalImpossible))
            }
            None => {
                let captured = self.arrivals(camera, now)?.next(now);
                let frame = stamped(&jpeg, FrameId::of_unstamped(&jpeg), captured)?;
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

fn within_limit(payload: &Bytes) -> Result<&Bytes, Rejected> {
    if payload.len() > FRAME_BYTES_MAX { Err(Rejected::TooLarge) } else { Ok(payload) }
}

fn parse(jpeg: Bytes) -> Result<Option<Frame>, Rejected> {
    Frame::parse(jpeg).map_err(|_| Rejected::NoJpeg)
}

fn is_possible(captured: Timestamp, now: Timestamp) -> bool {
    captured >= Timestamp::Y2020 && captured <= now + CAPTURED_AHEAD_MAX
}

fn stamped(jpeg: &Bytes, id: FrameId, captured: Timestamp) -> Result<Frame, Rejected> {
    let frame = Frame::stamp(jpeg, id, captured).map_err(|_| Rejected::NoJpeg)?;
    // A stamp makes a JPEG longer.
    within_limit(&frame.jpeg)?;
    Ok(frame)
}

#[cfg(test)]
mod tests;
