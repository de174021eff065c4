//! Reading and editing the metadata of a JSON object. Total functions: a malformed object reads as empty.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// `metadata`, or an empty map.
pub(crate) fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata").and_then(Value::as_object)
}

/// `metadata`, made when absent.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child(ensure(object), "metadata")
}

/// `value` as a map; anything else is replaced by an empty one.
pub(crate) fn ensure(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object just above"),
    }
}

/// The map under `key`, made when absent.
pub(crate) fn child<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    ensure(map.entry(key.to_owned()).or_insert(Value::Null))
}

/// A string of the metadata, empty when absent.
pub(crate) fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    metadata(object)
        .and_then(|meta| meta.get(key))
        .and_then(Value::as_str)
        .unwrap_or("")
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// The revision in `metadata.resourceVersion`, 0 when absent.
pub(crate) fn resource_version(object: &Value) -> u64 {
    meta(object, "resourceVersion").parse().unwrap_or(0)
}

pub(crate) fn generation(object: &Value) -> Option<i64> {
    metadata(object)?.get("generation")?.as_i64()
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    metadata(object)
        .and_then(|meta| meta.get("deletionTimestamp"))
        .is_some_and(|stamp| !stamp.is_null())
}

/// The finalizers.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    metadata(object)
        .and_then(|meta| meta.get("finalizers"))
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Sets the finalizers; an empty list is left out.
pub(crate) fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
    let metadata = metadata_mut(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        let list = finalizers.into_iter().map(Value::String).collect();
        metadata.insert("finalizers".to_owned(), Value::Array(list));
    }
}

/// A value deep inside.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// A string deep inside, empty when absent.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or("")
}

/// An RFC 3339 stamp in whole seconds, as `metav1.Time` writes it.
pub(crate) fn stamp(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A field as text, for selectors: strings as they are, scalars as JSON.
pub(crate) fn scalar(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => Cow::Owned(value.to_string()),
        _ => Cow::Borrowed(""),
    }
}
