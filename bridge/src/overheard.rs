//! The last pictures of cameras that another bridge has, and that would not send them again.
//!
//! A publisher that knows nothing of `stored` (an ESP32-CAM) sends each picture once. What its bridge had in memory
//! when it was killed, and what came until that was noticed, is lost, unless another bridge that heard it too goes on
//! from there. What the first one stored all the same is stored once: an unstamped picture's identity is made of its
//! bytes.
//!
//! Of a camera that would send again, the newest picture is kept, as its stamp has it (backlog arrives behind what is live): to
//! be held in windows that stay empty.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use teiten_footage::{CameraId, Timestamp, WindowLength, limits::WINDOW_GRACE};

use crate::fleet::{BEAT_EVERY, SILENCE_MAX};

/// How long a picture is kept: as long as a window may have been open when its bridge went, and that be unnoticed.
const KEPT_FOR: Duration = WindowLength::MAX
    .duration()
    .saturating_add(WINDOW_GRACE)
    .saturating_add(SILENCE_MAX)
    .saturating_add(BEAT_EVERY);

/// How much older than the newest picture may be what is kept as such: most cameras send many more than are slower than
/// windows, and each is a copy.
const NEWEST_WITHIN: Duration = WindowLength::MIN.duration();

#[derive(Debug)]
struct Picture {
    arrived: Timestamp,
    captured: Timestamp,
    payload: Bytes,
}

/// Pictures by camera, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Overheard {
    cameras: HashMap<CameraId, VecDeque<Picture>>,
    bytes: usize,
    bytes_max: usize,
}

impl Overheard {
    /// Keeps `bytes_max` bytes at most.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { cameras: HashMap::new(), bytes: 0, bytes_max }
    }

    /// Keeps a copy of a picture, in place of what is too old. Where all is full of what is not, of two cameras the
    /// one that was heard first is kept.
    pub(crate) fn keep(&mut self, camera: &CameraId, payload: &Bytes, now: Timestamp) {
        self.keep_captured(camera, payload, now, now);
    }

    fn keep_captured(&mut self, camera: &CameraId, payload: &Bytes, captured: Timestamp, now: Timestamp) {
        let pictures = self.cameras.entry(camera.clone()).or_default();
        self.bytes -= forget_old(pictures, now);
        if self.bytes + payload.len() > self.bytes_max {
            self.forget_old(now);
        }
        if self.bytes + payload.len() <= self.bytes_max {
            self.bytes += payload.len();
            let pictures = self.cameras.entry(camera.clone()).or_default();
            let payload = Bytes::copy_from_slice(payload);
            pictures.push_back(Picture { arrived: now, captured, payload });
        }
    }

    /// Keeps a copy of a picture in place of the camera's earlier ones, if it is newer.
    pub(crate) fn keep_newest(
        &mut self,
        camera: &CameraId,
        payload: &Bytes,
        captured: Timestamp,
        now: Timestamp,
    ) {
        // What a clock that is ahead said would keep what comes once it is set from being newer.
        let captured = captured.min(now);
        if let Some(pictures) = self.cameras.get_mut(camera) {
            self.bytes -= forget_old(pictures, now);
            if pictures.back().is_some_and(|newest| captured < newest.captured + NEWEST_WITHIN) {
                return;
            }
            self.bytes -= pictures.drain(..).map(|picture| picture.payload.len()).sum::<usize>();
        }
        self.keep_captured(camera, payload, captured, now);
    }

    /// Takes out the pictures of the cameras that are `mine` now, each camera's in the order of arrival.
    pub(crate) fn take(
        &mut self,
        mine: impl Fn(&CameraId) -> bool,
        now: Timestamp,
    ) -> Vec<(CameraId, Timestamp, Bytes)> {
        self.forget_old(now);
        let mut taken = Vec::new();
        for (camera, pictures) in self.cameras.extract_if(|camera, _| mine(camera)) {
            let named = pictures.into_iter().map(|it| (camera.clone(), it.arrived, it.payload));
            taken.extend(named.inspect(|(_, _, payload)| self.bytes -= payload.len()));
        }
        taken
    }

    fn forget_old(&mut self, now: Timestamp) {
        for pictures in self.cameras.values_mut() {
            self.bytes -= forget_old(pictures, now);
        }
        self.cameras.retain(|_, pictures| !pictures.is_empty());
    }
}

/// Drops what is too old, or of a clock that was set back since. Says how many bytes that were.
fn forget_old(pictures: &mut VecDeque<Picture>, now: Timestamp) -> usize {
    let mut bytes = 0;
    while let Some(Picture { arrived, payload, .. }) = pictures.front()
        && (*arrived + KEPT_FOR < now || *arrived > now)
    {
        bytes += payload.len();
        pictures.pop_front();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    #[test]
    fn the_pictures_of_the_last_seconds_are_given_out_once_to_whom_they_belong() {
        let mut overheard = Overheard::new(1000);
        let (start, second) = (Timestamp::Y2020, Duration::from_secs(1));
        let picture = Bytes::from_static(b"0123456789");
        overheard.keep(&camera("a"), &picture, start);
        overheard.keep(&camera("b"), &picture, start + second);
        overheard.keep(&camera("a"), &picture, start + KEPT_FOR);
        overheard.keep(&camera("a"), &picture, start + KEPT_FOR + second);
        let now = start + KEPT_FOR + second;
        let is = |name: &'static str| move |other: &CameraId| *other == camera(name);
        let times: Vec<_> =
            overheard.take(is("a"), now).into_iter().map(|(camera, at, _)| (camera, at)).collect();
        assert_eq!(times, [(camera("a"), start + KEPT_FOR), (camera("a"), now)], "the first is too old");
        assert!(overheard.take(is("a"), now).is_empty());
        assert_eq!(overheard.take(is("b"), now).len(), 1);
        assert_eq!(overheard.bytes, 0);
    }

    #[test]
    fn of_a_camera_that_would_send_again_the_newest_picture_is_kept() {
        let mut overheard = Overheard::new(1000);
        let (start, picture) = (Timestamp::Y2020, Bytes::from_static(b"0123456789"));
        for millis in [0, 1, 600, 601] {
            let now = start + Duration::from_millis(millis);
            overheard.keep_newest(&camera("a"), &picture, now, now);
        }
        let taken = overheard.take(|_| true, start + Duration::from_secs(1));
        assert_eq!(taken, [(camera("a"), start + Duration::from_millis(600), picture)]);
        assert_eq!(overheard.bytes, 0);
    }

    #[test]
    fn the_newest_picture_is_the_last_that_was_captured_though_backlog_arrives_after_it() {
        let mut overheard = Overheard::new(1000);
        let (start, second) = (Timestamp::Y2020, Duration::from_secs(1));
        let [live, backlog] = ["live", "backlog"].map(|name| Bytes::from_static(name.as_bytes()));
        overheard.keep_newest(&camera("a"), &live, start + 59 * second, start + 60 * second);
        overheard.keep_newest(&camera("a"), &backlog, start, start + 61 * second);
        let taken = overheard.take(|_| true, start + 62 * second);
        assert_eq!(taken, [(camera("a"), start + 60 * second, live)]);
        assert_eq!(overheard.bytes, 0);
    }

    #[test]
    fn memory_stays_within_its_limit() {
        let mut overheard = Overheard::new(25);
        let picture = Bytes::from_static(b"0123456789");
        for millis in 0..10 {
            overheard.keep(&camera("a"), &picture, Timestamp::Y2020 + Duration::from_millis(millis));
        }
        assert_eq!(overheard.bytes, 20);
        let later = Timestamp::Y2020 + 2 * KEPT_FOR;
        overheard.keep(&camera("b"), &picture, later);
        overheard.keep(&camera("b"), &picture, later);
        assert_eq!((overheard.bytes, overheard.cameras.len()), (20, 1), "what is too old makes room");
    }
}
