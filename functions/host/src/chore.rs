//! Chores: functions that a schedule asks for, instead of an event about something that happened.
//!
//! Knative's PingSource posts a CloudEvent of type `dev.knative.sources.ping`; a rule of Amazon EventBridge invokes
//! AWS Lambda with bare JSON whose `detail-type` is `Scheduled Event`. What either carries besides does not matter.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use teiten_footage::CloudEvent;
use teiten_telemetry::metrics::{Outcome, function_metrics};
use tracing::{error, info, warn};

use crate::{
    BODY_BYTES_MAX, Failure, answer,
    incoming::{self, Call},
};

/// Something that is to be done once in a while.
#[async_trait]
pub trait Chore: Send + Sync + 'static {
    /// The chore's name, for logs, and for the source of its reports (`/teiten/<name>`).
    const NAME: &'static str;
    /// The type of the events that tell what was done, such as `teiten.reconciled`.
    const REPORT_KIND: &'static str;
    /// What was done: the data of that event.
    type Report: Serialize + Send;

    /// Does it. Whatever fails is done again at the latest when the schedule asks next.
    async fn run(&self) -> Result<Self::Report, Failure>;
}

/// The one handler of a chore, for every path: a `POST` of a schedule's event is answered with 200 and the report as
/// an event (binary mode; structured for a caller that reads bodies only), and otherwise as
/// [`router`](crate::router()) says of a function's events. `GET /healthz` is answered with 200.
pub fn chore_router<C: Chore>(chore: Arc<C>) -> Router {
    Router::new()
        .route("/healthz", get(StatusCode::OK))
        .fallback_service(post(handle::<C>).with_state(chore))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn handle<C: Chore>(State(chore): State<Arc<C>>, headers: HeaderMap, body: Bytes) -> Response {
    let call = match incoming::parse_call(&headers, &body) {
        Ok(call) => call,
        Err(rejection) => {
            let status = rejection.status();
            warn!(chore = C::NAME, status = status.as_u16(), why = %rejection, "request refused");
            return answer::failed(status, &rejection.to_string());
        }
    };
    // In a task of its own: it is seen through, told and counted even where the caller loses patience.
    match tokio::spawn(see_through(chore, call)).await {
        Ok(answer) => answer,
        // Nobody else has the handle of the task, so it was not cancelled.
        Err(_panic) => answer::failed(StatusCode::INTERNAL_SERVER_ERROR, "panicked"),
    }
}

async fn see_through<C: Chore>(chore: Arc<C>, call: Call) -> Response {
    let begun = Instant::now();
    // In one more task, so that a panic ends no more than that.
    let done = tokio::spawn(async move { chore.run().await }).await;
    let millis = begun.elapsed().as_millis() as u64;
    let outcome = match &done {
        Ok(Ok(_)) => Outcome::Replied,
        Ok(Err(Failure::Permanent(_))) => Outcome::Refused,
        Ok(Err(Failure::Transient(_))) => Outcome::Unavailable,
        Err(_panic) => Outcome::Panicked,
    };
    function_metrics().handled(C::NAME, outcome, begun.elapsed());
    match done {
        Ok(Ok(report)) => {
            info!(chore = C::NAME, event = call.id, millis, "chore done");
            let report = CloudEvent {
                id: call.id,
                source: format!("/teiten/{}", C::NAME),
                kind: C::REPORT_KIND.to_owned(),
                subject: None,
                time: None,
                extensions: Default::default(),
                data: serde_json::to_value(report).expect("a report has text for keys"),
            };
            if call.bare { answer::structured(&[report]) } else { answer::binary(&report) }
        }
        Ok(Err(Failure::Permanent(why))) => {
            error!(
                chore = C::NAME,
                event = call.id,
                millis,
                why = format!("{why:#}"),
                "chore failed for good"
            );
            answer::failed(StatusCode::UNPROCESSABLE_ENTITY, &format!("{why:#}"))
        }
        Ok(Err(Failure::Transient(why))) => {
            warn!(
                chore = C::NAME,
                event = call.id,
                millis,
                why = format!("{why:#}"),
                "chore failed, may work later"
            );
            answer::failed(StatusCode::SERVICE_UNAVAILABLE, &format!("{why:#}"))
        }
        Err(_panic) => {
            error!(chore = C::NAME, event = call.id, millis, "chore panicked");
            answer::failed(StatusCode::INTERNAL_SERVER_ERROR, "panicked")
        }
    }
}
