//! Answers: a status, and either events or one line that names what went wrong.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use teiten_footage::CloudEvent;

/// How long a sender should wait with what may work later, in seconds. Senders have their own, growing pauses.
const RETRY_AFTER_SECONDS: &str = "1";

/// The longest line that names what went wrong, in bytes. Knative's in-memory channel puts it into a dead letter as base64 of 1024
/// bytes at most, and its dispatcher dies of a longer one (a Go panic, Eventing 1.10 to 1.23), with every event that waits in it.
const REASON_BYTES_MAX: usize = 768;

/// 204: all is done, and there is nothing to say.
pub(crate) fn done() -> Response {
    with_status(StatusCode::NO_CONTENT, Body::empty())
}

/// 200 with an event in binary mode, as Knative wants replies.
pub(crate) fn binary(reply: &CloudEvent) -> Response {
    let (headers, body) = reply.to_binary();
    let mut response = with_status(StatusCode::OK, Body::from(body));
    for (name, value) in headers {
        let name = HeaderName::try_from(name).expect("attribute names are valid in headers");
        let value = HeaderValue::try_from(value).expect("attributes are encoded for headers");
        response.headers_mut().insert(name, value);
    }
    response
}

/// 200 with events that a reader of bodies understands: one in structured mode (HTTP Protocol Binding §3.2),
/// several in batched mode (§3.3); 204 without any.
pub(crate) fn structured(replies: &[CloudEvent]) -> Response {
    let (content_type, body) = match replies {
        [] => return done(),
        [reply] => ("application/cloudevents+json", reply.to_structured()),
        replies => {
            let each: Vec<Vec<u8>> = replies.iter().map(|reply| reply.to_structured()).collect();
            ("application/cloudevents-batch+json", [&b"["[..], &each.join(&b','), b"]"].concat())
        }
    };
    let mut response = with_status(StatusCode::OK, Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A failure, as one line of text, cut where it would be too long.
pub(crate) fn failed(status: StatusCode, why: &str) -> Response {
    let mut line = why.replace(['\r', '\n'], " ");
    line.truncate(line.floor_char_boundary(REASON_BYTES_MAX - 1));
    line.push('\n');
    let mut response = with_status(status, Body::from(line));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

fn with_status(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn line(why: &str) -> String {
        let answer = failed(StatusCode::UNPROCESSABLE_ENTITY, why);
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_failure_is_one_line_that_knatives_dispatcher_survives() {
        assert_eq!(line("no\nframe").await, "no frame\n");
        assert_eq!(line(&"x".repeat(767)).await.len(), 768);
        let cut = line(&"é".repeat(1000)).await;
        assert_eq!((cut.len(), cut.ends_with("é\n")), (767, true));
    }
}
