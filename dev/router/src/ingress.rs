//! The HTTP side: takes events, shows dead letters.

use std::io;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use teiten_footage::CloudEvent;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{DeadLetter, Router};

/// The largest event that is taken, in bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// How long a stop waits for deliveries that are under way.
const DRAIN_MAX: std::time::Duration = std::time::Duration::from_secs(10);

impl Router {
    /// Takes events on `listener` until `shutdown`, then waits for the deliveries under way, for ten seconds at most: what is
    /// left then is given up.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let app = axum::Router::new()
            .route("/", post(accept))
            .route("/dead-letters", get(show_dead_letters))
            .route("/healthz", get(|| async {}))
            .layer(DefaultBodyLimit::max(EVENT_BYTES_MAX))
            .with_state(self.clone());
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY not set");
            }
        });
        axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
        self.shared.under_way.close();
        if tokio::time::timeout(DRAIN_MAX, self.shared.under_way.wait()).await.is_err() {
            tracing::warn!(deliveries = self.shared.under_way.len(), "deliveries under way are given up");
            // Whoever is stopped next would wait for their answers.
            self.shared.given_up.cancel();
            self.shared.under_way.wait().await;
        }
        Ok(())
    }
}

async fn accept(State(router): State<Router>, headers: HeaderMap, body: Bytes) -> Response {
    let headers = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    match CloudEvent::from_http(headers, &body) {
        Ok(event) => match router.route(event) {
            Ok(()) => StatusCode::ACCEPTED.into_response(),
            Err(full) => (StatusCode::SERVICE_UNAVAILABLE, full.to_string()).into_response(),
        },
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn show_dead_letters(State(router): State<Router>) -> Json<Vec<DeadLetter>> {
    Json(router.dead_letters().await)
}
