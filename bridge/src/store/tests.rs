use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use teiten_bucket::{MemoryBucket, Wrapper};
use teiten_footage::{BootId, CameraId, Frame, Timestamp, Window, WindowLength, batch};
use tokio::sync::Notify;

use super::*;

const BUFFER_BYTES_MAX: usize = 64 << 20;

fn window() -> Window {
    Window::containing(Timestamp::Y2020 + Duration::from_secs(1000), WindowLength::DEFAULT)
}

fn key() -> BatchKey {
    let camera = CameraId::new("front-door").unwrap();
    BatchKey { camera, window: window(), format: BatchFormat::Mjpeg }
}

/// The frame captured `millis` after the window's start; its number is its time.
fn frame(millis: i64) -> Frame {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    let apart = Duration::from_millis(millis.unsigned_abs());
    let captured = if millis < 0 { window().start() - apart } else { window().start() + apart };
    let id = FrameId { boot: BootId(1), sequence: captured.unix_millis() };
    Frame::stamp(&bytes.into_inner(), id, captured).unwrap()
}

fn batch(millis: impl IntoIterator<Item = i64>) -> Batch {
    Batch::new(window(), millis.into_iter().map(frame)).unwrap()
}

struct Bench {
    bucket: MemoryBucket,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let bucket = MemoryBucket::new("frames");
        let store = Store::new(Arc::new(bucket.clone()), BUFFER_BYTES_MAX, Arc::default());
        Self { bucket, store }
    }

    async fn store(&self, batch: &Batch) -> Durable {
        self.store.store(&key(), batch).await.unwrap()
    }

    async fn stored(&self) -> Batch {
        let object = self.bucket.get(&key().to_string()).await.unwrap().unwrap();
        batch::parse(window(), &object.bytes).batch.unwrap()
    }

    /// How many batches were created, merged, and found to be there.
    fn counted(&self) -> (u64, u64, u64) {
        let metrics = &self.store.metrics;
        (
            metrics.batches_stored_total.get(),
            metrics.batches_merged_total.get(),
            metrics.batches_unchanged_total.get(),
        )
    }
}

#[tokio::test]
async fn the_first_batch_of_a_window_becomes_its_object() {
    let bench = Bench::new();
    let durable = bench.store(&batch([0, 100])).await;
    assert_eq!(durable, Durable { frames: batch([0, 100]).frames_hash(), left_out: vec![], is_new: true });
    assert_eq!(bench.stored().await, batch([0, 100]));
    assert_eq!(bench.bucket.headers(&key().to_string()).unwrap().content_type, "video/x-motion-jpeg");
}

#[tokio::test]
async fn late_frames_are_merged_and_known_ones_change_nothing() {
    let bench = Bench::new();
    bench.store(&batch([0, 200])).await;
    let merged = bench.store(&batch([100, 200])).await;
    assert_eq!(merged.frames, batch([0, 100, 200]).frames_hash());
    let again = bench.store(&batch([100])).await;
    assert_eq!(again.frames, merged.frames, "the event that follows names what is stored");
    assert_eq!(bench.stored().await, batch([0, 100, 200]));
    assert_eq!(bench.counted(), (1, 1, 1));
}

#[tokio::test]
async fn a_held_frame_gives_way_to_real_ones_and_never_replaces_any() {
    let bench = Bench::new();
    bench.store(&batch([-500])).await;
    assert!(bench.stored().await.is_held());
    bench.store(&batch([300])).await;
    assert_eq!(bench.stored().await, batch([300]));
    let held = bench.store(&batch([-500])).await;
    assert_eq!(held, Durable { frames: batch([300]).frames_hash(), left_out: vec![], is_new: false });
    assert_eq!(bench.stored().await, batch([300]));
}

#[tokio::test]
async fn bridges_that_race_for_one_window_lose_no_frame() {
    let bench = Bench::new();
    let stores: Vec<Store> = (0..8)
        .map(|_| Store::new(Arc::new(bench.bucket.clone()), BUFFER_BYTES_MAX, Arc::default()))
        .collect();
    let mut racing = tokio::task::JoinSet::new();
    for (i, store) in (0..).zip(stores) {
        racing.spawn(async move {
            for round in 0..5 {
                store.store(&key(), &batch([10 * i + 100 * round])).await.unwrap();
            }
        });
    }
    racing.join_all().await;
    let all = (0..8).flat_map(|i| (0..5).map(move |round| 10 * i + 100 * round));
    assert_eq!(bench.stored().await, batch(all));
}

#[tokio::test]
async fn an_object_that_is_not_a_batch_is_replaced() {
    let bench = Bench::new();
    let rubbish = Bytes::from_static(b"rubbish");
    bench.bucket.put(&key().to_string(), rubbish, HEADERS, Condition::Always).await.unwrap();
    bench.store(&batch([0])).await;
    assert_eq!(bench.stored().await, batch([0]));
}

/// A frame of about a megabyte.
fn large_frame(millis: i64) -> Frame {
    let jpeg = frame(millis).jpeg;
    // A comment segment behind the start of the image.
    let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &vec![0; 0xfffd]].concat();
    let bytes = [&jpeg[..2], &comment.repeat(15), &jpeg[2..]].concat();
    Frame::parse(bytes.into()).unwrap().unwrap()
}

/// A batch that is larger than what is read at once.
fn large_batch() -> Batch {
    let stored = Batch::new(window(), (0..5).map(large_frame)).unwrap();
    assert!(batch_bytes(&stored) > READ_AT_ONCE);
    stored
}

#[tokio::test]
async fn what_is_merged_into_may_be_larger_than_what_is_read_at_once() {
    let bench = Bench::new();
    let stored = large_batch();
    bench.store(&stored).await;
    bench.store(&batch([100])).await;
    assert_eq!(bench.stored().await, stored.merge(batch([100])));
    assert_eq!(bench.store.room.available_permits(), copies_bytes_max(BUFFER_BYTES_MAX));
}

/// A bucket of which nobody may read more at once than a batch may have, and which may hang where that is much.
#[derive(Debug)]
struct Watched {
    bucket: MemoryBucket,
    /// Told when it hangs.
    hangs: Option<Arc<Notify>>,
}

impl Watched {
    async fn watch(&self, object: Option<&Object>) {
        let bytes = object.map_or(0, |object| object.bytes.len());
        assert!(bytes <= BATCH_BYTES_MAX, "{bytes} bytes were read");
        if let Some(hangs) = self.hangs.as_ref().filter(|_| bytes > READ_AT_ONCE) {
            hangs.notify_one();
            std::future::pending().await
        }
    }
}

#[async_trait]
impl Wrapper for Watched {
    fn inner(&self) -> &dyn Bucket {
        &self.bucket
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let object = self.bucket.get(key).await?;
        self.watch(object.as_ref()).await;
        Ok(object)
    }

    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        let object = self.bucket.get_up_to(key, bytes_max).await?;
        self.watch(object.as_ref()).await;
        Ok(object)
    }
}

#[tokio::test]
async fn one_late_frame_of_a_large_window_holds_up_no_other_camera() {
    let bench = Bench::new();
    bench.store(&large_batch()).await;
    let reading = Arc::new(Notify::new());
    let slow = Watched { bucket: bench.bucket.clone(), hangs: Some(reading.clone()) };
    let store = Store::new(Arc::new(slow), BUFFER_BYTES_MAX, Arc::default());
    let (key, late) = (key(), batch([100]));
    let mut merging = std::pin::pin!(store.store(&key, &late));
    tokio::select! {
        _ = &mut merging => panic!("the large batch is never read"),
        () = reading.notified() => {}
    }
    let other = BatchKey { camera: CameraId::new("yard").unwrap(), ..key.clone() };
    let stored = batch([0]);
    tokio::select! {
        biased;
        durable = store.store(&other, &stored) => assert!(durable.unwrap().is_new),
        () = std::future::ready(()) => panic!("there was no room"),
    }
}

#[tokio::test]
async fn an_object_that_is_larger_than_a_batch_may_be_is_not_read_but_named_with_its_size() {
    let bench = Bench::new();
    let foreign = Bytes::from(vec![0; BATCH_BYTES_MAX + 1]);
    bench.bucket.put(&key().to_string(), foreign, HEADERS, Condition::Always).await.unwrap();
    let watched = Watched { bucket: bench.bucket.clone(), hangs: None };
    let store = Store::new(Arc::new(watched), BUFFER_BYTES_MAX, Arc::default());
    let error = store.store(&key(), &batch([0])).await.unwrap_err();
    assert!(!error.is_retryable());
    let said = error.to_string();
    assert!(
        said.contains(&key().to_string()) && said.contains("67108865 bytes, more than 67108864"),
        "{said}"
    );
    assert_eq!(store.room.available_permits(), copies_bytes_max(BUFFER_BYTES_MAX));
}

#[tokio::test]
async fn puts_wait_until_there_is_room_for_their_copies() {
    let bench = Bench::new();
    let taken = bench.store.room_for(MERGE_BYTES_MAX).await;
    let stored = batch([0]);
    let mut storing = std::pin::pin!(bench.store(&stored));
    tokio::select! {
        biased;
        _ = &mut storing => panic!("there was no room"),
        () = std::future::ready(()) => {}
    }
    drop(taken);
    storing.await;
}

#[tokio::test]
async fn frames_beyond_what_a_batch_may_have_are_left_out_and_named() {
    let bench = Bench::new();
    let first: Vec<i64> = (0..900).collect();
    bench.store(&batch(first.iter().copied())).await;
    let held = WINDOW_FRAMES_MAX as i64 - 900;
    let durable = bench.store(&batch(900..999)).await;
    assert_eq!(durable.left_out, []);
    // The window's last milliseconds have two frames each, so that there are enough of them.
    let twins = (0..100).map(|millis| {
        let twin = frame(millis);
        let id = FrameId { boot: BootId(2), ..twin.id };
        Frame::stamp(&twin.jpeg, id, twin.captured).unwrap()
    });
    let durable = bench.store(&Batch::new(window(), twins).unwrap()).await;
    assert_eq!(durable.left_out.len() as i64, 100 - (held - 99));
    assert_eq!(bench.stored().await.frames().len(), WINDOW_FRAMES_MAX);
}
