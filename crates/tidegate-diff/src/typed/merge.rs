//! Lays one value over another of the same type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::validate::check_scalar;
use super::{
    Atom, Side, ValidationErrors, as_list, as_map, choose, field_type, invalid_atom, item_element,
};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::{ListRelation, ListType, MapRelation, MapType, Schema, TypeId, TypeRef};

/// Lays `config` over `live`: leaves of `config` win, items of associative lists merge by key. Items keep the order of
/// `live` as far as `config` does not order them itself. Nothing is ever removed. `None` when nothing is left at all.
///
/// Both values must have passed [`super::validate`].
///
/// # Errors
/// When neither value fits the type, or `config` repeats a key.
pub fn merge(
    ty: &TypeRef,
    live: &Value,
    config: &Value,
) -> Result<Option<Value>, ValidationErrors> {
    let walker = Walker {
        schema: ty.schema(),
    };
    walker.value(ty.id(), Some(live), Some(config))
}

struct Walker<'s> {
    schema: &'s Schema,
}

type Merged = Result<Option<Value>, ValidationErrors>;

impl<'s> Walker<'s> {
    fn value(&self, ty: TypeId, lhs: Side<'_>, rhs: Side<'_>) -> Merged {
        let node = self.schema.node(ty);
        let (left, right) = (choose(node, lhs), choose(node, rhs));
        match (lhs, rhs) {
            (_, None) => self.atom(left.atom, lhs, rhs),
            (None, _) => self.atom(right.atom, lhs, rhs),
            _ if left.same(right) => self.atom(right.atom, lhs, rhs),
            // The kind of value changes: the new kind's result stands, the old kind's only for its errors.
            _ => {
                self.atom(left.atom, lhs, rhs)?;
                self.atom(right.atom, lhs, rhs)
            }
        }
    }

    fn atom(&self, atom: Atom<'s>, lhs: Side<'_>, rhs: Side<'_>) -> Merged {
        match atom {
            Atom::Scalar(scalar) => {
                let bad = (
                    check_scalar(scalar, lhs, "lhs: "),
                    check_scalar(scalar, rhs, "rhs: "),
                );
                if let (Err(mut left), Err(right)) = bad {
                    left.0.extend(right.0);
                    return Err(left);
                }
                Ok(leaf(lhs, rhs))
            }
            Atom::List(list) => {
                let (left, right) = (as_list(lhs), as_list(rhs));
                if list.relation == ListRelation::Atomic || (left.is_empty() && right.is_empty()) {
                    return Ok(leaf(lhs, rhs));
                }
                self.list(list, left, right)
            }
            Atom::Map(map) => {
                let empty =
                    as_map(lhs).is_none_or(Map::is_empty) && as_map(rhs).is_none_or(Map::is_empty);
                if map.relation == MapRelation::Atomic || empty {
                    return Ok(leaf(lhs, rhs));
                }
                self.map(map, as_map(lhs), as_map(rhs))
            }
            Atom::None => Err(invalid_atom()),
        }
    }

    fn map(
        &self,
        map: &MapType,
        lhs: Option<&Map<String, Value>>,
        rhs: Option<&Map<String, Value>>,
    ) -> Merged {
        let mut out = Map::new();
        let mut errors = ValidationErrors::default();
        let mut put = |key: &String, left: Side<'_>, right: Side<'_>| {
            let Some(ty) = field_type(map, key) else {
                return;
            };
            match self.value(ty, left, right) {
                Ok(Some(value)) => {
                    out.insert(key.clone(), value);
                }
                Ok(None) => {}
                Err(e) => errors.absorb(Err(e.prefixed(&PathElement::field(key)))),
            }
        };
        for (key, left) in lhs.into_iter().flatten() {
            put(key, Some(left), rhs.and_then(|r| r.get(key)));
        }
        for (key, right) in rhs.into_iter().flatten() {
            if !lhs.is_some_and(|l| l.contains_key(key)) {
                put(key, None, Some(right));
            }
        }
        errors.into_result()?;
        Ok((!out.is_empty()).then_some(Value::Object(out)))
    }

    fn list(&self, list: &ListType, lhs: &[Value], rhs: &[Value]) -> Merged {
        let right = Indexed::new(self.schema, list, rhs, false)?;
        let left = Indexed::new(self.schema, list, lhs, true)?;
        let mut weave = Weave {
            walker: self,
            list,
            left: &left,
            right: &right,
            done: FieldSet::new(),
            out: Vec::new(),
        };
        weave.run()?;
        let out = weave.out;
        Ok((!out.is_empty()).then_some(Value::Array(out)))
    }
}

fn leaf(lhs: Side<'_>, rhs: Side<'_>) -> Option<Value> {
    rhs.or(lhs).cloned()
}

/// The items of one side by path element.
struct Indexed<'v> {
    elements: Vec<PathElement>,
    items: Vec<&'v Value>,
    by_element: BTreeMap<PathElement, &'v Value>,
}

/// Stands for items that repeat a key: they do not merge with a new value.
static REPEATED: Value = Value::Null;

impl<'v> Indexed<'v> {
    fn new(
        schema: &Schema,
        list: &ListType,
        values: &'v [Value],
        repeats: bool,
    ) -> Result<Self, ValidationErrors> {
        let mut indexed = Self {
            elements: Vec::new(),
            items: Vec::new(),
            by_element: BTreeMap::new(),
        };
        let mut errors = ValidationErrors::default();
        for (index, value) in values.iter().enumerate() {
            let element = match item_element(schema, list, value) {
                Ok(element) => element,
                Err(reason) => {
                    errors.absorb(Err(ValidationErrors::one(format!(
                        "element {index}: {reason}"
                    ))));
                    continue;
                }
            };
            if indexed.by_element.contains_key(&element) {
                if !repeats {
                    errors.absorb(Err(ValidationErrors::one(format!(
                        "duplicate entries for key {element}"
                    ))));
                    continue;
                }
                indexed.by_element.insert(element.clone(), &REPEATED);
            } else {
                indexed.by_element.insert(element.clone(), value);
            }
            indexed.elements.push(element);
            indexed.items.push(value);
        }
        errors.into_result()?;
        Ok(indexed)
    }

    fn get(&self, element: &PathElement) -> Side<'v> {
        self.by_element.get(element).copied()
    }
}

/// Weaves two lists: items of the left that the right does not name stay where they are, relative to the next shared
/// item in the right's order.
struct Weave<'a, 's, 'v> {
    walker: &'a Walker<'s>,
    list: &'a ListType,
    left: &'a Indexed<'v>,
    right: &'a Indexed<'v>,
    /// Items of the right that are out already.
    done: FieldSet,
    out: Vec<Value>,
}

impl Weave<'_, '_, '_> {
    fn run(&mut self) -> Result<(), ValidationErrors> {
        let (left, right) = (self.left, self.right);
        let mut shared = right
            .elements
            .iter()
            .filter(|e| left.by_element.contains_key(e));
        let mut next_shared = shared.next();
        let (mut l, mut r) = (0, 0);
        while l < left.elements.len() || r < right.elements.len() {
            if let (Some(element), Some(wanted)) = (left.elements.get(l), right.elements.get(r)) {
                if element == wanted {
                    self.put(element, left.get(element), right.get(element))?;
                    self.done.insert(std::slice::from_ref(element));
                    l += 1;
                    r += 1;
                    next_shared = shared.next();
                    continue;
                }
                if right.by_element.contains_key(element)
                    && next_shared.is_some_and(|next| next != element)
                {
                    // Shared, but its turn comes later.
                    l += 1;
                    continue;
                }
            }
            if let Some(element) = left.elements.get(l) {
                if !right.by_element.contains_key(element) {
                    self.put(element, Some(left.items[l]), None)?;
                    l += 1;
                    continue;
                }
                if self.done.has_element(element) {
                    l += 1;
                }
            }
            if let Some(element) = right.elements.get(r) {
                self.put(element, left.get(element), right.get(element))?;
                self.done.insert(std::slice::from_ref(element));
                r += 1;
                if next_shared == Some(element) {
                    next_shared = shared.next();
                }
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        element: &PathElement,
        left: Side<'_>,
        right: Side<'_>,
    ) -> Result<(), ValidationErrors> {
        let merged = self
            .walker
            .value(self.list.element, left, right)
            .map_err(|e| e.prefixed(element))?;
        self.out.extend(merged);
        Ok(())
    }
}
