//! A function that answers requests, as browsers and players see it.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures::stream;
use reqwest::{Client, Method};
use teiten_host::{Asked, Origin, Refusal, Responder};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// Answers by the name that is asked for.
pub(crate) struct Library {
    /// What `slow` streams, as it comes.
    chunks: tokio::sync::Mutex<Option<mpsc::Receiver<Bytes>>>,
}

impl Library {
    pub(crate) fn new(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self { chunks: tokio::sync::Mutex::new(Some(chunks)) }
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
            "panics" => panic!("as told"),
            name => Err(Refusal::not_found(format!("there is no {name}"))),
        }
    }
}

async fn serve(chunks: mpsc::Receiver<Bytes>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = Origin::new("https://cameras.example").unwrap();
    let library = Arc::new(Library::new(chunks));
    tokio::spawn(teiten_host::serve_requests(library, origin, listener, CancellationToken::new()));
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
        let answer = client.request(method.clone(), format!("http://{address}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        if path != "/healthz" {
            assert_eq!(answer.headers()["access-control-allow-origin"], "https://cameras.example", "{path}");
        }
        match status {
            401 => assert_eq!(answer.headers()["www-authenticate"], "Bearer"),
            405 => assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS"),
            204 => {
                assert_eq!(answer.headers()["access-control-allow-headers"], "authorization, if-range, range")
            }
            _ => {}
        }
        assert_eq!(answer.text().await.unwrap(), text, "{method} {path}");
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
