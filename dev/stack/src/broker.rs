//! The embedded MQTT broker. It serves one machine: its log of messages is bounded, and a subscriber that lags
//! by more than that loses some without a word. Nothing depends on it: cameras send again what the bridge has
//! not stored.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use teiten_footage::limits;
use tokio::net::TcpStream;

/// How long the broker may take to listen.
const START_MAX: Duration = Duration::from_secs(5);

/// Starts the broker on threads of its own, which last as long as the process, and waits until it listens.
pub(crate) async fn start(listen: SocketAddr) -> anyhow::Result<()> {
    let settings = ServerSettings {
        name: "mqtt".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 10_000,
            max_payload_size: limits::MQTT_PACKET_BYTES_MAX,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 1000,
            max_outgoing_packet_count: 200,
            max_segment_size: 8 << 20,
            max_segment_count: 16,
            ..RouterConfig::default()
        },
        v4: Some([("mqtt".to_owned(), settings)].into()),
        ..Config::default()
    };
    let mut broker = Broker::new(config);
    std::thread::Builder::new().name("broker".to_owned()).spawn(move || {
        // Returns only when it fails; the bridge and the agents then say that they have no broker.
        if let Err(error) = broker.start() {
            tracing::error!(%error, "the embedded MQTT broker stopped");
        }
    })?;
    let listening = async {
        while TcpStream::connect(listen).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(START_MAX, listening).await.context("the embedded MQTT broker does not listen")
}
