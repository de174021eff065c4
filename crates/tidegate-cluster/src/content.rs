//! What of a live object is content and what is bookkeeping; comparison and digests. Pure.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_applier::{LiveObject, Precondition};
use tidegate_manifest::ResourceKey;

use crate::health::Assess;

/// Metadata that the server writes and that says nothing about what was asked for.
const BOOKKEEPING: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
];

/// The object without bookkeeping, and without status where status is a resource of its own.
pub(crate) fn comparable(body: &Value, has_status: bool) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        if has_status {
            fields.remove("status");
        }
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for name in BOOKKEEPING {
                metadata.remove(name);
            }
        }
    }
    body
}

/// A digest that does not depend on the order of members.
pub(crate) fn digest(value: &Value) -> [u8; 32] {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    hasher.finalize().into()
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(true) => hasher.update(b"t"),
        Value::Bool(false) => hasher.update(b"f"),
        Value::Number(number) => tagged(hasher, b'0', number.to_string().as_bytes()),
        Value::String(text) => tagged(hasher, b'"', text.as_bytes()),
        Value::Array(items) => {
            tagged(hasher, b'[', &items.len().to_le_bytes());
            for item in items {
                feed(hasher, item);
            }
        }
        Value::Object(members) => {
            tagged(hasher, b'{', &members.len().to_le_bytes());
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            for name in names {
                tagged(hasher, b'"', name.as_bytes());
                feed(hasher, &members[name]);
            }
        }
    }
}

fn tagged(hasher: &mut Sha256, tag: u8, bytes: &[u8]) {
    hasher.update([tag]);
    hasher.update(bytes.len().to_le_bytes());
    hasher.update(bytes);
}

/// A text of the object's metadata, empty when absent.
pub(crate) fn metadata<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get("metadata")
        .and_then(|metadata| metadata.get(name))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The finalizers that hold an object; those of a namespace stand in its spec too.
pub(crate) fn finalizers(body: &Value) -> Vec<String> {
    let list = |value: Option<&Value>| -> Vec<String> {
        value
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    let mut all = list(body.get("metadata").and_then(|m| m.get("finalizers")));
    if body.get("kind").and_then(Value::as_str) == Some("Namespace") {
        all.extend(list(body.get("spec").and_then(|s| s.get("finalizers"))));
    }
    all
}

/// A live object as the engine sees it.
pub(crate) fn live_object(key: &ResourceKey, mut body: Value, assess: &Assess) -> LiveObject {
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    LiveObject {
        key: key.clone(),
        version: metadata(&body, "resourceVersion").to_owned(),
        uid: metadata(&body, "uid").to_owned(),
        health: assess.of(&body),
        body,
    }
}

/// The object to send: with its own kind and place, without what only a server writes.
pub(crate) fn desired(
    body: &Value,
    api_version: &str,
    key: &ResourceKey,
    namespaced: bool,
) -> Result<Value, ApplierError> {
    let Value::Object(mut fields) = body.clone() else {
        return Err(ApplierError::new(
            ErrorKind::Invalid,
            "the object is no mapping",
        ));
    };
    fields.insert("apiVersion".to_owned(), api_version.into());
    fields.insert("kind".to_owned(), key.kind.as_str().into());
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(ApplierError::new(
            ErrorKind::Invalid,
            "metadata is no mapping",
        ));
    };
    for name in BOOKKEEPING {
        metadata.remove(name);
    }
    metadata.insert("name".to_owned(), key.name.as_str().into());
    if namespaced {
        metadata.insert("namespace".to_owned(), key.namespace.as_str().into());
    } else {
        metadata.remove("namespace");
    }
    Ok(Value::Object(fields))
}

/// # Errors
/// A `Conflict` that names what does not hold.
pub(crate) fn check_precondition(
    wanted: &Precondition,
    live: Option<&Value>,
) -> Result<(), ApplierError> {
    let conflict = |message: String| Err(ApplierError::new(ErrorKind::Conflict, message));
    let Some(live) = live else {
        if wanted.exists == Some(true) || wanted.uid.is_some() || wanted.version.is_some() {
            return conflict("precondition failed: the object does not exist".to_owned());
        }
        return Ok(());
    };
    if wanted.exists == Some(false) {
        return conflict("precondition failed: the object exists already".to_owned());
    }
    if let Some(uid) = &wanted.uid
        && uid != metadata(live, "uid")
    {
        return conflict(format!(
            "precondition failed: the object was created anew: its uid is {}, not {uid}",
            metadata(live, "uid")
        ));
    }
    if let Some(version) = &wanted.version
        && version != metadata(live, "resourceVersion")
    {
        return conflict(format!(
            "precondition failed: the object changed: its resourceVersion is {}, not {version}",
            metadata(live, "resourceVersion")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_manifest::Target;

    use super::*;

    #[test]
    fn bookkeeping_is_no_content() {
        let a = json!({"metadata": {"name": "a", "resourceVersion": "1", "generation": 1, "managedFields": []}, "status": {"x": 1}, "data": {"k": "v"}});
        let b = json!({"metadata": {"name": "a", "resourceVersion": "2", "generation": 2}, "data": {"k": "v"}});
        assert_eq!(comparable(&a, true), comparable(&b, true));
        assert_ne!(comparable(&a, false), comparable(&b, false));
    }

    #[test]
    fn digests_tell_values_apart() {
        let values = [
            json!(null),
            json!(false),
            json!(0),
            json!("0"),
            json!(""),
            json!([]),
            json!({}),
            json!([[]]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({"a": "b"}),
            json!({"ab": ""}),
            json!([{"a": 1}, {}]),
            json!([{"a": 1}]),
        ];
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(digest(a) == digest(b), i == j, "{a} and {b}");
            }
        }
    }

    #[test]
    fn what_is_sent_has_its_own_place() {
        let key = ResourceKey {
            target: Target::kubernetes("x"),
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: "ns".into(),
            name: "a".into(),
        };
        let body = json!({"metadata": {"resourceVersion": "5", "uid": "u", "creationTimestamp": null, "labels": {"l": "v"}}, "data": {}});
        assert_eq!(
            desired(&body, "v1", &key, true).expect("sound"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns", "labels": {"l": "v"}}, "data": {}})
        );
        assert!(desired(&json!([]), "v1", &key, true).is_err());
        assert!(desired(&json!({"metadata": "x"}), "v1", &key, true).is_err());
    }

    #[test]
    fn preconditions() {
        let live = json!({"metadata": {"uid": "u", "resourceVersion": "7"}});
        let check = |wanted: Precondition, live: Option<&Value>, holds: bool| {
            assert_eq!(
                check_precondition(&wanted, live).is_ok(),
                holds,
                "{wanted:?}"
            );
        };
        let exists = |exists| Precondition {
            exists: Some(exists),
            ..Precondition::default()
        };
        let uid = |uid: &str| Precondition {
            uid: Some(uid.into()),
            ..Precondition::default()
        };
        let version = |v: &str| Precondition {
            version: Some(v.into()),
            ..Precondition::default()
        };
        check(Precondition::default(), None, true);
        check(exists(true), None, false);
        check(exists(false), None, true);
        check(exists(false), Some(&live), false);
        check(uid("u"), Some(&live), true);
        check(uid("v"), Some(&live), false);
        check(uid("u"), None, false);
        check(version("7"), Some(&live), true);
        check(version("8"), Some(&live), false);
        check(version("7"), None, false);
    }
}
