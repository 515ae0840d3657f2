//! The chore, from batches in a bucket to posters, sheets and indexes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use teiten_bucket::{Bucket, BucketError, Condition, MemoryBucket, Object, Wrapper};
use teiten_footage::{
    Batch, BatchKey, BootId, CameraId, Frame, FrameId, Timestamp, Window, WindowLength, key::BatchFormat,
};
use teiten_host::Chore;
use teiten_pictures::{Pictures, Report, Settings, Sheet};
use turbojpeg::{Compressor, Subsamp, YuvImage, yuv_pixels_len};

const MINUTE: Duration = Duration::from_secs(60);

struct World {
    frames: Arc<MemoryBucket>,
    media: Arc<MemoryBucket>,
    /// Four o'clock.
    start: Timestamp,
}

impl World {
    fn new() -> Self {
        let window: Window = "20261123T040000.000Z-1000".parse().unwrap();
        let bucket = |name| Arc::new(MemoryBucket::new(name));
        Self { frames: bucket("frames"), media: bucket("media"), start: window.start() }
    }

    fn window(&self, second: u64) -> Window {
        Window::containing(self.start, WindowLength::DEFAULT).plus(second)
    }

    /// Stores a batch of two frames whose brightness tells the second.
    async fn film(&self, camera: &str, second: u64, size: (usize, usize)) {
        let window = self.window(second);
        let frames = (0..2).map(|index| {
            let id = FrameId { boot: BootId(7), sequence: 2 * second + index };
            Frame::stamp(
                &jpeg(size, brightness(second)),
                id,
                window.start() + Duration::from_millis(500 * index),
            )
            .unwrap()
        });
        self.put(camera, second, Batch::new(window, frames).unwrap().to_bytes()).await;
    }

    async fn put(&self, camera: &str, second: u64, bytes: Bytes) {
        let camera = CameraId::new(camera).unwrap();
        let key = BatchKey { camera, window: self.window(second), format: BatchFormat::Mjpeg };
        self.frames.put(&key.to_string(), bytes, Default::default(), Condition::Always).await.unwrap();
    }

    /// A run when the clock shows this much more than four.
    async fn run(&self, at: Duration) -> Report {
        let now = self.start + at;
        self.pictures(move || now).run().await.unwrap()
    }

    fn pictures(&self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Pictures {
        self.pictures_as(Settings::default(), clock)
    }

    fn pictures_as(
        &self,
        settings: Settings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Pictures {
        Pictures::with_clock(self.frames.clone(), self.media.clone(), settings, clock)
    }

    /// One that remembers, and what its clock shows.
    fn clocked(&self, at: Duration) -> (Arc<Mutex<Timestamp>>, Pictures) {
        let at = Arc::new(Mutex::new(self.start + at));
        let shown = Arc::clone(&at);
        (at, self.pictures(move || *shown.lock().unwrap()))
    }

    async fn media(&self, key: &str) -> Bytes {
        self.media.get(key).await.unwrap().unwrap_or_else(|| panic!("no {key}")).bytes
    }
}

fn brightness(second: u64) -> u8 {
    60 + (second % 190) as u8
}

fn jpeg((width, height): (usize, usize), luma: u8) -> Vec<u8> {
    let mut pixels = vec![128; yuv_pixels_len(width, 1, height, Subsamp::Sub2x1).unwrap()];
    pixels[..width * height].fill(luma);
    let image = YuvImage { pixels: &pixels[..], width, align: 1, height, subsamp: Subsamp::Sub2x1 };
    Compressor::new().unwrap().compress_yuv_to_vec(image).unwrap()
}

/// The brightness of an image, `(x, y)` from its top left.
fn luma(jpeg: &[u8], x: u32, y: u32) -> u8 {
    image::load_from_memory(jpeg).unwrap().to_luma8().get_pixel(x, y)[0]
}

const SHEET: &str = "gate/2026-11-23/04.sprites.jpg";
const INDEX: &str = "gate/2026-11-23/04.sprites.vtt";

#[tokio::test]
async fn every_ten_seconds_get_a_thumbnail_and_the_camera_a_poster() {
    let world = World::new();
    for second in 3..47 {
        world.film("gate", second, (640, 360)).await;
    }
    let report = world.run(Duration::from_secs(50)).await;
    assert_eq!((report.cameras, report.posters, report.thumbnails, report.sheets), (1, 1, 5, 1));
    let sheet = world.media(SHEET).await;
    for (slot, second) in [(0, 3), (1, 10), (2, 20), (3, 30), (4, 40)] {
        let seen = luma(&sheet, 160 * slot + 80, 45);
        assert!(seen.abs_diff(brightness(second)) <= 2, "slot {slot}: {seen}");
    }
    let index = String::from_utf8(world.media(INDEX).await.to_vec()).unwrap();
    assert!(
        index.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:10.000\n04.sprites.jpg#xywh=0,0,160,90\n"),
        "{index}"
    );
    assert_eq!(index.matches("-->").count(), 5);
    for (key, content_type) in [(SHEET, "image/jpeg"), (INDEX, "text/vtt"), ("gate/poster.jpg", "image/jpeg")]
    {
        let headers = world.media.headers(key).unwrap();
        assert_eq!((headers.content_type, headers.cache_control), (content_type, "no-cache"));
    }
}

#[tokio::test]
async fn a_poster_is_the_newest_frame_small_with_its_time() {
    let world = World::new();
    for second in [0, 30, 31] {
        world.film("gate", second, (1280, 720)).await;
    }
    world.run(Duration::from_secs(40)).await;
    let poster = world.media("gate/poster.jpg").await;
    let picture = image::load_from_memory(&poster).unwrap().to_luma8();
    assert_eq!(picture.dimensions(), (640, 360));
    assert!(picture.get_pixel(320, 180)[0].abs_diff(brightness(31)) <= 2);
    let frame = Frame::parse(poster).unwrap().unwrap();
    assert_eq!((frame.captured, frame.id.sequence), (world.window(31).start(), 62));
    // Nothing new, so it stays; and no thumbnail is made again.
    let report = world.run(Duration::from_secs(240)).await;
    assert_eq!((report.posters, report.thumbnails, report.sheets), (0, 0, 0));
}

#[tokio::test]
async fn a_sheet_made_minute_by_minute_is_the_one_that_is_made_at_once() {
    let (growing, at_once) = (World::new(), World::new());
    for second in 0..240 {
        growing.film("gate", second, (320, 240)).await;
        at_once.film("gate", second, (320, 240)).await;
        if second % 60 == 59 {
            growing.run(Duration::from_secs(second + 2)).await;
        }
    }
    at_once.run(Duration::from_secs(241)).await;
    assert!(growing.media(SHEET).await == at_once.media(SHEET).await);
    assert_eq!(growing.media(INDEX).await, at_once.media(INDEX).await);
}

#[tokio::test]
async fn late_footage_gets_its_thumbnails_and_an_index_that_was_lost_comes_back() {
    let world = World::new();
    world.film("gate", 100, (320, 240)).await;
    world.run(2 * MINUTE).await;
    let before = world.media(SHEET).await;
    world.film("gate", 20, (320, 240)).await;
    world.media.delete(INDEX).await.unwrap();
    assert_eq!(world.run(3 * MINUTE).await.thumbnails, 1);
    let (before, after) = (Sheet::parse(&before).unwrap(), Sheet::parse(&world.media(SHEET).await).unwrap());
    assert!(!before.has(2) && after.has(2) && after.has(10));
    world.media.delete(INDEX).await.unwrap();
    assert_eq!(world.run(4 * MINUTE).await.sheets, 0);
    assert_eq!(world.media(INDEX).await, after.to_vtt("04.sprites.jpg"));
}

/// Runs are a minute apart; the first one is some time after an outage of eight hours.
#[tokio::test]
async fn thumbnails_of_a_long_backlog_are_made_until_all_are_there() {
    let world = World::new();
    let frame = Bytes::from(jpeg((64, 48), 99));
    for second in (0..8 * 3600).step_by(10) {
        let id = FrameId { boot: BootId(7), sequence: second };
        let frame = Frame::stamp(&frame, id, world.window(second).start()).unwrap();
        world.put("gate", second, Batch::new(world.window(second), [frame]).unwrap().to_bytes()).await;
    }
    let (at, pictures) = world.clocked(Duration::from_secs(8 * 3600));
    let mut made = 0;
    for minute in 0..2 * 512 {
        let report = pictures.run().await.unwrap();
        made += report.thumbnails;
        if made == 8 * 360 {
            println!("all are there after {minute} minutes");
            let after = pictures.run().await.unwrap();
            assert_eq!(after.thumbnails, 0);
            return;
        }
        let next = *at.lock().unwrap() + MINUTE;
        *at.lock().unwrap() = next;
    }
    panic!("{made} were made");
}

/// A camera's backlog is of windows older than the horizon.
#[tokio::test]
async fn late_hours_that_cannot_be_decoded_do_not_keep_the_others_from_their_thumbnails() {
    let world = World::new();
    for second in (0..2 * 3600).step_by(10) {
        world.put("gate", second, Bytes::from_static(b"\xff\xd8 torn \xff\xd9")).await;
    }
    let (at, pictures) = world.clocked(Duration::from_secs(30 * 3600));
    let run = async || {
        let report = pictures.run().await.unwrap();
        let next = *at.lock().unwrap() + MINUTE;
        *at.lock().unwrap() = next;
        report
    };
    // One in so many looks at all that there is.
    while run().await.looked_back_seconds < 24 * 3600 {}
    let mut made = 0;
    for minute in 0..5 {
        let now = at.lock().unwrap().since(world.start).as_secs();
        world.film("gate", now - 30, (64, 48)).await;
        made += run().await.thumbnails;
        println!("{made} after {minute} minutes more");
    }
    assert_eq!(made, 5);
}

#[tokio::test]
async fn a_run_that_has_no_time_left_makes_posters_and_leaves_the_thumbnails_to_the_next() {
    let world = World::new();
    for second in 0..30 {
        world.film("gate", second, (320, 240)).await;
        world.film("gate", 3 * 3600 + second, (320, 240)).await;
    }
    let now = world.start + Duration::from_secs(3 * 3600 + 40);
    let settings = Settings { time_max: Duration::ZERO, ..Settings::default() };
    let report = world.pictures_as(settings, move || now).run().await.unwrap();
    assert_eq!((report.posters, report.thumbnails, report.sheets, report.cameras_left), (1, 0, 0, 1));
    let no_time = Settings { cameras_time_max: Duration::ZERO, ..settings };
    let report = world.pictures_as(no_time, move || now).run().await.unwrap();
    assert_eq!((report.posters, report.cameras_left), (0, 1), "posters have their limit, too");
    // Some run looks as far back.
    let settings = Settings { horizon: Duration::from_secs(300), ..Settings::default() };
    let report = world.pictures_as(settings, move || now).run().await.unwrap();
    assert_eq!((report.thumbnails, report.cameras_left), (6, 0));
}

/// A bucket whose first objects are given out once so many are asked for.
#[derive(Debug)]
struct Together {
    inner: Arc<MemoryBucket>,
    left: AtomicUsize,
    barrier: tokio::sync::Barrier,
}

#[async_trait]
impl Wrapper for Together {
    fn inner(&self) -> &dyn Bucket {
        &*self.inner
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let take = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            self.barrier.wait().await;
        }
        self.inner.get(key).await
    }
}

#[tokio::test]
async fn the_frames_of_a_minute_are_asked_for_together() {
    let world = World::new();
    for second in (0..60).step_by(10) {
        world.film("gate", second, (320, 240)).await;
    }
    let (left, barrier) = (AtomicUsize::new(6), tokio::sync::Barrier::new(6));
    let frames = Arc::new(Together { inner: world.frames.clone(), left, barrier });
    let now = world.start + MINUTE;
    let pictures = Pictures::with_clock(frames, world.media.clone(), Settings::default(), move || now);
    let report = tokio::time::timeout(MINUTE, pictures.run()).await.expect("one waits for another").unwrap();
    assert_eq!((report.thumbnails, report.posters), (6, 1));
}

#[test]
fn a_run_ends_before_the_next_one_and_before_its_caller_gives_up() {
    for seconds in [10, 60, 300, 3600] {
        let period = Duration::from_secs(seconds);
        let Settings { time_max, cameras_time_max, .. } = Settings::each(period);
        assert!(time_max < cameras_time_max && cameras_time_max < period.min(Duration::from_secs(300)));
    }
    assert_eq!(Settings::default().time_max, Duration::from_secs(54));
}

#[tokio::test]
async fn frames_that_cannot_be_used_cost_their_own_thumbnail_only() {
    let world = World::new();
    let damaged = || Bytes::from_static(b"\xff\xd8 no picture \xff\xd9");
    world.put("gate", 0, damaged()).await;
    world.film("gate", 10, (320, 240)).await;
    // The next batch of the same ten seconds is as good.
    world.put("gate", 30, damaged()).await;
    world.film("gate", 31, (320, 240)).await;
    world.film("gate", 20, (640, 120)).await; // of another shape: it takes that of the sheet
    world.film("yard", 0, (320, 240)).await;
    world
        .media
        .put(SHEET, Bytes::from_static(b"something"), Default::default(), Condition::Always)
        .await
        .unwrap();
    let report = world.run(MINUTE).await;
    assert_eq!((report.cameras, report.thumbnails, report.sheets), (2, 4, 2));
    let sheet = Sheet::parse(&world.media(SHEET).await).unwrap();
    assert_eq!([0, 1, 2, 3].map(|slot| sheet.has(slot)), [false, true, true, true]);
    assert_eq!(sheet.height(), 120);
}

/// A bucket of which this object is damaged.
#[derive(Debug)]
struct Damaged(Arc<MemoryBucket>, &'static str);

#[async_trait]
impl Wrapper for Damaged {
    fn inner(&self) -> &dyn Bucket {
        &*self.0
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        if key == self.1 {
            let (bucket, key, why) = (self.0.name().to_owned(), key.to_owned(), "it is damaged".to_owned());
            return Err(BucketError::Unavailable { bucket, operation: "get", key, why });
        }
        self.0.get(key).await
    }
}

#[tokio::test]
async fn a_sheet_that_the_store_does_not_give_out_costs_itself_only_and_fails_the_run() {
    let world = World::new();
    for camera in ["attic", "gate", "yard"] {
        world.film(camera, 0, (320, 240)).await;
    }
    let (media, now) = (Arc::new(Damaged(world.media.clone(), SHEET)), world.start + MINUTE);
    let pictures = Pictures::with_clock(world.frames.clone(), media, Settings::default(), move || now);
    let failure = pictures.run().await.unwrap_err();
    assert!(failure.to_string().contains(SHEET), "{failure}");
    for camera in ["attic", "yard"] {
        assert!(Sheet::parse(&world.media(&SHEET.replace("gate", camera)).await).unwrap().has(0));
    }
    for camera in ["attic", "gate", "yard"] {
        world.media(&format!("{camera}/poster.jpg")).await;
    }
}

#[tokio::test]
async fn a_batch_that_the_store_does_not_give_out_costs_its_own_thumbnail_only_and_fails_the_run() {
    let world = World::new();
    for second in [0, 10, 20] {
        world.film("gate", second, (320, 240)).await;
    }
    let damaged = "gate/2026-11-23/04/20261123T040010.000Z-1000.mjpeg";
    let (frames, now) = (Arc::new(Damaged(world.frames.clone(), damaged)), world.start + MINUTE);
    let pictures = Pictures::with_clock(frames, world.media.clone(), Settings::default(), move || now);
    let failure = pictures.run().await.unwrap_err();
    assert!(failure.to_string().contains(damaged), "{failure}");
    let sheet = Sheet::parse(&world.media(SHEET).await).unwrap();
    assert_eq!([0, 1, 2].map(|slot| sheet.has(slot)), [true, false, true]);
    world.media("gate/poster.jpg").await;
}
