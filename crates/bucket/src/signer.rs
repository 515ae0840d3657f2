//! Signed links: URLs that read one object without keys for a while (AWS's signature version 4, in the query).

use std::{
    fmt,
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use aws_sdk_s3::{Client, error::DisplayErrorContext, presigning::PresigningConfig};
use teiten_footage::{Timestamp, duration};

use crate::config::{S3Args, S3Config, S3ConfigError, aws_url, given};

/// The shortest and the longest time that a link can be valid: what is shorter is over before a player has begun, and
/// no store takes a longer one.
const VALID_MIN: Duration = Duration::from_secs(5);
const VALID_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Into how many parts a validity is cut: a link is signed as of the begin of the part that it is made in, and so is the
/// same until the next one.
const PARTS: u64 = 4;

/// Who may read the objects of `media`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Access {
    /// Whoever has a key of the store, or a signed link.
    Private,
    /// Anybody who knows an address; nobody may list.
    Public,
}

/// How long a link is valid: 5 s to 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity(Duration);

impl Validity {
    /// How long.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// As long as `time` if that is longer; 7 days at most.
    pub fn or_longer(self, time: Duration) -> Self {
        Self(self.0.max(time).min(VALID_MAX))
    }
}

/// Why a text is no validity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the validity of a link: use a number with s, m, h or d, from 5s to 7d in whole seconds"
)]
pub struct ValidityError(String);

impl FromStr for Validity {
    type Err = ValidityError;

    fn from_str(text: &str) -> Result<Self, ValidityError> {
        let valid = duration::parse(text);
        // S3 takes whole seconds.
        let valid =
            valid.filter(|valid| (VALID_MIN..=VALID_MAX).contains(valid) && valid.subsec_nanos() == 0);
        valid.map(Self).ok_or_else(|| ValidityError(text.to_owned()))
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

/// The flags of a binary that signs links; flatten into its own, beside [`S3Args`].
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Who may read footage")]
pub struct SignArgs {
    /// Who may read `media`: with a signed link only, or anybody.
    #[arg(long = "media-access", env = "TEITEN_MEDIA_ACCESS", value_enum, default_value_t = Access::Private)]
    pub access: Access,

    /// URL of the object store as players reach it; as we reach it where none is given.
    #[arg(long = "public-url", env = "TEITEN_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// How long the links in playlists are valid, such as 24h: 5s to 7d. At least three quarters of that is left when
    /// a link is listed.
    #[arg(long = "signed-for", env = "TEITEN_SIGNED_FOR", value_name = "TIME", default_value = "24h")]
    pub signed_for: Validity,
}

impl SignArgs {
    /// What signs links to `media`; `None` where anybody may read.
    pub fn signer(&self, s3: &S3Args) -> Result<Option<Signer>, S3ConfigError> {
        Ok(match self.access {
            Access::Public => None,
            Access::Private => Some(Signer::new(&self.public_config(s3)?, &s3.media_bucket, self.signed_for)),
        })
    }

    /// The store as players reach it.
    pub fn public_config(&self, s3: &S3Args) -> Result<S3Config, S3ConfigError> {
        let mut public = s3.clone();
        if let Some(url) = given(&self.public_url) {
            public.endpoint = Some(url);
        }
        public.config()
    }

    /// Where players reach the objects of `media` where anybody may.
    pub fn media_url(&self, s3: &S3Args) -> String {
        let store = given(&self.public_url).or_else(|| s3.endpoint_url());
        let store = store.unwrap_or_else(|| aws_url(&s3.region));
        format!("{}/{}", store.trim_end_matches('/'), s3.media_bucket)
    }
}

/// Why no link could be made.
#[derive(Debug, thiserror::Error)]
#[error("no link to {key:?} could be signed: {why}")]
pub struct SignError {
    key: String,
    why: String,
}

/// Signs links to the objects of one bucket. Asks no store: a link is as good as the keys that it is made with.
#[derive(Clone)]
pub struct Signer {
    client: Client,
    bucket: String,
    valid: Validity,
}

impl Signer {
    /// Signs for `bucket` of the store that `config` describes as players reach it.
    pub fn new(config: &S3Config, bucket: &str, valid: Validity) -> Self {
        Self { client: config.client().clone(), bucket: bucket.to_owned(), valid }
    }

    /// How long what it lists is valid.
    pub fn valid(&self) -> Validity {
        self.valid
    }

    /// The query that makes a URL of `key` a link, for a list that names the object as of `time`. It is the same for
    /// all times in a quarter of its validity, so that what is listed can stay as it is.
    pub async fn query(&self, key: &str, time: Timestamp) -> Result<String, SignError> {
        let url = self.sign(key, signed_at(time, self.valid), self.valid).await?;
        match url.split_once('?') {
            Some((_, query)) => Ok(query.to_owned()),
            None => Err(SignError { key: key.to_owned(), why: format!("{url} has no query") }),
        }
    }

    /// A link to `key` that is valid from now on.
    pub async fn url(&self, key: &str, now: Timestamp, valid: Validity) -> Result<String, SignError> {
        self.sign(key, now, valid).await
    }

    async fn sign(&self, key: &str, from: Timestamp, valid: Validity) -> Result<String, SignError> {
        let failed = |why: String| SignError { key: key.to_owned(), why };
        let config = PresigningConfig::builder()
            .start_time(UNIX_EPOCH + Duration::from_micros(from.unix_micros()))
            .expires_in(valid.0)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let signed = request.presigned(config).await;
        Ok(signed.map_err(|error| failed(DisplayErrorContext(error).to_string()))?.uri().to_owned())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("bucket", &self.bucket)
            .field("valid", &self.valid)
            .finish_non_exhaustive()
    }
}

/// As of when a link is signed that is listed as of `time`.
fn signed_at(time: Timestamp, valid: Validity) -> Timestamp {
    let part = (valid.0 / PARTS as u32).as_micros() as u64;
    time - Duration::from_micros(time.unix_micros() % part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credentials;

    fn signer(valid: &str) -> Signer {
        signer_at("https://s3.example.org", valid)
    }

    fn signer_at(store: &str, valid: &str) -> Signer {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        let config = S3Config::new(Some(store), "us-east-1", credentials).unwrap();
        Signer::new(&config, "media", valid.parse().unwrap())
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_validity_is_five_seconds_to_seven_days() {
        for (text, seconds) in [("5s", 5), ("90m", 5400), ("1.5h", 5400), ("24h", 86400), ("7d", 604_800)] {
            assert_eq!(text.parse::<Validity>().unwrap().duration(), Duration::from_secs(seconds));
        }
        for text in ["", "h", "4s", "8d", "24", "5.5s", "-1h", "24h ", "1定", "99999999999999999999d"] {
            assert!(text.parse::<Validity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_longer_validity_is_seven_days_at_most() {
        let hour: Validity = "1h".parse().unwrap();
        for (minutes, valid) in [(0, "1h"), (59, "1h"), (61, "61m"), (7 * 24 * 60 + 1, "7d")] {
            assert_eq!(hour.or_longer(Duration::from_secs(60 * minutes)), valid.parse().unwrap());
        }
    }

    #[tokio::test]
    async fn a_link_is_the_same_for_a_quarter_of_its_validity_and_then_another() {
        let signer = signer("40s");
        let (noon, key) = (1_795_435_200, "porch/live.m3u8");
        let first = signer.query(key, at(noon)).await.unwrap();
        assert_eq!(signer.query(key, at(noon + 9)).await.unwrap(), first);
        let next = signer.query(key, at(noon + 10)).await.unwrap();
        assert_ne!(next, first);
        assert!(
            first.contains("X-Amz-Date=20261123T120000Z") && next.contains("X-Amz-Date=20261123T120010Z")
        );
        assert!(first.contains("X-Amz-Expires=40&"));
    }

    #[tokio::test]
    async fn a_link_names_store_bucket_and_object_and_no_secret() {
        let url = signer("1h").url("a b/定.m4s", at(1_795_435_200), "24h".parse().unwrap()).await.unwrap();
        let (object, query) = url.split_once('?').unwrap();
        assert_eq!(object, "https://s3.example.org/media/a%20b/%E5%AE%9A.m4s");
        let names: Vec<_> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "x-id",
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Date",
                "X-Amz-Expires",
                "X-Amz-SignedHeaders",
                "X-Amz-Signature"
            ]
        );
        assert!(query.contains("X-Amz-Expires=86400&") && query.contains("X-Amz-SignedHeaders=host&"));
        assert!(!url.contains("wJalr") && !url.contains(['"', ' ', '\n']));
    }

    #[tokio::test]
    async fn a_store_may_be_below_an_address() {
        for store in ["https://example.org/storage/v1/s3", "https://example.org/storage/v1/s3/"] {
            let signer = signer_at(store, "1h");
            let url = signer.url("gate/live.m3u8", at(1_795_435_200), signer.valid()).await.unwrap();
            let object = url.split('?').next();
            assert_eq!(object, Some("https://example.org/storage/v1/s3/media/gate/live.m3u8"), "{store}");
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Binary {
        #[command(flatten)]
        sign: SignArgs,
        #[command(flatten)]
        s3: S3Args,
    }

    #[test]
    fn media_are_where_players_reach_the_store_or_where_aws_has_it_in_the_region() {
        let media_url = |flags: &[&str]| {
            let mut args = <Binary as clap::Parser>::parse_from(["binary"].iter().chain(flags));
            // The environment of whoever runs the tests must not decide them.
            args.s3.aws_endpoint = None;
            args.sign.media_url(&args.s3)
        };
        let store = ["--s3-endpoint", "https://store.example:9000/"];
        for (flags, expected) in [
            (&store[..], "https://store.example:9000/media"),
            (
                &[&store[..], &["--public-url", "https://a.example/v1/"]].concat(),
                "https://a.example/v1/media",
            ),
            (&["--s3-region", "eu-west-1"], "https://s3.eu-west-1.amazonaws.com/media"),
            (&["--s3-region", "cn-north-1"], "https://s3.cn-north-1.amazonaws.com.cn/media"),
            (&["--s3-region", "eusc-de-east-1"], "https://s3.eusc-de-east-1.amazonaws.eu/media"),
        ] {
            assert_eq!(media_url(flags), expected);
        }
    }
}
