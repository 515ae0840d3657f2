//! One agent: takes pictures from its source, keeps them as frames in its spool, and sends what the outbox says
//! over its link, until it is told to stop.

use std::{future::pending, time::Duration};

use teiten_footage::FrameId;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::{
    clock::Clock,
    config::Config,
    link::{Link, Signal},
    outbox::{Entry, Outbox},
    source::Pictures,
    spool::Spool,
    stamper::{Picture, Rejected, Stamper},
};

/// How long an agent that is told to stop waits until what it has sent is stored: a window of 6 s, the bridge's
/// grace, and some time to store.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How often the log says how things are.
const SUMMARY_PERIOD: Duration = Duration::from_secs(60);

/// Runs one agent until `shutdown`, or until the last frame of footage that is not repeated is stored. On
/// shutdown it takes no more pictures and waits up to 10 s until its frames are stored: all of them if the spool
/// would be lost with the process, else those that were sent.
///
/// Several agents can run in one process, each with a camera name of its own.
///
/// # Errors
/// If it cannot start: the footage or the spool's directory cannot be used. A missing broker or camera device is
/// no error; they may come.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let span = info_span!("agent", camera = %config.camera);
    async move {
        let (mut agent, mut pictures) = Agent::start(&config).await?;
        let Config { source, broker, spool, .. } = &config;
        info!(%source, %broker, %spool, found = agent.outbox.unstored(), "started");
        agent.work(&mut pictures, &shutdown).await;
        drop(pictures);
        agent.stop().await;
        Ok(())
    }
    .instrument(span)
    .await
}

struct Agent {
    clock: Clock,
    stamper: Stamper,
    spool: Spool,
    outbox: Outbox,
    link: Link,
    /// Whether the outbox's backlog is sent.
    sends_backlog: bool,
    counts: Counts,
}

/// Frames since the start.
#[derive(Debug, Default)]
struct Counts {
    captured: u64,
    stored: u64,
    /// Pictures that became no frame.
    rejected: u64,
    /// Frames that had to make room for others.
    dropped: u64,
    /// Frames that could not be read back from the spool.
    damaged: u64,
    last_rejected: Option<Rejected>,
    spool_is_full: bool,
}

impl Agent {
    async fn start(config: &Config) -> anyhow::Result<(Self, Pictures)> {
        let (spool, found) = Spool::open(&config.spool, &config.camera).await?;
        let mut outbox = Outbox::default();
        for entry in found {
            outbox.found(entry);
        }
        let clock = Clock::system();
        let agent = Self {
            clock: clock.clone(),
            stamper: Stamper::new(),
            spool,
            outbox,
            link: Link::new(config.camera.clone(), config.broker.clone(), clock)?,
            sends_backlog: true,
            counts: Counts::default(),
        };
        Ok((agent, Pictures::start(&config.camera, &config.source).await?))
    }

    /// Takes, sends and deletes, until `shutdown` or until the source has ended and everything is stored.
    async fn work(&mut self, pictures: &mut Pictures, shutdown: &CancellationToken) {
        let mut summary = interval(SUMMARY_PERIOD);
        summary.set_missed_tick_behavior(MissedTickBehavior::Delay);
        summary.reset();
        let mut playing = true;
        while playing || self.outbox.unstored() > 0 {
            let due = self.outbox.wake_at();
            tokio::select! {
                () = shutdown.cancelled() => return,
                picture = pictures.next(), if playing => match picture {
                    Some(picture) => self.take(picture).await,
                    None => playing = false,
                },
                signal = self.link.next() => self.hear(signal).await,
                () = until(due) => {}
                _ = summary.tick() => self.summarize(),
            }
            self.send_backlog().await;
        }
    }

    /// Waits, for a while, until what is worth waiting for is stored; then says goodbye.
    async fn stop(mut self) {
        // Frames in a directory are safe there, so no more of them are sent.
        self.sends_backlog = !self.spool.outlives_the_process();
        let drained = async {
            while if self.sends_backlog { self.outbox.unstored() } else { self.outbox.sent() } > 0 {
                let due = self.outbox.wake_at().filter(|_| self.sends_backlog);
                tokio::select! {
                    signal = self.link.next() => self.hear(signal).await,
                    () = until(due) => {}
                }
                self.send_backlog().await;
            }
        };
        // Whether all is drained shows in the number below.
        let _in_time = timeout(DRAIN_MAX, drained).await;
        self.summarize();
        let unstored = self.outbox.unstored();
        if unstored > 0 && self.spool.outlives_the_process() {
            info!(unstored, "stopping, the frames that are not stored are kept for the next run");
        } else if unstored > 0 {
            warn!(unstored, "stopping, the frames that are not stored are lost");
        } else {
            info!("stopping, all frames are stored");
        }
        self.link.close().await;
    }

    /// Makes a frame of a picture, keeps it, and sends it if it can be sent at once.
    async fn take(&mut self, picture: Picture) {
        let frame = match self.stamper.stamp(picture, self.clock.earliest()) {
            Ok(frame) => frame,
            Err(rejected) => {
                self.counts.rejected += 1;
                if self.counts.last_rejected.replace(rejected) != Some(rejected) {
                    warn!(reason = %rejected, "a picture is left out, and so are others like it");
                }
                return;
            }
        };
        self.counts.captured += 1;
        let dropped = self.spool.keep(&frame).await;
        let entry = Entry { id: frame.id, captured: frame.captured, bytes: frame.jpeg.len() };
        if self.outbox.captured(entry) {
            self.link.publish(frame.id, frame.jpeg);
        }
        self.drop_oldest(&dropped);
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
            Signal::Up => self.outbox.connected(),
            Signal::Down => self.outbox.disconnected(),
            Signal::Acked(id) => self.outbox.acked(id, now),
            Signal::Hello => self.outbox.hello(now),
            Signal::Stored(stored) => {
                let ids = self.outbox.stored(&stored);
                self.counts.stored += ids.len() as u64;
                self.counts.spool_is_full &= ids.is_empty();
                self.spool.remove(&ids).await;
            }
        }
    }

    /// Sends as much of the backlog as may be sent now.
    async fn send_backlog(&mut self) {
        while self.sends_backlog
            && let Some(id) = self.outbox.next(Instant::now().into_std())
        {
            match self.spool.read(id).await {
                Some(jpeg) => self.link.publish(id, jpeg),
                None => {
                    warn!(frame = %id, "a spooled frame is damaged, dropped");
                    self.counts.damaged += 1;
                    self.outbox.unreadable(id);
                    self.spool.remove(&[id]).await;
                }
            }
        }
    }

    fn summarize(&self) {
        let Counts { captured, stored, rejected, dropped, damaged, .. } = self.counts;
        let (unstored, spool_bytes) = (self.outbox.unstored(), self.spool.bytes());
        info!(captured, stored, unstored, spool_bytes, rejected, dropped, damaged, "frames since the start");
    }
}

async fn until(time: Option<std::time::Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}
