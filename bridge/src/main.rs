//! The bridge as a program: arguments from the command line or the environment, SIGTERM or SIGINT drains.

use clap::{CommandFactory, Parser, error::ErrorKind};
use teiten_bridge::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let config = Args::parse()
        .into_config()
        .unwrap_or_else(|mistake| Args::command().error(ErrorKind::ValueValidation, mistake).exit());
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone())?);
    teiten_bridge::run(config, shutdown).await
}

fn cancel_on_signal(shutdown: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    })
}
