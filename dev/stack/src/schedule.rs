//! What Knative's PingSource does in a cluster: calls a chore once in a while.

use std::{collections::BTreeMap, time::Duration};

use teiten_footage::CloudEvent;
use teiten_sink::Sink;

/// How often reconciling is called for.
const PERIOD: Duration = Duration::from_secs(60);

/// Posts a ping a minute to `sink`, for ever.
pub(crate) async fn run(sink: &Sink) -> std::convert::Infallible {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let ping = CloudEvent {
            id: teiten_telemetry::now().to_string(),
            source: "/teiten/dev/schedule".to_owned(),
            kind: teiten_host::PING.to_owned(),
            subject: None,
            time: None,
            extensions: BTreeMap::new(),
            data: serde_json::Value::Null,
        };
        if let Err(error) = sink.post(&ping).await {
            // The next one comes in a minute.
            tracing::warn!(%error, "reconciling was not called for");
        }
    }
}
