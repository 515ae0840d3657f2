//! What of which object a file's pictures are.

use std::ops::Range;

use teiten_playlist::Listing;

/// Bytes of a stored segment that are handed through, but for a hole in them.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) listing: Listing,
    /// From where to where in the object, the hole with them.
    pub(crate) bytes: Range<u64>,
    /// Within `bytes`.
    pub(crate) hole: Range<u64>,
}

impl Part {
    /// How many bytes it gives.
    pub(crate) fn length(&self) -> u64 {
        (self.bytes.end - self.bytes.start) - (self.hole.end - self.hole.start)
    }

    /// Those of its bytes that are in `wanted`, which counts the bytes that it gives and lies within them.
    fn cut(self, wanted: Range<u64>) -> Self {
        let Self { listing, bytes, hole } = self;
        let before_hole = hole.start - bytes.start;
        let place = |at: u64| if at < before_hole { bytes.start + at } else { hole.end + (at - before_hole) };
        let start = place(wanted.start);
        // Behind the last byte.
        let end = if wanted.is_empty() { start } else { place(wanted.end - 1) + 1 };
        let spans = start < hole.start && hole.end < end;
        Self { listing, bytes: start..end, hole: if spans { hole } else { start..start } }
    }
}

/// The parts that give the bytes in `wanted`, which counts the bytes that `parts` give one after another.
pub(crate) fn cut(parts: &[Part], wanted: Range<u64>) -> Vec<Part> {
    let mut begin = 0;
    let mut cut = Vec::new();
    for part in parts {
        let end = begin + part.length();
        let within = wanted.start.max(begin)..wanted.end.min(end);
        if !within.is_empty() {
            cut.push(part.clone().cut(within.start - begin..within.end - begin));
        }
        begin = end;
    }
    cut
}

#[cfg(test)]
mod tests {
    use teiten_footage::{ContentHash, Pictures, Window};
    use teiten_playlist::Place;

    use super::*;

    fn part(bytes: Range<u64>, hole: Range<u64>) -> Part {
        let window = "20261123T040500.000Z-1000".parse::<Window>().unwrap();
        let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: 1 };
        let listing = Listing { window, init: ContentHash::of(b"init"), place: Place::Segment(pictures) };
        Part { listing, bytes, hole }
    }

    /// Where in their objects the bytes are that these parts give.
    fn given(parts: &[Part]) -> Vec<u64> {
        let of = |part: &Part| part.bytes.clone().filter(|at| !part.hole.contains(at)).collect::<Vec<_>>();
        parts.iter().flat_map(of).collect()
    }

    #[test]
    fn any_range_of_what_parts_give_is_given_by_parts_of_them() {
        let parts = [part(100..110, 104..106), part(7..9, 7..7), part(20..25, 20..23), part(40..46, 43..46)];
        let all = given(&parts);
        assert_eq!(all.len() as u64, parts.iter().map(Part::length).sum::<u64>());
        for start in 0..=all.len() {
            for end in start..=all.len() {
                let cut = cut(&parts, start as u64..end as u64);
                assert_eq!(given(&cut), all[start..end], "{start}..{end}");
                assert_eq!(cut.iter().map(Part::length).sum::<u64>(), (end - start) as u64);
                assert!(cut.iter().all(|part| part.length() > 0));
            }
        }
    }
}
