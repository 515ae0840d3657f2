//! The playlist of an hour of the archive as a value, and as the text that players read.
//!
//! It is an EVENT playlist while the hour lasts, to which windows are only ever appended (draft-pantos-hls-rfc8216bis
//! §4.4.3.5, §6.2.1), and then a VOD playlist with an end. It lists segments in the order of time, and nothing else: a
//! hole is an EXT-X-DISCONTINUITY, as media time jumps there (§4.4.4.3), and the PROGRAM-DATE-TIME after it says
//! when footage goes on. So a night's outage costs no line, and stops no player (many cannot pass a long run of
//! EXT-X-GAP).

use std::fmt;

use teiten_footage::{CameraId, ContentHash, Hour, PackKey, Pictures, SegmentKey, Timestamp, Window};

use crate::{hour_marks::Marks, moving::write_range, renditions::InitSections};

/// EXT-X-TARGETDURATION of every hour. No window is longer. A playlist has to grow at least every one and a half
/// target durations (§6.2.2), and players ask for it once in each: this is how often it is rewritten, whatever the
/// length of its windows.
pub const TARGET_DURATION_SECONDS: u64 = 60;

/// What an hour's playlist lists of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Which window.
    pub window: Window,
    /// Its init section.
    pub init: ContentHash,
    /// Where its segment is.
    pub place: Place,
}

/// Where a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In an object of its own, with these pictures.
    Segment(Pictures),
    /// With others in a pack.
    Packed(Part),
}

/// A part of a pack ([`PackKey`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The pack's first window.
    pub first: Window,
    /// How many windows it has.
    pub count: u32,
    /// Their init section.
    pub init: ContentHash,
    /// Up to when what was written is in it.
    pub as_of: Timestamp,
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// The size of the init section, with which it begins.
    pub init_bytes: u32,
    /// Where the segment begins in it.
    pub offset: u64,
    /// The segment's size.
    pub size: u32,
    /// As [`Pictures::keyframe_bytes`], which the pack's index tells, but no playlist of segments.
    pub keyframe_bytes: Option<u32>,
}

impl Part {
    /// The pack's key.
    pub fn key(&self, camera: &CameraId) -> PackKey {
        let Self { first, count, init, as_of, hash, .. } = *self;
        PackKey { camera: camera.clone(), first, count, init, as_of, hash }
    }
}

impl Listing {
    /// The listing of this segment, in its own object.
    pub fn of(segment: &SegmentKey) -> Self {
        Self { window: segment.window, init: segment.init, place: Place::Segment(segment.pictures) }
    }

    /// The key of the object that the segment is in.
    pub fn object(&self, camera: &CameraId) -> String {
        match self.place {
            Place::Segment(pictures) => {
                let (camera, window, init) = (camera.clone(), self.window, self.init);
                SegmentKey { camera, window, init, pictures }.to_string()
            }
            Place::Packed(part) => part.key(camera).to_string(),
        }
    }

    /// What a playlist of segments tells of it.
    pub(crate) fn as_told(mut self) -> Self {
        if let Place::Packed(part) = &mut self.place {
            part.keyframe_bytes = None;
        }
        self
    }

    /// Where the segment begins in the object.
    pub fn offset(&self) -> u64 {
        match self.place {
            Place::Segment(_) => 0,
            Place::Packed(part) => part.offset,
        }
    }

    /// How many of the segment's first bytes hold the keyframe alone, if that is known.
    pub fn keyframe_bytes(&self) -> Option<u32> {
        match self.place {
            Place::Segment(pictures) => Some(pictures.keyframe_bytes),
            Place::Packed(part) => part.keyframe_bytes,
        }
    }

    /// Whether it cannot be played on from `before`: there is a hole between, or another init section.
    pub fn is_discontinuous_after(&self, before: &Self) -> bool {
        self.window.start() != before.window.end() || self.init != before.init
    }
}

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
    pub fn hour(&self) -> Hour {
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
    pub fn listed_until(&self) -> Timestamp {
        self.listings.last().map_or(self.hour.start(), |last| last.window.end())
    }

    /// How many holes there are between what is listed.
    pub fn holes(&self) -> usize {
        let is_hole = |pair: &&[Listing]| pair[0].window.end() != pair[1].window.start();
        self.listings.windows(2).filter(is_hole).count()
    }

    /// What it lists, by URIs relative to itself: it stands beside the folder of its hour.
    fn listed(&self) -> Listed<'_, impl Fn(ContentHash) -> String, impl Fn(&Listing) -> String> {
        let day = format!("{}/{}/", self.camera, self.hour.day()).len();
        Listed {
            kind: if self.ended { Kind::Vod } else { Kind::Event },
            target_duration_seconds: TARGET_DURATION_SECONDS,
            listings: &self.listings,
            init: |init| format!("../init-{init}.mp4"),
            segment: move |listing: &Listing| listing.object(&self.camera).split_off(day),
        }
    }

    /// The text of the playlist of its keyframes alone, which stands beside it.
    pub(crate) fn keyframes(&self, inits: &InitSections) -> String {
        let mut text = String::new();
        self.listed().write_keyframes(&mut text, inits).expect("a String takes everything");
        text
    }
}

/// The playlist's text.
impl fmt::Display for HourPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listed().write(f, &self.marks)
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
pub(crate) struct Listed<'a, I, S> {
    pub(crate) kind: Kind,
    pub(crate) target_duration_seconds: u64,
    pub(crate) listings: &'a [Listing],
    pub(crate) init: I,
    pub(crate) segment: S,
}

impl<I: Fn(ContentHash) -> String, S: Fn(&Listing) -> String> Listed<'_, I, S> {
    /// Writes the playlist of the segments.
    pub(crate) fn write(&self, f: &mut impl fmt::Write, marks: &Marks) -> fmt::Result {
        self.write_head(f)?;
        writeln!(f, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        let mut at = Position::default();
        let mut marks = marks.iter().peekable();
        for (index, listing) in self.listings.iter().enumerate() {
            while let Some((_, span)) = marks.next_if(|(position, _)| *position <= index) {
                write_range(f, span)?;
            }
            self.write_place(f, &mut at, listing, None)?;
            if let Place::Packed(part) = listing.place {
                writeln!(f, "#EXT-X-BYTERANGE:{}@{}", part.size, part.offset)?;
            }
            writeln!(f, "{}", (self.segment)(listing))?;
        }
        for (_, span) in marks {
            write_range(f, span)?;
        }
        self.write_end(f)
    }

    /// Writes the playlist of the keyframes alone (§4.4.3.6), each shown until the next. All are ranges of objects, and so are
    /// init sections: some players take a range's end along to the next request, and wait for it in another object.
    pub(crate) fn write_keyframes(&self, f: &mut impl fmt::Write, inits: &InitSections) -> fmt::Result {
        self.write_head(f)?;
        writeln!(f, "#EXT-X-I-FRAMES-ONLY")?;
        let mut at = Position::default();
        for listing in self.listings {
            let Some(bytes) = listing.keyframe_bytes() else { continue };
            self.write_place(f, &mut at, listing, inits.bytes_of(listing.init))?;
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

    /// What stands before a segment's range and URI. `init_bytes` is the size of its init section, where an object of its own is
    /// to be named by a range.
    fn write_place<'b>(
        &self,
        f: &mut impl fmt::Write,
        at: &mut Position<'b>,
        listing: &'b Listing,
        init_bytes: Option<u32>,
    ) -> fmt::Result {
        if at.before.is_some_and(|before| listing.is_discontinuous_after(before)) {
            writeln!(f, "#EXT-X-DISCONTINUITY")?;
        }
        let map = Map::of(listing);
        if at.map.is_none_or(|current| !current.serves(map)) {
            let uri = match map.packed_bytes {
                Some(_) => (self.segment)(listing),
                None => (self.init)(listing.init),
            };
            write!(f, "#EXT-X-MAP:URI=\"{uri}\"")?;
            if let Some(bytes) = map.packed_bytes.or(init_bytes) {
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

/// An init section, and where EXT-X-MAP finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) init: ContentHash,
    /// Its size, at the start of a pack; `None`: in an object of its own.
    pub(crate) packed_bytes: Option<u32>,
}

impl Map {
    fn of(listing: &Listing) -> Self {
        let packed_bytes = match listing.place {
            Place::Segment(_) => None,
            Place::Packed(part) => Some(part.init_bytes),
        };
        Self { init: listing.init, packed_bytes }
    }

    /// Whether what needs `other` can be played with this: it is the same section. Parts of packs want one out of a pack.
    fn serves(self, other: Self) -> bool {
        self.init == other.init && (self.packed_bytes.is_some() || other.packed_bytes.is_none())
    }
}
