//! The stamp: capture time and identity inside a JPEG, as EXIF (CIPA DC-008) that any tool reads.
//!
//! DateTimeOriginal (0x9003), SubSecTimeOriginal (0x9291, 6 digits), OffsetTimeOriginal (0x9011, `+00:00`)
//! and ImageUniqueID (0xA420, [`crate::FrameId`]'s 32 hex digits). A JPEG that lacks one of them, or has it in
//! another form, is a foreign one: cameras write some of them too.
//!
//! Stamps are written in one fixed layout, and read in any that TIFF allows. The reader is our own, since it
//! meets whatever is published: it looks at each entry of two directories once, whereas general EXIF readers
//! follow every directory that a file claims to have.

use std::io::Write;

use bytes::Bytes;

use crate::{frame::FrameId, jpeg, time::Timestamp, unstamped::Unstamped};

/// Why something cannot be stamped, or asked for its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// It is not one whole JPEG.
    #[error("not one whole JPEG")]
    NotAJpeg,
}

/// What the payload of an APP1 segment with EXIF starts with (CIPA DC-008 §4.7.2).
const EXIF: &[u8] = b"Exif\0\0";

const EXIF_IFD_POINTER: u16 = 0x8769;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const OFFSET_TIME_ORIGINAL: u16 = 0x9011;
const SUB_SEC_TIME_ORIGINAL: u16 = 0x9291;
const IMAGE_UNIQUE_ID: u16 = 0xA420;

// TIFF's types (TIFF 6.0, section 2).
const ASCII: u16 = 2;
const LONG: u16 = 4;

/// The stamp's segment up to the values, which follow in the order of their tags, each at an even offset.
/// Offsets count from `MM`.
#[rustfmt::skip]
const PREFIX: [u8; 102] = [
    0xFF, 0xE1, 0x00, 0xAA, // APP1, length
    b'E', b'x', b'i', b'f', 0, 0,
    b'M', b'M', 0x00, 0x2A, 0x00, 0x00, 0x00, 0x08, // big-endian, first directory at 8
    0x00, 0x01, // directory 0: one entry
    0x87, 0x69, 0x00, 0x04, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x1A, // Exif directory at 26
    0x00, 0x00, 0x00, 0x00, // no further directory
    0x00, 0x05, // Exif directory: five entries
    0x90, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x04, b'0', b'2', b'3', b'1', // ExifVersion 2.31
    0x90, 0x03, 0x00, 0x02, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x5C, // DateTimeOriginal, 20 at 92
    0x90, 0x11, 0x00, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x70, // OffsetTimeOriginal, 7 at 112
    0x92, 0x91, 0x00, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x78, // SubSecTimeOriginal, 7 at 120
    0xA4, 0x20, 0x00, 0x02, 0x00, 0x00, 0x00, 0x21, 0x00, 0x00, 0x00, 0x80, // ImageUniqueID, 33 at 128
    0x00, 0x00, 0x00, 0x00, // no further directory
];

/// The stamp's segment, marker included.
pub(crate) const SEGMENT_BYTES: usize = 172;

/// `jpeg` with its stamp right after the SOI, in place of any EXIF that it has. Padding behind the EOI is
/// left off.
///
/// # Errors
/// [`StampError::NotAJpeg`] unless `jpeg` is one whole JPEG ([`jpeg::whole`]).
pub fn write(jpeg: &[u8], id: FrameId, captured: Timestamp) -> Result<Bytes, StampError> {
    jpeg::whole(jpeg).map(|jpeg| write_whole(jpeg, id, captured)).ok_or(StampError::NotAJpeg)
}

/// [`write`] into what is known to be one whole JPEG.
pub(crate) fn write_whole(jpeg: &[u8], id: FrameId, captured: Timestamp) -> Bytes {
    Unstamped::copy(jpeg, &[]).stamp(id, captured).jpeg
}

/// The stamp's segment.
pub(crate) fn put(segment: &mut [u8; SEGMENT_BYTES], id: FrameId, captured: Timestamp) {
    let (prefix, mut values) = segment.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    let c = captured.civil();
    write!(
        values,
        "{:04}:{:02}:{:02} {:02}:{:02}:{:02}\0+00:00\0\0{:06}\0\0{id}\0\0",
        c.year(),
        c.month(),
        c.day(),
        c.hour(),
        c.minute(),
        c.second(),
        captured.unix_micros() % 1_000_000
    )
    .expect("the values of a stamp have one length");
}

/// The identity and capture time in a JPEG's stamp; `None` if it has none of ours.
///
/// # Errors
/// [`StampError::NotAJpeg`] unless `jpeg` is one whole JPEG ([`jpeg::whole`]).
pub fn read(jpeg: &[u8]) -> Result<Option<(FrameId, Timestamp)>, StampError> {
    jpeg::whole(jpeg).map(read_whole).ok_or(StampError::NotAJpeg)
}

/// [`read`] of what may be torn: looks at no byte of the picture itself.
///
/// # Errors
/// [`StampError::NotAJpeg`] unless `jpeg` starts as a JPEG does.
pub fn peek(jpeg: &[u8]) -> Result<Option<(FrameId, Timestamp)>, StampError> {
    if jpeg::starts(jpeg) { Ok(read_whole(jpeg)) } else { Err(StampError::NotAJpeg) }
}

/// [`read`] of what is known to be one whole JPEG.
pub(crate) fn read_whole(jpeg: &[u8]) -> Option<(FrameId, Timestamp)> {
    jpeg::header(jpeg).filter(is_exif).find_map(|segment| {
        let tiff = Tiff::new(&segment.payload[EXIF.len()..])?;
        let exif = tiff.exif_directory()?;
        let ascii = |tag| tiff.ascii(exif, tag);
        let id = ascii(IMAGE_UNIQUE_ID)?.parse().ok()?;
        let captured = parse_time(ascii(DATE_TIME_ORIGINAL)?, ascii(SUB_SEC_TIME_ORIGINAL)?)?;
        (ascii(OFFSET_TIME_ORIGINAL)? == "+00:00").then_some((id, captured))
    })
}

pub(crate) fn is_exif(segment: &jpeg::Segment<'_>) -> bool {
    segment.code == jpeg::APP1 && segment.payload.starts_with(EXIF)
}

/// `2026:11:23 04:05:01` and `000000`.
fn parse_time(date_time: &str, micros: &str) -> Option<Timestamp> {
    let b = date_time.as_bytes();
    let separated = b.len() == 19
        && micros.len() == 6
        && [(4, b':'), (7, b':'), (10, b' '), (13, b':'), (16, b':')].iter().all(|&(at, byte)| b[at] == byte);
    if !separated {
        return None;
    }
    let number = |text: &str| -> Option<i32> {
        text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let part = |at| number(date_time.get(at..at + 2)?).map(|number| number as i8);
    let civil = jiff::civil::DateTime::new(
        number(date_time.get(..4)?)? as i16,
        part(5)?,
        part(8)?,
        part(11)?,
        part(14)?,
        part(17)?,
        number(micros)? * 1000,
    )
    .ok()?;
    // Later years become `Timestamp::MAX`, which is not what the stamp says.
    Timestamp::from_civil(civil).filter(|captured| captured.civil() == civil)
}

/// The TIFF structure inside EXIF (TIFF 6.0, section 2), which offsets count from. What lies outside of it
/// is not there.
struct Tiff<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Tiff<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let big_endian = match bytes.get(..2)? {
            b"MM" => true,
            b"II" => false,
            _ => return None,
        };
        let tiff = Self { bytes, big_endian };
        (tiff.u16(2)? == 42).then_some(tiff)
    }

    /// Where the Exif directory is, as directory 0 says.
    fn exif_directory(&self) -> Option<usize> {
        let first = self.u32(4)?;
        let (kind, count, value) = self.entry(first, EXIF_IFD_POINTER)?;
        if (kind, count) == (LONG, 1) { self.u32(value) } else { None }
    }

    /// The text of `tag` in the directory at `directory`, without its NUL.
    fn ascii(&self, directory: usize, tag: u16) -> Option<&'a str> {
        let (kind, count, value) = self.entry(directory, tag)?;
        if kind != ASCII {
            return None;
        }
        // Up to four bytes stand in the entry itself.
        let start = if count <= 4 { value } else { self.u32(value)? };
        let text = self.bytes.get(start..start.checked_add(count)?)?;
        std::str::from_utf8(text.strip_suffix(&[0])?).ok()
    }

    /// Type, count and value field (its offset) of the first entry of `tag`.
    fn entry(&self, directory: usize, tag: u16) -> Option<(u16, usize, usize)> {
        let first = directory.checked_add(2)?;
        let mut entries = (0..usize::from(self.u16(directory)?)).map_while(|i| {
            let at = first.checked_add(12 * i)?;
            Some((at, self.u16(at)?))
        });
        let (at, _) = entries.find(|&(_, found)| found == tag)?;
        Some((self.u16(at + 2)?, self.u32(at + 4)?, at + 8))
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// A LONG: offsets and counts, all of them.
    fn u32(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let value = if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        usize::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests;
