//! The sink of dead letters: events that a Broker gave up are kept in the bucket of batches, beside the batch that they are about,
//! for as long as that. `./just status` shows them.
//!
//! It takes any CloudEvent whose data is JSON or nothing: what it is about is for people to find out.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use teiten_bucket::{Bucket, Condition, Headers};
use teiten_footage::{CloudEvent, DeadLetter, Timestamp};
use teiten_telemetry::metrics::{Outcome, function_metrics};
use tracing::{error, warn};

/// The function's name, for its numbers.
pub const NAME: &str = "dead-letters";

const HEADERS: Headers =
    Headers { content_type: "application/json", cache_control: "no-cache", ..Headers::NONE };

/// Where dead letters are kept, and the time.
struct Keeper {
    frames: Arc<dyn Bucket>,
    clock: fn() -> Timestamp,
}

/// The handler, for every path: 204 once a CloudEvent that was posted is in `frames`, 400 to what is none or has other data, 503 where the store does
/// not take it; and `GET /healthz` with 200.
pub fn router(frames: Arc<dyn Bucket>, clock: fn() -> Timestamp) -> Router {
    Router::new()
        .route("/healthz", get(StatusCode::OK))
        .fallback_service(post(handle).with_state(Arc::new(Keeper { frames, clock })))
        .layer(DefaultBodyLimit::max(teiten_host::BODY_BYTES_MAX))
}

async fn handle(State(keeper): State<Arc<Keeper>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let begun = Instant::now();
    let (status, text) = keeper.keep(&headers, &body).await;
    let outcome = match status {
        StatusCode::NO_CONTENT => Outcome::Done,
        StatusCode::SERVICE_UNAVAILABLE => Outcome::Unavailable,
        _ => Outcome::Refused,
    };
    function_metrics().handled(NAME, outcome, begun.elapsed());
    (status, text)
}

impl Keeper {
    async fn keep(&self, headers: &HeaderMap, body: &Bytes) -> (StatusCode, String) {
        let text = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let event = match CloudEvent::from_http(text, body) {
            Ok(event) => event,
            // It does not come again: this line is all that is left of it.
            Err(error) => {
                warn!(%error, bytes = body.len(), "what was posted is no event that can be kept");
                return (StatusCode::BAD_REQUEST, format!("{error}\n"));
            }
        };
        let (letter, key) = DeadLetter::of(event, (self.clock)());
        let json = serde_json::to_vec(&letter).expect("a dead letter is JSON");
        // One that is there already came twice within a second. One that comes again later is kept twice.
        match self.frames.put(&key, json.into(), HEADERS, Condition::IfAbsent).await {
            Ok(_) => {
                error!(
                    key,
                    event = letter.event["type"].as_str(),
                    subject = letter.event["subject"].as_str(),
                    destination = letter.destination,
                    status = letter.status,
                    reason = letter.reason,
                    "an event was given up"
                );
                (StatusCode::NO_CONTENT, String::new())
            }
            Err(error) => {
                warn!(key, %error, "a dead letter was not kept");
                (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Seek as _},
    };

    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use teiten_bucket::MemoryBucket;
    use teiten_footage::key::DEAD_LETTERS_PREFIX;
    use tower::ServiceExt as _;

    use super::*;

    fn clock() -> Timestamp {
        Timestamp::from_unix_millis(1_795_406_701_234)
    }

    async fn post(frames: &Arc<MemoryBucket>, headers: &[(&str, &str)], body: &str) -> (StatusCode, String) {
        let request = headers
            .iter()
            .fold(Request::post("/any"), |request, (name, value)| request.header(*name, *value));
        let router = router(Arc::clone(frames) as Arc<dyn Bucket>, clock);
        let answer = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = answer.status();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_event_of_any_type_is_kept_once_with_what_became_of_it() {
        let frames = Arc::new(MemoryBucket::new("frames"));
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/somebody"),
            ("ce-type", "com.example.unknown"),
            ("ce-knativeerrordest", "http://encode"),
            ("ce-knativeerrorcode", "422"),
            ("content-type", "application/json"),
        ];
        for _ in 0..2 {
            assert_eq!(post(&frames, &headers, r#"{"key":"k"}"#).await.0, StatusCode::NO_CONTENT);
        }
        let kept = frames.list_after(DEAD_LETTERS_PREFIX, "", 10).await.unwrap();
        assert_eq!(kept.len(), 1, "{kept:?}");
        let object = frames.get(&kept[0].key).await.unwrap().unwrap();
        let letter: DeadLetter = serde_json::from_slice(&object.bytes).unwrap();
        assert_eq!(
            (letter.destination.as_deref(), letter.status.as_deref()),
            (Some("http://encode"), Some("422"))
        );
        assert_eq!(
            (&letter.event["type"], &letter.event["data"]["key"]),
            (&"com.example.unknown".into(), &"k".into())
        );
    }

    /// How many had this outcome, in all tests of this process.
    fn counted(outcome: Outcome) -> u64 {
        function_metrics().count(NAME, outcome)
    }

    #[tokio::test]
    async fn each_one_is_counted_by_what_became_of_it() {
        let frames = Arc::new(MemoryBucket::new("frames"));
        let before = [Outcome::Done, Outcome::Refused].map(counted);
        let event = r#"{"specversion":"1.0","id":"1","source":"/somebody","type":"com.example.unknown"}"#;
        let (status, _) = post(&frames, &[("content-type", "application/cloudevents+json")], event).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        post(&frames, &[], "").await;
        let after = [Outcome::Done, Outcome::Refused].map(counted);
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} {after:?}");
    }

    #[tokio::test]
    async fn what_is_no_event_of_json_is_refused_and_the_log_says_why() {
        let frames = Arc::new(MemoryBucket::new("frames"));
        let mut log: File = tempfile::tempfile().unwrap();
        let writer = Arc::new(log.try_clone().unwrap());
        let _told = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(writer).finish());
        let (status, why) = post(&frames, &[("content-type", "application/json")], "{}").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(!why.is_empty());
        let [id, kind] = [("ce-id", "1"), ("ce-type", "com.example.picture")];
        let headers =
            [("ce-specversion", "1.0"), id, ("ce-source", "/somebody"), kind, ("content-type", "image/jpeg")];
        assert_eq!(post(&frames, &headers, "a picture").await.0, StatusCode::BAD_REQUEST);
        let mut said = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut said).unwrap();
        assert!(said.contains(why.trim_end()) && said.contains("image/jpeg"), "{said}");
        assert!(frames.list_after("", "", 10).await.unwrap().is_empty());
    }
}
