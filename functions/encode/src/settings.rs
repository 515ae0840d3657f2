//! What can be chosen about encoding.

use std::{fmt, str::FromStr};

/// How batches are encoded. Equal settings and frames give equal bytes on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The encoder.
    pub codec: Codec,
    /// How coarsely pictures are quantised.
    pub qp: Qp,
    /// Whether a second thread decodes the next frame while one is encoded: the segment is finished sooner
    /// where a core is idle, for the same CPU time and one more picture of memory.
    pub decode_ahead: bool,
}

/// An H.264 encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Codec {
    /// OpenH264 (BSD licence).
    #[default]
    #[value(name = "openh264")]
    OpenH264,
    /// x264 (GPL).
    #[cfg(feature = "x264")]
    #[value(name = "x264")]
    X264,
}

/// An H.264 quantisation parameter; 6 more halve the precision. OpenH264 uses it as it is, x264 as its CRF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Qp(u8);

/// A number that is no [`Qp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no quantisation parameter: use a whole number from 24 (finest) to 51 (coarsest)")]
pub struct QpError {
    given: String,
}

impl Qp {
    /// About a tenth of the JPEGs' bytes, and as like them as x264's "ultrafast" makes it at CRF 25.
    pub const DEFAULT: Self = Self(26);
    /// OpenH264 writes CABAC into a buffer of the size of the raw picture and does not look where it ends. A
    /// picture of black and white noise, the worst there is, takes 80 % of the buffer at 24 and overruns it at 16.
    pub const MIN: Self = Self(24);
    /// The coarsest that H.264 has (ISO/IEC 14496-10 §7.4.2.2).
    pub const MAX: Self = Self(51);

    /// Checks `qp`.
    pub fn new(qp: u8) -> Result<Self, QpError> {
        if (Self::MIN.0..=Self::MAX.0).contains(&qp) {
            Ok(Self(qp))
        } else {
            Err(QpError { given: qp.to_string() })
        }
    }

    /// Half as precise, or [`Qp::MAX`]; `None` if that is what this is.
    pub fn coarser(self) -> Option<Self> {
        (self < Self::MAX).then(|| Self(self.0 + 6).min(Self::MAX))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Qp {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Qp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Qp {
    type Err = QpError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || QpError { given: text.chars().take(20).collect() };
        Self::new(text.parse().map_err(|_| error())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qp_is_a_number_from_24_to_51() {
        assert_eq!("26".parse(), Ok(Qp::DEFAULT));
        assert_eq!("24".parse(), Ok(Qp::MIN));
        assert_eq!("51".parse(), Ok(Qp::MAX));
        for text in ["", "23", "52", "-1", "256", "26.5", "x"] {
            assert!(text.parse::<Qp>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn coarser_and_coarser_ends_at_the_coarsest() {
        let steps: Vec<u8> =
            std::iter::successors(Some(Qp::DEFAULT), |qp| qp.coarser()).map(Qp::get).collect();
        assert_eq!(steps, [26, 32, 38, 44, 50, 51]);
    }
}
