//! The bytes of a JPEG as its walker sees them: padding, markers, segments, scans. Every access goes through
//! here, so that tests can count them.

use std::ops::Range;

use super::{RST0, RST7, SOI};

/// A marker: 0xFF, any number of times (B.1.1.2), and a code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marker {
    pub(super) code: u8,
    /// The first byte after the code.
    pub(super) end: usize,
}

pub(super) struct Source<'a> {
    bytes: &'a [u8],
    #[cfg(test)]
    looked_at: std::cell::Cell<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            #[cfg(test)]
            looked_at: std::cell::Cell::new(0),
        }
    }

    /// How many bytes were looked at so far, repetitions counted.
    #[cfg(test)]
    pub(super) fn looked_at(&self) -> usize {
        self.looked_at.get()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + 1);
        self.bytes.get(at).copied()
    }

    /// The first byte from `from` on that `wanted` is true for.
    fn position(&self, from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let rest = self.bytes.get(from..)?;
        let found = rest.iter().position(|&byte| wanted(byte));
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + found.map_or(rest.len(), |length| length + 1));
        found.map(|length| from + length)
    }

    /// The first byte from `from` on that is no padding: neither zero nor 0xFF, unless that starts an SOI.
    pub(super) fn after_padding(&self, from: usize) -> Option<usize> {
        let end = self.position(from, |byte| byte != 0 && byte != 0xFF)?;
        let soi = self.byte(end) == Some(SOI) && end > from && self.byte(end - 1) == Some(0xFF);
        Some(if soi { end - 1 } else { end })
    }

    /// Whether an SOI is at `at`.
    pub(super) fn has_soi(&self, at: usize) -> bool {
        self.byte(at) == Some(0xFF) && self.byte(at + 1) == Some(SOI)
    }

    /// Whether an SOI starts somewhere in `range`.
    pub(super) fn has_soi_in(&self, mut range: Range<usize>) -> bool {
        range.any(|at| self.has_soi(at))
    }

    /// Where the first SOI from `from` on is, or the end.
    pub(super) fn find_soi(&self, from: usize) -> usize {
        let mut at = from;
        while let Some(found) = self.position(at, |byte| byte == 0xFF) {
            if self.byte(found + 1) == Some(SOI) {
                return found;
            }
            at = found + 1;
        }
        self.bytes.len()
    }

    /// The marker at `at`; any byte may be its code. 0xFF stands for the end of the bytes.
    pub(super) fn marker(&self, at: usize) -> Option<Marker> {
        if self.byte(at) != Some(0xFF) {
            return None;
        }
        Some(match self.position(at + 1, |byte| byte != 0xFF) {
            Some(code) => Marker { code: self.bytes[code], end: code + 1 },
            None => Marker { code: 0xFF, end: self.bytes.len() },
        })
    }

    /// Where the segment ends whose length is at `at`.
    pub(super) fn segment_end(&self, at: usize) -> Option<usize> {
        let length = u16::from_be_bytes([self.byte(at)?, self.byte(at + 1)?]);
        let end = at + usize::from(length);
        (length >= 2 && end <= self.bytes.len()).then_some(end)
    }

    /// Where the entropy-coded data that starts at `from` ends: at a marker other than RSTn, or the end.
    pub(super) fn scan_end(&self, from: usize) -> usize {
        let mut at = from;
        while let Some(found) = self.position(at, |byte| byte == 0xFF) {
            let Some(marker) = self.marker(found) else { break };
            if marker.code != 0 && !(RST0..=RST7).contains(&marker.code) {
                return found;
            }
            at = marker.end;
        }
        self.bytes.len()
    }
}
