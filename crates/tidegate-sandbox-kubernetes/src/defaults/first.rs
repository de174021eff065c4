//! What a new object gets from the server's strategies and admission, owned by nobody: its first status, generated
//! selectors, tolerations.

use serde_json::{Map, Value, json};

use super::workloads::TEMPLATE_GENERATION;
use super::{is_empty, put, sub};
use crate::object;
use crate::resource::Resource;

/// The longest label.
const MAX_LABEL: usize = 63;

pub(super) fn prepare(resource: &Resource, object: &mut Value) {
    let uid = object::uid(object).to_owned();
    let name = object::name(object).to_owned();
    let stamp = object::meta(object, "creationTimestamp").to_owned();
    let map = object::ensure(object);
    match (resource.name.group(), resource.name.resource()) {
        ("", "pods") => pod(map),
        ("", "persistentvolumeclaims") => {
            put(sub(map, "status"), "phase", "Pending");
            data_sources(sub(map, "spec"));
        }
        ("", "persistentvolumes") => {
            let status = sub(map, "status");
            put(status, "phase", "Pending");
            put(status, "lastPhaseTransitionTime", stamp);
        }
        ("", "namespaces") => {
            put(sub(map, "status"), "phase", "Active");
            let labels = sub(sub(map, "metadata"), "labels");
            labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
        }
        ("batch", "jobs") => job(map, &uid, &name),
        _ => {}
    }
}

pub(super) fn change(resource: &Resource, live: &Value, next: &mut Value) {
    let map = object::ensure(next);
    if resource.is("", "pods") {
        admit_pod(sub(map, "spec"));
    }
    if resource.is("apps", "daemonsets") {
        count_templates(live, map);
    }
    if resource.is("", "services") {
        drop_dependent(live, sub(map, "spec"));
        if object::text(&Value::Object(map.clone()), &["spec", "type"]) != "LoadBalancer" {
            map.insert("status".to_owned(), json!({"loadBalancer": {}}));
        }
    }
}

fn count_templates(live: &Value, map: &mut Map<String, Value>) {
    let known = live
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"));
    let known = known.and_then(|annotations| annotations.get(TEMPLATE_GENERATION));
    let known: i64 = known
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let template = |spec: Option<&Value>| spec.and_then(|spec| spec.get("template")).cloned();
    let changed = template(live.get("spec")) != template(map.get("spec"));
    let now = if changed {
        known.saturating_add(1)
    } else {
        known
    };
    let annotations = sub(sub(map, "metadata"), "annotations");
    annotations.insert(TEMPLATE_GENERATION.to_owned(), json!(now.to_string()));
}

/// What an address, a node port or a policy was for the old type and nobody touched goes with it.
fn drop_dependent(live: &Value, spec: &mut Map<String, Value>) {
    let empty = Map::new();
    let old = live
        .get("spec")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let kind = |spec: &Map<String, Value>| super::text(spec, "type").to_owned();
    let (before, after) = (kind(old), kind(spec));
    let same = |spec: &Map<String, Value>, field: &str| spec.get(field) == old.get(field);
    let mut gone: Vec<&str> = Vec::new();
    if before != "ExternalName" && after == "ExternalName" {
        if same(spec, "clusterIP") && same(spec, "clusterIPs") {
            gone.extend(["clusterIP", "clusterIPs"]);
        }
        gone.extend(
            ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
                .into_iter()
                .filter(|field| same(spec, field)),
        );
    }
    if before == "LoadBalancer" && after != "LoadBalancer" {
        let fields = [
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "healthCheckNodePort",
        ];
        gone.extend(fields.into_iter().filter(|field| same(spec, field)));
    }
    let external = |kind: &str| ["NodePort", "LoadBalancer"].contains(&kind);
    if external(&before) && !external(&after) {
        if same(spec, "externalTrafficPolicy") && is_empty(spec, "externalIPs") {
            gone.push("externalTrafficPolicy");
        }
        let ports = |spec: &Map<String, Value>| -> Vec<Value> {
            let list = spec
                .get("ports")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            list.filter_map(|port| port.get("nodePort").cloned())
                .collect()
        };
        if ports(spec) == ports(old)
            && let Some(Value::Array(list)) = spec.get_mut("ports")
        {
            for port in list.iter_mut().filter_map(Value::as_object_mut) {
                port.remove("nodePort");
            }
        }
    }
    for field in gone {
        spec.remove(field);
    }
}

/// A claim's source is a claim or a snapshot, kept in both of its fields; anything else needs the newer field.
fn data_sources(spec: &mut Map<String, Value>) {
    let (source, reference) = (
        spec.get("dataSource").cloned(),
        spec.get("dataSourceRef").cloned(),
    );
    match (source, reference) {
        (Some(source), None) => {
            let known = [
                ("", "PersistentVolumeClaim"),
                ("snapshot.storage.k8s.io", "VolumeSnapshot"),
            ];
            let id = (
                object::text(&source, &["apiGroup"]),
                object::text(&source, &["kind"]),
            );
            if known.contains(&id) {
                spec.insert("dataSourceRef".to_owned(), source);
            } else {
                spec.remove("dataSource");
            }
        }
        (None, Some(reference)) if object::text(&reference, &["namespace"]).is_empty() => {
            spec.insert("dataSource".to_owned(), reference);
        }
        _ => {}
    }
}

fn pod(map: &mut Map<String, Value>) {
    let class = quality(map);
    let gated = map
        .get("spec")
        .and_then(Value::as_object)
        .is_some_and(|spec| !is_empty(spec, "schedulingGates"));
    let mut status = json!({"phase": "Pending", "qosClass": class});
    if gated {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": null,
        }]);
    }
    map.insert("status".to_owned(), status);
    admit_pod(sub(map, "spec"));
}

/// What the admission of every cluster gives a pod.
fn admit_pod(spec: &mut Map<String, Value>) {
    put(spec, "priority", 0);
    put(spec, "preemptionPolicy", "PreemptLowerPriority");
    tolerations(spec);
}

/// The admission of every cluster: a pod leaves a lost node after five minutes.
fn tolerations(spec: &mut Map<String, Value>) {
    const SECONDS: i32 = 300;
    const NOT_READY: &str = "node.kubernetes.io/not-ready";
    const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
    let mut list = match spec.get("tolerations") {
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    };
    for key in [NOT_READY, UNREACHABLE] {
        let tolerated = list.iter().any(|one| {
            let (its_key, effect) = (object::text(one, &["key"]), object::text(one, &["effect"]));
            (its_key == key || its_key.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}));
        }
    }
    if !list.is_empty() {
        spec.insert("tolerations".to_owned(), Value::Array(list));
    }
}

/// The quality of service class: by the limits and requests of CPU and memory.
fn quality(map: &Map<String, Value>) -> &'static str {
    const COUNTED: [&str; 2] = ["cpu", "memory"];
    let spec = map.get("spec");
    let list = |key: &str| {
        spec.and_then(|spec| spec.get(key))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let containers: Vec<Value> = list("containers")
        .into_iter()
        .chain(list("initContainers"))
        .collect();
    let amount = |container: &Value, what: &str, name: &str| {
        let text = container
            .pointer(&format!("/resources/{what}/{name}"))
            .and_then(Value::as_str)?
            .to_owned();
        tidegate_gocompat::Quantity::parse(&text)
            .ok()
            .filter(|quantity| !quantity.is_zero())
    };
    let any = containers.iter().any(|container| {
        COUNTED.iter().any(|name| {
            amount(container, "limits", name).is_some()
                || amount(container, "requests", name).is_some()
        })
    });
    let guaranteed = containers.iter().all(|container| {
        COUNTED.iter().all(|name| {
            let limit = amount(container, "limits", name);
            limit.is_some() && amount(container, "requests", name) == limit
        })
    });
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// A job finds its pods by its own uid, unless it says otherwise.
fn job(map: &mut Map<String, Value>, uid: &str, name: &str) {
    let spec = sub(map, "spec");
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let labels = sub(sub(sub(spec, "template"), "metadata"), "labels");
    let before = labels.clone();
    for (key, value) in [
        ("controller-uid", uid),
        ("batch.kubernetes.io/controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/job-name", name),
    ] {
        put(labels, key, value);
    }
    let after = labels.clone();
    let selector = sub(spec, "selector");
    let wanted = sub(selector, "matchLabels");
    put(wanted, "batch.kubernetes.io/controller-uid", uid);
    // A job without labels of its own has its template's, these included.
    let metadata = sub(map, "metadata");
    let own = metadata
        .get("labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let fits = name.len() <= MAX_LABEL;
    if fits && (own.is_empty() || own == before) {
        metadata.insert("labels".to_owned(), Value::Object(after));
    }
}
