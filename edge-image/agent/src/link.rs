//! The way to the broker (MQTT 3.1.1, clean session): connects, subscribes, announces the camera, and connects
//! again for ever.
//!
//! Every connection is a new client, so nothing of an old one, packet identifiers above all, gets into the next;
//! what has to be sent again is the outbox's to decide. The client is polled by a task of its own, since
//! cancelling a poll would cut a connection that is being made. Nothing here waits for the client to take a
//! message: its queue holds all that the outbox allows.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet,
    QoS, SubscribeFilter, SubscribeReasonCode, Transport,
};
use teiten_footage::{
    CameraId, FrameId, Stored, Topic,
    limits::MQTT_PACKET_BYTES_MAX,
    topic::{OFFLINE, ONLINE},
};
use teiten_mqtt::{Explained, TlsError, TlsFiles};
use teiten_telemetry::Backoff;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, debug, info, warn};

use crate::{clock::Clock, config::Broker, outbox::UNACKED_MAX};

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A connection that nothing was heard on for this long is dead. (The broker answers a ping each
/// [`KEEP_ALIVE`].)
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long connecting, or handing one frame to the network, may take. 150 kB take 6 s at 200 kbit/s.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The socket's send buffer, in bytes: some frames, but not seconds of a slow link.
const SEND_BUFFER_BYTES: u32 = 256 << 10;

/// A connection that lasted this long was a good one: the next attempt comes soon.
const STEADY: Duration = Duration::from_secs(10);

/// Messages that the client's queue takes: all frames that may lack a PUBACK, and a few of the link's own.
const QUEUE_MESSAGES: usize = UNACKED_MAX + 8;

/// How long saying goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// What the broker, or the bridge through it, has to say.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Connected, and subscribed to what is said of this camera's frames.
    Up,
    /// Not connected any more. Comes once after each [`Signal::Up`].
    Down,
    /// The broker has a frame (PUBACK).
    Acked(FrameId),
    /// The bridge has stored frames.
    Stored(Stored),
    /// A bridge is new here.
    Hello,
}

/// The way to the broker.
pub(crate) struct Link {
    camera: CameraId,
    broker: Broker,
    transport: Transport,
    clock: Clock,
    backoff: Backoff,
    state: State,
    /// The present trouble, as it is in the log.
    known: Option<String>,
}

enum State {
    Waiting { until: Instant },
    Open(Box<Connection>),
}

impl Link {
    /// A link that connects as soon as [`Link::next`] is waited for; with TLS, not before `clock` is set, since
    /// certificates have dates.
    ///
    /// # Errors
    /// If the broker's certificates cannot be used.
    pub(crate) fn new(camera: CameraId, broker: Broker, clock: Clock) -> Result<Self, TlsError> {
        let transport = broker.tls.as_ref().map_or(Ok(Transport::Tcp), TlsFiles::transport)?;
        Ok(Self {
            camera,
            broker,
            transport,
            clock,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            state: State::Waiting { until: Instant::now() },
            known: None,
        })
    }

    /// The next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            match &mut self.state {
                State::Waiting { until } => {
                    sleep_until(*until).await;
                    if self.broker.tls.is_some() {
                        self.clock.set().await;
                    }
                    self.state = State::Open(Box::new(Connection::open(
                        &self.camera,
                        &self.broker,
                        self.transport.clone(),
                    )));
                }
                State::Open(connection) => match connection.next().await {
                    Ok(signal) => {
                        if matches!(signal, Signal::Up) {
                            self.known = None;
                            info!(broker = %self.broker, "connected");
                        }
                        return signal;
                    }
                    Err(trouble) => {
                        let up_since = connection.up_since;
                        self.fail(&trouble, up_since);
                        if up_since.is_some() {
                            return Signal::Down;
                        }
                    }
                },
            }
        }
    }

    /// Sends a frame. If the connection has failed, the frame is lost with it, and [`Signal::Down`] follows.
    pub(crate) fn publish(&mut self, id: FrameId, jpeg: Bytes) {
        if let State::Open(connection) = &mut self.state {
            connection.publish_frame(id, jpeg);
        }
    }

    /// Tells everyone that the camera is off, and disconnects.
    pub(crate) async fn close(self) {
        if let State::Open(connection) = self.state
            && timeout(CLOSE_MAX, connection.close()).await.is_err()
        {
            warn!("the broker did not take the goodbye in time, it will say offline itself");
        }
    }

    fn fail(&mut self, trouble: &Trouble, up_since: Option<Instant>) {
        if up_since.is_some_and(|since| since.elapsed() >= STEADY) {
            self.backoff.reset();
        }
        let wait = self.backoff.wait();
        self.state = State::Waiting { until: Instant::now() + wait };
        let broker = &self.broker;
        let trouble = trouble.to_string();
        if self.known.as_ref() == Some(&trouble) {
            debug!(%broker, trouble, ?wait, "still not connected");
        } else {
            warn!(%broker, trouble, "not connected, frames are kept until the broker is back");
            self.known = Some(trouble);
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{}", Explained(.0))]
    Connection(Box<ConnectionError>),
    #[error("nothing heard for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error(
        "the broker refuses a subscription: let the camera subscribe to its stored topic and to teiten-bridge/hello"
    )]
    Refused,
    #[error("the client took no message: {0}")]
    Client(#[from] ClientError),
    #[error("the client has ended")]
    Ended,
}

/// One connection, from its opening to its end.
struct Connection {
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    topics: Topics,
    up_since: Option<Instant>,
    last_heard: Instant,
    /// What was handed to the client and is not yet on its way, in order; `None` is a message of the link's own.
    queued: VecDeque<Option<FrameId>>,
    /// What is on its way, by packet identifier.
    under_way: HashMap<u16, Option<FrameId>>,
    _poll: AbortOnDropHandle<()>,
}

struct Topics {
    frame: String,
    status: String,
    stored: String,
    hello: String,
}

impl Connection {
    fn open(camera: &CameraId, broker: &Broker, transport: Transport) -> Self {
        let topics = Topics {
            frame: Topic::Frame(camera.clone()).to_string(),
            status: Topic::Status(camera.clone()).to_string(),
            stored: Topic::Stored(camera.clone()).to_string(),
            hello: Topic::Hello.to_string(),
        };
        // One name for all runs of a camera: the broker then ends the connection of an earlier run, and tells
        // its last will, before this one says that the camera is online.
        let mut options = MqttOptions::new(format!("teiten-{camera}"), &broker.host, broker.port);
        options
            .set_clean_session(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX)
            .set_inflight(1024)
            .set_transport(transport)
            .set_last_will(LastWill::new(&topics.status, OFFLINE, QoS::AtLeastOnce, true));
        let (client, mut event_loop) = AsyncClient::new(options, QUEUE_MESSAGES);
        event_loop.network_options.set_tcp_nodelay(true);
        event_loop.network_options.set_tcp_send_buffer_size(SEND_BUFFER_BYTES);
        event_loop.network_options.set_connection_timeout(CONNECTION_TIMEOUT.as_secs());
        let (sender, events) = mpsc::channel(QUEUE_MESSAGES);
        let poll = tokio::spawn(poll(event_loop, sender).in_current_span());
        Self {
            client,
            events,
            topics,
            up_since: None,
            last_heard: Instant::now(),
            queued: VecDeque::new(),
            under_way: HashMap::new(),
            _poll: AbortOnDropHandle::new(poll),
        }
    }

    /// The next signal, or the end. Cancel-safe.
    async fn next(&mut self) -> Result<Signal, Trouble> {
        loop {
            match self.event().await? {
                Event::Incoming(packet) => {
                    self.last_heard = Instant::now();
                    if let Some(signal) = self.hear(packet)? {
                        return Ok(signal);
                    }
                }
                Event::Outgoing(Outgoing::Publish(packet_id)) => self.departed(packet_id),
                Event::Outgoing(_) => {}
            }
        }
    }

    async fn event(&mut self) -> Result<Event, Trouble> {
        match timeout_at(self.last_heard + SILENCE_MAX, self.events.recv()).await {
            Ok(Some(Ok(event))) => Ok(event),
            Ok(Some(Err(error))) => Err(Trouble::Connection(Box::new(error))),
            Ok(None) => Err(Trouble::Ended),
            Err(_) => Err(Trouble::Silent),
        }
    }

    fn hear(&mut self, packet: Packet) -> Result<Option<Signal>, Trouble> {
        match packet {
            Packet::ConnAck(_) => {
                let filters = [&self.topics.stored, &self.topics.hello];
                let filters = filters.map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtMostOnce));
                self.client.try_subscribe_many(filters)?;
            }
            Packet::SubAck(answer) => {
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    return Err(Trouble::Refused);
                }
                self.say_status(ONLINE)?;
                self.up_since = Some(Instant::now());
                return Ok(Some(Signal::Up));
            }
            Packet::PubAck(ack) => {
                return Ok(self.under_way.remove(&ack.pkid).flatten().map(Signal::Acked));
            }
            Packet::Publish(message) if message.topic == self.topics.hello => return Ok(Some(Signal::Hello)),
            Packet::Publish(message) if message.topic == self.topics.stored => {
                let payload = String::from_utf8_lossy(&message.payload);
                match payload.parse() {
                    Ok(stored) => return Ok(Some(Signal::Stored(stored))),
                    Err(error) => warn!(%error, "a malformed acknowledgement, dropped"),
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn publish_frame(&mut self, id: FrameId, jpeg: Bytes) {
        match self.client.try_publish(&self.topics.frame, QoS::AtLeastOnce, false, jpeg) {
            Ok(()) => self.queued.push_back(Some(id)),
            // The client has ended, which the next event says.
            Err(error) => debug!(%error, "a frame was not taken"),
        }
    }

    fn say_status(&mut self, status: &str) -> Result<(), ClientError> {
        self.client.try_publish(&self.topics.status, QoS::AtLeastOnce, true, status)?;
        self.queued.push_back(None);
        Ok(())
    }

    /// The client gives messages their packet identifiers in the order in which it got them.
    fn departed(&mut self, packet_id: u16) {
        if let Some(message) = self.queued.pop_front() {
            self.under_way.insert(packet_id, message);
        }
    }

    async fn close(mut self) {
        if self.up_since.is_some() && self.say_status(OFFLINE).is_ok() && self.client.try_disconnect().is_ok()
        {
            // The client sends in order: once it has sent the DISCONNECT, it has sent everything.
            while !matches!(self.event().await, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) {}
        }
    }
}

/// Drives one client until it fails, or nobody listens.
async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<Result<Event, ConnectionError>>) {
    loop {
        let event = event_loop.poll().await;
        let ended = event.is_err();
        if events.send(event).await.is_err() || ended {
            return;
        }
    }
}
