//! What happens to every request before S3 sees it and to every answer after: CORS (the Fetch standard,
//! §3.2), the server's time, and the mapping of a bucket to the root of an origin.

use std::ops::ControlFlow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri::PathAndQuery,
};
use jiff::fmt::rfc2822::DateTimePrinter;
use s3s::{Body, service::S3Service};

/// The server's time in milliseconds since the Unix epoch: as `Date`, but finer.
const TIME_HEADER: HeaderName = HeaderName::from_static("x-teiten-time");

/// What scripts of other origins may read of an answer, beside what they always may.
const EXPOSED_HEADERS: &str = "accept-ranges, cache-control, content-length, content-range, content-type, \
     date, etag, last-modified, x-amz-request-id, x-teiten-time";

const ALLOWED_METHODS: &str = "GET, HEAD, PUT, POST, DELETE";

/// How long a browser may keep the answer to a preflight, in seconds.
const PREFLIGHT_MAX_AGE: &str = "86400";

/// A way in.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    /// S3 as it is.
    S3,
    /// Reading one bucket, without signatures: `/key` is the object `key`, `/folder/` is
    /// `folder/index.html`. Queries mean nothing, so they can be used to pass caches.
    Bucket(String),
}

/// Answers one request.
pub(crate) async fn answer<B>(service: &S3Service, door: &Door, request: Request<B>) -> Response<Body>
where
    Body: From<B>,
{
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match admit(door, request) {
        ControlFlow::Break(response) => response,
        ControlFlow::Continue(request) => {
            service.call(request.map(Body::from)).await.unwrap_or_else(|error| {
                let error: s3s::StdError = error.into();
                tracing::error!(error = &*error as &dyn std::error::Error, "a request failed");
                status(StatusCode::INTERNAL_SERVER_ERROR)
            })
        }
    };
    tracing::debug!(%method, path = uri.path(), status = response.status().as_u16(), "answered");
    let now_unix_millis = teiten_telemetry::now().unix_millis();
    add_headers(response.headers_mut(), now_unix_millis);
    response
}

/// The request as S3 is to see it, or the answer to it if it is none of S3's business.
fn admit<B>(door: &Door, mut request: Request<B>) -> ControlFlow<Response<Body>, Request<B>> {
    if request.method() == Method::OPTIONS {
        return ControlFlow::Break(preflight(request.headers()));
    }
    let Door::Bucket(bucket) = door else { return ControlFlow::Continue(request) };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return ControlFlow::Break(status(StatusCode::METHOD_NOT_ALLOWED));
    }
    let path = request.uri().path();
    let index = if path.ends_with('/') { "index.html" } else { "" };
    let Ok(path_in_bucket) = PathAndQuery::try_from(format!("/{bucket}{path}{index}")) else {
        return ControlFlow::Break(status(StatusCode::BAD_REQUEST));
    };
    *request.uri_mut() = Uri::from(path_in_bucket);
    request.headers_mut().remove(header::AUTHORIZATION);
    ControlFlow::Continue(request)
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn preflight(asked: &HeaderMap) -> Response<Body> {
    let mut response = status(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_MAX_AGE));
    // A wildcard would leave out Authorization.
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

fn add_headers(headers: &mut HeaderMap, now_unix_millis: u64) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    headers.insert(TIME_HEADER, HeaderValue::from(now_unix_millis));
    // The HTTP library would add a date that it renews once a second, and so up to a second late.
    if let Some(date) = http_date(now_unix_millis) {
        headers.insert(header::DATE, date);
    }
}

/// The time in whole seconds, as HTTP writes it (RFC 9110 §5.6.7).
fn http_date(unix_millis: u64) -> Option<HeaderValue> {
    let seconds = i64::try_from(unix_millis / 1000).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(uri: &str) -> String {
        let request = Request::get(uri).body(()).unwrap();
        let door = Door::Bucket("media".to_owned());
        admit(&door, request).continue_value().unwrap().uri().to_string()
    }

    #[test]
    fn a_bucket_is_mapped_to_the_root_of_an_origin() {
        assert_eq!(mapped("/porch/live.m3u8"), "/media/porch/live.m3u8");
        assert_eq!(mapped("/"), "/media/index.html");
        assert_eq!(mapped("/a%20b/?x=1"), "/media/a%20b/index.html");
        assert_eq!(mapped("/x?list-type=2"), "/media/x");
        assert_eq!(mapped("http://host:8080/x"), "/media/x");
    }

    #[test]
    fn only_reads_pass_the_door_of_a_bucket() {
        let door = Door::Bucket("media".to_owned());
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            let request = Request::builder().method(method).uri("/x").body(()).unwrap();
            assert_eq!(admit(&door, request).break_value().unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
        }
        let signed = Request::get("/x").header(header::AUTHORIZATION, "AWS4…").body(()).unwrap();
        assert!(admit(&door, signed).continue_value().unwrap().headers().is_empty());
    }

    #[test]
    fn dates_are_whole_seconds_that_are_over() {
        assert_eq!(http_date(1_795_406_701_999).unwrap(), "Mon, 23 Nov 2026 04:05:01 GMT");
    }
}
