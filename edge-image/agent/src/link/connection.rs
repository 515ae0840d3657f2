//! One connection to the broker, by a client of its own, from its opening to its end.
//!
//! The client is polled by a task of its own, since cancelling a poll would cut a connection that is being made. Nothing
//! here waits for the client to take a message: its queue holds all that the outbox allows.

use std::{
    collections::VecDeque,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet,
    Publish, QoS, StateError, SubscribeFilter, SubscribeReasonCode, Transport,
};
use teiten_footage::{
    CameraId, FrameId, Topic,
    limits::{FRAME_BYTES_MAX, MQTT_PACKET_BYTES_MAX},
    topic::{OFFLINE, ONLINE},
};
use teiten_mqtt::Explained;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, debug, warn};

use super::{
    Delivery, Message, Signal,
    under_way::{OVERDUE, Overdue, UnderWay},
};
use crate::{config::Broker, outbox::UNACKED_MAX};

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A connection that nothing was heard on for this long, and the time that its largest frame needs on a link that is just
/// fast enough, is dead. (The broker answers a ping each [`KEEP_ALIVE`], but nothing is heard while a frame is handed to
/// the network.)
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// A link that is slower than this carries no large frames: what the socket holds delays the answer to a ping by more than
/// the client waits for it.
const BYTES_PER_SECOND_MIN: usize = 20_000;

/// How long connecting may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long handing one frame to the network may take.
const SENDING_TIMEOUT: Duration = Duration::from_secs(60);

const _: () = assert!(SENDING_TIMEOUT.as_secs() as usize * BYTES_PER_SECOND_MIN > FRAME_BYTES_MAX);

/// The socket's send buffer, in bytes: some frames, but not seconds of a slow link.
const SEND_BUFFER_BYTES: u32 = 256 << 10;

/// Messages that the client's queue takes: all frames that may lack a PUBACK, and a few of the link's own.
const QUEUE_MESSAGES: usize = UNACKED_MAX + OTHERS_MAX + STATUSES_MAX + OWN_REQUESTS_MAX;

/// `online` and `offline`.
const STATUSES_MAX: usize = 2;

/// Requests that are no messages: to subscribe, and to disconnect.
const OWN_REQUESTS_MAX: usize = 2;

/// Messages other than frames that may wait in the client's queue. More are not taken: a link that is too slow
/// for them shall carry frames.
const OTHERS_MAX: usize = 16;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "no answer while frames were sent: the link is dead, or too slow for them: choose a smaller width and height, or \
         a lower quality"
    )]
    TooSlow,
    #[error("{}", Explained(.0))]
    Connection(Box<ConnectionError>),
    #[error("a message has had no answer for {} s, though later ones had theirs: it is sent again", OVERDUE.as_secs())]
    Overdue,
    #[error("nothing heard for {} s", .0.as_secs())]
    Silent(Duration),
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
pub(super) struct Connection {
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    topics: Topics,
    up_since: Option<Instant>,
    subscribed_at: Instant,
    last_heard: Instant,
    /// What was handed to the client and is not yet on its way, in order, with its bytes.
    queued: VecDeque<(Sent, usize)>,
    under_way: UnderWay,
    _poll: AbortOnDropHandle<()>,
}

/// What was handed to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
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
    pub(super) fn open(
        camera: &CameraId,
        broker: &Broker,
        transport: Transport,
        hears_control: bool,
    ) -> Self {
        let topics = Topics {
            frame: Topic::Frame(camera.clone()).to_string(),
            status: Topic::Status(camera.clone()).to_string(),
            stored: Topic::Stored(camera.clone()).to_string(),
            hello: Topic::Hello.to_string(),
            control: hears_control.then(|| Topic::Control(camera.clone()).to_string()),
        };
        // One name for all runs of a camera: the broker then ends the connection of an earlier run, and tells
        // its last will, before this one says that the camera is online.
        let mut options = MqttOptions::new(format!("teiten-{camera}"), broker.bare_host(), broker.port);
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
            under_way: UnderWay::default(),
            _poll: AbortOnDropHandle::new(poll),
        }
    }

    /// Since when it carries frames, if it does.
    pub(super) fn up_since(&self) -> Option<Instant> {
        self.up_since
    }

    /// Whether it carries frames, and all that it was given has gone to the network.
    pub(super) fn is_idle(&self) -> bool {
        self.up_since.is_some() && self.queued.is_empty()
    }

    /// The next signal, or the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Signal, Trouble> {
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
        let largest = self.queued.iter().map(|(_, bytes)| *bytes).chain(self.under_way.sizes()).max();
        let silence_max =
            SILENCE_MAX + Duration::from_secs((largest.unwrap_or(0) / BYTES_PER_SECOND_MIN) as u64);
        match timeout_at(self.last_heard + silence_max, self.events.recv()).await {
            Ok(Some(Ok(event))) => Ok(event),
            Ok(Some(Err(
                ConnectionError::FlushTimeout | ConnectionError::MqttState(StateError::AwaitPingResp),
            ))) if largest.is_some() => Err(Trouble::TooSlow),
            Ok(Some(Err(error))) => Err(Trouble::Connection(Box::new(error))),
            Ok(None) => Err(Trouble::Ended),
            Err(_) => Err(Trouble::Silent(silence_max)),
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
                if !self.say_status(ONLINE) {
                    return Err(Trouble::Ended);
                }
                self.up_since = Some(Instant::now());
                return Ok(Some(Signal::Up { round_trip: self.subscribed_at.elapsed() }));
            }
            Packet::PubAck(ack) => {
                let acked = self.under_way.acked(ack.pkid, Instant::now());
                return Ok(match acked.map_err(|Overdue| Trouble::Overdue)? {
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

    pub(super) fn publish_frame(&mut self, id: FrameId, jpeg: Bytes) {
        let topic = self.topics.frame.clone();
        if !self.hand_over(topic, QoS::AtLeastOnce, false, jpeg, Sent::Frame(id)) {
            debug!(frame = %id, "a frame was not taken");
        }
    }

    /// Gives a message to the client; whether it was taken. If it was not, the client has ended, which the next event
    /// says.
    ///
    /// `try_publish` takes a `Vec`, so it would copy every payload that the spool keeps as well. The other way takes the
    /// bytes as they are, but waits for room in the client's queue, for which there is always some: then it is done
    /// at once.
    fn hand_over(&mut self, topic: String, qos: QoS, retain: bool, payload: Bytes, sent: Sent) -> bool {
        let has_room = self.queued.len() < QUEUE_MESSAGES - OWN_REQUESTS_MAX;
        debug_assert!(has_room, "the client's queue holds all that the outbox allows");
        if !has_room {
            return false;
        }
        let bytes = payload.len();
        let publish = pin!(self.client.publish_bytes(topic, qos, retain, payload));
        let taken = matches!(publish.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())));
        if taken {
            self.queued.push_back((sent, bytes));
        }
        taken
    }

    /// Whether it was taken.
    fn say_status(&mut self, status: &'static str) -> bool {
        let topic = self.topics.status.clone();
        self.hand_over(topic, QoS::AtLeastOnce, true, Bytes::from_static(status.as_bytes()), Sent::Other)
    }

    pub(super) fn say(&mut self, Message { topic, payload, delivery }: Message) -> bool {
        let others = self.queued.iter().filter(|(sent, _)| !matches!(sent, Sent::Frame(_))).count();
        if others >= OTHERS_MAX {
            return false;
        }
        let (qos, retain, sent) = match delivery {
            Delivery::Once => (QoS::AtMostOnce, false, Sent::Other),
            Delivery::Acked => (QoS::AtLeastOnce, false, Sent::Other),
            Delivery::Numbered(number) => (QoS::AtLeastOnce, false, Sent::Numbered(number)),
            Delivery::Retained => (QoS::AtLeastOnce, true, Sent::Other),
        };
        self.hand_over(topic, qos, retain, payload, sent)
    }

    /// The client gives messages their packet identifiers in the order in which it got them; those of QoS 0
    /// have none, which is 0.
    fn departed(&mut self, packet_id: u16) {
        if let Some((sent, bytes)) = self.queued.pop_front()
            && packet_id != 0
        {
            self.under_way.departed(packet_id, sent, bytes, Instant::now());
        }
    }

    /// Says goodbye, and waits until it has gone to the network.
    pub(super) async fn close(mut self) {
        if self.up_since.is_some() && self.say_status(OFFLINE) && self.client.try_disconnect().is_ok() {
            // The client sends in order: once it has sent the DISCONNECT, it has sent everything.
            while !matches!(self.event().await, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) {}
        }
    }
}

/// Drives one client until it fails, or nobody listens.
async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<Result<Event, ConnectionError>>) {
    loop {
        let event = event_loop.poll().await;
        if matches!(event, Ok(Event::Incoming(Packet::ConnAck(_)))) {
            event_loop.network_options.set_connection_timeout(SENDING_TIMEOUT.as_secs());
        }
        let ended = event.is_err();
        if events.send(event).await.is_err() || ended {
            return;
        }
    }
}
