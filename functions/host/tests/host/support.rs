//! A function whose behaviour an event chooses by its camera's name, and events for it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use teiten_footage::{BatchKey, CameraId, ContentHash, Event, Pictures, SegmentKey, key::BatchFormat};
use teiten_host::{Chore, Failure, Function};
use tokio::sync::Notify;

/// Answers batches with segments, except those of cameras named `corrupt`, `unavailable`, `panics`; `quiet` gets
/// no reply, and `slow` waits to be released.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    /// How many events were handed over.
    pub(crate) begun: AtomicUsize,
    /// How many of them were seen through.
    pub(crate) ended: AtomicUsize,
    /// A slow event has begun.
    pub(crate) slow_begun: Notify,
    /// Lets a slow event go on.
    pub(crate) release: Notify,
}

#[async_trait]
impl Function for Scripted {
    const NAME: &'static str = "scripted";

    async fn handle(&self, event: Event) -> Result<Option<Event>, Failure> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let result = match event.camera().as_str() {
            "corrupt" => {
                Err(Failure::Permanent(anyhow::anyhow!("no frame of {}\ncan be decoded", event.camera())))
            }
            "unavailable" => Err(Failure::Transient(anyhow::anyhow!("the store is unavailable"))),
            "panics" => panic!("as told"),
            "quiet" => Ok(None),
            "slow" => {
                self.slow_begun.notify_one();
                self.release.notified().await;
                Ok(None)
            }
            _ => Ok(Some(segment(event.camera().as_str()))),
        };
        self.ended.fetch_add(1, Ordering::SeqCst);
        result
    }
}

/// A chore that counts how often it is done; it fails the third time, for now, and the fourth time for good.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    done: AtomicUsize,
}

#[async_trait]
impl Chore for Counting {
    const NAME: &'static str = "counting";
    const REPORT_KIND: &'static str = "teiten.counted";
    type Report = serde_json::Value;

    async fn run(&self) -> Result<Self::Report, Failure> {
        match self.done.fetch_add(1, Ordering::SeqCst) + 1 {
            3 => Err(Failure::Transient(anyhow::anyhow!("the store is unavailable"))),
            4 => Err(Failure::Permanent(anyhow::anyhow!("nothing to count"))),
            5 => panic!("as told"),
            done => Ok(serde_json::json!({ "done": done })),
        }
    }
}

/// `teiten.batch.stored` of a camera.
pub(crate) fn batch(camera: &str) -> Event {
    let key = BatchKey { camera: id(camera), window: WINDOW.parse().unwrap(), format: BatchFormat::Mjpeg };
    Event::BatchStored { bucket: "frames".to_owned(), key, frames: None }
}

/// The reply to it.
pub(crate) fn segment(camera: &str) -> Event {
    let hash = ContentHash::of(b"");
    let pictures = Pictures { frames: hash, keyframe_bytes: 1 };
    let key = SegmentKey { camera: id(camera), window: WINDOW.parse().unwrap(), init: hash, pictures };
    Event::SegmentStored { bucket: "media".to_owned(), key, motion: None }
}

/// The notification that these objects were created in `frames`.
pub(crate) fn notification(keys: &[&str]) -> String {
    let records = keys.iter().map(|key| {
        serde_json::json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": "frames" }, "object": { "key": key, "size": 1024 } },
        })
    });
    serde_json::json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}

/// The key of a camera's batch.
pub(crate) fn batch_key(camera: &str) -> String {
    format!("{camera}/2026-11-23/04/{WINDOW}.mjpeg")
}

/// A function that was not asked anything yet.
pub(crate) fn scripted() -> Arc<Scripted> {
    Arc::default()
}

const WINDOW: &str = "20261123T040501.000Z-1000";

fn id(camera: &str) -> CameraId {
    CameraId::new(camera).unwrap()
}
