//! From a closed window to `stored`: batch durable, then event accepted, then the camera told. Each batch goes
//! this way in a task of its own, so that none waits for another's retries.
//!
//! A batch is tried until it is durable: its memory counts against the limits of [`crate::windows`], which
//! refuse new frames when too much waits. An event is tried until it is accepted, but only as long as not
//! too many wait: beyond that it is given up, for its batch is durable and the reconcile function finds
//! batches without segments. Nothing finds again what a sensor saw: those events have a limit of their own, which an outage of
//! hours reaches only where motion comes and goes all the time. A store or sink that refuses for good (no permission, 4xx) is tried on too, slowly
//! and with an error in the log, because a mistake in the set-up gets mended. In no case is a frame said
//! to be `stored` before both happened.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use teiten_footage::{
    Batch, BootId, CameraId, Event, FrameId, SensorEvent, Stored, Topic, Window,
    key::{BatchFormat, BatchKey},
};
use teiten_sink::Sink;
use teiten_telemetry::{
    Backoff, LogLimit,
    metrics::BridgeMetrics,
    traces::{self, Cause, Kind, Step},
};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    mqtt::Publisher,
    store::{Durable, Store},
    windows::{Action, batch_bytes},
};

/// Requests to the store at a time for one camera, so that a backlog leaves room for other cameras; and as many to the sink: one
/// that hangs holds up no store.
const CAMERA_REQUESTS_MAX: usize = 8;

/// Requests to either at a time for all cameras.
const REQUESTS_MAX: usize = 128;

/// Events of one camera's windows that may wait for the sink, and of all cameras'.
const CAMERA_WINDOW_EVENTS_MAX: usize = 256;
const WINDOW_EVENTS_MAX: usize = 16_384;

/// The same of what sensors saw: a night of what is usual, or motion that comes and goes every other second for half an hour.
const CAMERA_SENSOR_EVENTS_MAX: usize = 2048;
const SENSOR_EVENTS_MAX: usize = 16_384;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Memory of a batch that is free again.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) camera: CameraId,
    pub(crate) bytes: usize,
}

/// How much is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// Batches, and reports of missed windows.
    pub(crate) windows: usize,
    /// Events of sensors.
    pub(crate) sensor_events: usize,
}

/// Everything under way. Dropping it abandons what is not finished.
#[derive(Debug)]
pub(crate) struct Deliveries {
    shared: Arc<Shared>,
    lanes: HashMap<CameraId, Arc<Lane>>,
    windows: TaskTracker,
    sensors: TaskTracker,
    abandoned: CancellationToken,
    _abandon_on_drop: DropGuard,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) sink: Sink,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Arc<BridgeMetrics>,
    /// One message for each batch in memory, which is what bounds it.
    pub(crate) released: mpsc::UnboundedSender<Released>,
    store_requests: Semaphore,
    sink_requests: Semaphore,
    waiting: Waiting,
    log_limit: Mutex<LogLimit<Trouble>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Trouble {
    Store,
    StoreRefused,
    BatchFull,
    Sink,
    SinkRefused,
    GivenUp,
    SensorGivenUp,
}

/// One camera's share of what is under way.
#[derive(Debug)]
struct Lane {
    camera: CameraId,
    store_requests: Semaphore,
    sink_requests: Semaphore,
    waiting: Waiting,
}

impl Shared {
    pub(crate) fn new(
        store: Store,
        sink: Sink,
        publisher: Publisher,
        metrics: Arc<BridgeMetrics>,
        released: mpsc::UnboundedSender<Released>,
    ) -> Self {
        Self {
            store,
            sink,
            publisher,
            metrics,
            released,
            store_requests: Semaphore::new(REQUESTS_MAX),
            sink_requests: Semaphore::new(REQUESTS_MAX),
            waiting: Waiting::up_to(WINDOW_EVENTS_MAX, SENSOR_EVENTS_MAX),
            log_limit: Mutex::new(LogLimit::default()),
        }
    }

    /// How often `trouble` happened since it was logged last, if it is to be logged now.
    fn times(&self, camera: &CameraId, trouble: Trouble) -> Option<u64> {
        let mut limit = self.log_limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.times(Some(camera), trouble, teiten_telemetry::now())
    }
}

impl Deliveries {
    pub(crate) fn new(shared: Shared) -> Self {
        let abandoned = CancellationToken::new();
        Self {
            shared: Arc::new(shared),
            lanes: HashMap::new(),
            windows: TaskTracker::new(),
            sensors: TaskTracker::new(),
            _abandon_on_drop: abandoned.clone().drop_guard(),
            abandoned,
        }
    }

    /// Starts what `action` asks for.
    pub(crate) fn start(&mut self, action: Action) {
        let shared = self.shared.clone();
        match action {
            Action::Store { camera, batch } => {
                if batch.is_held() {
                    shared.metrics.windows_held_total.inc();
                }
                let lane = self.lane(camera);
                self.spawn(&self.windows, async move { shared.deliver(&lane, batch).await });
            }
            Action::Missed { camera, window } => {
                shared.metrics.missed(&camera);
                let lane = self.lane(camera);
                self.spawn(&self.windows, async move { shared.report_missed(&lane, window).await });
            }
        }
    }

    /// Starts to hand on what a sensor saw.
    pub(crate) fn hand_on(&mut self, camera: CameraId, event: SensorEvent) {
        let shared = self.shared.clone();
        let lane = self.lane(camera);
        self.spawn(&self.sensors, async move {
            let event = Event::SensorChanged { camera: lane.camera.clone(), event };
            shared.emit(&lane, &event, &Cause::window_of(&event)).await;
        });
    }

    /// How much is under way.
    pub(crate) fn under_way(&self) -> UnderWay {
        UnderWay { windows: self.windows.len(), sensor_events: self.sensors.len() }
    }

    /// Waits until everything that was started is finished.
    pub(crate) async fn finish(&self) {
        for tasks in [&self.windows, &self.sensors] {
            tasks.close();
            tasks.wait().await;
        }
    }

    fn spawn(&self, tasks: &TaskTracker, delivery: impl Future<Output = ()> + Send + 'static) {
        let abandoned = self.abandoned.clone();
        tasks.spawn(async move { abandoned.run_until_cancelled(delivery).await });
    }

    fn lane(&mut self, camera: CameraId) -> Arc<Lane> {
        if !self.lanes.contains_key(&camera) {
            // A lane that only this map knows has nothing under way.
            self.lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = self.lanes.entry(camera).or_insert_with_key(|camera| {
            Arc::new(Lane {
                camera: camera.clone(),
                store_requests: Semaphore::new(CAMERA_REQUESTS_MAX),
                sink_requests: Semaphore::new(CAMERA_REQUESTS_MAX),
                waiting: Waiting::up_to(CAMERA_WINDOW_EVENTS_MAX, CAMERA_SENSOR_EVENTS_MAX),
            })
        });
        lane.clone()
    }
}

impl Shared {
    async fn deliver(&self, lane: &Lane, batch: Batch) {
        let key =
            BatchKey { camera: lane.camera.clone(), window: batch.window(), format: BatchFormat::Mjpeg };
        let held = batch.is_held();
        let bytes = batch_bytes(&batch);
        let trace = Cause::window(&lane.camera, batch.window());
        let durable = {
            let step = Step::begin("store", Kind::Internal, &trace);
            step.run(self.store(lane, &key, &batch)).await
        };
        // A held frame was acknowledged with its own window.
        let to_acknowledge: Vec<FrameId> = batch
            .frames()
            .iter()
            .map(|frame| frame.id)
            .filter(|id| !held && id.boot != BootId::NONE && !durable.left_out.contains(id))
            .collect();
        let (first, last) = (batch.frames().first(), batch.frames().last());
        let captured = first.zip(last).map(|(first, last)| (first.captured, last.captured));
        let count = if held { 0 } else { batch.frames().len() - durable.left_out.len() };
        drop(batch);
        // The receiver is gone only when the bridge is: nothing is counted any more.
        let _ = self.released.send(Released { camera: lane.camera.clone(), bytes });
        let bucket = self.store.bucket_name().to_owned();
        let window = key.window;
        let event = Event::BatchStored { bucket, key, frames: Some(durable.frames) };
        let accepted = self.emit(lane, &event, &trace).await;
        if durable.is_new {
            let begun = captured.filter(|_| !held).map_or(window.start(), |(first, _)| first);
            traces::tell_window(&lane.camera, window, begun, count);
        }
        if accepted {
            self.acknowledge(lane, to_acknowledge);
            if let Some((first, last)) = captured.filter(|_| !held) {
                self.metrics.stored(&lane.camera, count, first, last, teiten_telemetry::now());
            }
        }
    }

    async fn report_missed(&self, lane: &Lane, window: Window) {
        let event = Event::WindowMissed { camera: lane.camera.clone(), window };
        tracing::info!(camera = %lane.camera, %window, "window missed");
        self.emit(lane, &event, &Cause::window(&lane.camera, window)).await;
        traces::tell_window(&lane.camera, window, window.start(), 0);
    }

    /// Tries until the batch is durable.
    async fn store(&self, lane: &Lane, key: &BatchKey, batch: &Batch) -> Durable {
        let camera = &lane.camera;
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        let mut is_unanswered = false;
        loop {
            let permits = turn(&lane.store_requests, &self.store_requests).await;
            let error = match self.store.store(key, batch).await {
                Ok(mut durable) => {
                    // What is found then is what an earlier put has made, without an answer that came here.
                    durable.is_new |= is_unanswered && durable.frames == batch.frames_hash();
                    tracing::debug!(%key, frames = batch.frames().len(), "batch stored");
                    self.report_left_out(lane, key, durable.left_out.len());
                    return durable;
                }
                Err(error) => error,
            };
            drop(permits);
            is_unanswered |= error.is_unanswered_put();
            self.metrics.store_failures_total.inc();
            let wait = if error.is_retryable() {
                if let Some(times) = self.times(camera, Trouble::Store) {
                    tracing::warn!(%camera, %key, %error, times, "batch not stored, retrying");
                }
                backoff.wait()
            } else {
                if let Some(times) = self.times(camera, Trouble::StoreRefused) {
                    tracing::error!(%camera, %key, %error, times, "batch refused by the store, retrying slowly");
                }
                backoff.wait_longest()
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn report_left_out(&self, lane: &Lane, key: &BatchKey, count: usize) {
        if count > 0 {
            self.metrics.frames_dropped_total.inc_by(count as u64);
            if let Some(times) = self.times(&lane.camera, Trouble::BatchFull) {
                tracing::warn!(camera = %lane.camera, %key, frames = count, times, "frames dropped, the stored batch is full");
            }
        }
    }

    /// Tries until the sink accepts the event, unless too many wait. Says whether it was accepted.
    async fn emit(&self, lane: &Lane, event: &Event, cause: &Cause) -> bool {
        let camera = &lane.camera;
        let step = Step::begin("send", Kind::Producer, cause);
        let is_sensor = matches!(event, Event::SensorChanged { .. });
        let event = step.as_cause().of(event);
        step.tell("teiten.event", &event.id);
        let waiting = [&lane.waiting, &self.waiting].map(|waiting| waiting.enter(is_sensor));
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        loop {
            // Those that wait for their turn count too: behind a sink that hangs nothing ever fails.
            if waiting.iter().any(Waiter::is_too_many) {
                step.fail("given up, too many wait");
                self.report_given_up(camera, is_sensor);
                return false;
            }
            let permits = turn(&lane.sink_requests, &self.sink_requests).await;
            let sent = self.sink.post(&event).await;
            drop(permits);
            let Err(error) = sent else {
                self.metrics.events_sent_total.inc();
                return true;
            };
            step.note("not accepted", &error);
            let wait = if error.is_refusal() {
                self.metrics.events_refused_total.inc();
                if let Some(times) = self.times(camera, Trouble::SinkRefused) {
                    tracing::error!(%camera, %error, times, "event refused by the sink, retrying slowly");
                }
                backoff.wait_longest()
            } else {
                self.metrics.event_failures_total.inc();
                if let Some(times) = self.times(camera, Trouble::Sink) {
                    tracing::warn!(%camera, %error, times, "event not accepted, retrying");
                }
                backoff.wait()
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn report_given_up(&self, camera: &CameraId, is_sensor: bool) {
        if is_sensor {
            self.metrics.sensor_events_lost_total.inc();
            if let Some(times) = self.times(camera, Trouble::SensorGivenUp) {
                tracing::error!(%camera, times, "what a sensor saw is lost, too many of its events wait");
            }
        } else {
            self.metrics.events_given_up_total.inc();
            if let Some(times) = self.times(camera, Trouble::GivenUp) {
                tracing::error!(%camera, times, "event given up, too many wait");
            }
        }
    }

    fn acknowledge(&self, lane: &Lane, frames: Vec<FrameId>) {
        for stored in Stored::of_frames(frames) {
            let topic = Topic::Stored(lane.camera.clone());
            // Without a connection nobody is told; the camera asks again by sending again.
            let told = self.publisher.publish(&topic, stored.to_string());
            let (sent, dropped) =
                (&self.metrics.stored_messages_total, &self.metrics.stored_messages_dropped_total);
            if told { sent } else { dropped }.inc();
        }
    }
}

/// Waits for a turn: first among the camera's own requests, then among all.
async fn turn<'a>(own: &'a Semaphore, all: &'a Semaphore) -> (SemaphorePermit<'a>, SemaphorePermit<'a>) {
    let own = own.acquire().await.expect("the semaphore is never closed");
    let all = all.acquire().await.expect("the semaphore is never closed");
    (own, all)
}

/// How many events wait for the sink: those of windows, which are found again when they are given up, and what sensors
/// saw, which is not.
#[derive(Debug)]
struct Waiting {
    windows: Count,
    sensors: Count,
}

#[derive(Debug)]
struct Count {
    now: AtomicUsize,
    max: usize,
}

impl Waiting {
    fn up_to(windows_max: usize, sensors_max: usize) -> Self {
        let up_to = |max| Count { now: AtomicUsize::new(0), max };
        Self { windows: up_to(windows_max), sensors: up_to(sensors_max) }
    }

    fn enter(&self, is_sensor: bool) -> Waiter<'_> {
        let count = if is_sensor { &self.sensors } else { &self.windows };
        count.now.fetch_add(1, Ordering::Relaxed);
        Waiter(count)
    }
}

/// Counts one event for as long as it lives.
struct Waiter<'a>(&'a Count);

impl Waiter<'_> {
    fn is_too_many(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) > self.0.max
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
