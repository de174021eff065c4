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
        "networking.v1.NetworkPolicySpec" => {
            if is_empty(map, "policyTypes") {
                let types = if is_empty(map, "egress") { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
                map.insert("policyTypes".to_owned(), types);
            }
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
        ports.iter_mut().filter_map(Value::as_object_mut).for_each(port);
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
    both_forms_of_the_address(map);
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
    let unset = matches!(port.get("targetPort"), None | Some(Value::Null)) || port.get("targetPort") == Some(&json!(0)) || text(port, "targetPort") == "" && port.get("targetPort").is_some_and(Value::is_string);
    if unset {
        let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
        port.insert("targetPort".to_owned(), number);
    }
}

/// `clusterIP` is the first of `clusterIPs`, for authors of either.
fn both_forms_of_the_address(map: &mut Map<String, Value>) {
    let first = map.get("clusterIPs").and_then(|list| list.get(0)).cloned();
    match (text(map, "clusterIP"), first) {
        ("", Some(first)) => {
            map.insert("clusterIP".to_owned(), first);
        }
        ("", None) => {}
        (one, None) => {
            let list = json!([one]);
            map.insert("clusterIPs".to_owned(), list);
        }
        _ => {}
    }
}
