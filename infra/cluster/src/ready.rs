//! What is not ready in the cluster, in words.

use std::time::Duration;

use serde_json::Value;
use teiten_footage::Timestamp;
use teiten_telemetry::now;

use crate::NAMESPACE;

/// What has not ended for so long after it had to, is on a node that ends nothing any more.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// The kinds that tell whether they are ready, and the pods that say why they are not.
pub const KINDS: [&str; 10] = [
    "statefulsets.apps",
    "deployments.apps",
    "cronjobs.batch",
    "pods",
    "services.serving.knative.dev",
    "domainmappings.serving.knative.dev",
    "brokers.eventing.knative.dev",
    "triggers.eventing.knative.dev",
    "pingsources.sources.knative.dev",
    "sinkbindings.sources.knative.dev",
];

/// What of `objects` is not ready, and why, one line each.
pub fn not_ready(objects: &[Value]) -> Vec<String> {
    not_ready_at(now(), objects)
}

fn not_ready_at(now: Timestamp, objects: &[Value]) -> Vec<String> {
    let mut found: Vec<String> = objects.iter().filter_map(|object| trouble(object, objects, now)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// How many of `objects` tell whether they are ready.
pub fn parts(objects: &[Value]) -> usize {
    objects.iter().filter(|object| is_part(object)).count()
}

fn is_part(object: &Value) -> bool {
    match object["kind"].as_str().unwrap_or_default() {
        // A Knative Service speaks for its Deployments.
        "Deployment" => object["metadata"]["labels"]["serving.knative.dev/service"].is_null(),
        "Pod" | "CronJob" => false,
        _ => true,
    }
}

fn trouble(object: &Value, all: &[Value], now: Timestamp) -> Option<String> {
    if !is_part(object) {
        return None;
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let reason = match kind {
        "StatefulSet" | "Deployment" => workload(object, all)?,
        _ => conditions(object)?,
    };
    // Its pods know more than it does.
    let reason = pods_trouble_at(now, all, name).unwrap_or(reason);
    Some(format!("{} {name}: {reason}", words(kind)))
}

/// Why a pod of a part does not run, if one of `objects` says so.
pub(crate) fn pods_trouble(objects: &[Value], part: &str) -> Option<String> {
    pods_trouble_at(now(), objects, part)
}

fn pods_trouble_at(now: Timestamp, objects: &[Value], part: &str) -> Option<String> {
    let pods = || objects.iter().filter(|pod| belongs(pod, part));
    // Another kind makes another pod elsewhere; one that a StatefulSet has left behind is in nobody's way.
    let set =
        objects.iter().find(|object| object["kind"] == "StatefulSet" && object["metadata"]["name"] == part);
    let of_set = || pods().filter(|pod| set.is_some_and(|set| is_pod_of(pod, set)));
    pods().find_map(pod_trouble).or_else(|| of_set().find_map(|pod| lost(pod, now)))
}

/// How the cluster gets to log in to the registry of images, where `said` tells that it lacks that; else nothing. Pods log in with what
/// there was when they were made.
pub(crate) fn login(said: &str) -> &'static str {
    let said = said.to_lowercase();
    let tells = |wanted: &str| said.split(|c: char| !c.is_alphanumeric()).any(|word| word == wanted);
    if !tells("image") || !["401", "403", "unauthorized", "forbidden", "denied"].into_iter().any(tells) {
        return "";
    }
    "\nIf the registry wants a login:\n  \
     kubectl -n teiten create secret docker-registry images --docker-server=… --docker-username=… --docker-password=…\n  \
     kubectl -n teiten patch serviceaccount default -p '{\"imagePullSecrets\":[{\"name\":\"images\"}]}'\n  \
     kubectl -n teiten delete pods --field-selector status.phase=Pending"
}

fn words(kind: &str) -> &str {
    match kind {
        "StatefulSet" | "Deployment" | "Service" => "the part",
        "DomainMapping" => "the name",
        "Broker" => "the events' broker",
        "Trigger" => "the trigger",
        "PingSource" => "the clock",
        "SinkBinding" => "the binding of events of",
        other => other,
    }
}

fn workload(object: &Value, all: &[Value]) -> Option<String> {
    let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    let wanted = spec["replicas"].as_u64().unwrap_or(1);
    let ready = status["readyReplicas"].as_u64().unwrap_or(0);
    let updated = status["updatedReplicas"].as_u64().unwrap_or(0);
    if status["observedGeneration"].as_u64() < metadata["generation"].as_u64() {
        return Some("the cluster has not looked at it yet".to_owned());
    }
    if ready < wanted {
        let lacking = not_made(object, all, wanted).unwrap_or_default();
        return Some(format!("{ready} of {wanted} ready{lacking}"));
    }
    // While a Deployment has old pods beside new ones, the ready ones may be the old ones.
    let pods =
        status["replicas"].as_u64().filter(|_| object["kind"] == "Deployment").unwrap_or(0).max(wanted);
    (updated < pods).then(|| format!("{updated} of {pods} renewed"))
}

/// That pods of a part are not made, which a quota or a limit of the namespace may forbid, and why, or where that is told.
fn not_made(object: &Value, all: &[Value], wanted: u64) -> Option<String> {
    if let Some(refused) = condition(object, "ReplicaFailure") {
        return Some(format!(": {}", refused["message"].as_str()?));
    }
    // A StatefulSet tells it by events alone.
    let pods = all.iter().filter(|pod| is_pod_of(pod, object)).count();
    (object["kind"] == "StatefulSet" && (pods as u64) < wanted).then(|| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        format!(", and not all of its pods are made: kubectl -n {NAMESPACE} describe statefulset {name}")
    })
}

fn conditions(object: &Value) -> Option<String> {
    let status = &object["status"];
    let conditions = || status["conditions"].as_array().into_iter().flatten();
    if status["observedGeneration"].as_u64() < object["metadata"]["generation"].as_u64() {
        return Some("the cluster has not looked at it yet".to_owned());
    }
    let Some(ready) = conditions().find(|condition| condition["type"] == "Ready") else {
        return Some("it has not said yet whether it is ready".to_owned());
    };
    if ready["status"] == "True" {
        return None;
    }
    let says = |condition: &Value| {
        let message = condition["message"].as_str().or_else(|| condition["reason"].as_str());
        message.filter(|message| !message.is_empty()).map(str::to_owned)
    };
    let failed =
        conditions().find(|condition| condition["status"] == "False" && condition["type"] != "Ready");
    let message = says(ready).or_else(|| failed.and_then(says));
    Some(message.unwrap_or_else(|| "not ready yet".to_owned()))
}

pub(crate) fn belongs(pod: &Value, part: &str) -> bool {
    pod["kind"] == "Pod" && pod["metadata"]["labels"]["app.kubernetes.io/name"] == part
}

/// Why a pod does not run.
fn pod_trouble(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let containers = ["initContainerStatuses", "containerStatuses"];
    let waiting = containers.iter().flat_map(|list| status[*list].as_array().into_iter().flatten()).find_map(
        |container| {
            let (waiting, last) = (&container["state"]["waiting"], &container["lastState"]["terminated"]);
            let reason = waiting["reason"]
                .as_str()
                .filter(|reason| !["ContainerCreating", "PodInitializing"].contains(reason))?;
            let restarts = container["restartCount"].as_u64().unwrap_or(0);
            let message = waiting["message"].as_str().unwrap_or_default();
            Some(match (reason, last["reason"].as_str()) {
                ("CrashLoopBackOff", Some("OOMKilled")) => {
                    format!("it needed more memory than it may, {restarts} times")
                }
                ("CrashLoopBackOff", _) => format!(
                    "it ended {restarts} times, last with status {}: kubectl -n teiten logs {} --previous",
                    last["exitCode"],
                    pod["metadata"]["name"].as_str().unwrap_or_default()
                ),
                ("ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName", _) => {
                    format!("its image is not to be had: {message}")
                }
                _ => format!("{reason}: {message}"),
            })
        },
    );
    let unschedulable = || {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let scheduled = conditions
            .into_iter()
            .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")?;
        Some(format!("no node takes it: {}", scheduled["message"].as_str().unwrap_or_default()))
    };
    waiting.or_else(unschedulable)
}

/// That a pod has to end and does not, for its node is gone. The cluster then cannot know whether it still runs, and a StatefulSet has no
/// second one of its name.
fn lost(pod: &Value, now: Timestamp) -> Option<String> {
    // The end of the time that it was given.
    let end = Timestamp::from_rfc3339(pod["metadata"]["deletionTimestamp"].as_str()?)?;
    let node = pod["spec"]["nodeName"].as_str()?;
    (now.since(end) > ENDS_WITHIN).then(|| {
        format!(
            "{} was on node {node}, which does not answer, and is made elsewhere only once it is known to have ended. If {node} is gone for \
             good: kubectl delete node {node} (if it is off for now: kubectl taint node {node} \
             node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, and once it is back the same with - behind it)",
            pod["metadata"]["name"].as_str().unwrap_or_default()
        )
    })
}

/// The pods of an earlier template, broken, that their StatefulSet waits for in vain: one that goes by order replaces no pod before
/// it is ready (kubernetes#67250), and so a template that mends it never gets to run. None is ready.
pub fn stuck(objects: &[Value]) -> Vec<&str> {
    let sets = objects.iter().filter(|object| object["kind"] == "StatefulSet" && is_ours(object));
    let stuck = sets.flat_map(|set| {
        let (current, newest) = (&set["status"]["currentRevision"], &set["status"]["updateRevision"]);
        let is_changing = newest.is_string() && current != newest;
        let pods = objects.iter().filter(move |pod| is_changing && is_pod_of(pod, set));
        pods.filter(move |pod| {
            pod["metadata"]["labels"]["controller-revision-hash"] != *newest
                && pod["metadata"]["deletionTimestamp"].is_null()
                && !has_condition(pod, "Ready")
        })
    });
    stuck.filter_map(|pod| pod["metadata"]["name"].as_str()).collect()
}

/// Whether an object is one that the manifests make, or this program.
pub(crate) fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"]["app.kubernetes.io/part-of"] == NAMESPACE
}

fn is_pod_of(pod: &Value, set: &Value) -> bool {
    pod["kind"] == "Pod" && is_owned_by(pod, "StatefulSet", &set["metadata"]["name"])
}

pub(crate) fn is_owned_by(object: &Value, kind: &str, name: &Value) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.any(|owner| owner["kind"] == kind && owner["name"] == *name)
}

pub(crate) fn has_condition(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some()
}

/// The condition of a kind that holds for an object.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// When an object was made. Kubernetes writes all times alike (RFC 3339, UTC, whole seconds), so they sort as texts.
pub(crate) fn made_at(object: &Value) -> Option<&str> {
    object["metadata"]["creationTimestamp"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encode(conditions: Value) -> Value {
        json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "encode", "generation": 2},
            "status": {"observedGeneration": 2, "conditions": conditions},
        })
    }

    fn pod(part: &str, status: Value) -> Value {
        json!({"kind": "Pod", "status": status, "metadata": {"name": format!("{part}-0"), "labels": {"app.kubernetes.io/name": part},
            "ownerReferences": [{"kind": "StatefulSet", "name": part}]}})
    }

    /// What is said where no pod says more.
    const UNMADE: &str = "the part bridge: 1 of 2 ready, and not all of its pods are made: kubectl -n teiten describe statefulset bridge";

    fn bridge(ready: u64) -> Value {
        json!({
            "kind": "StatefulSet", "metadata": {"name": "bridge", "generation": 1}, "spec": {"replicas": 2},
            "status": {"observedGeneration": 1, "readyReplicas": ready, "updatedReplicas": 2},
        })
    }

    #[test]
    fn what_is_ready_needs_no_words() {
        let idle = json!({
            "kind": "Deployment", "metadata": {"name": "encode-00001-deployment", "labels": {"serving.knative.dev/service": "encode"}},
            "spec": {"replicas": 1}, "status": {}});
        let ready = encode(
            json!([{"type": "ConfigurationsReady", "status": "True"}, {"type": "Ready", "status": "True"}]),
        );
        let objects = [bridge(2), ready, idle];
        assert_eq!(not_ready(&objects), [""; 0]);
        assert_eq!(parts(&objects), 2);
    }

    #[test]
    fn what_is_not_ready_says_why() {
        let failed = encode(json!([
            {"type": "ConfigurationsReady", "status": "False", "message": "Unable to fetch image \"teiten/encode:0.1.0\": 401"},
            {"type": "Ready", "status": "False", "reason": "RevisionMissing", "message": ""},
        ]));
        assert_eq!(
            not_ready(&[bridge(1), failed]),
            [UNMADE, "the part encode: Unable to fetch image \"teiten/encode:0.1.0\": 401"]
        );
        let mut changed = bridge(2);
        changed["metadata"]["generation"] = 2.into();
        assert_eq!(not_ready(&[changed]), ["the part bridge: the cluster has not looked at it yet"]);
        let mut renewed = bridge(2);
        renewed["status"]["updatedReplicas"] = 1.into();
        assert_eq!(not_ready(&[renewed]), ["the part bridge: 1 of 2 renewed"]);
        assert_eq!(
            not_ready(&[encode(json!([]))]),
            ["the part encode: it has not said yet whether it is ready"]
        );
    }

    #[test]
    fn a_part_whose_pods_are_refused_says_why_or_where_that_is_told() {
        let one = pod("bridge", json!({}));
        assert_eq!(not_ready(&[bridge(1), one.clone()]), [UNMADE]);
        assert_eq!(not_ready(&[bridge(1), one.clone(), one]), ["the part bridge: 1 of 2 ready"]);
        let broker = |status: Value| {
            let broker = json!({"kind": "Deployment", "metadata": {"name": "broker", "generation": 1}, "spec": {"replicas": 1}, "status": status});
            not_ready(&[broker])
        };
        let refused = "pods \"broker-7c5d79b5bb-\" is forbidden: exceeded quota: cpu";
        assert_eq!(
            broker(json!({"observedGeneration": 1, "conditions": [
                {"type": "Available", "status": "False", "message": "Deployment does not have minimum availability."},
                {"type": "ReplicaFailure", "status": "True", "message": refused}]})),
            [format!("the part broker: 0 of 1 ready: {refused}")]
        );
        let renewed = |pods: u64| {
            broker(
                json!({"observedGeneration": 1, "replicas": pods, "readyReplicas": 1, "updatedReplicas": 1}),
            )
        };
        assert_eq!(renewed(2), ["the part broker: 1 of 2 renewed"], "it is the old one that is ready");
        assert_eq!(renewed(1), [""; 0]);
    }

    #[test]
    fn a_pod_knows_better_why() {
        let waiting = |reason: &str, message: &str| {
            json!({"containerStatuses": [{"restartCount": 4, "state": {"waiting": {"reason": reason, "message": message}},
                "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}}}]})
        };
        for (status, words) in [
            (
                waiting("ImagePullBackOff", "Back-off pulling image \"dev.local/teiten/bridge:0.1.0\""),
                "its image is not to be had: Back-off",
            ),
            (
                waiting("CrashLoopBackOff", "back-off 1m20s"),
                "it ended 4 times, last with status 2: kubectl -n teiten logs bridge-0",
            ),
            (
                waiting("CreateContainerConfigError", "secret \"storage-bridge\" not found"),
                "CreateContainerConfigError: secret",
            ),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}),
                "no node takes it: 0/1 nodes",
            ),
            (waiting("ContainerCreating", ""), "1 of 2 ready"),
        ] {
            let found = not_ready(&[bridge(1), pod("bridge", status), pod("encode", json!({}))]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("the part bridge: {words}")), "{found:?}");
        }
        // Its node is gone: it is marked for deletion, and nobody says that it has ended.
        let mut lost = pod("bridge", json!({"containerStatuses": [{"state": {"running": {}}}]}));
        lost["spec"] = json!({"nodeName": "pi-2"});
        let at = |time: &str| Timestamp::from_rfc3339(time).unwrap();
        let said = |now, lost: &Value| not_ready_at(now, &[bridge(1), lost.clone()]).remove(0);
        assert_eq!(said(at("2026-11-23T05:00:00Z"), &lost), UNMADE);
        lost["metadata"]["deletionTimestamp"] = "2026-11-23T04:05:00Z".into();
        assert_eq!(said(at("2026-11-23T04:06:00Z"), &lost), UNMADE);
        let found = said(at("2026-11-23T04:06:01Z"), &lost);
        for words in [
            "the part bridge: bridge-0 was on node pi-2, which does not answer",
            "kubectl delete node pi-2 ",
            "kubectl taint node pi-2 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute,",
        ] {
            assert!(found.contains(words), "{found}");
        }
        let mut others = lost.clone();
        others["metadata"]["ownerReferences"][0]["kind"] = "ReplicaSet".into();
        assert_eq!(said(at("2026-11-23T05:00:00Z"), &others), UNMADE, "another one is made elsewhere");
        let waits = pod("bridge", waiting("ImagePullBackOff", "Back-off"));
        let found = not_ready_at(at("2026-11-23T05:00:00Z"), &[bridge(1), lost, waits]);
        assert!(found[0].contains("its image is not to be had"), "what can be mended comes first: {found:?}");
    }

    #[test]
    fn a_registry_that_wants_a_login_is_told_with_how_to_log_in() {
        for refused in [
            // As a kubelet says it, and Knative.
            "its image is not to be had: failed to pull and unpack image \"ghcr.io/you/teiten/bridge:1\": failed to fetch anonymous \
             token: unexpected status from GET request to https://ghcr.io/token: 401 Unauthorized",
            "its image is not to be had: failed to resolve reference \"ghcr.io/you/teiten/bridge:1\": unexpected status: 403 Forbidden",
            "its image is not to be had: pull access denied, repository does not exist or may require authorization",
            "Unable to fetch image \"ghcr.io/you/teiten/encode:1\": GET https://ghcr.io/token: DENIED: requested access to the resource",
        ] {
            let said = login(refused);
            assert!(
                said.contains("create secret docker-registry") && said.contains("patch serviceaccount"),
                "{refused}"
            );
        }
        for other in [
            "its image is not to be had: failed to resolve reference \"ghcr.io/you/teiten/bridge:1401\": not found",
            "pods \"bridge-0\" is forbidden: exceeded quota",
        ] {
            assert_eq!(login(other), "", "{other}");
        }
    }

    #[test]
    fn a_broken_pod_of_an_earlier_template_keeps_its_set_from_the_new_one_and_no_pod_that_is_ready_does() {
        let set = |current: &str| {
            json!({"kind": "StatefulSet", "metadata": {"name": "bridge", "labels": {"app.kubernetes.io/part-of": "teiten"}},
                "status": {"currentRevision": current, "updateRevision": "bridge-3"}})
        };
        let pod = |name: &str, owner: &str, revision: &str, ready: &str| {
            json!({
                "kind": "Pod",
                "metadata": {"name": name, "ownerReferences": [{"kind": "StatefulSet", "name": owner}],
                    "labels": {"controller-revision-hash": revision}},
                "status": {"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]},
            })
        };
        let mut ending = pod("bridge-4", "bridge", "bridge-2", "False");
        ending["metadata"]["deletionTimestamp"] = "2026-11-23T04:05:09Z".into();
        let mut objects = vec![
            set("bridge-1"),
            pod("bridge-0", "bridge", "bridge-2", "False"),
            pod("bridge-1", "bridge", "bridge-1", "True"),
            pod("bridge-2", "bridge", "bridge-3", "False"),
            pod("other-0", "other", "other-2", "False"),
            ending,
        ];
        assert_eq!(stuck(&objects), ["bridge-0"]);
        objects[0] = set("bridge-3");
        assert_eq!(stuck(&objects), [""; 0], "nothing is being renewed");
        objects[0] = set("bridge-1");
        objects[0]["metadata"]["labels"] = json!({});
        assert_eq!(stuck(&objects), [""; 0], "somebody else's");
    }
}
