//! How large what a playlist lists is, which it has to say of what it names by ranges of bytes.

use std::collections::HashMap;

use teiten_footage::ContentHash;

use crate::{
    init_sections::InitSections,
    listing::{Listing, Place, Stored},
};

/// The sizes of segments and init sections, in bytes, as far as they are known.
#[derive(Debug)]
pub(crate) struct Sizes<'a> {
    /// Those of segments in objects of their own; of others the listing tells it.
    segments: HashMap<Listing, u64>,
    pub(crate) inits: &'a InitSections,
}

impl<'a> Sizes<'a> {
    /// Of what is `stored`, whose init sections are `inits`.
    pub(crate) fn of(stored: &[Stored], inits: &'a InitSections) -> Self {
        let segments = stored.iter().filter(|item| !item.listing.is_packed());
        Self { segments: segments.map(|item| (item.listing, item.size_bytes)).collect(), inits }
    }

    /// The size of a segment.
    pub(crate) fn segment(&self, listing: &Listing) -> Option<u64> {
        match listing.place {
            Place::Segment(_) => self.segments.get(listing).copied(),
            Place::Packed(part) => Some(part.size.into()),
        }
    }

    /// The size of an init section in an object of its own.
    pub(crate) fn init(&self, init: ContentHash) -> Option<u32> {
        self.inits.bytes_of(init)
    }
}
