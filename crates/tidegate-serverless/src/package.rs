//! Archives of code: the same files give the same bytes. Nothing is built.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tidegate_render::walk::{Resolved, join, resolve, unsafe_name};
use tidegate_render::{Artifact, EntryKind, FileTree};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Most bytes of an unpacked archive: Lambda's limit.
pub const UNPACKED_MAX: u64 = 250 << 20;
/// Most files of an archive.
pub const FILES_MAX: usize = 50_000;
/// Deepest folder that is packed.
const DEPTH_MAX: usize = 64;

/// What goes into an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSpec {
    /// The folder whose files are packed, from the tree's root; a file is taken as it is.
    pub path: String,
    /// Ordered globs over paths below the folder: `!` in front excludes, later ones win. Empty: all.
    pub patterns: Vec<String>,
}

/// Packs a folder, or takes an artefact as it is.
///
/// # Errors
/// In words: what is missing or too large, and what to do.
pub fn archive(tree: &dyn FileTree, spec: &ArchiveSpec) -> Result<Artifact, (String, String)> {
    let path = spec.path.trim_start_matches("./").trim_matches('/');
    match resolve(tree, path) {
        Ok(Resolved::File(place)) => {
            let bytes = tree
                .read(&place, UNPACKED_MAX)
                .map_err(|error| told(&error.to_string()))?;
            if is_archive(&bytes) {
                return Ok(artifact(bytes));
            }
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            zip(&BTreeMap::from([(name, File { bytes, mode: 0o644 })]))
        }
        Ok(Resolved::Directory(place)) => {
            let mut files = BTreeMap::new();
            let mut left = UNPACKED_MAX;
            collect(tree, &place, "", &spec.patterns, 0, &mut files, &mut left)?;
            if files.is_empty() {
                let message = format!("no file of {:?} goes into the archive", spec.path);
                return Err((
                    message,
                    "commit the code, or correct the patterns".to_owned(),
                ));
            }
            zip(&files)
        }
        Ok(Resolved::Missing(place)) => Err((
            format!("{place:?} does not exist"),
            "commit the code or the built artefact: nothing is built on the way; or name an object in S3".to_owned(),
        )),
        Ok(Resolved::Submodule(place)) => Err((
            format!("{place:?} is in a submodule, which is not fetched"),
            "commit the code to this repository, or name an object in S3".to_owned(),
        )),
        Err(error) => Err(told(&error.to_string())),
    }
}

/// An archive of one file with a given text, as Lambda makes of inline code.
///
/// # Errors
/// The archive cannot be written.
pub fn archive_text(name: &str, text: &str) -> Result<Artifact, (String, String)> {
    let file = File {
        bytes: text.as_bytes().to_vec(),
        mode: 0o644,
    };
    zip(&BTreeMap::from([(name.to_owned(), file)]))
}

struct File {
    bytes: Vec<u8>,
    mode: u32,
}

fn told(message: &str) -> (String, String) {
    let help = "see that the file lies in the repository and can be read";
    (message.to_owned(), help.to_owned())
}

fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

fn collect(
    tree: &dyn FileTree,
    directory: &str,
    below: &str,
    patterns: &[String],
    depth: usize,
    files: &mut BTreeMap<String, File>,
    left: &mut u64,
) -> Result<(), (String, String)> {
    if depth > DEPTH_MAX {
        return Err(told(&format!("folders are nested deeper than {DEPTH_MAX}")));
    }
    let entries = tree
        .list(directory)
        .map_err(|error| told(&error.to_string()))?;
    for entry in entries {
        if let Some(reason) = unsafe_name(&entry.name) {
            return Err(told(&format!("{:?}: {reason}", entry.name)));
        }
        if entry.name == ".git" {
            continue;
        }
        let path = join(directory, &entry.name);
        let name = join(below, &entry.name);
        let place = match entry.kind {
            EntryKind::Directory => {
                collect(tree, &path, &name, patterns, depth + 1, files, left)?;
                continue;
            }
            EntryKind::Submodule => continue,
            EntryKind::File => path,
            EntryKind::Symlink => match resolve(tree, &path) {
                Ok(Resolved::File(place)) => place,
                Ok(Resolved::Directory(place)) => {
                    collect(tree, &place, &name, patterns, depth + 1, files, left)?;
                    continue;
                }
                Ok(Resolved::Missing(_) | Resolved::Submodule(_)) => continue,
                Err(error) => return Err(told(&error.to_string())),
            },
        };
        if !is_selected(patterns, &name) {
            continue;
        }
        if files.len() >= FILES_MAX {
            let message = format!("more than {FILES_MAX} files go into one archive");
            return Err((
                message,
                "leave out what the handler does not need".to_owned(),
            ));
        }
        let bytes = tree.read(&place, *left).map_err(|error| match error {
            tidegate_render::TreeError::Limit { .. } => (
                "the code is larger than the 250 MB that Lambda takes".to_owned(),
                "leave out what the handler does not need, or use a container image".to_owned(),
            ),
            other => told(&other.to_string()),
        })?;
        *left = left.saturating_sub(bytes.len() as u64);
        let mode = if is_program(&bytes, &name) {
            0o755
        } else {
            0o644
        };
        files.insert(name, File { bytes, mode });
    }
    Ok(())
}

/// Trees do not tell which files are executable: programs are known by how they begin.
fn is_program(bytes: &[u8], name: &str) -> bool {
    bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!") || name == "bootstrap"
}

/// Whether ordered patterns take a file; with none, all are taken.
pub fn is_selected(patterns: &[String], name: &str) -> bool {
    let mut is_in = true;
    for pattern in patterns {
        let (glob, takes) = match pattern.strip_prefix('!') {
            Some(rest) => (rest, false),
            None => (pattern.as_str(), true),
        };
        if matches(glob.trim_start_matches("./"), name) {
            is_in = takes;
        }
    }
    is_in
}

/// A glob in which `**` crosses folders, `*` and `?` do not, and braces list alternatives; a folder takes all below it.
fn matches(glob: &str, name: &str) -> bool {
    let mut budget = 10_000_u32;
    expand(glob, 0).iter().any(|glob| {
        let steps: Vec<&str> = glob.trim_end_matches('/').split('/').collect();
        let parts: Vec<&str> = name.split('/').collect();
        steps_match(&steps, &parts, &mut budget)
    })
}

fn expand(glob: &str, depth: usize) -> Vec<String> {
    let (Some(open), true) = (glob.find('{'), depth < 4) else {
        return vec![glob.to_owned()];
    };
    let Some(close) = glob[open..].find('}').map(|at| open + at) else {
        return vec![glob.to_owned()];
    };
    let (before, after) = (&glob[..open], &glob[close + 1..]);
    glob[open + 1..close]
        .split(',')
        .take(64)
        .flat_map(|part| expand(&format!("{before}{part}{after}"), depth + 1))
        .collect()
}

fn steps_match(steps: &[&str], parts: &[&str], budget: &mut u32) -> bool {
    if *budget == 0 {
        return false;
    }
    *budget -= 1;
    match (steps.first(), parts.first()) {
        (None, None) => true,
        // A pattern that names a folder takes what is in it.
        (None, Some(_)) => false,
        (Some(&"**"), _) => {
            steps_match(&steps[1..], parts, budget)
                || (!parts.is_empty() && steps_match(steps, &parts[1..], budget))
        }
        (Some(_), None) => false,
        (Some(step), Some(part)) => {
            step_matches(step.as_bytes(), part.as_bytes(), budget)
                && steps_match(&steps[1..], &parts[1..], budget)
        }
    }
}

fn step_matches(step: &[u8], part: &[u8], budget: &mut u32) -> bool {
    if *budget == 0 {
        return false;
    }
    *budget -= 1;
    match (step.first(), part.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            step_matches(&step[1..], part, budget)
                || (!part.is_empty() && step_matches(step, &part[1..], budget))
        }
        (Some(b'?'), Some(_)) => step_matches(&step[1..], &part[1..], budget),
        (Some(a), Some(b)) => a == b && step_matches(&step[1..], &part[1..], budget),
        _ => false,
    }
}

fn zip(files: &BTreeMap<String, File>) -> Result<Artifact, (String, String)> {
    let fail =
        |error: &dyn std::fmt::Display| told(&format!("the archive cannot be made: {error}"));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, file) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(file.mode);
        writer
            .start_file(name.as_str(), options)
            .map_err(|error| fail(&error))?;
        writer
            .write_all(&file.bytes)
            .map_err(|error| fail(&error))?;
    }
    let bytes = writer.finish().map_err(|error| fail(&error))?.into_inner();
    Ok(artifact(bytes))
}

fn artifact(bytes: Vec<u8>) -> Artifact {
    Artifact {
        sha256: STANDARD.encode(Sha256::digest(&bytes)),
        bytes: bytes.into(),
    }
}

/// The digest of an artifact in hexadecimal, for keys of objects.
pub fn hex(artifact: &Artifact) -> String {
    let bytes = STANDARD.decode(&artifact.sha256).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_render::MemoryTree;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> MemoryTree {
        let mut tree = MemoryTree::default();
        for (name, text) in files {
            tree = tree.with_file(name, *text);
        }
        tree
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let spec = ArchiveSpec {
            path: "src".to_owned(),
            ..ArchiveSpec::default()
        };
        let one = archive(&tree(&[("src/a.py", "a"), ("src/b/c.py", "c")]), &spec);
        let two = archive(
            &tree(&[("src/b/c.py", "c"), ("src/a.py", "a"), ("x", "")]),
            &spec,
        );
        assert_eq!(one, two);
        let three = archive(&tree(&[("src/a.py", "b"), ("src/b/c.py", "c")]), &spec);
        assert_ne!(one, three);
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let spec = ArchiveSpec {
            path: "dist".to_owned(),
            ..ArchiveSpec::default()
        };
        let (message, help) = archive(&tree(&[("a", "")]), &spec).expect_err("nothing is there");
        assert!(
            message.contains("dist") && help.contains("built"),
            "{message} {help}"
        );
    }

    #[test]
    fn later_patterns_win() {
        let check = |patterns: &[&str], name: &str, expected: bool| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            assert_eq!(
                is_selected(&patterns, name),
                expected,
                "{patterns:?} {name}"
            );
        };
        check(&[], "a.py", true);
        check(&["!**"], "a/b.py", false);
        check(&["!**", "a/**"], "a/b.py", true);
        check(&["!**", "a/**", "!a/b.*"], "a/b.py", false);
        check(&["!*.md"], "README.md", false);
        check(&["!*.md"], "docs/README.md", true);
        check(&["!**/*.md"], "docs/README.md", false);
        check(&["!**", "src/{a,b}.py"], "src/b.py", true);
        check(&["!node_modules/**"], "node_modules/x/y.js", false);
    }
}
