//! One number for the fields that Tidegate owns in a live object: when it stays, only others wrote.
//! Needs no schema, since field sets name list items by their keys. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;
use tidegate_applier::FieldOwner;
use tidegate_diff::fieldset::{FieldSet, PathElement};

use crate::content::{comparable, digest};

/// The number. Without a field set of ours everything but status counts.
pub(crate) fn fingerprint(body: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match own_fields(body) {
        Some(set) => walk(body, &set, &mut hasher),
        None => digest(&comparable(body, true)).hash(&mut hasher),
    }
    hasher.finish()
}

/// The number of an object of which only the version is known.
pub(crate) fn of_version(version: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    hasher.finish()
}

fn own_fields(body: &Value) -> Option<FieldSet> {
    let owner = FieldOwner::default();
    let entry = body["metadata"]["managedFields"]
        .as_array()?
        .iter()
        .find(|entry| {
            entry["manager"] == owner.0.as_str()
                && entry["operation"] == "Apply"
                && entry["subresource"].as_str().unwrap_or_default().is_empty()
        })?;
    FieldSet::decode(&entry["fieldsV1"]).ok()
}

fn walk(value: &Value, set: &FieldSet, hasher: &mut DefaultHasher) {
    for (element, is_member, children) in set.iter_elements() {
        element.to_string().hash(hasher);
        let Some(found) = step(value, element) else {
            false.hash(hasher);
            continue;
        };
        true.hash(hasher);
        if children.is_empty() {
            digest(found).hash(hasher);
        } else {
            is_member.hash(hasher);
            walk(found, children, hasher);
        }
    }
}

fn step<'a>(value: &'a Value, element: &PathElement) -> Option<&'a Value> {
    match element {
        PathElement::Field(name) => value.get(&**name),
        PathElement::Index(index) => value.get(usize::try_from(*index).ok()?),
        PathElement::Value(wanted) => value.as_array()?.iter().find(|item| *item == &**wanted),
        PathElement::Key(keys) => {
            let items = value.as_array()?;
            let is = |item: &&Value, absent: bool| {
                keys.iter().all(|(name, wanted)| match item.get(&**name) {
                    Some(found) => found == wanted,
                    None => absent,
                })
            };
            // A key that is left out has its default.
            let exact = items.iter().find(|item| is(item, false));
            exact.or_else(|| items.iter().find(|item| is(item, true)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": {"name": "a", "labels": {"mine": "1", "theirs": "1"}, "managedFields": [
                {"manager": "tidegate", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:mine": {}}, "f:finalizers": {"v:\"mine\"": {}}},
                    "f:spec": {"f:args": {}, "f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:image": {}}}}}},
                {"manager": "x", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}}
            ], "finalizers": ["mine"]},
            "spec": {"replicas": 3, "args": ["x"], "containers": [{"name": "b"}, {"name": "a", "image": "i", "tty": true}]},
            "status": {"n": 1},
        })
    }

    #[test]
    fn only_own_fields_count() {
        let check = |change: &dyn Fn(&mut Value), expected_same: bool| {
            let mut changed = object();
            change(&mut changed);
            assert_eq!(
                fingerprint(&changed) == fingerprint(&object()),
                expected_same,
                "{changed}"
            );
        };
        check(&|_| {}, true);
        check(&|o| o["status"]["n"] = json!(2), true);
        check(&|o| o["spec"]["replicas"] = json!(5), true);
        check(&|o| o["metadata"]["labels"]["theirs"] = json!("2"), true);
        check(&|o| o["metadata"]["resourceVersion"] = json!("2"), true);
        check(&|o| o["spec"]["containers"][1]["tty"] = json!(false), true);
        check(&|o| o["spec"]["containers"][1]["image"] = json!("j"), false);
        check(&|o| o["spec"]["containers"] = json!([{"name": "b"}]), false);
        check(&|o| o["spec"]["args"] = json!(["x", "y"]), false);
        check(&|o| o["metadata"]["labels"]["mine"] = json!("2"), false);
        check(&|o| o["metadata"]["finalizers"] = json!([]), false);
        check(
            &|o| o["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] = json!({}),
            false,
        );
    }

    #[test]
    fn without_own_fields_all_but_status_counts() {
        let bare = json!({"metadata": {"name": "a"}, "spec": {"x": 1}, "status": {"y": 1}});
        let mut status = bare.clone();
        status["status"]["y"] = json!(2);
        assert_eq!(fingerprint(&bare), fingerprint(&status));
        let mut spec = bare.clone();
        spec["spec"]["x"] = json!(2);
        assert_ne!(fingerprint(&bare), fingerprint(&spec));
    }
}
