//! What API servers do only for the manager `kubectl`: they forgive conflicts over fields that client-side apply set,
//! and keep the last-applied annotation up to date.

use serde_json::{Map, Value};

use super::conflict::Conflicts;
use super::entry::Managers;
use super::{ApplyError, LAST_APPLIED, OnConflict, Request, apply_once};
use crate::fieldset::FieldSet;
use crate::typed::{Duplicates, compare, to_field_set, validate};
use crate::value::go_json;

const KUBECTL: &str = "kubectl";

/// An object's annotations may take this many bytes together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Applies; for `kubectl` conflicts that the last-applied annotation explains are forced.
pub(super) fn apply_leniently(
    request: &Request<'_>,
    live: &Value,
    config: &Value,
    managers: Managers,
    on_conflict: OnConflict,
) -> Result<(Option<Value>, Managers, bool), ApplyError> {
    let lenient = request.manager == KUBECTL && on_conflict == OnConflict::Fail;
    if !lenient {
        return apply_once(request, live, config, managers, on_conflict);
    }
    let conflicts = match apply_once(request, live, config, managers.clone(), on_conflict) {
        Err(ApplyError::Conflicts(conflicts)) => conflicts,
        other => return other,
    };
    let Some(allowed) = fields_of_last_applied(request, live) else {
        return Err(ApplyError::Conflicts(conflicts));
    };
    let remaining: Vec<_> = conflicts
        .items
        .into_iter()
        .filter(|c| !allowed.has(&c.path.0))
        .collect();
    if !remaining.is_empty() {
        return Err(ApplyError::Conflicts(Conflicts::new(remaining)));
    }
    apply_once(request, live, config, managers, OnConflict::Force)
}

/// The fields that client-side apply set and that still have its values.
fn fields_of_last_applied(request: &Request<'_>, live: &Value) -> Option<FieldSet> {
    let text = live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .filter(|t| !t.is_empty())?;
    let ty = request.versions.type_at(request.api_version)?;
    let live = request.versions.convert(live, request.api_version).ok()?;
    validate(&ty, &live, Duplicates::Refuse).ok()?;
    let applied: Value = serde_json::from_str(text).ok()?;
    if applied["apiVersion"] != request.api_version {
        return None;
    }
    validate(&ty, &applied, Duplicates::Refuse).ok()?;
    let change = compare(&ty, &applied, &live).ok()?;
    let set = to_field_set(&ty, &applied).ok()?;
    Some(
        set.difference(&change.modified)
            .difference(&change.added)
            .difference(&change.removed),
    )
}

/// Rewrites an existing last-applied annotation after an apply by `kubectl`.
pub(super) fn refresh_last_applied(request: &Request<'_>, config: &Value, object: &mut Value) {
    if request.manager != KUBECTL {
        return;
    }
    let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if annotations
        .get(LAST_APPLIED)
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return;
    }
    let mut applied = config.clone();
    if let Some(own) = applied
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        own.remove(LAST_APPLIED);
    }
    annotations.insert(LAST_APPLIED.into(), Value::String(go_json(&applied) + "\n"));
    if size(annotations) > MAX_ANNOTATIONS {
        annotations.remove(LAST_APPLIED);
    }
}

fn size(annotations: &Map<String, Value>) -> usize {
    annotations
        .iter()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum()
}
