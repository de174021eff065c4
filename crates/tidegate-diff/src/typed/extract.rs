//! Takes fields out of a value, or keeps only them.

use serde_json::{Map, Value};

use super::{Atom, deduce, field_type, item_element, to_field_set};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::{ListRelation, ListType, MapRelation, MapType, Schema, TypeId, TypeRef};

/// The value without the list items and map members in `items`. A container that loses its last member becomes null.
pub fn remove_items(ty: &TypeRef, value: &Value, items: &FieldSet) -> Value {
    Walker {
        schema: ty.schema(),
        mode: Mode::Remove,
    }
    .value(ty.id(), value, items)
}

/// Only the list items and map members in `items`. With `KeyFields::Keep`, items of map lists keep their key fields.
pub fn extract_items(ty: &TypeRef, value: &Value, items: &FieldSet, keys: KeyFields) -> Value {
    let walker = Walker {
        schema: ty.schema(),
        mode: Mode::Extract,
    };
    if keys == KeyFields::AsOwned {
        return walker.value(ty.id(), value, items);
    }
    let present = to_field_set(ty, value).unwrap_or_default();
    let mut wanted = items.clone();
    for path in items.paths() {
        if !present.has(&path.0) {
            continue;
        }
        for (at, element) in path.0.iter().enumerate() {
            let PathElement::Key(fields) = element else {
                continue;
            };
            for (name, _) in fields.iter() {
                let mut key_path = path.0[..=at].to_vec();
                key_path.push(PathElement::Field(name.clone()));
                wanted.insert(&key_path);
            }
        }
    }
    walker.value(ty.id(), value, &wanted)
}

/// Whether extraction keeps the key fields of list items that are not owned themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFields {
    AsOwned,
    Keep,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Remove,
    Extract,
}

struct Walker<'s> {
    schema: &'s Schema,
    mode: Mode,
}

impl Walker<'_> {
    fn value(&self, ty: TypeId, value: &Value, items: &FieldSet) -> Value {
        match deduce(self.schema.node(ty), Some(value)) {
            Atom::Scalar(_) => value.clone(),
            Atom::List(list) => match value.as_array() {
                None => Value::Null,
                Some(values) if values.is_empty() || list.relation == ListRelation::Atomic => {
                    self.whole(value)
                }
                Some(values) => self.list(list, values, items),
            },
            Atom::Map(map) => match value.as_object() {
                None => Value::Null,
                Some(object) if object.is_empty() || map.relation == MapRelation::Atomic => {
                    self.whole(value)
                }
                Some(object) => self.map(map, object, items),
            },
            Atom::None => Value::Null,
        }
    }

    /// Empty and atomic containers: all or nothing.
    fn whole(&self, value: &Value) -> Value {
        match self.mode {
            Mode::Extract => value.clone(),
            Mode::Remove => Value::Null,
        }
    }

    fn list(&self, list: &ListType, values: &[Value], items: &FieldSet) -> Value {
        let mut out = Vec::new();
        for item in values {
            let element = item_element(self.schema, list, item).ok();
            let exact = element.as_ref().is_some_and(|e| items.has_element(e));
            let below = element.as_ref().and_then(|e| items.below(e));
            match (self.mode, exact, below) {
                (Mode::Remove, true, _) | (Mode::Extract, false, None) => {}
                (_, _, Some(below)) => out.push(self.value(list.element, item, below)),
                (_, _, None) => out.push(item.clone()),
            }
        }
        if out.is_empty() {
            Value::Null
        } else {
            Value::Array(out)
        }
    }

    fn map(&self, map: &MapType, object: &Map<String, Value>, items: &FieldSet) -> Value {
        let mut out = Map::new();
        for (key, member) in object {
            let element = PathElement::field(key);
            let ty = field_type(map, key);
            let below = items.below(&element);
            if items.has_element(&element) {
                if self.mode == Mode::Extract {
                    let nothing = FieldSet::new();
                    let kept = ty.map_or(Value::Null, |ty| {
                        self.value(ty, member, below.unwrap_or(&nothing))
                    });
                    out.insert(key.clone(), kept);
                }
                continue;
            }
            match (below, self.mode) {
                (Some(below), _) => {
                    let rest = ty.map_or(Value::Null, |ty| self.value(ty, member, below));
                    out.insert(key.clone(), rest);
                }
                (None, Mode::Remove) => {
                    out.insert(key.clone(), member.clone());
                }
                (None, Mode::Extract) => {}
            }
        }
        if out.is_empty() {
            Value::Null
        } else {
            Value::Object(out)
        }
    }
}
