//! What a pack says of the samples of its segments, beside its index: so whoever needs the tables of an hour does not read the head of
//! each segment.
//!
//! It is a `uuid` box (ISO/IEC 14496-12 §11.1) of ours behind the index, which passes over it: a version, and for each window a row of
//! numbers in the variable-length form of Protocol Buffers (LEB128):
//! - one more than how many samples follow the keyframe; 0 of a segment of which that is not known, and nothing more of it;
//! - if any do, for how many ticks the keyframe is shown, where the bytes of the others begin, counted from its end, and of each
//!   twice its size, and one more if a player can start with it, and for how many ticks it is shown.

use bytes::Bytes;
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{PackKey, Window};
use tracing::warn;

use crate::{
    fragment::{Fragment, Sample},
    pack::{Index, Packed, index_bytes_max},
};

/// The box's type (§4.2): 128 bits that are nobody else's.
const KIND: [u8; 16] = *b"\x5b\x0e\x7a\xd1\x3c\x2f\x4e\x86\x9a\x41\xd6\x0c\x27\x8f\xb3\x15";

const VERSION: u8 = 1;

const HEADER_BYTES: usize = 8 + KIND.len() + 1;

/// The largest box that is read: that of an hour with 100 pictures a second takes 2 MB.
const BYTES_MAX: u64 = 4 << 20;

/// The box of these segments, of windows in a row from `first` on.
pub(crate) fn tables(first: Window, segments: &[Packed<'_>]) -> Vec<u8> {
    let mut rows = Vec::new();
    for (segment, window) in segments.iter().zip((0..).map(|index| first.plus(index))) {
        match fragment(segment, window) {
            None => put(&mut rows, 0),
            Some(fragment) => put_row(&mut rows, &fragment),
        }
    }
    let size = (HEADER_BYTES + rows.len()) as u32;
    [&size.to_be_bytes(), &b"uuid"[..], &KIND, &[VERSION], &rows].concat()
}

fn fragment(segment: &Packed<'_>, window: Window) -> Option<Fragment> {
    let others = segment.bytes.get(segment.keyframe_bytes as usize..)?;
    let fragment = Fragment::of_keyframe(window, segment.keyframe_bytes)?;
    if others.is_empty() { Some(fragment) } else { fragment.with_others(others, others.len() as u64).ok() }
}

fn put_row(rows: &mut Vec<u8>, fragment: &Fragment) {
    put(rows, fragment.samples.len() as u64);
    let [keyframe, others @ ..] = fragment.samples.as_slice() else { return };
    if others.is_empty() {
        return;
    }
    put(rows, keyframe.duration_ticks.into());
    put(rows, fragment.others_at - fragment.keyframe.end);
    for sample in others {
        put(rows, u64::from(sample.size_bytes) << 1 | u64::from(sample.is_sync));
        put(rows, sample.duration_ticks.into());
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The next row, of a segment of `window` whose keyframe takes so many bytes.
fn take_row(
    rows: &mut &[u8],
    window: Window,
    (bytes, keyframe_bytes): (u32, u32),
) -> Option<Option<Fragment>> {
    let Some(others) = take(rows)?.checked_sub(1) else { return Some(None) };
    let mut fragment = Fragment::of_keyframe(window, keyframe_bytes)?;
    if others > 0 {
        let number = |rows: &mut &[u8]| u32::try_from(take(rows)?).ok();
        fragment.samples[0].duration_ticks = number(rows)?;
        fragment.others_at += u64::from(number(rows)?);
        let mut end = fragment.others_at;
        for _ in 0..others {
            let (size, duration_ticks) = (number(rows)?, number(rows)?);
            let size_bytes = size >> 1;
            end += u64::from(size_bytes);
            fragment.samples.push(Sample { duration_ticks, size_bytes, is_sync: size & 1 == 1 });
        }
        if end > bytes.into() {
            return None;
        }
    }
    Some(Some(fragment))
}

/// What a box says of the segments of these windows, by the sizes of each and of its keyframe.
fn read(bytes: &[u8], first: Window, sizes: &[(u32, u32)]) -> Option<Vec<Option<Fragment>>> {
    let (header, mut rows) = bytes.split_at_checked(HEADER_BYTES)?;
    if header[4..8] != *b"uuid" || header[8..24] != KIND || header[24] != VERSION {
        return None;
    }
    let windows = (0..).map(|index| first.plus(index));
    let fragments = sizes.iter().zip(windows).map(|(sizes, window)| take_row(&mut rows, window, *sizes));
    let fragments = fragments.collect::<Option<Vec<_>>>()?;
    rows.is_empty().then_some(fragments)
}

/// What a pack says of its segments, each in its place; `None` of what it does not. It takes two requests.
pub async fn fragments_in_pack(
    media: &dyn Bucket,
    key: &PackKey,
) -> Result<Vec<Option<Fragment>>, BucketError> {
    let nothing = vec![None; key.windows().len()];
    let name = key.to_string();
    let head = media.get_range(&name, 0, index_bytes_max(key.count)).await?;
    let head = head.map_or_else(Bytes::new, |object| object.bytes);
    let Some(index) = Index::read(&head).filter(|index| index.sizes.len() == nothing.len()) else {
        return Ok(nothing);
    };
    let length = index.tables_bytes;
    if !(HEADER_BYTES as u64..=BYTES_MAX).contains(&length) {
        return Ok(nothing);
    }
    let tables = media.get_range(&name, index.offset - length, length).await?;
    let fragments = tables.and_then(|tables| read(&tables.bytes, key.first, &index.sizes));
    Ok(fragments.unwrap_or_else(|| {
        warn!(key = name, "pack has no tables of ours: the heads in it are read");
        nothing
    }))
}

#[cfg(test)]
mod tests {
    use teiten_footage::Pictures;

    use super::*;

    fn window() -> Window {
        "20261123T043001.500Z-1500".parse().unwrap()
    }

    fn fragment(window: Window, others: &[(u32, u32, bool)]) -> Fragment {
        let mut fragment = Fragment::of_keyframe(window, Pictures::KEYFRAME_AT + 50).unwrap();
        for (size_bytes, duration_ticks, is_sync) in others.iter().copied() {
            fragment.samples[0].duration_ticks -= duration_ticks;
            fragment.samples.push(Sample { duration_ticks, size_bytes, is_sync });
        }
        if !others.is_empty() {
            fragment.others_at += 300;
        }
        fragment
    }

    /// Golden: packs of stored footage have this.
    #[test]
    fn a_row_tells_all_of_a_segment() {
        let fragment = fragment(window(), &[(5000, 6000, false), (70_000, 5999, true)]);
        let mut rows = Vec::new();
        put_row(&mut rows, &fragment);
        assert_eq!(rows.len(), 1 + 3 + 2 + 2 + 2 + 3 + 2);
        assert_eq!(rows[..6], [3, 0xf9, 0xc0, 0x07, 0xac, 0x02]);
        let sizes = (fragment.others_at as u32 + 75_000, Pictures::KEYFRAME_AT + 50);
        assert_eq!(take_row(&mut &rows[..], window(), sizes), Some(Some(fragment.clone())));
        let short = (sizes.0 - 1, sizes.1);
        assert_eq!(take_row(&mut &rows[..], window(), short), None, "more than there is");
        for length in 0..rows.len() {
            assert_eq!(take_row(&mut &rows[..length], window(), sizes), None);
        }
    }

    #[test]
    fn what_is_not_known_of_a_segment_is_said() {
        let segment = [1; 1000];
        let packed = [
            Packed { bytes: &segment, keyframe_bytes: 999 },
            Packed { bytes: &segment, keyframe_bytes: 1000 },
        ];
        let tables = tables(window(), &packed);
        assert_eq!(tables[4..8], *b"uuid");
        assert_eq!(tables.len(), u32::from_be_bytes(tables[..4].try_into().unwrap()) as usize);
        let found = read(&tables, window(), &[(1000, 999), (1000, 1000)]).unwrap();
        assert_eq!(found, [None, Fragment::of_keyframe(window().next(), 1000)]);
        assert_eq!(read(&tables, window(), &[(1000, 999)]), None, "more rows than segments");
        assert_eq!(read(b"", window(), &[]), None);
    }
}
