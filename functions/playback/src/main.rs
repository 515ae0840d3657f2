//! `teiten-playback`: the playback function as a program, for Knative and for AWS Lambda.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::{Access, S3Args, S3Bucket};
use teiten_playback::{Links, Playback};

/// Answers GET /<camera>.m3u8?from=…&to=… (RFC 3339) with a VOD playlist of what is stored of that time.
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set. TEITEN_CORS_ORIGIN says whose
/// pages may read the answers.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where players reach the bucket of media, such as https://cameras.example/media.
    #[arg(long, env = "TEITEN_MEDIA_URL", value_name = "URL")]
    media_url: String,

    /// Who may read footage. Whoever asks this gets it, so it starts only where that is `public`.
    #[arg(long, env = "TEITEN_MEDIA_ACCESS", value_enum, default_value_t = Access::Private)]
    media_access: Access,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    anyhow::ensure!(
        args.media_access == Access::Public,
        "footage is private here (TEITEN_MEDIA_ACCESS), and whoever asked playback would get it: it is for `public` only"
    );
    let media = S3Bucket::new(&args.s3.config()?, &args.s3.media_bucket);
    let links = Links::new(&args.media_url).context("TEITEN_MEDIA_URL")?;
    teiten_host::run_requests(Playback::new(Arc::new(media), links)).await
}
