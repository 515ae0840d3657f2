//! Certificates of broker and bridge, by the owner's authority in `cameras/`: cameras trust that one alone. And the list of those
//! that it has revoked.

use anyhow::Context as _;
use serde_json::{Value, json};
use teiten_footage::{CameraId, ContentHash};
use teiten_mqtt::HostPort;
use teiten_owner::{
    authority::{BrokerHost, Identity},
    cameras::{Cameras, Desk},
};
use teiten_telemetry::now;

use crate::{
    Kubectl, NAMESPACE,
    camera::NAME,
    secrets,
    settings::{Overlay, Settings},
    store,
};

/// The Secrets with certificates of the broker's and of the bridge's, and the one with the list of those that are revoked.
const BROKER_TLS: &str = "broker-tls";
const BRIDGE_TLS: &str = "bridge-tls";
const REVOKED_TLS: &str = "broker-revoked-tls";

/// What a part says about the Secrets that its pods were started for.
const STARTED_FOR: &str = "teiten.dev/started-for";

/// The broker's names inside of the cluster.
const INSIDE: [&str; 3] = ["broker", "broker.teiten", "broker.teiten.svc"];

/// The broker as a camera sees it.
pub(crate) struct Broker {
    pub address: HostPort,
    /// Its authority.
    pub ca: String,
    /// Who the test camera is to it.
    pub camera: Identity,
}

/// Whether the folder's authority is that of the cluster's broker, if there is one with a certificate of ours.
pub(crate) fn knows_the_brokers(there: &[Value], cameras: &Cameras) -> anyhow::Result<bool> {
    match find(there, BROKER_TLS) {
        Some(theirs) if !is_kept_by_cert_manager(theirs) => {
            Ok(secrets::value(theirs, "ca.crt") == cameras.trusted()?)
        }
        _ => Ok(true),
    }
}

/// The Secret of a name among those that are there.
fn find<'a>(there: &'a [Value], name: &str) -> Option<&'a Value> {
    there.iter().find(|secret| secret["metadata"]["name"] == name)
}

/// Whether cert-manager makes and renews this certificate.
fn is_kept_by_cert_manager(secret: &Value) -> bool {
    secret["metadata"]["annotations"]["cert-manager.io/certificate-name"].is_string()
}

/// Whether rendered manifests have cert-manager make a Secret. kustomize writes one field a line.
fn is_made_by_cert_manager(manifests: &str, name: &str) -> bool {
    let field = format!("  secretName: {name}");
    manifests.split("\n---\n").any(|resource| {
        let has = |wanted: &str| resource.lines().any(|line| line == wanted);
        has("kind: Certificate") && has(&field)
    })
}

/// The names that the broker's certificate is good for, wherever the outside reaches it.
fn hosts(settings: &Settings) -> anyhow::Result<Vec<BrokerHost>> {
    let inside = INSIDE.iter().map(|name| name.parse());
    let hosts = settings.broker_hosts.iter().cloned().map(Ok).chain(inside);
    Ok(hosts.collect::<Result<_, _>>()?)
}

/// Puts what broker and bridge read that depends on no address, before there is who reads it: a pod whose Secret is not there does not
/// start, and a broker that was there before there was a list of revoked certificates would be away until it comes.
pub(crate) fn prepare(
    kubectl: &Kubectl,
    settings: &Settings,
    cameras: &Cameras,
    manifests: &str,
    there: &[Value],
) -> anyhow::Result<()> {
    let Desk { ca, revoked, bridge, .. } = cameras.desk(&hosts(settings)?, now())?;
    let is_local = settings.overlay == Overlay::Local;
    // A broker of the user's own may have an authority of the user's own.
    let is_users = !is_local && find(there, BRIDGE_TLS).is_some();
    if !is_users && !is_made_by_cert_manager(manifests, BRIDGE_TLS) {
        let secret = secrets::tls(BRIDGE_TLS, &ca, &bridge.certificate, &bridge.key);
        put(kubectl, there, &secret, "the certificate of cameras/bridge.teiten")?;
        if !is_local {
            println!(
                "note    {} has to trust that certificate's authority (ca.teiten/ca.pem in the folder `cameras`), or give the bridge one of \
                 its own: kubectl -n {NAMESPACE} delete secret bridge-tls, kubectl -n {NAMESPACE} create secret generic bridge-tls \
                 --from-file ca.crt=… --from-file tls.crt=… --from-file tls.key=…, and deploy again.",
                settings.mqtt
            );
        }
    }
    if is_local {
        let list = "the revoked certificates of cameras/broker.teiten";
        put(kubectl, there, &secrets::revoked(&revoked), list)?;
    }
    Ok(())
}

/// What was there before anything was applied.
pub(crate) struct Before<'a> {
    /// StatefulSets and Deployments.
    pub parts: &'a [Value],
    pub secrets: &'a [Value],
}

/// Makes the broker's certificate known, and has broker and bridge read what there is now. Answers where cameras reach the broker.
pub(crate) fn certificates(
    kubectl: &Kubectl,
    settings: &Settings,
    cameras: &Cameras,
    manifests: &str,
    before: &Before<'_>,
) -> anyhow::Result<Broker> {
    let address = match settings.overlay {
        Overlay::Production => settings.mqtt.clone(),
        Overlay::Local => broker_address(kubectl, settings)?,
    };
    let mut hosts = hosts(settings)?;
    hosts.insert(settings.broker_hosts.len(), address.host.parse()?);
    let Desk { ca, broker: of_broker, .. } = cameras.desk(&hosts, now())?;
    let there = kubectl.list("secrets")?;
    let is_kept = |name: &str| {
        is_made_by_cert_manager(manifests, name) || find(&there, name).is_some_and(is_kept_by_cert_manager)
    };
    let bridge_tls = find(&there, BRIDGE_TLS);
    if let Some(secret) = bridge_tls.filter(|_| !is_kept(BRIDGE_TLS)) {
        have_read(kubectl, ("statefulset", "bridge"), &[secret], before, false)?;
    }
    let mut trusted = ca.clone();
    if settings.overlay == Overlay::Production {
        trusted = bridge_tls.and_then(|theirs| secrets::value(theirs, "ca.crt")).unwrap_or(trusted);
    } else {
        let secret = secrets::tls(BROKER_TLS, &ca, &of_broker.certificate, &of_broker.key);
        let mut read: Vec<&Value> = find(&there, REVOKED_TLS).into_iter().collect();
        let mut is_other = false;
        if !is_kept(BROKER_TLS) {
            is_other = put(kubectl, &there, &secret, "the certificate of cameras/broker.teiten")?;
            read.push(&secret);
        }
        have_read(kubectl, ("deployment", "broker"), &read, before, is_other)?;
    }
    let camera = cameras.passing(&CameraId::new(NAME)?, now())?;
    Ok(Broker { address, ca: trusted, camera })
}

/// Where cameras reach the broker inside of the cluster.
fn broker_address(kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<HostPort> {
    let mut address =
        store::reach(kubectl, "broker")?.context("the broker has no address outside of the cluster")?;
    if let Some(host) = settings.broker_hosts.first() {
        // Bare, as a load balancer's.
        address.host = host.to_string().trim_matches(['[', ']']).to_owned();
    }
    Ok(address)
}

/// Puts a Secret, unless it is `there` as it is or cert-manager keeps it. Answers whether it replaces another one.
fn put(kubectl: &Kubectl, there: &[Value], secret: &Value, what: &str) -> anyhow::Result<bool> {
    let name = secret["metadata"]["name"].as_str().unwrap_or_default();
    let before = find(there, name);
    let stays = |before: &Value| secrets::same(before, secret) || is_kept_by_cert_manager(before);
    if before.is_some_and(stays) {
        return Ok(false);
    }
    kubectl.apply(secret)?;
    println!("secret {name}: {what}");
    Ok(before.is_some())
}

/// Has a part that reads `secrets`, which it does at start, have read them as they are now: what it was started for stands at its
/// object, so that what a deploy left undone that was cut off is done by the next one. `is_other` if one of them was another one when the
/// part was applied.
fn have_read(
    kubectl: &Kubectl,
    (kind, part): (&str, &str),
    secrets: &[&Value],
    before: &Before<'_>,
    is_other: bool,
) -> anyhow::Result<()> {
    let hash = ContentHash::of_parts(secrets.iter().map(|secret| secret["data"].to_string())).to_string();
    let there = before.parts.iter().find(|there| is_named(there, kind, part));
    if there.is_some_and(|there| there["metadata"]["annotations"][STARTED_FOR] == *hash) {
        return Ok(());
    }
    // Without one of them no pod can have started.
    let could_start = secrets.iter().all(|secret| {
        secret["metadata"]["name"].as_str().is_some_and(|name| find(before.secrets, name).is_some())
    });
    let annotation = json!({"metadata": {"annotations": {STARTED_FOR: hash}}});
    let mut patch = annotation.clone();
    if is_other || (there.is_some() && could_start) {
        // Another template: that starts its pods anew, and a second one within the same deploy would do so again.
        patch["spec"]["template"] = annotation;
        println!("the part {part}: started anew, to read the certificates that there are now");
    }
    let patch = patch.to_string();
    let patch = ["patch", kind, part, "--namespace", NAMESPACE, "--type", "merge", "--patch", &patch];
    kubectl.run(&patch, None)?;
    Ok(())
}

/// Whether an object is the one of a kind, as kubectl names it, and a name.
pub(crate) fn is_named(object: &Value, kind: &str, name: &str) -> bool {
    object["kind"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(kind))
        && object["metadata"]["name"] == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cert_manager_makes_is_known_before_it_is_made() {
        let manifests = "\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: bridge
spec:
  secretName: bridge-tls
---
kind: StatefulSet
spec:
  template:
    spec:
      volumes:
      - secret:
          secretName: broker-tls
";
        assert!(is_made_by_cert_manager(manifests, BRIDGE_TLS));
        assert!(!is_made_by_cert_manager(manifests, BROKER_TLS));
    }
}
