//! A batch: all frames of one camera in one window, in the order of their capture; as bytes, the JPEGs one
//! after another, which is a playable `.mjpeg` file.

use std::{fmt, ops::Range};

use bytes::{Bytes, BytesMut};

use crate::{
    frame::{BootId, Frame, FrameId},
    hash::ContentHash,
    jpeg,
    limits::{FRAME_BYTES_MAX, WINDOW_FRAMES_MAX},
    stamp,
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
        // Frames of one identity are one frame. Should they differ all the same, then the greatest stays, so
        // that the order in which they came never shows.
        frames.sort_unstable_by(|a, b| {
            a.id.cmp(&b.id).then_with(|| (b.captured, &b.jpeg).cmp(&(a.captured, &a.jpeg)))
        });
        frames.dedup_by_key(|frame| frame.id);
        frames.sort_unstable_by_key(|frame| (frame.captured, frame.id));
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

    /// This batch and `other`, of the same window, as one. Order and repetition of merges do not matter.
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
        ContentHash::of_parts(
            self.frames
                .iter()
                .flat_map(|frame| [frame.id.boot.0.to_be_bytes(), frame.id.sequence.to_be_bytes()]),
        )
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

/// What the bytes of a stored batch turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The batch; `None` if no frame was usable.
    pub batch: Option<Batch>,
    /// What was left out, in the order of the object.
    pub rejected: Vec<Rejected>,
}

/// A run of bytes of a stored batch that gave no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Where it starts, in bytes from the beginning of the object.
    pub offset: usize,
    /// How many bytes it has.
    pub length: usize,
    /// What is wrong with it.
    pub why: RejectedWhy,
}

/// Why bytes of a stored batch gave no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedWhy {
    /// They are no whole JPEG.
    Foreign,
    /// A JPEG without a stamp, among others that have one.
    Unstamped,
    /// A frame captured after the window.
    TooLate,
    /// A JPEG larger than [`FRAME_BYTES_MAX`], its stamp included.
    TooLarge,
    /// Everything behind the first [`WINDOW_FRAMES_MAX`] JPEGs.
    TooMany,
}

impl RejectedWhy {
    /// A constant phrase, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "not a whole JPEG",
            Self::Unstamped => "JPEG without a stamp",
            Self::TooLate => "captured after the window",
            Self::TooLarge => "larger than a frame may be",
            Self::TooMany => "more frames than a window may have",
        }
    }
}

impl fmt::Display for RejectedWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Rejected {
    fn new(bytes: Range<usize>, why: RejectedWhy) -> Self {
        Self { offset: bytes.start, length: bytes.len(), why }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {}: {}", self.length, self.offset, self.why)
    }
}

/// The batch that `bytes`, the object of `window`, hold. The frames are slices of `bytes`.
///
/// An object in which no JPEG has a stamp was put there by some other tool: its JPEGs are spread evenly over
/// the window and stamped, with identities made of the object's hash and their order, so that reading it again
/// gives the same frames.
///
/// Takes time linear in `bytes`, and the number of rejections is bounded too.
pub fn parse(window: Window, bytes: &Bytes) -> Parsed {
    let (jpegs, mut rejected) = find_jpegs(bytes);
    let stamps: Vec<_> = jpegs.iter().map(|at| stamp::read_whole(&bytes[at.clone()])).collect();
    let mut frames = Vec::with_capacity(jpegs.len());
    if stamps.iter().all(Option::is_none) {
        let boot = BootId(ContentHash::of(bytes).to_u64());
        let apart = window.length().duration() / jpegs.len().max(1) as u32;
        for (i, at) in (0_u32..).zip(jpegs) {
            let (id, captured) = (FrameId { boot, sequence: i.into() }, window.start() + apart * i);
            let jpeg = stamp::write_whole(&bytes[at.clone()], id, captured);
            if jpeg.len() > FRAME_BYTES_MAX {
                rejected.push(Rejected::new(at, RejectedWhy::TooLarge));
            } else {
                frames.push(Frame { id, captured, jpeg });
            }
        }
    } else {
        for (at, stamp) in jpegs.into_iter().zip(stamps) {
            match stamp {
                None => rejected.push(Rejected::new(at, RejectedWhy::Unstamped)),
                Some((_, captured)) if captured >= window.end() => {
                    rejected.push(Rejected::new(at, RejectedWhy::TooLate));
                }
                Some((id, captured)) => frames.push(Frame { id, captured, jpeg: bytes.slice(at) }),
            }
        }
    }
    rejected.sort_unstable_by_key(|rejected| rejected.offset);
    Parsed { batch: Batch::new(window, frames).ok(), rejected }
}

/// Where the JPEGs are that are neither too large nor too many, and what else there is.
fn find_jpegs(bytes: &[u8]) -> (Vec<Range<usize>>, Vec<Rejected>) {
    let mut jpegs: Vec<Range<usize>> = Vec::new();
    let mut rejected: Vec<Rejected> = Vec::new();
    for span in jpeg::spans(bytes) {
        if !span.is_jpeg {
            // One entry for all that is foreign between two JPEGs, or a hostile object had one every few bytes.
            let since = jpegs.last().map_or(0, |jpeg| jpeg.end);
            match rejected.last_mut() {
                Some(last) if last.why == RejectedWhy::Foreign && last.offset >= since => {
                    last.length = span.bytes.end - last.offset;
                }
                _ => rejected.push(Rejected::new(span.bytes, RejectedWhy::Foreign)),
            }
        } else if span.bytes.len() > FRAME_BYTES_MAX {
            rejected.push(Rejected::new(span.bytes, RejectedWhy::TooLarge));
        } else if jpegs.len() == WINDOW_FRAMES_MAX {
            rejected.push(Rejected::new(span.bytes.start..bytes.len(), RejectedWhy::TooMany));
            break;
        } else {
            jpegs.push(span.bytes);
        }
    }
    (jpegs, rejected)
}

#[cfg(test)]
mod tests;
