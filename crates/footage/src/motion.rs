//! Motion: where and how much something moved while a window lasted, and what that means for one camera.
//!
//! `encode` measures: a [`MotionMap`] is a function of a window's pictures alone, and travels with the segment, in a
//! box in front of its media. What counts as motion is decided where maps are read, by a camera's
//! [`MotionSettings`]: zones and sensitivity can thus be changed for what is recorded already, and a segment stays a
//! function of its frames.

mod settings;
mod span;

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

pub use settings::{MotionSettings, SettingsError};
pub(crate) use span::compact;
pub use span::{MotionSource, MotionSpan};

/// How much moved in each cell of a picture, in 16 steps of 0 (nothing) to 15.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MotionMap(Box<[u8; MotionMap::PACKED_BYTES]>);

/// Text or bytes that are no [`MotionMap`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no motion map: expected {} bytes in Base64", MotionMap::PACKED_BYTES)]
pub struct MotionMapError;

impl MotionMap {
    /// Cells side by side, whatever the shape of the picture.
    pub const COLUMNS: usize = 32;
    /// Cells one above the other.
    pub const ROWS: usize = 24;
    /// All of them.
    pub const CELLS: usize = Self::COLUMNS * Self::ROWS;
    /// Two cells in a byte.
    pub const PACKED_BYTES: usize = Self::CELLS / 2;
    /// The strength at which what changes stands out from noise, brightness and edges: a quarter of it, four times
    /// over.
    pub const PLAIN: u8 = 4;
    /// The greatest strength.
    pub const STRENGTH_MAX: u8 = 15;

    /// `uuid`, the `usertype` of the box that carries a map (ISO/IEC 14496-12 §4.2).
    pub const BOX_TYPE: [u8; 16] = *b"\x2d\x07\x5c\x5e\x8a\xc3\x4b\x0f\x9d\x31teiten";
    /// A segment's first bytes that hold its map: `styp` of 24 bytes and the box.
    pub const SEGMENT_HEAD_BYTES: usize = 24 + Self::BOX_BYTES;
    /// The box: its header, usertype, version and flags, the map.
    pub const BOX_BYTES: usize = 8 + 16 + 4 + Self::PACKED_BYTES;

    /// Of cells row by row, from the top left. More than [`MotionMap::STRENGTH_MAX`] counts as that.
    pub fn from_strengths(strengths: &[u8; Self::CELLS]) -> Self {
        let nibble = |index: usize| strengths[index].min(Self::STRENGTH_MAX);
        Self(Box::new(std::array::from_fn(|byte| nibble(2 * byte) << 4 | nibble(2 * byte + 1))))
    }

    /// How much moved in a cell, counted row by row.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn strength(&self, cell: usize) -> u8 {
        let byte = self.0[cell / 2];
        if cell.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
    }

    /// The map's bytes, as its box has them: the cell further left in the upper half.
    pub fn packed(&self) -> &[u8; Self::PACKED_BYTES] {
        &self.0
    }

    /// The map in a segment, of which the first [`MotionMap::SEGMENT_HEAD_BYTES`] are enough. `None` if there is none.
    pub fn of_segment(mut segment: &[u8]) -> Option<Self> {
        loop {
            let size = u32::from_be_bytes(*segment.first_chunk()?) as usize;
            let (this, rest) = segment.split_at_checked(size.max(8))?;
            let body = this.strip_prefix(&(size as u32).to_be_bytes())?;
            if let Some(body) = body.strip_prefix(b"uuid").and_then(|body| body.strip_prefix(&Self::BOX_TYPE))
            {
                // Version 0; one of another version has another form.
                return body.strip_prefix(&[0; 4])?.try_into().ok().map(|packed| Self(Box::new(packed)));
            }
            segment = rest;
        }
    }

    /// 0 where nothing moves, as `settings` have it; else 1 to 255, the square root of the share of the cells looked
    /// at that move. A single cell that moves is taken for noise, unless it touches another that does.
    pub fn level(&self, settings: &MotionSettings) -> u8 {
        let watched = settings.watched();
        let moves: [bool; Self::CELLS] =
            std::array::from_fn(|cell| self.strength(cell) >= settings.strength_min());
        let moving = (0..Self::CELLS).filter(|cell| watched[*cell] && moves[*cell]);
        let moving = moving.filter(|cell| neighbours(*cell).any(|cell| moves[cell])).count();
        let all = watched.iter().filter(|watched| **watched).count().max(1);
        let level = (moving * 255 * 255 / all).isqrt();
        if moving == 0 { 0 } else { level.clamp(1, 255) as u8 }
    }
}

/// The cells around a cell, up to eight.
fn neighbours(cell: usize) -> impl Iterator<Item = usize> {
    let (row, column) = (cell / MotionMap::COLUMNS, cell % MotionMap::COLUMNS);
    let rows = row.saturating_sub(1)..=(row + 1).min(MotionMap::ROWS - 1);
    let columns = column.saturating_sub(1)..=(column + 1).min(MotionMap::COLUMNS - 1);
    rows.flat_map(move |row| columns.clone().map(move |column| row * MotionMap::COLUMNS + column))
        .filter(move |other| *other != cell)
}

/// Nothing moves.
impl Default for MotionMap {
    fn default() -> Self {
        Self(Box::new([0; Self::PACKED_BYTES]))
    }
}

/// Base64.
impl fmt::Display for MotionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(*self.0))
    }
}

impl FromStr for MotionMap {
    type Err = MotionMapError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text).map_err(|_error| MotionMapError)?;
        bytes.try_into().map(|packed| Self(Box::new(packed))).map_err(|_bytes| MotionMapError)
    }
}

/// A row of the picture in a line, a digit for a cell.
impl fmt::Debug for MotionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in 0..Self::ROWS {
            f.write_str("\n")?;
            for column in 0..Self::COLUMNS {
                match self.strength(row * Self::COLUMNS + column) {
                    0 => f.write_str(".")?,
                    strength => write!(f, "{strength:x}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(cells: &[(usize, usize, u8)]) -> MotionMap {
        let mut strengths = [0; MotionMap::CELLS];
        for (column, row, strength) in cells {
            strengths[row * MotionMap::COLUMNS + column] = *strength;
        }
        MotionMap::from_strengths(&strengths)
    }

    fn settings(json: &str) -> MotionSettings {
        MotionSettings::from_json(json.as_bytes()).unwrap()
    }

    fn boxed(packed: &[u8]) -> Vec<u8> {
        let size = (28 + packed.len()) as u32;
        [&size.to_be_bytes()[..], b"uuid", &MotionMap::BOX_TYPE, &[0; 4], packed].concat()
    }

    #[test]
    fn a_single_cell_is_noise_and_two_that_touch_are_motion() {
        let plain = MotionSettings::default();
        assert_eq!(map(&[]).level(&plain), 0);
        assert_eq!(map(&[(3, 3, 15), (9, 9, 15), (31, 4, 15), (0, 5, 15)]).level(&plain), 0);
        assert_eq!(map(&[(3, 3, 4), (4, 4, 4)]).level(&plain), 13);
        assert_eq!(map(&[(3, 3, 3), (4, 4, 3)]).level(&plain), 0);
        assert_eq!(MotionMap::from_strengths(&[15; MotionMap::CELLS]).level(&plain), 255);
    }

    #[test]
    fn only_what_is_in_a_zone_and_not_to_be_ignored_counts() {
        let corner = map(&[(0, 0, 9), (1, 0, 9), (1, 1, 9)]);
        let zone = |zone: &str| settings(zone);
        let left = r#"{"zones":[[[0,0],[0.5,0],[0.5,1],[0,1]]]}"#;
        let right = r#"{"zones":[[[0.5,0],[1,0],[1,1],[0.5,1]]]}"#;
        let but = r#"{"ignore":[[[0,0],[0.1,0],[0.1,0.1],[0,0.1]]]}"#;
        // Three cells of half the picture.
        assert_eq!(corner.level(&zone(left)), 22);
        assert_eq!(corner.level(&zone(right)), 0);
        assert_eq!(corner.level(&zone(but)), 0);
        // What touches the zone from outside still makes a cell in it more than noise.
        let across = map(&[(15, 7, 9), (16, 7, 9)]);
        assert!(across.level(&zone(left)) > 0 && across.level(&zone(right)) > 0);
    }

    #[test]
    fn a_more_sensitive_camera_sees_more() {
        let faint = map(&[(5, 5, 3), (5, 6, 3)]);
        let of = |sensitivity: u8| faint.level(&settings(&format!(r#"{{"sensitivity":{sensitivity}}}"#)));
        assert_eq!([1, 4, 5].map(of), [0; 3]);
        assert_eq!([6, 7].map(of), [13; 2]);
    }

    /// Golden: stored segments have this box.
    #[test]
    fn a_map_is_found_in_the_head_of_a_segment() {
        let map = map(&[(0, 0, 1), (1, 0, 2), (31, 23, 15)]);
        assert_eq!((map.packed()[0], map.packed()[1], map.packed()[383]), (0x12, 0, 0x0f));
        let styp = [&24_u32.to_be_bytes()[..], b"stypmsdh\0\0\0\0msdhcmfs"].concat();
        let head = [styp.clone(), boxed(map.packed())].concat();
        assert_eq!(head.len(), MotionMap::SEGMENT_HEAD_BYTES);
        assert_eq!(MotionMap::of_segment(&head), Some(map.clone()));
        assert_eq!(MotionMap::of_segment(&[head.as_slice(), b"\0\0\0\x08mdat"].concat()), Some(map.clone()));
        // One without, one cut short, and a box of another form.
        let mdat = b"\0\0\0\x08mdat";
        assert_eq!(MotionMap::of_segment(&[styp.as_slice(), mdat].concat()), None);
        assert_eq!(MotionMap::of_segment(&head[..head.len() - 1]), None);
        assert_eq!(MotionMap::of_segment(&[styp, boxed(&map.packed()[1..])].concat()), None);
        assert_eq!(MotionMap::of_segment(b"\0\0\0\0styp"), None);
    }

    proptest! {
        #[test]
        fn maps_come_back_from_bytes_and_text(strengths in prop::collection::vec(0_u8..16, MotionMap::CELLS)) {
            let strengths: [u8; MotionMap::CELLS] = strengths.try_into().unwrap();
            let map = MotionMap::from_strengths(&strengths);
            prop_assert!((0..MotionMap::CELLS).all(|cell| map.strength(cell) == strengths[cell]));
            prop_assert_eq!(map.to_string().parse(), Ok(map.clone()));
            prop_assert_eq!(MotionMap::of_segment(&boxed(map.packed())), Some(map));
        }

        #[test]
        fn no_bytes_are_too_strange_to_look_for_a_map_in(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = MotionMap::of_segment(&bytes);
            let _ = String::from_utf8_lossy(&bytes).parse::<MotionMap>();
        }
    }
}
