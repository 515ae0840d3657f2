//! What counts as motion for one camera: an object that its owner writes, JSON.
//!
//! ```json
//! {"sensitivity":5,"zones":[[[0,0.6],[0.5,0.6],[0.5,1],[0,1]]],"ignore":[]}
//! ```
//!
//! Zones are polygons; a point is the part of the picture's width and height that it is away from the top left.

use serde::Deserialize;

use super::MotionMap;

/// The largest object that is read, in bytes.
const BYTES_MAX: usize = 16 << 10;
/// The most polygons of a kind.
const ZONES_MAX: usize = 16;
/// The most corners of one.
const POINTS_MAX: usize = 32;

/// What counts as motion for one camera. The default: whatever is plain, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MotionSettings {
    strength_min: u8,
    watched: [bool; MotionMap::CELLS],
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// More than anybody writes by hand.
    #[error("{bytes} bytes; settings have at most {BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No JSON, or not of this form.
    #[error("{0}")]
    Form(String),
    /// Out of range.
    #[error("sensitivity {0}: use a whole number from 1 (only what is plain to see) to 7 (the least change)")]
    Sensitivity(u8),
    /// Too many polygons.
    #[error("{count} polygons in {list:?}; there can be {ZONES_MAX}")]
    TooMany {
        /// `zones` or `ignore`.
        list: &'static str,
        /// How many.
        count: usize,
    },
    /// A polygon that is none.
    #[error("polygon {number} of {list:?}: {why}")]
    Polygon {
        /// `zones` or `ignore`.
        list: &'static str,
        /// Counted from 1.
        number: usize,
        /// What is wrong, and what to do.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default = "plain")]
    sensitivity: u8,
    #[serde(default)]
    zones: Vec<Polygon>,
    #[serde(default)]
    ignore: Vec<Polygon>,
}

type Polygon = Vec<[f64; 2]>;

/// The sensitivity at which what is plain is motion.
const fn plain() -> u8 {
    9 - MotionMap::PLAIN
}

impl Default for MotionSettings {
    fn default() -> Self {
        Self { strength_min: MotionMap::PLAIN, watched: [true; MotionMap::CELLS] }
    }
}

impl MotionSettings {
    /// Reads an object.
    ///
    /// # Errors
    /// Which of its values cannot be, and what could.
    pub fn from_json(json: &[u8]) -> Result<Self, SettingsError> {
        if json.len() > BYTES_MAX {
            return Err(SettingsError::TooLarge { bytes: json.len() });
        }
        let form: Form =
            serde_json::from_slice(json).map_err(|error| SettingsError::Form(error.to_string()))?;
        if !(1..=7).contains(&form.sensitivity) {
            return Err(SettingsError::Sensitivity(form.sensitivity));
        }
        let zones = cells("zones", &form.zones)?;
        let ignored = cells("ignore", &form.ignore)?;
        let is_watched = |cell: usize| (form.zones.is_empty() || zones[cell]) && !ignored[cell];
        Ok(Self { strength_min: 9 - form.sensitivity, watched: std::array::from_fn(is_watched) })
    }

    /// The strength from which on a cell moves.
    pub(super) fn strength_min(&self) -> u8 {
        self.strength_min
    }

    /// Which cells are looked at.
    pub(super) fn watched(&self) -> &[bool; MotionMap::CELLS] {
        &self.watched
    }
}

/// The cells whose centre is in one of `polygons`.
fn cells(list: &'static str, polygons: &[Polygon]) -> Result<[bool; MotionMap::CELLS], SettingsError> {
    if polygons.len() > ZONES_MAX {
        return Err(SettingsError::TooMany { list, count: polygons.len() });
    }
    let mut inside = [false; MotionMap::CELLS];
    for (index, polygon) in polygons.iter().enumerate() {
        let wrong = |why| SettingsError::Polygon { list, number: index + 1, why };
        if !(3..=POINTS_MAX).contains(&polygon.len()) {
            return Err(wrong("it has 3 to 32 points"));
        }
        if !polygon.iter().flatten().all(|part| (0.0..=1.0).contains(part)) {
            return Err(wrong("points are parts of width and height, 0 to 1"));
        }
        let mut is_empty = true;
        for (cell, inside) in inside.iter_mut().enumerate() {
            if contains(polygon, centre(cell)) {
                *inside = true;
                is_empty = false;
            }
        }
        if is_empty {
            return Err(wrong("no cell's centre is in it: make it larger than 1/32 by 1/24 of the picture"));
        }
    }
    Ok(inside)
}

fn centre(cell: usize) -> [f64; 2] {
    let part = |index: usize, count: usize| (index as f64 + 0.5) / count as f64;
    [part(cell % MotionMap::COLUMNS, MotionMap::COLUMNS), part(cell / MotionMap::COLUMNS, MotionMap::ROWS)]
}

/// Whether a line from `point` to the right crosses the polygon's sides an odd number of times.
fn contains(polygon: &Polygon, [x, y]: [f64; 2]) -> bool {
    let sides = polygon.iter().zip(polygon.iter().cycle().skip(1));
    sides.fold(false, |inside, ([x1, y1], [x2, y2])| {
        let crosses = (*y1 > y) != (*y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1;
        inside != crosses
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(json: &str) -> usize {
        MotionSettings::from_json(json.as_bytes()).unwrap().watched.iter().filter(|w| **w).count()
    }

    #[test]
    fn zones_are_the_cells_whose_centre_is_in_them() {
        assert_eq!(watched("{}"), MotionMap::CELLS);
        assert_eq!(watched(r#"{"zones":[[[0,0],[0.5,0],[0.5,0.5],[0,0.5]]]}"#), 16 * 12);
        // Below the diagonal, on which the centre of every fourth row's cells lies; and its other side.
        let below = watched(r#"{"zones":[[[0,0],[1,1],[0,1]]]}"#);
        assert_eq!(watched(r#"{"ignore":[[[0,0],[1,1],[0,1]]]}"#), MotionMap::CELLS - below);
        assert!((376..=392).contains(&below), "{below}");
        let both = r#"{"zones":[[[0,0],[0.5,0],[0.5,1],[0,1]],[[0.5,0],[1,0],[1,1],[0.5,1]]]}"#;
        assert_eq!(watched(both), MotionMap::CELLS);
    }

    #[test]
    fn mistakes_are_named() {
        let many = format!(r#"{{"zones":[{}]}}"#, vec!["[[0,0],[1,0],[1,1]]"; 17].join(","));
        for (json, message) in [
            ("", "EOF"),
            ("5", "invalid type"),
            (r#"{"zone":[]}"#, "unknown field `zone`, expected one of `sensitivity`, `zones`, `ignore`"),
            (r#"{"sensitivity":0}"#, "sensitivity 0: use a whole number from 1"),
            (r#"{"sensitivity":8}"#, "sensitivity 8"),
            (r#"{"zones":[[[0,0],[1,1]]]}"#, "polygon 1 of \"zones\": it has 3 to 32 points"),
            (r#"{"ignore":[[[0,0],[1,0],[1.1,1]]]}"#, "polygon 1 of \"ignore\": points are parts"),
            (r#"{"zones":[[[0,0],[0.001,0],[0.001,0.001]]]}"#, "no cell's centre"),
            (many.as_str(), "17 polygons in \"zones\""),
        ] {
            let error = MotionSettings::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{json}: {error}");
        }
        let large = vec![b' '; BYTES_MAX + 1];
        assert_eq!(MotionSettings::from_json(&large), Err(SettingsError::TooLarge { bytes: BYTES_MAX + 1 }));
    }
}
