//! The binding files: where they are, whether they changed, what they hold together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidegate_bridge::binding::{Binding, Bindings, read};
use tidegate_manifest::{Diagnostic, Origin};

/// Most files in a directory.
const FILES_MAX: usize = 1_000;

/// Files that are read again when they change.
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Result<String, String>>,
}

impl Files {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            seen: BTreeMap::new(),
        }
    }

    /// Whether the texts differ from those of the last [`Files::read`].
    pub(crate) fn have_changed(&self) -> bool {
        self.texts() != self.seen
    }

    /// Reads every file.
    pub(crate) fn read(&mut self) -> Bindings {
        self.seen = self.texts();
        let mut all = Bindings::default();
        let mut names: BTreeMap<String, Origin> = BTreeMap::new();
        for (path, text) in &self.seen {
            let path = path.display().to_string();
            let text = match text {
                Ok(text) => text,
                Err(error) => {
                    let origin = Origin {
                        path,
                        ..Origin::default()
                    };
                    let message = format!("the file cannot be read: {error}");
                    all.findings
                        .push(Diagnostic::error("TG1201", message, origin));
                    continue;
                }
            };
            let found = read(&path, text, &|name| std::env::var(name).ok());
            all.findings.extend(found.findings);
            for binding in found.bindings {
                if let Some(finding) = twice(&binding, &names) {
                    all.findings.push(finding);
                    continue;
                }
                names.insert(binding.name.clone(), binding.origin.clone());
                all.bindings.push(binding);
            }
        }
        all
    }

    fn texts(&self) -> BTreeMap<PathBuf, Result<String, String>> {
        let mut texts = BTreeMap::new();
        for path in &self.paths {
            if !path.is_dir() {
                texts.insert(path.clone(), text(path));
                continue;
            }
            match files_of(path) {
                Ok(files) => texts.extend(files.into_iter().map(|file| {
                    let text = text(&file);
                    (file, text)
                })),
                Err(error) => {
                    texts.insert(path.clone(), Err(error));
                }
            }
        }
        texts
    }
}

fn twice(binding: &Binding, names: &BTreeMap<String, Origin>) -> Option<Diagnostic> {
    let first = names.get(&binding.name)?;
    let message = format!(
        "binding {} stands here and at {}",
        binding.name,
        first.place()
    );
    let finding = Diagnostic::error("TG1203", message, binding.origin.clone());
    Some(finding.help("give one of them another name"))
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(directory).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let is_yaml = path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml");
        if !is_yaml || !path.is_file() {
            continue;
        }
        if files.len() >= FILES_MAX {
            return Err(format!("more than {FILES_MAX} files in the directory"));
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}
