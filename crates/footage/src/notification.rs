//! S3 event notifications, as MinIO, AWS S3 and Ceph post them, and as Amazon EventBridge passes them on.
//!
//! All follow the AWS "event message structure" (version 2), loosely; nothing is read but which object was
//! created.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// An object that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
}

/// A body that is no S3 event notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// It is no JSON, or has not the members that a notification has.
    #[error("no S3 event notification: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// A JSON object of some other kind.
    #[error("no S3 event notification: neither Records nor detail, and no test event")]
    Other,
}

/// The objects that were created, in the order of the notification. Other events (deletions, the test event
/// that AWS sends when a notification is set up) give none.
pub fn parse(body: &[u8]) -> Result<Vec<ObjectCreated>, NotificationError> {
    let message: Message = serde_json::from_slice(body)
        .map_err(|error| NotificationError::Malformed { why: error.to_string() })?;
    match message {
        Message { records: Some(records), .. } => {
            Ok(records.into_iter().filter_map(Record::created).collect())
        }
        Message { detail: Some(detail), detail_type: Some(kind), .. } => {
            let created = kind == "Object Created";
            Ok(created.then(|| detail.created(Encoding::None)).into_iter().collect())
        }
        Message { event: Some(event), .. } if event == "s3:TestEvent" => Ok(Vec::new()),
        _ => Err(NotificationError::Other),
    }
}

/// Every form in one: MinIO, AWS and Ceph have `Records`, EventBridge `detail`, the test event `Event`.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    #[serde(rename = "Event")]
    event: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    #[serde(default)]
    event_source: String,
    s3: Place,
}

#[derive(Deserialize)]
struct Place {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

/// How a key is written.
enum Encoding {
    /// As it is.
    None,
    /// As in an HTML form: `+` is a space.
    Form,
}

impl Record {
    fn created(self) -> Option<ObjectCreated> {
        // AWS says `ObjectCreated:Put`, MinIO and older Ceph `s3:ObjectCreated:Put`.
        let name = self.event_name.strip_prefix("s3:").unwrap_or(&self.event_name);
        let encoding = if self.event_source == "ceph:s3" { Encoding::None } else { Encoding::Form };
        name.starts_with("ObjectCreated:").then(|| self.s3.created(encoding))
    }
}

impl Place {
    fn created(self, encoding: Encoding) -> ObjectCreated {
        let key = match encoding {
            Encoding::None => self.object.key,
            // Keys are UTF-8; one that is not cannot be one of ours, and should not sink its neighbours.
            Encoding::Form => {
                percent_decode_str(&self.object.key.replace('+', " ")).decode_utf8_lossy().into_owned()
            }
        };
        ObjectCreated { bucket: self.bucket.name, key }
    }
}

#[cfg(test)]
mod tests;
