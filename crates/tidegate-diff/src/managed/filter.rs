//! Filters on field sets: which fields a strategy resets, hence nobody owns through it.

use crate::fieldset::{FieldSet, PathElement};

/// What a write through one endpoint may own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldFilter {
    /// All but these fields and what is below them.
    Exclude(FieldSet),
    /// Only fields under one of these prefixes.
    Include(Vec<Vec<Step>>),
}

/// One step of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Any,
    Is(PathElement),
}

impl FieldFilter {
    /// The part of the set that passes.
    pub fn filter(&self, set: &FieldSet) -> FieldSet {
        match self {
            Self::Exclude(excluded) => set.recursive_difference(excluded),
            Self::Include(prefixes) => {
                let prefixes: Vec<&[Step]> = prefixes.iter().map(Vec::as_slice).collect();
                include(set, &prefixes)
            }
        }
    }
}

fn include(set: &FieldSet, prefixes: &[&[Step]]) -> FieldSet {
    if prefixes.iter().any(|p| p.is_empty()) {
        return set.clone();
    }
    let mut out = FieldSet::new();
    for (element, member, children) in set.iter_elements() {
        let rest: Vec<&[Step]> = prefixes
            .iter()
            .filter_map(|prefix| match prefix.split_first() {
                Some((Step::Any, rest)) => Some(rest),
                Some((Step::Is(wanted), rest)) if wanted == element => Some(rest),
                _ => None,
            })
            .collect();
        if !rest.is_empty() {
            out.set_child(element, member, include(children, &rest));
        }
    }
    out
}
