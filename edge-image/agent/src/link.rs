//! The way to the broker (MQTT 3.1.1, clean session): connects, subscribes, announces the camera, and connects
//! again for ever.
//!
//! Every connection is a new client ([`connection`]), so nothing of an old one, packet identifiers above all, gets
//! into the next; what has to be sent again is the outbox's to decide.

mod connection;
mod under_way;

use std::time::Duration;

use bytes::Bytes;
use rumqttc::Transport;
use teiten_footage::{CameraId, FrameId, Stored};
use teiten_mqtt::{TlsError, TlsFiles};
use teiten_telemetry::Backoff;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::{clock::Clock, config::Broker};
use connection::{Connection, Trouble};

/// A connection that lasted this long was a good one: the next attempt comes soon.
const STEADY: Duration = Duration::from_secs(10);

/// Where so many connections in a row were ended before that, there may be another camera of this one's name: a broker
/// ends the connection of the one when the other comes, without a word.
const SHORT_ONES_MAX: u32 = 3;

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
    /// How many connections in a row carried frames, and were ended within [`STEADY`].
    short_ones: u32,
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
            short_ones: 0,
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
                        let up_since = connection.up_since();
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
            State::Open(connection) if connection.up_since().is_some() => connection.say(message),
            _ => false,
        }
    }

    /// Whether all that was handed over has gone to the network, so that one more message delays no frame.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(&self.state, State::Open(connection) if connection.is_idle())
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
        let lasted = up_since.map(|since| since.elapsed());
        if lasted.is_some_and(|lasted| lasted >= STEADY) {
            self.backoff.reset();
        }
        let was_ended =
            matches!(trouble, Trouble::Connection(_)) && lasted.is_some_and(|lasted| lasted < STEADY);
        self.short_ones = if was_ended { self.short_ones + 1 } else { 0 };
        let wait = self.backoff.wait();
        self.state = State::Waiting { until: Instant::now() + wait };
        let broker = &self.broker;
        let mut trouble = trouble.to_string();
        if self.short_ones >= SHORT_ONES_MAX {
            trouble += &format!(
                " (the broker takes it and lets it go again: is another camera called {} running?)",
                self.camera
            );
        }
        if self.known.as_ref() == Some(&trouble) {
            debug!(%broker, trouble, ?wait, "still not connected");
        } else {
            warn!(%broker, trouble, "not connected, frames are kept until the broker is back");
            self.known = Some(trouble);
        }
    }
}
