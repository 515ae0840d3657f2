//! What a request brings: a CloudEvent (HTTP Protocol Binding, binary or structured mode), or the notification
//! of an object store about any number of objects.

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use teiten_footage::{
    CloudEvent, Event,
    cloudevent::CloudEventError,
    event::EventError,
    notification::{self, NotificationError},
};
use teiten_telemetry::traces::Cause;

/// The body of a request, understood.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One CloudEvent.
    Event {
        /// Its id, as the sender has it.
        id: String,
        /// What it says.
        event: Event,
        /// What caused it, if it says so.
        cause: Option<Cause>,
        /// Whether it came as bare JSON, without HTTP headers that say what it is: from a caller that reads bodies
        /// only.
        bare: bool,
    },
    /// A storage's notification.
    Notification {
        /// What follows from the objects that were written.
        events: Vec<Event>,
        /// Objects that nothing follows from: init sections, playlists, someone else's.
        others: Vec<EventError>,
    },
}

/// Why a request is refused without asking the function.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Rejection {
    /// 400.
    #[error(transparent)]
    CloudEvent(CloudEventError),
    /// 400.
    #[error(transparent)]
    Malformed(EventError),
    /// 400.
    #[error("neither a CloudEvent nor the notification of an object store: {0}")]
    Neither(NotificationError),
    /// 415.
    #[error("{0:?} is neither JSON nor a CloudEvent")]
    MediaType(String),
    /// 415.
    #[error(transparent)]
    Format(CloudEventError),
    /// 422.
    #[error(transparent)]
    UnknownType(EventError),
    /// 400.
    #[error("neither a CloudEvent nor a scheduled event of EventBridge")]
    NoCall,
    /// 422.
    #[error("event type {kind:?} is no schedule's: expected {PING} or \"{SCHEDULED}\"")]
    NoSchedule {
        /// The type.
        kind: String,
    },
}

/// The type of the events of Knative's PingSource.
pub const PING: &str = "dev.knative.sources.ping";

/// The `detail-type` of the events of EventBridge's scheduled rules.
const SCHEDULED: &str = "Scheduled Event";

/// A schedule's call.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    /// The id of its event.
    pub(crate) id: String,
    /// As in [`Incoming::Event`].
    pub(crate) bare: bool,
}

impl Rejection {
    /// The status that tells it. None of these is ever 404, 408, 409 or 429, which Knative repeats.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::CloudEvent(_) | Self::Malformed(_) | Self::Neither(_) | Self::NoCall => {
                StatusCode::BAD_REQUEST
            }
            Self::MediaType(_) | Self::Format(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownType(_) | Self::NoSchedule { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// Reads a request to a function.
pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Incoming, Rejection> {
    match envelope(headers, body)? {
        Some(envelope) => parse_event(&envelope, false),
        None => parse_json(headers, body),
    }
}

/// Reads a request to a chore.
pub(crate) fn parse_call(headers: &HeaderMap, body: &[u8]) -> Result<Call, Rejection> {
    #[derive(Deserialize)]
    struct Scheduled {
        id: String,
        #[serde(rename = "detail-type")]
        kind: String,
    }

    let (id, kind, bare) = match envelope(headers, body)? {
        Some(envelope) => (envelope.id, envelope.kind, false),
        None => {
            let event: Scheduled = serde_json::from_slice(body).map_err(|_other| Rejection::NoCall)?;
            (event.id, event.kind, true)
        }
    };
    if kind == if bare { SCHEDULED } else { PING } {
        Ok(Call { id, bare })
    } else {
        Err(Rejection::NoSchedule { kind: kind.chars().take(80).collect() })
    }
}

/// The CloudEvent of a request, if that claims to be one.
fn envelope(headers: &HeaderMap, body: &[u8]) -> Result<Option<CloudEvent>, Rejection> {
    // A header that is no text cannot be one of CloudEvents'.
    let text = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    match CloudEvent::from_http(text, body) {
        Ok(envelope) => Ok(Some(envelope)),
        Err(CloudEventError::NotACloudEvent) => Ok(None),
        Err(error @ CloudEventError::UnsupportedFormat { .. }) => Err(Rejection::Format(error)),
        Err(error) => Err(Rejection::CloudEvent(error)),
    }
}

fn parse_event(envelope: &CloudEvent, bare: bool) -> Result<Incoming, Rejection> {
    match Event::try_from(envelope) {
        Ok(event) => {
            let cause = Cause::of_event(&envelope.extensions);
            Ok(Incoming::Event { id: envelope.id.clone(), event, cause, bare })
        }
        Err(error @ EventError::UnknownType { .. }) => Err(Rejection::UnknownType(error)),
        Err(error) => Err(Rejection::Malformed(error)),
    }
}

/// JSON whose headers say no more than that.
fn parse_json(headers: &HeaderMap, body: &[u8]) -> Result<Incoming, Rejection> {
    let content_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(given) = content_type
        && !given.to_ascii_lowercase().contains("json")
    {
        return Err(Rejection::MediaType(given.chars().take(80).collect()));
    }
    let objects = match notification::parse(body) {
        Ok(objects) => objects,
        Err(no_notification) => {
            // AWS Lambda passes on the JSON that it is invoked with, and no headers.
            let structured = [("content-type", "application/cloudevents+json")];
            return match CloudEvent::from_http(structured, body) {
                Ok(envelope) => parse_event(&envelope, true),
                Err(_) => Err(Rejection::Neither(no_notification)),
            };
        }
    };
    let (mut events, mut others) = (Vec::new(), Vec::new());
    for object in &objects {
        match Event::from_object_created(object) {
            Ok(event) => events.push(event),
            Err(error) => others.push(error),
        }
    }
    Ok(Incoming::Notification { events, others })
}
