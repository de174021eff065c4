//! Fields that the schema does not declare: found for strict validation, dropped as a typed server drops them.

use serde_json::Value;

use crate::fieldset::{FieldPath, PathElement};
use crate::schema::{Schema, TypeId, TypeRef};

/// The paths of all undeclared fields, with list positions as indexes: `.spec.containers[0].imag`.
pub fn unknown_fields(ty: &TypeRef, value: &Value) -> Vec<FieldPath> {
    let mut found = Vec::new();
    find(ty.schema(), ty.id(), value, &mut Vec::new(), &mut found);
    found
}

fn find(
    schema: &Schema,
    ty: TypeId,
    value: &Value,
    path: &mut Vec<PathElement>,
    found: &mut Vec<FieldPath>,
) {
    let node = schema.node(ty);
    match value {
        Value::Object(object) => {
            let Some(map) = &node.map else { return };
            for (key, member) in object {
                path.push(PathElement::field(key));
                match map.member(key) {
                    Some(ty) => find(schema, ty, member, path, found),
                    None => found.push(FieldPath(path.clone())),
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            let Some(list) = &node.list else { return };
            for (index, item) in (0i64..).zip(items) {
                path.push(PathElement::Index(index));
                find(schema, list.element, item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Removes all undeclared fields.
pub fn drop_unknown(ty: &TypeRef, value: &mut Value) {
    drop_in(ty.schema(), ty.id(), value);
}

fn drop_in(schema: &Schema, ty: TypeId, value: &mut Value) {
    let node = schema.node(ty);
    match value {
        Value::Object(object) => {
            let Some(map) = &node.map else { return };
            object.retain(|key, member| {
                let known = map.member(key);
                if let Some(ty) = known {
                    drop_in(schema, ty, member);
                }
                known.is_some()
            });
        }
        Value::Array(items) => {
            let Some(list) = &node.list else { return };
            for item in items {
                drop_in(schema, list.element, item);
            }
        }
        _ => {}
    }
}
