//! A picture on its way from a capture buffer to a frame: copied once, and stamped in place.

use crate::{
    frame::{Frame, FrameId},
    jpeg,
    stamp::{self, SEGMENT_BYTES, StampError},
    time::Timestamp,
};

/// One whole JPEG with Huffman tables and without EXIF, with room for its stamp before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Unstamped {
    /// As many bytes as a stamp has, then the JPEG. The stamp will go behind the SOI, which moves to the front.
    bytes: Vec<u8>,
}

impl Unstamped {
    /// Copies the picture out of a capture buffer (or a file): what [`jpeg::whole`] finds there, without the EXIF
    /// that it has, with the Huffman tables of Annex K.3 if it has none ([`jpeg::has_huffman_tables`]).
    ///
    /// # Errors
    /// [`StampError::NotAJpeg`] unless there is one whole JPEG.
    pub fn new(buffer: &[u8]) -> Result<Self, StampError> {
        let whole = jpeg::whole(buffer).ok_or(StampError::NotAJpeg)?;
        Ok(Self::copy(
            whole,
            if jpeg::has_huffman_tables(whole) { &[] } else { jpeg::standard_huffman_tables() },
        ))
    }

    /// Copies a whole JPEG, with `tables` (any segments) before its first scan.
    pub(crate) fn copy(whole: &[u8], tables: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(SEGMENT_BYTES + whole.len() + tables.len());
        bytes.resize(SEGMENT_BYTES, 0);
        let mut copied = 0;
        for segment in jpeg::header(whole) {
            if stamp::is_exif(&segment) {
                bytes.extend_from_slice(&whole[copied..segment.start]);
                copied = segment.end;
            } else if segment.is_scan() {
                bytes.extend_from_slice(&whole[copied..segment.start]);
                bytes.extend_from_slice(tables);
                copied = segment.start;
            }
        }
        bytes.extend_from_slice(&whole[copied..]);
        Self { bytes }
    }

    /// The JPEG.
    pub fn jpeg(&self) -> &[u8] {
        &self.bytes[SEGMENT_BYTES..]
    }

    /// The frame that it becomes. Nothing is copied.
    pub fn stamp(mut self, id: FrameId, captured: Timestamp) -> Frame {
        self.bytes.copy_within(SEGMENT_BYTES..SEGMENT_BYTES + 2, 0);
        let segment = self.bytes[2..].first_chunk_mut().expect("a whole JPEG is longer than its SOI");
        stamp::put(segment, id, captured);
        Frame { id, captured, jpeg: self.bytes.into() }
    }
}

impl std::fmt::Debug for Unstamped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unstamped({} bytes)", self.jpeg().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::BootId;

    const BASELINE: &[u8] = include_bytes!("../tests/data/baseline.jpg");
    const ID: FrameId = FrameId { boot: BootId(7), sequence: 1 };

    #[test]
    fn a_picture_is_copied_once_and_stamped_where_it_is() {
        let padded = [BASELINE, &[0; 100]].concat();
        let unstamped = Unstamped::new(&padded).unwrap();
        assert_eq!(unstamped.jpeg(), BASELINE);
        let place = unstamped.bytes.as_ptr();
        let frame = unstamped.stamp(ID, Timestamp::Y2020);
        assert_eq!(frame.jpeg.as_ptr(), place);
        assert_eq!(Frame::stamp(BASELINE, ID, Timestamp::Y2020), Ok(frame.clone()));
        assert_eq!(Unstamped::new(&frame.jpeg).unwrap().jpeg(), BASELINE, "a stamp gives way to the next");
    }

    #[test]
    fn what_is_torn_is_no_picture() {
        assert_eq!(Unstamped::new(&BASELINE[..BASELINE.len() / 2]), Err(StampError::NotAJpeg));
        assert_eq!(Unstamped::new(b""), Err(StampError::NotAJpeg));
    }
}
