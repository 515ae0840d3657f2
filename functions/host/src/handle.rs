//! From a request to its answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use teiten_footage::{CloudEvent, Event};
use teiten_sink::Sink;
use teiten_telemetry::{
    LogLimit,
    metrics::{self, function_metrics},
    traces::{Cause, Kind, Step},
};
use tracing::{error, field::display, info, warn};

use crate::{
    Failure, Function, answer,
    incoming::{self, Incoming},
};

/// The largest request body: a notification of a thousand objects fits.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The one handler of a function, for every path:
///
/// | `POST` of | is answered with |
/// |---|---|
/// | a CloudEvent (binary or structured mode) | 204, or 200 and the reply event in binary mode |
/// | an object store's notification (MinIO, AWS S3, Ceph, EventBridge) | 204, or 200 and the replies, see below |
/// | what is neither, or malformed | 400 |
/// | an event of unknown type, or one that can never be handled | 422 |
/// | some other media type | 415 |
/// | more than [`BODY_BYTES_MAX`] | 413 |
/// | what may work later ([`Failure::Transient`]) | 503 with Retry-After |
/// | what makes the function panic | 500 |
///
/// and `GET /healthz` with 200. Failures are told in one line of text. None of the statuses for what can never
/// work is one that Knative repeats (404, 408, 409, 429).
///
/// **Notifications** can tell of many objects. Each is handled, whatever became of the others, and objects
/// that nothing follows from are passed over. If any failed that may work later, the answer is 503 and the
/// whole notification comes again, which does no harm to what was done already. If the rest failed for good,
/// that is logged and the answer is 2xx: a store knows no refusal, and would repeat a notification that was
/// answered 4xx forever, with all the later ones behind it (MinIO's queue does). Replies are in the answer's
/// body, as one structured CloudEvent or a batch; [`run`](crate::run) posts them to `K_SINK` if there is one.
pub fn router<F: Function>(function: Arc<F>) -> Router {
    with_sink(function, None)
}

/// The same, with replies to notifications posted to `sink`.
pub(crate) fn with_sink<F: Function>(function: Arc<F>, sink: Option<Sink>) -> Router {
    let host = Arc::new(Host { function, sink, failures: Arc::default() });
    Router::new()
        .route("/healthz", get(StatusCode::OK))
        .fallback_service(post(handle::<F>).with_state(host))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// A function, and where its replies to notifications go.
struct Host<F> {
    function: Arc<F>,
    sink: Option<Sink>,
    failures: Failures,
}

/// What may work later fails for all events alike, and each comes again and again.
type Failures = Arc<Mutex<LogLimit<()>>>;

async fn handle<F: Function>(State(host): State<Arc<Host<F>>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => {
            let status = rejection.status();
            warn!(
                function = F::NAME,
                status = status.as_u16(),
                why = rejection.body_text(),
                "request not read"
            );
            return answer::failed(status, &rejection.body_text());
        }
    };
    match incoming::parse(&headers, &body) {
        Ok(Incoming::Event { id, event, cause, bare }) => host.event(&id, event, cause, bare).await,
        Ok(Incoming::Notification { events, others }) => {
            for other in others {
                info!(function = F::NAME, why = %other, "object passed over");
            }
            host.notification(events).await
        }
        Err(rejection) => {
            let status = rejection.status();
            warn!(function = F::NAME, status = status.as_u16(), why = %rejection, "request refused");
            answer::failed(status, &rejection.to_string())
        }
    }
}

impl<F: Function> Host<F> {
    async fn event(&self, id: &str, event: Event, cause: Option<Cause>, bare: bool) -> Response {
        match self.attempt(id, event, cause).await {
            Outcome::Done(None) => answer::done(),
            Outcome::Done(Some(reply)) if bare => answer::structured(&[reply]),
            Outcome::Done(Some(reply)) => answer::binary(&reply),
            Outcome::Permanent(why) => answer::failed(StatusCode::UNPROCESSABLE_ENTITY, &why),
            Outcome::Transient(why) => answer::failed(StatusCode::SERVICE_UNAVAILABLE, &why),
            Outcome::Panicked => {
                answer::failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("{id}: panicked"))
            }
        }
    }

    async fn notification(&self, events: Vec<Event>) -> Response {
        let mut replies = Vec::new();
        let mut repeat = Vec::new();
        for event in events {
            let id = event.to_cloud_event().id;
            match self.attempt(&id, event, None).await {
                Outcome::Done(reply) => replies.extend(reply),
                Outcome::Permanent(_) => {}
                Outcome::Transient(why) => repeat.push(why),
                Outcome::Panicked => repeat.push(format!("{id}: panicked")),
            }
        }
        if let Some(sink) = &self.sink {
            for reply in replies.drain(..) {
                if let Err(error) = sink.post(&reply).await {
                    let id = reply.id;
                    warn!(function = F::NAME, event = id, why = %error, "reply not sent");
                    repeat.push(format!("event {id} was not taken: {error}"));
                }
            }
        }
        if repeat.is_empty() {
            answer::structured(&replies)
        } else {
            answer::failed(StatusCode::SERVICE_UNAVAILABLE, &repeat.join("; "))
        }
    }

    /// Hands an event to the function, in a task of its own: it is then seen through, told and counted even where the
    /// sender loses patience and closes the connection, and when it is sent again there is little left to do.
    async fn attempt(&self, id: &str, event: Event, cause: Option<Cause>) -> Outcome {
        let (function, failures) = (Arc::clone(&self.function), Arc::clone(&self.failures));
        let task = tokio::spawn(Self::see_through(function, failures, id.to_owned(), event, cause));
        // Nobody else has the handle of the task, so it was not cancelled.
        task.await.unwrap_or(Outcome::Panicked)
    }

    async fn see_through(
        function: Arc<F>,
        failures: Failures,
        id: String,
        event: Event,
        cause: Option<Cause>,
    ) -> Outcome {
        let begun = Instant::now();
        let cause = cause.unwrap_or_else(|| Cause::window_of(&event));
        let step = Step::begin(F::NAME, Kind::Consumer, &cause);
        let camera = event.camera().clone();
        let (window, key) = describe(&event);
        step.tell("teiten.event", &id);
        step.tell("teiten.camera", &camera);
        step.tell("teiten.window", &window);
        let caused_here = step.as_cause();
        // In one more task, so that a panic ends no more than that.
        let task = tokio::spawn(async move {
            let outcome = step.run(function.handle(event)).await;
            if let Err(failure) = &outcome {
                step.fail(failure);
            }
            outcome
        });
        let outcome = match task.await {
            Ok(Ok(reply)) => Outcome::Done(reply.map(|reply| caused_here.of(&reply))),
            Ok(Err(Failure::Permanent(error))) => Outcome::Permanent(format!("{error:#}")),
            Ok(Err(Failure::Transient(error))) => Outcome::Transient(format!("{error:#}")),
            Err(_panic) => Outcome::Panicked,
        };
        function_metrics().handled(F::NAME, outcome.counted(), begun.elapsed());
        let (window, key) = (display(window), key.map(display));
        let millis = begun.elapsed().as_millis() as u64;
        let function = F::NAME;
        match &outcome {
            Outcome::Done(_) => {
                let outcome = outcome.counted().name();
                info!(function, event = id, %camera, window, key, millis, outcome, "event handled");
            }
            Outcome::Permanent(why) => {
                error!(
                    function,
                    event = id,
                    %camera,
                    window,
                    key,
                    millis,
                    outcome = "refused",
                    why,
                    "event failed for good"
                );
            }
            Outcome::Transient(why) => {
                let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(times) = failures.times(Some(&camera), (), teiten_telemetry::now()) {
                    warn!(
                        function,
                        event = id,
                        %camera,
                        window,
                        key,
                        millis,
                        outcome = "unavailable",
                        times,
                        why,
                        "event failed, may work later"
                    );
                }
            }
            Outcome::Panicked => {
                error!(
                    function,
                    event = id,
                    %camera,
                    window,
                    key,
                    millis,
                    outcome = "panicked",
                    "event made the function panic"
                );
            }
        }
        outcome
    }
}

/// What became of an event.
enum Outcome {
    Done(Option<CloudEvent>),
    Permanent(String),
    Transient(String),
    Panicked,
}

impl Outcome {
    fn counted(&self) -> metrics::Outcome {
        match self {
            Self::Done(None) => metrics::Outcome::Done,
            Self::Done(Some(_)) => metrics::Outcome::Replied,
            Self::Permanent(_) => metrics::Outcome::Refused,
            Self::Transient(_) => metrics::Outcome::Unavailable,
            Self::Panicked => metrics::Outcome::Panicked,
        }
    }
}

/// Window (or time) and object of an event, for its log line.
fn describe(event: &Event) -> (String, Option<String>) {
    match event {
        Event::BatchStored { key, .. } => (key.window.to_string(), Some(key.to_string())),
        Event::SegmentStored { key, .. } => (key.window.to_string(), Some(key.to_string())),
        Event::WindowMissed { window, .. } => (window.to_string(), None),
        Event::SensorChanged { event, .. } => (event.at.to_string(), None),
        Event::Motion { span, .. } => (span.start.to_string(), None),
    }
}
