//! What applying a resource would do, and the bodies that are shown. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_applier::{ChangeOutcome, FieldChange, LiveObject};
use tidegate_diff::changes::changes;
use tidegate_diff::schema::Schema;
use tidegate_manifest::{
    AWS_API_VERSION, AWS_GROUP, CloudFormationResource, ResourceKey, TrackingId, annotation,
};

use crate::mark::TAG_PREFIX;
use crate::mask::mask;
use crate::{Difference, LiveResource, Mark, Record, Resource};

/// The digest of a value: canonical, hexadecimal.
pub(crate) fn digest(value: &Value) -> String {
    let hash = Sha256::digest(value.to_string().as_bytes());
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Tags as they are shown: the user's own, sorted.
fn shown_tags(tags: &BTreeMap<String, String>) -> Value {
    let own = tags
        .iter()
        .filter(|(key, _)| !key.starts_with(TAG_PREFIX) && !key.starts_with("aws:"));
    let list = own.map(|(key, value)| json!({"Key": key, "Value": value}));
    Value::Array(list.collect())
}

/// The mark that a live resource bears: by its tags, else by what is remembered.
pub(crate) fn mark_of_live(live: &LiveResource, remembered: Option<&Mark>) -> Option<Mark> {
    match &live.tags {
        Some(tags) => Mark::of_tags(tags),
        None => remembered.cloned(),
    }
}

/// A live resource as the engine sees it; secrets are hidden.
pub(crate) fn live_object(
    key: &ResourceKey,
    live: &LiveResource,
    record: Option<&Record>,
    sensitive: &[String],
    declared_tags: Option<&BTreeMap<String, String>>,
) -> LiveObject {
    let mark = mark_of_live(live, record.map(|record| &record.mark));
    let mut metadata = json!({"name": key.name, "namespace": key.namespace});
    if let Some(mark) = &mark {
        let mut annotations = mark.annotations.clone();
        let id = TrackingId {
            application: mark.application.clone(),
            group: AWS_GROUP.to_owned(),
            kind: key.kind.clone(),
            namespace: mark.stack.clone(),
            name: mark.logical_id.clone(),
        };
        annotations.insert(annotation::TRACKING_ID.to_owned(), id.to_string());
        metadata["annotations"] = json!(annotations);
    }
    let mut properties = live.properties.clone();
    if let Some(tags) = &live.tags {
        let shown = match declared_tags {
            // Tags that others put there are not part of the comparison.
            Some(declared) => {
                let ours = tags.iter().filter(|(key, _)| declared.contains_key(*key));
                shown_tags(&ours.map(|(k, v)| (k.clone(), v.clone())).collect())
            }
            None => shown_tags(tags),
        };
        if shown.as_array().is_some_and(|list| !list.is_empty()) {
            properties.insert("Tags".to_owned(), shown);
        }
    }
    let mut body = json!({
        "apiVersion": AWS_API_VERSION,
        "kind": key.kind,
        "metadata": metadata,
        "PhysicalName": live.physical_id,
        "Properties": properties,
    });
    mask(&mut body, sensitive);
    let version = if live.version.is_empty() {
        digest(&json!([live.properties, live.tags]))
    } else {
        live.version.clone()
    };
    LiveObject {
        key: key.clone(),
        body,
        version,
        uid: Record::uid(&live.physical_id, record),
        health: Some(live.health.clone()),
    }
}

/// The body after an apply, in the shape of [`live_object`].
pub(crate) fn after_body(
    before: Option<&Value>,
    source: &CloudFormationResource,
    wanted: &Resource,
    difference: &Difference,
    sensitive: &[String],
) -> Value {
    let mut body = match before {
        Some(before) => before.clone(),
        None => json!({
            "apiVersion": AWS_API_VERSION,
            "kind": source.resource_type,
            "metadata": {"name": source.logical_id, "namespace": source.stack, "annotations": source.annotations},
            "PhysicalName": source.physical_name,
            "Properties": {},
        }),
    };
    let is_new = before.is_none();
    if let Some(properties) = body.get_mut("Properties").and_then(Value::as_object_mut) {
        for (name, value) in &wanted.properties {
            if name != "Tags" && (is_new || difference.changed.contains(name)) {
                properties.insert(name.clone(), value.clone());
            }
        }
        if !is_new {
            properties.retain(|name, _| {
                name == "Tags"
                    || !difference.changed.contains(name)
                    || wanted.properties.contains_key(name)
            });
        }
        if is_new || difference.changed.contains("Tags") {
            set_tags(properties, &wanted.all_tags());
        }
    }
    mask(&mut body, sensitive);
    body
}

fn set_tags(properties: &mut Map<String, Value>, tags: &BTreeMap<String, String>) {
    let shown = shown_tags(tags);
    if shown.as_array().is_some_and(Vec::is_empty) {
        properties.remove("Tags");
    } else {
        properties.insert("Tags".to_owned(), shown);
    }
}

/// The fields that differ between two bodies; how the mark is written is not one of them, but a
/// mark that is not there is.
pub(crate) fn field_changes(before: Option<&Value>, after: &Value) -> Vec<FieldChange> {
    let bare = |body: &Value| {
        let mut body = body.clone();
        if let Some(body) = body.as_object_mut() {
            body.remove("metadata");
            body.remove("PhysicalName");
        }
        body
    };
    let schema = Schema::deduced();
    let before = before.map(bare);
    let found = changes(&schema, before.as_ref(), Some(&bare(after)));
    let mut found: Vec<FieldChange> = found
        .into_iter()
        .map(|change| FieldChange {
            path: change.path,
            before: change.before,
            after: change.after,
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// What a difference comes to.
pub(crate) fn outcome(difference: &Difference) -> ChangeOutcome {
    if !difference.create_only.is_empty() {
        ChangeOutcome::Replaced
    } else if difference.changed.is_empty() {
        ChangeOutcome::Unchanged
    } else {
        ChangeOutcome::Updated
    }
}
