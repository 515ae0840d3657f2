//! Where the outside reaches a Service: at its load balancer, or, where the cluster has none, at a port of a node.

use serde_json::Value;
use teiten_mqtt::HostPort;

/// Where a load balancer takes connections for `service`, if it has one.
pub fn balanced(service: &Value) -> Option<HostPort> {
    let ingress = &service["status"]["loadBalancer"]["ingress"][0];
    let host = ingress["ip"].as_str().or_else(|| ingress["hostname"].as_str())?;
    Some(HostPort { host: host.to_owned(), port: port(&service["spec"]["ports"][0]["port"])? })
}

/// Where a node takes connections for `service`: a node that is ready, by its external address if it has one.
pub fn on_a_node(service: &Value, nodes: &[Value]) -> Option<HostPort> {
    let port = port(&service["spec"]["ports"][0]["nodePort"])?;
    let ready = nodes.iter().filter(|node| is_ready(node));
    let mut addresses: Vec<(&str, &str)> = ready
        .flat_map(|node| node["status"]["addresses"].as_array().into_iter().flatten())
        .filter_map(|address| Some((address["type"].as_str()?, address["address"].as_str()?)))
        .filter(|(kind, _)| ["ExternalIP", "InternalIP"].contains(kind))
        .collect();
    // The same one each time, whatever order nodes are listed in.
    addresses.sort_unstable();
    let (_, host) = addresses.first()?;
    Some(HostPort { host: (*host).to_owned(), port })
}

/// Whether a node takes pods.
pub fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|condition| condition["type"] == "Ready").any(|condition| condition["status"] == "True")
}

fn port(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Value {
        json!({
            "spec": {"type": "LoadBalancer", "ports": [{"name": "s3", "port": 9000, "targetPort": "s3", "nodePort": 31234}]},
            "status": {"loadBalancer": {}},
        })
    }

    fn node(name: &str, ready: &str, addresses: Value) -> Value {
        json!({
            "metadata": {"name": name},
            "status": {"addresses": addresses, "conditions": [
                {"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]},
        })
    }

    #[test]
    fn a_load_balancer_has_the_services_own_port() {
        let mut service = service();
        assert_eq!(balanced(&service), None);
        service["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.168.1.20", "ipMode": "VIP"}]);
        assert_eq!(balanced(&service).unwrap().to_string(), "192.168.1.20:9000");
        service["status"]["loadBalancer"]["ingress"] = json!([{"hostname": "a.elb.amazonaws.com"}]);
        assert_eq!(balanced(&service).unwrap().to_string(), "a.elb.amazonaws.com:9000");
    }

    #[test]
    fn without_one_it_is_a_port_of_a_node_that_is_ready() {
        let internal =
            |ip: &str| json!([{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": "pi"}]);
        let gone = node("a", "Unknown", internal("10.0.0.1"));
        assert_eq!(on_a_node(&service(), std::slice::from_ref(&gone)), None);
        let nodes = [gone, node("b", "True", internal("10.0.0.3")), node("c", "True", internal("10.0.0.2"))];
        assert_eq!(on_a_node(&service(), &nodes).unwrap().to_string(), "10.0.0.2:31234");
        let outside = json!([{"type": "InternalIP", "address": "10.0.0.2"}, {"type": "ExternalIP", "address": "2001:db8::7"}]);
        assert_eq!(
            on_a_node(&service(), &[node("d", "True", outside)]).unwrap().to_string(),
            "[2001:db8::7]:31234"
        );
    }

    #[test]
    fn a_service_of_the_cluster_alone_has_no_address() {
        let inside =
            json!({"spec": {"type": "ClusterIP", "ports": [{"port": 9000}]}, "status": {"loadBalancer": {}}});
        let node = node("a", "True", json!([{"type": "InternalIP", "address": "10.0.0.1"}]));
        assert_eq!((balanced(&inside), on_a_node(&inside, &[node])), (None, None));
    }
}
