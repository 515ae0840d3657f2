//! The loop that holds the windows: messages in, deliveries out, one timer.

use std::{future::pending, sync::Arc, time::Duration};

use rand::Rng;
use rumqttc::Transport;
use teiten_footage::{
    BootId, CameraId, Timestamp, Topic,
    topic::{OFFLINE, ONLINE},
};
use teiten_mqtt::TlsFiles;
use teiten_sink::Sink;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Config,
    counters::Counters,
    delivery::{Deliveries, Released, Shared},
    intake::{Intake, Rejected, TimeSource},
    log_limit::LogLimit,
    mqtt::{self, Broker, Message, Publisher},
    store::Store,
    windows::{Action, Admitted, Excess, Windows},
};

/// Messages that may wait between the connection and the windows.
const MESSAGES_MAX: usize = 16;

/// How long a bridge that is stopped goes on storing what it has.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How long saying good-bye to the broker may take.
const DISCONNECT_MAX: Duration = Duration::from_secs(1);

const COUNTERS_LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Runs a bridge until `shutdown`; then stops taking frames, stores what it has, says so, and leaves.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(
        teiten_telemetry::now() >= Timestamp::Y2020,
        "this machine's clock says {}: set it first, frames are put in order by the time of day",
        teiten_telemetry::now()
    );
    let counters = Arc::new(Counters::default());
    let publisher = Publisher::default();
    let (messages_in, messages) = mpsc::channel(MESSAGES_MAX);
    let (released_in, released) = mpsc::unbounded_channel();
    let boot = BootId(rand::rng().random());
    let store = Store::new(config.frames, counters.clone());
    let sink = Sink::new(&config.sink)?;
    let shared = Shared::new(store, sink, publisher.clone(), counters.clone(), boot, released_in);
    let transport = config.mqtt_tls.as_ref().map_or(Ok(Transport::Tcp), TlsFiles::transport)?;
    let broker = Broker { address: config.mqtt, transport, client_id: format!("bridge-{boot}") };
    let connection = AbortOnDropHandle::new(tokio::spawn(mqtt::run(
        broker,
        publisher.clone(),
        messages_in,
        counters.clone(),
        shutdown.clone(),
    )));
    let mut bridge = Bridge {
        intake: Intake::new(boot, config.limits.cameras_max),
        windows: Windows::new(config.window, config.limits),
        deliveries: Deliveries::new(shared),
        counters,
        log_limit: LogLimit::new(),
        messages,
        released,
        summary: String::new(),
    };
    bridge.serve(&shutdown).await;
    bridge.drain().await;
    publisher.disconnect();
    // A connection that does not answer is cut when the handle is dropped.
    let _ = timeout(DISCONNECT_MAX, connection).await;
    Ok(())
}

struct Bridge {
    intake: Intake,
    windows: Windows,
    deliveries: Deliveries,
    counters: Arc<Counters>,
    log_limit: LogLimit<Noted>,
    messages: mpsc::Receiver<Message>,
    released: mpsc::UnboundedReceiver<Released>,
    /// The counters as they were logged last.
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
    Online,
    Offline,
}

impl Bridge {
    async fn serve(&mut self, shutdown: &CancellationToken) {
        let mut log_counters = interval_at(Instant::now() + COUNTERS_LOGGED_EVERY, COUNTERS_LOGGED_EVERY);
        log_counters.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.windows.next_deadline();
            let timer = async {
                match deadline {
                    Some(deadline) => sleep(deadline.since(teiten_telemetry::now())).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(message) = self.messages.recv() => self.on_message(message, teiten_telemetry::now()),
                Some(Released { camera, bytes }) = self.released.recv() => self.windows.release(&camera, bytes),
                () = timer => {
                    let actions = self.windows.on_timer(teiten_telemetry::now());
                    self.act(actions);
                }
                _ = log_counters.tick() => self.log_counters(),
            }
        }
    }

    /// Takes what is waiting already, closes every window and waits until all is told, but not for ever.
    async fn drain(&mut self) {
        self.messages.close();
        while let Some(message) = self.messages.recv().await {
            self.on_message(message, teiten_telemetry::now());
        }
        let actions = self.windows.drain();
        self.act(actions);
        tracing::info!(batches = self.deliveries.under_way(), "draining");
        if timeout(DRAIN_MAX, self.deliveries.finish()).await.is_err() {
            // Their frames were not said to be stored, so their cameras send them to the next bridge.
            tracing::error!(batches = self.deliveries.under_way(), "stopped with batches under way");
        }
        while let Ok(Released { camera, bytes }) = self.released.try_recv() {
            self.windows.release(&camera, bytes);
        }
        self.log_counters();
    }

    fn on_message(&mut self, message: Message, now: Timestamp) {
        match message.topic.parse() {
            Ok(Topic::Frame(camera)) => self.on_frame(&camera, &message, now),
            Ok(Topic::Status(camera)) => self.on_status(&camera, &message, now),
            Ok(_) | Err(_) => {
                self.counters.frames_rejected_total.increment();
                if let Some(times) = self.log_limit.times(None, Noted::ForeignTopic, now) {
                    let topic: String = message.topic.chars().take(100).collect();
                    tracing::warn!(topic, times, "message dropped, its topic names no camera");
                }
            }
        }
    }

    fn on_frame(&mut self, camera: &CameraId, message: &Message, now: Timestamp) {
        self.counters.frames_received_total.increment();
        if message.retained {
            // A picture of long ago, sent once more for every subscription.
            self.counters.frames_rejected_total.increment();
            if let Some(times) = self.log_limit.times(Some(camera), Noted::Retained, now) {
                tracing::warn!(%camera, times, "frame dropped, it is a retained message");
            }
            return;
        }
        let (frame, source) = match self.intake.frame(camera, &message.payload, now) {
            Ok(taken) => taken,
            Err(rejected) => {
                self.counters.frames_rejected_total.increment();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Rejected(rejected), now) {
                    let bytes = message.payload.len();
                    tracing::warn!(%camera, reason = %rejected, bytes, times, "frame rejected");
                }
                return;
            }
        };
        self.note_source(camera, source, now);
        let mut actions = Vec::new();
        match self.windows.on_frame(camera, frame, now, &mut actions) {
            Ok(Admitted::New) => {}
            Ok(Admitted::Duplicate) => self.counters.frames_duplicate_total.increment(),
            Err(excess) => {
                self.counters.frames_dropped_total.increment();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Excess(excess), now) {
                    let buffered = self.windows.total_bytes();
                    tracing::warn!(%camera, reason = %excess, buffered, times, "frame dropped");
                }
            }
        }
        self.act(actions);
    }

    fn note_source(&mut self, camera: &CameraId, source: TimeSource, now: Timestamp) {
        match source {
            TimeSource::Camera => {}
            TimeSource::ArrivalUnstamped => {
                self.counters.frames_stamped_total.increment();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::Unstamped, now) {
                    tracing::debug!(%camera, times, "frame without a stamp, stamped with its arrival");
                }
            }
            TimeSource::ArrivalImpossible => {
                self.counters.frames_restamped_total.increment();
                if let Some(times) = self.log_limit.times(Some(camera), Noted::ImpossibleTime, now) {
                    tracing::warn!(%camera, times, "frame with an impossible time, stamped with its arrival");
                }
            }
        }
    }

    fn on_status(&mut self, camera: &CameraId, message: &Message, now: Timestamp) {
        let (status, noted) = match &message.payload[..] {
            payload if payload == ONLINE.as_bytes() => (ONLINE, Noted::Online),
            payload if payload == OFFLINE.as_bytes() => (OFFLINE, Noted::Offline),
            _ => return,
        };
        if let Some(times) = self.log_limit.times(Some(camera), noted, now) {
            tracing::info!(%camera, status, retained = message.retained, times, "camera status");
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.deliveries.start(action);
        }
    }

    fn log_counters(&mut self) {
        let summary = self.counters.summary();
        if summary != self.summary {
            tracing::info!(counters = summary, buffered = self.windows.total_bytes(), "counters");
            self.summary = summary;
        }
    }
}
