//! `teiten-dev`: all of Teiten on this machine.

use std::process::ExitCode;

use clap::Parser;
use teiten_dev::Options;
use teiten_telemetry::traces::{FLUSH_MAX, flush_traces, init_traces};

#[tokio::main]
async fn main() -> ExitCode {
    // The status line says that all is well; the log says what is not. The embedded broker calls every client
    // that leaves an error, and the S3 protocol layer every request that is refused.
    teiten_telemetry::init_with("warn,rumqttd=off,s3s=off");
    let options = Options::parse();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    // All parts are one service here.
    init_traces("dev")?;
    let outcome = teiten_dev::run(options, teiten_telemetry::shutdown_on_signal()?).await;
    flush_traces(FLUSH_MAX).await;
    outcome
}
