//! Pictures to H.264 (ISO/IEC 14496-10) access units: one IDR picture at the start of a segment, every other
//! one predicted from the picture before it, parameter sets in front of the IDR.

pub mod nal;
mod openh264;
#[cfg(feature = "x264")]
mod x264;

use crate::{
    picture::{Picture, Size},
    settings::{Codec, Settings},
};

/// Full-range BT.601 as a JPEG has it (ISO/IEC 23091-2): primaries and matrix of BT.470 BG, whose transfer
/// function is BT.601's under another number.
pub mod colour {
    /// ColourPrimaries.
    pub const PRIMARIES: u8 = 5;
    /// TransferCharacteristics.
    pub const TRANSFER: u8 = 6;
    /// MatrixCoefficients.
    pub const MATRIX: u8 = 5;
}

/// An encoder refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{encoder}: {step} failed with code {code}")]
pub struct EncoderError {
    encoder: &'static str,
    step: &'static str,
    code: i64,
}

/// An encoder for the pictures of one segment.
pub trait Encoder {
    /// Encodes the next picture and appends its access unit to `stream`, each NAL unit after its length in 4
    /// bytes (ISO/IEC 14496-15 §5.3.2). When it is shown is the container's affair and changes nothing here.
    fn encode(&mut self, picture: &Picture, stream: &mut Vec<u8>) -> Result<(), EncoderError>;
}

/// The encoder that `settings` ask for, for pictures of `size`.
pub fn encoder(size: Size, settings: &Settings) -> Result<Box<dyn Encoder>, EncoderError> {
    match settings.codec {
        Codec::OpenH264 => Ok(Box::new(openh264::OpenH264::new(size, settings.qp)?)),
        #[cfg(feature = "x264")]
        Codec::X264 => Ok(Box::new(x264::X264::new(size, settings.qp)?)),
    }
}
