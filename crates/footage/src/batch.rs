//! A batch: all frames of one camera in one window, in the order of their capture; as bytes, the JPEGs one
//! after another, which is a playable `.mjpeg` file.

use bytes::{Bytes, BytesMut};

use crate::{
    frame::{Frame, FrameId},
    hash::ContentHash,
    window::Window,
};

/// All frames of one camera in one window: at least one, ordered by capture time and identity, no identity
/// twice. A *held* batch has one frame, captured before the window: the last picture of a camera that was
/// silent for the window. It gives way to any frame of the window itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    window: Window,
    frames: Vec<Frame>,
}

/// Frames that make no batch of a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// There was no frame at all.
    #[error("no frame for window {window}")]
    Empty {
        /// The window.
        window: Window,
    },
    /// A frame was captured after the window.
    #[error("frame {id} was captured after window {window}")]
    TooLate {
        /// The window.
        window: Window,
        /// The frame.
        id: FrameId,
    },
}

impl Batch {
    /// The batch of `frames`, which may come in any order and with repetitions. Frames captured before the
    /// window are held ones: they are left out if there is any other, else the latest stays.
    pub fn new(window: Window, frames: impl IntoIterator<Item = Frame>) -> Result<Self, BatchError> {
        let mut frames: Vec<Frame> = frames.into_iter().collect();
        if let Some(late) = frames.iter().find(|frame| frame.captured >= window.end()) {
            return Err(BatchError::TooLate { window, id: late.id });
        }
        frames.sort_by_key(|frame| (frame.captured, frame.id));
        // One identity has one capture time, so repetitions are neighbours.
        frames.dedup_by_key(|frame| frame.id);
        let held = frames.partition_point(|frame| frame.captured < window.start());
        let first = if held == frames.len() { held.saturating_sub(1) } else { held };
        frames.drain(..first);
        if frames.is_empty() { Err(BatchError::Empty { window }) } else { Ok(Self { window, frames }) }
    }

    /// The window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The frames, in order; never empty.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Whether this batch only holds the picture of an earlier window.
    pub fn is_held(&self) -> bool {
        self.frames[0].captured < self.window.start()
    }

    /// This batch and `other`, of the same window, as one.
    ///
    /// # Panics
    /// If `other` is of another window.
    pub fn merge(self, other: Self) -> Self {
        assert_eq!(self.window, other.window, "only batches of one window can be merged");
        let window = self.window;
        Self::new(window, self.frames.into_iter().chain(other.frames))
            .expect("two batches have frames, none of them too late")
    }

    /// The hash of the identities of the frames, in order: part of the segment's key.
    pub fn frames_hash(&self) -> ContentHash {
        ContentHash::of_parts(self.frames.iter().flat_map(|frame| {
            [frame.id.boot.0.to_be_bytes(), frame.id.sequence.to_be_bytes()]
        }))
    }

    /// The JPEGs, one after another.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.frames.iter().map(|frame| frame.jpeg.len()).sum());
        for frame in &self.frames {
            bytes.extend_from_slice(&frame.jpeg);
        }
        bytes.freeze()
    }
}
