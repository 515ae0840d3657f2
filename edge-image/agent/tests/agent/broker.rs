//! The agent in this process, a real Mosquitto, and a bridge that says `stored`.

use std::time::Duration;

use crate::common::*;
use teiten_agent::{Config, config::Spool};
use teiten_footage::{
    Frame, Timestamp,
    topic::{OFFLINE, ONLINE},
};

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_stamped_and_in_order_and_show_their_capture_time() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    let agent = Agent::start(config(broker.port));
    let frames = bridge.frames(8).await;
    let boot = frames[0].id.boot;
    for (frame, sequence) in frames.iter().zip(0..) {
        assert_eq!((frame.id.boot, frame.id.sequence), (boot, sequence));
        assert_eq!(shown(frame), Timestamp::from_unix_millis(frame.captured.unix_millis()));
    }
    assert!(frames.is_sorted_by(|earlier, later| earlier.captured < later.captured), "{frames:?}");
    // A busy machine may have one of them wait.
    let apart = frames[7].captured.since(frames[0].captured);
    assert!(apart > Duration::from_millis(350), "8 at 10 frames a second: {apart:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_whether_the_camera_is_on() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    let agent = Agent::start(config(broker.port));
    bridge.status(ONLINE).await;
    agent.stop().await;
    bridge.status(OFFLINE).await;
    // It is retained: whoever comes later hears it too.
    Bridge::start(broker.port, true).status(OFFLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_plays_once_and_the_agent_ends_when_all_is_stored() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    Agent::start(Config { source: footage(place.path(), 20, 50.0, false), ..config(broker.port) })
        .ended()
        .await;
    let frames = bridge.rest();
    let shown: Vec<u64> = frames.iter().map(|frame| shown(frame).unix_millis()).collect();
    assert_eq!(shown, (1..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_plays_again_and_again() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::start(broker.port, true);
    let agent = Agent::start(Config { source: footage(place.path(), 3, 50.0, true), ..config(broker.port) });
    let frames = bridge.frames(8).await;
    let shown: Vec<u64> = frames.iter().map(|frame| shown(frame).unix_millis()).collect();
    assert!(shown.windows(2).all(|pair| pair[1] == pair[0] % 3 + 1), "{shown:?}");
    assert_eq!(ids(&frames).len(), 8);
    assert_consistent(&frames);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_captured_before_there_is_a_broker_come_later_oldest_first() {
    let mut broker = Mosquitto::start().await;
    broker.kill();
    let place = tempfile::tempdir().unwrap();
    let agent =
        Agent::start(Config { source: footage(place.path(), 30, 120.0, false), ..config(broker.port) });
    broker.restart().await;
    let mut bridge = Bridge::start(broker.port, true);
    agent.ended().await;
    let mut frames = bridge.rest();
    assert_consistent(&frames);
    assert_eq!(ids(&frames).len(), 30);
    frames.dedup_by_key(|frame| frame.id);
    // Live frames overtake the backlog, so each frame is the newest yet or follows the last one overtaken.
    let (mut newest, mut overtaken) = (None, None);
    for frame in &frames {
        let last = if Some(frame.id) > newest { &mut newest } else { &mut overtaken };
        assert!(Some(frame.id) > *last, "{} came after {last:?}: {frames:?}", frame.id);
        *last = Some(frame.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bridge_gets_what_the_last_one_did_not_store() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let mut first = Bridge::start(broker.port, false);
    let agent =
        Agent::start(Config { source: footage(place.path(), 40, 50.0, false), ..config(broker.port) });
    first.frames(15).await;
    drop(first);
    let mut second = Bridge::start(broker.port, true);
    agent.ended().await;
    let frames = second.rest();
    assert_consistent(&frames);
    assert_eq!(ids(&frames).len(), 40, "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unstored_frame_is_sent_again_even_if_nobody_says_hello() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::start(broker.port, false);
    bridge.ready().await;
    let agent = Agent::start(Config { source: footage(place.path(), 5, 50.0, false), ..config(broker.port) });
    let first = bridge.frames(5).await;
    bridge.store_from_now_on();
    agent.ended().await;
    assert_eq!(ids(&bridge.rest()), ids(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let mut broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::start(broker.port, true);
    let agent =
        Agent::start(Config { source: footage(place.path(), 120, 60.0, false), ..config(broker.port) });
    let mut frames = Vec::new();
    for _ in 0..2 {
        frames.extend(bridge.frames(20).await);
        broker.kill();
        broker.restart().await;
    }
    agent.ended().await;
    frames.extend(bridge.rest());
    assert_consistent(&frames);
    assert_eq!(ids(&frames).len(), 120, "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_leaves_in_the_directory_what_is_not_stored_and_the_next_run_sends_it() {
    let broker = Mosquitto::start().await;
    let (place, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spool_of = |source| Config { source, spool: Spool::directory(spool.path()), ..config(broker.port) };
    let agent = Agent::start(spool_of(footage(place.path(), 10, 100.0, true)));
    let mut bridge = Bridge::start(broker.port, false);
    bridge.frames(10).await;
    drop(bridge);
    agent.stop().await;
    let kept = std::fs::read_dir(spool.path().join("front-door")).unwrap().count();
    assert!(kept >= 10);

    let mut bridge = Bridge::start(broker.port, true);
    Agent::start(spool_of(footage(place.path(), 1, 100.0, false))).ended().await;
    let frames = bridge.rest();
    assert_consistent(&frames);
    assert!(ids(&frames).len() > kept);
    assert_eq!(std::fs::read_dir(spool.path().join("front-door")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_cannot_be_read_for_a_while_loses_nothing() {
    let mut broker = Mosquitto::start().await;
    broker.kill();
    let spool = tempfile::tempdir().unwrap();
    let (there, away) = (spool.path().join("front-door"), spool.path().join("away"));
    let mut backlog = backlog(&there, 100);
    let agent = Agent::start(Config { spool: Spool::directory(spool.path()), ..config(broker.port) });
    // With a frame of its own in the directory it knows of all that was there.
    while std::fs::read_dir(&there).unwrap().count() <= 100 {
        tokio::task::yield_now().await;
    }
    std::fs::rename(&there, &away).unwrap();
    broker.restart().await;
    let mut bridge = Bridge::start(broker.port, true);
    // A live frame is heard once the backlog was asked for in vain.
    let live = bridge.frame().await;
    assert!(!backlog.contains(&live.id));
    std::fs::rename(&away, &there).unwrap();
    while !backlog.is_empty() {
        backlog.remove(&bridge.frame().await.id);
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_the_frames_that_are_only_in_memory() {
    let broker = Mosquitto::start().await;
    let (place, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let directory = spool.path().join("front-door");
    let mut first = Bridge::start(broker.port, false);
    first.ready().await;
    let agent = Agent::start(Config {
        source: footage(place.path(), 20, 10.0, false),
        spool: Spool::directory(spool.path()),
        ..config(broker.port)
    });
    // In the way of what is written, once the directory is in use.
    let mut frames = first.frames(1).await;
    while std::fs::create_dir(directory.join("frame.part")).is_err() {
        tokio::task::yield_now().await;
    }
    frames.extend(first.frames(19).await);
    let all = ids(&frames);
    drop(first);
    let mut second = Bridge::start(broker.port, true);
    agent.stop().await;
    let mut safe = ids(&second.rest());
    for file in std::fs::read_dir(&directory).unwrap() {
        safe.extend(
            std::fs::read(file.unwrap().path())
                .ok()
                .and_then(|jpeg| Some(Frame::parse(jpeg.into()).ok()??.id)),
        );
    }
    assert_eq!(safe, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_thousand_spooled_frames_are_caught_up_with_while_live_ones_go_first() {
    let mut broker = Mosquitto::start().await;
    broker.kill();
    let spool = tempfile::tempdir().unwrap();
    let backlog = backlog(&spool.path().join("front-door"), 3000);
    let agent = Agent::start(Config { spool: Spool::directory(spool.path()), ..config(broker.port) });
    broker.restart().await;
    let mut bridge = Bridge::start(broker.port, true);
    let started = std::time::Instant::now();
    let (mut old, mut live) = (0, 0);
    while old < backlog.len() {
        let frame = bridge.frame().await;
        if backlog.contains(&frame.id) { old += 1 } else { live += 1 }
    }
    let took = started.elapsed();
    println!("{old} spooled and {live} live frames in {took:?}");
    assert!(live as f64 >= 5.0 * took.as_secs_f64() - 5.0, "{live} live frames in {took:?}");
    agent.stop().await;
}
