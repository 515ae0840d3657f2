//! The router between real HTTP servers.
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router as App,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
    routing::post,
};
use bytes::Bytes;
use teiten_footage::CloudEvent;
use teiten_router::{RetryPolicy, Router, Trigger};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

/// An answer to an event: the status, and a reply event or none.
type Answer = (StatusCode, Option<CloudEvent>);

/// Answers each event with the next of its answers, the last one for ever, and tells the test what came.
#[derive(Clone)]
struct Subscriber {
    answers: Arc<Mutex<Vec<Answer>>>,
    seen: mpsc::UnboundedSender<CloudEvent>,
}

async fn answer(State(subscriber): State<Subscriber>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    subscriber.seen.send(CloudEvent::from_http(headers, &body).unwrap()).unwrap();
    let (status, reply) = {
        let mut answers = subscriber.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    };
    let mut response = Response::builder().status(status);
    let body = match reply {
        Some(reply) => {
            let (headers, body) = reply.to_binary();
            for (name, value) in headers {
                response = response.header(name, value);
            }
            body
        }
        None => Vec::new(),
    };
    response.body(Body::from(body)).unwrap()
}

async fn subscriber(answers: &[Answer]) -> (String, mpsc::UnboundedReceiver<CloudEvent>) {
    let (seen, events) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let state = Subscriber { answers: Arc::new(Mutex::new(answers.to_vec())), seen };
    tokio::spawn(async move {
        axum::serve(listener, App::new().route("/", post(answer)).with_state(state)).await.unwrap();
    });
    (url, events)
}

async fn router(triggers: &[(&str, &str)], retries_max: u32) -> (Router, String, CancellationToken) {
    let delivery = RetryPolicy { retries_max, backoff: Duration::from_millis(5), ..RetryPolicy::default() };
    let trigger = |(kind, url): &(&str, &str)| trigger(kind, url, delivery.clone());
    router_of(triggers.iter().map(trigger).collect()).await
}

fn trigger(kind: &str, url: &str, delivery: RetryPolicy) -> Trigger {
    let (kind, subscriber) = (kind.to_owned(), url.to_owned());
    Trigger { kind, extensions: BTreeMap::new(), subscriber, concurrency_max: 2, delivery }
}

async fn router_of(triggers: Vec<Trigger>) -> (Router, String, CancellationToken) {
    let router = Router::new(triggers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    tokio::spawn(router.clone().serve(listener, shutdown.clone()));
    (router, url, shutdown)
}

fn event(kind: &str, id: &str) -> CloudEvent {
    CloudEvent {
        id: id.to_owned(),
        source: "/test".to_owned(),
        kind: kind.to_owned(),
        subject: Some("gate".to_owned()),
        time: None,
        extensions: BTreeMap::new(),
        data: serde_json::json!({ "n": 1 }),
    }
}

async fn send(url: &str, event: &CloudEvent) -> StatusCode {
    let (headers, body) = event.to_binary();
    let mut request = reqwest::Client::new().post(url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn an_event_reaches_the_subscriber_of_its_type_and_a_reply_the_next_one() {
    let (first, mut first_seen) = subscriber(&[(StatusCode::OK, Some(event("b", "2")))]).await;
    let (second, mut second_seen) = subscriber(&[(StatusCode::NO_CONTENT, None)]).await;
    let (_router, url, _running) = router(&[("a", &first), ("b", &second)], 3).await;
    assert_eq!(send(&url, &event("a", "1")).await, StatusCode::ACCEPTED);
    assert_eq!(first_seen.recv().await.unwrap(), event("a", "1"));
    assert_eq!(second_seen.recv().await.unwrap(), event("b", "2"));
    assert!(first_seen.try_recv().is_err());
}

#[tokio::test]
async fn a_delivery_is_repeated_on_what_may_pass_and_on_nothing_else() {
    let passing = [503, 500, 404, 408, 409, 429].map(|code| (StatusCode::from_u16(code).unwrap(), None));
    let answers: Vec<_> = passing.into_iter().chain([(StatusCode::OK, None)]).collect();
    let (url_of_flaky, mut flaky) = subscriber(&answers).await;
    let (url_of_strict, mut strict) = subscriber(&[(StatusCode::UNPROCESSABLE_ENTITY, None)]).await;
    let (router, url, _running) = router(&[("a", &url_of_flaky), ("b", &url_of_strict)], 10).await;
    let mut delivered = router.delivered();

    send(&url, &event("a", "1")).await;
    for _attempt in 0..answers.len() {
        assert_eq!(flaky.recv().await.unwrap().id, "1");
    }
    assert_eq!(delivered.recv().await.unwrap().event.id, "1");

    send(&url, &event("b", "2")).await;
    assert_eq!(strict.recv().await.unwrap().id, "2");
    let letters = loop {
        let letters = router.dead_letters().await;
        if !letters.is_empty() {
            break letters;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((letters.len(), letters[0].id.as_str()), (1, "2"));
    assert!(letters[0].why.contains("422"), "{}", letters[0].why);
    assert!(strict.try_recv().is_err());
    let shown: serde_json::Value =
        reqwest::get(format!("{url}dead-letters")).await.unwrap().json().await.unwrap();
    assert_eq!(shown[0]["id"], "2");
}

#[tokio::test]
async fn a_dead_letter_says_why_its_subscriber_could_not_be_reached() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (router, url, _running) = router(&[("a", &format!("http://{closed}/"))], 0).await;
    send(&url, &event("a", "1")).await;
    let letter = loop {
        if let Some(letter) = router.dead_letters().await.pop() {
            break letter;
        }
        tokio::task::yield_now().await;
    };
    assert!(letter.why.contains("refused"), "{}", letter.why);
}

#[tokio::test]
async fn a_subscriber_that_comes_back_gets_what_it_missed() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let (router, url, _running) = router(&[("a", &format!("http://{address}/"))], 1000).await;
    let mut delivered = router.delivered();
    send(&url, &event("a", "1")).await;
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, App::new().route("/", post(|| async {}))).await });
    assert_eq!(delivered.recv().await.unwrap().event.id, "1");
}

#[tokio::test]
async fn a_chore_that_takes_its_time_is_called_once_and_one_that_takes_too_long_once_more() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chore = format!("http://{}/", listener.local_addr().unwrap());
    let take = move || {
        seen.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(500))
    };
    let app = App::new().route("/", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let backoff = Duration::from_millis(5);
    let of_chore = |timeout| RetryPolicy { backoff, backoff_max: backoff, ..RetryPolicy::of_chore(timeout) };
    let triggers = vec![
        trigger("ping", &chore, of_chore(Duration::from_secs(60))),
        trigger("hurry", &chore, of_chore(Duration::from_millis(50))),
    ];
    let (router, url, _running) = router_of(triggers).await;
    let mut delivered = router.delivered();
    send(&url, &event("ping", "1")).await;
    assert_eq!(delivered.recv().await.unwrap().event.id, "1");
    assert_eq!((events.recv().await, events.try_recv().is_err()), (Some(()), true));
    send(&url, &event("hurry", "2")).await;
    assert_eq!((events.recv().await, events.recv().await), (Some(()), Some(())));
    while router.dead_letters().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(events.try_recv().is_err());
}

/// As in a cluster, where calls that come oftener than a chore is done become dead letters.
#[tokio::test]
async fn the_wait_for_one_s_turn_is_part_of_the_time_that_an_attempt_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chore = format!("http://{}/", listener.local_addr().unwrap());
    let app = App::new().route("/", post(std::future::pending::<()>));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let attempt_timeout = Duration::from_millis(250);
    let delivery = RetryPolicy { retries_max: 0, attempt_timeout, ..RetryPolicy::default() };
    let one_at_a_time = Trigger { concurrency_max: 1, ..trigger("ping", &chore, delivery) };
    let (router, url, _running) = router_of(vec![one_at_a_time]).await;
    let begun = tokio::time::Instant::now();
    for id in ["1", "2", "3", "4"] {
        send(&url, &event("ping", id)).await;
    }
    while router.dead_letters().await.len() < 4 {
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() < 4 * attempt_timeout, "each had its time after its turn had come");
}

#[tokio::test]
async fn an_answer_that_is_neither_empty_nor_an_event_is_asked_for_again() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chatty = format!("http://{}/", listener.local_addr().unwrap());
    let talk = move || {
        seen.send(()).unwrap();
        async { "done\n" }
    };
    tokio::spawn(async move { axum::serve(listener, App::new().route("/", post(talk))).await.unwrap() });
    let (router, url, _running) = router(&[("a", &chatty)], 1).await;
    send(&url, &event("a", "1")).await;
    assert_eq!((events.recv().await, events.recv().await), (Some(()), Some(())));
    while router.dead_letters().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn what_a_subscriber_does_not_answer_is_given_up_some_time_after_the_stop() {
    let (asked, mut requests) = mpsc::unbounded_channel();
    let hang = move || {
        let (held, dropped) = oneshot::channel::<()>();
        asked.send(dropped).unwrap();
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, App::new().route("/", post(hang))).await });
    let patient = RetryPolicy { attempt_timeout: Duration::from_secs(600), ..RetryPolicy::default() };
    let router = Router::new(vec![trigger("a", &hanging, patient)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, shutdown) = (format!("http://{}/", listener.local_addr().unwrap()), CancellationToken::new());
    let serving = tokio::spawn(router.serve(listener, shutdown.clone()));
    send(&url, &event("a", "1")).await;
    let dropped = requests.recv().await.unwrap();
    shutdown.cancel();
    serving.await.unwrap().unwrap();
    // The subscriber's turn to stop is next.
    let hung_up = tokio::time::timeout(Duration::from_secs(5), dropped).await.expect("nobody waits any more");
    assert!(hung_up.is_err(), "it was not answered");
}

#[tokio::test]
async fn a_ping_reaches_the_chore_that_it_names() {
    let (compact, mut compact_seen) = subscriber(&[(StatusCode::OK, None)]).await;
    let (pictures, mut pictures_seen) = subscriber(&[(StatusCode::OK, None)]).await;
    let named = |chore: &str| BTreeMap::from([("chore".to_owned(), chore.to_owned())]);
    let of_chore = |chore, url: &str| Trigger {
        extensions: named(chore),
        ..trigger("ping", url, RetryPolicy::default())
    };
    let triggers = vec![of_chore("compact", &compact), of_chore("pictures", &pictures)];
    let (_router, url, _running) = router_of(triggers).await;
    let ping = |chore, id| CloudEvent { extensions: named(chore), ..event("ping", id) };
    send(&url, &event("ping", "0")).await;
    send(&url, &ping("compact", "1")).await;
    send(&url, &ping("pictures", "2")).await;
    assert_eq!(compact_seen.recv().await.unwrap().id, "1");
    assert_eq!(pictures_seen.recv().await.unwrap().id, "2");
    assert!(compact_seen.try_recv().is_err());
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let (_router, url, _running) = router(&[], 0).await;
    let status = reqwest::Client::new().post(&url).body("{}").send().await.unwrap().status();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // An event that nobody waits for is accepted, as by a Broker without a matching Trigger.
    assert_eq!(send(&url, &event("c", "1")).await, StatusCode::ACCEPTED);
}
