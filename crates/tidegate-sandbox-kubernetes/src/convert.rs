//! Versions of one kind: the strategy `None` rewrites the apiVersion and nothing else; events and autoscalers of the
//! built-in groups differ in more and are converted here.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::object;
use crate::resource::Resource;

/// Fields of a core event and their names in `events.k8s.io/v1`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The metrics that `autoscaling/v1` cannot say, as the real server keeps them.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// Rewrites an object to another version of its kind.
pub(crate) fn to_version(object: &mut Value, api_version: &str) {
    let map = object::ensure(object);
    let from = map
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if from == api_version {
        return;
    }
    let kind = map
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    match (kind.as_str(), from.as_str(), api_version) {
        ("Event", "v1", "events.k8s.io/v1") => rename(map, |(core, new)| (core, new)),
        ("Event", "events.k8s.io/v1", "v1") => rename(map, |(core, new)| (new, core)),
        ("HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v1") => scaler_to_v1(map),
        ("HorizontalPodAutoscaler", "autoscaling/v1", "autoscaling/v2") => scaler_to_v2(map),
        _ => {}
    }
    map.insert("apiVersion".to_owned(), json!(api_version));
}

fn rename(
    map: &mut Map<String, Value>,
    pair: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let moved: Vec<(&str, Option<Value>)> = EVENT_FIELDS
        .iter()
        .map(|fields| {
            let (from, to) = pair(*fields);
            (to, map.remove(from))
        })
        .collect();
    for (to, value) in moved {
        if let Some(value) = value {
            map.insert(to.to_owned(), value);
        }
    }
}

fn is_cpu(metric: &Value) -> bool {
    object::text(metric, &["type"]) == "Resource"
        && object::text(metric, &["resource", "name"]) == "cpu"
        && metric
            .pointer("/resource/target/averageUtilization")
            .is_some()
}

fn scaler_to_v1(map: &mut Map<String, Value>) {
    let spec = object::child(map, "spec");
    let metrics = match spec.remove("metrics") {
        Some(Value::Array(metrics)) => metrics,
        _ => Vec::new(),
    };
    let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu);
    if let Some(target) = cpu
        .first()
        .and_then(|m| m.pointer("/resource/target/averageUtilization"))
    {
        spec.insert("targetCPUUtilizationPercentage".to_owned(), target.clone());
    }
    if !others.is_empty() {
        let metadata = object::child(map, "metadata");
        let kept = Value::Array(others).to_string();
        object::child(metadata, "annotations").insert(METRICS.to_owned(), json!(kept));
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentMetrics");
        status.remove("conditions");
        status
            .entry("currentReplicas".to_owned())
            .or_insert_with(|| json!(0));
    }
}

fn scaler_to_v2(map: &mut Map<String, Value>) {
    let kept = map
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut)
        .and_then(|annotations| annotations.remove(METRICS));
    let others = kept
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str(text).ok());
    let mut metrics: Vec<Value> = others.unwrap_or_default();
    let spec = object::child(map, "spec");
    if let Some(percentage) = spec.remove("targetCPUUtilizationPercentage") {
        metrics.push(json!({
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}},
        }));
    }
    if !metrics.is_empty() {
        spec.insert("metrics".to_owned(), Value::Array(metrics));
    }
}

/// An object at a version of its resource, as clients see it.
pub(crate) fn served<'a>(
    resource: &Resource,
    version: &str,
    object: &'a Arc<Value>,
) -> Cow<'a, Value> {
    let api_version = resource.api_version(version);
    let custom = resource
        .version(version)
        .and_then(|version| version.custom.as_ref());
    let defaults = custom.filter(|custom| custom.schema.has_defaults());
    if defaults.is_none() && object::text(object, &["apiVersion"]) == api_version {
        return Cow::Borrowed(object);
    }
    let mut copy = (**object).clone();
    to_version(&mut copy, &api_version);
    if let Some(custom) = defaults {
        // A definition may have gained defaults since the object was written.
        crate::structural::default_object(&custom.schema, &mut copy);
    }
    Cow::Owned(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_everything_both_ways() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m", "count": 2,
            "involvedObject": {"name": "p"}, "source": {"component": "c"}, "reason": "R",
        });
        let mut other = core.clone();
        to_version(&mut other, "events.k8s.io/v1");
        assert_eq!(other["note"], "m");
        assert_eq!(other["regarding"]["name"], "p");
        assert!(other.get("message").is_none());
        to_version(&mut other, "v1");
        assert_eq!(other, core);
    }

    #[test]
    fn scalers_keep_their_metrics_both_ways() {
        let metric = |name: &str| json!({"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": 50}}});
        let new = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"annotations": {}},
            "spec": {"maxReplicas": 3, "metrics": [metric("memory"), metric("cpu")]},
        });
        let mut old = new.clone();
        to_version(&mut old, "autoscaling/v1");
        assert_eq!(
            old["spec"],
            json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50})
        );
        to_version(&mut old, "autoscaling/v2");
        assert_eq!(old, new);
    }
}
