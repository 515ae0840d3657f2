//! `cameras.json`: the names of all cameras that have footage, or filmed within a day, for a viewer that has to start somewhere.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use teiten_bucket::{Bucket, BucketError, Condition, Put};
use teiten_footage::{CameraId, key::CAMERAS_KEY};

use crate::shell::{COLLISIONS_MAX, JSON_HEADERS, ShellError};

/// The content of `cameras.json`: `{"cameras":["back-yard","front-door"]}`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cameras {
    /// The names.
    pub cameras: BTreeSet<CameraId>,
}

impl Cameras {
    /// Reads what [`Cameras::put`] wrote.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Writes the list, if `condition` holds.
    pub async fn put(&self, media: &dyn Bucket, condition: Condition) -> Result<Put, BucketError> {
        let json = serde_json::to_vec(self).expect("names are JSON");
        media.put(CAMERAS_KEY, Bytes::from(json), JSON_HEADERS, condition).await
    }
}

/// Adds `camera` to the list, if it is not on it.
pub async fn enlist(media: &dyn Bucket, camera: &CameraId) -> Result<(), ShellError> {
    for _ in 0..COLLISIONS_MAX {
        let (mut list, condition) = match media.get(CAMERAS_KEY).await? {
            None => (Cameras::default(), Condition::IfAbsent),
            Some(object) => {
                let list = Cameras::parse(&object.bytes).map_err(|error| ShellError::Foreign {
                    key: CAMERAS_KEY.to_owned(),
                    why: error.to_string(),
                })?;
                (list, Condition::IfMatch(object.etag))
            }
        };
        if !list.cameras.insert(camera.clone()) {
            return Ok(());
        }
        if let Put::Stored(_) = list.put(media, condition).await? {
            return Ok(());
        }
    }
    Err(ShellError::Contended { key: CAMERAS_KEY.to_owned() })
}
