//! Which samples belong into a file, and when they are shown: a pure function of fragments and times, fed fragment by
//! fragment.
//!
//! A clip begins with the sync sample at or before its first instant (an edit list hides what comes before that), and its
//! last sample is shown until its last instant. Holes in the footage are left out, as players leave them out: what
//! comes after follows at once. A time-lapse has sync samples alone, as many as fit at 30 a second, each shown for its
//! part of the time that it stands for.

use std::ops::Range;

use teiten_footage::Ticks;

use crate::fragment::{Fragment, Sample};

/// The shortest time that a picture of a time-lapse is shown, in ticks: 30 a second.
pub const LAPSE_SAMPLE_MIN: u64 = Ticks::PER_SECOND as u64 / 30;

/// The samples of a file: its sample tables (ISO/IEC 14496-12 §8.6, §8.7), in short form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// How many samples in a row are shown how long, in ticks (`stts`).
    pub durations: Vec<(u32, u32)>,
    /// The size of each sample, in bytes (`stsz`).
    pub sizes: Vec<u32>,
    /// The numbers, from 1 on, of those that a player can start with (`stss`).
    pub sync: Vec<u32>,
    /// Runs of samples that are next to each other in the file (`stsc`, `co64`).
    pub chunks: Vec<Chunk>,
    /// How much is to be hidden at the start, in ticks.
    pub hidden_ticks: u64,
    /// How long all samples are shown together, in ticks.
    pub duration_ticks: u64,
    /// When the first sample that is shown was captured.
    pub start: Ticks,
}

/// Samples from one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Which sample entry they need, from 0 on.
    pub entry: u16,
    /// How many.
    pub samples: u32,
    /// Their bytes.
    pub bytes: u32,
}

impl Tables {
    fn push(&mut self, size_bytes: u32, is_sync: bool) {
        self.sizes.push(size_bytes);
        if is_sync {
            self.sync.push(self.sizes.len() as u32);
        }
    }

    fn show(&mut self, ticks: u32) {
        self.duration_ticks += u64::from(ticks);
        match self.durations.last_mut() {
            Some((count, same)) if *same == ticks => *count += 1,
            _ => self.durations.push((1, ticks)),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// How long what is not hidden is shown, in ticks.
    pub fn shown_ticks(&self) -> u64 {
        self.duration_ticks.saturating_sub(self.hidden_ticks)
    }
}

/// Makes the tables of a clip.
#[derive(Debug)]
pub struct Cut {
    from: Ticks,
    to: Ticks,
    tables: Tables,
}

impl Cut {
    /// Of what is shown from `from` on and before `to`.
    pub fn new(from: Ticks, to: Ticks) -> Self {
        Self { from, to, tables: Tables::default() }
    }

    /// Takes what it needs of the next fragment, whose sample entry is number `entry`: which of its bytes,
    /// counted from its first sample's.
    pub fn push(&mut self, fragment: &Fragment, entry: u16) -> Range<u64> {
        let is_first = self.tables.is_empty();
        let mut start = fragment.start.0;
        let timed: Vec<(u64, &Sample)> = fragment
            .samples
            .iter()
            .map(|sample| {
                let at = start;
                start += u64::from(sample.duration_ticks);
                (at, sample)
            })
            .collect();
        // Where it starts: with the last place to start that is not after what is asked for.
        let first = timed
            .iter()
            .rposition(|(at, sample)| is_first && sample.is_sync && *at <= self.from.0)
            .unwrap_or(0);
        let skipped: u64 = timed[..first].iter().map(|(_, sample)| u64::from(sample.size_bytes)).sum();
        let (mut samples, mut bytes) = (0, 0);
        for (at, sample) in timed.into_iter().skip(first).take_while(|(at, _)| *at < self.to.0) {
            if self.tables.is_empty() {
                self.tables.hidden_ticks = self.from.0.saturating_sub(at);
                self.tables.start = Ticks(at.max(self.from.0));
            }
            let end = (at + u64::from(sample.duration_ticks)).min(self.to.0);
            self.tables.push(sample.size_bytes, sample.is_sync);
            self.tables.show((end - at) as u32);
            samples += 1;
            bytes += sample.size_bytes;
        }
        if samples > 0 {
            self.tables.chunks.push(Chunk { entry, samples, bytes });
        }
        skipped..skipped + u64::from(bytes)
    }

    /// The tables.
    pub fn finish(self) -> Tables {
        self.tables
    }
}

/// Makes the tables of a time-lapse.
#[derive(Debug)]
pub struct Lapse {
    from: Ticks,
    to: Ticks,
    /// How many times faster it is.
    speed: u32,
    tables: Tables,
    /// How much footage there was so far, in ticks.
    passed: u64,
}

impl Lapse {
    /// `speed` times faster than what was captured from `from` on and before `to`.
    pub fn new(from: Ticks, to: Ticks, speed: u32) -> Self {
        Self { from, to, speed: speed.max(1), tables: Tables::default(), passed: 0 }
    }

    /// Takes the first sample of the next fragment, if its turn has come: which of its bytes, counted from
    /// its first sample's.
    pub fn push(&mut self, fragment: &Fragment, entry: u16) -> Range<u64> {
        let start = fragment.start.0.max(self.from.0);
        let shown_until = self.passed / u64::from(self.speed);
        let is_first = self.tables.is_empty();
        let is_due = is_first || shown_until - self.tables.duration_ticks >= LAPSE_SAMPLE_MIN;
        self.passed += fragment.end().0.min(self.to.0).saturating_sub(start);
        let Some(sample) = fragment.samples.first().filter(|_| is_due) else { return 0..0 };
        if is_first {
            self.tables.start = Ticks(start);
        } else {
            self.show_until(shown_until);
        }
        self.tables.push(sample.size_bytes, true);
        self.tables.chunks.push(Chunk { entry, samples: 1, bytes: sample.size_bytes });
        0..u64::from(sample.size_bytes)
    }

    /// Ends the last sample at this time of the file.
    fn show_until(&mut self, ticks: u64) {
        let shown = (ticks - self.tables.duration_ticks).max(1);
        self.tables.show(u32::try_from(shown).unwrap_or(u32::MAX));
    }

    /// The tables.
    pub fn finish(mut self) -> Tables {
        if !self.tables.is_empty() {
            self.show_until((self.passed / u64::from(self.speed)).max(self.tables.duration_ticks));
        }
        self.tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 90_000;

    /// A window of a second from `start` on, with samples of 100, 101, … bytes at these ticks of it.
    fn fragment(start: u64, at: &[u32]) -> Fragment {
        let ends = at.iter().skip(1).copied().chain([SECOND as u32]);
        let samples = at
            .iter()
            .zip(ends)
            .enumerate()
            .map(|(index, (at, end))| Sample {
                duration_ticks: end - at,
                size_bytes: 100 + index as u32,
                is_sync: index == 0,
            })
            .collect();
        Fragment { start: Ticks(start), samples, keyframe: 0..100, others_at: 200 }
    }

    fn cut(from: u64, to: u64, fragments: &[Fragment]) -> (Vec<Range<u64>>, Tables) {
        let mut cut = Cut::new(Ticks(from), Ticks(to));
        let ranges = fragments.iter().map(|fragment| cut.push(fragment, 0)).collect();
        (ranges, cut.finish())
    }

    #[test]
    fn a_clip_is_exact_at_its_end_and_hides_what_comes_before_its_start() {
        let fragments = [10, 11, 12].map(|second| fragment(second * SECOND, &[0, 30_000, 60_000]));
        let (ranges, tables) = cut(10 * SECOND + 40_000, 12 * SECOND + 45_000, &fragments);
        assert_eq!(ranges, [0..303, 0..303, 0..201]);
        assert_eq!(tables.hidden_ticks, 40_000);
        assert_eq!(tables.start, Ticks(10 * SECOND + 40_000));
        assert_eq!(tables.shown_ticks(), 2 * SECOND + 5000);
        assert_eq!(tables.durations, [(7, 30_000), (1, 15_000)]);
        assert_eq!(tables.sync, [1, 4, 7]);
        assert_eq!(tables.sizes, [100, 101, 102, 100, 101, 102, 100, 101]);
    }

    #[test]
    fn a_clip_begins_with_its_first_footage_and_leaves_holes_out() {
        let fragments = [10, 20].map(|second| fragment(second * SECOND, &[0]));
        let (_, tables) = cut(5 * SECOND, 30 * SECOND, &fragments);
        assert_eq!(
            (tables.hidden_ticks, tables.start, tables.duration_ticks),
            (0, Ticks(10 * SECOND), 2 * SECOND)
        );
    }

    #[test]
    fn a_clip_begins_with_the_last_place_to_start() {
        let mut fragment = fragment(0, &[0, 30_000, 60_000]);
        fragment.samples[1].is_sync = true;
        let (ranges, tables) = cut(70_000, SECOND, &[fragment]);
        assert_eq!((&ranges[0], tables.sizes, tables.hidden_ticks), (&(100..303), vec![101, 102], 40_000));
    }

    #[test]
    fn a_time_lapse_has_thirty_pictures_a_second_at_most_and_its_length() {
        let lapse = |seconds: Range<u64>, speed| {
            let mut lapse = Lapse::new(Ticks(0), Ticks(u64::MAX), speed);
            for second in seconds {
                lapse.push(&fragment(second * SECOND, &[0, 30_000]), 0);
            }
            lapse.finish()
        };
        let tables = lapse(0..600, 60);
        assert_eq!((tables.sizes.len(), tables.duration_ticks), (300, 10 * SECOND));
        assert_eq!(tables.durations, [(300, 3000)]);
        let tables = lapse(0..600, 7);
        assert_eq!((tables.sizes.len(), tables.duration_ticks), (600, 600 * SECOND / 7));
        assert_eq!(tables.sync.len(), 600);
        let (few, none) = (lapse(0..1, 3600), lapse(0..0, 60));
        assert_eq!((few.sizes.len(), few.duration_ticks, none.is_empty()), (1, 25, true));
    }
}
