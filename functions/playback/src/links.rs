//! The URLs of objects, as players are told them. This is the one place where one is made.

use teiten_footage::Timestamp;

/// Makes URLs of objects in the bucket of media.
#[derive(Debug, Clone)]
pub struct Links {
    base: String,
}

/// What is wrong with the address of the bucket of media.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{base:?} is no address of the bucket of media: expected a form like https://cameras.example/media")]
pub struct LinksError {
    base: String,
}

impl Links {
    /// Objects are below `base`, the URL at which players reach the bucket of media.
    pub fn new(base: &str) -> Result<Self, LinksError> {
        let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
        let is_one = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            && !base.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '?' | '#'));
        if is_one {
            Ok(Self { base: base.trim_end_matches('/').to_owned() })
        } else {
            Err(LinksError { base: base.chars().take(200).collect() })
        }
    }

    /// The URL of an object. Keys of footage have no character that would need escaping.
    pub async fn url(&self, key: &str, _now: Timestamp) -> String {
        format!("{}/{key}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls_are_below_the_base_whether_it_ends_in_a_slash_or_not() {
        for base in ["https://cameras.example/media", "https://cameras.example/media/"] {
            let url = Links::new(base).unwrap().url("gate/init-1.mp4", Timestamp::Y2020).await;
            assert_eq!(url, "https://cameras.example/media/gate/init-1.mp4");
        }
        for base in
            ["", "cameras.example", "https://", "https:///media", "ftp://a", "http://a/\"", "http://a?b"]
        {
            assert!(Links::new(base).is_err(), "{base:?}");
        }
    }
}
