//! Checks a value against its type, in the API server's words.

use serde_json::Value;

use super::{Atom, ValidationErrors, deduce, invalid_atom, item_element};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::{ListRelation, ListType, MapType, Scalar, Schema, TypeId, TypeRef};
use crate::value::{display, is_shallow, number, quote};

/// Whether two items of an associative list may have the same key. Live objects may; applied ones may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    Allow,
    Refuse,
}

/// Checks `value` against `ty`.
///
/// # Errors
/// Every violation: undeclared fields, wrong kinds of value, bad keys, duplicates.
pub fn validate(
    ty: &TypeRef,
    value: &Value,
    duplicates: Duplicates,
) -> Result<(), ValidationErrors> {
    if !is_shallow(value) {
        return Err(ValidationErrors::one("the value is nested too deeply"));
    }
    Validator {
        schema: ty.schema(),
        duplicates,
    }
    .value(ty.id(), value)
}

struct Validator<'s> {
    schema: &'s Schema,
    duplicates: Duplicates,
}

impl Validator<'_> {
    fn value(&self, ty: TypeId, value: &Value) -> Result<(), ValidationErrors> {
        match deduce(self.schema.node(ty), Some(value)) {
            Atom::Scalar(scalar) => check_scalar(scalar, Some(value), ""),
            Atom::List(list) => self.list(list, value),
            Atom::Map(map) => self.map(map, value),
            Atom::None => Err(invalid_atom()),
        }
    }

    fn list(&self, list: &ListType, value: &Value) -> Result<(), ValidationErrors> {
        let items = match value {
            Value::Null => return Ok(()),
            Value::Array(items) => items,
            other => {
                return Err(ValidationErrors::one(format!(
                    "expected list, got {}",
                    go_wrapped(other)
                )));
            }
        };
        let mut errors = ValidationErrors::default();
        let mut seen = FieldSet::new();
        for (index, item) in (0i64..).zip(items) {
            let element = if list.relation == ListRelation::Atomic {
                PathElement::Index(index)
            } else {
                match item_element(self.schema, list, item) {
                    Ok(element) => element,
                    Err(reason) => {
                        errors.absorb(Err(ValidationErrors::one(format!(
                            "element {index}: {reason}"
                        ))));
                        return errors.into_result();
                    }
                }
            };
            if list.relation != ListRelation::Atomic {
                if self.duplicates == Duplicates::Refuse && seen.has_element(&element) {
                    errors.absorb(Err(ValidationErrors::one(format!(
                        "duplicate entries for key {element}"
                    ))));
                }
                seen.insert(std::slice::from_ref(&element));
            }
            errors.absorb(
                self.value(list.element, item)
                    .map_err(|e| e.prefixed(&element)),
            );
        }
        errors.into_result()
    }

    fn map(&self, map: &MapType, value: &Value) -> Result<(), ValidationErrors> {
        let object = match value {
            Value::Null => return Ok(()),
            Value::Object(object) => object,
            other => {
                return Err(ValidationErrors::one(format!(
                    "expected map, got {}",
                    go_wrapped(other)
                )));
            }
        };
        let mut errors = ValidationErrors::default();
        for (key, member) in object {
            let Some(ty) = map.member(key) else {
                let error = ValidationErrors::one("field not declared in schema");
                errors.absorb(Err(error.prefixed(&PathElement::field(key))));
                // The API server stops at the first undeclared field of a struct.
                break;
            };
            errors.absorb(
                self.value(ty, member)
                    .map_err(|e| e.prefixed(&PathElement::field(key))),
            );
        }
        errors.into_result()
    }
}

pub(super) fn check_scalar(
    scalar: Scalar,
    value: Option<&Value>,
    prefix: &str,
) -> Result<(), ValidationErrors> {
    let Some(value) = value.filter(|v| !v.is_null()) else {
        return Ok(());
    };
    let expected = match scalar {
        Scalar::Numeric if !value.is_number() => {
            return fail(
                prefix,
                &format!("expected numeric (int or float), got {}", go_type(value)),
            );
        }
        Scalar::String if !value.is_string() => {
            return fail(
                prefix,
                &format!("expected string, got {}", go_syntax(value)),
            );
        }
        Scalar::Boolean if !value.is_boolean() => "boolean",
        Scalar::Untyped if value.is_array() || value.is_object() => "any scalar",
        _ => return Ok(()),
    };
    fail(
        prefix,
        &format!("expected {expected}, got {}", go_wrapped(value)),
    )
}

fn fail(prefix: &str, message: &str) -> Result<(), ValidationErrors> {
    Err(ValidationErrors::one(format!("{prefix}{message}")))
}

/// Go's `%T` of the decoded value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Go's `%v` of the wrapper that holds a decoded value.
fn go_wrapped(value: &Value) -> String {
    format!("&{{{}}}", go_plain(value))
}

fn go_plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(s) => s.clone(),
        Value::Number(n) => number(n),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(go_plain).collect::<Vec<_>>().join(" ")
        ),
        Value::Object(map) => {
            let mut pairs: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", go_plain(v)))
                .collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Bool(_) => display(value),
    }
}

/// Go's `%#v` of the wrapper.
fn go_syntax(value: &Value) -> String {
    fn inner(value: &Value) -> String {
        match value {
            Value::Null => "interface {}(nil)".into(),
            Value::String(s) => quote(s),
            Value::Array(items) => {
                format!(
                    "[]interface {{}}{{{}}}",
                    items.iter().map(inner).collect::<Vec<_>>().join(", ")
                )
            }
            Value::Object(map) => {
                let mut pairs: Vec<String> = map
                    .iter()
                    .map(|(k, v)| format!("{}:{}", quote(k), inner(v)))
                    .collect();
                pairs.sort();
                format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
            }
            other => display(other),
        }
    }
    format!("&value.valueUnstructured{{Value:{}}}", inner(value))
}
