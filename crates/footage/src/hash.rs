//! The short content hash that object keys carry.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first 64 bits of a SHA-256 (FIPS 180-4), written as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 8]);

/// Text that is no [`ContentHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no content hash: expected 16 lower-case hex digits")]
pub struct ContentHashError {
    text: String,
}

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts([bytes])
    }

    /// The hash of `parts`, concatenated.
    pub fn of_parts<Part: AsRef<[u8]>>(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part.as_ref());
        }
        let digest = hasher.finalize();
        Self(std::array::from_fn(|i| digest[i]))
    }

    /// The 64 bits as a number, most significant first.
    pub fn to_u64(self) -> u64 {
        u64::from_be_bytes(self.0)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.to_u64())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex_u64(text)
            .map(|value| Self(value.to_be_bytes()))
            .ok_or_else(|| ContentHashError { text: text.chars().take(40).collect() })
    }
}

impl TryFrom<String> for ContentHash {
    type Error = ContentHashError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

/// Exactly 16 lower-case hex digits.
pub(crate) fn parse_hex_u64(text: &str) -> Option<u64> {
    let hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: keys of stored objects contain these. A change orphans every object ever stored.
    #[test]
    fn the_hash_is_the_start_of_a_sha_256() {
        assert_eq!(ContentHash::of(b"").to_string(), "e3b0c44298fc1c14");
        assert_eq!(ContentHash::of(b"abc"), ContentHash::of_parts(["a", "bc"]));
        let hash = ContentHash::of(b"abc");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!("E3B0C44298FC1C14".parse::<ContentHash>().is_err());
        assert!("+3b0c44298fc1c14".parse::<ContentHash>().is_err());
    }
}
