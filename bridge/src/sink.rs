//! Events to `K_SINK`: CloudEvents over HTTP in binary mode (HTTP Protocol Binding §3.1). Any 2xx means that
//! the sink took responsibility.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use teiten_footage::Event;

/// How long a connection to the sink may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long the sink may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Why the sink did not accept an event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// It could not be reached or did not answer.
    #[error("the sink cannot be reached: {0:#}")]
    Unreachable(#[source] reqwest::Error),
    /// It answered something else than success.
    #[error("the sink answered {0}")]
    Answered(StatusCode),
}

impl SinkError {
    /// Whether the sink said that this event is wrong, rather than that it cannot take it now: 4xx, except
    /// those that a Knative Broker retries too.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Answered(status) => {
                status.is_client_error() && !matches!(status.as_u16(), 404 | 408 | 409 | 429)
            }
        }
    }
}

/// Where events go. One client, so connections are reused.
#[derive(Debug)]
pub(crate) struct Sink {
    client: Client,
    url: Url,
}

impl Sink {
    pub(crate) fn new(url: Url) -> Result<Self, reqwest::Error> {
        // The sink is a neighbour: a proxy for the outside world is not asked.
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, url })
    }

    /// Sends one event, once.
    pub(crate) async fn send(&self, event: &Event) -> Result<(), SinkError> {
        let (headers, body) = event.to_cloud_event().to_binary();
        let request = self.client.post(self.url.clone()).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.send().await.map_err(SinkError::Unreachable)?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(SinkError::Answered(status)) }
    }
}
