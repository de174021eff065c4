//! How a typed API server holds a built-in object: nested structs are always there, required fields at their zero.
//! It matters for updates only: without it a struct that appears would be owned itself, which never happens there.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::schema::{FieldType, Schema, TypeId, TypeRef};

/// The zero object of a built-in kind: what a server compares a new object with.
pub fn zero_object(ty: &TypeRef, api_version: &str, kind: &str) -> Value {
    fill(ty, json!({"apiVersion": api_version, "kind": kind}))
}

/// Adds the structs and required fields that a typed server always has. Custom resources stay as they are.
pub(super) fn fill(ty: &TypeRef, mut value: Value) -> Value {
    if std::ptr::eq(ty.schema(), Schema::builtins().as_ref()) {
        fill_node(ty.schema(), ty.id(), &mut value);
    }
    value
}

fn fill_node(schema: &Schema, ty: TypeId, value: &mut Value) {
    let node = schema.node(ty);
    match value {
        Value::Object(object) => {
            let Some(map) = &node.map else { return };
            for field in &map.fields {
                if let Some(zero) =
                    zero(field).filter(|_| !object.contains_key(field.name.as_ref()))
                {
                    object.insert(Cow::into_owned(field.name.clone()), zero);
                }
            }
            for (key, member) in object.iter_mut() {
                if let Some(ty) = map.member(key) {
                    fill_node(schema, ty, member);
                }
            }
        }
        Value::Array(items) => {
            let Some(list) = &node.list else { return };
            for item in items {
                fill_node(schema, list.element, item);
            }
        }
        _ => {}
    }
}

/// The zero value of a field that is always there: it has a zero default, or is required without one.
fn zero(field: &FieldType) -> Option<Value> {
    match &field.default {
        Some(Value::Object(map)) if map.is_empty() => Some(Value::Object(Map::new())),
        Some(Value::String(text)) if text.is_empty() => Some(json!("")),
        Some(Value::Bool(false)) => Some(json!(false)),
        Some(Value::Number(n)) if n.as_f64() == Some(0.0) => Some(json!(0)),
        Some(_) => None,
        None => field.required.then_some(Value::Null),
    }
}
