//! Where pictures come from. Every source runs by itself and gives its pictures, with their capture times, to
//! one channel.

mod footage;
mod pattern;
mod v4l2;

use std::time::Duration;

use teiten_footage::{CameraId, Timestamp};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::{config, stamper::Picture};

/// Pictures that may wait while the agent is busy with its spool; a source waits when there are more.
const PICTURES_MAX: usize = 4;

/// A running source. Dropping it stops it.
pub(crate) struct Pictures {
    receiver: mpsc::Receiver<Picture>,
    _task: AbortOnDropHandle<()>,
}

impl Pictures {
    /// Starts the source that the settings name.
    pub(crate) async fn start(camera: &CameraId, settings: &config::Source) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::channel(PICTURES_MAX);
        let task = match settings {
            config::Source::Pattern(settings) => spawn(pattern::play(camera.clone(), *settings, sender)),
            config::Source::Footage(settings) => {
                let reel = footage::Reel::open(&settings.path).await?;
                spawn(footage::play(reel, settings.rate, settings.repeat, sender))
            }
            config::Source::V4l2(settings) => spawn(v4l2::play(settings.clone(), sender)),
        };
        Ok(Self { receiver, _task: AbortOnDropHandle::new(task) })
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
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self(interval)
    }

    /// Waits for the next tick: the wall clock then.
    async fn tick(&mut self) -> Timestamp {
        self.0.tick().await;
        teiten_telemetry::now()
    }
}
