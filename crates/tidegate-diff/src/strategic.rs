//! Strategic merge patches: applying them (`application/strategic-merge-patch+json`) and making them (`kubectl apply`).
//! Merge keys and strategies come from the type table, where they differ from server-side apply's keys.
//!
//! The rules are those of apimachinery's `strategicpatch`, directives included: `$patch`, `$retainKeys`,
//! `$setElementOrder/…`, `$deleteFromPrimitiveList/…`.

mod create;
mod order;

use serde_json::{Map, Value};

pub use create::{create_three_way_merge_patch, create_two_way_merge_patch};

use crate::schema::{Schema, TypeId, TypeRef};
use crate::value::{equal, is_shallow};
use order::{index_of_key, normalize_element_order, partition};

/// Longer lists are refused: merging compares every item with every other.
const MAX_ITEMS: usize = 10_000;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// Why a strategic merge patch cannot be applied or made. Servers answer 400, or 422 for the last one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    #[error("unknown patch type: {0}")]
    Directive(String),
    #[error("invalid patch format of setElementOrder list")]
    SetOrder,
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("the order in the patch list does not match the $setElementOrder list of {0}")]
    Order(String),
    #[error("map does not contain declared merge key: {0}")]
    NoMergeKey(String),
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("list element types are not identical")]
    MixedList,
    #[error("expected {expected} at {key}, but received another type")]
    Type { expected: &'static str, key: String },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    #[error("the patch is nested too deeply")]
    TooDeep,
    #[error("a list has more than {MAX_ITEMS} items")]
    TooLong,
}

/// Applies a strategic merge patch to an object of a built-in kind.
///
/// # Errors
/// When the patch or a directive in it is malformed.
pub fn strategic_merge_patch(
    ty: &TypeRef,
    original: &Value,
    patch: &Value,
) -> Result<Value, StrategicError> {
    if !is_shallow(patch) || !is_shallow(original) {
        return Err(StrategicError::TooDeep);
    }
    let original = original.as_object().cloned().unwrap_or_default();
    let Some(patch) = patch.as_object() else {
        return Err(StrategicError::Type {
            expected: "an object",
            key: "the patch".into(),
        });
    };
    let merger = Merger { mode: Mode::Apply };
    let merged = merger.map(
        original,
        patch.clone(),
        Lookup {
            schema: ty.schema(),
            ty: Some(ty.id()),
        },
    )?;
    Ok(Value::Object(merged))
}

/// Whether a patch meets an object, or another patch that it is laid over.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Apply,
    Combine,
}

/// The patch facts of one level.
#[derive(Debug, Clone, Copy)]
struct Lookup<'s> {
    schema: &'s Schema,
    ty: Option<TypeId>,
}

/// How one field is patched.
#[derive(Debug, Clone, Copy)]
struct Facts<'s> {
    below: Lookup<'s>,
    merge: bool,
    retain_keys: bool,
    merge_key: &'s str,
}

impl<'s> Lookup<'s> {
    /// The facts of field `key`: for a list, of its items.
    fn field(self, key: &str) -> Facts<'s> {
        let map = self.ty.and_then(|ty| self.schema.node(ty).map.as_ref());
        let field = map.and_then(|m| m.field(key));
        let ty = field.map(|f| f.ty).or_else(|| map.and_then(|m| m.element));
        let item = ty
            .and_then(|ty| self.schema.node(ty).list.as_ref())
            .map(|l| l.element);
        Facts {
            below: Lookup {
                schema: self.schema,
                ty: item.or(ty),
            },
            merge: field.is_some_and(|f| f.patch.merge),
            retain_keys: field.is_some_and(|f| f.patch.retain_keys),
            merge_key: field
                .and_then(|f| f.patch.merge_key.as_deref())
                .unwrap_or_default(),
        }
    }
}

struct Merger {
    mode: Mode,
}

type Object = Map<String, Value>;

impl Merger {
    fn map(
        &self,
        mut original: Object,
        mut patch: Object,
        lookup: Lookup<'_>,
    ) -> Result<Object, StrategicError> {
        if let Some(directive) = patch.remove(PATCH) {
            return match directive.as_str() {
                Some("replace") => Ok(patch),
                Some("delete") => Ok(Map::new()),
                _ => Err(StrategicError::Directive(directive.to_string())),
            };
        }
        self.retain_keys(&mut original, &mut patch)?;
        self.ordered_lists(&mut original, &mut patch, lookup)?;
        let mut keys: Vec<String> = patch.keys().cloned().collect();
        keys.sort();
        for key in keys {
            let Some(value) = patch.remove(&key) else {
                continue;
            };
            self.entry(&mut original, &key, value, lookup)?;
        }
        Ok(original)
    }

    /// One key of the patch.
    fn entry(
        &self,
        original: &mut Object,
        key: &str,
        mut value: Value,
        lookup: Lookup<'_>,
    ) -> Result<(), StrategicError> {
        let mut deletes = false;
        let mut key = key;
        if key.starts_with(DELETE_FROM) {
            if self.mode == Mode::Combine {
                original.insert(key.to_owned(), value);
                return Ok(());
            }
            key = directive_target(key, DELETE_FROM).ok_or(StrategicError::PrimitiveList)?;
            deletes = true;
        }
        if value.is_null() {
            original.remove(key);
            if self.mode == Mode::Apply {
                return Ok(());
            }
        }
        let Some(current) = original.get(key) else {
            if !deletes {
                self.replace(original, key, value);
            }
            return Ok(());
        };
        match (current, &mut value) {
            (Value::Object(_), Value::Object(_)) => {
                let below = lookup.field(key).below;
                let (Some(Value::Object(before)), Value::Object(patch)) =
                    (original.remove(key), value)
                else {
                    return Ok(());
                };
                let merged = self.map(before, patch, below)?;
                original.insert(key.to_owned(), Value::Object(merged));
            }
            (Value::Array(_), Value::Array(_)) => {
                let facts = lookup.field(key);
                let (Some(Value::Array(before)), Value::Array(patch)) =
                    (original.remove(key), value)
                else {
                    return Ok(());
                };
                let merged = if facts.merge || deletes {
                    self.list(before, patch, facts, deletes)?
                } else {
                    patch
                };
                original.insert(key.to_owned(), Value::Array(merged));
            }
            _ if deletes => {}
            _ => self.replace(original, key, value),
        }
        Ok(())
    }

    fn replace(&self, original: &mut Object, key: &str, mut value: Value) {
        if self.mode == Mode::Apply {
            discard_nulls(&mut value);
        }
        match without_directives(value) {
            Some(value) => {
                original.insert(key.to_owned(), value);
            }
            None => {
                original.remove(key);
            }
        }
    }

    fn retain_keys(&self, original: &mut Object, patch: &mut Object) -> Result<(), StrategicError> {
        let Some(retain) = patch.remove(RETAIN_KEYS) else {
            return Ok(());
        };
        if self.mode == Mode::Combine {
            let known = original
                .entry(RETAIN_KEYS)
                .or_insert_with(|| retain.clone());
            return if *known == retain {
                Ok(())
            } else {
                Err(StrategicError::RetainKeys)
            };
        }
        let names = retain.as_array().ok_or(StrategicError::RetainKeys)?;
        let listed = |key: &str| names.iter().any(|n| n == key);
        let directive = |key: &str| key.starts_with(DELETE_FROM) || key.starts_with(SET_ORDER);
        if patch
            .iter()
            .any(|(key, value)| !value.is_null() && !directive(key) && !listed(key))
        {
            return Err(StrategicError::RetainKeys);
        }
        original.retain(|key, _| listed(key));
        Ok(())
    }

    /// `$setElementOrder/x`: merges list `x` and puts it into that order.
    fn ordered_lists(
        &self,
        original: &mut Object,
        patch: &mut Object,
        lookup: Lookup<'_>,
    ) -> Result<(), StrategicError> {
        let mut directives: Vec<String> = patch
            .keys()
            .filter(|k| k.starts_with(SET_ORDER))
            .cloned()
            .collect();
        directives.sort();
        for directive in directives {
            let Some(order) = patch.remove(&directive) else {
                continue;
            };
            if self.mode == Mode::Combine {
                let known = original
                    .entry(directive.clone())
                    .or_insert_with(|| order.clone());
                if *known != order {
                    return Err(StrategicError::SetOrder);
                }
            }
            let Value::Array(order) = order else {
                return Err(StrategicError::SetOrder);
            };
            let key = directive_target(&directive, SET_ORDER).ok_or(StrategicError::SetOrder)?;
            let before = take_list(original, key)?;
            let changes = take_list(patch, key)?;
            let lengths = [&before, &changes].map(|list| list.as_ref().map_or(0, Vec::len));
            if lengths.iter().sum::<usize>() + order.len() > MAX_ITEMS {
                return Err(StrategicError::TooLong);
            }
            let facts = lookup.field(key);
            order::validate(
                changes.as_deref().unwrap_or_default(),
                &order,
                facts.merge_key,
                key,
            )?;
            let server = before.clone().unwrap_or_default();
            let merged = match (before, changes) {
                (None, None) => continue,
                (Some(before), None) => before,
                (None, Some(changes)) => match without_directives(Value::Array(changes)) {
                    Some(Value::Array(items)) => items,
                    _ => continue,
                },
                (Some(before), Some(changes)) if facts.merge => {
                    self.list(before, changes, facts, false)?
                }
                (Some(_), Some(changes)) => changes,
            };
            let (theirs, rest) = partition(merged, &order, facts.merge_key)?;
            let items = normalize_element_order(theirs, rest, &order, &server, facts.merge_key)?;
            original.insert(key.to_owned(), Value::Array(items));
        }
        Ok(())
    }

    /// Merges two lists: scalars as sets, objects by the merge key.
    fn list(
        &self,
        original: Vec<Value>,
        patch: Vec<Value>,
        facts: Facts<'_>,
        deletes: bool,
    ) -> Result<Vec<Value>, StrategicError> {
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
        let kind = element_kind(original.iter().chain(&patch))?;
        if kind != ElementKind::Object {
            if self.mode == Mode::Apply && deletes {
                return Ok(original
                    .into_iter()
                    .filter(|v| !patch.iter().any(|p| equal(p, v)))
                    .collect());
            }
            let both: Vec<Value> = original
                .iter()
                .cloned()
                .chain(patch.iter().cloned())
                .collect();
            let (theirs, rest) = partition(deduplicate(both), &patch, "")?;
            return normalize_element_order(theirs, rest, &patch, &original, "");
        }
        if facts.merge_key.is_empty() {
            return Err(StrategicError::NoMergeKey(String::new()));
        }
        let (original, patch) = special_elements(original, patch, facts.merge_key)?;
        let server = original.clone();
        let order = patch.clone();
        let merged = self.objects(original, patch, facts)?;
        let (theirs, rest) = partition(merged, &order, facts.merge_key)?;
        normalize_element_order(theirs, rest, &order, &server, facts.merge_key)
    }

    fn objects(
        &self,
        mut original: Vec<Value>,
        patch: Vec<Value>,
        facts: Facts<'_>,
    ) -> Result<Vec<Value>, StrategicError> {
        for item in patch {
            let key = merge_key_of(&item, facts.merge_key)?.clone();
            match index_of_key(&original, facts.merge_key, &key) {
                None => original.push(item),
                Some(at) => {
                    let (Value::Object(before), Value::Object(change)) =
                        (original[at].take(), item)
                    else {
                        return Err(StrategicError::MixedList);
                    };
                    original[at] = Value::Object(self.map(before, change, facts.below)?);
                }
            }
        }
        Ok(original)
    }
}

/// Items that are directives: `$patch: delete` removes the item of that key, `$patch: replace` the whole list.
fn special_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        match item
            .get(PATCH)
            .map(|d| d.as_str().unwrap_or_default().to_owned())
            .as_deref()
        {
            None => plain.push(item),
            Some("delete") => {
                let key = merge_key_of(&item, merge_key)?;
                original.retain(|o| o.get(merge_key).is_none_or(|k| !equal(k, key)));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(StrategicError::MergeDirective),
            Some(other) => return Err(StrategicError::Directive(other.to_owned())),
        }
    }
    Ok(if replace {
        (plain, Vec::new())
    } else {
        (original, plain)
    })
}

fn merge_key_of<'v>(item: &'v Value, merge_key: &str) -> Result<&'v Value, StrategicError> {
    item.get(merge_key)
        .ok_or_else(|| StrategicError::NoMergeKey(merge_key.to_owned()))
}

fn directive_target<'k>(key: &'k str, prefix: &str) -> Option<&'k str> {
    key.strip_prefix(prefix)?.strip_prefix('/')
}

fn take_list(map: &mut Object, key: &str) -> Result<Option<Vec<Value>>, StrategicError> {
    match map.remove(key) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(StrategicError::Type {
            expected: "a list",
            key: key.to_owned(),
        }),
    }
}

/// What the items of a list are; all must be the same.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ElementKind {
    Object,
    Scalar(u8),
}

fn element_kind<'v>(items: impl Iterator<Item = &'v Value>) -> Result<ElementKind, StrategicError> {
    let mut found = None;
    for (at, item) in items.enumerate() {
        if at >= MAX_ITEMS {
            return Err(StrategicError::TooLong);
        }
        let kind = match item {
            Value::Object(_) => ElementKind::Object,
            Value::Array(_) => return Err(StrategicError::ListOfLists),
            Value::String(_) => ElementKind::Scalar(0),
            Value::Number(_) => ElementKind::Scalar(1),
            Value::Bool(_) => ElementKind::Scalar(2),
            Value::Null => return Err(StrategicError::MixedList),
        };
        if found.is_some_and(|f| f != kind) {
            return Err(StrategicError::MixedList);
        }
        found = Some(kind);
    }
    found.ok_or(StrategicError::MixedList)
}

fn deduplicate(items: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !out.iter().any(|known| equal(known, &item)) {
            out.push(item);
        }
    }
    out
}

/// Nulls of a value that is new have nothing to delete.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, member| !member.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// The value without the objects that are directives; `None` when it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter()
                .filter_map(|(k, v)| Some((k, without_directives(v)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(
            items.into_iter().filter_map(without_directives).collect(),
        )),
        other => Some(other),
    }
}
