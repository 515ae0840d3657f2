//! MQTT topics, both ways.

use std::{fmt, str::FromStr};

use crate::{camera::CameraId, replica::ReplicaId};

/// A topic of Teiten's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `teiten/<camera>/frame`: a JPEG, QoS 1.
    Frame(CameraId),
    /// `teiten/<camera>/video`: an H.264 access unit in Annex B form, QoS 1. Reserved: nothing sends or reads it yet.
    Video(CameraId),
    /// `teiten/<camera>/status`: retained, `online` or (as last will) `offline`.
    Status(CameraId),
    /// `teiten/<camera>/telemetry`: JSON, how the camera is, QoS 0.
    Telemetry(CameraId),
    /// `teiten/<camera>/mistakes`: retained JSON, what is wrong with the camera's settings; empty once nothing is.
    Mistakes(CameraId),
    /// `teiten/<camera>/event`: JSON, what a sensor saw, QoS 1 ([`crate::SensorEvent`]).
    Event(CameraId),
    /// `teiten/<camera>/control`: JSON, to the camera, QoS 1.
    Control(CameraId),
    /// `teiten/<camera>/control-reply`: JSON, what became of a control message, QoS 1.
    ControlReply(CameraId),
    /// `teiten/<camera>/preview`: about one JPEG a second, QoS 0.
    Preview(CameraId),
    /// `teiten/<camera>/snapshot`: a JPEG that was asked for, QoS 1.
    Snapshot(CameraId),
    /// `teiten/<camera>/stored`: which frames are stored, bridge to camera, QoS 0 ([`crate::Stored`]).
    Stored(CameraId),
    /// `teiten-bridge/hello`: a bridge has subscribed, or serves more cameras than before, QoS 0.
    Hello,
    /// `teiten-bridge/<replica>/status`: retained, `online` again and again; empty once (and as last will) it is not.
    BridgeStatus(ReplicaId),
}

/// The filter that matches every camera's frames.
pub const ALL_FRAMES: &str = "teiten/+/frame";
/// The filter that matches every camera's status.
pub const ALL_STATUS: &str = "teiten/+/status";
/// The filter that matches what every camera's sensors see.
pub const ALL_EVENTS: &str = "teiten/+/event";
/// The filter that matches every bridge's status.
pub const ALL_BRIDGES: &str = "teiten-bridge/+/status";
/// The payload of [`Topic::Status`] while a camera is connected, and of [`Topic::BridgeStatus`].
pub const ONLINE: &str = "online";
/// The payload of [`Topic::Status`] once it is not.
pub const OFFLINE: &str = "offline";

/// What every bridge says to cameras and other bridges: [`Topic::Hello`].
pub const HELLO: &str = "teiten-bridge/hello";

/// A topic that is none of Teiten's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic:?} is no topic of Teiten's: expected teiten/<camera>/frame, …/status or the like")]
pub struct TopicError {
    topic: String,
}

impl Topic {
    fn parts(&self) -> Option<(&CameraId, &'static str)> {
        Some(match self {
            Self::Frame(camera) => (camera, "frame"),
            Self::Video(camera) => (camera, "video"),
            Self::Status(camera) => (camera, "status"),
            Self::Telemetry(camera) => (camera, "telemetry"),
            Self::Mistakes(camera) => (camera, "mistakes"),
            Self::Event(camera) => (camera, "event"),
            Self::Control(camera) => (camera, "control"),
            Self::ControlReply(camera) => (camera, "control-reply"),
            Self::Preview(camera) => (camera, "preview"),
            Self::Snapshot(camera) => (camera, "snapshot"),
            Self::Stored(camera) => (camera, "stored"),
            Self::Hello | Self::BridgeStatus(_) => return None,
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.parts()) {
            (_, Some((camera, leaf))) => write!(f, "teiten/{camera}/{leaf}"),
            (Self::BridgeStatus(replica), None) => write!(f, "teiten-bridge/{replica}/status"),
            (_, None) => f.write_str(HELLO),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(topic: &str) -> Result<Self, Self::Err> {
        let parse = || {
            if topic == HELLO {
                return Some(Self::Hello);
            }
            if let Some(rest) = topic.strip_prefix("teiten-bridge/") {
                let replica = rest.strip_suffix("/status")?;
                return Some(Self::BridgeStatus(ReplicaId::new(replica).ok()?));
            }
            let (camera, leaf) = topic.strip_prefix("teiten/")?.split_once('/')?;
            let camera = CameraId::new(camera).ok()?;
            Some(match leaf {
                "frame" => Self::Frame(camera),
                "video" => Self::Video(camera),
                "status" => Self::Status(camera),
                "telemetry" => Self::Telemetry(camera),
                "mistakes" => Self::Mistakes(camera),
                "event" => Self::Event(camera),
                "control" => Self::Control(camera),
                "control-reply" => Self::ControlReply(camera),
                "preview" => Self::Preview(camera),
                "snapshot" => Self::Snapshot(camera),
                "stored" => Self::Stored(camera),
                _ => return None,
            })
        };
        parse().ok_or_else(|| TopicError { topic: topic.chars().take(200).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_parse_back_and_foreign_ones_do_not() {
        for leaf in [
            "frame",
            "video",
            "status",
            "telemetry",
            "mistakes",
            "event",
            "control",
            "control-reply",
            "preview",
            "snapshot",
            "stored",
        ] {
            let text = format!("teiten/front-door/{leaf}");
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        for text in ["teiten-bridge/hello", "teiten-bridge/bridge-0/status"] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "teiten",
            "teiten/a",
            "teiten/a/b",
            "teiten/A/frame",
            "teiten/a/frame/x",
            "x/a/frame",
            "teiten-bridge/a",
            "teiten-bridge/A/status",
            "teiten-bridge/a/b/status",
        ] {
            assert!(text.parse::<Topic>().is_err(), "{text:?}");
        }
    }
}
