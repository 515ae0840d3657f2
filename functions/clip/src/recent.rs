//! Files asked for a short while ago: a player that seeks asks for part after part of one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a file is remembered after it was worked out.
const KEPT: Duration = Duration::from_secs(60);

/// How many files are remembered.
const FILES_MAX: usize = 4;

/// Values by what they were asked by.
#[derive(Debug)]
pub(crate) struct Recent<Key, Value>(Mutex<VecDeque<(Key, Instant, Arc<Value>)>>);

impl<Key: PartialEq, Value> Recent<Key, Value> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// What was put for `key`, unless that is too long ago.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Arc<Value>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(_, put, _)| now.saturating_duration_since(*put) < KEPT);
        files.iter().find(|(known, ..)| known == key).map(|(.., value)| Arc::clone(value))
    }

    /// Remembers `value`, in place of what was put for `key` before, or longest ago.
    pub(crate) fn put(&self, key: Key, value: Arc<Value>, now: Instant) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(known, ..)| *known != key);
        files.truncate(FILES_MAX - 1);
        files.push_front((key, now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_are_remembered_for_a_minute() {
        let recent = Recent::new();
        let now = Instant::now();
        for key in 0..5 {
            recent.put(key, Arc::new(key * 10), now + Duration::from_secs(key));
        }
        recent.put(4, Arc::new(7), now + Duration::from_secs(5));
        let known = |after: u64| {
            let at = now + Duration::from_secs(after);
            (0..5).filter_map(|key| recent.get(&key, at).map(|value| *value)).collect::<Vec<_>>()
        };
        assert_eq!(known(5), [10, 20, 30, 7]);
        assert_eq!(known(62), [30, 7]);
        assert_eq!(known(65), [0; 0]);
    }
}
