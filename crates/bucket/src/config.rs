//! Where the object store is and who asks: from flags or from the environment variables that AWS's own
//! tools read. One [`S3Config`] is one client, so all buckets made from it share a pool of connections.

use std::{fmt, time::Duration};

use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
    endpoint::{DefaultResolver, Params, ResolveEndpoint as _},
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_smithy_http_client::{Builder, tls, tls::rustls_provider::CryptoMode};
use futures::FutureExt as _;

/// How long a connection may take to open.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one attempt of an operation may take, from the first byte sent to the answer's headers; and then
/// how long the answer's body may take. Either has more time for what is sent there.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest link over which a large object can still be stored and read.
const BYTES_PER_SECOND_MIN: u64 = 256 << 10;

/// How often an operation that may be repeated is tried. Callers have their own, slower retries: these are
/// for a store that restarts or a connection that broke.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// The first pause between two attempts, and the longest.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);

const _: () = assert!(CONNECT_TIMEOUT.as_millis() < ATTEMPT_TIMEOUT.as_millis());
const _: () = assert!(RETRY_PAUSE.as_millis() <= RETRY_PAUSE_MAX.as_millis());

/// How long a transfer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// With nothing to speak of in it.
    pub(crate) least: Duration,
    /// At which more takes longer.
    pub(crate) bytes_per_second_min: u64,
}

impl Patience {
    const USUAL: Self = Self { least: ATTEMPT_TIMEOUT, bytes_per_second_min: BYTES_PER_SECOND_MIN };

    /// With this many bytes.
    pub(crate) fn with(self, bytes: u64) -> Duration {
        self.least + Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_per_second_min)
    }

    /// For an operation that sends this many bytes.
    pub(crate) fn timeouts(self, bytes: u64) -> TimeoutConfig {
        // Whichever of them differed for connecting would have connections of its own.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
        timeouts.operation_attempt_timeout(self.with(bytes)).build()
    }
}

/// The flags of a binary that uses the object store; flatten into its own.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Object store")]
pub struct S3Args {
    /// URL of the object store; AWS's own where none is given.
    #[arg(long = "s3-endpoint", env = "AWS_ENDPOINT_URL_S3", value_name = "URL")]
    pub endpoint: Option<String>,

    /// URL of all AWS-like services: the object store's, unless `--s3-endpoint` is given.
    #[arg(long = "aws-endpoint", env = "AWS_ENDPOINT_URL", value_name = "URL", hide = true)]
    pub aws_endpoint: Option<String>,

    /// Region that requests are signed for.
    #[arg(long = "s3-region", env = "AWS_REGION", default_value = "us-east-1")]
    pub region: String,

    /// Access key.
    #[arg(long = "s3-access-key", env = "AWS_ACCESS_KEY_ID", value_name = "KEY", hide_env_values = true)]
    pub access_key: Option<String>,

    /// Secret key. Prefer the environment: other users of the machine can read command lines.
    #[arg(long = "s3-secret-key", env = "AWS_SECRET_ACCESS_KEY", value_name = "KEY", hide_env_values = true)]
    pub secret_key: Option<String>,

    /// Session token of temporary credentials.
    #[arg(
        long = "s3-session-token",
        env = "AWS_SESSION_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub session_token: Option<String>,

    /// Bucket of batches (private, short-lived).
    #[arg(long, env = "TEITEN_FRAMES_BUCKET", value_name = "NAME", default_value = "frames")]
    pub frames_bucket: String,

    /// Bucket of segments and playlists (what players read).
    #[arg(long, env = "TEITEN_MEDIA_BUCKET", value_name = "NAME", default_value = "media")]
    pub media_bucket: String,
}

/// A variable that is set but empty means the same as one that is not set.
pub(crate) fn given(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| !text.is_empty())
}

impl S3Args {
    /// The store's URL; `None` for AWS's own.
    pub fn endpoint_url(&self) -> Option<String> {
        given(&self.endpoint).or_else(|| given(&self.aws_endpoint))
    }

    /// The client that these flags describe.
    pub fn config(&self) -> Result<S3Config, S3ConfigError> {
        let endpoint = self.endpoint_url();
        let (access_key, secret_key) = match (given(&self.access_key), given(&self.secret_key)) {
            (Some(access_key), Some(secret_key)) => (access_key, secret_key),
            (None, None) => return Err(S3ConfigError::NoCredentials),
            (Some(_), None) => {
                return Err(S3ConfigError::HalfCredentials { missing: "AWS_SECRET_ACCESS_KEY" });
            }
            (None, Some(_)) => return Err(S3ConfigError::HalfCredentials { missing: "AWS_ACCESS_KEY_ID" }),
        };
        let credentials = Credentials { access_key, secret_key, session_token: given(&self.session_token) };
        S3Config::new(endpoint.as_deref(), &self.region, credentials)
    }
}

/// The URL of AWS's own store in a region.
pub fn aws_url(region: &str) -> String {
    // As a client finds it: not all regions are below one domain.
    let params = Params::builder().region(region).build().ok();
    let found =
        params.and_then(|params| DefaultResolver::new().resolve_endpoint(&params).now_or_never()?.ok());
    found.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), |endpoint| endpoint.url().to_owned())
}

/// Who asks the object store.
#[derive(Clone)]
pub struct Credentials {
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
    /// Session token, where the two above are temporary.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What is wrong with the settings of an object store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3ConfigError {
    /// Neither key is given.
    #[error("no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoCredentials,
    /// One key is given without the other.
    #[error("half the credentials for the object store: set {missing} too")]
    HalfCredentials {
        /// The variable to set.
        missing: &'static str,
    },
    /// The endpoint is no URL of an HTTP server.
    #[error("the object store's endpoint {endpoint:?} is not of the form http://host:port or https://host")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The region is empty.
    #[error("the object store's region is empty: leave it out for us-east-1")]
    NoRegion,
}

/// A client of one object store. Clones, and the buckets made from it, share its connections.
#[derive(Clone)]
pub struct S3Config {
    endpoint: Option<String>,
    client: aws_sdk_s3::Client,
    pub(crate) patience: Patience,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl S3Config {
    /// A client of the store at `endpoint` (AWS's own if `None`). Connects when it is first used.
    pub fn new(
        endpoint: Option<&str>,
        region: &str,
        credentials: Credentials,
    ) -> Result<Self, S3ConfigError> {
        if let Some(endpoint) = endpoint {
            let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
                return Err(S3ConfigError::Endpoint { endpoint: endpoint.to_owned() });
            }
        }
        if region.is_empty() {
            return Err(S3ConfigError::NoRegion);
        }
        let https = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(https)
            .region(Region::new(region.to_owned()))
            .credentials_provider(aws_sdk_s3::config::Credentials::new(
                credentials.access_key,
                credentials.secret_key,
                credentials.session_token,
                None,
                "teiten",
            ))
            .force_path_style(true)
            .timeout_config(Patience::USUAL.timeouts(0))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS_MAX)
                    .with_initial_backoff(RETRY_PAUSE)
                    .with_max_backoff(RETRY_PAUSE_MAX),
            )
            // The timeouts above bound every transfer already.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Checksum trailers are what stores other than AWS's refuse most often; the signature covers the
            // payload's SHA-256 over plain HTTP, TLS covers it otherwise.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        // The SDK puts a bucket behind a path as that is, with a slash or without one.
        config.set_endpoint_url(endpoint.map(|url| format!("{}/", url.trim_end_matches('/'))));
        let client = aws_sdk_s3::Client::from_conf(config.build());
        Ok(Self { endpoint: endpoint.map(str::to_owned), client, patience: Patience::USUAL })
    }

    /// The same with so much time for every read and put, however large: tests have no ten seconds.
    pub fn with_patience(self, time: Duration) -> Self {
        Self { patience: Patience { least: time, bytes_per_second_min: u64::MAX }, ..self }
    }

    /// The store's URL; `None` for AWS's own.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The shared client, for what is done to buckets and not in them.
    pub fn client(&self) -> &aws_sdk_s3::Client {
        &self.client
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Binary {
        #[command(flatten)]
        s3: S3Args,
    }

    fn args(flags: &[&str]) -> S3Args {
        let mut args = Binary::parse_from(["binary"].iter().chain(flags)).s3;
        // The environment of whoever runs the tests must not decide them.
        args.aws_endpoint = args.aws_endpoint.filter(|_| flags.contains(&"--aws-endpoint"));
        args
    }

    const KEYS: [&str; 4] = ["--s3-access-key", "teiten", "--s3-secret-key", "secret"];

    #[test]
    fn the_specific_endpoint_wins_over_the_general_one() {
        let both = ["--s3-endpoint", "http://one:9000", "--aws-endpoint", "http://two:9000"];
        let config = args(&[&KEYS[..], &both[..]].concat()).config().unwrap();
        assert_eq!(config.endpoint.as_deref(), Some("http://one:9000"));
        let config = args(&[&KEYS[..], &["--s3-endpoint", ""], &both[2..]].concat()).config().unwrap();
        assert_eq!(config.endpoint.as_deref(), Some("http://two:9000"));
    }

    #[test]
    fn missing_halves_of_the_credentials_are_named() {
        let error = |access_key: &str, secret_key: &str| {
            args(&["--s3-access-key", access_key, "--s3-secret-key", secret_key]).config().unwrap_err()
        };
        assert_eq!(error("", ""), S3ConfigError::NoCredentials);
        assert_eq!(error("a", ""), S3ConfigError::HalfCredentials { missing: "AWS_SECRET_ACCESS_KEY" });
        assert_eq!(error("", "b"), S3ConfigError::HalfCredentials { missing: "AWS_ACCESS_KEY_ID" });
    }

    #[test]
    fn a_large_pack_has_its_time_on_a_slow_link_and_a_segment_no_more_than_a_little() {
        assert_eq!(Patience::USUAL.with(32 << 20), Duration::from_secs(138));
        assert!(Patience::USUAL.with(100_000) < Duration::from_secs(11));
    }

    #[test]
    fn an_endpoint_must_be_an_http_url() {
        for endpoint in ["127.0.0.1:9000", "ftp://host", "http://", "http:///bucket"] {
            let error = args(&[&KEYS[..], &["--s3-endpoint", endpoint]].concat()).config().unwrap_err();
            assert_eq!(error, S3ConfigError::Endpoint { endpoint: endpoint.to_owned() });
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = args(&[&KEYS[..], &["--s3-endpoint", "http://one:9000"]].concat()).config().unwrap();
        assert!(!format!("{config:?}").contains("secret"));
        let credentials =
            Credentials { access_key: "a".into(), secret_key: "secret-1".into(), session_token: None };
        assert!(!format!("{credentials:?}").contains("secret-1"));
    }
}
