//! What all workload controllers share: pods from a template, ownership, readiness, which pods go first.

use crate::conditions::condition;
use crate::context::Context;
use crate::fault::{PREFIX, inherited};
use crate::resources::PODS;
use crate::value::{
    at, controller, controller_ref, deleting, int_or, items, later, name, namespace, selects,
    suffix, text, time, uid,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The most pods that one reaction creates or deletes, as in the real controllers.
pub(crate) const BURST: usize = 500;

/// Who a new pod belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) object: &'a Value,
}

impl Owner<'_> {
    /// A controlling reference to this owner.
    pub(crate) fn reference(&self) -> Value {
        controller_ref(self.api_version, self.kind, self.object)
    }

    /// A pod made from a template, with the owner's fault annotations.
    pub(crate) fn pod(&self, pod_name: &str, template: &Value) -> Value {
        let mut annotations: Map<String, Value> = at(template, "metadata.annotations")
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (key, value) in inherited(self.object) {
            annotations.entry(key).or_insert(value);
        }
        let mut metadata = json!({
            "name": pod_name, "namespace": namespace(self.object),
            "ownerReferences": [self.reference()],
        });
        let labels = at(template, "metadata.labels");
        if labels.is_object() {
            metadata["labels"] = labels.clone();
        }
        if !annotations.is_empty() {
            metadata["annotations"] = Value::Object(annotations);
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": at(template, "spec")})
    }

    /// A name for the `index`-th pod created at this moment.
    pub(crate) fn pod_name(&self, cx: &Context<'_>, base: &str, index: usize) -> String {
        let (space, owner) = (namespace(self.object), name(self.object));
        let parts = [
            self.kind,
            space,
            owner,
            &cx.now.to_string(),
            &index.to_string(),
        ];
        // A generated name keeps to 63 characters.
        let base: String = base.chars().take(57).collect();
        format!("{base}-{}", suffix(&parts))
    }
}

/// The pods that belong to the reacting object: those it controls, and matching orphans, which it adopts.
pub(crate) fn claim(cx: &mut Context<'_>, owner: Owner<'_>) -> Vec<Arc<Value>> {
    let mut pods = cx.owned(&PODS);
    let selector = at(owner.object, "spec.selector");
    if deleting(owner.object) || selector.is_null() {
        return pods;
    }
    for orphan in cx.selected(&PODS, selector) {
        let owners = items(&orphan, "metadata.ownerReferences");
        if controller(&orphan).is_some() || deleting(&orphan) || has_ended(&orphan) {
            continue;
        }
        let owners: Vec<Value> = owners.iter().cloned().chain([owner.reference()]).collect();
        cx.patch(
            &PODS,
            &orphan,
            json!({"metadata": {"ownerReferences": owners}}),
        );
        pods.push(orphan);
    }
    // A pod whose labels no longer match is let go.
    let (kept, strangers): (Vec<_>, Vec<_>) = pods
        .into_iter()
        .partition(|pod| selects(selector, at(pod, "metadata.labels")));
    for stranger in strangers.iter().filter(|pod| !deleting(pod)) {
        let owners: Vec<&Value> = items(stranger, "metadata.ownerReferences")
            .iter()
            .filter(|reference| text(reference, "uid") != uid(owner.object))
            .collect();
        cx.patch(
            &PODS,
            stranger,
            json!({"metadata": {"ownerReferences": owners}}),
        );
    }
    kept
}

/// Whether the pod ended, well or badly.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "status.phase"), "Succeeded" | "Failed")
}

/// Whether the pod counts as one of its owner's: neither ended nor on its way out.
pub(crate) fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && !deleting(pod)
}

/// Whether the pod is Ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    crate::conditions::is_true(pod, "Ready")
}

/// Whether the pod has been Ready for so many seconds; asks to be woken when it will have been.
pub(crate) fn is_available(cx: &mut Context<'_>, pod: &Value, min_ready_seconds: i64) -> bool {
    if !is_ready(pod) {
        return false;
    }
    if min_ready_seconds <= 0 {
        return true;
    }
    let since = condition(pod, "Ready").and_then(|ready| time(at(ready, "lastTransitionTime")));
    let wait = Duration::from_secs(min_ready_seconds.unsigned_abs());
    since.is_some_and(|since| cx.reached(later(since, wait)))
}

/// Sorts pods so that those come first which a scale-down takes first: unassigned, pending, not ready, younger.
pub(crate) fn by_deletion_order(pods: &mut [Arc<Value>]) {
    pods.sort_by_cached_key(|pod| {
        let phase = match text(pod, "status.phase") {
            "Running" => 2,
            "" | "Pending" => 0,
            _ => 1,
        };
        let restarts: i64 = items(pod, "status.containerStatuses")
            .iter()
            .map(|status| int_or(status, "restartCount", 0))
            .sum();
        let created = time(at(pod, "metadata.creationTimestamp"));
        (
            !text(pod, "spec.nodeName").is_empty(),
            phase,
            is_ready(pod),
            std::cmp::Reverse(restarts),
            std::cmp::Reverse(created),
            name(pod).to_owned(),
        )
    });
}

/// Counts the objects for which something holds.
pub(crate) fn count<'a>(
    objects: impl IntoIterator<Item = &'a Arc<Value>>,
    mut holds: impl FnMut(&Value) -> bool,
) -> i64 {
    i64::try_from(objects.into_iter().filter(|object| holds(object)).count()).unwrap_or(i64::MAX)
}

/// A number of things as the JSON integer that it becomes.
pub(crate) fn len<T>(things: &[T]) -> i64 {
    i64::try_from(things.len()).unwrap_or(i64::MAX)
}

/// Replaces a template's fault annotations, for an owner that decides per pod.
pub(crate) fn set_fault(pod: &mut Value, fault: &str, value: Option<&str>) {
    let key = format!("{PREFIX}{fault}");
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            match value {
                Some(value) => annotations.insert(key, json!(value)),
                None => annotations.remove(&key),
            };
        }
    }
}
