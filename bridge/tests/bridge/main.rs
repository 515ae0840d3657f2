//! The bridge between a real Mosquitto and a real HTTP sink.

#[cfg(test)] // where unwrapping is allowed
mod away;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod program;
#[cfg(test)]
mod replicas;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use harness::{AilingBucket, Broker, Camera, Installation, PATIENCE, answered, frames, jpeg, picture, told};
use teiten_footage::{
    CameraId, Event, Frame, SensorEvent, SensorKey, SensorState, Timestamp, Window,
    limits::{FRAME_BYTES_MAX, GAPS_IN_A_ROW_MAX, HOLD_MAX},
    sensor::SensorKind,
};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn frames_become_a_batch_and_an_event_and_are_then_said_to_be_stored() {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let first = frames(window, 0, &[0, 100, 200]);
    let second = frames(window.next(), 3, &[0, 100]);
    camera.send(&first).await;
    let closing = Instant::now();
    camera.send(&second).await;
    let accepted = all.sink.next().await;
    println!("first frame of the next window to event: {:?}", accepted.at - closing);
    let Event::BatchStored { bucket, key, frames: hash } = accepted.event else { panic!("no stored batch") };
    assert_eq!((&*bucket, key.window, &key.camera), ("frames", window, &camera.id));
    let batch = all.stored(&key).await;
    assert_eq!(batch.frames(), first);
    assert_eq!(hash, Some(batch.frames_hash()));
    assert_eq!(camera.stored().await, "00000000000000a7 0-2");
    bridge.drain().await;
    assert_eq!(camera.stored().await, "00000000000000a7 3-4");
    assert_eq!(all.sink.next_batch().await.1.window, window.next());
}

#[tokio::test]
async fn duplicates_collapse_and_are_said_to_be_stored_again() {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let first = frames(window, 0, &[0, 100]);
    let second = frames(window.next(), 2, &[0]);
    camera.send(&first).await;
    camera.send(&first).await;
    camera.send(&second).await;
    let (id, key) = all.sink.next_batch().await;
    assert_eq!(camera.stored().await, "00000000000000a7 0-1");
    camera.send(&first).await;
    camera.send(&second).await;
    assert_eq!(
        all.sink.next_batch().await,
        (id, key.clone()),
        "the same event, should the first one be lost"
    );
    assert_eq!(camera.stored().await, "00000000000000a7 0-1");
    assert_eq!(all.stored(&key).await.frames(), first);
    bridge.drain().await;
    assert_eq!(camera.stored().await, "00000000000000a7 2");
    assert_eq!(all.all_stored(&camera.id).await, [first, second].concat());
}

#[tokio::test]
async fn nothing_is_said_to_be_stored_before_the_sink_accepts_the_event() {
    stored_only_after_acceptance(503, 3).await;
}

#[tokio::test]
async fn a_sink_that_refuses_is_asked_again_for_its_set_up_may_be_mended() {
    stored_only_after_acceptance(403, 1).await;
}

/// The sink answers `status` this many times.
async fn stored_only_after_acceptance(status: u16, times: usize) {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let first = frames(window, 0, &[0, 100]);
    all.sink.answer(status);
    camera.send(&first).await;
    camera.send(&frames(window.next(), 2, &[0])).await;
    for _ in 0..times {
        all.sink.asked().await;
    }
    assert!(camera.has_heard_nothing());
    assert_eq!(all.all_stored(&camera.id).await.len(), 2, "the batch is durable all the same");
    all.sink.answer(202);
    camera.all_stored(&first).await;
    assert!(all.sink.rest().iter().any(|accepted| {
        matches!(&accepted.event, Event::BatchStored { key, .. } if key.window == window)
    }));
    bridge.drain().await;
}

#[tokio::test]
async fn a_sink_that_hangs_holds_up_no_store() {
    let (all, bridge, camera) = Installation::with_camera("front-door").await;
    all.sink.hang();
    let window = all.present();
    let sent: Vec<Frame> = (0..20).flat_map(|i| frames(window.plus(i), i, &[0])).collect();
    camera.send(&sent).await;
    let stored = async {
        while all.all_stored(&camera.id).await.len() < 19 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Less than it takes until the first request is given up.
    tokio::time::timeout(Duration::from_secs(10), stored).await.expect("every batch is durable");
    bridge.kill().await;
}

#[tokio::test]
async fn a_store_that_hangs_or_fails_for_some_cameras_holds_up_no_other() {
    let mut all = Installation::start().await;
    let [mut well, mut hanging, mut failing] = [
        Camera::connect(&all.broker, "well").await,
        Camera::connect(&all.broker, "hanging").await,
        Camera::connect(&all.broker, "failing").await,
    ];
    let mended = CancellationToken::new();
    let bridge = all.bridge_with(Arc::new(AilingBucket {
        bucket: all.frames.clone(),
        hangs_for: hanging.id.clone(),
        fails_for: failing.id.clone(),
        mended: mended.clone(),
    }));
    well.hello().await;
    let window = all.present();
    let sent: Vec<Frame> = (0..20).flat_map(|i| frames(window.plus(i), i, &[0])).collect();
    let (closed, _last) = sent.split_at(19);
    for camera in [&hanging, &failing, &well] {
        camera.send(&sent).await;
    }
    well.all_stored(closed).await;
    assert_eq!(all.sink.rest().len(), closed.len());
    mended.cancel();
    hanging.all_stored(closed).await;
    failing.all_stored(closed).await;
    assert_eq!(all.all_stored(&hanging.id).await[..19], *closed);
    bridge.drain().await;
}

#[tokio::test]
async fn late_frames_are_merged_and_the_event_is_a_new_one() {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let first = frames(window, 0, &[0, 100, 200, 300]);
    camera.send(&[first[0].clone(), first[3].clone()]).await;
    camera.send(&frames(window.next(), 4, &[0])).await;
    let (id, key) = all.sink.next_batch().await;
    assert_eq!(camera.stored().await, "00000000000000a7 0,3");
    camera.send(&first[1..3]).await;
    camera.send(&frames(window.next(), 5, &[100])).await;
    let (new_id, same_key) = all.sink.next_batch().await;
    assert_eq!(camera.stored().await, "00000000000000a7 1-2");
    assert_eq!(key, same_key);
    assert_ne!(id, new_id);
    assert_eq!(all.stored(&key).await.frames(), first);
    bridge.drain().await;
}

#[tokio::test]
async fn backlog_is_stored_beside_live_frames() {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let hour_ago = Window::from_media_sequence(window.media_sequence().unwrap() - 7200, window.length());
    let mut sent = Vec::new();
    for i in 0..20 {
        let live = frames(window.plus(i / 10), i, &[50 * (i % 10)]);
        let backlog = frames(hour_ago.plus(i / 2), 1000 + i, &[250 * (i % 2)]);
        camera.send(&live).await;
        camera.send(&backlog).await;
        sent.extend(live.into_iter().chain(backlog));
    }
    camera.all_received(window).await;
    bridge.drain().await;
    camera.all_stored(&sent).await;
    sent.sort_by_key(|frame| frame.captured);
    assert_eq!(all.all_stored(&camera.id).await, sent);
    let mut told = 0;
    for accepted in all.sink.rest() {
        let Event::BatchStored { key, .. } = accepted.event else { panic!("no stored batch") };
        told += usize::from(!all.stored(&key).await.is_held());
    }
    assert_eq!(told, 14, "one event for each window with frames");
}

#[tokio::test]
async fn a_jpeg_without_a_stamp_is_stamped_with_its_arrival() {
    let (all, bridge, mut camera) = Installation::with_camera("esp32").await;
    let before = teiten_telemetry::now();
    camera.send_bytes(picture(1)).await;
    camera.send_bytes(picture(2)).await;
    // Retained pictures are old ones: no window is theirs.
    camera.send_to(format!("teiten/{}/frame", camera.id), picture(3), true).await;
    camera.all_received(all.present()).await;
    bridge.drain().await;
    let stored = all.all_stored(&camera.id).await;
    assert_eq!(stored.len(), 3, "the retained flag is not set on what is sent just now");
    assert!(stored[0].captured >= before && stored[2].captured <= teiten_telemetry::now());
    assert!(stored.is_sorted_by_key(|frame| frame.captured));
    assert_eq!(Frame::parse(stored[0].jpeg.clone()).unwrap().unwrap(), stored[0]);
    let fifth = camera.stored().await;
    assert_eq!(fifth, "00000000000000ff 5", "nobody waits to hear of pictures without identities");
    assert!(camera.has_heard_nothing());
    // A new bridge gets the retained message, which is old now.
    let bridge = all.bridge();
    camera.hello().await;
    bridge.drain().await;
    assert_eq!(all.all_stored(&camera.id).await.len(), 3);
}

#[tokio::test]
async fn a_drained_bridge_leaves_nothing_behind_for_the_next_one() {
    let (all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let sent = frames(window, 0, &[0, 50, 100, 150, 200, 250, 300]);
    camera.send(&sent[..4]).await;
    camera.all_received(window).await;
    bridge.drain().await;
    camera.all_stored(&sent[..4]).await;
    let bridge = all.bridge();
    camera.hello().await;
    camera.send(&sent[4..]).await;
    camera.send(&frames(window.next(), 50, &[0])).await;
    camera.all_stored(&sent[4..]).await;
    bridge.drain().await;
    assert_eq!(all.all_stored(&camera.id).await[..sent.len()], sent);
}

#[tokio::test]
async fn a_broker_that_crashes_costs_a_reconnect_and_a_hello() {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    camera.send(&frames(window, 0, &[0])).await;
    camera.send(&frames(window.next(), 1, &[0])).await;
    all.sink.next_batch().await;
    all.broker.crash();
    all.broker.restart();
    camera.hello().await;
    camera.send(&frames(window.plus(2), 2, &[0])).await;
    assert_eq!(all.sink.next_batch().await.1.window, window.next());
    camera.all_stored(&frames(window.next(), 1, &[0])).await;
    bridge.drain().await;
}

#[tokio::test]
async fn garbage_costs_itself_only() {
    let (mut all, bridge, mut camera) = Installation::with_camera("front-door").await;
    let window = all.present();
    let sent = frames(window, 0, &[0, 100, 200]);
    let mut torn = sent[1].jpeg.to_vec();
    torn.truncate(100);
    for (garbage, frame) in [b"garbage".to_vec(), torn, vec![0; FRAME_BYTES_MAX + 100_000]].iter().zip(&sent)
    {
        camera.send_bytes(garbage.clone()).await;
        camera.send_to("teiten/No Camera/frame".to_owned(), jpeg(), false).await;
        camera.send_to("teiten/front-door/status".to_owned(), b"\xff\xfe".to_vec(), false).await;
        camera.send(std::slice::from_ref(frame)).await;
    }
    camera.send(&frames(window.next(), 3, &[0])).await;
    let (_, key) = all.sink.next_batch().await;
    assert_eq!(all.stored(&key).await.frames(), sent);
    assert_eq!(camera.stored().await, "00000000000000a7 0-2");
    bridge.drain().await;
}

#[tokio::test]
async fn nothing_is_told_of_a_camera_whose_retained_status_is_cleared() {
    let all = Installation::start().await;
    let mut camera = Camera::connect(&all.broker, "front-door").await;
    let status = || "teiten/front-door/status".to_owned();
    camera.send_to(status(), b"offline".to_vec(), true).await;
    let (bridge, address) = all.bridge_that_tells();
    camera.hello().await;
    let offline = "teiten_bridge_camera_online{camera=\"front-door\"} 0.0\n";
    told(address, |text| text.contains(offline)).await;
    camera.send_to(status(), Vec::new(), true).await;
    told(address, |text| text.contains("# EOF") && !text.contains("front-door")).await;
    camera.send_to(status(), b"online".to_vec(), true).await;
    told(address, |text| text.contains("front-door")).await;
    bridge.drain().await;
}

#[tokio::test]
async fn a_bridge_is_ready_once_it_hears_itself_and_says_so_where_the_brokers_rules_keep_it_from_that() {
    let rules = "topic readwrite teiten/#\ntopic readwrite teiten-bridge/hello\n";
    // Such a broker grants each subscription, and drops what is sent without a word.
    for (broker, answer) in [
        (Broker::start(), "HTTP/1.0 200"),
        (Broker::with_rules(rules), "does not hear itself on teiten-bridge/+/status"),
    ] {
        let all = Installation::with(broker).await;
        let mut camera = Camera::connect(&all.broker, "front-door").await;
        let (bridge, address) = all.bridge_that_tells();
        camera.hello().await;
        let window = all.present();
        let sent = frames(window, 0, &[0]);
        camera.send(&sent).await;
        camera.send(&frames(window.next(), 1, &[0])).await;
        // All cameras are its own, as far as it knows, and it has had the time to hear itself.
        camera.all_stored(&sent).await;
        answered(address, "/readyz", |text| text.contains(answer)).await;
        bridge.kill().await;
    }
}

#[tokio::test]
async fn what_a_sensor_saw_is_handed_on_until_it_is_accepted_and_nonsense_is_not() {
    let (mut all, bridge, camera) = Installation::with_camera("front-door").await;
    let at = teiten_telemetry::now();
    let event = |state, at| SensorEvent { kind: SensorKind::Motion, state, at };
    let tell =
        |payload: String| camera.send_to("teiten/front-door/event".to_owned(), payload.into_bytes(), false);
    let day = Duration::from_secs(24 * 3600);
    for impossible in [Timestamp::from_unix_millis(1000), at + day, at - day] {
        tell(event(SensorState::Started, impossible).to_json()).await;
    }
    tell("{}".to_owned()).await;
    all.sink.answer(503);
    tell(event(SensorState::Started, at).to_json()).await;
    all.sink.asked().await;
    all.sink.asked().await;
    all.sink.answer(202);
    let accepted = all.sink.next().await;
    let camera = CameraId::new("front-door").unwrap();
    let event = event(SensorState::Started, at);
    assert_eq!(accepted.event, Event::SensorChanged { camera: camera.clone(), event });
    assert_eq!(accepted.id, SensorKey { camera, event }.to_string());
    assert!(all.sink.rest().is_empty());
    bridge.drain().await;
}

#[tokio::test]
async fn what_a_sensor_saw_outlasts_a_sink_that_is_away_for_more_windows_than_may_wait() {
    let (mut all, bridge, camera) = Installation::with_camera("front-door").await;
    let hour_ago = Window::containing(teiten_telemetry::now() - Duration::from_secs(3600), all.window);
    let at = teiten_telemetry::now();
    let event = SensorEvent { kind: SensorKind::Motion, state: SensorState::Started, at };
    all.sink.answer(503);
    let stored = async |count| {
        while all.all_stored(&camera.id).await.len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for i in 0..300 {
        camera.send(&frames(hour_ago.plus(i), i, &[0])).await;
    }
    tokio::time::timeout(PATIENCE, stored(299)).await.expect("every batch is durable");
    camera.send_to("teiten/front-door/event".to_owned(), event.to_json().into_bytes(), false).await;
    camera.send(&frames(hour_ago.plus(300), 300, &[0])).await;
    tokio::time::timeout(PATIENCE, stored(300)).await.expect("every batch is durable");
    all.sink.answer(202);
    let told = Event::SensorChanged { camera: camera.id.clone(), event };
    while all.sink.next().await.event != told {}
    bridge.drain().await;
}

#[tokio::test]
async fn a_camera_that_falls_silent_is_held_then_missed_then_left_alone() {
    let (mut all, bridge, camera) = Installation::with_camera("front-door").await;
    // Captured so long ago that nearly all of the time of holding is over.
    let captured = teiten_telemetry::now() - (HOLD_MAX - Duration::from_millis(200));
    let window = Window::containing(captured, all.window);
    let frame = frames(window, 0, &[0]).remove(0);
    let frame = Frame::stamp(&frame.jpeg, frame.id, captured).unwrap();
    camera.send(std::slice::from_ref(&frame)).await;
    let mut events = Vec::new();
    let missed = |event: &Event| matches!(event, Event::WindowMissed { .. });
    while events.iter().filter(|event| missed(event)).count() < GAPS_IN_A_ROW_MAX as usize {
        events.push(all.sink.next().await.event);
    }
    let mut held = 0;
    for event in &events {
        match event {
            Event::BatchStored { key, .. } => {
                let batch = all.stored(key).await;
                assert_eq!(batch.frames(), std::slice::from_ref(&frame));
                assert_eq!(batch.is_held(), key.window != window);
                held += u64::from(batch.is_held());
            }
            Event::WindowMissed { camera: missed, window: empty } => {
                assert_eq!(missed, &camera.id);
                assert!(empty.end().since(captured) > HOLD_MAX);
            }
            other => panic!("{other:?}"),
        }
    }
    let windows = HOLD_MAX.as_millis() / all.window.duration().as_millis();
    assert!((u128::from(held)).abs_diff(windows) <= 1, "{held} windows held");
    bridge.drain().await;
    assert!(all.sink.rest().is_empty());
}
