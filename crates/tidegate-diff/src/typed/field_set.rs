//! The set of fields that a value mentions.

use serde_json::Value;

use super::{Atom, ValidationErrors, as_list, as_map, deduce, field_type, item_element};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::{ListRelation, ListType, MapRelation, MapType, Schema, TypeId, TypeRef};

/// Every leaf and list item that `value` mentions: atomic nodes count as one leaf, items of map lists count themselves
/// and their fields, members that no struct declares count themselves, and so do nulls and empty maps.
///
/// The value must have passed [`super::validate`].
///
/// # Errors
/// When the schema is broken.
pub fn to_field_set(ty: &TypeRef, value: &Value) -> Result<FieldSet, ValidationErrors> {
    let mut set = FieldSet::new();
    Walker {
        schema: ty.schema(),
    }
    .value(ty.id(), value, &mut set)?;
    Ok(set)
}

struct Walker<'s> {
    schema: &'s Schema,
}

impl Walker<'_> {
    /// Fills `below` with what lies under the value; returns whether the value's own node is in the set.
    fn value(
        &self,
        ty: TypeId,
        value: &Value,
        below: &mut FieldSet,
    ) -> Result<bool, ValidationErrors> {
        match deduce(self.schema.node(ty), Some(value)) {
            Atom::Scalar(_) => Ok(true),
            Atom::List(list) if list.relation == ListRelation::Atomic => Ok(true),
            Atom::List(list) => self.list(list, value, below).map(|()| false),
            Atom::Map(map) if map.relation == MapRelation::Atomic => Ok(true),
            Atom::Map(map) => self.map(map, value, below).map(|()| false),
            Atom::None => Err(super::invalid_atom()),
        }
    }

    fn list(
        &self,
        list: &ListType,
        value: &Value,
        below: &mut FieldSet,
    ) -> Result<(), ValidationErrors> {
        let mut seen = FieldSet::new();
        let mut repeated = FieldSet::new();
        let items = as_list(Some(value));
        let elements: Vec<_> = items
            .iter()
            .map(|item| item_element(self.schema, list, item).ok())
            .collect();
        for element in elements.iter().flatten() {
            let path = std::slice::from_ref(element);
            if seen.has_element(element) {
                repeated.insert(path);
            } else {
                seen.insert(path);
            }
        }
        for (item, element) in items.iter().zip(&elements) {
            let Some(element) = element else { continue };
            // Repeated items are owned as a whole: their fields cannot be told apart.
            let mut children = FieldSet::new();
            if !repeated.has_element(element) {
                self.value(list.element, item, &mut children)?;
            }
            below.set_child(element, true, children);
        }
        Ok(())
    }

    fn map(
        &self,
        map: &MapType,
        value: &Value,
        below: &mut FieldSet,
    ) -> Result<(), ValidationErrors> {
        for (key, member) in as_map(Some(value)).into_iter().flatten() {
            let Some(ty) = field_type(map, key) else {
                continue;
            };
            let mut children = FieldSet::new();
            let itself = self.value(ty, member, &mut children)?;
            let hollow =
                member.is_null() || member.as_object().is_some_and(serde_json::Map::is_empty);
            let undeclared = map.field(key).is_none();
            below.set_child(
                &PathElement::field(key),
                itself || hollow || undeclared,
                children,
            );
        }
        Ok(())
    }
}
