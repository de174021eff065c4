//! Field sets: the codec byte for byte, and the laws of set algebra.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_diff::fieldset::{FieldSet, PathElement};

fn element() -> impl Strategy<Value = PathElement> {
    let scalar = prop_oneof![
        (-3i64..4).prop_map(|n| json!(n)),
        "[a-c<&\"\\\\é]{0,3}".prop_map(|s| json!(s)),
        any::<bool>().prop_map(|b| json!(b)),
        Just(json!(1.5)),
    ];
    prop_oneof![
        4 => "[a-d./]{1,3}".prop_map(|s| PathElement::field(&s)),
        2 => prop::collection::btree_map("[a-c]", scalar.clone(), 1..3)
            .prop_map(|m| PathElement::key(m.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        1 => scalar.prop_map(|v| PathElement::Value(v.into())),
        1 => (0i64..12).prop_map(PathElement::Index),
    ]
}

fn set() -> impl Strategy<Value = FieldSet> {
    let path = prop::collection::vec(element(), 1..4);
    prop::collection::vec(path, 0..12).prop_map(|paths| {
        let mut set = FieldSet::new();
        for path in paths {
            set.insert(&path);
        }
        set
    })
}

proptest! {
    #[test]
    fn decode_of_encode_is_identity(set in set()) {
        let encoded = if set.is_empty() { json!({}) } else { set.encode() };
        prop_assert_eq!(&FieldSet::decode(&encoded).unwrap(), &set);
        let text: Value = serde_json::from_str(&set.encode_text()).unwrap();
        prop_assert_eq!(text, set.encode());
    }

    #[test]
    fn algebra(a in set(), b in set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.union(&a), a.clone());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert!(a.recursive_difference(&a).is_empty());
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        for path in a.union(&b).paths() {
            prop_assert!(a.has(&path.0) || b.has(&path.0));
            let below = b.paths().iter().any(|p| path.0.starts_with(&p.0));
            prop_assert_eq!(a.recursive_difference(&b).has(&path.0), a.has(&path.0) && !below);
        }
        prop_assert_eq!(a.len(), a.paths().len());
    }

    #[test]
    fn any_text_is_an_element_or_an_error(text in "\\PC{0,12}") {
        let _ = PathElement::decode(&text);
    }
}

#[test]
fn encoding() {
    let check = |fields: Value, text: &str| {
        let set = FieldSet::decode(&fields).unwrap();
        assert_eq!(set.encode_text(), text);
    };
    check(
        json!({"f:b": {}, "f:a": {".": {}, "f:x": {}}}),
        r#"{"f:a":{".":{},"f:x":{}},"f:b":{}}"#,
    );
    // Numbers in keys are ordered as numbers, keys go after names, values after keys.
    check(
        json!({"v:\"x\"": {}, "k:{\"port\":8080}": {}, "k:{\"port\":80}": {".": {}, "f:p": {}}, "f:z": {}}),
        r#"{"f:z":{},"k:{\"port\":80}":{".":{},"f:p":{}},"k:{\"port\":8080}":{},"v:\"x\"":{}}"#,
    );
    check(json!({"v:\"a<b\"": {}}), r#"{"v:\"a\\u003cb\"":{}}"#);
    // Unknown kinds of elements are dropped; a node of only those is a member.
    check(
        json!({"f:a": {"q:new": {}}, "q:other": {}}),
        r#"{"f:a":{}}"#,
    );
}

#[test]
fn broken_sets() {
    for (fields, message) in [
        (json!({"f": {}}), "key must be 2 characters long: f"),
        (json!({"fx": {}}), "missing colon: fx"),
        (json!({"f:a": 1}), "a field set is an object of objects"),
        (json!([]), "a field set is an object of objects"),
    ] {
        assert_eq!(FieldSet::decode(&fields).unwrap_err().to_string(), message);
    }
    assert!(FieldSet::decode(&json!({"k:{": {}})).is_err());
    assert!(FieldSet::decode(&json!({"i:x": {}})).is_err());
}

#[test]
fn paths_read_as_kubernetes_prints_them() {
    let set = FieldSet::decode(&json!({"f:spec": {"f:ports": {
        "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}, "f:set": {"v:\"a\\nb\"": {}}, "f:l": {"i:2": {}}}}))
    .unwrap();
    let paths: Vec<String> = set.paths().iter().map(ToString::to_string).collect();
    assert_eq!(
        paths,
        [
            ".spec.l[2]",
            r#".spec.ports[port=80,protocol="TCP"].name"#,
            r#".spec.set[="a\nb"]"#
        ]
    );
}
