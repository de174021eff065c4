//! Any text as a jq path, a JSON pointer or a JSONPath: no panic, and bounded work on an object.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidegate_diff::ignore::IgnoreRules;
use tidegate_diff::ignore::jq::PathExpression;
use tidegate_manifest::IgnoreDifference;

// The columns of custom resources; the module stands alone.
#[path = "../../crates/tidegate-sandbox-kubernetes/src/table/jsonpath.rs"]
#[allow(dead_code, unreachable_pub)]
mod jsonpath;

static OBJECT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "annotations": {"x/y": "1"}},
        "spec": {"replicas": 3, "none": null, "template": {"spec": {"containers": [
            {"name": "a", "image": "x:1", "ports": [{"containerPort": 80}]}, {"name": "b", "env": []}]}}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
});

fuzz_target!(|text: &str| {
    if let Ok(path) = PathExpression::parse(text) {
        let _ = path.paths(&OBJECT);
    }
    if let Ok(path) = jsonpath::Path::parse(text) {
        let _ = path.first(&OBJECT);
    }
    let rule = IgnoreDifference {
        group: "*".to_owned(),
        kind: "*".to_owned(),
        json_pointers: vec![text.to_owned()],
        jq_path_expressions: vec![text.to_owned()],
        ..IgnoreDifference::default()
    };
    if let Ok(rules) = IgnoreRules::compile(&[rule]) {
        let (mut target, mut live) = (OBJECT.clone(), OBJECT.clone());
        rules.apply(None, &mut target, &mut live);
        assert_eq!(target, live);
    }
});
