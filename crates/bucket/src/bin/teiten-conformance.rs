//! `teiten-conformance URL`: does this object store do what Teiten needs?

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, Result, bail};
use clap::Parser;
use percent_encoding::percent_decode_str;
use teiten_bucket::{S3Args, S3Bucket, conformance};

/// Runs Teiten's conformance suite against a bucket of an S3-compatible store: one line a case and a last
/// line; fails if a case does. Writes only under a prefix of its own, and cleans up.
#[derive(Debug, Parser)]
struct Args {
    /// `http://access-key:secret-key@host:port/bucket`; without keys, those of the flags or the environment.
    url: String,

    #[command(flatten)]
    s3: S3Args,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Args { url, mut s3 } = Args::parse();
    let place = Place::parse(&url)?;
    s3.endpoint = Some(place.endpoint);
    if let Some((access_key, secret_key)) = place.keys {
        (s3.access_key, s3.secret_key, s3.session_token) = (Some(access_key), Some(secret_key), None);
    }
    let bucket = S3Bucket::new(&s3.config()?, &place.bucket);
    let report = conformance::run(Arc::new(bucket)).await;
    println!("{report}");
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the URL says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    endpoint: String,
    bucket: String,
    keys: Option<(String, String)>,
}

impl Place {
    fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("the URL has no scheme (http:// or https://)")?;
        let (authority, bucket) =
            rest.trim_end_matches('/').split_once('/').context("the URL names no bucket")?;
        if bucket.is_empty() || bucket.contains(['/', '?', '#']) {
            bail!("{bucket:?} is no name of a bucket");
        }
        let (keys, host) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((keys, host)) => {
                let (access_key, secret_key) =
                    keys.split_once(':').context("the URL has an access key without a secret key")?;
                (Some((decode(access_key)?, decode(secret_key)?)), host)
            }
        };
        Ok(Self { endpoint: format!("{scheme}://{host}"), bucket: bucket.to_owned(), keys })
    }
}

fn decode(text: &str) -> Result<String> {
    Ok(percent_decode_str(text).decode_utf8().context("a key is not UTF-8")?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_carry_keys() {
        let place = Place::parse("http://key:se%2Fcret@127.0.0.1:9000/media").unwrap();
        assert_eq!(place.endpoint, "http://127.0.0.1:9000");
        assert_eq!(place.bucket, "media");
        assert_eq!(place.keys, Some(("key".to_owned(), "se/cret".to_owned())));
        assert_eq!(Place::parse("https://s3.example/frames/").unwrap().keys, None);
    }

    #[test]
    fn a_url_without_a_bucket_is_an_error() {
        for url in ["http://host", "http://host/", "host/bucket", "http://host/a/b", "http://key@host/a"] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}
