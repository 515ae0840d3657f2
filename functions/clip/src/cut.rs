//! Which samples belong into a file, and when they are shown: a pure function of fragments and times, fed fragment by
//! fragment.
//!
//! A clip begins with the sync sample at or before its first instant (an edit list hides what comes before that), and its
//! last sample is shown until its last instant. Holes in the footage are left out, as players leave them out: what
//! comes after follows at once. A time-lapse has sync samples alone, as many as fit at 30 a second, each shown for its
//! part of the time that it stands for.
//!
//! Nothing is kept of what was fed but a few numbers ([`Progress`]). From any of them it can be gone on, which gives the same again.

use std::ops::Range;

use teiten_archive::{Fragment, Sample};
use teiten_footage::Ticks;

/// The shortest time that a picture of a time-lapse is shown, in ticks: 30 a second.
pub const LAPSE_SAMPLE_MIN: u64 = Ticks::PER_SECOND as u64 / 30;

/// What is told of the samples of a file: the lines of its sample tables (ISO/IEC 14496-12 §8.6, §8.7), one after another. Of each sample
/// it is told how long it is shown once that is known, which can be after others of its lines.
pub trait Sink {
    /// The next sample: its number, from 1 on, its size in bytes, and whether a player can start with it (`stsz`, `stss`).
    fn sample(&mut self, number: u32, size_bytes: u32, is_sync: bool) {
        let _ = (number, size_bytes, is_sync);
    }

    /// How many samples in a row are shown how long, in ticks (`stts`).
    fn run(&mut self, samples: u32, ticks: u32) {
        let _ = (samples, ticks);
    }
}

/// Nobody wants to know.
impl Sink for () {}

/// How far a file has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Samples.
    pub samples: u32,
    /// Those of them that a player can start with.
    pub sync: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Runs of samples that are shown equally long, and are over.
    pub runs: u32,
    /// The run that may go on: how many samples, and how long each is shown, in ticks.
    run: (u32, u32),
    /// How long the samples are shown together, as far as that is known, in ticks.
    pub duration_ticks: u64,
    /// How much of that is to be hidden at the start.
    pub hidden_ticks: u64,
    /// When the first sample that is shown was captured.
    pub start: Ticks,
    /// How much footage there was, in ticks; a time-lapse counts it.
    passed: u64,
}

impl Progress {
    /// How long what is not hidden is shown, in ticks.
    pub fn shown_ticks(&self) -> u64 {
        self.duration_ticks.saturating_sub(self.hidden_ticks)
    }

    fn take(&mut self, size_bytes: u32, is_sync: bool, sink: &mut impl Sink) {
        self.samples += 1;
        self.sync += u32::from(is_sync);
        self.bytes += u64::from(size_bytes);
        sink.sample(self.samples, size_bytes, is_sync);
    }

    fn show(&mut self, ticks: u32, sink: &mut impl Sink) {
        self.duration_ticks += u64::from(ticks);
        match &mut self.run {
            (samples, same) if *samples > 0 && *same == ticks => *samples += 1,
            _ => {
                self.end_run(sink);
                self.run = (1, ticks);
            }
        }
    }

    fn end_run(&mut self, sink: &mut impl Sink) {
        let (samples, ticks) = std::mem::take(&mut self.run);
        if samples > 0 {
            self.runs += 1;
            sink.run(samples, ticks);
        }
    }

    /// Ends the last sample of a time-lapse at this time of the file.
    fn show_until(&mut self, ticks: u64, sink: &mut impl Sink) {
        let shown = (ticks - self.duration_ticks).max(1);
        self.show(u32::try_from(shown).unwrap_or(u32::MAX), sink);
    }
}

/// What of the footage is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// What is shown or, in a time-lapse, was captured, from here on,
    pub from: Ticks,
    /// and before this.
    pub to: Ticks,
    /// How many times faster a time-lapse is.
    pub lapse: Option<u32>,
}

impl Cut {
    /// Takes what it needs of the next fragment: which of its bytes, counted from its first sample's.
    pub fn push(&self, progress: &mut Progress, fragment: &Fragment, sink: &mut impl Sink) -> Range<u64> {
        match self.lapse {
            None => self.push_all(progress, fragment, sink),
            Some(speed) => self.push_keyframe(speed, progress, fragment, sink),
        }
    }

    fn push_all(&self, progress: &mut Progress, fragment: &Fragment, sink: &mut impl Sink) -> Range<u64> {
        let is_first = progress.samples == 0;
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
        let before = progress.bytes;
        for (at, sample) in timed.into_iter().skip(first).take_while(|(at, _)| *at < self.to.0) {
            if progress.samples == 0 {
                progress.hidden_ticks = self.from.0.saturating_sub(at);
                progress.start = Ticks(at.max(self.from.0));
            }
            let end = (at + u64::from(sample.duration_ticks)).min(self.to.0);
            progress.take(sample.size_bytes, sample.is_sync, sink);
            progress.show((end - at) as u32, sink);
        }
        skipped..skipped + (progress.bytes - before)
    }

    /// Takes the first sample, if its turn has come.
    fn push_keyframe(
        &self,
        speed: u32,
        progress: &mut Progress,
        fragment: &Fragment,
        sink: &mut impl Sink,
    ) -> Range<u64> {
        let start = fragment.start.0.max(self.from.0);
        let shown_until = progress.passed / u64::from(speed);
        let is_first = progress.samples == 0;
        let is_due = is_first || shown_until - progress.duration_ticks >= LAPSE_SAMPLE_MIN;
        progress.passed += fragment.end().0.min(self.to.0).saturating_sub(start);
        let Some(sample) = fragment.samples.first().filter(|_| is_due) else { return 0..0 };
        if is_first {
            progress.start = Ticks(start);
        } else {
            progress.show_until(shown_until, sink);
        }
        progress.take(sample.size_bytes, true, sink);
        0..u64::from(sample.size_bytes)
    }

    /// Ends what was taken.
    pub fn finish(&self, progress: &mut Progress, sink: &mut impl Sink) {
        if let Some(speed) = self.lapse.filter(|_| progress.samples > 0) {
            progress.show_until((progress.passed / u64::from(speed)).max(progress.duration_ticks), sink);
        }
        progress.end_run(sink);
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

    /// The lines of a file's tables.
    #[derive(Default)]
    struct Tables {
        durations: Vec<(u32, u32)>,
        sizes: Vec<u32>,
        sync: Vec<u32>,
    }

    impl Sink for Tables {
        fn sample(&mut self, number: u32, size_bytes: u32, is_sync: bool) {
            self.sizes.push(size_bytes);
            assert_eq!(number as usize, self.sizes.len());
            self.sync.extend(is_sync.then_some(number));
        }

        fn run(&mut self, samples: u32, ticks: u32) {
            self.durations.push((samples, ticks));
        }
    }

    fn taken(cut: Cut, fragments: &[Fragment]) -> (Vec<Range<u64>>, Progress, Tables) {
        let (mut progress, mut tables) = (Progress::default(), Tables::default());
        let push = |fragment| cut.push(&mut progress, fragment, &mut tables);
        let ranges = fragments.iter().map(push).collect();
        cut.finish(&mut progress, &mut tables);
        assert_eq!(
            (progress.samples as usize, progress.sync as usize),
            (tables.sizes.len(), tables.sync.len())
        );
        assert_eq!(progress.runs as usize, tables.durations.len());
        (ranges, progress, tables)
    }

    fn cut(from: u64, to: u64, fragments: &[Fragment]) -> (Vec<Range<u64>>, Progress, Tables) {
        taken(Cut { from: Ticks(from), to: Ticks(to), lapse: None }, fragments)
    }

    #[test]
    fn a_clip_is_exact_at_its_end_and_hides_what_comes_before_its_start() {
        let fragments = [10, 11, 12].map(|second| fragment(second * SECOND, &[0, 30_000, 60_000]));
        let (ranges, progress, tables) = cut(10 * SECOND + 40_000, 12 * SECOND + 45_000, &fragments);
        assert_eq!(ranges, [0..303, 0..303, 0..201]);
        assert_eq!((progress.hidden_ticks, progress.start), (40_000, Ticks(10 * SECOND + 40_000)));
        assert_eq!(progress.shown_ticks(), 2 * SECOND + 5000);
        assert_eq!(tables.durations, [(7, 30_000), (1, 15_000)]);
        assert_eq!(tables.sync, [1, 4, 7]);
        assert_eq!(tables.sizes, [100, 101, 102, 100, 101, 102, 100, 101]);
    }

    #[test]
    fn a_clip_begins_with_its_first_footage_and_leaves_holes_out() {
        let fragments = [10, 20].map(|second| fragment(second * SECOND, &[0]));
        let (_, progress, _) = cut(5 * SECOND, 30 * SECOND, &fragments);
        assert_eq!(
            (progress.hidden_ticks, progress.start, progress.duration_ticks),
            (0, Ticks(10 * SECOND), 2 * SECOND)
        );
    }

    #[test]
    fn a_clip_begins_with_the_last_place_to_start() {
        let mut fragment = fragment(0, &[0, 30_000, 60_000]);
        fragment.samples[1].is_sync = true;
        let (ranges, progress, tables) = cut(70_000, SECOND, &[fragment]);
        assert_eq!((&ranges[0], tables.sizes, progress.hidden_ticks), (&(100..303), vec![101, 102], 40_000));
    }

    #[test]
    fn a_time_lapse_has_thirty_pictures_a_second_at_most_and_its_length() {
        let lapse = |seconds: Range<u64>, speed| {
            let fragments: Vec<_> = seconds.map(|second| fragment(second * SECOND, &[0, 30_000])).collect();
            let (_, progress, tables) =
                taken(Cut { from: Ticks(0), to: Ticks(u64::MAX), lapse: Some(speed) }, &fragments);
            (progress.samples, progress.duration_ticks, tables)
        };
        let (samples, duration_ticks, tables) = lapse(0..600, 60);
        assert_eq!((samples, duration_ticks, tables.durations), (300, 10 * SECOND, vec![(300, 3000)]));
        let (samples, duration_ticks, tables) = lapse(0..600, 7);
        assert_eq!((samples, duration_ticks, tables.sync.len()), (600, 600 * SECOND / 7, 600));
        let (few, none) = (lapse(0..1, 3600), lapse(0..0, 60));
        assert_eq!((few.0, few.1, none.0, none.1), (1, 25, 0, 0));
    }

    #[test]
    fn what_is_gone_on_with_gives_the_rest_of_the_same() {
        let fragments: Vec<_> = (0..40)
            .map(|second| fragment(second * SECOND, &[0, 30_000 + 100 * (second as u32 / 4), 60_000]))
            .collect();
        for lapse in [None, Some(7)] {
            let cut = Cut { from: Ticks(40_000), to: Ticks(39 * SECOND + 50_000), lapse };
            let (_, whole, tables) = taken(cut, &fragments);
            for split in 0..fragments.len() {
                let (mut progress, mut rest) = (Progress::default(), Tables::default());
                for fragment in &fragments[..split] {
                    cut.push(&mut progress, fragment, &mut ());
                }
                let (samples, runs) = (progress.samples as usize, progress.runs as usize);
                rest.sizes = tables.sizes[..samples].to_vec();
                for fragment in &fragments[split..] {
                    cut.push(&mut progress, fragment, &mut rest);
                }
                cut.finish(&mut progress, &mut rest);
                assert_eq!((progress, &rest.sizes), (whole, &tables.sizes));
                assert_eq!(rest.durations, tables.durations[runs..]);
            }
        }
    }
}
