//! `teiten-compact`: the compact function as a program, for Knative and for AWS Lambda.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket};
use teiten_compact::{Compact, Settings};

/// Turns the segments of hours that are over into few objects. Posted to by a schedule, once an hour.
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How long after its end an hour is put together.
    #[arg(
        long,
        env = "TEITEN_COMPACT_AFTER_MINUTES",
        value_name = "MINUTES",
        default_value_t = Settings::default().after.as_secs() / 60,
        value_parser = clap::value_parser!(u64).range(10..=1440)
    )]
    after_minutes: u64,

    /// How old an hour may be that is still looked at: six hours more than when it is put together, at least, and it is put
    /// together until four hours before that.
    #[arg(
        long,
        env = "TEITEN_COMPACT_HORIZON_HOURS",
        value_name = "HOURS",
        default_value_t = Settings::default().horizon.as_secs() / 3600,
        value_parser = clap::value_parser!(u64).range(8..=8760)
    )]
    horizon_hours: u64,

    /// How long a run goes on to further hours, at most: less than the time after which its caller gives it up. Later runs go on.
    #[arg(
        long,
        env = "TEITEN_COMPACT_RUN_MINUTES",
        value_name = "MINUTES",
        default_value_t = Settings::default().run_max.as_secs() / 60,
        value_parser = clap::value_parser!(u64).range(1..=60)
    )]
    run_minutes: u64,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let media = S3Bucket::new(&args.s3.config()?, &args.s3.media_bucket);
    let settings = Settings {
        after: Duration::from_secs(args.after_minutes * 60),
        horizon: Duration::from_secs(args.horizon_hours * 3600),
        run_max: Duration::from_secs(args.run_minutes * 60),
    };
    let settings =
        settings.checked().context("TEITEN_COMPACT_AFTER_MINUTES and TEITEN_COMPACT_HORIZON_HOURS")?;
    teiten_host::run_chore(Compact::new(Arc::new(media), settings)).await
}
