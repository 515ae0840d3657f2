//! What the function writes, reads and refuses.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use teiten_bucket::{Bucket, Condition, Headers};
use teiten_footage::{BatchKey, CameraId, Event, Window, WindowLength, key, key::BatchFormat};
use teiten_host::{Failure, Function};
use teiten_playlist::Playlist;

use crate::world::{World, segment, window};

const SECOND: WindowLength = WindowLength::DEFAULT;

fn second(index: u64) -> Window {
    window(SECOND, index)
}

/// Stores the segment of a camera's window, one second later, and hands the event over.
async fn stored(world: &World, playlist: &Playlist, camera: &str, window: Window) {
    world.set_clock(window.end());
    let event = world.store(&segment(camera, window, "init", "frames")).await;
    assert!(playlist.handle(event).await.unwrap().is_none());
}

async fn text(world: &World, key: &str) -> String {
    let object = world.bucket.inner.get(key).await.unwrap().unwrap();
    String::from_utf8(object.bytes.to_vec()).unwrap()
}

async fn put(world: &World, key: &str, text: &'static str) {
    let put = world.bucket.inner.put(
        key,
        Bytes::from_static(text.as_bytes()),
        Headers::default(),
        Condition::Always,
    );
    put.await.unwrap();
}

/// What was asked of the bucket after that many requests, but for how much moves in a segment whose event tells nothing.
fn operations_since(world: &World, before: usize) -> Vec<&'static str> {
    let asked = world.bucket.asked().split_off(before);
    let mut operations: Vec<_> =
        asked.iter().filter(|asked| !asked.key.ends_with(".m4s")).map(|asked| asked.operation).collect();
    operations.sort_unstable();
    operations
}

fn permanent(result: Result<Option<Event>, Failure>) -> String {
    match result {
        Err(Failure::Permanent(error)) => format!("{error:#}"),
        other => panic!("expected a permanent failure, got {other:?}"),
    }
}

#[tokio::test]
async fn a_camera_gets_a_playlist_and_is_named_in_the_list_of_cameras() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    for camera in ["front-door", "back-yard"] {
        stored(&world, &playlist, camera, second(0)).await;
        stored(&world, &playlist, camera, second(1)).await;
        let versions = world.bucket.versions(&format!("{camera}/live.m3u8"));
        assert_eq!(versions.iter().map(|version| version.segments.len()).collect::<Vec<_>>(), [1, 2]);
    }
    assert_eq!(text(&world, key::CAMERAS_KEY).await, r#"{"cameras":["back-yard","front-door"]}"#);
    let headers = |key: &str| {
        let headers = world.bucket.inner.headers(key).unwrap();
        (headers.content_type, headers.cache_control)
    };
    assert_eq!(headers("front-door/live.m3u8"), ("application/vnd.apple.mpegurl", "no-cache"));
    assert_eq!(headers(key::CAMERAS_KEY), ("application/json", "no-cache"));
}

#[tokio::test]
async fn cameras_that_appear_at_once_are_all_on_the_list() {
    let world = World::troubled(second(0).end(), 1, 0.0);
    let cameras: Vec<String> = (0..8).map(|number| format!("camera-{number}")).collect();
    let mut events = Vec::new();
    for camera in &cameras {
        events.push(world.store(&segment(camera, second(0), "init", "frames")).await);
    }
    let instances: Vec<Playlist> = cameras.iter().map(|_| world.playlist()).collect();
    let handled =
        join_all(instances.iter().zip(events).map(|(instance, event)| instance.handle(event))).await;
    assert!(handled.iter().all(Result::is_ok), "{handled:?}");
    let list: serde_json::Value = serde_json::from_str(&text(&world, key::CAMERAS_KEY).await).unwrap();
    assert_eq!(list, serde_json::json!({ "cameras": cameras }));
}

#[tokio::test]
async fn a_segment_costs_one_listing_and_one_write_and_a_repeated_event_nothing() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    stored(&world, &playlist, "front-door", second(0)).await;
    let before = world.bucket.asked().len();
    stored(&world, &playlist, "front-door", second(1)).await;
    assert_eq!(operations_since(&world, before), ["list", "put"]);
    stored(&world, &playlist, "front-door", second(1)).await;
    stored(&world, &playlist, "front-door", second(0)).await;
    assert_eq!(operations_since(&world, before), ["list", "put"]);
}

#[tokio::test]
async fn the_playlist_is_read_where_another_instance_has_written_and_no_write_is_refused_for_that() {
    let world = World::at(second(0).end());
    let (one, other) = (world.playlist(), world.playlist());
    stored(&world, &one, "front-door", second(0)).await;
    stored(&world, &other, "front-door", second(1)).await;
    for (instance, index, asked) in [
        (&one, 2, &["get", "list", "put"][..]),
        (&one, 3, &["list", "put"]),
        (&other, 4, &["get", "list", "put"]),
        (&other, 5, &["list", "put"]),
    ] {
        let before = world.bucket.asked().len();
        stored(&world, instance, "front-door", second(index)).await;
        assert_eq!(operations_since(&world, before), asked, "window {index}");
    }
    // Both are told of the same window at once: one of them finds that it is listed.
    world.set_clock(second(6).end());
    let event = world.store(&segment("front-door", second(6), "init", "frames")).await;
    let both = join_all([&one, &other].map(|instance| instance.handle(event.clone()))).await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    let versions = world.bucket.versions("front-door/live.m3u8");
    assert_eq!(
        versions.iter().map(|version| version.segments.len()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7]
    );
}

#[tokio::test]
async fn windows_whose_events_come_in_another_order_cost_one_read() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    stored(&world, &playlist, "front-door", second(0)).await;
    world.set_clock(second(2).end());
    let first = world.store(&segment("front-door", second(1), "init", "frames")).await;
    let before = world.bucket.asked().len();
    // The listing has both.
    stored(&world, &playlist, "front-door", second(2)).await;
    assert_eq!(operations_since(&world, before), ["get", "list", "put"]);
    assert_eq!(playlist.handle(first).await.unwrap(), None);
    stored(&world, &playlist, "front-door", second(3)).await;
    stored(&world, &playlist, "front-door", second(5)).await;
    let before = world.bucket.asked().len();
    stored(&world, &playlist, "front-door", second(4)).await;
    assert_eq!(operations_since(&world, before), ["list", "put"], "it was read in vain just before");
    assert_eq!(world.bucket.versions("front-door/live.m3u8").last().unwrap().segments.len(), 6);
}

#[tokio::test]
async fn a_playlist_that_is_deleted_or_spoiled_under_an_instance_is_noticed_by_it() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    stored(&world, &playlist, "front-door", second(0)).await;
    stored(&world, &playlist, "front-door", second(1)).await;
    world.bucket.inner.delete("front-door/live.m3u8").await.unwrap();
    let camera = CameraId::new("front-door").unwrap();
    playlist.handle(Event::WindowMissed { camera, window: second(2) }).await.unwrap();
    assert!(world.bucket.inner.get("front-door/live.m3u8").await.unwrap().is_none());
    stored(&world, &playlist, "front-door", second(3)).await;
    stored(&world, &playlist, "front-door", second(4)).await;
    let versions = world.bucket.versions("front-door/live.m3u8");
    assert_eq!(versions.iter().map(|version| version.segments.len()).collect::<Vec<_>>(), [1, 2, 1, 2]);
    // The first time it is taken for what was written.
    for index in [5, 6] {
        put(&world, "front-door/live.m3u8", "#EXTM3U\nmovie.ts\n").await;
        world.set_clock(second(index).end());
        let event = world.store(&segment("front-door", second(index), "init", "frames")).await;
        let why = permanent(playlist.handle(event).await);
        assert!(why.contains("front-door/live.m3u8") && why.contains("line 2"), "{why}");
        assert_eq!(text(&world, "front-door/live.m3u8").await, "#EXTM3U\nmovie.ts\n");
    }
    world.bucket.inner.delete("front-door/live.m3u8").await.unwrap();
    stored(&world, &playlist, "front-door", second(7)).await;
    assert_eq!(world.bucket.versions("front-door/live.m3u8").last().unwrap().segments.len(), 3);
}

#[tokio::test]
async fn what_names_the_live_playlist_is_written_anew_only_where_more_has_to_be_promised() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    let written =
        || world.bucket.asked().into_iter().filter(|asked| asked.key == "front-door/master.m3u8").count();
    for index in 0..3 {
        stored(&world, &playlist, "front-door", second(index)).await;
    }
    // Segments of 60 kB.
    let promised = |bits: u32| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH={bits}\nlive.m3u8\n"
        )
    };
    assert_eq!((written(), text(&world, "front-door/master.m3u8").await), (1, promised(524_288)));
    let larger = segment("front-door", second(3), "init", "frames");
    world.set_clock(second(3).end());
    let event = world.store(&larger).await;
    let bytes = Bytes::from(vec![0; 100_000]);
    world.bucket.inner.put(&larger.to_string(), bytes, Headers::default(), Condition::Always).await.unwrap();
    playlist.handle(event).await.unwrap();
    assert_eq!((written(), text(&world, "front-door/master.m3u8").await), (2, promised(1_048_576)));
    stored(&world, &playlist, "front-door", second(4)).await;
    let event = world.store(&segment("front-door", second(5), "another init", "frames")).await;
    world.set_clock(second(5).end());
    playlist.handle(event).await.unwrap();
    assert_eq!((written(), text(&world, "front-door/master.m3u8").await), (3, promised(524_288)));
}

#[tokio::test]
async fn what_another_instance_listed_is_not_written_again() {
    let world = World::at(second(0).end());
    stored(&world, &world.playlist(), "front-door", second(0)).await;
    stored(&world, &world.playlist(), "front-door", second(0)).await;
    assert_eq!(world.bucket.versions("front-door/live.m3u8").len(), 1);
}

#[tokio::test]
async fn missed_windows_become_gaps_in_whichever_order_they_are_told() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    stored(&world, &playlist, "front-door", second(0)).await;
    world.advance_clock(Duration::from_secs(2));
    for index in [3, 1, 2] {
        let camera = CameraId::new("front-door").unwrap();
        playlist.handle(Event::WindowMissed { camera, window: second(index) }).await.unwrap();
    }
    let versions = world.bucket.versions("front-door/live.m3u8");
    let gaps: Vec<bool> = versions.last().unwrap().segments.iter().map(|segment| segment.gap).collect();
    assert_eq!(gaps, [false, true, true, true]);
}

#[tokio::test]
async fn other_objects_among_the_segments_are_passed_over() {
    let world = World::at(second(0).end());
    for name in ["notes.txt", "20261123T120001.000Z-1000.m4s", "20261123T120001.000Z"] {
        put(&world, &format!("front-door/2026-11-23/12/{name}"), "").await;
    }
    let playlist = world.playlist();
    stored(&world, &playlist, "front-door", second(0)).await;
    stored(&world, &playlist, "front-door", second(1)).await;
    assert_eq!(world.bucket.versions("front-door/live.m3u8").last().unwrap().segments.len(), 2);
}

#[tokio::test]
async fn a_playlist_of_another_window_length_is_replaced_once_it_is_silent() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    stored(&world, &playlist, "front-door", second(0)).await;
    let half = WindowLength::from_millis(500).unwrap();
    for index in 4..40 {
        stored(&world, &playlist, "front-door", window(half, index)).await;
    }
    let text = text(&world, "front-door/live.m3u8").await;
    assert!(text.contains("#EXTINF:0.500,") && !text.contains("#EXTINF:1.000,"), "{text}");
    assert_eq!(text.matches("#EXTINF").count(), 24);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone_and_named() {
    let world = World::at(second(0).end());
    put(&world, "front-door/live.m3u8", "#EXTM3U\nmovie.ts\n").await;
    let event = world.store(&segment("front-door", second(0), "init", "frames")).await;
    let why = permanent(world.playlist().handle(event).await);
    assert!(why.contains("front-door/live.m3u8") && why.contains("line 2"), "{why}");
    assert_eq!(text(&world, "front-door/live.m3u8").await, "#EXTM3U\nmovie.ts\n");

    put(&world, key::CAMERAS_KEY, "[]").await;
    let event = world.store(&segment("back-yard", second(0), "init", "frames")).await;
    let why = permanent(world.playlist().handle(event).await);
    assert!(why.contains(key::CAMERAS_KEY), "{why}");
    assert_eq!(world.bucket.versions("back-yard/live.m3u8").len(), 1, "the playlist is there all the same");
}

#[tokio::test]
async fn events_that_are_not_for_this_function_are_refused_for_good() {
    let world = World::at(second(0).end());
    let playlist = world.playlist();
    let key = segment("front-door", second(0), "init", "frames");
    let elsewhere = Event::SegmentStored { bucket: "elsewhere".to_owned(), key, motion: None };
    assert!(permanent(playlist.handle(elsewhere).await).contains("elsewhere"));
    let camera = CameraId::new("front-door").unwrap();
    let key = BatchKey { camera, window: second(0), format: BatchFormat::Mjpeg };
    let batch = Event::BatchStored { bucket: "frames".to_owned(), key, frames: None };
    assert!(permanent(playlist.handle(batch).await).contains(".mjpeg"));
    assert_eq!(world.bucket.operations(), 0);
}

#[tokio::test]
async fn a_store_that_fails_is_tried_again_with_the_same_event() {
    let world = World::troubled(second(0).end(), 0, 1.0);
    let event = world.store(&segment("front-door", second(0), "init", "frames")).await;
    let failure = world.playlist().handle(event).await.unwrap_err();
    assert!(matches!(failure, Failure::Transient(_)), "{failure}");
}
