//! What there is of cameras in a bucket, from listings in pages: both buckets have a folder for each camera, and one in it for each hour.

use std::collections::{BTreeSet, VecDeque};

use teiten_footage::{CameraId, Hour, Timestamp, Window, WindowLength, key};

use crate::{Bucket, BucketError, Listed};

/// How many objects are listed at a time: what one request to S3 gives.
const PAGE: usize = 1000;

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

/// A camera's objects in a bucket, hour by hour: no more is held than an hour and what one request gives.
#[derive(Debug)]
pub struct Hours<'a> {
    bucket: &'a dyn Bucket,
    camera: &'a CameraId,
    /// What is not asked for yet comes after this.
    after: String,
    page: VecDeque<Listed>,
    is_last_page: bool,
}

impl<'a> Hours<'a> {
    /// Those whose windows start at `from` or later.
    pub fn since(bucket: &'a dyn Bucket, camera: &'a CameraId, from: Timestamp) -> Self {
        let after = key::segments_from(camera, Window::containing(from, WindowLength::MIN));
        Self { bucket, camera, after, page: VecDeque::new(), is_last_page: false }
    }

    /// The next hour of which there is something.
    pub async fn next(&mut self) -> Result<Option<Hour>, BucketError> {
        loop {
            let Some(object) = self.page.front() else {
                if self.is_last_page {
                    return Ok(None);
                }
                self.list().await?;
                continue;
            };
            let hour = key::hour_of(self.camera, &object.key);
            if hour.is_some() {
                return Ok(hour);
            }
            // Someone else's.
            self.page.pop_front();
        }
    }

    /// What there is of `hour`, if that is the next one, and its keys have that form.
    pub async fn take<Item>(
        &mut self,
        hour: Hour,
        parse: impl Fn(Listed) -> Option<Item>,
    ) -> Result<Vec<Item>, BucketError> {
        let mut items = Vec::new();
        while self.next().await? == Some(hour) {
            items.extend(self.page.pop_front().and_then(&parse));
        }
        Ok(items)
    }

    async fn list(&mut self) -> Result<(), BucketError> {
        // Batches and segments are in folders of the same form.
        let page = self.bucket.list_after(&key::segments_prefix(self.camera), &self.after, PAGE).await?;
        self.is_last_page = page.len() < PAGE;
        if let Some(last) = page.last() {
            self.after.clone_from(&last.key);
        }
        self.page = page.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use teiten_footage::BatchKey;

    use super::*;
    use crate::{Condition, Headers, MemoryBucket};

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

    #[tokio::test]
    async fn objects_come_hour_by_hour_whatever_the_pages_are() {
        let bucket = MemoryBucket::new("frames");
        let first: Window = "20261123T035955.000Z-1000".parse().unwrap();
        let key = |camera: &str, index| {
            let window = first.plus(index);
            format!("{camera}/{}/{window}.mjpeg", Hour::of(window))
        };
        let filmed = (0..2500).chain([10_000]);
        let keys = filmed.clone().map(|index| key("gate", index));
        let others = ["gate/2026-11-23/04.m3u8", "gate/2026-11-23/notes.txt", "gate/live.m3u8", "yard/2"];
        for key in keys.chain(others.map(str::to_owned)).chain([key("yard", 3)]) {
            bucket.put(&key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        }
        let camera = CameraId::new("gate").unwrap();
        for (from, least) in [(Timestamp::Y2020, 0), (first.plus(2).start(), 2)] {
            let mut hours = Hours::since(&bucket, &camera, from);
            let mut found = Vec::new();
            while let Some(hour) = hours.next().await.unwrap() {
                assert!(hours.take(hour.next(), Some).await.unwrap().is_empty(), "another comes first");
                let keys = hours.take(hour, |listed| listed.key.parse::<BatchKey>().ok()).await.unwrap();
                assert!(keys.iter().all(|key| Hour::of(key.window) == hour));
                found.extend(keys.into_iter().map(|key| key.window.index() - first.index()));
            }
            assert_eq!(found, filmed.clone().skip(least).collect::<Vec<_>>());
        }
    }
}
