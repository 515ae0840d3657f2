//! `teiten-dead-letters`: keeps the events that no function could handle.

use std::sync::Arc;

use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket};

/// Keeps the events that are posted to it in the bucket of batches. Listens on $PORT (8080).
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let frames = S3Bucket::new(&args.s3.config()?, &args.s3.frames_bucket);
    teiten_host::run_router(
        teiten_dead_letters::NAME,
        teiten_dead_letters::router(Arc::new(frames), teiten_telemetry::now),
    )
    .await
}
