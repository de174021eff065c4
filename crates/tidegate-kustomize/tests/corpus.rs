//! Builds every case of the corpus and compares with what the real program gave: `expected.yaml`, or
//! the words of `error.txt`. `cargo xtask kustomize-check` compares with the program itself.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_kustomize::{BuildOptions, LoadRestrictions, build};
use tidegate_render::DirectoryTree;

fn directories(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// What is wrong with a case, if anything.
fn mistake(case: &Path) -> Option<String> {
    let read = |name: &str| fs::read_to_string(case.join(name)).ok();
    let directory = if case.join("overlay").is_dir() {
        "overlay"
    } else {
        ""
    };
    let restrictions = match read("flags.txt") {
        Some(flags) if flags.contains("LoadRestrictionsNone") => LoadRestrictions::None,
        _ => LoadRestrictions::RootOnly,
    };
    let options = BuildOptions {
        restrictions,
        ..BuildOptions::default()
    };
    let tree = Arc::new(DirectoryTree::open(case).unwrap());
    let built = build(tree, directory, &options, &Default::default());
    match (built, read("expected.yaml"), read("error.txt")) {
        (Ok(built), Some(expected), None) => {
            let text = built.to_yaml();
            (text != expected).then(|| format!("expected\n{expected}\nfound\n{text}"))
        }
        (Err(diagnostics), None, Some(words)) => {
            let said: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
            let said = said.join("\n");
            (!said.contains(words.trim_end_matches('\n'))).then_some(said)
        }
        (Ok(_), ..) => Some("it builds".to_owned()),
        (Err(diagnostics), ..) => Some(format!("{diagnostics:?}")),
    }
}

#[test]
fn cases_build_to_what_kustomize_gives() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let accepted = fs::read_to_string(corpus.join("accepted.txt")).unwrap();
    let accepted: Vec<&str> = accepted
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    let (mut count, mut mistakes) = (0, Vec::new());
    for group in directories(&corpus) {
        for case in directories(&group) {
            count += 1;
            let name = case.strip_prefix(&corpus).unwrap().display().to_string();
            match mistake(&case) {
                Some(_) if accepted.contains(&name.as_str()) => {}
                Some(how) => mistakes.push(format!("{name}: {how}")),
                None => assert!(
                    !accepted.contains(&name.as_str()),
                    "{name} is accepted in vain"
                ),
            }
        }
    }
    assert!(count >= 400, "only {count} cases were found");
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n\n"));
}
