//! Services against what `osls package` made of them, without the tool.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{AwsEnvironment, DirectoryTree, FileTree};
use tidegate_serverless::service::{Composed, compose};

/// `--stage`, `--region`, `--param key=value`, and every other `--name value`.
fn environment(flags: &str) -> AwsEnvironment {
    let mut environment = AwsEnvironment::default();
    let mut options = BTreeMap::new();
    let words: Vec<&str> = flags.split_whitespace().collect();
    for pair in words.chunks(2) {
        let (name, value) = (pair[0].trim_start_matches('-'), pair[1].to_owned());
        match name {
            "stage" => environment.stage = Some(value),
            "region" => environment.region = value,
            "param" => {
                let (key, value) = value.split_once('=').unwrap();
                environment
                    .parameters
                    .insert(key.to_owned(), value.to_owned());
            }
            other => {
                options.insert(other.to_owned(), value);
            }
        }
    }
    environment.options = options;
    environment
}

fn composed(root: &Path) -> Composed {
    let file = ["serverless.yml", "serverless.yaml", "serverless.json"]
        .into_iter()
        .find(|file| root.join(file).is_file())
        .unwrap();
    let bytes = fs::read(root.join(file)).unwrap();
    let tree: Arc<dyn FileTree> = Arc::new(DirectoryTree::open(root).unwrap());
    let flags = fs::read_to_string(root.join("flags.txt")).unwrap_or_default();
    let origin = Origin {
        path: file.to_owned(),
        ..Origin::default()
    };
    compose(&tree, file, &bytes, &environment(&flags), &origin)
}

/// What differs from what is expected, in a line.
fn difference(root: &Path) -> Option<String> {
    let composed = composed(root);
    let errors: Vec<&Diagnostic> = composed
        .diagnostics
        .iter()
        .filter(|found| found.is_error())
        .collect();
    let said: Vec<&str> = errors.iter().map(|found| found.message.as_str()).collect();
    let said = said.join("\n");
    if let Ok(wanted) = fs::read_to_string(root.join("error.txt")) {
        let missing = wanted.lines().find(|line| !said.contains(line));
        let silent = errors.iter().find(|found| found.help.is_none());
        return missing
            .map(|line| format!("says {said:?}, not {line:?}"))
            .or_else(|| silent.map(|found| format!("{} has no help", found.message)));
    }
    let expected = fs::read(root.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    match composed.template {
        Some(template) if errors.is_empty() => {
            let ours = crate::normal::normalised(&template.body);
            (ours != expected).then(|| first_difference("", &ours, &expected))
        }
        _ => Some(format!("is refused: {said}")),
    }
}

fn first_difference(path: &str, ours: &Value, theirs: &Value) -> String {
    if let (Value::Object(a), Value::Object(b)) = (ours, theirs) {
        for key in a.keys().chain(b.keys()) {
            if a.get(key) != b.get(key) {
                let none = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                return first_difference(&format!("{path}/{key}"), a, b);
            }
        }
    }
    format!("{path}: {ours} is not {theirs}")
}

#[test]
fn services_give_the_templates_of_the_framework() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services");
    let accepted = fs::read_to_string(folder.join("accepted.txt")).unwrap_or_default();
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let root = entry.unwrap().path();
        let name = root.file_name().unwrap().to_string_lossy().into_owned();
        let has_expectation =
            root.join("expected.json").exists() || root.join("error.txt").exists();
        if !root.is_dir() || !has_expectation {
            continue;
        }
        count += 1;
        if let Some(what) = difference(&root) {
            let is_accepted = accepted
                .lines()
                .any(|line| line.starts_with(&format!("{name}:")));
            if !is_accepted {
                wrong.push(format!("{name}: {what}"));
            }
        }
    }
    assert!(count >= 60, "only {count} services have an expectation");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_service_gives_the_same_template() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/function-settings");
    let (one, two) = (composed(&root), composed(&root));
    assert_eq!(one.template.unwrap().body, two.template.unwrap().body);
    assert_eq!(one.archives, two.archives);
}
