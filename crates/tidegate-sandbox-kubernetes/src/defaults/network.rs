//! Defaults of services, policies and the like.

use serde_json::{Map, Value, json};

use super::{is_empty, put, sub, text};

/// How long a client stays with its pod: three hours.
const AFFINITY_SECONDS: i32 = 10_800;

pub(super) fn rules(name: &str, map: &mut Map<String, Value>) {
    match name {
        "core.v1.ServiceSpec" => service(map),
        "core.v1.EndpointPort" | "networking.v1.NetworkPolicyPort" => put(map, "protocol", "TCP"),
        "discovery.v1.EndpointPort" => {
            put(map, "name", "");
            put(map, "protocol", "TCP");
        }
        "networking.v1.NetworkPolicySpec" if is_empty(map, "policyTypes") => {
            let types = if is_empty(map, "egress") {
                json!(["Ingress"])
            } else {
                json!(["Ingress", "Egress"])
            };
            map.insert("policyTypes".to_owned(), types);
        }
        "networking.v1.IngressClassParametersReference" => put(map, "scope", "Cluster"),
        _ => {}
    }
}

fn service(map: &mut Map<String, Value>) {
    put(map, "sessionAffinity", "None");
    match text(map, "sessionAffinity") {
        "None" => {
            map.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let client = sub(sub(map, "sessionAffinityConfig"), "clientIP");
            put(client, "timeoutSeconds", AFFINITY_SECONDS);
        }
        _ => {}
    }
    put(map, "type", "ClusterIP");
    if let Some(Value::Array(ports)) = map.get_mut("ports") {
        ports
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(port);
    }
    let kind = text(map, "type").to_owned();
    if is_external(map) {
        put(map, "externalTrafficPolicy", "Cluster");
    }
    if ["ClusterIP", "NodePort", "LoadBalancer"].contains(&kind.as_str()) {
        put(map, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        put(map, "allocateLoadBalancerNodePorts", true);
    }
}

/// Whether the service is reachable from outside.
fn is_external(map: &Map<String, Value>) -> bool {
    match text(map, "type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !is_empty(map, "externalIPs"),
        _ => false,
    }
}

fn port(port: &mut Map<String, Value>) {
    put(port, "protocol", "TCP");
    let unset = [json!(0), json!(""), Value::Null];
    if port
        .get("targetPort")
        .is_none_or(|target| unset.contains(target))
    {
        let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
        port.insert("targetPort".to_owned(), number);
    }
}
