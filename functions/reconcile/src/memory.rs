//! What is remembered of a camera between two runs: from where on something is left, what was sent, and how far a survey of its archive
//! has come. Forgetting it costs no more than time.

use std::{
    collections::{HashSet, VecDeque},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use teiten_footage::{BatchKey, Timestamp};
use teiten_host::turns::Left;

use crate::archive::Survey;

/// For so many runs a batch that was sent is waited for: it takes its time, and room that others then do not have. Then it got lost
/// again, or cannot be encoded: who looks as far back by turns tries it once more.
const RUNS: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    left: Left,
    sent: Mutex<Sent>,
    survey: Mutex<Option<Survey>>,
}

#[derive(Debug, Default)]
struct Sent {
    /// What each of the last runs sent, and what has no segment yet.
    runs: VecDeque<HashSet<BatchKey>>,
    /// For so many runs in a row nothing that was sent had its segment.
    unanswered: usize,
}

/// What a run found and did.
#[derive(Debug, Default)]
pub(crate) struct Done<'a> {
    /// From when on it looked.
    pub(crate) from: Timestamp,
    /// What of that it had no time to look at.
    pub(crate) unseen: Option<Range<Timestamp>>,
    /// What it sent.
    pub(crate) sent: &'a [BatchKey],
    /// What was sent before it, and has no segment yet.
    pub(crate) awaited: &'a [BatchKey],
    /// How much of that has one.
    pub(crate) encoded: usize,
    /// The start of the oldest window that it left.
    pub(crate) left: Option<Timestamp>,
}

impl Memory {
    /// From when on a run looks that looks back to `from` by turns: as far as to what is left, and to what was sent in the meantime.
    pub(crate) fn from(&self, from: Timestamp) -> Timestamp {
        let Some(left) = self.left.oldest() else { return from };
        let sent = self.sent();
        // What does not come back is no reason to look for more of it each time.
        let left = if sent.is_unanswered() { from } else { left };
        let awaited = sent.runs.iter().flatten().map(|key| key.window.start()).min();
        awaited.into_iter().chain([from, left]).min().unwrap_or(from)
    }

    /// What the last runs sent.
    pub(crate) fn all_sent(&self) -> HashSet<BatchKey> {
        self.sent().runs.iter().flatten().cloned().collect()
    }

    /// How much of that is of windows that start within `time`.
    pub(crate) fn sent_within(&self, time: &Range<Timestamp>) -> usize {
        self.sent().runs.iter().flatten().filter(|key| time.contains(&key.window.start())).count()
    }

    /// Whether nothing of it came back, for as many runs as one is waited for.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.sent().is_unanswered()
    }

    /// Notes what a run did.
    pub(crate) fn note(&self, done: &Done) {
        // Who did not look as far as to what was left does not know of it.
        let before = self.left.oldest().filter(|left| *left < done.from);
        self.left.note(before.into_iter().chain(done.left).min());
        let mut sent = self.sent();
        if done.encoded > 0 {
            sent.unanswered = 0;
        } else if !done.awaited.is_empty() {
            sent.unanswered += 1;
        }
        let awaited: HashSet<&BatchKey> = done.awaited.iter().collect();
        for run in &mut sent.runs {
            run.retain(|key| awaited.contains(key) || !done.has_looked_at(key.window.start()));
        }
        sent.runs.push_back(done.sent.iter().cloned().collect());
        if sent.runs.len() > RUNS {
            sent.runs.pop_front();
        }
    }

    /// The survey of the archive that is to go on.
    pub(crate) fn survey(&self) -> Option<Survey> {
        *self.survey.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this one is from now on.
    pub(crate) fn note_survey(&self, survey: Option<Survey>) {
        *self.survey.lock().unwrap_or_else(PoisonError::into_inner) = survey;
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Done<'_> {
    fn has_looked_at(&self, time: Timestamp) -> bool {
        self.from <= time && self.unseen.as_ref().is_none_or(|unseen| !unseen.contains(&time))
    }
}

impl Sent {
    fn is_unanswered(&self) -> bool {
        self.unanswered >= RUNS
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::{CameraId, Window, WindowLength, key::BatchFormat};

    use super::*;

    fn batch(second: u64) -> BatchKey {
        let window = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT).plus(second);
        BatchKey { camera: CameraId::new("gate").unwrap(), window, format: BatchFormat::Mjpeg }
    }

    #[test]
    fn what_was_sent_and_could_not_be_looked_for_is_awaited_and_what_has_its_segment_is_not() {
        let memory = Memory::default();
        let time = |second| batch(second).window.start();
        let (sent, from) = ([0, 10, 20].map(batch), Timestamp::Y2020);
        memory.note(&Done { from, sent: &sent, ..Done::default() });
        let unseen = time(5)..time(15);
        memory.note(&Done { from, unseen: Some(unseen.clone()), encoded: 2, ..Done::default() });
        assert_eq!(memory.all_sent(), HashSet::from([batch(10)]));
        assert_eq!((memory.sent_within(&unseen), memory.sent_within(&(time(11)..time(15)))), (1, 0));
        memory.note(&Done { from, encoded: 1, ..Done::default() });
        assert_eq!(memory.all_sent(), HashSet::new());
    }
}
