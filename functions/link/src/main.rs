//! `teiten-link`: links to live playlists, for whoever asks with a token (on Knative and AWS Lambda), or for whoever runs
//! `teiten-link CAMERA --for 24h`.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket, SignArgs, Validity};
use teiten_footage::{CameraId, key};
use teiten_host::Bearer;
use teiten_link::{LinkDesk, Links, VALID_DEFAULT};

/// Makes addresses of cameras' live playlists: they play in any HLS player (VLC, ffplay, Safari, hls.js) without keys, and
/// stop working when their time is over. They cannot be called back before, except by exchanging the keys that they are
/// signed with.
///
/// With a camera prints one. Without, listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The camera's name.
    camera: Option<CameraId>,

    /// How long the link works, such as 90m or 24h: 5s to 7d.
    #[arg(long = "for", value_name = "TIME", default_value = VALID_DEFAULT, requires = "camera")]
    valid: Validity,

    /// What requests must bring as `Authorization: Bearer TOKEN`, 32 characters or more.
    #[arg(long, env = "TEITEN_LINK_TOKEN", value_name = "TOKEN", hide_env_values = true, default_value = "")]
    token: String,

    #[command(flatten)]
    sign: SignArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let signer = args.sign.signer(&args.s3)?;
    let media_of = |config| Arc::new(S3Bucket::new(&config, &args.s3.media_bucket));
    let Some(camera) = args.camera else {
        let token = Bearer::new(&args.token).context("TEITEN_LINK_TOKEN")?;
        let media = media_of(args.s3.config()?);
        return teiten_host::run_requests(LinkDesk::new(
            signer.map(|signer| Links::new(media, signer)),
            token,
        ))
        .await;
    };
    let Some(signer) = signer else {
        anyhow::bail!(
            "footage is public (TEITEN_MEDIA_ACCESS=public), so there is nothing to sign: <public URL>/{}/{} plays for \
             everybody, and never expires",
            args.s3.media_bucket,
            key::live_playlist_key(&camera)
        );
    };
    // Asked for as a player would: an address that does not work from here is found out now.
    let media = media_of(args.sign.public_config(&args.s3)?);
    let link = Links::new(media, signer).live(&camera, args.valid, teiten_telemetry::now()).await?;
    println!("{}", link.url);
    eprintln!("Works until {} in any HLS player.", link.expires);
    Ok(())
}
