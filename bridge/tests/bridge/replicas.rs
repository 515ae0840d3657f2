//! Several bridges that share the cameras of one real Mosquitto.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use teiten_bucket::{Bucket as _, MemoryBucket};
use teiten_footage::{
    FrameId,
    key::{BatchFormat, BatchKey},
};

use crate::harness::{Camera, Installation, PATIENCE, frames, picture};

const NAMES: [&str; 6] = ["gate", "yard", "porch", "garage", "attic", "cellar"];

async fn cameras(all: &Installation) -> Vec<Camera> {
    let mut cameras = Vec::new();
    for name in NAMES {
        cameras.push(Camera::connect(&all.broker, name).await);
    }
    cameras
}

#[tokio::test]
async fn in_the_steady_state_each_frame_is_stored_by_exactly_one_bridge() {
    let mut all = Installation::start().await;
    let mut cameras = cameras(&all).await;
    // A bucket of its own for each bridge shows what that one stores.
    let buckets = ["0", "1", "2"].map(MemoryBucket::new);
    let replicas = ["bridge-0", "bridge-1", "bridge-2"];
    let mut bridges = Vec::new();
    for (i, bucket) in buckets.iter().enumerate() {
        bridges.push(all.replica_with(replicas[i], Arc::new(bucket.clone())));
        for camera in &mut cameras {
            camera.hello_among(&replicas[..=i]).await;
        }
    }
    let window = all.present();
    let sent: Vec<_> = (0..6).flat_map(|i| frames(window.plus(i), 2 * i, &[0, 250])).collect();
    for camera in &mut cameras {
        camera.send(&sent).await;
        camera.all_received(window.plus(6)).await;
    }
    for bridge in bridges {
        bridge.drain().await;
    }
    let mut busy = BTreeSet::new();
    for camera in &cameras {
        let mut stored = Vec::new();
        for (i, bucket) in buckets.iter().enumerate() {
            all.frames = bucket.clone();
            let here = all.all_stored(&camera.id).await;
            busy.extend((!here.is_empty()).then_some(i));
            stored.extend(here);
        }
        assert_eq!(stored, sent, "camera {}", camera.id);
    }
    assert!(busy.len() > 1, "one bridge had all cameras");
}

#[tokio::test]
async fn the_last_picture_of_a_slow_camera_is_held_on_when_its_bridge_leaves() {
    let all = Installation::start().await;
    let mut cameras = cameras(&all).await;
    let replicas = ["bridge-0", "bridge-1"];
    let [leaves, stays] = replicas.map(|name| all.replica(name));
    for camera in &mut cameras {
        camera.are_there(&replicas).await;
        camera.send(&frames(all.present(), 0, &[0])).await;
    }
    leaves.drain().await;
    let next = all.present().next();
    let held = async {
        for camera in &cameras {
            let key = BatchKey { camera: camera.id.clone(), window: next, format: BatchFormat::Mjpeg };
            while all.frames.get(&key.to_string()).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(all.stored(&key).await.is_held());
        }
    };
    tokio::time::timeout(PATIENCE, held).await.expect("every camera's window is held");
    stays.drain().await;
}

#[tokio::test]
async fn no_picture_of_a_camera_that_cannot_send_again_is_lost_when_bridges_come_die_and_leave() {
    let all = Installation::start().await;
    let mut cameras = cameras(&all).await;
    let mut number = 0;
    let mut sent = BTreeSet::new();
    let mut send = async |cameras: &[Camera]| {
        // A picture every 20 ms, for two windows: real time, as the bridge stamps what arrives.
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..50 {
            pace.tick().await;
            let picture = picture(number);
            for camera in cameras {
                camera.send_bytes(picture.clone()).await;
            }
            assert!(sent.insert(FrameId::of_unstamped(&picture).sequence), "pictures differ");
            number += 1;
        }
    };

    let first = all.replica("bridge-0");
    cameras[0].hello_among(&["bridge-0"]).await;
    send(&cameras).await;
    // One comes …
    let second = all.replica("bridge-1");
    send(&cameras).await;
    cameras[0].hello_among(&["bridge-0", "bridge-1"]).await;
    send(&cameras).await;
    // … one dies, with what it had in memory …
    first.kill().await;
    send(&cameras).await;
    cameras[0].is_gone("bridge-0").await;
    // … is back …
    let first = all.replica("bridge-0");
    cameras[0].hello_among(&["bridge-0", "bridge-1"]).await;
    send(&cameras).await;
    // … and the other one leaves.
    let leaving = tokio::spawn(second.drain());
    send(&cameras).await;
    leaving.await.unwrap();
    let present = all.present();
    for camera in &mut cameras {
        camera.all_received(present).await;
    }
    first.drain().await;

    for camera in &cameras {
        let stored = all.unstamped(&camera.id).await;
        assert_eq!(stored.keys().copied().collect::<BTreeSet<_>>(), sent, "camera {}", camera.id);
        // Two bridges do not stamp at the same microsecond: a picture at the turn of a window may be in both.
        let doubled = stored.values().filter(|count| **count > 1).count();
        println!("{}: {} pictures, {doubled} of them in two windows", camera.id, stored.len());
        assert!(doubled <= sent.len() / 50, "{doubled} pictures are in two windows");
    }
}

#[tokio::test]
async fn what_a_bridge_left_behind_at_the_broker_keeps_no_camera_unserved() {
    let mut all = Installation::start().await;
    let mut cameras = cameras(&all).await;
    // Of bridges whose last will was lost with the broker that was to say it.
    let ghosts: Vec<_> = (0..8).map(|i| format!("ghost-{i}")).collect();
    for ghost in &ghosts {
        cameras[0].send_to(format!("teiten-bridge/{ghost}/status"), b"online".to_vec(), true).await;
    }
    cameras[0].are_there(&ghosts).await;
    let bridge = all.replica("bridge-0");
    cameras[0].hello_among(&["bridge-0"]).await;
    let window = all.present();
    let sent = frames(window, 0, &[0, 100]);
    for camera in &mut cameras {
        camera.send(&sent).await;
        camera.send(&frames(window.next(), 2, &[0])).await;
        camera.all_stored(&sent).await;
    }
    bridge.drain().await;
    assert!(!all.sink.rest().is_empty());
}
