//! Defaults of the kinds that make pods: their strategies, limits and histories.

use serde_json::{Map, Value, json};

use super::{is_empty, put, sub, text};

/// How often the template of a daemon set changed, kept for old clients.
pub(super) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn rules(name: &str, map: &mut Map<String, Value>) {
    match name {
        "apps.v1.DeploymentSpec" => {
            put(map, "replicas", 1);
            put(map, "revisionHistoryLimit", 10);
            put(map, "progressDeadlineSeconds", 600);
            let changes = json!({"maxUnavailable": "25%", "maxSurge": "25%"});
            rolling(sub(map, "strategy"), &changes);
        }
        "apps.v1.DaemonSet" => {
            put(
                sub(sub(map, "metadata"), "annotations"),
                TEMPLATE_GENERATION,
                "1",
            );
        }
        "apps.v1.DaemonSetSpec" => {
            put(map, "revisionHistoryLimit", 10);
            rolling(
                sub(map, "updateStrategy"),
                &json!({"maxUnavailable": 1, "maxSurge": 0}),
            );
        }
        "apps.v1.StatefulSetSpec" => stateful_set(map),
        "apps.v1.ReplicaSetSpec" | "core.v1.ReplicationControllerSpec" => put(map, "replicas", 1),
        "core.v1.ReplicationController" => replication_controller(map),
        "batch.v1.Job" => job(map),
        "batch.v1.CronJobSpec" => {
            put(map, "concurrencyPolicy", "Allow");
            put(map, "suspend", false);
            put(map, "successfulJobsHistoryLimit", 3);
            put(map, "failedJobsHistoryLimit", 1);
        }
        "batch.v1.PodFailurePolicyOnPodConditionsPattern" => put(map, "status", "True"),
        _ => {}
    }
}

fn rolling(strategy: &mut Map<String, Value>, parameters: &Value) {
    put(strategy, "type", "RollingUpdate");
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    let update = sub(strategy, "rollingUpdate");
    for (key, value) in parameters.as_object().into_iter().flatten() {
        put(update, key, value.clone());
    }
}

fn stateful_set(map: &mut Map<String, Value>) {
    put(map, "podManagementPolicy", "OrderedReady");
    let strategy = sub(map, "updateStrategy");
    if text(strategy, "type").is_empty() {
        put(strategy, "type", "RollingUpdate");
        sub(strategy, "rollingUpdate");
    }
    if text(strategy, "type") == "RollingUpdate"
        && strategy.get("rollingUpdate").is_some_and(Value::is_object)
    {
        put(sub(strategy, "rollingUpdate"), "partition", 0);
    }
    let retention = sub(map, "persistentVolumeClaimRetentionPolicy");
    put(retention, "whenDeleted", "Retain");
    put(retention, "whenScaled", "Retain");
    put(map, "replicas", 1);
    put(map, "revisionHistoryLimit", 10);
    let Some(Value::Array(claims)) = map.get_mut("volumeClaimTemplates") else {
        return;
    };
    for claim in claims.iter_mut().filter_map(Value::as_object_mut) {
        // Claims are kept as whole objects.
        put(claim, "apiVersion", "v1");
        put(claim, "kind", "PersistentVolumeClaim");
        put(sub(claim, "status"), "phase", "Pending");
    }
}

/// The labels of the template, when there are any.
fn template_labels(spec: Option<&Value>) -> Option<Value> {
    spec?
        .pointer("/template/metadata/labels")
        .filter(|labels| labels.is_object())
        .cloned()
}

fn replication_controller(map: &mut Map<String, Value>) {
    let Some(labels) = template_labels(map.get("spec")) else {
        return;
    };
    let spec = sub(map, "spec");
    if is_empty(spec, "selector") {
        spec.insert("selector".to_owned(), labels.clone());
    }
    let metadata = sub(map, "metadata");
    if is_empty(metadata, "labels") {
        metadata.insert("labels".to_owned(), labels);
    }
}

fn job(map: &mut Map<String, Value>) {
    if let Some(labels) = template_labels(map.get("spec")) {
        let metadata = sub(map, "metadata");
        if is_empty(metadata, "labels") {
            metadata.insert("labels".to_owned(), labels);
        }
    }
    // Only of a job itself, not of a cron job's template.
    let spec = sub(map, "spec");
    if is_empty(spec, "completions") && is_empty(spec, "parallelism") {
        put(spec, "completions", 1);
    }
    put(spec, "parallelism", 1);
    let limit = if is_empty(spec, "backoffLimitPerIndex") {
        6
    } else {
        i32::MAX
    };
    put(spec, "backoffLimit", limit);
    put(spec, "completionMode", "NonIndexed");
    put(spec, "suspend", false);
    put(spec, "manualSelector", false);
    let replacement = if is_empty(spec, "podFailurePolicy") {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    put(spec, "podReplacementPolicy", replacement);
}
