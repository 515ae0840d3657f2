//! What a store's own failures are taken for. That real stores' answers are understood is the conformance suite's affair.

use std::net::Ipv4Addr;

use axum::{
    Router,
    http::{Method, StatusCode},
    response::IntoResponse as _,
};
use tokio::net::TcpListener;

use super::*;
use crate::Credentials;

/// A store that answers every put with Ceph's 500, and has an object with this entity tag, or none.
async fn failing_store(etag: Option<&'static str>) -> S3Bucket {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(move |method: Method| async move {
        match (method, etag) {
            (Method::HEAD, Some(etag)) => [("etag", format!("\"{etag}\""))].into_response(),
            (Method::HEAD, None) => StatusCode::NOT_FOUND.into_response(),
            _ => {
                let body = "<?xml version=\"1.0\"?><Error><Code>UnknownError</Code></Error>";
                (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials =
        Credentials { access_key: "key".to_owned(), secret_key: "secret".to_owned(), session_token: None };
    S3Bucket::new(&S3Config::new(Some(&endpoint), "us-east-1", credentials).unwrap(), "frames")
}

/// What becomes of a conditional put to a store that answers 500 and has `etag`.
async fn put(condition: Condition, etag: Option<&'static str>) -> Result<Put, BucketError> {
    failing_store(etag).await.put("key", Bytes::new(), Headers::default(), condition).await
}

#[tokio::test]
async fn a_500_is_a_lost_race_only_where_the_condition_does_not_hold_any_more() {
    let old = || Condition::IfMatch(ETag::new("old"));
    for (condition, etag) in [(Condition::IfAbsent, Some("new")), (old(), Some("new")), (old(), None)] {
        assert_eq!(put(condition, etag).await.unwrap(), Put::Refused);
    }
    for (condition, etag) in
        [(Condition::IfAbsent, None), (old(), Some("old")), (Condition::Always, Some("new"))]
    {
        assert!(put(condition, etag).await.unwrap_err().is_retryable());
    }
}
