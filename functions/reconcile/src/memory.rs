//! What is remembered of a camera between two runs: from where on something is left, and what was sent. Forgetting it costs no more
//! than time.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use teiten_footage::{BatchKey, Timestamp};

use crate::left::Left;

/// For so many runs a batch that was sent is waited for: it takes its time, and room that others then do not have. Then it got lost
/// again, or cannot be encoded: who looks as far back by turns tries it once more.
const RUNS: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    left: Left,
    sent: Mutex<Sent>,
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
            run.retain(|key| awaited.contains(key) || key.window.start() < done.from);
        }
        sent.runs.push_back(done.sent.iter().cloned().collect());
        if sent.runs.len() > RUNS {
            sent.runs.pop_front();
        }
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    fn is_unanswered(&self) -> bool {
        self.unanswered >= RUNS
    }
}
