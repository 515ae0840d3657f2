//! Hours that are put together, on a bucket that fails at whichever step.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use mp4_atom::{Encode as _, Mfhd, Moof, Tfdt, Traf};
use teiten_archive::{
    Cameras, Footage, HEADS_MAX, Listing, Place, Stored, StoredHourObjects, StoredSegment, advance_hour,
    mend_motion, read_hour, stored_in, stored_objects, update_hour,
};
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Listed, MemoryBucket, Object, Put};
use teiten_compact::{Compact, Report, Settings, plan};
use teiten_footage::{
    CameraId, ContentHash, Hour, MotionMap, PackKey, Pictures, SegmentKey, SensorEvent, SensorKey,
    SensorState, TimeRange, Window, WindowLength, key, sensor::SensorKind,
};
use teiten_host::Chore as _;

/// The bytes of each segment that are its keyframe's: those before its media, which tell what moves.
const KEYFRAME: usize = MotionMap::SEGMENT_HEAD_BYTES;

const MINUTE: Duration = Duration::from_secs(60);

fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

/// A bucket whose n-th operation fails: before it is done, or after, so that only its answer is lost. It takes [`ANSWER`] for each, by a
/// clock of its own: what is asked side by side takes as long as one.
#[derive(Debug)]
struct Failing {
    inner: MemoryBucket,
    operations: AtomicUsize,
    millis: AtomicU64,
    fails_at: usize,
    is_done: bool,
    /// Whether all that follow fail, too.
    for_ever: bool,
}

/// A store that is not quick.
const ANSWER: Duration = Duration::from_millis(20);

impl Failing {
    fn at(inner: &MemoryBucket, fails_at: usize, is_done: bool) -> Arc<Self> {
        Arc::new(Self::of(inner, fails_at, is_done, false))
    }

    /// One that does so many operations, and then no more.
    fn after(inner: &MemoryBucket, operations: usize) -> Arc<Self> {
        Arc::new(Self::of(inner, operations, false, true))
    }

    fn of(inner: &MemoryBucket, fails_at: usize, is_done: bool, for_ever: bool) -> Self {
        let (operations, millis) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { inner: inner.clone(), operations, millis, fails_at, is_done, for_ever }
    }

    /// For how long it was asked.
    fn took(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn result<T>(
        &self,
        operation: &'static str,
        key: &str,
        number: usize,
        value: T,
    ) -> Result<T, BucketError> {
        if number == self.fails_at || self.for_ever && number > self.fails_at {
            let (bucket, key) = ("media".to_owned(), key.to_owned());
            return Err(BucketError::Unavailable { bucket, operation, key, why: "killed".to_owned() });
        }
        Ok(value)
    }

    async fn next(&self, operation: &'static str, key: &str) -> Result<usize, BucketError> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        let begun = self.took();
        tokio::task::yield_now().await;
        self.millis.fetch_max((begun + ANSWER).as_millis() as u64, Ordering::SeqCst);
        if self.is_done { Ok(number) } else { self.result(operation, key, number, number) }
    }

    fn has_failed(&self) -> bool {
        self.operations.load(Ordering::SeqCst) > self.fails_at
    }
}

#[async_trait]
impl Bucket for Failing {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let number = self.next("get", key).await?;
        self.result("get", key, number, self.inner.get(key).await?)
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        let number = self.next("put", key).await?;
        self.result("put", key, number, self.inner.put(key, bytes, headers, condition).await?)
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        let number = self.next("list", prefix).await?;
        self.result("list", prefix, number, self.inner.list_after(prefix, after, count_max).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let number = self.next("delete", key).await?;
        self.result("delete", key, number, self.inner.delete(key).await?)
    }
}

/// An hour that was filmed, and its segments.
struct World {
    media: MemoryBucket,
    hour: Hour,
    segments: BTreeMap<Window, Bytes>,
}

/// What tells when the pictures after a keyframe begin.
fn second_chunk(window: Window) -> Vec<u8> {
    let tfdt = Tfdt { base_media_decode_time: window.start().ticks().0 + 9000 };
    let traf = Traf { tfdt: Some(tfdt), ..Traf::default() };
    let mut bytes = Vec::new();
    Moof { mfhd: Mfhd { sequence_number: 1 }, traf: vec![traf] }.encode(&mut bytes).unwrap();
    bytes
}

/// The head of a segment; something moves in every third.
fn head(index: u64) -> Vec<u8> {
    let strength = if index.is_multiple_of(3) { index as u8 % 12 + 4 } else { 0 };
    let motion = MotionMap::from_strengths(&[strength; MotionMap::CELLS]);
    let size = (MotionMap::BOX_BYTES as u32).to_be_bytes();
    let styp = [&24_u32.to_be_bytes()[..], b"stypmsdh\0\0\0\0msdhcmfs"].concat();
    [&styp[..], &size, b"uuid", &MotionMap::BOX_TYPE, &[0; 4], motion.packed()].concat()
}

impl World {
    /// The hour before last: 15 windows, a hole, 15 more, and 10 with another init section. Everything is written now.
    async fn start() -> Self {
        Self::filmed(&[(0..15, "one"), (20..35, "one"), (35..45, "two")]).await
    }

    /// The same with these windows, each some with their init section.
    async fn filmed(windows: &[(Range<u64>, &str)]) -> Self {
        let hour = Hour::containing(teiten_telemetry::now() - MINUTE * 120);
        let mut world = Self { media: MemoryBucket::new("media"), hour, segments: BTreeMap::new() };
        for (windows, init) in windows {
            world.film(windows.clone(), init, "a").await;
        }
        update_hour(&world.media, &camera(), hour, teiten_telemetry::now()).await.unwrap();
        Cameras { cameras: [camera()].into() }.put(&world.media, Condition::Always).await.unwrap();
        world
    }

    async fn film(&mut self, windows: Range<u64>, init: &str, frames: &str) {
        self.film_in(WindowLength::DEFAULT, windows, init, frames).await;
    }

    async fn film_in(&mut self, length: WindowLength, windows: Range<u64>, init: &str, frames: &str) {
        for index in windows {
            let window = Window::containing(self.hour.start(), length).plus(index);
            // A box that nobody looks into.
            let init = [&(8 + init.len() as u32).to_be_bytes()[..], b"moov", init.as_bytes()].concat();
            let hash = ContentHash::of(&init);
            let pictures =
                Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: KEYFRAME as u32 };
            let key = SegmentKey { camera: camera(), window, init: hash, pictures };
            let filler = format!("{key} ").repeat(index as usize % 100 + 1);
            let bytes = [&head(index), &second_chunk(window)[..], filler.as_bytes()].concat();
            let bytes = Bytes::from(bytes);
            self.put(&key.init_key().to_string(), init.into()).await;
            self.put(&key.to_string(), bytes.clone()).await;
            self.segments.insert(window, bytes);
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) {
        self.media.put(key, bytes, Headers::default(), Condition::Always).await.unwrap();
    }

    /// Compacts `later` than now.
    async fn compact(&self, media: Arc<dyn Bucket>, later: Duration) -> Option<Report> {
        let clock = move || teiten_telemetry::now() + later;
        Compact::with_clock(media, Settings::default(), clock).run().await.ok()
    }

    /// Fails unless all that was filmed can be played by the hour's playlist; answers how many windows are packed.
    async fn is_playable(&self) -> usize {
        let playlist = read_hour(&self.media, &camera(), self.hour).await.unwrap().unwrap();
        assert!(playlist.ended());
        let mut packed = 0;
        let mut played = BTreeMap::new();
        for listing in playlist.listings() {
            let object = listing.object(&camera());
            let bytes = match listing.place {
                Place::Segment(_) => self.media.get(&object).await.unwrap().unwrap().bytes,
                Place::Packed(part) => {
                    packed += 1;
                    let range = self.media.get_range(&object, part.offset, part.size.into()).await.unwrap();
                    range.unwrap_or_else(|| panic!("{object} is listed and not there")).bytes
                }
            };
            played.insert(listing.window, bytes);
        }
        assert_eq!(played, self.segments);
        if packed > 0 {
            let segments = self.in_order();
            let ranges =
                self.ranges(&key::hour_playlist_key(&camera(), self.hour), "#EXT-X-BYTERANGE:").await;
            assert_eq!(ranges, segments, "beside packs, segments are ranges too");
        }
        for init in self.ranges(&key::hour_playlist_key(&camera(), self.hour), "#EXT-X-MAP:").await {
            assert_eq!(&init[4..8], b"moov");
        }
        let keyframes =
            self.ranges(&key::hour_keyframes_key(&camera(), self.hour), "#EXT-X-BYTERANGE:").await;
        let segments: Vec<Bytes> = self.in_order().into_iter().map(|bytes| bytes.slice(..KEYFRAME)).collect();
        assert_eq!(keyframes, segments);
        packed
    }

    /// The objects that the hour's playlist names.
    async fn listed(&self) -> Vec<String> {
        let playlist = read_hour(&self.media, &camera(), self.hour).await.unwrap().unwrap();
        playlist.listings().iter().map(|listing| listing.object(&camera())).collect()
    }

    /// The segments in the order of time, which that of windows is for those of one length.
    fn in_order(&self) -> Vec<Bytes> {
        let mut segments: Vec<_> = self.segments.iter().collect();
        segments.sort_by_key(|(window, _)| window.start());
        segments.into_iter().map(|(_, bytes)| bytes.clone()).collect()
    }

    /// What the tags of this kind in a playlist say is to be played, of the URI in them or on the next line.
    async fn ranges(&self, playlist: &str, tag: &str) -> Vec<Bytes> {
        let text = self.media.get(playlist).await.unwrap().unwrap().bytes;
        let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
        let folder = playlist.rsplit_once('/').unwrap().0;
        let mut ranges = Vec::new();
        for (index, attributes) in
            lines.iter().enumerate().filter_map(|(index, line)| Some((index, line.strip_prefix(tag)?)))
        {
            let uri = attributes.strip_prefix("URI=\"").and_then(|rest| rest.split_once('"'));
            let (uri, range) = uri.map_or((lines[index + 1], attributes), |(uri, range)| {
                (uri, range.trim_start_matches(",BYTERANGE=\"").trim_end_matches('"'))
            });
            let key = format!("{folder}/{uri}").replace(&format!("/{}/..", self.hour.day()), "");
            let object = match range.split_once('@') {
                Some((size, offset)) => {
                    self.media.get_range(&key, offset.parse().unwrap(), size.parse().unwrap()).await
                }
                None => self.media.get(&key).await,
            };
            ranges.push(object.unwrap().unwrap_or_else(|| panic!("{key} is listed and not there")).bytes);
        }
        ranges
    }

    async fn objects(&self) -> usize {
        self.media.list_after(&key::hour_prefix(&camera(), self.hour), "", 10_000).await.unwrap().len()
    }
}

#[test]
fn settings_that_leave_no_time_to_put_hours_together_are_refused() {
    let settings = |after: u32, horizon: u32| {
        Settings { after: after * MINUTE, horizon: horizon * 60 * MINUTE, ..Settings::default() }.checked()
    };
    assert!(Settings::default().checked().is_ok());
    // The least that can be set.
    assert!(settings(10, 8).is_ok() && settings(120, 8).is_ok());
    assert!(settings(360, 12).is_ok() && settings(1440, 30).is_ok());
    for (after, horizon, least) in [(361, 12, 13), (480, 12, 14), (720, 12, 18), (1440, 8, 30)] {
        let refusal = settings(after, horizon).unwrap_err().to_string();
        assert!(refusal.contains(&format!("{least} h")), "{refusal}");
    }
}

#[tokio::test]
async fn an_hour_is_put_together_and_its_segments_go_when_nobody_can_need_them() {
    let world = World::start().await;
    let report = world.compact(Arc::new(world.media.clone()), Duration::ZERO).await.unwrap();
    assert_eq!((report.hours, report.packs), (1, 0), "something was written just now");
    let report = world.compact(Arc::new(world.media.clone()), MINUTE * 60).await.unwrap();
    assert_eq!((report.packs, report.segments, report.deleted), (3, 40, 0));
    assert_eq!((world.is_playable().await, world.objects().await), (40, 43));
    // What is listed is of now, as if by a run that came to it after some minutes.
    let report = world.compact(Arc::new(world.media.clone()), MINUTE * 105).await.unwrap();
    assert_eq!((report.packs, report.deleted), (0, 0), "somebody may still play by the playlist of before");
    let report = world.compact(Arc::new(world.media.clone()), MINUTE * (120 - 8)).await.unwrap();
    assert_eq!(
        (report.packs, report.deleted),
        (0, 40),
        "the run two hours later need not wait for the next one"
    );
    assert_eq!((world.is_playable().await, world.objects().await), (40, 3));
    // What any range finds is the same, also where it begins within a pack.
    let from = world.hour.start() + Duration::from_secs(10);
    let range = TimeRange::new(from, from + Duration::from_secs(14)).unwrap();
    let found = stored_in(&world.media, &camera(), range).await.unwrap();
    let starts: Vec<u64> =
        found.iter().map(|item| item.listing.window.start().since(world.hour.start()).as_secs()).collect();
    assert_eq!(starts, [10, 11, 12, 13, 14, 20, 21, 22, 23]);
}

#[tokio::test]
async fn windows_of_another_length_are_in_packs_of_their_own() {
    let mut world = World::start().await;
    world.film(100..110, "one", "a").await;
    world.film_in(WindowLength::from_millis(2000).unwrap(), 55..60, "one", "a").await;
    update_hour(&world.media, &camera(), world.hour, teiten_telemetry::now()).await.unwrap();
    assert_eq!(world.is_playable().await, 0);
    let report = world.compact(Arc::new(world.media.clone()), MINUTE * 60).await.unwrap();
    assert_eq!((report.packs, report.segments), (5, 55));
    assert_eq!(world.is_playable().await, 55);
}

#[tokio::test]
async fn a_segment_that_is_not_listed_for_it_overlaps_one_of_another_length_goes_with_those_that_are() {
    let mut world = World::start().await;
    let two = WindowLength::from_millis(2000).unwrap();
    // The second 108 is listed as it was filmed first.
    world.film(100..109, "one", "a").await;
    world.film_in(two, 54..60, "one", "a").await;
    world.segments.remove(&Window::containing(world.hour.start(), two).plus(54));
    update_hour(&world.media, &camera(), world.hour, teiten_telemetry::now()).await.unwrap();
    let compact =
        async |minutes| world.compact(Arc::new(world.media.clone()), MINUTE * minutes).await.unwrap();
    let report = compact(60).await;
    assert_eq!((report.packs, report.segments), (5, 54));
    assert_eq!(compact(190).await.deleted, 55);
    assert_eq!((world.is_playable().await, world.objects().await), (54, 5));
}

#[tokio::test]
async fn an_hour_is_put_together_only_while_there_is_time_to_delete_its_segments() {
    for (minutes, packs) in [(12 * 60 - 245, 3), (12 * 60 - 235, 0)] {
        let world = World::start().await;
        let age = teiten_telemetry::now().since(world.hour.end());
        let before = world.objects().await;
        let report = world.compact(Arc::new(world.media.clone()), MINUTE * minutes - age).await.unwrap();
        assert_eq!((report.hours, report.packs), (1, packs), "{minutes} minutes after its end");
        world.is_playable().await;
        // The last run that looks at it.
        let last = world.compact(Arc::new(world.media.clone()), MINUTE * (12 * 60 - 1) - age).await.unwrap();
        assert_eq!(last.packs, 0);
        assert_eq!(world.objects().await, if packs > 0 { packs } else { before });
    }
}

#[tokio::test]
async fn late_footage_of_an_hour_that_is_put_together_counts() {
    let mut world = World::start().await;
    world.compact(Arc::new(world.media.clone()), MINUTE * 60).await.unwrap();
    let now = teiten_telemetry::now();
    world.media.stop_clock(now + Duration::from_secs(2)); // later than the pack is as of
    world.film(5..6, "one", "with late frames").await;
    world.film(17..18, "one", "a").await;
    update_hour(&world.media, &camera(), world.hour, now + MINUTE * 60).await.unwrap();
    assert_eq!(world.is_playable().await, 39);
    // It is put together too, each by itself, and nothing that is needed goes.
    for later in [190, 400] {
        world.compact(Arc::new(world.media.clone()), MINUTE * later).await.unwrap();
        assert_eq!(world.is_playable().await, 41);
    }
    assert_eq!(world.objects().await, 3 + 2);
}

#[tokio::test]
async fn what_moved_in_an_hour_that_is_put_together_is_written_down_again_from_its_packs() {
    let world = World::start().await;
    let at = world.hour.start() + Duration::from_secs(17);
    let event = SensorEvent { kind: SensorKind::Motion, state: SensorState::Started, at };
    let sensor = SensorKey { camera: camera(), event };
    world.put(&sensor.to_string(), event.to_json().into()).await;
    let stored = stored_objects(&world.media, &camera(), world.hour).await.unwrap();
    let footage = |StoredSegment { key, modified_unix_millis, size_bytes }| Footage {
        key,
        modified_unix_millis,
        size_bytes,
    };
    let segments: Vec<Footage> = stored.segments.into_iter().map(footage).collect();
    let now = teiten_telemetry::now() + MINUTE * 10;
    let mended = mend_motion(&world.media, &camera(), &segments, &[sensor], &mut { HEADS_MAX }, now).await;
    assert_eq!(mended.unwrap(), 1);
    let object = key::motion_key(&camera(), world.hour);
    let written = world.media.get(&object).await.unwrap().unwrap().bytes;
    for later in [60, 190] {
        let report = world.compact(Arc::new(world.media.clone()), MINUTE * later).await.unwrap();
        assert_eq!(report.motion_mended, 0);
    }
    assert_eq!(world.objects().await, 3 + 1, "of the segments only packs are left");

    let counted = async || {
        let bucket = Failing::at(&world.media, usize::MAX, false);
        let report = world.compact(bucket.clone(), MINUTE * 190).await.unwrap();
        (report.motion_mended, bucket.operations.load(Ordering::SeqCst))
    };
    let (_, idle) = counted().await;
    world.media.delete(&object).await.unwrap();
    let (mended, busy) = counted().await;
    assert_eq!(mended, 1);
    assert_eq!(world.media.get(&object).await.unwrap().unwrap().bytes, written);
    // One for each pack, what it takes to write it down, and a look at the playlist: no request for each window.
    println!("{} requests more than for an hour of which nothing is gone", busy - idle);
    assert!(busy - idle <= 3 + 3 + 6);
    assert_eq!(counted().await, (0, idle));
}

#[tokio::test]
async fn an_hour_can_be_played_wherever_compaction_is_killed() {
    for is_done in [false, true] {
        let mut fails_at = 0;
        loop {
            let world = World::start().await;
            let mut has_failed = false;
            for later in [60, 190] {
                let listed = world.listed().await;
                let bucket = Failing::at(&world.media, fails_at, is_done);
                world.compact(bucket.clone(), MINUTE * later).await;
                has_failed |= bucket.has_failed();
                world.is_playable().await;
                // Somebody may have asked for the playlist just before the run.
                for object in listed {
                    let is_there = world.media.get(&object).await.unwrap().is_some();
                    assert!(is_there, "{object} was listed before the run that was killed at {fails_at}");
                }
            }
            // The next runs go on where these were killed.
            for later in [250, 400, 500] {
                world.compact(Arc::new(world.media.clone()), MINUTE * later).await.unwrap();
            }
            assert_eq!((world.is_playable().await, world.objects().await), (40, 3), "killed at {fails_at}");
            if !has_failed {
                break;
            }
            fails_at += 1;
        }
        println!("killed at each of {fails_at} steps");
        assert!(fails_at > 50);
    }
}

#[tokio::test]
async fn an_hour_that_is_put_together_costs_three_requests() {
    let world = World::start().await;
    let requests = async |later: u32| {
        let bucket = Failing::after(&world.media, usize::MAX);
        world.compact(bucket.clone(), MINUTE * later).await.unwrap();
        bucket.operations.load(Ordering::SeqCst)
    };
    for later in [60, 190] {
        requests(later).await;
    }
    world.is_playable().await;
    // The lists of cameras and of the camera's hours come before.
    assert_eq!(requests(250).await, 2 + 3);
}

/// docs/ARCHITECTURE.md gives the number. (Putting the bytes together takes its time besides.)
#[tokio::test]
async fn a_run_could_wait_for_a_slow_store_s_segments_of_more_than_a_hundred_cameras() {
    let world = World::filmed(&[(0..3600, "one")]).await;
    let bucket = Failing::after(&world.media, usize::MAX);
    let report = world.compact(bucket.clone(), MINUTE * 60).await.unwrap();
    assert_eq!((report.segments, world.is_playable().await), (3600, 3600));
    println!(
        "{:?} for an hour of a camera, {} requests",
        bucket.took(),
        bucket.operations.load(Ordering::SeqCst)
    );
    assert!(bucket.took() * 100 < Settings::default().run_max);
}

#[tokio::test]
async fn every_camera_is_put_together_though_no_run_has_the_time_for_all() {
    let world = World::start().await;
    let names: Vec<String> = (0..24).map(|index| format!("camera-{index:02}")).collect();
    let mut packed = BTreeMap::new();
    for run in 0..10 {
        // Each run finds as much to do as the one before: every camera has another hour by then.
        let media = MemoryBucket::new("media");
        for Listed { key, .. } in world.media.list_after("gate/", "", 1000).await.unwrap() {
            let bytes = world.media.get(&key).await.unwrap().unwrap().bytes;
            for name in &names {
                let (key, bytes, headers) =
                    (key.replacen("gate", name, 1), bytes.clone(), Headers::default());
                media.put(&key, bytes, headers, Condition::Always).await.unwrap();
            }
        }
        let cameras = names.iter().map(|name| CameraId::new(name).unwrap()).collect();
        Cameras { cameras }.put(&media, Condition::Always).await.unwrap();
        let bucket = Failing::after(&media, usize::MAX);
        // Time that only passes by what is asked of the store.
        let (store, start) = (bucket.clone(), teiten_telemetry::now() + MINUTE * 60 * (1 + run));
        let clock =
            move || start + Duration::from_millis(1200) * store.operations.load(Ordering::SeqCst) as u32;
        let settings = Settings { horizon: MINUTE * 60 * 24, ..Settings::default() };
        let report = Compact::with_clock(bucket.clone(), settings, clock).run().await.unwrap();
        assert!(bucket.operations.load(Ordering::SeqCst) < 500, "it ends before its caller has had enough");
        let mut done = 0;
        for name in &names {
            let hour = key::hour_prefix(&CameraId::new(name).unwrap(), world.hour);
            let objects = media.list_after(&hour, "", 1000).await.unwrap();
            if objects.iter().any(|object| object.key.parse::<PackKey>().is_ok()) {
                packed.entry(name).or_insert(run);
                done += 1;
            }
        }
        assert!((1..names.len()).contains(&done), "{done}");
        assert!((names.len() - done..=names.len() - done + 1).contains(&report.cameras_left), "{report:?}");
    }
    assert_eq!(packed.len(), names.len(), "{packed:?}");
}

#[tokio::test]
async fn what_is_not_ours_costs_itself_only() {
    let world = World::start().await;
    let other = CameraId::new("attic").unwrap();
    Cameras { cameras: [camera(), other.clone()].into() }.put(&world.media, Condition::Always).await.unwrap();
    let foreign = Bytes::from_static(b"[]");
    let (archive, headers) = (key::archive_key(&other), Headers::default());
    world.media.put(&archive, foreign, headers, Condition::Always).await.unwrap();
    let report = world.compact(Arc::new(world.media.clone()), MINUTE * 60).await.unwrap();
    assert_eq!((report.packs, report.failed), (3, 1));
}

#[tokio::test]
async fn a_store_that_fails_fails_the_run_whatever_else_is_wrong() {
    let world = World::start().await;
    let other = CameraId::new("attic").unwrap();
    Cameras { cameras: [other.clone(), camera()].into() }.put(&world.media, Condition::Always).await.unwrap();
    world.put(&key::archive_key(&other), Bytes::from_static(b"x")).await;
    // A run that begins with the one that is not ours.
    let now = teiten_telemetry::now();
    let mut later = (1..12).map(|hours| MINUTE * 60 * hours);
    let later = later.find(|later| plan::order(2, now + *later).next() == Some(0)).unwrap();
    // The lists of cameras and of the hours of both are read.
    for (operations, is_done) in [(3, false), (usize::MAX, true)] {
        let report = world.compact(Failing::after(&world.media, operations), later).await;
        assert_eq!(report.map(|report| report.failed), is_done.then_some(1));
    }
}

/// Golden: docs/numbers.md gives these.
#[test]
fn a_day_of_segments_becomes_a_few_hundred_objects() {
    let hour: Hour = "2026-11-23/04".parse().unwrap();
    let first = Window::containing(hour.start(), WindowLength::DEFAULT);
    let init = ContentHash::of(b"init");
    let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: KEYFRAME as u32 };
    let segment = |index| StoredSegment {
        key: SegmentKey { camera: camera(), window: first.plus(index), init, pictures },
        modified_unix_millis: 0,
        size_bytes: 60_000,
    };
    let segments = (0..3600).map(segment).collect();
    let stored = StoredHourObjects { segments, ..StoredHourObjects::default() };
    let listed: Vec<Stored> = stored
        .segments
        .iter()
        .map(|segment| Stored {
            listing: Listing::of(&segment.key),
            modified_unix_millis: 0,
            size_bytes: segment.size_bytes,
        })
        .collect();
    let (_, playlist) = advance_hour(None, &camera(), hour, &listed, None, hour.end() + MINUTE).unwrap();
    let runs = plan::runs(&playlist, &stored);
    assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), 3600);
    println!(
        "a camera-day at windows of 1 s and 60 kB: {} objects, {} after compaction",
        24 * 3600,
        24 * runs.len()
    );
    assert_eq!(runs.len(), 7);
}
