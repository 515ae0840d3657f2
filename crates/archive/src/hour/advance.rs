//! What an hour's playlist becomes, given the segments that are stored, and the time: a pure function.
//!
//! - While the hour lasts, and shortly after, windows are only appended, once a minute: a version lists what
//!   ended before the last [`cutoff`]. What comes too late for that waits for the hour to be over.
//! - Once the hour is over ([`CLOSE_AFTER`]), what is still missing at the end is appended, and the playlist is ended. To a
//!   player that has watched it grow this is the last version: it never asks again.
//! - An ended playlist is what the listing of the hour's segments makes it: late footage (a camera's backlog, frames that
//!   came late for a batch) is put in its place, expired footage is left out. To players such a version is a new playlist
//!   at the same address.

use std::{collections::HashMap, time::Duration};

use teiten_footage::{
    CameraId, ContentHash, Hour, MotionSpan, Pictures, Timestamp, Window, limits::SEGMENT_GRACE,
};

use crate::{
    hour::{
        HourPlaylist, TARGET_DURATION_SECONDS,
        marks::{appended, placed, ranges},
    },
    listing::{Listing, Place, Stored},
    live::advance::{Footage, LIVE_AGE_MAX},
};

/// How often an hour's playlist is rewritten while the hour lasts.
pub const REWRITE_PERIOD: Duration = Duration::from_secs(TARGET_DURATION_SECONDS);

/// How long after the end of an hour its playlist is ended: whatever is live is stored by then.
pub const CLOSE_AFTER: Duration = LIVE_AGE_MAX;

/// How long the end of a playlist may be overdue before it is stale ([`is_stale`]).
const OVERDUE_MAX: Duration = Duration::from_secs(120);

const _: () = assert!(SEGMENT_GRACE.as_millis() < CLOSE_AFTER.as_millis());
const _: () = assert!(OVERDUE_MAX.as_millis() > REWRITE_PERIOD.as_millis() + CLOSE_AFTER.as_millis());

impl From<&Footage> for Stored {
    fn from(footage: &Footage) -> Self {
        let Footage { key, modified_unix_millis, size_bytes } = footage;
        Self {
            listing: Listing::of(key),
            modified_unix_millis: *modified_unix_millis,
            size_bytes: *size_bytes,
        }
    }
}

/// How a new version of an hour's playlist comes out of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HourStep {
    /// There was none.
    Begun,
    /// Windows were appended.
    Extended,
    /// The hour is over: the rest was appended, and the end.
    Ended,
    /// The hour was over already, and the listing has changed.
    Mended,
}

/// Up to when the version of this time lists windows: each camera has its own second of the minute, so that not all
/// of them write at once.
pub fn cutoff(camera: &CameraId, now: Timestamp) -> Timestamp {
    let period = REWRITE_PERIOD.as_millis() as u64;
    let phase = ContentHash::of(camera.as_str().as_bytes()).to_u64() % period;
    let settled = (now - SEGMENT_GRACE).unix_millis();
    Timestamp::from_unix_millis((settled.saturating_sub(phase)) / period * period + phase)
}

/// Whether an hour's playlist is to be ended.
pub fn is_over(hour: Hour, now: Timestamp) -> bool {
    hour.end() + CLOSE_AFTER <= now
}

/// The next version of the playlist of an hour, or `None` if the current one stands.
///
/// `footage` holds the hour's segments: all of them, or those after the end of the current playlist if that is
/// not ended. `spans` is when something moved in it, if that is known.
pub fn advance_hour(
    current: Option<&HourPlaylist>,
    camera: &CameraId,
    hour: Hour,
    footage: &[Stored],
    spans: Option<&[MotionSpan]>,
    now: Timestamp,
) -> Option<(HourStep, HourPlaylist)> {
    let ended = is_over(hour, now);
    let (step, listings, marks) = match current {
        None => {
            let until = if ended { hour.end() } else { cutoff(camera, now) };
            let listings = of_hour(footage, hour, hour.start(), until);
            let marks = placed(&listings, spans.unwrap_or_default());
            (if ended { HourStep::Ended } else { HourStep::Begun }, listings, marks)
        }
        Some(current) if !current.ended => {
            let until = if ended { hour.end() } else { cutoff(camera, now) };
            let new = of_hour(footage, hour, current.listed_until(), until);
            if new.is_empty() && !ended {
                return None;
            }
            let listings = [current.listings.as_slice(), &new].concat();
            let (marks, listed) = (current.marks.clone(), current.listings.len());
            let marks = appended(marks, listed, &listings, spans.unwrap_or_default());
            (if ended { HourStep::Ended } else { HourStep::Extended }, listings, marks)
        }
        Some(current) => {
            let listings = of_hour(footage, hour, hour.start(), hour.end());
            let told = ranges(&current.marks);
            let marks = placed(&listings, spans.unwrap_or(&told));
            let is_told = told_of(&listings).eq(told_of(&current.listings));
            if is_told && ranges(&marks) == told {
                return None;
            }
            (HourStep::Mended, listings, marks)
        }
    };
    if listings.is_empty() {
        // All has expired; so will the playlist.
        return None;
    }
    Some((step, HourPlaylist { camera: camera.clone(), hour, listings, ended, marks }))
}

/// What a playlist tells of these.
fn told_of(listings: &[Listing]) -> impl Iterator<Item = Listing> {
    listings.iter().map(|listing| listing.as_told())
}

/// Whether the playlist of an hour is overdue for another version, judged by the segments whose windows start
/// at `from` or later.
pub fn is_stale(
    current: Option<&HourPlaylist>,
    camera: &CameraId,
    hour: Hour,
    footage: &[Footage],
    from: Timestamp,
    now: Timestamp,
) -> bool {
    let expected_by = now - OVERDUE_MAX;
    let stored: Vec<Stored> = footage.iter().map(Stored::from).collect();
    match current {
        Some(current) if current.ended => {
            let newest: HashMap<Window, &Stored> = newest_of(&stored);
            let listed = current.listings.iter().filter(|listing| listing.window.start() >= from);
            let listed: HashMap<Window, &Listing> = listed.map(|listing| (listing.window, listing)).collect();
            let has_expired = |listing: &&Listing| {
                matches!(listing.place, Place::Segment(_)) && !newest.contains_key(&listing.window)
            };
            let is_unlisted = |item: &Listing| match listed.get(&item.window).map(|listing| listing.place) {
                // Segments that are in the pack can be there still.
                Some(Place::Packed(part)) => {
                    newest[&item.window].modified_unix_millis >= part.as_of.unix_millis()
                }
                Some(place) => place != item.place,
                None => true,
            };
            listed.values().any(has_expired)
                || of_hour(&stored, hour, from, hour.end()).iter().any(is_unlisted)
        }
        current => {
            let until = current.map_or(hour.start(), HourPlaylist::listed_until);
            let is_unlisted = !of_hour(&stored, hour, until, cutoff(camera, expected_by)).is_empty();
            is_unlisted || is_over(hour, expected_by) && !(current.is_none() && footage.is_empty())
        }
    }
}

/// The windows of `hour` that start at `from` or later and end by `until`, as [`in_order`] has them.
pub(crate) fn of_hour(stored: &[Stored], hour: Hour, from: Timestamp, until: Timestamp) -> Vec<Listing> {
    let (from, until) = (from.max(hour.start()), until.min(hour.end()));
    let is_of_it = |item: &&Stored| item.listing.window.start() >= from && item.listing.window.end() <= until;
    in_order(stored.iter().filter(is_of_it)).into_iter().map(|item| item.listing).collect()
}

/// What counts for each window: what was written later. A segment that is as old as a pack is not in it. Of two segments of one
/// age (stores may tell whole seconds) the larger one counts: merging only adds frames.
fn newest_of<'a>(stored: impl IntoIterator<Item = &'a Stored>) -> HashMap<Window, &'a Stored> {
    let age = |item: &Stored| {
        let rank = match item.listing.place {
            Place::Segment(Pictures { frames, keyframe_bytes }) => {
                (1, item.size_bytes, frames, keyframe_bytes)
            }
            Place::Packed(part) => (0, item.size_bytes, part.hash, 0),
        };
        (item.modified_unix_millis, rank, item.listing.init)
    };
    let mut newest: HashMap<Window, &Stored> = HashMap::new();
    for item in stored {
        let newest = newest.entry(item.listing.window).or_insert(item);
        if age(item) > age(newest) {
            *newest = item;
        }
    }
    newest
}

/// Each window once, in the order of time, by what was written last.
pub(crate) fn in_order<'a>(stored: impl IntoIterator<Item = &'a Stored>) -> Vec<Stored> {
    let mut stored: Vec<Stored> = newest_of(stored).into_values().copied().collect();
    stored.sort_by_key(|item| (item.listing.window.start(), item.listing.window.length()));
    let mut last = None;
    stored.retain(|item| {
        let window = item.listing.window;
        let stands = !last.is_some_and(|last| gives_way(window, last));
        if stands {
            last = Some(window);
        }
        stands
    });
    stored
}

/// Whether a window is not listed where `other` is. Where a stream's windows got another length, two can overlap: the earlier one
/// stands.
pub fn gives_way(window: Window, other: Window) -> bool {
    let place = |window: Window| (window.start(), window.length());
    place(other) < place(window) && window.start() < other.end()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use teiten_footage::{SegmentKey, WindowLength};

    use super::*;
    use crate::listing::Part;

    const MINUTE: Duration = Duration::from_secs(60);

    fn camera() -> CameraId {
        CameraId::new("front-door").unwrap()
    }

    fn hour() -> Hour {
        "2026-11-23/04".parse().unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        hour().start() + Duration::from_secs(seconds)
    }

    fn pictures(frames: &str) -> Pictures {
        Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: 1 }
    }

    fn segment(second: u64, frames: &str, written: u64) -> Footage {
        let key = SegmentKey {
            camera: camera(),
            window: Window::containing(at(second), WindowLength::DEFAULT),
            init: ContentHash::of(b"init"),
            pictures: pictures(frames),
        };
        Footage { key, modified_unix_millis: at(written).unix_millis(), size_bytes: 0 }
    }

    fn stored(seconds: Range<u64>) -> Vec<Footage> {
        seconds.map(|second| segment(second, "a", second + 2)).collect()
    }

    fn advance(
        current: Option<&HourPlaylist>,
        footage: &[Footage],
        now: Timestamp,
    ) -> Option<(HourStep, HourPlaylist)> {
        let stored: Vec<Stored> = footage.iter().map(Stored::from).collect();
        advance_hour(current, &camera(), hour(), &stored, None, now)
    }

    /// Which seconds of the hour are listed.
    fn seconds(playlist: &HourPlaylist) -> Vec<u64> {
        playlist
            .listings
            .iter()
            .map(|listing| listing.window.start().since(hour().start()).as_secs())
            .collect()
    }

    #[test]
    fn the_cutoff_is_settled_and_moves_once_a_minute() {
        let cutoffs: Vec<Timestamp> = (0..600).map(|second| cutoff(&camera(), at(second))).collect();
        assert!((0..600).all(|second| cutoffs[second as usize] + SEGMENT_GRACE <= at(second)));
        assert!((0..600).all(|second| cutoffs[second as usize] + SEGMENT_GRACE + MINUTE > at(second)));
        let moves = cutoffs.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(moves, 10);
        assert_ne!(cutoff(&CameraId::new("gate").unwrap(), at(100)), cutoff(&camera(), at(100)));
    }

    #[test]
    fn a_lasting_hour_only_grows_at_its_end_and_once_a_minute() {
        let now = cutoff(&camera(), at(300)) + SEGMENT_GRACE;
        let footage = stored(0..300);
        let (step, first) = advance(None, &footage, now).unwrap();
        assert_eq!((step, first.ended), (HourStep::Begun, false));
        assert!(first.listed_until() <= now - SEGMENT_GRACE);
        assert_eq!(advance(Some(&first), &footage, now + MINUTE - Duration::from_millis(1)), None);
        let (step, second) = advance(Some(&first), &footage, now + MINUTE).unwrap();
        assert_eq!((step, second.ended), (HourStep::Extended, false));
        assert_eq!(second.listings[..first.listings.len()], first.listings);
    }

    #[test]
    fn late_footage_waits_for_the_end_of_the_hour_and_then_for_the_end_of_the_playlist() {
        let early = [stored(0..10), stored(20..30)].concat();
        let (_, lasting) = advance(None, &early, at(200)).unwrap();
        let late = [stored(0..30), vec![segment(5, "b", 300)]].concat();
        assert_eq!(advance(Some(&lasting), &late, at(400)), None);
        let over = at(3600) + CLOSE_AFTER;
        let (step, ended) = advance(Some(&lasting), &late, over).unwrap();
        assert_eq!((step, ended.ended, &ended.listings), (HourStep::Ended, true, &lasting.listings));
        let (step, mended) = advance(Some(&ended), &late, over).unwrap();
        assert_eq!((step, seconds(&mended)), (HourStep::Mended, (0..30).collect()));
        assert_eq!(mended.listings[5].place, Place::Segment(pictures("b")), "the one written later counts");
        assert_eq!(advance(Some(&mended), &late, over), None);
        let (_, eroded) = advance(Some(&mended), &late[10..], over).unwrap();
        assert_eq!(seconds(&eroded), [vec![5], (10..30).collect()].concat());
        assert_eq!(advance(Some(&mended), &[], over), None, "it expires as its footage did");
    }

    #[test]
    fn an_hour_that_is_over_is_ended_even_if_nothing_is_new() {
        let footage = stored(0..30);
        let (_, lasting) = advance(None, &footage, at(200)).unwrap();
        assert_eq!(advance(Some(&lasting), &[], at(3600)), None, "live footage may still come");
        let (step, ended) = advance(Some(&lasting), &[], at(3600) + CLOSE_AFTER).unwrap();
        assert_eq!((step, seconds(&ended)), (HourStep::Ended, (0..30).collect()));
        let (step, at_once) = advance(None, &footage, at(7200)).unwrap();
        assert_eq!((step, at_once), (HourStep::Ended, ended));
        assert_eq!(advance(None, &[], at(7200)), None);
    }

    #[test]
    fn windows_of_another_length_and_of_other_hours_do_no_harm() {
        let mut footage = [stored(0..4), stored(3599..3601)].concat();
        for second in [2, 4, 6] {
            let mut long = segment(second, "long", second);
            long.key.window = Window::containing(at(second), WindowLength::from_millis(2000).unwrap());
            footage.push(long);
        }
        let (_, playlist) = advance(None, &footage, at(7200)).unwrap();
        assert_eq!(seconds(&playlist), [0, 1, 2, 3, 4, 6, 3599]);
        let [window, next] = [0, 1].map(|second: usize| footage[second].key.window);
        assert_eq!([window, next].map(|other| gives_way(other, window)), [false; 2]);
    }

    #[test]
    fn a_pack_counts_for_what_was_written_before_it_and_not_for_what_came_later() {
        let footage = stored(0..30);
        let (_, segments) = advance(None, &footage, at(7200)).unwrap();
        let part = |second: u64| Part {
            first: footage[0].key.window,
            count: 20,
            init: ContentHash::of(b"init"),
            as_of: at(100),
            hash: ContentHash::of(b"pack"),
            init_bytes: 700,
            offset: second * 10,
            size: 10,
            keyframe_bytes: Some(5),
        };
        let packed = (0..20).map(|second| Stored {
            listing: Listing { place: Place::Packed(part(second)), ..segments.listings[second as usize] },
            modified_unix_millis: at(100).unix_millis(),
            size_bytes: 10,
        });
        let late = segment(5, "b", 100);
        let all: Vec<Stored> = packed.chain(footage.iter().chain([&late]).map(Stored::from)).collect();
        let advance = |current| advance_hour(Some(current), &camera(), hour(), &all, None, at(7200));
        let (step, playlist) = advance(&segments).unwrap();
        assert_eq!(step, HourStep::Mended);
        let is_packed = |listing: &Listing| matches!(listing.place, Place::Packed(_));
        let packed: Vec<usize> = (0..30).filter(|second| is_packed(&playlist.listings[*second])).collect();
        assert_eq!(packed, [(0..5).collect::<Vec<_>>(), (6..20).collect()].concat());
        assert_eq!(advance(&playlist), None);
        let stale =
            |footage: &[Footage]| is_stale(Some(&playlist), &camera(), hour(), footage, at(0), at(7200));
        let rest = [vec![late], footage[20..].to_vec()].concat();
        assert!(!stale(&rest), "the segments in the pack may be gone");
        assert!(!stale(&[rest.as_slice(), &footage[0..5]].concat()), "or not");
        assert!(stale(&[rest.as_slice(), &[segment(7, "c", 200)]].concat()));
        assert!(stale(&rest[2..]), "one that was listed has expired");
    }

    #[test]
    fn a_playlist_is_stale_once_a_version_is_overdue() {
        let stale = |current: Option<&HourPlaylist>, footage: &[Footage], from, now| {
            is_stale(current, &camera(), hour(), footage, at(from), at(now))
        };
        let footage = stored(0..300);
        let (_, lasting) = advance(None, &footage, at(100)).unwrap();
        assert!(!stale(Some(&lasting), &footage, 0, 200), "the function may be at it");
        assert!(stale(Some(&lasting), &footage, 250, 500));
        assert!(stale(None, &footage, 0, 500));
        assert!(!stale(None, &[], 0, 4000));
        let (_, all) = advance(Some(&lasting), &footage, at(400)).unwrap();
        assert!(!stale(Some(&all), &footage, 0, 3600 + 100));
        assert!(stale(Some(&all), &footage, 0, 3600 + 200), "it is not ended");
        assert!(stale(Some(&all), &[], 0, 3600 + 200), "nor is it once its footage is gone");
        let (_, ended) = advance(Some(&all), &[], at(4000)).unwrap();
        assert!(!stale(Some(&ended), &footage[100..], 100, 5000));
        assert!(stale(Some(&ended), &[&footage[100..], &stored(400..401)].concat(), 100, 5000));
        assert!(stale(Some(&ended), &[&footage[100..], &[segment(150, "b", 5000)]].concat(), 100, 5000));
        assert!(!stale(Some(&ended), &[], 3600, 5000), "what was not looked at is not judged");
    }
}
