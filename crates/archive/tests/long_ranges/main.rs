//! What is stored of a long range is read with several requests at a time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod meeting;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use teiten_archive::{Packed, moved_in, pack, stored_in};
use teiten_bucket::{Bucket as _, Condition, Headers, MemoryBucket};
use teiten_footage::{CameraId, ContentHash, PackKey, TimeRange, Timestamp, Window};

use crate::meeting::Meeting;

/// Stores packs of an hour, of one window each; answers the windows.
async fn put_packs(media: &MemoryBucket, camera: &CameraId) -> Vec<Window> {
    let noon: Window = "20261123T120000.000Z-1000".parse().unwrap();
    let windows: Vec<Window> = (0..20).map(|index| noon.plus(100 * index)).collect();
    for first in windows.iter().copied() {
        let packed = Packed { bytes: b"\0\0\0\x0cmdatshow", keyframe_bytes: 12 };
        let bytes = pack(b"\0\0\0\x0cmoovinit", first, &[packed]);
        let (init, hash) = (ContentHash::of(b"init"), ContentHash::of(&bytes));
        let key = PackKey { camera: camera.clone(), first, count: 1, init, as_of: first.end(), hash };
        media.put(&key.to_string(), bytes, Headers::default(), Condition::Always).await.unwrap();
    }
    windows
}

#[tokio::test]
async fn the_packs_of_an_hour_are_asked_for_their_indexes_several_at_a_time_and_listed_in_their_order() {
    let (media, camera) = (MemoryBucket::new("media"), CameraId::new("gate").unwrap());
    let windows = put_packs(&media, &camera).await;
    let media = Meeting::of(Arc::new(media), 8, 0);
    let range = TimeRange::new(windows[0].start(), windows[19].end()).unwrap();
    let stored = stored_in(&media, &camera, range).await.unwrap();
    assert!(stored.iter().map(|item| item.listing.window).eq(windows));
    assert_eq!(media.most().count, 8);
}

#[tokio::test]
async fn what_moved_in_the_hours_of_a_range_is_asked_for_several_hours_at_a_time() {
    let camera = CameraId::new("gate").unwrap();
    let media = MemoryBucket::new("media");
    let from = Timestamp::from_rfc3339("2026-11-23T00:00:00Z").unwrap();
    let mut expected = Vec::new();
    for hour in 0..24 {
        let (start, end) =
            (from + Duration::from_secs(hour * 3600), from + Duration::from_secs(hour * 3600 + 9));
        let json = format!(
            r#"{{"start":"2026-11-23T{hour:02}:00:00.000Z","step_millis":1000,"levels":[9,9,9,9,9,9,9,9,9,0,0,0,0,0,0]}}"#
        );
        let key = format!("gate/2026-11-23/{hour:02}.motion.json");
        media.put(&key, Bytes::from(json), Headers::default(), Condition::Always).await.unwrap();
        expected.push((start, Some(end)));
    }
    let media = Meeting::of(Arc::new(media), 8, 0);
    let to = from + Duration::from_secs(24 * 3600);
    let moved = moved_in(&media, &camera, TimeRange::new(from, to).unwrap(), to).await.unwrap();
    assert!(moved.iter().map(|span| (span.start, span.end)).eq(expected), "{moved:?}");
    assert_eq!(media.most().count, 8);
}
