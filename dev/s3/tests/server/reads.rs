//! Reads over plain HTTP: ranges, conditions, CORS and time.

use reqwest::{Method, Response, StatusCode};
use teiten_bucket::Bucket;

use crate::support::{Running, header, put};

async fn get(url: String, headers: &[(&str, &str)]) -> Response {
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn ranges_are_served() {
    let server = Running::start().await;
    // Larger than what is read at once.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    put(&server.bucket("media"), "a", &bytes).await;
    put(&server.bucket("media"), "empty", b"").await;
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=5-9", 5..10),
        ("bytes=2999990-", 2_999_990..3_000_000),
        ("bytes=-5", 2_999_995..3_000_000),
        ("bytes=2999999-9999999", 2_999_999..3_000_000),
        ("bytes=100-2000099", 100..2_000_100),
    ] {
        let response = get(server.url("/media/a"), &[("range", range)]).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let content_range = format!("bytes {}-{}/3000000", expected.start, expected.end - 1);
        assert_eq!(header(&response, "content-range"), content_range);
        assert_eq!(header(&response, "content-length"), expected.len().to_string());
        assert!(response.bytes().await.unwrap() == bytes[expected], "{range}");
    }
    let whole = get(server.url("/media/a"), &[]).await;
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert!(whole.bytes().await.unwrap() == bytes);
    for (path, range) in [("/media/a", "bytes=3000000-"), ("/media/empty", "bytes=0-")] {
        let response = get(server.url(path), &[("range", range)]).await;
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE, "{path} {range}");
    }
}

#[tokio::test]
async fn headers_are_served_as_they_were_put() {
    let server = Running::start().await;
    let etag = put(&server.bucket("media"), "a.m3u8", b"#EXTM3U\n").await;
    let http = reqwest::Client::new();
    for method in [Method::GET, Method::HEAD] {
        let response = http.request(method, server.url("/media/a.m3u8")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "application/vnd.apple.mpegurl");
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "content-length"), "8");
        assert_eq!(header(&response, "etag"), format!("\"{etag}\""));
    }
}

#[tokio::test]
async fn an_unchanged_object_is_not_sent_again() {
    let server = Running::start().await;
    let bucket = server.bucket("media");
    let etag = format!("\"{}\"", put(&bucket, "live.m3u8", b"1").await);
    let first = get(server.url("/media/live.m3u8"), &[]).await;
    let modified = header(&first, "last-modified").to_owned();
    for condition in [("if-none-match", &etag), ("if-modified-since", &modified)] {
        let response = get(server.url("/media/live.m3u8"), &[(condition.0, condition.1)]).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&response, "etag"), etag);
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "content-type"), "");
        assert!(response.bytes().await.unwrap().is_empty());
    }
    put(&bucket, "live.m3u8", b"2").await;
    let response = get(server.url("/media/live.m3u8"), &[("if-none-match", &etag)]).await;
    assert_eq!(response.text().await.unwrap(), "2");
    let response = get(server.url("/media/live.m3u8"), &[("if-match", &etag)]).await;
    assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn every_answer_is_readable_from_other_origins_and_tells_the_time() {
    let server = Running::start().await;
    let etag = put(&server.bucket("media"), "a", b"1").await;
    let etag = format!("\"{etag}\"");
    for (path, headers, status) in [
        ("/media/a", vec![], 200),
        ("/media/a", vec![("range", "bytes=0-0")], 206),
        ("/media/a", vec![("if-none-match", &etag[..])], 304),
        ("/frames/a", vec![], 403),
        ("/media/absent", vec![], 404),
        ("/media/a", vec![("range", "bytes=7-")], 416),
    ] {
        let before = teiten_telemetry::now().unix_millis();
        let response = get(server.url(path), &headers).await;
        let after = teiten_telemetry::now().unix_millis();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        let exposed = header(&response, "access-control-expose-headers");
        for name in ["date", "etag", "content-length", "content-range", "x-teiten-time"] {
            assert!(exposed.split(", ").any(|one| one == name), "{name} in {exposed:?}");
        }
        let time: u64 = header(&response, "x-teiten-time").parse().unwrap();
        assert!((before..=after).contains(&time), "{before} <= {time} <= {after}");
        assert_eq!(response.headers().get_all("date").iter().count(), 1);
        let date = jiff::fmt::rfc2822::parse(header(&response, "date")).unwrap();
        assert_eq!(u64::try_from(date.timestamp().as_second()).unwrap(), time / 1000);
    }
}

#[tokio::test]
async fn preflights_are_answered() {
    let server = Running::start().await;
    for url in [server.url("/media/a"), server.url("/frames/a"), server.public_url("/a")] {
        let request = reqwest::Client::new()
            .request(Method::OPTIONS, url)
            .header("origin", "http://viewer.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "range, if-none-match");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        assert_eq!(header(&response, "access-control-allow-headers"), "range, if-none-match");
        assert!(header(&response, "access-control-allow-methods").contains("GET"));
    }
}

#[tokio::test]
async fn a_reader_sees_one_version_whole_while_it_is_replaced() {
    let server = Running::start().await;
    let bucket = server.bucket("media");
    put(&bucket, "a", &[0; 4_000_000]).await;
    let mut response = get(server.url("/media/a"), &[]).await;
    let mut read = response.chunk().await.unwrap().unwrap().to_vec();
    put(&bucket, "a", &[1; 4_000_000]).await;
    bucket.delete("a").await.unwrap();
    while let Some(chunk) = response.chunk().await.unwrap() {
        read.extend_from_slice(&chunk);
    }
    assert!(read == [0; 4_000_000]);
}
