//! Where pictures come from. Every source runs by itself and gives its pictures, with their capture times, to
//! one channel. While it runs, it can be asked for more or less ([`Demand`]), and says how it is doing ([`Health`],
//! [`Losses`]).

mod demand;
mod footage;
mod health;
mod pace;
mod pattern;
mod v4l2;

use std::{sync::Arc, time::Duration};

use teiten_footage::{CameraId, Timestamp};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::{config, stamper::Picture};

pub(crate) use demand::Demand;
pub use v4l2::{encoding_cost, list_devices};

pub(crate) use health::{Health, Loss, Losses};

/// Pictures that may wait while the agent is busy with its spool; a source waits when there are more.
const PICTURES_MAX: usize = 4;

/// A running source. Dropping it stops it.
pub(crate) struct Pictures {
    receiver: mpsc::Receiver<Picture>,
    demand: Arc<watch::Sender<Demand>>,
    health: watch::Receiver<Health>,
    losses: Arc<Losses>,
    _task: AbortOnDropHandle<()>,
}

/// What a source works with.
struct Outlet {
    pictures: mpsc::Sender<Picture>,
    demand: watch::Receiver<Demand>,
    health: watch::Sender<Health>,
    losses: Arc<Losses>,
}

impl Pictures {
    /// Starts the source that the settings name.
    pub(crate) async fn start(camera: &CameraId, settings: &config::Source) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::channel(PICTURES_MAX);
        let (demand, demanded) = watch::channel(Demand::default());
        let (told, health) = watch::channel(Health::default());
        let losses = Arc::<Losses>::default();
        let outlet = Outlet { pictures: sender, demand: demanded, health: told, losses: Arc::clone(&losses) };
        let task = match settings {
            config::Source::Pattern(settings) => spawn(pattern::play(camera.clone(), *settings, outlet)),
            config::Source::Footage(settings) => {
                let reel = footage::Reel::open(&settings.path).await?;
                spawn(footage::play(reel, settings.rate, settings.repeat, outlet))
            }
            config::Source::V4l2(settings) => spawn(v4l2::play(settings.clone(), outlet)),
        };
        let demand = Arc::new(demand);
        Ok(Self { receiver, demand, health, losses, _task: AbortOnDropHandle::new(task) })
    }

    /// Where the source is asked for more or less while it runs.
    pub(crate) fn demand(&self) -> Arc<watch::Sender<Demand>> {
        Arc::clone(&self.demand)
    }

    /// How the source is doing, as it changes.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// What became no picture, and why.
    pub(crate) fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.losses)
    }

    /// The next picture; `None` once there will be no more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Picture> {
        self.receiver.recv().await
    }
}

fn spawn(play: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(play.in_current_span())
}

/// Ticks at whole multiples of a period after its start, so that it does not drift. A tick that was missed is
/// left out.
struct Ticker(Interval);

impl Ticker {
    fn new(period: Duration) -> Self {
        Self::at(Instant::now(), period)
    }

    fn at(start: Instant, period: Duration) -> Self {
        let mut interval = interval_at(start, period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self(interval)
    }

    /// Waits for the next tick of this period: the wall clock then.
    async fn tick(&mut self, period: Duration) -> Timestamp {
        if self.0.period() != period {
            *self = Self::at(Instant::now() + period, period);
        }
        self.0.tick().await;
        teiten_telemetry::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outlet and what comes out of it. Its demand stays as it is.
    pub(super) fn outlet() -> (Outlet, mpsc::Receiver<Picture>) {
        let (pictures, receiver) = mpsc::channel(10);
        let (health, _) = watch::channel(Health::default());
        let (_, demand) = watch::channel(Demand::default());
        (Outlet { pictures, demand, health, losses: Arc::default() }, receiver)
    }
}
