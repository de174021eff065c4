//! The SAM transform against what the reference made of the same templates; `cargo xtask
//! templates-check --sam --record` writes the expectations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{AwsEnvironment, DirectoryTree};
use tidegate_serverless::Template;
use tidegate_serverless::sam::{SamOptions, transform};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates");

/// The transformed template, or the words of all mistakes, sorted.
fn outcome(case: &Path) -> Result<Value, Vec<String>> {
    let words = |found: Vec<Diagnostic>| {
        let errors = found.into_iter().filter(Diagnostic::is_error);
        let mut words: Vec<String> = errors.map(|found| found.message).collect();
        words.sort();
        words
    };
    let bytes = fs::read(case.join("template.yaml")).unwrap();
    let template = Template::parse(&bytes, &Origin::default()).map_err(words)?;
    let tree = DirectoryTree::open(case).unwrap();
    let (template, packed) = tidegate_serverless::pack_local(&template, &tree, "");
    assert_eq!(packed.diagnostics, [], "{}", case.display());
    let parameters = fs::read(case.join("parameters.json")).unwrap_or_else(|_| b"{}".to_vec());
    let mut parameters: BTreeMap<String, String> = serde_json::from_slice(&parameters).unwrap();
    let region = parameters.remove("AWS::Region");
    let environment = AwsEnvironment {
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        parameters,
        ..AwsEnvironment::default()
    };
    let (transformed, _) = transform(&template, &SamOptions::of(&environment)).map_err(words)?;
    Ok(crate::normal::without_order(&transformed.body))
}

#[test]
fn templates_become_what_the_reference_makes_of_them() {
    let accepted = fs::read_to_string(Path::new(CORPUS).join("accepted.txt")).unwrap();
    let accepted: Vec<&str> = accepted
        .lines()
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    let (mut compared, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(CORPUS).unwrap() {
        let case = entry.unwrap().path();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if !case.is_dir() || accepted.contains(&name.as_str()) {
            continue;
        }
        let outcome = outcome(&case);
        let is_equal = match fs::read(case.join("expected.json")) {
            Ok(expected) => {
                let expected: Value = serde_json::from_slice(&expected).unwrap();
                outcome.as_ref() == Ok(&crate::normal::without_order(&expected))
            }
            Err(_) => {
                let words = fs::read_to_string(case.join("error.txt")).unwrap();
                let words = words.trim_end_matches('\n');
                outcome
                    .as_ref()
                    .err()
                    .map(|ours| ours.join("\n"))
                    .as_deref()
                    == Some(words)
            }
        };
        compared += 1;
        if !is_equal {
            wrong.push(format!("{name}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 120, "only {compared} templates were compared");
}

/// What is refused on purpose says so, and names the resource.
#[test]
fn what_is_out_of_scope_is_refused_in_words() {
    for (case, id) in [
        ("api_refused", "A"),
        ("embedded_connectors_refused", "C"),
        ("events_api_refused", "Worker"),
    ] {
        let words = outcome(&Path::new(CORPUS).join(case)).unwrap_err();
        let named = format!("Resource with id [{id}] is invalid.");
        let found = words.iter().find(|word| word.starts_with(&named));
        assert!(
            found.is_some_and(|word| word.contains("not transformed by this build")),
            "{case}: {words:?}"
        );
    }
}
