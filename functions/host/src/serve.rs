//! Where requests come from: a listener, or AWS Lambda.

use std::{env, io, net::Ipv4Addr, pin::Pin, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, serve::ListenerExt};
use teiten_sink::Sink;
use teiten_telemetry::{
    metrics::{Operations, function_metrics, listen_from_environment},
    shutdown_on_signal,
    traces::{FLUSH_MAX, flush_traces, init_traces},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use crate::{Chore, Function, chore_router, handle, lambda};

/// How long requests that are under way at shutdown may take to end. Knative's revisions have 300 s at most;
/// a pod has 30 s unless told otherwise.
pub const DRAIN_MAX: Duration = Duration::from_secs(25);

const PORT_DEFAULT: u16 = 8080;

/// A program at work. It is compiled here, once; what is in an `async fn` is compiled in every crate that awaits it.
pub type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

/// Serves a function on `listener` until `shutdown`; then accepts no more connections, and returns once all
/// requests that are under way are answered, or [`DRAIN_MAX`] is over.
pub async fn serve<F: Function>(
    function: Arc<F>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_router(handle::router(function), listener, shutdown).await
}

/// Serves a chore, as [`serve`] does a function.
pub async fn serve_chore<C: Chore>(
    chore: Arc<C>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_router(chore_router(chore), listener, shutdown).await
}

/// Runs a function as the environment asks: for AWS Lambda where `AWS_LAMBDA_RUNTIME_API` is set, else on
/// port `$PORT` (8080) until SIGTERM or SIGINT. Replies to notifications go to `$K_SINK`, if set; `/metrics` is answered
/// at `$TEITEN_METRICS` (such as 0.0.0.0:9464), if set.
pub async fn run<F: Function>(function: F) -> anyhow::Result<()> {
    run_router(F::NAME, handle::with_sink(Arc::new(function), sink_from_environment()?)).await
}

/// Runs a chore, as [`run`] does a function.
pub async fn run_chore<C: Chore>(chore: C) -> anyhow::Result<()> {
    run_router(C::NAME, chore_router(Arc::new(chore))).await
}

/// The sink that Knative (SinkBinding) names in `$K_SINK`; `None` where that is empty or not set.
fn sink_from_environment() -> anyhow::Result<Option<Sink>> {
    let url = env::var("K_SINK").unwrap_or_default();
    if url.is_empty() {
        return Ok(None);
    }
    let url = url.parse().context("K_SINK")?;
    Ok(Some(Sink::new(&url).context("the client for K_SINK")?))
}

/// Whether AWS Lambda runs this program.
pub(crate) fn is_lambda() -> bool {
    env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Runs a router whose answers are streamed.
pub(crate) fn run_requests(name: &'static str, router: Router) -> Running {
    Box::pin(async move {
        if is_lambda() { lambda::run_streaming(router).await } else { run_on_port(name, router).await }
    })
}

/// Runs any handler, as [`run`] does a function's.
pub fn run_router(name: &'static str, router: Router) -> Running {
    Box::pin(async move {
        if is_lambda() { lambda::run(name, router).await } else { run_on_port(name, router).await }
    })
}

async fn run_on_port(name: &'static str, router: Router) -> anyhow::Result<()> {
    let port = match env::var("PORT") {
        Ok(port) => port.parse().with_context(|| format!("PORT {port:?} is no port"))?,
        Err(_) => PORT_DEFAULT,
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .with_context(|| format!("port {port} cannot be listened on"))?;
    // A port of its own: what comes to $PORT counts as work for Knative.
    let _operations = listen_from_environment().await?.map(|listener| {
        let serving = Operations::new(function_metrics().registry(name)).serve(listener);
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    init_traces(name)?;
    info!(function = name, port, "function ready");
    serve_router(router, listener, shutdown_on_signal()?).await?;
    flush_traces(FLUSH_MAX).await;
    Ok(())
}

pub(crate) fn serve_router(
    router: Router,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
    Box::pin(serve_until(router, listener, shutdown))
}

async fn serve_until(router: Router, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Answers are small and awaited: none should wait to be joined by more.
        if let Err(error) = stream.set_nodelay(true) {
            warn!(%error, "TCP_NODELAY not set");
        }
    });
    let stop = shutdown.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.cancelled().await;
        info!("stopping");
    });
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
