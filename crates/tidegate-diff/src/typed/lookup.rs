//! Finds the value at a path.

use serde_json::Value;

use super::item_element;
use crate::fieldset::PathElement;
use crate::schema::TypeRef;

/// The value at `path`; items of lists are found by their path elements.
pub fn lookup<'v>(ty: &TypeRef, value: &'v Value, path: &[PathElement]) -> Option<&'v Value> {
    let schema = ty.schema();
    let mut at = Some(ty.id());
    let mut value = value;
    for element in path {
        let node = at.map(|id| schema.node(id));
        (value, at) = match element {
            PathElement::Field(name) => (
                value.get(name.as_ref())?,
                node.and_then(|n| n.map.as_ref())
                    .and_then(|m| m.member(name)),
            ),
            PathElement::Index(index) => {
                let element = node.and_then(|n| n.list.as_ref()).map(|l| l.element);
                (value.get(usize::try_from(*index).ok()?)?, element)
            }
            PathElement::Key(_) | PathElement::Value(_) => {
                let list = node.and_then(|n| n.list.as_ref())?;
                let items = value.as_array()?;
                let found = items
                    .iter()
                    .find(|i| item_element(schema, list, i).is_ok_and(|e| e == *element))?;
                (found, Some(list.element))
            }
        };
    }
    Some(value)
}
