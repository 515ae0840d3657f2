//! The function between buckets in memory and a sink over HTTP.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use bytes::Bytes;
use teiten_bucket::{Bucket, Condition, Headers, MemoryBucket};
use teiten_footage::{
    BatchKey, CameraId, CloudEvent, ContentHash, Event, SegmentKey, Timestamp, Window, WindowLength,
    key::{self, BatchFormat},
};
use teiten_host::{Chore as _, Failure, Function as _};
use teiten_playlist::Playlist;
use teiten_reconcile::{Reconcile, Report, Settings};
use teiten_sink::Sink;

/// Buckets, a sink, and a clock that is ahead of the one that the buckets have.
struct World {
    frames: MemoryBucket,
    media: MemoryBucket,
    events: Arc<Mutex<Vec<Event>>>,
    sink: Sink,
    settings: Settings,
}

impl World {
    async fn start() -> Self {
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let sink = Router::new().route("/", post(take)).with_state(events.clone());
        tokio::spawn(async move { axum::serve(listener, sink).await.unwrap() });
        Self {
            frames: MemoryBucket::new("frames"),
            media: MemoryBucket::new("media"),
            events,
            sink: Sink::new(&url).unwrap(),
            settings: Settings::default(),
        }
    }

    /// The window that ended this many windows before the one of now.
    fn window(&self, ago: u64) -> Window {
        Window::containing(teiten_telemetry::now() - Duration::from_secs(ago), WindowLength::DEFAULT)
    }

    async fn batch(&self, camera: &str, window: Window) -> BatchKey {
        let key = BatchKey { camera: id(camera), window, format: BatchFormat::Mjpeg };
        put(&self.frames, &key.to_string(), "").await;
        key
    }

    async fn segment(&self, camera: &str, window: Window, frames: &str) -> SegmentKey {
        let (init, frames) = (ContentHash::of(b"init"), ContentHash::of(frames.as_bytes()));
        let key = SegmentKey { camera: id(camera), window, init, frames };
        put(&self.media, &key.to_string(), "").await;
        key
    }

    /// Works in that a segment is stored, as the playlist function does.
    async fn list(&self, key: &SegmentKey) {
        let playlist = Playlist::new(Arc::new(self.media.clone()), Default::default());
        playlist.handle(stored(key)).await.unwrap();
    }

    /// Runs `later` than now; answers the report, and the events that were sent.
    async fn run(&self, later: Duration) -> (Report, Vec<Event>) {
        let report = self.try_run(later).await.unwrap();
        (report, std::mem::take(&mut *self.events.lock().unwrap()))
    }

    async fn try_run(&self, later: Duration) -> Result<Report, Failure> {
        let (frames, media) = (Arc::new(self.frames.clone()), Arc::new(self.media.clone()));
        let clock = move || teiten_telemetry::now() + later;
        Reconcile::with_clock(frames, media, self.sink.clone(), self.settings, clock).run().await
    }
}

async fn take(State(events): State<Arc<Mutex<Vec<Event>>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let event = CloudEvent::from_http(text, &body).unwrap();
    events.lock().unwrap().push(Event::try_from(&event).unwrap());
    StatusCode::ACCEPTED
}

fn id(camera: &str) -> CameraId {
    CameraId::new(camera).unwrap()
}

fn stored(key: &SegmentKey) -> Event {
    Event::SegmentStored { bucket: "media".to_owned(), key: key.clone(), motion: None }
}

fn batch_stored(key: &BatchKey) -> Event {
    Event::BatchStored { bucket: "frames".to_owned(), key: key.clone(), frames: None }
}

async fn put(bucket: &MemoryBucket, key: &str, text: &'static str) {
    bucket
        .put(key, Bytes::from_static(text.as_bytes()), Headers::default(), Condition::Always)
        .await
        .unwrap();
}

async fn text(bucket: &MemoryBucket, key: &str) -> String {
    String::from_utf8(bucket.get(key).await.unwrap().unwrap().bytes.to_vec()).unwrap()
}

const DELAY: Duration = Duration::from_secs(31);

#[tokio::test]
async fn batches_without_segments_are_sent_again_and_no_others() {
    let world = World::start().await;
    let lost = [world.batch("gate", world.window(9)).await, world.batch("yard", world.window(8)).await];
    let window = world.window(7);
    world.batch("gate", window).await;
    tokio::time::sleep(Duration::from_millis(2)).await; // the next millisecond
    world.segment("gate", window, "all").await;
    put(&world.frames, "gate/notes.txt", "").await;
    let (report, events) = world.run(Duration::ZERO).await;
    assert_eq!((report.batches_sent, events), (0, vec![]), "all may be on its way");
    let (report, events) = world.run(DELAY).await;
    assert_eq!(events, lost.each_ref().map(batch_stored));
    assert_eq!((report.cameras, report.batches, report.batches_sent, report.batches_left), (2, 3, 2, 0));
}

#[tokio::test]
async fn what_is_over_the_limit_is_left_for_the_next_run() {
    let mut world = World::start().await;
    world.settings.batches_max = 2;
    let mut keys = Vec::new();
    for ago in [9, 8, 7] {
        keys.push(world.batch("gate", world.window(ago)).await);
    }
    let (report, events) = world.run(DELAY).await;
    assert_eq!(events, [batch_stored(&keys[0]), batch_stored(&keys[1])], "the oldest first");
    assert_eq!((report.batches_sent, report.batches_left), (2, 1));
}

#[tokio::test]
async fn a_stale_playlist_is_looked_at_again_for_its_newest_segment() {
    let world = World::start().await;
    let listed = world.segment("gate", world.window(5), "a").await;
    world.list(&listed).await;
    let later = Duration::from_secs(6);
    assert_eq!(world.run(later).await.1, []);
    world.segment("gate", world.window(4), "a").await;
    let newest = world.segment("gate", world.window(3), "a").await;
    let (report, events) = world.run(later).await;
    assert_eq!((report.playlists_stale, events), (1, vec![stored(&newest)]));
    world.list(&newest).await;
    assert_eq!(world.run(later).await.1, []);
}

#[tokio::test]
async fn the_list_of_cameras_is_written_anew_if_it_names_others_than_have_a_playlist() {
    let world = World::start().await;
    assert!(!world.run(DELAY).await.0.cameras_rebuilt, "there is nothing to name");
    put(&world.media, "assets/app.js", "").await;
    for camera in ["gate", "yard"] {
        let segment = world.segment(camera, world.window(2), "a").await;
        world.list(&segment).await;
    }
    let right = text(&world.media, key::CAMERAS_KEY).await;
    assert!(!world.run(DELAY).await.0.cameras_rebuilt);
    for wrong in [r#"{"cameras":["gate","attic"]}"#, "no JSON"] {
        put(&world.media, key::CAMERAS_KEY, wrong).await;
        assert!(world.run(DELAY).await.0.cameras_rebuilt);
        assert_eq!(text(&world.media, key::CAMERAS_KEY).await, right);
    }
}

#[tokio::test]
async fn a_playlist_that_is_not_ours_costs_itself_only() {
    let world = World::start().await;
    put(&world.media, "attic/live.m3u8", "#EXTM3U\nmovie.ts\n").await;
    let lost = world.batch("gate", world.window(9)).await;
    assert_eq!(world.run(DELAY).await.1, [batch_stored(&lost)]);
}

#[tokio::test]
async fn a_sink_that_is_away_fails_the_run_so_that_it_is_done_again() {
    let mut world = World::start().await;
    world.batch("gate", world.window(9)).await;
    world.sink = Sink::new(&"http://127.0.0.1:9/".parse().unwrap()).unwrap();
    assert!(matches!(world.try_run(DELAY).await, Err(Failure::Transient(_))));
}

#[tokio::test]
async fn windows_beyond_the_look_back_are_left_alone() {
    let world = World::start().await;
    let horizon = world.settings.horizon;
    let ancient = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT);
    world.batch("gate", ancient).await;
    let (report, events) = world.run(DELAY).await;
    assert!(events.is_empty() && report.looked_back_seconds <= horizon.as_secs());
}
