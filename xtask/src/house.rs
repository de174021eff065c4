//! The rules of the house that a machine can keep: how files open, how long they are, what must not stand in them, which links and
//! codes must lead somewhere. Tests only; the floors are in `floors`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest Rust file, in lines.
const LINES_MAX: usize = 1_000;

/// A file of the repository.
struct Kept {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}

/// Every text file under version control.
fn kept() -> Vec<Kept> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git is installed (CONTRIBUTING.md)");
    assert!(output.status.success(), "the house is checked in a clone");
    let names = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let read = |path: &str| {
        // A file that was removed and not committed yet, or that is no text, has nothing to check.
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        Some(Kept {
            path: path.to_owned(),
            text,
        })
    };
    let found: Vec<Kept> = names.split('\0').filter_map(read).collect();
    assert!(found.len() > 100, "the whole repository is seen");
    found
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

/// What is wrong with a Rust file.
fn faults_of_code(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{path} does not open with //!"));
    }
    if path.ends_with("/mod.rs") {
        faults.push(format!("{path}: modules are flat, NAME.rs beside NAME/"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push(format!("{path} has {lines} lines"));
    }
    for (number, line) in text.lines().enumerate() {
        for word in [
            concat!("to", "do!("),
            concat!("un", "implemented!("),
            concat!("#[ig", "nore"),
        ] {
            if line.contains(word) && !line.trim_start().starts_with("//") {
                faults.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    faults
}

#[test]
fn code_keeps_the_house_style() {
    let files = kept();
    let code = files.iter().filter(|file| file.path.ends_with(".rs"));
    let faults: Vec<String> = code
        .flat_map(|file| faults_of_code(&file.path, &file.text))
        .collect();
    assert_none("the house style does not hold", &faults);
}

#[test]
fn broken_style_is_found() {
    let long = format!("//! Doc.\n{}", "fn f() {}\n".repeat(LINES_MAX));
    let unfinished = format!("//! Doc.\nfn f() {{ {}); }}\n", concat!("to", "do!("));
    let ignored = format!("//! Doc.\n{}]\n", concat!("#[ig", "nore"));
    for (path, text) in [
        ("a/src/lib.rs", "fn f() {}"),
        ("a/src/b/mod.rs", "//! Doc.\n"),
        ("a/src/lib.rs", &long),
        ("a/src/lib.rs", &unfinished),
        ("a/src/lib.rs", &ignored),
    ] {
        assert_eq!(faults_of_code(path, text).len(), 1, "{path}");
    }
    assert!(faults_of_code("a/src/lib.rs", "//! Doc.\nfn f() {}\n").is_empty());
}

/// Paths of one person's machine in a text.
fn places_of_a_machine(text: &str) -> Vec<&str> {
    let folders = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
    ];
    let is_path_before =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '~');
    let stands = |line: &str| {
        folders.iter().any(|folder| {
            line.match_indices(folder)
                .any(|(at, _)| !line[..at].ends_with(is_path_before))
        })
    };
    text.lines().filter(|line| stands(line)).collect()
}

#[test]
fn nothing_names_a_place_of_one_machine() {
    let mut faults = Vec::new();
    for file in kept() {
        let found = places_of_a_machine(&file.text);
        faults.extend(
            found
                .iter()
                .map(|line| format!("{}: {}", file.path, line.trim())),
        );
    }
    assert_none("paths of one machine", &faults);
}

#[test]
fn a_place_of_one_machine_is_found() {
    assert_eq!(
        places_of_a_machine(concat!("cd /wo", "rk/main\nsrc/wo", "rk/a.rs\n")).len(),
        1
    );
    assert_eq!(
        places_of_a_machine(concat!("\"/ro", "ot/.cache\"")).len(),
        1
    );
    assert!(places_of_a_machine("/roots/a /workloads/b apis/home").is_empty());
}

/// Targets of the links in a page, `[text](target)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if let Some((_, rest)) = line.split_once("{{#include ") {
            let file = rest.split(['}', ':']).next().unwrap_or_default();
            found.push(file.to_owned());
        }
        // Words in backquotes are no links: every second piece is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        if is_code || line.starts_with("    ") {
            continue;
        }
        let ends = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
        found.extend(ends.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    let files = kept();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let at = root().join(&file.path);
        let folder = at.parent().expect("a file lies in a folder");
        for link in links(&file.text) {
            let target = link.split('#').next().unwrap_or_default();
            if !link.contains("://")
                && !link.starts_with("mailto:")
                && !folder.join(target).exists()
            {
                faults.push(format!("{}: {link}", file.path));
            }
        }
    }
    assert_none("links that lead nowhere", &faults);
}

#[test]
fn links_are_found() {
    let text = "see [a](b.md) and [c](d/e.md#f), not `[g](h)`\n{{#include ../x/y.rs:8:30}}\n```\n[k](l)\n```\n    [m](n)\n";
    assert_eq!(links(text), ["b.md", "d/e.md#f", "../x/y.rs"]);
}

/// Codes of messages (`TG` and four digits) in a text.
fn codes(text: &str) -> BTreeSet<String> {
    let starts = text
        .match_indices("TG")
        .filter_map(|(at, _)| text.get(at..at + 6));
    starts
        .filter(|code| code.as_bytes()[2..].iter().all(u8::is_ascii_digit))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_code_is_explained() {
    let files = kept();
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    let is_product = |path: &str| {
        (path.starts_with("crates/") || path.starts_with("bins/")) && path.contains("/src/")
    };
    for file in files
        .iter()
        .filter(|file| file.path.ends_with(".rs") && is_product(&file.path))
    {
        for code in codes(&file.text) {
            used.entry(code).or_insert_with(|| file.path.clone());
        }
    }
    let page = std::fs::read_to_string(root().join("docs/src/messages.md"))
        .expect("the page of codes is there");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| TG"))
        .collect();
    let explained: BTreeSet<String> = rows.iter().map(|row| format!("TG{}", &row[..4])).collect();
    assert_eq!(
        rows.len(),
        explained.len(),
        "a code stands once in the page"
    );
    let mut faults: Vec<String> = Vec::new();
    let missing = used.iter().filter(|(code, _)| !explained.contains(*code));
    faults.extend(
        missing.map(|(code, path)| format!("{code} of {path} is not in docs/src/messages.md")),
    );
    let gone = explained.iter().filter(|code| !used.contains_key(*code));
    faults.extend(gone.map(|code| format!("{code} of docs/src/messages.md is in no code")));
    assert_none("codes", &faults);
}

#[test]
fn codes_are_found() {
    let found = codes("error[TG0102], \"TG1308\", TG01, TG0abc");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["TG0102", "TG1308"]);
}
