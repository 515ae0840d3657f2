//! A chore as a schedule sees it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use crate::support::{Counting, batch};
use async_trait::async_trait;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use teiten_footage::CloudEvent;
use teiten_host::{Chore, Failure};
use teiten_telemetry::metrics::{Outcome, function_metrics};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

async fn serve() -> SocketAddr {
    serve_chore(Arc::<Counting>::default()).await
}

async fn serve_chore<C: Chore>(chore: Arc<C>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(teiten_host::serve_chore(chore, listener, CancellationToken::new()));
    address
}

/// What Knative's PingSource posts each time.
fn ping() -> CloudEvent {
    CloudEvent {
        id: "3c4b7c9e".to_owned(),
        source: "/apis/v1/namespaces/teiten/pingsources/reconcile".to_owned(),
        kind: "dev.knative.sources.ping".to_owned(),
        subject: None,
        time: None,
        extensions: BTreeMap::new(),
        data: Value::Null,
    }
}

async fn post(address: SocketAddr, event: &CloudEvent) -> Response {
    let (headers, body) = event.to_binary();
    let request = Client::new().post(format!("http://{address}/")).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_ping_is_answered_with_the_report_and_a_failure_with_its_status() {
    let address = serve().await;
    for done in [1, 2] {
        let answer = post(address, &ping()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["ce-type"], "teiten.counted");
        assert_eq!(answer.headers()["ce-source"], "/teiten/counting");
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "done": done }));
    }
    let unavailable = post(address, &ping()).await;
    assert_eq!(
        (unavailable.status().as_u16(), unavailable.headers()["retry-after"].as_bytes()),
        (503, &b"1"[..])
    );
    assert_eq!(unavailable.text().await.unwrap(), "the store is unavailable\n");
    assert_eq!(post(address, &ping()).await.status(), 422);
    assert_eq!(post(address, &ping()).await.status(), 500);
    assert_eq!(post(address, &ping()).await.status(), 200, "a panic is that run's alone");
}

#[tokio::test]
async fn a_scheduled_event_of_event_bridge_is_answered_with_a_body_alone() {
    let address = serve().await;
    let scheduled = json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-23T04:05:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/reconcile"],
        "detail": {},
    });
    let answer = Client::new().post(format!("http://{address}/")).json(&scheduled).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/cloudevents+json");
    let report: Value = answer.json().await.unwrap();
    assert_eq!((&report["id"], &report["data"]), (&scheduled["id"], &json!({ "done": 1 })));
}

#[tokio::test]
async fn what_no_schedule_sends_is_refused_and_nothing_is_done() {
    let address = serve().await;
    assert_eq!(post(address, &batch("a").to_cloud_event()).await.status(), 422);
    for (body, status) in [("{}", 400), ("[", 400), (r#"{"id":"1","detail-type":"Object Created"}"#, 422)] {
        let answer = Client::new().post(format!("http://{address}/")).body(body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
    }
    assert_eq!(post(address, &ping()).await.json::<Value>().await.unwrap(), json!({ "done": 1 }));
}

/// A chore that waits to be released, and then fails.
#[derive(Default)]
struct Slow {
    begun: Notify,
    release: Notify,
}

#[async_trait]
impl Chore for Slow {
    const NAME: &'static str = "slow";
    const REPORT_KIND: &'static str = "teiten.slow";
    type Report = Value;

    async fn run(&self) -> Result<Self::Report, Failure> {
        self.begun.notify_one();
        self.release.notified().await;
        Err(Failure::Transient(anyhow::anyhow!("the store is unavailable")))
    }
}

#[tokio::test]
async fn what_became_of_a_chore_is_counted_even_if_its_caller_goes_away() {
    let chore = Arc::<Slow>::default();
    let address = serve_chore(Arc::clone(&chore)).await;
    let caller = tokio::spawn(async move { post(address, &ping()).await });
    chore.begun.notified().await;
    caller.abort();
    // A request on another connection, answered after the server had its chance to drop the first one.
    assert_eq!(post(address, &batch("a").to_cloud_event()).await.status(), 422);
    chore.release.notify_one();
    let counted = async {
        while function_metrics().count(Slow::NAME, Outcome::Unavailable) < 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it is counted");
}
