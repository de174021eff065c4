//! Any JSON as `FieldsV1`: reading never panics, writing and reading again gives the same, the algebra keeps its laws.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_diff::fieldset::{FieldSet, PathElement};
use tidegate_diff::managed::Managers;

fuzz_target!(|text: &str| {
    let _ = PathElement::decode(text);
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let _ = Managers::decode(&value);
    let Ok(set) = FieldSet::decode(&value) else {
        return;
    };
    let written: Value = serde_json::from_str(&set.encode_text()).expect("it writes JSON");
    let again = FieldSet::decode(&written).expect("what is written can be read");
    assert_eq!(again, set);
    assert_eq!(set.union(&set), set);
    assert_eq!(set.intersection(&set), set);
    assert!(set.difference(&set).is_empty());
    assert!(set.recursive_difference(&set).is_empty());
    assert_eq!(set.paths().len(), set.len());
    let leaves = set.leaves();
    assert_eq!(leaves.intersection(&set), leaves);
});
