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
    Publish, QoS, SubscribeFilter, SubscribeReasonCode, Transport,
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
const QUEUE_MESSAGES: usize = UNACKED_MAX + OTHERS_MAX + 4;

/// Messages other than frames that may wait in the client's queue. More are not taken: a link that is too slow
/// for them shall carry frames.
const OTHERS_MAX: usize = 16;

/// How long saying goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// What the broker, or the bridge through it, has to say.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Connected, and subscribed to what is said of this camera's frames.
    Up {
        /// How long that took, there and back.
        round_trip: Duration,
    },
    /// Not connected any more. Comes once after each [`Signal::Up`].
    Down,
    /// The broker has a frame (PUBACK).
    Acked(FrameId),
    /// The bridge has stored frames.
    Stored(Stored),
    /// A bridge is new here.
    Hello,
    /// The broker has a message that was sent with this number (PUBACK).
    Heard(u64),
    /// Somebody wants something of this camera.
    Control {
        /// What, in JSON.
        payload: Bytes,
        /// Whether it is an old message that the broker keeps.
        retained: bool,
    },
}

/// A message that is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) delivery: Delivery,
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// QoS 0: lost if the link fails just then.
    Once,
    /// QoS 1, not sent again if the link fails just then.
    Acked,
    /// QoS 1, and [`Signal::Heard`] says this number once the broker has it.
    Numbered(u64),
    /// QoS 1 and retained: whoever comes later hears it too.
    Retained,
}

/// The way to the broker.
pub(crate) struct Link {
    camera: CameraId,
    broker: Broker,
    transport: Transport,
    clock: Clock,
    hears_control: bool,
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
    pub(crate) fn new(
        camera: CameraId,
        broker: Broker,
        clock: Clock,
        hears_control: bool,
    ) -> Result<Self, TlsError> {
        let transport = broker.tls.as_ref().map_or(Ok(Transport::Tcp), TlsFiles::transport)?;
        Ok(Self {
            camera,
            broker,
            transport,
            clock,
            hears_control,
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
                        self.hears_control,
                    )));
                }
                State::Open(connection) => match connection.next().await {
                    Ok(signal) => {
                        if matches!(signal, Signal::Up { .. }) {
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

    /// Sends a message that is no frame. Without a connection, or with too many of them waiting already, it is
    /// dropped; whether it was taken.
    pub(crate) fn say(&mut self, message: Message) -> bool {
        match &mut self.state {
            State::Open(connection) if connection.up_since.is_some() => connection.say(message),
            _ => false,
        }
    }

    /// Whether all that was handed over has gone to the network, so that one more message delays no frame.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(&self.state, State::Open(connection) if connection.up_since.is_some() && connection.queued.is_empty())
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
    subscribed_at: Instant,
    last_heard: Instant,
    /// What was handed to the client and is not yet on its way, in order.
    queued: VecDeque<Sent>,
    /// What is on its way and will have a PUBACK, by packet identifier.
    under_way: HashMap<u16, Sent>,
    _poll: AbortOnDropHandle<()>,
}

/// What was handed to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Frame(FrameId),
    Numbered(u64),
    /// A message whose PUBACK says nothing to anybody.
    Other,
}

struct Topics {
    frame: String,
    status: String,
    stored: String,
    hello: String,
    /// If control is listened to.
    control: Option<String>,
}

impl Connection {
    fn open(camera: &CameraId, broker: &Broker, transport: Transport, hears_control: bool) -> Self {
        let topics = Topics {
            frame: Topic::Frame(camera.clone()).to_string(),
            status: Topic::Status(camera.clone()).to_string(),
            stored: Topic::Stored(camera.clone()).to_string(),
            hello: Topic::Hello.to_string(),
            control: hears_control.then(|| Topic::Control(camera.clone()).to_string()),
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
            subscribed_at: Instant::now(),
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
                let control = &self.topics.control;
                let control =
                    control.as_ref().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
                self.client.try_subscribe_many(filters.into_iter().chain(control))?;
                self.subscribed_at = Instant::now();
            }
            Packet::SubAck(answer) => {
                // In the order of the filters: the two that frames need, then control.
                let refused = |code: &SubscribeReasonCode| *code == SubscribeReasonCode::Failure;
                if answer.return_codes.iter().take(2).any(refused) {
                    return Err(Trouble::Refused);
                }
                if answer.return_codes.iter().skip(2).any(refused) {
                    warn!(
                        "the broker refuses the control topic: let the camera subscribe to it, or switch \
                        [control] off"
                    );
                }
                self.say_status(ONLINE)?;
                self.up_since = Some(Instant::now());
                return Ok(Some(Signal::Up { round_trip: self.subscribed_at.elapsed() }));
            }
            Packet::PubAck(ack) => {
                return Ok(match self.under_way.remove(&ack.pkid) {
                    Some(Sent::Frame(id)) => Some(Signal::Acked(id)),
                    Some(Sent::Numbered(number)) => Some(Signal::Heard(number)),
                    Some(Sent::Other) | None => None,
                });
            }
            Packet::Publish(message) if message.topic == self.topics.hello => return Ok(Some(Signal::Hello)),
            Packet::Publish(message) if message.topic == self.topics.stored => {
                let payload = String::from_utf8_lossy(&message.payload);
                match payload.parse() {
                    Ok(stored) => return Ok(Some(Signal::Stored(stored))),
                    Err(error) => warn!(%error, "a malformed acknowledgement, dropped"),
                }
            }
            Packet::Publish(message) if Some(&message.topic) == self.topics.control.as_ref() => {
                let Publish { payload, retain, .. } = message;
                return Ok(Some(Signal::Control { payload, retained: retain }));
            }
            _ => {}
        }
        Ok(None)
    }

    fn publish_frame(&mut self, id: FrameId, jpeg: Bytes) {
        match self.client.try_publish(&self.topics.frame, QoS::AtLeastOnce, false, jpeg) {
            Ok(()) => self.queued.push_back(Sent::Frame(id)),
            // The client has ended, which the next event says.
            Err(error) => debug!(%error, "a frame was not taken"),
        }
    }

    fn say_status(&mut self, status: &str) -> Result<(), ClientError> {
        self.client.try_publish(&self.topics.status, QoS::AtLeastOnce, true, status)?;
        self.queued.push_back(Sent::Other);
        Ok(())
    }

    fn say(&mut self, Message { topic, payload, delivery }: Message) -> bool {
        let others = self.queued.iter().filter(|sent| !matches!(sent, Sent::Frame(_))).count();
        if others >= OTHERS_MAX {
            return false;
        }
        let (qos, retain, sent) = match delivery {
            Delivery::Once => (QoS::AtMostOnce, false, Sent::Other),
            Delivery::Acked => (QoS::AtLeastOnce, false, Sent::Other),
            Delivery::Numbered(number) => (QoS::AtLeastOnce, false, Sent::Numbered(number)),
            Delivery::Retained => (QoS::AtLeastOnce, true, Sent::Other),
        };
        let taken = self.client.try_publish(topic, qos, retain, payload).is_ok();
        if taken {
            self.queued.push_back(sent);
        }
        taken
    }

    /// The client gives messages their packet identifiers in the order in which it got them; those of QoS 0
    /// have none, which is 0.
    fn departed(&mut self, packet_id: u16) {
        if let Some(sent) = self.queued.pop_front()
            && packet_id != 0
        {
            self.under_way.insert(packet_id, sent);
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
