//! How clips read what is stored: with several requests at a time, but no more than there is memory for.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod endless;
#[path = "../../../crates/archive/tests/long_ranges/meeting.rs"]
mod meeting;

use std::{sync::Arc, time::Duration};

use endless::{Endless, ask, second, start};
use futures::TryStreamExt as _;
use teiten_archive::{Packed, pack};
use teiten_bucket::{Bucket, Condition, Headers, MemoryBucket};
use teiten_clip::Clip;
use teiten_footage::{ContentHash, PackKey, Pictures};
use teiten_host::{Admission, Asked, Responder as _, Response};

use crate::meeting::Meeting;

/// How many bytes a file has.
async fn load(response: Response) -> u64 {
    let chunks = response.into_body().into_data_stream();
    chunks.try_fold(0, async |sum, chunk| Ok(sum + chunk.len() as u64)).await.unwrap()
}

/// Packs of the footage's windows: one in so many windows, of two of them.
async fn packed(footage: &Endless, packs: u64, every: u64) -> MemoryBucket {
    let media = MemoryBucket::new("media");
    let put = async |key: String, bytes| {
        media.put(&key, bytes, Headers::default(), Condition::Always).await.unwrap();
    };
    let init_key = footage.segment(second(start())).init_key().to_string();
    let init = footage.get(&init_key).await.unwrap().unwrap().bytes;
    for index in 0..packs {
        let first = second(start()).plus(every * index);
        let segments = [first, first.next()].map(|window| footage.bytes(window));
        let keyframe_bytes = Pictures::KEYFRAME_AT + endless::KEYFRAME;
        let bytes = pack(&init, first, &segments.each_ref().map(|bytes| Packed { bytes, keyframe_bytes }));
        let (camera, init) = (footage.segment(first).camera, footage.segment(first).init);
        let (as_of, hash) = (first.plus(2).start(), ContentHash::of(&bytes));
        put(PackKey { camera, first, count: 2, init, as_of, hash }.to_string(), bytes).await;
    }
    put(init_key, init).await;
    media
}

#[tokio::test]
async fn the_packs_of_an_hour_are_asked_for_their_tables_several_at_a_time() {
    let packed = packed(&Endless::new().await, 20, 3).await;
    // Their indexes are at their beginning, and the pictures of what nobody loads are not read.
    let media = Arc::new(Meeting::of(Arc::new(packed), 8, 1));
    let clip = Clip::new(media.clone(), Admission::Anybody);
    let response = ask(&clip, Duration::from_secs(60), None).await;
    assert_eq!((response.status().as_u16(), media.most().count), (200, 8));
}

#[tokio::test]
async fn the_packs_of_some_hours_are_asked_for_their_tables_at_a_time() {
    // Four in the half hour that it begins with, and then seven in an hour.
    let packed = packed(&Endless::new().await, 4 + 4 * 7, 514).await;
    let media = Arc::new(Meeting::of(Arc::new(packed), 4 + 7 + 7, 1));
    let clip = Clip::new(media.clone(), Admission::Anybody);
    let response = ask(&clip, Duration::from_secs(5 * 3600), None).await;
    assert_eq!((response.status().as_u16(), media.most().count), (200, 4 + 7 + 7));
}

#[tokio::test]
async fn the_heads_of_segments_are_read_many_at_a_time() {
    let media = Arc::new(Meeting::of(Arc::new(Endless::new().await), 32, 1));
    let clip = Clip::new(media.clone(), Admission::Anybody);
    let response = ask(&clip, Duration::from_secs(60), None).await;
    assert_eq!((response.status().as_u16(), media.most().count), (200, 32));
}

#[tokio::test]
async fn a_time_lapse_reads_many_keyframes_at_a_time() {
    let media = Arc::new(Meeting::of(Arc::new(Endless::new().await), 16, 1));
    let clip = Clip::new(media.clone(), Admission::Anybody);
    let (from, to) = (start().to_string(), (start() + Duration::from_secs(40)).to_string());
    let asked = Asked::of("/gate.mp4", &[("from", &*from), ("to", &*to), ("lapse", "2")]);
    assert!(load(clip.respond(asked).await.unwrap()).await > 40 * u64::from(endless::KEYFRAME));
    assert_eq!(media.most().count, 16);
}

#[tokio::test]
async fn a_clip_of_large_pictures_is_read_a_few_megabytes_ahead() {
    let mut footage = Endless::new().await;
    footage.other_bytes = 100_000;
    // More of its windows than there is room for: they do not meet.
    let media = Arc::new(Meeting::of(Arc::new(footage), usize::MAX, 1));
    let clip = Clip::new(media.clone(), Admission::Anybody);
    let length = load(ask(&clip, Duration::from_secs(6), None).await).await;
    let most = media.most().bytes;
    assert!(length > 6 * 14 * 100_000 && (2 << 20..=4 << 20).contains(&most), "{most} of {length} bytes");
}
