//! Any replacements between two objects with lists, maps and texts that hold JSON: never a panic.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidegate_kustomize::{BuildOptions, build};
use tidegate_render::MemoryTree;

const OBJECTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {l: m}}
data: {text: 'a:b:c', json: '{\"x\": [1, {\"y\": null}]}', yaml: \"k: [v]\\n\"}
---
apiVersion: e/v1
kind: Thing
metadata: {name: t}
spec: {list: [{name: x, v: 1}, {name: y}], empty: null, n: 5}
";

fuzz_target!(|text: &str| {
    let tree = MemoryTree::default()
        .with_file("kustomization.yaml", "resources: [o.yaml]\nreplacements:\n- path: r.yaml\n")
        .with_file("o.yaml", OBJECTS)
        .with_file("r.yaml", text);
    let _ = build(Arc::new(tree), "", &BuildOptions::default(), &Default::default());
});
