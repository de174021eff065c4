//! Defaults of the remaining kinds: storage, access, scaling, admission.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tidegate_gocompat::Quantity;

use super::{is_empty, put, sub, text};
use crate::object;

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn rules(name: &str, map: &mut Map<String, Value>) {
    match name {
        "core.v1.Namespace" => namespace(map),
        "core.v1.Secret" => put(map, "type", "Opaque"),
        "core.v1.PersistentVolumeClaim" => put(sub(map, "status"), "phase", "Pending"),
        "core.v1.PersistentVolumeClaimSpec" => put(map, "volumeMode", "Filesystem"),
        "core.v1.PersistentVolume" => put(sub(map, "status"), "phase", "Pending"),
        "core.v1.PersistentVolumeSpec" => {
            put(map, "persistentVolumeReclaimPolicy", "Retain");
            put(map, "volumeMode", "Filesystem");
        }
        "core.v1.NodeStatus" => {
            if let Some(capacity) = map.get("capacity").cloned() {
                put(map, "allocatable", capacity);
            }
        }
        "core.v1.LimitRangeItem" => limit_range(map),
        "storage.v1.StorageClass" => {
            put(map, "reclaimPolicy", "Delete");
            put(map, "volumeBindingMode", "Immediate");
        }
        "storage.v1.CSIDriverSpec" => csi_driver(map),
        "scheduling.v1.PriorityClass" => put(map, "preemptionPolicy", "PreemptLowerPriority"),
        "rbac.v1.RoleRef" => put(map, "apiGroup", RBAC),
        "rbac.v1.Subject" => {
            if ["User", "Group"].contains(&text(map, "kind")) {
                put(map, "apiGroup", RBAC);
            }
        }
        "autoscaling.v2.HorizontalPodAutoscalerSpec" => scaler(map),
        "autoscaling.v1.HorizontalPodAutoscalerSpec" => {
            put(map, "minReplicas", 1);
            put(map, "targetCPUUtilizationPercentage", 80);
        }
        "authentication.v1.TokenRequestSpec" => put(map, "expirationSeconds", 3_600),
        _ => admission(name, map),
    }
}

fn namespace(map: &mut Map<String, Value>) {
    let name = map
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .cloned();
    if let Some(name) = name.filter(|name| name.as_str().is_some_and(|name| !name.is_empty())) {
        sub(sub(map, "metadata"), "labels").insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    put(sub(map, "status"), "phase", "Active");
}

fn limit_range(map: &mut Map<String, Value>) {
    if text(map, "type") != "Container" {
        return;
    }
    let mut copy = |from: &str, to: &str| {
        let source = map
            .get(from)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        if source.is_empty() {
            return;
        }
        let target = sub(map, to);
        for (name, amount) in source {
            target.entry(name).or_insert(amount);
        }
    };
    copy("max", "default");
    copy("default", "defaultRequest");
    copy("min", "defaultRequest");
}

fn csi_driver(map: &mut Map<String, Value>) {
    put(map, "attachRequired", true);
    put(map, "podInfoOnMount", false);
    put(map, "storageCapacity", false);
    put(map, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if is_empty(map, "volumeLifecycleModes") {
        map.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
    }
    put(map, "requiresRepublish", false);
    put(map, "seLinuxMount", false);
}

fn scaler(map: &mut Map<String, Value>) {
    put(map, "minReplicas", 1);
    if is_empty(map, "metrics") {
        let metric = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }]);
        map.insert("metrics".to_owned(), metric);
    }
    if !map.get("behavior").is_some_and(Value::is_object) {
        return;
    }
    let behavior = sub(map, "behavior");
    let up = sub(behavior, "scaleUp");
    put(up, "stabilizationWindowSeconds", 0);
    put(up, "selectPolicy", "Max");
    put(
        up,
        "policies",
        json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]),
    );
    let down = sub(behavior, "scaleDown");
    put(down, "selectPolicy", "Max");
    put(
        down,
        "policies",
        json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]),
    );
}

fn admission(name: &str, map: &mut Map<String, Value>) {
    match name {
        "admissionregistration.v1.ValidatingWebhook"
        | "admissionregistration.v1.MutatingWebhook" => {
            put(map, "failurePolicy", "Fail");
            selectors(map);
            put(map, "timeoutSeconds", 10);
            if name.ends_with("MutatingWebhook") {
                put(map, "reinvocationPolicy", "Never");
            }
        }
        "admissionregistration.v1.RuleWithOperations"
        | "admissionregistration.v1.NamedRuleWithOperations" => put(map, "scope", "*"),
        "admissionregistration.v1.ServiceReference"
        | "apiregistration.v1.ServiceReference"
        | "apiextensions.v1.ServiceReference" => put(map, "port", 443),
        "admissionregistration.v1.ValidatingAdmissionPolicySpec"
        | "admissionregistration.v1.MutatingAdmissionPolicySpec" => {
            put(map, "failurePolicy", "Fail");
        }
        "admissionregistration.v1.MatchResources" => selectors(map),
        "flowcontrol.v1.FlowSchemaSpec" => put(map, "matchingPrecedence", 1_000),
        "flowcontrol.v1.ExemptPriorityLevelConfiguration" => {
            put(map, "nominalConcurrencyShares", 0);
            put(map, "lendablePercent", 0);
        }
        "flowcontrol.v1.LimitedPriorityLevelConfiguration" => {
            put(map, "nominalConcurrencyShares", 30);
            put(map, "lendablePercent", 0);
        }
        "flowcontrol.v1.QueuingConfiguration" => {
            put(map, "handSize", 8);
            put(map, "queues", 64);
            put(map, "queueLengthLimit", 50);
        }
        _ => {}
    }
}

fn selectors(map: &mut Map<String, Value>) {
    put(map, "matchPolicy", "Equivalent");
    put(map, "namespaceSelector", json!({}));
    put(map, "objectSelector", json!({}));
}

/// `stringData` is for writing only; it wins over `data`.
pub(super) fn fold_string_data(secret: &mut Value) {
    let map = object::ensure(secret);
    let Some(Value::Object(plain)) = map.remove("stringData") else {
        return;
    };
    if plain.is_empty() {
        return;
    }
    let data = sub(map, "data");
    for (key, value) in plain {
        let text = value.as_str().unwrap_or("");
        data.insert(key, Value::String(STANDARD.encode(text)));
    }
}

/// Amounts of resources have three decimal places at most.
pub(super) fn round_up_to_milli(value: &mut Value) {
    let Some(parsed) = value.as_str().and_then(|text| Quantity::parse(text).ok()) else {
        return;
    };
    let canonical = parsed.canonical();
    let exponent = canonical.split_once("e-").and_then(|(digits, power)| {
        let power = power
            .parse::<u32>()
            .ok()
            .filter(|power| (4..=9).contains(power))?;
        Some((digits.to_owned(), power))
    });
    if let Some((digits, power)) = exponent {
        let step = 10_i64.pow(power - 3);
        if let Ok(number) = digits.parse::<i64>() {
            let away = if number < 0 { 1 - step } else { step - 1 };
            *value = Value::String(format!("{}e-3", number.saturating_add(away) / step));
        }
        return;
    }
    let (digits, step) = match canonical.split_at(canonical.len().saturating_sub(1)) {
        (digits, "u") => (digits, 1_000),
        (digits, "n") => (digits, 1_000_000),
        _ => return,
    };
    if let Ok(number) = digits.parse::<i64>() {
        let away = if number < 0 { 1 - step } else { step - 1 };
        let milli = number.saturating_add(away) / step;
        if let Ok(rounded) = Quantity::parse(&format!("{milli}m")) {
            *value = Value::String(rounded.to_string());
        }
    }
}
