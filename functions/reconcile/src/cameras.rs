//! `cameras.json`, compared with the cameras that there are.

use std::collections::BTreeSet;

use teiten_archive::Cameras;
use teiten_bucket::{Bucket, BucketError, Condition, Put};
use teiten_footage::{CameraId, key::CAMERAS_KEY};

/// `cameras.json` as it was read.
pub(crate) struct Read {
    /// `None` where there is none, or where it cannot be read.
    cameras: Option<Cameras>,
    condition: Condition,
}

/// Reads it. To be done before the playlists are listed: a camera that comes in between makes its own entry, upon
/// which [`rebuild`] is refused.
pub(crate) async fn read(media: &dyn Bucket) -> Result<Read, BucketError> {
    Ok(match media.get(CAMERAS_KEY).await? {
        None => Read { cameras: None, condition: Condition::IfAbsent },
        Some(object) => {
            Read { cameras: Cameras::parse(&object.bytes).ok(), condition: Condition::IfMatch(object.etag) }
        }
    })
}

/// Writes it anew, if it does not name just `cameras`. Says whether it did. Those of `unknown` stay as they are: on it or not, and on it
/// where nobody can tell.
pub(crate) async fn rebuild(
    media: &dyn Bucket,
    read: Read,
    mut cameras: BTreeSet<CameraId>,
    mut unknown: BTreeSet<CameraId>,
) -> Result<bool, BucketError> {
    if let Some(before) = &read.cameras {
        unknown.retain(|camera| before.cameras.contains(camera));
    }
    cameras.append(&mut unknown);
    let is_absent = matches!(read.condition, Condition::IfAbsent);
    let cameras = Cameras { cameras };
    if read.cameras.as_ref() == Some(&cameras) || is_absent && cameras.cameras.is_empty() {
        return Ok(false);
    }
    // Where it was changed since it was read, the next run sees what is right.
    Ok(matches!(cameras.put(media, read.condition).await?, Put::Stored(_)))
}
