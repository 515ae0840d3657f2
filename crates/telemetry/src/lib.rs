//! What every process needs at its edges: logging, numbers, traces, the wall clock, the signal to stop, pauses between retries.

mod backoff;
mod log_limit;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "traces")]
pub mod traces;

use std::{
    io::{self, IsTerminal as _},
    process,
};

use teiten_footage::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{filter::Targets, prelude::*};

pub use backoff::Backoff;
pub use log_limit::LogLimit;

/// The status of a process that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// Starts logging to standard error: `RUST_LOG` chooses what (default `info`), `TEITEN_LOG=json` how.
/// Only the first call of a process has an effect.
pub fn init() {
    init_with("info");
}

/// As [`init`], with another default for `RUST_LOG`.
pub fn init_with(default: &str) {
    // Not an `EnvFilter`, which brings along regular expressions: the camera's agent is to stay small.
    let chosen = std::env::var("RUST_LOG").ok().and_then(|filter| filter.parse::<Targets>().ok());
    let filter = chosen.or_else(|| default.parse().ok()).unwrap_or_default();
    let layer =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    let json = std::env::var("TEITEN_LOG").is_ok_and(|format| format == "json");
    // A second call is a test's or the dev stack's: the first one's set-up stays.
    let _already_set = if json {
        registry.with(layer.json()).try_init()
    } else {
        registry.with(layer.with_target(false)).try_init()
    };
}

/// Cancelled when the process is asked to stop, by SIGTERM or Ctrl-C. Ctrl-C after that ends it as it is, with status 130.
/// (SIGTERM does not: who starts programs may send it twice, and has SIGKILL.)
///
/// # Errors
/// If the system does not let this process handle signals.
pub fn shutdown_on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let cancelled_by_signal = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled_by_signal.cancel();
        if interrupt.recv().await.is_some() {
            tracing::warn!("stopped once more: what is under way is given up");
            process::exit(INTERRUPTED);
        }
    });
    Ok(shutdown)
}

/// The wall clock: the one place that reads it. Cores take time as an argument.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
