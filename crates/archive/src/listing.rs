//! What playlists of the past list of each window, and where that is stored: a segment in an object of its own, or in a pack.

use teiten_footage::{CameraId, ContentHash, PackKey, Pictures, SegmentKey, Timestamp, Window};

/// What a playlist of the past lists of one window.
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

    /// Whether the segment is a part of a pack.
    pub fn is_packed(&self) -> bool {
        matches!(self.place, Place::Packed(_))
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

/// What is stored of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// What can be listed.
    pub listing: Listing,
    /// When it was written, in milliseconds since the Unix epoch; a pack, up to when what was written is in it.
    pub modified_unix_millis: u64,
    /// The segment's size.
    pub size_bytes: u64,
}
