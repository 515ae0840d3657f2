//! Which batches are being encoded, as far as it is known: they take their time, and room that others then do not have.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use teiten_footage::{BatchKey, Timestamp};

/// For so many runs a batch that was sent is waited for. Then it got lost again, or cannot be encoded.
const RUNS: usize = 3;

/// What was sent again by the last runs, as long as more is left: what has no segment yet is not sent once more, and counts for
/// how much is sent. Forgetting it costs no more than that.
#[derive(Debug, Default)]
pub(crate) struct Sent(Mutex<VecDeque<HashSet<BatchKey>>>);

impl Sent {
    /// All of it.
    pub(crate) fn all(&self) -> HashSet<BatchKey> {
        self.runs().iter().flatten().cloned().collect()
    }

    /// Notes what a run `sent`, and which of what was sent before it has no segment yet. Answers the start of the oldest window.
    pub(crate) fn note(&self, sent: &[BatchKey], awaited: &HashSet<BatchKey>) -> Option<Timestamp> {
        let mut runs = self.runs();
        for run in runs.iter_mut() {
            run.retain(|key| awaited.contains(key));
        }
        runs.push_back(sent.iter().cloned().collect());
        if runs.len() > RUNS {
            runs.pop_front();
        }
        runs.iter().flatten().map(|key| key.window.start()).min()
    }

    /// Nothing is left, so nothing has to give way.
    pub(crate) fn forget(&self) {
        self.runs().clear();
    }

    fn runs(&self) -> MutexGuard<'_, VecDeque<HashSet<BatchKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
