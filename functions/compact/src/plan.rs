//! What is to be put together, and what may go: functions of a listing and the time.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use teiten_archive::{HourPlaylist, Listing, Place, StoredHourObjects, gives_way};
use teiten_footage::{PackKey, Timestamp, Window};
use teiten_host::turns::first_of;

/// The largest pack, in bytes: it is held in memory while it is made, and put in one request.
pub const PACK_BYTES_MAX: u64 = 32 << 20;

/// How long nothing was written of an hour before it is put together. It has to be longer than clocks differ.
pub const QUIET_MIN: Duration = Duration::from_secs(600);

/// How long after a pack was listed the segments in it are kept: as long as somebody may play by a playlist from before it,
/// which is an hour's footage and some pauses. (A playlist of a longer range has to be asked for again where it goes through what
/// was not put together when it was made, as docs/formats.md says.) It is two hours, less ten minutes: the run two hours later begins
/// sooner after that than an hourly run comes to list a pack, and would leave the segments to the next one for a moment's sake.
pub const KEPT_AFTER: Duration = Duration::from_secs(110 * 60);

/// How long before an hour is not looked at any more it is put together at the latest: what a pack supersedes is deleted by a later
/// run, and one of the hourly runs may fail.
pub const LAST_BEFORE_HORIZON: Duration = Duration::from_secs(4 * 3600);

const _: () = assert!(LAST_BEFORE_HORIZON.as_secs() >= KEPT_AFTER.as_secs() + 2 * 3600);

/// The runs of segments that are to be put together: each contiguous in time, with one init section and one length of windows,
/// as a pack's key tells them. One segment is a run too: an hour is of packs alone then.
pub fn runs(playlist: &HourPlaylist, stored: &StoredHourObjects) -> Vec<Vec<Listing>> {
    let sizes: HashMap<_, _> =
        stored.segments.iter().map(|segment| (Listing::of(&segment.key), segment.size_bytes)).collect();
    let mut runs: Vec<Vec<Listing>> = Vec::new();
    let mut bytes = 0;
    let mut goes_on = false;
    for listing in playlist.listings() {
        let size = sizes.get(listing).copied().filter(|_| matches!(listing.place, Place::Segment(_)));
        let Some(size) = size else {
            goes_on = false;
            continue;
        };
        let last = runs.last_mut().filter(|run| {
            let joins = run.last().is_some_and(|last| {
                !listing.is_discontinuous_after(last) && listing.window.length() == last.window.length()
            });
            goes_on && joins && bytes + size <= PACK_BYTES_MAX
        });
        match last {
            Some(run) => {
                run.push(*listing);
                bytes += size;
            }
            None => {
                runs.push(vec![*listing]);
                bytes = size;
            }
        }
        goes_on = true;
    }
    runs
}

/// Whether nothing was written of an hour just now: what is written from now on is later than any pack of what is stored is as of.
pub fn is_quiet(stored: &StoredHourObjects, now: Timestamp) -> bool {
    let written = stored.segments.iter().map(|segment| segment.modified_unix_millis);
    written.max().is_none_or(|newest| Timestamp::from_unix_millis(newest) + QUIET_MIN <= now)
}

/// Up to when a pack of a run counts: after all that is stored of its windows was written. Not after what is stored of others: a batch
/// that was written later than what is in its pack has no segment, and nothing else tells that.
pub fn as_of(run: &[Listing], stored: &StoredHourObjects) -> Timestamp {
    let windows: HashSet<Window> = run.iter().map(|listing| listing.window).collect();
    let segments = stored.segments.iter().filter(|segment| windows.contains(&segment.key.window));
    let newest = segments.map(|segment| segment.modified_unix_millis).max().unwrap_or_default();
    // The next whole second: stores that know no finer times round down.
    Timestamp::from_unix_millis((newest / 1000 + 1) * 1000)
}

/// Whether all that is stored of an hour is put together and listed: packs alone are left.
pub fn is_settled(playlist: &HourPlaylist, stored: &StoredHourObjects) -> bool {
    let listed: HashSet<PackKey> = packs_of(playlist).collect();
    stored.segments.is_empty() && stored.packs.iter().all(|pack| listed.contains(&pack.key))
}

/// The packs that a playlist names, for each window that is in one.
fn packs_of(playlist: &HourPlaylist) -> impl Iterator<Item = PackKey> {
    playlist.listings().iter().filter_map(|listing| match listing.place {
        Place::Packed(part) => Some(part.key(playlist.camera())),
        Place::Segment(_) => None,
    })
}

/// In which order the run of this hour takes so many cameras ([`first_of`]).
pub fn order(cameras: usize, now: Timestamp) -> impl Iterator<Item = usize> {
    let first = first_of(cameras, now.unix_millis() / 3_600_000);
    (0..cameras).map(move |index| (first + index) % cameras)
}

/// Whether what was written then has been there for [`KEPT_AFTER`].
pub fn is_of_long_ago(written_unix_millis: u64, now: Timestamp) -> bool {
    written_unix_millis <= (now - KEPT_AFTER).unix_millis()
}

/// The keys of segments and packs that nobody needs any more, once `playlist` [is of long ago](is_of_long_ago) as well: another object
/// counts for their windows, which it lists; or a window that they overlap is listed in their place ([`gives_way`]).
pub fn superseded(playlist: &HourPlaylist, stored: &StoredHourObjects, now: Timestamp) -> Vec<String> {
    let settled = stored.packs.iter().filter(|pack| is_of_long_ago(pack.modified_unix_millis, now));
    let settled: HashSet<&PackKey> = settled.map(|pack| &pack.key).collect();
    let counts: HashMap<Window, &Listing> =
        playlist.listings().iter().map(|listing| (listing.window, listing)).collect();
    let pack_of = |listing: &Listing| match listing.place {
        Place::Packed(part) => Some(part.key(playlist.camera())).filter(|key| settled.contains(key)),
        Place::Segment(_) => None,
    };
    let segments = stored.segments.iter().filter(|segment| {
        let (window, written) = (segment.key.window, segment.modified_unix_millis);
        match counts.get(&window) {
            Some(listing) => pack_of(listing).is_some_and(|pack| written < pack.as_of.unix_millis()),
            None => {
                let other = playlist.listings().iter().find(|other| gives_way(window, other.window));
                is_of_long_ago(written, now) && other.and_then(pack_of).is_some()
            }
        }
    });
    let listed: HashSet<PackKey> = packs_of(playlist).collect();
    let packs = stored.packs.iter().filter(|pack| settled.contains(&pack.key) && !listed.contains(&pack.key));
    segments.map(|segment| segment.key.to_string()).chain(packs.map(|pack| pack.key.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use teiten_archive::StoredSegment;
    use teiten_footage::{CameraId, ContentHash, Pictures, SegmentKey, WindowLength};

    use super::*;

    /// A segment of that second since 2020, written so many milliseconds after it began.
    fn segment(second: u64, written_after: u64) -> StoredSegment {
        let window = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT).plus(second);
        let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: 1 };
        let camera = CameraId::new("gate").unwrap();
        StoredSegment {
            key: SegmentKey { camera, window, init: ContentHash::of(b"init"), pictures },
            modified_unix_millis: window.start().unix_millis() + written_after,
            size_bytes: 60_000,
        }
    }

    #[test]
    fn a_pack_is_as_of_what_is_in_it_and_not_of_what_is_in_others_of_its_hour() {
        // Merged later than it was filmed, and before that once.
        let merged = SegmentKey {
            pictures: Pictures { frames: ContentHash::of(b"more"), keyframe_bytes: 1 },
            ..segment(2, 0).key
        };
        let merged = StoredSegment { key: merged, ..segment(2, 30_500) };
        let first = [segment(0, 1500), segment(1, 1500), segment(2, 1500), merged];
        let second = [segment(600, 1500), segment(601, 2000)];
        let stored =
            StoredHourObjects { segments: [&first[..], &second].concat(), ..StoredHourObjects::default() };
        let as_of = |segments: &[StoredSegment]| {
            let run: Vec<Listing> = segments.iter().map(|segment| Listing::of(&segment.key)).collect();
            super::as_of(&run, &stored).since(Timestamp::Y2020).as_secs()
        };
        assert_eq!((as_of(&first[..2]), as_of(&first), as_of(&second)), (3, 33, 604));
        // Whatever it is as of, it has to be over for all of the hour.
        let newest = Timestamp::Y2020 + Duration::from_secs(603);
        assert!(is_quiet(&stored, newest + QUIET_MIN));
        assert!(!is_quiet(&stored, newest + QUIET_MIN - Duration::from_millis(1)));
    }

    #[test]
    fn every_run_begins_at_another_camera_and_none_is_first_long_after_the_others() {
        let firsts = |cameras: usize, runs: u64| {
            let run = move |hour: u64| Timestamp::from_unix_millis(1_795_435_200_000 + hour * 3_600_000);
            (0..runs).map(move |hour| order(cameras, run(hour)).next().unwrap()).collect::<HashSet<_>>()
        };
        // Were each run to get a quarter of them done, all would be after seven.
        let mut firsts: Vec<usize> = firsts(36, 7).into_iter().collect();
        firsts.sort_unstable();
        let gaps = firsts.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() <= Some(9) && firsts[0] + 36 - firsts[firsts.len() - 1] <= 9, "{firsts:?}");
        let all: HashSet<usize> = order(36, Timestamp::Y2020).collect();
        assert_eq!((all.len(), order(0, Timestamp::Y2020).count()), (36, 0));
    }
}
