//! `cargo xtask templates-check`: renders SAM templates and services of the Serverless Framework with
//! our library and with the reference tools, and compares what comes out, value by value.
//! Known differences are explained in a corpus' `accepted.txt`.

mod sam;
mod services;

#[path = "../../crates/tidegate-serverless/tests/corpora/normal.rs"]
pub(crate) mod normal;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{print, say};

/// The corpora of the repository.
const TEMPLATES: &str = "crates/tidegate-serverless/tests/templates";
const SERVICES: &str = "crates/tidegate-serverless/tests/services";
/// What our refusal of a type says.
const OUT_OF_SCOPE: &str = "not transformed by this build";
/// Differences of one case that are shown.
const SHOWN: usize = 12;

/// What a case becomes: a template, or what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Template(Value),
    Errors(Vec<String>),
}

/// What was asked for.
pub(crate) struct Options {
    /// Write what the reference gives beside each case.
    record: bool,
    /// The region of cases that name none.
    region: String,
    /// Another program than `osls` for services.
    program: Option<PathBuf>,
}

/// A case, and what both sides made of it.
pub(crate) struct Compared {
    name: String,
    theirs: Outcome,
    ours: Outcome,
}

impl Compared {
    /// Whether we refuse it because a type or an event is out of scope.
    fn is_out_of_scope(&self) -> bool {
        match &self.ours {
            Outcome::Template(_) => false,
            Outcome::Errors(errors) => errors.iter().any(|error| error.contains(OUT_OF_SCOPE)),
        }
    }
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (mut is_sam, mut is_services) = (false, false);
    let mut options = Options {
        record: false,
        region: "us-east-1".to_owned(),
        program: None,
    };
    let mut directories = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--sam" => is_sam = true,
            "--services" => is_services = true,
            "--record" => options.record = true,
            "--region" => {
                let region = words.next().context("--region needs a value")?;
                options.region = (*region).to_owned();
            }
            "--program" => options.program = words.next().map(PathBuf::from),
            flag if flag.starts_with("--") => bail!("unknown flag {flag}"),
            directory => directories.push(PathBuf::from(directory)),
        }
    }
    let is_both = is_sam == is_services;
    let mut unexplained = 0;
    if is_sam || is_both {
        unexplained += all(&directories, TEMPLATES, &options, sam::compare)?;
    }
    if is_services || is_both {
        unexplained += all(&directories, SERVICES, &options, services::compare)?;
    }
    if unexplained > 0 {
        bail!("{unexplained} differences without a reason in accepted.txt");
    }
    Ok(())
}

type Compare = fn(&Path, &Options) -> Result<Option<Vec<Compared>>>;

fn all(given: &[PathBuf], own: &str, options: &Options, compare: Compare) -> Result<usize> {
    let own = [PathBuf::from(own)];
    let directories = if given.is_empty() { &own[..] } else { given };
    let mut unexplained = 0;
    for directory in directories {
        match compare(directory, options)? {
            Some(cases) => unexplained += report(directory, &cases)?,
            None => return Ok(unexplained),
        }
    }
    Ok(unexplained)
}

/// Prints what differs; gives the number of differences without a reason.
fn report(directory: &Path, cases: &[Compared]) -> Result<usize> {
    let accepted = accepted(directory)?;
    let (mut equal, mut alike, mut explained, mut unexplained) = (0, 0, 0, 0);
    let mut out_of_scope = 0;
    for case in cases {
        let how = match differences(&case.theirs, &case.ours) {
            None if matches!(case.ours, Outcome::Template(_)) => {
                equal += 1;
                continue;
            }
            None => {
                alike += 1;
                continue;
            }
            Some(how) => how,
        };
        if case.is_out_of_scope() && !accepted.contains_key(&case.name) {
            out_of_scope += 1;
            continue;
        }
        match accepted.get(&case.name) {
            Some(reason) => {
                explained += 1;
                print(&format!("accepted {}: {reason}", case.name));
            }
            None => {
                unexplained += 1;
                print(&format!("DIFFERS {}\n{how}", case.name));
            }
        }
    }
    let outputs = cases.len() - alike - out_of_scope;
    print(&format!(
        "{equal} equal of {outputs} that render, {alike} refused with the same words, {out_of_scope} refused by us on purpose, {explained} accepted, {unexplained} unexplained, of {} in {}",
        cases.len(),
        directory.display()
    ));
    Ok(unexplained)
}

/// How two outcomes differ, if they do.
fn differences(theirs: &Outcome, ours: &Outcome) -> Option<String> {
    match (theirs, ours) {
        (Outcome::Template(theirs), Outcome::Template(ours)) => {
            let mut found = Vec::new();
            differ("", theirs, ours, &mut found);
            if found.is_empty() {
                return None;
            }
            let rest = found.len().saturating_sub(SHOWN);
            found.truncate(SHOWN);
            if rest > 0 {
                found.push(format!("  … and {rest} more"));
            }
            Some(found.join("\n"))
        }
        (Outcome::Errors(theirs), Outcome::Errors(ours)) => {
            let sorted = |list: &[String]| {
                let mut list = list.to_vec();
                list.sort();
                list
            };
            let (theirs, ours) = (sorted(theirs), sorted(ours));
            (theirs != ours).then(|| {
                let lines = |sign: &str, list: &[String], other: &[String]| -> String {
                    list.iter()
                        .filter(|line| !other.contains(line))
                        .map(|line| format!("  {sign} {line}\n"))
                        .collect()
                };
                format!(
                    "{}{}",
                    lines("-", &theirs, &ours),
                    lines("+", &ours, &theirs)
                )
            })
        }
        (Outcome::Template(_), Outcome::Errors(ours)) => {
            Some(format!("  they render, we refuse: {}", ours.join("\n    ")))
        }
        (Outcome::Errors(theirs), Outcome::Template(_)) => Some(format!(
            "  we render, they refuse: {}",
            theirs.join("\n    ")
        )),
    }
}

/// The places where two values differ.
fn differ(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                let below = format!("{path}/{key}");
                match b.get(key) {
                    Some(other) => differ(&below, value, other, found),
                    None => found.push(format!("  - {below} = {}", cut(value))),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                found.push(format!("  + {path}/{key} = {}", cut(value)));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (theirs, ours)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}/{index}"), theirs, ours, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!(
            "  {path}\n    theirs {}\n    ours   {}",
            cut(a),
            cut(b)
        )),
    }
}

fn cut(value: &Value) -> String {
    const LONGEST: usize = 400;
    let text = value.to_string();
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        format!("{short}…")
    } else {
        short
    }
}

fn accepted(directory: &Path) -> Result<BTreeMap<String, String>> {
    let file = directory.join("accepted.txt");
    if !file.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    Ok(pairs
        .map(|(case, reason)| (case.to_owned(), reason.to_owned()))
        .collect())
}

/// Writes the reference's outcome beside a case: `expected.json` or `error.txt`.
pub(crate) fn record(case: &Path, theirs: &Outcome) -> Result<()> {
    let (expected, error) = (case.join("expected.json"), case.join("error.txt"));
    let (written, stale, text) = match theirs {
        Outcome::Template(template) => {
            let text = serde_json::to_string_pretty(template)?;
            (expected, error, text)
        }
        Outcome::Errors(errors) => {
            let mut errors = errors.clone();
            errors.sort();
            (error, expected, errors.join("\n"))
        }
    };
    fs::write(&written, text + "\n").with_context(|| format!("writing {}", written.display()))?;
    if stale.exists() {
        fs::remove_file(&stale).with_context(|| format!("removing {}", stale.display()))?;
    }
    Ok(())
}

/// Folders in a folder, by name.
pub(crate) fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>> {
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

/// A program of the peers, or why nothing is compared.
pub(crate) fn peer(file: PathBuf, name: &str, install: &str) -> Option<PathBuf> {
    if file.is_file() {
        return Some(file);
    }
    say(&format!(
        "SKIPPED: no {name} among the peers; `cargo xtask peers install {install}` obtains it"
    ));
    None
}
