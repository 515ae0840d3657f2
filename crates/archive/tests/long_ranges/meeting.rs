//! A bucket in which reads wait for others: it tells how many are under way at a time, of whoever reads.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use teiten_bucket::{Bucket, BucketError, Object, Wrapper};
use tokio::sync::watch;

/// How long a read waits for those that do not come.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads, and what they ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) count: usize,
    /// As far as it is said how many.
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Meeting {
    inner: Arc<dyn Bucket>,
    /// Once so many have met, none waits any more.
    expected: usize,
    /// What is read of objects from here on counts.
    offset_min: u64,
    /// Those under way, and the most that were.
    reads: watch::Sender<(Reads, Reads)>,
}

impl Meeting {
    pub(crate) fn of(inner: Arc<dyn Bucket>, expected: usize, offset_min: u64) -> Self {
        Self { inner, expected, offset_min, reads: watch::Sender::default() }
    }

    /// The most that were under way at a time.
    pub(crate) fn most(&self) -> Reads {
        self.reads.borrow().1
    }

    async fn meet(&self, bytes: u64) {
        self.reads.send_modify(|(now, most)| {
            *now = Reads { count: now.count + 1, bytes: now.bytes + bytes };
            *most = Reads { count: most.count.max(now.count), bytes: most.bytes.max(now.bytes) };
        });
        let mut reads = self.reads.subscribe();
        let all = reads.wait_for(|(_, most)| most.count >= self.expected);
        let _ = tokio::time::timeout(PATIENCE, all).await;
        self.reads.send_modify(|(now, _)| {
            *now = Reads { count: now.count - 1, bytes: now.bytes - bytes };
        });
    }
}

#[async_trait]
impl Wrapper for Meeting {
    fn inner(&self) -> &dyn Bucket {
        &*self.inner
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        if self.offset_min == 0 {
            self.meet(0).await;
        }
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Object>, BucketError> {
        if self.offset_min <= offset {
            self.meet(length).await;
        }
        self.inner.get_range(key, offset, length).await
    }
}
