//! What is to be put together, and what may go: functions of a listing and the time.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use teiten_footage::{PackKey, Timestamp, Window};
use teiten_playlist::{HourPlaylist, Listing, Place, StoredHourObjects};

/// The largest pack, in bytes: it is held in memory while it is made, and put in one request.
pub const PACK_BYTES_MAX: u64 = 32 << 20;

/// How long nothing was written of an hour before it is put together. It has to be longer than clocks differ.
pub const QUIET_MIN: Duration = Duration::from_secs(600);

/// How long after a pack was listed the segments in it are kept: as long as somebody may play by a playlist from before it,
/// which is an hour's footage and some pauses. (A playlist of a longer range has to be asked for again where it goes through what
/// was not put together when it was made, as docs/formats.md says.)
pub const KEPT_AFTER: Duration = Duration::from_secs(2 * 3600);

/// How long before an hour is not looked at any more it is put together at the latest: what a pack supersedes is deleted by a later
/// run, and one of the hourly runs may fail.
pub const LAST_BEFORE_HORIZON: Duration = Duration::from_secs(KEPT_AFTER.as_secs() + 2 * 3600);

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

/// Up to when a pack of what is stored counts: after everything that is there was written, and before anything that
/// is written from now on. `None` while something was written just now.
pub fn as_of(stored: &StoredHourObjects, now: Timestamp) -> Option<Timestamp> {
    let newest = stored.segments.iter().map(|segment| segment.modified_unix_millis).max()?;
    let newest = Timestamp::from_unix_millis(newest);
    // The next whole second: stores that know no finer times round down.
    let as_of = Timestamp::from_unix_millis((newest.unix_millis() / 1000 + 1) * 1000);
    (newest + QUIET_MIN <= now).then_some(as_of)
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

/// In which order the run of this hour takes so many cameras. Where a run does not have the time for all, the same ones would
/// be left each time if all began at one place; the golden ratio spreads the places, so that none waits for long.
pub fn order(cameras: usize, now: Timestamp) -> impl Iterator<Item = usize> {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let hour = now.unix_millis() / 3_600_000;
    let first = (u128::from(hour.wrapping_mul(GOLDEN)) * cameras as u128) >> 64;
    (0..cameras).map(move |index| (first as usize + index) % cameras)
}

/// Whether what was written then has been there for [`KEPT_AFTER`].
pub fn is_of_long_ago(written_unix_millis: u64, now: Timestamp) -> bool {
    written_unix_millis <= (now - KEPT_AFTER).unix_millis()
}

/// The keys of segments and packs that nobody needs any more, once `playlist` [is of long ago](is_of_long_ago) as well: another object
/// counts for their windows, which it lists.
pub fn superseded(playlist: &HourPlaylist, stored: &StoredHourObjects, now: Timestamp) -> Vec<String> {
    let settled = stored.packs.iter().filter(|pack| is_of_long_ago(pack.modified_unix_millis, now));
    let settled: HashSet<&PackKey> = settled.map(|pack| &pack.key).collect();
    let counts: HashMap<Window, &Listing> =
        playlist.listings().iter().map(|listing| (listing.window, listing)).collect();
    let pack_of = |window: Window| match counts.get(&window)?.place {
        Place::Packed(part) => {
            let key = part.key(playlist.camera());
            settled.contains(&key).then_some(key)
        }
        Place::Segment(_) => None,
    };
    let segments = stored.segments.iter().filter(|segment| {
        let window = segment.key.window;
        pack_of(window).is_some_and(|pack| segment.modified_unix_millis < pack.as_of.unix_millis())
    });
    let listed: HashSet<PackKey> = packs_of(playlist).collect();
    let packs = stored.packs.iter().filter(|pack| settled.contains(&pack.key) && !listed.contains(&pack.key));
    segments.map(|segment| segment.key.to_string()).chain(packs.map(|pack| pack.key.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
