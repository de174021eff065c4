//! Services: ours against `osls package` (or another program with its command line).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{AwsEnvironment, DirectoryTree, FileTree};

use super::normal::normalised;
use super::{Compared, Options, Outcome, peer, record, subdirectories};
use crate::say;

/// Names of a service's file.
const FILES: &[&str] = &["serverless.yml", "serverless.yaml", "serverless.json"];
/// Where moto listens while services with layers are packaged.
const MOTO_PORT: u16 = 15_077;

pub(super) fn compare(directory: &Path, options: &Options) -> Result<Option<Vec<Compared>>> {
    let named = options.program.clone();
    let known = || peer(crate::peers::bin().join("osls"), "osls", "serverless");
    let Some(program) = named.or_else(known) else {
        return Ok(None);
    };
    let scratch = std::env::temp_dir().join(format!("templates-check-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let compared = compare_all(directory, options, &program, &scratch);
    fs::remove_dir_all(&scratch)?;
    compared.map(Some)
}

fn compare_all(
    directory: &Path,
    options: &Options,
    program: &Path,
    scratch: &Path,
) -> Result<Vec<Compared>> {
    let mut moto = None;
    let mut compared = Vec::new();
    for root in cases(directory)? {
        let Some(file) = FILES.iter().find(|file| root.join(file).is_file()) else {
            continue;
        };
        let text = fs::read_to_string(root.join(file))?;
        if text.lines().any(|line| line.starts_with("layers:")) && moto.is_none() {
            moto = start_moto(scratch);
        }
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        let flags = fs::read_to_string(root.join("flags.txt")).unwrap_or_default();
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let wanted = fs::read_to_string(root.join("error.txt")).ok();
        let theirs = theirs(program, &root, &flags, scratch, wanted.as_deref())?;
        let ours = ours(&root, file, &flags, options, wanted.as_deref())?;
        if options.record {
            record(&root, &theirs)?;
        }
        compared.push(Compared {
            name: name.into_owned(),
            theirs,
            ours,
        });
    }
    if moto.is_some() {
        crate::peers::run(&["stop", &scratch.join("moto").display().to_string()])?;
    }
    Ok(compared)
}

fn start_moto(scratch: &Path) -> Option<()> {
    let place = scratch.join("moto").display().to_string();
    let port = MOTO_PORT.to_string();
    match crate::peers::run(&["start", "moto", &place, &port]) {
        Ok(()) => Some(()),
        Err(error) => {
            say(&format!(
                "moto is not there for services with layers: {error:#}"
            ));
            None
        }
    }
}

/// A service itself, or the services below a folder.
fn cases(directory: &Path) -> Result<Vec<PathBuf>> {
    if FILES.iter().any(|file| directory.join(file).is_file()) {
        return Ok(vec![directory.to_owned()]);
    }
    subdirectories(directory)
}

/// The reference writes into the service's folder: it gets a copy.
fn theirs(
    program: &Path,
    root: &Path,
    flags: &[&str],
    scratch: &Path,
    wanted: Option<&str>,
) -> Result<Outcome> {
    let copy = scratch.join("service");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_folder(root, &copy)?;
    for own in ["expected.json", "error.txt", "flags.txt"] {
        let file = copy.join(own);
        if file.exists() {
            fs::remove_file(file)?;
        }
    }
    let done = Command::new(program)
        .arg("package")
        .args(flags)
        .current_dir(&copy)
        .env("SLS_TELEMETRY_DISABLED", "1")
        .env("SLS_NOTIFICATIONS_MODE", "off")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{MOTO_PORT}"))
        .env("AWS_ACCESS_KEY_ID", "x")
        .env("AWS_SECRET_ACCESS_KEY", "y")
        .env("NO_COLOR", "1")
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    let file = copy.join(".serverless/cloudformation-template-update-stack.json");
    if done.status.success() && file.is_file() {
        let template: Value = serde_json::from_slice(&fs::read(&file)?)?;
        return Ok(Outcome::Template(normalised(&template)));
    }
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stderr),
        String::from_utf8_lossy(&done.stdout)
    );
    Ok(Outcome::Errors(vec![told(&said, wanted)]))
}

/// The words that matter of what was said: those that the case wants, if they are in it.
fn told(said: &str, wanted: Option<&str>) -> String {
    if let Some(wanted) = wanted.map(str::trim)
        && wanted.lines().all(|line| said.contains(line))
    {
        return wanted.to_owned();
    }
    let behind = said.split_once("Error:").map_or(said, |(_, rest)| rest);
    let lines = behind.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty());
    let is_trace = |line: &str| {
        line.starts_with("at ") && !line.starts_with("at '") && !line.starts_with("at root")
    };
    let end = |line: &&str| !is_trace(line) && !line.starts_with("Environment:");
    let lines = lines.take_while(end).filter_map(plain);
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.join("\n")
}

/// A line of a list of mistakes as if it were the only one; none for a line that is no mistake.
fn plain(line: &str) -> Option<String> {
    let is_frame = line.starts_with("Learn more about")
        || line == "Configuration error:"
        || (line.starts_with("Cannot resolve ") && line.ends_with("errored with:"));
    if is_frame {
        return None;
    }
    if line.starts_with("at '") || line.starts_with("at root") {
        return Some(format!("Configuration error {line}"));
    }
    let item = line.strip_prefix("- ").unwrap_or(line);
    Some(item.strip_suffix(',').unwrap_or(item).to_owned())
}

fn ours(
    root: &Path,
    file: &str,
    flags: &[&str],
    options: &Options,
    wanted: Option<&str>,
) -> Result<Outcome> {
    let bytes = fs::read(root.join(file))?;
    let tree: Arc<dyn FileTree> = Arc::new(DirectoryTree::open(root)?);
    let environment = environment(flags, &options.region);
    let origin = Origin {
        path: file.to_owned(),
        ..Origin::default()
    };
    let composed =
        tidegate_serverless::service::compose(&tree, file, &bytes, &environment, &origin);
    let errors: Vec<String> = composed
        .diagnostics
        .iter()
        .filter(|found| Diagnostic::is_error(found))
        .map(|found| found.message.clone())
        .collect();
    match composed.template {
        Some(template) if errors.is_empty() => Ok(Outcome::Template(normalised(&template.body))),
        Some(_) | None => Ok(Outcome::Errors(vec![told(&errors.join("\n"), wanted)])),
    }
}

/// `--stage`, `--region`, `--param key=value`, and every other `--name value`.
fn environment(flags: &[&str], region: &str) -> AwsEnvironment {
    let mut environment = AwsEnvironment {
        region: region.to_owned(),
        ..AwsEnvironment::default()
    };
    let mut flags = flags.iter();
    let mut options = BTreeMap::new();
    while let Some(flag) = flags.next() {
        let name = flag.trim_start_matches('-');
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (name, flags.next().copied().unwrap_or_default().to_owned()),
        };
        match name {
            "stage" | "s" => environment.stage = Some(value),
            "region" | "r" => {
                options.insert("region".to_owned(), value.clone());
                environment.region = value;
            }
            "param" => {
                if let Some((key, value)) = value.split_once('=') {
                    environment
                        .parameters
                        .insert(key.to_owned(), value.to_owned());
                }
            }
            other => {
                options.insert(other.to_owned(), value);
            }
        }
    }
    environment.options = options;
    environment
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
