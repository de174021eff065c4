//! Helm for `helmCharts` of kustomizations: run only where an operator allows it, on a copy of the chart, in the words
//! that `kustomize build --enable-helm` runs it with. What a program may do to this process is `program`'s.

mod copy;
mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tidegate_gocompat::Glob;
use tidegate_kustomize::{ChartAddress, ChartRequest, Charts, RemoteBase};
use tidegate_manifest::HelmSettings;
use tidegate_render::{DirectoryTree, EntryKind, FileTree, TreeEntry, TreeError};

use program::Program;

/// How long Helm may take where nobody says it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The program where nobody names one.
const COMMAND: &str = "helm";

/// Says that nobody allowed Helm.
#[derive(Debug)]
pub(crate) struct NoHelm;

impl Charts for NoHelm {
    fn pull(&self, _: &ChartAddress) -> Result<RemoteBase, String> {
        Err(NOT_ALLOWED.to_owned())
    }

    fn template(&self, _: &ChartRequest) -> Result<Vec<u8>, String> {
        Err(NOT_ALLOWED.to_owned())
    }
}

const NOT_ALLOWED: &str =
    "helm may not run here: an operator allows it with `kustomize.helm` in the Settings";

/// Helm, as an operator allows it.
#[derive(Debug)]
pub(crate) struct Helm {
    program: Program,
    /// Globs of repositories that charts may be pulled from.
    repositories: Vec<String>,
    pulled: Mutex<BTreeMap<ChartAddress, Pulled>>,
}

/// A chart that was pulled; its files go with the last who reads them.
type Pulled = Arc<HeldTree>;

impl Helm {
    /// `flagged` is what `--helm-command` of the build options names, empty for nothing.
    pub(crate) fn new(settings: &HelmSettings, flagged: &str) -> Self {
        let flagged = Some(flagged.to_owned()).filter(|command| !command.is_empty());
        let command = settings.command.clone().or(flagged);
        Self {
            program: Program {
                command: command.unwrap_or_else(|| COMMAND.to_owned()),
                timeout: settings
                    .timeout_seconds
                    .map_or(TIMEOUT, Duration::from_secs),
            },
            repositories: settings.repositories.clone(),
            pulled: Mutex::default(),
        }
    }

    fn allows(&self, chart: &ChartAddress) -> bool {
        let whole = format!("{}/{}", chart.repository.trim_end_matches('/'), chart.name);
        let names = [chart.repository.trim_end_matches('/'), whole.as_str()];
        self.repositories.iter().any(|pattern| {
            Glob::new(pattern.trim_end_matches('/'), &['/'])
                .is_ok_and(|glob| names.iter().any(|name| glob.matches(name)))
        })
    }

    fn pull_now(&self, chart: &ChartAddress) -> Result<Pulled, String> {
        let room = room()?;
        let charts = room.path().join("charts");
        let mut words = vec!["pull".to_owned(), "--untar".to_owned()];
        words.extend(["--untardir".to_owned(), shown(&charts)]);
        let repository = chart.repository.trim_end_matches('/');
        if repository.starts_with("oci://") {
            words.push(format!("{repository}/{}", chart.name));
        } else {
            words.extend(["--repo".to_owned(), chart.repository.clone()]);
            words.push(chart.name.clone());
        }
        if !chart.version.is_empty() {
            words.extend(["--version".to_owned(), chart.version.clone()]);
        }
        if chart.devel {
            words.push("--devel".to_owned());
        }
        self.program.run(&words, room.path())?;
        let tree = DirectoryTree::open(&charts).map_err(|error| error.to_string())?;
        Ok(Arc::new(HeldTree { tree, _room: room }))
    }
}

impl Charts for Helm {
    fn pull(&self, chart: &ChartAddress) -> Result<RemoteBase, String> {
        is_no_flag("repo", &chart.repository)?;
        is_no_flag("name", &chart.name)?;
        is_no_flag("version", &chart.version)?;
        if !chart.repository.contains("://") || !self.allows(chart) {
            return Err(format!(
                "charts of {} are not allowed: name it under kustomize.helm.repositories in the Settings, or commit the chart",
                chart.repository
            ));
        }
        let mut pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = match pulled.get(chart) {
            Some(tree) => Arc::clone(tree),
            None => {
                let tree = self.pull_now(chart)?;
                pulled.insert(chart.clone(), Arc::clone(&tree));
                tree
            }
        };
        Ok(RemoteBase {
            tree,
            directory: chart.name.clone(),
        })
    }

    fn template(&self, request: &ChartRequest) -> Result<Vec<u8>, String> {
        let room = room()?;
        let (tree, place) = (&*request.tree, &request.directory);
        copy::copy(tree, place, &room.path().join("chart"))?;
        // The name of the directory is Helm's business: errors name it.
        let words = words(request, room.path())?;
        self.program.run(&words, room.path())
    }
}

/// The words of `helm template`, with the values written to files.
fn words(request: &ChartRequest, room: &Path) -> Result<Vec<String>, String> {
    let mut words = vec!["template".to_owned()];
    if request.release_name.is_empty() {
        words.push("--generate-name".to_owned());
    } else {
        is_no_flag("releaseName", &request.release_name)?;
        words.push(request.release_name.clone());
    }
    words.push(shown(&room.join("chart")));
    let mut with = |flag: &str, value: &str| {
        if !value.is_empty() {
            words.push(format!("{flag}={value}"));
        }
    };
    with("--namespace", &request.namespace);
    with("--name-template", &request.name_template);
    for (number, values) in request.values.iter().enumerate() {
        let file = room.join(format!("values-{number}.yaml"));
        std::fs::write(&file, values).map_err(|error| format!("{}: {error}", file.display()))?;
        with("--values", &shown(&file));
    }
    for version in &request.api_versions {
        with("--api-versions", version);
    }
    with("--kube-version", &request.kube_version);
    for (flag, is_set) in [
        ("--include-crds", request.include_crds),
        ("--skip-tests", request.skip_tests),
        ("--no-hooks", request.skip_hooks),
        ("--devel", request.devel),
    ] {
        if is_set {
            words.push(flag.to_owned());
        }
    }
    Ok(words)
}

/// Refuses words that Helm would take for flags.
fn is_no_flag(field: &str, word: &str) -> Result<(), String> {
    if word.starts_with('-') {
        return Err(format!("{field} {word:?} begins like a flag of helm"));
    }
    Ok(())
}

fn room() -> Result<TempDir, String> {
    let mut builder = tempfile::Builder::new();
    let room = builder.prefix("tidegate-helm-").tempdir();
    room.map_err(|error| format!("no folder for helm to work in: {error}"))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A tree with the folder that it stands in.
#[derive(Debug)]
struct HeldTree {
    tree: DirectoryTree,
    _room: TempDir,
}

impl FileTree for HeldTree {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        self.tree.entry(path)
    }

    fn list(&self, directory: &str) -> Result<Vec<TreeEntry>, TreeError> {
        self.tree.list(directory)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        self.tree.read(path, limit)
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        self.tree.read_link(path)
    }
}

#[cfg(test)]
mod tests;
