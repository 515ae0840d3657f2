//! The stored acknowledgement: `<boot id> 17-31,33`, what the bridge tells a camera once frames are durable.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, str::FromStr};

use crate::frame::{BootId, FrameId};

/// Frames of one publisher's run that are stored: the payload of [`crate::Topic::Stored`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    boot: BootId,
    // Ascending, disjoint, and not adjacent.
    ranges: Vec<RangeInclusive<u64>>,
}

/// A payload that is no stored acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{payload:?} is no stored acknowledgement: expected a form like \"00000000000000a7 17-31,33\"")]
pub struct StoredError {
    payload: String,
}

impl Stored {
    /// The most ranges in one payload that are accepted.
    pub const RANGES_MAX: usize = crate::limits::WINDOW_FRAMES_MAX;

    /// One acknowledgement for each run that `frames` come from, in any order.
    pub fn of_frames(frames: impl IntoIterator<Item = FrameId>) -> Vec<Self> {
        let mut by_boot: BTreeMap<BootId, Vec<u64>> = BTreeMap::new();
        for id in frames {
            by_boot.entry(id.boot).or_default().push(id.sequence);
        }
        by_boot
            .into_iter()
            .map(|(boot, mut sequences)| {
                sequences.sort_unstable();
                let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
                for sequence in sequences {
                    match ranges.last_mut() {
                        Some(last) if sequence <= last.end().saturating_add(1) => {
                            *last = *last.start()..=sequence;
                        }
                        _ => ranges.push(sequence..=sequence),
                    }
                }
                Self { boot, ranges }
            })
            .collect()
    }

    /// The run.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// The sequence numbers: ascending, disjoint ranges.
    pub fn ranges(&self) -> &[RangeInclusive<u64>] {
        &self.ranges
    }

    /// Whether this says that frame `id` is stored.
    pub fn covers(&self, id: FrameId) -> bool {
        id.boot == self.boot && self.ranges.iter().any(|range| range.contains(&id.sequence))
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.boot)?;
        for (i, range) in self.ranges.iter().enumerate() {
            f.write_str(if i == 0 { " " } else { "," })?;
            if range.start() == range.end() {
                write!(f, "{}", range.start())?;
            } else {
                write!(f, "{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

impl FromStr for Stored {
    type Err = StoredError;

    /// The inverse of `Display`; only the canonical form is taken.
    fn from_str(payload: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (boot, list) = payload.split_once(' ')?;
            let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
            for part in list.split(',') {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let range: RangeInclusive<u64> = number(first)?..=number(last)?;
                let ascends = range.start() <= range.end()
                    && ranges
                        .last()
                        .is_none_or(|before| before.end().checked_add(1).is_some_and(|n| n < *range.start()));
                if !ascends || ranges.len() == Self::RANGES_MAX {
                    return None;
                }
                ranges.push(range);
            }
            let parsed = Self { boot: boot.parse().ok()?, ranges };
            (parsed.to_string() == payload).then_some(parsed)
        };
        parse().ok_or_else(|| StoredError { payload: payload.chars().take(80).collect() })
    }
}

/// Decimal digits alone (`u64::from_str` takes a sign).
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(boot: u64, sequence: u64) -> FrameId {
        FrameId { boot: BootId(boot), sequence }
    }

    /// Golden: cameras in the field read this.
    #[test]
    fn runs_of_sequence_numbers_are_written_as_ranges() {
        let ids = [33, 17, 18, 20, 19, 18].map(|sequence| id(0xa7, sequence));
        let stored = Stored::of_frames(ids);
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].to_string(), "00000000000000a7 17-20,33");
        assert_eq!(stored[0].to_string().parse(), Ok(stored[0].clone()));
        assert!(stored[0].covers(id(0xa7, 33)) && stored[0].covers(id(0xa7, 17)));
        assert!(!stored[0].covers(id(0xa7, 21)) && !stored[0].covers(id(0xa8, 33)));
    }

    #[test]
    fn every_run_of_a_publisher_is_acknowledged_by_itself() {
        let stored = Stored::of_frames([id(2, 0), id(1, 5), id(2, u64::MAX)]);
        let texts: Vec<_> = stored.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["0000000000000001 5", "0000000000000002 0,18446744073709551615"]);
    }

    #[test]
    fn other_payloads_are_refused() {
        for payload in [
            "",
            "00000000000000a7",
            "00000000000000a7 ",
            "00000000000000a7 2-1",
            "00000000000000a7 1,1",
            "00000000000000a7 1,2",
            "00000000000000a7 2,1",
            "00000000000000a7 +1",
            "00000000000000a7 01",
            "a7 1",
            "00000000000000a7 18446744073709551615,18446744073709551615",
        ] {
            assert!(payload.parse::<Stored>().is_err(), "{payload:?}");
        }
    }
}
