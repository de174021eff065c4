//! JSON merge patches (RFC 7396): applying, making, and the three-way of client-side apply for custom resources.

use serde_json::{Map, Value};

use crate::value::equal;

/// Applies a merge patch: objects merge, null deletes, everything else replaces.
pub fn merge_patch(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut out = match target {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    for (key, change) in changes {
        if change.is_null() {
            out.remove(key);
        } else {
            let before = out.get(key).unwrap_or(&Value::Null);
            let after = merge_patch(before, change);
            out.insert(key.clone(), after);
        }
    }
    Value::Object(out)
}

/// The merge patch that turns one object into another. A null inside `after` deletes.
pub fn create_merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return after.clone();
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(known) if equal(known, value) => {}
            Some(known @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), create_merge_patch(known, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// The patch of client-side apply without a schema: what `modified` adds or changes against `current`, and what it no
/// longer has of `original`.
pub fn create_three_way_json_merge_patch(
    original: &Value,
    modified: &Value,
    current: &Value,
) -> Value {
    let changes = keep(&create_merge_patch(current, modified), Keep::Values);
    let deletions = keep(&create_merge_patch(original, modified), Keep::Nulls);
    combine(deletions, changes)
}

#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Values,
    Nulls,
}

fn keep(patch: &Value, what: Keep) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in patch.as_object().into_iter().flatten() {
        match value {
            Value::Null if what == Keep::Nulls => {
                out.insert(key.clone(), Value::Null);
            }
            Value::Null => {}
            Value::Object(map) if !map.is_empty() => {
                let below = keep(value, what);
                if !below.is_empty() {
                    out.insert(key.clone(), Value::Object(below));
                }
            }
            other if what == Keep::Values => {
                out.insert(key.clone(), other.clone());
            }
            _ => {}
        }
    }
    out
}

/// Lays one patch over another; nulls stay.
fn combine(mut base: Map<String, Value>, over: Map<String, Value>) -> Value {
    for (key, value) in over {
        let merged = match (base.remove(&key), value) {
            (Some(Value::Object(a)), Value::Object(b)) => combine(a, b),
            (_, value) => value,
        };
        base.insert(key, merged);
    }
    Value::Object(base)
}
