//! Where events go: CloudEvents over HTTP in binary mode (HTTP Protocol Binding §3.1), to the URL that Knative's
//! SinkBinding names in `K_SINK`. Any 2xx means that the sink took responsibility.

use std::{str::FromStr, time::Duration};

use reqwest::{Client, StatusCode, Url};
use teiten_footage::CloudEvent;

/// What an event was caused by: the extension, and HTTP's header (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// How long a connection to the sink may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long the sink may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// The URL that events are posted to: plain HTTP, as inside a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkUrl(Url);

/// Text that is no [`SinkUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no sink for events: expected an http:// URL (https is not spoken here)")]
pub struct SinkUrlError {
    given: String,
}

impl FromStr for SinkUrl {
    type Err = SinkUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "http");
        url.map(Self).ok_or_else(|| SinkUrlError { given: text.chars().take(200).collect() })
    }
}

/// Why the sink did not accept an event.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It could not be reached or did not answer. The text says why: who logs it needs no chain of causes.
    #[error("the sink cannot be reached: {0:#}")]
    Unreachable(anyhow::Error),
    /// It answered something else than success.
    #[error("the sink answered {0}")]
    Answered(StatusCode),
}

impl SinkError {
    /// Whether the sink said that this event is wrong, rather than that it cannot take it now: 4xx, except
    /// those that a Knative Broker retries too.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Answered(status) => {
                status.is_client_error() && !matches!(status.as_u16(), 404 | 408 | 409 | 429)
            }
        }
    }
}

/// The sink. One client, so connections are reused.
#[derive(Debug, Clone)]
pub struct Sink {
    client: Client,
    url: Url,
}

impl Sink {
    /// The sink at `url`. Connects when it is first used.
    ///
    /// # Errors
    /// If the system does not let an HTTP client be made.
    pub fn new(url: &SinkUrl) -> Result<Self, reqwest::Error> {
        // The sink is a neighbour: a proxy for the outside world is not asked.
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, url: url.0.clone() })
    }

    /// Sends an event, once.
    pub async fn post(&self, event: &CloudEvent) -> Result<(), SinkError> {
        let (headers, body) = event.to_binary();
        let request = self.client.post(self.url.clone()).body(body);
        let mut request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        if let Some(cause) = event.extensions.get(TRACEPARENT) {
            // Knative's brokers go by HTTP's own header, and write the extension anew from it.
            request = request.header(TRACEPARENT, cause);
        }
        let response = request.send().await.map_err(|error| SinkError::Unreachable(error.into()))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(SinkError::Answered(status)) }
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::{CameraId, Event, Timestamp, Window, WindowLength};

    use super::*;

    #[tokio::test]
    async fn why_the_sink_cannot_be_reached_is_told_once_whoever_tells_it() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sink = Sink::new(&format!("http://{closed}/").parse().unwrap()).unwrap();
        let camera = CameraId::new("front-door").unwrap();
        let window = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT);
        let event = Event::WindowMissed { camera, window }.to_cloud_event();
        let error = sink.post(&event).await.unwrap_err();
        let (alone, chain) = (error.to_string(), format!("{:#}", anyhow::Error::from(error)));
        for text in [alone, chain] {
            assert_eq!(text.matches("error sending request").count(), 1, "{text}");
            assert!(text.contains("refused"), "{text}");
        }
    }

    #[test]
    fn a_sink_is_an_http_url() {
        for text in ["http://broker-ingress.knative-eventing/a/default", "http://[::1]:8080"] {
            assert!(text.parse::<SinkUrl>().is_ok(), "{text:?}");
        }
        for text in ["", "broker", "/path", "https://sink/", "http://", "ftp://sink/"] {
            assert!(text.parse::<SinkUrl>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_a_broker_would_send_again_is_no_refusal() {
        for (status, refusal) in [(400, true), (403, true), (404, false), (429, false), (503, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(SinkError::Answered(status).is_refusal(), refusal, "{status}");
        }
    }
}
