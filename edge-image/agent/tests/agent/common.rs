//! A real broker, and a bridge that does nothing but say `stored`.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use teiten_agent::{
    Config,
    config::{Broker, Footage, PictureSize, Rate, Source},
    pattern::{Painter, read_clock},
};
use teiten_footage::{
    BootId, CameraId, Frame, FrameId, Stored, Timestamp, Topic, limits::MQTT_PACKET_BYTES_MAX,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub(crate) fn camera() -> CameraId {
    CameraId::new("front-door").unwrap()
}

/// The result of `future`, which must come before long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(40), future).await.expect("it should have happened by now")
}

/// Mosquitto, which dies as by `kill -9` when dropped.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    process: teiten_testing::Mosquitto,
}

impl Mosquitto {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| String::new()).await.0
    }

    /// With more settings, which may need the port that comes with it.
    pub(crate) async fn start_with(more: impl Fn(u16) -> String) -> (Self, u16) {
        let other = Cell::new(0);
        let process = teiten_testing::Mosquitto::start_with(|| {
            other.set(teiten_testing::free_port()?);
            let limits = "max_inflight_messages 2000\nmax_queued_messages 0";
            Ok(format!("allow_anonymous true\n{limits}\n{}", more(other.get())))
        });
        let process = process.unwrap();
        (Self { port: process.port(), process }, other.get())
    }

    /// `kill -9`; the port stays this broker's.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.process.restart().unwrap();
    }
}

/// What a bridge hears; dropping it ends it without a word.
pub(crate) struct Bridge {
    heard: mpsc::UnboundedReceiver<Heard>,
    stores: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Heard {
    Frame(Frame),
    Status(String),
    Subscribed,
}

impl Bridge {
    /// A bridge that receives; once `stores`, it says `stored` of each frame as it comes.
    pub(crate) fn start(port: u16, stores: bool) -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let stores = Arc::new(AtomicBool::new(stores));
        let task = tokio::spawn(bridge(port, Arc::clone(&stores), sender));
        Self { heard, stores, task }
    }

    pub(crate) fn store_from_now_on(&self) {
        self.stores.store(true, Ordering::Relaxed);
    }

    /// Waits until it hears of every frame.
    pub(crate) async fn ready(&mut self) {
        // The second subscription is the one for frames.
        for _ in 0..2 {
            soon(async { while !matches!(self.heard.recv().await.unwrap(), Heard::Subscribed) {} }).await;
        }
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        soon(self.frame_sometime()).await
    }

    /// The next frame, however long it takes.
    pub(crate) async fn frame_sometime(&mut self) -> Frame {
        loop {
            if let Heard::Frame(frame) = self.heard.recv().await.unwrap() {
                return frame;
            }
        }
    }

    pub(crate) async fn frames(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.frame().await);
        }
        frames
    }

    /// Waits for this status.
    pub(crate) async fn status(&mut self, expected: &str) {
        soon(self.status_sometime(expected)).await
    }

    /// Waits for this status, however long it takes.
    pub(crate) async fn status_sometime(&mut self, expected: &str) {
        while !matches!(self.heard.recv().await.unwrap(), Heard::Status(status) if status == expected) {}
    }

    /// The frames that were heard and not asked for yet.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(heard) = self.heard.try_recv() {
            if let Heard::Frame(frame) = heard {
                frames.push(frame);
            }
        }
        frames
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bridge(port: u16, stores: Arc<AtomicBool>, heard: mpsc::UnboundedSender<Heard>) {
    let status = Topic::Status(camera()).to_string();
    let frame = Topic::Frame(camera()).to_string();
    loop {
        let mut options = MqttOptions::new("teiten-bridge", "127.0.0.1", port);
        options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        let (client, mut event_loop) = AsyncClient::new(options, 10_000);
        while let Ok(event) = event_loop.poll().await {
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    client.try_subscribe(&status, QoS::AtLeastOnce).unwrap();
                    client.try_subscribe(&frame, QoS::AtLeastOnce).unwrap();
                }
                Event::Incoming(Packet::SubAck(_)) => {
                    client.try_publish(Topic::Hello.to_string(), QoS::AtMostOnce, false, "").unwrap();
                    let _test_has_ended = heard.send(Heard::Subscribed);
                }
                Event::Incoming(Packet::Publish(message)) if message.topic == status => {
                    let status = String::from_utf8(message.payload.to_vec()).unwrap();
                    let _test_has_ended = heard.send(Heard::Status(status));
                }
                Event::Incoming(Packet::Publish(message)) => {
                    let frame = Frame::parse(message.payload).unwrap().expect("frames are stamped");
                    if stores.load(Ordering::Relaxed) {
                        let topic = Topic::Stored(camera()).to_string();
                        let stored = Stored::of_frames([frame.id])[0].to_string();
                        client.try_publish(topic, QoS::AtMostOnce, false, stored).unwrap();
                    }
                    let _test_has_ended = heard.send(Heard::Frame(frame));
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody else at the broker, who hears everything.
pub(crate) struct Visitor {
    client: AsyncClient,
    pub(crate) heard: mpsc::UnboundedReceiver<Message>,
    poll: AbortHandle,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) retained: bool,
}

impl Visitor {
    pub(crate) async fn enter(port: u16) -> Self {
        let name = format!("visitor-{:x}", rand::random::<u64>());
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        let (client, mut event_loop) = AsyncClient::new(options, 100);
        client.try_subscribe("#", QoS::AtLeastOnce).unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        let (subscribed, ready) = tokio::sync::oneshot::channel();
        let mut subscribed = Some(subscribed);
        let poll = tokio::spawn(async move {
            loop {
                match event_loop.poll().await {
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        let rumqttc::Publish { topic, payload, retain: retained, .. } = message;
                        let _test_has_ended = sender.send(Message { topic, payload, retained });
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => subscribed.take().unwrap().send(()).unwrap(),
                    Ok(_) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        soon(ready).await.unwrap();
        Self { client, heard, poll: poll.abort_handle() }
    }

    pub(crate) async fn publish(&self, topic: &str, payload: &str, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    }

    pub(crate) async fn ask(&self, request: &str) {
        self.publish(&Topic::Control(camera()).to_string(), request, false).await;
    }

    /// The next message on a topic.
    pub(crate) async fn hear(&mut self, topic: &str) -> Message {
        soon(async {
            loop {
                let heard = self.heard.recv().await.unwrap();
                if heard.topic == topic {
                    return heard;
                }
            }
        })
        .await
    }

    pub(crate) async fn telemetry(&mut self) -> Value {
        let heard = self.hear(&Topic::Telemetry(camera()).to_string()).await;
        assert!(!heard.retained);
        serde_json::from_slice(&heard.payload).unwrap()
    }

    pub(crate) async fn reply(&mut self) -> String {
        let heard = self.hear(&Topic::ControlReply(camera()).to_string()).await;
        String::from_utf8(heard.payload.to_vec()).unwrap()
    }

    pub(crate) async fn frame_on(&mut self, topic: Topic) -> Frame {
        Frame::parse(self.hear(&topic.to_string()).await.payload).unwrap().unwrap()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

/// An agent in this process.
pub(crate) struct Agent {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Agent {
    pub(crate) fn start(config: Config) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(teiten_agent::run(config, shutdown.clone()));
        Self { shutdown, task }
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) {
        soon(self.task).await.unwrap().unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.ended().await;
    }
}

pub(crate) fn config(port: u16) -> Config {
    Config { broker: Broker::plain("127.0.0.1", port), ..Config::new(camera()) }
}

/// Footage whose pictures show 1, 2, 3, … ms after 1970 ([`shown`]), in a directory.
pub(crate) fn footage(directory: &Path, count: u64, rate: f64, repeat: bool) -> Source {
    let mut painter = Painter::new(&camera(), PictureSize::new(320, 180).unwrap());
    for number in 1..=count {
        let jpeg = painter.jpeg(Timestamp::from_unix_millis(number));
        std::fs::write(directory.join(format!("{number:06}.jpg")), jpeg).unwrap();
    }
    Source::Footage(Footage { rate: Rate::new(rate).unwrap(), repeat, ..Footage::new(directory) })
}

/// What the clock in a frame's picture shows.
pub(crate) fn shown(frame: &Frame) -> Timestamp {
    let picture = image::load_from_memory(&frame.jpeg).unwrap().into_luma8();
    read_clock(picture.width(), picture.height(), |x, y| picture.get_pixel(x, y).0[0]).unwrap()
}

pub(crate) fn ids(frames: &[Frame]) -> BTreeSet<FrameId> {
    frames.iter().map(|frame| frame.id).collect()
}

/// Asserts that no two different frames share an identity, and no two identities a capture time.
pub(crate) fn assert_consistent(frames: &[Frame]) {
    let mut by_id = HashMap::new();
    for frame in frames {
        assert_eq!(by_id.entry(frame.id).or_insert(frame), &frame, "sent again, a frame is the same");
    }
    let times: BTreeSet<Timestamp> = by_id.values().map(|frame| frame.captured).collect();
    assert_eq!(times.len(), by_id.len());
}

/// Fills a spool's directory with small frames of an earlier run: their identities.
pub(crate) fn backlog(directory: &Path, count: u64) -> BTreeSet<FrameId> {
    std::fs::create_dir_all(directory).unwrap();
    let jpeg = Painter::new(&camera(), PictureSize::new(320, 180).unwrap()).jpeg(Timestamp::Y2020);
    (0..count)
        .map(|sequence| {
            let id = FrameId { boot: BootId(1), sequence };
            let captured = Timestamp::Y2020 + Duration::from_millis(100 * sequence);
            let frame = Frame::stamp(&jpeg, id, captured).unwrap();
            let name = format!("{:020}-{id}.jpg", captured.unix_micros());
            std::fs::write(directory.join(name), frame.jpeg).unwrap();
            id
        })
        .collect()
}

/// Awaits that the health file in `directory` has this word.
pub(crate) async fn health_is(word: &str, directory: &Path) {
    soon(async {
        loop {
            let line = std::fs::read_to_string(directory.join("health")).unwrap_or_default();
            if line.split(' ').next() == Some(word) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
