//! `./just undeploy`: everything goes but the footage and the keys to it, unless told otherwise.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::ensure;
use serde_json::Value;

use crate::{Kubectl, KubectlError, NAMESPACE, domain, ready::is_ours};

/// What goes, in this order: first what sends events, so that none goes astray. Volumes of footage and Secrets stay.
/// `infra/tests/manifests.py` holds it against what overlays and components make.
const KINDS: [&str; 14] = [
    "pingsources.sources.knative.dev",
    "sinkbindings.sources.knative.dev",
    "statefulsets.apps",
    "triggers.eventing.knative.dev",
    "brokers.eventing.knative.dev",
    "services.serving.knative.dev",
    "cronjobs.batch",
    "services.v1.",
    "poddisruptionbudgets.policy",
    "configmaps",
    "networkpolicies.networking.k8s.io",
    "podmonitors.monitoring.coreos.com",
    "prometheusrules.monitoring.coreos.com",
    "certificates.cert-manager.io",
];

/// Of these go those alone that the outside cannot reach.
const SERVICES: &str = "services.v1.";

/// Takes Teiten out of the cluster; with `footage`, the whole namespace with its volumes and keys.
pub fn undeploy(kubectl: &Kubectl, footage: bool, yes: bool) -> anyhow::Result<()> {
    if kubectl.get("namespace", NAMESPACE, NAMESPACE)?.is_none() {
        println!("There is no Teiten in this cluster.");
        return Ok(());
    }
    if footage {
        if !yes {
            ensure!(
                io::stdin().is_terminal(),
                "this deletes all footage in the cluster: --yes if you are sure"
            );
            println!(
                "All footage that is in the cluster, and all keys, will be deleted. Type `footage` to go on:"
            );
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            ensure!(answer.trim() == "footage", "nothing was changed");
        }
        domain::remove(kubectl, &[])?;
        kubectl.run(&["delete", "namespace", NAMESPACE], None)?;
        println!("All of it is gone. (Buckets of a store of your own are as they were.)");
        return Ok(());
    }
    domain::remove(kubectl, &[])?;
    let label = format!("app.kubernetes.io/part-of={NAMESPACE}");
    let services = kubectl.list(SERVICES)?;
    let (outside, inside): (Vec<_>, Vec<_>) =
        services.iter().filter(|service| is_ours(service)).partition(|service| is_reached(service));
    for kind in KINDS {
        let mut arguments = vec!["delete", kind, "--namespace", NAMESPACE, "--ignore-not-found"];
        if kind == SERVICES {
            arguments.extend(inside.iter().copied().filter_map(name));
            if inside.is_empty() {
                continue;
            }
        } else {
            arguments.extend(["--selector", &*label]);
        }
        match kubectl.run(&arguments, None) {
            // What the cluster does not know, it has none of.
            Err(KubectlError::Failed { stderr, .. }) if stderr.contains("doesn't have a resource type") => {}
            done => {
                done?;
            }
        }
    }
    println!(
        "Teiten is out of the cluster. The footage (volumes of the namespace {NAMESPACE}) and the keys are still there:"
    );
    println!("./just deploy goes on with them, ./just undeploy --footage deletes them.");
    if !outside.is_empty() {
        let names: Vec<_> = outside.iter().copied().filter_map(name).collect();
        println!(
            "So are the addresses that cameras and links know (in a cloud, their load balancers cost). To give them up, too: kubectl -n \
             {NAMESPACE} delete service {}",
            names.join(" ")
        );
    }
    Ok(())
}

/// Whether the outside reaches a Service. Its port at the nodes, or its load balancer, is another one once it is made anew; the old address is
/// on every camera's card.
fn is_reached(service: &Value) -> bool {
    matches!(service["spec"]["type"].as_str(), Some("LoadBalancer" | "NodePort"))
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}
