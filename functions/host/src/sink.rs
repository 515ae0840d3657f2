//! `K_SINK`: where replies to an object store's notifications go. A store reads no more of an answer than its
//! status, so what follows from a notification has to be sent on.

use std::time::Duration;

use anyhow::Context;
use teiten_footage::Event;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The address that replies are posted to.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    url: reqwest::Url,
    client: reqwest::Client,
}

impl Sink {
    /// The sink that Knative (SinkBinding) names in `K_SINK`, or `None` where that is empty.
    pub(crate) fn new(url: &str) -> anyhow::Result<Option<Self>> {
        if url.is_empty() {
            return Ok(None);
        }
        let url = url.parse().with_context(|| format!("K_SINK {url:?} is no URL"))?;
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .context("the client for K_SINK")?;
        Ok(Some(Self { url, client }))
    }

    /// Posts an event in binary mode. Success means that the sink has taken it over.
    pub(crate) async fn send(&self, event: &Event) -> anyhow::Result<()> {
        let envelope = event.to_cloud_event();
        let (headers, body) = envelope.to_binary();
        let request = headers
            .into_iter()
            .fold(self.client.post(self.url.clone()), |request, (name, value)| request.header(name, value));
        let answer = request.body(body).send().await.and_then(reqwest::Response::error_for_status);
        answer.map(drop).with_context(|| format!("event {} was not taken by K_SINK", envelope.id))
    }
}
