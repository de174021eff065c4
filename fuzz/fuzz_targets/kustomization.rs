//! Any kustomization file beside any resource: a build never panics, and ends.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidegate_kustomize::{BuildOptions, build};
use tidegate_render::MemoryTree;

fuzz_target!(|text: &str| {
    let (file, resource) = text.split_once("\n%%\n").unwrap_or((text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"));
    let tree = MemoryTree::default()
        .with_file("kustomization.yaml", file)
        .with_file("a.yaml", resource)
        .with_file("b/kustomization.yaml", "resources: [../a.yaml]\n")
        .with_file("c.env", "A=1\nB\n");
    let _ = build(Arc::new(tree), "", &BuildOptions::default(), &Default::default());
});
