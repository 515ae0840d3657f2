use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use bytes::Bytes;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, MemoryBucket, Put, Wrapper};
use teiten_footage::{Frame, SensorState, Timestamp, WindowLength, sensor::SensorKind};

use super::*;

/// Deliveries to `bucket`, and to a sink that nobody is.
fn deliveries(bucket: impl Bucket + 'static) -> Deliveries {
    let metrics = Arc::<BridgeMetrics>::default();
    let store = Store::new(Arc::new(bucket), 64 << 20, metrics.clone());
    let sink = Sink::new(&"http://127.0.0.1:1/".parse().unwrap()).unwrap();
    let (released, _) = mpsc::unbounded_channel();
    Deliveries::new(Shared::new(store, sink, Publisher::default(), metrics, released))
}

fn camera() -> CameraId {
    CameraId::new("front-door").unwrap()
}

#[tokio::test]
async fn what_a_sensor_saw_counts_as_lost_once_too_many_of_its_events_wait() {
    let mut deliveries = deliveries(MemoryBucket::new("frames"));
    let at = Timestamp::Y2020;
    let event = SensorEvent { kind: SensorKind::Motion, state: SensorState::Started, at };
    for _ in 0..CAMERA_SENSOR_EVENTS_MAX + 3 {
        deliveries.hand_on(camera(), event);
    }
    let under_way = UnderWay { windows: 0, sensor_events: CAMERA_SENSOR_EVENTS_MAX };
    while deliveries.under_way() != under_way {
        tokio::task::yield_now().await;
    }
    let metrics = &deliveries.shared.metrics;
    assert_eq!(metrics.sensor_events_lost_total.get(), 3);
    assert_eq!(metrics.events_given_up_total.get(), 0, "no batch is stored for them");
}

/// A bucket whose first put happens, and is not answered.
#[derive(Debug)]
struct Mute {
    bucket: MemoryBucket,
    has_answered: AtomicBool,
}

#[async_trait]
impl Wrapper for Mute {
    fn inner(&self) -> &dyn Bucket {
        &self.bucket
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        let put = self.bucket.put(key, bytes, headers, condition).await?;
        if self.has_answered.swap(true, Ordering::Relaxed) {
            return Ok(put);
        }
        let (bucket, key) = (self.bucket.name().to_owned(), key.to_owned());
        Err(BucketError::Unavailable { bucket, operation: "put", key, why: "no answer".to_owned() })
    }
}

#[tokio::test]
async fn a_batch_that_is_found_after_a_put_without_an_answer_is_new_and_none_the_next_time() {
    let bucket = Mute { bucket: MemoryBucket::new("frames"), has_answered: AtomicBool::new(false) };
    let mut deliveries = deliveries(bucket);
    let lane = deliveries.lane(camera());
    let window = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT);
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let id = FrameId { boot: BootId(1), sequence: 1 };
    let batch = Batch::new(window, [Frame::stamp(&jpeg.into_inner(), id, window.start()).unwrap()]).unwrap();
    let key = BatchKey { camera: camera(), window, format: BatchFormat::Mjpeg };
    let mut are_new = Vec::new();
    for _ in 0..2 {
        are_new.push(deliveries.shared.store(&lane, &key, &batch).await.is_new);
    }
    assert_eq!(are_new, [true, false]);
}
