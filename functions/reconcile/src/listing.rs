//! Listings, in pages.

use std::{collections::BTreeSet, time::Duration};

use teiten_bucket::{Bucket, BucketError, Listed};
use teiten_footage::{CameraId, DeadLetter, Timestamp, Window, WindowLength, key};

/// How many objects are listed at a time: what one request to S3 gives.
const PAGE: usize = 1000;

/// How old dead letters are that are counted.
const DEAD_LETTERS_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The folders of `bucket` that can be cameras', with one request for each folder.
pub async fn folders(bucket: &dyn Bucket) -> Result<BTreeSet<CameraId>, BucketError> {
    let mut folders = BTreeSet::new();
    let mut after = String::new();
    while let Some(object) = bucket.list_after("", &after, 1).await?.pop() {
        match object.key.split_once('/') {
            // '0' comes just after '/': no key of the folder comes after this.
            Some((folder, _)) => {
                after = format!("{folder}0");
                folders.extend(CameraId::new(folder));
            }
            None => after = object.key,
        }
    }
    Ok(folders)
}

/// How many dead letters of the last 24 hours are kept in `frames`, up to a thousand: with one request.
pub async fn dead_letters(frames: &dyn Bucket, now: Timestamp) -> Result<usize, BucketError> {
    let from = DeadLetter::keys_from(now - DEAD_LETTERS_AGE_MAX);
    Ok(frames.list_after(key::DEAD_LETTERS_PREFIX, &from, PAGE).await?.len())
}

/// The camera's objects in `bucket` whose windows start at `from` or later, if their keys have that form: a request
/// for each thousand.
pub async fn since<Item>(
    bucket: &dyn Bucket,
    camera: &CameraId,
    from: Timestamp,
    parse: impl Fn(Listed) -> Option<Item>,
) -> Result<Vec<Item>, BucketError> {
    // Batches and segments are in folders of the same form.
    let prefix = key::segments_prefix(camera);
    let mut after = key::segments_from(camera, Window::containing(from, WindowLength::MIN));
    let mut items = Vec::new();
    loop {
        let page = bucket.list_after(&prefix, &after, PAGE).await?;
        let is_last = page.len() < PAGE;
        if let Some(last) = page.last() {
            after.clone_from(&last.key);
        }
        items.extend(page.into_iter().filter_map(&parse));
        if is_last {
            return Ok(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use teiten_bucket::{Condition, Headers, MemoryBucket};

    use super::*;

    #[tokio::test]
    async fn folders_are_found_whatever_lies_beside_them() {
        let bucket = MemoryBucket::new("media");
        for key in
            ["a-b/1", "a/1", "a/2/3", "a0/1", "a.txt", "A/1", "b/live.m3u8", "cameras.json", "zz/1", "~"]
        {
            bucket.put(key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        }
        let folders = folders(&bucket).await.unwrap();
        assert_eq!(folders.iter().map(CameraId::as_str).collect::<Vec<_>>(), ["a", "a-b", "a0", "b", "zz"]);
    }
}
