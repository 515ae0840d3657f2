//! Whether the wall clock can be believed. A Raspberry Pi has none of its own: it starts somewhere in the past, and
//! stays there until it hears of a time server.
//!
//! The clock is set when the kernel says that it is synchronized (adjtimex(2), STA_UNSYNC), or when it moves and is
//! past the day that this agent was built: some machines keep their time by themselves, and where the kernel may not
//! be asked (in some containers) nothing else is known. Until then no frame is stamped and no certificate is judged.
//!
//! Pictures taken before that are dropped. Their times could be worked out afterwards, but what a camera sees while
//! it starts is worth less than the memory, and a clock's first setting is often its coarsest.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use teiten_footage::Timestamp;
use tokio::time::sleep;
use tracing::{info, warn};

/// How often a clock that is not set is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// When this agent was built: the time of the source that it was built from (`SOURCE_DATE_EPOCH`, in seconds), so
/// that one source gives one program. Without it, as while developing, the earliest time that there is for Teiten.
const BUILT: Timestamp = match option_env!("SOURCE_DATE_EPOCH") {
    None => Timestamp::Y2020,
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(seconds) => Timestamp::from_unix_millis(seconds.saturating_mul(1000)),
        Err(_) => panic!("SOURCE_DATE_EPOCH is a whole number of seconds"),
    },
};

/// What is known of the wall clock at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) wall: Timestamp,
    /// The kernel says that a time server sets it.
    pub(crate) synchronized: bool,
}

/// The wall clock of this machine. Clones are the same clock.
#[derive(Clone)]
pub(crate) struct Clock {
    read: Arc<dyn Fn() -> Reading + Send + Sync>,
    judge: Arc<Mutex<Judge>>,
}

impl Clock {
    /// The system's.
    pub(crate) fn system() -> Self {
        Self::new(|| Reading { wall: teiten_telemetry::now(), synchronized: synchronized() })
    }

    /// A clock that is read by `read`.
    pub(crate) fn new(read: impl Fn() -> Reading + Send + Sync + 'static) -> Self {
        let judge = Judge::new(BUILT, read());
        Self { read: Arc::new(read), judge: Arc::new(Mutex::new(judge)) }
    }

    /// The earliest time that a picture can have been taken at, once the clock is set. Older ones were taken by a
    /// clock that was not.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        let reading = (self.read)();
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        let known = judge.known;
        let earliest = judge.earliest(reading);
        let is_set = earliest.is_some();
        if known != Some(is_set) {
            judge.known = Some(is_set);
            let wall = reading.wall;
            match (known, is_set) {
                (None, true) => {}
                (Some(_), true) => info!(%wall, "the clock is set"),
                (_, false) => warn!(
                    %wall,
                    "the clock is not set: frames wait for it, and so does TLS; check the network and the time servers"
                ),
            }
        }
        earliest
    }

    /// Returns once the clock is set. Cancel-safe.
    pub(crate) async fn set(&self) {
        while self.earliest().is_none() {
            sleep(LOOK_PERIOD).await;
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("judge", &self.judge).finish_non_exhaustive()
    }
}

/// Judges readings of one clock.
#[derive(Debug)]
struct Judge {
    built: Timestamp,
    first: Timestamp,
    /// Whether it was ever seen to move on.
    moves: bool,
    /// What the log says of it.
    known: Option<bool>,
}

impl Judge {
    fn new(built: Timestamp, first: Reading) -> Self {
        Self { built, first: first.wall, moves: false, known: None }
    }

    /// [`Clock::earliest`] at a reading.
    fn earliest(&mut self, reading: Reading) -> Option<Timestamp> {
        self.moves |= reading.wall > self.first;
        // One that is set back before it was seen to move counts from there.
        self.first = self.first.min(reading.wall);
        if reading.wall >= self.built {
            (self.moves || reading.synchronized).then_some(self.built)
        } else {
            // A time server knows better than the builder, but there is nothing before 2020.
            (reading.synchronized && reading.wall >= Timestamp::Y2020).then_some(Timestamp::Y2020)
        }
    }
}

/// Whether the kernel says that a time server sets the clock; not, if it may not be asked.
fn synchronized() -> bool {
    // SAFETY: `timex` is plain numbers, for which zero is a value; with `modes` zero the call only writes to it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex)
    };
    state >= 0 && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BUILT: Timestamp = Timestamp::from_unix_millis(1_795_406_701_000);

    fn reading(wall: Timestamp) -> Reading {
        Reading { wall, synchronized: false }
    }

    fn judge(first: Timestamp) -> Judge {
        Judge::new(BUILT, reading(first))
    }

    #[test]
    fn a_clock_is_set_once_it_is_past_the_build_and_moves() {
        let mut judge = judge(BUILT + SECOND);
        assert_eq!(judge.earliest(reading(BUILT + SECOND)), None, "it stands");
        assert_eq!(judge.earliest(reading(BUILT + 2 * SECOND)), Some(BUILT));
        assert_eq!(judge.earliest(reading(BUILT)), Some(BUILT), "it has moved, and was set back a little");
        assert_eq!(judge.earliest(reading(BUILT - SECOND)), None, "this cannot be");
    }

    #[test]
    fn a_clock_that_is_set_back_at_once_is_set_as_soon_as_it_moves_from_there() {
        let mut judge = judge(BUILT + 3600 * SECOND);
        assert_eq!(judge.earliest(reading(BUILT)), None);
        assert_eq!(judge.earliest(reading(BUILT + SECOND)), Some(BUILT));
    }

    #[test]
    fn a_clock_of_the_past_is_not_set_however_long_it_runs() {
        let mut judge = judge(Timestamp::Y2020);
        assert_eq!(judge.earliest(reading(BUILT - SECOND)), None);
        assert_eq!(judge.earliest(reading(BUILT)), Some(BUILT));
    }

    #[test]
    fn what_a_time_server_says_is_believed_from_2020_on() {
        let synchronized = |wall| Reading { wall, synchronized: true };
        let mut judge = judge(Timestamp::default());
        assert_eq!(judge.earliest(synchronized(Timestamp::default() + SECOND)), None);
        assert_eq!(judge.earliest(synchronized(Timestamp::Y2020)), Some(Timestamp::Y2020));
        assert_eq!(judge.earliest(reading(Timestamp::Y2020 + SECOND)), None);
        assert_eq!(judge.earliest(synchronized(BUILT)), Some(BUILT));
    }

    #[tokio::test]
    async fn a_clock_that_gets_set_ends_the_wait() {
        let readings = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&readings);
        // The third and later ones are past any build, whatever SOURCE_DATE_EPOCH is here.
        let clock = Clock::new(move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            let base = if number < 3 { Timestamp::default() } else { Timestamp::MAX - SECOND };
            reading(base + Duration::from_micros(number))
        });
        assert_eq!(clock.earliest(), None);
        clock.set().await;
        assert_eq!(readings.load(Ordering::Relaxed), 4);
        assert!(clock.earliest().is_some());
    }

    #[tokio::test]
    async fn the_clock_of_this_machine_is_set() {
        tokio::time::timeout(10 * SECOND, Clock::system().set()).await.unwrap();
    }
}
