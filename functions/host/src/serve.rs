//! Where requests come from: a listener, or AWS Lambda.

use std::{env, io, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, serve::ListenerExt};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Function, handle, lambda, sink::Sink};

/// How long requests that are under way at shutdown may take to end. Knative's revisions have 300 s at most;
/// a pod has 30 s unless told otherwise.
pub const DRAIN_MAX: Duration = Duration::from_secs(25);

const PORT_DEFAULT: u16 = 8080;

/// Serves a function on `listener` until `shutdown`; then accepts no more connections, and returns once all
/// requests that are under way are answered, or [`DRAIN_MAX`] is over.
pub async fn serve<F: Function>(
    function: Arc<F>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_router(handle::router(function), listener, shutdown).await
}

/// Runs a function as the environment asks: for AWS Lambda where `AWS_LAMBDA_RUNTIME_API` is set, else on
/// port `$PORT` (8080) until SIGTERM or SIGINT. Replies to notifications go to `$K_SINK`, if set.
pub async fn run<F: Function>(function: F) -> anyhow::Result<()> {
    let sink = Sink::new(&env::var("K_SINK").unwrap_or_default())?;
    let router = handle::with_sink(Arc::new(function), sink);
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return lambda::run(router).await;
    }
    let port = match env::var("PORT") {
        Ok(port) => port.parse().with_context(|| format!("PORT {port:?} is no port"))?,
        Err(_) => PORT_DEFAULT,
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .with_context(|| format!("port {port} cannot be listened on"))?;
    info!(function = F::NAME, port, "function ready");
    serve_router(router, listener, stop_signal()?).await?;
    Ok(())
}

async fn serve_router(router: Router, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Answers are small and awaited: none should wait to be joined by more.
        if let Err(error) = stream.set_nodelay(true) {
            warn!(%error, "TCP_NODELAY not set");
        }
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        result = server => result,
        () = overdue => {
            warn!("requests still under way, left behind");
            Ok(())
        }
    }
}

/// Cancelled by the first SIGTERM or SIGINT.
fn stop_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        stopping.cancel();
    });
    Ok(stop)
}
