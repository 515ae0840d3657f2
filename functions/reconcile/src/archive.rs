//! The archive of a camera, compared with what is stored: the playlists of its hours, and `archive.json`.
//!
//! The playlists of hours are brought up to date by whoever notices: here it is the hour whose camera fell silent
//! before it was over, and footage of which nobody was told. What has expired is no longer named.

use std::collections::BTreeSet;

use teiten_archive::{
    Archive, Footage, ShellError, StoredHour, is_stale, read_hour, stored_hour, update_hour,
};
use teiten_bucket::{Bucket, BucketError, Condition, Put};
use teiten_footage::{CameraId, Hour, SensorKey, Timestamp, Window, key};
use tracing::warn;

use crate::{
    found::{Found, Sight},
    plan,
};

/// A look at all hours of an archive, and not at its beginning alone. It takes a request for each, and as many runs as it has to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Up to which hour it has come.
    after: Option<Hour>,
}

/// What became of a camera's `archive.json`.
pub(crate) struct Mended {
    /// Whether it was written anew.
    pub(crate) is_rebuilt: bool,
    /// The survey that the next run goes on with.
    pub(crate) survey: Option<Survey>,
}

/// Whether a camera's `archive.json` names an hour, as it does while footage is left. What somebody else wrote in its place is
/// written anew.
pub(crate) async fn names_hours(media: &dyn Bucket, camera: &CameraId) -> Result<bool, BucketError> {
    let Some(object) = media.get(&key::archive_key(camera)).await? else { return Ok(false) };
    Ok(Archive::parse(&object.bytes).map_or(true, |archive| archive.hours().next().is_some()))
}

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

/// Writes the camera's `archive.json` anew, if it does not name just the hours that have a playlist and footage. Hours that it names are
/// believed, unless a `survey` comes to them: what expires is at its beginning, and what is new was found. Where there is none, all is
/// surveyed.
pub(crate) async fn mend_archive(
    media: &dyn Bucket,
    found: &Found,
    sight: &Sight,
    survey: Option<Survey>,
) -> Result<Mended, BucketError> {
    let camera = &found.camera;
    // Read before the listing: who adds an hour in between makes the write below be refused.
    let (archive, condition) = match media.get(&key::archive_key(camera)).await? {
        None => (None, Condition::IfAbsent),
        Some(object) => (Archive::parse(&object.bytes).ok(), Condition::IfMatch(object.etag)),
    };
    let survey = survey.or_else(|| archive.is_none().then(Survey::default));
    let mut hours = BTreeSet::new();
    let mut next = None;
    // One that goes on is beyond the front.
    let front = match survey {
        Some(Survey { after: Some(_) }) => None,
        _ => Some(mend_front(media, camera, sight).await?),
    };
    if front.as_ref().is_none_or(|front| !front.hours.is_empty()) {
        if let Some(archive) = &archive {
            hours = named_hours(media, camera, archive, front.as_ref(), &found.filmed).await?;
        }
        if let Some(Survey { after }) = survey {
            let part = survey_hours(media, camera, after, sight).await?;
            hours.retain(|hour| Some(*hour) <= after || part.until.is_some_and(|until| *hour > until));
            hours.extend(part.hours);
            next = part.until.map(|until| Survey { after: Some(until) });
        }
    }
    let unchanged = Mended { is_rebuilt: false, survey: next };
    if hours.is_empty() && archive.is_none() {
        return Ok(unchanged);
    }
    let right = Archive::of(hours);
    if archive.as_ref() == Some(&right) {
        return Ok(unchanged);
    }
    Ok(match right.put(media, camera, condition).await? {
        Put::Stored(_) => Mended { is_rebuilt: true, survey: next },
        // It was changed since it was read: a later run sees what is right, and the next one this part of a survey.
        Put::Refused => Mended { is_rebuilt: false, survey },
    })
}

/// The hours that `archive` names, without those of its `front` that have no footage any more, and those of `filmed` that have a
/// playlist.
async fn named_hours(
    media: &dyn Bucket,
    camera: &CameraId,
    archive: &Archive,
    front: Option<&Part>,
    filmed: &BTreeSet<Hour>,
) -> Result<BTreeSet<Hour>, BucketError> {
    let is_there = |hour: &Hour| {
        front.is_none_or(|front| front.hours.contains(hour) || front.until.is_some_and(|until| *hour > until))
    };
    let mut hours: BTreeSet<Hour> = archive.hours().filter(is_there).collect();
    for hour in filmed {
        if !hours.contains(hour)
            && unless_foreign(camera, read_hour(media, camera, *hour).await)?.flatten().is_some()
        {
            hours.insert(*hour);
        }
    }
    Ok(hours)
}

/// Some of an archive.
#[derive(Default)]
struct Part {
    /// Hours that have footage.
    hours: BTreeSet<Hour>,
    /// The last hour that was looked at, if there are others behind it.
    until: Option<Hour>,
}

/// The hours behind `after` that have a playlist and footage: as many as there is time for, and one at least. What is over and has no
/// playlist is given one, and one that nobody ended is ended.
async fn survey_hours(
    media: &dyn Bucket,
    camera: &CameraId,
    mut after: Option<Hour>,
    sight: &Sight,
) -> Result<Part, BucketError> {
    let now = sight.now;
    let mut part = Part::default();
    while let Some(stored) = stored_hour(media, camera, after).await? {
        let StoredHour { hour, has_playlist, has_end, first, .. } = stored;
        let mut is_listed = has_playlist && first.is_some();
        if first.is_some() && !(has_playlist && has_end) && plan::is_settled(hour, now) {
            // What came late is put in behind the end.
            for _ in 0..2 {
                let step = unless_foreign(camera, update_hour(media, camera, hour, now).await)?.flatten();
                let Some(step) = step else { break };
                warn!(%camera, %hour, has_playlist, ?step, "an old hour was not listed as it is stored");
                is_listed = true;
            }
        }
        if is_listed {
            part.hours.insert(hour);
        }
        after = Some(hour);
        if sight.is_over() {
            part.until = after;
            break;
        }
    }
    Ok(part)
}

/// Looks at a camera's first hours, and takes out of their playlists what has expired. Footage expires by when it was written, so
/// hours that came late outlive others behind them. It is all there from an hour on that was written on its own day, and of which
/// nothing is gone; or is taken for that when there is no more time.
async fn mend_front(media: &dyn Bucket, camera: &CameraId, sight: &Sight) -> Result<Part, BucketError> {
    let (mut front, mut after) = (Part::default(), None);
    while let Some(stored) = stored_hour(media, camera, after).await? {
        after = Some(stored.hour);
        let (Some(first), Some(written)) = (stored.first, stored.first_written) else { continue };
        front.hours.insert(stored.hour);
        let came_late = Hour::containing(written).day() != stored.hour.day();
        let has_expired = mend_first_hour(media, camera, stored.hour, first, came_late, sight.now).await?;
        if !(has_expired || came_late) || sight.is_over() {
            front.until = Some(stored.hour);
            break;
        }
    }
    Ok(front)
}

/// Takes out of the playlist of an hour whose footage begins with `first` what has expired of it. Says whether something has before
/// that. What `came_late` outlives what is behind it, so all of such an hour is compared.
async fn mend_first_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    hour: Hour,
    first: Window,
    came_late: bool,
    now: Timestamp,
) -> Result<bool, BucketError> {
    let playlist = unless_foreign(camera, read_hour(media, camera, hour).await)?.flatten();
    let listed = playlist
        .filter(|playlist| playlist.ended())
        .and_then(|playlist| playlist.listings().first().map(|listing| listing.window.start()));
    let has_expired = listed.is_some_and(|listed| listed < first.start());
    if has_expired || came_late && listed.is_some() {
        unless_foreign(camera, update_hour(media, camera, hour, now).await)?;
    }
    Ok(has_expired)
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
    let mended = teiten_archive::mend_motion(media, camera, segments, sensor, heads_left, now).await;
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
