//! The events that were given up: how many there are.

use std::time::Duration;

use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{DeadLetter, Timestamp, key};

/// The most that are counted: what one request to S3 lists.
const COUNT_MAX: usize = 1000;

/// How old those are that are counted.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How many dead letters of the last 24 hours are kept in `frames`, up to a thousand: with one request.
pub(crate) async fn count(frames: &dyn Bucket, now: Timestamp) -> Result<usize, BucketError> {
    let from = DeadLetter::keys_from(now - AGE_MAX);
    Ok(frames.list_after(key::DEAD_LETTERS_PREFIX, &from, COUNT_MAX).await?.len())
}
