//! `run` as a program: behind a stand-in for the AWS Lambda Runtime API, and on `$PORT` with `$K_SINK`.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use crate::requests::Library;
use crate::support::{Scripted, batch, batch_key, notification, segment};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::{Value, json};
use teiten_footage::CloudEvent;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc,
};

/// In a process of its own, this test is the program of a function that answers requests.
#[tokio::test]
async fn the_program_of_requests_runs_where_it_is_asked_to() {
    if std::env::var_os(PROGRAM).is_some() {
        let (chunks, receiver) = mpsc::channel(4);
        for chunk in ["one", "two"] {
            chunks.send(Bytes::from_static(chunk.as_bytes())).await.unwrap();
        }
        drop(chunks);
        teiten_host::run_requests(Library::new(receiver)).await.unwrap();
    }
}

/// In a process of its own, this test is the function's program.
const PROGRAM: &str = "TEITEN_TEST_PROGRAM";

#[tokio::test]
async fn the_program_runs_where_it_is_asked_to() {
    if std::env::var_os(PROGRAM).is_some()
        && let Err(error) = teiten_host::run(Scripted::default()).await
    {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

const PROGRAM_OF_EVENTS: &str = "programs::the_program_runs_where_it_is_asked_to";

fn program(environment: &[(&str, String)]) -> Child {
    program_of(PROGRAM_OF_EVENTS, environment)
}

fn program_of(test: &str, environment: &[(&str, String)]) -> Child {
    command_of(test, environment).spawn().unwrap()
}

fn command_of(test: &str, environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(PROGRAM, "1")
        // Panics that are asked for are not to be looked for in a report.
        .env("RUST_BACKTRACE", "0")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// The Runtime API: hands out invocations and takes what becomes of them.
struct RuntimeApi {
    invocations: tokio::sync::Mutex<mpsc::UnboundedReceiver<Value>>,
    results: mpsc::UnboundedSender<(String, Value)>,
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> impl IntoResponse {
    let invocation = api.invocations.lock().await.recv().await.expect("the test is still there");
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:scripted"),
    ];
    (headers, invocation.to_string())
}

async fn result(
    State(api): State<Arc<RuntimeApi>>,
    Path((_id, kind)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    // A streamed answer: its head as JSON, eight zeros, and the body.
    let json = match body.windows(8).position(|zeros| zeros == [0; 8]) {
        Some(end) => {
            let head: Value = serde_json::from_slice(&body[..end]).unwrap();
            json!({ "head": head, "body": String::from_utf8_lossy(&body[end + 8..]) })
        }
        None => serde_json::from_slice(&body).unwrap(),
    };
    api.results.send((kind, json)).unwrap();
    StatusCode::ACCEPTED
}

/// What a function that Lambda runs makes of `invocations`, one after another: whether it is a `response` or an
/// `error`, and its JSON.
async fn invoke(invocations: Vec<Value>) -> Vec<(String, Value)> {
    invoke_program(PROGRAM_OF_EVENTS, invocations).await
}

async fn invoke_program(test: &str, invocations: Vec<Value>) -> Vec<(String, Value)> {
    let (queue, receiver) = mpsc::unbounded_channel();
    let (results, mut outcomes) = mpsc::unbounded_channel();
    let count = invocations.len();
    invocations.into_iter().for_each(|invocation| queue.send(invocation).unwrap());
    let api = RuntimeApi { invocations: tokio::sync::Mutex::new(receiver), results };
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(result))
        .with_state(Arc::new(api));
    let address = serve(router).await;
    let mut function = program_of(
        test,
        &[
            ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "scripted".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ],
    );
    let mut all = Vec::new();
    while all.len() < count {
        all.push(outcomes.recv().await.unwrap());
    }
    function.kill().await.unwrap();
    all
}

fn s3(camera: &str) -> Value {
    serde_json::from_str(&notification(&[&batch_key(camera)])).unwrap()
}

/// What API Gateway (payload format 2.0) makes of a POST of an event in binary mode.
fn api_gateway(camera: &str) -> Value {
    let (headers, body) = batch(camera).to_cloud_event().to_binary();
    let headers: serde_json::Map<String, Value> =
        headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "id",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "agent" },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390_u64,
        },
        "body": String::from_utf8(body).unwrap(),
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn lambda_takes_bare_notifications_and_answers_with_the_event() {
    let structured = serde_json::from_slice::<Value>(&batch("a").to_cloud_event().to_structured()).unwrap();
    let event_bridge = json!({
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-23T04:05:02Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:s3:::frames"],
        "detail": { "version": "0", "bucket": { "name": "frames" }, "object": { "key": batch_key("a"), "size": 5 } },
    });
    let outcomes = invoke(vec![s3("a"), event_bridge, structured, s3("quiet"), s3("corrupt")]).await;
    let reply = serde_json::from_slice::<Value>(&segment("a").to_cloud_event().to_structured()).unwrap();
    let response = |body: Value| ("response".to_owned(), body);
    assert_eq!(outcomes[0], response(reply.clone()));
    assert_eq!(outcomes[1], response(reply.clone()));
    assert_eq!(outcomes[2], response(reply));
    assert_eq!(outcomes[3], response(Value::Null));
    assert_eq!(outcomes[4], response(Value::Null));
}

#[tokio::test]
async fn lambda_is_told_of_what_may_work_later_so_that_it_comes_again() {
    let outcomes = invoke(vec![s3("unavailable"), s3("panics"), s3("quiet")]).await;
    for ((kind, body), named) in outcomes.iter().zip(["the store is unavailable", "panics/"]) {
        assert_eq!(kind, "error");
        assert!(body["errorMessage"].as_str().unwrap().contains(named), "{body}");
    }
    assert_eq!(outcomes[2].0, "response");
}

#[tokio::test]
async fn lambda_answers_http_with_http() {
    let outcomes = invoke(vec![api_gateway("a"), api_gateway("unavailable"), api_gateway("corrupt")]).await;
    assert!(outcomes.iter().all(|(kind, _)| kind == "response"));
    let [replied, unavailable, corrupt] = [&outcomes[0].1, &outcomes[1].1, &outcomes[2].1];
    assert_eq!(replied["statusCode"], 200);
    assert_eq!(replied["headers"]["ce-type"], "teiten.segment.stored");
    assert_eq!(replied["isBase64Encoded"], false);
    let data: Value = serde_json::from_str(replied["body"].as_str().unwrap()).unwrap();
    assert_eq!(data, segment("a").to_cloud_event().data);
    assert_eq!(unavailable["statusCode"], 503);
    assert_eq!(unavailable["headers"]["retry-after"], "1");
    assert_eq!(corrupt["statusCode"], 422);
    assert_eq!(corrupt["body"], "no frame of corrupt can be decoded\n");
}

#[tokio::test]
async fn lambda_streams_the_answers_to_requests() {
    let request = |method: &str, path: &str| {
        let mut request = api_gateway("a");
        request["rawPath"] = path.into();
        request["requestContext"]["http"]["method"] = method.into();
        request["requestContext"]["http"]["path"] = path.into();
        request["body"] = Value::Null;
        request
    };
    let program = "programs::the_program_of_requests_runs_where_it_is_asked_to";
    let requests = [("GET", "/slow"), ("GET", "/nothing"), ("GET", "/large"), ("HEAD", "/large")];
    let requests = requests.map(|(method, path)| request(method, path)).to_vec();
    let outcomes = invoke_program(program, requests).await;
    assert!(outcomes.iter().all(|(kind, _)| kind == "response"), "{outcomes:?}");
    let [slow, nothing, large, how_large] = [0, 1, 2, 3].map(|index: usize| &outcomes[index].1);
    assert_eq!((&slow["head"]["statusCode"], &slow["body"]), (&json!(200), &json!("onetwo")));
    assert_eq!(slow["head"]["headers"]["access-control-allow-origin"], "*");
    assert_eq!(
        (&nothing["head"]["statusCode"], &nothing["body"]),
        (&json!(404), &json!("there is no nothing\n"))
    );
    assert_eq!(large["head"]["statusCode"], 413);
    assert!(large["body"].as_str().unwrap().contains("ask for less"), "{large}");
    assert_eq!(how_large["head"]["statusCode"], 200, "whoever asks how large it is does not want it");
}

/// Keeps the events that are posted to it, and refuses the first one.
#[derive(Default)]
struct Events {
    refused: bool,
    taken: Vec<CloudEvent>,
}

async fn take(State(events): State<Arc<Mutex<Events>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut events = events.lock().unwrap();
    if !events.refused {
        events.refused = true;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let text = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    events.taken.push(CloudEvent::from_http(text, &body).unwrap());
    StatusCode::ACCEPTED
}

/// Sends until something listens.
async fn when_ready(request: reqwest::RequestBuilder) -> reqwest::Response {
    loop {
        match request.try_clone().unwrap().send().await {
            Ok(response) => return response,
            Err(error) if error.is_connect() => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn on_a_port_replies_to_notifications_go_to_the_sink_and_sigterm_ends_it() {
    let events = Arc::new(Mutex::new(Events::default()));
    let sink = serve(Router::new().route("/sink", post(take)).with_state(Arc::clone(&events))).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut function = program(&[("PORT", port.to_string()), ("K_SINK", format!("http://{sink}/sink"))]);
    let url = format!("http://127.0.0.1:{port}");
    let client = reqwest::Client::new();
    let healthy = when_ready(client.get(format!("{url}/healthz"))).await;
    assert_eq!(healthy.status(), 200);

    let notification = client.post(&url).body(notification(&[&batch_key("a"), &batch_key("b")]));
    let notification = notification.header("content-type", "application/json");
    let refused = notification.try_clone().unwrap().send().await.unwrap();
    assert_eq!(refused.status(), 503, "a reply was not taken, so all comes again");
    let taken = notification.send().await.unwrap();
    assert_eq!(taken.status(), 204);
    let subjects: Vec<_> =
        events.lock().unwrap().taken.iter().map(|event| event.subject.clone().unwrap()).collect();
    assert_eq!(subjects, ["b", "a", "b"]);

    // Nobody has waited for the child yet, so the id is still its own.
    let id = function.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(function.wait().await.unwrap().success());
}

#[tokio::test]
async fn on_a_port_requests_are_counted_by_what_they_were_answered() {
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, metrics] = ports.map(|listener| listener.local_addr().unwrap());
    let environment = [("PORT", port.port().to_string()), ("TEITEN_METRICS", metrics.to_string())];
    let program = "programs::the_program_of_requests_runs_where_it_is_asked_to";
    let _function = program_of(program, &environment);
    let client = reqwest::Client::new();
    let url = format!("http://{port}");
    assert_eq!(when_ready(client.get(format!("{url}/healthz"))).await.status(), 200);
    for (path, status) in
        [("slow", 200), ("slow", 503), ("slow", 503), ("nothing", 404), ("secret", 401), ("panics", 500)]
    {
        let answer = client.get(format!("{url}/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        answer.bytes().await.unwrap();
    }
    let answer = client.get(format!("http://{metrics}/metrics")).send().await.unwrap();
    let told = answer.text().await.unwrap();
    let counted: Vec<_> =
        told.lines().filter(|line| line.starts_with("teiten_function_events_total")).collect();
    let counts = [("done", 1), ("unavailable", 2), ("declined", 2), ("panicked", 1)];
    let none = ["replied", "refused", "abandoned"].map(|outcome| (outcome, 0));
    for (outcome, times) in counts.into_iter().chain(none) {
        let labels = format!("function=\"library\",outcome=\"{outcome}\"");
        let line = format!("teiten_function_events_total{{{labels}}} {times}");
        assert!(counted.contains(&line.as_str()), "{line} is not in {counted:?}");
    }
    assert_eq!(counted.len(), 7);
    assert!(told.contains("teiten_function_seconds_count{function=\"library\"} 6\n"), "{told}");
}

#[tokio::test]
async fn a_port_or_sink_that_cannot_be_is_an_error_at_start() {
    for (name, value) in [("PORT", "http"), ("K_SINK", "nowhere")] {
        let ended = command_of(PROGRAM_OF_EVENTS, &[(name, value.to_owned())]).output().await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success());
        assert!(said.contains(name) && said.contains(value), "{said}");
    }
}
