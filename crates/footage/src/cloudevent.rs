//! CloudEvents 1.0 over HTTP, in both content modes (HTTP Protocol Binding §3.1 binary, §3.2 structured in the
//! JSON Event Format).

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// A CloudEvent of any type: the envelope that routers and functions pass on.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// `id`: with `source`, unique to what happened.
    pub id: String,
    /// `source`, a URI reference.
    pub source: String,
    /// `type`.
    pub kind: String,
    /// `subject`.
    pub subject: Option<String>,
    /// `time`.
    pub time: Option<Timestamp>,
    /// Extension attributes, and `dataschema`, by name (lower-case letters and digits). Numbers and booleans
    /// are kept as text.
    pub extensions: BTreeMap<String, String>,
    /// `data`, JSON; `Null` where there is none.
    pub data: Value,
}

/// An HTTP message that is no CloudEvent, or none that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudEventError {
    /// It does not claim to be one: no `ce-` header, and no content type of CloudEvents.
    #[error("neither a ce- header nor a content type of CloudEvents")]
    NotACloudEvent,
    /// A batch, or an event format other than JSON.
    #[error("content type {content_type:?} is not taken: use application/cloudevents+json or binary mode")]
    UnsupportedFormat {
        /// The content type.
        content_type: String,
    },
    /// A required attribute is missing or empty.
    #[error("attribute {attribute} is missing or empty")]
    Missing {
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has no valid value.
    #[error("attribute {attribute}: {why}")]
    Attribute {
        /// The attribute.
        attribute: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The body of a structured event is no JSON object.
    #[error("the event is no JSON object: {why}")]
    Envelope {
        /// What is wrong.
        why: String,
    },
    /// The data is no JSON.
    #[error("the data is no JSON: {why}")]
    Data {
        /// What is wrong.
        why: String,
    },
}

const STRUCTURED: &str = "application/cloudevents+json";
const SPEC_VERSION: &str = "1.0";

/// What header values must not have as it is (HTTP binding §3.1.3.2); beyond ASCII is always encoded.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

impl CloudEvent {
    /// Binary mode: the attributes as headers (names in lower case), the data as the body.
    pub fn to_binary(&self) -> (Vec<(String, String)>, Vec<u8>) {
        let encode = |value: &str| utf8_percent_encode(value, NOT_IN_HEADERS).to_string();
        let mut headers = vec![
            ("ce-specversion".to_owned(), SPEC_VERSION.to_owned()),
            ("ce-id".to_owned(), encode(&self.id)),
            ("ce-source".to_owned(), encode(&self.source)),
            ("ce-type".to_owned(), encode(&self.kind)),
        ];
        if let Some(subject) = &self.subject {
            headers.push(("ce-subject".to_owned(), encode(subject)));
        }
        if let Some(time) = self.time {
            headers.push(("ce-time".to_owned(), time.to_string()));
        }
        for (name, value) in &self.extensions {
            headers.push((format!("ce-{name}"), encode(value)));
        }
        if self.data.is_null() {
            return (headers, Vec::new());
        }
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        (headers, self.data.to_string().into_bytes())
    }

    /// Structured mode: the whole event as JSON, to be sent as `application/cloudevents+json`.
    pub fn to_structured(&self) -> Vec<u8> {
        // In this order always; a `serde_json::Map` would have an order that depends on its features.
        #[derive(Serialize)]
        struct Envelope<'a> {
            specversion: &'static str,
            id: &'a str,
            source: &'a str,
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            subject: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            time: Option<String>,
            #[serde(flatten)]
            extensions: &'a BTreeMap<String, String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            datacontenttype: Option<&'static str>,
            #[serde(skip_serializing_if = "Value::is_null")]
            data: &'a Value,
        }
        let envelope = Envelope {
            specversion: SPEC_VERSION,
            id: &self.id,
            source: &self.source,
            kind: &self.kind,
            subject: self.subject.as_deref(),
            time: self.time.map(|time| time.to_string()),
            extensions: &self.extensions,
            datacontenttype: (!self.data.is_null()).then_some("application/json"),
            data: &self.data,
        };
        serde_json::to_vec(&envelope).expect("text, and JSON values, can be written as JSON")
    }

    /// The event in an HTTP message, whose mode the content type tells (§3). Names of headers may come in any
    /// case.
    ///
    /// # Errors
    /// [`CloudEventError::NotACloudEvent`] where the message does not claim to be one; the others where it does,
    /// and cannot be taken.
    pub fn from_http<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: &[u8],
    ) -> Result<Self, CloudEventError> {
        let mut content_type = None;
        let mut attributes = Attributes::default();
        let mut attributed = false;
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if name == "content-type" {
                content_type = Some(value);
            } else if let Some(attribute) = name.strip_prefix("ce-") {
                attributed = true;
                // `datacontenttype` is the Content-Type header (§3.1.1). What cannot be the name of an
                // attribute is someone else's header.
                if attribute != "datacontenttype" && is_name(attribute) {
                    attributes.insert(attribute, decode_header(attribute, value)?)?;
                }
            }
        }
        let media_type = media_type(content_type.unwrap_or_default());
        if media_type == STRUCTURED {
            Self::from_structured(body)
        } else if media_type.starts_with("application/cloudevents") {
            Err(CloudEventError::UnsupportedFormat { content_type: clip(&media_type) })
        } else if attributed {
            let data = if body.is_empty() {
                Value::Null
            } else if content_type.is_none() || is_json(&media_type) {
                parse_data(body)?
            } else {
                return Err(CloudEventError::Data { why: format!("its type is {}", clip(&media_type)) });
            };
            attributes.into_event(data)
        } else {
            Err(CloudEventError::NotACloudEvent)
        }
    }

    /// The event in the body of a message in structured mode (JSON Event Format §2, §3).
    fn from_structured(body: &[u8]) -> Result<Self, CloudEventError> {
        let mut members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| CloudEventError::Envelope { why: error.to_string() })?;
        // An attribute that is null is one that is not there (§2.2).
        members.retain(|name, value| name == "data" || !value.is_null());
        let data = members.remove("data");
        let base64 = members.remove("data_base64");
        let content_type = members.remove("datacontenttype");
        let mut attributes = Attributes::default();
        for (name, value) in members {
            let wrong = |why| CloudEventError::Attribute { attribute: clip(&name), why };
            let text = match value {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(wrong("it is no text, number or boolean"));
                }
            };
            if !is_name(&name) {
                return Err(wrong("a name has lower-case letters and digits only"));
            }
            attributes.insert(&name, text)?;
        }
        let data = match (data, base64) {
            (Some(data), None) => match content_type {
                None => data,
                Some(Value::String(given)) if is_json(&media_type(&given)) => data,
                Some(given) => {
                    return Err(CloudEventError::Data {
                        why: format!("its type is {}", clip(&given.to_string())),
                    });
                }
            },
            (None, Some(Value::String(text))) => {
                let bytes =
                    BASE64.decode(text).map_err(|error| CloudEventError::Data { why: error.to_string() })?;
                parse_data(&bytes)?
            }
            (None, None) => Value::Null,
            (None, Some(_)) => {
                return Err(CloudEventError::Data { why: "data_base64 is no text".to_owned() });
            }
            (Some(_), Some(_)) => {
                return Err(CloudEventError::Data { why: "there are both data and data_base64".to_owned() });
            }
        };
        attributes.into_event(data)
    }
}

/// Attributes by name, each at most once.
#[derive(Default)]
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn insert(&mut self, name: &str, value: String) -> Result<(), CloudEventError> {
        match self.0.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(CloudEventError::Attribute { attribute: clip(name), why: "it is given twice" }),
        }
    }

    fn into_event(mut self, data: Value) -> Result<CloudEvent, CloudEventError> {
        let mut required = |attribute: &'static str| {
            self.0
                .remove(attribute)
                .filter(|value| !value.is_empty())
                .ok_or(CloudEventError::Missing { attribute })
        };
        let wrong =
            |attribute: &str, why| CloudEventError::Attribute { attribute: attribute.to_owned(), why };
        if required("specversion")? != SPEC_VERSION {
            return Err(wrong("specversion", "it is not 1.0"));
        }
        let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
        let time = match self.0.remove("time") {
            None => None,
            Some(text) => Some(
                Timestamp::from_rfc3339(&text)
                    .ok_or_else(|| wrong("time", "it is no RFC 3339 time from 1970 to 2999"))?,
            ),
        };
        Ok(CloudEvent { id, source, kind, subject: self.0.remove("subject"), time, extensions: self.0, data })
    }
}

/// Whether `name` can name an attribute (CloudEvents §3.1).
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name != "data"
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A header's value as text: double quotes undone, then one round of percent-decoding (§3.1.3.2).
fn decode_header(attribute: &str, value: &str) -> Result<String, CloudEventError> {
    let wrong = |why| CloudEventError::Attribute { attribute: clip(attribute), why };
    let value = value.trim_matches([' ', '\t']);
    let unquoted = unquote(value).ok_or_else(|| wrong("its double quotes are unbalanced"))?;
    percent_decode_str(&unquoted)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| wrong("percent-decoded, it is no UTF-8"))
}

/// The content of a quoted-string (RFC 9110 §5.6.4), or `value` itself; `None` if the quotes are wrong.
fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(Cow::Owned(text)),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

/// `type/subtype` in lower case, without parameters.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media_type: &str) -> bool {
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

fn parse_data(bytes: &[u8]) -> Result<Value, CloudEventError> {
    serde_json::from_slice(bytes).map_err(|error| CloudEventError::Data { why: error.to_string() })
}

/// Foreign text, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
