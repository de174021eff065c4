//! Operations on one value of one type: validate, field set, merge, compare, remove and extract. No managers here.
//!
//! Semantics are those of structured-merge-diff's `typed` package; its error texts are kept, because API servers show
//! them to users.

mod compare;
mod extract;
mod field_set;
mod lookup;
mod merge;
mod reconcile;
mod unknown;
mod validate;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use compare::{Comparison, compare};
pub use extract::{KeyFields, extract_items, remove_items};
pub use field_set::to_field_set;
pub use lookup::lookup;
pub use merge::merge;
pub use reconcile::reconcile;
pub use unknown::{drop_unknown, unknown_fields};
pub use validate::{Duplicates, validate};

use crate::fieldset::PathElement;
use crate::schema::{ListRelation, ListType, MapType, Scalar, Schema, TypeId, TypeNode};

/// One violation of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationError {
    /// As Kubernetes prints paths; empty at the root.
    pub path: String,
    pub message: String,
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// All violations found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationErrors(pub Vec<ValidationError>);

impl std::error::Error for ValidationErrors {}

impl fmt::Display for ValidationErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return one.fmt(f);
        }
        f.write_str("errors:")?;
        self.0.iter().try_for_each(|e| write!(f, "\n  {e}"))
    }
}

impl ValidationErrors {
    pub(crate) fn one(message: impl Into<String>) -> Self {
        Self(vec![ValidationError {
            path: String::new(),
            message: message.into(),
        }])
    }

    fn prefixed(mut self, element: &PathElement) -> Self {
        let prefix = element.to_string();
        for error in &mut self.0 {
            error.path.insert_str(0, &prefix);
        }
        self
    }

    fn absorb(&mut self, result: Result<(), Self>) {
        if let Err(more) = result {
            self.0.extend(more.0);
        }
    }

    fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Which part of a type a value takes.
#[derive(Debug, Clone, Copy)]
enum Atom<'s> {
    Scalar(Scalar),
    List(&'s ListType),
    Map(&'s MapType),
    /// A type of nothing: only a broken schema has one.
    None,
}

/// The part of `node` that fits the value; of several when none fits (or the value is null), map before scalar before list.
fn deduce<'s>(node: &'s TypeNode, value: Option<&Value>) -> Atom<'s> {
    let fitting = match value {
        Some(Value::Number(_) | Value::String(_) | Value::Bool(_)) => node.scalar.map(Atom::Scalar),
        Some(Value::Array(_)) => node.list.as_ref().map(Atom::List),
        Some(Value::Object(_)) => node.map.as_ref().map(Atom::Map),
        Some(Value::Null) | None => None,
    };
    fitting
        .or_else(|| node.map.as_ref().map(Atom::Map))
        .or_else(|| node.scalar.map(Atom::Scalar))
        .or_else(|| node.list.as_ref().map(Atom::List))
        .unwrap_or(Atom::None)
}

/// One side of a merge or comparison: absent is not the same as null.
type Side<'v> = Option<&'v Value>;

/// What [`deduce`] chose for one side.
#[derive(Debug, Clone, Copy)]
struct Choice<'s> {
    atom: Atom<'s>,
    /// Whether the value narrowed a type of several parts: a null does not, so it differs from a value that does.
    narrowed: bool,
}

impl Choice<'_> {
    /// Whether two choices out of one type are the same.
    fn same(self, other: Choice<'_>) -> bool {
        std::mem::discriminant(&self.atom) == std::mem::discriminant(&other.atom)
            && self.narrowed == other.narrowed
    }
}

fn choose<'s>(node: &'s TypeNode, value: Side<'_>) -> Choice<'s> {
    let atom = deduce(node, value);
    let parts = u8::from(node.scalar.is_some())
        + u8::from(node.list.is_some())
        + u8::from(node.map.is_some());
    let fits = matches!(
        (value, atom),
        (
            Some(Value::Number(_) | Value::String(_) | Value::Bool(_)),
            Atom::Scalar(_)
        ) | (Some(Value::Array(_)), Atom::List(_))
            | (Some(Value::Object(_)), Atom::Map(_))
    );
    Choice {
        atom,
        narrowed: fits && parts > 1,
    }
}

fn invalid_atom() -> ValidationErrors {
    ValidationErrors::one("schema error: invalid atom: inlined")
}

fn as_list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn as_map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The type of the member `key`; unknown members of a closed struct take no type.
fn field_type(map: &MapType, key: &str) -> Option<TypeId> {
    map.member(key)
}

/// The path element of one item of an associative list.
pub(crate) fn item_element(
    schema: &Schema,
    list: &ListType,
    item: &Value,
) -> Result<PathElement, String> {
    match list.relation {
        ListRelation::Atomic => Err("invalid indexing of non-associative list".into()),
        ListRelation::Map => keyed_element(schema, list, item),
        ListRelation::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".into())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".into())
            }
            scalar => Ok(PathElement::Value(Arc::new(scalar.clone()))),
        },
    }
}

fn keyed_element(schema: &Schema, list: &ListType, item: &Value) -> Result<PathElement, String> {
    let object = match item {
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        Value::Object(object) => object,
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let mut key = Vec::with_capacity(list.keys.len());
    for name in &list.keys {
        if let Some(value) = object.get(name.as_ref()) {
            key.push((Arc::from(name.as_ref()), value.clone()));
            continue;
        }
        let Some(map) = &schema.node(list.element).map else {
            return Err(format!(
                "couldn't find default value for {name}: associative list may not have non-map types"
            ));
        };
        if let Some(default) = map.field(name).and_then(|f| f.default.clone()) {
            key.push((Arc::from(name.as_ref()), default));
        }
    }
    if key.is_empty() {
        let names: Vec<String> = list.keys.iter().map(|k| crate::value::quote(k)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            names.join(" ")
        ));
    }
    Ok(PathElement::key(key))
}
