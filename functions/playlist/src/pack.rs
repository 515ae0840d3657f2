//! Packs: the segments of many windows in one object, after an index of them.
//!
//! The index is a `sidx` box (ISO/IEC 14496-12 §8.16.3), which any tool that plays from an address understands: how large
//! each segment is, and how long. The segments follow as they are.

use bytes::Bytes;
use mp4_atom::{Decode as _, Encode as _, SegmentReference, Sidx};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{PackKey, Ticks, Window};
use tracing::warn;

use crate::{
    hour::{Listing, Part, Place},
    hour_advance::Stored,
};

/// The index of a pack whose segments have these sizes.
pub fn pack_index(first: Window, sizes: &[u32]) -> Vec<u8> {
    let reference = |size: &u32| SegmentReference {
        reference_type: false,
        referenced_size: *size,
        subsegment_duration: first.length().ticks().0 as u32,
        starts_with_sap: true,
        sap_type: 1,
        sap_delta_time: 0,
    };
    let index = Sidx {
        reference_id: 1,
        timescale: Ticks::PER_SECOND,
        earliest_presentation_time: first.start().ticks().0,
        first_offset: 0,
        references: sizes.iter().map(reference).collect(),
    };
    let mut bytes = Vec::new();
    index.encode(&mut bytes).expect("an hour's segments fit an index");
    bytes
}

/// The sizes of the segments in a pack, and where the first one begins.
fn read_index(mut bytes: &[u8]) -> Option<(u64, Vec<u32>)> {
    let whole = bytes.len();
    let index = Sidx::decode(&mut bytes).ok()?;
    let sizes = index.references.iter().map(|reference| reference.referenced_size).collect();
    Some(((whole - bytes.len()) as u64 + index.first_offset, sizes))
}

/// How long the index of so many segments is, at most.
fn index_bytes_max(count: u32) -> u64 {
    64 + 12 * u64::from(count)
}

/// What a pack holds of each window. One whose index tells nothing is passed over.
pub(crate) async fn stored_in_pack(media: &dyn Bucket, key: &PackKey) -> Result<Vec<Stored>, BucketError> {
    let name = key.to_string();
    let head = media.get_range(&name, 0, index_bytes_max(key.count)).await?;
    let head = head.map_or_else(Bytes::new, |object| object.bytes);
    let Some((mut offset, sizes)) = read_index(&head).filter(|(_, sizes)| sizes.len() == key.windows().len())
    else {
        warn!(key = name, "pack has no index of its windows: it is passed over");
        return Ok(Vec::new());
    };
    let PackKey { first, count, init, as_of, hash, .. } = key.clone();
    let listings = key.windows().zip(sizes).map(|(window, size)| {
        let part = Part { first, count, init, as_of, hash, offset, size };
        offset += u64::from(size);
        let listing = Listing { window, init, place: Place::Packed(part) };
        Stored { listing, modified_unix_millis: as_of.unix_millis() }
    });
    Ok(listings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: packs of stored footage begin like this.
    #[test]
    fn an_index_tells_where_each_segment_is() {
        let first: Window = "20261123T043001.500Z-1500".parse().unwrap();
        let index = pack_index(first, &[100, 200]);
        assert_eq!(&index[4..8], b"sidx");
        let read = read_index(&[&index[..], b"segments"].concat());
        assert_eq!(read, Some((index.len() as u64, vec![100, 200])));
        assert!(index.len() as u64 <= index_bytes_max(2));
        assert_eq!(read_index(b"segments"), None);
        let hour = pack_index(first, &[60_000; 7200]);
        assert!(hour.len() as u64 <= index_bytes_max(7200));
    }
}
