//! Dead letters: events that no function could handle, as they are kept for people to look at.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CloudEvent, ContentHash, Timestamp, key::DEAD_LETTERS_PREFIX};

/// An event that was given up, and what is known of why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up (RFC 3339).
    pub at: String,
    /// Who should have handled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The HTTP status that it was answered with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The event, in structured mode.
    pub event: Value,
}

impl DeadLetter {
    /// The dead letter that `event` is, and its key. Knative's Brokers say in extensions what became of it.
    pub fn of(mut event: CloudEvent, at: Timestamp) -> (Self, String) {
        let mut told = |name: &str| event.extensions.remove(name).filter(|text| !text.is_empty());
        let [destination, status, reason] =
            ["knativeerrordest", "knativeerrorcode", "knativeerrordata"].map(&mut told);
        let reason = reason
            .map(|data| text(&data).unwrap_or(data).trim_end().to_owned())
            .filter(|text| !text.is_empty());
        let event = serde_json::from_slice(&event.to_structured()).expect("an event is JSON");
        let letter = Self { at: at.to_string(), destination, status, reason, event };
        let key = letter.key(at);
        (letter, key)
    }

    /// `dead-letters.teiten/<yyyy-mm-dd>/<hh>/<time>-<hash>.json` in `frames`. A listing sorts by time; the hash is of the
    /// event and its destination.
    fn key(&self, at: Timestamp) -> String {
        let event = self.event.to_string();
        let hash = ContentHash::of_parts([&event, self.destination.as_deref().unwrap_or_default()]);
        format!("{}-{hash}.json", Self::keys_from(at))
    }

    /// The keys that come after this are those from the second of `at` on.
    pub fn keys_from(at: Timestamp) -> String {
        let c = at.civil();
        format!(
            "{DEAD_LETTERS_PREFIX}{:04}-{:02}-{:02}/{:02}/{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            c.second(),
        )
    }
}

/// The text that `data` is the base64 of: so Knative's channels and its Broker for Kafka write what was answered, to 768 bytes of
/// it, and thus perhaps to the middle of a letter. Others write the text as it is.
fn text(data: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(data).ok()?;
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn event() -> CloudEvent {
        CloudEvent {
            id: "a".to_owned(),
            source: "/teiten/bridge".to_owned(),
            kind: "teiten.batch.stored".to_owned(),
            subject: Some("gate".to_owned()),
            time: None,
            extensions: BTreeMap::new(),
            data: json!({"key": "k"}),
        }
    }

    // The format that docs/formats.md describes: it changes with that page only.
    #[test]
    fn what_a_broker_says_of_an_event_stands_beside_it() {
        let extensions = [
            ("knativeerrordest", "http://encode.teiten.svc.cluster.local"),
            ("knativeerrorcode", "422"),
            ("knativeerrordata", "no frame can be decoded\n"),
            ("traceparent", "00-1-2-01"),
        ];
        let extensions = extensions.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let at = Timestamp::from_rfc3339("2026-11-23T04:05:01.5Z").unwrap();
        let (letter, key) = DeadLetter::of(CloudEvent { extensions, ..event() }, at);
        assert_eq!(
            serde_json::to_value(&letter).unwrap(),
            json!({
                "at": "2026-11-23T04:05:01.500000Z",
                "destination": "http://encode.teiten.svc.cluster.local",
                "status": "422",
                "reason": "no frame can be decoded",
                "event": {
                    "specversion": "1.0", "id": "a", "source": "/teiten/bridge", "type": "teiten.batch.stored",
                    "subject": "gate", "traceparent": "00-1-2-01", "datacontenttype": "application/json",
                    "data": {"key": "k"}
                }
            })
        );
        assert!(key.starts_with("dead-letters.teiten/2026-11-23/04/20261123T040501Z-"), "{key}");
        assert!(key > DeadLetter::keys_from(at));
        assert!(key < DeadLetter::keys_from(at + std::time::Duration::from_secs(1)));
        assert!(
            key.split('/').next().unwrap().parse::<crate::CameraId>().is_err(),
            "no camera has this name"
        );

        let (other, other_key) = DeadLetter::of(event(), at);
        assert_eq!((other.destination, other.status, other.reason), (None, None, None));
        assert_ne!(other_key, key);
    }

    #[test]
    fn a_reason_is_text_whether_a_broker_wrote_it_as_base64_or_as_it_was() {
        let told = |data: &str| {
            let mut event = event();
            event.extensions.insert("knativeerrordata".to_owned(), data.to_owned());
            DeadLetter::of(event, Timestamp::Y2020).0.reason
        };
        let cut = format!("not found: {}", "é".repeat(400));
        for (data, reason) in [
            (STANDARD.encode("no frame can be decoded\n").as_str(), "no frame can be decoded"),
            ("no frame can be decoded\n", "no frame can be decoded"),
            // Base64 of something that is no text.
            ("NotFound", "NotFound"),
            (&STANDARD.encode(&cut.as_bytes()[..768]), &cut[..767]),
        ] {
            assert_eq!(told(data).as_deref(), Some(reason));
        }
        assert_eq!(told(&STANDARD.encode("\n")), None);
    }
}
