//! Packs: the segments of many windows in one object, after their init section and an index of them. It is a file that
//! plays by itself.
//!
//! The index is a `sidx` box (ISO/IEC 14496-12 §8.16.3), which any tool that plays from an address understands: how large
//! each keyframe is and what follows it, and how long they last. Tables of all samples follow ([`crate::pack::tables`]), and the segments
//! as they are.

pub(crate) mod tables;

use std::io::Cursor;

use bytes::Bytes;
use mp4_atom::{
    Atom as _, Decode as _, Encode as _, Header, Moof, ReadAtom as _, ReadFrom as _, SegmentReference, Sidx,
};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{PackKey, Ticks, Window};
use tracing::warn;

use crate::{
    listing::{Listing, Part, Place, Stored},
    pack::tables::tables,
};

/// A segment that is to be put into a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed<'a> {
    /// The segment.
    pub bytes: &'a [u8],
    /// As [`teiten_footage::Pictures::keyframe_bytes`].
    pub keyframe_bytes: u32,
}

/// A pack: `init`, the index, and the segments of windows in a row from `first` on.
pub fn pack(init: &[u8], first: Window, segments: &[Packed<'_>]) -> Bytes {
    let windows = (0..).map(|index| first.plus(index));
    let references = segments.iter().zip(windows).flat_map(|(segment, window)| references(segment, window));
    let tables = tables(first, segments);
    let index = Sidx {
        reference_id: 1,
        timescale: Ticks::PER_SECOND,
        earliest_presentation_time: first.start().ticks().0,
        first_offset: tables.len() as u64,
        references: references.collect(),
    };
    let segments_bytes: usize = segments.iter().map(|segment| segment.bytes.len()).sum();
    let head_bytes = index_bytes_max(segments.len() as u32) as usize + tables.len();
    let mut bytes = Vec::with_capacity(head_bytes + segments_bytes);
    bytes.extend_from_slice(init);
    index.encode(&mut bytes).expect("an hour's segments fit an index");
    bytes.extend_from_slice(&tables);
    segments.iter().for_each(|segment| bytes.extend_from_slice(segment.bytes));
    bytes.into()
}

/// A reference to the keyframe, and one to what follows it.
fn references(segment: &Packed<'_>, window: Window) -> impl Iterator<Item = SegmentReference> + use<> {
    let reference = |is_start: bool, size: usize, duration: u64| SegmentReference {
        reference_type: false,
        referenced_size: size as u32,
        subsegment_duration: duration as u32,
        starts_with_sap: is_start,
        sap_type: u8::from(is_start),
        sap_delta_time: 0,
    };
    let (whole, length) = (segment.bytes.len(), window.length().ticks().0);
    let keyframe = whole.min(segment.keyframe_bytes as usize);
    let split =
        second_chunk(segment).filter(|start| (window.start().ticks()..window.end().ticks()).contains(start));
    // What follows and tells no time is not the keyframe's all the same: who reads it shall see that it is damaged.
    let shown = split.map_or(length, |start| start.0 - window.start().ticks().0);
    let rest = (keyframe < whole).then(|| reference(false, whole - keyframe, length - shown));
    std::iter::once(reference(true, keyframe, shown)).chain(rest)
}

/// When the pictures after the keyframe begin, if there are any.
fn second_chunk(segment: &Packed<'_>) -> Option<Ticks> {
    let mut rest = segment.bytes.get(segment.keyframe_bytes as usize..)?;
    let moof = Moof::decode(&mut rest).ok()?;
    Some(Ticks(moof.traf.first()?.tfdt.as_ref()?.base_media_decode_time))
}

/// What the head of a pack tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// The size of the init section before it.
    init_bytes: u32,
    /// Where the first segment begins.
    pub(crate) offset: u64,
    /// How much is between it and that.
    pub(crate) tables_bytes: u64,
    /// The sizes of the segments, and of their keyframes.
    pub(crate) sizes: Vec<(u32, u32)>,
}

impl Index {
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(head);
        let mut init_bytes = 0;
        let header = loop {
            let header = Header::read_from(&mut cursor).ok()?;
            if header.kind == Sidx::KIND {
                break header;
            }
            init_bytes = cursor.position() + header.size? as u64;
            cursor.set_position(init_bytes);
        };
        let index = Sidx::read_atom(&header, &mut cursor).ok()?;
        let (init_bytes, tables_bytes) = (u32::try_from(init_bytes).ok()?, index.first_offset);
        let offset = cursor.position().checked_add(tables_bytes)?;
        let mut sizes: Vec<(u32, u32)> = Vec::new();
        for SegmentReference { referenced_size: size, starts_with_sap, .. } in index.references {
            if starts_with_sap {
                sizes.push((size, size));
            } else {
                sizes.last_mut()?.0 += size;
            }
        }
        Some(Self { init_bytes, offset, tables_bytes, sizes })
    }
}

/// How long the head of a pack of so many segments is, at most: init section and index.
pub(crate) fn index_bytes_max(count: u32) -> u64 {
    INIT_BYTES_MAX + 64 + 24 * u64::from(count)
}

/// More than init sections have, which are 700 bytes or so.
const INIT_BYTES_MAX: u64 = 4096;

/// What a pack holds of each window. One whose index tells nothing is passed over.
pub(crate) async fn stored_in_pack(media: &dyn Bucket, key: &PackKey) -> Result<Vec<Stored>, BucketError> {
    let name = key.to_string();
    let head = media.get_range(&name, 0, index_bytes_max(key.count)).await?;
    let head = head.map_or_else(Bytes::new, |object| object.bytes);
    let index = Index::read(&head).filter(|index| index.sizes.len() == key.windows().len());
    let Some(Index { init_bytes, mut offset, sizes, .. }) = index else {
        warn!(key = name, "pack has no index of its windows: it is passed over");
        return Ok(Vec::new());
    };
    let PackKey { first, count, init, as_of, hash, .. } = key.clone();
    let listings = key.windows().zip(sizes).map(|(window, (size, keyframe))| {
        let keyframe_bytes = Some(keyframe);
        let part = Part { first, count, init, as_of, hash, init_bytes, offset, size, keyframe_bytes };
        offset += u64::from(size);
        let listing = Listing { window, init, place: Place::Packed(part) };
        Stored { listing, modified_unix_millis: as_of.unix_millis(), size_bytes: size.into() }
    });
    Ok(listings.collect())
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Mfhd, Tfdt, Traf};

    use super::*;

    /// A box of this kind with a body of `bytes`.
    fn boxed(kind: &[u8; 4], bytes: usize) -> Vec<u8> {
        [&(8 + bytes as u32).to_be_bytes()[..], kind, &vec![0; bytes]].concat()
    }

    fn window() -> Window {
        "20261123T043001.500Z-1500".parse().unwrap()
    }

    /// Golden: packs of stored footage begin like this.
    #[test]
    fn an_index_tells_where_each_segment_and_each_keyframe_is() {
        // Of the second chunk, all that counts is when it begins.
        let mut second = Vec::new();
        let tfdt = Tfdt { base_media_decode_time: window().start().ticks().0 + 9000 };
        let traf = Traf { tfdt: Some(tfdt), ..Traf::default() };
        Moof { mfhd: Mfhd { sequence_number: 1 }, traf: vec![traf] }.encode(&mut second).unwrap();
        let (init, first) = (boxed(b"ftyp", 20), boxed(b"mdat", 92));
        let [two, one, damaged] =
            [[&first[..], &second].concat(), first.clone(), [&first[..], b"rubbish"].concat()];
        let packed = [&two, &one, &damaged].map(|bytes| Packed { bytes, keyframe_bytes: 100 });
        let pack = pack(&init, window(), &packed);
        assert!(pack.starts_with(&init) && pack[28..].starts_with(b"\0\0\0\x64sidx"));
        assert!(pack.ends_with(&[two.as_slice(), &one, &damaged].concat()));
        let index = Index::read(&pack).unwrap();
        let sizes = vec![(two.len() as u32, 100), (100, 100), (107, 100)];
        let tables_bytes = tables(window(), &packed).len() as u64;
        assert_eq!(index, Index { init_bytes: 28, offset: 28 + 100 + tables_bytes, tables_bytes, sizes });
        let sidx = Sidx::decode(&mut &pack[28..]).unwrap();
        let durations = sidx.references.iter().map(|reference| reference.subsegment_duration);
        assert_eq!(durations.collect::<Vec<_>>(), [9000, 126_000, 135_000, 135_000, 0]);
    }

    #[test]
    fn the_index_of_the_longest_hour_is_within_what_is_read_of_a_pack() {
        let segment = boxed(b"mdat", 92);
        let packed = vec![Packed { bytes: &segment, keyframe_bytes: 100 }; 7200];
        let pack = pack(&boxed(b"moov", 4000), window(), &packed);
        let head = &pack[..index_bytes_max(7200) as usize];
        assert_eq!(Index::read(head).map(|index| index.sizes.len()), Some(7200));
        assert_eq!(Index::read(b"segments"), None);
        assert_eq!(Index::read(&segment), None);
    }
}
