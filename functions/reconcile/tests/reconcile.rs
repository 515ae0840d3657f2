//! The function between buckets in memory and a sink over HTTP.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use bytes::Bytes;
use teiten_archive::Packed;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Listed, MemoryBucket, Object, Wrapper};
use teiten_footage::{
    BatchKey, CameraId, CloudEvent, ContentHash, DeadLetter, Event, Hour, MotionMap, MotionSpan, PackKey,
    Pictures, SegmentKey, Timestamp, Window, WindowLength,
    key::{self, BatchFormat},
};
use teiten_host::{Chore as _, Failure, Function as _, turns};
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
        let pictures = Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: 1 };
        let init = ContentHash::of(b"init");
        let key = SegmentKey { camera: id(camera), window, init, pictures };
        put(&self.media, &key.to_string(), "").await;
        key
    }

    /// Works in that a segment is stored, as the playlist function does.
    async fn list(&self, key: &SegmentKey) {
        let playlist = Playlist::new(Arc::new(self.media.clone()), Default::default());
        playlist.handle(stored(key)).await.unwrap();
    }

    /// Brings the playlist of the segment's hour up to date.
    async fn list_hour(&self, key: &SegmentKey) {
        let (hour, now) = (Hour::of(key.window), teiten_telemetry::now());
        teiten_archive::update_hour(&self.media, &key.camera, hour, now).await.unwrap();
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

/// One that remembers, called once in each period.
struct Running<'a> {
    world: &'a World,
    now: Arc<Mutex<Timestamp>>,
    reconcile: Reconcile,
}

impl World {
    /// Its first run is this much later than now.
    fn running(&self, later: Duration) -> Running<'_> {
        self.running_on(Arc::new(self.frames.clone()), Arc::new(self.media.clone()), later)
    }

    /// The same on other buckets.
    fn running_on(&self, frames: Arc<dyn Bucket>, media: Arc<dyn Bucket>, later: Duration) -> Running<'_> {
        let now = Arc::new(Mutex::new(teiten_telemetry::now() + later));
        let shown = Arc::clone(&now);
        let clock = move || *shown.lock().unwrap();
        let reconcile = Reconcile::with_clock(frames, media, self.sink.clone(), self.settings, clock);
        Running { world: self, now, reconcile }
    }
}

impl Running<'_> {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    /// The next run: its report, and the batches that were sent.
    async fn run(&self) -> (Report, Vec<BatchKey>) {
        let report = self.reconcile.run().await.unwrap();
        let next = self.now() + self.world.settings.period;
        *self.now.lock().unwrap() = next;
        let sent = std::mem::take(&mut *self.world.events.lock().unwrap()).into_iter();
        (
            report,
            sent.filter_map(
                |event| if let Event::BatchStored { key, .. } = event { Some(key) } else { None },
            )
            .collect(),
        )
    }

    /// The batch of a window that began so long before the next run.
    async fn batch(&self, camera: &str, ago: Duration) -> BatchKey {
        self.world.batch(camera, Window::containing(self.now() - ago, WindowLength::DEFAULT)).await
    }

    /// Segments of these batches.
    async fn encode(&self, batches: &[BatchKey]) {
        for key in batches {
            self.world.segment(key.camera.as_str(), key.window, "all").await;
        }
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

/// Works in that an event was given up.
async fn given_up(frames: &MemoryBucket, id: usize, at: Timestamp) {
    let event = CloudEvent {
        id: id.to_string(),
        source: "/teiten/bridge".to_owned(),
        kind: "teiten.batch.stored".to_owned(),
        subject: None,
        time: None,
        extensions: Default::default(),
        data: Default::default(),
    };
    put(frames, &DeadLetter::of(event, at).1, "{}").await;
}

const DELAY: Duration = Duration::from_secs(31);

#[tokio::test]
async fn dead_letters_of_the_last_day_are_counted_up_to_a_limit() {
    let world = World::start().await;
    let now = teiten_telemetry::now();
    let hour = Duration::from_secs(3600);
    assert_eq!(world.run(Duration::ZERO).await.0.dead_letters, 0);
    for (id, age) in [30, 25, 23, 1].into_iter().enumerate() {
        given_up(&world.frames, id, now - age * hour).await;
    }
    let (report, events) = world.run(Duration::ZERO).await;
    assert_eq!((report.dead_letters, report.cameras, events), (2, 0, vec![]));
    assert_eq!(world.run(2 * hour).await.0.dead_letters, 1);
    for id in 10..1200 {
        given_up(&world.frames, id, now).await;
    }
    assert_eq!(world.run(Duration::ZERO).await.0.dead_letters, 1000);
}

#[tokio::test]
async fn batches_without_segments_are_sent_again_and_no_others() {
    let world = World::start().await;
    let lost = [world.batch("gate", world.window(9)).await, world.batch("yard", world.window(8)).await];
    let window = world.window(7);
    world.batch("gate", window).await;
    world.media.stop_clock(world.frames.now() + Duration::from_millis(2));
    world.segment("gate", window, "all").await;
    put(&world.frames, "gate/notes.txt", "").await;
    let (report, events) = world.run(Duration::ZERO).await;
    assert_eq!((report.batches_sent, events), (0, vec![]), "all may be on its way");
    let (report, events) = world.run(DELAY).await;
    assert_eq!(events, lost.each_ref().map(batch_stored));
    assert_eq!((report.cameras, report.batches, report.batches_sent, report.batches_left), (2, 3, 2, 0));
}

#[tokio::test]
async fn motion_that_a_silent_camera_cuts_off_is_told_to_have_ended() {
    let world = World::start().await;
    let key = world.segment("gate", world.window(5), "all").await;
    let end = Some(key.window.end());
    let motion = Some(MotionMap::from_strengths(&[9; MotionMap::CELLS]));
    let playlist = Playlist::new(Arc::new(world.media.clone()), Default::default());
    let event = Event::SegmentStored { bucket: "media".to_owned(), key, motion };
    let started = playlist.handle(event).await.unwrap();
    let Some(Event::Motion { camera, span }) = started else { panic!("{started:?}") };
    let told = async |seconds: u64| {
        let (_, events) = world.run(Duration::from_secs(seconds)).await;
        events.into_iter().filter(|event| matches!(event, Event::Motion { .. })).collect::<Vec<_>>()
    };
    assert_eq!(told(15).await, []);
    let ended = Event::Motion { camera, span: MotionSpan { end, peak: Some(255), ..span } };
    assert_eq!(told(40).await, std::slice::from_ref(&ended));
    assert_eq!(told(100).await, [ended], "one may be lost");
    assert_eq!(told(400).await, []);
}

#[tokio::test]
async fn what_is_over_the_limit_is_left_for_the_next_run() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (2, Duration::ZERO);
    let mut keys = Vec::new();
    for ago in [9, 8, 7] {
        keys.push(world.batch("gate", world.window(ago)).await);
    }
    let (report, events) = world.run(DELAY).await;
    assert_eq!(events, [batch_stored(&keys[0]), batch_stored(&keys[1])], "the oldest first");
    assert_eq!((report.batches_sent, report.batches_left), (2, 1));
}

/// Runs are a minute apart, and each batch that one sends has its segment before the next. The first run is one that looks far.
#[tokio::test]
async fn what_one_run_leaves_is_sent_by_the_next_ones_however_short_they_look_back() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (30, Duration::ZERO);
    let running = world.running(turn(2 * DELAY, 32));
    let mut left = BTreeSet::new();
    for minutes in 10..90 {
        for seconds in (0..60).step_by(4) {
            let batch = running.batch("gate", Duration::from_secs(60 * minutes + seconds)).await;
            left.insert(batch.window.start());
        }
    }
    while !left.is_empty() {
        let (report, sent) = running.run().await;
        assert_eq!(report.batches_sent, 30, "{} are left", left.len());
        running.encode(&sent).await;
        for key in sent {
            assert!(left.remove(&key.window.start()), "{} is sent twice", key.window);
        }
        assert_eq!(report.batches_left, left.len());
    }
    assert!(running.run().await.0.looked_back_seconds < HOUR.as_secs(), "there is no more to look for");
}

#[tokio::test]
async fn a_camera_that_cannot_be_encoded_takes_nothing_from_the_others() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (30, Duration::ZERO);
    let running = world.running(turn(2 * DELAY, 64));
    for ago in 60..2060 {
        running.batch("attic", Duration::from_secs(ago)).await;
    }
    let (mut lost, mut looked_back) = (None, Vec::new());
    for run in 0..60 {
        for seconds in (31..91).step_by(6) {
            running.batch("attic", Duration::from_secs(seconds)).await;
        }
        if run % 10 == 5 {
            lost = Some((run, running.batch("gate", Duration::from_secs(60)).await));
        }
        let (report, sent) = running.run().await;
        looked_back.push(report.looked_back_seconds);
        if let Some((_, key)) = lost.take_if(|(_, key)| sent.contains(key)) {
            running.encode(&[key]).await;
        }
        assert!(lost.iter().all(|(since, _)| run <= *since), "{lost:?} is not sent by run {run}");
    }
    looked_back.sort();
    assert!(looked_back[30] <= 20 * 60, "what cannot be encoded is looked for now and then: {looked_back:?}");
}

/// As after an outage of `encode`. What was sent into that is found by a run that looks as far by itself.
#[tokio::test]
async fn a_camera_of_which_nothing_came_back_is_made_good_once_something_does() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (30, Duration::ZERO);
    let running = world.running(turn(2 * DELAY, 512));
    let mut left = BTreeSet::new();
    for minutes in 1..=100 {
        left.insert(running.batch("gate", Duration::from_secs(60 * minutes)).await.to_string());
    }
    let sent_in_vain = running.run().await.1.len();
    for _ in 0..20 {
        let (report, sent) = running.run().await;
        assert!(sent.len() <= 3, "{report:?}");
    }
    for runs in 0..40 {
        let (_, sent) = running.run().await;
        running.encode(&sent).await;
        for key in sent {
            left.remove(&key.to_string());
        }
        if left.len() == sent_in_vain {
            println!("all but those are made good after {runs} runs");
        }
        if left.is_empty() {
            return;
        }
    }
    panic!("{} are left", left.len());
}

/// Each batch that a run sends has its segment before the next.
#[tokio::test]
async fn an_hour_without_functions_is_made_good_in_less_than_one_however_many_cameras_there_are() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (30, Duration::ZERO);
    let running = world.running(turn(2 * DELAY, 16));
    for camera in 0..100 {
        for minute in 1..=60 {
            running.batch(&format!("camera-{camera}"), Duration::from_secs(60 * minute)).await;
        }
    }
    let mut all = 100 * 60;
    for run in 1..60 {
        let (report, sent) = running.run().await;
        running.encode(&sent).await;
        all -= sent.len();
        assert!(report.batches_sent <= 30 << run.min(4), "{report:?}");
        if all == 0 {
            println!("all are sent after {run} runs");
            return;
        }
    }
    panic!("{all} are left");
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

/// A bucket of which some live playlists are damaged.
#[derive(Debug)]
struct Damaged {
    inner: MemoryBucket,
    cameras: Vec<CameraId>,
}

#[async_trait]
impl Wrapper for Damaged {
    fn inner(&self) -> &dyn Bucket {
        &self.inner
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        if self.cameras.iter().any(|camera| key == key::live_playlist_key(camera)) {
            let (bucket, key, why) = ("media".to_owned(), key.to_owned(), "it is damaged".to_owned());
            return Err(BucketError::Unavailable { bucket, operation: "get", key, why });
        }
        self.inner.get(key).await
    }
}

#[tokio::test]
async fn an_object_that_the_store_does_not_give_out_costs_its_camera_only_and_fails_the_run() {
    let world = World::start().await;
    for camera in ["gate", "yard"] {
        let segment = world.segment(camera, world.window(20), "a").await;
        world.list(&segment).await;
    }
    let both = text(&world.media, key::CAMERAS_KEY).await;
    let lost = world.batch("yard", world.window(9)).await;
    let (now, frames) = (teiten_telemetry::now() + DELAY, Arc::new(world.frames.clone()));
    let run = async |damaged: &[&str]| {
        let cameras = damaged.iter().map(|camera| id(camera)).collect();
        let media = Arc::new(Damaged { inner: world.media.clone(), cameras });
        let sink = world.sink.clone();
        let reconcile = Reconcile::with_clock(frames.clone(), media, sink, world.settings, move || now);
        let failure = reconcile.run().await.unwrap_err();
        (failure.to_string(), std::mem::take(&mut *world.events.lock().unwrap()))
    };
    // Whether it is named is not known, so that stays.
    for before in [r#"{"cameras":["attic","gate"]}"#, "no JSON"] {
        put(&world.media, key::CAMERAS_KEY, before).await;
        let (failure, sent) = run(&["gate"]).await;
        assert!(failure.contains("gate/live.m3u8"), "{failure}");
        assert_eq!(sent, [batch_stored(&lost)]);
        assert_eq!(text(&world.media, key::CAMERAS_KEY).await, both);
    }
    put(&world.media, key::CAMERAS_KEY, r#"{"cameras":["yard"]}"#).await;
    run(&["gate"]).await;
    assert_eq!(text(&world.media, key::CAMERAS_KEY).await, r#"{"cameras":["yard"]}"#);
    assert_eq!(run(&["gate", "yard"]).await.1, [], "it is the store that fails");
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
    let (report, events) = world.run(turn(DELAY, 512) + world.settings.period).await;
    assert!(events.is_empty() && report.looked_back_seconds < horizon.as_secs());
}

#[tokio::test]
async fn a_batch_that_was_written_now_of_windows_long_ago_is_found_by_a_run_that_looks_far() {
    let world = World::start().await;
    let lost = world.batch("gate", world.window(30 * 3600)).await;
    let window = world.window(29 * 3600);
    world.batch("gate", window).await;
    world.media.stop_clock(world.frames.now() + Duration::from_millis(2));
    world.segment("gate", window, "all").await;
    let far = turn(DELAY, 512);
    assert_eq!(world.run(far + world.settings.period).await.1, []);
    let (report, events) = world.run(far).await;
    assert_eq!(report.looked_back_seconds, 24 * 3600);
    assert_eq!(events, [batch_stored(&lost)]);
    assert_eq!(report.hours_mended, 1, "nobody was told of the other's segment");
}

#[tokio::test]
async fn batches_that_are_sent_are_given_time_to_be_encoded_before_more_are() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (4, Duration::ZERO);
    for ago in 20..30 {
        world.batch("gate", world.window(ago)).await;
    }
    let running = world.running(DELAY);
    let run = async || {
        let (report, sent) = running.run().await;
        ((report.batches_sent, report.batches_left, report.batches_awaited), sent)
    };
    let (report, first) = run().await;
    assert_eq!(report, (4, 6, 0));
    assert_eq!(run().await, ((0, 6, 4), vec![]), "none is encoded");
    running.encode(&first[0..3]).await;
    let (report, sent) = run().await;
    assert_eq!(report, (3, 3, 1));
    assert!(sent.iter().all(|key| !first.contains(key)), "{sent:?}");
}

#[tokio::test]
async fn batches_are_sent_one_after_another_and_not_all_at_once() {
    let mut world = World::start().await;
    world.settings.spread = Duration::from_secs(60);
    for ago in 20..24 {
        world.batch("gate", world.window(ago)).await;
    }
    let begin = tokio::time::Instant::now();
    assert_eq!(world.run(DELAY).await.0.batches_sent, 4);
    assert!(begin.elapsed() >= Duration::from_millis(3 * 60));
}

#[tokio::test]
async fn what_there_is_no_time_to_send_is_left_for_the_next_run() {
    let mut world = World::start().await;
    (world.settings.spread, world.settings.all) = (Duration::from_secs(60), Duration::from_millis(90));
    for ago in 20..30 {
        world.batch("gate", world.window(ago)).await;
    }
    let report = world.run(DELAY).await.0;
    assert!((1..10).contains(&report.batches_sent), "{report:?}");
    assert_eq!(report.batches_sent + report.batches_left, 10);
}

#[test]
fn a_run_ends_before_the_next_one_and_before_its_caller_gives_up() {
    for seconds in [10, 60, 300, 3600] {
        let period = Duration::from_secs(seconds);
        let Settings { spread, looks, all, .. } = Settings::each(period);
        assert!(spread + looks <= all && all < period.min(Duration::from_secs(300)), "{seconds}");
    }
    assert_eq!(Settings::default().spread, Duration::from_secs(45));
}

/// A bucket that notes of which hour each page of a camera is that is listed.
#[derive(Debug)]
struct Paged {
    inner: MemoryBucket,
    pages: Arc<Mutex<Vec<(String, Hour)>>>,
}

#[async_trait]
impl Wrapper for Paged {
    fn inner(&self) -> &dyn Bucket {
        &self.inner
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        let page = self.inner.list_after(prefix, after, count_max).await?;
        let camera = id("gate");
        // Looks at single hours ask for fewer.
        if (prefix, count_max) == (&key::segments_prefix(&camera), 1000)
            && let Some(hour) = page.last().and_then(|last| key::hour_of(&camera, &last.key))
        {
            self.pages.lock().unwrap().push((self.inner.name().to_owned(), hour));
        }
        Ok(page)
    }
}

#[tokio::test]
async fn a_whole_horizon_is_compared_an_hour_at_a_time() {
    let mut world = World::start().await;
    (world.settings.batches_max, world.settings.spread) = (1, Duration::ZERO);
    let camera = id("gate");
    for ago in (600..5 * 3600).step_by(2) {
        let window = world.window(ago);
        world.batch("gate", window).await;
        // Of a name that costs no more than its page: what is published is not what is tested here.
        put(&world.media, &format!("{camera}/{}/{window}.other", Hour::of(window)), "").await;
    }
    let pages = Arc::<Mutex<Vec<(String, Hour)>>>::default();
    let paged = |inner: &MemoryBucket| Arc::new(Paged { inner: inner.clone(), pages: Arc::clone(&pages) });
    let (frames, media) = (paged(&world.frames), paged(&world.media));
    let later = turn(DELAY, 512);
    let clock = move || teiten_telemetry::now() + later;
    let reconcile = Reconcile::with_clock(frames, media, world.sink.clone(), world.settings, clock);
    let report = reconcile.run().await.unwrap();
    let all = (600..5 * 3600).step_by(2).count();
    assert_eq!((report.batches, report.batches_sent, report.batches_left), (all, 1, all - 1));
    let pages = pages.lock().unwrap();
    assert!(pages.len() > 15, "{pages:?}");
    for page in pages.windows(2).filter(|pair| pair[0].0 != pair[1].0) {
        let (one, other) = (page[0].1.start(), page[1].1.start());
        assert!(one.since(other).max(other.since(one)) <= HOUR, "{page:?}");
    }
    let longest = pages.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).max();
    assert!(longest <= Some(3), "{pages:?}");
}

/// A bucket that takes its time to list, as long as it is slow.
#[derive(Debug)]
struct Slow {
    inner: MemoryBucket,
    is_slow: Arc<AtomicBool>,
    /// How long it takes to list what begins so.
    takes: fn(&str) -> Duration,
}

impl Slow {
    fn new(inner: &MemoryBucket, takes: fn(&str) -> Duration) -> Self {
        Self { inner: inner.clone(), is_slow: Arc::new(AtomicBool::new(true)), takes }
    }
}

#[async_trait]
impl Wrapper for Slow {
    fn inner(&self) -> &dyn Bucket {
        &self.inner
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        if self.is_slow.load(Ordering::Relaxed) {
            tokio::time::sleep((self.takes)(prefix)).await;
        }
        self.inner.list_after(prefix, after, count_max).await
    }
}

/// A bucket that notes what it is asked to list.
#[derive(Debug)]
struct Noting {
    inner: MemoryBucket,
    prefixes: Mutex<Vec<String>>,
}

#[async_trait]
impl Wrapper for Noting {
    fn inner(&self) -> &dyn Bucket {
        &self.inner
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        self.prefixes.lock().unwrap().push(prefix.to_owned());
        self.inner.list_after(prefix, after, count_max).await
    }
}

#[tokio::test]
async fn runs_that_have_time_for_a_quarter_of_the_cameras_have_come_to_all_of_them_after_seven() {
    let mut world = World::start().await;
    world.settings.spread = Duration::ZERO;
    for camera in 0..36 {
        world.batch(&format!("camera-{camera}"), world.window(9)).await;
    }
    let frames = Arc::new(Noting { inner: world.frames.clone(), prefixes: Mutex::default() });
    let running = world.running_on(frames.clone(), Arc::new(world.media.clone()), Duration::ZERO);
    let mut had_time = BTreeSet::new();
    for _ in 0..7 {
        frames.prefixes.lock().unwrap().clear();
        running.run().await;
        let listed = frames.prefixes.lock().unwrap().clone().into_iter();
        let mut cameras: Vec<String> = listed.filter(|prefix| prefix.starts_with("camera")).collect();
        cameras.dedup();
        had_time.extend(cameras.into_iter().take(36 / 4));
    }
    assert_eq!(had_time.len(), 36, "{had_time:?}");
}

#[tokio::test]
async fn what_a_run_has_no_time_to_look_for_is_found_by_the_next_one_that_has() {
    let mut world = World::start().await;
    (world.settings.looks, world.settings.spread) = (Duration::from_millis(30), Duration::ZERO);
    let frames = Slow::new(&world.frames, |_| Duration::from_millis(30));
    let is_slow = Arc::clone(&frames.is_slow);
    let running = world.running_on(Arc::new(frames), Arc::new(world.media.clone()), turn(2 * DELAY, 512));
    let old = running.batch("gate", 10 * HOUR).await;
    let young = running.batch("gate", Duration::from_secs(60)).await;
    let (report, sent) = running.run().await;
    assert_eq!(sent, std::slice::from_ref(&young));
    assert_eq!((report.looked_back_seconds, report.cameras_unseen), (5 * 60, 1), "not a day");
    running.encode(&[young]).await;
    is_slow.store(false, Ordering::Relaxed);
    let mut runs = 0;
    while !running.run().await.1.contains(&old) {
        runs += 1;
        assert!(runs < 60, "no other run looks as far by itself");
    }
}

#[tokio::test]
async fn a_run_looks_far_back_however_long_it_takes_to_find_which_cameras_there_are() {
    let mut world = World::start().await;
    (world.settings.looks, world.settings.spread) = (Duration::from_millis(200), Duration::ZERO);
    let of_folders = |prefix: &str| Duration::from_millis(if prefix.is_empty() { 150 } else { 0 });
    let frames = Arc::new(Slow::new(&world.frames, of_folders));
    let running = world.running_on(frames, Arc::new(world.media.clone()), turn(2 * DELAY, 512));
    let old = running.batch("gate", 10 * HOUR).await;
    let mut runs = 1;
    while !running.run().await.1.contains(&old) {
        runs += 1;
        assert!(runs <= 3, "{runs}");
    }
}

#[tokio::test]
async fn a_survey_that_there_is_no_time_for_is_gone_on_with_by_the_next_runs() {
    let mut world = World::start().await;
    let time = Duration::from_millis(100);
    (world.settings.looks, world.settings.all) = (time, time);
    let first = Hour::containing(teiten_telemetry::now() - 202 * HOUR).start();
    for hour in 0..200 {
        let window = Window::containing(first + hour * HOUR, WindowLength::DEFAULT);
        let segment = world.segment("gate", window, "a").await;
        world.list_hour(&segment).await;
    }
    let archive = key::archive_key(&id("gate"));
    let right = text(&world.media, &archive).await;
    world.media.delete(&archive).await.unwrap();
    let media = Arc::new(Slow::new(&world.media, |_| Duration::from_millis(5)));
    let running = world.running_on(Arc::new(world.frames.clone()), media, turn(Duration::ZERO, 1024));
    for run in 0..200 {
        running.run().await;
        if text(&world.media, &archive).await == right {
            println!("all of it after {run} more runs");
            assert!(run > 0, "a second of listing is no run's");
            return;
        }
    }
    panic!("the archive is not complete: {}", text(&world.media, &archive).await);
}

#[tokio::test]
async fn batches_whose_segments_were_put_together_are_not_sent_again() {
    let mut world = World::start().await;
    world.settings.horizon = Duration::from_secs(320 * 60);
    let later = turn(2 * DELAY, 64);
    // As far as that run looks back, in the midst of a pack.
    let from = teiten_telemetry::now() + later - world.settings.horizon;
    let hour = Hour::containing(from);
    let windows = (1..4).map(|index| Window::containing(from, WindowLength::DEFAULT).plus(index));
    for window in windows.filter(|window| Hour::of(*window) == hour) {
        world.batch("gate", window).await;
    }
    world.batch("gate", Window::containing(hour.end(), WindowLength::DEFAULT)).await;
    let pack = PackKey {
        camera: id("gate"),
        first: Window::containing(hour.start(), WindowLength::DEFAULT),
        count: 3600,
        init: ContentHash::of(b"init"),
        as_of: Timestamp::from_unix_millis(teiten_telemetry::now().unix_millis() / 1000 * 1000 + 1000),
        hash: ContentHash::of(b"pack"),
    };
    put(&world.media, &pack.to_string(), "").await;
    let (report, _) = world.run(later).await;
    assert_eq!(report.looked_back_seconds, 320 * 60);
    assert_eq!(report.batches_sent, 1, "that of the next hour alone: {report:?}");
}

/// Stores a pack of one window.
async fn put_pack(media: &MemoryBucket, first: Window) {
    let boxed = |kind: &str| [&100_u32.to_be_bytes()[..], kind.as_bytes(), &[0; 92]].concat();
    let (init, segment) = (boxed("moov"), boxed("mdat"));
    let bytes = teiten_archive::pack(&init, first, &[Packed { bytes: &segment, keyframe_bytes: 100 }]);
    let (init, hash, as_of) = (ContentHash::of(&init), ContentHash::of(&bytes), first.start() + HOUR);
    let key = PackKey { camera: id("gate"), first, count: 1, init, as_of, hash };
    media.put(&key.to_string(), bytes, Headers::default(), Condition::Always).await.unwrap();
}

/// The first run of so many of the camera `gate`, soon after `later` than now: of 16 it looks at its archive, of 1024 at all of that.
fn turn(later: Duration, runs: u64) -> Duration {
    let period = Settings::default().period;
    let now = teiten_telemetry::now();
    let next = (now + later).unix_micros() / period.as_micros() as u64 + 1;
    let mut runs_from = (next..).map(|run| Timestamp::from_unix_micros(run * period.as_micros() as u64));
    let is_turn = |at: &Timestamp| turns::run_of(&id("gate"), *at, period).is_multiple_of(runs);
    runs_from.find(is_turn).unwrap().since(now)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_hour_is_ended_though_its_camera_fell_silent() {
    let world = World::start().await;
    let window = world.window(5);
    let segment = world.segment("gate", window, "a").await;
    world.list(&segment).await;
    let playlist = key::hour_playlist_key(&id("gate"), Hour::of(window));
    assert_eq!(world.run(Duration::ZERO).await.0.hours_mended, 0, "its camera is filming");
    let report = world.run(turn(HOUR * 2, 128)).await.0;
    assert_eq!((report.hours_mended, report.archives_rebuilt), (1, 0), "archive.json came with the playlist");
    let text = text(&world.media, &playlist).await;
    assert!(text.contains(&segment.in_day()) && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(world.run(turn(HOUR * 2, 128)).await.0.hours_mended, 0);
    // Late footage of which nobody is told.
    let late = world.segment(
        "gate",
        Window::containing(window.start() - Duration::from_secs(1), window.length()),
        "a",
    );
    let late = late.await;
    if Hour::of(late.window) == Hour::of(window) {
        assert_eq!(world.run(turn(HOUR * 2, 128)).await.0.hours_mended, 1);
        assert!(self::text(&world.media, &playlist).await.contains(&late.in_day()));
    }
}

#[tokio::test]
async fn archives_and_hours_are_rebuilt_from_a_listing_alone() {
    let world = World::start().await;
    let segment = world.segment("gate", world.window(5), "a").await;
    let hour = Hour::of(segment.window);
    let (playlist, archive) = (key::hour_playlist_key(&id("gate"), hour), key::archive_key(&id("gate")));
    let named = format!(r#"{{"days":{{"{}":[{}]}}}}"#, hour.day(), hour.of_day());
    world.run(turn(HOUR * 2, 128)).await;
    let right = text(&world.media, &playlist).await;
    assert_eq!(text(&world.media, &archive).await, named);
    for (wrong, rebuilt) in [
        ("no JSON", 1),
        (r#"{"days":{"2020-02-02":[2]}}"#, 1),
        // The playlist names its hour when it is written. Keys that are not known are passed over.
        (r#"{"window_millis":1000,"days":{}}"#, 0),
    ] {
        put(&world.media, &archive, wrong).await;
        world.media.delete(&playlist).await.unwrap();
        let report = world.run(turn(HOUR * 2, 128)).await.0;
        assert_eq!((report.hours_mended, report.archives_rebuilt), (1, rebuilt), "{wrong}");
        assert_eq!(
            (text(&world.media, &archive).await, text(&world.media, &playlist).await),
            (named.clone(), right.clone())
        );
    }
    world.media.delete(&archive).await.unwrap();
    assert_eq!(world.run(turn(HOUR * 2, 16)).await.0.archives_rebuilt, 1);
    assert_eq!(text(&world.media, &archive).await, named);
}

#[tokio::test]
async fn the_archives_of_many_cameras_are_not_all_looked_at_by_one_run() {
    let world = World::start().await;
    for camera in 0..32 {
        let camera = id(&format!("camera-{camera}"));
        put(&world.media, &key::archive_key(&camera), r#"{"days":{"2020-02-02":[2]}}"#).await;
    }
    let mut rebuilt = Vec::new();
    for run in 0..16 {
        let later = turn(Duration::ZERO, 1024) + world.settings.period * run;
        rebuilt.push(world.run(later).await.0.archives_rebuilt);
    }
    assert_eq!(rebuilt.iter().sum::<usize>(), 32);
    assert!(rebuilt.iter().all(|rebuilt| *rebuilt <= 8), "{rebuilt:?}");
}

#[tokio::test]
async fn hours_whose_footage_has_expired_are_no_longer_named() {
    let world = World::start().await;
    let first = Window::containing(world.window(0).start() - HOUR * 40, WindowLength::DEFAULT);
    let mut segments = Vec::new();
    for hours in [0, 20, 21] {
        for seconds in [0, 1] {
            let start = Hour::of(first).start() + HOUR * hours + Duration::from_secs(seconds);
            let segment = world.segment("gate", Window::containing(start, WindowLength::DEFAULT), "a").await;
            world.list_hour(&segment).await;
            segments.push(segment);
        }
    }
    let archive = key::archive_key(&id("gate"));
    let days = |text: &str| teiten_archive::Archive::parse(text.as_bytes()).unwrap().hours().count();
    assert_eq!(days(&text(&world.media, &archive).await), 3);
    for expired in &segments[0..3] {
        world.media.delete(&expired.to_string()).await.unwrap();
    }
    assert_eq!(world.run(turn(Duration::ZERO, 16)).await.0.archives_rebuilt, 1);
    assert_eq!(days(&text(&world.media, &archive).await), 2);
    let eroded = text(&world.media, &key::hour_playlist_key(&id("gate"), Hour::of(segments[2].window))).await;
    assert!(!eroded.contains(&segments[2].in_day()) && eroded.contains(&segments[3].in_day()), "{eroded}");
    world.media.delete(&segments[4].to_string()).await.unwrap();
    world.media.delete(&segments[5].to_string()).await.unwrap();
    assert_eq!(world.run(turn(Duration::ZERO, 1024)).await.0.archives_rebuilt, 1);
    assert_eq!(days(&text(&world.media, &archive).await), 1);
}

#[tokio::test]
async fn hours_that_expired_behind_those_that_came_late_are_no_longer_named() {
    let world = World::start().await;
    let first = Hour::of(world.window(40 * 3600)).start();
    let mut segments = Vec::new();
    for hours in 0..4 {
        let window = Window::containing(first + HOUR * hours, WindowLength::DEFAULT);
        let segment = world.segment("gate", window, "a").await;
        world.list_hour(&segment).await;
        segments.push(segment);
    }
    // All was written now. Of what was written in its time, some expires before what is in front of it.
    for expired in &segments[1..3] {
        world.media.delete(&expired.to_string()).await.unwrap();
    }
    world.run(turn(Duration::ZERO, 16)).await;
    let archive = text(&world.media, &key::archive_key(&id("gate"))).await;
    let archive = teiten_archive::Archive::parse(archive.as_bytes()).unwrap();
    let named: Vec<Hour> = archive.hours().collect();
    assert_eq!(named, [0, 3].map(|index| Hour::of(segments[index].window)));
}

#[tokio::test]
async fn what_expired_behind_late_footage_of_its_own_hour_is_no_longer_listed() {
    let world = World::start().await;
    let first = Window::containing(Hour::of(world.window(40 * 3600)).start(), WindowLength::DEFAULT);
    let mut segments = Vec::new();
    for second in 0..3 {
        segments.push(world.segment("gate", first.plus(second), "a").await);
    }
    world.list_hour(&segments[0]).await;
    // All was written now. What was written in its time expires before what is in front of it.
    for expired in &segments[1..] {
        world.media.delete(&expired.to_string()).await.unwrap();
    }
    world.run(turn(Duration::ZERO, 16)).await;
    let listed = text(&world.media, &key::hour_playlist_key(&id("gate"), Hour::of(first))).await;
    let is_listed: Vec<bool> = segments.iter().map(|segment| listed.contains(&segment.in_day())).collect();
    assert_eq!(is_listed, [true, false, false], "{listed}");
}

#[tokio::test]
async fn a_survey_lists_an_old_hour_anew_whose_playlist_is_lost() {
    for is_packed in [false, true] {
        let world = World::start().await;
        let start = Hour::containing(world.window(24 * 3600).start()).start();
        let first = Window::containing(start, WindowLength::DEFAULT);
        let hour = Hour::of(first);
        if is_packed {
            put_pack(&world.media, first).await;
        } else {
            world.segment("gate", first, "a").await;
        }
        let now = teiten_telemetry::now();
        teiten_archive::update_hour(&world.media, &id("gate"), hour, now).await.unwrap();
        let (playlist, archive) = (key::hour_playlist_key(&id("gate"), hour), key::archive_key(&id("gate")));
        let right = text(&world.media, &playlist).await;
        let named = text(&world.media, &archive).await;
        for archive_is_lost in [false, true] {
            world.media.delete(&playlist).await.unwrap();
            if archive_is_lost {
                world.media.delete(&archive).await.unwrap();
            }
            world.run(turn(Duration::ZERO, 1024)).await;
            assert_eq!(text(&world.media, &playlist).await, right, "packed: {is_packed}");
            assert_eq!(text(&world.media, &archive).await, named);
        }
    }
}

#[tokio::test]
async fn a_survey_ends_an_old_hour_that_nobody_ended() {
    for somebody_began_to in [false, true] {
        let world = World::start().await;
        let hour = Hour::containing(world.window(48 * 3600).start());
        let window =
            |second| Window::containing(hour.start() + Duration::from_secs(second), WindowLength::DEFAULT);
        let first = world.segment("gate", window(5), "a").await;
        // Within the hour, before all went down.
        let then = hour.start() + Duration::from_secs(600);
        teiten_archive::update_hour(&world.media, &id("gate"), hour, then).await.unwrap();
        let playlist = key::hour_playlist_key(&id("gate"), hour);
        let begun = text(&world.media, &playlist).await;
        assert!(begun.contains(&first.in_day()) && !begun.contains("#EXT-X-ENDLIST"), "{begun}");
        if somebody_began_to {
            // What is beside the playlist is written before it.
            world.media.stop_clock(world.media.now() + Duration::from_millis(2));
            put(&world.media, &key::hour_variants_key(&id("gate"), hour), "").await;
        }
        let last = world.segment("gate", window(900), "a").await;
        let late = world.segment("gate", window(1), "a").await;
        world.run(turn(Duration::ZERO, 1024)).await;
        let ended = text(&world.media, &playlist).await;
        for segment in [first, last, late] {
            assert!(ended.contains(&segment.in_day()), "{segment} in {ended}");
        }
        assert!(ended.ends_with("#EXT-X-ENDLIST\n"), "{ended}");
    }
}

#[tokio::test]
async fn a_silent_camera_is_listed_until_its_footage_has_expired_and_again_from_its_next_segment_on() {
    let world = World::start().await;
    let now = Arc::new(Mutex::new(teiten_telemetry::now()));
    let shown = Arc::clone(&now);
    let clock = move || *shown.lock().unwrap();
    // An instance that goes on remembering.
    let playlist = Playlist::with_clock(Arc::new(world.media.clone()), Default::default(), clock);
    let segment = world.segment("gate", world.window(5), "a").await;
    playlist.handle(stored(&segment)).await.unwrap();
    world.list_hour(&segment).await;
    let named = async || text(&world.media, key::CAMERAS_KEY).await;
    let silent = turn(26 * HOUR, 16);
    world.run(silent).await;
    world.run(silent).await;
    assert_eq!(named().await, r#"{"cameras":["gate"]}"#, "there is footage");
    world.media.delete(&segment.to_string()).await.unwrap();
    world.run(turn(2 * HOUR, 16)).await;
    assert!(!world.run(2 * HOUR).await.0.cameras_rebuilt, "it may have been switched off for a while");
    assert!(world.run(silent).await.0.cameras_rebuilt);
    assert_eq!(named().await, r#"{"cameras":[]}"#);
    assert!(!world.run(silent).await.0.cameras_rebuilt);

    *now.lock().unwrap() = teiten_telemetry::now() + silent;
    let first = Window::containing(*now.lock().unwrap() - Duration::from_secs(9), WindowLength::DEFAULT);
    for index in 0..4 {
        let segment = world.segment("gate", first.plus(index), "a").await;
        playlist.handle(stored(&segment)).await.unwrap();
    }
    assert_eq!(named().await, r#"{"cameras":["gate"]}"#);
    assert!(!world.run(silent).await.0.cameras_rebuilt);
}

#[tokio::test]
async fn a_camera_that_has_nothing_but_a_past_is_listed() {
    let world = World::start().await;
    let segment = world.segment("gate", world.window(2 * 3600), "a").await;
    world.list_hour(&segment).await;
    assert!(world.run(Duration::ZERO).await.0.cameras_rebuilt);
    assert_eq!(text(&world.media, key::CAMERAS_KEY).await, r#"{"cameras":["gate"]}"#);
    assert!(!world.run(Duration::ZERO).await.0.cameras_rebuilt);
}
