//! Models of resources by the facts of their type: identifiers, checks, what is read back.
//!
//! Must not know: requests, services.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::types::TypeFacts;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;

fn pointer(path: &str) -> String {
    format!("/{path}")
}

/// What is wrong with a new model: required properties that are missing, read-only ones that are given.
pub(super) fn check(facts: &TypeFacts, model: &Value) -> Option<String> {
    let missing: Vec<String> = facts
        .required
        .iter()
        .filter(|name| !facts.read_only.contains(name) && model.get(**name).is_none())
        .map(|name| format!("#: required key [{name}] not found"))
        .collect();
    if !missing.is_empty() {
        return Some(missing.join(", "));
    }
    let given: Vec<String> = facts
        .read_only
        .iter()
        .filter(|name| model.get(**name).is_some())
        .map(|name| format!("#: readOnly property [{name}] is not allowed"))
        .collect();
    (!given.is_empty()).then(|| given.join(", "))
}

/// Fills in what the service would: names, ids, ARNs. Gives the identifier.
pub(super) fn complete(facts: &TypeFacts, model: &mut Value, scope: &Scope, seed: &str) -> String {
    let parts: Vec<&str> = facts.name.split("::").collect();
    let service = parts.get(1).copied().unwrap_or("").to_ascii_lowercase();
    let kind = parts.get(2).copied().unwrap_or("Resource").to_owned();
    let random = scope.stable_id(seed, 12);
    let mut values = Vec::new();
    if let Some(map) = model.as_object_mut() {
        let name = facts
            .identifier
            .iter()
            .chain(
                facts
                    .create_only
                    .iter()
                    .filter(|path| path.ends_with("Name")),
            )
            .find_map(|path| map.get(*path).and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_else(|| random.clone());
        let make = |path: &str| -> Value {
            let lower = path.to_ascii_lowercase();
            if path == "TopicArn" {
                json!(scope.arn("sns", &name))
            } else if lower.ends_with("arn") {
                json!(scope.arn(&service, &format!("{}/{name}", kind.to_ascii_lowercase())))
            } else if lower.ends_with("id") {
                json!(format!("{}-{}", kind.to_ascii_lowercase(), random))
            } else if lower.ends_with("url") {
                json!(format!("{}/{}/{name}", scope.endpoint, scope.account))
            } else {
                json!(format!("{kind}-{random}"))
            }
        };
        for path in facts.identifier.iter().chain(&facts.read_only) {
            let wanted = facts.identifier.contains(path) || {
                let lower = path.to_ascii_lowercase();
                lower.ends_with("arn") || lower.ends_with("id")
            };
            if wanted && !path.contains('/') && !map.contains_key(*path) {
                map.insert((*path).to_owned(), make(path));
            }
        }
    }
    for path in &facts.identifier {
        let text = match model.pointer(&pointer(path)) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => {
                let made = format!("{}-{random}", kind.to_ascii_lowercase());
                set(model, path, json!(made));
                made
            }
        };
        values.push(text);
    }
    values.join("|")
}

/// Sets a value at a path, making the objects on the way.
fn set(model: &mut Value, path: &str, value: Value) {
    let mut at = model;
    let steps: Vec<&str> = path.split('/').collect();
    for step in &steps[..steps.len() - 1] {
        let Some(map) = at.as_object_mut() else {
            return;
        };
        at = map.entry((*step).to_owned()).or_insert_with(|| json!({}));
    }
    if let (Some(map), Some(last)) = (at.as_object_mut(), steps.last()) {
        map.insert((*last).to_owned(), value);
    }
}

/// An identifier in its plain form: a JSON identifier becomes its parts joined.
pub(super) fn normal(facts: &TypeFacts, given: &str) -> String {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(given) else {
        return given.to_owned();
    };
    let parts: Vec<&str> = facts
        .identifier
        .iter()
        .filter_map(|path| {
            map.get(path.rsplit('/').next().unwrap_or(path))
                .and_then(Value::as_str)
        })
        .collect();
    parts.join("|")
}

/// Refuses a change of properties that cannot change.
///
/// # Errors
/// `NotUpdatableException` for create-only ones, `ValidationException` for read-only ones.
pub(super) fn check_change(facts: &TypeFacts, old: &Value, new: &Value) -> Result<(), Refusal> {
    let changed = |paths: &[&str]| -> Vec<String> {
        paths
            .iter()
            .filter(|path| old.pointer(&pointer(path)) != new.pointer(&pointer(path)))
            .map(|path| format!("/properties/{path}"))
            .collect()
    };
    let read_only = changed(&facts.read_only);
    if !read_only.is_empty() {
        return Err(refuse(
            "ValidationException",
            format!(
                "Invalid patch update: readOnlyProperties [{}] cannot be updated",
                read_only.join(", ")
            ),
        ));
    }
    let create_only = changed(&facts.create_only);
    if !create_only.is_empty() {
        return Err(refuse(
            "NotUpdatableException",
            format!(
                "Invalid patch update: createOnlyProperties [{}] cannot be updated",
                create_only.join(", ")
            ),
        ));
    }
    match check(facts, &without(new, &facts.read_only)) {
        Some(words) => Err(refuse(
            "ValidationException",
            format!("Model validation failed ({words})"),
        )),
        None => Ok(()),
    }
}

fn without(model: &Value, names: &[&str]) -> Value {
    let map: Map<String, Value> = model
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(map)
}

/// A model as it is read back: without write-only properties.
pub(super) fn readable(facts: &TypeFacts, model: &Value) -> Value {
    let mut shown = model.clone();
    for path in &facts.write_only {
        let (above, last) = path
            .rsplit_once('/')
            .map_or(("", *path), |(above, last)| (above, last));
        let place = if above.is_empty() {
            Some(&mut shown)
        } else {
            shown.pointer_mut(&pointer(above))
        };
        if let Some(Value::Object(map)) = place {
            map.remove(last);
        }
    }
    shown
}

/// The ARN of a generic resource: one of its properties, or its identifier.
pub(super) fn arn_of(model: &Value, identifier: &str) -> Option<String> {
    if identifier.starts_with("arn:") {
        return Some(identifier.to_owned());
    }
    model
        .as_object()?
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().ends_with("arn"))
        .find_map(|(_, value)| {
            value
                .as_str()
                .filter(|text| text.starts_with("arn:"))
                .map(str::to_owned)
        })
}

/// The tags of a generic resource, whether a list or a map.
pub(super) fn tags_of(model: &Value) -> BTreeMap<String, String> {
    match &model["Tags"] {
        Value::Array(list) => list
            .iter()
            .filter_map(|tag| {
                Some((
                    tag["Key"].as_str()?.to_owned(),
                    tag["Value"].as_str()?.to_owned(),
                ))
            })
            .collect(),
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        _ => BTreeMap::new(),
    }
}
