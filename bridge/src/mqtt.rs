//! The connection to the broker: clean session, automatic acknowledgements, its own reconnecting.
//!
//! A broker's PUBACK promises little, so nothing here relies on it: what gets lost with a connection is not
//! said to be `stored`, and its camera sends it again after the `hello` that follows each subscription. The last will
//! tells the other bridges that this one is gone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, Publish, QoS, SubscribeFilter,
    SubscribeReasonCode, Transport,
};
use teiten_footage::{
    ReplicaId, Topic,
    limits::MQTT_PACKET_BYTES_MAX,
    topic::{ALL_BRIDGES, ALL_EVENTS, ALL_FRAMES, ALL_STATUS, HELLO},
};
use teiten_mqtt::{Explained, HostPort, TlsError, TlsFiles};
use teiten_telemetry::{Backoff, metrics::BridgeMetrics};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// What a bridge hears.
const FILTERS: [&str; 5] = [ALL_FRAMES, ALL_STATUS, ALL_EVENTS, ALL_BRIDGES, HELLO];

/// The largest packet that is read at all. A larger one ends the connection, at every camera's cost; so what
/// is merely too large for a frame is read and rejected, at its own camera's cost.
const INCOMING_PACKET_BYTES_MAX: usize = 4 * MQTT_PACKET_BYTES_MAX;

/// Messages to the broker that may wait while one is being written.
const OUTGOING_MAX: usize = 1024;

/// A dead connection is noticed within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long connecting, and writing one packet, may take.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that lasted this long was a good one: the next one is tried at once.
const GOOD_CONNECTION_MIN: Duration = Duration::from_secs(5);

/// The handle by which others publish through whatever connection there is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publisher {
    client: Arc<Mutex<Option<AsyncClient>>>,
}

impl Publisher {
    /// Publishes with QoS 0, at once or not at all. Says whether a connection took it.
    pub(crate) fn publish(&self, topic: &Topic, payload: impl Into<String>) -> bool {
        self.send(topic, payload.into(), false)
    }

    /// The same with a message that the broker keeps for who subscribes later; an empty one takes it away.
    pub(crate) fn publish_retained(&self, topic: &Topic, payload: impl Into<String>) -> bool {
        self.send(topic, payload.into(), true)
    }

    /// Whether messages come and go.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.with_client(|_| true)
    }

    fn send(&self, topic: &Topic, payload: String, retained: bool) -> bool {
        self.with_client(|client| {
            client.try_publish(topic.to_string(), QoS::AtMostOnce, retained, payload).is_ok()
        })
    }

    /// Says good-bye to the broker once everything before it is written.
    pub(crate) fn disconnect(&self) {
        self.with_client(|client| client.try_disconnect().is_ok());
    }

    fn with_client(&self, act: impl FnOnce(&AsyncClient) -> bool) -> bool {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(act)
    }

    fn set(&self, client: Option<AsyncClient>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// The broker's address and our name there.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) address: HostPort,
    /// Files that are read for each connection, for they may be renewed; without them there is no TLS.
    pub(crate) tls: Option<TlsFiles>,
    /// Unique to this process: of two clients with one name, each would disconnect the other for ever.
    pub(crate) client_id: String,
    /// Our name among the bridges.
    pub(crate) replica: ReplicaId,
}

impl Broker {
    fn connect(&self) -> Result<(AsyncClient, EventLoop), TlsError> {
        let transport = self.tls.as_ref().map_or(Ok(Transport::Tcp), TlsFiles::transport)?;
        let mut options = MqttOptions::new(&self.client_id, &self.address.host, self.address.port);
        // An empty message: a bridge that is gone leaves nothing behind.
        let will = Topic::BridgeStatus(self.replica.clone()).to_string();
        options
            .set_last_will(LastWill::new(will, Bytes::new(), QoS::AtLeastOnce, true))
            .set_clean_session(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_transport(transport)
            .set_max_packet_size(INCOMING_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX);
        // A new event loop for each connection: a used one would publish again what it had pending.
        let (client, mut eventloop) = AsyncClient::new(options, OUTGOING_MAX);
        let mut network = eventloop.network_options();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(NETWORK_TIMEOUT.as_secs());
        eventloop.set_network_options(network);
        Ok((client, eventloop))
    }
}

/// Stays connected and hands what arrives to `messages`, until `stop` and a [`Publisher::disconnect`].
pub(crate) async fn run(
    broker: Broker,
    publisher: Publisher,
    messages: mpsc::Sender<Heard>,
    metrics: Arc<BridgeMetrics>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut outage = Outage::default();
    while !stop.is_cancelled() {
        let started = Instant::now();
        let error = match broker.connect() {
            Ok((client, eventloop)) => {
                session(eventloop, client, &publisher, &messages, &metrics, &mut outage).await
            }
            Err(error) => error.to_string(),
        };
        publisher.set(None);
        if stop.is_cancelled() {
            break;
        }
        if started.elapsed() >= GOOD_CONNECTION_MIN {
            backoff.reset();
        }
        let wait = backoff.wait();
        let broker = &broker.address;
        if outage.is_news(&error) {
            tracing::warn!(%broker, error, "no connection to the broker, it is tried again until there is one");
        } else {
            tracing::debug!(%broker, error, retry_in = ?wait, "still no connection to the broker");
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// What the log says of the time without a connection: each reason once.
#[derive(Debug, Default)]
struct Outage {
    told: Option<String>,
}

impl Outage {
    /// Whether this reason is another one than the last time.
    fn is_news(&mut self, error: &str) -> bool {
        let news = self.told.as_deref() != Some(error);
        if news {
            self.told = Some(error.to_owned());
        }
        news
    }

    /// There is a connection.
    fn is_over(&mut self) {
        self.told = None;
    }
}

/// One connection, from CONNECT to its end. Returns why it ended.
async fn session(
    mut eventloop: EventLoop,
    client: AsyncClient,
    publisher: &Publisher,
    messages: &mpsc::Sender<Heard>,
    metrics: &BridgeMetrics,
    outage: &mut Outage,
) -> String {
    loop {
        match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let _ = messages.send(Heard::Connected).await;
                let filters = FILTERS.map(|filter| SubscribeFilter::new(filter.to_owned(), QoS::AtLeastOnce));
                if let Err(error) = client.try_subscribe_many(filters) {
                    return error.to_string();
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                if let Some(refusal) = refusal(&ack.return_codes) {
                    return refusal;
                }
                metrics.mqtt_connections_total.inc();
                tracing::info!("subscribed");
                outage.is_over();
                publisher.set(Some(client.clone()));
                let _ = messages.send(Heard::Subscribed).await;
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                // Waits for room if the windows lag, and the broker then waits for us. The receiver never
                // waits for this task, and is gone only in the end, when frames are no longer taken.
                let _ = messages.send(Heard::Message(publish.into())).await;
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return "disconnected".to_owned(),
            Ok(_) => {}
            Err(error) => return Explained(&error).to_string(),
        }
    }
}

/// What the broker refuses of [`FILTERS`], if anything.
fn refusal(codes: &[SubscribeReasonCode]) -> Option<String> {
    let answers = FILTERS.iter().zip(codes);
    let refused: Vec<&str> = answers
        .filter(|(_, code)| **code == SubscribeReasonCode::Failure)
        .map(|(filter, _)| *filter)
        .collect();
    let names = (!refused.is_empty()).then(|| refused.join(", "))?;
    Some(format!(
        "the broker refuses subscriptions to {names}: its rules must be those of infra/base/broker/acl"
    ))
}

/// What comes of a connection.
pub(crate) enum Heard {
    /// There is a new one: what the broker keeps comes next, be it before the answer to the subscription.
    Connected,
    /// From now on all messages are heard.
    Subscribed,
    /// One of them.
    Message(Message),
}

/// A message as the rest of the bridge sees it.
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    /// Kept by the broker from earlier, not sent now.
    pub(crate) retained: bool,
}

impl From<Publish> for Message {
    fn from(publish: Publish) -> Self {
        Self { topic: publish.topic, payload: publish.payload, retained: publish.retain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_logged_once_for_each_reason_and_anew_after_a_connection() {
        let mut outage = Outage::default();
        let refused = "connection refused";
        let news = ["timeout", refused, refused, refused].map(|error| outage.is_news(error));
        assert_eq!(news, [true, true, false, false]);
        outage.is_over();
        assert!(outage.is_news(refused));
    }

    #[test]
    fn what_the_broker_refuses_is_named() {
        let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
        assert_eq!(refusal(&[granted; 5]), None);
        let mut codes = [granted; 5];
        codes[1] = SubscribeReasonCode::Failure;
        codes[3] = SubscribeReasonCode::Failure;
        assert_eq!(
            refusal(&codes).unwrap(),
            "the broker refuses subscriptions to teiten/+/status, teiten-bridge/+/status: its rules must be those of \
             infra/base/broker/acl"
        );
    }

    /// A certificate authority, in PEM.
    const AUTHORITY: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBeTCCAR+gAwIBAgIUCWXjNTJy/kMKee0ZMlatwB3hx0gwCgYIKoZIzj0EAwIw\n\
        ETEPMA0GA1UEAwwGdGVpdGVuMCAXDTI2MTEyNjIxMzQ1MloYDzIxMjYxMTAyMjEz\n\
        NDUyWjARMQ8wDQYDVQQDDAZ0ZWl0ZW4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
        AAQH4TBT4johjPsWcqxyjwFqdNk9kiwmYWayopkR5XgPXvWKL6+LdVIqxy7/q9fr\n\
        HnVAzZjCopnZLPpB995iD0/No1MwUTAdBgNVHQ4EFgQU1swMiJwWqASF+JKDWLqM\n\
        YfiThQQwHwYDVR0jBBgwFoAU1swMiJwWqASF+JKDWLqMYfiThQQwDwYDVR0TAQH/\n\
        BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAj9YvoMxi9mV2Z+4X7bOCYGHAmUzGj\n\
        dBBA9LcFXwF8IwIhALUI5YVFUupF6nAuUYbAPbd2lauDRpmZ8iwAu94OdDWi\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn certificates_that_were_renewed_are_those_of_the_next_connection() {
        let ca = tempfile::NamedTempFile::new().unwrap();
        let broker = Broker {
            address: HostPort { host: "broker".to_owned(), port: 8883 },
            tls: Some(TlsFiles { ca: ca.path().to_owned(), identity: None }),
            client_id: "bridge".to_owned(),
            replica: ReplicaId::new("bridge-0").unwrap(),
        };
        assert!(matches!(broker.connect(), Err(TlsError::Empty { .. })));
        std::fs::write(ca.path(), AUTHORITY).unwrap();
        assert!(broker.connect().is_ok());
    }
}
