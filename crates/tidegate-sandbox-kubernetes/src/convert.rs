//! Versions of one kind: the sandbox knows the strategy `None`, which rewrites the apiVersion and nothing else.

use serde_json::{Value, json};

use crate::object;

/// Rewrites an object to another version of its kind.
pub(crate) fn to_version(object: &mut Value, api_version: &str) {
    let map = object::ensure(object);
    if map.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        map.insert("apiVersion".to_owned(), json!(api_version));
    }
}
