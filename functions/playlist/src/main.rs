//! `teiten-playlist`: the playlist function as a program, for Knative and for AWS Lambda.

use std::{sync::Arc, time::Duration};

use clap::Parser;
use teiten_archive::{LIVE_WINDOW_SECONDS, LiveSettings};
use teiten_bucket::{S3Args, S3Bucket, SignArgs};
use teiten_playlist::Playlist;

/// Keeps the live playlist of every camera, moved by `teiten.segment.stored` and `teiten.window.missed` events,
/// and stores what sensors saw (`teiten.sensor.changed`).
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many seconds of footage a live playlist lists (six windows at least). Players that start at the
    /// oldest segment lag by this much.
    #[arg(
        long,
        env = "TEITEN_LIVE_WINDOW_SECONDS",
        value_name = "SECONDS",
        default_value_t = LiveSettings::default().live_window.as_secs(),
        value_parser = clap::value_parser!(u64).range(LIVE_WINDOW_SECONDS)
    )]
    live_window_seconds: u64,

    #[command(flatten)]
    sign: SignArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let media = S3Bucket::new(&args.s3.config()?, &args.s3.media_bucket);
    let settings = LiveSettings { live_window: Duration::from_secs(args.live_window_seconds) };
    let signer = args.sign.signer(&args.s3)?;
    teiten_host::run(Playlist::new(Arc::new(media), settings).signed_by(signer)).await
}
