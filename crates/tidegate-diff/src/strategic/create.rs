//! Makes strategic merge patches: two-way, and the three-way of client-side apply.

use serde_json::{Map, Value, json};

use super::order::{index_of_key, sorted};
use super::{
    DELETE_FROM, ElementKind, Facts, Lookup, Merger, Mode, Object, PATCH, RETAIN_KEYS, SET_ORDER,
    StrategicError, deduplicate, element_kind, merge_key_of,
};
use crate::schema::TypeRef;
use crate::value::{equal, is_shallow};

#[derive(Debug, Clone, Copy)]
struct Options {
    deletions: bool,
    changes: bool,
    order: bool,
    retain_keys: bool,
}

/// The patch that turns `original` into `modified`.
///
/// # Errors
/// When lists cannot be compared: a merge key is missing, or items are of different types.
pub fn create_two_way_merge_patch(
    ty: &TypeRef,
    original: &Value,
    modified: &Value,
) -> Result<Value, StrategicError> {
    let options = Options {
        deletions: true,
        changes: true,
        order: true,
        retain_keys: false,
    };
    diff(ty, original, modified, options).map(Value::Object)
}

/// The patch of client-side apply: what `modified` adds or changes against `current`, and what it no longer has of
/// `original` (the last applied object).
///
/// # Errors
/// As [`create_two_way_merge_patch`].
pub fn create_three_way_merge_patch(
    ty: &TypeRef,
    original: &Value,
    modified: &Value,
    current: &Value,
) -> Result<Value, StrategicError> {
    let delta = Options {
        deletions: false,
        changes: true,
        order: true,
        retain_keys: false,
    };
    let removal = Options {
        deletions: true,
        changes: false,
        order: true,
        retain_keys: false,
    };
    let delta = diff(ty, current, modified, delta)?;
    let removal = diff(ty, original, modified, removal)?;
    let lookup = Lookup {
        schema: ty.schema(),
        ty: Some(ty.id()),
    };
    Merger {
        mode: Mode::Combine,
    }
    .map(removal, delta, lookup)
    .map(Value::Object)
}

fn diff(
    ty: &TypeRef,
    original: &Value,
    modified: &Value,
    options: Options,
) -> Result<Object, StrategicError> {
    if !is_shallow(original) || !is_shallow(modified) {
        return Err(StrategicError::TooDeep);
    }
    let empty = Map::new();
    let (original, modified) = (
        original.as_object().unwrap_or(&empty),
        modified.as_object().unwrap_or(&empty),
    );
    diff_maps(
        original,
        modified,
        Lookup {
            schema: ty.schema(),
            ty: Some(ty.id()),
        },
        options,
    )
}

fn diff_maps(
    original: &Object,
    modified: &Object,
    lookup: Lookup<'_>,
    options: Options,
) -> Result<Object, StrategicError> {
    let mut patch = Map::new();
    let mut retained: Vec<&String> = Vec::new();
    let inner = Options {
        retain_keys: false,
        ..options
    };
    for (key, after) in modified {
        if options.retain_keys && !after.is_null() {
            retained.push(key);
        }
        match (original.get(key), after) {
            (Some(Value::Object(before)), Value::Object(after)) => {
                let facts = lookup.field(key);
                let below = Options {
                    retain_keys: facts.retain_keys,
                    ..inner
                };
                let change = diff_maps(before, after, facts.below, below)?;
                if !change.is_empty() {
                    patch.insert(key.clone(), Value::Object(change));
                }
            }
            (Some(Value::Array(before)), Value::Array(after)) => {
                diff_field_lists(key, before, after, lookup.field(key), inner, &mut patch)?;
            }
            (Some(before), _) if equal(before, after) => {}
            _ if options.changes => {
                patch.insert(key.clone(), after.clone());
            }
            _ => {}
        }
    }
    if options.deletions {
        for key in original.keys().filter(|key| !modified.contains_key(*key)) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    let extra = || {
        original
            .iter()
            .any(|(key, value)| !value.is_null() && !modified.contains_key(key))
    };
    if !retained.is_empty() && (!patch.is_empty() || extra()) {
        retained.sort();
        patch.insert(RETAIN_KEYS.into(), json!(retained));
    }
    Ok(patch)
}

/// A list field: merged ones by item, others as a whole.
fn diff_field_lists(
    key: &str,
    before: &[Value],
    after: &[Value],
    facts: Facts<'_>,
    options: Options,
    patch: &mut Object,
) -> Result<(), StrategicError> {
    if !facts.merge {
        let same =
            before.len() == after.len() && before.iter().zip(after).all(|(b, a)| equal(b, a));
        if options.changes && !same {
            patch.insert(key.to_owned(), Value::Array(after.to_vec()));
        }
        return Ok(());
    }
    let options = Options {
        retain_keys: facts.retain_keys,
        ..options
    };
    let change = diff_lists(before, after, facts, options)?;
    let mut put = |key: String, items: Vec<Value>| {
        if !items.is_empty() {
            patch.insert(key, Value::Array(items));
        }
    };
    put(key.to_owned(), change.patch);
    put(format!("{DELETE_FROM}/{key}"), change.deletions);
    put(format!("{SET_ORDER}/{key}"), change.order);
    Ok(())
}

#[derive(Default)]
struct ListChange {
    patch: Vec<Value>,
    deletions: Vec<Value>,
    order: Vec<Value>,
}

fn diff_lists(
    before: &[Value],
    after: &[Value],
    facts: Facts<'_>,
    options: Options,
) -> Result<ListChange, StrategicError> {
    if before.is_empty() {
        let patch = if options.changes {
            after.to_vec()
        } else {
            Vec::new()
        };
        return Ok(ListChange {
            patch,
            ..ListChange::default()
        });
    }
    if element_kind(before.iter().chain(after))? != ElementKind::Object {
        return diff_scalars(before, after, options);
    }
    let key = facts.merge_key;
    for item in before.iter().chain(after) {
        merge_key_of(item, key)?;
    }
    let mut patch = Vec::new();
    for item in after {
        let mine = merge_key_of(item, key)?;
        match index_of_key(before, key, mine).map(|at| &before[at]) {
            Some(Value::Object(old)) => {
                let Value::Object(new) = item else { continue };
                let mut change = diff_maps(old, new, facts.below, options)?;
                if !change.is_empty() {
                    change.insert(key.to_owned(), mine.clone());
                    patch.push(Value::Object(change));
                }
            }
            _ if options.changes => patch.push(item.clone()),
            _ => {}
        }
    }
    let mut patch = sorted(patch, after, key)?;
    if options.deletions {
        let mut gone: Vec<&Value> = Vec::new();
        for item in before {
            let old = merge_key_of(item, key)?;
            if index_of_key(after, key, old).is_none() {
                gone.push(old);
            }
        }
        gone.sort_by_key(|k| k.as_str().map_or_else(|| k.to_string(), str::to_owned));
        patch.extend(gone.into_iter().map(|k| json!({key: k, PATCH: "delete"})));
    }
    let same_order = before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(b, a)| b.get(key) == a.get(key));
    let changed = !patch.is_empty();
    let wanted = options.order
        && ((options.changes && (changed || !same_order)) || (options.deletions && changed));
    let order = if wanted {
        after.iter().map(|item| json!({key: item[key]})).collect()
    } else {
        Vec::new()
    };
    Ok(ListChange {
        patch,
        deletions: Vec::new(),
        order,
    })
}

fn diff_scalars(
    before: &[Value],
    after: &[Value],
    options: Options,
) -> Result<ListChange, StrategicError> {
    let missing = |from: &[Value], item: &Value| !from.iter().any(|v| equal(v, item));
    let added: Vec<Value> = after
        .iter()
        .filter(|v| options.changes && missing(before, v))
        .cloned()
        .collect();
    let mut deletions: Vec<Value> = deduplicate(
        before
            .iter()
            .filter(|v| options.deletions && missing(after, v))
            .cloned()
            .collect(),
    );
    deletions.sort_by_key(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let patch = sorted(added, after, "")?;
    let same = before.len() == after.len() && before.iter().zip(after).all(|(b, a)| equal(b, a));
    let wanted = options.order
        && ((options.deletions && !deletions.is_empty()) || (options.changes && !same));
    Ok(ListChange {
        patch,
        deletions,
        order: if wanted { after.to_vec() } else { Vec::new() },
    })
}
