//! The host over real TCP, as a Broker, an object store and a kubelet see it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::support::{Scripted, batch, batch_key, notification, scripted, segment};
use async_trait::async_trait;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use teiten_footage::{CloudEvent, Event};
use teiten_host::{BODY_BYTES_MAX, Failure, Function};
use teiten_telemetry::metrics::{Outcome, function_metrics};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A function that is being served.
struct Served {
    function: Arc<Scripted>,
    address: SocketAddr,
    client: Client,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start() -> Self {
        Self::start_as(|function| function).await
    }

    /// What is served is what `named` makes of it.
    async fn start_as<F: Function>(named: impl FnOnce(Arc<Scripted>) -> Arc<F>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (function, shutdown) = (scripted(), CancellationToken::new());
        let served = named(Arc::clone(&function));
        let server = tokio::spawn(teiten_host::serve(served, listener, shutdown.clone()));
        Self { function, address, client: Client::new(), shutdown, server }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.address))
    }

    fn post_binary(&self, event: &CloudEvent) -> RequestBuilder {
        let (headers, body) = event.to_binary();
        let request =
            headers.iter().fold(self.post("/"), |request, (name, value)| request.header(name, value));
        request.body(body)
    }

    async fn send(&self, event: &Event) -> Response {
        self.post_binary(&event.to_cloud_event()).send().await.unwrap()
    }

    async fn post_json(&self, body: impl Into<reqwest::Body>) -> Response {
        self.post("/").header("content-type", "application/json").body(body).send().await.unwrap()
    }
}

async fn cloud_event(response: Response) -> CloudEvent {
    let headers = response.headers().clone();
    let body = response.bytes().await.unwrap();
    let text = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    CloudEvent::from_http(text, &body).unwrap()
}

#[tokio::test]
async fn an_event_in_binary_mode_is_answered_with_its_reply_in_binary_mode() {
    let host = Served::start().await;
    let response = host.send(&batch("front-door")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["ce-type"], "teiten.segment.stored");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(cloud_event(response).await, segment("front-door").to_cloud_event());
}

#[tokio::test]
async fn an_event_in_structured_mode_is_taken_on_any_path() {
    let host = Served::start().await;
    let body = batch("front-door").to_cloud_event().to_structured();
    let request =
        host.post("/some/path?query").header("content-type", "application/cloudevents+json; charset=utf-8");
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(cloud_event(response).await, segment("front-door").to_cloud_event());
}

#[tokio::test]
async fn an_event_without_a_reply_is_answered_204_with_nothing() {
    let host = Served::start().await;
    let response = host.send(&batch("quiet")).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(!response.headers().contains_key("ce-type"));
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_says_in_its_status_whether_to_try_again_and_in_one_line_why() {
    let host = Served::start().await;
    let response = host.send(&batch("corrupt")).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(response.text().await.unwrap(), "no frame of corrupt can be decoded\n");
    let response = host.send(&batch("unavailable")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.text().await.unwrap(), "the store is unavailable\n");
}

#[tokio::test]
async fn a_panic_is_answered_500_and_the_host_goes_on() {
    let host = Served::start().await;
    assert_eq!(host.send(&batch("panics")).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(host.send(&batch("front-door")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_a_status_that_nobody_repeats() {
    let host = Served::start().await;
    let mut unknown = batch("front-door").to_cloud_event();
    unknown.kind = "com.example.other".to_owned();
    let mut malformed = batch("front-door").to_cloud_event();
    malformed.data["key"] = "front-door/nothing".into();
    let structured = "application/cloudevents+json";
    for (request, status, named) in [
        (host.post_binary(&unknown), 422, "com.example.other"),
        (host.post_binary(&malformed), 400, "front-door/nothing"),
        (host.post("/").header("content-type", structured).body("{}"), 400, "specversion"),
        (host.post("/").header("content-type", "application/json").body("{\"a\":1}"), 400, "neither"),
        (host.post("/").header("content-type", "application/json").body("{"), 400, "neither"),
        (host.post("/"), 400, "neither"),
        (host.post("/").header("content-type", "image/jpeg").body("\u{fffd}"), 415, "image/jpeg"),
        (
            host.post("/").header("content-type", "application/cloudevents-batch+json").body("[]"),
            415,
            "batch",
        ),
        (host.post("/").body(vec![b' '; BODY_BYTES_MAX + 1]), 413, "limit"),
        (host.client.put(format!("http://{}/", host.address)), 405, ""),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{named}");
        let line = response.text().await.unwrap();
        assert!(line.contains(named), "{line:?} does not name {named:?}");
        assert!(line.lines().count() <= 1, "{line:?}");
    }
    assert_eq!(host.function.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_read() {
    let host = Served::start().await;
    let mut body = notification(&[&batch_key("quiet")]);
    body.push_str(&" ".repeat(BODY_BYTES_MAX - body.len()));
    assert_eq!(host.post_json(body).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_notification_is_answered_with_its_reply_in_the_body() {
    let host = Served::start().await;
    let response = host.post_json(notification(&[&batch_key("front-door")])).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/cloudevents+json");
    assert_eq!(cloud_event(response).await, segment("front-door").to_cloud_event());
}

#[tokio::test]
async fn several_replies_to_a_notification_are_a_batch() {
    let host = Served::start().await;
    let response =
        host.post_json(notification(&[&batch_key("a"), &batch_key("quiet"), &batch_key("b")])).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/cloudevents-batch+json");
    let replies: Vec<serde_json::Value> = response.json().await.unwrap();
    let subjects: Vec<_> = replies.iter().map(|reply| reply["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["a", "b"]);
}

#[tokio::test]
async fn a_notification_that_nothing_follows_from_is_answered_204() {
    let host = Served::start().await;
    let other =
        notification(&["front-door/init-e3b0c44298fc1c14.mp4", "front-door/live.m3u8", "holiday.jpg"]);
    assert_eq!(host.post_json(other).await.status(), StatusCode::NO_CONTENT);
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"frames"}"#;
    assert_eq!(host.post_json(test).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(host.function.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_bad_record_of_a_notification_does_not_sink_the_others() {
    let host = Served::start().await;
    let keys = ["corrupt", "unavailable", "panics", "quiet"].map(batch_key);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let response = host.post_json(notification(&keys)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "some may work later");
    let line = response.text().await.unwrap();
    assert!(line.contains("the store is unavailable") && line.contains("panics/"), "{line}");
    assert_eq!(host.function.begun.load(Ordering::SeqCst), 4);
    let response = host.post_json(notification(&[&batch_key("corrupt"), &batch_key("quiet")])).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "a store would repeat a refusal forever");
}

#[tokio::test]
async fn health_is_answered_200() {
    let host = Served::start().await;
    let response = host.client.get(format!("http://{}/healthz", host.address)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn shutdown_lets_what_runs_finish_and_accepts_nothing_new() {
    let host = Served::start().await;
    let slow = tokio::spawn(host.post_binary(&batch("slow").to_cloud_event()).send());
    host.function.slow_begun.notified().await;
    host.shutdown.cancel();
    // The listener closes when the server sees the signal; until then, connections may still be accepted.
    while tokio::net::TcpStream::connect(host.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!host.server.is_finished());
    host.function.release.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
    host.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_connections() {
    let host = Served::start().await;
    host.send(&batch("quiet")).await;
    host.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), host.server).await.unwrap().unwrap().unwrap();
}

/// The same under a name of its own: no other test counts to it.
struct Patient(Arc<Scripted>);

#[async_trait]
impl Function for Patient {
    const NAME: &'static str = "patient";

    async fn handle(&self, event: Event) -> Result<Option<Event>, Failure> {
        self.0.handle(event).await
    }
}

#[tokio::test]
async fn an_event_is_seen_through_and_counted_even_if_its_sender_goes_away() {
    let host = Served::start_as(|function| Arc::new(Patient(function))).await;
    let sender = tokio::spawn(host.post_binary(&batch("slow").to_cloud_event()).send());
    host.function.slow_begun.notified().await;
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    // A request on another connection, answered after the server had its chance to drop the first one.
    host.send(&batch("quiet")).await;
    host.function.release.notify_one();
    let counted = async {
        while function_metrics().count(Patient::NAME, Outcome::Done) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it is counted");
    assert_eq!(host.function.ended.load(Ordering::SeqCst), 2);
}
