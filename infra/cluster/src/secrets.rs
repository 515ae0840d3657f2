//! Secrets: which ones the manifests name, which are missing, and random keys for them. None is in a manifest.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::{NAMESPACE, ready::made_at, settings::Overlay, store::ADMIN};

/// What a Secret that was made says: for which overlay.
const MADE_FOR: &str = "teiten.dev/made-for";

/// Names in a store's keys: MinIO takes 3 to 20 characters and 8 to 40.
const ACCESS_KEY_CHARACTERS: usize = 20;
const SECRET_KEY_CHARACTERS: usize = 40;

/// The Secrets that rendered manifests name, but for certificates. kustomize writes one field a line.
pub fn named(manifests: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Below `secretRef:` or `secretKeyRef:` is a short map with `name:` in it.
    let mut within = None;
    for line in manifests.lines() {
        let indent = line.len() - line.trim_start().len();
        let field = line.trim_start().trim_start_matches("- ");
        if within.is_some_and(|start| indent <= start) {
            within = None;
        }
        let name = match field.split_once(": ") {
            Some(("secretName", name)) => Some(name),
            Some(("name", name)) if within.is_some() => Some(name),
            _ => None,
        };
        found.extend(name.filter(|name| !name.ends_with("-tls")).map(str::to_owned));
        if field == "secretRef:" || field == "secretKeyRef:" {
            within = Some(indent);
        }
    }
    found
}

/// Whether a Secret has a component's keys to the store.
pub fn is_of_store(name: &str) -> bool {
    name.starts_with("storage-")
}

/// A Secret with random keys, for an installation of the overlay; `None` where nobody knows what is to be in it.
pub fn with_random_keys(name: &str, overlay: Overlay) -> Option<Value> {
    let mut secret = random_keys(name)?;
    secret["metadata"]["annotations"] = json!({MADE_FOR: overlay.name()});
    Some(secret)
}

/// Whether a Secret has keys that were made for the store of the overlay `local`: no other store knows them.
pub fn is_of_local_store(secret: &Value) -> bool {
    let metadata = &secret["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    match metadata["annotations"][MADE_FOR].as_str() {
        Some(overlay) => is_of_store(name) && overlay == Overlay::Local.name(),
        // The administrator's were made for that store alone, and not told so once.
        None => {
            name == ADMIN
                && metadata["labels"]["app.kubernetes.io/part-of"] == NAMESPACE
                && has_made_key(secret)
        }
    }
}

/// Whether a Secret's access key looks as we make the administrator's.
fn has_made_key(secret: &Value) -> bool {
    let key = value(secret, "AWS_ACCESS_KEY_ID").unwrap_or_default();
    key.starts_with(&access_key_prefix("admin")) && key.len() == ACCESS_KEY_CHARACTERS
}

fn access_key_prefix(component: &str) -> String {
    format!("{component}-").chars().take(ACCESS_KEY_CHARACTERS - 8).collect()
}

fn random_keys(name: &str) -> Option<Value> {
    if let Some(component) = name.strip_prefix("storage-") {
        let prefix = access_key_prefix(component);
        let access_key = format!("{prefix}{}", random(ACCESS_KEY_CHARACTERS - prefix.len()));
        let secret_key = random(SECRET_KEY_CHARACTERS);
        return Some(opaque(
            name,
            &[("AWS_ACCESS_KEY_ID", &access_key), ("AWS_SECRET_ACCESS_KEY", &secret_key)],
        ));
    }
    (name == "link-token").then(|| opaque(name, &[("TEITEN_LINK_TOKEN", &random(SECRET_KEY_CHARACTERS))]))
}

/// A Secret with a certificate.
pub fn tls(name: &str, ca: &str, certificate: &str, key: &str) -> Value {
    opaque(name, &[("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key)])
}

/// The Secret with the list of revoked certificates: one of its own, for cert-manager may keep the broker's.
pub fn revoked(list: &str) -> Value {
    opaque("broker-revoked-tls", &[("revoked.pem", list)])
}

fn opaque(name: &str, values: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> =
        values.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into())).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": NAMESPACE}},
        "data": data,
    })
}

/// A value of a Secret.
pub fn value(secret: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// Whether two Secrets say the same.
pub fn same(one: &Value, other: &Value) -> bool {
    one["data"] == other["data"]
}

/// The pods that have read, when they started, Secrets that have been made anew since. (Those that are mounted the cluster renews.)
pub fn readers_of_old(pods: &[Value], secrets: &[Value]) -> Vec<String> {
    let is_newer = |name: &str, pod: &Value| {
        secrets.iter().any(|secret| secret["metadata"]["name"] == name && made_at(secret) > made_at(pod))
    };
    let runs = |pod: &&Value| {
        !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
            && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let names = pods.iter().filter(runs).filter(|pod| read(pod).any(|name| is_newer(name, pod)));
    names.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// The Secrets that a pod has in its environment.
fn read(pod: &Value) -> impl Iterator<Item = &str> {
    fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        value[field].as_array().into_iter().flatten()
    }
    let containers = list(&pod["spec"], "containers").chain(list(&pod["spec"], "initContainers"));
    containers.flat_map(|container| {
        let whole = list(container, "envFrom").map(|source| &source["secretRef"]["name"]);
        let single = list(container, "env").map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
        whole.chain(single).filter_map(Value::as_str)
    })
}

fn random(characters: usize) -> String {
    // From the operating system's generator, by way of rand's.
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(characters).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_that_manifests_name_are_found() {
        let manifests = "\
kind: StatefulSet
metadata:
  name: storage-setup
spec:
  containers:
  - envFrom:
    - configMapRef:
        name: storage-configuration
    - secretRef:
        name: storage-bridge
    - secretRef:
        name: link-token
    env:
    - name: MINIO_ROOT_USER
      valueFrom:
        secretKeyRef:
          key: AWS_ACCESS_KEY_ID
          name: storage-admin
    name: storage
  volumes:
  - name: encode
    secret:
      defaultMode: 288
      secretName: storage-encode
  - secret:
      secretName: bridge-tls
";
        let named: Vec<_> = named(manifests).into_iter().collect();
        assert_eq!(named, ["link-token", "storage-admin", "storage-bridge", "storage-encode"]);
    }

    #[test]
    fn who_has_read_a_secret_that_is_another_one_now_is_found() {
        let secret = |name: &str, minute: u32| json!({"metadata": {"name": name, "creationTimestamp": format!("2026-11-23T04:{minute:02}:00Z")}});
        let secrets = [secret("storage-link", 30), secret("storage-clip", 0), secret("storage-admin", 30)];
        let pod = |name: &str, minute: u32, container: Value| {
            json!({
                "metadata": {"name": name, "creationTimestamp": format!("2026-11-23T04:{minute:02}:00Z")},
                "spec": {"containers": [{"name": "queue-proxy"}, container]},
            })
        };
        let from = |name: &str| json!({"envFrom": [{"configMapRef": {"name": "teiten"}}, {"secretRef": {"name": name}}]});
        let variable = json!({"env": [{"name": "HOME", "value": "/tmp"}, {"valueFrom": {"secretKeyRef": {"name": "storage-admin"}}}]});
        let mut ended = pod("storage-setup-1", 10, from("storage-admin"));
        ended["status"] = json!({"phase": "Succeeded"});
        let pods = [
            pod("link-1", 10, from("storage-link")),
            pod("link-2", 30, from("storage-link")),
            pod("clip-1", 10, from("storage-clip")),
            pod("storage-0", 10, variable),
            ended,
        ];
        assert_eq!(readers_of_old(&pods, &secrets), ["link-1", "storage-0"]);
    }

    #[test]
    fn keys_that_were_made_for_the_store_of_another_overlay_are_told_from_the_users() {
        let made = |name, overlay| with_random_keys(name, overlay).unwrap();
        for name in ["storage-admin", "storage-link"] {
            assert!(is_of_local_store(&made(name, Overlay::Local)), "{name}");
            assert!(!is_of_local_store(&made(name, Overlay::Production)), "{name}");
        }
        assert!(!is_of_local_store(&made("link-token", Overlay::Local)), "no store knows it");
        // As it was made before it said so.
        let mut admin = made("storage-admin", Overlay::Local);
        admin["metadata"]["annotations"].take();
        assert!(is_of_local_store(&admin));
        let mut yours = admin.clone();
        yours["data"]["AWS_ACCESS_KEY_ID"] = STANDARD.encode("AKIAIOSFODNN7EXAMPLE").into();
        assert!(!is_of_local_store(&yours));
        // By `kubectl create secret`.
        admin["metadata"]["labels"].take();
        assert!(!is_of_local_store(&admin));
    }

    #[test]
    fn keys_are_random_and_of_a_length_that_a_store_takes() {
        let made = |name| with_random_keys(name, Overlay::Local).unwrap();
        let [one, other] = [made("storage-reconcile"), made("storage-reconcile")];
        assert!(!same(&one, &other));
        let access = value(&one, "AWS_ACCESS_KEY_ID").unwrap();
        assert!(access.starts_with("reconcile-") && access.len() == 20, "{access}");
        assert_eq!(value(&one, "AWS_SECRET_ACCESS_KEY").unwrap().len(), 40);
        assert_eq!(value(&made("storage-dead-letters"), "AWS_ACCESS_KEY_ID").unwrap().len(), 20);
        assert_eq!(value(&made("link-token"), "TEITEN_LINK_TOKEN").unwrap().len(), 40);
        assert_eq!(with_random_keys("somebodys", Overlay::Local), None);
        assert_eq!(value(&one, "another"), None);
    }
}
