//! CloudEvents 1.0 over HTTP, in both content modes (HTTP Protocol Binding §3.1 binary, §3.2 structured).

use std::collections::BTreeMap;

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
    /// Extension attributes, by name (lower-case letters and digits).
    pub extensions: BTreeMap<String, String>,
    /// `data`, JSON; `Null` where there is none.
    pub data: serde_json::Value,
}
