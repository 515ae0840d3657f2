//! One agent: takes pictures from its source, keeps them as frames in its spool, and sends what the outbox says
//! over its link, until it is told to stop.

use std::{collections::BTreeMap, future::pending, mem, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use teiten_footage::FrameId;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::{
    attendant::{Attendant, Tally},
    clock::Clock,
    config::Config,
    flights::Way,
    gpio::{Board, RaspberryPi},
    link::{Link, Signal},
    outbox::{Entry, Outbox},
    source::{Demand, Pictures},
    spool::{Spool, Unreadable},
    stamper::{Picture, Rejected, Stamper},
    uplink::{Change, Uplink},
};

/// How long an agent that is told to stop waits until what it has sent is stored: a window of 6 s, the bridge's
/// grace, and some time to store.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long no backlog is read after the spool did not give some of it: its medium may come back.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(3);

/// How often the log says how things are.
const SUMMARY_PERIOD: Duration = Duration::from_secs(60);

/// The machine that an agent runs on, as far as it is not what every machine has.
pub struct Host {
    /// The header's pins.
    pub board: Box<dyn Board>,
    /// Where the file `health` is written for the watchdog (docs/formats.md, "Health file"), if anywhere.
    pub run_directory: Option<PathBuf>,
}

/// A Raspberry Pi, or a machine without pins; no health file.
impl Default for Host {
    fn default() -> Self {
        Self { board: Box::new(RaspberryPi::default()), run_directory: None }
    }
}

/// Why an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, or its footage is at its end.
    Stopped,
    /// A control message asks for a restart.
    RestartAsked,
}

/// Runs one agent as [`run_on`] does, on this machine, and starts it anew when a control message asks for it.
///
/// # Errors
/// As [`run_on`].
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    while run_on(Host::default(), config.clone(), shutdown.clone()).await? == Ended::RestartAsked {}
    Ok(())
}

/// Runs one agent until `shutdown`, or until the last frame of footage that is not repeated is stored, or until
/// a control message asks for a restart. Then it takes no more pictures and waits up to 10 s until its frames are
/// stored, those that would be lost with the process and those that were sent, and the broker knows what sensors saw.
///
/// Several agents can run in one process, each with a camera name of its own.
///
/// # Errors
/// If it cannot start: the footage or the spool's directory cannot be used. A missing broker, camera device or pin
/// is no error; they may come.
pub async fn run_on(host: Host, config: Config, shutdown: CancellationToken) -> anyhow::Result<Ended> {
    let span = info_span!("agent", camera = %config.camera);
    async move {
        let (mut agent, mut pictures) = Agent::start(&config, host).await?;
        let Config { source, broker, spool, .. } = &config;
        info!(%source, %broker, %spool, found = agent.outbox.unstored(), "started");
        let ended = agent.work(&mut pictures, &shutdown).await;
        drop(pictures);
        agent.stop().await;
        Ok(ended)
    }
    .instrument(span)
    .await
}

struct Agent {
    clock: Clock,
    stamper: Stamper,
    spool: Spool,
    outbox: Outbox,
    uplink: Uplink,
    /// Where the source is asked for fewer pictures when the uplink is slow.
    demand: Arc<watch::Sender<Demand>>,
    link: Link,
    attendant: Attendant,
    restart_asked: bool,
    /// Until when no backlog is read, if the spool gave none.
    backlog_held_until: Option<Instant>,
    counts: Counts,
}

/// Frames since the start, and what was lost of those that an earlier run left.
#[derive(Debug, Default)]
struct Counts {
    captured: u64,
    /// Given to the link, frames that were sent again counted again.
    sent: u64,
    stored: u64,
    /// Pictures that became no frame, by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// Frames that had to make room for others.
    dropped: u64,
    /// Frames that could not be read back from the spool.
    damaged: u64,
    last_rejected: Option<Rejected>,
    spool_is_full: bool,
    spool_is_unreadable: bool,
    nobody_stores: bool,
}

impl Agent {
    async fn start(config: &Config, host: Host) -> anyhow::Result<(Self, Pictures)> {
        let (spool, found) = Spool::open(&config.spool, &config.camera).await?;
        let mut outbox = Outbox::default();
        let counts =
            Counts { dropped: found.dropped as u64, damaged: found.damaged as u64, ..Counts::default() };
        for entry in found.frames {
            outbox.found(entry);
        }
        let clock = Clock::system();
        let link = Link::new(config.camera.clone(), config.broker.clone(), clock.clone(), config.control)?;
        let pictures = Pictures::start(&config.camera, &config.source).await?;
        let attendant = Attendant::new(config, &pictures, clock.clone(), host);
        let agent = Self {
            clock,
            stamper: Stamper::new(),
            spool,
            outbox,
            uplink: Uplink::new(config.uplink.backlog_share),
            demand: pictures.demand(),
            link,
            attendant,
            restart_asked: false,
            backlog_held_until: None,
            counts,
        };
        Ok((agent, pictures))
    }

    /// Takes, sends and deletes, until `shutdown`, until a restart is asked, or until the source has ended and
    /// everything is stored.
    async fn work(&mut self, pictures: &mut Pictures, shutdown: &CancellationToken) -> Ended {
        let mut summary = interval(SUMMARY_PERIOD);
        summary.set_missed_tick_behavior(MissedTickBehavior::Delay);
        summary.reset();
        let mut playing = true;
        while playing || self.outbox.unstored() > 0 {
            let due = self.backlog_due();
            tokio::select! {
                () = shutdown.cancelled() => return Ended::Stopped,
                picture = pictures.next(), if playing => match picture {
                    Some(picture) => self.take(picture).await,
                    None => playing = false,
                },
                signal = self.link.next() => self.hear(signal).await,
                () = until(due) => {}
                due = self.attendant.next() => {
                    self.look_for_a_bridge();
                    let tally = self.tally();
                    self.attendant.attend(due, &tally, &mut self.link).await;
                }
                _ = summary.tick() => self.summarize(),
            }
            if self.restart_asked {
                return Ended::RestartAsked;
            }
            self.send_backlog().await;
        }
        Ended::Stopped
    }

    /// Waits, for a while, until what is worth waiting for is stored; then says goodbye.
    async fn stop(mut self) {
        self.attendant.stop(&mut self.link);
        // Frames in a directory are safe there, so no more of them are sent.
        let safe = self.outbox.leave_waiting(|id| self.spool.outlives_the_process(id));
        let drained = async {
            while self.outbox.sent() > 0 || self.spool.in_memory() > 0 || self.attendant.has_events() {
                let due = self.backlog_due();
                tokio::select! {
                    signal = self.link.next() => self.hear(signal).await,
                    () = until(due) => {}
                }
                self.send_backlog().await;
            }
        };
        // Whether all is drained shows in the numbers below.
        let _in_time = timeout(DRAIN_MAX, drained).await;
        self.summarize();
        let lost = self.spool.in_memory();
        let kept = safe + self.outbox.unstored() - lost;
        match (lost, kept) {
            (0, 0) => info!("stopping, all frames are stored"),
            (0, kept) => info!(kept, "stopping, the frames that are not stored are kept for the next run"),
            (lost, kept) => {
                warn!(lost, kept, "stopping, frames that are neither stored nor in a directory are lost")
            }
        }
        self.link.close().await;
    }

    /// Makes a frame of a picture, keeps it, and sends it if it can be sent at once.
    async fn take(&mut self, picture: Picture) {
        let frame = match self.stamper.stamp(picture, self.clock.earliest()) {
            Ok(frame) => frame,
            Err(rejected) => {
                *self.counts.rejected.entry(rejected.name()).or_default() += 1;
                if self.counts.last_rejected.replace(rejected) != Some(rejected) {
                    warn!(reason = %rejected, "a picture is left out, and so are others like it");
                }
                self.attendant.rejected(rejected);
                return;
            }
        };
        self.counts.captured += 1;
        let idle = self.link.is_idle();
        let dropped = self.spool.keep(&frame).await;
        let entry = Entry { id: frame.id, captured: frame.captured, bytes: frame.jpeg.len() };
        let now = Instant::now().into_std();
        if self.outbox.captured(entry, now) {
            self.send(frame.id, frame.jpeg.clone(), Way::Live);
        }
        self.limit_rate(now);
        let preview_spacing = self.uplink.preview_spacing(self.outbox.flights(), now).filter(|_| idle);
        self.attendant.captured(&frame, preview_spacing, &mut self.link);
        self.drop_oldest(&dropped);
    }

    fn send(&mut self, id: FrameId, jpeg: Bytes, way: Way) {
        self.counts.sent += 1;
        self.uplink.departed(way, jpeg.len(), Instant::now().into_std());
        self.link.publish(id, jpeg);
    }

    /// Asks the source for no more pictures than the uplink carries.
    fn limit_rate(&mut self, now: std::time::Instant) {
        let rate_max = self.uplink.captured(self.outbox.flights(), now);
        let mut change = None;
        self.demand.send_if_modified(|demand| {
            change = Change::of(mem::replace(&mut demand.rate_max, rate_max), rate_max);
            change.is_some()
        });
        let rate_max = rate_max.map(tracing::field::display);
        match change {
            Some(Change::Fewer) => info!(rate_max, "the uplink is slow: fewer pictures are taken"),
            Some(Change::More) => {
                info!(rate_max, "the uplink is slow, and carries more: more pictures are taken")
            }
            Some(Change::All) => info!("the uplink carries all pictures again"),
            None => {}
        }
    }

    fn drop_oldest(&mut self, dropped: &[FrameId]) {
        for id in dropped {
            self.outbox.forget(*id);
        }
        self.counts.dropped += dropped.len() as u64;
        if !dropped.is_empty() && !self.counts.spool_is_full {
            warn!(spool_bytes = self.spool.bytes(), "the spool is full: the oldest frames are dropped");
            self.counts.spool_is_full = true;
        }
    }

    async fn hear(&mut self, signal: Signal) {
        let now = Instant::now().into_std();
        match signal {
            Signal::Up { round_trip } => {
                self.outbox.connected();
                self.uplink.connected(round_trip);
                let tally = self.tally();
                self.attendant.connected(&tally, &mut self.link).await;
            }
            Signal::Down => {
                self.outbox.disconnected();
                self.uplink.disconnected();
                self.attendant.disconnected();
            }
            Signal::Heard(number) => self.attendant.heard(number, now, &mut self.link),
            Signal::Control { payload, retained } => {
                let tally = self.tally();
                self.restart_asked |=
                    self.attendant.control(&payload, retained, &tally, &mut self.link).await;
            }
            Signal::Acked(id) => {
                if let Some(flight) = self.outbox.acked(id, now) {
                    self.uplink.landed(flight, now);
                }
            }
            Signal::Hello => {
                self.outbox.hello(now);
                self.attendant.hello(now);
            }
            Signal::Stored(stored) => {
                if mem::take(&mut self.counts.nobody_stores) {
                    info!("frames are stored again");
                }
                if let Some(acked) = self.outbox.last_acked(&stored) {
                    self.attendant.stored(acked);
                }
                let ids = self.outbox.stored(&stored);
                self.counts.stored += ids.len() as u64;
                self.counts.spool_is_full &= ids.is_empty();
                self.spool.remove(&ids).await;
            }
        }
    }

    /// Says once that the broker takes frames that nobody stores.
    fn look_for_a_bridge(&mut self) {
        let unstored_for = self.outbox.unstored_for(Instant::now().into_std());
        if unstored_for.is_some() && !mem::replace(&mut self.counts.nobody_stores, true) {
            warn!(
                ?unstored_for,
                "the broker takes frames, but nobody says that they are stored: is a bridge running, and is the \
                 certificate this camera's (its name is `camera`)?"
            );
        }
    }

    /// When some of the backlog may be sent that may not now, without anything else happening.
    fn backlog_due(&self) -> Option<Instant> {
        let uplink =
            || self.uplink.backlog_due(&self.outbox, Instant::now().into_std()).map(Instant::from_std);
        self.backlog_held_until.or_else(uplink)
    }

    /// Sends as much of the backlog as may be sent now.
    async fn send_backlog(&mut self) {
        self.backlog_held_until.take_if(|until| *until <= Instant::now());
        while self.backlog_held_until.is_none()
            && self.uplink.has_room_for_backlog(self.outbox.flights(), Instant::now().into_std())
            && let Some(id) = self.outbox.next(Instant::now().into_std())
        {
            match self.spool.read(id).await {
                Ok(jpeg) => {
                    if mem::take(&mut self.counts.spool_is_unreadable) {
                        info!("the spool can be read again");
                    }
                    self.send(id, jpeg, Way::Backlog);
                }
                Err(Unreadable::Unavailable(error)) => {
                    if !mem::replace(&mut self.counts.spool_is_unreadable, true) {
                        warn!(frame = %id, %error, "the spool cannot be read, it is tried again: check its medium");
                    }
                    let now = Instant::now();
                    self.outbox.unavailable(id, now.into_std());
                    self.backlog_held_until = Some(now + UNREADABLE_PAUSE);
                }
                Err(Unreadable::Damaged) => {
                    warn!(frame = %id, "a spooled frame is damaged, dropped");
                    self.counts.damaged += 1;
                    self.outbox.unreadable(id);
                    self.spool.remove(&[id]).await;
                }
            }
        }
    }

    fn summarize(&self) {
        let Tally { captured, sent, stored, unstored, spool_bytes, dropped, .. } = self.tally();
        info!(captured, sent, stored, unstored, spool_bytes, ?dropped, "frames since the start");
    }

    fn tally(&self) -> Tally {
        let Counts { captured, sent, stored, rejected, dropped, damaged, .. } = &self.counts;
        let mut by_reason = rejected.clone();
        let others = [("spool_full", *dropped), ("damaged", *damaged)];
        by_reason.extend(others.into_iter().filter(|(_, count)| *count > 0));
        Tally {
            captured: *captured,
            sent: *sent,
            stored: *stored,
            dropped: by_reason,
            unstored: self.outbox.unstored(),
            unstored_for: self.outbox.unstored_for(Instant::now().into_std()),
            spool_bytes: self.spool.bytes(),
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
