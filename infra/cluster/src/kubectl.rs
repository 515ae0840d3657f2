//! `kubectl`, the user's own, as a process. Requests for JSON are the only ones whose answers are read.

use std::{
    io::{ErrorKind, Write as _},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{NAMESPACE, check::Version};

/// The oldest kubectl that may speak with the oldest cluster. Older ones than 1.21 render no components.
const KUBECTL_MIN: Version = Version { major: 1, minor: 27 };

/// How long one request to the cluster may take.
const REQUEST_TIMEOUT: &str = "--request-timeout=60s";

/// kubectl, for one cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    context: Option<String>,
}

/// Why kubectl did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// There is none.
    #[error(
        "there is no kubectl here: install it (https://kubernetes.io/docs/tasks/tools, or your cluster's own: `k3s kubectl`, \
         `microk8s kubectl`), and see that `kubectl get nodes` answers"
    )]
    Missing,
    /// It is too old.
    #[error(
        "kubectl {KUBECTL_MIN} or newer is needed, and the one here is {0}: install another (https://kubernetes.io/docs/tasks/tools; \
         Debian 12's package is 1.20), and see by `kubectl version --client` that it comes first in PATH"
    )]
    Old(String),
    /// It cannot be run.
    #[error("kubectl cannot be run")]
    Run(#[from] std::io::Error),
    /// It failed.
    #[error("kubectl {command}: {stderr}")]
    Failed {
        /// What it was to do.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// It did not answer in JSON.
    #[error("kubectl {command}: its answer is no JSON")]
    Json {
        /// What it was to do.
        command: String,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
}

impl Kubectl {
    /// kubectl for the cluster that `context` names, or the current one.
    pub fn new(context: Option<String>) -> Self {
        Self { context }
    }

    /// Refuses a kubectl that is too old.
    pub(crate) fn ensure_new_enough(&self) -> Result<(), KubectlError> {
        too_old(&self.json(&["version", "--client"])?)
            .map_or(Ok(()), |version| Err(KubectlError::Old(version)))
    }

    /// What `kubectl <arguments>` prints, where `input` is what it reads.
    pub fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String, KubectlError> {
        let mut command = Command::new("kubectl");
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => KubectlError::Missing,
            _ => error.into(),
        })?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            match stdin.write_all(input.as_bytes()) {
                // It ended before it read all; it says why.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                written => written?,
            }
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(KubectlError::Failed { command: arguments.join(" "), stderr });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The JSON that `kubectl <arguments> -o json` prints.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, KubectlError> {
        let text = self.run(&[arguments, &["-o", "json", REQUEST_TIMEOUT]].concat(), None)?;
        serde_json::from_str(&text)
            .map_err(|source| KubectlError::Json { command: arguments.join(" "), source })
    }

    /// The items of a list in all namespaces, or of kinds that have none; of several, separated by commas, in one list. What may not be
    /// listed is an error that names it.
    pub fn list_everywhere(&self, kind: &str) -> Result<Vec<Value>, KubectlError> {
        Ok(items(self.json(&["get", kind, "--all-namespaces"])?))
    }

    /// The same; a kind that the cluster does not know has none.
    pub(crate) fn list_everywhere_if_known(&self, kind: &str) -> Result<Vec<Value>, KubectlError> {
        match self.list_everywhere(kind) {
            Err(refusal) if does_not_know(&refusal, kind) => Ok(Vec::new()),
            list => list,
        }
    }

    /// The objects of a name in all namespaces.
    pub fn named_everywhere(&self, kind: &str, name: &str) -> Result<Vec<Value>, KubectlError> {
        let selector = format!("metadata.name={name}");
        Ok(items(self.json(&["get", kind, "--all-namespaces", "--field-selector", &selector])?))
    }

    /// The items of a list in Teiten's namespace. A kind that the cluster does not know has none.
    pub fn list(&self, kind: &str) -> Result<Vec<Value>, KubectlError> {
        Ok(self.list_all(&[kind])?.0)
    }

    /// The items of a list of several kinds in Teiten's namespace, and the kinds that the cluster does not know.
    pub fn list_all<'a>(&self, kinds: &[&'a str]) -> Result<(Vec<Value>, Vec<&'a str>), KubectlError> {
        let (mut known, mut unknown) = (kinds.to_vec(), Vec::new());
        while !known.is_empty() {
            let refusal = match self.json(&["get", &known.join(","), "--namespace", NAMESPACE]) {
                Ok(list) => return Ok((items(list), unknown)),
                Err(refusal) => refusal,
            };
            // Of several it names the first, and answers nothing of the others.
            let (named, others): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|kind| does_not_know(&refusal, kind));
            if named.is_empty() {
                return Err(refusal);
            }
            unknown.extend(named);
            known = others;
        }
        Ok((Vec::new(), unknown))
    }

    /// One object, if it is there.
    pub fn get(&self, kind: &str, name: &str, namespace: &str) -> Result<Option<Value>, KubectlError> {
        let arguments = ["get", kind, name, "--namespace", namespace, "--ignore-not-found"];
        let text = self.run(&[&arguments[..], &["-o", "json", REQUEST_TIMEOUT]].concat(), None)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let read = serde_json::from_str(&text);
        read.map(Some).map_err(|source| KubectlError::Json { command: arguments.join(" "), source })
    }

    /// Deletes the objects of a kind that have these names, and waits until they are gone: `wait` seconds at most, for who has to clean up
    /// behind them (their finalizers) may be away.
    pub fn delete(&self, kind: &str, names: &[&str], wait: u64) -> Result<(), KubectlError> {
        // None at all is a week to kubectl.
        let timeout = format!("--timeout={}s", wait.max(1));
        let options = ["--namespace", NAMESPACE, "--ignore-not-found", &timeout];
        self.run(&[&["delete", kind], names, &options].concat(), None).map(drop)
    }

    /// Applies an object as a whole. What is so already stays untouched.
    pub fn apply(&self, object: &Value) -> Result<(), KubectlError> {
        self.run(&[APPLY, &["--filename", "-"]].concat(), Some(&object.to_string())).map(drop)
    }

    /// Applies objects, each as a whole, by one kubectl.
    pub fn apply_list(&self, objects: &[Value]) -> Result<(), KubectlError> {
        if objects.is_empty() {
            return Ok(());
        }
        let objects: Vec<String> = objects.iter().map(Value::to_string).collect();
        self.apply_all(&objects.join("\n")).map(drop)
    }

    /// Applies manifests. Answers what is in them, as `kind/name`.
    pub fn apply_all(&self, manifests: &str) -> Result<Vec<String>, KubectlError> {
        let printed =
            self.run(&[APPLY, &["--filename", "-", "--output", "name"]].concat(), Some(manifests))?;
        Ok(printed.lines().map(str::to_owned).collect())
    }
}

/// The cluster itself compares what is with what shall be, field by field; these fields are this program's.
const APPLY: &[&str] =
    &["apply", "--server-side", "--force-conflicts", "--field-manager", "teiten-deploy", REQUEST_TIMEOUT];

/// Whether kubectl was refused because the cluster does not know `kind`.
fn does_not_know(refusal: &KubectlError, kind: &str) -> bool {
    let KubectlError::Failed { stderr, .. } = refusal else { return false };
    let plural = kind.split('.').next().unwrap_or_default();
    stderr.contains(&format!("doesn't have a resource type \"{plural}\""))
}

/// The version of a kubectl that is too old, of what `kubectl version --client -o json` prints.
fn too_old(version: &Value) -> Option<String> {
    let text = version["clientVersion"]["gitVersion"].as_str()?;
    (Version::parse(text)? < KUBECTL_MIN).then(|| text.to_owned())
}

fn items(mut list: Value) -> Vec<Value> {
    match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kubectl_that_is_too_old_is_named_with_where_another_comes_from() {
        let version = |text: &str| too_old(&json!({"clientVersion": {"major": "1", "gitVersion": text}}));
        let old = version("v1.20.2").unwrap();
        let said = KubectlError::Old(old).to_string();
        for words in ["kubectl 1.27 or newer", "v1.20.2", "https://kubernetes.io/docs/tasks/tools"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(version("v1.26.15").is_some());
        for new in ["v1.27.0", "v1.33.4+k3s1", "v1.32.4-dispatcher", "v2.0.0", "devel"] {
            assert_eq!(version(new), None, "{new}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let run = KubectlError::Run(std::io::ErrorKind::PermissionDenied.into());
        let banner = serde_json::from_str::<Value>("Welcome").unwrap_err();
        let json = KubectlError::Json { command: "get nodes -o json".to_owned(), source: banner };
        for (error, expected) in [
            (run, "kubectl cannot be run: permission denied"),
            (json, "kubectl get nodes -o json: its answer is no JSON: expected value at line 1 column 1"),
        ] {
            assert_eq!(format!("{:#}", anyhow::Error::from(error)), expected);
        }
    }
}
