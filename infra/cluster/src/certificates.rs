//! Certificates of broker and bridge, by the owner's authority in `cameras/`: cameras trust that one alone. And the list of those
//! that it has revoked.

use anyhow::Context as _;
use serde_json::Value;
use teiten_footage::CameraId;
use teiten_owner::{
    authority::{BrokerHost, Identity},
    cameras::{Cameras, Desk},
};
use teiten_telemetry::now;

use crate::{
    Kubectl, NAMESPACE,
    address::Address,
    camera::NAME,
    secrets,
    settings::{Overlay, Settings},
    store,
};

/// The broker's names inside of the cluster.
const INSIDE: [&str; 3] = ["broker", "broker.teiten", "broker.teiten.svc"];

/// The broker as a camera sees it.
pub(crate) struct Broker {
    pub address: Address,
    /// Its authority.
    pub ca: String,
    /// Who the test camera is to it.
    pub camera: Identity,
}

/// Whether the folder's authority is that of the cluster's broker, if there is one with a certificate of ours.
pub(crate) fn knows_the_brokers(there: &[Value], cameras: &Cameras) -> anyhow::Result<bool> {
    match find(there, "broker-tls") {
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

/// Makes the certificates of broker and bridge known. Answers where cameras reach the broker.
pub(crate) fn certificates(
    kubectl: &Kubectl,
    settings: &Settings,
    cameras: &Cameras,
) -> anyhow::Result<Broker> {
    let address = match settings.overlay {
        Overlay::Production => {
            let (host, port) = &settings.mqtt;
            Address { host: host.to_string(), port: *port }
        }
        Overlay::Local => broker_address(kubectl, settings)?,
    };
    let mut hosts = settings.broker_hosts.clone();
    hosts.push(address.host.parse::<BrokerHost>()?);
    for name in INSIDE {
        hosts.push(name.parse()?);
    }
    let Desk { ca, broker: of_broker, revoked, bridge } = cameras.desk(&hosts, now())?;
    let there = kubectl.list("secrets")?;
    let mut trusted = ca.clone();
    match (settings.overlay, find(&there, "bridge-tls")) {
        // A broker of the user's own may have an authority of the user's own.
        (Overlay::Production, Some(theirs)) => trusted = secrets::value(theirs, "ca.crt").unwrap_or(trusted),
        (overlay, _) => {
            let secret = secrets::tls("bridge-tls", &ca, &bridge.certificate, &bridge.key);
            if put(kubectl, &there, &secret, "the certificate of cameras/bridge.teiten")? {
                start_anew(kubectl, "bridge")?;
            }
            if overlay == Overlay::Production {
                println!(
                    "note    {} has to trust that certificate's authority (ca.teiten/ca.pem in the folder `cameras`), or give the bridge one of \
                     its own: kubectl -n {NAMESPACE} delete secret bridge-tls, kubectl -n {NAMESPACE} create secret generic bridge-tls \
                     --from-file ca.crt=… --from-file tls.crt=… --from-file tls.key=…, and deploy again.",
                    address.authority()
                );
            }
        }
    }
    if settings.overlay == Overlay::Local {
        let secret = secrets::tls("broker-tls", &ca, &of_broker.certificate, &of_broker.key);
        let other = put(kubectl, &there, &secret, "the certificate of cameras/broker.teiten")?;
        let list = "the revoked certificates of cameras/broker.teiten";
        // Once for both: kubectl refuses to do it twice within a second.
        if put(kubectl, &there, &secrets::revoked(&revoked), list)? || other {
            start_anew(kubectl, "broker")?;
        }
    }
    let camera = cameras.passing(&CameraId::new(NAME)?, now())?;
    Ok(Broker { address, ca: trusted, camera })
}

/// Where cameras reach the broker inside of the cluster.
fn broker_address(kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<Address> {
    let mut address =
        store::reach(kubectl, "broker")?.context("the broker has no address outside of the cluster")?;
    if let Some(host) = settings.broker_hosts.first() {
        address.host = host.to_string();
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

/// Starts a part anew: it reads its Secrets at start.
fn start_anew(kubectl: &Kubectl, part: &str) -> anyhow::Result<()> {
    kubectl.run(&["rollout", "restart", "statefulset", part, "--namespace", NAMESPACE], None)?;
    Ok(())
}
