//! What is missing: functions of listings and the time.
//!
//! A key tells its window, a listing when an object was last written. A batch is written again when late frames are
//! merged into it, and a segment is only made of a batch that is there: so a batch that was written after the newest
//! segment of its window has none.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
    time::Duration,
};

use teiten_archive::{Footage, LIVE_AGE_MAX, LivePlaylist, LiveSettings, advance, gives_way};
use teiten_footage::{BatchKey, Hour, PackKey, SegmentKey, Timestamp, Window};
use teiten_host::turns::PERIODS_MIN;

/// No hour is put together sooner after its end.
const PACKED_AFTER_MIN: Duration = Duration::from_secs(600);

/// The shortest period: all that can still become part of a live playlist is seen by every run.
pub const PERIOD_MIN: Duration = Duration::from_secs(10);

const _: () = assert!(PERIOD_MIN.as_millis() * PERIODS_MIN as u128 > LIVE_AGE_MAX.as_millis());

/// A segment written this long ago had its time to be listed.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// A camera is filming if it did within this time: three versions of its hour's playlist.
const FILMING_WITHIN: Duration = Duration::from_secs(180);

/// Every how many runs `archive.json` is looked at, and the whole archive.
const ARCHIVE_RUNS: u64 = 16;
const SURVEY_RUNS: u64 = 1024;

/// A batch that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its key.
    pub key: BatchKey,
    /// When it was last written, in milliseconds since the Unix epoch.
    pub modified_unix_millis: u64,
}

impl StoredBatch {
    /// The same as a time.
    pub fn modified(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.modified_unix_millis)
    }
}

/// Whether a run looks at `archive.json`: about four an hour do, if there is a run a minute.
pub fn is_archives_turn(run: u64) -> bool {
    run.is_multiple_of(ARCHIVE_RUNS)
}

/// Whether that run lists the whole archive: about three in two days do. It costs a request for each hour.
pub fn is_surveys_turn(run: u64) -> bool {
    run.is_multiple_of(SURVEY_RUNS)
}

/// Whether the playlist of an hour is still in the hands of the function that rewrites it once a minute: the hour
/// lasts and its camera is filming. (There is no need to read it then.)
pub fn is_under_way(hour: Hour, segments: &[Footage], now: Timestamp) -> bool {
    let of_hour =
        segments.iter().map(|segment| segment.key.window).filter(|window| Hour::of(*window) == hour);
    let newest = of_hour.map(Window::end).max();
    !is_settled(hour, now) && newest.is_some_and(|newest| now < newest + FILMING_WITHIN)
}

/// Whether an hour is out of that function's hands, whatever its camera does.
pub fn is_settled(hour: Hour, now: Timestamp) -> bool {
    hour.end() + FILMING_WITHIN <= now
}

/// From when on what is published has to be listed to know all that there is of windows from `from` on: a pack sorts by its first
/// window, which is of the same hour.
pub fn listed_from(from: Timestamp, now: Timestamp) -> Timestamp {
    let hour = Hour::containing(from);
    if hour.end() + PACKED_AFTER_MIN <= now { hour.start() } else { from }
}

/// The batches that have no segment, the oldest first, of those that were `written` in this time: what is younger may be on its way,
/// and the segment of an older one may have expired. A window's segment may be in a pack: that has what was written up to when it
/// counts. Of one that is not listed beside what is in a pack, as the windows got another length, the segment was deleted.
pub fn without_segment<'a>(
    batches: &'a [StoredBatch],
    segments: &[Footage],
    packs: &[PackKey],
    written: &RangeInclusive<Timestamp>,
) -> Vec<&'a BatchKey> {
    let mut encoded: HashMap<Window, u64> = HashMap::new();
    for segment in segments {
        let newest = encoded.entry(segment.key.window).or_default();
        *newest = segment.modified_unix_millis.max(*newest);
    }
    for pack in packs {
        for window in pack.windows() {
            let newest = encoded.entry(window).or_default();
            *newest = pack.as_of.unix_millis().max(*newest);
        }
    }
    let is_beside_packed =
        |window| packs.iter().flat_map(PackKey::windows).any(|packed| gives_way(window, packed));
    let mut missing: Vec<&BatchKey> = batches
        .iter()
        .filter(|batch| written.contains(&batch.modified()))
        .filter(|batch| {
            encoded.get(&batch.key.window).is_none_or(|encoded| *encoded < batch.modified_unix_millis)
        })
        .map(|batch| &batch.key)
        .filter(|key| !is_beside_packed(key.window))
        .collect();
    missing.sort_by_key(|key| (key.window.start(), key.window.length()));
    missing
}

/// The newest segment of a camera whose live playlist would change if it were looked at.
pub fn unlisted<'a>(
    playlist: Option<&LivePlaylist>,
    segments: &'a [Footage],
    now: Timestamp,
) -> Option<&'a SegmentKey> {
    let written_before = (now - LISTED_WITHIN).unix_millis();
    let overdue: Vec<Footage> =
        segments.iter().filter(|segment| segment.modified_unix_millis <= written_before).cloned().collect();
    advance(playlist, &overdue, &BTreeSet::new(), now, LiveSettings::default())?;
    segments.iter().map(|segment| &segment.key).max_by_key(|key| key.window.start())
}

#[cfg(test)]
mod tests {
    use teiten_footage::{CameraId, ContentHash, Pictures, WindowLength, key::BatchFormat};
    use teiten_host::turns::run_of;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const DELAY: Duration = Duration::from_secs(30);
    const NOON: Timestamp = Timestamp::from_unix_millis(1_795_435_200_000);

    fn window(index: u64) -> Window {
        Window::containing(NOON, WindowLength::DEFAULT).plus(index)
    }

    fn camera() -> CameraId {
        CameraId::new("gate").unwrap()
    }

    fn batch(index: u64, written: Duration) -> StoredBatch {
        let key = BatchKey { camera: camera(), window: window(index), format: BatchFormat::Mjpeg };
        StoredBatch { key, modified_unix_millis: (NOON + written).unix_millis() }
    }

    fn segment(index: u64, frames: &str, written: Duration) -> Footage {
        let pictures = Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: 1 };
        let init = ContentHash::of(b"init");
        let key = SegmentKey { camera: camera(), window: window(index), init, pictures };
        Footage { key, modified_unix_millis: (NOON + written).unix_millis(), size_bytes: 0 }
    }

    fn missing(batches: &[StoredBatch], segments: &[Footage], now: Duration) -> Vec<u64> {
        let missing = without_segment(batches, segments, &[], &(NOON - HOUR..=NOON + now - DELAY));
        missing.into_iter().map(|key| key.window.index() - window(0).index()).collect()
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_batch_without_a_segment_is_found_once_the_pipeline_had_its_time() {
        let batches = [batch(2, seconds(4)), batch(0, seconds(2)), batch(1, seconds(3))];
        let segments = [segment(1, "a", seconds(4))];
        assert_eq!(missing(&batches, &segments, seconds(31)), [0; 0]);
        assert_eq!(missing(&batches, &segments, seconds(32)), [0]);
        assert_eq!(missing(&batches, &segments, seconds(60)), [0, 2]);
    }

    #[test]
    fn a_batch_whose_footage_may_have_expired_is_left_alone() {
        let batches = [batch(0, seconds(10)), batch(1, seconds(20))];
        let missing = without_segment(&batches, &[], &[], &(NOON + seconds(15)..=NOON + HOUR));
        assert_eq!(missing, [&batches[1].key]);
    }

    #[test]
    fn a_batch_that_was_merged_after_its_segment_was_made_is_found() {
        let segments = [segment(0, "some", seconds(3)), segment(1, "some", seconds(3))];
        let batches = [batch(0, seconds(50)), batch(1, seconds(2))];
        assert_eq!(missing(&batches, &segments, seconds(100)), [0]);
        let segments = [segments.as_slice(), &[segment(0, "all", seconds(51))]].concat();
        assert_eq!(missing(&batches, &segments, seconds(100)), [0; 0]);
    }

    #[test]
    fn a_batch_whose_segment_is_in_a_pack_is_not_found_unless_it_was_merged_later() {
        let (init, hash) = (ContentHash::of(b"init"), ContentHash::of(b"pack"));
        let pack =
            PackKey { camera: camera(), first: window(1), count: 2, init, as_of: NOON + seconds(60), hash };
        let batches = [0, 1, 2, 3].map(|index| batch(index, seconds(if index == 2 { 61 } else { 5 })));
        let missing = without_segment(&batches, &[], &[pack], &(NOON..=NOON + HOUR));
        let missing: Vec<Window> = missing.into_iter().map(|key| key.window).collect();
        assert_eq!(missing, [window(0), window(2), window(3)]);
    }

    #[test]
    fn a_batch_that_overlaps_what_is_in_a_pack_is_found_only_if_its_segment_would_be_listed() {
        let (init, hash) = (ContentHash::of(b"init"), ContentHash::of(b"pack"));
        let pack =
            PackKey { camera: camera(), first: window(1), count: 2, init, as_of: NOON + seconds(60), hash };
        let two = WindowLength::from_millis(2000).unwrap();
        let batches = [0, 2, 4].map(|index| {
            let mut batch = batch(index, seconds(70));
            batch.key.window = Window::containing(window(index).start(), two);
            batch
        });
        let missing = without_segment(&batches, &[], &[pack], &(NOON..=NOON + HOUR));
        assert_eq!(missing, [&batches[0].key, &batches[2].key]);
    }

    #[test]
    fn a_batch_that_was_merged_after_its_pack_is_found_though_another_pack_of_its_hour_is_as_of_later() {
        let (init, hash) = (ContentHash::of(b"init"), ContentHash::of(b"pack"));
        let pack = |first, as_of| {
            let (first, as_of) = (window(first), NOON + seconds(as_of));
            PackKey { camera: camera(), first, count: 2, init, as_of, hash }
        };
        let batches = [(0, 2), (1, 300), (600, 602)].map(|(index, written)| batch(index, seconds(written)));
        let packs = [pack(0, 4), pack(600, 604)];
        let missing = without_segment(&batches, &[], &packs, &(NOON..=NOON + HOUR));
        assert_eq!(missing, [&batches[1].key]);
    }

    #[test]
    fn packs_are_listed_from_their_hours_start_once_there_can_be_any() {
        let from = NOON + seconds(1800);
        assert_eq!(listed_from(from, NOON + HOUR + seconds(599)), from);
        assert_eq!(listed_from(from, NOON + HOUR + seconds(600)), NOON);
    }

    #[test]
    fn archives_are_looked_at_now_and_then_and_those_of_many_cameras_not_at_once() {
        let cameras: Vec<CameraId> =
            (0..100).map(|index| CameraId::new(&format!("camera-{index}")).unwrap()).collect();
        let turns = |turn: fn(u64) -> bool| -> Vec<usize> {
            let run = |run, camera| run_of(camera, NOON + MINUTE * run, MINUTE);
            (0..2048)
                .map(|number| cameras.iter().filter(|camera| turn(run(number, camera))).count())
                .collect()
        };
        let (archives, surveys) = (turns(is_archives_turn), turns(is_surveys_turn));
        assert_eq!((archives.iter().sum::<usize>(), surveys.iter().sum::<usize>()), (100 * 128, 100 * 2));
        assert!(surveys.iter().all(|cameras| *cameras <= 3), "{surveys:?}");
        assert!(archives.iter().all(|cameras| *cameras <= 20), "{archives:?}");
    }

    #[test]
    fn an_hour_is_left_to_its_function_while_its_camera_is_filming() {
        let hour = Hour::containing(NOON);
        let segments: Vec<Footage> = (0..600).map(|index| segment(index, "a", seconds(index + 2))).collect();
        assert!(is_under_way(hour, &segments, NOON + seconds(700)));
        assert!(!is_under_way(hour, &segments, NOON + seconds(800)), "the camera is silent");
        let segments: Vec<Footage> =
            (3000..3600).map(|index| segment(index, "a", seconds(index + 2))).collect();
        assert!(is_under_way(hour, &segments, NOON + seconds(3700)));
        assert!(!is_under_way(hour, &segments, NOON + seconds(3800)), "the hour is over");
    }

    fn playlist(windows: std::ops::Range<u64>) -> LivePlaylist {
        let mut playlist = None;
        for index in windows {
            let written = window(index).end();
            let footage = [segment(index, "a", written.since(NOON))];
            let step = advance(playlist.as_ref(), &footage, &BTreeSet::new(), written, Default::default());
            playlist = Some(step.unwrap().1);
        }
        playlist.unwrap()
    }

    #[test]
    fn a_playlist_that_would_change_is_stale_once_it_had_its_time() {
        let segments: Vec<Footage> = (0..10).map(|index| segment(index, "a", seconds(index + 2))).collect();
        let newest = &segments[9].key;
        let (all, some) = (playlist(0..10), playlist(0..7));
        assert_eq!(unlisted(Some(&all), &segments, NOON + seconds(20)), None);
        assert_eq!(unlisted(Some(&some), &segments, NOON + seconds(13)), None, "its event may be on its way");
        assert_eq!(unlisted(Some(&some), &segments, NOON + seconds(14)), Some(newest));
        assert_eq!(unlisted(None, &segments, NOON + seconds(14)), Some(newest));
        assert_eq!(unlisted(Some(&some), &segments, NOON + seconds(60)), None, "too late to be live");
    }
}
