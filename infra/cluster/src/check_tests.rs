use serde_json::json;

use super::*;

fn node(name: &str, architecture: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"architecture": architecture, "kubeletVersion": "v1.33.4+k3s1"},
            "images": [{"names": ["docker.io/rancher/mirrored-pause:3.6"]}, {"names": ["dev.local/teiten/bridge:0.1.0"]},
                {"names": ["dev.local/teiten/clip@sha256:0123", "dev.local/teiten/clip:0.1.0"]}],
        },
    })
}

fn deployment(namespace: &str, name: &str, ready: u64) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/version": "1.19.5"}},
        "spec": {"replicas": 1},
        "status": {"readyReplicas": ready},
    })
}

/// A small cluster of Raspberry Pis that lacks nothing.
fn facts() -> Facts {
    let mut deployments: Vec<Value> =
        ["activator", "autoscaler", "controller", "net-kourier-controller", "webhook"]
            .map(|name| deployment("knative-serving", name, 1))
            .into();
    deployments.extend(
        [
            "eventing-controller",
            "eventing-webhook",
            "imc-controller",
            "imc-dispatcher",
            "mt-broker-controller",
            "mt-broker-filter",
            "mt-broker-ingress",
        ]
        .map(|name| deployment("knative-eventing", name, 1)),
    );
    // The one adapter that waits for the first PingSource wants no pods.
    let mut idle = deployment("knative-eventing", "pingsource-mt-adapter", 0);
    idle["spec"]["replicas"] = 0.into();
    deployments.extend([idle, deployment("kourier-system", "3scale-kourier-gateway", 1)]);
    Facts {
        version: json!({"clientVersion": {"gitVersion": "v1.36.0"}, "serverVersion": {"gitVersion": "v1.33.4+k3s1"}}),
        nodes: vec![node("pi-1", "arm64"), node("pi-2", "arm64")],
        deployments,
        daemon_sets: Vec::new(),
        storage_classes: vec![json!({"metadata": {
            "name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}})],
        config_network: Some(
            json!({"data": {"_example": "…", "ingress-class": "kourier.ingress.networking.knative.dev"}}),
        ),
        kourier: Vec::new(),
        prometheuses: Vec::new(),
        has_volume: false,
    }
}

fn ours(tag: &str) -> BTreeSet<String> {
    ["bridge", "clip"].map(|name| format!("dev.local/teiten/{name}:{tag}")).into()
}

fn local() -> Wanted {
    Wanted {
        overlay: Overlay::Local,
        storage: "300Gi".parse().unwrap(),
        images: "dev.local/teiten".to_owned(),
        tag: Some("0.1.0".to_owned()),
        ours: ours("0.1.0"),
        channel_broker: true,
        closed: Vec::new(),
        watched: Vec::new(),
    }
}

/// The one thing that is found.
fn only(facts: &Facts, wanted: &Wanted) -> Finding {
    let mut found = findings(facts, wanted);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[test]
fn a_cluster_that_has_all_lacks_nothing() {
    assert_eq!(findings(&facts(), &local()), []);
    assert_eq!(
        summary(&facts()),
        "Kubernetes v1.33.4+k3s1, 2 nodes (arm64), Knative Serving 1.19, Eventing 1.19"
    );
}

#[test]
fn an_empty_cluster_lacks_knative_with_a_place_to_get_it() {
    let facts = Facts { deployments: Vec::new(), config_network: None, ..facts() };
    let found = findings(&facts, &local());
    assert_eq!(found.len(), 2, "{found:#?}");
    for (finding, part) in found.iter().zip(["Serving", "Eventing"]) {
        assert!(
            finding.stops && finding.what.contains(part) && finding.how.contains("knative.dev/docs"),
            "{finding}"
        );
    }
}

#[test]
fn an_old_kubernetes_and_an_old_knative_are_named() {
    let mut facts = facts();
    facts.version["serverVersion"]["gitVersion"] = "v1.27.16".into();
    for deployment in &mut facts.deployments {
        if deployment["metadata"]["namespace"] == "knative-eventing" {
            deployment["metadata"]["labels"]["app.kubernetes.io/version"] = "1.9.1".into();
        }
    }
    let found = findings(&facts, &local());
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].what.contains("v1.27.16") && found[1].what.contains("1.9"), "{found:#?}");
    assert!(found.iter().all(|finding| finding.stops));
}

#[test]
fn a_part_of_knative_that_is_missing_or_down_is_named() {
    let mut facts = facts();
    facts.deployments.retain(|deployment| name(deployment) != "imc-dispatcher");
    assert!(only(&facts, &local()).how.contains("in-memory-channel.yaml"));
    assert_eq!(findings(&facts, &Wanted { channel_broker: false, ..local() }), []);
    for deployment in &mut facts.deployments {
        if name(deployment) == "activator" {
            deployment["status"] = json!({});
        }
    }
    assert!(findings(&facts, &local())[0].what.contains("activator, which is not ready"));
}

#[test]
fn a_networking_layer_that_is_configured_and_not_there_is_missing() {
    let mut facts = facts();
    facts.deployments.retain(|deployment| deployment["metadata"]["namespace"] != "kourier-system");
    assert!(only(&facts, &local()).what.contains("no namespace has a Deployment 3scale-kourier-gateway"));
    facts.config_network = Some(json!({"data": {"ingress-class": "contour.ingress.networking.knative.dev"}}));
    assert!(only(&facts, &local()).what.contains("nothing is in contour-internal"));
}

#[test]
fn kourier_is_known_by_its_gateway_wherever_that_is() {
    let mut facts = facts();
    let gateway = facts.deployments.len() - 1;
    let mut moved_to = |namespace: &str| {
        facts.deployments[gateway]["metadata"]["namespace"] = namespace.into();
        findings(&facts, &local())
    };
    assert_eq!(moved_to("knative-serving"), [], "as the Knative Operator does it");
    let found = moved_to("ingress");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        !found[0].stops && found[0].how.contains("Name ingress in infra/base/functions/network.yaml"),
        "{found:#?}"
    );
}

#[test]
fn nodes_must_have_an_architecture_that_images_are_for() {
    let mut some = facts();
    some.nodes.push(node("old", "arm"));
    let finding = only(&some, &local());
    assert!(!finding.stops && finding.what.contains("old (arm)"), "{finding}");
    let all = Facts { nodes: vec![node("old", "arm")], ..facts() };
    assert!(only(&all, &local()).stops);
}

#[test]
fn only_what_keeps_footage_inside_needs_a_storage_class() {
    let mut facts = facts();
    facts.storage_classes[0]["metadata"]["annotations"] = Value::Null;
    let finding = only(&facts, &local());
    assert!(finding.stops && finding.how.contains("annotate storageclass local-path"), "{finding}");
    let production =
        Wanted { overlay: Overlay::Production, images: "ghcr.io/you/teiten".to_owned(), ..local() };
    assert_eq!(findings(&facts, &production), []);
    facts.has_volume = true;
    assert_eq!(findings(&facts, &local()), [], "the volume is there already");
}

#[test]
fn a_storage_class_is_the_default_one_by_the_older_annotation_too() {
    let mut facts = facts();
    facts.storage_classes[0]["metadata"]["annotations"] =
        json!({"storageclass.beta.kubernetes.io/is-default-class": "true"});
    assert_eq!(findings(&facts, &local()), []);
}

#[test]
fn a_disk_that_is_full_before_the_store_s_volume_is_told_and_keeps_nobody_from_deploying() {
    let with = |provisioner: &str, disks: [&str; 2]| {
        let mut facts = facts();
        facts.storage_classes[0]["provisioner"] = provisioner.into();
        for (node, disk) in facts.nodes.iter_mut().zip(disks) {
            node["status"]["capacity"] = json!({"cpu": "4", "ephemeral-storage": disk});
        }
        facts
    };
    // As a kubelet tells it of an SD card.
    let small = with("rancher.io/local-path", ["30025892Ki", "61255492Ki"]);
    let found = only(&small, &local());
    assert!(!found.stops && found.what.contains("no 300Gi but a folder"), "{found}");
    assert!(found.what.contains("of 58 GiB at most: at 95 % Kubernetes ends all pods on it"), "{found}");
    assert!(found.how.contains("infra/overlays/local/README.md"), "{found}");
    let sized = |size: &str| Wanted { storage: size.parse().unwrap(), ..local() };
    assert_eq!(findings(&small, &sized("55Gi")), []);
    assert_eq!(findings(&small, &sized("56Gi")).len(), 1, "95 % of the disk are 55.5 GiB");
    assert_eq!(findings(&with("rancher.io/local-path", ["30025892Ki", "488245288Ki"]), &local()), []);
    assert_eq!(findings(&with("driver.longhorn.io", ["30025892Ki", "61255492Ki"]), &local()), []);
    let production =
        Wanted { overlay: Overlay::Production, images: "ghcr.io/you/teiten".to_owned(), ..local() };
    assert_eq!(findings(&small, &production), []);
}

#[test]
fn whether_policies_are_enforced_is_known_or_said() {
    let mut facts = facts();
    for node in &mut facts.nodes {
        node["status"]["nodeInfo"]["kubeletVersion"] = "v1.34.0".into();
    }
    assert!(only(&facts, &local()).what.contains("not known"));
    facts.daemon_sets = vec![json!({"metadata": {"name": "kube-flannel-ds", "namespace": "kube-flannel"}})];
    assert!(only(&facts, &local()).what.contains("not enforced"));
    facts.daemon_sets.push(json!({"metadata": {"name": "calico-node", "namespace": "kube-system"}}));
    assert_eq!(findings(&facts, &local()), []);
}

#[test]
fn images_of_no_registry_must_be_on_every_node() {
    let mut facts = facts();
    facts.nodes[1]["status"]["images"] = json!([]);
    let finding = only(&facts, &local());
    assert!(finding.stops && finding.what.contains("pi-2") && !finding.what.contains("pi-1"), "{finding}");
    let registry = Wanted { images: "ghcr.io/you/teiten".to_owned(), ..local() };
    assert_eq!(findings(&facts, &registry), []);
    let newer = Wanted { tag: Some("0.1.1".to_owned()), ours: ours("0.1.1"), ..local() };
    let finding = only(&facts, &newer);
    assert!(finding.stops && finding.what.contains("(dev.local/teiten/…:0.1.1) on pi-1, pi-2"), "{finding}");
    assert!(only(&facts, &Wanted { tag: None, ..local() }).how.contains("TEITEN_VERSION="));
    // A kubelet that names as many as it ever does may have left it out.
    facts.nodes[1]["status"]["images"] = vec![json!({"names": ["other"]}); IMAGES_NAMED_MAX].into();
    assert_eq!(findings(&facts, &local()), []);
}

#[test]
fn an_image_that_a_node_has_no_longer_is_named() {
    let mut facts = facts();
    // As a kubelet leaves it that needed room: what does not run goes.
    facts.nodes[1]["status"]["images"] = json!([{"names": ["dev.local/teiten/bridge:0.1.0"]}]);
    let finding = only(&facts, &local());
    assert!(
        finding.stops && finding.what.ends_with("(dev.local/teiten/…:0.1.0) on pi-2 (clip)"),
        "{finding}"
    );
    assert!(finding.how.contains("/var/lib/rancher/k3s/agent/images/"), "{finding}");
}

#[test]
fn a_gateway_that_waits_for_an_address_is_told_and_keeps_nobody_from_deploying() {
    let with = |kind: &str, ingress: Value| {
        let service = json!({"spec": {"type": kind, "ports": [{"port": 80}]}, "status": {"loadBalancer": {"ingress": ingress}}});
        findings(&Facts { kourier: vec![service], ..facts() }, &local())
    };
    let found = with("LoadBalancer", Value::Null);
    assert!(found.len() == 1 && !found[0].stops && found[0].how.contains("--disable traefik"), "{found:?}");
    assert_eq!(with("LoadBalancer", json!([{"ip": "192.168.1.20"}])), []);
    assert_eq!(with("NodePort", Value::Null), []);
}

#[test]
fn a_node_that_takes_no_pod_of_ours_needs_no_images() {
    let mut facts = facts();
    facts.nodes[1]["status"]["images"] = json!([]);
    let mut with = |spec: Value| {
        facts.nodes[1]["spec"] = spec;
        findings(&facts, &local()).iter().any(|finding| finding.stops)
    };
    for effect in ["NoSchedule", "NoExecute"] {
        assert!(!with(
            json!({"taints": [{"key": "a", "effect": "PreferNoSchedule"}, {"key": "b", "effect": effect}]})
        ));
    }
    assert!(!with(json!({"unschedulable": true})));
    assert!(with(json!({"taints": [{"key": "a", "effect": "PreferNoSchedule"}], "unschedulable": false})));
    // Of an architecture that there are no images for.
    facts.nodes[1] = node("old", "arm");
    facts.nodes[1]["status"]["images"] = json!([]);
    assert!(!only(&facts, &local()).stops);
}

#[test]
fn versions_are_compared_as_numbers() {
    let version = |text| Version::parse(text).unwrap();
    assert!(version("v1.9.0") < version("1.14.2") && version("v1.33.4+k3s1") > version("v1.4"));
    assert_eq!(version("1.32-eks"), Version { major: 1, minor: 32 });
    assert_eq!((Version::parse("devel"), Version::parse("1")), (None, None));
}

#[test]
fn what_no_policy_opens_stops_where_policies_are_enforced() {
    let closed = vec![("TEITEN_MQTT=mqtt.example.org:1884".to_owned(), 1884)];
    let wanted = Wanted { closed, ..local() };
    let [Finding { stops, what, how }] = &findings(&facts(), &wanted)[..] else { panic!("one finding") };
    assert!(
        *stops && what.contains("TEITEN_MQTT=mqtt.example.org:1884") && what.contains("port 1884"),
        "{what}"
    );
    assert!(how.contains("overlays/production/kustomization.yaml"), "{how}");
    let mut unenforced = facts();
    for node in &mut unenforced.nodes {
        node["status"]["nodeInfo"]["kubeletVersion"] = "v1.33.4".into();
    }
    let found = findings(&unenforced, &wanted);
    assert!(found.iter().all(|finding| !finding.stops) && found.len() == 2, "{found:?}");
}

#[test]
fn a_prometheus_that_looks_for_none_of_our_monitors_is_told_and_keeps_nobody_from_deploying() {
    let manifest = |kind: &str| format!("kind: {kind}\nmetadata:\n  labels:\n    a: b\n  name: teiten\n");
    let watched = monitoring::watched(&["PodMonitor", "PrometheusRule"].map(manifest).join("\n---\n"));
    let wanted = Wanted { watched, ..local() };
    assert_eq!(findings(&facts(), &wanted), [], "nothing of the operator's is there");
    let prometheus = |monitors: Value, rules: Value| json!({"spec": {"podMonitorSelector": monitors, "ruleSelector": rules}});
    // As kube-prometheus-stack installs it.
    let release = || json!({"matchLabels": {"release": "x"}});
    let mut facts = Facts { prometheuses: vec![prometheus(release(), release())], ..facts() };
    let found = only(&facts, &wanted);
    assert!(!found.stops && found.what.contains("PodMonitors") && found.what.contains("release"), "{found}");
    assert!(found.how.contains("infra/observability/README.md"), "{found}");
    facts.prometheuses.push(prometheus(json!({}), release()));
    assert!(only(&facts, &wanted).what.contains("PrometheusRules"));
    facts.prometheuses.push(prometheus(release(), json!({"matchLabels": {"a": "b"}})));
    assert_eq!(findings(&facts, &wanted), []);
}
