//! Logging set-up, the wall clock, and the names of metrics and fields.

use teiten_footage::Timestamp;
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan, prelude::*};

/// Starts logging to standard error: `RUST_LOG` chooses what (default `info`), `TEITEN_LOG=json` how.
/// Only the first call of a process has an effect.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=warn"));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    let registry = tracing_subscriber::registry().with(filter);
    let json = std::env::var("TEITEN_LOG").is_ok_and(|format| format == "json");
    // A second call is a test's or the dev stack's: the first one's set-up stays.
    let _already_set = if json {
        registry.with(layer.json()).try_init()
    } else {
        registry.with(layer.with_target(false)).try_init()
    };
}

/// The wall clock: the one place that reads it. Cores take time as an argument.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
