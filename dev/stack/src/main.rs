//! `teiten-dev`: all of Teiten on this machine.

use std::process::ExitCode;

use clap::Parser;
use teiten_dev::Options;

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
    teiten_dev::run(options, teiten_telemetry::shutdown_on_signal()?).await
}
