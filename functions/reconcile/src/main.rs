//! `teiten-reconcile`: the reconcile function as a program, for Knative and for AWS Lambda.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket};
use teiten_host::turns::HorizonArgs;
use teiten_reconcile::{Reconcile, Settings, plan::PERIOD_MIN};
use teiten_sink::{Sink, SinkUrl};

/// Finds batches without segments and stale playlists, and sends their events again. Posted to by a schedule.
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where events go, an http:// URL.
    #[arg(long, env = "K_SINK", value_name = "URL")]
    sink: SinkUrl,

    /// Time between two runs, as the schedule has it.
    #[arg(
        long,
        env = "TEITEN_RECONCILE_PERIOD_SECONDS",
        value_name = "SECONDS",
        default_value_t = Settings::default().period.as_secs(),
        value_parser = clap::value_parser!(u64).range(PERIOD_MIN.as_secs()..=3600)
    )]
    period_seconds: u64,

    /// How long the pipeline may take from a batch to its segment: younger batches are left to it.
    #[arg(
        long,
        env = "TEITEN_RECONCILE_DELAY_SECONDS",
        value_name = "SECONDS",
        default_value_t = Settings::default().delay.as_secs()
    )]
    delay_seconds: u64,

    #[command(flatten)]
    kept: HorizonArgs,

    /// How old a window may be that is still looked at; no more than batches are kept.
    #[arg(
        long,
        env = "TEITEN_RECONCILE_HORIZON_HOURS",
        value_name = "HOURS",
        value_parser = clap::value_parser!(u64).range(1..=720)
    )]
    horizon_hours: Option<u64>,

    /// How many batches a run sends again at most, with those sent before that have no segment yet: encoding them competes with
    /// what is live. They are spread over three quarters of the time between two runs. Where more than ten cameras lack some and all is
    /// encoded in time, it is up to a tenth of it for each.
    #[arg(
        long,
        env = "TEITEN_RECONCILE_BATCHES_MAX",
        value_name = "N",
        default_value_t = Settings::default().batches_max
    )]
    batches_max: usize,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let s3 = args.s3.config()?;
    let bucket = |name: &str| Arc::new(S3Bucket::new(&s3, name));
    let settings = Settings {
        delay: Duration::from_secs(args.delay_seconds),
        horizon: args.kept.horizon(args.horizon_hours),
        batches_max: args.batches_max,
        ..Settings::each(Duration::from_secs(args.period_seconds))
    };
    let sink = Sink::new(&args.sink).context("the client for K_SINK")?;
    let (frames, media) = (bucket(&args.s3.frames_bucket), bucket(&args.s3.media_bucket));
    teiten_host::run_chore(Reconcile::new(frames, media, sink, settings)).await
}
