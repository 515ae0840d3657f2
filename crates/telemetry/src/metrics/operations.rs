//! The port for those who run the system: `/metrics`, `/healthz`, `/readyz`. Not the one that a function takes events
//! on, so that nobody's scraping counts as work or keeps an instance from being stopped.

use std::{env, future::Future, io, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

/// The media type of what [`encode`] writes (OpenMetrics §5.1).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A listener at `$TEITEN_METRICS` (such as `0.0.0.0:9464`), if that is set.
///
/// # Errors
/// If it is no address, or cannot be listened on.
pub async fn listen_from_environment() -> io::Result<Option<TcpListener>> {
    match env::var("TEITEN_METRICS") {
        Ok(address) if !address.is_empty() => TcpListener::bind(&address)
            .await
            .map(Some)
            .map_err(|error| io::Error::new(error.kind(), format!("TEITEN_METRICS={address}: {error}"))),
        _ => Ok(None),
    }
}

/// A check that a probe asks for: why it fails, if it does.
type Check = Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// What is told of a process.
pub struct Operations {
    registry: Registry,
    live: Check,
    ready: Check,
}

impl Operations {
    /// Tells the numbers in `registry`; live and ready as soon as it is served.
    pub fn new(registry: Registry) -> Self {
        Self { registry, live: Box::new(|| Ok(())), ready: Box::new(|| Ok(())) }
    }

    /// Whether the process works, or should be started anew.
    pub fn live_if(self, check: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static) -> Self {
        Self { live: Box::new(check), ..self }
    }

    /// Whether it can do its work just now.
    pub fn ready_if(self, check: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static) -> Self {
        Self { ready: Box::new(check), ..self }
    }

    /// Answers requests on `listener` until it is dropped.
    pub fn serve(self, listener: TcpListener) -> impl Future<Output = io::Result<()>> + Send {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|State(told): State<Arc<Self>>| async move { answer(&told.live) }))
            .route("/readyz", get(|State(told): State<Arc<Self>>| async move { answer(&told.ready) }))
            .with_state(Arc::new(self));
        async move { axum::serve(listener, router).await }
    }
}

async fn metrics(State(told): State<Arc<Operations>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &told.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn answer(check: &Check) -> Response {
    match check() {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
