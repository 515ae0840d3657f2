//! The loop that holds the windows: messages in, deliveries out, one timer.

use std::{
    future::pending,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use rand::Rng;
use teiten_footage::{
    CameraId, ReplicaId, SensorEvent, Timestamp, Topic,
    topic::{OFFLINE, ONLINE},
};
use teiten_sink::Sink;
use teiten_telemetry::{
    LogLimit,
    metrics::{BridgeMetrics, Operations},
    traces::{FLUSH_MAX, flush_traces, init_traces},
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Config,
    delivery::{Deliveries, Released, Shared, UnderWay},
    fleet::{BEAT_EVERY, Fleet, Shift},
    intake::{Intake, Rejected, TimeSource},
    mqtt::{self, Broker, Heard, Message, Publisher},
    overheard::Overheard,
    store::Store,
    windows::{Action, Admitted, Excess, Windows},
};

/// Messages that may wait between the connection and the windows.
const MESSAGES_MAX: usize = 16;

/// How long a bridge that is stopped goes on storing what it has.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How long a bridge that goes waits until it hears itself say so.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// What part of the memory for frames may be taken by pictures of cameras that other bridges have.
const OVERHEARD_SHARE: usize = 8;

/// The largest message of what a sensor saw that is read, in bytes.
const SENSOR_BYTES_MAX: usize = 4096;

/// A bridge that has not come round to its next beat for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// How long saying good-bye to the broker may take.
const DISCONNECT_MAX: Duration = Duration::from_secs(1);

const METRICS_LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Runs a bridge until `shutdown`; then stops taking frames, stores what it has, says so, and leaves.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(
        teiten_telemetry::now() >= Timestamp::Y2020,
        "this machine's clock says {}: set it first, frames are put in order by the time of day",
        teiten_telemetry::now()
    );
    init_traces("bridge")?;
    let metrics = Arc::new(BridgeMetrics::default());
    let publisher = Publisher::default();
    let (messages_in, messages) = mpsc::channel(MESSAGES_MAX);
    let (released_in, released) = mpsc::unbounded_channel();
    let store = Store::new(config.frames, config.limits.total_bytes_max, metrics.clone());
    let sink = Sink::new(&config.sink)?;
    let shared = Shared::new(store, sink, publisher.clone(), metrics.clone(), released_in);
    if let Some(files) = &config.mqtt_tls {
        // A mistake in them ends it here; later they are read anew for each connection.
        files.transport()?;
    }
    // Not the replica's name: should two have one name, the broker would let each disconnect the other for ever.
    let client_id = format!("bridge-{:016x}", rand::rng().random::<u64>());
    let broker =
        Broker { address: config.mqtt, tls: config.mqtt_tls, client_id, replica: config.replica.clone() };
    let pulse = Arc::new(Pulse { beat: Mutex::new(instant()), is_heard: AtomicBool::new(false) });
    let _operations = match config.metrics {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("{address}, for metrics, cannot be listened on"))?;
            let serving = operations(&metrics, &publisher, &pulse).serve(listener);
            Some(AbortOnDropHandle::new(tokio::spawn(serving)))
        }
    };
    let publishes = publisher.clone();
    let connection = AbortOnDropHandle::new(tokio::spawn(mqtt::run(
        broker,
        publishes,
        messages_in,
        metrics.clone(),
        shutdown.clone(),
    )));
    let mut bridge = Bridge {
        fleet: Fleet::new(config.replica),
        intake: Intake::new(config.limits.cameras_max),
        windows: Windows::new(config.window, config.limits),
        overheard: Overheard::new(config.limits.total_bytes_max / OVERHEARD_SHARE),
        publisher: publisher.clone(),
        pulse,
        deliveries: Deliveries::new(shared),
        metrics,
        log_limit: LogLimit::default(),
        messages,
        released,
        leaving: false,
        summary: String::new(),
    };
    bridge.serve(&shutdown).await;
    bridge.leave().await;
    bridge.drain().await;
    flush_traces(FLUSH_MAX).await;
    publisher.disconnect();
    // A connection that does not answer is cut when the handle is dropped.
    let _ = timeout(DISCONNECT_MAX, connection).await;
    Ok(())
}

/// What those who run the bridge may ask of it.
fn operations(metrics: &BridgeMetrics, publisher: &Publisher, pulse: &Arc<Pulse>) -> Operations {
    let (publisher, beating, pulse) = (publisher.clone(), pulse.clone(), pulse.clone());
    Operations::new(metrics.registry())
        .live_if(move || if beating.is_stuck() { Err("the loop stands still") } else { Ok(()) })
        .ready_if(move || match (publisher.is_subscribed(), pulse.is_heard.load(Ordering::Relaxed)) {
            (false, _) => Err("not connected to the broker"),
            (true, false) => {
                Err("connected to the broker, but it does not hear itself on teiten-bridge/+/status")
            }
            (true, true) => Ok(()),
        })
}

/// How the loop is, for who asks.
#[derive(Debug)]
struct Pulse {
    /// When it last came round to its beat.
    beat: Mutex<std::time::Instant>,
    /// Whether it hears itself among the bridges.
    is_heard: AtomicBool,
}

impl Pulse {
    fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = instant();
    }

    fn is_stuck(&self) -> bool {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > STUCK_AFTER
    }
}

struct Bridge {
    fleet: Fleet,
    intake: Intake,
    windows: Windows,
    overheard: Overheard,
    publisher: Publisher,
    pulse: Arc<Pulse>,
    deliveries: Deliveries,
    metrics: Arc<BridgeMetrics>,
    log_limit: LogLimit<Noted>,
    messages: mpsc::Receiver<Heard>,
    released: mpsc::UnboundedReceiver<Released>,
    /// Whether it has said that it goes.
    leaving: bool,
    /// The numbers as they were logged last.
    summary: String,
}

/// What is logged once in a while only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Noted {
    ForeignTopic,
    Retained,
    Rejected(Rejected),
    Excess(Excess),
    Unstamped,
    ImpossibleTime,
    Sensor,
    Online,
    Offline,
    Cleared,
}

impl Bridge {
    /// Works until `stop`.
    async fn serve(&mut self, stop: &CancellationToken) {
        let mut log_metrics = every(METRICS_LOGGED_EVERY);
        let mut beat = every(BEAT_EVERY);
        loop {
            let deadline = self.windows.next_deadline();
            let timer = async {
                match deadline {
                    Some(deadline) => sleep(deadline.since(teiten_telemetry::now())).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Some(heard) = self.messages.recv() => {
                    if self.on_heard(heard, teiten_telemetry::now()).is_break() {
                        return;
                    }
                }
                Some(Released { camera, bytes }) = self.released.recv() => self.windows.release(&camera, bytes),
                () = timer => {
                    // First: a process that was stopped for a while may have no cameras any more.
                    self.look_around();
                    let actions = self.windows.on_timer(teiten_telemetry::now());
                    self.act(actions);
                }
                _ = beat.tick() => {
                    self.say_online();
                    self.look_around();
                    self.pulse.beat();
                    self.metrics.others.set(self.fleet.others().len() as i64);
                    self.metrics.buffered_bytes.set(self.windows.total_bytes() as i64);
                }
                _ = log_metrics.tick() => self.log_metrics(),
            }
        }
    }

    /// Says that it goes, and serves on until it has heard that itself: what the broker is sent later, others serve.
    async fn leave(&mut self) {
        self.leaving = true;
        if self.publisher.publish_retained(&self.status_topic(), "") && self.fleet.others().len() > 0 {
            // Should the broker not answer in time, cameras that can send again the rest.
            let never = CancellationToken::new();
            let _in_time = timeout(FAREWELL_MAX, self.serve(&never)).await;
        }
        self.fleet.gone();
    }

    /// Takes what is waiting already, closes every window and waits until all is told, but not for ever.
    async fn drain(&mut self) {
        self.messages.close();
        while let Some(heard) = self.messages.recv().await {
            let _ = self.on_heard(heard, teiten_telemetry::now());
        }
        let actions = self.windows.drain(teiten_telemetry::now());
        self.act(actions);
        let UnderWay { windows, sensor_events } = self.deliveries.under_way();
        tracing::info!(windows, sensor_events, "draining");
        if timeout(DRAIN_MAX, self.deliveries.finish()).await.is_err() {
            let UnderWay { windows, sensor_events } = self.deliveries.under_way();
            // Frames were not said to be stored, so their cameras send them to the next bridge. Nobody sends the others again.
            tracing::error!(
                windows,
                sensor_events,
                "stopped before all was told: frames come again, these events do not"
            );
        }
        while let Ok(Released { camera, bytes }) = self.released.try_recv() {
            self.windows.release(&camera, bytes);
        }
        self.log_metrics();
    }

    /// Breaks if this bridge has gone.
    fn on_heard(&mut self, heard: Heard, now: Timestamp) -> ControlFlow<()> {
        match heard {
            Heard::Connected => {
                // A broker that was killed has told nobody's last will.
                self.metrics.forget_statuses();
                ControlFlow::Continue(())
            }
            Heard::Subscribed => {
                self.fleet.subscribed(instant());
                self.note_whether_heard();
                self.say_online();
                // Cameras send again, and other bridges say that they are there.
                self.publisher.publish(&Topic::Hello, "");
                ControlFlow::Continue(())
            }
            Heard::Message(message) => self.on_message(message, now),
        }
    }

    fn on_message(&mut self, message: Message, now: Timestamp) -> ControlFlow<()> {
        match message.topic.parse() {
            Ok(Topic::Frame(camera)) => self.on_frame(&camera, &message, now),
            Ok(Topic::Status(camera)) => self.on_status(&camera, &message, now),
            Ok(Topic::Event(camera)) => self.on_sensor(&camera, &message, now),
            Ok(Topic::BridgeStatus(replica)) => return self.on_bridge_status(&replica, &message),
            Ok(Topic::Hello) => self.say_online(),
            Ok(_) | Err(_) => {
                self.metrics.frames_rejected_total.inc();
                if let Some(times) = self.log_limit.times(None, Noted::ForeignTopic, now) {
                    let topic: String = message.topic.chars().take(100).collect();
                    tracing::warn!(topic, times, "message dropped, its topic names no camera");
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn on_bridge_status(&mut self, replica: &ReplicaId, message: &Message) -> ControlFlow<()> {
        let online = match &message.payload[..] {
            payload if payload == ONLINE.as_bytes() => true,
            [] => false,
            _ => return ControlFlow::Continue(()),
        };
        // What was said before this bridge subscribed may be long untrue; the hello has it said again.
        if message.retained {
            return ControlFlow::Continue(());
        }
        let mine = replica == self.fleet.me();
        if mine && !online && self.leaving {
            return ControlFlow::Break(());
        }
        let shift = self.fleet.heard(replica, online, instant());
        if shift.is_some() && !mine {
            tracing::info!(%replica, online, others = self.fleet.others().len(), "another bridge");
        }
        self.shift(shift);
        self.note_whether_heard();
        if mine && !online {
            // An earlier process of this name, whose end the broker noticed only now.
            self.say_online();
        }
        ControlFlow::Continue(())
    }

    /// Notices which bridges are not there.
    fn look_around(&mut self) {
        let before = self.fleet.others().len();
        let shift = self.fleet.on_timer(instant());
        let others = self.fleet.others().len();
        match shift {
            Some(Shift::Ceded) => {
                tracing::warn!(others, "out of touch with the broker, others have all cameras")
            }
            Some(Shift::Gained) => tracing::warn!(before, others, "a bridge has fallen silent"),
            Some(Shift::Unheard) if self.publisher.is_subscribed() => {
                let topic = self.status_topic();
                tracing::warn!(
                    %topic,
                    "connected to the broker, but it does not hear itself: the broker's rules must be those of \
                     infra/base/broker/acl"
                );
            }
            // Why there is no connection, is said there.
            Some(Shift::Unheard) | None => {}
        }
        self.shift(shift);
        self.note_whether_heard();
    }

    fn note_whether_heard(&self) {
        let is_heard = self.fleet.is_heard();
        self.pulse.is_heard.store(is_heard, Ordering::Relaxed);
        self.metrics.ready.set(i64::from(is_heard && self.publisher.is_subscribed()));
    }

    /// Takes over or hands over what a change of the fleet has moved.
    fn shift(&mut self, shift: Option<Shift>) {
        let now = teiten_telemetry::now();
        let Some(shift) = shift else { return };
        self.windows.hand_over(|camera| self.fleet.owns(camera), now);
        if shift == Shift::Gained {
            for (camera, at, payload) in self.overheard.take(|camera| self.fleet.owns(camera), now) {
                if matches!(Intake::capture_time(&payload), Ok(None)) {
                    self.take_frame(&camera, &payload, at, now);
                } else if let Ok((frame, _)) = self.intake.frame(&camera, &payload, at) {
                    self.windows.go_on_from(&camera, frame, at, now);
                }
            }
            // What a bridge had in memory may be lost with it: cameras send it again.
            self.publisher.publish(&Topic::Hello, "");
        }
    }

    fn say_online(&self) {
        if !self.leaving {
            // Without a connection, connecting says it.
            self.publisher.publish_retained(&self.status_topic(), ONLINE);
        }
    }

    fn status_topic(&self) -> Topic {
        Topic::BridgeStatus(self.fleet.me().clone())
    }

    fn on_frame(&mut self, camera: &CameraId, message: &Message, now: Timestamp) {
        self.metrics.frames_received_total.inc();
        if message.retained {
            // A picture of long ago, sent once more for every subscription.
            self.metrics.frames_rejected_total.inc();
            if let Some(times) = self.log_limit.times(Some(camera), Noted::Retained, now) {
                tracing::warn!(%camera, times, "frame dropped, it is a retained message");
            }
            return;
        }
        if self.fleet.owns(camera) || self.windows.is_ceding(camera) {
            self.take_frame(camera, &message.payload, now, now);
        } else {
            self.metrics.frames_elsewhere_total.inc();
            match Intake::capture_time(&message.payload) {
                Ok(None) => self.overheard.keep(camera, &message.payload, now),
                Ok(Some(captured)) => self.overheard.keep_newest(camera, &message.payload, captured, now),
                // Its own bridge says so.
                Err(_) => {}
            }
        }
    }

    /// Takes a frame that arrived at `at`.
    fn take_frame(&mut self, camera: &CameraId, payload: &Bytes, at: Timestamp, now: Timestamp) {
        let (frame, source) = match self.intake.frame(camera, payload, at) {
            Ok(taken) => taken,
            Err(rejected) => {
                self.metrics.frames_rejected_total.inc();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Rejected(rejected), now) {
                    let bytes = payload.len();
                    tracing::warn!(%camera, reason = %rejected, bytes, times, "frame rejected");
                }
                return;
            }
        };
        self.note_source(camera, source, payload, now);
        let mut actions = Vec::new();
        match self.windows.on_frame(camera, frame, now, &mut actions) {
            Ok(Admitted::New) => {}
            Ok(Admitted::Duplicate) => {
                self.metrics.frames_duplicate_total.inc();
            }
            Ok(Admitted::Ceded) => {
                self.metrics.frames_elsewhere_total.inc();
            }
            Err(excess) => {
                self.metrics.frames_dropped_total.inc();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Excess(excess), now) {
                    let buffered = self.windows.total_bytes();
                    tracing::warn!(%camera, reason = %excess, buffered, times, "frame dropped");
                }
            }
        }
        self.act(actions);
    }

    fn note_source(&mut self, camera: &CameraId, source: TimeSource, payload: &Bytes, now: Timestamp) {
        match source {
            TimeSource::Camera => {}
            TimeSource::ArrivalUnstamped => {
                self.metrics.frames_stamped_total.inc();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Unstamped, now) {
                    tracing::debug!(%camera, times, "frame without a stamp, stamped with its arrival");
                }
            }
            TimeSource::ArrivalImpossible => {
                self.metrics.frames_restamped_total.inc();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::ImpossibleTime, now) {
                    let captured = Intake::capture_time(payload).ok().flatten().unwrap_or_default();
                    tracing::warn!(
                        %camera, %captured, %now, times,
                        "frame with an impossible time, stamped with its arrival: set the camera's clock, or, if it is so with \
                         all cameras, this machine's"
                    );
                }
            }
        }
    }

    /// Hands on what a sensor saw, if the camera is this bridge's. It is no frame: nothing is kept of it for others.
    fn on_sensor(&mut self, camera: &CameraId, message: &Message, now: Timestamp) {
        if !self.fleet.owns(camera) {
            return;
        }
        let read = || SensorEvent::from_json(&message.payload).ok().filter(|event| event.is_possible(now));
        let event = if message.retained || message.payload.len() > SENSOR_BYTES_MAX { None } else { read() };
        match event {
            Some(event) => self.deliveries.hand_on(camera.clone(), event),
            None => {
                self.metrics.sensor_events_rejected_total.inc();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Sensor, now) {
                    let (bytes, retained) = (message.payload.len(), message.retained);
                    tracing::warn!(%camera, bytes, retained, times, "what a sensor saw is dropped: malformed, old, or of an impossible time");
                }
            }
        }
    }

    fn on_status(&mut self, camera: &CameraId, message: &Message, now: Timestamp) {
        let (status, noted) = match &message.payload[..] {
            payload if payload == ONLINE.as_bytes() => (ONLINE, Noted::Online),
            payload if payload == OFFLINE.as_bytes() => (OFFLINE, Noted::Offline),
            // The owner has cleared what the broker retains: the camera is gone for good.
            [] => ("cleared", Noted::Cleared),
            _ => return,
        };
        match noted {
            Noted::Cleared => self.metrics.forget(camera),
            _ => self.metrics.camera_is(camera, status == ONLINE),
        }
        if let Some(times) = self.log_limit.times(Some(camera), noted, now) {
            tracing::info!(%camera, status, retained = message.retained, times, "camera status");
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.deliveries.start(action);
        }
    }

    fn log_metrics(&mut self) {
        let summary = self.metrics.summary();
        if summary != self.summary {
            tracing::info!(counted = summary, buffered = self.windows.total_bytes(), "numbers");
            self.summary = summary;
        }
    }
}

/// Now, as the fleet measures time: no setting of the clock makes bridges seem silent.
fn instant() -> std::time::Instant {
    Instant::now().into_std()
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
