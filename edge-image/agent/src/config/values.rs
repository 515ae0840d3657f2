//! What settings are made of: numbers within their ranges.

use std::{fmt, time::Duration};

/// A part of a whole: 0.05 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    pub(crate) const EXPECTED: &'static str = "a number from 0.05 to 1";

    /// `share` of 1.
    pub fn new(share: f64) -> Result<Self, RangeError> {
        if (0.05..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(RangeError { expected: Self::EXPECTED })
        }
    }

    /// The time of which `used` is this share.
    pub(crate) fn period(self, used: Duration) -> Duration {
        used.div_f64(self.0)
    }
}

/// A half.
impl Default for Share {
    fn default() -> Self {
        Self(0.5)
    }
}

/// Frames per second: 0.1 to 120.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate {
    per_second: f64,
}

/// Whole frames per second: 1 to 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeRate {
    per_second: u32,
}

/// JPEG quality, as the encoders of the Independent JPEG Group count it: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality(u8);

/// The size of a picture, in pixels: even numbers, 320 to 3840 wide, 180 to 2160 high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSize {
    width: u32,
    height: u32,
}

/// The limit of a spool, in MiB: 16 to 1,048,576. (What is under way to the broker, up to 8 MiB, has to fit.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mebibytes(u64);

/// How many frames a spool in a directory holds at most: 1000 to 10,000,000. (It keeps some 300 bytes in memory for each.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameCount(usize);

/// A value outside of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct RangeError {
    expected: &'static str,
}

impl Rate {
    pub(crate) const EXPECTED: &'static str = "a number of frames per second from 0.1 to 120";
    pub(crate) const MIN_PER_SECOND: f64 = 0.1;

    /// `per_second` frames per second.
    pub fn new(per_second: f64) -> Result<Self, RangeError> {
        if (Self::MIN_PER_SECOND..=120.0).contains(&per_second) {
            Ok(Self { per_second })
        } else {
            Err(RangeError { expected: Self::EXPECTED })
        }
    }

    /// The time from one frame to the next.
    pub fn period(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}

/// 10 frames per second.
impl Default for Rate {
    fn default() -> Self {
        Self { per_second: 10.0 }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second)
    }
}

impl WholeRate {
    pub(crate) const EXPECTED: &'static str = "\"auto\" or a whole number of frames per second from 1 to 120";

    /// What a camera is asked for unless the settings say otherwise.
    pub(crate) const CAPTURE_DEFAULT: Self = Self { per_second: 15 };

    /// `per_second` frames per second.
    pub fn new(per_second: u32) -> Result<Self, RangeError> {
        if (1..=120).contains(&per_second) {
            Ok(Self { per_second })
        } else {
            Err(RangeError { expected: Self::EXPECTED })
        }
    }

    /// The lowest whole rate that is not below `rate`.
    pub(crate) fn not_below(rate: Rate) -> Self {
        Self { per_second: rate.per_second.ceil() as u32 }
    }

    /// Frames per second.
    pub fn per_second(self) -> u32 {
        self.per_second
    }
}

impl fmt::Display for WholeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.per_second)
    }
}

impl Quality {
    pub(crate) const EXPECTED: &'static str = "a whole number from 1 to 100";

    /// Quality `percent`.
    pub fn new(percent: u8) -> Result<Self, RangeError> {
        if (1..=100).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(RangeError { expected: Self::EXPECTED })
        }
    }

    /// 1 (coarse) to 100 (fine).
    pub fn percent(self) -> u8 {
        self.0
    }
}

/// 80: artefacts are hard to see.
impl Default for Quality {
    fn default() -> Self {
        Self(80)
    }
}

impl PictureSize {
    pub(crate) const EXPECTED_WIDTH: &'static str = "an even number of pixels from 320 to 3840";
    pub(crate) const EXPECTED_HEIGHT: &'static str = "an even number of pixels from 180 to 2160";

    pub(crate) fn width_fits(width: u32) -> bool {
        (320..=3840).contains(&width) && width.is_multiple_of(2)
    }

    pub(crate) fn height_fits(height: u32) -> bool {
        (180..=2160).contains(&height) && height.is_multiple_of(2)
    }

    /// `width` by `height` pixels.
    pub fn new(width: u32, height: u32) -> Result<Self, RangeError> {
        if !Self::width_fits(width) {
            return Err(RangeError { expected: Self::EXPECTED_WIDTH });
        }
        if !Self::height_fits(height) {
            return Err(RangeError { expected: Self::EXPECTED_HEIGHT });
        }
        Ok(Self { width, height })
    }

    /// The width, in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// The height, in pixels.
    pub fn height(self) -> u32 {
        self.height
    }
}

/// 640x480.
impl Default for PictureSize {
    fn default() -> Self {
        Self { width: 640, height: 480 }
    }
}

impl fmt::Display for PictureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl Mebibytes {
    pub(crate) const EXPECTED: &'static str = "a whole number of MiB from 16 to 1048576";
    pub(crate) const MEMORY_DEFAULT: Self = Self(64);
    pub(crate) const DIRECTORY_DEFAULT: Self = Self(1024);

    /// `mebibytes` MiB.
    pub fn new(mebibytes: u64) -> Result<Self, RangeError> {
        if (16..=1 << 20).contains(&mebibytes) {
            Ok(Self(mebibytes))
        } else {
            Err(RangeError { expected: Self::EXPECTED })
        }
    }

    /// The limit in bytes.
    pub fn bytes(self) -> u64 {
        self.0 << 20
    }
}

impl FrameCount {
    pub(crate) const EXPECTED: &'static str = "a whole number of frames from 1000 to 10000000";

    /// `frames` frames.
    pub fn new(frames: usize) -> Result<Self, RangeError> {
        if (1000..=10_000_000).contains(&frames) {
            Ok(Self(frames))
        } else {
            Err(RangeError { expected: Self::EXPECTED })
        }
    }

    /// How many.
    pub fn get(self) -> usize {
        self.0
    }
}

/// 200,000: some hours at 15 a second.
impl Default for FrameCount {
    fn default() -> Self {
        Self(200_000)
    }
}

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}
