//! Waits until load balancers have given addresses: a node's port, which is taken where there is none, is reached from nowhere outside in
//! a cloud, and certificates are made for what is taken.

use std::time::Duration;

use serde_json::Value;
use teiten_footage::Timestamp;
use teiten_telemetry::now;
use tokio::time::Instant;

use crate::{Kubectl, KubectlError, address::balanced, deploy::LOOK, ready::made_at};

/// How long an address is waited for where nothing tells that the cluster has a load balancer.
const WAIT: Duration = Duration::from_secs(30);
/// And where Kourier has one's address: a cloud takes one to three minutes to make another.
const WAIT_KNOWN: Duration = Duration::from_mins(5);
/// What a Service has not been given in this time, it does not get.
const COMES_WITHIN: Duration = Duration::from_mins(10);

/// Waits until each of Teiten's `services` that wants a load balancer's address has one, as long as that may still come.
pub(crate) async fn wait(kubectl: &Kubectl, services: &[&str]) -> Result<(), KubectlError> {
    let started = Instant::now();
    let mut most = None;
    loop {
        let there = kubectl.list("services.v1.")?;
        let mut lacking: Vec<&str> =
            there.iter().filter(|service| is_coming(service, now())).filter_map(name).collect();
        lacking.retain(|name| services.contains(name));
        if lacking.is_empty() {
            return Ok(());
        }
        if most.is_none() {
            let kourier = kubectl.named_everywhere("services.v1.", "kourier")?;
            let is_known = kourier.iter().any(|service| balanced(service).is_some());
            most = Some(if is_known { WAIT_KNOWN } else { WAIT });
            let words = if is_known { "5 minutes" } else { "30 s" };
            println!("waiting up to {words} for a load balancer to give an address: {}", lacking.join(", "));
        }
        if most.is_some_and(|most| started.elapsed() >= most) {
            println!("no load balancer gave one: a port of a node is taken");
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn name(service: &Value) -> Option<&str> {
    service["metadata"]["name"].as_str()
}

/// Whether a Service may still be given an address that it wants and has not.
fn is_coming(service: &Value, now: Timestamp) -> bool {
    let made = made_at(service).and_then(Timestamp::from_rfc3339);
    service["spec"]["type"] == "LoadBalancer"
        && balanced(service).is_none()
        && made.is_none_or(|made| now.since(made) < COMES_WITHIN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_that_has_not_come_for_long_is_not_waited_for() {
        let service = |kind: &str, ingress: Value| {
            json!({"metadata": {"name": "broker", "creationTimestamp": "2026-11-23T04:05:00Z"},
                "spec": {"type": kind, "ports": [{"port": 8883}]}, "status": {"loadBalancer": {"ingress": ingress}}})
        };
        let at = |time: &str| Timestamp::from_rfc3339(time).unwrap();
        let lacking = service("LoadBalancer", Value::Null);
        for (time, coming) in [
            // The cluster's clock may be ahead of this one.
            ("2026-11-23T04:04:00Z", true),
            ("2026-11-23T04:14:59Z", true),
            ("2026-11-23T04:15:01Z", false),
        ] {
            assert_eq!(is_coming(&lacking, at(time)), coming, "{time}");
        }
        let now = at("2026-11-23T04:05:01Z");
        assert!(!is_coming(&service("LoadBalancer", json!([{"ip": "192.0.2.1"}])), now));
        assert!(!is_coming(&service("NodePort", Value::Null), now));
    }
}
