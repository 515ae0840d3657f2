//! The function, from a batch in a bucket to the event that its segment is stored.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use support::*;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, MemoryBucket, Object, Put, Wrapper};
use teiten_encode::{Encode, Settings};
use teiten_footage::{
    Batch, BatchKey, CameraId, Event, SegmentKey, key::BatchFormat, limits::BATCH_BYTES_MAX,
};
use teiten_host::{Failure, Function};
use tokio::sync::watch;

#[derive(Debug)]
struct Buckets {
    frames: Arc<MemoryBucket>,
    media: Arc<MemoryBucket>,
}

impl Buckets {
    fn new() -> Self {
        Self { frames: Arc::new(MemoryBucket::new("frames")), media: Arc::new(MemoryBucket::new("media")) }
    }

    fn function(&self) -> Encode {
        Encode::new(self.frames.clone(), self.media.clone(), Settings::default())
    }

    async fn store(&self, bytes: Bytes) -> Event {
        let key = key();
        self.frames.put(&key.to_string(), bytes, Default::default(), Condition::Always).await.unwrap();
        Event::BatchStored { bucket: "frames".to_owned(), key, frames: None }
    }

    async fn media(&self, key: &str) -> Bytes {
        self.media.get(key).await.unwrap().unwrap().bytes
    }

    async fn media_keys(&self) -> Vec<String> {
        self.media.list_after("", "", 100).await.unwrap().into_iter().map(|listed| listed.key).collect()
    }
}

fn key() -> BatchKey {
    BatchKey { camera: CameraId::new("front-door").unwrap(), window: window(), format: BatchFormat::Mjpeg }
}

/// A batch as the bridge stores it: its frames carry their stamps.
fn stamped(count: usize) -> Batch {
    let frames = batch(window(), count).frames().to_vec();
    let stamp = |frame: &teiten_footage::Frame| {
        teiten_footage::Frame::stamp(&frame.jpeg, frame.id, frame.captured).unwrap()
    };
    Batch::new(window(), frames.iter().map(stamp)).unwrap()
}

async fn segment(function: &Encode, event: Event) -> SegmentKey {
    match function.handle(event).await.unwrap() {
        Some(Event::SegmentStored { bucket, key, motion: Some(_) }) if bucket == "media" => key,
        other => panic!("{other:?}"),
    }
}

async fn permanent(function: &Encode, event: Event) -> String {
    match function.handle(event).await {
        Err(Failure::Permanent(error)) => format!("{error:#}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stored_batch_becomes_a_stored_segment() {
    let buckets = Buckets::new();
    let batch = stamped(5);
    let event = buckets.store(batch.to_bytes()).await;
    let key = segment(&buckets.function(), event).await;
    let expected = encoded(&batch);
    assert_eq!(key, expected.segment_key(key.camera.clone()));
    assert_eq!(buckets.media_keys().await, [key.to_string(), key.init_key().to_string()]);
    for (name, bytes) in [(key.to_string(), expected.segment), (key.init_key().to_string(), expected.init)] {
        assert_eq!(buckets.media(&name).await, bytes);
        let headers = buckets.media.headers(&name).unwrap();
        assert_eq!(headers.content_type, "video/mp4");
        assert_eq!(headers.cache_control, "max-age=31536000, immutable");
    }
}

#[tokio::test]
async fn an_event_that_comes_again_changes_nothing_and_is_answered_alike() {
    let buckets = Buckets::new();
    let event = buckets.store(stamped(3).to_bytes()).await;
    let function = buckets.function();
    let first = segment(&function, event.clone()).await;
    let etag = buckets.media.get(&first.to_string()).await.unwrap().unwrap().etag;
    // The same instance, and another.
    assert_eq!(segment(&function, event.clone()).await, first);
    assert_eq!(segment(&buckets.function(), event).await, first);
    assert_eq!(buckets.media_keys().await.len(), 2);
    assert_eq!(buckets.media.get(&first.to_string()).await.unwrap().unwrap().etag, etag);
}

#[tokio::test]
async fn late_frames_make_another_segment_with_the_same_init_section() {
    let buckets = Buckets::new();
    let function = buckets.function();
    let batch = stamped(5);
    let event = buckets.store(Batch::new(window(), batch.frames()[..3].to_vec()).unwrap().to_bytes()).await;
    let first = segment(&function, event).await;
    let event = buckets.store(batch.to_bytes()).await;
    let second = segment(&function, event).await;
    assert_eq!(second.init, first.init);
    assert_ne!(second.pictures.frames, first.pictures.frames);
    assert_eq!(buckets.media_keys().await.len(), 3);
}

#[tokio::test]
async fn an_init_section_that_is_deleted_is_stored_again_with_a_later_segment() {
    let buckets = Buckets::new();
    let function = buckets.function();
    let event = buckets.store(stamped(3).to_bytes()).await;
    let key = segment(&function, event.clone()).await;
    let init = key.init_key().to_string();
    buckets.media.delete(&init).await.unwrap();
    segment(&function, event.clone()).await;
    assert_eq!(buckets.media_keys().await, [key.to_string()], "it is believed to be there for a while");
    let function = function.believing_inits_for(Duration::ZERO);
    segment(&function, event).await;
    assert_eq!(buckets.media_keys().await, [key.to_string(), init]);
}

/// A bucket that notes what is asked of it.
#[derive(Debug)]
struct Counting {
    bucket: Arc<MemoryBucket>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Counting {
    fn note(&self, operation: &str) {
        self.asked.lock().unwrap().push(format!("{operation} {}", self.bucket.name()));
    }
}

#[async_trait]
impl Wrapper for Counting {
    fn inner(&self) -> &dyn Bucket {
        &*self.bucket
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.note("get");
        self.bucket.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        self.note("put");
        self.bucket.put(key, bytes, headers, condition).await
    }
}

/// Golden: docs/numbers.md gives these, for each window.
#[tokio::test]
async fn a_batch_costs_two_reads_and_one_write() {
    let buckets = Buckets::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let counting = |bucket: &Arc<MemoryBucket>| {
        Arc::new(Counting { bucket: bucket.clone(), asked: asked.clone() }) as Arc<dyn Bucket>
    };
    let function = Encode::new(counting(&buckets.frames), counting(&buckets.media), Settings::default());
    let event = buckets.store(stamped(3).to_bytes()).await;
    segment(&function, event).await;
    asked.lock().unwrap().clear();
    let event = buckets.store(stamped(4).to_bytes()).await;
    segment(&function, event).await;
    assert_eq!(*asked.lock().unwrap(), ["get frames", "put media", "get frames"]);
}

/// The bucket `frames` of a machine that has no memory for more than a batch may have.
#[derive(Debug)]
struct Bounded(Arc<MemoryBucket>);

#[async_trait]
impl Wrapper for Bounded {
    fn inner(&self) -> &dyn Bucket {
        &*self.0
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let object = self.0.get(key).await?;
        assert!(object.as_ref().is_none_or(|object| object.bytes.len() <= BATCH_BYTES_MAX), "out of memory");
        Ok(object)
    }

    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        assert!(bytes_max <= BATCH_BYTES_MAX, "out of memory");
        self.0.get_up_to(key, bytes_max).await
    }
}

/// The bucket `media`, on the way to which another instance, with more frames of the batch, is faster than the first segment.
#[derive(Debug)]
struct Overtaken {
    buckets: Buckets,
    merged: Mutex<Option<Bytes>>,
    puts: Mutex<Vec<String>>,
}

#[async_trait]
impl Wrapper for Overtaken {
    fn inner(&self) -> &dyn Bucket {
        &*self.buckets.media
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        if !key.ends_with(".m4s") {
            return self.buckets.media.put(key, bytes, headers, condition).await;
        }
        let merged = self.merged.lock().unwrap().take();
        if let Some(merged) = merged {
            let event = self.buckets.store(merged).await;
            let faster = segment(&self.buckets.function(), event).await;
            self.puts.lock().unwrap().push(faster.to_string());
        }
        let put = self.buckets.media.put(key, bytes, headers, condition).await?;
        if put != Put::Refused {
            self.puts.lock().unwrap().push(key.to_owned());
        }
        Ok(put)
    }
}

#[tokio::test]
async fn frames_merged_while_a_batch_is_encoded_are_in_the_segment_that_is_written_last() {
    let batch = stamped(5);
    let some = Batch::new(window(), batch.frames()[..3].to_vec()).unwrap();
    let buckets = Buckets::new();
    let (event, frames) = (buckets.store(some.to_bytes()).await, buckets.frames.clone());
    let media = Overtaken { buckets, merged: Mutex::new(Some(batch.to_bytes())), puts: Mutex::default() };
    let media = Arc::new(media);
    let slower = Encode::new(frames, media.clone(), Settings::default());

    let answered = segment(&slower, event).await;
    assert_eq!(answered.pictures.frames, batch.frames_hash());
    let puts = media.puts.lock().unwrap().clone();
    let [whole, some, last] = &puts[..] else { panic!("{puts:?}") };
    assert_eq!([whole, last], [&answered.to_string(); 2]);
    assert_ne!(some, last);
}

#[tokio::test]
async fn a_torn_frame_costs_only_itself() {
    let buckets = Buckets::new();
    let batch = stamped(3);
    let mut bytes = batch.to_bytes().to_vec();
    let second = batch.frames()[0].jpeg.len();
    let middle = second + batch.frames()[1].jpeg.len() / 2;
    bytes[middle..middle + 50].fill(0xff);
    let event = buckets.store(bytes.into()).await;
    let key = segment(&buckets.function(), event).await;
    let whole = [batch.frames()[0].clone(), batch.frames()[2].clone()];
    assert_eq!(key.pictures.frames, Batch::new(window(), whole).unwrap().frames_hash());
}

/// Otherwise the batch would seem to be written after its segment, and be sent again and again.
#[tokio::test]
async fn a_segment_is_not_older_than_its_batch_though_what_was_merged_into_that_is_torn() {
    let frames = stamped(3).frames().to_vec();
    let whole = Batch::new(window(), frames[..2].to_vec()).unwrap();
    let cut = frames[2].jpeg.len() / 2;
    let torn = [&frames[2].jpeg[..cut], &[0xff; 50], &frames[2].jpeg[cut + 50..]].concat();
    for merged in [torn, [&frames[2].jpeg[..cut], &frames[2].jpeg[frames[2].jpeg.len() - 40..]].concat()] {
        let buckets = Buckets::new();
        let function = buckets.function();
        let event = buckets.store(whole.to_bytes()).await;
        let first = segment(&function, event).await;
        let later = buckets.frames.now() + Duration::from_secs(1);
        buckets.frames.stop_clock(later);
        buckets.media.stop_clock(later);
        let event = buckets.store([&whole.to_bytes()[..], &merged].concat().into()).await;
        assert_eq!(segment(&function, event).await, first);
        let modified = async |bucket: &MemoryBucket, key: String| {
            bucket.list_after(&key, "", 1).await.unwrap()[0].modified_unix_millis
        };
        let batch = modified(&buckets.frames, key().to_string()).await;
        assert!(modified(&buckets.media, first.to_string()).await >= batch);
    }
}

#[tokio::test]
async fn what_can_never_be_encoded_is_refused_for_good_and_says_why() {
    let buckets = Buckets::new();
    let frames = Arc::new(Bounded(buckets.frames.clone()));
    let function = Encode::new(frames, buckets.media.clone(), Settings::default());
    let missing = Event::BatchStored { bucket: "frames".to_owned(), key: key(), frames: None };
    assert!(permanent(&function, missing.clone()).await.ends_with("there is no such batch (any more)"));

    let Event::BatchStored { key, .. } = &missing else { unreachable!() };
    let elsewhere = Event::BatchStored { bucket: "other".to_owned(), key: key.clone(), frames: None };
    assert!(permanent(&function, elsewhere).await.contains("\"other\""));
    let h264 = BatchKey { format: BatchFormat::H264, ..key.clone() };
    let h264 = Event::BatchStored { bucket: "frames".to_owned(), key: h264, frames: None };
    assert!(permanent(&function, h264).await.contains("JPEG"));
    let missed = Event::WindowMissed { camera: key.camera.clone(), window: window() };
    assert!(permanent(&function, missed).await.contains("batch is stored"));

    for (bytes, why) in [
        (Bytes::from_static(b"no picture"), "there is no frame in the batch"),
        (vec![0; BATCH_BYTES_MAX + 1].into(), "67108865 bytes, more than 67108864"),
    ] {
        let event = buckets.store(bytes).await;
        let error = permanent(&function, event).await;
        assert!(error.starts_with("front-door/2026-11-23/04/") && error.contains(why), "{error}");
    }

    let whole = stamped(1).to_bytes();
    let middle = whole.len() / 2;
    // A whole JPEG on the outside, with a piece of its picture missing.
    let corrupt = [&whole[..middle], &whole[whole.len() - 40..]].concat();
    let event = buckets.store(corrupt.into()).await;
    let error = permanent(&function, event).await;
    assert!(
        error.contains("none of the 1 frames of window 20261123T040501.000Z-1000 can be decoded"),
        "{error}"
    );
    assert!(buckets.media_keys().await.is_empty());
}

#[tokio::test]
async fn many_events_at_once_are_all_answered() {
    let buckets = Buckets::new();
    let function = Arc::new(buckets.function());
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..16_u64 {
        let window = window().plus(i);
        let batch = batch(window, 2);
        let stamp = |frame: &teiten_footage::Frame| {
            teiten_footage::Frame::stamp(&frame.jpeg, frame.id, frame.captured).unwrap()
        };
        let bytes = Batch::new(window, batch.frames().iter().map(stamp)).unwrap().to_bytes();
        let key = BatchKey { window, ..key() };
        buckets.frames.put(&key.to_string(), bytes, Default::default(), Condition::Always).await.unwrap();
        let function = Arc::clone(&function);
        let event = Event::BatchStored { bucket: "frames".to_owned(), key, frames: None };
        tasks.spawn(async move { segment(&function, event).await });
    }
    let keys = tasks.join_all().await;
    assert_eq!(keys.len(), 16);
    // One init section for all.
    assert_eq!(buckets.media_keys().await.len(), 17);
}

/// The bucket `frames` of a store that answers nobody until it is told to, and what it was asked for.
#[derive(Debug)]
struct Slow {
    bucket: Arc<MemoryBucket>,
    answers: watch::Sender<bool>,
    asked: watch::Sender<Vec<String>>,
}

#[async_trait]
impl Wrapper for Slow {
    fn inner(&self) -> &dyn Bucket {
        &*self.bucket
    }

    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        self.asked.send_modify(|asked| asked.push(key.to_owned()));
        self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
        self.bucket.get_up_to(key, bytes_max).await
    }
}

#[tokio::test]
async fn of_batches_that_wait_the_newest_is_encoded_next() {
    let buckets = Buckets::new();
    let frames = Arc::new(Slow {
        bucket: buckets.frames.clone(),
        answers: watch::Sender::new(false),
        asked: watch::Sender::default(),
    });
    let function = Encode::new(frames.clone(), buckets.media.clone(), Settings::default()).at_a_time(1);
    let later =
        |windows: u64| BatchKey { window: (0..windows).fold(window(), |window, _| window.next()), ..key() };
    let mut stored = Vec::new();
    for key in [later(0), later(1), later(3), later(2)] {
        let bytes = batch(key.window, 2).to_bytes();
        buckets.frames.put(&key.to_string(), bytes, Default::default(), Condition::Always).await.unwrap();
        stored.push(Event::BatchStored { bucket: "frames".to_owned(), key, frames: None });
    }
    let encoding = futures::future::join_all(stored.into_iter().map(|event| function.handle(event)));
    let store = async {
        frames.asked.subscribe().wait_for(|asked| !asked.is_empty()).await.unwrap();
        frames.answers.send_replace(true);
    };
    let (segments, ()) = tokio::join!(encoding, store);
    assert!(segments.iter().all(|segment| matches!(segment, Ok(Some(Event::SegmentStored { .. })))));
    let expected = [later(0), later(3), later(2), later(1)].map(|key| key.to_string());
    assert_eq!(*frames.asked.borrow(), expected);
}
