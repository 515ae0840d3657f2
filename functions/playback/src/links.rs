//! The URLs of objects, as players are told them. This is the one place where one is made.

use std::time::Duration;

use http::HeaderValue;
use teiten_bucket::{SignError, Signer};
use teiten_footage::Timestamp;

/// How much longer than it takes to play a range its objects can be had: it may be paused.
const PAUSE: Duration = Duration::from_secs(3600);

/// Makes URLs of objects in the bucket of media.
#[derive(Debug, Clone)]
pub struct Links(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Plain { base: String },
    Signed(Signer),
}

/// What is wrong with the address of the bucket of media.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{base:?} is no address of the bucket of media: expected a form like https://cameras.example/media")]
pub struct LinksError {
    base: String,
}

impl Links {
    /// Anybody may read: objects are below `base`, the URL at which players reach the bucket of media.
    pub fn plain(base: &str) -> Result<Self, LinksError> {
        let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
        let is_one = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            && !base.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '?' | '#'));
        if is_one {
            Ok(Self(Kind::Plain { base: base.trim_end_matches('/').to_owned() }))
        } else {
            Err(LinksError { base: base.chars().take(200).collect() })
        }
    }

    /// Nobody may read without a key: URLs are links that `signer` signs, for as long as it does by itself, or for as long as
    /// the footage takes to be played, if that is longer.
    pub fn signed(signer: Signer) -> Self {
        Self(Kind::Signed(signer))
    }

    /// The URL of an object, in a list of footage of this length. Keys of footage have no character that would need escaping.
    pub async fn url(&self, key: &str, now: Timestamp, footage: Duration) -> Result<String, SignError> {
        match &self.0 {
            Kind::Plain { base } => Ok(format!("{base}/{key}")),
            Kind::Signed(signer) => signer.url(key, now, signer.valid().or_longer(footage + PAUSE)).await,
        }
    }

    /// How long a list of footage of this length can be asked for.
    pub(crate) fn valid(&self, footage: Duration) -> Duration {
        match &self.0 {
            Kind::Plain { .. } => footage + PAUSE,
            Kind::Signed(signer) => signer.valid().or_longer(footage + PAUSE).duration(),
        }
    }

    /// What caches may do with a list of such URLs: links are for whom they were made for.
    pub(crate) fn cache_control(&self) -> HeaderValue {
        HeaderValue::from_static(match &self.0 {
            Kind::Plain { .. } => "no-cache",
            Kind::Signed(_) => "private, no-store",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls_are_below_the_base_whether_it_ends_in_a_slash_or_not() {
        for base in ["https://cameras.example/media", "https://cameras.example/media/"] {
            let links = Links::plain(base).unwrap();
            let url = links.url("gate/init-1.mp4", Timestamp::Y2020, Duration::ZERO).await.unwrap();
            assert_eq!(url, "https://cameras.example/media/gate/init-1.mp4");
        }
        for base in
            ["", "cameras.example", "https://", "https:///media", "ftp://a", "http://a/\"", "http://a?b"]
        {
            assert!(Links::plain(base).is_err(), "{base:?}");
        }
    }
}
