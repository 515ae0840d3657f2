//! What the camera does besides frames: it says how it is (telemetry, preview, its announcement to Home Assistant,
//! the health file), does what control says, and looks after the pins.
//!
//! Nothing here may delay frames or pile up. Telemetry and previews are dropped while there is no connection, and
//! previews also while frames wait for the network, and most of them where it is slow. What a sensor saw is kept until
//! a bridge has it, up to a limit.

mod events;
mod report;

use std::{
    collections::BTreeMap,
    future::pending,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use teiten_footage::{
    CameraId, Frame, SensorEvent, Timestamp, Topic,
    sensor::{SensorKind, SensorState},
};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

use crate::{
    agent::Host,
    clock::Clock,
    condition::{Condition, WRITE_PERIOD},
    config::{Config, Source},
    control::{Abilities, Desk, Switch, Updates, Wishes},
    gpio::{Panel, led, motion::Motion},
    link::{Delivery, Link, Message},
    machine::Machine,
    mistakes,
    source::{Demand, Health, Losses, Pictures},
    stamper::Rejected,
    telemetry::FrameRate,
    updater,
};
use events::Events;
use report::read;

/// How often telemetry is said.
const TELEMETRY_PERIOD: Duration = Duration::from_secs(10);
/// How often everything else is.
const PULSE_PERIOD: Duration = Duration::from_secs(1);

/// Something to attend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The LED may have to change.
    Led,
    /// The light, the file.
    Pulse,
    /// Telemetry.
    Telemetry,
    /// A sensor's level changed, or has lasted.
    Motion,
}

/// What the agent counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) captured: u64,
    pub(crate) sent: u64,
    pub(crate) stored: u64,
    /// By reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    pub(crate) unstored: usize,
    /// For how long nobody has said of frames that the broker has that they are stored, if for too long.
    pub(crate) unstored_for: Option<Duration>,
    pub(crate) spool_bytes: u64,
}

/// See the head of this file.
pub(crate) struct Attendant {
    config: Config,
    run_directory: Option<PathBuf>,
    file_is_bad: bool,
    machine: Machine,
    clock: Clock,
    panel: Panel,
    demand: Arc<watch::Sender<Demand>>,
    source: watch::Receiver<Health>,
    losses: Arc<Losses>,
    desk: Desk,
    light: Switch,
    led: Switch,
    snapshot_is_due: bool,
    condition: Condition,
    /// Why the last picture became no frame, if it became none.
    rejected: Option<Rejected>,
    pattern: (led::Pattern, Instant),
    motion: Motion,
    events: Events,
    announced: bool,
    /// Those that an earlier run's settings had.
    mistakes_taken_back: bool,
    started: Instant,
    last_preview: Option<Instant>,
    frame_rate: FrameRate,
    last_written: Option<Instant>,
    blink: Interval,
    pulse: Interval,
    report: Interval,
}

impl Attendant {
    /// Connects the pins.
    pub(crate) fn new(config: &Config, pictures: &Pictures, clock: Clock, host: Host) -> Self {
        let Host { mut board, run_directory } = host;
        let machine = Machine::at("/");
        let now = Instant::now();
        let panel = Panel::connect(&config.gpio, board.as_mut());
        let abilities = Abilities {
            pictures: !matches!(config.source, Source::Footage(_)),
            light: panel.infrared.is_some(),
            led: panel.led.is_some(),
            updates: Updates::Never,
        };
        let condition = Condition {
            has_network: machine.has_network(),
            clock_is_set: clock.earliest().is_some(),
            connected: false,
            source: Health::default(),
            last_frame: now,
            has_flowed: Condition::flowed_before(run_directory.as_deref()),
            unstored: 0,
            nobody_stores: false,
        };
        Self {
            config: config.clone(),
            run_directory,
            file_is_bad: false,
            machine,
            clock,
            panel,
            demand: pictures.demand(),
            source: pictures.health(),
            losses: pictures.losses(),
            desk: Desk::new(abilities),
            light: Switch::Auto,
            led: Switch::Auto,
            snapshot_is_due: false,
            pattern: (condition.pattern(now), now),
            condition,
            rejected: None,
            motion: Motion::new(now),
            events: Events::of(config.camera.clone()),
            announced: false,
            mistakes_taken_back: false,
            started: now,
            last_preview: None,
            frame_rate: FrameRate::new(now),
            last_written: None,
            blink: every(led::PERIOD),
            pulse: every(PULSE_PERIOD),
            report: every(TELEMETRY_PERIOD),
        }
    }

    /// Waits for something to attend to. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Due {
        let Self { panel, motion, condition, blink, pulse, report, .. } = self;
        // Motion has to wait for a clock to be told by.
        let due = motion.due().filter(|_| condition.clock_is_set);
        tokio::select! {
            // What the pin did comes before what follows if it did nothing.
            biased;
            (active, since) = level(panel) => {
                motion.level(active, since);
                Due::Motion
            }
            () = until(due) => Due::Motion,
            _ = blink.tick(), if panel.led.is_some() => Due::Led,
            _ = pulse.tick() => Due::Pulse,
            _ = report.tick() => Due::Telemetry,
        }
    }

    /// Does what is due.
    pub(crate) async fn attend(&mut self, due: Due, tally: &Tally, link: &mut Link) {
        let now = Instant::now();
        match due {
            Due::Led => self.blink(now),
            Due::Pulse => {
                self.look_after(now, tally).await;
                self.events.say_again(now, self.wall(), link);
            }
            Due::Telemetry => self.report(tally, link).await,
            Due::Motion => {
                if self.sense(now, link) && self.condition.connected {
                    self.report(tally, link).await;
                }
            }
        }
    }

    /// Looks at the sensor no more: what it saw goes on no longer.
    pub(crate) fn stop(&mut self, link: &mut Link) {
        let now = Instant::now();
        if let Some(ended) = self.motion.stop(now)
            && let Some(wall) = self.wall()
        {
            self.keep_event(SensorState::Ended, wall - (now - ended), link);
        }
    }

    /// Whether there are events that the broker does not have.
    pub(crate) fn has_events(&self) -> bool {
        self.events.waiting().next().is_some()
    }

    /// The link is up: says what everyone should know from the start.
    pub(crate) async fn connected(&mut self, tally: &Tally, link: &mut Link) {
        self.condition.connected = true;
        let reading = read(self.machine.clone()).await;
        self.announce(&reading, link);
        if !self.mistakes_taken_back {
            self.mistakes_taken_back = link.say(mistakes::taken_back(&self.config.camera));
        }
        self.events.connected(self.wall(), link);
        self.report.reset();
        self.say_telemetry(reading, tally, link);
    }

    /// The link is down.
    pub(crate) fn disconnected(&mut self) {
        self.condition.connected = false;
    }

    /// The broker has the message with this number.
    pub(crate) fn heard(&mut self, number: u64, now: Instant, link: &mut Link) {
        self.events.heard(number, now, link);
    }

    /// A bridge has stored a frame that the broker had since then.
    pub(crate) fn stored(&mut self, acked: Instant) {
        self.events.stored(acked);
    }

    /// A bridge is new here.
    pub(crate) fn hello(&mut self, now: Instant) {
        self.events.hello(now);
    }

    /// A frame was captured. A preview may be sent, if at all, so long after the last one.
    pub(crate) fn captured(&mut self, frame: &Frame, preview_spacing: Option<Duration>, link: &mut Link) {
        let now = Instant::now();
        self.condition.last_frame = now;
        self.condition.has_flowed = true;
        self.rejected = None;
        let jpeg = || frame.jpeg.clone();
        if std::mem::take(&mut self.snapshot_is_due) {
            self.snapshot_is_due = !link.say(self.message(Topic::Snapshot, jpeg(), Delivery::Acked));
        }
        let preview_is_due =
            preview_spacing.is_some_and(|spacing| self.last_preview.is_none_or(|last| now - last >= spacing));
        if self.config.preview && preview_is_due {
            link.say(self.message(Topic::Preview, jpeg(), Delivery::Once));
            self.last_preview = Some(now);
        }
    }

    /// A picture became no frame.
    pub(crate) fn rejected(&mut self, rejected: Rejected) {
        self.rejected = Some(rejected);
    }

    /// A message to the camera. Whether the agent shall end, to be started anew.
    pub(crate) async fn control(
        &mut self,
        payload: &[u8],
        retained: bool,
        tally: &Tally,
        link: &mut Link,
    ) -> bool {
        self.desk.takes_updates(updater::takes_updates(self.run_directory.as_deref()).await);
        let Some((mut reply, mut wishes)) = self.desk.hear(payload, retained) else { return false };
        if let (Some(url), Some(run_directory)) = (&wishes.update, &self.run_directory)
            && let Err(error) = updater::request(run_directory, url).await
        {
            reply = self.desk.withdraw(reply, format!("update: it cannot be noted: {error}; ask again"));
            wishes = Wishes::default();
        }
        match reply.refusal() {
            Some(reason) => warn!(reason, "a control message is refused"),
            None => info!(?wishes, "told by control"),
        }
        let asked = wishes != Wishes::default();
        let restart = wishes.restart;
        self.obey(wishes);
        link.say(self.message(Topic::ControlReply, reply.to_json().into(), Delivery::Acked));
        if asked {
            self.report(tally, link).await;
        }
        restart
    }

    fn obey(&mut self, wishes: Wishes) {
        let Wishes { rate, quality, size, light, led, snapshot, restart: _, update: _ } = wishes;
        if rate.is_some() || quality.is_some() || size.is_some() {
            self.demand.send_modify(|demand| {
                demand.rate = rate.or(demand.rate);
                demand.quality = quality.or(demand.quality);
                demand.size = size.or(demand.size);
            });
        }
        self.light = light.unwrap_or(self.light);
        self.led = led.unwrap_or(self.led);
        self.snapshot_is_due |= snapshot;
        self.switch_light();
    }

    fn blink(&mut self, now: Instant) {
        let pattern = self.condition.pattern(now);
        if pattern != self.pattern.0 {
            self.pattern = (pattern, now);
        }
        let lit = match self.led {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => pattern.is_lit(now - self.pattern.1),
        };
        if let Some(led) = &mut self.panel.led {
            led.light(lit);
        }
    }

    fn switch_light(&mut self) {
        let lit = match self.light {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => {
                self.config.light.zip(self.wall()).is_some_and(|(schedule, now)| schedule.is_on(now))
            }
        };
        if let Some(infrared) = &mut self.panel.infrared
            && infrared.light(lit)
        {
            info!(lit, "the infrared light is switched");
        }
    }

    async fn look_after(&mut self, now: Instant, tally: &Tally) {
        self.condition.unstored = tally.unstored;
        self.condition.nobody_stores = tally.unstored_for.is_some();
        self.condition.source = self.source_health(now);
        self.condition.clock_is_set = self.wall().is_some();
        self.condition.has_network = self.machine.has_network();
        self.switch_light();
        let Some(run_directory) = &self.run_directory else { return };
        if self.last_written.is_some_and(|last| now - last < WRITE_PERIOD) {
            return;
        }
        self.last_written = Some(now);
        if let Err(error) = self.condition.write(run_directory, now).await {
            if !std::mem::replace(&mut self.file_is_bad, true) {
                let path = run_directory.display();
                warn!(%path, %error, "the health file cannot be written: the watchdog will not know how the camera is");
            }
        } else {
            self.file_is_bad = false;
        }
    }

    /// Tells of motion that started or ended; whether it did.
    fn sense(&mut self, now: Instant, link: &mut Link) -> bool {
        let Some(wall) = self.wall() else {
            self.condition.clock_is_set = false;
            return false;
        };
        let Some((moving, since)) = self.motion.poll(now) else { return false };
        let state = if moving { SensorState::Started } else { SensorState::Ended };
        self.keep_event(state, wall - (now - since), link);
        true
    }

    fn keep_event(&mut self, state: SensorState, at: Timestamp, link: &mut Link) {
        self.events.keep(SensorEvent { kind: SensorKind::Motion, state, at }, link);
    }

    /// How the source is, as far as it knows, and as its pictures are.
    fn source_health(&self, now: Instant) -> Health {
        let without_frame = now.saturating_duration_since(self.condition.last_frame);
        self.source.borrow().clone().or_unusable(self.rejected, without_frame)
    }

    /// The wall clock, once it is set.
    fn wall(&self) -> Option<Timestamp> {
        self.clock.earliest().map(|_| teiten_telemetry::now())
    }

    fn message(&self, topic: impl FnOnce(CameraId) -> Topic, payload: Bytes, delivery: Delivery) -> Message {
        Message { topic: topic(self.config.camera.clone()).to_string(), payload, delivery }
    }
}

async fn level(panel: &mut Panel) -> (bool, Instant) {
    match &mut panel.sensor {
        Some(sensor) => sensor.changed().await,
        None => pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}

/// Ticks at once, and then once a period; late ones delay those after them.
pub(crate) fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests;
