//! What changed between two values of one type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::validate::check_scalar;
use super::{
    Atom, Choice, Side, ValidationErrors, as_list, as_map, choose, field_type, invalid_atom,
    item_element,
};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::{ListRelation, ListType, MapRelation, MapType, Schema, TypeId, TypeRef};
use crate::value::equal;

/// The fields that differ; no field is in two of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

impl Comparison {
    /// Whether nothing changed.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }
}

/// Compares two validated values.
///
/// # Errors
/// When neither value fits the type.
pub fn compare(
    ty: &TypeRef,
    before: &Value,
    after: &Value,
) -> Result<Comparison, ValidationErrors> {
    let mut walker = Walker {
        schema: ty.schema(),
        path: Vec::new(),
        out: Comparison::default(),
    };
    walker.value(ty.id(), Some(before), Some(after))?;
    Ok(walker.out)
}

struct Walker<'s> {
    schema: &'s Schema,
    path: Vec<PathElement>,
    out: Comparison,
}

impl<'s> Walker<'s> {
    fn value(&mut self, ty: TypeId, lhs: Side<'_>, rhs: Side<'_>) -> Result<(), ValidationErrors> {
        if let (Some(left), Some(right)) = (lhs, rhs)
            && equal(left, right)
        {
            return Ok(());
        }
        let node = self.schema.node(ty);
        let (left, right) = (choose(node, lhs), choose(node, rhs));
        let mut errors = ValidationErrors::default();
        let leaf = match (lhs, rhs) {
            (_, None) => self.atom(left, lhs, rhs, &mut errors),
            (None, _) => self.atom(right, lhs, rhs, &mut errors),
            _ if left.same(right) => self.atom(right, lhs, rhs, &mut errors),
            _ => {
                self.atom(left, lhs, rhs, &mut errors);
                self.atom(right, lhs, rhs, &mut errors)
            }
        };
        if !leaf {
            if lhs.is_none() {
                self.out.added.insert(&self.path);
            } else if rhs.is_none() {
                self.out.removed.insert(&self.path);
            }
        }
        errors.into_result()
    }

    /// Compares as one kind of type; returns whether this node is a leaf.
    fn atom(
        &mut self,
        atom: Choice<'s>,
        lhs: Side<'_>,
        rhs: Side<'_>,
        errors: &mut ValidationErrors,
    ) -> bool {
        match atom.atom {
            Atom::Scalar(scalar) => {
                let bad = (
                    check_scalar(scalar, lhs, "lhs: "),
                    check_scalar(scalar, rhs, "rhs: "),
                );
                if let (Err(mut left), Err(right)) = bad {
                    left.0.extend(right.0);
                    errors.absorb(Err(left));
                    return false;
                }
                self.leaf(lhs, rhs)
            }
            Atom::List(list) => {
                let (left, right) = (as_list(lhs), as_list(rhs));
                if list.relation == ListRelation::Atomic || (left.is_empty() && right.is_empty()) {
                    return self.leaf(lhs, rhs);
                }
                errors.absorb(self.list(list, left, right));
                false
            }
            Atom::Map(map) => {
                let empty = as_map(lhs).is_none_or(serde_json::Map::is_empty)
                    && as_map(rhs).is_none_or(serde_json::Map::is_empty);
                if map.relation == MapRelation::Atomic || empty {
                    return self.leaf(lhs, rhs);
                }
                errors.absorb(self.map(map, lhs, rhs));
                false
            }
            Atom::None => {
                errors.absorb(Err(invalid_atom()));
                false
            }
        }
    }

    fn leaf(&mut self, lhs: Side<'_>, rhs: Side<'_>) -> bool {
        match (lhs, rhs) {
            (None, _) => self.out.added.insert(&self.path),
            (_, None) => self.out.removed.insert(&self.path),
            (Some(left), Some(right)) if !equal(left, right) => {
                self.out.modified.insert(&self.path);
            }
            _ => {}
        }
        true
    }

    fn descend(
        &mut self,
        element: PathElement,
        ty: TypeId,
        lhs: Side<'_>,
        rhs: Side<'_>,
    ) -> Result<(), ValidationErrors> {
        self.path.push(element);
        let result = self.value(ty, lhs, rhs);
        match self.path.pop() {
            Some(element) => result.map_err(|e| e.prefixed(&element)),
            None => result,
        }
    }

    fn map(&mut self, map: &MapType, lhs: Side<'_>, rhs: Side<'_>) -> Result<(), ValidationErrors> {
        let (left, right) = (as_map(lhs), as_map(rhs));
        let mut errors = ValidationErrors::default();
        for (key, before) in left.into_iter().flatten() {
            let Some(ty) = field_type(map, key) else {
                continue;
            };
            let after = right.and_then(|r| r.get(key));
            errors.absorb(self.descend(PathElement::field(key), ty, Some(before), after));
        }
        for (key, after) in right.into_iter().flatten() {
            if left.is_some_and(|l| l.contains_key(key)) {
                continue;
            }
            let Some(ty) = field_type(map, key) else {
                continue;
            };
            errors.absorb(self.descend(PathElement::field(key), ty, None, Some(after)));
        }
        errors.into_result()
    }

    fn list(
        &mut self,
        list: &ListType,
        left: &[Value],
        right: &[Value],
    ) -> Result<(), ValidationErrors> {
        let mut errors = ValidationErrors::default();
        let mut items: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (side, values) in [(0, left), (1, right)] {
            for (index, value) in values.iter().enumerate() {
                match item_element(self.schema, list, value) {
                    Ok(element) => {
                        let entry = items.entry(element).or_default();
                        if side == 0 {
                            entry.0.push(value);
                        } else {
                            entry.1.push(value);
                        }
                    }
                    Err(reason) => errors.absorb(Err(ValidationErrors::one(format!(
                        "element {index}: {reason}"
                    )))),
                }
            }
        }
        for (element, (before, after)) in items {
            errors.absorb(self.items(list, element, &before, &after));
        }
        errors.into_result()
    }

    /// One key: duplicates are compared as a whole, a change from or to duplicates replaces the whole item.
    fn items(
        &mut self,
        list: &ListType,
        element: PathElement,
        before: &[&Value],
        after: &[&Value],
    ) -> Result<(), ValidationErrors> {
        let mut path = self.path.clone();
        path.push(element.clone());
        match (before.len() >= 2, after.len() >= 2) {
            (false, false) => self.descend(
                element,
                list.element,
                before.first().copied(),
                after.first().copied(),
            ),
            (true, true) => {
                let same = before.len() == after.len()
                    && before.iter().zip(after).all(|(b, a)| equal(b, a));
                if !same {
                    self.out.modified.insert(&path);
                }
                Ok(())
            }
            (true, false) => {
                let result = match after.first() {
                    Some(item) => self.descend(element, list.element, None, Some(item)),
                    None => Ok(()),
                };
                self.out.removed.insert(&path);
                result
            }
            (false, true) => {
                let result = match before.first() {
                    Some(item) => self.descend(element, list.element, Some(item), None),
                    None => Ok(()),
                };
                self.out.added.insert(&path);
                result
            }
        }
    }
}
