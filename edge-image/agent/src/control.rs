//! What a camera may be asked while it runs: `teiten/<camera>/control` and its replies (docs/formats.md,
//! "Control").
//!
//! A request is obeyed as a whole or refused as a whole. A message that the broker kept (retained) is refused:
//! it would come again after each restart, and one that asks for a restart would never end. Nothing else that is
//! old can come, since the agent's session is a clean one. A request whose id was answered already is answered
//! the same way and not obeyed again: with QoS 1 a message may come twice.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{PictureSize, Quality, Rate};

/// The largest request, in bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 4096;
/// The longest id, in characters.
const ID_CHARS_MAX: usize = 64;
/// How many answered ids are remembered.
const ANSWERED_MAX: usize = 32;

/// What is asked; `None` and `false` leave things as they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Wishes {
    pub(crate) rate: Option<Rate>,
    pub(crate) quality: Option<Quality>,
    pub(crate) size: Option<PictureSize>,
    pub(crate) light: Option<Switch>,
    pub(crate) led: Option<Switch>,
    pub(crate) snapshot: bool,
    pub(crate) restart: bool,
    pub(crate) update: Option<BundleUrl>,
}

/// Where the bundle of an update is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundleUrl(String);

impl BundleUrl {
    /// A bundle is signed, so TLS would add nothing; and busybox's wget cannot speak it with every server.
    const EXPECTED: &'static str = "an address of at most 1000 visible ASCII characters that begins with http:// \
                                    (not https://: the bundle is signed)";
    const CHARS_MAX: usize = 1000;

    /// `text`, if it is such an address.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let is_address = !rest.is_empty()
            && text.len() <= Self::CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_address.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something that decides by itself unless it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Switch {
    On,
    Off,
    /// As the settings have it.
    #[default]
    Auto,
}

/// What this camera can do of what may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Its pictures can have another quality and size.
    pub(crate) pictures: bool,
    /// It has an infrared light.
    pub(crate) light: bool,
    /// It has a status LED.
    pub(crate) led: bool,
    /// Whether it takes an update.
    pub(crate) updates: Updates,
}

/// Whether an update can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Updates {
    /// This is no card with two slots.
    Never,
    /// One is under way or on trial: how far it is.
    NotNow(String),
    Ready,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reply {
    /// The request's, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What will come of it, where that takes a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

const UPDATE_NOTE: &str =
    "it is fetched, checked and installed; then the camera restarts into it, and keeps it once frames flow";

impl Reply {
    fn yes(id: Option<String>, wishes: &Wishes) -> Self {
        Self { id, ok: true, reason: None, note: wishes.update.as_ref().map(|_| UPDATE_NOTE) }
    }

    fn no(id: Option<String>, reason: impl Into<String>) -> Self {
        Self { id, ok: false, reason: Some(reason.into()), note: None }
    }

    /// Why the request was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The payload.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and a flag are JSON")
    }
}

/// Takes requests, and remembers those that it answered.
#[derive(Debug)]
pub(crate) struct Desk {
    abilities: Abilities,
    answered: VecDeque<(String, Reply)>,
}

impl Desk {
    pub(crate) fn new(abilities: Abilities) -> Self {
        Self { abilities, answered: VecDeque::new() }
    }

    /// Whether updates can be taken changes while the card runs.
    pub(crate) fn takes_updates(&mut self, updates: Updates) {
        self.abilities.updates = updates;
    }

    /// A message came: what to answer, if anything, and what to do.
    pub(crate) fn hear(&mut self, payload: &[u8], retained: bool) -> Option<(Reply, Wishes)> {
        // What clears a retained message is no request.
        if payload.is_empty() {
            return None;
        }
        let refuse = |id, reason: &str| Some((Reply::no(id, reason), Wishes::default()));
        if payload.len() > REQUEST_BYTES_MAX {
            return refuse(None, "a request has at most 4096 bytes");
        }
        let Ok(Value::Object(mut request)) = serde_json::from_slice(payload) else {
            return refuse(None, "a request is a JSON object");
        };
        let id = match request.remove("id") {
            None => None,
            Some(Value::String(id)) if (1..=ID_CHARS_MAX).contains(&id.chars().count()) => Some(id),
            Some(_) => return refuse(None, "id: expected a text of 1 to 64 characters"),
        };
        if retained {
            return refuse(id, "a retained message is not obeyed: publish requests without the retain flag");
        }
        if let Some((_, reply)) = self.answered.iter().find(|(answered, _)| Some(answered) == id.as_ref()) {
            return Some((reply.clone(), Wishes::default()));
        }
        let (reply, wishes) = match wishes(request, &self.abilities) {
            Ok(wishes) => (Reply::yes(id.clone(), &wishes), wishes),
            Err(reason) => (Reply::no(id.clone(), reason), Wishes::default()),
        };
        if let Some(id) = id {
            self.answered.truncate(ANSWERED_MAX - 1);
            self.answered.push_front((id, reply.clone()));
        }
        Some((reply, wishes))
    }

    /// What was promised by `reply` cannot be done: what to answer instead. The same request may come once more.
    pub(crate) fn withdraw(&mut self, reply: Reply, reason: String) -> Reply {
        self.answered.retain(|(_, answered)| *answered != reply);
        Reply::no(reply.id, reason)
    }
}

const NO_LIGHT: &str = "light: this camera has no infrared light: name its pin in gpio.infrared";
const NO_LED: &str = "led: this camera has no status LED: name its pin in gpio.led";
const NO_UPDATES: &str = "update: this camera does not run from a card with two slots";

/// All that is asked, or all that is wrong with it.
fn wishes(request: Map<String, Value>, abilities: &Abilities) -> Result<Wishes, String> {
    if request.is_empty() {
        return Err("nothing is asked".to_owned());
    }
    let mut wishes = Wishes::default();
    let mut mistakes = Vec::new();
    for (key, value) in &request {
        let expected = |expected: &str| format!("{key}: expected {expected}");
        let cannot = || format!("{key}: recorded footage has the pictures that it has");
        let outcome = match key.as_str() {
            "rate" => given(value.as_f64().and_then(|rate| Rate::new(rate).ok()), &mut wishes.rate)
                .ok_or_else(|| expected(Rate::EXPECTED)),
            "quality" | "resolution" if !abilities.pictures => Err(cannot()),
            "quality" => {
                given(quality(value), &mut wishes.quality).ok_or_else(|| expected(Quality::EXPECTED))
            }
            "resolution" => given(resolution(value), &mut wishes.size).ok_or_else(|| expected(RESOLUTION)),
            "light" if !abilities.light => Err(NO_LIGHT.to_owned()),
            "light" => given(switch(value), &mut wishes.light).ok_or_else(|| expected(SWITCH)),
            "led" if !abilities.led => Err(NO_LED.to_owned()),
            "led" => given(switch(value), &mut wishes.led).ok_or_else(|| expected(SWITCH)),
            "snapshot" => flag(value, &mut wishes.snapshot).ok_or_else(|| expected("true")),
            "restart" => flag(value, &mut wishes.restart).ok_or_else(|| expected("true")),
            "update" => match &abilities.updates {
                Updates::Never => Err(NO_UPDATES.to_owned()),
                Updates::NotNow(state) => Err(format!("update: not now, one is under way: {state}")),
                Updates::Ready => given(value.as_str().and_then(BundleUrl::new), &mut wishes.update)
                    .ok_or_else(|| expected(BundleUrl::EXPECTED)),
            },
            _ => Err(format!("{:?}: {KNOWN}", key.chars().take(ID_CHARS_MAX).collect::<String>())),
        };
        mistakes.extend(outcome.err());
    }
    if mistakes.is_empty() { Ok(wishes) } else { Err(mistakes.join("; ")) }
}

const SWITCH: &str = "\"on\", \"off\" or \"auto\"";
const RESOLUTION: &str =
    "a size such as \"1280x720\": even numbers of pixels from 320 to 3840 by 180 to 2160";
const KNOWN: &str =
    "no such key, expected some of id, rate, quality, resolution, light, led, snapshot, restart, update";

fn given<T>(value: Option<T>, wish: &mut Option<T>) -> Option<()> {
    *wish = value;
    wish.as_ref().map(|_| ())
}

fn flag(value: &Value, wish: &mut bool) -> Option<()> {
    *wish = value == &Value::Bool(true);
    wish.then_some(())
}

fn quality(value: &Value) -> Option<Quality> {
    Quality::new(u8::try_from(value.as_u64()?).ok()?).ok()
}

fn resolution(value: &Value) -> Option<PictureSize> {
    let (width, height) = value.as_str()?.split_once('x')?;
    PictureSize::new(width.parse().ok()?, height.parse().ok()?).ok()
}

fn switch(value: &Value) -> Option<Switch> {
    match value.as_str()? {
        "on" => Some(Switch::On),
        "off" => Some(Switch::Off),
        "auto" => Some(Switch::Auto),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Abilities = Abilities { pictures: true, light: true, led: true, updates: Updates::Ready };

    /// The reply to `request`, and what is done.
    fn ask(desk: &mut Desk, request: &str) -> (String, Wishes) {
        let (reply, wishes) = desk.hear(request.as_bytes(), false).unwrap();
        (reply.to_json(), wishes)
    }

    fn refusal(abilities: Abilities, request: &str) -> String {
        let (reply, wishes) = Desk::new(abilities).hear(request.as_bytes(), false).unwrap();
        assert_eq!(wishes, Wishes::default(), "nothing is done of what is refused");
        reply.refusal().unwrap().to_owned()
    }

    /// Golden: whoever controls cameras writes and reads this.
    #[test]
    fn a_request_is_read_and_answered_to_the_byte() {
        let (reply, wishes) = ask(
            &mut Desk::new(ALL),
            r#"{"id":"7","rate":2.5,"quality":60,"resolution":"1280x720","light":"on","led":"auto","snapshot":true}"#,
        );
        assert_eq!(reply, r#"{"id":"7","ok":true}"#);
        let expected = Wishes {
            rate: Some(Rate::new(2.5).unwrap()),
            quality: Some(Quality::new(60).unwrap()),
            size: Some(PictureSize::new(1280, 720).unwrap()),
            light: Some(Switch::On),
            led: Some(Switch::Auto),
            snapshot: true,
            restart: false,
            update: None,
        };
        assert_eq!(wishes, expected);
        let (reply, wishes) = ask(&mut Desk::new(ALL), r#"{"restart":true}"#);
        assert_eq!(
            (reply.as_str(), wishes),
            (r#"{"ok":true}"#, Wishes { restart: true, ..Wishes::default() })
        );
        let (reply, _) = ask(&mut Desk::new(ALL), r#"{"id":"8","rate":0}"#);
        let reason = "rate: expected a number of frames per second from 0.1 to 120";
        assert_eq!(reply, format!(r#"{{"id":"8","ok":false,"reason":"{reason}"}}"#));
        let url = "http://desk.lan:8000/teiten.raucb?a=1&b=2";
        let (reply, wishes) = ask(&mut Desk::new(ALL), &format!(r#"{{"id":"9","update":"{url}"}}"#));
        assert_eq!(reply, format!(r#"{{"id":"9","ok":true,"note":"{UPDATE_NOTE}"}}"#));
        assert_eq!(wishes, Wishes { update: BundleUrl::new(url), ..Wishes::default() });
    }

    #[test]
    fn an_update_comes_from_an_address_that_no_script_can_take_for_anything_else() {
        for wrong in [
            "7",
            r#""""#,
            r#""teiten.raucb""#,
            r#""file:///etc/passwd""#,
            r#""http://""#,
            r#""http://a b""#,
            r#""http://a\n--help""#,
            r#""http://ä""#,
            r#""https://desk/a""#,
            &format!(r#""http://{}""#, "a".repeat(1000)),
        ] {
            let reason = refusal(ALL, &format!(r#"{{"update":{wrong}}}"#));
            assert_eq!(reason, format!("update: expected {}", BundleUrl::EXPECTED), "{wrong}");
        }
    }

    #[test]
    fn a_request_with_one_mistake_is_refused_as_a_whole_and_all_its_mistakes_are_told() {
        let reason =
            refusal(ALL, r#"{"rate":5,"quality":0,"resolution":"641x480","zoom":2,"restart":false}"#);
        for part in ["quality: expected a whole", "resolution: expected a size", "\"zoom\": no such key"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert!(reason.contains("restart: expected true") && !reason.contains("rate:"), "{reason}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for request in ["7", "[]", "{", "\u{0}", "on"] {
            assert_eq!(refusal(ALL, request), "a request is a JSON object");
        }
        assert_eq!(refusal(ALL, "{}"), "nothing is asked");
        assert_eq!(refusal(ALL, r#"{"id":"only"}"#), "nothing is asked");
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(65));
        for request in [r#"{"id":7,"rate":1}"#, r#"{"id":"","rate":1}"#, &long] {
            assert_eq!(refusal(ALL, request), "id: expected a text of 1 to 64 characters");
        }
        let large = format!("{{{}\"rate\":1}}", " ".repeat(REQUEST_BYTES_MAX));
        assert_eq!(refusal(ALL, &large), "a request has at most 4096 bytes");
        let infinite = refusal(ALL, r#"{"rate":1e999}"#);
        assert!(!infinite.is_empty());
    }

    #[test]
    fn what_a_camera_does_not_have_is_refused() {
        let bare = Abilities { pictures: false, light: false, led: false, updates: Updates::Never };
        let refusal = |request| refusal(bare.clone(), request);
        assert!(refusal(r#"{"light":"on"}"#).contains("gpio.infrared"));
        assert!(refusal(r#"{"led":"on"}"#).contains("gpio.led"));
        assert_eq!(refusal(r#"{"update":"http://desk/a"}"#), NO_UPDATES);
        assert!(refusal(r#"{"quality":50}"#).contains("footage"));
        assert!(refusal(r#"{"resolution":"640x480"}"#).contains("footage"));
        assert!(Desk::new(bare).hear(br#"{"rate":1,"snapshot":true}"#, false).unwrap().1.snapshot);
    }

    #[test]
    fn a_retained_request_is_refused_and_its_removal_is_none() {
        let mut desk = Desk::new(ALL);
        let (reply, wishes) = desk.hear(br#"{"id":"a","restart":true}"#, true).unwrap();
        assert_eq!(wishes, Wishes::default());
        assert!(reply.refusal().unwrap().contains("retain"));
        assert_eq!(desk.hear(b"", false), None);
        // Sent again as it should be, it is obeyed: the refusal used up no id.
        assert!(desk.hear(br#"{"id":"a","restart":true}"#, false).unwrap().1.restart);
    }

    #[test]
    fn a_request_that_comes_twice_is_obeyed_once_and_answered_twice() {
        let mut desk = Desk::new(ALL);
        let first = ask(&mut desk, r#"{"id":"a","snapshot":true}"#);
        let again = ask(&mut desk, r#"{"id":"a","snapshot":true}"#);
        assert!(first.1.snapshot && !again.1.snapshot);
        assert_eq!(first.0, again.0);
        for number in 0..ANSWERED_MAX {
            assert!(ask(&mut desk, &format!(r#"{{"id":"{number}","snapshot":true}}"#)).1.snapshot);
        }
        assert_eq!(desk.answered.len(), ANSWERED_MAX);
        assert!(ask(&mut desk, r#"{"id":"a","snapshot":true}"#).1.snapshot, "forgotten by now");
    }
}
