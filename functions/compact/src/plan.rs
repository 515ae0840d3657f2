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

/// How long after a pack was made the segments in it are kept: as long as somebody may play by a playlist from before it,
/// which is an hour's footage and some pauses.
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

/// The keys of segments and packs that nobody needs any more: another object counts for their windows, which
/// `playlist` lists, and has for long enough.
pub fn superseded(playlist: &HourPlaylist, stored: &StoredHourObjects, now: Timestamp) -> Vec<String> {
    let made_before = (now - KEPT_AFTER).unix_millis();
    let settled = stored.packs.iter().filter(|pack| pack.modified_unix_millis <= made_before);
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
    let listed = |key: &PackKey| {
        counts.values().any(
            |listing| matches!(listing.place, Place::Packed(part) if part.key(playlist.camera()) == *key),
        )
    };
    let packs = stored.packs.iter().filter(|pack| settled.contains(&pack.key) && !listed(&pack.key));
    segments.map(|segment| segment.key.to_string()).chain(packs.map(|pack| pack.key.to_string())).collect()
}
