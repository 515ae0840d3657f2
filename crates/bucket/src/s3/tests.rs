//! What a store's own failures are taken for. That real stores' answers are understood is the conformance suite's affair.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Method, StatusCode},
    response::IntoResponse as _,
};
use futures::{StreamExt as _, stream};
use tokio::net::TcpListener;

use super::*;
use crate::Credentials;

/// Ceph's answer to some lost races, and to other failures.
const UNKNOWN: (u16, &str) = (500, "UnknownError");

/// A store that answers every put like this, and has an object with this entity tag, or none.
async fn failing_store((status, code): (u16, &'static str), etag: Option<&'static str>) -> S3Bucket {
    let router = Router::new().fallback(move |method: Method| async move {
        match (method, etag) {
            (Method::HEAD, Some(etag)) => [("etag", format!("\"{etag}\""))].into_response(),
            (Method::HEAD, None) => StatusCode::NOT_FOUND.into_response(),
            _ => {
                let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
                (StatusCode::from_u16(status).unwrap(), body).into_response()
            }
        }
    });
    S3Bucket::new(&serve(router).await, "frames")
}

/// A client of a store that answers like this.
async fn serve(router: Router) -> S3Config {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials =
        Credentials { access_key: "key".to_owned(), secret_key: "secret".to_owned(), session_token: None };
    S3Config::new(Some(&endpoint), "us-east-1", credentials).unwrap()
}

/// What becomes of a conditional put to a store that answers like this and has `etag`.
async fn put(
    answer: (u16, &'static str),
    condition: Condition,
    etag: Option<&'static str>,
) -> Result<Put, BucketError> {
    failing_store(answer, etag).await.put("key", Bytes::new(), Headers::default(), condition).await
}

#[tokio::test]
async fn a_500_is_a_lost_race_only_where_the_condition_does_not_hold_any_more() {
    let old = || Condition::IfMatch(ETag::new("old"));
    for (condition, etag) in [(Condition::IfAbsent, Some("new")), (old(), Some("new")), (old(), None)] {
        assert_eq!(put(UNKNOWN, condition, etag).await.unwrap(), Put::Refused);
    }
    for (condition, etag) in
        [(Condition::IfAbsent, None), (old(), Some("old")), (Condition::Always, Some("new"))]
    {
        assert!(put(UNKNOWN, condition, etag).await.unwrap_err().is_retryable());
    }
}

#[tokio::test]
async fn what_has_to_be_absent_is_there_only_if_the_store_has_it() {
    for answer in [(409, "ConditionalRequestConflict"), (404, "NoSuchKey")] {
        assert_eq!(put(answer, Condition::IfAbsent, Some("new")).await.unwrap(), Put::Refused);
        assert!(put(answer, Condition::IfAbsent, None).await.unwrap_err().is_retryable(), "{answer:?}");
        let old = Condition::IfMatch(ETag::new("old"));
        assert_eq!(put(answer, old, None).await.unwrap(), Put::Refused, "{answer:?}");
    }
    let answer = (412, "PreconditionFailed");
    assert_eq!(put(answer, Condition::IfAbsent, None).await.unwrap(), Put::Refused);
}

/// How long the slow store takes for a request, whatever is in it: a link's pace, where a quarter of a second is what ten are.
const SLOW: Duration = Duration::from_millis(750);
const PATIENCE: Patience = Patience { least: Duration::from_millis(250), bytes_per_second_min: 1 << 20 };

/// A store that takes and gives bodies slowly.
async fn slow_store() -> S3Bucket {
    let router = Router::new().fallback(async |method: Method, body: Body| {
        if method == Method::PUT {
            tokio::time::sleep(SLOW).await;
            axum::body::to_bytes(body, usize::MAX).await.unwrap();
            return [("etag", "\"new\"")].into_response();
        }
        let second_half = async {
            tokio::time::sleep(SLOW).await;
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; LARGE / 2]))
        };
        let first_half = async { Ok(Bytes::from_static(&[0; LARGE / 2])) };
        let body = Body::from_stream(stream::once(first_half).chain(stream::once(second_half)));
        ([("etag", "\"new\"".to_owned()), ("content-length", LARGE.to_string())], body).into_response()
    });
    S3Bucket { patience: PATIENCE, ..S3Bucket::new(&serve(router).await, "media") }
}

const LARGE: usize = 2 << 20;

#[tokio::test]
async fn what_is_large_has_more_time() {
    let store = slow_store().await;
    for condition in [Condition::Always, Condition::IfAbsent] {
        let large = store.put("pack", vec![0; LARGE].into(), Headers::default(), condition);
        assert_eq!(large.await.unwrap(), Put::Stored(ETag::new("new")));
    }
    let small = store.put("playlist", Bytes::new(), Headers::default(), Condition::IfAbsent).await;
    assert!(small.unwrap_err().is_retryable());
    assert_eq!(store.get("pack").await.unwrap().unwrap().bytes.len(), LARGE);
}

/// A store whose first answers, so many, end after half of what they said.
async fn torn_store(torn: u32) -> S3Bucket {
    let asked = Arc::new(AtomicU32::new(0));
    let router = Router::new().fallback(move || {
        let is_torn = asked.fetch_add(1, Ordering::Relaxed) < torn;
        async move {
            let half = || async { Ok::<_, std::io::Error>(Bytes::from_static(b"half")) };
            let other =
                async move { if is_torn { Err(std::io::Error::other("torn")) } else { half().await } };
            let body = Body::from_stream(stream::once(half()).chain(stream::once(other)));
            ([("etag", "\"new\""), ("content-length", "8")], body).into_response()
        }
    });
    S3Bucket::new(&serve(router).await, "media")
}

#[tokio::test]
async fn what_breaks_off_is_read_again_a_few_times() {
    assert_eq!(torn_store(1).await.get("segment").await.unwrap().unwrap().bytes, "halfhalf");
    let range = torn_store(2).await.get_range("segment", 4, 8).await;
    assert_eq!(range.unwrap().unwrap().bytes, "halfhalf");
    assert!(torn_store(3).await.get("segment").await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn of_what_is_too_large_nothing_is_read() {
    // Its body never comes.
    let router = Router::new().fallback(async || {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        ([("etag", "\"new\""), ("content-length", "9")], body).into_response()
    });
    let store = S3Bucket::new(&serve(router).await, "frames");
    let error = store.get_up_to("foreign", 8).await.unwrap_err();
    assert_eq!(error.to_string(), "bucket frames: get \"foreign\": the object has 9 bytes, more than 8");
}

/// A store that answers like this when it is asked to delete several objects, and counts those that it is asked for one by one.
async fn store_that_deletes((status, body): (u16, &'static str)) -> (S3Bucket, Arc<AtomicU32>) {
    let deleted = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&deleted);
    let router = Router::new().fallback(move |method: Method| async move {
        if method == Method::DELETE {
            counted.fetch_add(1, Ordering::Relaxed);
            return StatusCode::NO_CONTENT.into_response();
        }
        (StatusCode::from_u16(status).unwrap(), format!("<?xml version=\"1.0\"?>{body}")).into_response()
    });
    (S3Bucket::new(&serve(router).await, "media"), deleted)
}

#[tokio::test]
async fn a_store_that_cannot_delete_several_objects_at_once_deletes_them_one_by_one() {
    let keys: Vec<String> = (0..300).map(|index| format!("segment-{index}")).collect();
    for (answer, one_by_one) in [
        ((200, "<DeleteResult></DeleteResult>"), 0),
        ((501, "<Error><Code>NotImplemented</Code></Error>"), 300),
        ((400, "<Error><Code>MissingContentMD5</Code></Error>"), 300),
        ((403, "<Error><Code>AccessDenied</Code></Error>"), 300),
    ] {
        let (store, deleted) = store_that_deletes(answer).await;
        store.delete_all(&keys).await.unwrap();
        assert_eq!(deleted.load(Ordering::Relaxed), one_by_one, "{answer:?}");
    }
}

#[tokio::test]
async fn an_object_that_is_not_deleted_with_others_is_told() {
    for (code, is_retryable) in [("AccessDenied", false), ("InternalError", true)] {
        let body = format!("<DeleteResult><Error><Key>two</Key><Code>{code}</Code></Error></DeleteResult>");
        let (store, _) = store_that_deletes((200, body.leak())).await;
        let error = store.delete_all(&["one", "two"].map(str::to_owned)).await.unwrap_err();
        assert_eq!(error.is_retryable(), is_retryable);
        assert!(error.to_string().contains("\"two\"") && error.to_string().contains(code), "{error}");
    }
}
