//! One HTTP handler for functions, on Knative (HTTP on `$PORT`) and on AWS Lambda alike.
//!
//! A function is a [`Function`]: an event in, perhaps an event out; or a [`Chore`], which a schedule asks for; or a
//! [`Responder`], which answers a GET. Everything else is here: which forms an event comes in ([`router`] tells), what
//! the answer says, concurrency, logs, and an orderly end. So is what several of them need for their own part: what a request asks
//! for ([`Asked`]), what is remembered of cameras from call to call ([`PerCamera`]), and how far a chore looks at its turn ([`turns`]).

mod admission;
mod answer;
mod bearer;
mod chore;
mod clock;
mod handle;
mod incoming;
mod lambda;
mod per_camera;
mod portion;
mod range;
mod request;
mod serve;
pub mod turns;

use async_trait::async_trait;
use teiten_footage::Event;

pub use admission::Admission;
pub use axum::{body::Body, response::Response};
pub use bearer::{Bearer, BearerError, TokenArgs};
pub use chore::{Chore, chore_router};
pub use clock::Clock;
pub use handle::{BODY_BYTES_MAX, router};
pub use incoming::PING;
pub use per_camera::PerCamera;
pub use portion::Portion;
pub use request::{
    Asked, LAMBDA_BYTES_MAX, Origins, Refusal, Responder, request_router, run_requests, serve_requests,
};
pub use serve::{DRAIN_MAX, Running, run, run_chore, run_router, serve, serve_chore};

/// What a function does with an event.
#[async_trait]
pub trait Function: Send + Sync + 'static {
    /// The function's name, for logs.
    const NAME: &'static str;

    /// Handles one event. `Ok(Some(reply))` is a new event for whoever waits for it, `Ok(None)` means done.
    /// Success is only returned once everything that the event asked for is durable.
    async fn handle(&self, event: Event) -> Result<Option<Event>, Failure>;
}

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It never will be: answered 4xx (422), so nobody sends it again.
    #[error("{0:#}")]
    Permanent(anyhow::Error),
    /// It may be later: answered 503, so it is sent again.
    #[error("{0:#}")]
    Transient(anyhow::Error),
}

impl Failure {
    /// What a store or a sink refused, which may be otherwise later, if only as somebody mends its set-up.
    pub fn transient(error: impl Into<anyhow::Error>) -> Self {
        Self::Transient(error.into())
    }
}
