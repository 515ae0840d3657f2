//! What a live playlist becomes, given what is stored, what was missed, and the time: the rules of
//! rfc8216bis §6.2 as a pure function.
//!
//! - Windows are listed in order, each once, and never change afterwards.
//! - A window whose segment is not there is waited for until [`SEGMENT_GRACE`] after its end, or until the bridge
//!   says that it was missed. Then it is a gap, if something after it is known.
//! - No more than [`GAPS_IN_A_ROW_MAX`] gaps follow each other. If more is missing, the playlist stands still, and
//!   then jumps: a *fresh run* takes the place of all that is listed, its media sequence number ahead of the old
//!   by what was left out. A playlist may not be shortened below three target durations (§6.2.2), so a fresh run
//!   has to reach that far first.
//! - What is older than [`LIVE_AGE_MAX`] is not live: it is never listed. Footage that a camera sends
//!   after an outage thus cannot be taken for what happens now, even where it would continue the playlist.
//! - A stream has one window length, as its target duration may never change. Footage of another length is
//!   another stream: it takes the place of the old one once that has listed nothing for [`SILENCE_MIN`]. To
//!   players that watched the old one this is not an update but a new playlist at the same address.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use teiten_footage::{
    SegmentKey, Timestamp, Window, WindowLength,
    limits::{CAPTURED_AHEAD_MAX, GAPS_IN_A_ROW_MAX, SEGMENT_GRACE, windows_min},
};

use crate::live::{Content, LivePlaylist, windows_in};

/// How long after its end a window can still become part of the live playlist.
pub const LIVE_AGE_MAX: Duration = Duration::from_secs(30);

/// How long a stream has listed nothing before one of another window length takes its place.
pub(crate) const SILENCE_MIN: Duration = Duration::from_secs(10);

/// How many seconds of footage a live playlist may be set to list.
pub const LIVE_WINDOW_SECONDS: RangeInclusive<u64> = 1..=600;

/// The fewest windows that are kept listed: players stay three target durations away from the end (§6.3.3), and
/// should find as many again to fall back on.
pub const WINDOWS_MIN: usize = 6;

const _: () = assert!(SEGMENT_GRACE.as_millis() < SILENCE_MIN.as_millis());
const _: () = assert!(SILENCE_MIN.as_millis() < LIVE_AGE_MAX.as_millis());

/// How a live playlist is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSettings {
    /// How much footage it lists, as long as that is at least six windows. Some players (VLC) start at the
    /// oldest segment and so lag by this much; one that was suspended for longer loses its place.
    pub live_window: Duration,
}

impl Default for LiveSettings {
    /// 12 s: room for players that buffer a lot, and no more delay than that for those that start at the
    /// front.
    fn default() -> Self {
        Self { live_window: Duration::from_secs(12) }
    }
}

/// A segment that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footage {
    /// Its key.
    pub key: SegmentKey,
    /// When it was written, in milliseconds since the Unix epoch: of two segments of one window, the later
    /// one counts.
    pub modified_unix_millis: u64,
    /// Its size; 0 as long as no listing tells it.
    pub size_bytes: u64,
}

/// How a new version of a playlist comes out of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveStep {
    /// There was none.
    Created,
    /// Windows were appended.
    Extended,
    /// Windows that were missed are left out, and all that was listed is dropped.
    Jumped,
    /// It is of a stream with another window length.
    Replaced,
}

/// The next version of a camera's live playlist, or `None` if the current one stands.
///
/// `footage` holds the camera's segments from the end of the current playlist or from [`LIVE_AGE_MAX`] ago on,
/// whichever is later; earlier ones have no effect. `missed` holds windows that the bridge has given up.
pub fn advance(
    current: Option<&LivePlaylist>,
    footage: &[Footage],
    missed: &BTreeSet<Window>,
    now: Timestamp,
    settings: LiveSettings,
) -> Option<(LiveStep, LivePlaylist)> {
    let known = |length| Known::new(footage, missed, length, now);
    let (step, mut playlist) = match current {
        None => {
            let known = known(newest_length(footage, now, |_| true)?);
            (LiveStep::Created, known.fresh_run(Timestamp::default(), 1)?)
        }
        Some(current) => {
            let length = current.first().length();
            advance_stream(current, &known(length)).or_else(|| {
                let silent = current.next().start() + SILENCE_MIN <= now;
                let other = newest_length(footage, now, |other| other != length).filter(|_| silent)?;
                let fresh = known(other).fresh_run(current.next().start(), windows_min(other))?;
                Some((LiveStep::Replaced, fresh))
            })?
        }
    };
    shorten(&mut playlist, settings);
    Some((step, playlist))
}

/// Extends `current`, or jumps.
fn advance_stream(current: &LivePlaylist, known: &Known<'_>) -> Option<(LiveStep, LivePlaylist)> {
    let mut extended = current.clone();
    let stuck = known.is_too_old(current.next()) || known.extend(&mut extended) == End::Stuck;
    if extended.len() > current.len() {
        return Some((LiveStep::Extended, extended));
    }
    if !stuck {
        return None;
    }
    let mut fresh = known.fresh_run(current.next().start(), windows_min(current.first().length()))?;
    let before = Window::containing(fresh.first().start() - Duration::from_millis(1), fresh.first().length());
    if !known.is_given_up(before) {
        return None;
    }
    fresh.succeed(current);
    Some((LiveStep::Jumped, fresh))
}

/// Drops what is too much at the front, and gaps that come to stand there, as they are of no use to anyone.
fn shorten(playlist: &mut LivePlaylist, settings: LiveSettings) {
    let length = playlist.first().length();
    let least = windows_min(length);
    let most = windows_in(settings.live_window, length).max(WINDOWS_MIN).max(least);
    let surplus = playlist.len().saturating_sub(most);
    let gaps =
        playlist.entries().skip(surplus).take_while(|(_, entry)| entry.content == Content::Gap).count();
    let droppable = playlist.len().saturating_sub(least);
    playlist.drop_front((surplus + gaps).min(droppable));
}

/// The window length of the newest segment among those of `wanted` length.
fn newest_length(
    footage: &[Footage],
    now: Timestamp,
    wanted: impl Fn(WindowLength) -> bool,
) -> Option<WindowLength> {
    footage
        .iter()
        .map(|item| item.key.window)
        .filter(|window| wanted(window.length()) && is_live(*window, now))
        .max_by_key(|window| window.start())
        .map(Window::length)
}

/// Whether a window can be listed at all at this time.
fn is_live(window: Window, now: Timestamp) -> bool {
    now < window.end() + LIVE_AGE_MAX
        && window.start() <= now + CAPTURED_AHEAD_MAX
        && window.media_sequence().is_some()
}

/// Why a run of windows ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing later is known.
    Reached,
    /// The next window's segment may still come.
    Waiting,
    /// More windows are missing than may be gaps.
    Stuck,
}

/// What is known of one stream now.
struct Known<'a> {
    segments: BTreeMap<Window, &'a SegmentKey>,
    missed: BTreeSet<Window>,
    now: Timestamp,
}

impl<'a> Known<'a> {
    fn new(footage: &'a [Footage], missed: &BTreeSet<Window>, length: WindowLength, now: Timestamp) -> Self {
        let belongs = |window: Window| window.length() == length && is_live(window, now);
        let mut stored: Vec<&Footage> = footage.iter().filter(|item| belongs(item.key.window)).collect();
        // The last of a window's segments stays in the map: the one written last. Stores that tell whole seconds leave ties: then
        // the larger one, for merging only adds frames, and, whatever the order of the listing, the same one.
        stored.sort_by_key(|item| {
            (item.modified_unix_millis, item.size_bytes, item.key.init, item.key.pictures)
        });
        Self {
            segments: stored.into_iter().map(|item| (item.key.window, &item.key)).collect(),
            missed: missed.iter().copied().filter(|window| belongs(*window)).collect(),
            now,
        }
    }

    fn is_too_old(&self, window: Window) -> bool {
        window.end() + LIVE_AGE_MAX <= self.now
    }

    /// Whether the segment of a window that is not there is given up.
    fn is_given_up(&self, window: Window) -> bool {
        self.missed.contains(&window) || window.end() + SEGMENT_GRACE <= self.now
    }

    /// Lists windows for as long as it is settled what is to be listed.
    fn extend(&self, playlist: &mut LivePlaylist) -> End {
        let last = self.segments.keys().next_back().max(self.missed.last()).copied();
        while last >= Some(playlist.next()) {
            let window = playlist.next();
            if let Some(segment) = self.segments.get(&window) {
                playlist.push_segment(segment);
            } else if !self.is_given_up(window) {
                return End::Waiting;
            } else if playlist.gaps_at_end() < GAPS_IN_A_ROW_MAX {
                playlist.push_gap();
            } else {
                return End::Stuck;
            }
        }
        End::Reached
    }

    /// The first run of windows from `start` on that is not cut off from later footage by more than gaps can
    /// bridge. `None` if there is none, or if it has fewer than `windows_min` windows.
    fn fresh_run(&self, start: Timestamp, windows_min: usize) -> Option<LivePlaylist> {
        let mut from = *self.segments.keys().find(|window| window.start() >= start)?;
        let run = loop {
            let mut run = LivePlaylist::starting_with(self.segments[&from]);
            let end = self.extend(&mut run);
            match self.segments.range(run.next()..).next() {
                Some((&later, _)) if end == End::Stuck => from = later,
                _ => break run,
            }
        };
        let footage = run.len() - run.gaps_at_end() as usize;
        (footage >= windows_min).then_some(run)
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::{CameraId, ContentHash, Pictures};

    use super::*;
    use crate::live::Entry;

    const SECOND: Duration = Duration::from_secs(1);

    /// A stream of windows, counted from one at noon, with the usual settings.
    struct Stream {
        zero: Window,
        footage: Vec<Footage>,
        missed: BTreeSet<Window>,
    }

    impl Stream {
        fn of(length: &str) -> Self {
            let noon = "20261123T120000.000Z-1000".parse::<Window>().unwrap().start();
            let zero = Window::containing(noon, length.parse().unwrap());
            Self { zero, footage: Vec::new(), missed: BTreeSet::new() }
        }

        fn segment(&self, index: u64, init: &str, frames: &str) -> SegmentKey {
            SegmentKey {
                camera: CameraId::new("front-door").unwrap(),
                window: self.zero.plus(index),
                init: ContentHash::of(init.as_bytes()),
                pictures: Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: 1 },
            }
        }

        fn stored(mut self, windows: impl IntoIterator<Item = u64>) -> Self {
            for index in windows {
                let key = self.segment(index, "init", "frames");
                self.footage.push(Footage { key, modified_unix_millis: 0, size_bytes: 0 });
            }
            self
        }

        fn missed(mut self, windows: impl IntoIterator<Item = u64>) -> Self {
            self.missed.extend(windows.into_iter().map(|index| self.zero.plus(index)));
            self
        }

        /// When the window has just ended.
        fn end(&self, index: u64) -> Timestamp {
            self.zero.plus(index).end()
        }

        fn advance(
            &self,
            current: Option<&LivePlaylist>,
            now: Timestamp,
        ) -> Option<(LiveStep, LivePlaylist)> {
            advance(current, &self.footage, &self.missed, now, LiveSettings::default())
        }

        /// The playlist that these windows gave as they came in.
        fn playlist(&self, windows: std::ops::RangeInclusive<u64>) -> LivePlaylist {
            let mut playlist = LivePlaylist::starting_with(&self.segment(*windows.start(), "init", "frames"));
            for index in *windows.start() + 1..=*windows.end() {
                playlist.push_segment(&self.segment(index, "init", "frames"));
            }
            playlist
        }

        /// `3 4 - 6` for windows 3 to 6, of which 5 is a gap.
        fn sketch(&self, playlist: &LivePlaylist) -> String {
            let sketch = |(window, entry): (Window, &Entry)| match entry.content {
                Content::Segment(_) => (window.index() - self.zero.index()).to_string(),
                Content::Gap => "-".to_owned(),
            };
            playlist.entries().map(sketch).collect::<Vec<_>>().join(" ")
        }

        /// Step and sketch of what `current` becomes.
        fn outcome(&self, current: Option<&LivePlaylist>, now: Timestamp) -> Option<(LiveStep, String)> {
            self.advance(current, now).map(|(step, playlist)| (step, self.sketch(&playlist)))
        }
    }

    fn some(step: LiveStep, sketch: &str) -> Option<(LiveStep, String)> {
        Some((step, sketch.to_owned()))
    }

    #[test]
    fn the_first_segment_begins_a_playlist() {
        let stream = Stream::of("1s").stored([0]);
        assert_eq!(stream.outcome(None, stream.end(0)), some(LiveStep::Created, "0"));
    }

    #[test]
    fn a_new_playlist_begins_with_the_earliest_footage_that_is_still_live() {
        let stream = Stream::of("1s").stored(0..=32);
        let (_, playlist) = stream.advance(None, stream.end(32)).unwrap();
        assert_eq!(stream.sketch(&playlist), "21 22 23 24 25 26 27 28 29 30 31 32");
        let stream = Stream::of("1s").stored([0, 1, 2, 20, 21]);
        assert_eq!(stream.outcome(None, stream.end(21)), some(LiveStep::Created, "20 21"));
        let (stream, age) = (Stream::of("1s").stored([0]), LIVE_AGE_MAX);
        let last = stream.end(0) + age - Duration::from_micros(1);
        assert_eq!(stream.outcome(None, last), some(LiveStep::Created, "0"));
        assert_eq!(stream.outcome(None, stream.end(0) + age), None);
        assert_eq!(Stream::of("1s").outcome(None, stream.end(0)), None);
    }

    #[test]
    fn a_new_playlist_does_not_begin_behind_a_window_that_may_still_come() {
        let stream = Stream::of("1s").stored([0, 2]);
        assert_eq!(stream.outcome(None, stream.end(2)), some(LiveStep::Created, "0"));
        let over = stream.end(1) + SEGMENT_GRACE;
        assert_eq!(stream.outcome(None, over), some(LiveStep::Created, "0 - 2"));
    }

    #[test]
    fn what_is_contiguous_is_appended_at_once_and_nothing_twice() {
        let stream = Stream::of("1s").stored([1, 2, 3, 5]);
        let current = stream.playlist(0..=1);
        assert_eq!(stream.outcome(Some(&current), stream.end(5)), some(LiveStep::Extended, "0 1 2 3"));
        let current = stream.playlist(0..=3);
        assert_eq!(stream.outcome(Some(&current), stream.end(5)), None);
    }

    #[test]
    fn a_missing_window_is_waited_for_until_its_grace_is_over_and_then_is_a_gap() {
        let stream = Stream::of("1s").stored([2]);
        let current = stream.playlist(0..=0);
        let over = stream.end(1) + SEGMENT_GRACE;
        assert_eq!(stream.outcome(Some(&current), over - Duration::from_micros(1)), None);
        assert_eq!(stream.outcome(Some(&current), over), some(LiveStep::Extended, "0 - 2"));
    }

    #[test]
    fn a_window_is_only_missing_once_something_after_it_is_known() {
        let stream = Stream::of("1s");
        let current = stream.playlist(0..=0);
        assert_eq!(stream.outcome(Some(&current), stream.end(1) + SEGMENT_GRACE + SECOND), None);
    }

    #[test]
    fn a_gap_stays_one_when_its_footage_comes_after_all() {
        let stream = Stream::of("1s").stored([2]);
        let current = stream.playlist(0..=0);
        let (_, current) = stream.advance(Some(&current), stream.end(5)).unwrap();
        let stream = stream.stored([1, 3]);
        assert_eq!(stream.outcome(Some(&current), stream.end(5)), some(LiveStep::Extended, "0 - 2 3"));
    }

    #[test]
    fn a_window_that_the_bridge_missed_is_a_gap_as_soon_as_all_before_it_are_settled() {
        let stream = Stream::of("1s").missed([2]);
        let current = stream.playlist(0..=0);
        assert_eq!(stream.outcome(Some(&current), stream.end(2)), None);
        let stream = stream.stored([1]);
        assert_eq!(stream.outcome(Some(&current), stream.end(2)), some(LiveStep::Extended, "0 1 -"));
        let stream = stream.stored([2]);
        assert_eq!(stream.outcome(Some(&current), stream.end(2)), some(LiveStep::Extended, "0 1 2"));
    }

    #[test]
    fn after_three_gaps_the_playlist_stands_still_and_jumps_once_enough_is_there() {
        let stream = Stream::of("1s").missed([2, 3, 4, 5]);
        let current = stream.playlist(0..=1);
        let (_, current) = stream.advance(Some(&current), stream.end(5)).unwrap();
        assert_eq!(stream.sketch(&current), "0 1 - - -");
        assert_eq!(stream.outcome(Some(&current), stream.end(9)), None);
        let stream = stream.stored([10, 11]);
        assert_eq!(stream.outcome(Some(&current), stream.end(19)), None, "two windows are too few");
        let stream = stream.missed([12]);
        assert_eq!(stream.outcome(Some(&current), stream.end(19)), None, "and so they are with a gap");
        let stream = stream.stored([12]);
        assert_eq!(stream.outcome(Some(&current), stream.end(12)), None, "window 9 may still come");
        assert_eq!(stream.outcome(Some(&current), stream.end(13)), some(LiveStep::Jumped, "10 11 12"));
        let stream = stream.stored([9]);
        assert_eq!(stream.outcome(Some(&current), stream.end(11)), None, "window 8 may still come");
        assert_eq!(stream.outcome(Some(&current), stream.end(12)), some(LiveStep::Jumped, "9 10 11 12"));
    }

    #[test]
    fn a_jump_waits_for_three_target_durations_of_short_windows() {
        let stream = Stream::of("500ms").stored(20..=24);
        let current = stream.playlist(0..=1);
        let (_, current) = stream.advance(Some(&current), stream.end(40)).unwrap();
        assert_eq!(stream.sketch(&current), "0 1 - - -");
        assert_eq!(stream.outcome(Some(&current), stream.end(40)), None);
        let stream = stream.stored([25]);
        assert_eq!(
            stream.outcome(Some(&current), stream.end(40)),
            some(LiveStep::Jumped, "20 21 22 23 24 25")
        );
    }

    #[test]
    fn a_jump_goes_to_the_run_that_footage_continues() {
        let stream = Stream::of("1s").stored([6, 7, 8, 20, 21, 23]);
        let mut current = stream.playlist(0..=1);
        (0..3).for_each(|_| current.push_gap());
        assert_eq!(stream.outcome(Some(&current), stream.end(26)), some(LiveStep::Jumped, "20 21 - 23"));
    }

    #[test]
    fn a_jump_marks_a_discontinuity_only_where_the_init_section_changes() {
        let stream = Stream::of("1s").stored([10, 11, 12]);
        let mut current = stream.playlist(0..=0);
        current.push_segment(&stream.segment(1, "other", "frames"));
        (0..3).for_each(|_| current.push_gap());
        let (step, jumped) = stream.advance(Some(&current), stream.end(20)).unwrap();
        assert_eq!(step, LiveStep::Jumped);
        assert!(jumped.entries().map(|(_, entry)| entry.discontinuity).eq([true, false, false]));
        assert!(jumped.to_string().contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
        let mut current = stream.playlist(0..=1);
        (0..3).for_each(|_| current.push_gap());
        let (_, jumped) = stream.advance(Some(&current), stream.end(20)).unwrap();
        assert!(jumped.entries().all(|(_, entry)| !entry.discontinuity));
        assert!(jumped.to_string().contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n"));
    }

    #[test]
    fn old_footage_is_not_live_even_where_it_would_continue_the_playlist() {
        let stream = Stream::of("1s").stored([2, 3, 4, 5]);
        let current = stream.playlist(0..=1);
        assert_eq!(stream.outcome(Some(&current), stream.end(5) + LIVE_AGE_MAX), None);
        let stream = stream.stored([100, 101, 102]);
        assert_eq!(stream.outcome(Some(&current), stream.end(103)), some(LiveStep::Jumped, "100 101 102"));
    }

    #[test]
    fn footage_of_the_far_future_is_ignored() {
        let stream = Stream::of("1s").stored([1, 100, 101, 102]);
        let current = stream.playlist(0..=0);
        assert_eq!(stream.outcome(Some(&current), stream.end(1)), some(LiveStep::Extended, "0 1"));
        assert_eq!(Stream::of("1s").stored([100]).outcome(None, stream.end(1)), None);
        // Whatever window length it has.
        let mut both = Stream::of("1s").stored([0]);
        both.footage.extend(Stream::of("2s").stored([100]).footage);
        assert_eq!(both.outcome(None, stream.end(1)), some(LiveStep::Created, "0"));
    }

    #[test]
    fn of_two_segments_of_a_window_the_one_written_later_counts_and_in_a_tie_the_larger_one() {
        for (modified, sizes, expected) in [
            ([1, 2], [9, 5], "b"),
            ([2, 1], [5, 9], "a"),
            ([2000, 2000], [9, 5], "a"),
            ([2000, 2000], [5, 9], "b"),
        ] {
            let mut stream = Stream::of("1s");
            for (frames, (modified_unix_millis, size_bytes)) in
                ["a", "b"].into_iter().zip(modified.into_iter().zip(sizes))
            {
                let key = stream.segment(0, "init", frames);
                stream.footage.push(Footage { key, modified_unix_millis, size_bytes });
            }
            let (_, playlist) = stream.advance(None, stream.end(0)).unwrap();
            assert_eq!(playlist, LivePlaylist::starting_with(&stream.segment(0, "init", expected)));
        }
    }

    #[test]
    fn the_front_is_dropped_down_to_the_live_window_but_never_below_six_windows() {
        for (length, windows) in [("500ms", 24), ("1s", 12), ("1.5s", 8), ("2s", 6), ("6s", 6)] {
            let stream = Stream::of(length).stored([50]);
            let mut current = stream.playlist(0..=49);
            for index in 50..80 {
                let stream = Stream::of(length).stored([index]);
                current = stream.advance(Some(&current), stream.end(index)).unwrap().1;
                assert_eq!(current.len(), windows, "{length}");
            }
        }
        let short = LiveSettings { live_window: SECOND };
        let stream = Stream::of("500ms").stored([50]);
        let current = stream.playlist(0..=49);
        let (_, playlist) =
            advance(Some(&current), &stream.footage, &stream.missed, stream.end(50), short).unwrap();
        assert_eq!(playlist.len(), 6);
    }

    #[test]
    fn gaps_that_come_to_stand_at_the_front_are_dropped_with_it() {
        let stream = Stream::of("2s").stored([6]);
        let mut current = stream.playlist(0..=0);
        current.push_gap();
        current.push_gap();
        for index in 3..6 {
            current.push_segment(&stream.segment(index, "init", "frames"));
        }
        assert_eq!(stream.outcome(Some(&current), stream.end(6)), some(LiveStep::Extended, "3 4 5 6"));
    }

    #[test]
    fn another_window_length_takes_over_once_the_old_stream_is_silent() {
        let old = Stream::of("1s");
        let current = old.playlist(0..=9);
        let new = Stream::of("2s").stored([5, 6]);
        let silent = current.next().start() + SILENCE_MIN;
        assert_eq!(new.outcome(Some(&current), silent), None, "two windows are too few");
        let new = new.stored([7]);
        assert_eq!(new.outcome(Some(&current), silent - Duration::from_micros(1)), None);
        assert_eq!(new.outcome(Some(&current), silent), some(LiveStep::Replaced, "5 6 7"));
        let mut both = new;
        both.footage.extend(Stream::of("1s").stored([10]).footage);
        assert_eq!(both.advance(Some(&current), silent).unwrap().0, LiveStep::Extended);
    }
}
