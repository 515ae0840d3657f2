//! Lifecycle and CORS rules that are wanted, and how they are told from those of others: by their ids.

use std::collections::BTreeSet;

use aws_sdk_s3::{
    error::BuildError,
    types::{CorsRule, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter},
};
use teiten_footage::{CameraId, key::poster_key};

use crate::settings::Settings;

/// What the ids of our rules begin with.
const ID_PREFIX: &str = "teiten-";

/// The most rules of a bucket: S3's own limit.
pub(crate) const RULES_MAX: usize = 1000;

/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_SECONDS_MAX: i32 = 3600;

/// A lifecycle rule as far as we set it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    id: String,
    prefix: String,
    days: i32,
}

impl Rule {
    fn new(name: &str, prefix: &str, days: u16) -> Self {
        Self { id: format!("{ID_PREFIX}{name}"), prefix: prefix.to_owned(), days: days.into() }
    }

    /// A rule that a store has; `None` if it is none of ours. One of ours that was changed has no days.
    fn read(rule: &LifecycleRule) -> Option<Self> {
        let id = rule.id().filter(|id| id.starts_with(ID_PREFIX))?.to_owned();
        #[expect(deprecated, reason = "Ceph answers in the old form")]
        let old_prefix = rule.prefix();
        let prefix = rule.filter().and_then(|filter| filter.prefix()).or(old_prefix).unwrap_or_default();
        let enabled = *rule.status() == ExpirationStatus::Enabled;
        let days = rule.expiration().and_then(|expiration| expiration.days()).filter(|_| enabled);
        Some(Self { id, prefix: prefix.to_owned(), days: days.unwrap_or_default() })
    }

    fn write(&self) -> Result<LifecycleRule, BuildError> {
        LifecycleRule::builder()
            .id(&self.id)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(&self.prefix).build())
            .expiration(LifecycleExpiration::builder().days(self.days).build())
            .build()
    }

    /// `a/2… is kept for 7 days`, for messages.
    pub(crate) fn words(rules: &[Self]) -> String {
        let word = |rule: &Self| {
            let days = if rule.days == 1 { "a day".to_owned() } else { format!("{} days", rule.days) };
            match rule.prefix.as_str() {
                "" => format!("everything is kept for {days}"),
                prefix => format!("{prefix}… for {days}"),
            }
        };
        rules.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// The rule of the bucket of batches.
pub(crate) fn frames_rules(settings: &Settings) -> Vec<Rule> {
    vec![Rule::new("frames", "", settings.frames_days.get())]
}

/// Footage goes by date, below `<camera>/2…` for this century's years: what does not change with time
/// (`<camera>/init-….mp4`, `live.m3u8`, `cameras.json`, the viewer) never goes. So there is a rule for each camera. And one for its poster,
/// which is made anew once a minute: the last one of a camera that is gone is footage like any other.
pub(crate) fn media_rules(cameras: &BTreeSet<CameraId>, settings: &Settings) -> Vec<Rule> {
    let days = |camera| settings.media_days_by_camera.0.get(camera).unwrap_or(&settings.media_days).get();
    let rules = |camera| {
        let days = days(camera);
        [
            Rule::new(&format!("media-{camera}"), &format!("{camera}/2"), days),
            Rule::new(&format!("poster-{camera}"), &poster_key(camera), days),
        ]
    };
    cameras.iter().flat_map(rules).collect()
}

/// All rules that a bucket is to have, if those it has are not right: ours, and those of others.
pub(crate) fn lifecycle_change(
    current: &[LifecycleRule],
    wanted: &[Rule],
) -> Result<Option<Vec<LifecycleRule>>, BuildError> {
    let mut ours: Vec<Rule> = current.iter().filter_map(Rule::read).collect();
    ours.sort();
    let mut sorted = wanted.to_vec();
    sorted.sort();
    if ours == sorted {
        return Ok(None);
    }
    let others = current.iter().filter(|rule| Rule::read(rule).is_none()).cloned().map(Ok);
    others.chain(wanted.iter().map(Rule::write)).collect::<Result<_, _>>().map(Some)
}

/// All CORS rules that a bucket is to have, if those it has are not right.
pub(crate) fn cors_change(
    current: &[CorsRule],
    settings: &Settings,
) -> Result<Option<Vec<CorsRule>>, BuildError> {
    let wanted = CorsRule::builder()
        .id(format!("{ID_PREFIX}viewer"))
        .set_allowed_origins(Some(settings.cors_origins.words()))
        .set_allowed_methods(Some(vec!["GET".to_owned(), "HEAD".to_owned()]))
        .allowed_headers("*")
        .set_expose_headers(Some(vec!["Date".to_owned(), "ETag".to_owned()]))
        .max_age_seconds(PREFLIGHT_SECONDS_MAX)
        .build()?;
    let is_ours = |rule: &CorsRule| rule.id().is_some_and(|id| id.starts_with(ID_PREFIX));
    let ours: Vec<&CorsRule> = current.iter().filter(|rule| is_ours(rule)).collect();
    if ours.len() == 1 && same_cors(ours[0], &wanted) {
        return Ok(None);
    }
    // The first rule that fits a request decides.
    let others = current.iter().filter(|rule| !is_ours(rule)).cloned();
    Ok(Some(std::iter::once(wanted).chain(others).collect()))
}

/// Whether two rules say the same, in whichever order.
fn same_cors(one: &CorsRule, other: &CorsRule) -> bool {
    let set = |words: &[String]| words.iter().cloned().collect::<BTreeSet<_>>();
    set(one.allowed_origins()) == set(other.allowed_origins())
        && set(one.allowed_methods()) == set(other.allowed_methods())
        && set(one.allowed_headers()) == set(other.allowed_headers())
        && set(one.expose_headers()) == set(other.expose_headers())
        && one.max_age_seconds() == other.max_age_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<Rule> {
        vec![Rule::new("media-b", "b/2", 7), Rule::new("media-a", "a/2", 30)]
    }

    fn written(rules: &[Rule]) -> Vec<LifecycleRule> {
        rules.iter().map(|rule| rule.write().unwrap()).collect()
    }

    #[test]
    fn all_that_shows_what_a_camera_saw_goes_after_that_camera_s_days_and_nothing_else_does() {
        let [gate, porch] = ["gate", "porch"].map(|name| CameraId::new(name).unwrap());
        let settings =
            crate::settings::tests::of(&["--media-days", "7", "--media-days-by-camera", "gate=30"]);
        let rules = media_rules(&BTreeSet::from([gate, porch]), &settings);
        let days = |key: &str| {
            let met: Vec<_> = rules.iter().filter(|rule| key.starts_with(&rule.prefix)).collect();
            assert!(met.len() < 2, "{met:?}");
            met.first().map(|rule| rule.days)
        };
        for (camera, kept) in [("gate", 30), ("porch", 7)] {
            for key in ["2026-11-23/04/x.m4s", "2026-11-23/04.m3u8", "poster.jpg"] {
                assert_eq!(days(&format!("{camera}/{key}")), Some(kept), "{camera}/{key}");
            }
            for key in ["init-0123.mp4", "live.m3u8", "archive.json"] {
                assert_eq!(days(&format!("{camera}/{key}")), None, "{camera}/{key}");
            }
        }
        assert_eq!(days("cameras.json"), None);
        let ids: BTreeSet<_> = rules.iter().map(|rule| &rule.id).collect();
        assert_eq!(ids.len(), rules.len(), "one rule would stand for another");
    }

    #[test]
    fn rules_that_are_there_in_any_order_are_left_as_they_are() {
        let mut there = written(&rules());
        there.reverse();
        assert_eq!(lifecycle_change(&there, &rules()).unwrap(), None);
    }

    #[test]
    fn rules_of_others_stay_and_ours_are_replaced() {
        let mut there = written(&rules());
        let other = LifecycleRule::builder().id("other").status(ExpirationStatus::Enabled).build().unwrap();
        there.push(other.clone());
        let changed = lifecycle_change(&there, &rules()[..1]).unwrap().unwrap();
        assert_eq!(changed, [other, rules()[0].write().unwrap()]);
    }

    #[test]
    fn a_rule_that_was_switched_off_is_not_right() {
        let off = LifecycleRule::builder()
            .id("teiten-media-b")
            .status(ExpirationStatus::Disabled)
            .filter(LifecycleRuleFilter::builder().prefix("b/2").build())
            .expiration(LifecycleExpiration::builder().days(7).build())
            .build()
            .unwrap();
        assert!(lifecycle_change(&[off], &rules()[..1]).unwrap().is_some());
    }
}
