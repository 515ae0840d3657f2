//! What a cluster lacks, and how to get it. Everything is asked for before anything is applied, and all that is missing is
//! said together.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use crate::{
    address::{balanced, is_ready},
    monitoring::{self, Watched},
    settings::Overlay,
    volume::Size,
};

/// The oldest Kubernetes that knows every field of the manifests (`persistentVolumeClaimRetentionPolicy` from 1.27 on) and that
/// the oldest Knative below takes. A newer Knative asks for a newer one by itself.
pub const KUBERNETES_MIN: Version = Version { major: 1, minor: 28 };
/// The oldest Knative whose own containers keep to the restricted standard, that this was written for.
pub const KNATIVE_MIN: Version = Version { major: 1, minor: 14 };

/// What the images are built for.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
/// Images of this registry are on the nodes, and nobody asks a registry for them: Knative leaves its tags unresolved.
const ON_THE_NODES: &str = "dev.local";
/// The storage class that k3s and kind bring: its volumes are folders on a node's disk, and keep to no size.
const FOLDERS: &str = "rancher.io/local-path";
/// k3s has its kubelet end pods once less of a disk than this is free (others do so earlier); MinIO takes pictures until 1 % is.
const FREE_PERCENT_MIN: u64 = 5;
/// A kubelet names no more than this many of a node's images.
const IMAGES_NAMED_MAX: usize = 50;

const BUILD_IMAGES: &str = "./just images --save target/images/archives, and on each node put those of its architecture (NAME-ARCH.tar) into \
     /var/lib/rancher/k3s/agent/images/ and restart k3s, which imports them and keeps them, as it does no image that was imported by hand \
     (kind: `kind load image-archive`, minikube: `minikube image load`); or set TEITEN_IMAGES to a registry of yours, and ./just images --push";

const KNATIVE: &str = "https://knative.dev/docs/install/yaml-install";

/// A version's first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl Version {
    /// Of texts such as `v1.33.4+k3s1` and `1.21.0`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim_start_matches('v').split('.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse().ok()
        });
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What kubectl says about a cluster, as it says it.
#[derive(Debug, Default)]
pub struct Facts {
    /// `kubectl version`.
    pub version: Value,
    /// All nodes.
    pub nodes: Vec<Value>,
    /// All Deployments.
    pub deployments: Vec<Value>,
    /// All DaemonSets.
    pub daemon_sets: Vec<Value>,
    /// All StorageClasses.
    pub storage_classes: Vec<Value>,
    /// Knative Serving's ConfigMap `config-network`.
    pub config_network: Option<Value>,
    /// Kourier's Service.
    pub kourier: Vec<Value>,
    /// All Prometheuses of the Prometheus operator's.
    pub prometheuses: Vec<Value>,
    /// Whether Teiten's volume for the store is there already.
    pub has_volume: bool,
}

/// What is to be applied.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What is inside of the cluster.
    pub overlay: Overlay,
    /// How large the store's volume is to be.
    pub(crate) storage: Size,
    /// Where images are.
    pub images: String,
    /// Their tag, if it is known.
    pub tag: Option<String>,
    /// All of them, with that tag.
    pub ours: BTreeSet<String>,
    /// Whether the events' Broker is Knative's own one over channels.
    pub channel_broker: bool,
    /// What is outside at a port that the network policies do not open: the setting that names it, and the port.
    pub closed: Vec<(String, u16)>,
    /// What a Prometheus is to find.
    pub watched: Vec<Watched>,
}

/// Something that a cluster lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is in vain to go on.
    pub stops: bool,
    /// What is missing.
    pub what: String,
    /// How to get it.
    pub how: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stops, what, how } = self;
        write!(f, "{} {what}\n    {how}", if *stops { "MISSING" } else { "note   " })
    }
}

fn missing(what: impl Into<String>, how: impl Into<String>) -> Finding {
    Finding { stops: true, what: what.into(), how: how.into() }
}

fn note(what: impl Into<String>, how: impl Into<String>) -> Finding {
    Finding { stops: false, what: what.into(), how: how.into() }
}

/// What `facts` lack for `wanted`.
pub fn findings(facts: &Facts, wanted: &Wanted) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(kubernetes(facts));
    found.extend(architectures(facts));
    found.extend(knative(facts, "Serving", "knative-serving", &["activator", "controller", "webhook"]));
    found.extend(networking_layer(facts));
    found.extend(way_in(facts));
    found.extend(knative(
        facts,
        "Eventing",
        "knative-eventing",
        &["eventing-controller", "eventing-webhook"],
    ));
    if wanted.channel_broker && in_namespace(&facts.deployments, "knative-eventing").next().is_some() {
        found.extend(deployments(
            facts,
            "Eventing",
            "knative-eventing",
            &["mt-broker-ingress", "mt-broker-filter", "imc-dispatcher"],
        ));
    }
    found.extend(storage_class(facts, wanted));
    found.extend(disk(facts, wanted));
    found.extend(network_policies(facts));
    found.extend(wanted.closed.iter().map(|(setting, port)| closed(facts, setting, *port)));
    found.extend(images(facts, wanted));
    found.extend(monitoring::unseen(&facts.prometheuses, &wanted.watched));
    found
}

/// One line about what is there.
pub fn summary(facts: &Facts) -> String {
    let kubernetes = facts.version["serverVersion"]["gitVersion"].as_str().unwrap_or("of an unknown version");
    let version = |namespace| {
        knative_version(facts, namespace).map_or("none".to_owned(), |version| version.to_string())
    };
    let mut architectures: Vec<&str> = facts.nodes.iter().map(architecture).collect();
    architectures.sort_unstable();
    architectures.dedup();
    format!(
        "Kubernetes {kubernetes}, {} node{} ({}), Knative Serving {}, Eventing {}",
        facts.nodes.len(),
        if facts.nodes.len() == 1 { "" } else { "s" },
        architectures.join(", "),
        version("knative-serving"),
        version("knative-eventing"),
    )
}

fn kubernetes(facts: &Facts) -> Option<Finding> {
    let text = facts.version["serverVersion"]["gitVersion"].as_str().unwrap_or_default();
    match Version::parse(text) {
        Some(version) if version >= KUBERNETES_MIN => None,
        Some(_) => Some(missing(
            format!("Kubernetes {KUBERNETES_MIN} or newer: this is {text}"),
            "Upgrade the cluster; the release notes of your Knative say which one it takes.",
        )),
        None => Some(missing("the cluster's version", "`kubectl version` must name the server's.")),
    }
}

fn architecture(node: &Value) -> &str {
    node["status"]["nodeInfo"]["architecture"].as_str().unwrap_or("unknown")
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn architectures(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if !facts.nodes.iter().any(is_ready) {
        found.push(missing("a node that is ready", "`kubectl get nodes` says what is wrong with them."));
    }
    let others: Vec<&Value> =
        facts.nodes.iter().filter(|node| !ARCHITECTURES.contains(&architecture(node))).collect();
    let names = || {
        others
            .iter()
            .map(|node| format!("{} ({})", name(node), architecture(node)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if !others.is_empty() && others.len() == facts.nodes.len() {
        found.push(missing(
            format!("a node of an architecture that there are images for: {}", names()),
            "Images are for amd64 and arm64. A Raspberry Pi 3 or newer is arm64 with a 64-bit system.",
        ));
    } else if !others.is_empty() {
        found.push(note(
            format!("nodes that there are no images for: {}", names()),
            "Keep pods away from them: kubectl taint nodes NAME teiten.dev/no-images=:NoSchedule",
        ));
    }
    found
}

fn in_namespace<'a>(deployments: &'a [Value], namespace: &'a str) -> impl Iterator<Item = &'a Value> {
    deployments.iter().filter(move |deployment| deployment["metadata"]["namespace"] == namespace)
}

fn knative_version(facts: &Facts, namespace: &str) -> Option<Version> {
    let labels = in_namespace(&facts.deployments, namespace)
        .filter_map(|deployment| deployment["metadata"]["labels"]["app.kubernetes.io/version"].as_str());
    labels.filter_map(Version::parse).min()
}

/// Whether all of a Deployment's pods are there (none, if it wants none).
fn is_available(deployment: &Value) -> bool {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    deployment["status"]["readyReplicas"].as_u64().unwrap_or(0) >= wanted.min(1)
}

fn knative(facts: &Facts, part: &str, namespace: &str, wanted: &[&str]) -> Vec<Finding> {
    if in_namespace(&facts.deployments, namespace).next().is_none() {
        let how = match part {
            "Serving" => {
                format!("{KNATIVE}/serving/install-serving-with-yaml (with the networking layer Kourier)")
            }
            _ => format!(
                "{KNATIVE}/eventing/install-eventing-with-yaml (with the in-memory channel and the MT-Channel-based Broker)"
            ),
        };
        return vec![missing(format!("Knative {part} {KNATIVE_MIN} or newer"), how)];
    }
    let mut found = Vec::new();
    match knative_version(facts, namespace) {
        Some(version) if version < KNATIVE_MIN => found.push(missing(
            format!("Knative {part} {KNATIVE_MIN} or newer: this is {version}"),
            "https://knative.dev/docs/install/upgrade".to_owned(),
        )),
        Some(_) => {}
        None => found.push(note(
            format!("Knative {part} does not say its version"),
            format!("It should be {KNATIVE_MIN} or newer."),
        )),
    }
    found.extend(deployments(facts, part, namespace, wanted));
    found
}

/// Which of the `wanted` Deployments of a part of Knative are not there, or not ready.
fn deployments(facts: &Facts, part: &str, namespace: &str, wanted: &[&str]) -> Vec<Finding> {
    let mut found = Vec::new();
    for wanted in wanted {
        let how = match *wanted {
            "imc-dispatcher" => {
                "Install the in-memory channel (in-memory-channel.yaml), or give the Broker another class: infra/components/README.md"
            }
            "mt-broker-ingress" | "mt-broker-filter" => {
                "Install the MT-Channel-based Broker (mt-channel-broker.yaml), or give the Broker another class: infra/components/README.md"
            }
            _ => "Install that part of Knative anew.",
        };
        match in_namespace(&facts.deployments, namespace).find(|deployment| name(deployment) == *wanted) {
            None => found.push(missing(format!("Knative {part}'s {wanted}"), how)),
            Some(deployment) if !is_available(deployment) => found.push(missing(
                format!("Knative {part}'s {wanted}, which is not ready"),
                format!("kubectl -n {namespace} describe deployment {wanted}"),
            )),
            Some(_) => {}
        }
    }
    found
}

fn networking_layer(facts: &Facts) -> Option<Finding> {
    in_namespace(&facts.deployments, "knative-serving").next()?;
    let data = &facts.config_network.as_ref()?["data"];
    let class = data["ingress-class"]
        .as_str()
        .or_else(|| data["ingress.class"].as_str())
        .unwrap_or("istio.ingress.networking.knative.dev");
    let (layer, namespace) = match class {
        "kourier.ingress.networking.knative.dev" => return kourier(facts),
        "contour.ingress.networking.knative.dev" => ("Contour", "contour-internal"),
        "istio.ingress.networking.knative.dev" => ("Istio", "istio-system"),
        _ => {
            return Some(note(
                format!("an unknown networking layer: {class}"),
                "Name its namespace in infra/base/functions/network.yaml (twice).",
            ));
        }
    };
    in_namespace(&facts.deployments, namespace)
        .next()
        .is_none()
        .then(|| no_layer(&format!("{layer}, and nothing is in {namespace}")))
}

/// Kourier by its gateway: its own release puts that into kourier-system, the Knative Operator into knative-serving.
fn kourier(facts: &Facts) -> Option<Finding> {
    const GATEWAY: &str = "3scale-kourier-gateway";
    const LET_IN: [&str; 2] = ["kourier-system", "knative-serving"];
    let namespaces = || {
        let gateways = facts.deployments.iter().filter(|deployment| name(deployment) == GATEWAY);
        gateways.filter_map(|gateway| gateway["metadata"]["namespace"].as_str())
    };
    if namespaces().any(|namespace| LET_IN.contains(&namespace)) {
        return None;
    }
    Some(match namespaces().next() {
        None => no_layer(&format!("Kourier, and no namespace has a Deployment {GATEWAY}")),
        Some(namespace) => note(
            format!(
                "Kourier runs in {namespace}, from where no network policy lets requests in to the functions"
            ),
            format!("Name {namespace} in infra/base/functions/network.yaml (twice), beside knative-serving."),
        ),
    })
}

/// That the outside reaches no function, for Kourier waits for an address.
fn way_in(facts: &Facts) -> Option<Finding> {
    let waits = |service: &&Value| service["spec"]["type"] == "LoadBalancer" && balanced(service).is_none();
    facts.kourier.iter().find(waits)?;
    Some(note(
        "Kourier's Service has no address outside of the cluster, so nobody outside reaches `playback` and `clip`",
        "k3s gives ports 80 and 443 to its Traefik: start it with --disable traefik, or give Kourier's Service other ports (and write one \
         behind TEITEN_DOMAIN). Elsewhere install a load balancer, such as MetalLB.",
    ))
}

fn no_layer(configured: &str) -> Finding {
    missing(
        format!("Knative's networking layer: config-network names {configured}"),
        format!(
            "{KNATIVE}/serving/install-serving-with-yaml/#install-a-networking-layer (Kourier is the smallest)"
        ),
    )
}

/// Whether Kubernetes takes a class where none is named: by either of two annotations.
fn is_default(class: &Value) -> bool {
    let annotations = &class["metadata"]["annotations"];
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
        .iter()
        .any(|annotation| annotations[annotation] == "true")
}

fn storage_class(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    if wanted.overlay != Overlay::Local || facts.has_volume || facts.storage_classes.iter().any(is_default) {
        return None;
    }
    let how = match facts.storage_classes.first() {
        Some(class) => format!(
            "kubectl annotate storageclass {} storageclass.kubernetes.io/is-default-class=true",
            name(class)
        ),
        None => "Install one: k3s, kind and minikube bring theirs; else Rancher's local-path-provisioner keeps volumes on the nodes' disks.".to_owned(),
    };
    Some(missing("a default storage class, for the volume of footage", how))
}

/// That footage fills a node's disk before the store's volume is full: then the store does not run, and it alone deletes footage. The
/// folder may be on a disk that the cluster knows nothing of.
fn disk(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    let class = facts.storage_classes.iter().find(|class| is_default(class))?;
    let disks =
        facts.nodes.iter().filter_map(|node| node["status"]["capacity"]["ephemeral-storage"].as_str());
    let largest = disks.filter_map(|disk| disk.parse::<Size>().ok()).map(|disk| disk.bytes()).max()?;
    let room = largest / 100 * (100 - FREE_PERCENT_MIN);
    if wanted.overlay != Overlay::Local || class["provisioner"] != FOLDERS || wanted.storage.bytes() <= room {
        return None;
    }
    let (size, gib) = (&wanted.storage, largest >> 30);
    Some(note(
        format!(
            "the store's volume is no {size} but a folder on a node's disk, of {gib} GiB at most: at {} % Kubernetes ends all pods on it, the \
             store too, and then nothing deletes footage",
            100 - FREE_PERCENT_MIN
        ),
        "Have less footage than that (days and pictures: infra/overlays/local/README.md has the sum), or a larger disk. All is well if the folder \
         is on a large disk of its own (k3s: --default-local-storage-path).",
    ))
}

fn network_policies(facts: &Facts) -> Option<Finding> {
    // Those that enforce policies; k3s and RKE2 do so by themselves.
    const ENFORCE: [&str; 9] = [
        "calico-node",
        "canal",
        "rke2-canal",
        "cilium",
        "antrea-agent",
        "kube-router",
        "weave-net",
        "ovnkube-node",
        "anetd",
    ];
    const DO_NOT: [&str; 2] = ["kube-flannel-ds", "kube-flannel"];
    let runs = |names: &[&str]| facts.daemon_sets.iter().any(|set| names.contains(&name(set)));
    let version = facts
        .nodes
        .first()
        .and_then(|node| node["status"]["nodeInfo"]["kubeletVersion"].as_str())
        .unwrap_or_default();
    if version.contains("+k3s") || version.contains("+rke2") || runs(&ENFORCE) {
        return None;
    }
    let what = if runs(&DO_NOT) {
        "network policies are not enforced: Flannel alone does not"
    } else {
        "it is not known whether this cluster's network plugin enforces network policies"
    };
    Some(note(
        what,
        "Teiten works all the same, but its parts are not walled off. Calico and Cilium enforce them.",
    ))
}

fn closed(facts: &Facts, setting: &str, port: u16) -> Finding {
    let what = format!("a way out for {setting}: no network policy opens port {port}");
    let how = "In infra/overlays/production/kustomization.yaml, add that port to the patch of the policies (443 is the store's, 8883 the broker's). \
               Inside of a cluster, a policy goes by the port of the pod, not of its Service.";
    // Where nobody enforces them it may work all the same.
    if network_policies(facts).is_none() { missing(what, how) } else { note(what, how) }
}

/// Whether pods of ours can come to be on a node: there are images for it, and nothing keeps from it whoever tolerates nothing.
fn runs_ours(node: &Value) -> bool {
    let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let keeps_away = taints.any(|taint| matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute")));
    ARCHITECTURES.contains(&architecture(node)) && node["spec"]["unschedulable"] != true && !keeps_away
}

fn images(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    let Some(tag) = &wanted.tag else {
        return Some(missing(
            "images: none were built here, and none run in the cluster",
            format!(
                "{BUILD_IMAGES}; or write the tag of those that there are into infra/settings/teiten.env: TEITEN_VERSION=…"
            ),
        ));
    };
    if wanted.images.split('/').next() != Some(ON_THE_NODES) {
        return None;
    }
    let (prefix, suffix) = (format!("{}/", wanted.images), format!(":{tag}"));
    let without: Vec<String> = facts
        .nodes
        .iter()
        .filter(|node| is_ready(node) && runs_ours(node))
        .filter_map(|node| {
            let images = node["status"]["images"].as_array().map_or(&[][..], Vec::as_slice);
            let names = images.iter().flat_map(|image| image["names"].as_array().into_iter().flatten());
            let there: BTreeSet<&str> = names.filter_map(Value::as_str).collect();
            let lacking: Vec<&str> =
                wanted.ours.iter().map(String::as_str).filter(|image| !there.contains(image)).collect();
            // Of more than it names, nobody knows.
            if lacking.is_empty() || images.len() >= IMAGES_NAMED_MAX {
                return None;
            }
            let short = |image: &&str| image.trim_start_matches(&prefix).trim_end_matches(&suffix).to_owned();
            let all = lacking.len() == wanted.ours.len();
            let which = (!all).then(|| lacking.iter().map(short).collect::<Vec<_>>().join(", "));
            Some(which.map_or(name(node).to_owned(), |which| format!("{} ({which})", name(node))))
        })
        .collect();
    if without.is_empty() {
        return None;
    }
    Some(missing(format!("the images ({prefix}…{suffix}) on {}", without.join(", ")), BUILD_IMAGES))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
