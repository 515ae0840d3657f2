//! Keeps what happens again and again from flooding the log: one line per camera and reason in a while.

use std::{collections::HashMap, hash::Hash, time::Duration};

use teiten_footage::{CameraId, Timestamp};

/// How long one camera's one reason stays silent after a line.
const SILENCE: Duration = Duration::from_secs(10);

/// More entries than this are forgotten, which costs a few more lines.
const ENTRIES_MAX: usize = 4096;

/// When what was logged last.
#[derive(Debug)]
pub struct LogLimit<Reason> {
    entries: HashMap<(Option<CameraId>, Reason), Entry>,
}

#[derive(Debug)]
struct Entry {
    logged: Timestamp,
    unlogged: u64,
}

impl<Reason> Default for LogLimit<Reason> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<Reason: Eq + Hash> LogLimit<Reason> {
    /// How many times it happened since the last line, this one included, if it is time for a new line.
    /// What cannot be told apart by camera shares one entry.
    pub fn times(&mut self, camera: Option<&CameraId>, reason: Reason, now: Timestamp) -> Option<u64> {
        let key = (camera.cloned(), reason);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.unlogged += 1;
            // In a clock that was set back, the last line seems to be in the future.
            let silent = entry.logged <= now && now < entry.logged + SILENCE;
            return (!silent).then(|| {
                entry.logged = now;
                std::mem::take(&mut entry.unlogged)
            });
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.clear();
        }
        self.entries.insert(key, Entry { logged: now, unlogged: 0 });
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_and_reason_get_one_line_in_a_while_that_says_how_often() {
        let mut limit = LogLimit::default();
        let (a, b) = (CameraId::new("a").unwrap(), CameraId::new("b").unwrap());
        let (a, b) = (Some(&a), Some(&b));
        let start = Timestamp::Y2020;
        assert_eq!(limit.times(a, "torn", start), Some(1));
        assert_eq!(limit.times(a, "torn", start), None);
        assert_eq!(limit.times(b, "torn", start), Some(1));
        assert_eq!(limit.times(a, "large", start), Some(1));
        assert_eq!(limit.times(a, "torn", start + SILENCE), Some(2));
        assert_eq!(limit.times(a, "torn", start), Some(1));
    }
}
