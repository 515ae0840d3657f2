//! Whether the network policies let what is outside of the cluster be reached: a pod that they hold back only waits.

use crate::settings::{Overlay, Settings};

/// What is outside of the cluster at a port that no policy of `manifests`, as kustomize writes them, opens: the setting that names it,
/// and the port.
pub(crate) fn closed(settings: &Settings, manifests: &str) -> Vec<(String, u16)> {
    if settings.overlay == Overlay::Local {
        return Vec::new();
    }
    let mqtt = &settings.mqtt;
    let mut outside = vec![(format!("TEITEN_MQTT={mqtt}"), mqtt.port)];
    if let Some(url) = &settings.endpoint {
        outside.push((format!("AWS_ENDPOINT_URL_S3={url}"), port_of(url)));
    }
    outside.retain(|(_, port)| !manifests.split("\n---\n").any(|resource| opens(resource, *port)));
    outside
}

/// The port that a URL leads to.
pub(crate) fn port_of(url: &str) -> u16 {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or(if scheme == "http" { 80 } else { 443 })
}

/// Whether a resource is a policy with a rule that lets pods out to a port of something that is not Teiten's or Knative's.
fn opens(resource: &str, port: u16) -> bool {
    let Some((_, egress)) = resource.split_once("\n  egress:\n") else { return false };
    if !resource.lines().any(|line| line == "kind: NetworkPolicy") {
        return false;
    }
    // Rules are a list two columns in; the next field of the policy has no dash.
    let end = egress.find("\n  podSelector:").unwrap_or(egress.len());
    let rules = egress[..end].strip_prefix("  - ").unwrap_or(&egress[..end]).split("\n  - ");
    let is_of_parts = |rule: &str| rule.contains("app.kubernetes.io/name: ") || rule.contains("knative");
    let field = format!("port: {port}");
    rules.filter(|rule| !is_of_parts(rule)).any(|rule| {
        let all = !rule.contains("port: ") || rule.contains("endPort: ");
        all || rule.lines().any(|line| line.trim_start_matches([' ', '-']) == field)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../settings/teiten.env");
    /// As kustomize writes the policy `bridge` of the overlay `production`.
    const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: bridge
spec:
  egress:
  - ports:
    - port: 9000
      protocol: TCP
    to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: storage
  - ports:
    - port: 443
      protocol: TCP
  - ports:
    - port: 8883
      protocol: TCP
  podSelector:
    matchLabels:
      app.kubernetes.io/name: bridge
  policyTypes:
  - Egress
";

    fn settings(changes: &[(&str, &str)]) -> Settings {
        let production = [("TEITEN_OVERLAY=local", "TEITEN_OVERLAY=production")];
        let changes = production.iter().chain(changes);
        changes.fold(SHIPPED.to_owned(), |text, (from, to)| text.replace(from, to)).parse().unwrap()
    }

    fn ports(settings: &Settings, manifests: &str) -> Vec<u16> {
        closed(settings, manifests).into_iter().map(|(_, port)| port).collect()
    }

    #[test]
    fn a_port_that_no_policy_opens_to_the_outside_is_told_with_the_setting() {
        assert_eq!(closed(&settings(&[]), POLICY), []);
        let others = settings(&[
            ("mqtt.example.org:8883", "mqtt.example.org:1884"),
            ("AWS_ENDPOINT_URL_S3=", "AWS_ENDPOINT_URL_S3=http://minio:9000"),
        ]);
        let found = closed(&others, POLICY);
        let wanted =
            [("TEITEN_MQTT=mqtt.example.org:1884", 1884), ("AWS_ENDPOINT_URL_S3=http://minio:9000", 9000)];
        assert_eq!(found, wanted.map(|(setting, port)| (setting.to_owned(), port)));
        let opened = POLICY.replace("port: 443", "port: 9000");
        assert_eq!(ports(&others, &format!("kind: Namespace\n---\n{opened}")), [1884]);
        let all = POLICY.replace(
            "  - ports:\n    - port: 443\n      protocol: TCP\n",
            "  - to:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n",
        );
        assert_eq!(closed(&others, &all), []);
        assert_eq!(closed(&SHIPPED.parse().unwrap(), ""), [], "inside, they are parts of Teiten");
    }

    #[test]
    fn a_url_without_a_port_has_its_scheme_s() {
        for (url, port) in [
            ("https://s3.example.org", 443),
            ("http://s3.example.org/", 80),
            ("http://[fd00::1]:9000", 9000),
            ("https://s3.example.org:8443/x", 8443),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }
}
