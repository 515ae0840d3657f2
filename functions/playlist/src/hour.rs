//! The playlist of an hour of the archive as a value, and as the text that players read.
//!
//! It is an EVENT playlist while the hour lasts, to which windows are only ever appended (draft-pantos-hls-rfc8216bis
//! §4.4.3.5, §6.2.1), and then a VOD playlist with an end. It lists segments in the order of time, and nothing else: a
//! hole is an EXT-X-DISCONTINUITY, as media time jumps there (§4.4.4.3), and the PROGRAM-DATE-TIME after it says
//! when footage goes on. So a night's outage costs no line, and stops no player (many cannot pass a long run of
//! EXT-X-GAP).

use std::fmt;

use teiten_footage::{CameraId, ContentHash, Hour, PackKey, SegmentKey, Timestamp, Window};

use crate::{hour_marks::Marks, moving::write_range};

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
    /// In an object of its own; these are the frames in it ([`SegmentKey::frames`]).
    Segment(ContentHash),
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
    /// Where the segment begins in it.
    pub offset: u64,
    /// The segment's size.
    pub size: u32,
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
        Self { window: segment.window, init: segment.init, place: Place::Segment(segment.frames) }
    }

    /// The key of the object that the segment is in.
    pub fn object(&self, camera: &CameraId) -> String {
        match self.place {
            Place::Segment(frames) => {
                let (camera, window, init) = (camera.clone(), self.window, self.init);
                SegmentKey { camera, window, init, frames }.to_string()
            }
            Place::Packed(part) => part.key(camera).to_string(),
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
}

/// The playlist's text.
impl fmt::Display for HourPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.ended { Kind::Vod } else { Kind::Event };
        let day = format!("{}/{}/", self.camera, self.hour.day());
        // Relative to the playlist, which stands beside the folder of its hour.
        let segment = |listing: &Listing| listing.object(&self.camera).split_off(day.len());
        write_listings(
            f,
            kind,
            TARGET_DURATION_SECONDS,
            &self.listings,
            &self.marks,
            |init| format!("../init-{init}.mp4"),
            segment,
        )
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

/// Writes `listings` as a playlist, with the URIs that `init` and `segment` give.
pub(crate) fn write_listings(
    f: &mut impl fmt::Write,
    kind: Kind,
    target_duration_seconds: u64,
    listings: &[Listing],
    marks: &Marks,
    init: impl Fn(ContentHash) -> String,
    segment: impl Fn(&Listing) -> String,
) -> fmt::Result {
    writeln!(f, "#EXTM3U")?;
    // 6 is the first version with EXT-X-MAP in a playlist like this (§8).
    writeln!(f, "#EXT-X-VERSION:6")?;
    writeln!(f, "#EXT-X-TARGETDURATION:{target_duration_seconds}")?;
    writeln!(f, "#EXT-X-PLAYLIST-TYPE:{}", if kind == Kind::Vod { "VOD" } else { "EVENT" })?;
    writeln!(f, "#EXT-X-MEDIA-SEQUENCE:0")?;
    writeln!(f, "#EXT-X-INDEPENDENT-SEGMENTS")?;
    let mut before: Option<&Listing> = None;
    let mut marks = marks.iter().peekable();
    for (index, listing) in listings.iter().enumerate() {
        while let Some((_, span)) = marks.next_if(|(position, _)| *position <= index) {
            write_range(f, span)?;
        }
        if before.is_some_and(|before| listing.is_discontinuous_after(before)) {
            writeln!(f, "#EXT-X-DISCONTINUITY")?;
        }
        if before.is_none_or(|before| listing.init != before.init) {
            writeln!(f, "#EXT-X-MAP:URI=\"{}\"", init(listing.init))?;
        }
        let millis = listing.window.length().millis();
        writeln!(f, "#EXT-X-PROGRAM-DATE-TIME:{}", listing.window.start().rfc3339_millis())?;
        writeln!(f, "#EXTINF:{}.{:03},", millis / 1000, millis % 1000)?;
        if let Place::Packed(part) = listing.place {
            writeln!(f, "#EXT-X-BYTERANGE:{}@{}", part.size, part.offset)?;
        }
        writeln!(f, "{}", segment(listing))?;
        before = Some(listing);
    }
    for (_, span) in marks {
        write_range(f, span)?;
    }
    if kind == Kind::Vod {
        writeln!(f, "#EXT-X-ENDLIST")?;
    }
    Ok(())
}
