//! The Jobs that set the store up: the CronJob makes one an hour, and `deploy` one at once where none has done what is wanted now.

use std::{slice, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use teiten_telemetry::{Backoff, now};
use tokio::time::Instant;

use crate::{
    Kubectl, NAMESPACE,
    deploy::{LOOK, free_stuck},
    ready::{self, has_condition, is_owned_by, made_at},
    secrets::is_of_store,
    volume::{CLAIM, STORE},
};

/// The CronJob.
const NAME: &str = "storage-setup";

/// What tells how far the set-up is.
const KINDS: [&str; 6] =
    ["cronjobs.batch", "jobs.batch", "secrets", "statefulsets.apps", "pods", "persistentvolumeclaims"];

/// How soon it is looked at again: a set-up whose image is there and whose store listens is done in a second or two.
const LOOK_FIRST: Duration = Duration::from_millis(200);

/// What the set-up has said: in its own container as long as that has not ended well, and the others have said nothing then.
const LOGS: &str = "--all-containers --ignore-errors --tail 20";

/// Has a Job set the store up, unless one has as it is and with the keys that there are; at most `wait` seconds.
pub(crate) async fn run(kubectl: &Kubectl, wait: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let (mut said, mut made) = (None, None);
    let mut look = Backoff::new(LOOK_FIRST, LOOK);
    loop {
        let (objects, _) = kubectl.list_all(&KINDS)?;
        let of =
            |kind: &str| objects.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
        let (jobs, secrets) = (of("Job"), of("Secret"));
        let cron = of("CronJob").into_iter().find(|cron| cron["metadata"]["name"] == NAME);
        let cron = cron.with_context(|| format!("there is no CronJob {NAME}"))?;
        let wanted = Wanted::of(&cron, &secrets);
        if wanted.is_done(&jobs) {
            return Ok(());
        }
        let (its_own, stores) = (ready::pods_trouble(&objects, NAME), store_trouble(&objects));
        if stores.is_some() {
            // What fails while the store is away tells nothing of what comes next.
            made = None;
        }
        let mine = jobs.iter().find(|job| job["metadata"]["name"].as_str() == made.as_deref());
        if let Some(words) = mine.and_then(|job| failed(slice::from_ref(job))) {
            bail!("{words}");
        }
        // While the store is away the set-up waits for it, and its log says no more.
        let is_stores = its_own.is_none() && stores.is_some();
        let trouble = its_own.or(stores);
        if started.elapsed() >= Duration::from_secs(wait) {
            let has_pod = of("Pod").iter().any(|pod| ready::belongs(pod, STORE));
            bail!("{}", late(wait, trouble.as_deref(), is_stores.then_some(has_pod)));
        }
        if let Some(trouble) = trouble.as_deref().filter(|trouble| said.as_deref() != Some(*trouble)) {
            println!("waiting for the store's set-up: {trouble}{}", ready::login(trouble));
        }
        said = trouble;
        free_stuck(kubectl, &objects)?;
        if !wanted.is_under_way(&jobs) {
            for job in wanted.outdated(&jobs) {
                println!("job {job}: ended, for it sets the store up as it was to be before");
                kubectl.run(
                    &["delete", "job", job, "--namespace", NAMESPACE, "--ignore-not-found", "--wait=false"],
                    None,
                )?;
            }
            println!("setting the store up");
            let name = format!("{NAME}-{}", now().unix_millis());
            kubectl.apply(&job_of(&cron, &name))?;
            made = Some(name);
        }
        tokio::time::sleep(look.wait()).await;
    }
}

/// Why the store that the overlay brought along is not ready.
fn store_trouble(objects: &[Value]) -> Option<String> {
    let is_of_store = |object: &&Value| match object["kind"].as_str() {
        Some("StatefulSet") => object["metadata"]["name"] == STORE,
        kind => kind == Some("Pod"),
    };
    let of_store: Vec<Value> = objects.iter().filter(is_of_store).cloned().collect();
    let trouble = ready::not_ready(&of_store).into_iter().next()?;
    let lacks_volume = objects.iter().any(|object| {
        object["kind"] == "PersistentVolumeClaim"
            && object["metadata"]["name"] == CLAIM
            && object["status"]["phase"].as_str().is_some_and(|phase| phase != "Bound")
    });
    // A pod that no node takes has no volume yet where that is made on its node.
    if lacks_volume && ready::pods_trouble(&of_store, STORE).is_none() {
        return Some(format!(
            "the store's volume {CLAIM} is not there: kubectl -n {NAMESPACE} describe pvc {CLAIM}"
        ));
    }
    Some(trouble)
}

/// That the store was not set up in time, for a trouble that is the set-up's; or the store's, which has a pod, or none.
fn late(wait: u64, trouble: Option<&str>, stores: Option<bool>) -> String {
    let because = trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    let look = match stores {
        None => format!(": kubectl -n {NAMESPACE} logs -l app.kubernetes.io/name={NAME} {LOGS}"),
        Some(true) => format!(": kubectl -n {NAMESPACE} describe pod {STORE}-0"),
        Some(false) => String::new(),
    };
    format!("the store was not set up within {wait} s{because}{look}{}", ready::login(&because))
}

/// That the last Job of the CronJob that has ended failed, in words.
pub(crate) fn failed(jobs: &[Value]) -> Option<String> {
    let ended = jobs.iter().filter(|job| is_owned_by(job, "CronJob", &NAME.into()) && has_ended(job));
    let last = ended.max_by_key(|job| made_at(job)).filter(|job| has_condition(job, "Failed"))?;
    let name = last["metadata"]["name"].as_str()?;
    Some(format!(
        "The store's set-up, which started at {}, failed: kubectl -n {NAMESPACE} logs -l batch.kubernetes.io/job-name={name} {LOGS}",
        made_at(last)?
    ))
}

fn has_ended(job: &Value) -> bool {
    has_condition(job, "Complete") || has_condition(job, "Failed")
}

/// What is to be done to the store now: what the CronJob says today, with the keys that there are.
struct Wanted<'a> {
    cron: &'a Value,
    newest_keys: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(cron: &'a Value, secrets: &'a [Value]) -> Self {
        let keys =
            secrets.iter().filter(|secret| secret["metadata"]["name"].as_str().is_some_and(is_of_store));
        Self { cron, newest_keys: keys.map(made_at).max().flatten() }
    }

    /// Whether a Job has done it.
    fn is_done(&self, jobs: &[Value]) -> bool {
        jobs.iter().any(|job| has_condition(job, "Complete") && self.is_done_by(job))
    }

    /// Whether a Job is doing it.
    fn is_under_way(&self, jobs: &[Value]) -> bool {
        jobs.iter().any(|job| !has_ended(job) && self.is_done_by(job))
    }

    /// The CronJob's Jobs that are doing something else, by their names.
    fn outdated<'b>(&self, jobs: &'b [Value]) -> Vec<&'b str> {
        let outdated =
            jobs.iter().filter(|job| self.is_of_cron(job) && !has_ended(job) && !self.is_done_by(job));
        outdated.filter_map(|job| job["metadata"]["name"].as_str()).collect()
    }

    /// Whether it is what a Job does or has done.
    fn is_done_by(&self, job: &Value) -> bool {
        // What the cluster adds to a template in a Job is left out of the comparison.
        let wanted = work(&self.cron["spec"]["jobTemplate"]["spec"]["template"]);
        self.is_of_cron(job) && made_at(job) >= self.newest_keys && work(&job["spec"]["template"]) == wanted
    }

    fn is_of_cron(&self, job: &Value) -> bool {
        let mut owners = job["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.any(|owner| owner["uid"] == self.cron["metadata"]["uid"])
    }
}

/// What a template's pods do.
fn work(template: &Value) -> [&Value; 3] {
    ["initContainers", "containers", "volumes"].map(|list| &template["spec"][list])
}

/// A Job of the CronJob `cron`, now: what `kubectl create job --from` makes.
fn job_of(cron: &Value, name: &str) -> Value {
    let template = &cron["spec"]["jobTemplate"];
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cron["metadata"]["namespace"],
            "labels": template["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "controller": true,
                "name": cron["metadata"]["name"], "uid": cron["metadata"]["uid"],
            }],
        },
        "spec": template["spec"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(map: &str) -> Value {
        json!({"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": map}}]}], "volumes": []}})
    }

    fn cron(map: &str) -> Value {
        json!({"metadata": {"uid": "u"}, "spec": {"jobTemplate": {"spec": {"template": template(map)}}}})
    }

    #[test]
    fn a_set_up_of_the_store_that_failed_last_is_told() {
        let job = |minute: u32, condition: &str| {
            let name = format!("storage-setup-{minute}");
            let made = format!("2026-11-23T04:{minute}:00Z");
            json!({"metadata": {"name": name, "creationTimestamp": made, "ownerReferences": [{"kind": "CronJob", "name": "storage-setup"}]},
                "status": {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": condition, "status": "True"}]}})
        };
        let said = failed(&[job(17, "Complete"), job(59, "Suspended"), job(37, "Failed")]).unwrap();
        assert_eq!(
            said,
            "The store's set-up, which started at 2026-11-23T04:37:00Z, failed: kubectl -n teiten logs -l \
             batch.kubernetes.io/job-name=storage-setup-37 --all-containers --ignore-errors --tail 20"
        );
        assert_eq!(failed(&[job(17, "Failed"), job(37, "Complete")]), None, "it works again");
        let mut other = job(37, "Failed");
        other["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(failed(&[other]), None);
    }

    #[test]
    fn a_set_up_that_does_not_come_about_says_why_and_where_its_own_words_are() {
        let said = late(600, Some("no node takes it: 0/1 nodes are available"), None);
        assert!(said.starts_with("the store was not set up within 600 s (no node takes it: 0/1"), "{said}");
        // The program is an init container: without these kubectl shows the one that waits for it.
        assert!(said.ends_with("=storage-setup --all-containers --ignore-errors --tail 20"), "{said}");
        assert!(late(600, None, None).starts_with("the store was not set up within 600 s: kubectl"));
        let refused = late(600, Some("its image is not to be had: 403 Forbidden"), None);
        assert!(refused.contains("create secret docker-registry"), "{refused}");
    }

    #[test]
    fn a_store_that_does_not_start_is_told_of_with_where_its_own_words_are() {
        let set = |ready: u64| {
            json!({"kind": "StatefulSet", "metadata": {"name": "storage", "generation": 1}, "spec": {"replicas": 1},
                "status": {"observedGeneration": 1, "readyReplicas": ready, "updatedReplicas": 1}})
        };
        let claim = |phase: &str| json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "data-storage-0"}, "status": {"phase": phase}});
        let pod = |status: Value| json!({"kind": "Pod", "metadata": {"name": "storage-0", "labels": {"app.kubernetes.io/name": "storage"}}, "status": status});
        let crashed = json!({"containerStatuses": [{"restartCount": 5, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 127, "reason": "Error"}}}]});
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
        for (objects, words) in [
            (
                vec![set(0), claim("Pending"), pod(json!({}))],
                "the store's volume data-storage-0 is not there: kubectl -n teiten describe pvc",
            ),
            (
                vec![set(0), claim("Pending"), pod(unscheduled)],
                "the part storage: no node takes it: 0/1 nodes",
            ),
            (
                vec![set(0), claim("Bound"), pod(crashed)],
                "the part storage: it ended 5 times, last with status 127: kubectl -n teiten logs storage-0",
            ),
            (vec![set(0), claim("Bound")], "the part storage: 0 of 1 ready"),
        ] {
            let said = store_trouble(&objects).unwrap();
            assert!(said.starts_with(words), "{said}");
        }
        assert_eq!(store_trouble(&[set(1), claim("Bound")]), None);
        assert_eq!(store_trouble(&[]), None, "a store of the user's own");
        let said = late(600, Some("the part storage: 0 of 1 ready"), Some(true));
        assert!(
            said.ends_with("(the part storage: 0 of 1 ready): kubectl -n teiten describe pod storage-0"),
            "{said}"
        );
        // As where a quota of the namespace forbids its pod.
        let trouble = store_trouble(&[set(0), claim("Bound")]);
        let said = late(600, trouble.as_deref(), Some(false));
        assert!(said.ends_with("kubectl -n teiten describe statefulset storage)"), "{said}");
    }

    #[test]
    fn a_job_counts_if_it_did_what_the_schedule_says_today() {
        let is_done =
            |cron: &Value, jobs: &[Value], secrets: &[Value]| Wanted::of(cron, secrets).is_done(jobs);
        let cron = cron("teiten-a");
        let job = |map: &str, complete: &str| {
            json!({"metadata": {"ownerReferences": [{"uid": "u"}]}, "spec": {"template": template(map)},
                "status": {"conditions": [{"type": "Complete", "status": complete}]}})
        };
        assert!(is_done(&cron, &[job("teiten-b", "True"), job("teiten-a", "True")], &[]));
        assert!(!is_done(&cron, &[job("teiten-b", "True"), job("teiten-a", "False")], &[]));
        let with_program = |image: &str| {
            let mut job = job("teiten-a", "True");
            job["spec"]["template"]["spec"]["initContainers"] = json!([{"image": image}]);
            job
        };
        let mut renewed = cron.clone();
        renewed["spec"]["jobTemplate"]["spec"] = with_program("setup:2")["spec"].take();
        assert!(!is_done(&renewed, &[with_program("setup:1")], &[]), "the program is another one");
        assert!(is_done(&renewed, &[with_program("setup:2")], &[]));
        let mut made = job_of(&cron, "now");
        assert!(!is_done(&cron, std::slice::from_ref(&made), &[]), "it has not run");
        made["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert!(is_done(&cron, std::slice::from_ref(&made), &[]));

        let secret = |name: &str, time: &str| json!({"metadata": {"name": name, "creationTimestamp": time}});
        made["metadata"]["creationTimestamp"] = "2026-11-23T04:05:09Z".into();
        for (name, time, done) in [
            ("storage-link", "2026-11-23T04:05:09Z", true),
            ("storage-link", "2026-11-23T04:05:10Z", false),
            ("link-token", "2026-11-24T04:05:10Z", true),
        ] {
            let secrets = [secret("storage-clip", "2026-11-23T04:00:00Z"), secret(name, time)];
            assert_eq!(is_done(&cron, std::slice::from_ref(&made), &secrets), done, "{name} of {time}");
        }
    }

    #[test]
    fn a_job_of_earlier_settings_is_not_waited_for_and_nobody_else_s_is_touched() {
        let job = |name: &str, map: &str, status: Value| {
            json!({"metadata": {"name": name, "creationTimestamp": "2026-11-23T04:05:09Z", "ownerReferences": [{"uid": "u"}]},
                "spec": {"template": template(map)}, "status": status})
        };
        let ended = |condition: &str| json!({"conditions": [{"type": condition, "status": "True"}]});
        let mut another = job("another", "teiten-b", json!({"active": 1}));
        another["metadata"]["ownerReferences"] = json!([]);
        let mut jobs = vec![
            job("ran", "teiten-b", ended("Complete")),
            job("broke", "teiten-b", ended("Failed")),
            job("runs", "teiten-b", json!({"active": 1})),
            job("starts", "teiten-b", json!({})),
            another,
        ];
        let cron = cron("teiten-a");
        let wanted = Wanted::of(&cron, &[]);
        assert!(!wanted.is_under_way(&jobs));
        assert_eq!(wanted.outdated(&jobs), ["runs", "starts"]);
        jobs.push(job("mine", "teiten-a", json!({})));
        assert!(wanted.is_under_way(&jobs));
        let secrets =
            [json!({"metadata": {"name": "storage-link", "creationTimestamp": "2026-11-23T04:05:10Z"}})];
        let wanted = Wanted::of(&cron, &secrets);
        assert!(!wanted.is_under_way(&jobs), "it has the keys of before");
        assert_eq!(wanted.outdated(&jobs), ["runs", "starts", "mine"]);
    }
}
