//! Input that is broken, hostile or endless: an answer in words, in bounded time.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use proptest::prelude::*;
use tidegate_kustomize::{BuildOptions, Built, build};
use tidegate_manifest::Diagnostic;
use tidegate_render::MemoryTree;

fn made(tree: MemoryTree, directory: &str) -> Result<Built, Vec<Diagnostic>> {
    build(
        Arc::new(tree),
        directory,
        &BuildOptions::default(),
        &Default::default(),
    )
}

fn refusal(tree: MemoryTree, directory: &str) -> String {
    let diagnostics = made(tree, directory).unwrap_err();
    diagnostics
        .iter()
        .map(|d| format!("{}: {}\n", d.origin.path, d.message))
        .collect()
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

#[test]
fn endless_trees_end() {
    let mut tree = MemoryTree::default();
    for level in 0..40 {
        let next = level + 1;
        for side in ["l", "r"] {
            let file = format!("resources: [../l{next}, ../r{next}]\nnamePrefix: {side}-\n");
            tree = tree.with_file(&format!("{side}{level}/kustomization.yaml"), file);
        }
    }
    for side in ["l", "r"] {
        tree = tree
            .with_file(
                &format!("{side}40/kustomization.yaml"),
                format!("resources: [a.yaml]\nnamePrefix: {side}-\n"),
            )
            .with_file(&format!("{side}40/a.yaml"), MAP);
    }
    let said = refusal(tree, "l0");
    assert!(
        said.contains("more than 100000 objects"),
        "{}",
        &said[said.len() - 200..]
    );
}

#[test]
fn wide_trees_end() {
    let mut tree = MemoryTree::default();
    let mut root = "resources:\n".to_owned();
    for n in 0..10_000 {
        root.push_str(&format!("- d{n}\n"));
        tree = tree
            .with_file(
                &format!("d{n}/kustomization.yaml"),
                format!("resources: [a.yaml]\nnameSuffix: -s{n}\n"),
            )
            .with_file(&format!("d{n}/a.yaml"), MAP);
    }
    let tree = tree.with_file("kustomization.yaml", root);
    let said = refusal(tree, "");
    assert!(
        said.contains("more than 10000 kustomizations are read"),
        "{}",
        &said[said.len().saturating_sub(300)..]
    );
}

#[test]
fn deep_nesting_ends() {
    let mut tree = MemoryTree::default();
    for level in 0..100 {
        let next = level + 1;
        tree = tree.with_file(
            &format!("d{level}/kustomization.yaml"),
            format!("resources: [../d{next}]\n"),
        );
    }
    assert!(refusal(tree, "d0").contains("nested in one another"));
}

#[test]
fn files_stay_inside() {
    for entry in [
        "../../secret.yaml",
        "/etc/passwd",
        "https://example.com/a.yaml",
        "github.com/o/r?ref=v1",
        "link.yaml",
    ] {
        let tree = MemoryTree::default()
            .with_file("secret.yaml", MAP)
            .with_link("app/link.yaml", "../secret.yaml")
            .with_file(
                "app/kustomization.yaml",
                format!("resources: ['{entry}']\n"),
            );
        let said = refusal(tree, "app");
        assert!(said.contains("accumulating resources"), "{said}");
    }
}

#[test]
fn long_merged_lists_end() {
    let items: String = (0..5000)
        .map(|n| format!("      - {{name: v{n}}}\n"))
        .collect();
    let object = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  template:\n    spec:\n      volumes:\n{items}"
    );
    let tree = MemoryTree::default()
        .with_file("kustomization.yaml", "resources: [d.yaml]\npatches:\n- patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 1}}'\n")
        .with_file("d.yaml", object);
    assert!(refusal(tree, "").contains("a merged list has more than 4096 elements"));
}

#[test]
fn places_are_named() {
    let tree = MemoryTree::default()
        .with_file(
            "app/kustomization.yaml",
            "resources: [a.yaml]\nresource: []\n",
        )
        .with_file("app/a.yaml", MAP);
    let diagnostic = made(tree, "app").unwrap_err().remove(0);
    assert_eq!(
        (diagnostic.origin.path.as_str(), diagnostic.origin.line),
        ("app/kustomization.yaml", 2)
    );
    assert_eq!(
        diagnostic.message,
        "invalid Kustomization: json: unknown field \"resource\""
    );
}

proptest! {
    #[test]
    fn nothing_panics(file in "(resources|patches|labels|vars|images|replacements): ?(\n|\\[|- |[a-z{}:, \\[\\]$#*&]){0,40}", object in "(\\PC|\n){0,60}") {
        let tree = MemoryTree::default()
            .with_file("kustomization.yaml", file)
            .with_file("a.yaml", object)
            .with_file("b", MAP);
        let _ = made(tree, "");
    }
}
