//! Deletes old footage, as a bucket's lifecycle rules do in a cluster.

use std::time::Duration;

use teiten_bucket::{Bucket, BucketError};
use teiten_footage::Timestamp;

/// How many objects are listed at a time.
const PAGE: usize = 1000;

/// Deletes the objects of `bucket` that were last written more than `keep` before `now` and whose name ends in
/// one of `extensions`; answers how many.
pub(crate) async fn expire(
    bucket: &dyn Bucket,
    extensions: &[&str],
    keep: Duration,
    now: Timestamp,
) -> Result<usize, BucketError> {
    let oldest_kept = (now - keep).unix_millis();
    let mut deleted = 0;
    let mut after = String::new();
    loop {
        let page = bucket.list_after("", &after, PAGE).await?;
        for object in &page {
            let expires = extensions.iter().any(|extension| object.key.ends_with(extension));
            if expires && object.modified_unix_millis < oldest_kept {
                bucket.delete(&object.key).await?;
                deleted += 1;
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(&last.key),
            _ => return Ok(deleted),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use teiten_bucket::{Condition, Headers, MemoryBucket};

    use super::*;

    #[tokio::test]
    async fn only_old_footage_is_deleted() {
        let bucket = MemoryBucket::new("media");
        for key in ["a/live.m3u8", "a/x.m4s"] {
            bucket.put(key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        }
        let now = teiten_telemetry::now() + Duration::from_secs(60);
        let hour = Duration::from_secs(3600);
        assert_eq!(expire(&bucket, &[".m4s"], hour, now).await.unwrap(), 0);
        assert_eq!(expire(&bucket, &[".m4s"], hour, now + hour).await.unwrap(), 1);
        let left = bucket.list_after("", "", 10).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].key, "a/live.m3u8");
    }
}
