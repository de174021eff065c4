//! Versions of one kind: the sandbox knows the strategy `None`, which rewrites the apiVersion and nothing else.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::object;
use crate::resource::Resource;

/// Rewrites an object to another version of its kind.
pub(crate) fn to_version(object: &mut Value, api_version: &str) {
    let map = object::ensure(object);
    if map.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        map.insert("apiVersion".to_owned(), json!(api_version));
    }
}

/// An object at a version of its resource, as clients see it.
pub(crate) fn served<'a>(
    resource: &Resource,
    version: &str,
    object: &'a Arc<Value>,
) -> Cow<'a, Value> {
    let api_version = resource.api_version(version);
    if object::text(object, &["apiVersion"]) == api_version {
        return Cow::Borrowed(object);
    }
    let mut copy = (**object).clone();
    to_version(&mut copy, &api_version);
    Cow::Owned(copy)
}
