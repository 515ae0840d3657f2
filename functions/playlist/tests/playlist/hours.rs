//! The archive: the playlists of hours, and `archive.json`.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use teiten_archive::{Archive, CLOSE_AFTER, HourStep, Packed, REWRITE_PERIOD, pack, update_hour};
use teiten_bucket::{Bucket, Condition, Headers, MemoryBucket};
use teiten_footage::{
    CameraId, ContentHash, Hour, PackKey, SegmentKey, Timestamp, Window, WindowLength, key,
};
use teiten_host::Function;
use teiten_playlist::Playlist;

use crate::{
    checker::{Kind, Segment, Version},
    world::{Asked, KEYFRAME_BYTES, MEDIA_BYTES, World, segment, stored, window},
};

const CAMERA: &str = "front-door";
const HOUR: &str = "front-door/2026-11-23/12.m3u8";
const SECOND: WindowLength = WindowLength::DEFAULT;

fn camera() -> CameraId {
    CameraId::new(CAMERA).unwrap()
}

fn hour() -> Hour {
    "2026-11-23/12".parse().unwrap()
}

/// The window of this second of the hour (or of the next one's).
fn second(index: u64) -> Window {
    window(SECOND, index)
}

/// The segments of these seconds are stored 1.5 s after their ends, each with its event.
async fn film(world: &World, playlist: &Playlist, seconds: Range<u64>) {
    for index in seconds {
        let segment = segment(CAMERA, second(index), "init", "frames");
        world.set_clock(second(index).end() + Duration::from_millis(1500));
        let event = world.store(&segment).await;
        playlist.handle(event).await.unwrap();
    }
}

/// These come now, whatever the time.
async fn backlog(world: &World, playlist: &Playlist, seconds: Range<u64>, frames: &str) {
    for index in seconds {
        let event = world.store(&segment(CAMERA, second(index), "init", frames)).await;
        playlist.handle(event).await.unwrap();
    }
}

/// Which seconds of the hour are listed.
fn seconds(version: &Version) -> Vec<u64> {
    let start = hour().start().unix_millis();
    version.segments.iter().map(|segment| (segment.date_unix_millis - start) / 1000).collect()
}

async fn archive(media: &MemoryBucket) -> String {
    let object = media.get(&key::archive_key(&camera())).await.unwrap().unwrap();
    String::from_utf8(object.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_hour_grows_once_a_minute_and_is_ended_soon_after() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..3750).await;
    let versions = world.bucket.versions(HOUR);
    let (ended, lasting) = versions.split_last().unwrap();
    assert!(lasting.iter().all(|version| version.kind == Kind::Event));
    assert!((60..=61).contains(&lasting.len()), "{} versions", lasting.len());
    for pair in lasting.windows(2) {
        assert!(pair[1].segments.len() - pair[0].segments.len() <= 60);
    }
    assert_eq!((ended.kind, ended.ended), (Kind::Vod, true));
    assert_eq!(seconds(ended), (0..3600).collect::<Vec<_>>());
    assert!(world.bucket.versions("front-door/2026-11-23/13.m3u8").len() >= 2, "the next one has begun");
    assert_eq!(archive(&world.bucket.inner).await, r#"{"days":{"2026-11-23":[12,13]}}"#);
    let headers = |key: &str| world.bucket.inner.headers(key).unwrap();
    assert_eq!(headers(HOUR).content_type, "application/vnd.apple.mpegurl");
    assert_eq!(headers(HOUR).cache_control, "no-cache");
    assert_eq!(headers("front-door/archive.json").content_type, "application/json");
}

/// Golden: docs/numbers.md and docs/formats.md give these.
#[tokio::test]
async fn an_hour_costs_what_the_numbers_say() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..3600).await;
    let before = world.bucket.asked().len();
    film(&world, &playlist, 3600..7200).await;
    let asked = world.bucket.asked().split_off(before);
    // What is of an hour, the archive's list, and the init section that an ended one tells of; listings of the live path have the
    // prefix of all segments.
    let all = key::segments_prefix(&camera());
    let of_archive = |key: &str| {
        key.ends_with("archive.json") || key.contains("/init-") || key.starts_with(&all) && key != all
    };
    let (motion, asked): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| asked.key.contains("motion"));
    let (archive, live): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| of_archive(&asked.key));
    let of = |asked: &[Asked], operation| asked.iter().filter(|asked| asked.operation == operation).count();
    let count = |operation| of(&archive, operation);
    let written: usize = archive.iter().map(|asked| asked.written_bytes).sum();
    println!(
        "a camera-hour at windows of 1 s: archive {} requests ({} get, {} list, {} put), {written} bytes written; live {} requests",
        archive.len(),
        count("get"),
        count("list"),
        count("put"),
        live.len()
    );
    let motion_written: usize = motion.iter().map(|asked| asked.written_bytes).sum();
    println!("what moves: {} requests, {motion_written} bytes written", motion.len());
    assert!(motion.len() <= 190, "{} requests", motion.len());
    assert!(motion_written <= 500_000, "{motion_written} bytes");
    assert!(archive.len() <= 133, "{} requests", archive.len());
    assert!(written <= 16_500_000, "{written} bytes");
    // 2 of the 6 for each window: the others are of bridge and encode.
    let gets: Vec<_> = live.iter().filter(|asked| asked.operation == "get").collect();
    assert_eq!(["get", "list", "put"].map(|operation| of(&live, operation)), [0, 3600, 3600], "{gets:?}");
}

#[tokio::test]
async fn the_archive_is_off_the_live_path() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..70).await;
    let of_archive =
        |key: &str| ["/11", "/12", "archive.json", "motion"].iter().any(|part| key.contains(part));
    let mut live_comes_first = 0;
    for asked in world.bucket.asked().windows(2) {
        if of_archive(&asked[1].key) && !of_archive(&asked[0].key) {
            assert!(asked[0].operation == "put" && !of_archive(&asked[0].key), "{asked:?}");
            live_comes_first += 1;
        }
    }
    assert!(live_comes_first >= 1);
    // An archive that cannot be kept does not keep an event from being done.
    let foreign = bytes::Bytes::from_static(b"#EXTM3U\nmovie.ts\n");
    world.bucket.inner.put(HOUR, foreign.clone(), Headers::default(), Condition::Always).await.unwrap();
    film(&world, &world.playlist(), 70..140).await;
    assert_eq!(world.bucket.inner.get(HOUR).await.unwrap().unwrap().bytes, foreign);
    assert!(world.bucket.versions("front-door/live.m3u8").len() >= 140);
}

#[tokio::test]
async fn a_backlog_gets_into_its_hours_once_they_are_ended() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..200).await;
    film(&world, &playlist, 1000..1100).await;
    backlog(&world, &playlist, 200..1000, "frames").await;
    backlog(&world, &playlist, 50..51, "with late ones").await;
    film(&world, &playlist, 1100..3900).await;
    let versions = world.bucket.versions(HOUR);
    let before = versions.iter().rfind(|version| !version.ended).unwrap();
    assert!(!seconds(before).contains(&500), "nothing is put in where someone may have read on");
    let last = versions.last().unwrap();
    assert_eq!(seconds(last), (0..3600).collect::<Vec<_>>());
    let remade = segment(CAMERA, second(50), "init", "with late ones").in_day();
    assert_eq!(last.segments[50].uri, remade, "of two segments of one window the one written later counts");
    // Once more, long after.
    backlog(&world, &playlist, 60..61, "with later ones").await;
    film(&world, &playlist, 3900..4000).await;
    assert!(
        world.bucket.versions(HOUR).last().unwrap().segments[60]
            .uri
            .ends_with(&segment(CAMERA, second(60), "init", "with later ones").in_day())
    );
}

#[tokio::test]
async fn a_playlist_that_is_not_ours_costs_its_own_hour_only() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    let foreign = |hour: u64| format!("front-door/2026-11-23/{}.m3u8", 12 + hour);
    for hour in [0, 3] {
        let theirs = Bytes::from_static(b"#EXTM3U\nmovie.ts\n");
        world.bucket.inner.put(&foreign(hour), theirs, Headers::default(), Condition::Always).await.unwrap();
    }
    film(&world, &playlist, 3 * 3600..3 * 3600 + 5).await;
    for hour in 0..3 {
        backlog(&world, &playlist, hour * 3600..hour * 3600 + 5, "frames").await;
    }
    film(&world, &playlist, 3 * 3600 + 5..3 * 3600 + 200).await;
    for hour in [1, 2] {
        let versions = world.bucket.versions(&foreign(hour));
        let late: Vec<u64> = (hour * 3600..hour * 3600 + 5).collect();
        assert_eq!(versions.last().map(seconds), Some(late));
    }
    for hour in [0, 3] {
        assert!(
            world.bucket.inner.get(&foreign(hour)).await.unwrap().unwrap().bytes.ends_with(b"movie.ts\n")
        );
    }
}

#[tokio::test]
async fn an_hour_whose_camera_is_silent_is_ended_by_whoever_asks() {
    let world = World::at(hour().start());
    film(&world, &world.playlist(), 0..200).await;
    let media = &*world.bucket;
    let update = |now: Timestamp| async move { update_hour(media, &camera(), hour(), now).await.unwrap() };
    assert_eq!(update(hour().start() + Duration::from_secs(600)).await, Some(HourStep::Extended));
    assert_eq!(update(hour().end()).await, None);
    assert_eq!(update(hour().end() + CLOSE_AFTER).await, Some(HourStep::Ended));
    assert_eq!(update(hour().end() + CLOSE_AFTER).await, None);
    assert_eq!(seconds(world.bucket.versions(HOUR).last().unwrap()), (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_clock_that_was_ahead_once_keeps_nothing_from_the_hour_that_it_is_really() {
    let world = World::at(hour().end());
    let playlist = world.playlist();
    // As the hardware's is until it is set: in another time zone.
    world.set_clock(hour().end() + Duration::from_secs(9 * 3600));
    backlog(&world, &playlist, 3599..3600, "frames").await;
    film(&world, &playlist, 3600..3780).await;
    let next = hour().next();
    let listed = seconds(world.bucket.versions(&key::hour_playlist_key(&camera(), next)).last().unwrap());
    assert!(listed.len() >= 180 - 64 && listed.iter().copied().eq(3600..3600 + listed.len() as u64));
    let motion = world.bucket.inner.get(&key::motion_key(&camera(), next)).await.unwrap().unwrap();
    let motion: serde_json::Value = serde_json::from_slice(&motion.bytes).unwrap();
    assert!(motion["levels"].as_array().unwrap().len() >= listed.len(), "{motion}");
}

#[tokio::test]
async fn several_instances_do_not_write_more_often() {
    let world = World::at(hour().start());
    let instances = [world.playlist(), world.playlist(), world.playlist()];
    for index in 0..900 {
        film(&world, &instances[index as usize % 3], index..index + 1).await;
    }
    assert!(world.bucket.versions(HOUR).len() as u64 <= 900 / REWRITE_PERIOD.as_secs());
}

/// What an hour's playlist of keyframes is to list beside this version of the hour's own.
fn keyframes_of(version: &Version) -> Vec<Segment> {
    let (bytes, map_bytes) = (Some((KEYFRAME_BYTES.into(), 0)), Some(MEDIA_BYTES));
    let keyframe = |segment: &Segment| Segment { bytes, map_bytes, ..segment.clone() };
    version.segments.iter().map(keyframe).collect()
}

#[tokio::test]
async fn an_hour_that_is_ended_has_its_keyframes_and_both_under_one_name() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..100).await;
    film(&world, &playlist, 200..3500).await;
    let keyframes = key::hour_keyframes_key(&camera(), hour());
    assert!(world.bucket.versions(&keyframes).is_empty(), "an hour that lasts has none");
    film(&world, &playlist, 3500..3700).await;
    let first = world.bucket.versions(&keyframes).pop().unwrap();
    assert!(first.keyframes_only && first.ended);
    assert_eq!(first.segments, keyframes_of(world.bucket.versions(HOUR).last().unwrap()));
    // Late footage gets into them as into the hour.
    backlog(&world, &playlist, 100..200, "frames").await;
    film(&world, &playlist, 3700..3900).await;
    let mended = world.bucket.versions(&keyframes).pop().unwrap();
    assert_eq!(seconds(&mended), (0..3600).collect::<Vec<_>>());
    let variants = key::hour_variants_key(&camera(), hour());
    let text = world.bucket.inner.get(&variants).await.unwrap().unwrap().bytes;
    // Segments of 60 kB, keyframes of 40 kB, in windows of a second.
    let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-STREAM-INF:BANDWIDTH=480000,AVERAGE-BANDWIDTH=480000\n12.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=320000,AVERAGE-BANDWIDTH=320000,URI=\"12.iframes.m3u8\"\n";
    assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
}

/// Puts the segments of these seconds together.
async fn put_together(world: &World, seconds: Range<u64>) {
    let media = &world.bucket.inner;
    let segments: Vec<SegmentKey> =
        seconds.map(|index| segment(CAMERA, second(index), "init", "frames")).collect();
    let mut objects = Vec::new();
    for segment in &segments {
        objects.push(media.get(&segment.to_string()).await.unwrap().unwrap().bytes);
        media.delete(&segment.to_string()).await.unwrap();
    }
    let packed = objects.iter().map(|bytes| Packed { bytes, keyframe_bytes: KEYFRAME_BYTES });
    // A box that nobody looks into.
    let bytes = pack(b"\0\0\0\x0cmoovinit", segments[0].window, &packed.collect::<Vec<_>>());
    let SegmentKey { camera, window: first, init, .. } = segments[0].clone();
    let (as_of, hash) = (teiten_telemetry::now(), ContentHash::of(&bytes));
    let key = PackKey { camera, first, count: segments.len() as u32, init, as_of, hash };
    media.put(&key.to_string(), bytes, Headers::default(), Condition::Always).await.unwrap();
}

#[tokio::test]
async fn late_footage_of_an_hour_that_is_put_together_is_named_by_ranges_as_the_packs_are() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..20).await;
    film(&world, &playlist, 30..40).await;
    let now = hour().end() + CLOSE_AFTER;
    let update = async || update_hour(&*world.bucket, &camera(), hour(), now).await.unwrap();
    assert_eq!(update().await, Some(HourStep::Ended));
    let whole = |version: &Version| version.segments.iter().all(|segment| segment.bytes.is_none());
    assert!(whole(world.bucket.versions(HOUR).last().unwrap()));
    put_together(&world, 0..20).await;
    put_together(&world, 30..40).await;
    assert_eq!(update().await, Some(HourStep::Mended));
    for (index, init) in [(22, "init"), (23, "another"), (41, "init")] {
        world.store(&segment(CAMERA, second(index), init, "frames")).await;
    }
    let before = world.bucket.asked().len();
    assert_eq!(update().await, Some(HourStep::Mended));
    let asked = world.bucket.asked().split_off(before);
    // The checker demands a range of each.
    let version = world.bucket.versions(HOUR).pop().unwrap();
    assert_eq!(seconds(&version), [(0..20).collect(), vec![22, 23], (30..40).collect(), vec![41]].concat());
    let ranges = version.segments.iter().map(|segment| segment.bytes.unwrap());
    assert_eq!(ranges.filter(|(_, offset)| *offset == 0).collect::<Vec<_>>(), [(MEDIA_BYTES, 0); 3]);
    let is_of_late = |key: &str| key.ends_with(".m4s");
    assert!(!asked.iter().any(|asked| is_of_late(&asked.key)), "sizes come from the listing");
}

/// A part of an hour that is stored, and how.
#[derive(Debug, Clone)]
struct Stretch {
    seconds: Range<u64>,
    /// It comes this much later than it should.
    late: Duration,
    new_init: bool,
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let stretch = (1_u64..700, 0_u64..400, prop_oneof![3 => Just(0), 1 => 1_u64..4000], any::<bool>());
    proptest::collection::vec(stretch, 1..8).prop_map(|parts| {
        let mut start = 0;
        let stretch = |(length, hole, late, new_init): (u64, u64, u64, bool)| {
            let seconds = start + hole..start + hole + length;
            start = seconds.end;
            Stretch { seconds, late: Duration::from_secs(late), new_init }
        };
        parts.into_iter().map(stretch).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// With several instances, events lost and out of order, and a store that fails: no version breaks the rules, and
    /// in the end the playlists hold what the listing does.
    #[test]
    fn in_the_end_an_hour_is_what_is_stored(stretches in stretches(), seed in any::<u64>(), failing in prop_oneof![Just(0.0), Just(0.05)]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::troubled(hour().start(), seed, failing);
            let instances = [world.playlist(), world.playlist()];
            let mut dice = StdRng::seed_from_u64(seed);
            let mut course: Vec<(Timestamp, SegmentKey)> = Vec::new();
            for (number, stretch) in stretches.iter().enumerate() {
                let init = if stretch.new_init { number.to_string() } else { "init".to_owned() };
                for index in stretch.seconds.clone() {
                    let key = segment(CAMERA, second(index), &init, "frames");
                    course.push((second(index).end() + stretch.late + Duration::from_millis(1500), key));
                }
            }
            course.shuffle(&mut dice);
            course.sort_by_key(|(at, _)| at.unix_millis() / 3000);
            for (at, key) in &course {
                world.set_clock(*at);
                let event = world.store(key).await;
                // Every tenth is lost; failed ones are not sent again.
                if dice.random_bool(0.9) {
                    let _ = instances[dice.random_range(0..2)].handle(event).await;
                }
            }
            let hours: BTreeSet<Hour> = course.iter().map(|(_, key)| Hour::of(key.window)).collect();
            let end = hours.last().unwrap().end() + Duration::from_secs(6000);
            for hour in &hours {
                // An end, and what came late; each may fail.
                let mut quiet = 0;
                while quiet < 2 {
                    if let Ok(None) = update_hour(&*world.bucket, &camera(), *hour, end).await {
                        quiet += 1;
                    }
                }
                let versions = world.bucket.versions(&key::hour_playlist_key(&camera(), *hour));
                let listed: Vec<&str> = versions.last().unwrap().segments.iter().map(|segment| segment.uri.as_str()).collect();
                let mut expected: Vec<String> =
                    course.iter().filter(|(_, key)| Hour::of(key.window) == *hour).map(|(_, key)| key.in_day()).collect();
                expected.sort();
                assert_eq!(listed, expected);
                let keyframes = world.bucket.versions(&key::hour_keyframes_key(&camera(), *hour));
                assert_eq!(keyframes_of(versions.last().unwrap()), keyframes.last().unwrap().segments);
            }
            if failing == 0.0 {
                let archive = Archive::parse(archive(&world.bucket.inner).await.as_bytes()).unwrap();
                assert_eq!(archive.hours().collect::<BTreeSet<_>>(), hours);
            }
        });
    }
}

#[tokio::test]
async fn events_again_change_nothing() {
    let world = World::at(hour().start());
    let playlist = world.playlist();
    film(&world, &playlist, 0..4000).await;
    let versions = world.bucket.versions(HOUR).len();
    for index in 0..300 {
        world.advance_clock(Duration::from_secs(10));
        playlist.handle(stored(&segment(CAMERA, second(index), "init", "frames"))).await.unwrap();
    }
    assert_eq!(world.bucket.versions(HOUR).len(), versions);
}
