//! The shell around [`crate::plan`]: list, decide, send.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use teiten_bucket::{Bucket, BucketError, listing};
use teiten_footage::{CameraId, Timestamp};
use teiten_host::{Chore, Clock, Failure, PerCamera, turns};
use teiten_sink::Sink;
use teiten_telemetry::metrics::function_metrics;
use tokio::time::Instant;
use tracing::warn;

use crate::{cameras, dead_letters, found::Found, memory::Memory, report::Report, settings::Settings};

/// Cameras that are looked at at a time.
const CAMERAS_AT_A_TIME: usize = 4;

/// Finds what got lost between the parts, and sends its events again.
#[derive(Debug)]
pub struct Reconcile {
    pub(crate) frames: Arc<dyn Bucket>,
    pub(crate) media: Arc<dyn Bucket>,
    pub(crate) sink: Sink,
    clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) memories: PerCamera<Memory>,
}

impl Reconcile {
    /// Compares `frames` with `media`, and sends events to `sink`.
    pub fn new(frames: Arc<dyn Bucket>, media: Arc<dyn Bucket>, sink: Sink, settings: Settings) -> Self {
        Self::with_clock(frames, media, sink, settings, teiten_telemetry::now)
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(
        frames: Arc<dyn Bucket>,
        media: Arc<dyn Bucket>,
        sink: Sink,
        settings: Settings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { frames, media, sink, clock: Clock::new(clock), settings, memories: PerCamera::default() }
    }
}

/// What became of looking at all cameras.
#[derive(Default)]
struct Looks {
    found: Vec<Found>,
    /// Cameras of which the store refused something.
    failed: BTreeSet<CameraId>,
    /// Why, of the first one.
    error: Option<BucketError>,
}

impl Reconcile {
    /// Looks at each of `cameras`. Where the store refuses something of one, the others go on: what they lost expires, and a single object
    /// can be damaged for good. Where it has nothing of any, or time is over (`end`), it is the store that fails.
    async fn look_at_all(
        &self,
        cameras: Vec<CameraId>,
        now: Timestamp,
        end: Instant,
    ) -> Result<Looks, BucketError> {
        // From now on: where there are many folders, finding them takes longer than that.
        let until = Instant::now() + self.settings.looks;
        let mut looked = stream::iter(cameras)
            .map(|camera| async move { (self.look(camera.clone(), now, until).await, camera) })
            .buffered(CAMERAS_AT_A_TIME);
        let mut looks = Looks::default();
        while let Some((look, camera)) = looked.next().await {
            match look {
                Ok(found) => looks.found.push(found),
                Err(error) if Instant::now() < end => {
                    warn!(%camera, %error, "camera not looked at");
                    looks.failed.insert(camera);
                    looks.error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if looks.found.is_empty()
            && let Some(error) = looks.error
        {
            return Err(error);
        }
        Ok(looks)
    }
}

#[async_trait]
impl Chore for Reconcile {
    const NAME: &'static str = "reconcile";
    const REPORT_KIND: &'static str = "teiten.reconciled";
    type Report = Report;

    async fn run(&self) -> Result<Report, Failure> {
        let now = self.clock.now();
        let begun = Instant::now();
        let Settings { period, horizon, all, .. } = self.settings;
        let list = cameras::read(&*self.media).await.map_err(Failure::transient)?;
        let (filmed, published) =
            tokio::try_join!(listing::folders(&*self.frames), listing::folders(&*self.media))
                .map_err(Failure::transient)?;
        let mut looked_at: Vec<CameraId> = filmed.union(&published).cloned().collect();
        let first = turns::first_of(looked_at.len(), turns::run_number(now, period));
        looked_at.rotate_left(first);
        let Looks { found, failed, error } =
            self.look_at_all(looked_at, now, begun + all).await.map_err(Failure::transient)?;

        let mut report = Report::of(&found, now, horizon);
        report.playlists_stale = self.send_live(&found).await?;
        for Found { camera, without_segment, .. } in &found {
            if let Some(first) = without_segment.oldest {
                warn!(%camera, count = without_segment.count, %first, "batches without segments");
            }
        }
        let listed = found.iter().filter(|found| found.is_listed).map(|found| found.camera.clone()).collect();
        report.cameras_rebuilt =
            cameras::rebuild(&*self.media, list, listed, failed).await.map_err(Failure::transient)?;
        report.dead_letters = dead_letters::count(&*self.frames, now).await.map_err(Failure::transient)?;
        self.send_batches(&found, begun + all, &mut report).await?;
        report.tell();
        if let Some(error) = error {
            return Err(Failure::transient(error));
        }
        function_metrics().reconciled(self.clock.now());
        Ok(report)
    }
}
