//! A bucket in memory, for tests of what uses a bucket.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use teiten_footage::{ContentHash, Timestamp};

use crate::{Bucket, BucketError, Condition, ETag, Headers, Listed, Object, Put};

/// A bucket in memory. Clones are the same bucket.
///
/// As on S3, an entity tag is a hash of the content: writing the same bytes again gives the same tag.
#[derive(Debug, Clone)]
pub struct MemoryBucket {
    name: Arc<str>,
    objects: Arc<Mutex<BTreeMap<String, Stored>>>,
    /// Where its clock stands, in Unix milliseconds; 0 where it is the wall clock.
    stopped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Stored {
    bytes: Bytes,
    etag: ETag,
    headers: Headers,
    modified_unix_millis: u64,
}

impl MemoryBucket {
    /// An empty bucket.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), objects: Arc::default(), stopped: Arc::default() }
    }

    /// From here on its clock stands at `now`: what is stored is as of then, whatever time it is.
    pub fn stop_clock(&self, now: Timestamp) {
        self.stopped.store(now.unix_millis(), Ordering::SeqCst);
    }

    /// What its clock shows.
    pub fn now(&self) -> Timestamp {
        match self.stopped.load(Ordering::SeqCst) {
            0 => teiten_telemetry::now(),
            stopped => Timestamp::from_unix_millis(stopped),
        }
    }

    /// The headers that an object was stored with; `None` if there is no such object.
    pub fn headers(&self, key: &str) -> Option<Headers> {
        self.lock().get(key).map(|stored| stored.headers)
    }

    /// No operation leaves the map half changed, so a panicking test thread does not spoil it for others.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bucket for MemoryBucket {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let objects = self.lock();
        let stored = objects.get(key);
        Ok(stored.map(|stored| Object { bytes: stored.bytes.clone(), etag: stored.etag.clone() }))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        let mut objects = self.lock();
        let current = objects.get(key).map(|stored| &stored.etag);
        let holds = match &condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfMatch(expected) => current == Some(expected),
        };
        if !holds {
            return Ok(Put::Refused);
        }
        let etag = ETag::new(&ContentHash::of(&bytes).to_string());
        let modified_unix_millis = self.now().unix_millis();
        let stored = Stored { bytes, etag: etag.clone(), headers, modified_unix_millis };
        objects.insert(key.to_owned(), stored);
        Ok(Put::Stored(etag))
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        let start = if prefix > after {
            Bound::Included(prefix.to_owned())
        } else {
            Bound::Excluded(after.to_owned())
        };
        let listed = self
            .lock()
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(count_max)
            .map(|(key, stored)| Listed {
                key: key.clone(),
                size_bytes: stored.bytes.len() as u64,
                modified_unix_millis: stored.modified_unix_millis,
            })
            .collect();
        Ok(listed)
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.lock().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_passes_the_conformance_suite() {
        let report = conformance::run(Arc::new(MemoryBucket::new("frames"))).await;
        assert!(report.passed(), "{report}");
    }

    #[tokio::test]
    async fn an_object_keeps_the_headers_it_was_stored_with() {
        let bucket = MemoryBucket::new("media");
        let headers = Headers { content_type: "video/mp4", cache_control: "no-cache", ..Headers::NONE };
        bucket.put("a", Bytes::new(), headers, Condition::Always).await.unwrap();
        assert_eq!(bucket.headers("a").unwrap().content_type, "video/mp4");
        assert!(bucket.headers("b").is_none());
    }

    #[tokio::test]
    async fn a_listing_with_a_start_below_the_prefix_begins_at_the_prefix() {
        let bucket = MemoryBucket::new("media");
        for key in ["a/1", "b/1", "b/2", "c/1"] {
            bucket.put(key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        }
        let keys = |listed: Vec<Listed>| listed.into_iter().map(|one| one.key).collect::<Vec<_>>();
        assert_eq!(keys(bucket.list_after("b/", "a/0", 10).await.unwrap()), ["b/1", "b/2"]);
        assert_eq!(keys(bucket.list_after("b/", "b/1", 10).await.unwrap()), ["b/2"]);
        assert_eq!(keys(bucket.list_after("b/", "c/1", 10).await.unwrap()), [""; 0]);
    }
}
