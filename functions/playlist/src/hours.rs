//! The shell around [`advance_hour`]: the playlists of the archive, brought up to date once a minute in the wake of
//! events, and by whoever asks for it.
//!
//! A version costs a listing of what is new and a write: what was written last is remembered with its entity tag, so
//! it is only read where another instance was quicker. A camera takes about 200 kB of memory for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use teiten_bucket::{Bucket, BucketError, Condition, ETag, Listed, Put};
use teiten_footage::{CameraId, Hour, PackKey, SegmentKey, SensorKey, Timestamp, Window, WindowLength, key};
use teiten_host::PerCamera;
use tracing::{debug, info, warn};

use crate::{
    archive,
    hour::HourPlaylist,
    hour_advance::{HourStep, advance_hour, cutoff, is_over, of_hour},
    init_sections::InitSections,
    listing::{Listing, Stored},
    motion::{Written, motion_of},
    motion_hour::MotionHour,
    pack::stored_in_pack,
    renditions::write_renditions,
    shell::{COLLISIONS_MAX, PLAYLIST_HEADERS, ShellError},
    sizes::Sizes,
};

/// How many objects are listed at a time: what one request to S3 gives.
const PAGE: usize = 1000;

/// The most objects of an hour that are looked at: four for each of its shortest windows.
const HOUR_OBJECTS_MAX: usize = 4 * 7200;

/// How many packs are asked for their index at a time.
const PACKS_AT_A_TIME: usize = 8;

/// The most hours of one camera that are remembered for having got late footage; `reconcile` finds the others.
const LATE_MAX: usize = 64;

/// How many hours with late footage are mended at a time.
const MENDED_AT_A_TIME: usize = 4;

/// A playlist and the version of its object.
type Known = (HourPlaylist, ETag);

/// Keeps the playlists of hours, and `archive.json`, of every camera.
#[derive(Debug)]
pub(crate) struct Hours {
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
    open: BTreeMap<Hour, Known>,
}

impl Hours {
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
        if cutoff <= work.tried {
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
            let result = bring_up_to_date(&*self.media, camera, hour, now, known, motion).await;
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
            let result = bring_up_to_date(&*self.media, camera, hour, now, None, None).await;
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

/// Brings the playlist of an hour of `camera` up to date with a listing of its segments, by at most one step, and
/// `archive.json` with that.
pub async fn update_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    now: Timestamp,
) -> Result<Option<HourStep>, ShellError> {
    bring_up_to_date(media, camera, hour, now, None, None).await.map(|(step, _)| step)
}

/// The playlist of an hour of `camera`, if there is one.
pub async fn read_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
) -> Result<Option<HourPlaylist>, ShellError> {
    Ok(read(media, camera, hour).await?.map(|(playlist, _)| playlist))
}

/// By at most one step. `known` is the playlist as it was last seen, `motion` what moved; either is read where it is not at hand.
async fn bring_up_to_date(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    now: Timestamp,
    mut known: Option<Known>,
    motion: Option<&MotionHour>,
) -> Result<(Option<HourStep>, Option<Known>), ShellError> {
    let spans = match motion {
        Some(motion) => Some(motion.spans(is_over(hour, now))),
        None => motion_of(media, camera, hour, now).await?,
    };
    let key = key::hour_playlist_key(camera, hour);
    let mut rendered = false;
    for _ in 0..COLLISIONS_MAX {
        let current = match known.take() {
            Some(known) => Some(known),
            None => read(media, camera, hour).await?,
        };
        let playlist = current.as_ref().map(|(playlist, _)| playlist);
        // A version that is ended tells the sizes of all that it lists.
        let from = match playlist {
            Some(playlist) if !playlist.ended() && !is_over(hour, now) => playlist.listed_until(),
            _ => hour.start(),
        };
        let stored = objects_from(media, camera, hour, from).await?.stored(media).await?;
        let advanced = advance_hour(playlist, camera, hour, &stored, spans.as_deref(), now);
        let Some((step, next)) = advanced else {
            if let Some((playlist, _)) = current.as_ref().filter(|_| rendered) {
                // Someone else was quicker with the playlist, perhaps not with what is beside it.
                let listings = of_hour(&stored, hour, hour.start(), hour.end());
                render(media, &HourPlaylist { listings, ..playlist.clone() }, &stored).await?;
            }
            return Ok((None, current));
        };
        rendered |= next.ended();
        let text = Bytes::from(render(media, &next, &stored).await?);
        let condition =
            current.as_ref().map_or(Condition::IfAbsent, |(_, etag)| Condition::IfMatch(etag.clone()));
        if let Put::Stored(etag) = media.put(&key, text, PLAYLIST_HEADERS, condition).await? {
            report(step, &next);
            if current.is_none() {
                let length =
                    next.listings().last().map_or(WindowLength::DEFAULT, |last| last.window.length());
                if let Err(error) = archive::name_hour(media, camera, hour, length).await {
                    warn!(%camera, %hour, %error, "archive does not name an hour until it is reconciled");
                }
            }
            return Ok((Some(step), Some((next, etag))));
        }
    }
    Err(ShellError::Contended { key })
}

/// The text of a version. What is beside an ended one is written first: so it is never without, and they name what is there already.
/// `stored` is what is stored of its hour.
async fn render(
    media: &dyn Bucket,
    playlist: &HourPlaylist,
    stored: &[Stored],
) -> Result<String, ShellError> {
    if !playlist.ended() {
        return Ok(playlist.text(&Sizes::of(&[], &InitSections::default())));
    }
    let hashes = playlist.listings().iter().map(|listing| listing.init);
    let inits = InitSections::of(media, playlist.camera(), hashes).await?;
    let sizes = Sizes::of(stored, &inits);
    write_renditions(media, playlist, &sizes).await?;
    Ok(playlist.text(&sizes))
}

async fn read(media: &dyn Bucket, camera: &CameraId, hour: Hour) -> Result<Option<Known>, ShellError> {
    let key = key::hour_playlist_key(camera, hour);
    let Some(object) = media.get(&key).await? else { return Ok(None) };
    let foreign = |why: String| ShellError::Foreign { key: key.clone(), why };
    let text = std::str::from_utf8(&object.bytes).map_err(|error| foreign(error.to_string()))?;
    let playlist = HourPlaylist::parse(camera, hour, text).map_err(|error| foreign(error.to_string()))?;
    Ok(Some((playlist, object.etag)))
}

/// What is stored of an hour.
#[derive(Debug, Clone, Default)]
pub struct StoredHourObjects {
    /// The segments in objects of their own.
    pub segments: Vec<StoredSegment>,
    /// The packs.
    pub packs: Vec<StoredPack>,
    /// What sensors saw.
    pub sensor: Vec<SensorKey>,
}

/// A segment in an object of its own.
#[derive(Debug, Clone)]
pub struct StoredSegment {
    /// Its key.
    pub key: SegmentKey,
    /// When it was written, in milliseconds since the Unix epoch.
    pub modified_unix_millis: u64,
    /// Its size.
    pub size_bytes: u64,
}

/// A pack.
#[derive(Debug, Clone)]
pub struct StoredPack {
    /// Its key.
    pub key: PackKey,
    /// When it was written, in milliseconds since the Unix epoch.
    pub modified_unix_millis: u64,
}

impl StoredHourObjects {
    /// Notes an object. What is none of these is someone else's and of no concern.
    pub(crate) fn note(&mut self, object: Listed) {
        let Listed { key, size_bytes, modified_unix_millis } = object;
        if let Ok(key) = key.parse() {
            self.segments.push(StoredSegment { key, modified_unix_millis, size_bytes });
        } else if let Ok(key) = key.parse() {
            self.packs.push(StoredPack { key, modified_unix_millis });
        } else if let Ok(key) = key.parse() {
            self.sensor.push(key);
        }
    }

    /// What can be listed: a request for each pack, several at a time.
    pub(crate) async fn stored(&self, media: &dyn Bucket) -> Result<Vec<Stored>, BucketError> {
        let mut stored: Vec<Stored> = self
            .segments
            .iter()
            .map(|segment| Stored {
                listing: Listing::of(&segment.key),
                modified_unix_millis: segment.modified_unix_millis,
                size_bytes: segment.size_bytes,
            })
            .collect();
        let packs: Vec<_> = self.packs.iter().map(|pack| stored_in_pack(media, &pack.key)).collect();
        let packed: Vec<Vec<Stored>> = stream::iter(packs).buffered(PACKS_AT_A_TIME).try_collect().await?;
        stored.extend(packed.into_iter().flatten());
        Ok(stored)
    }
}

/// The objects of an hour.
pub async fn stored_objects(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
) -> Result<StoredHourObjects, BucketError> {
    objects_from(media, camera, hour, hour.start()).await
}

/// The objects of an hour whose windows, or first windows, start at `from` or later.
async fn objects_from(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    from: Timestamp,
) -> Result<StoredHourObjects, BucketError> {
    let prefix = key::hour_prefix(camera, hour);
    let mut after = key::segments_from(camera, Window::containing(from, WindowLength::MIN));
    let mut objects = StoredHourObjects::default();
    for _ in 0..HOUR_OBJECTS_MAX / PAGE {
        if from >= hour.end() {
            break;
        }
        let page = media.list_after(&prefix, &after, PAGE).await?;
        let is_last = page.len() < PAGE;
        if let Some(last) = page.last() {
            after.clone_from(&last.key);
        }
        page.into_iter().for_each(|object| objects.note(object));
        if is_last {
            break;
        }
    }
    Ok(objects)
}

/// Says what is worth knowing about a new version that is published.
fn report(step: HourStep, playlist: &HourPlaylist) {
    let (camera, hour) = (playlist.camera(), playlist.hour());
    let (segments, holes) = (playlist.listings().len(), playlist.holes());
    match step {
        HourStep::Begun => info!(%camera, %hour, "playlist of an hour begun"),
        HourStep::Extended => debug!(%camera, %hour, segments, "playlist of an hour extended"),
        HourStep::Ended => info!(%camera, %hour, segments, holes, "playlist of an hour ended"),
        HourStep::Mended => info!(%camera, %hour, segments, holes, "playlist of an hour mended"),
    }
}
