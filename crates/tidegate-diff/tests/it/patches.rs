//! Strategic and JSON merge patches.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_diff::merge_patch::{
    create_merge_patch, create_three_way_json_merge_patch, merge_patch,
};
use tidegate_diff::schema::{Schema, TypeRef};
use tidegate_diff::strategic::{
    create_three_way_merge_patch, create_two_way_merge_patch, strategic_merge_patch,
};
use tidegate_diff::value::equal;

use crate::generate::{Dice, deployment, service};

fn pod() -> TypeRef {
    Schema::builtin_type("io.k8s.api.core.v1.PodSpec").unwrap()
}

#[test]
fn strategic() {
    let check = |original: Value, patch: Value, expected: Value| {
        assert_eq!(
            strategic_merge_patch(&pod(), &original, &patch).unwrap(),
            expected,
            "{patch}"
        );
    };
    let two = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
    check(
        two.clone(),
        json!({"containers": [{"name": "b", "image": "2"}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "c"}, {"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b", "image": "1"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "x"}]}),
        json!({"containers": [{"name": "x"}]}),
    );
    check(
        two.clone(),
        json!({"$patch": "replace", "hostname": "h"}),
        json!({"hostname": "h"}),
    );
    check(two.clone(), json!({"$patch": "delete"}), json!({}));
    check(
        two.clone(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"containers": [{"name": "b", "image": "1"}, {"name": "a", "image": "1"}]}),
    );
    check(two, json!({"containers": null}), json!({}));
    check(
        json!({"tolerations": [{"key": "a"}]}),
        json!({"tolerations": [{"key": "b"}]}),
        json!({"tolerations": [{"key": "b"}]}),
    );
    check(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"b": "2", "a": null}}),
        json!({"nodeSelector": {"b": "2"}}),
    );
    check(
        json!({}),
        json!({"nodeSelector": {"b": null, "c": "1"}}),
        json!({"nodeSelector": {"c": "1"}}),
    );
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]}),
        json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
    );
    let ty = Schema::builtin("", "v1", "ConfigMap").unwrap();
    assert_eq!(
        strategic_merge_patch(&ty, &json!({"metadata": {"finalizers": ["a/a", "b/b"]}}),
            &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "finalizers": ["c/c"]}})).unwrap(),
        json!({"metadata": {"finalizers": ["c/c", "b/b"]}})
    );
}

#[test]
fn broken_strategic_patches() {
    for (patch, message) in [
        (json!({"$patch": "merge"}), "unknown patch type: \"merge\""),
        (
            json!({"containers": [{"image": "x"}]}),
            "map does not contain declared merge key: name",
        ),
        (
            json!({"containers": [{"name": "a", "$patch": "keep"}]}),
            "unknown patch type: keep",
        ),
        (
            json!({"$setElementOrder/containers": 1}),
            "invalid patch format of setElementOrder list",
        ),
        (
            json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "z"}]}),
            "the order in the patch list does not match the $setElementOrder list of containers",
        ),
        (
            json!({"$retainKeys": ["a"], "hostname": "x"}),
            "invalid patch format of retainKeys",
        ),
        (
            json!({"containers": [{"name": "a"}, "b"]}),
            "list element types are not identical",
        ),
        (
            json!([]),
            "expected an object at the patch, but received another type",
        ),
    ] {
        let original = json!({"containers": [{"name": "a"}]});
        assert_eq!(
            strategic_merge_patch(&pod(), &original, &patch)
                .unwrap_err()
                .to_string(),
            message
        );
    }
}

#[test]
fn three_way() {
    let original = json!({"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]});
    let modified = json!({"containers": [{"name": "a", "image": "2"}]});
    let current = json!({"containers": [
        {"name": "a", "image": "1", "imagePullPolicy": "Always", "env": [{"name": "X", "value": "1"}, {"name": "W", "value": "hook"}]},
        {"name": "b"}, {"name": "injected"}]});
    let patch = create_three_way_merge_patch(&pod(), &original, &modified, &current).unwrap();
    assert_eq!(
        patch,
        json!({
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "2", "env": null}, {"name": "b", "$patch": "delete"}],
        })
    );
    let after = strategic_merge_patch(&pod(), &current, &patch).unwrap();
    assert_eq!(
        after,
        json!({"containers": [{"name": "a", "image": "2", "imagePullPolicy": "Always"}, {"name": "injected"}]})
    );
    let patch = create_three_way_json_merge_patch(
        &json!({"a": 1, "b": {"c": 1}}),
        &json!({"b": {}, "d": 1}),
        &json!({"a": 1, "b": {"c": 1, "x": 1}, "y": 1}),
    );
    assert_eq!(patch, json!({"a": null, "b": {"c": null}, "d": 1}));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-2i64..3).prop_map(|n| json!(n)),
        "[ab]{0,2}".prop_map(|s| json!(s)),
        any::<bool>().prop_map(|b| json!(b))
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_merge_patch_leads_from_one_to_the_other(a in json_value(), b in json_value()) {
        prop_assert!(equal(&merge_patch(&a, &create_merge_patch(&a, &b)), &b));
    }

    #[test]
    fn a_strategic_patch_leads_from_one_to_the_other(a in any::<u64>(), b in any::<u64>()) {
        for (kind, group, make) in [("Deployment", "apps", deployment as fn(&mut Dice) -> Value), ("Service", "", service)] {
            let ty = Schema::builtin(group, "v1", kind).unwrap();
            let (x, y) = (make(&mut Dice(a)), make(&mut Dice(b)));
            let ports = |v: &Value| v.to_string().matches("\"port\":53").count();
            // Two ports of one number share the merge key: a strategic patch cannot tell them apart.
            if ports(&x) > 1 || ports(&y) > 1 {
                continue;
            }
            let patch = create_two_way_merge_patch(&ty, &x, &y).unwrap();
            let after = strategic_merge_patch(&ty, &x, &patch).unwrap();
            prop_assert!(equal(&without_empty_lists(&after), &without_empty_lists(&y)), "{patch}\n{after}\n{y}");
            prop_assert_eq!(create_two_way_merge_patch(&ty, &y, &y).unwrap(), json!({}));
        }
    }
}

/// A merged list that loses all its items stays as an empty one.
fn without_empty_lists(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, v)| **v != json!([]))
                .map(|(k, v)| (k.clone(), without_empty_lists(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_empty_lists).collect()),
        other => other.clone(),
    }
}
