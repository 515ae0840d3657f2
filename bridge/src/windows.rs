//! Every camera's windows, and the limits that all of them share: a value with time as an argument.
//!
//! A window closes when a frame of the very next one arrives, or when its grace is over. A frame of a window
//! that closed already opens it again; the two batches become one where they are stored. An empty window of a live camera waits
//! as long as its frames may be late, and is held while the last frame before it is at most [`hold_max`] older than the window's
//! end, then reported missed, at most [`GAPS_IN_A_ROW_MAX`] times in a row (docs/formats.md, "Closing a window").
//!
//! [`hold_max`]: teiten_footage::limits::hold_max
//! [`GAPS_IN_A_ROW_MAX`]: teiten_footage::limits::GAPS_IN_A_ROW_MAX

use std::{collections::HashMap, time::Duration};

use teiten_footage::{Batch, CameraId, Frame, Timestamp, Window, WindowLength, limits};

use crate::camera::{Camera, Outcome};

/// How long after its last frame a camera's entry is kept.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// What the bridge keeps in memory at most. What exceeds a limit is refused; no other camera is affected,
/// unless the limit is one of all cameras together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Cameras at a time.
    pub cameras_max: usize,
    /// Windows of one camera that are open at a time; one more closes the oldest early.
    pub open_windows_max: usize,
    /// Frames in one window.
    pub window_frames_max: usize,
    /// Bytes in one window.
    pub window_bytes_max: usize,
    /// Batches of one camera that are closed and not yet durable.
    pub camera_batches_max: usize,
    /// Bytes of one camera, in open windows and in batches that are not yet durable.
    pub camera_bytes_max: usize,
    /// The same of all cameras together.
    pub total_bytes_max: usize,
}

impl Limits {
    /// Limits for a bridge that buffers `total_bytes_max`; one camera may take a quarter of it.
    pub const fn with_total(total_bytes_max: usize) -> Self {
        Self {
            cameras_max: 1024,
            open_windows_max: 64,
            window_frames_max: limits::WINDOW_FRAMES_MAX,
            window_bytes_max: limits::BATCH_BYTES_MAX,
            camera_batches_max: 256,
            camera_bytes_max: total_bytes_max / 4,
            total_bytes_max,
        }
    }
}

impl Default for Limits {
    /// 512 MiB in all.
    fn default() -> Self {
        Self::with_total(512 << 20)
    }
}

/// What became of a frame that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is in its window.
    New,
    /// It was there already.
    Duplicate,
    /// It is for the bridge that has the camera now.
    Ceded,
}

/// The limit that a refused frame would have exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Excess {
    /// [`Limits::cameras_max`].
    #[error("too many cameras")]
    Cameras,
    /// [`Limits::window_frames_max`].
    #[error("too many frames in the window")]
    WindowFrames,
    /// [`Limits::window_bytes_max`].
    #[error("too many bytes in the window")]
    WindowBytes,
    /// [`Limits::camera_batches_max`].
    #[error("too many batches of the camera wait to be stored")]
    CameraBatches,
    /// [`Limits::camera_bytes_max`].
    #[error("too many bytes of the camera are buffered")]
    CameraBytes,
    /// [`Limits::total_bytes_max`].
    #[error("too many bytes are buffered in all")]
    TotalBytes,
}

/// What is to be done for a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Store this batch and say so. Once it is durable, [`Windows::release`] its bytes.
    Store {
        /// Whose.
        camera: CameraId,
        /// The frames; a held batch too.
        batch: Batch,
    },
    /// Report that the window stays empty.
    Missed {
        /// Whose.
        camera: CameraId,
        /// Which.
        window: Window,
    },
}

/// The bytes of a batch, as [`Windows`] counts them.
pub fn batch_bytes(batch: &Batch) -> usize {
    batch.frames().iter().map(|frame| frame.jpeg.len()).sum()
}

/// The windows of every camera.
#[derive(Debug)]
pub struct Windows {
    length: WindowLength,
    limits: Limits,
    cameras: HashMap<CameraId, Entry>,
    total_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    camera: Camera,
    /// When the camera needs [`Windows::on_timer`] next: cached, because it is asked for after every frame.
    deadline: Option<Timestamp>,
}

impl Entry {
    fn refresh(&mut self) {
        let forget = self.camera.is_idle().then(|| self.camera.heard() + FORGET_AFTER);
        self.deadline = self.camera.deadline().or(forget);
    }
}

impl Windows {
    /// No cameras yet; windows of `length`.
    pub fn new(length: WindowLength, limits: Limits) -> Self {
        Self { length, limits, cameras: HashMap::new(), total_bytes: 0 }
    }

    /// Takes a frame that arrived at `now`. What is to be done because of it is added to `actions`, whether
    /// or not it is taken.
    pub fn on_frame(
        &mut self,
        camera: &CameraId,
        frame: Frame,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Result<Admitted, Excess> {
        if !self.has_place_for(camera, now) {
            return Err(Excess::Cameras);
        }
        let window = Window::containing(frame.captured, self.length);
        let (limits, room) = (self.limits, self.room());
        let mut admitted = Ok(Admitted::Duplicate);
        self.change(camera, actions, |camera, outcomes| {
            admitted = camera.on_frame(window, frame, now, &limits, room, outcomes);
        });
        admitted
    }

    /// Holds `frame`, which arrived at `at` and another bridge has, in windows of a camera that is this bridge's now and
    /// sends no other.
    pub fn go_on_from(&mut self, camera: &CameraId, frame: Frame, at: Timestamp, now: Timestamp) {
        let window = Window::containing(frame.captured, self.length);
        if self.has_place_for(camera, now) && self.room() >= frame.jpeg.len() {
            self.change(camera, &mut Vec::new(), |camera, _| camera.go_on_from(window, frame, at, now));
        }
    }

    /// Does what is due at `now`.
    pub fn on_timer(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        let names: Vec<CameraId> = self.cameras.keys().cloned().collect();
        for name in names {
            self.change(&name, &mut actions, |camera, outcomes| camera.on_timer(now, outcomes));
        }
        self.cameras.retain(|_, entry| !entry.camera.is_idle() || entry.camera.heard() + FORGET_AFTER > now);
        actions
    }

    /// When [`Windows::on_timer`] is due next; never while there are no cameras.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.cameras.values().filter_map(|entry| entry.deadline).min()
    }

    /// Closes every open window as it is, and holds what is empty already: nothing more will come.
    pub fn drain(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        let names: Vec<CameraId> = self.cameras.keys().cloned().collect();
        for name in names {
            self.change(&name, &mut actions, |camera, outcomes| camera.close_all(now, outcomes));
        }
        actions
    }

    /// Gives the cameras that are not `mine` (any more) to the bridge whose they are: each one's present window is
    /// completed here too.
    pub fn hand_over(&mut self, mine: impl Fn(&CameraId) -> bool, now: Timestamp) {
        let length = self.length;
        let names: Vec<CameraId> = self.cameras.keys().cloned().collect();
        for name in names {
            let mine = mine(&name);
            self.change(&name, &mut Vec::new(), |camera, _| {
                if mine { camera.reclaim() } else { camera.cede(now, length) }
            });
        }
    }

    /// Whether `camera` is being handed over, so that its frames are still wanted here.
    pub fn is_ceding(&self, camera: &CameraId) -> bool {
        self.cameras.get(camera).is_some_and(|entry| entry.camera.is_ceding())
    }

    /// A batch of `camera` with `bytes` ([`batch_bytes`]) is durable: its memory is free again.
    pub fn release(&mut self, camera: &CameraId, bytes: usize) {
        self.change(camera, &mut Vec::new(), |camera, _| camera.release(bytes));
    }

    /// Bytes of frames that are buffered: in open windows, in batches not released, kept for holding.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// Whether `camera` is one of those kept track of, from now on at the latest.
    fn has_place_for(&mut self, camera: &CameraId, now: Timestamp) -> bool {
        if !self.cameras.contains_key(camera) {
            if self.cameras.len() >= self.limits.cameras_max {
                return false;
            }
            let entry = Entry { camera: Camera::new(now), deadline: None };
            self.cameras.insert(camera.clone(), entry);
        }
        true
    }

    /// Bytes of frames that may still be buffered.
    fn room(&self) -> usize {
        self.limits.total_bytes_max.saturating_sub(self.total_bytes)
    }

    /// Lets one camera change, and keeps the books.
    fn change(
        &mut self,
        name: &CameraId,
        actions: &mut Vec<Action>,
        change: impl FnOnce(&mut Camera, &mut Vec<Outcome>),
    ) {
        let Some(entry) = self.cameras.get_mut(name) else { return };
        let mut outcomes = Vec::new();
        let before = entry.camera.bytes();
        change(&mut entry.camera, &mut outcomes);
        self.total_bytes = self.total_bytes - before + entry.camera.bytes();
        entry.refresh();
        actions.extend(outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Store(batch) => Action::Store { camera: name.clone(), batch },
            Outcome::Missed(window) => Action::Missed { camera: name.clone(), window },
        }));
    }
}

#[cfg(test)]
mod lateness;
#[cfg(test)]
mod tests;
