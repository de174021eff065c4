//! ControllerRevisions: the history of templates that StatefulSets and DaemonSets keep
//! (Kubernetes `pkg/controller/history`).

use crate::context::Context;
use crate::deployment::plain_template;
use crate::resources::REVISIONS;
use crate::value::{annotation, at, fnv32, int, int_or, name, safe_encode};
use crate::workload::Owner;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The label that names a pod's revision.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

/// One template of an owner's history.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// The object's name.
    pub(crate) name: String,
    /// Counts up; the highest is the present one.
    pub(crate) number: i64,
    /// The pod template.
    pub(crate) template: Value,
    object: Option<Arc<Value>>,
}

/// The history of an owner, oldest first; the last one has the present template and is created when missing.
pub(crate) fn revisions(cx: &mut Context<'_>, owner: Owner<'_>) -> Vec<Revision> {
    let mut history: Vec<Revision> = cx
        .owned(&REVISIONS)
        .into_iter()
        .map(|object| Revision {
            name: name(&object).to_owned(),
            number: int_or(&object, "revision", 0),
            template: without_marker(at(&object, "data.spec.template")),
            object: Some(object),
        })
        .collect();
    history.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    let template = at(owner.object, "spec.template");
    let wanted = plain_template(template);
    let next = history.last().map_or(1, |last| last.number + 1);
    let known = history
        .iter()
        .rposition(|old| plain_template(&old.template) == wanted);
    match known {
        Some(at) if at + 1 == history.len() => {}
        Some(at) => {
            // Rolling back: the old revision becomes the newest.
            let mut revision = history.remove(at);
            revision.number = next;
            if let Some(object) = revision.object.clone() {
                cx.patch(&REVISIONS, &object, json!({"revision": next}));
            }
            history.push(revision);
        }
        None => {
            let revision = create(cx, owner, next);
            history.push(revision);
        }
    }
    history
}

fn create(cx: &mut Context<'_>, owner: Owner<'_>, number: i64) -> Revision {
    let template = at(owner.object, "spec.template").clone();
    let collisions = int(owner.object, "status.collisionCount")
        .unwrap_or(0)
        .to_string();
    let hash = safe_encode(fnv32(&[
        &plain_template(&template).to_string(),
        &collisions,
    ]));
    let revision_name = format!("{}-{hash}", name(owner.object));
    let mut labels = at(&template, "metadata.labels").clone();
    if !labels.is_object() {
        labels = json!({});
    }
    labels["controller.kubernetes.io/hash"] = json!(hash);
    let mut data = template.clone();
    data["$patch"] = json!("replace");
    let mut metadata = json!({
        "name": revision_name, "namespace": cx.namespace(), "labels": labels,
        "ownerReferences": [owner.reference()],
    });
    if let Some(generation) = annotation(owner.object, "deprecated.daemonset.template.generation") {
        metadata["annotations"] = json!({"deprecated.daemonset.template.generation": generation});
    }
    cx.create(
        &REVISIONS,
        json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata,
            "data": {"spec": {"template": data}}, "revision": number,
        }),
    );
    Revision {
        name: revision_name,
        number,
        template,
        object: None,
    }
}

fn without_marker(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(fields) = template.as_object_mut() {
        fields.remove("$patch");
    }
    template
}

/// Deletes revisions that nothing uses, beyond the history limit, oldest first.
pub(crate) fn truncate(cx: &mut Context<'_>, history: &[Revision], live: &BTreeSet<String>) {
    let limit =
        usize::try_from(int_or(cx.object, "spec.revisionHistoryLimit", 10)).unwrap_or(usize::MAX);
    let idle: Vec<&Revision> = history
        .iter()
        .filter(|revision| !live.contains(&revision.name))
        .collect();
    let surplus = idle.len().saturating_sub(limit);
    for revision in idle.into_iter().take(surplus) {
        if let Some(object) = &revision.object {
            cx.delete(&REVISIONS, object);
        }
    }
}
