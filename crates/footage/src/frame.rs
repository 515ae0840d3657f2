//! A frame: one JPEG that carries its capture time and its identity.

use std::{fmt, str::FromStr};

use bytes::Bytes;

use crate::{
    hash::{ContentHash, parse_hex_u64},
    jpeg,
    stamp::{self, StampError},
    time::Timestamp,
};

/// Names one run of one publisher: a random number, chosen when it starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

impl BootId {
    /// The run of frames whose publisher gave them no identity ([`FrameId::of_unstamped`]): nobody waits to hear
    /// that they are stored.
    pub const NONE: Self = Self(0);
}

/// 16 lower-case hex digits.
impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no boot id or frame id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no frame identity: expected lower-case hex digits, 16 for the boot, 16 for the sequence"
)]
pub struct FrameIdError {
    text: String,
}

impl FrameIdError {
    fn new(text: &str) -> Self {
        Self { text: text.chars().take(40).collect() }
    }
}

impl FromStr for BootId {
    type Err = FrameIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex_u64(text).map(Self).ok_or_else(|| FrameIdError::new(text))
    }
}

/// The identity of a frame: which run of its publisher made it, and its number within that run.
/// Two messages with one identity are the same frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    /// The publisher's run.
    pub boot: BootId,
    /// 0, 1, 2, … within the run.
    pub sequence: u64,
}

impl FrameId {
    /// The identity of a JPEG that came without one: made of its bytes, so that it is the same frame wherever and
    /// however often it arrives.
    pub fn of_unstamped(jpeg: &[u8]) -> Self {
        Self { boot: BootId::NONE, sequence: ContentHash::of(jpeg).to_u64() }
    }
}

/// EXIF's ImageUniqueID: 32 lower-case hex digits, boot then sequence.
impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", self.boot, self.sequence)
    }
}

impl fmt::Debug for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for FrameId {
    type Err = FrameIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let boot = BootId(parse_hex_u64(text.get(..16)?)?);
            let sequence = parse_hex_u64(text.get(16..)?)?;
            Some(Self { boot, sequence })
        };
        parse().ok_or_else(|| FrameIdError::new(text))
    }
}

/// One JPEG of a camera, with what its stamp says. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its identity.
    pub id: FrameId,
    /// When it was captured.
    pub captured: Timestamp,
    /// The whole stamped JPEG, SOI to EOI.
    pub jpeg: Bytes,
}

impl Frame {
    /// The frame that `jpeg` becomes with this stamp, in place of any that it has ([`stamp::write`]).
    pub fn stamp(jpeg: &[u8], id: FrameId, captured: Timestamp) -> Result<Self, StampError> {
        Ok(Self { id, captured, jpeg: stamp::write(jpeg, id, captured)? })
    }

    /// The frame that `jpeg` is: `None` if it carries no stamp of ours. Padding behind it is left off; no byte
    /// is copied.
    pub fn parse(jpeg: Bytes) -> Result<Option<Self>, StampError> {
        let whole = jpeg::whole(&jpeg).ok_or(StampError::NotAJpeg)?;
        let (stamp, length) = (stamp::read_whole(whole), whole.len());
        Ok(stamp.map(|(id, captured)| Self { id, captured, jpeg: jpeg.slice(..length) }))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} at {}, {} bytes)", self.id, self.captured, self.jpeg.len())
    }
}
