//! The bridge as a program: arguments from the command line or the environment, SIGTERM or SIGINT drains.

use clap::{CommandFactory, Parser, error::ErrorKind};
use teiten_bridge::Args;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let config = Args::parse()
        .into_config()
        .unwrap_or_else(|mistake| Args::command().error(ErrorKind::ValueValidation, mistake).exit());
    teiten_bridge::run(config, teiten_telemetry::shutdown_on_signal()?).await
}
