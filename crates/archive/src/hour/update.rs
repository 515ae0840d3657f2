//! The shell around [`advance_hour`]: lists what is stored of an hour, asks what its playlist becomes, and writes that by
//! compare-and-swap.

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use teiten_bucket::{Bucket, BucketError, Condition, ETag, Listed, Put};
use teiten_footage::{CameraId, Hour, PackKey, SegmentKey, SensorKey, Timestamp, Window, WindowLength, key};
use tracing::{debug, info, warn};

use crate::{
    archive,
    hour::{
        HourPlaylist,
        advance::{HourStep, advance_hour, is_over, of_hour},
    },
    init_sections::InitSections,
    listing::{Listing, Stored},
    motion::{hour::MotionHour, motion_of},
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

/// A playlist and the version of its object.
pub type KnownHour = (HourPlaylist, ETag);

/// Brings the playlist of an hour of `camera` up to date with a listing of its segments, by at most one step, and
/// `archive.json` with that.
pub async fn update_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    now: Timestamp,
) -> Result<Option<HourStep>, ShellError> {
    update_known_hour(media, camera, hour, now, None, None).await.map(|(step, _)| step)
}

/// The playlist of an hour of `camera`, if there is one.
pub async fn read_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
) -> Result<Option<HourPlaylist>, ShellError> {
    Ok(read(media, camera, hour).await?.map(|(playlist, _)| playlist))
}

/// The same, where `known` is the playlist as it was last seen, and `motion` what moved; either is read where it is not at hand. Answers
/// the playlist as it is then as well.
pub async fn update_known_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    now: Timestamp,
    mut known: Option<KnownHour>,
    motion: Option<&MotionHour>,
) -> Result<(Option<HourStep>, Option<KnownHour>), ShellError> {
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
            if current.is_none()
                && let Err(error) = archive::name_hour(media, camera, hour).await
            {
                warn!(%camera, %hour, %error, "archive does not name an hour until it is reconciled");
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

async fn read(media: &dyn Bucket, camera: &CameraId, hour: Hour) -> Result<Option<KnownHour>, ShellError> {
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
