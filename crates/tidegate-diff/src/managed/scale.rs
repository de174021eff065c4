//! Ownership across the scale subresource: `.spec.replicas` of the Scale is one field of the parent.

use super::entry::{ManagerState, Managers};
use crate::fieldset::{FieldPath, FieldSet};

const SCALE_VERSION: &str = "autoscaling/v1";

fn replicas() -> FieldPath {
    FieldPath::of_fields(&["spec", "replicas"])
}

fn single(path: &FieldPath) -> FieldSet {
    let mut set = FieldSet::new();
    set.insert(&path.0);
    set
}

/// The Scale's managers: those of the parent that own its replicas field. `path_at` gives that field by version.
pub fn to_scale_managers(
    parent: &Managers,
    path_at: impl Fn(&str) -> Option<FieldPath>,
) -> Managers {
    let mut scale = Managers::default();
    for (key, state) in parent.iter() {
        if path_at(&state.api_version).is_some_and(|path| state.set.has(&path.0)) {
            let state = ManagerState {
                api_version: SCALE_VERSION.to_owned(),
                set: single(&replicas()),
                time: state.time.clone(),
            };
            scale.insert(key.clone(), state);
        }
    }
    scale
}

/// The parent's managers after a write to its Scale at `version`.
pub fn from_scale_managers(
    parent: &Managers,
    scale: &Managers,
    version: &str,
    path_at: impl Fn(&str) -> Option<FieldPath>,
) -> Managers {
    let mut out = Managers::default();
    let mut kept = Vec::new();
    for (key, state) in parent.iter() {
        let Some(path) = path_at(&state.api_version) else {
            out.insert(key.clone(), state.clone());
            continue;
        };
        let mut state = state.clone();
        if state.set.has(&path.0) {
            if scale.get(key).is_some() {
                kept.push(key.clone());
            } else {
                state.set = state.set.difference(&single(&path));
            }
        }
        if !state.set.is_empty() {
            out.insert(key.clone(), state);
        }
    }
    let Some(path) = path_at(version) else {
        return out;
    };
    for (key, state) in scale.iter().filter(|(key, _)| !kept.contains(key)) {
        if state.set.has(&replicas().0) {
            let moved = ManagerState {
                api_version: version.to_owned(),
                set: single(&path),
                time: parent
                    .get(key)
                    .and_then(|p| p.time.clone())
                    .or_else(|| state.time.clone()),
            };
            out.insert(key.clone(), moved);
        }
    }
    out
}
