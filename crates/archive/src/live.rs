//! The live playlist as a value, and as the text that players read (draft-pantos-hls-rfc8216bis §4).
//!
//! A line of a playlist follows from a window: its media sequence number, its date, its duration and its name.
//! So the value holds the first window and, for each window from there on, only what a window does not tell.

pub(crate) mod advance;
pub(crate) mod moving;
pub(crate) mod parse;

use std::{fmt, time::Duration};

use teiten_footage::{
    CameraId, ContentHash, Pictures, SegmentKey, Timestamp, Window, WindowLength, key,
    limits::target_duration_seconds,
};

use crate::moves::{Moves, write_moves};

/// What a playlist lists for one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The init section that applies. A gap has that of the segment before it, so that it is still known when
    /// that segment is dropped.
    pub(crate) init: ContentHash,
    /// Whether EXT-X-DISCONTINUITY stands before it: its init section is not that of the entry before.
    pub(crate) discontinuity: bool,
    /// A segment, or none.
    pub content: Content,
    /// What moves in it.
    pub(crate) moves: Moves,
}

/// What there is to play of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The segment with these pictures.
    Segment(Pictures),
    /// Nothing (EXT-X-GAP, §4.4.4.7), for good.
    Gap,
}

/// One version of a camera's `live.m3u8`. It lists consecutive windows, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePlaylist {
    camera: CameraId,
    first: Window,
    discontinuity_sequence: u64,
    entries: Vec<Entry>,
}

impl LivePlaylist {
    /// The playlist that lists just this segment.
    pub fn starting_with(segment: &SegmentKey) -> Self {
        let content = Content::Segment(segment.pictures);
        let entry = Entry { init: segment.init, discontinuity: false, content, moves: Moves::default() };
        Self {
            camera: segment.camera.clone(),
            first: segment.window,
            discontinuity_sequence: 0,
            entries: vec![entry],
        }
    }

    /// A playlist of these parts; `None` without an entry.
    pub(crate) fn from_parts(
        camera: CameraId,
        first: Window,
        discontinuity_sequence: u64,
        entries: Vec<Entry>,
    ) -> Option<Self> {
        (!entries.is_empty()).then_some(Self { camera, first, discontinuity_sequence, entries })
    }

    /// Whose playlist it is.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// The first window listed.
    pub fn first(&self) -> Window {
        self.first
    }

    /// The first window after those listed.
    pub fn next(&self) -> Window {
        self.first.plus(self.entries.len() as u64)
    }

    /// What is listed, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Window, &Entry)> + Clone {
        self.entries.iter().enumerate().map(|(index, entry)| (self.first.plus(index as u64), entry))
    }

    /// The same, to note what moves in them.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = (Window, &mut Entry)> {
        let first = self.first;
        self.entries.iter_mut().enumerate().map(move |(index, entry)| (first.plus(index as u64), entry))
    }

    /// The segments that are listed.
    pub fn segments(&self) -> impl Iterator<Item = SegmentKey> {
        self.entries().filter_map(|(window, entry)| match entry.content {
            Content::Segment(pictures) => {
                Some(SegmentKey { camera: self.camera.clone(), window, init: entry.init, pictures })
            }
            Content::Gap => None,
        })
    }

    /// How many windows are listed.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of the last entries are gaps.
    pub fn gaps_at_end(&self) -> u64 {
        self.entries.iter().rev().take_while(|entry| entry.content == Content::Gap).count() as u64
    }

    /// Lists the segment of the next window.
    pub(crate) fn push_segment(&mut self, segment: &SegmentKey) {
        debug_assert_eq!(segment.window, self.next());
        let discontinuity = segment.init != self.last_init();
        let content = Content::Segment(segment.pictures);
        self.entries.push(Entry { init: segment.init, discontinuity, content, moves: Moves::default() });
    }

    /// Lists the next window as a gap.
    pub(crate) fn push_gap(&mut self) {
        let init = self.last_init();
        let content = Content::Gap;
        self.entries.push(Entry { init, discontinuity: false, content, moves: Moves::default() });
    }

    /// Drops the first `count` entries; what they said of discontinuities goes on to count (§6.2.2).
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.first = self.first.plus(count as u64);
        let dropped = self.entries.drain(..count);
        self.discontinuity_sequence += dropped.filter(|entry| entry.discontinuity).count() as u64;
    }

    /// Goes on where `previous` ended some windows ago: as if all of `previous` were dropped, and what is
    /// listed here were appended to it. There is no discontinuity if the init section is the same: media time
    /// is the wall clock's, so it needs no marking that some of it is not listed.
    pub(crate) fn succeed(&mut self, previous: &Self) {
        let passed = previous.entries.iter().filter(|entry| entry.discontinuity).count() as u64;
        self.discontinuity_sequence += previous.discontinuity_sequence + passed;
        self.entries[0].discontinuity = self.entries[0].init != previous.last_init();
    }

    fn last_init(&self) -> ContentHash {
        self.entries[self.entries.len() - 1].init
    }
}

/// How many windows it takes to cover `duration`.
pub(crate) fn windows_in(duration: Duration, length: WindowLength) -> usize {
    duration.as_millis().div_ceil(u128::from(length.millis())) as usize
}

/// The playlist's text where anybody may read what it names.
impl fmt::Display for LivePlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &|_relative| None)
    }
}

impl LivePlaylist {
    /// The playlist's text with signed links: `query` gives what follows the `?` behind each name.
    pub fn signed<'a>(&self, query: impl Fn(&str) -> Option<&'a str>) -> String {
        let mut text = String::new();
        self.write(&mut text, &query).expect("a String takes everything");
        text
    }

    /// All objects that the text names, relative to the playlist, with the start of the first window that each is
    /// named for.
    pub fn objects(&self) -> impl Iterator<Item = (String, Timestamp)> {
        let maps =
            self.entries().enumerate().filter(|(index, (_, entry))| *index == 0 || entry.discontinuity);
        let inits = maps.map(|(_, (window, entry))| (init_uri(entry), window.start()));
        let segments = self.entries().filter(|(_, entry)| entry.content != Content::Gap);
        inits.chain(segments.map(|(window, entry)| (uri(&self.camera, window, entry), window.start())))
    }

    /// All tags that could be left out where they say nothing stay in, so that every version has the same form.
    fn write<'a>(&self, f: &mut dyn fmt::Write, query: &dyn Fn(&str) -> Option<&'a str>) -> fmt::Result {
        let link = |relative: String| match query(&relative) {
            Some(query) => format!("{relative}?{query}"),
            None => relative,
        };
        let length = self.first.length();
        writeln!(f, "#EXTM3U")?;
        // 8 is the first version with EXT-X-GAP (§8).
        writeln!(f, "#EXT-X-VERSION:8")?;
        writeln!(f, "#EXT-X-TARGETDURATION:{}", target_duration_seconds(length))?;
        writeln!(f, "#EXT-X-MEDIA-SEQUENCE:{}", self.first.media_sequence().unwrap_or_default())?;
        writeln!(f, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence)?;
        writeln!(f, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        let mut before = Moves::default();
        for (index, (window, entry)) in self.entries().enumerate() {
            write_moves(f, before, entry.moves)?;
            before = entry.moves;
            if entry.discontinuity {
                writeln!(f, "#EXT-X-DISCONTINUITY")?;
            }
            if index == 0 || entry.discontinuity {
                writeln!(f, "#EXT-X-MAP:URI=\"{}\"", link(init_uri(entry)))?;
            }
            writeln!(f, "#EXT-X-PROGRAM-DATE-TIME:{}", window.start().rfc3339_millis())?;
            if entry.content == Content::Gap {
                writeln!(f, "#EXT-X-GAP")?;
            }
            writeln!(f, "#EXTINF:{}.{:03},", length.millis() / 1000, length.millis() % 1000)?;
            let uri = uri(&self.camera, window, entry);
            writeln!(f, "{}", if entry.content == Content::Gap { uri } else { link(uri) })?;
        }
        Ok(())
    }
}

/// What EXT-X-MAP names, relative to the playlist.
fn init_uri(entry: &Entry) -> String {
    format!("init-{}.mp4", entry.init)
}

/// What stands on an entry's URI line, relative to the playlist.
pub(crate) fn uri(camera: &CameraId, window: Window, entry: &Entry) -> String {
    match entry.content {
        Content::Segment(pictures) => {
            SegmentKey { camera: camera.clone(), window, init: entry.init, pictures }.relative()
        }
        Content::Gap => key::gap_relative(window),
    }
}
