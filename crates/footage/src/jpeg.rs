//! The outside of a JPEG (ISO/IEC 10918-1 Annex B): where one starts and ends, which segments it has. Nothing
//! here decodes a picture.
//!
//! Every function takes time linear in its input, whatever the bytes are: see `walk` for why.

mod huffman;
mod source;

use std::{ops::Range, sync::LazyLock};

use source::Source;

// Marker codes, the byte after 0xFF (Table B.1).
const DHT: u8 = 0xC4;
const RST0: u8 = 0xD0;
const RST7: u8 = 0xD7;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
/// The longest scan header, for four components, in bytes without its marker (B.2.3). None has an SOI in it.
const SCAN_HEADER_BYTES_MAX: usize = 14;
/// APP1: where EXIF lives.
pub(crate) const APP1: u8 = 0xE1;

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

/// The JPEGs in `bytes`, one after another, and whatever lies between them.
///
/// What is whole is told from the structure, not by a search for markers: thumbnails inside APPn segments,
/// stuffed and restarted scans and several scans (progressive) belong to their JPEG. A torn JPEG ends where
/// the next one starts.
pub fn split(bytes: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    spans(bytes).map(|Span { bytes: range, is_jpeg }| {
        if is_jpeg {
            Piece::Jpeg(&bytes[range])
        } else {
            Piece::Foreign { offset: range.start, length: range.len() }
        }
    })
}

/// The one JPEG in a capture buffer or a message: SOI to EOI, without the padding (zeros, 0xFF) that drivers
/// leave behind it. `None` unless a whole JPEG starts at the first byte and only padding follows it.
pub fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let source = Source::new(bytes);
    match walk(&source, 0) {
        Walk::Whole { end } if source.after_padding(end).is_none() => Some(&bytes[..end]),
        _ => None,
    }
}

/// Whether an SOI is at the first byte.
pub(crate) fn starts(bytes: &[u8]) -> bool {
    Source::new(bytes).has_soi(0)
}

/// Whether a DHT segment comes before the first scan. Frames of UVC cameras and of AVI files often have none
/// and mean the tables of Annex K.3.
pub fn has_huffman_tables(jpeg: &[u8]) -> bool {
    header(jpeg).any(|segment| segment.code == DHT)
}

/// One DHT segment with the tables that frames without any mean (Annex K.3).
pub(crate) fn standard_huffman_tables() -> &'static [u8] {
    static SEGMENT: LazyLock<Vec<u8>> = LazyLock::new(huffman::standard_segment);
    &SEGMENT
}

/// Width and height in pixels, from the frame header (SOFn, B.2.2). `None` if there is none before the first
/// scan, or it leaves one of them open.
pub fn dimensions(jpeg: &[u8]) -> Option<(u16, u16)> {
    let frame_header = header(jpeg).find(|segment| is_frame_header(segment.code))?;
    let &[_precision, h1, h0, w1, w0, ..] = frame_header.payload else { return None };
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    (width > 0 && height > 0).then_some((width, height))
}

/// SOF0 to SOF15, among which DHT (C4), JPG (C8) and DAC (CC) are something else.
fn is_frame_header(code: u8) -> bool {
    matches!(code, 0xC0..=0xCF) && !matches!(code, DHT | 0xC8 | 0xCC)
}

/// A marker segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    /// The second byte of its marker.
    pub(crate) code: u8,
    /// Where it starts, fill bytes before its marker included.
    pub(crate) start: usize,
    /// Where the next one starts.
    pub(crate) end: usize,
    /// What follows its length.
    pub(crate) payload: &'a [u8],
}

impl Segment<'_> {
    /// Whether it is a scan header, behind which the coded picture starts.
    pub(crate) fn is_scan(&self) -> bool {
        self.code == SOS
    }
}

/// The segments from the start of `jpeg` to its first scan header (SOS), the last one. They end earlier where
/// `jpeg` is malformed.
pub(crate) fn header(jpeg: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let source = Source::new(jpeg);
    let mut next = source.has_soi(0).then_some(2);
    std::iter::from_fn(move || {
        let start = next.take()?;
        let marker = source.marker(start).filter(|marker| has_length(marker.code))?;
        let end = source.segment_end(marker.end)?;
        if marker.code != SOS {
            next = Some(end);
        }
        Some(Segment { code: marker.code, start, end, payload: &jpeg[marker.end + 2..end] })
    })
}

/// Whether a length follows this marker. The others stand alone (RSTn, SOI, EOI, TEM) or mean nothing
/// (0x00, 0x02 to 0xBF).
fn has_length(code: u8) -> bool {
    code >= 0xC0 && code != 0xFF && !(RST0..=EOI).contains(&code)
}

/// A [`Piece`] by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where it is.
    pub(crate) bytes: Range<usize>,
    /// Whether it is a whole JPEG.
    pub(crate) is_jpeg: bool,
}

/// [`split`], by place.
pub(crate) fn spans(bytes: &[u8]) -> impl Iterator<Item = Span> {
    Spans { source: Source::new(bytes), at: 0 }
}

struct Spans<'a> {
    source: Source<'a>,
    at: usize,
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let start = self.source.after_padding(self.at)?;
        let (end, is_jpeg) = match walk(&self.source, start) {
            Walk::Whole { end } => (end, true),
            Walk::Broken { resume } => (self.source.find_soi(resume), false),
        };
        self.at = end;
        Some(Span { bytes: start..end, is_jpeg })
    }
}

/// How a walk along the markers of a JPEG ended.
enum Walk {
    /// At its EOI, which ends at `end`.
    Whole { end: usize },
    /// There is no whole JPEG; look for the next SOI from `resume` on.
    Broken { resume: usize },
}

/// Walks the markers of the JPEG that should start at `start`.
///
/// `resume` lies behind everything that was looked at one by one, so a caller that goes on there takes linear
/// time in all. Only the last segment that was jumped over is gone through again: where a frame was torn, it
/// is that segment's length that led astray, and the next frame starts within it. (The segments before it
/// led to a marker, so they are sound, and a thumbnail in them is not taken for a frame.)
fn walk(source: &Source<'_>, start: usize) -> Walk {
    if !source.has_soi(start) {
        return Walk::Broken { resume: start + 1 };
    }
    let (mut at, mut resume, mut has_scan) = (start + 2, start + 2, false);
    loop {
        let Some(marker) = source.marker(at) else {
            return Walk::Broken { resume };
        };
        match marker.code {
            SOI => return Walk::Broken { resume: marker.end - 2 },
            EOI if has_scan => return Walk::Whole { end: marker.end },
            EOI => return Walk::Broken { resume: marker.end },
            code if has_length(code) => {
                resume = marker.end;
                let Some(end) = source.segment_end(marker.end) else {
                    return Walk::Broken { resume };
                };
                at = end;
                if code == SOS {
                    // After a scan header any marker will do, so one torn in it would lead into the next frame.
                    let torn = end - marker.end > SCAN_HEADER_BYTES_MAX || source.has_soi_in(marker.end..end);
                    if torn {
                        return Walk::Broken { resume };
                    }
                    has_scan = true;
                    at = source.scan_end(end);
                    resume = at;
                }
            }
            // A lone 0xFF is just a byte; a run of them was looked at, and is left behind.
            _ if marker.end - at > 2 => return Walk::Broken { resume: marker.end - 1 },
            _ => return Walk::Broken { resume },
        }
    }
}

#[cfg(test)]
mod tests;
