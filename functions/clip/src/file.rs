//! A file that can be sent, whole or in part: what is at which byte of it. Little of it is there before it is sent.

use std::{
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;
use teiten_archive::LIVE_AGE_MAX;
use teiten_footage::{ContentHash, Timestamp};

use crate::{
    cut::{Cut, Progress, Sink},
    measure::{Checkpoint, Measured},
    movie::{Head, Section},
    view::{Kept, View},
};

/// A file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) view: View,
    pub(crate) cut: Cut,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) kept: Kept,
    sections: Vec<Section>,
    tag: Tag,
    /// When somebody was first told of it.
    told: OnceLock<Instant>,
    is_given: AtomicBool,
    is_broken: AtomicBool,
}

impl File {
    pub(crate) fn new(name: String, view: View, cut: Cut, head: Head, measured: Measured) -> Self {
        // All that is not in the head follows from what the walk came by.
        let hash = ContentHash::of_parts([&*head.bytes, &measured.whole().hash.to_u64().to_be_bytes()]);
        let tag = Tag { as_of: view.as_of, hash };
        let Measured { checkpoints, kept, .. } = measured;
        let (told, is_given, is_broken) = (OnceLock::new(), AtomicBool::new(false), AtomicBool::new(false));
        let sections = head.sections;
        Self { name, view, cut, checkpoints, kept, sections, tag, told, is_given, is_broken }
    }

    pub(crate) fn length(&self) -> u64 {
        self.sections.iter().map(Section::length).sum()
    }

    pub(crate) fn tag(&self) -> Tag {
        self.tag
    }

    /// The sections, with where they begin.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (u64, &Section)> {
        let mut at = 0;
        self.sections.iter().map(move |section| {
            let begin = at;
            at += section.length();
            (begin, section)
        })
    }

    /// Notes that somebody is told of it.
    pub(crate) fn set_told(&self, now: Instant) {
        self.told.get_or_init(|| now);
    }

    /// Notes that somebody is given it, or has it.
    pub(crate) fn set_given(&self) {
        self.is_given.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has been given it, or has it.
    pub(crate) fn is_given(&self) -> bool {
        self.is_given.load(Ordering::Relaxed)
    }

    /// Whether nobody was told of it longer than `told_max` ago.
    pub(crate) fn is_of_now(&self, now: Instant, told_max: Duration) -> bool {
        self.told.get().is_none_or(|told| now.saturating_duration_since(*told) < told_max)
    }

    /// Whether its time was over, and what was captured had come in, when it was looked at.
    pub(crate) fn is_final(&self) -> bool {
        self.view.range.to() + LIVE_AGE_MAX <= self.view.as_of
    }

    /// Notes that it cannot be made any more: what it is of has changed.
    pub(crate) fn set_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether it cannot be made any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }
}

/// A file's entity tag: as of when its footage is looked at, and a hash of what is in it. So whoever has one, and with it a part of
/// the file, can be given the rest after more came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) as_of: Timestamp,
    pub(crate) hash: ContentHash,
}

impl Tag {
    pub(crate) fn header(self) -> HeaderValue {
        let text = format!("\"{}-{}\"", self.as_of.unix_millis() / 1000, self.hash);
        HeaderValue::try_from(text).expect("numbers and hashes are plain text")
    }

    /// The inverse of [`Tag::header`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (seconds, hash) = text.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
        let as_of = Timestamp::from_unix_millis(seconds.parse::<u64>().ok()?.checked_mul(1000)?);
        let tag = Self { as_of, hash: hash.parse().ok()? };
        (tag.header() == text).then_some(tag)
    }
}

/// What follows from the footage in a file, in the order in which it is walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// The lines of `stts`.
    Durations,
    /// Those of `stss`.
    Sync,
    /// Those of `stsz`.
    Sizes,
    /// The pictures.
    Pictures,
}

impl Column {
    /// How many of its bytes there are so far.
    pub(crate) fn bytes(self, progress: &Progress) -> u64 {
        match self {
            Self::Durations => 8 * u64::from(progress.runs),
            Self::Sync => 4 * u64::from(progress.sync),
            Self::Sizes => 4 * u64::from(progress.samples),
            Self::Pictures => progress.bytes,
        }
    }
}

/// Writes the lines of a table.
#[derive(Debug)]
pub(crate) struct Lines {
    column: Column,
    bytes: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(column: Column) -> Self {
        Self { column, bytes: Vec::new() }
    }

    /// Those of these bytes.
    pub(crate) fn cut(self, wanted: Range<u64>) -> Bytes {
        let length = self.bytes.len() as u64;
        let [start, end] = [wanted.start, wanted.end].map(|at| at.min(length) as usize);
        Bytes::from(self.bytes).slice(start..end)
    }
}

impl Sink for Lines {
    fn sample(&mut self, number: u32, size_bytes: u32, is_sync: bool) {
        match self.column {
            Column::Sizes => self.bytes.extend(size_bytes.to_be_bytes()),
            Column::Sync if is_sync => self.bytes.extend(number.to_be_bytes()),
            _ => {}
        }
    }

    fn run(&mut self, samples: u32, ticks: u32) {
        if self.column == Column::Durations {
            self.bytes.extend([samples, ticks].into_iter().flat_map(u32::to_be_bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: downloads go on with these.
    #[test]
    fn a_tag_says_as_of_when_it_is_and_what_of() {
        let tag = Tag { as_of: Timestamp::from_unix_millis(1_795_435_200_000), hash: ContentHash::of(b"") };
        assert_eq!(tag.header(), "\"1795435200-e3b0c44298fc1c14\"");
        assert_eq!(Tag::parse("\"1795435200-e3b0c44298fc1c14\""), Some(tag));
        for text in
            ["*", "\"e3b0c44298fc1c14\"", "W/\"1795435200-e3b0c44298fc1c14\"", "\"01-e3b0c44298fc1c14\""]
        {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
    }
}
