//! The playlist of an hour of the archive as a value, and as the text that players read.
//!
//! It is an EVENT playlist while the hour lasts, to which windows are only ever appended (draft-pantos-hls-rfc8216bis
//! §4.4.3.5, §6.2.1), and then a VOD playlist with an end. It lists segments in the order of time, and nothing else: a
//! hole is an EXT-X-DISCONTINUITY, as media time jumps there (§4.4.4.3), and the PROGRAM-DATE-TIME after it says
//! when footage goes on. So a night's outage costs no line, and stops no player (many cannot pass a long run of
//! EXT-X-GAP).

pub(crate) mod advance;
pub(crate) mod marks;
pub(crate) mod parse;
pub(crate) mod update;

use std::fmt;

use teiten_footage::{CameraId, ContentHash, Hour, Timestamp};

use crate::{
    hour::marks::Marks,
    listing::{Listing, Place},
    moves::write_range,
    sizes::Sizes,
};

/// EXT-X-TARGETDURATION of every hour. No window is longer. A playlist has to grow at least every one and a half
/// target durations (§6.2.2), and players ask for it once in each: this is how often it is rewritten, whatever the
/// length of its windows.
pub(crate) const TARGET_DURATION_SECONDS: u64 = 60;

/// One version of `<camera>/<yyyy-mm-dd>/<hh>.m3u8`. It lists at least one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourPlaylist {
    pub(crate) camera: CameraId,
    pub(crate) hour: Hour,
    pub(crate) listings: Vec<Listing>,
    pub(crate) ended: bool,
    /// When something moved.
    pub(crate) marks: Marks,
}

impl HourPlaylist {
    /// Whose playlist it is.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Which hour.
    pub(crate) fn hour(&self) -> Hour {
        self.hour
    }

    /// What is listed, in the order of time.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Whether it is complete (VOD, with EXT-X-ENDLIST).
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// When the last window that is listed ends.
    pub(crate) fn listed_until(&self) -> Timestamp {
        self.listings.last().map_or(self.hour.start(), |last| last.window.end())
    }

    /// How many holes there are between what is listed.
    pub(crate) fn holes(&self) -> usize {
        let is_hole = |pair: &&[Listing]| pair[0].window.end() != pair[1].window.start();
        self.listings.windows(2).filter(is_hole).count()
    }

    /// What it lists, by URIs relative to itself: it stands beside the folder of its hour.
    fn listed<'a>(
        &'a self,
        sizes: &'a Sizes<'a>,
    ) -> Listed<'a, impl Fn(ContentHash) -> String, impl Fn(&Listing) -> String> {
        let day = format!("{}/{}/", self.camera, self.hour.day()).len();
        Listed {
            kind: if self.ended { Kind::Vod } else { Kind::Event },
            target_duration_seconds: TARGET_DURATION_SECONDS,
            listings: &self.listings,
            sizes,
            init: |init| format!("../init-{init}.mp4"),
            segment: move |listing: &Listing| listing.object(&self.camera).split_off(day),
        }
    }

    /// Its text.
    pub(crate) fn text(&self, sizes: &Sizes<'_>) -> String {
        self.listed(sizes).segments(&self.marks)
    }

    /// The text of the playlist of its keyframes alone, which stands beside it.
    pub(crate) fn keyframes(&self, sizes: &Sizes<'_>) -> String {
        self.listed(sizes).keyframes()
    }
}

/// Whether a playlist grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may.
    Event,
    /// It never does.
    Vod,
}

/// A playlist of `listings`, whose URIs `init` and `segment` give.
///
/// Where it names one object by a range of bytes, it names all so, init sections too: some players (ffmpeg 5.1) take a range's
/// end along to the next request, and wait for it in another object.
pub(crate) struct Listed<'a, I, S> {
    pub(crate) kind: Kind,
    pub(crate) target_duration_seconds: u64,
    pub(crate) listings: &'a [Listing],
    pub(crate) sizes: &'a Sizes<'a>,
    pub(crate) init: I,
    pub(crate) segment: S,
}

impl<I: Fn(ContentHash) -> String, S: Fn(&Listing) -> String> Listed<'_, I, S> {
    /// The playlist of the segments.
    pub(crate) fn segments(&self, marks: &Marks) -> String {
        let mut text = String::new();
        self.write_segments(&mut text, marks).expect("a String takes everything");
        text
    }

    /// The playlist of the keyframes alone (§4.4.3.6), each shown until the next: all are ranges of objects.
    pub(crate) fn keyframes(&self) -> String {
        let mut text = String::new();
        self.write_keyframes(&mut text).expect("a String takes everything");
        text
    }

    fn write_segments(&self, f: &mut impl fmt::Write, marks: &Marks) -> fmt::Result {
        self.write_head(f)?;
        writeln!(f, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        let by_ranges = self.listings.iter().any(Listing::is_packed);
        let mut at = Position::default();
        let mut marks = marks.iter().peekable();
        for (index, listing) in self.listings.iter().enumerate() {
            while let Some((_, span)) = marks.next_if(|(position, _)| *position <= index) {
                write_range(f, span)?;
            }
            self.write_place(f, &mut at, listing, by_ranges)?;
            if let Some(size) = self.sizes.segment(listing).filter(|_| by_ranges) {
                writeln!(f, "#EXT-X-BYTERANGE:{size}@{}", listing.offset())?;
            }
            writeln!(f, "{}", (self.segment)(listing))?;
        }
        for (_, span) in marks {
            write_range(f, span)?;
        }
        self.write_end(f)
    }

    fn write_keyframes(&self, f: &mut impl fmt::Write) -> fmt::Result {
        self.write_head(f)?;
        writeln!(f, "#EXT-X-I-FRAMES-ONLY")?;
        let mut at = Position::default();
        for listing in self.listings {
            let Some(bytes) = listing.keyframe_bytes() else { continue };
            self.write_place(f, &mut at, listing, true)?;
            writeln!(f, "#EXT-X-BYTERANGE:{bytes}@{}", listing.offset())?;
            writeln!(f, "{}", (self.segment)(listing))?;
        }
        self.write_end(f)
    }

    fn write_head(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "#EXTM3U")?;
        // 6 is the first version with EXT-X-MAP in a playlist of segments (§8).
        writeln!(f, "#EXT-X-VERSION:6")?;
        writeln!(f, "#EXT-X-TARGETDURATION:{}", self.target_duration_seconds)?;
        writeln!(f, "#EXT-X-PLAYLIST-TYPE:{}", if self.kind == Kind::Vod { "VOD" } else { "EVENT" })?;
        writeln!(f, "#EXT-X-MEDIA-SEQUENCE:0")
    }

    /// What stands before a segment's range and URI.
    fn write_place<'b>(
        &self,
        f: &mut impl fmt::Write,
        at: &mut Position<'b>,
        listing: &'b Listing,
        by_ranges: bool,
    ) -> fmt::Result {
        if at.before.is_some_and(|before| listing.is_discontinuous_after(before)) {
            writeln!(f, "#EXT-X-DISCONTINUITY")?;
        }
        let bytes = match listing.place {
            Place::Packed(part) => Some(part.init_bytes),
            Place::Segment(_) => self.sizes.init(listing.init).filter(|_| by_ranges),
        };
        let map = Map { init: listing.init, bytes };
        if at.map.is_none_or(|current| !current.serves(map)) {
            let uri = if listing.is_packed() { (self.segment)(listing) } else { (self.init)(listing.init) };
            write!(f, "#EXT-X-MAP:URI=\"{uri}\"")?;
            if let Some(bytes) = bytes {
                write!(f, ",BYTERANGE=\"{bytes}@0\"")?;
            }
            writeln!(f)?;
            at.map = Some(map);
        }
        let millis = listing.window.length().millis();
        writeln!(f, "#EXT-X-PROGRAM-DATE-TIME:{}", listing.window.start().rfc3339_millis())?;
        writeln!(f, "#EXTINF:{}.{:03},", millis / 1000, millis % 1000)?;
        at.before = Some(listing);
        Ok(())
    }

    fn write_end(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.kind == Kind::Vod {
            writeln!(f, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }
}

/// What was written so far.
#[derive(Default)]
struct Position<'a> {
    before: Option<&'a Listing>,
    map: Option<Map>,
}

/// What EXT-X-MAP says of an init section, which is at the start of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) init: ContentHash,
    /// Its size, if that is said.
    pub(crate) bytes: Option<u32>,
}

impl Map {
    /// Whether what needs `other` can be played with this: it is the same section, and a range if that is one.
    fn serves(self, other: Self) -> bool {
        self.init == other.init && (self.bytes.is_some() || other.bytes.is_none())
    }
}
