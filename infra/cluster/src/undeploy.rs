//! `./just undeploy`: everything goes but the footage and the keys to it, unless told otherwise.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::{bail, ensure};
use serde_json::Value;

use crate::{Kubectl, KubectlError, NAMESPACE, domain, ready::is_ours};

/// What goes, in this order: first what sends events, so that none goes astray. Volumes of footage and Secrets stay.
/// `infra/tests/manifests.py` holds it against what overlays and components make.
const KINDS: [&str; 15] = [
    "pingsources.sources.knative.dev",
    "sinkbindings.sources.knative.dev",
    "statefulsets.apps",
    "deployments.apps",
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

/// Takes Teiten out of the cluster; with `footage`, the whole namespace with its volumes and keys. Nothing is waited for longer than
/// `wait` seconds.
pub fn undeploy(kubectl: &Kubectl, footage: bool, yes: bool, wait: u64) -> anyhow::Result<()> {
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
        let names = domain::remove(kubectl, &[], wait);
        println!("taking out the namespace {NAMESPACE}");
        went(names.err().into_iter().chain(kubectl.delete("namespace", &[NAMESPACE], wait).err()))?;
        println!("All of it is gone. (Buckets of a store of your own are as they were.)");
        return Ok(());
    }
    let services = kubectl.list(SERVICES)?;
    let outside: Vec<_> =
        services.iter().filter(|service| is_ours(service) && is_reached(service)).filter_map(name).collect();
    // What cannot go keeps nothing else from going.
    let mut stays: Vec<_> = domain::remove(kubectl, &[], wait).err().into_iter().collect();
    for kind in KINDS {
        let there = match kubectl.list(kind) {
            Ok(there) => there,
            Err(error) => {
                stays.push(error);
                continue;
            }
        };
        let mut names: Vec<_> = there.iter().filter(|object| is_ours(object)).filter_map(name).collect();
        names.retain(|name| kind != SERVICES || !outside.contains(name));
        if !names.is_empty() {
            println!("taking out {kind}: {}", names.join(" "));
            stays.extend(kubectl.delete(kind, &names, wait).err());
        }
    }
    went(stays)?;
    println!(
        "Teiten is out of the cluster. The footage (volumes of the namespace {NAMESPACE}) and the keys are still there:"
    );
    println!("./just deploy goes on with them, ./just undeploy --footage deletes them.");
    if !outside.is_empty() {
        println!(
            "So are the addresses that cameras and links know (in a cloud, their load balancers cost). To give them up, too: kubectl -n \
             {NAMESPACE} delete service {}",
            outside.join(" ")
        );
    }
    Ok(())
}

/// Tells why not all went, if so.
fn went(stays: impl IntoIterator<Item = KubectlError>) -> anyhow::Result<()> {
    let why: Vec<String> =
        stays.into_iter().map(|error| format!("\n  {:#}", anyhow::Error::from(error))).collect();
    if why.is_empty() {
        return Ok(());
    }
    bail!(
        "not all of it is gone:{}\nWhat was only waited for goes by itself, if Knative's parts run, which clean up behind it (kubectl get pods \
         --namespace knative-eventing, and knative-serving). Then ./just undeploy again.",
        why.concat()
    )
}

/// Whether the outside reaches a Service. Its port at the nodes, or its load balancer, is another one once it is made anew; the old address is
/// on every camera's card.
fn is_reached(service: &Value) -> bool {
    matches!(service["spec"]["type"].as_str(), Some("LoadBalancer" | "NodePort"))
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}
