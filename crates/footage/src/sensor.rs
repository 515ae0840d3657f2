//! What a camera's sensors see: the payload of [`crate::Topic::Event`].
//!
//! JSON, `{"kind":"motion","state":"started","at":"2026-11-23T04:05:01.000000Z"}`. Keys may be added; a
//! reader ignores those that it does not know.

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    limits::{CAPTURED_AHEAD_MAX, SENSOR_AGE_MAX},
    time::Timestamp,
};

/// Something that a sensor saw begin or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SensorEvent {
    /// Which kind of thing.
    pub kind: SensorKind,
    /// Whether it began or ended.
    pub state: SensorState,
    /// When, by the camera's wall clock: RFC 3339, UTC.
    #[serde(serialize_with = "rfc3339", deserialize_with = "from_rfc3339")]
    pub at: Timestamp,
}

/// What a sensor sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorKind {
    /// Something warm that moves (a passive infrared sensor).
    Motion,
}

/// Which end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorState {
    /// It began.
    Started,
    /// It ended.
    Ended,
}

/// In the order of time.
impl Ord for SensorEvent {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.state, self.kind).cmp(&(other.at, other.state, other.kind))
    }
}

impl PartialOrd for SensorEvent {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl SensorState {
    /// Its name: `started` or `ended`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ended => "ended",
        }
    }
}

impl SensorEvent {
    /// Whether a camera can have told this `now`: its clock was set, and it keeps what it could not tell for no longer than
    /// [`SENSOR_AGE_MAX`].
    pub fn is_possible(&self, now: Timestamp) -> bool {
        let earliest = (now - SENSOR_AGE_MAX).max(Timestamp::Y2020);
        (earliest..=now + CAPTURED_AHEAD_MAX).contains(&self.at)
    }

    /// The payload.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and a time are JSON")
    }

    /// The event that a payload holds.
    ///
    /// # Errors
    /// If it is no JSON, lacks a key, or has a kind or state that is not known.
    pub fn from_json(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn from_rfc3339<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Timestamp::from_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: whatever listens to cameras reads this.
    #[test]
    fn motion_is_written_and_read_to_the_byte() {
        let at = Timestamp::from_unix_micros(1_795_406_701_234_567);
        let event = SensorEvent { kind: SensorKind::Motion, state: SensorState::Started, at };
        let json = r#"{"kind":"motion","state":"started","at":"2026-11-23T04:05:01.234567Z"}"#;
        assert_eq!(event.to_json(), json);
        assert_eq!(SensorEvent::from_json(json.as_bytes()).unwrap(), event);
        let ended = SensorEvent { state: SensorState::Ended, ..event };
        assert_eq!(SensorEvent::from_json(ended.to_json().as_bytes()).unwrap(), ended);
    }

    #[test]
    fn what_is_no_event_is_refused_and_keys_may_be_added() {
        let more = r#"{"kind":"motion","state":"ended","at":"2026-11-23T05:05:01+01:00","zone":2}"#;
        let event = SensorEvent::from_json(more.as_bytes()).unwrap();
        assert_eq!(event.at.to_string(), "2026-11-23T04:05:01.000000Z");
        for payload in [
            "",
            "{}",
            r#"{"kind":"smoke","state":"started","at":"2026-11-23T04:05:01Z"}"#,
            r#"{"kind":"motion","state":"on","at":"2026-11-23T04:05:01Z"}"#,
            r#"{"kind":"motion","state":"started","at":1795406701}"#,
        ] {
            assert!(SensorEvent::from_json(payload.as_bytes()).is_err(), "{payload:?}");
        }
    }
}
