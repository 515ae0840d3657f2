//! The outside of a JPEG (ISO/IEC 10918-1 Annex B): where one starts and ends, which segments it has. Nothing
//! here decodes a picture.

/// A complete JPEG found in a larger run of bytes, or what was found instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole JPEG, SOI to EOI.
    Jpeg(&'a [u8]),
    /// Bytes that are no JPEG: a torn frame, or something foreign. Padding (zeros, 0xFF fill) is not
    /// reported.
    Foreign {
        /// Where they start, in bytes from the beginning.
        offset: usize,
        /// How many they are.
        length: usize,
    },
}
