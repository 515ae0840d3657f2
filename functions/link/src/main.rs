//! `teiten-link`: links to footage, for whoever asks with a token (on Knative and AWS Lambda), or for whoever runs
//! `teiten-link CAMERA --for 24h`.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::{S3Args, S3Bucket, SignArgs, Validity};
use teiten_footage::{
    CameraId, Domain, RangeForm, TimeRange, Timestamp, key,
    limits::{FILE_RANGE_MAX, LAPSE, RANGE_MAX},
};
use teiten_host::TokenArgs;
use teiten_link::{Functions, LinkDesk, Links, Past, VALID_DEFAULT};

/// Makes addresses of cameras' footage: they play in any HLS player (VLC, ffplay, Safari, hls.js) without keys, and stop
/// working when their time is over. They cannot be called back before, except by exchanging the keys that they are
/// signed with.
///
/// With a camera prints one: of its live playlist, of a range of its past as a playlist (--from, --to; --playlist says which), or
/// of that as one MP4 file (--clip). Without, listens on $PORT (8080), or works for AWS Lambda where AWS_LAMBDA_RUNTIME_API is set.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The camera's name.
    camera: Option<CameraId>,

    /// How long the link works, such as 90m or 24h: 5s to 7d.
    #[arg(long = "for", value_name = "TIME", default_value = VALID_DEFAULT, requires = "camera")]
    valid: Validity,

    /// Of the past: from when on, such as 2026-11-23T04:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time, requires_all = ["camera", "to"])]
    from: Option<Timestamp>,

    /// Until when, 24 hours later at most; with --clip, 31 days.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "from")]
    to: Option<Timestamp>,

    /// Which playlist of that.
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        default_value_t,
        requires = "from",
        conflicts_with = "clip"
    )]
    playlist: Which,

    /// As one MP4 file, to be kept.
    #[arg(long, requires = "from")]
    clip: bool,

    /// As a time-lapse, so many times faster.
    #[arg(long, value_name = "TIMES", requires = "clip", value_parser = lapse)]
    lapse: Option<u32>,

    #[command(flatten)]
    token: TokenArgs,

    /// Below which domain players reach functions: at https://playback.DOMAIN and https://clip.DOMAIN, or with http:// before
    /// it without TLS.
    #[arg(long, env = "TEITEN_DOMAIN", value_name = "DOMAIN", default_value = "")]
    domain: String,

    /// Where players reach `playback`, if that is elsewhere.
    #[arg(long, env = "TEITEN_PLAYBACK_URL", value_name = "URL", default_value = "")]
    playback_url: String,

    /// Where players reach `clip`, if that is elsewhere.
    #[arg(long, env = "TEITEN_CLIP_URL", value_name = "URL", default_value = "")]
    clip_url: String,

    #[command(flatten)]
    sign: SignArgs,

    #[command(flatten)]
    s3: S3Args,
}

/// The playlists that there are of a range.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Which {
    /// Of all of it.
    #[default]
    Whole,
    /// Of its keyframes alone.
    Iframes,
    /// One that names the two, for players that wind by keyframes.
    Master,
}

impl From<Which> for RangeForm {
    fn from(which: Which) -> Self {
        match which {
            Which::Whole => Self::Whole,
            Which::Iframes => Self::Keyframes,
            Which::Master => Self::Variants,
        }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let example = "not a time such as 2026-11-23T04:00:00Z or 2026-11-23T05:00:00+01:00";
    Timestamp::from_rfc3339(text).ok_or_else(|| example.to_owned())
}

fn lapse(text: &str) -> Result<u32, String> {
    let lapse = text.parse().ok().filter(|lapse| LAPSE.contains(lapse));
    lapse.ok_or_else(|| format!("not a whole number from {} to {}", LAPSE.start(), LAPSE.end()))
}

impl Args {
    fn functions(&self) -> anyhow::Result<Functions> {
        let domain = Domain::parse(&self.domain).context("TEITEN_DOMAIN")?;
        let functions = Functions::new(self.token.bearer()?, domain.as_ref());
        functions.at(&self.playback_url, &self.clip_url).context("TEITEN_PLAYBACK_URL, TEITEN_CLIP_URL")
    }

    /// What of the past is asked for, if anything is.
    fn past(&self) -> anyhow::Result<Option<Past>> {
        let (Some(from), Some(to)) = (self.from, self.to) else { return Ok(None) };
        let range = TimeRange::new(from, to).context("--from is not before --to")?;
        let length_max = if self.clip { FILE_RANGE_MAX } else { RANGE_MAX };
        let hours = length_max.as_secs() / 3600;
        anyhow::ensure!(range.length() <= length_max, "more than {hours} hours: ask for several links");
        Ok(Some(match self.clip {
            true => Past::File(range, self.lapse),
            false => Past::Playlist(range, self.playlist.into()),
        }))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let args = Args::parse();
    let signer = args.sign.signer(&args.s3)?;
    let media_of = |config| Arc::new(S3Bucket::new(&config, &args.s3.media_bucket));
    let is_session = args.s3.session_token.as_ref().is_some_and(|token| !token.is_empty());
    let Some(camera) = &args.camera else {
        let media = media_of(args.s3.config()?);
        let links = signer.map(|signer| Links::new(media, signer).of_session(is_session));
        return teiten_host::run_requests(LinkDesk::new(links, args.functions()?)).await;
    };
    let Some(signer) = signer else {
        anyhow::bail!(
            "footage is public (TEITEN_MEDIA_ACCESS=public), so there is nothing to sign: {}/{} plays for everybody, and \
             never expires; so do the plain addresses of playback and clip",
            args.sign.media_url(&args.s3),
            key::live_playlist_key(camera)
        );
    };
    // Asked for as a player would: an address that does not work from here is found out now.
    let links = Links::new(media_of(args.sign.public_config(&args.s3)?), signer).of_session(is_session);
    let now = teiten_telemetry::now();
    let link = match args.past()? {
        None => links.live(camera, args.valid, now).await?,
        Some(past) => links.past(&args.functions()?, camera, past, args.valid, now).await?,
    };
    println!("{}", link.url);
    let what = if args.clip { "It is a file to download" } else { "It plays in any HLS player" };
    let sooner =
        if link.may_end_sooner { ", or until the session ends whose keys it is signed with" } else { "" };
    eprintln!("{what}, until {}{sooner}.", link.expires);
    Ok(())
}
