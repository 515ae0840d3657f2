//! Clips for who takes their time, and for who goes away: sent over HTTP, with pictures that a store sends over HTTP.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[expect(dead_code, reason = "what asks without HTTP")]
mod endless;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use endless::{Endless, start};
use futures::{StreamExt as _, stream};
use teiten_bucket::{Bucket, BucketError, Credentials, Object, S3Bucket, S3Config, Wrapper};
use teiten_clip::Clip;
use teiten_host::{Admission, Origins, serve_requests};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How much is under way to a receiver at most, in bytes: far less than a read.
const BUFFER: u32 = 16 << 10;

/// What a receiver takes before it stops, in bytes: the clip's tables and a part of its first pictures.
const TAKEN: usize = 64 << 10;

/// The server of a store's pictures. It gives half of what is asked for, and the other half when it is told to go on; the first to ask
/// gets all.
struct Store {
    footage: Arc<Endless>,
    asked: AtomicUsize,
    goes_on: watch::Sender<bool>,
    /// How many of its answers are not sent to their end, nor given up.
    under_way: watch::Sender<usize>,
}

/// Counts an answer as under way.
struct UnderWay(Arc<Store>);

impl UnderWay {
    fn new(store: Arc<Store>) -> Self {
        store.under_way.send_modify(|count| *count += 1);
        Self(store)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

impl Store {
    async fn start(footage: Arc<Endless>) -> (Arc<Self>, SocketAddr) {
        let (goes_on, under_way) = (watch::Sender::new(false), watch::Sender::new(0));
        let store = Arc::new(Self { footage, asked: AtomicUsize::new(0), goes_on, under_way });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(Self::answer).with_state(Arc::clone(&store));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (store, address)
    }

    async fn answer(State(store): State<Arc<Self>>, uri: Uri, headers: HeaderMap) -> Response {
        let key = uri.path().strip_prefix("/media/").unwrap();
        let range = headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap();
        let [first, last] = range.split('-').map(|at| at.parse().unwrap()).collect::<Vec<u64>>()[..] else {
            panic!("{range}")
        };
        let mut bytes = store.footage.get_range(key, first, last + 1 - first).await.unwrap().unwrap().bytes;
        let (length, half) = (bytes.len(), bytes.split_to(bytes.len() / 2));
        let is_first = store.asked.fetch_add(1, Ordering::Relaxed) == 0;
        let under_way = UnderWay::new(Arc::clone(&store));
        let other_half = async move {
            let mut goes_on = under_way.0.goes_on.subscribe();
            goes_on.wait_for(|goes_on| *goes_on || is_first).await.unwrap();
            bytes
        };
        let halves = stream::once(async { half }).chain(stream::once(other_half)).map(Ok::<_, BucketError>);
        let headers = [("etag", "\"etag\"".to_owned()), ("content-length", length.to_string())];
        (StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(halves)).into_response()
    }

    /// Waits until nobody asks it for anything any more.
    async fn until_unasked(&self) {
        self.under_way.subscribe().wait_for(|count| *count == 0).await.unwrap();
    }
}

/// Footage whose pictures are in a store.
#[derive(Debug)]
struct Media {
    footage: Arc<Endless>,
    store: S3Bucket,
}

#[async_trait]
impl Wrapper for Media {
    fn inner(&self) -> &dyn Bucket {
        &*self.footage
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Object>, BucketError> {
        // What is short is a segment's head.
        let bucket: &dyn Bucket = if length > 4096 { &self.store } else { &*self.footage };
        bucket.get_range(key, offset, length).await
    }
}

/// A clip of large pictures that are read from a store, which has so much time for a read.
async fn serve(patience: Duration) -> (Arc<Store>, SocketAddr) {
    let mut footage = Endless::new().await;
    footage.other_bytes = 100_000;
    let footage = Arc::new(footage);
    let (server, store) = Store::start(Arc::clone(&footage)).await;
    let credentials =
        Credentials { access_key: "key".to_owned(), secret_key: "secret".to_owned(), session_token: None };
    let config = S3Config::new(Some(&format!("http://{store}")), "us-east-1", credentials).unwrap();
    let store = S3Bucket::new(&config.with_patience(patience), "media");
    let clip = Clip::new(Arc::new(Media { footage, store }), Admission::Anybody);

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(BUFFER).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_requests(Arc::new(clip), Origins::default(), listener, CancellationToken::new()));
    (server, address)
}

/// A receiver of a clip of some seconds that has taken the first of it, and how many bytes are still to come. A read is under way by then
/// of which half has come.
async fn receiver(address: SocketAddr) -> (BufReader<TcpStream>, usize) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    let mut receiver = BufReader::new(socket.connect(address).await.unwrap());
    let (from, to) = (start(), start() + Duration::from_secs(6));
    let request =
        format!("GET /gate.mp4?from={from}&to={to} HTTP/1.1\r\nHost: clip\r\nConnection: close\r\n\r\n");
    receiver.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(receiver.read_u8().await.unwrap().into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    receiver.read_exact(&mut [0; TAKEN]).await.unwrap();
    (receiver, length.parse::<usize>().unwrap() - TAKEN)
}

#[tokio::test]
async fn a_receiver_that_pauses_for_longer_than_a_store_may_take_gets_all_of_its_clip() {
    let patience = Duration::from_millis(1500);
    let (store, address) = serve(patience).await;
    let (mut receiver, length) = receiver(address).await;
    store.goes_on.send_replace(true);
    sleep(patience + Duration::from_millis(500)).await;
    let mut rest = Vec::new();
    receiver.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), length);
}

#[tokio::test]
async fn the_reads_for_a_receiver_that_goes_away_end_at_once() {
    let (store, address) = serve(Duration::from_secs(600)).await;
    let (receiver, _) = receiver(address).await;
    assert_ne!(*store.under_way.borrow(), 0);
    drop(receiver);
    timeout(Duration::from_secs(10), store.until_unasked()).await.unwrap();
}
