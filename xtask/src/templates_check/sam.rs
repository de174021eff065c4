//! SAM templates: ours against `aws-sam-translator`, one process for all of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{AwsEnvironment, DirectoryTree};
use tidegate_serverless::Template;
use tidegate_serverless::sam::{SamOptions, transform};

use super::normal::without_order;
use super::{Compared, Options, Outcome, peer, record, subdirectories};

const ORACLE: &str = include_str!("oracle.py");

/// A template with its parameters.
struct Case {
    name: String,
    file: PathBuf,
    /// The folder of a case of a corpus; none for a loose file.
    directory: Option<PathBuf>,
    region: String,
    parameters: BTreeMap<String, String>,
}

pub(super) fn compare(directory: &Path, options: &Options) -> Result<Option<Vec<Compared>>> {
    let python = crate::peers::bin().join("../aws/bin/python");
    let Some(python) = peer(python, "aws-sam-translator", "aws") else {
        return Ok(None);
    };
    let cases = cases(directory, &options.region)?;
    let mut oracle = Oracle::start(&python)?;
    let mut compared = Vec::new();
    for case in cases {
        let (packed, ours) = ours(&case)?;
        let theirs = oracle.ask(&case, &packed)?;
        if let Some(directory) = case.directory.as_ref().filter(|_| options.record) {
            record(directory, &theirs)?;
        }
        compared.push(Compared {
            name: case.name,
            theirs,
            ours,
        });
    }
    oracle.end()?;
    Ok(Some(compared))
}

/// Folders with a `template.yaml`, and loose templates.
fn cases(directory: &Path, region: &str) -> Result<Vec<Case>> {
    let mut found = Vec::new();
    for inner in subdirectories(directory)? {
        let file = inner.join("template.yaml");
        if file.is_file() {
            found.push(case(file, Some(inner), region)?);
        }
    }
    let entries =
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_template = matches!(extension, Some("yaml" | "yml" | "json" | "template"));
        if path.is_file() && is_template && !path.ends_with("parameters.json") {
            files.push(path);
        }
    }
    files.sort();
    for file in files {
        found.push(case(file, None, region)?);
    }
    Ok(found)
}

fn case(file: PathBuf, directory: Option<PathBuf>, region: &str) -> Result<Case> {
    let beside = file.with_file_name("parameters.json");
    let mut parameters: BTreeMap<String, String> = if beside.is_file() {
        serde_json::from_slice(&fs::read(&beside)?)
            .with_context(|| format!("reading {}", beside.display()))?
    } else {
        BTreeMap::new()
    };
    let region = parameters
        .remove("AWS::Region")
        .unwrap_or_else(|| region.to_owned());
    let named = directory.as_ref().unwrap_or(&file);
    let name = named.file_name().unwrap_or_default();
    Ok(Case {
        name: name.to_string_lossy().into_owned(),
        file,
        directory,
        region,
        parameters,
    })
}

/// Our outcome, and the template with its local code packaged.
fn ours(case: &Case) -> Result<(Value, Outcome)> {
    let bytes = fs::read(&case.file).with_context(|| format!("reading {}", case.file.display()))?;
    let told = |found: Vec<Diagnostic>| {
        let errors = found.into_iter().filter(Diagnostic::is_error);
        Outcome::Errors(errors.map(|found| found.message).collect())
    };
    let template = match Template::parse(&bytes, &Origin::default()) {
        Ok(template) => template,
        Err(found) => return Ok((Value::Null, told(found))),
    };
    let root = case.file.parent().context("a file lies in a folder")?;
    let tree = DirectoryTree::open(root)?;
    let (template, packed) = tidegate_serverless::pack_local(&template, &tree, "");
    if case.directory.is_some() && packed.diagnostics.iter().any(Diagnostic::is_error) {
        return Ok((template.body.clone(), told(packed.diagnostics)));
    }
    let environment = AwsEnvironment {
        region: case.region.clone(),
        parameters: case.parameters.clone(),
        ..AwsEnvironment::default()
    };
    let ours = match transform(&template, &SamOptions::of(&environment)) {
        Ok((transformed, _)) => Outcome::Template(without_order(&transformed.body)),
        Err(found) => told(found),
    };
    Ok((template.body, ours))
}

/// The reference, one process.
struct Oracle {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start(python: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", ORACLE])
            .env("PYTHONWARNINGS", "ignore")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("running {}", python.display()))?;
        let answers = child.stdout.take().context("the oracle's output")?;
        Ok(Self {
            child,
            answers: BufReader::new(answers),
        })
    }

    fn ask(&mut self, case: &Case, packed: &Value) -> Result<Outcome> {
        let request = json!({"file": case.file, "region": case.region,
            "parameters": case.parameters, "packed": packed});
        let stdin = self.child.stdin.as_mut().context("the oracle's input")?;
        writeln!(stdin, "{request}").context("asking the oracle")?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("hearing the oracle")?;
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("the oracle ended at {}", case.name))?;
        if let Some(template) = answer.get("template") {
            return Ok(Outcome::Template(without_order(template)));
        }
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.map(|text| text.as_str().unwrap_or_default().to_owned())
                .collect()
        };
        match (answer.get("errors"), answer.get("crash")) {
            (Some(errors), _) => Ok(Outcome::Errors(texts(errors))),
            (None, Some(crash)) => Ok(Outcome::Errors(vec![format!("CRASH {crash}")])),
            (None, None) => bail!("the oracle said {line:?}"),
        }
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().context("ending the oracle")?;
        Ok(())
    }
}
