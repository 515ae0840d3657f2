//! `teiten-clip`: the clip function as a program, for Knative and for AWS Lambda.

use std::sync::Arc;

use clap::Parser;
use teiten_bucket::{Access, S3Args, S3Bucket};
use teiten_clip::Clip;
use teiten_host::{Admission, TokenArgs};

/// Answers GET /<camera>.mp4?from=…&to=… (RFC 3339) with one MP4 file of what is stored of that time; with &lapse=60 with
/// a time-lapse, sixty times faster.
///
/// Where footage is private, it answers to who brings TEITEN_LINK_TOKEN, or a link that `teiten-link` made.
///
/// Listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set. TEITEN_CORS_ORIGIN says whose
/// pages may read the answers.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Who may read footage: with the token or a link only, or anybody.
    #[arg(long, env = "TEITEN_MEDIA_ACCESS", value_enum, default_value_t = Access::Private)]
    media_access: Access,

    #[command(flatten)]
    token: TokenArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let admission = match args.media_access {
        Access::Public => Admission::Anybody,
        Access::Private => Admission::Token(args.token.bearer()?),
    };
    let media = S3Bucket::new(&args.s3.config()?, &args.s3.media_bucket);
    teiten_host::run_requests(Clip::new(Arc::new(media), admission)).await
}
