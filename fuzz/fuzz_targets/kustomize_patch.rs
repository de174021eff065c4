//! Any patch of both kinds on a Deployment that is any but for its kind and name: never a panic.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidegate_kustomize::{BuildOptions, build};
use tidegate_render::MemoryTree;

fuzz_target!(|text: &str| {
    let (patch, spec) = text.split_once("\n%%\n").unwrap_or((text, "template: {spec: {containers: [{name: a, ports: [{containerPort: 1}]}]}}"));
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let object = format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n{indented}");
    let tree = MemoryTree::default()
        .with_file("kustomization.yaml", "resources: [d.yaml]\npatches:\n- path: p.yaml\n  target: {kind: Deployment}\n")
        .with_file("d.yaml", object)
        .with_file("p.yaml", patch);
    let _ = build(Arc::new(tree), "", &BuildOptions::default(), &Default::default());
});
