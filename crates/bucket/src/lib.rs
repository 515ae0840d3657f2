//! The object store as Teiten needs it: get, put with headers, put-if-absent, put-if-match, list after a
//! key, delete. [`S3Bucket`] speaks to anything S3-compatible, [`MemoryBucket`] is for tests; both pass
//! [`conformance`]. What there is of cameras in a bucket, [`listing`] tells.

pub mod conformance;
pub mod listing;

mod config;
mod folder;
mod memory;
mod s3;
mod signer;
mod wrapper;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;

pub use config::{Credentials, S3Args, S3Config, S3ConfigError, aws_url};
pub use folder::{put_changed, put_folder};
pub use memory::MemoryBucket;
pub use s3::S3Bucket;
pub use signer::{Access, SignArgs, SignError, Signer, Validity, ValidityError};
pub use wrapper::Wrapper;

/// An entity tag, compared byte for byte, without the quotes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag(Arc<str>);

impl ETag {
    /// The tag that a server sent, with or without quotes.
    pub fn new(tag: &str) -> Self {
        Self(tag.trim_matches('"').into())
    }

    /// The tag without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object that was read.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its version, for [`Condition::IfMatch`].
    pub etag: ETag,
}

/// When a put may happen.
#[derive(Debug, Clone, Default)]
pub enum Condition {
    /// Whatever is there.
    #[default]
    Always,
    /// Only if there is no object of this key (If-None-Match: *).
    IfAbsent,
    /// Only if the object is still this version (If-Match). Fails on an absent object.
    IfMatch(ETag),
}

/// The headers that an object is served with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers {
    /// Content-Type.
    pub content_type: &'static str,
    /// Cache-Control; none where empty.
    pub cache_control: &'static str,
    /// Content-Encoding; none where empty.
    pub content_encoding: &'static str,
}

impl Headers {
    /// No headers.
    pub const NONE: Self = Self { content_type: "", cache_control: "", content_encoding: "" };
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// The object is stored, as this version.
    Stored(ETag),
    /// The condition did not hold (412, or 409 where two writers met); nothing was changed.
    Refused,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When it was last written, in milliseconds since the Unix epoch.
    pub modified_unix_millis: u64,
}

/// One bucket of an object store.
#[async_trait]
pub trait Bucket: Send + Sync + fmt::Debug {
    /// The bucket's name.
    fn name(&self) -> &str;

    /// Reads an object whole; `None` if there is none.
    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError>;

    /// Reads an object whole if it has `bytes_max` bytes at most, else none of it ([`BucketError::TooLarge`]); `None` if
    /// there is none.
    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        up_to(self.name(), key, self.get(key).await?, bytes_max)
    }

    /// Reads `length` bytes of an object from `offset` on, fewer where it ends before; `None` if there is no such
    /// object.
    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Object>, BucketError> {
        Ok(self.get(key).await?.map(|whole| part_of(&whole, offset, length)))
    }

    /// Writes an object whole, if `condition` holds.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError>;

    /// The objects whose keys start with `prefix` and come after `after` (byte order), in order; at most
    /// `count_max`.
    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError>;

    /// Deletes an object; one that does not exist is deleted already.
    async fn delete(&self, key: &str) -> Result<(), BucketError>;

    /// Deletes objects, as [`Bucket::delete`] does one. Where that fails, some are deleted and some are not.
    async fn delete_all(&self, keys: &[String]) -> Result<(), BucketError> {
        delete_each(self, keys).await
    }
}

/// How many objects are deleted at a time, each by a request of its own.
const DELETIONS_AT_A_TIME: usize = 8;

async fn delete_each<B: Bucket + ?Sized>(bucket: &B, keys: &[String]) -> Result<(), BucketError> {
    for some in keys.chunks(DELETIONS_AT_A_TIME) {
        try_join_all(some.iter().map(|key| bucket.delete(key))).await?;
    }
    Ok(())
}

/// What of an object [`Bucket::get_range`] is asked for.
fn part_of(object: &Object, offset: u64, length: u64) -> Object {
    let Object { bytes, etag } = object;
    let end = offset.saturating_add(length).min(bytes.len() as u64);
    Object { bytes: bytes.slice(offset.min(end) as usize..end as usize), etag: etag.clone() }
}

/// An object that was read whole, if it has `bytes_max` bytes at most.
fn up_to(
    bucket: &str,
    key: &str,
    object: Option<Object>,
    bytes_max: usize,
) -> Result<Option<Object>, BucketError> {
    match object.as_ref().map(|object| object.bytes.len()).filter(|bytes| *bytes > bytes_max) {
        Some(bytes) => Err(BucketError::too_large(bucket, key, bytes as u64, bytes_max)),
        None => Ok(object),
    }
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The store could not be reached, did not answer in time, or answered 5xx or 429: try again later.
    #[error("bucket {bucket}: {operation} {key:?}: the store is unavailable: {why}")]
    Unavailable {
        /// The bucket.
        bucket: String,
        /// get, put, list, delete.
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// The cause.
        why: String,
    },
    /// The store refused, and will again (no such bucket, access denied, …).
    #[error("bucket {bucket}: {operation} {key:?}: the store refused: {why}")]
    Refused {
        /// The bucket.
        bucket: String,
        /// get, put, list, delete.
        operation: &'static str,
        /// The key or prefix.
        key: String,
        /// The cause.
        why: String,
    },
    /// The object has more bytes than were to be read.
    #[error("bucket {bucket}: get {key:?}: the object has {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// How many bytes it has.
        bytes: u64,
        /// How many it may have.
        bytes_max: usize,
    },
}

impl BucketError {
    fn too_large(bucket: &str, key: &str, bytes: u64, bytes_max: usize) -> Self {
        Self::TooLarge { bucket: bucket.to_owned(), key: key.to_owned(), bytes, bytes_max }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
