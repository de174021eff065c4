//! Validation in the server's words; merge, compare and extract.

use serde_json::{Value, json};
use tidegate_diff::fieldset::FieldSet;
use tidegate_diff::schema::{Schema, TypeRef};
use tidegate_diff::typed::{
    Duplicates, KeyFields, compare, drop_unknown, extract_items, merge, reconcile, remove_items,
    to_field_set, unknown_fields, validate,
};

use crate::generate::widget_crd;

fn widget() -> TypeRef {
    Schema::from_crd(&widget_crd(), "v1").unwrap()
}

#[test]
fn violations() {
    let check = |spec: Value, message: &str| {
        let error = validate(&widget(), &json!({"spec": spec}), Duplicates::Refuse).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    check(json!({"zz": 1}), ".spec.zz: field not declared in schema");
    check(
        json!({"items": [{"name": "b"}, {"name": "b"}]}),
        ".spec.items: duplicate entries for key [name=\"b\",port=8]",
    );
    check(
        json!({"set": ["a", "a"]}),
        ".spec.set: duplicate entries for key [=\"a\"]",
    );
    check(
        json!({"items": "x"}),
        ".spec.items: expected list, got &{x}",
    );
    check(
        json!({"labels": [1]}),
        ".spec.labels: expected map, got &{[1]}",
    );
    check(
        json!({"items": [{"name": "a", "v": "x"}]}),
        ".spec.items[name=\"a\",port=8].v: expected numeric (int or float), got string",
    );
    check(
        json!({"labels": {"a": 1}}),
        ".spec.labels.a: expected string, got &value.valueUnstructured{Value:1}",
    );
    check(
        json!({"items": [null]}),
        ".spec.items: element 0: associative list with keys may not have a null element",
    );
    check(
        json!({"items": [1]}),
        ".spec.items: element 0: associative list with keys may not have non-map elements",
    );
    check(
        json!({"set": [{}]}),
        ".spec.set: element 0: associative list without keys has an element that's a map type",
    );
    check(
        json!({"labels": {"a": 1, "b": 2}}),
        "errors:\n  .spec.labels.a: expected string, got &value.valueUnstructured{Value:1}\n  .spec.labels.b: expected string, got &value.valueUnstructured{Value:2}",
    );
    assert!(
        validate(
            &widget(),
            &json!({"spec": {"set": ["a", "a"]}}),
            Duplicates::Allow
        )
        .is_ok()
    );
    let mut deep = json!(1);
    for _ in 0..300 {
        deep = json!([deep]);
    }
    assert!(validate(&Schema::deduced(), &deep, Duplicates::Allow).is_err());
}

#[test]
fn field_sets() {
    let check = |spec: Value, expected: Value| {
        let set = to_field_set(&widget(), &json!({"spec": spec})).unwrap();
        assert_eq!(set.encode()["f:spec"], expected);
    };
    check(
        json!({"items": [{"name": "a", "v": 1}]}),
        json!({"f:items": {"k:{\"name\":\"a\",\"port\":8}": {".": {}, "f:name": {}, "f:v": {}}}}),
    );
    check(json!({"labels": {}}), json!({"f:labels": {}}));
    check(
        json!({"labels": {"a": "b"}}),
        json!({"f:labels": {"f:a": {}}}),
    );
    check(
        json!({"frozen": {"a": "b"}, "plain": [1]}),
        json!({"f:frozen": {}, "f:plain": {}}),
    );
    check(
        json!({"free": {"a": {"b": [1]}}}),
        json!({"f:free": {"f:a": {".": {}, "f:b": {}}}}),
    );
    // Repeated items cannot be told apart: they are one.
    check(
        json!({"set": ["a", "a", "b"]}),
        json!({"f:set": {"v:\"a\"": {}, "v:\"b\"": {}}}),
    );
    // An empty associative list is owned by nobody.
    let set = to_field_set(&widget(), &json!({"spec": {"items": []}})).unwrap();
    assert!(set.is_empty());
}

#[test]
fn merged_lists_keep_their_order() {
    let check = |live: &[&str], config: &[&str], expected: &[&str]| {
        let merged = merge(
            &widget(),
            &json!({"spec": {"set": live}}),
            &json!({"spec": {"set": config}}),
        )
        .unwrap();
        assert_eq!(merged.unwrap()["spec"]["set"], json!(expected));
    };
    check(&["a", "b", "c"], &["b"], &["a", "b", "c"]);
    check(&["a", "b", "c"], &["d"], &["a", "b", "c", "d"]);
    check(&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]);
    check(&["a", "b"], &["x", "b", "y"], &["a", "x", "b", "y"]);
    check(
        &["a", "b", "c", "d"],
        &["d", "x", "b"],
        &["a", "c", "d", "x", "b"],
    );
    check(&[], &["a"], &["a"]);
}

#[test]
fn nulls_in_a_config() {
    let check = |live: Value, config: Value, expected: Value| {
        let merged = merge(&widget(), &json!({"spec": live}), &json!({"spec": config}))
            .unwrap()
            .unwrap();
        assert_eq!(merged["spec"], expected);
    };
    check(
        json!({"number": 1}),
        json!({"number": null}),
        json!({"number": null}),
    );
    check(
        json!({"labels": {"a": "b"}}),
        json!({"labels": null}),
        json!({"labels": {"a": "b"}}),
    );
    check(
        json!({"frozen": {"a": "b"}}),
        json!({"frozen": null}),
        json!({"frozen": null}),
    );
    check(
        json!({"labels": {}}),
        json!({"labels": null}),
        json!({"labels": null}),
    );
}

#[test]
fn comparisons() {
    let check = |before: Value, after: Value, expected: [&[&str]; 3]| {
        let change = compare(&widget(), &json!({"spec": before}), &json!({"spec": after})).unwrap();
        let names = |set: &FieldSet| {
            set.paths()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            [
                names(&change.added),
                names(&change.modified),
                names(&change.removed)
            ],
            expected.map(<[&str]>::to_vec)
        );
    };
    check(
        json!({"number": 1}),
        json!({"number": 1.0}),
        [&[], &[], &[]],
    );
    check(
        json!({"number": 1}),
        json!({"number": 2}),
        [&[], &[".spec.number"], &[]],
    );
    check(
        json!({}),
        json!({"labels": {"a": "b"}}),
        [&[".spec.labels", ".spec.labels.a"], &[], &[]],
    );
    check(
        json!({"set": ["a"]}),
        json!({"set": ["b"]}),
        [&[".spec.set[=\"b\"]"], &[], &[".spec.set[=\"a\"]"]],
    );
    check(
        json!({"set": ["a"]}),
        json!({"set": ["a", "a"]}),
        [&[".spec.set[=\"a\"]"], &[], &[".spec.set[=\"a\"]"]],
    );
    check(
        json!({"port": 1}),
        json!({"port": {"a": 1}}),
        [&[".spec.port.a"], &[".spec.port"], &[]],
    );
    check(
        json!({"set": ["a", "b"]}),
        json!({"set": ["b", "a"]}),
        [&[], &[], &[]],
    );
}

#[test]
fn taking_out_and_keeping() {
    let value = json!({"spec": {"items": [{"name": "a", "v": 1}, {"name": "b", "v": 2}], "labels": {"x": "1", "y": "2"}}});
    let set = FieldSet::decode(&json!({"f:spec": {"f:items": {"k:{\"name\":\"a\",\"port\":8}": {"f:v": {}}}, "f:labels": {"f:x": {}}}})).unwrap();
    assert_eq!(
        remove_items(&widget(), &value, &set),
        json!({"spec": {"items": [{"name": "a"}, {"name": "b", "v": 2}], "labels": {"y": "2"}}})
    );
    assert_eq!(
        extract_items(&widget(), &value, &set, KeyFields::AsOwned),
        json!({"spec": {"items": [{"v": 1}], "labels": {"x": "1"}}})
    );
    assert_eq!(
        extract_items(&widget(), &value, &set, KeyFields::Keep),
        json!({"spec": {"items": [{"name": "a", "v": 1}], "labels": {"x": "1"}}})
    );
}

#[test]
fn what_became_atomic_is_owned_as_one() {
    let set = FieldSet::decode(&json!({"f:spec": {"f:frozen": {"f:a": {}, "f:b": {}}, "f:plain": {"v:1": {}}, "f:labels": {"f:a": {}}}})).unwrap();
    let now = reconcile(&widget(), &set).unwrap();
    assert_eq!(
        now.encode(),
        json!({"f:spec": {"f:frozen": {}, "f:plain": {}, "f:labels": {"f:a": {}}}})
    );
    assert!(reconcile(&widget(), &now).is_none());
}

#[test]
fn unknown_fields_are_found_and_dropped() {
    let ty = Schema::builtin("", "v1", "Pod").unwrap();
    let mut pod = json!({"spec": {"containers": [{"name": "a", "imag": "x"}], "nodeSelector": {"any": "x"}}, "spek": {}});
    let found: Vec<String> = unknown_fields(&ty, &pod)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, [".spec.containers[0].imag", ".spek"]);
    drop_unknown(&ty, &mut pod);
    assert_eq!(
        pod,
        json!({"spec": {"containers": [{"name": "a"}], "nodeSelector": {"any": "x"}}})
    );
}
