//! Deletes old footage, as a bucket's lifecycle rules do in a cluster.

use std::time::Duration;

use teiten_bucket::{Bucket, BucketError};
use teiten_footage::Timestamp;

/// How many objects are listed at a time.
const PAGE: usize = 1000;

/// Deletes the objects of `bucket` that were last written more than `keep` before `now` and are what a camera
/// filmed (`<camera>/2…`: batches or segments, and the playlists of hours); answers how many.
pub(crate) async fn expire(
    bucket: &dyn Bucket,
    keep: Duration,
    now: Timestamp,
) -> Result<usize, BucketError> {
    let oldest_kept = (now - keep).unix_millis();
    let mut deleted = 0;
    let mut after = String::new();
    loop {
        let page = bucket.list_after("", &after, PAGE).await?;
        for object in &page {
            let expires = object.key.split_once('/').is_some_and(|(_, of_camera)| of_camera.starts_with('2'));
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
        for key in ["a/live.m3u8", "a/2026-11-23/04.m3u8", "a/2026-11-23/04/x.m4s", "index.html"] {
            bucket.put(key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        }
        let now = teiten_telemetry::now() + Duration::from_secs(60);
        let hour = Duration::from_secs(3600);
        assert_eq!(expire(&bucket, hour, now).await.unwrap(), 0);
        assert_eq!(expire(&bucket, hour, now + hour).await.unwrap(), 2);
        let left = bucket.list_after("", "", 10).await.unwrap();
        assert_eq!(
            left.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(),
            ["a/live.m3u8", "index.html"]
        );
    }
}
