//! `cameras.json`: the names of all cameras that ever had a playlist, for a viewer that has to start somewhere.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use teiten_bucket::{Bucket, Condition, Headers, Put};
use teiten_footage::{CameraId, key::CAMERAS_KEY};

use crate::function::{COLLISIONS_MAX, ShellError};

const HEADERS: Headers = Headers { content_type: "application/json", cache_control: "no-cache" };

/// `{"cameras":["back-yard","front-door"]}`, sorted.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cameras {
    cameras: BTreeSet<CameraId>,
}

/// Adds `camera` to the list, if it is not on it.
pub(crate) async fn enlist(media: &dyn Bucket, camera: &CameraId) -> Result<(), ShellError> {
    for _ in 0..COLLISIONS_MAX {
        let (mut list, condition) = match media.get(CAMERAS_KEY).await? {
            None => (Cameras::default(), Condition::IfAbsent),
            Some(object) => {
                let list = serde_json::from_slice(&object.bytes).map_err(|error| ShellError::Foreign {
                    key: CAMERAS_KEY.to_owned(),
                    why: error.to_string(),
                })?;
                (list, Condition::IfMatch(object.etag))
            }
        };
        if !list.cameras.insert(camera.clone()) {
            return Ok(());
        }
        let json = serde_json::to_vec(&list).expect("names are JSON");
        match media.put(CAMERAS_KEY, Bytes::from(json), HEADERS, condition).await? {
            Put::Stored(_) => return Ok(()),
            Put::Refused => {}
        }
    }
    Err(ShellError::Contended { key: CAMERAS_KEY.to_owned() })
}
