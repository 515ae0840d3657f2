//! Where players reach the functions that answer requests: at a domain of the user's (TEITEN_DOMAIN), by Knative's DomainMappings,
//! or at the addresses that Knative gives by itself.

use serde_json::{Value, json};
use teiten_footage::Domain;

use crate::{Kubectl, KubectlError, NAMESPACE};

/// The functions that players ask.
pub(crate) const ANSWERING: [&str; 2] = ["playback", "clip"];

/// The kinds of what a domain takes. A claim is of the cluster: it says whose the name is.
pub(crate) const MAPPINGS: &str = "domainmappings.serving.knative.dev";
const CLAIMS: &str = "clusterdomainclaims.networking.internal.knative.dev";

/// What gives a function its name in a domain: the claim, then the mapping.
fn objects(domain: &Domain, function: &str) -> [Value; 2] {
    let labels = json!({"app.kubernetes.io/part-of": NAMESPACE});
    let name = domain.host(function);
    [
        json!({
            "apiVersion": "networking.internal.knative.dev/v1alpha1",
            "kind": "ClusterDomainClaim",
            "metadata": {"name": name, "labels": labels},
            "spec": {"namespace": NAMESPACE},
        }),
        json!({
            "apiVersion": "serving.knative.dev/v1beta1",
            "kind": "DomainMapping",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": function}},
        }),
    ]
}

/// Gives the functions their names in `domain`, and takes other names of ours away, for which it waits `wait` seconds at most.
pub(crate) fn map(kubectl: &Kubectl, domain: Option<&Domain>, wait: u64) -> Result<(), KubectlError> {
    let wanted = match domain {
        None => Vec::new(),
        Some(domain) => {
            for object in ANSWERING.iter().flat_map(|function| objects(domain, function)) {
                kubectl.apply(&object)?;
            }
            ANSWERING.map(|function| domain.host(function)).to_vec()
        }
    };
    remove(kubectl, &wanted, wait)
}

/// Takes the names of ours away that are not `wanted`, and waits `wait` seconds at most until they are gone.
pub(crate) fn remove(kubectl: &Kubectl, wanted: &[String], wait: u64) -> Result<(), KubectlError> {
    for kind in [MAPPINGS, CLAIMS] {
        for object in kubectl.list(kind)? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let ours = object["metadata"]["labels"]["app.kubernetes.io/part-of"] == NAMESPACE;
            if ours && wanted.iter().all(|wanted| wanted != name) {
                kubectl.delete(kind, &[name], wait)?;
            }
        }
    }
    Ok(())
}

/// That Knative answers at the names in `domain` in another way than players are told to ask, as its `mappings` say.
pub(crate) fn other_scheme(domain: &Domain, mappings: &[Value]) -> Option<String> {
    let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
    ANSWERING.iter().find_map(|function| {
        let mapping = mappings.iter().find(|mapping| mapping["metadata"]["name"] == domain.host(function))?;
        let (told, answers) = (domain.url(function), mapping["status"]["url"].as_str()?);
        (scheme(&told) != scheme(answers)).then(|| {
            format!(
                "note    Players are told {told}, and Knative answers at {answers}. Unless a proxy of yours is between them, write TEITEN_DOMAIN \
                 with http:// before it, or give Knative certificates (https://knative.dev/docs/serving/encryption/external-domain-tls)."
            )
        })
    })
}

/// Where the outside reaches a function; `None` where it does not.
pub(crate) fn address(domain: Option<&Domain>, functions: &[Value], name: &str) -> Option<String> {
    let function = functions.iter().find(|function| function["metadata"]["name"] == name)?;
    if let Some(domain) = domain {
        return Some(domain.url(name));
    }
    let url = function["status"]["url"].as_str()?;
    (!url.ends_with(".svc.cluster.local")).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_claimed_and_mapped_by_its_name_without_a_port() {
        let [claim, mapping] = objects(&Domain::parse("http://home.arpa:8080").unwrap().unwrap(), "clip");
        assert_eq!(
            (&claim["metadata"]["name"], &claim["spec"]["namespace"]),
            (&json!("clip.home.arpa"), &json!("teiten"))
        );
        assert_eq!(mapping["metadata"]["name"], "clip.home.arpa");
        assert_eq!(mapping["spec"]["ref"]["name"], "clip");
    }

    #[test]
    fn a_domain_without_the_certificates_that_players_would_need_is_told() {
        let said = |told: &str, answers: Value| {
            let mapping = json!({"metadata": {"name": "clip.home.arpa"}, "status": {"url": answers}});
            other_scheme(&Domain::parse(told).unwrap().unwrap(), &[mapping])
        };
        let words = said("home.arpa", "http://clip.home.arpa".into()).unwrap();
        assert!(
            words.contains("told https://clip.home.arpa, and Knative answers at http://clip.home.arpa"),
            "{words}"
        );
        assert_eq!(said("home.arpa", "https://clip.home.arpa".into()), None);
        assert_eq!(said("http://home.arpa:8080", "http://clip.home.arpa".into()), None);
        assert_eq!(said("home.arpa", Value::Null), None);
    }

    #[test]
    fn only_what_the_outside_reaches_has_an_address() {
        let function = |name: &str, url: &str| json!({"metadata": {"name": name}, "status": {"url": url}});
        let functions = [
            function("playback", "https://playback.teiten.example.org"),
            function("clip", "http://clip.teiten.svc.cluster.local"),
        ];
        let found = |domain: &str, name| address(Domain::parse(domain).unwrap().as_ref(), &functions, name);
        assert_eq!(found("", "playback").unwrap(), "https://playback.teiten.example.org");
        assert_eq!(found("", "clip"), None);
        assert_eq!(found("home.arpa", "clip").unwrap(), "https://clip.home.arpa");
        assert_eq!(found("home.arpa", "absent"), None);
    }
}
