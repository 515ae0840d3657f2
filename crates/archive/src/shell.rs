//! What the shells around the decisions have in common: why they fail, how often they try, and what they say of what they write.

use teiten_bucket::{BucketError, Headers, SignError};

/// How often one event may find that someone else wrote in between, before it is sent again.
pub const COLLISIONS_MAX: usize = 32;

/// Of playlists.
pub const PLAYLIST_HEADERS: Headers =
    Headers { content_type: "application/vnd.apple.mpegurl", cache_control: "no-cache", ..Headers::NONE };

/// Of what is rewritten beside them.
pub(crate) const JSON_HEADERS: Headers =
    Headers { content_type: "application/json", cache_control: "no-cache", ..Headers::NONE };

/// Why a playlist could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The store failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The links in it could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Others wrote all the time.
    #[error("{key}: others wrote it each time, {COLLISIONS_MAX} times")]
    Contended {
        /// Which object.
        key: String,
    },
    /// The object is not what Teiten writes.
    #[error("{key} was not written by Teiten, or was changed ({why}): delete it, and a new one is begun")]
    Foreign {
        /// Which object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}
