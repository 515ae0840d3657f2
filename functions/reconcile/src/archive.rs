//! The archive of a camera, compared with what is stored: the playlists of its hours, and `archive.json`.
//!
//! The playlists of hours are brought up to date by whoever notices: here it is the hour whose camera fell silent
//! before it was over, and footage of which nobody was told. What has expired is no longer named.

use std::collections::BTreeSet;

use teiten_bucket::{Bucket, BucketError, Condition, Put};
use teiten_footage::{CameraId, Hour, SensorKey, Timestamp, Window, WindowLength, key};
use teiten_playlist::{
    Archive, Footage, ShellError, StoredHour, is_stale, read_hour, stored_hour, update_hour,
};
use tracing::warn;

use crate::plan;

/// Brings up to date the playlist of an hour whose segments (`segments`: all from `from` on) are not listed as they should be.
/// Says whether a version was written.
pub(crate) async fn mend_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    segments: &[Footage],
    from: Timestamp,
    now: Timestamp,
) -> Result<bool, BucketError> {
    if segments.is_empty() || plan::is_under_way(hour, segments, now) {
        return Ok(false);
    }
    let Some(playlist) = unless_foreign(camera, read_hour(media, camera, hour).await)? else {
        return Ok(false);
    };
    Ok(is_stale(playlist.as_ref(), camera, hour, segments, from, now)
        && unless_foreign(camera, update_hour(media, camera, hour, now).await)?.flatten().is_some())
}

/// Writes the camera's `archive.json` anew, if it does not name just the hours that have a playlist and footage; says
/// whether it did. Hours within the camera's archive are believed, unless this is a `survey`: what expires is at its
/// beginning, and what is new is in `filmed`. `newest` is the newest window of that.
pub(crate) async fn mend_archive(
    media: &dyn Bucket,
    camera: &CameraId,
    filmed: &BTreeSet<Hour>,
    newest: Option<Window>,
    now: Timestamp,
    survey: bool,
) -> Result<bool, BucketError> {
    // Read before the listing: who adds an hour in between makes the write below be refused.
    let (archive, condition) = match media.get(&key::archive_key(camera)).await? {
        None => (None, Condition::IfAbsent),
        Some(object) => (Archive::parse(&object.bytes).ok(), Condition::IfMatch(object.etag)),
    };
    let first = first_hour_with_footage(media, camera).await?;
    if let Some(first) = first {
        mend_first_hour(media, camera, first, now).await?;
    }
    let hours = match (&archive, first) {
        (_, None) => BTreeSet::new(),
        (Some(archive), Some(first)) if !survey => {
            named_hours(media, camera, archive, first.hour, filmed).await?
        }
        _ => stored_hours(media, camera, now).await?,
    };
    if hours.is_empty() && archive.is_none() {
        return Ok(false);
    }
    let known = archive.as_ref().and_then(|archive| WindowLength::from_millis(archive.window_millis).ok());
    let length = newest.map(|window| window.length()).or(known).unwrap_or_default();
    let right = Archive::of(length, hours);
    if archive.as_ref() == Some(&right) {
        return Ok(false);
    }
    // Where it was changed since it was read, a later run sees what is right.
    Ok(matches!(right.put(media, camera, condition).await?, Put::Stored(_)))
}

/// The hours that `archive` names from the `first` one with footage on, and those of `filmed` that have a playlist.
async fn named_hours(
    media: &dyn Bucket,
    camera: &CameraId,
    archive: &Archive,
    first: Hour,
    filmed: &BTreeSet<Hour>,
) -> Result<BTreeSet<Hour>, BucketError> {
    let mut hours: BTreeSet<Hour> = archive.hours().filter(|hour| *hour >= first).collect();
    for hour in filmed {
        if !hours.contains(hour)
            && unless_foreign(camera, read_hour(media, camera, *hour).await)?.flatten().is_some()
        {
            hours.insert(*hour);
        }
    }
    Ok(hours)
}

/// The hours that have a playlist and footage: a request for each hour of the archive. What is over and has no playlist is given
/// one.
async fn stored_hours(
    media: &dyn Bucket,
    camera: &CameraId,
    now: Timestamp,
) -> Result<BTreeSet<Hour>, BucketError> {
    let mut hours = BTreeSet::new();
    let mut after = None;
    while let Some(StoredHour { hour, has_playlist, first }) = stored_hour(media, camera, after).await? {
        let is_listed = match first {
            None => false,
            Some(_) if has_playlist => true,
            Some(_) if plan::is_settled(hour, now) => {
                warn!(%camera, %hour, "an hour with footage has no playlist: it is listed anew");
                unless_foreign(camera, update_hour(media, camera, hour, now).await)?.flatten().is_some()
            }
            Some(_) => false,
        };
        if is_listed {
            hours.insert(hour);
        }
        after = Some(hour);
    }
    Ok(hours)
}

async fn first_hour_with_footage(
    media: &dyn Bucket,
    camera: &CameraId,
) -> Result<Option<StoredHour>, BucketError> {
    let mut after = None;
    while let Some(stored) = stored_hour(media, camera, after).await? {
        if stored.first.is_some() {
            return Ok(Some(stored));
        }
        after = Some(stored.hour);
    }
    Ok(None)
}

/// Takes out of the playlist of the first hour what has expired of it.
async fn mend_first_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    first: StoredHour,
    now: Timestamp,
) -> Result<(), BucketError> {
    let playlist = unless_foreign(camera, read_hour(media, camera, first.hour).await)?.flatten();
    let stored = first.first.map(|window| window.start());
    let listed = playlist
        .filter(|playlist| playlist.ended())
        .and_then(|playlist| playlist.listings().first().map(|listing| listing.window.start()));
    if listed.is_some() && listed < stored {
        unless_foreign(camera, update_hour(media, camera, first.hour, now).await)?;
    }
    Ok(())
}

/// Writes down what moved in those of `segments`, and what sensors saw, where its event was lost. Answers how many hours were written.
pub(crate) async fn mend_motion(
    media: &dyn Bucket,
    camera: &CameraId,
    segments: &[Footage],
    sensor: &[SensorKey],
    heads_left: &mut usize,
    now: Timestamp,
) -> Result<usize, BucketError> {
    let mended = teiten_playlist::mend_motion(media, camera, segments, sensor, heads_left, now).await;
    Ok(unless_foreign(camera, mended)?.unwrap_or_default())
}

/// What is not ours, or contended, costs itself only.
fn unless_foreign<T>(camera: &CameraId, result: Result<T, ShellError>) -> Result<Option<T>, BucketError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ShellError::Bucket(error)) => Err(error),
        Err(error) => {
            warn!(%camera, %error, "playlist of an hour not mended");
            Ok(None)
        }
    }
}
