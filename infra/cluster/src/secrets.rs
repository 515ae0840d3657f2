//! Secrets: which ones the manifests name, which are missing, and random keys for them. None is in a manifest.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::NAMESPACE;

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

/// A Secret with random keys; `None` where nobody knows what is to be in it.
pub fn with_random_keys(name: &str) -> Option<Value> {
    if let Some(component) = name.strip_prefix("storage-") {
        let prefix: String = format!("{component}-").chars().take(ACCESS_KEY_CHARACTERS - 8).collect();
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
    fn keys_are_random_and_of_a_length_that_a_store_takes() {
        let made = |name| with_random_keys(name).unwrap();
        let [one, other] = [made("storage-reconcile"), made("storage-reconcile")];
        assert!(!same(&one, &other));
        let access = value(&one, "AWS_ACCESS_KEY_ID").unwrap();
        assert!(access.starts_with("reconcile-") && access.len() == 20, "{access}");
        assert_eq!(value(&one, "AWS_SECRET_ACCESS_KEY").unwrap().len(), 40);
        assert_eq!(value(&made("storage-dead-letters"), "AWS_ACCESS_KEY_ID").unwrap().len(), 20);
        assert_eq!(value(&made("link-token"), "TEITEN_LINK_TOKEN").unwrap().len(), 40);
        assert_eq!(with_random_keys("somebodys"), None);
        assert_eq!(value(&one, "another"), None);
    }
}
