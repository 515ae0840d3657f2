//! What moved in an hour: written down in the wake of events, and from the segments alone.

use std::time::Duration;

use bytes::Bytes;
use teiten_bucket::{Bucket as _, Condition, Headers};
use teiten_footage::{CameraId, Event, MotionMap, SegmentKey, WindowLength};
use teiten_host::Function as _;
use teiten_playlist::{Footage, Playlist, mend_motion};

use crate::world::{World, segment, window};

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
    let bytes = Bytes::from([styp, uuid, b"moof and mdat".to_vec()].concat());
    put(world, &key(second).to_string(), bytes).await;
}

async fn put(world: &World, key: &str, bytes: Bytes) {
    world.bucket.inner.put(key, bytes, Headers::default(), Condition::Always).await.unwrap();
}

/// The function hears of a segment, one second after its end.
async fn tell(world: &World, playlist: &Playlist, second: u64, motion: Option<MotionMap>) {
    let key = key(second);
    world.set_clock(key.window.end() + Duration::from_secs(1));
    playlist.handle(Event::SegmentStored { bucket: "media".to_owned(), key, motion }).await.unwrap();
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
    let footage = |key: String| Some(Footage { key: key.parse().ok()?, modified_unix_millis });
    let segments: Vec<Footage> = listed.into_iter().filter_map(|object| footage(object.key)).collect();
    let camera = CameraId::new("front-door").unwrap();
    let now = key(seconds).window.end() + after;
    mend_motion(&*world.bucket, &camera, &segments, now).await.unwrap()
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
