//! What of which objects a file's pictures are, and how it is read.

use std::ops::Range;

use teiten_archive::Listing;

/// How much is read at a time where pictures are near each other in one object, in bytes.
pub(crate) const READ_BYTES_MAX: u64 = 2 << 20;

/// How much between pictures is read with them rather than asked around, in bytes.
const GAP_BYTES_MAX: u64 = 64 << 10;

/// Bytes in a row of a stored segment that are handed through.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) listing: Listing,
    /// Counted in the object.
    pub(crate) bytes: Range<u64>,
}

/// Bytes of an object that are read at once, and which of them are handed through.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) listing: Listing,
    pub(crate) bytes: Range<u64>,
    pub(crate) pieces: Vec<Range<u64>>,
}

/// Those bytes that are in `wanted`, which counts the bytes that `pieces` give one after another.
pub(crate) fn cut(pieces: impl IntoIterator<Item = Piece>, wanted: Range<u64>) -> Vec<Piece> {
    let mut begin = 0;
    let mut cut = Vec::new();
    for Piece { listing, bytes } in pieces {
        let end = begin + (bytes.end - bytes.start);
        let within = wanted.start.max(begin)..wanted.end.min(end);
        if !within.is_empty() {
            let bytes = bytes.start + (within.start - begin)..bytes.start + (within.end - begin);
            cut.push(Piece { listing, bytes });
        }
        begin = end;
    }
    cut
}

/// How `pieces` are read: with few requests, and no more than a little of what is not asked for.
pub(crate) fn reads(pieces: impl IntoIterator<Item = Piece>) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::new();
    for Piece { listing, bytes } in pieces {
        let joined = reads.last_mut().filter(|read| {
            let gap = bytes.start.checked_sub(read.bytes.end);
            let is_near = gap.is_some_and(|gap| gap <= GAP_BYTES_MAX);
            is_near
                && bytes.end - read.bytes.start <= READ_BYTES_MAX
                && is_same_object(&listing, &read.listing)
        });
        match joined {
            Some(read) => {
                read.bytes.end = bytes.end;
                read.pieces.push(bytes);
            }
            None => reads.push(Read { listing, bytes: bytes.clone(), pieces: vec![bytes] }),
        }
    }
    reads
}

fn is_same_object(one: &Listing, other: &Listing) -> bool {
    use teiten_archive::Place;
    match (one.place, other.place) {
        (Place::Packed(one), Place::Packed(other)) => (one.first, one.hash) == (other.first, other.hash),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use teiten_archive::{Part, Place};
    use teiten_footage::{ContentHash, Pictures, Timestamp, Window};

    use super::*;

    fn window(second: u64) -> Window {
        "20261123T040500.000Z-1000".parse::<Window>().unwrap().plus(second)
    }

    fn segment(second: u64) -> Listing {
        let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: 1 };
        Listing { window: window(second), init: ContentHash::of(b"init"), place: Place::Segment(pictures) }
    }

    fn packed(second: u64, hash: &[u8]) -> Listing {
        let (init, hash) = (ContentHash::of(b"init"), ContentHash::of(hash));
        let (as_of, offset) = (Timestamp::default(), 1000 * second);
        let (first, count) = (window(0), 100);
        let part =
            Part { first, count, init, as_of, hash, init_bytes: 1, offset, size: 1000, keyframe_bytes: None };
        Listing { window: window(second), init, place: Place::Packed(part) }
    }

    /// Where in their objects the bytes are that these pieces give.
    fn given(pieces: &[Piece]) -> Vec<(Window, u64)> {
        let of = |piece: &Piece| piece.bytes.clone().map(|at| (piece.listing.window, at)).collect::<Vec<_>>();
        pieces.iter().flat_map(of).collect()
    }

    #[test]
    fn any_range_of_what_pieces_give_is_given_by_parts_of_them() {
        let piece = |second, bytes| Piece { listing: segment(second), bytes };
        let pieces = [piece(0, 100..104), piece(0, 106..110), piece(1, 7..9), piece(2, 40..43)];
        let all = given(&pieces);
        for start in 0..=all.len() {
            for end in start..=all.len() {
                let cut = cut(pieces.clone(), start as u64..end as u64);
                assert_eq!(given(&cut), all[start..end], "{start}..{end}");
                assert!(cut.iter().all(|piece| !piece.bytes.is_empty()));
            }
        }
    }

    #[test]
    fn what_is_near_in_one_object_is_read_at_once() {
        let of = |pieces: Vec<Piece>| {
            let ends = |range: &Range<u64>| (range.start, range.end);
            let read = |read: &Read| (ends(&read.bytes), read.pieces.iter().map(ends).collect::<Vec<_>>());
            reads(pieces).iter().map(read).collect::<Vec<_>>()
        };
        let piece = |listing, bytes| Piece { listing, bytes };
        let two = vec![piece(segment(0), 100..104), piece(segment(0), 106..110), piece(segment(1), 200..210)];
        assert_eq!(of(two), [((100, 110), vec![(100, 104), (106, 110)]), ((200, 210), vec![(200, 210)])]);
        let (one, other) = (|second| packed(second, b"one"), |second| packed(second, b"other"));
        let pack = vec![piece(one(0), 10..900), piece(one(1), 1010..1900), piece(other(2), 2010..2900)];
        assert_eq!(
            of(pack),
            [((10, 1900), vec![(10, 900), (1010, 1900)]), ((2010, 2900), vec![(2010, 2900)])]
        );
        // Neither more than is good for the memory, nor much in between.
        let large = READ_BYTES_MAX - 100;
        let far = vec![piece(one(0), 0..large), piece(one(1), large..large + 200)];
        assert_eq!(of(far).len(), 2);
        let far = vec![piece(one(0), 0..10), piece(one(1), 11 + GAP_BYTES_MAX..12 + GAP_BYTES_MAX)];
        assert_eq!(of(far).len(), 2);
    }
}
