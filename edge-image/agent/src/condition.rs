//! How the camera is as a whole: what its LED shows, and what the watchdog's script reads.
//!
//! The script finds one line in `<run directory>/health`: a word, the time since the machine started, in whole
//! seconds, as in /proc/uptime, and `connected` or `disconnected` (from the broker). The words: `flowing`, frames are
//! captured; `waiting`, there is a reason why there can be none yet (the agent starts, or the clock is not set);
//! `absent`, the camera fails for a reason that is known and in the log, and a restart of the machine would not help (yet);
//! `stalled`, there should be frames and are none, or only a restart of the machine may bring any. A line that
//! grows old means that the agent itself stands still. It is written every [`WRITE_PERIOD`].
//!
//! A driver that hangs is mended by a restart at best, so one that hung before there was any frame would have the machine
//! restart for ever: [`FLOWED`] tells whether there was one since the machine started, whichever agent it was.

use std::{
    fmt, io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use tokio::fs;

use crate::{gpio::led::Pattern, source};

/// How often the file is written.
pub(crate) const WRITE_PERIOD: Duration = Duration::from_secs(2);

/// The file's name in the run directory.
pub(crate) const FILE: &str = "health";

/// The name of the file in the run directory that is there once frames have flowed. (The directory is gone with the
/// machine's memory.)
pub(crate) const FLOWED: &str = "flowed";

/// A camera that gives no picture for this long, without saying why, has stalled. (A rate of 0.1/s is the lowest.)
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(60);

/// So long after the last frame, frames that wait hold up no restart any more.
const RESTART_AFTER: Duration = Duration::from_secs(5 * 60);

/// All that decides how the camera is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) has_network: bool,
    pub(crate) clock_is_set: bool,
    pub(crate) connected: bool,
    pub(crate) source: source::Health,
    /// When the last frame was captured, or the agent started.
    pub(crate) last_frame: Instant,
    /// Whether a frame was captured since the machine started.
    pub(crate) has_flowed: bool,
    /// How many frames are not stored: a restart may lose them.
    pub(crate) unstored: usize,
    /// Whether the broker takes frames, and nobody says that they are stored.
    pub(crate) nobody_stores: bool,
}

/// The first word of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Flowing,
    Waiting,
    Absent,
    Stalled,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flowing => "flowing",
            Self::Waiting => "waiting",
            Self::Absent => "absent",
            Self::Stalled => "stalled",
        })
    }
}

impl Condition {
    /// What the watchdog's script is told.
    pub(crate) fn word(&self, now: Instant) -> Word {
        let recent = self.without_frame(now) < STALLED_AFTER;
        match self.source {
            source::Health::Failing { .. } => Word::Absent,
            source::Health::Hung { .. } if !self.restart_may_help(now) => Word::Absent,
            source::Health::Hung { .. } => Word::Stalled,
            _ if !self.clock_is_set => Word::Waiting,
            source::Health::Starting if recent => Word::Waiting,
            source::Health::Flowing if recent => Word::Flowing,
            source::Health::Starting | source::Health::Flowing => Word::Stalled,
        }
    }

    fn without_frame(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_frame)
    }

    /// Whether a restart may mend a driver that hangs, and costs no frames that will be stored soon. One that did not help
    /// will not help the next time.
    fn restart_may_help(&self, now: Instant) -> bool {
        self.has_flowed && (self.unstored == 0 || self.without_frame(now) >= RESTART_AFTER)
    }

    /// What the LED shows.
    pub(crate) fn pattern(&self, now: Instant) -> Pattern {
        match self.word(now) {
            // A broker on this machine needs no network.
            _ if !self.has_network && !self.connected => Pattern::NoNetwork,
            _ if !self.clock_is_set => Pattern::NoClock,
            _ if !self.connected => Pattern::NoBroker,
            Word::Absent | Word::Stalled => Pattern::NoCamera,
            Word::Waiting => Pattern::Starting,
            Word::Flowing if self.nobody_stores => Pattern::NotStored,
            Word::Flowing => Pattern::Live,
        }
    }

    /// Whether an agent has noted in the run directory that frames have flowed.
    pub(crate) fn flowed_before(run_directory: Option<&Path>) -> bool {
        run_directory.is_some_and(|directory| directory.join(FLOWED).exists())
    }

    /// Writes the file, at once as a whole, and notes that frames have flowed.
    pub(crate) async fn write(&self, run_directory: &Path, now: Instant) -> io::Result<()> {
        if self.has_flowed {
            fs::write(run_directory.join(FLOWED), []).await?;
        }
        let since_start = clock_gettime(ClockId::Boottime).tv_sec;
        let part = run_directory.join(format!("{FILE}.part"));
        let link = if self.connected { "connected" } else { "disconnected" };
        fs::write(&part, format!("{} {since_start} {link}\n", self.word(now))).await?;
        fs::rename(&part, run_directory.join(FILE)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(now: Instant) -> Condition {
        Condition {
            has_network: true,
            clock_is_set: true,
            connected: true,
            source: source::Health::Flowing,
            last_frame: now,
            has_flowed: true,
            unstored: 3,
            nobody_stores: false,
        }
    }

    fn failing() -> source::Health {
        source::Health::Failing { why: "there is no /dev/video0".to_owned() }
    }

    fn hung() -> source::Health {
        source::Health::Hung { why: "its driver has not come back".to_owned() }
    }

    #[test]
    fn the_watchdog_hears_of_a_stall_only_if_there_is_no_reason_for_it() {
        let now = Instant::now();
        let later = now + STALLED_AFTER;
        let live = live(now);
        assert_eq!((live.word(now), live.word(later)), (Word::Flowing, Word::Stalled));
        let starting = Condition { source: source::Health::Starting, ..live };
        assert_eq!((starting.word(now), starting.word(later)), (Word::Waiting, Word::Stalled));
        let absent = Condition { source: failing(), clock_is_set: false, ..live };
        assert_eq!(absent.word(later), Word::Absent);
        assert_eq!(Condition { clock_is_set: false, ..live.clone() }.word(later), Word::Waiting);
        assert_eq!(Condition { connected: false, has_network: false, ..live }.word(now), Word::Flowing);
    }

    #[test]
    fn a_driver_that_hangs_restarts_no_machine_that_it_hung_on_from_the_start() {
        let now = Instant::now();
        let later = now + STALLED_AFTER;
        let hung = Condition { source: hung(), unstored: 0, ..live(now) };
        assert_eq!(hung.word(later), Word::Stalled);
        let from_the_start = Condition { has_flowed: false, ..hung };
        assert_eq!(from_the_start.word(later), Word::Absent);
        assert_eq!(from_the_start.word(now + RESTART_AFTER * 100), Word::Absent);
        assert_eq!(from_the_start.pattern(later), Pattern::NoCamera);
    }

    #[test]
    fn frames_that_are_not_stored_hold_up_the_restart_for_some_minutes() {
        let now = Instant::now();
        let waiting = Condition { source: hung(), ..live(now) };
        assert_eq!(waiting.word(now + STALLED_AFTER), Word::Absent);
        assert_eq!(Condition { unstored: 0, ..waiting.clone() }.word(now + STALLED_AFTER), Word::Stalled);
        assert_eq!(waiting.word(now + RESTART_AFTER), Word::Stalled);
    }

    #[tokio::test]
    async fn the_next_agent_on_a_machine_knows_that_frames_have_flowed() {
        let place = tempfile::tempdir().unwrap();
        let (run, now) = (place.path(), Instant::now());
        Condition { has_flowed: false, ..live(now) }.write(run, now).await.unwrap();
        assert!(!Condition::flowed_before(Some(run)) && !Condition::flowed_before(None));
        live(now).write(run, now).await.unwrap();
        assert!(Condition::flowed_before(Some(run)));
    }

    #[test]
    fn the_led_shows_what_is_most_likely_the_cause() {
        let now = Instant::now();
        let mut condition = Condition {
            has_network: false,
            clock_is_set: false,
            connected: false,
            source: failing(),
            nobody_stores: true,
            ..live(now)
        };
        let mut shown = vec![condition.pattern(now)];
        condition.has_network = true;
        shown.push(condition.pattern(now));
        condition.clock_is_set = true;
        shown.push(condition.pattern(now));
        condition.connected = true;
        shown.push(condition.pattern(now));
        condition.source = source::Health::Starting;
        shown.push(condition.pattern(now));
        condition.source = source::Health::Flowing;
        shown.push(condition.pattern(now));
        condition.nobody_stores = false;
        shown.push(condition.pattern(now));
        use Pattern::*;
        assert_eq!(shown, [NoNetwork, NoClock, NoBroker, NoCamera, Starting, NotStored, Live]);
        assert_eq!(live(now).pattern(now + STALLED_AFTER), NoCamera);
        assert_eq!(Condition { has_network: false, ..live(now) }.pattern(now), Live);
    }

    #[tokio::test]
    async fn the_file_is_one_line_with_the_time_since_the_machine_started() {
        let place = tempfile::tempdir().unwrap();
        let now = Instant::now();
        Condition { has_flowed: false, ..live(now) }.write(place.path(), now).await.unwrap();
        let line = std::fs::read_to_string(place.path().join(FILE)).unwrap();
        let words: Vec<_> = line.strip_suffix('\n').unwrap().split(' ').collect();
        let [word, seconds, link] = words[..] else { panic!("{line:?}") };
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert_eq!((word, link), ("flowing", "connected"));
        assert!((uptime - seconds.parse::<f64>().unwrap()).abs() < 5.0, "{line} {uptime}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
