//! Fits a stored field set to a schema that has changed since: what became atomic is owned as one.

use super::{Atom, deduce};
use crate::fieldset::{FieldSet, PathElement};
use crate::schema::{ListRelation, MapRelation, Schema, TypeId, TypeRef};

/// The set as it reads under `ty`; `None` when nothing changes. Fields that the schema does not know stay.
pub fn reconcile(ty: &TypeRef, set: &FieldSet) -> Option<FieldSet> {
    let mut walker = Walker {
        schema: ty.schema(),
        path: Vec::new(),
        now_atomic: FieldSet::new(),
    };
    walker.node(ty.id(), set, false);
    if walker.now_atomic.is_empty() {
        return None;
    }
    Some(
        set.recursive_difference(&walker.now_atomic)
            .union(&walker.now_atomic),
    )
}

struct Walker<'s> {
    schema: &'s Schema,
    path: Vec<PathElement>,
    now_atomic: FieldSet,
}

impl Walker<'_> {
    /// `leaf`: the set owns this node as a whole and nothing below it.
    fn node(&mut self, ty: TypeId, below: &FieldSet, leaf: bool) {
        match deduce(self.schema.node(ty), None) {
            Atom::Scalar(_) | Atom::None => {}
            Atom::List(list) => {
                if !leaf && list.relation == ListRelation::Atomic {
                    self.now_atomic.insert(&self.path);
                    return;
                }
                for (element, member, children) in below.iter_elements() {
                    self.descend(element, list.element, member, children);
                }
            }
            Atom::Map(map) => {
                if self.schema.is_deduced_map(map) {
                    return;
                }
                if !leaf && map.relation == MapRelation::Atomic {
                    if !below.is_empty() {
                        self.now_atomic.insert(&self.path);
                    }
                    return;
                }
                for (element, member, children) in below.iter_elements() {
                    let ty = match element {
                        PathElement::Field(name) => map.member(name),
                        _ => map.element,
                    };
                    if let Some(ty) = ty {
                        self.descend(element, ty, member, children);
                    }
                }
            }
        }
    }

    fn descend(&mut self, element: &PathElement, ty: TypeId, member: bool, children: &FieldSet) {
        self.path.push(element.clone());
        self.node(ty, children, member && children.is_empty());
        self.path.pop();
    }
}
