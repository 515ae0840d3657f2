//! What Knative's PingSource does in a cluster: calls chores once in a while.

use std::{collections::BTreeMap, time::Duration};

use teiten_footage::CloudEvent;
use teiten_sink::Sink;

/// How often reconciling is called for.
pub(crate) const RECONCILE_PERIOD: Duration = Duration::from_secs(60);

/// How often compaction is called for.
pub(crate) const COMPACT_PERIOD: Duration = Duration::from_secs(3600);

/// Posts a ping to `sink` in each `period`, for ever.
pub(crate) async fn run(sink: &Sink, period: Duration) -> std::convert::Infallible {
    let mut period = tokio::time::interval(period);
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
            // The next one comes soon enough.
            tracing::warn!(%error, "a chore was not called for");
        }
    }
}
