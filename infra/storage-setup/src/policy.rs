//! Who may do what, as policies in AWS's language (version 2012-10-17), which MinIO and Ceph speak too.
//!
//! Nobody deletes but the lifecycle, and `compact`: segments that a pack stands for. Listing is also what makes an absent object a 404 instead of a 403.

use std::str::FromStr;

use serde_json::{Value, json};
use teiten_bucket::Access;

use crate::settings::Settings;

/// What our statements in a bucket's policy are known by; a Sid is alphanumeric.
const SID_PREFIX: &str = "Teiten";

/// A part of Teiten with a user of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component(&'static Rights);

/// What a component does in each bucket.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rights {
    name: &'static str,
    frames: &'static [Action],
    media: &'static [Action],
}

/// Something that is done in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Get,
    Put,
    List,
    /// Deleting segments and packs.
    Delete,
}

use Action::{Delete, Get, List, Put};

/// Every component. The bridge gets, because late frames are merged into their batch.
const COMPONENTS: [Rights; 10] = [
    Rights { name: "bridge", frames: &[Get, Put, List], media: &[] },
    Rights { name: "encode", frames: &[Get, List], media: &[Get, Put, List] },
    Rights { name: "playlist", frames: &[], media: &[Get, Put, List] },
    Rights { name: "pictures", frames: &[Get, List], media: &[Get, Put, List] },
    Rights { name: "reconcile", frames: &[Get, List], media: &[Get, Put, List] },
    Rights { name: "dead-letters", frames: &[Put, List], media: &[] },
    Rights { name: "link", frames: &[], media: &[Get, List] },
    Rights { name: "playback", frames: &[], media: &[Get, List] },
    Rights { name: "clip", frames: &[], media: &[Get, List] },
    Rights { name: "compact", frames: &[], media: &[Get, Put, List, Delete] },
];

/// One of the two buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Batches.
    Frames,
    /// What players read.
    Media,
}

impl Component {
    /// Every component.
    pub fn all() -> impl Iterator<Item = Self> {
        COMPONENTS.iter().map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    fn actions(self, place: Place) -> &'static [Action] {
        match place {
            Place::Frames => self.0.frames,
            Place::Media => self.0.media,
        }
    }

    /// The policy of its user, for stores that have policies of users (MinIO, AWS).
    pub fn user_policy(self, settings: &Settings) -> Value {
        let places = [(Place::Frames, &settings.frames), (Place::Media, &settings.media)];
        let statements: Vec<Value> =
            places.into_iter().flat_map(|(place, bucket)| statements(bucket, self.actions(place))).collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    }
}

impl FromStr for Component {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|component| component.name() == name).ok_or_else(|| format!("no component {name:?}"))
    }
}

/// What allows `actions` in `bucket`.
fn statements(bucket: &str, actions: &[Action]) -> Vec<Value> {
    let on_objects: Vec<&str> = actions
        .iter()
        .filter_map(|action| match action {
            Get => Some("s3:GetObject"),
            Put => Some("s3:PutObject"),
            List | Delete => None,
        })
        .collect();
    let mut statements = Vec::new();
    if !on_objects.is_empty() {
        let objects = [format!("arn:aws:s3:::{bucket}/*")];
        statements.push(json!({"Effect": "Allow", "Action": on_objects, "Resource": objects}));
    }
    if actions.contains(&Delete) {
        // Below a camera's days alone: no playlist, no init section, nothing of the viewer's.
        let footage = ["m4s", "mp4"].map(|extension| format!("arn:aws:s3:::{bucket}/*/2*/*.{extension}"));
        statements.push(json!({"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": footage}));
    }
    if actions.contains(&List) {
        let listing = ["s3:ListBucket", "s3:GetBucketLocation"];
        let bucket = [format!("arn:aws:s3:::{bucket}")];
        statements.push(json!({"Effect": "Allow", "Action": listing, "Resource": bucket}));
    }
    statements
}

/// The statements that we want in a bucket's own policy: anybody's where footage is public, and those of components
/// whose users are known.
pub fn bucket_statements(place: Place, settings: &Settings) -> Vec<Value> {
    let mut wanted = Vec::new();
    let bucket = match place {
        Place::Frames => &settings.frames,
        Place::Media => &settings.media,
    };
    if place == Place::Media && settings.access == Access::Public {
        wanted.extend(named("Anybody", "*", statements(bucket, &[Get])));
    }
    for (component, principal) in &settings.principals.0 {
        let mut name = component.name().to_owned();
        name[..1].make_ascii_uppercase();
        wanted.extend(named(&name, principal, statements(bucket, component.actions(place))));
    }
    wanted
}

/// Statements of ours for one principal.
fn named(name: &str, principal: &str, statements: Vec<Value>) -> Vec<Value> {
    let mut statements = statements;
    for (index, statement) in statements.iter_mut().enumerate() {
        statement["Sid"] = json!(format!("{SID_PREFIX}{}{}", name.replace('-', ""), index + 1));
        statement["Principal"] = json!({"AWS": [principal]});
    }
    statements
}

/// What becomes of a bucket's policy.
#[derive(Debug, PartialEq)]
pub enum Change {
    /// It is right.
    None,
    /// This takes its place.
    Put(Value),
    /// There is nothing left to say.
    Delete,
}

/// Why a bucket's policy cannot stay beside ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is no JSON of the expected form.
    #[error("its policy is no policy ({0}): delete it")]
    Malformed(String),
    /// Somebody else opened the bucket.
    #[error("its policy lets anybody in ({0}): take that statement out, or give it a Condition")]
    Open(String),
}

/// What turns the policy that is there into the one that is wanted. Statements of others stay, unless they let
/// anybody in.
pub fn change(current: Option<&str>, wanted: &[Value]) -> Result<Change, PolicyError> {
    let malformed = |why: &dyn std::fmt::Display| PolicyError::Malformed(why.to_string());
    let (mut policy, statements) = match current {
        None => (json!({"Version": "2012-10-17"}), Vec::new()),
        Some(text) => {
            let policy: Value = serde_json::from_str(text).map_err(|error| malformed(&error))?;
            let statements = match policy.get("Statement") {
                Some(Value::Array(statements)) => statements.clone(),
                Some(one @ Value::Object(_)) => vec![one.clone()],
                _ => return Err(malformed(&"no Statement")),
            };
            (policy, statements)
        }
    };
    let (ours, others): (Vec<Value>, Vec<Value>) = statements.into_iter().partition(is_ours);
    if let Some(open) = others.iter().find(|statement| lets_anybody_in(statement)) {
        return Err(PolicyError::Open(open.to_string()));
    }
    let form = |statements: &[Value]| statements.iter().map(normal).collect::<Vec<_>>();
    if form(&ours) == form(wanted) {
        return Ok(Change::None);
    }
    let all: Vec<Value> = others.into_iter().chain(wanted.iter().cloned()).collect();
    if all.is_empty() {
        return Ok(Change::Delete);
    }
    policy["Statement"] = Value::Array(all);
    Ok(Change::Put(policy))
}

fn is_ours(statement: &Value) -> bool {
    statement["Sid"].as_str().is_some_and(|sid| sid.starts_with(SID_PREFIX))
}

fn lets_anybody_in(statement: &Value) -> bool {
    let anybody = |value: &Value| match value {
        Value::String(name) => name == "*",
        Value::Array(names) => names.iter().any(|name| name == "*"),
        _ => false,
    };
    let principal = &statement["Principal"];
    let conditional = statement.get("Condition").is_some_and(|condition| !condition.is_null());
    statement["Effect"] == "Allow" && (anybody(principal) || anybody(&principal["AWS"])) && !conditional
}

/// The same value whatever a store does to it: a list of one is that one.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(values) if values.len() == 1 => normal(&values[0]),
        Value::Array(values) => Value::Array(values.iter().map(normal).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), normal(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Binary {
        #[command(flatten)]
        settings: Settings,
    }

    fn settings(flags: &[&str]) -> Settings {
        let mut settings = Binary::parse_from(["binary"].iter().chain(flags)).settings;
        settings.frames = "frames".to_owned();
        settings.media = "media".to_owned();
        settings
    }

    #[test]
    fn the_bridge_may_only_write_batches() {
        let bridge: Component = "bridge".parse().unwrap();
        assert_eq!(
            bridge.user_policy(&settings(&[])),
            json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::frames/*"]},
                {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::frames"]},
            ]})
        );
    }

    #[test]
    fn nobody_deletes_but_what_puts_segments_together() {
        for component in Component::all() {
            let policy = component.user_policy(&settings(&[]));
            let statements = policy["Statement"].as_array().unwrap();
            let deleting: Vec<&Value> =
                statements.iter().filter(|statement| statement.to_string().contains("Delete")).collect();
            if component.name() == "compact" {
                let footage = ["arn:aws:s3:::media/*/2*/*.m4s", "arn:aws:s3:::media/*/2*/*.mp4"];
                let expected = json!({"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": footage});
                assert_eq!(deleting, [&expected]);
            } else {
                assert_eq!(deleting, [&Value::Null; 0], "{}", component.name());
            }
        }
    }

    #[test]
    fn anybody_reads_media_where_it_is_public_and_nothing_else() {
        let public = settings(&["--media-access", "public"]);
        assert_eq!(
            bucket_statements(Place::Media, &public),
            [json!({"Sid": "TeitenAnybody1", "Effect": "Allow", "Principal": {"AWS": ["*"]},
                    "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::media/*"]})]
        );
        assert_eq!(bucket_statements(Place::Frames, &public), [Value::Null; 0]);
        assert_eq!(
            bucket_statements(Place::Media, &settings(&["--media-access", "private"])),
            [Value::Null; 0]
        );
    }

    #[test]
    fn known_users_have_their_rights_in_the_buckets_policy() {
        let known = settings(&["--principals", "bridge=arn:aws:iam:::user/b link=arn:aws:iam:::user/l"]);
        let text = |place| Value::Array(bucket_statements(place, &known)).to_string();
        assert!(text(Place::Frames).contains("user/b") && !text(Place::Frames).contains("user/l"));
        assert!(text(Place::Media).contains("user/l") && !text(Place::Media).contains("user/b"));
    }

    #[test]
    fn a_policy_is_changed_only_where_it_differs() {
        let wanted = bucket_statements(Place::Media, &settings(&["--media-access", "public"]));
        let Change::Put(made) = change(None, &wanted).unwrap() else { panic!("none is there yet") };
        assert_eq!(change(Some(&made.to_string()), &wanted), Ok(Change::None));
        // AWS writes a list of one as that one.
        assert_eq!(change(Some(&normal(&made).to_string()), &wanted), Ok(Change::None));
        assert_eq!(change(Some(&made.to_string()), &[]), Ok(Change::Delete));
        assert_eq!(change(None, &[]), Ok(Change::None));
    }

    #[test]
    fn statements_of_others_stay() {
        let other = json!({"Sid": "Backup", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam:::user/backup"},
                           "Action": "s3:GetObject", "Resource": "arn:aws:s3:::media/*"});
        let current = json!({"Version": "2012-10-17", "Statement": [other]}).to_string();
        let wanted = bucket_statements(Place::Media, &settings(&["--media-access", "public"]));
        let Change::Put(made) = change(Some(&current), &wanted).unwrap() else { panic!("ours are missing") };
        assert_eq!(made["Statement"].as_array().unwrap().len(), 2);
        let Change::Put(left) = change(Some(&made.to_string()), &[]).unwrap() else {
            panic!("ours are gone")
        };
        assert_eq!(left["Statement"], json!([other]));
    }

    #[test]
    fn what_others_opened_to_anybody_is_an_error() {
        for principal in [json!("*"), json!({"AWS": "*"}), json!({"AWS": ["a", "*"]})] {
            let mut open =
                json!({"Effect": "Allow", "Principal": principal, "Action": "s3:*", "Resource": "*"});
            let policy = |statement: &Value| json!({"Statement": statement}).to_string();
            assert!(matches!(change(Some(&policy(&open)), &[]), Err(PolicyError::Open(_))), "{open}");
            open["Condition"] = json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}});
            assert_eq!(change(Some(&policy(&open)), &[]), Ok(Change::None));
        }
        assert!(matches!(change(Some("{}"), &[]), Err(PolicyError::Malformed(_))));
    }
}
