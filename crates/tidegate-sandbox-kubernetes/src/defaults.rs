//! Defaults of the built-in kinds, as the real server fills them in (spec kubernetes.md B6): the order of things and the
//! walk. The rules per type are in `defaults/`; what is set once at creation, unowned, is in `defaults/first.rs`.
//!
//! Source of the rules: the defaulting of the API groups and the registries' strategies, Kubernetes 1.36.

mod first;
mod network;
mod others;
mod pod;
mod priority;
mod workloads;

use serde_json::{Map, Value};

use crate::core::Core;
use crate::gotypes::{GoType, StructId, Table, json};
use crate::object;
use crate::resource::Resource;
use crate::status::Status;

/// How deep the walk goes; no type nests deeper but schemas, which have no defaults.
const MAX_DEPTH: usize = 40;

/// Fills in what the author of a built-in object left out. Custom resources take theirs from their schema.
pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    let Some(id) = struct_of(resource, object) else {
        return;
    };
    if resource.is("", "secrets") {
        others::fold_string_data(object);
    }
    // Whatever cannot be decoded was refused before.
    if json::decode(id, object).is_err() {
        return;
    }
    if let Value::Object(map) = object {
        walk(Table::get(), id, map, 0);
    }
    json::fill(id, object);
}

/// What the server's strategies set at creation, after field ownership: the first status and the like.
pub(crate) fn prepare(resource: &Resource, object: &mut Value) {
    first::prepare(resource, object);
    if let Some(id) = struct_of(resource, object) {
        json::fill(id, object);
    }
}

/// What admission does to a new object before anything else, with a look at the cluster.
pub(crate) fn admit(core: &Core, resource: &Resource, object: &mut Value) -> Result<(), Status> {
    priority::admit(core, resource, object)
}

/// What the server's strategies and admission do to a changed object.
pub(crate) fn change(resource: &Resource, live: &Value, next: &mut Value) {
    first::change(resource, live, next);
}

/// What an object is before anything is set: what encoding shows of it is nobody's.
pub(crate) fn blank(resource: &Resource, object: &Value) -> Option<Value> {
    let id = struct_of(resource, object)?;
    let mut blank = serde_json::json!({
        "apiVersion": object.get("apiVersion"), "kind": object.get("kind"),
    });
    json::fill(id, &mut blank);
    Some(blank)
}

/// The Go type of a built-in object, by its apiVersion and kind.
fn struct_of(resource: &Resource, object: &Value) -> Option<StructId> {
    let api_version = object::text(object, &["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Table::get().kind(group, version, &resource.kind)
}

/// Applies the rules of every type on the way down.
fn walk(table: &Table, id: StructId, map: &mut Map<String, Value>, depth: usize) {
    if depth >= MAX_DEPTH {
        return;
    }
    let name = table.at(id).name;
    pod::rules(name, map);
    workloads::rules(name, map);
    network::rules(name, map);
    others::rules(name, map);
    members(table, id, map, depth);
    if name == "core.v1.Pod" {
        pod::whole(map);
    }
}

fn members(table: &Table, id: StructId, map: &mut Map<String, Value>, depth: usize) {
    for field in &table.at(id).fields {
        match (&field.ty, field.inline) {
            (GoType::Struct(inner), true) => members(table, *inner, map, depth),
            (ty, _) => {
                if let Some(value) = map.get_mut(field.name) {
                    below(table, ty, value, depth + 1);
                }
            }
        }
    }
    // A struct by value is defaulted even when nobody wrote it.
    for field in table
        .at(id)
        .fields
        .iter()
        .filter(|field| !field.pointer && !field.inline)
    {
        let GoType::Struct(inner) = field.ty else {
            continue;
        };
        if !map.contains_key(field.name) && !["metadata", "status"].contains(&field.name) {
            let mut made = Map::new();
            walk(table, inner, &mut made, depth + 1);
            if !made.is_empty() {
                map.insert(field.name.to_owned(), Value::Object(made));
            }
        }
    }
}

fn below(table: &Table, ty: &GoType, value: &mut Value, depth: usize) {
    match (ty, value) {
        (GoType::Struct(id), Value::Object(map)) => walk(table, *id, map, depth),
        (GoType::List(element), Value::Array(items)) => {
            items
                .iter_mut()
                .for_each(|item| below(table, element, item, depth));
        }
        (GoType::Map(element), Value::Object(map)) if **element == GoType::Quantity => {
            map.values_mut().for_each(others::round_up_to_milli);
        }
        (GoType::Map(element), Value::Object(map)) => {
            map.values_mut()
                .for_each(|value| below(table, element, value, depth));
        }
        _ => {}
    }
}

/// Sets a member unless it is set; an empty text is not.
fn put(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() || slot.as_str() == Some("") {
        *slot = value.into();
    }
}

/// The map under `key`, made when absent.
fn sub<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    object::child(map, key)
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or("")
}

/// Whether a member is absent, null, or an empty list or map.
fn is_empty(map: &Map<String, Value>, key: &str) -> bool {
    match map.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
