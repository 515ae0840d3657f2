//! Buckets around another one.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Bucket, BucketError, Condition, Headers, Listed, Object, Put, part_of, up_to};

/// A bucket around another one, to which it hands on what it does not define: for tests, which watch some operations, hold them up or have
/// them fail. Parts of objects are read by its [`Wrapper::get`], as long as it does not define that either.
#[async_trait]
pub trait Wrapper: Send + Sync + fmt::Debug {
    /// The bucket in it.
    fn inner(&self) -> &dyn Bucket;

    /// As [`Bucket::name`].
    fn name(&self) -> &str {
        self.inner().name()
    }

    /// As [`Bucket::get`].
    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.inner().get(key).await
    }

    /// As [`Bucket::get_up_to`].
    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        up_to(Wrapper::name(self), key, Wrapper::get(self, key).await?, bytes_max)
    }

    /// As [`Bucket::get_range`].
    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Object>, BucketError> {
        Ok(Wrapper::get(self, key).await?.map(|whole| part_of(&whole, offset, length)))
    }

    /// As [`Bucket::put`].
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        self.inner().put(key, bytes, headers, condition).await
    }

    /// As [`Bucket::list_after`].
    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        self.inner().list_after(prefix, after, count_max).await
    }

    /// As [`Bucket::delete`].
    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.inner().delete(key).await
    }
}

#[async_trait]
impl<T: Wrapper> Bucket for T {
    fn name(&self) -> &str {
        Wrapper::name(self)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        Wrapper::get(self, key).await
    }

    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        Wrapper::get_up_to(self, key, bytes_max).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Object>, BucketError> {
        Wrapper::get_range(self, key, offset, length).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        Wrapper::put(self, key, bytes, headers, condition).await
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        Wrapper::list_after(self, prefix, after, count_max).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        Wrapper::delete(self, key).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{MemoryBucket, conformance};

    /// Notes what is got.
    #[derive(Debug)]
    struct Noting(MemoryBucket, Mutex<Vec<String>>);

    #[async_trait]
    impl Wrapper for Noting {
        fn inner(&self) -> &dyn Bucket {
            &self.0
        }

        async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
            self.1.lock().unwrap().push(key.to_owned());
            self.0.get(key).await
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bucket_around_another_is_one_like_it_but_for_what_it_defines() {
        let noting = Arc::new(Noting(MemoryBucket::new("frames"), Mutex::default()));
        let report = conformance::run(noting.clone()).await;
        assert!(report.passed(), "{report}");
        noting.1.lock().unwrap().clear();
        let bucket: &dyn Bucket = &*noting;
        bucket.get("whole").await.unwrap();
        bucket.get_range("range", 1, 2).await.unwrap();
        bucket.get_up_to("up to", 3).await.unwrap();
        assert_eq!(
            (bucket.name(), &*noting.1.lock().unwrap()),
            ("frames", &["whole", "range", "up to"].map(str::to_owned).to_vec())
        );
    }
}
