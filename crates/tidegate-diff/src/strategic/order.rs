//! The order of merged lists: the patch's order where it has one, otherwise the server's.

use std::cmp::Ordering;

use serde_json::Value;

use super::{PATCH, StrategicError, merge_key_of};
use crate::value::equal;

/// Splits a list into what `by` names and the rest.
pub(super) fn partition(
    items: Vec<Value>,
    by: &[Value],
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let (mut named, mut rest) = (Vec::new(), Vec::new());
    for item in items {
        if !merge_key.is_empty() {
            merge_key_of(&item, merge_key)?;
        }
        let known = index(by, &item, merge_key).is_some();
        if known {
            named.push(item);
        } else {
            rest.push(item);
        }
    }
    Ok((named, rest))
}

/// Sorts each part by its order and weaves them by the server's.
pub(super) fn normalize_element_order(
    patch: Vec<Value>,
    server_only: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, StrategicError> {
    let patch = sorted(patch, patch_order, merge_key)?;
    let server_only = sorted(server_only, server_order, merge_key)?;
    let mut out = Vec::with_capacity(patch.len() + server_only.len());
    let mut left = server_only.into_iter().peekable();
    let mut right = patch.into_iter().peekable();
    loop {
        let take_left = match (left.peek(), right.peek()) {
            (None, None) => return Ok(out),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(l), Some(r)) => {
                match (
                    index(server_order, l, merge_key),
                    index(server_order, r, merge_key),
                ) {
                    (Some(l), Some(r)) => l < r,
                    _ => false,
                }
            }
        };
        out.extend(if take_left { left.next() } else { right.next() });
    }
}

/// Sorts by the place in `order`; deletions go last.
pub(super) fn sorted(
    items: Vec<Value>,
    order: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, StrategicError> {
    let deletion = |v: &Value| v.get(PATCH).is_some_and(|d| d == "delete");
    if !merge_key.is_empty() {
        for item in items.iter().chain(order) {
            merge_key_of(item, merge_key)?;
        }
    }
    let (mut kept, deleted): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|v| !deletion(v));
    kept.sort_by(
        |a, b| match (index(order, a, merge_key), index(order, b, merge_key)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        },
    );
    kept.extend(deleted);
    Ok(kept)
}

fn index(list: &[Value], item: &Value, merge_key: &str) -> Option<usize> {
    if merge_key.is_empty() {
        return list.iter().position(|v| equal(v, item));
    }
    index_of_key(list, merge_key, item.get(merge_key)?)
}

/// The position of the object whose merge key is `key`.
pub(super) fn index_of_key(list: &[Value], merge_key: &str, key: &Value) -> Option<usize> {
    list.iter()
        .position(|v| v.get(merge_key).is_some_and(|k| equal(k, key)))
}

/// The patch's items must stand in the order that the directive gives, and be part of it.
pub(super) fn validate(
    patch: &[Value],
    order: &[Value],
    merge_key: &str,
    field: &str,
) -> Result<(), StrategicError> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut ordered = order.iter();
    for item in patch.iter().filter(|v| v.get(PATCH).is_none()) {
        let found = ordered.any(|o| {
            if merge_key.is_empty() {
                equal(o, item)
            } else {
                o.get(merge_key) == item.get(merge_key)
            }
        });
        if !found {
            return Err(StrategicError::Order(field.to_owned()));
        }
    }
    Ok(())
}
