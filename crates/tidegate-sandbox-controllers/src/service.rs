//! Services and Ingresses: cluster addresses, load balancers, Endpoints and EndpointSlices of ready pods.
//! The addresses are in documentation ranges or private; nothing listens there.

use crate::context::Context;
use crate::pod::report::pod_ip;
use crate::resources::{ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES};
use crate::value::{
    at, controller_ref, deleting, digest, items, name, namespace, suffix, text, uid,
};
use crate::workload::is_ready;
use serde_json::{Value, json};
use std::sync::Arc;

const BALANCE: u64 = 800;
/// The most endpoints in one slice, as in the real controller.
const MAX_ENDPOINTS: usize = 100;
/// How many addresses are tried before a cluster address is given up.
const MAX_TRIES: u8 = 50;

pub(crate) fn react(cx: &mut Context<'_>) {
    let service = cx.object;
    if deleting(service) {
        return;
    }
    let kind = text(service, "spec.type");
    if kind == "ExternalName" {
        return;
    }
    if text(service, "spec.clusterIP").is_empty() {
        give_address(cx);
    }
    if kind == "LoadBalancer" && items(service, "status.loadBalancer.ingress").is_empty() {
        if let Some(message) = cx.faults.failure(0).map(str::to_owned) {
            if cx.passed("balance", BALANCE, BALANCE) && cx.fact("told").is_null() {
                cx.remember("told", json!(true));
                let message = format!(
                    "Error syncing load balancer: failed to ensure load balancer: {message}"
                );
                cx.event("Warning", "SyncLoadBalancerFailed", message);
            }
        } else if cx.passed("balance", BALANCE, BALANCE) {
            let wanted = text(service, "spec.loadBalancerIP");
            let ip = if wanted.is_empty() {
                public_ip(service)
            } else {
                wanted.to_owned()
            };
            cx.merge_status(json!({"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}}));
            cx.event("Normal", "EnsuredLoadBalancer", "Ensured load balancer");
        }
    } else if kind != "LoadBalancer" && !items(service, "status.loadBalancer.ingress").is_empty() {
        cx.merge_status(json!({"loadBalancer": {}}));
    }
    endpoints(cx);
}

/// An Ingress gets the address of its controller.
pub(crate) fn react_ingress(cx: &mut Context<'_>) {
    let ingress = cx.object;
    let ready = !deleting(ingress)
        && items(ingress, "status.loadBalancer.ingress").is_empty()
        && cx.faults.failure(0).is_none();
    if ready && cx.passed("balance", BALANCE, BALANCE) {
        cx.status(json!({"loadBalancer": {"ingress": [{"ip": public_ip(ingress)}]}}));
    }
}

fn public_ip(object: &Value) -> String {
    format!(
        "203.0.113.{}",
        1 + digest(&[uid(object), "public"])[0] % 254
    )
}

/// Only where the server has not given the Service an address itself.
fn give_address(cx: &mut Context<'_>) {
    let taken: Vec<String> = cx
        .list(&SERVICES, "")
        .iter()
        .map(|other| text(other, "spec.clusterIP").to_owned())
        .collect();
    let free = (0..MAX_TRIES).find_map(|attempt| {
        let digest = digest(&[cx.uid(), &attempt.to_string()]);
        let ip = format!("10.96.{}.{}", digest[0], 1 + digest[1] % 254);
        (!taken.contains(&ip)).then_some(ip)
    });
    if let Some(ip) = free {
        cx.patch_self(json!({"spec": {"clusterIP": ip, "clusterIPs": [ip]}}));
    }
}

fn endpoints(cx: &mut Context<'_>) {
    let service = cx.object;
    let selector = at(service, "spec.selector");
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    let mut pods = cx.selected(&PODS, &json!({"matchLabels": selector}));
    pods.retain(|pod| !text(pod, "status.podIP").is_empty() && !crate::workload::has_ended(pod));
    pods.truncate(MAX_ENDPOINTS);
    write_endpoints(cx, &pods);
    write_slice(cx, &pods);
}

fn write_endpoints(cx: &mut Context<'_>, pods: &[Arc<Value>]) {
    let service = cx.object;
    let address = |pod: &Value| {
        json!({
            "ip": pod_ip(pod), "nodeName": text(pod, "spec.nodeName"),
            "targetRef": {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)},
        })
    };
    let everybody = at(service, "spec.publishNotReadyAddresses").as_bool() == Some(true);
    let (ready, unready): (Vec<_>, Vec<_>) = pods
        .iter()
        .filter(|pod| !deleting(pod))
        .partition(|pod| everybody || is_ready(pod));
    let mut subset = json!({});
    for (field, pods) in [("addresses", ready), ("notReadyAddresses", unready)] {
        if !pods.is_empty() {
            subset[field] = pods.iter().map(|pod| address(pod)).collect();
        }
    }
    let mut subsets = json!([]);
    if subset != json!({}) {
        let ports = ports(service, pods);
        if !ports.is_empty() {
            subset["ports"] = json!(ports);
        }
        subsets = json!([subset]);
    }
    let mut labels = at(service, "metadata.labels")
        .as_object()
        .cloned()
        .unwrap_or_default();
    labels.insert(
        "endpoints.kubernetes.io/managed-by".into(),
        json!("endpoint-controller"),
    );
    let mut object = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": name(service), "namespace": namespace(service), "labels": labels},
    });
    if subsets != json!([]) {
        object["subsets"] = subsets.clone();
    }
    match cx.get(&ENDPOINTS, namespace(service), name(service)) {
        None => cx.create(&ENDPOINTS, object),
        Some(old)
            if items(&old, "subsets") != subsets.as_array().map_or(&[][..], Vec::as_slice) =>
        {
            let subsets = if subsets == json!([]) {
                Value::Null
            } else {
                subsets
            };
            cx.patch(&ENDPOINTS, &old, json!({"subsets": subsets}));
        }
        Some(_) => {}
    }
}

fn write_slice(cx: &mut Context<'_>, pods: &[Arc<Value>]) {
    let service = cx.object;
    let everybody = at(service, "spec.publishNotReadyAddresses").as_bool() == Some(true);
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let ready = is_ready(pod);
            json!({
                "addresses": [pod_ip(pod)],
                "conditions": {
                    "ready": everybody || (ready && !deleting(pod)), "serving": ready, "terminating": deleting(pod),
                },
                "nodeName": text(pod, "spec.nodeName"),
                "targetRef": {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)},
            })
        })
        .collect();
    let ports = ports(service, pods);
    let slices = cx.owned(&ENDPOINT_SLICES);
    let Some(old) = slices.first() else {
        let slice_name = format!("{}-{}", name(service), suffix(&[uid(service), "slice"]));
        let mut labels = at(service, "metadata.labels")
            .as_object()
            .cloned()
            .unwrap_or_default();
        labels.insert("kubernetes.io/service-name".into(), json!(name(service)));
        let manager = "endpointslice-controller.k8s.io";
        labels.insert(
            "endpointslice.kubernetes.io/managed-by".into(),
            json!(manager),
        );
        let object = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": slice_name, "namespace": namespace(service), "labels": labels,
                "ownerReferences": [controller_ref("v1", "Service", service)],
            },
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
        });
        return cx.create(&ENDPOINT_SLICES, object);
    };
    if items(old, "endpoints") != endpoints || items(old, "ports") != ports {
        cx.patch(
            &ENDPOINT_SLICES,
            old,
            json!({"endpoints": endpoints, "ports": ports}),
        );
    }
}

/// The Service's ports as the pods serve them; a named target port is looked up in the first pod that has it.
fn ports(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
    let mut ports = Vec::new();
    for port in items(service, "spec.ports") {
        let target = at(port, "targetPort");
        let number = match target {
            Value::String(wanted) => {
                let named = pods
                    .iter()
                    .flat_map(|pod| items(pod, "spec.containers"))
                    .flat_map(|container| items(container, "ports"))
                    .find(|port| text(port, "name") == wanted);
                let Some(named) = named else { continue };
                at(named, "containerPort")
            }
            Value::Null => at(port, "port"),
            number => number,
        };
        let protocol = if text(port, "protocol").is_empty() {
            "TCP"
        } else {
            text(port, "protocol")
        };
        let mut entry = json!({"name": text(port, "name"), "port": number, "protocol": protocol});
        if !text(port, "appProtocol").is_empty() {
            entry["appProtocol"] = at(port, "appProtocol").clone();
        }
        ports.push(entry);
    }
    ports
}
