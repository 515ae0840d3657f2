//! What Knative's PingSource does in a cluster: calls chores once in a while.

use std::{collections::BTreeMap, time::Duration};

use teiten_footage::CloudEvent;
use teiten_sink::Sink;

/// How often what is new is looked at.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How often compaction is called for.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The extension by which a ping says which chore it is for, as in infra/base/events.
pub(crate) fn named(chore: &str) -> BTreeMap<String, String> {
    [("chore".to_owned(), chore.to_owned())].into()
}

/// Posts a ping for `chore` to `sink` in each `period`, for ever.
pub(crate) async fn run(sink: &Sink, chore: &str, period: Duration) -> std::convert::Infallible {
    let mut period = tokio::time::interval(period);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let ping = CloudEvent {
            id: format!("{chore}/{}", teiten_telemetry::now()),
            source: "/teiten/dev/schedule".to_owned(),
            kind: teiten_host::PING.to_owned(),
            subject: None,
            time: None,
            extensions: named(chore),
            data: serde_json::Value::Null,
        };
        if let Err(error) = sink.post(&ping).await {
            // The next one comes soon enough.
            tracing::warn!(chore, %error, "a chore was not called for");
        }
    }
}
