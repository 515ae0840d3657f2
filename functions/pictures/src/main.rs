//! `teiten-pictures`: the chore as a program, for Knative and for AWS Lambda.

use std::sync::Arc;

use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket};
use teiten_host::turns::HorizonArgs;
use teiten_pictures::{Pictures, Settings};

/// Keeps a poster of each camera and a sheet of thumbnails of each hour. Posted to by a schedule, once a minute.
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How old a batch may be that is still looked at; no more than batches are kept.
    #[arg(
        long,
        env = "TEITEN_PICTURES_HORIZON_HOURS",
        value_name = "HOURS",
        value_parser = clap::value_parser!(u64).range(1..=720)
    )]
    horizon_hours: Option<u64>,

    #[command(flatten)]
    kept: HorizonArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let s3 = args.s3.config()?;
    let bucket = |name: &str| Arc::new(S3Bucket::new(&s3, name));
    let settings = Settings { horizon: args.kept.horizon(args.horizon_hours), ..Settings::default() };
    let (frames, media) = (bucket(&args.s3.frames_bucket), bucket(&args.s3.media_bucket));
    teiten_host::run_chore(Pictures::new(frames, media, settings)).await
}
