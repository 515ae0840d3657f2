//! `teiten-playback`: the playback function as a program, for Knative and for AWS Lambda.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket, SignArgs};
use teiten_host::{Admission, TokenArgs};
use teiten_playback::{Links, Playback};

/// Answers GET /<camera>.m3u8?from=…&to=… (RFC 3339) with a VOD playlist of what is stored of that time.
///
/// Where footage is private, it answers to who brings TEITEN_LINK_TOKEN, or a link that `teiten-link` made, and lists signed
/// links.
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set. TEITEN_CORS_ORIGIN says whose
/// pages may read the answers.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where players reach the bucket of media where it is public, such as https://cameras.example/media; in the store at
    /// --public-url where this is not given.
    #[arg(long, env = "TEITEN_MEDIA_URL", value_name = "URL")]
    media_url: Option<String>,

    #[command(flatten)]
    token: TokenArgs,

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
    let (links, admission) = match args.sign.signer(&args.s3)? {
        Some(signer) => (Links::signed(signer), Admission::Token(args.token.bearer()?)),
        None => {
            let url = args.media_url.filter(|url| !url.is_empty());
            let url = url.unwrap_or_else(|| args.sign.media_url(&args.s3));
            (Links::plain(&url).context("TEITEN_MEDIA_URL")?, Admission::Anybody)
        }
    };
    teiten_host::run_requests(Playback::new(Arc::new(media), links, admission)).await
}
