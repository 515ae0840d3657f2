//! The archive of each camera, brought up to date once a minute in the wake of events.
//!
//! A version of an hour's playlist costs a listing of what is new and a write: what was written last is remembered with its entity tag,
//! so it is only read where another instance was quicker. A camera takes about 200 kB of memory for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use teiten_archive::{HourStep, KnownHour, ShellError, cutoff, is_over, update_known_hour};
use teiten_bucket::Bucket;
use teiten_footage::{CameraId, Hour, SegmentKey, Timestamp};
use teiten_host::PerCamera;
use tracing::warn;

use crate::motions::Written;

/// The most hours of one camera that are remembered for having got late footage; `reconcile` finds the others.
const LATE_MAX: usize = 64;

/// How many hours with late footage are mended at a time.
const MENDED_AT_A_TIME: usize = 4;

/// Keeps the playlists of hours, and `archive.json`, of every camera.
#[derive(Debug)]
pub(crate) struct Archives {
    media: Arc<dyn Bucket>,
    cameras: PerCamera<Memory>,
}

/// What is remembered of a camera.
#[derive(Debug, Default)]
struct Memory {
    /// Hours that got footage after the version that should have listed it.
    late: Mutex<BTreeSet<Hour>>,
    work: tokio::sync::Mutex<Work>,
}

/// Where one at a time is at work.
#[derive(Debug, Default)]
struct Work {
    /// The cutoff of the last versions that were tried.
    tried: Timestamp,
    /// The playlists that are not ended, as they were last seen.
    open: BTreeMap<Hour, KnownHour>,
}

impl Archives {
    pub(crate) fn new(media: Arc<dyn Bucket>) -> Self {
        Self { media, cameras: PerCamera::default() }
    }

    /// Works in that `segment` is stored, if the time for that has come and nobody else is at it.
    pub(crate) async fn segment_stored(
        &self,
        segment: &SegmentKey,
        moved: &Written,
        now: Timestamp,
    ) -> Result<(), ShellError> {
        let camera = &segment.camera;
        let memory = self.cameras.of(camera);
        let cutoff = cutoff(camera, now);
        if segment.window.end() <= cutoff {
            memory.note_late(Hour::of(segment.window));
        }
        moved.late.iter().for_each(|hour| memory.note_late(*hour));
        let Ok(mut work) = memory.work.try_lock() else { return Ok(()) };
        // An earlier one counts: where the clock was ahead, it will be long until that time is there.
        if cutoff == work.tried {
            return Ok(());
        }
        work.tried = cutoff;
        let ended = self.rewrite_open(camera, cutoff, moved, now, &mut work).await?;
        self.mend_late(camera, &ended, now, &memory).await
    }

    /// Brings up to date what is not ended; answers which hours are now.
    async fn rewrite_open(
        &self,
        camera: &CameraId,
        cutoff: Timestamp,
        moved: &Written,
        now: Timestamp,
        work: &mut Work,
    ) -> Result<BTreeSet<Hour>, ShellError> {
        let current = Hour::containing(cutoff - std::time::Duration::from_millis(1));
        let hours: BTreeSet<Hour> = work.open.keys().copied().chain([current]).collect();
        let mut ended = BTreeSet::new();
        for hour in hours {
            let known = work.open.remove(&hour);
            let motion = moved.hours.get(&hour);
            let result = update_known_hour(&*self.media, camera, hour, now, known, motion).await;
            let Some((_, known)) = unless_foreign(camera, hour, result)? else { continue };
            match known {
                Some(known) if !known.0.ended() => {
                    work.open.insert(hour, known);
                }
                Some(_) => {
                    ended.insert(hour);
                }
                None => {}
            }
        }
        Ok(ended)
    }

    /// Mends hours that are over and got late footage, but for those that have only just `ended`: whoever
    /// watched them grow shall see the end first.
    async fn mend_late(
        &self,
        camera: &CameraId,
        ended: &BTreeSet<Hour>,
        now: Timestamp,
        memory: &Memory,
    ) -> Result<(), ShellError> {
        let is_due = |hour: &Hour| is_over(*hour, now) && !ended.contains(hour);
        let due: Vec<Hour> = memory.late().iter().copied().filter(is_due).take(MENDED_AT_A_TIME).collect();
        for hour in due {
            // Forgotten first: what comes from now on may be too late for this listing.
            memory.late().remove(&hour);
            let result = update_known_hour(&*self.media, camera, hour, now, None, None).await;
            let result = unless_foreign(camera, hour, result);
            // Where it was only ended, what is late is still to be put in.
            if !matches!(result, Ok(None | Some((None | Some(HourStep::Mended), _)))) {
                memory.note_late(hour);
            }
            result?;
        }
        Ok(())
    }
}

/// A playlist that is not ours costs its own hour only, until somebody takes it away.
fn unless_foreign<T>(
    camera: &CameraId,
    hour: Hour,
    result: Result<T, ShellError>,
) -> Result<Option<T>, ShellError> {
    match result {
        Err(error @ ShellError::Foreign { .. }) => {
            warn!(%camera, %hour, %error, "playlist of an hour left as it is");
            Ok(None)
        }
        result => result.map(Some),
    }
}

impl Memory {
    fn late(&self) -> MutexGuard<'_, BTreeSet<Hour>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_late(&self, hour: Hour) {
        let mut late = self.late();
        if late.len() < LATE_MAX {
            late.insert(hour);
        }
    }
}
