//! A real broker, a real sink, a camera that listens for `stored`, and a bridge between them.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode};
use rumqttc::{AsyncClient, Event as MqttEvent, MqttOptions, Packet, Publish, QoS};
use teiten_bridge::Config;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, MemoryBucket, Object, Put, Wrapper};
use teiten_footage::{
    Batch, BatchKey, BootId, CameraId, CloudEvent, Event, Frame, FrameId, Stored, Timestamp, Topic, Window,
    WindowLength, batch, topic::ALL_BRIDGES,
};
use teiten_testing::{Mosquitto, free_port};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Nothing here takes this long unless it never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Mosquitto on a port of its own, as an installation would set it up.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    mosquitto: Mosquitto,
    /// The file in `rules`, if it has any.
    _rules: Option<tempfile::NamedTempFile>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::with("", None)
    }

    /// One with an ACL file of its own.
    pub(crate) fn with_rules(rules: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rules).unwrap();
        // Who it is must be able to read them; and 2.0.11 with the other limit cuts connections over what its rules forbid.
        let more = format!("user root\nmax_queued_messages 1000\nacl_file {}\n", file.path().display());
        Self::with(&more, Some(file))
    }

    fn with(more: &str, rules: Option<tempfile::NamedTempFile>) -> Self {
        let settings = format!(
            "allow_anonymous true\nmax_inflight_messages 2000\nmax_queued_messages 0\nmessage_size_limit 2097152\n{more}"
        );
        let mosquitto = Mosquitto::start(&settings).unwrap();
        Self { address: (Ipv4Addr::LOCALHOST, mosquitto.port()).into(), mosquitto, _rules: rules }
    }

    /// Kills it.
    pub(crate) fn crash(&mut self) {
        self.mosquitto.kill().unwrap();
    }

    /// Starts another one on the same port, which knows nothing.
    pub(crate) fn restart(&mut self) {
        self.mosquitto.restart().unwrap();
    }
}

/// Takes events, and answers what it is told to.
pub(crate) struct Sink {
    pub(crate) url: String,
    answer: Arc<AtomicU16>,
    accepted: mpsc::UnboundedReceiver<Accepted>,
    asked: mpsc::UnboundedReceiver<()>,
}

/// An event that the sink accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) event: Event,
    pub(crate) at: Instant,
}

#[derive(Clone)]
struct SinkState {
    answer: Arc<AtomicU16>,
    accepted: mpsc::UnboundedSender<Accepted>,
    asked: mpsc::UnboundedSender<()>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = Arc::new(AtomicU16::new(202));
        let (accepted_in, accepted) = mpsc::unbounded_channel();
        let (asked_in, asked) = mpsc::unbounded_channel();
        let state = SinkState { answer: answer.clone(), accepted: accepted_in, asked: asked_in };
        let router = Router::new().fallback(take_event).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, answer, accepted, asked }
    }

    /// What it answers from now on; 202 is what it begins with.
    pub(crate) fn answer(&self, status: u16) {
        self.answer.store(status, Ordering::Relaxed);
    }

    /// From now on it takes requests, and never answers.
    pub(crate) fn hang(&self) {
        self.answer(HANGS);
    }

    /// The next event that it accepts.
    pub(crate) async fn next(&mut self) -> Accepted {
        timeout(PATIENCE, self.accepted.recv()).await.expect("an event comes").unwrap()
    }

    /// The next batch that it is told of.
    pub(crate) async fn next_batch(&mut self) -> (String, BatchKey) {
        let accepted = self.next().await;
        match accepted.event {
            Event::BatchStored { key, .. } => (accepted.id, key),
            other => panic!("{other:?} is no stored batch"),
        }
    }

    /// Returns once it was asked one more time, whatever it answered.
    pub(crate) async fn asked(&mut self) {
        timeout(PATIENCE, self.asked.recv()).await.expect("the sink is asked").unwrap();
    }

    /// Events accepted and not yet looked at.
    pub(crate) fn rest(&mut self) -> Vec<Accepted> {
        std::iter::from_fn(|| self.accepted.try_recv().ok()).collect()
    }
}

/// Stands for no answer.
const HANGS: u16 = 0;

async fn take_event(State(state): State<SinkState>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answer = state.answer.load(Ordering::Relaxed);
    if answer == HANGS {
        return std::future::pending().await;
    }
    let status = StatusCode::from_u16(answer).unwrap();
    if status.is_success() {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let envelope = CloudEvent::from_http(headers, &body).unwrap();
        let event = Event::try_from(&envelope).unwrap();
        state.accepted.send(Accepted { id: envelope.id, event, at: Instant::now() }).unwrap();
    }
    state.asked.send(()).unwrap();
    status
}

/// A camera as far as MQTT sees it.
pub(crate) struct Camera {
    pub(crate) id: CameraId,
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Publish>,
    stored: Vec<Stored>,
}

impl Camera {
    pub(crate) async fn connect(broker: &Broker, name: &str) -> Self {
        let id = CameraId::new(name).unwrap();
        let mut options = MqttOptions::new(name, broker.address.ip().to_string(), broker.address.port());
        options.set_max_packet_size(4 << 20, 4 << 20);
        let (client, mut eventloop) = AsyncClient::new(options, 1000);
        let (heard_in, heard) = mpsc::unbounded_channel();
        let (subscribed_in, mut subscribed) = mpsc::unbounded_channel();
        let topics = [Topic::Stored(id.clone()), Topic::Hello].map(|topic| topic.to_string());
        let topics = [&topics[..], &[ALL_BRIDGES.to_owned()]].concat();
        let subscriber = client.clone();
        tokio::spawn(async move {
            loop {
                match eventloop.poll().await {
                    Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {
                        for topic in &topics {
                            subscriber.try_subscribe(topic, QoS::AtMostOnce).unwrap();
                        }
                    }
                    Ok(MqttEvent::Incoming(Packet::SubAck(_))) => drop(subscribed_in.send(())),
                    Ok(MqttEvent::Incoming(Packet::Publish(publish))) => drop(heard_in.send(publish)),
                    Ok(_) => {}
                    // The broker is being restarted.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        for _ in 0..3 {
            timeout(PATIENCE, subscribed.recv()).await.expect("the broker answers").unwrap();
        }
        Self { id, client, heard, stored: Vec::new() }
    }

    pub(crate) async fn send(&self, frames: &[Frame]) {
        for frame in frames {
            self.send_bytes(frame.jpeg.to_vec()).await;
        }
    }

    pub(crate) async fn send_bytes(&self, payload: Vec<u8>) {
        self.send_to(Topic::Frame(self.id.clone()).to_string(), payload, false).await;
    }

    pub(crate) async fn send_to(&self, topic: String, payload: Vec<u8>, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    }

    /// Waits until a bridge has subscribed.
    pub(crate) async fn hello(&mut self) {
        while self.heard().await.topic != Topic::Hello.to_string() {}
    }

    /// Waits until a bridge has subscribed and `replicas` have said that they are there: each of them knows the others
    /// then, before it gets what is sent from now on.
    pub(crate) async fn hello_among(&mut self, replicas: &[&str]) {
        self.hello().await;
        self.are_there(replicas).await;
    }

    /// Waits until all of `replicas` have said that they are there.
    pub(crate) async fn are_there(&mut self, replicas: &[impl std::fmt::Display]) {
        let mut missing: Vec<_> =
            replicas.iter().map(|name| format!("teiten-bridge/{name}/status")).collect();
        while !missing.is_empty() {
            let publish = self.heard().await;
            missing.retain(|topic| *topic != publish.topic || publish.payload.is_empty());
        }
    }

    /// Waits until `replica` is gone.
    pub(crate) async fn is_gone(&mut self, replica: &str) {
        let topic = format!("teiten-bridge/{replica}/status");
        loop {
            let publish = self.heard().await;
            if publish.topic == topic && publish.payload.is_empty() {
                return;
            }
        }
    }

    /// The next `stored`.
    pub(crate) async fn stored(&mut self) -> String {
        loop {
            let publish = self.heard().await;
            if publish.topic == Topic::Stored(self.id.clone()).to_string() {
                assert!(!publish.retain);
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                self.stored.push(payload.parse().unwrap());
                return payload;
            }
        }
    }

    /// Waits until all of `frames` are said to be stored, or were before.
    pub(crate) async fn all_stored(&mut self, frames: &[Frame]) {
        loop {
            let is_stored = |frame: &Frame| self.stored.iter().any(|stored| stored.covers(frame.id));
            if frames.iter().all(is_stored) {
                return;
            }
            self.stored().await;
        }
    }

    /// Waits until the bridge has everything that was sent: messages of one camera keep their order. Two
    /// frames of run `ff`, of the fourth and fifth window after `window`, tell.
    pub(crate) async fn all_received(&mut self, window: Window) {
        let [fourth, fifth] = [4, 5].map(|ahead| frame(BootId(0xff), ahead, window.plus(ahead).start()));
        self.send(&[fourth.clone(), fifth]).await;
        self.all_stored(&[fourth]).await;
    }

    /// Whether nothing more was said to be stored.
    pub(crate) fn has_heard_nothing(&mut self) -> bool {
        let stored = Topic::Stored(self.id.clone()).to_string();
        std::iter::from_fn(|| self.heard.try_recv().ok()).all(|publish| publish.topic != stored)
    }

    async fn heard(&mut self) -> Publish {
        timeout(PATIENCE, self.heard.recv()).await.expect("the bridge says something").unwrap()
    }
}

/// A bridge in this process, with what is around it.
pub(crate) struct Installation {
    pub(crate) broker: Broker,
    pub(crate) sink: Sink,
    pub(crate) frames: MemoryBucket,
    pub(crate) window: WindowLength,
}

impl Installation {
    pub(crate) async fn start() -> Self {
        Self::with(Broker::start()).await
    }

    /// With a broker that was set up in another way.
    pub(crate) async fn with(broker: Broker) -> Self {
        teiten_telemetry::init();
        let sink = Sink::start().await;
        let window = WindowLength::from_millis(500).unwrap();
        Self { broker, sink, frames: MemoryBucket::new("frames"), window }
    }

    /// With one bridge and one camera that know of each other.
    pub(crate) async fn with_camera(name: &str) -> (Self, Bridge, Camera) {
        let installation = Self::start().await;
        let mut camera = Camera::connect(&installation.broker, name).await;
        let bridge = installation.bridge();
        camera.hello().await;
        (installation, bridge, camera)
    }

    pub(crate) fn bridge(&self) -> Bridge {
        self.bridge_with(Arc::new(self.frames.clone()))
    }

    /// A bridge whose access to the bucket is `frames`.
    pub(crate) fn bridge_with(&self, frames: Arc<dyn Bucket>) -> Bridge {
        self.replica_with("bridge-0", frames)
    }

    /// A bridge, and where it tells its numbers.
    pub(crate) fn bridge_that_tells(&self) -> (Bridge, SocketAddr) {
        let address = (Ipv4Addr::LOCALHOST, free_port().unwrap()).into();
        let mut config = self.config("bridge-0", Arc::new(self.frames.clone()));
        config.metrics = Some(address);
        (Bridge::run(config), address)
    }

    /// One of several bridges.
    pub(crate) fn replica(&self, name: &str) -> Bridge {
        self.replica_with(name, Arc::new(self.frames.clone()))
    }

    /// The same, and its access to the bucket is `frames`.
    pub(crate) fn replica_with(&self, name: &str, frames: Arc<dyn Bucket>) -> Bridge {
        Bridge::run(self.config(name, frames))
    }

    fn config(&self, name: &str, frames: Arc<dyn Bucket>) -> Config {
        let mut config = Config::new(self.broker.address, self.window, frames, &self.sink.url).unwrap();
        config.replica = name.parse().unwrap();
        config
    }

    /// The window that it is now.
    pub(crate) fn present(&self) -> Window {
        Window::containing(teiten_telemetry::now(), self.window)
    }

    pub(crate) async fn stored(&self, key: &BatchKey) -> Batch {
        let object = self.frames.get(&key.to_string()).await.unwrap().expect("the batch is in the bucket");
        let parsed = batch::parse(key.window, &object.bytes);
        assert_eq!(parsed.rejected, []);
        parsed.batch.unwrap()
    }

    /// The pictures without stamps of a camera in the bucket: how often each identity is there.
    pub(crate) async fn unstamped(&self, camera: &CameraId) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for frame in self.all_stored(camera).await {
            assert_eq!(frame.id.boot, BootId::NONE);
            *counts.entry(frame.id.sequence).or_default() += 1;
        }
        counts
    }

    /// Every frame of a camera in the bucket, in order; held ones and those of run `ff` left out.
    pub(crate) async fn all_stored(&self, camera: &CameraId) -> Vec<Frame> {
        let mut frames = Vec::new();
        for listed in self.frames.list_after(&format!("{camera}/"), "", 10_000).await.unwrap() {
            let batch = self.stored(&listed.key.parse().unwrap()).await;
            if !batch.is_held() {
                frames.extend(batch.frames().iter().filter(|frame| frame.id.boot != BootId(0xff)).cloned());
            }
        }
        frames
    }
}

/// A bridge that runs.
pub(crate) struct Bridge {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Bridge {
    fn run(config: Config) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(teiten_bridge::run(config, shutdown.clone()));
        Self { shutdown, task }
    }

    /// Stops it, as SIGTERM would.
    pub(crate) async fn drain(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.expect("the bridge stops").unwrap().unwrap();
    }

    /// Ends it where it stands, as SIGKILL would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Waits until what a bridge tells at `address` is as `wanted`.
pub(crate) async fn told(address: SocketAddr, wanted: impl Fn(&str) -> bool) {
    answered(address, "/metrics", wanted).await;
}

/// Waits until what a bridge answers at `address` to who asks for `path` is as `wanted`.
pub(crate) async fn answered(address: SocketAddr, path: &str, wanted: impl Fn(&str) -> bool) {
    let mut text = String::new();
    let ask = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            text = answer;
            if wanted(&text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let done = timeout(PATIENCE, ask).await;
    assert!(done.is_ok(), "the bridge tells\n{text}");
}

/// A small JPEG without a stamp.
pub(crate) fn jpeg() -> Vec<u8> {
    picture(0)
}

/// The same with `number` in its pixels: no two are alike.
pub(crate) fn picture(number: u16) -> Vec<u8> {
    let bit = |x: u32| if number >> x & 1 == 1 { 255 } else { 0 };
    let image = image::GrayImage::from_fn(16 * 8, 8, |x, _| image::Luma([bit(x / 8)]));
    let mut bytes = io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Frames `first`, `first + 1`, … of run `a7`, captured in `window` at these milliseconds after its start.
pub(crate) fn frames(window: Window, first: u64, millis: &[u64]) -> Vec<Frame> {
    let captured = |millis: &u64| window.start() + Duration::from_millis(*millis);
    (first..).zip(millis).map(|(sequence, millis)| frame(BootId(0xa7), sequence, captured(millis))).collect()
}

fn frame(boot: BootId, sequence: u64, captured: Timestamp) -> Frame {
    Frame::stamp(&jpeg(), FrameId { boot, sequence }, captured).unwrap()
}

/// A bucket that does not answer for one camera, and fails for another, until it is mended.
#[derive(Debug)]
pub(crate) struct AilingBucket {
    pub(crate) bucket: MemoryBucket,
    pub(crate) hangs_for: CameraId,
    pub(crate) fails_for: CameraId,
    pub(crate) mended: CancellationToken,
}

impl AilingBucket {
    async fn ail(&self, operation: &'static str, key: &str) -> Result<(), BucketError> {
        if key.starts_with(&format!("{}/", self.hangs_for)) {
            self.mended.cancelled().await;
        } else if key.starts_with(&format!("{}/", self.fails_for)) && !self.mended.is_cancelled() {
            let (bucket, key) = (self.bucket.name().to_owned(), key.to_owned());
            return Err(BucketError::Unavailable { bucket, operation, key, why: "it ails".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl Wrapper for AilingBucket {
    fn inner(&self) -> &dyn Bucket {
        &self.bucket
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.ail("get", key).await?;
        self.bucket.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        self.ail("put", key).await?;
        self.bucket.put(key, bytes, headers, condition).await
    }
}
