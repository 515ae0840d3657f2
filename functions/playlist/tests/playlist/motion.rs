//! What moved in an hour: written down in the wake of events, and from the segments alone.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use teiten_archive::{Footage, HEADS_MAX, mend_motion, update_hour};
use teiten_bucket::{Bucket as _, Condition, Headers};
use teiten_footage::{
    CameraId, Event, MotionMap, MotionSource, MotionSpan, SegmentKey, SensorEvent, SensorKey, SensorState,
    Timestamp, WindowLength,
};
use teiten_host::Function as _;
use teiten_playlist::Playlist;

use crate::{
    checker::{DateRange, Version},
    world::{KEYFRAME_BYTES, World, segment, window},
};

const OBJECT: &str = "front-door/2026-11-23/12.motion.json";
const SETTINGS: &str = "front-door/motion-settings.json";

/// Two cells that touch move, at the top left or the bottom right.
fn map(at_the_top: bool) -> MotionMap {
    let mut strengths = [0; MotionMap::CELLS];
    let first = if at_the_top { 0 } else { MotionMap::CELLS - 2 };
    strengths[first..first + 2].fill(9);
    MotionMap::from_strengths(&strengths)
}

/// The minute's tenth to fifteenth second move, first at the bottom and then at the top.
fn motion(second: u64) -> MotionMap {
    match second % 60 {
        10..13 => map(false),
        13..16 => map(true),
        _ => MotionMap::default(),
    }
}

fn key(second: u64) -> SegmentKey {
    segment("front-door", window(WindowLength::DEFAULT, second), "init", "frames")
}

/// Stores a segment with its map in its head.
async fn store(world: &World, second: u64) {
    let box_size = (MotionMap::BOX_BYTES as u32).to_be_bytes();
    let styp = [&24_u32.to_be_bytes()[..], b"stypmsdh\0\0\0\0msdhcmfs"].concat();
    let uuid = [&box_size[..], b"uuid", &MotionMap::BOX_TYPE, &[0; 4], motion(second).packed()].concat();
    let mut bytes = [styp, uuid].concat();
    bytes.resize(KEYFRAME_BYTES as usize + 1, 0); // moof and mdat
    let bytes = Bytes::from(bytes);
    put(world, &key(second).init_key().to_string(), Bytes::from_static(b"init")).await;
    put(world, &key(second).to_string(), bytes).await;
}

async fn put(world: &World, key: &str, bytes: Bytes) {
    world.bucket.inner.put(key, bytes, Headers::default(), Condition::Always).await.unwrap();
}

/// The function hears of a segment, one second after its end.
async fn tell(
    world: &World,
    playlist: &Playlist,
    second: u64,
    motion: Option<MotionMap>,
) -> Option<MotionSpan> {
    let key = key(second);
    world.set_clock(key.window.end() + Duration::from_secs(1));
    let event = Event::SegmentStored { bucket: "media".to_owned(), key, motion };
    match playlist.handle(event).await.unwrap() {
        Some(Event::Motion { span, .. }) => Some(span),
        None => None,
        other => panic!("{other:?}"),
    }
}

fn at(second: u64) -> Timestamp {
    key(second).window.start()
}

/// What a picture's motion from one second to another is told as: its start, and its end.
fn told(from: u64, to: u64) -> [MotionSpan; 2] {
    let (source, start) = (MotionSource::Picture, at(from));
    let started = MotionSpan { source, start, end: None, peak: None };
    [started, MotionSpan { end: Some(at(to)), peak: Some(13), ..started }]
}

async fn json(world: &World) -> serde_json::Value {
    let object = world.bucket.inner.get(OBJECT).await.unwrap().unwrap_or_else(|| panic!("no {OBJECT}"));
    serde_json::from_slice(&object.bytes).unwrap()
}

fn spans(json: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("goes on").to_owned();
    json["motion"].as_array().unwrap().iter().map(|span| (text(&span["start"]), text(&span["end"]))).collect()
}

fn span(start: &str, end: &str) -> (String, String) {
    (format!("2026-11-23T12:{start}.000Z"), format!("2026-11-23T12:{end}.000Z"))
}

/// Mends from a listing of seconds 0 to `seconds`, long after.
async fn mend(world: &World, seconds: u64, after: Duration) -> usize {
    let listed = world.bucket.inner.list_after("front-door/2", "", 10_000).await.unwrap();
    let modified_unix_millis = key(seconds).window.end().unix_millis();
    let footage = |key: String| Some(Footage { key: key.parse().ok()?, modified_unix_millis, size_bytes: 0 });
    let sensor: Vec<SensorKey> = listed.iter().filter_map(|object| object.key.parse().ok()).collect();
    let segments: Vec<Footage> = listed.into_iter().filter_map(|object| footage(object.key)).collect();
    let camera = CameraId::new("front-door").unwrap();
    let now = key(seconds).window.end() + after;
    mend_motion(&*world.bucket, &camera, &segments, &sensor, &mut { HEADS_MAX }, now).await.unwrap()
}

const LATER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_moved_is_written_down_once_a_minute() {
    let world = World::at(key(0).window.end());
    let playlist = world.playlist();
    let mut versions = Vec::new();
    for second in 0..240 {
        store(&world, second).await;
        tell(&world, &playlist, second, Some(motion(second))).await;
        let version = world.bucket.inner.get(OBJECT).await.unwrap().map(|object| object.etag);
        if versions.last() != Some(&version) {
            versions.push(version);
        }
    }
    assert!((4..=6).contains(&versions.len()), "{}", versions.len());
    let json = json(&world).await;
    assert_eq!(json["levels"].as_array().unwrap()[8..18].iter().filter(|level| **level == 13).count(), 6);
    let expected = [span("00:10", "00:16"), span("01:10", "01:16"), span("02:10", "02:16")];
    assert_eq!(spans(&json)[..3], expected);
    let headers = world.bucket.inner.headers(OBJECT).unwrap();
    assert_eq!((headers.content_type, headers.cache_control), ("application/json", "no-cache"));
}

#[tokio::test]
async fn what_was_told_and_what_is_read_from_the_segments_is_the_same() {
    let told = World::at(key(0).window.end());
    let untold = World::at(key(0).window.end());
    let (playlist, hears_less) = (told.playlist(), untold.playlist());
    for second in 0..200 {
        for world in [&told, &untold] {
            store(world, second).await;
        }
        tell(&told, &playlist, second, Some(motion(second))).await;
        // A storage's own notification knows no map, and a third of the events are lost.
        if second % 3 > 0 {
            tell(&untold, &hears_less, second, None).await;
        }
    }
    for world in [&told, &untold] {
        mend(world, 199, LATER).await;
    }
    let expected = json(&told).await;
    assert_eq!(expected["levels"].as_array().unwrap().len(), 200);
    assert_eq!(json(&untold).await, expected);
    // And if there is nothing but the segments; or something else in its place.
    told.bucket.inner.delete(OBJECT).await.unwrap();
    assert_eq!((mend(&told, 199, LATER).await, mend(&told, 199, LATER).await), (1, 0));
    assert_eq!(json(&told).await, expected);
    put(&told, OBJECT, Bytes::from_static(b"{}")).await;
    assert_eq!(mend(&told, 199, LATER).await, 1);
    assert_eq!(json(&told).await, expected);
}

#[tokio::test]
async fn what_goes_on_when_the_camera_falls_silent_ends_with_the_hour() {
    let world = World::at(key(0).window.end());
    for second in 0..14 {
        store(&world, second).await;
    }
    mend(&world, 13, LATER).await;
    assert_eq!(spans(&json(&world).await)[0].1, "goes on");
    assert_eq!(mend(&world, 13, Duration::from_secs(2 * 3600)).await, 1);
    assert_eq!(spans(&json(&world).await), [span("00:10", "00:14")]);
    assert_eq!(mend(&world, 13, Duration::from_secs(3 * 3600)).await, 0);
}

#[tokio::test]
async fn a_cameras_settings_decide_what_counts_and_mistakes_in_them_cost_only_themselves() {
    let world = World::at(key(0).window.end());
    for second in 0..60 {
        store(&world, second).await;
    }
    for (settings, expected) in [
        (r#"{"zones":[[[0,0],[1,0],[1,0.5],[0,0.5]]]}"#, [span("00:13", "00:16")]),
        (r#"{"ignore":[[[0,0],[1,0],[1,0.5],[0,0.5]]]}"#, [span("00:10", "00:13")]),
        (r#"{"zone":[]}"#, [span("00:10", "00:16")]),
    ] {
        put(&world, SETTINGS, Bytes::from(settings)).await;
        world.bucket.inner.delete(OBJECT).await.unwrap();
        mend(&world, 59, LATER).await;
        assert_eq!(spans(&json(&world).await), expected, "{settings}");
    }
}

#[tokio::test]
async fn motion_is_told_as_it_begins_and_once_five_seconds_are_quiet() {
    let world = World::at(at(1));
    let playlist = world.playlist();
    for second in 0..90 {
        store(&world, second).await;
        let [started, ended] = told(second / 60 * 60 + 10, second / 60 * 60 + 16);
        let expected = match second % 60 {
            10 => Some(started),
            20 => Some(ended),
            _ => None,
        };
        assert_eq!(tell(&world, &playlist, second, Some(motion(second))).await, expected, "{second}");
        // Once more, as where the answer got lost; to another instance too.
        assert_eq!(tell(&world, &playlist, second, Some(motion(second))).await, expected, "{second}");
        assert_eq!(tell(&world, &world.playlist(), second, None).await, expected, "{second}");
    }
    // The bucket checked every version; these are the tags that players saw.
    let versions = world.bucket.versions("front-door/live.m3u8");
    let mut tags: Vec<_> = versions.iter().flat_map(|version| &version.ranges).collect();
    tags.dedup_by_key(|tag| tag.attributes.clone());
    let ended = tags.iter().find(|tag| tag.get("END-DATE").is_some()).unwrap();
    assert_eq!(ended.get("ID"), Some("picture-20261123T120010.000Z"));
    assert_eq!(ended.get("CLASS"), Some("teiten.motion.picture"));
    assert_eq!(ended.get("START-DATE"), Some("2026-11-23T12:00:10.000Z"));
    assert_eq!(
        (ended.get("END-DATE"), ended.get("X-TEITEN-PEAK")),
        (Some("2026-11-23T12:00:16.000Z"), Some("13"))
    );
    let listing =
        |second: u64| versions.iter().find(|version| version.end() == versions[0].end() + second).unwrap();
    assert!(listing(9).ranges.is_empty());
    assert!(listing(10).ranges.iter().all(|range| range.get("END-DATE").is_none()));
    assert_eq!(listing(25).ranges.len(), 2);
    assert!(listing(40).ranges.is_empty(), "it has left");
}

#[tokio::test]
async fn whoever_hears_of_what_and_in_which_order_the_same_is_told() {
    let world = World::troubled(at(1), 7, 0.0);
    let instances = [world.playlist(), world.playlist(), world.playlist()];
    let mut heard = Vec::new();
    // Each three come in another order, every fifth tells no map.
    for third in 0..30 {
        for second in [1, 0, 2].map(|second| 3 * third + second) {
            store(&world, second).await;
            let map = (second % 5 > 0).then(|| motion(second));
            heard.extend(tell(&world, &instances[second as usize % 3], second, map).await);
        }
    }
    heard.sort();
    heard.dedup();
    let mut expected = [told(10, 16), told(70, 76)].concat();
    expected.sort();
    assert_eq!(heard, expected);
    world.bucket.versions("front-door/live.m3u8");
}

#[tokio::test]
async fn motion_before_an_outage_has_ended_once_footage_is_back() {
    let world = World::at(at(1));
    let playlist = world.playlist();
    let mut heard = Vec::new();
    for second in (0..13).chain(60..80) {
        store(&world, second).await;
        heard.extend(tell(&world, &playlist, second, Some(motion(second))).await);
    }
    let [started, ended] = told(10, 13);
    assert_eq!(heard, [started, ended, told(70, 76)[0]]);
}

/// A sensor saw something begin or end.
fn seen(second: u64, state: SensorState) -> SensorEvent {
    let kind = teiten_footage::sensor::SensorKind::Motion;
    SensorEvent { kind, state, at: at(second) + Duration::from_micros(250_123) }
}

async fn tell_sensor(playlist: &Playlist, event: SensorEvent) -> MotionSpan {
    let camera = CameraId::new("front-door").unwrap();
    match playlist.handle(Event::SensorChanged { camera, event }).await.unwrap() {
        Some(Event::Motion { span, .. }) => span,
        other => panic!("{other:?}"),
    }
}

const SENSOR: &str = "front-door/2026-11-23/12/sensor-20261123T120021.250123Z-motion-started.json";

#[tokio::test]
async fn what_a_sensor_saw_is_stored_told_and_marked() {
    let world = World::at(at(1));
    let playlist = world.playlist();
    let millis = |second| at(second) + Duration::from_millis(250);
    let started = MotionSpan { source: MotionSource::Sensor, start: millis(21), end: None, peak: None };
    let ended = MotionSpan { end: Some(millis(29)), ..started };
    for second in 0..200 {
        store(&world, second).await;
        // It is told late: the window in which it was is listed then.
        for (told, event, span) in
            [(23, seen(21, SensorState::Started), started), (31, seen(29, SensorState::Ended), ended)]
        {
            if second == told {
                assert_eq!(tell_sensor(&playlist, event).await, span);
                assert_eq!(tell_sensor(&world.playlist(), event).await, span, "again");
            }
        }
        tell(&world, &playlist, second, Some(motion(second))).await;
    }
    let object = world.bucket.inner.get(SENSOR).await.unwrap().unwrap();
    assert_eq!(SensorEvent::from_json(&object.bytes).unwrap(), seen(21, SensorState::Started));
    let of_sensor = |range: &DateRange| range.get("CLASS") == Some("teiten.motion.sensor");
    let ids_and_ends = |key: &str| {
        let ranges = world.bucket.versions(key).into_iter().flat_map(|version| version.ranges);
        let all = ranges
            .filter(of_sensor)
            .map(|range| (range.get("ID").unwrap().to_owned(), range.get("END-DATE").map(str::to_owned)));
        all.collect::<BTreeSet<_>>()
    };
    let tag = |end: Option<&str>| ("sensor-20261123T120021.250Z".to_owned(), end.map(str::to_owned));
    let end = tag(Some("2026-11-23T12:00:29.250Z"));
    assert_eq!(ids_and_ends("front-door/live.m3u8"), [tag(None), end.clone()].into());
    assert_eq!(ids_and_ends("front-door/2026-11-23/12.m3u8").last(), Some(&end));
    let known = json(&world).await;
    assert_eq!(known["motion"][1]["source"], "sensor");
    // From the listing alone it is the same.
    mend(&world, 199, LATER).await;
    let known = json(&world).await;
    world.bucket.inner.delete(OBJECT).await.unwrap();
    assert_eq!((mend(&world, 199, LATER).await, mend(&world, 199, LATER).await), (1, 0));
    assert_eq!(json(&world).await, known);
}

/// The ends of what sensors saw, as the last version of the live playlist has them.
fn live_ends(world: &World) -> Vec<String> {
    let live = world.bucket.versions("front-door/live.m3u8");
    let ends = live.last().unwrap().ranges.iter().filter_map(|range| range.get("END-DATE"));
    ends.map(str::to_owned).collect()
}

#[tokio::test]
async fn an_end_that_is_told_when_its_window_has_left_the_live_playlist_is_marked_at_once() {
    let world = World::at(at(1));
    let playlist = world.playlist();
    for second in 0..64 {
        store(&world, second).await;
        match second {
            23 => drop(tell_sensor(&playlist, seen(21, SensorState::Started)).await),
            60 => drop(tell_sensor(&playlist, seen(29, SensorState::Ended)).await),
            _ => {}
        }
        tell(&world, &playlist, second, Some(MotionMap::default())).await;
    }
    assert_eq!(live_ends(&world), ["2026-11-23T12:00:29.250Z"]);
}

#[tokio::test]
async fn what_a_sensor_sees_is_told_and_marked_however_much_it_saw_in_the_hour() {
    let world = World::at(at(3000));
    let playlist = world.playlist();
    for pair in 0..501 {
        for event in [seen(5 * pair, SensorState::Started), seen(5 * pair + 1, SensorState::Ended)] {
            let key = SensorKey { camera: CameraId::new("front-door").unwrap(), event };
            put(&world, &key.to_string(), event.to_json().into()).await;
        }
    }
    for second in 3000..3030 {
        store(&world, second).await;
        match second {
            3011 => drop(tell_sensor(&playlist, seen(3010, SensorState::Started)).await),
            3021 => {
                let span = tell_sensor(&playlist, seen(3020, SensorState::Ended)).await;
                assert_eq!(span.start, at(3010) + Duration::from_millis(250));
            }
            _ => {}
        }
        tell(&world, &playlist, second, Some(MotionMap::default())).await;
    }
    assert_eq!(live_ends(&world), ["2026-11-23T12:50:20.250Z"]);
}

#[tokio::test]
async fn an_end_that_is_told_after_the_turn_of_the_hour_is_marked_at_once() {
    let world = World::at(at(3580));
    let playlist = world.playlist();
    for second in 3580..3605 {
        store(&world, second).await;
        match second {
            3592 => drop(tell_sensor(&playlist, seen(3590, SensorState::Started)).await),
            3601 => drop(tell_sensor(&playlist, seen(3598, SensorState::Ended)).await),
            _ => {}
        }
        tell(&world, &playlist, second, Some(motion(second))).await;
    }
    assert_eq!(live_ends(&world), ["2026-11-23T12:59:58.250Z"]);
}

#[tokio::test]
async fn an_end_is_that_of_a_moment_unless_something_went_on_at_the_turn_of_the_hour() {
    let world = World::at(at(3580));
    let playlist = world.playlist();
    for second in 3580..3780 {
        store(&world, second).await;
        let event = match second {
            3582 => Some(seen(3020, SensorState::Ended)),
            3592 => Some(seen(3590, SensorState::Started)),
            3652 => Some(seen(3650, SensorState::Ended)),
            _ => None,
        };
        if let Some(event) = event {
            tell_sensor(&playlist, event).await;
        }
        tell(&world, &playlist, second, Some(MotionMap::default())).await;
    }
    let object = |hour: u8| format!("front-door/2026-11-23/{hour}.motion.json");
    let of = async |hour: u8| {
        let bytes = world.bucket.inner.get(&object(hour)).await.unwrap().unwrap().bytes;
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        json["motion"].as_array_mut().unwrap().retain(|span| span["source"] == "sensor");
        spans(&json)
    };
    let span = |start: &str, end: &str| (format!("2026-11-23T1{start}Z"), format!("2026-11-23T1{end}Z"));
    let moment = span("2:50:20.250", "2:50:20.250");
    let cut = [span("2:59:50.250", "3:00:00.000"), span("3:00:00.000", "3:00:50.250")];
    for _ in ["in the wake of events", "from the listing alone"] {
        assert_eq!(of(12).await, [moment.clone(), cut[0].clone()]);
        assert_eq!(of(13).await, cut[1..]);
        for hour in [12, 13] {
            world.bucket.inner.delete(&object(hour)).await.unwrap();
        }
        mend(&world, 3779, LATER).await;
    }
}

#[tokio::test]
async fn an_end_finds_its_start_in_the_hour_before_and_nonsense_is_refused() {
    let world = World::at(at(3620));
    let playlist = world.playlist();
    let start = tell_sensor(&playlist, seen(3590, SensorState::Started)).await.start;
    let ended = tell_sensor(&playlist, seen(3605, SensorState::Ended)).await;
    assert_eq!((ended.start, ended.end), (start, Some(at(3605) + Duration::from_millis(250))));
    let alone = tell_sensor(&playlist, seen(3609, SensorState::Ended)).await;
    assert_eq!(Some(alone.start), alone.end, "a moment");
    for impossible in [
        seen(4000, SensorState::Started),
        SensorEvent { at: Timestamp::Y2020, ..seen(0, SensorState::Ended) },
    ] {
        let camera = CameraId::new("front-door").unwrap();
        let refused = playlist.handle(Event::SensorChanged { camera, event: impossible }).await;
        assert!(matches!(refused, Err(teiten_host::Failure::Permanent(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn the_playlist_of_an_hour_has_a_mark_for_all_that_moved() {
    let world = World::at(at(1));
    let playlist = world.playlist();
    for second in 0..3700 {
        store(&world, second).await;
        tell(&world, &playlist, second, Some(motion(second))).await;
    }
    // The bucket checked that each version only adds to the one before.
    let versions = world.bucket.versions("front-door/2026-11-23/12.m3u8");
    let ended = versions.last().unwrap();
    let ids = |version: &Version, name: &str| {
        let ranges = version.ranges.iter().filter(|range| range.get(name).is_some());
        ranges.map(|range| range.get("ID").unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert!(ended.ended);
    assert_eq!(ids(ended, "END-DATE").len(), 60);
    assert_eq!(ids(ended, "ID").len(), 60);
    let expected = |minute: u64| format!("picture-20261123T12{minute:02}10.000Z");
    assert_eq!(ids(ended, "ID"), (0..60).map(expected).collect());
    // A sensor that tells of it long after.
    let now = at(3800);
    world.set_clock(now);
    tell_sensor(&playlist, seen(100, SensorState::Started)).await;
    tell_sensor(&playlist, seen(104, SensorState::Ended)).await;
    for second in 3700..3900 {
        store(&world, second).await;
        tell(&world, &playlist, second, Some(motion(second))).await;
    }
    let versions = world.bucket.versions("front-door/2026-11-23/12.m3u8");
    let mended = versions.last().unwrap();
    assert_eq!(ids(mended, "END-DATE").len(), 61);
    assert_eq!(mended.ranges.len(), 61, "all anew, one tag each");
    let count = versions.len();
    let hour = "2026-11-23/12".parse().unwrap();
    let camera = CameraId::new("front-door").unwrap();
    assert_eq!(update_hour(&*world.bucket, &camera, hour, at(4000)).await.unwrap(), None);
    assert_eq!(world.bucket.versions("front-door/2026-11-23/12.m3u8").len(), count);
}

/// A burst every 23 seconds, so that now and then a version comes in the midst of one and the next after another.
#[tokio::test]
async fn a_span_that_was_open_ends_where_it_did_though_another_has_begun_since() {
    let world = World::at(at(1));
    let playlist = world.playlist();
    for second in 0..900 {
        store(&world, second).await;
        let motion = if second % 23 < 3 { map(true) } else { MotionMap::default() };
        tell(&world, &playlist, second, Some(motion)).await;
    }
    let versions = world.bucket.versions("front-door/2026-11-23/12.m3u8");
    let ranges = &versions.last().unwrap().ranges;
    let told: BTreeSet<_> = ranges.iter().map(|range| range.get("ID").unwrap().to_owned()).collect();
    let id = |burst: u64| self::told(23 * burst, 0)[0].id();
    assert_eq!(told, (0..told.len() as u64).map(id).collect());
    assert!(told.len() > 35);
}
