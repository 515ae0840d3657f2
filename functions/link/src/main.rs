//! `teiten-link CAMERA --for 24h`: prints a link to a camera's live playlist.

use std::sync::Arc;

use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket, SignArgs, Validity};
use teiten_footage::{CameraId, key};
use teiten_link::Links;

/// Prints the address of a camera's live playlist: it plays in any HLS player (VLC, ffplay, Safari, hls.js) without keys,
/// and stops working when its time is over. It cannot be called back before, except by exchanging the keys that it is
/// signed with.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The camera's name.
    camera: CameraId,

    /// How long the link works, such as 90m or 24h: 5s to 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "24h")]
    valid: Validity,

    #[command(flatten)]
    sign: SignArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    // Asked for as a player would: an address that does not work from here is found out now.
    let store = args.sign.public_config(&args.s3)?;
    let Some(signer) = args.sign.signer(&args.s3)? else {
        anyhow::bail!(
            "footage is public (TEITEN_MEDIA_ACCESS=public), so there is nothing to sign: <public URL>/{}/{} plays for \
             everybody, and never expires",
            args.s3.media_bucket,
            key::live_playlist_key(&args.camera)
        );
    };
    let media = Arc::new(S3Bucket::new(&store, &args.s3.media_bucket));
    let link = Links::new(media, signer).live(&args.camera, args.valid, teiten_telemetry::now()).await?;
    println!("{}", link.url);
    eprintln!("Works until {} in any HLS player.", link.expires);
    Ok(())
}
