//! Init sections that are known to be stored, so that they are not offered again with each segment.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use teiten_footage::InitKey;

/// How long one is believed to be there: somebody may delete a camera's folder while it films.
const BELIEVED_FOR: Duration = Duration::from_secs(300);

/// How many are remembered: a few for each camera that one instance may serve.
const INITS_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Inits {
    /// When each was last offered to the store.
    offered: Mutex<HashMap<InitKey, Instant>>,
    believed_for: Duration,
}

impl Default for Inits {
    fn default() -> Self {
        Self::believed_for(BELIEVED_FOR)
    }
}

impl Inits {
    /// None yet; each is believed to be there for so long.
    pub(crate) fn believed_for(time: Duration) -> Self {
        Self { offered: Mutex::default(), believed_for: time }
    }

    /// Whether it is believed to be there.
    pub(crate) fn has(&self, key: &InitKey, now: Instant) -> bool {
        let since = |offered: &Instant| now.saturating_duration_since(*offered);
        self.known().get(key).is_some_and(|offered| since(offered) < self.believed_for)
    }

    /// It is stored: it was there, or is now.
    pub(crate) fn note(&self, key: InitKey, now: Instant) {
        let mut known = self.known();
        if known.len() == INITS_MAX {
            known.clear();
        }
        known.insert(key, now);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<InitKey, Instant>> {
        // No statement that holds the lock can leave the map half changed.
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::{CameraId, ContentHash};

    use super::*;

    #[test]
    fn one_is_believed_to_be_there_for_some_minutes_after_it_was_offered() {
        let inits = Inits::default();
        let key = InitKey { camera: CameraId::new("gate").unwrap(), hash: ContentHash::of(b"init") };
        let now = Instant::now();
        let believed = |after: Duration| inits.has(&key, now + after);
        assert!(!believed(Duration::ZERO));
        inits.note(key.clone(), now);
        assert!(believed(BELIEVED_FOR - Duration::from_millis(1)));
        assert!(!believed(BELIEVED_FOR));
    }
}
