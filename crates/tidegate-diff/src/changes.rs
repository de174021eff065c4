//! What people read: the differences between two objects as paths with values, and as text.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use text::{Colour, render, unified};

use crate::fieldset::{FieldPath, PathElement};
use crate::schema::{ListRelation, ListType, TypeRef};
use crate::typed::item_element;
use crate::value::equal;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// As Kubernetes prints paths: `.spec.template.spec.containers[name="a"].image`.
    pub path: String,
    /// Absent when the field is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Absent when the field goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The fields that differ between two objects, in the order of their paths. Items of keyed lists are told apart by key.
/// A side that is `None` does not exist: the other is then one change per top-level field.
pub fn changes(ty: &TypeRef, before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let mut walker = Walker {
        path: FieldPath::default(),
        out: Vec::new(),
    };
    let nothing = Value::Object(Map::new());
    walker.value(
        Some(ty),
        Some(before.unwrap_or(&nothing)),
        Some(after.unwrap_or(&nothing)),
    );
    walker.out
}

/// The object without what only its server writes: managed fields, version, uid, generation, timestamps and, unless
/// kept, status.
pub fn without_server_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in [
            "managedFields",
            "resourceVersion",
            "uid",
            "generation",
            "creationTimestamp",
            "selfLink",
        ] {
            meta.remove(key);
        }
    }
    object
}

struct Walker {
    path: FieldPath,
    out: Vec<FieldChange>,
}

impl Walker {
    fn value(&mut self, ty: Option<&TypeRef>, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (None, None) => {}
            (Some(a), Some(b)) if equal(a, b) => {}
            (Some(Value::Object(a)), Some(Value::Object(b))) => self.map(ty, a, b),
            (Some(Value::Array(a)), Some(Value::Array(b))) => self.list(ty, a, b),
            _ => self.out.push(FieldChange {
                path: self.path.to_string(),
                before: before.cloned(),
                after: after.cloned(),
            }),
        }
    }

    fn descend(
        &mut self,
        element: PathElement,
        ty: Option<&TypeRef>,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        self.path.0.push(element);
        self.value(ty, before, after);
        self.path.0.pop();
    }

    fn map(
        &mut self,
        ty: Option<&TypeRef>,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
    ) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let member = ty.and_then(|t| t.member(key));
            self.descend(
                PathElement::field(key),
                member.as_ref(),
                before.get(key),
                after.get(key),
            );
        }
    }

    fn list(&mut self, ty: Option<&TypeRef>, before: &[Value], after: &[Value]) {
        let list = ty.and_then(|t| t.node().list.clone());
        if let (Some(ty), Some(list)) = (ty, &list)
            && list.relation != ListRelation::Atomic
            && let (Some(a), Some(b)) = (keyed(ty, list, before), keyed(ty, list, after))
        {
            return self.keyed(&ty.with(list.element), &a, &b);
        }
        let element = ty
            .zip(list.as_ref())
            .map(|(ty, list)| ty.with(list.element));
        self.positional(element.as_ref(), before, after);
    }

    fn keyed(
        &mut self,
        element: &TypeRef,
        before: &[(PathElement, &Value)],
        after: &[(PathElement, &Value)],
    ) {
        let start = self.out.len();
        let old: BTreeMap<&PathElement, &Value> = before.iter().map(|(k, v)| (k, *v)).collect();
        let new: BTreeMap<&PathElement, &Value> = after.iter().map(|(k, v)| (k, *v)).collect();
        for (key, item) in before {
            let after = new.get(key).copied();
            self.descend(key.clone(), Some(element), Some(item), after);
        }
        for (key, item) in after.iter().filter(|(key, _)| !old.contains_key(key)) {
            self.descend(key.clone(), Some(element), None, Some(item));
        }
        if self.out.len() == start {
            // The same items in another order.
            let values = |items: &[(PathElement, &Value)]| {
                Value::Array(
                    items
                        .iter()
                        .map(|(key, _)| Value::String(key.to_string()))
                        .collect(),
                )
            };
            let (before, after) = (values(before), values(after));
            self.out.push(FieldChange {
                path: self.path.to_string(),
                before: Some(before),
                after: Some(after),
            });
        }
    }

    /// Items by position, after the common start and end; when the rest differs in length, the list as a whole.
    fn positional(&mut self, element: Option<&TypeRef>, before: &[Value], after: &[Value]) {
        let shorter = before.len().min(after.len());
        let head = before
            .iter()
            .zip(after)
            .take_while(|(a, b)| equal(a, b))
            .count();
        let tail = before
            .iter()
            .rev()
            .zip(after.iter().rev())
            .take_while(|(a, b)| equal(a, b))
            .count();
        let tail = tail.min(shorter - head);
        let (old, new) = (
            &before[head..before.len() - tail],
            &after[head..after.len() - tail],
        );
        let one_sided = old.is_empty() || new.is_empty();
        if old.len() != new.len() && !one_sided {
            self.out.push(FieldChange {
                path: self.path.to_string(),
                before: Some(Value::Array(before.to_vec())),
                after: Some(Value::Array(after.to_vec())),
            });
            return;
        }
        for at in 0..old.len().max(new.len()) {
            let index = PathElement::Index(i64::try_from(head + at).unwrap_or(i64::MAX));
            self.descend(index, element, old.get(at), new.get(at));
        }
    }
}

/// The items by key; `None` when one has no key or two have the same.
fn keyed<'v>(
    ty: &TypeRef,
    list: &ListType,
    items: &'v [Value],
) -> Option<Vec<(PathElement, &'v Value)>> {
    let mut seen = BTreeSet::new();
    items
        .iter()
        .map(|item| {
            let element = item_element(ty.schema(), list, item).ok()?;
            seen.insert(element.clone()).then_some((element, item))
        })
        .collect()
}
