//! A batch into the bucket: create it if it is the first of its window, else merge it into what is there by
//! compare-and-swap. Several bridges may do so at a time; none undoes what another stored.

use std::{collections::HashSet, sync::Arc};

use teiten_bucket::{Bucket, BucketError, Condition, Headers, Object, Put};
use teiten_footage::{
    Batch, ContentHash, FrameId, batch,
    key::{BatchFormat, BatchKey},
    limits::{BATCH_BYTES_MAX, WINDOW_FRAMES_MAX},
};
use teiten_telemetry::metrics::BridgeMetrics;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::windows::batch_bytes;

/// How often a race for one object may be lost before it counts as a failure.
const RACES_MAX: u32 = 16;

/// A stored batch that is no larger, as nearly all are, is read at once.
const READ_AT_ONCE: usize = 4 << 20;

/// What merging the largest batches takes: the stored one while its parts become one piece, or with what takes its place.
const MERGE_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// What part of the memory for frames may be taken, beside it, by copies that are under way to the store or come from there.
const COPIES_SHARE: usize = 4;

/// The memory that this takes beside `buffer_bytes_max` for frames.
const fn copies_bytes_max(buffer_bytes_max: usize) -> usize {
    let share = buffer_bytes_max / COPIES_SHARE;
    if share < MERGE_BYTES_MAX { MERGE_BYTES_MAX } else { share }
}

const HEADERS: Headers = Headers { content_type: BatchFormat::Mjpeg.content_type(), ..Headers::NONE };

/// What is durable now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    /// The identities of all frames in the stored object.
    pub(crate) frames: ContentHash,
    /// Frames of the batch that are not in it, because it is full.
    pub(crate) left_out: Vec<FrameId>,
    /// Whether there was none before.
    pub(crate) is_new: bool,
}

/// Why a batch is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Others were faster every time.
    #[error("the batch was changed by others {RACES_MAX} times in a row")]
    Contended,
}

impl StoreError {
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Bucket(error) => error.is_retryable(),
            Self::Contended => true,
        }
    }

    /// Whether a put may have happened all the same.
    pub(crate) fn is_unanswered_put(&self) -> bool {
        matches!(self, Self::Bucket(BucketError::Unavailable { operation: "put", .. }))
    }
}

/// Stores batches.
#[derive(Debug)]
pub(crate) struct Store {
    bucket: Arc<dyn Bucket>,
    metrics: Arc<BridgeMetrics>,
    /// Bytes that copies may still take.
    room: Semaphore,
}

impl Store {
    /// For a bridge that keeps `buffer_bytes_max` of frames.
    pub(crate) fn new(bucket: Arc<dyn Bucket>, buffer_bytes_max: usize, metrics: Arc<BridgeMetrics>) -> Self {
        Self { bucket, metrics, room: Semaphore::new(copies_bytes_max(buffer_bytes_max)) }
    }

    pub(crate) fn bucket_name(&self) -> &str {
        self.bucket.name()
    }

    /// Makes every frame of `batch` durable under `key`. Doing it again changes nothing.
    pub(crate) async fn store(&self, key: &BatchKey, batch: &Batch) -> Result<Durable, StoreError> {
        let name = key.to_string();
        let room = self.room_for(batch_bytes(batch)).await;
        let put = self.bucket.put(&name, batch.to_bytes(), HEADERS, Condition::IfAbsent).await?;
        drop(room);
        if let Put::Stored(_) = put {
            self.metrics.batches_stored_total.inc();
            return Ok(Durable { frames: batch.frames_hash(), left_out: Vec::new(), is_new: true });
        }
        for _ in 0..RACES_MAX {
            if let Some(durable) = self.merge(key, &name, batch).await? {
                return Ok(durable);
            }
        }
        Err(StoreError::Contended)
    }

    /// Merges `batch` into what is stored; `None` if somebody else changed that meanwhile.
    async fn merge(&self, key: &BatchKey, name: &str, batch: &Batch) -> Result<Option<Durable>, StoreError> {
        let (object, room) = self.read(name, batch_bytes(batch)).await?;
        let (stored, condition) = self.parse(key, name, object);
        let Some(merge) = merge(stored.as_ref(), batch) else {
            self.metrics.batches_unchanged_total.inc();
            let stored = stored.as_ref().unwrap_or(batch);
            let left_out = missing(stored, batch);
            return Ok(Some(Durable { frames: stored.frames_hash(), left_out, is_new: false }));
        };
        let put = self.bucket.put(name, merge.to_bytes(), HEADERS, condition).await?;
        drop(room);
        let Put::Stored(_) = put else { return Ok(None) };
        self.metrics.batches_merged_total.inc();
        let left_out = missing(&merge, batch);
        Ok(Some(Durable { frames: merge.frames_hash(), left_out, is_new: false }))
    }

    /// What is stored under `name`, with room for merging `fresh` bytes into it.
    async fn read(
        &self,
        name: &str,
        fresh: usize,
    ) -> Result<(Option<Object>, SemaphorePermit<'_>), StoreError> {
        let mut bytes_max = READ_AT_ONCE;
        loop {
            let room = self.room_for(2 * bytes_max + fresh).await;
            match self.bucket.get_up_to(name, bytes_max).await {
                // How large it is, is known now. (What is no batch of ours is refused the second time.)
                Err(BucketError::TooLarge { bytes, .. }) if bytes_max < BATCH_BYTES_MAX => {
                    bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX).min(BATCH_BYTES_MAX);
                }
                read => return Ok((read?, room)),
            }
        }
    }

    /// Waits for room for `bytes`; no more than there is in all.
    async fn room_for(&self, bytes: usize) -> SemaphorePermit<'_> {
        let permits = bytes.min(MERGE_BYTES_MAX) as u32;
        self.room.acquire_many(permits).await.expect("the semaphore is never closed")
    }

    /// The batch that `object` is, and the condition under which it may be replaced.
    fn parse(&self, key: &BatchKey, name: &str, object: Option<Object>) -> (Option<Batch>, Condition) {
        let Some(object) = object else { return (None, Condition::IfAbsent) };
        let parsed = batch::parse(key.window, &object.bytes);
        if let Some(first) = parsed.rejected.first() {
            self.metrics.batch_pieces_rejected_total.inc_by(parsed.rejected.len() as u64);
            tracing::warn!(key = name, %first, pieces = parsed.rejected.len(), "foreign bytes in a stored batch");
        }
        (parsed.batch, Condition::IfMatch(object.etag))
    }
}

/// What to store in place of `stored` so that the frames of `batch` are in it; `None` if they are, as far as
/// the limits of a batch allow. A held frame gives way to real ones, and adds nothing to what is there.
fn merge(stored: Option<&Batch>, batch: &Batch) -> Option<Batch> {
    let Some(stored) = stored else { return Some(batch.clone()) };
    if batch.is_held() {
        return None;
    }
    if stored.is_held() {
        return Some(batch.clone());
    }
    let known: HashSet<FrameId> = stored.frames().iter().map(|frame| frame.id).collect();
    let mut count = stored.frames().len();
    let mut bytes = batch_bytes(stored);
    let fresh: Vec<_> = batch
        .frames()
        .iter()
        .filter(|frame| !known.contains(&frame.id))
        .take_while(|frame| {
            count += 1;
            bytes += frame.jpeg.len();
            count <= WINDOW_FRAMES_MAX && bytes <= BATCH_BYTES_MAX
        })
        .cloned()
        .collect();
    if fresh.is_empty() {
        return None;
    }
    let all = stored.frames().iter().cloned().chain(fresh);
    Some(Batch::new(stored.window(), all).expect("both batches have frames of this window"))
}

/// The frames of `batch` that are not in `stored`; a held frame needs no place of its own.
fn missing(stored: &Batch, batch: &Batch) -> Vec<FrameId> {
    if batch.is_held() {
        return Vec::new();
    }
    let known: HashSet<FrameId> = stored.frames().iter().map(|frame| frame.id).collect();
    batch.frames().iter().map(|frame| frame.id).filter(|id| !known.contains(id)).collect()
}

#[cfg(test)]
mod tests;
