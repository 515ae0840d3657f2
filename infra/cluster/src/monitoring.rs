//! Whether a Prometheus of the operator's finds what infra/observability makes for it: each takes only what has the labels that it selects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::Finding;

/// The kinds that a Prometheus looks for, and the fields of its specification that select them.
const SELECTED: [(&str, &str); 2] =
    [("PodMonitor", "podMonitorSelector"), ("PrometheusRule", "ruleSelector")];

/// An object that a Prometheus is to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    kind: &'static str,
    selector: &'static str,
    labels: BTreeMap<String, String>,
}

/// What of `manifests`, as kustomize writes them, a Prometheus is to find.
pub(crate) fn watched(manifests: &str) -> Vec<Watched> {
    let of = |resource: &str| {
        let is = |kind: &str| resource.lines().any(|line| line.strip_prefix("kind: ") == Some(kind));
        let (kind, selector) = SELECTED.into_iter().find(|(kind, _)| is(kind))?;
        Some(Watched { kind, selector, labels: labels(resource) })
    };
    manifests.split("\n---\n").filter_map(of).collect()
}

/// The labels of a resource.
fn labels(resource: &str) -> BTreeMap<String, String> {
    let metadata = resource.lines().skip_while(|line| *line != "metadata:").skip(1);
    let metadata = metadata.take_while(|line| line.starts_with(' '));
    let below = metadata.skip_while(|line| *line != "  labels:").skip(1);
    let pairs = below.map_while(|line| line.strip_prefix("    ")).filter_map(|line| line.split_once(": "));
    pairs.map(|(key, value)| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

/// That none of the cluster's `prometheuses` finds something of `watched`. Where there is none, something else may read it.
pub(crate) fn unseen(prometheuses: &[Value], watched: &[Watched]) -> Option<Finding> {
    let sees = |prometheus: &Value, one: &Watched| selects(&prometheus["spec"][one.selector], &one.labels);
    let unseen = watched.iter().find(|one| !prometheuses.iter().any(|prometheus| sees(prometheus, one)))?;
    let selector = &prometheuses.first()?["spec"][unseen.selector];
    Some(Finding {
        stops: false,
        what: format!("no Prometheus here looks for our {}s: it selects {selector}", unseen.kind),
        how: "Give them that label, or let it select all: infra/observability/README.md.".to_owned(),
    })
}

/// Whether a label selector of Kubernetes' selects an object with `labels`: an empty one every object, none at all no object.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let mut wanted = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    wanted.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.all(|expression| {
            let label = expression["key"].as_str().and_then(|key| labels.get(key));
            let mut values = expression["values"].as_array().into_iter().flatten();
            let is_among = label.is_some_and(|label| values.any(|value| *value == **label));
            match expression["operator"].as_str() {
                Some("In") => is_among,
                Some("NotIn") => !is_among,
                Some("Exists") => label.is_some(),
                Some("DoesNotExist") => label.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As kustomize writes them.
    const MANIFESTS: &str = "apiVersion: v1
kind: Namespace
metadata:
  labels:
    release: other
  name: teiten
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  labels:
    app.kubernetes.io/part-of: teiten
    release: \"1\"
  name: teiten-bridge
  namespace: teiten
spec:
  podMetricsEndpoints:
  - interval: 15s
";

    #[test]
    fn what_a_prometheus_is_to_find_has_its_own_labels() {
        let found = watched(MANIFESTS);
        let [Watched { kind: "PodMonitor", selector: "podMonitorSelector", labels }] = &found[..] else {
            panic!("{found:?}")
        };
        let wanted = [("app.kubernetes.io/part-of", "teiten"), ("release", "1")];
        assert_eq!(*labels, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn selectors_are_read_as_kubernetes_reads_them() {
        let labels = &watched(MANIFESTS)[0].labels;
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, selected) in [
            (Value::Null, false),
            (json!({}), true),
            (json!({"matchLabels": {"release": "1"}}), true),
            (json!({"matchLabels": {"release": "2"}}), false),
            (json!({"matchLabels": {"release": "1", "absent": "1"}}), false),
            (expression("release", "In", &["0", "1"]), true),
            (expression("absent", "In", &["1"]), false),
            (expression("release", "NotIn", &["1"]), false),
            (expression("absent", "NotIn", &["1"]), true),
            (expression("release", "Exists", &[]), true),
            (expression("release", "DoesNotExist", &[]), false),
        ] {
            assert_eq!(selects(&selector, labels), selected, "{selector}");
        }
    }
}
