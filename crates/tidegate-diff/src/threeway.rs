//! The legacy comparison of objects that were applied client-side: what would `kubectl apply` of the target change?
//!
//! Argo CD's default strategy (6.3.3): original = the last-applied annotation, modified = target, current = live. Without
//! the annotation the target stands for the original too, so that fields which Git does not name are no drift.

use serde_json::{Map, Value};

use crate::changes::{FieldChange, changes};
use crate::ignore::IgnoreRules;
use crate::managed::{LAST_APPLIED, without_managed_fields};
use crate::merge_patch::{create_three_way_json_merge_patch, merge_patch};
use crate::normalise::{self, fill_defaults, same_meaning};
use crate::schema::{Schema, TypeRef};
use crate::strategic::{StrategicError, create_three_way_merge_patch, strategic_merge_patch};

/// The outcome of a comparison: both sides in normal form.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Live after the apply.
    pub predicted: Value,
    pub live: Value,
    pub changes: Vec<FieldChange>,
}

impl Compared {
    /// Whether an apply would change anything that counts.
    pub fn differs(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// Compares target and live. `ty` is the kind's type; kinds that are not built in are compared by JSON merge.
pub fn three_way(
    ty: Option<&TypeRef>,
    target: &Value,
    live: &Value,
    options: normalise::Options,
    rules: &IgnoreRules,
) -> Compared {
    let builtin = ty.filter(|ty| std::ptr::eq(ty.schema(), Schema::builtins().as_ref()));
    let last = live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .and_then(|t| serde_json::from_str(t).ok());
    let last: Option<Value> = last.filter(Value::is_object);
    let (mut target, mut live) = (without_managed_fields(target), without_managed_fields(live));
    normalise::normalise(&mut target, options);
    normalise::normalise(&mut live, options);
    rules.apply(ty, &mut target, &mut live);
    let mut original = last.unwrap_or_else(|| target.clone());
    normalise::normalise(&mut original, options);
    rules.apply(ty, &mut original, &mut live.clone());
    drop_namespace(&mut original);
    drop_namespace(&mut target);
    if live["kind"] == "StatefulSet" {
        trim_claim_templates(&original, &mut live);
    }
    let mut predicted = predict(builtin, &original, &target, &live);
    drop_last_applied(&mut predicted);
    drop_last_applied(&mut live);
    let deduced = Schema::deduced();
    if let Some(ty) = builtin {
        fill_defaults(ty, &mut predicted);
        fill_defaults(ty, &mut live);
    }
    let shown = ty.unwrap_or(&deduced);
    let same = same_meaning(shown, &predicted, &live);
    let changes = if same {
        Vec::new()
    } else {
        meaningful(shown, &live, &predicted)
    };
    Compared {
        predicted,
        live,
        changes,
    }
}

/// Live with the three-way patch on it. Lists that cannot be merged fall back to JSON merge.
fn predict(builtin: Option<&TypeRef>, original: &Value, target: &Value, live: &Value) -> Value {
    let strategic = |ty: &TypeRef| -> Result<Value, StrategicError> {
        let patch = create_three_way_merge_patch(ty, original, target, live)?;
        strategic_merge_patch(ty, live, &patch)
    };
    if let Some(Ok(predicted)) = builtin.map(strategic) {
        return predicted;
    }
    let known = keep_fields_of(original, live);
    let patch = create_three_way_json_merge_patch(original, target, &known);
    merge_patch(live, &patch)
}

fn meaningful(ty: &TypeRef, live: &Value, predicted: &Value) -> Vec<FieldChange> {
    let mut found = changes(ty, Some(live), Some(predicted));
    found.retain(|change| {
        let nothing = |side: &Option<Value>| side.as_ref().is_none_or(normalise::is_nothing);
        let quantity = |a: &Value, b: &Value| {
            change.path.contains("esources") && normalise::same_quantity(a, b)
        };
        let same = matches!((&change.before, &change.after), (Some(a), Some(b)) if quantity(a, b));
        let both_nothing = nothing(&change.before) && nothing(&change.after);
        !same && !both_nothing
    });
    found
}

fn drop_namespace(object: &mut Value) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("namespace");
    }
}

fn drop_last_applied(object: &mut Value) {
    if let Some(map) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        map.remove(LAST_APPLIED);
        if map.is_empty()
            && let Some(meta) = object["metadata"].as_object_mut()
        {
            meta.remove("annotations");
        }
    }
}

/// The server fills volume claim templates; what Git does not name there is no drift.
fn trim_claim_templates(original: &Value, live: &mut Value) {
    let path = "/spec/volumeClaimTemplates";
    if let (Some(wanted), Some(held)) = (original.pointer(path), live.pointer_mut(path)) {
        *held = keep_fields_of(wanted, held);
    }
}

/// `value` without the map members that `shape` does not have. Items of lists pair by position; extra ones stay.
fn keep_fields_of(shape: &Value, value: &Value) -> Value {
    match (shape, value) {
        (Value::Object(shape), Value::Object(map)) => {
            let kept: Map<String, Value> = shape
                .iter()
                .filter_map(|(key, s)| map.get(key).map(|v| (key.clone(), keep_fields_of(s, v))))
                .collect();
            Value::Object(kept)
        }
        (Value::Array(shape), Value::Array(items)) => {
            let kept = items
                .iter()
                .enumerate()
                .map(|(at, item)| match shape.get(at) {
                    Some(s) => keep_fields_of(s, item),
                    None => item.clone(),
                });
            Value::Array(kept.collect())
        }
        _ => value.clone(),
    }
}
