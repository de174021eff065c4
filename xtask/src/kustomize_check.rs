//! `cargo xtask kustomize-check`: builds kustomizations with our library and with the reference
//! program, and compares the bytes. Known differences are explained in the corpus' `accepted.txt`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tidegate_kustomize::{BuildOptions, LoadRestrictions, build};
use tidegate_manifest::Origin;
use tidegate_render::DirectoryTree;

use crate::{print, say};

/// The corpus of the repository.
const CORPUS: &str = "crates/tidegate-kustomize/tests/corpus";
/// Lines of a difference that are shown.
const SHOWN: usize = 12;

/// One kustomization to build.
struct Case {
    name: String,
    /// The directory whose files the build may see.
    root: PathBuf,
    /// The directory that is built, from the root.
    directory: String,
    /// Words that a failing build must say.
    words: Option<String>,
    flags: Vec<String>,
}

/// What came of a case.
enum Verdict {
    SameBytes,
    FailAlike,
    Differs(String),
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let mut program = None;
    let mut directories = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--kustomize" => program = words.next().map(PathBuf::from),
            directory => directories.push(PathBuf::from(directory)),
        }
    }
    let Some(program) = program.or_else(reference) else {
        say(
            "SKIPPED: no kustomize on PATH or among the peers; `cargo xtask peers install kustomize` obtains it",
        );
        return Ok(());
    };
    if directories.is_empty() {
        directories.push(PathBuf::from(CORPUS));
    }
    let mut unexplained = 0;
    for directory in &directories {
        unexplained += check(&program, directory)?;
    }
    if unexplained > 0 {
        bail!("{unexplained} differences without a reason in accepted.txt");
    }
    Ok(())
}

/// The reference program on PATH or among the peers.
fn reference() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push(crate::peers::bin());
    places
        .into_iter()
        .map(|place| place.join("kustomize"))
        .find(|file| file.is_file())
}

fn check(program: &Path, directory: &Path) -> Result<usize> {
    let accepted = accepted(directory)?;
    let cases = cases(directory)?;
    let (mut same, mut alike, mut explained, mut unexplained) = (0, 0, 0, 0);
    for case in &cases {
        match compare(program, case)? {
            Verdict::SameBytes => same += 1,
            Verdict::FailAlike => alike += 1,
            Verdict::Differs(how) => match accepted.get(&case.name) {
                Some(reason) => {
                    explained += 1;
                    print(&format!("accepted {}: {reason}", case.name));
                }
                None => {
                    unexplained += 1;
                    print(&format!("DIFFERS {}\n{how}", case.name));
                }
            },
        }
    }
    let outputs = cases.len() - alike;
    print(&format!(
        "{same} byte-equal of {outputs} that build, {alike} fail with the same words, {explained} accepted, {unexplained} unexplained, of {} in {}",
        cases.len(),
        directory.display()
    ));
    Ok(unexplained)
}

fn accepted(directory: &Path) -> Result<BTreeMap<String, String>> {
    let file = directory.join("accepted.txt");
    if !file.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(case, reason)| (case.to_owned(), reason.to_owned()))
        .collect())
}

/// A corpus has cases at depth two; of any other directory every kustomization is one.
fn cases(directory: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    if directory.join("accepted.txt").exists() {
        for group in subdirectories(directory)? {
            for root in subdirectories(&group)? {
                cases.push(corpus_case(directory, root)?);
            }
        }
    } else {
        find_kustomizations(directory, directory, &mut cases)?;
    }
    Ok(cases)
}

fn corpus_case(corpus: &Path, root: PathBuf) -> Result<Case> {
    let read = |name: &str| fs::read_to_string(root.join(name)).ok();
    let directory = if root.join("overlay").is_dir() {
        "overlay"
    } else {
        ""
    };
    let flags = read("flags.txt").unwrap_or_default();
    Ok(Case {
        name: root.strip_prefix(corpus)?.display().to_string(),
        directory: directory.to_owned(),
        words: read("error.txt").map(|words| words.trim_end_matches('\n').to_owned()),
        flags: flags.split_whitespace().map(str::to_owned).collect(),
        root,
    })
}

fn find_kustomizations(root: &Path, directory: &Path, cases: &mut Vec<Case>) -> Result<()> {
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    if names.iter().any(|name| directory.join(name).is_file()) {
        let inner = directory.strip_prefix(root)?.display().to_string();
        cases.push(Case {
            name: inner.clone(),
            root: root.to_owned(),
            directory: inner,
            words: Some(String::new()),
            flags: Vec::new(),
        });
    }
    for inner in subdirectories(directory)? {
        find_kustomizations(root, &inner, cases)?;
    }
    Ok(())
}

fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != ".git" {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn compare(program: &Path, case: &Case) -> Result<Verdict> {
    let reference = Command::new(program)
        .arg("build")
        .arg(case.root.join(&case.directory))
        .args(&case.flags)
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    let theirs = String::from_utf8_lossy(&reference.stdout);
    let said = String::from_utf8_lossy(&reference.stderr);
    let restrictions = if case.flags.iter().any(|flag| flag == "LoadRestrictionsNone") {
        LoadRestrictions::None
    } else {
        LoadRestrictions::RootOnly
    };
    let options = BuildOptions {
        restrictions,
        ..BuildOptions::default()
    };
    let tree = Arc::new(DirectoryTree::open(&case.root)?);
    let ours = build(tree, &case.directory, &options, &Origin::default());
    let verdict = match (reference.status.success(), ours) {
        (true, Ok(built)) => {
            let ours = built.to_yaml();
            if ours == theirs {
                Verdict::SameBytes
            } else {
                Verdict::Differs(difference(&theirs, &ours))
            }
        }
        (false, Err(diagnostics)) => {
            let words = case.words.clone().unwrap_or_default();
            let ours: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
            let ours = ours.join("\n");
            if said.contains(&words) && ours.contains(&words) && case.words.is_some() {
                Verdict::FailAlike
            } else {
                Verdict::Differs(format!(
                    "  wanted: {words}\n  theirs: {}\n  ours:   {ours}",
                    said.trim()
                ))
            }
        }
        (true, Err(diagnostics)) => {
            let ours: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
            Verdict::Differs(format!("  they build, we fail: {}", ours.join("\n")))
        }
        (false, Ok(_)) => Verdict::Differs(format!("  we build, they fail: {}", said.trim())),
    };
    Ok(verdict)
}

/// The lines between what two texts share at both ends.
fn difference(theirs: &str, ours: &str) -> String {
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.lines().collect());
    let front = theirs.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    let back = theirs[front..]
        .iter()
        .rev()
        .zip(ours[front..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let shown = |sign: &str, lines: &[&str]| -> String {
        let lines = &lines[front..lines.len() - back];
        lines
            .iter()
            .take(SHOWN)
            .map(|line| format!("  {sign} {line}\n"))
            .collect()
    };
    format!(
        "  at line {}\n{}{}",
        front + 1,
        shown("-", &theirs),
        shown("+", &ours)
    )
}
