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

/// An object with a list of replacements or a patch, all of which refuse to grow without end.
fn grown(file: &str) -> String {
    let tree = MemoryTree::default()
        .with_file("kustomization.yaml", file)
        .with_file(
            "a.yaml",
            "apiVersion: v1\nkind: Thing\nmetadata: {name: a}\nspec: {a: {b: c}}\n",
        );
    refusal(tree, "")
}

#[test]
fn values_do_not_double_without_end() {
    let replacement = |n: usize| {
        format!(
            "- source: {{kind: Thing, fieldPath: spec}}\n  targets: [{{select: {{kind: Thing}}, fieldPaths: [spec.x{n}], options: {{create: true}}}}]\n"
        )
    };
    let all: String = (0..60).map(replacement).collect();
    let said = grown(&format!("resources: [a.yaml]\nreplacements:\n{all}"));
    assert!(said.contains("write more than 67108864 bytes"), "{said}");

    let copies: String = (0..60)
        .map(|n| format!("    - {{op: copy, from: /spec, path: /spec/x{n}}}\n"))
        .collect();
    let said = grown(&format!(
        "resources: [a.yaml]\npatches:\n- target: {{kind: Thing}}\n  patch: |-\n{copies}"
    ));
    assert!(said.contains("copies of more than"), "{said}");
}

#[test]
fn values_do_not_deepen_without_end() {
    let deep = ".d".repeat(100);
    let replacement = |_| {
        format!(
            "- source: {{kind: Thing, fieldPath: spec}}\n  targets: [{{select: {{kind: Thing}}, fieldPaths: [spec{deep}], options: {{create: true}}}}]\n"
        )
    };
    let all: String = (0..400).map(replacement).collect();
    let said = grown(&format!("resources: [a.yaml]\nreplacements:\n{all}"));
    assert!(said.contains("a value deeper than 512"), "{said}");

    let deep = ".d".repeat(200_000);
    let one = format!(
        "- source: {{kind: Thing, fieldPath: spec}}\n  targets: [{{select: {{kind: Thing}}, fieldPaths: [spec{deep}], options: {{create: true}}}}]\n"
    );
    let said = grown(&format!("resources: [a.yaml]\nreplacements:\n{one}"));
    assert!(said.contains("deeper than 128 fields"), "{said}");

    let spec = "commonLabels: {a: b}\nconfigurations: [c.yaml]\nresources: [a.yaml]\n".to_string();
    let tree = MemoryTree::default()
        .with_file("kustomization.yaml", spec)
        .with_file("a.yaml", MAP)
        .with_file(
            "c.yaml",
            format!(
                "commonLabels: [{{path: s{}, create: true}}]\n",
                "/d".repeat(200_000)
            ),
        );
    let said = refusal(tree, "");
    assert!(said.contains("more than 128 parts"), "{}", &said[..200]);

    let copies: String = (0..200)
        .map(|_| {
            format!(
                "    - {{op: copy, from: /spec, path: '/spec{}'}}\n",
                "/a".repeat(3)
            )
        })
        .collect();
    let patch = format!("    - {{op: add, path: /spec/a, value: {{a: {{a: {{}}}}}}}}\n{copies}");
    let said = grown(&format!(
        "resources: [a.yaml]\npatches:\n- target: {{kind: Thing}}\n  patch: |-\n{patch}"
    ));
    assert!(said.contains("a copy is deeper than 512"), "{said}");
}

#[test]
fn aliases_do_not_explode() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = n - 1;
        bomb.push_str(&format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{before}"); 9].join(", ")
        ));
    }
    for (file, object) in [
        ("resources: [a.yaml]\n".to_owned(), format!("{MAP}{bomb}")),
        (format!("resources: [a.yaml]\n{bomb}"), MAP.to_owned()),
        (
            "resources: [a.yaml]\npatches: [{path: p.yaml, target: {kind: ConfigMap}}]\n"
                .to_owned(),
            MAP.to_owned(),
        ),
    ] {
        let tree = MemoryTree::default()
            .with_file("kustomization.yaml", file)
            .with_file("a.yaml", object)
            .with_file("p.yaml", format!("{MAP}{bomb}"));
        refusal(tree, "");
    }
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
