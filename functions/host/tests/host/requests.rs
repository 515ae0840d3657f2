//! A function that answers requests, as browsers and players see it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Request, StatusCode, header},
    response::Response,
};
use futures::stream;
use reqwest::{Client, Method};
use teiten_host::{Asked, Origins, Refusal, Responder, request_router};
use teiten_telemetry::metrics::{Outcome, function_metrics};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Answers by the name that is asked for.
pub(crate) struct Library {
    /// What `slow` streams, as it comes.
    chunks: tokio::sync::Mutex<Option<mpsc::Receiver<Bytes>>>,
    /// Somebody asks for what is `lost`.
    looked_for: Arc<Notify>,
}

impl Library {
    pub(crate) fn new(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self { chunks: tokio::sync::Mutex::new(Some(chunks)), looked_for: Arc::default() }
    }
}

#[async_trait]
impl Responder for Library {
    const NAME: &'static str = "library";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        asked.has_no_keys_but(&["from", "to"])?;
        match asked.name() {
            "book" => Ok(Response::new(Body::from(format!("{:?}", asked.value("from")?)))),
            "slow" => {
                let chunks = self.chunks.lock().await.take().ok_or(Refusal::unavailable("it is lent"))?;
                let chunks = stream::unfold(chunks, |mut chunks| async {
                    let chunk = chunks.recv().await?;
                    Some((Ok::<_, std::io::Error>(chunk), chunks))
                });
                Ok(Response::new(Body::from_stream(chunks)))
            }
            "large" => {
                let mut response =
                    Response::new(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
                let length = HeaderValue::from(250_u64 << 20);
                response.headers_mut().insert(header::CONTENT_LENGTH, length);
                Ok(response)
            }
            "secret" => Err(Refusal::new(StatusCode::UNAUTHORIZED, "a token\nis needed")
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            "lost" => {
                self.looked_for.notify_one();
                std::future::pending().await
            }
            "panics" => panic!("as told"),
            name => Err(Refusal::not_found(format!("there is no {name}"))),
        }
    }
}

async fn serve(chunks: mpsc::Receiver<Bytes>) -> SocketAddr {
    serve_library(Library::new(chunks)).await
}

async fn serve_library(library: Library) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origins = Origins::new("https://cameras.example").unwrap();
    tokio::spawn(teiten_host::serve_requests(Arc::new(library), origins, listener, CancellationToken::new()));
    address
}

#[tokio::test]
async fn requests_are_answered_with_what_is_asked_for_or_why_not() {
    let address = serve(mpsc::channel(1).1).await;
    let client = Client::new();
    for (method, path, status, text) in [
        (Method::GET, "/book?from=2026-11-23T04%3A00%3A00Z", 200, "Some(\"2026-11-23T04:00:00Z\")"),
        (Method::GET, "/a/prefix/book", 200, "None"),
        (Method::GET, "/book?from=1&from=2", 400, "from is given more than once\n"),
        (Method::GET, "/book?form=1", 400, "there is no parameter \"form\", there are from, to\n"),
        (Method::GET, "/nothing", 404, "there is no nothing\n"),
        (Method::GET, "/secret", 401, "a token is needed\n"),
        (Method::GET, "/panics", 500, "panicked\n"),
        (Method::GET, "/healthz", 200, ""),
        (Method::POST, "/book", 405, "POST is not for this: it answers GET, HEAD and OPTIONS\n"),
        (Method::OPTIONS, "/book", 204, ""),
        (Method::HEAD, "/book", 200, ""),
    ] {
        let request = client.request(method.clone(), format!("http://{address}{path}"));
        let answer = request.header("origin", "https://cameras.example").send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        if path != "/healthz" {
            assert_eq!(answer.headers()["access-control-allow-origin"], "https://cameras.example", "{path}");
        }
        match status {
            401 => assert_eq!(answer.headers()["www-authenticate"], "Bearer"),
            405 => assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS"),
            204 => {
                assert_eq!(
                    answer.headers()["access-control-allow-headers"],
                    "authorization, if-match, if-none-match, if-range, range"
                )
            }
            _ => {}
        }
        assert_eq!(answer.text().await.unwrap(), text, "{method} {path}");
    }
}

/// A browser takes one origin or `*`, never a list.
#[tokio::test]
async fn each_of_several_origins_is_answered_by_its_own_name() {
    let (one, two, other) = ("https://one.example", "https://two.example:8443", "https://other.example");
    for (origins, asked, answered) in [
        ("https://one.example https://two.example:8443", one, Some(one)),
        ("https://one.example,https://two.example:8443", two, Some(two)),
        ("https://one.example, https://two.example:8443", two, Some(two)),
        ("https://one.example https://two.example:8443", other, None),
        ("*", other, Some("*")),
    ] {
        let router =
            request_router(Arc::new(Library::new(mpsc::channel(1).1)), Origins::new(origins).unwrap());
        for method in ["GET", "OPTIONS"] {
            let request = Request::builder().method(method).uri("/book").header("origin", asked);
            let request = request.body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("access-control-allow-origin"), answered, "{asked} of {origins}");
            assert_eq!(header("vary"), (origins != "*").then_some("Origin"));
        }
    }
}

#[test]
fn an_origin_that_no_browser_tells_is_refused_for_its_pages_would_read_nothing() {
    for (origins, words) in [
        ("https://cameras.example/", "write https://cameras.example"),
        ("https://Cameras.example", "write https://cameras.example"),
        ("https://cameras.example:443", "write https://cameras.example"),
        ("https://one.example,cameras.example", "write https://cameras.example"),
        ("https://*.example", "or * for every page"),
        ("", "or * for every page"),
    ] {
        let error = Origins::new(origins).unwrap_err().to_string();
        assert!(error.ends_with(words), "{origins}: {error}");
    }
}

#[tokio::test]
async fn a_body_is_sent_while_it_is_made() {
    let (chunks, receiver) = mpsc::channel(1);
    let address = serve(receiver).await;
    let mut answer = Client::new().get(format!("http://{address}/slow")).send().await.unwrap();
    for chunk in ["one", "two"] {
        // The second is not made before the first was received.
        chunks.send(Bytes::from_static(chunk.as_bytes())).await.unwrap();
        assert_eq!(answer.chunk().await.unwrap().unwrap(), chunk);
    }
    drop(chunks);
    assert!(answer.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_head_tells_the_length_and_asks_for_no_body() {
    let address = serve(mpsc::channel(1).1).await;
    let answer = Client::new().head(format!("http://{address}/large")).send().await.unwrap();
    assert_eq!(answer.headers()["content-length"], "262144000");
    assert!(answer.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_request_whose_caller_goes_away_is_counted_as_abandoned() {
    let library = Library::new(mpsc::channel(1).1);
    let looked_for = Arc::clone(&library.looked_for);
    let address = serve_library(library).await;
    let caller = tokio::spawn(Client::new().get(format!("http://{address}/lost")).send());
    looked_for.notified().await;
    let abandoned = || function_metrics().count(Library::NAME, Outcome::Abandoned);
    assert_eq!(abandoned(), 0, "whoever waits has not gone away");
    caller.abort();
    let counted = async {
        while abandoned() < 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it is counted");
}
