//! Finding the Applications, projects and settings of a repository.

use std::collections::BTreeMap;

use tidegate_manifest::{
    AppProject, Application, Diagnostic, Documents, GroupKind, GroupVersionKind, Origin, Settings,
    read_documents,
};
use tidegate_render::{EntryKind, FileTree};
use tidegate_yaml::{Node, ParseOptions, parse_stream};

use crate::Snapshot;

/// Most files that are looked at.
const FILES_MAX: usize = 50_000;
/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 32;
/// Largest file that is looked at, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Folders in which nobody keeps Applications.
const SKIPPED: &[&str] = &["node_modules", "target", "vendor", "venv", "__pycache__"];

/// What a repository declares.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The Applications, sorted by name.
    pub applications: Vec<Application>,
    /// The projects by name.
    pub projects: BTreeMap<String, AppProject>,
    /// Tidegate's settings, when a repository brings them; they are shown, never obeyed.
    pub settings: Vec<Settings>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// The repository has no Application: the one here was made for it.
    pub is_implicit: bool,
}

/// Finds what a repository declares; without an Application, the whole of it is one.
pub fn discover(snapshot: &Snapshot, name: &str) -> Declared {
    let mut declared = find(snapshot);
    let has_errors = declared.diagnostics.iter().any(Diagnostic::is_error);
    if declared.applications.is_empty() && !has_errors {
        declared.applications.push(implicit(snapshot, name));
        declared.is_implicit = true;
    }
    declared
}

/// Reads Applications and projects of one text.
pub(crate) fn read_text(bytes: &[u8], origin: &Origin) -> Declared {
    let mut documents = Documents::default();
    read_file(bytes, origin, &mut documents);
    sorted(documents)
}

fn find(snapshot: &Snapshot) -> Declared {
    let base = Origin {
        repository: snapshot.repository.clone(),
        commit: snapshot.revision.clone(),
        ..Origin::default()
    };
    let mut documents = Documents::default();
    let mut files = 0;
    let mut pending = vec![(String::new(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let entries = match snapshot.tree.list(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                let place = Origin {
                    path: directory,
                    ..base.clone()
                };
                documents
                    .diagnostics
                    .push(Diagnostic::warning("TG0003", error.to_string(), place));
                continue;
            }
        };
        for entry in entries.into_iter().rev() {
            let path = if directory.is_empty() {
                entry.name.clone()
            } else {
                format!("{directory}/{}", entry.name)
            };
            match entry.kind {
                EntryKind::Directory if depth < DEPTH_MAX && !is_skipped(&entry.name) => {
                    pending.push((path, depth + 1));
                }
                EntryKind::File if is_manifest(&entry.name) => {
                    files += 1;
                    if files <= FILES_MAX {
                        look_at(&*snapshot.tree, &path, &base, &mut documents);
                    }
                }
                EntryKind::Directory
                | EntryKind::File
                | EntryKind::Symlink
                | EntryKind::Submodule => {}
            }
        }
    }
    if files > FILES_MAX {
        let message = format!(
            "only the first {FILES_MAX} of {files} manifests were searched for Applications"
        );
        documents.diagnostics.push(
            Diagnostic::warning("TG0003", message, base)
                .help("give the folder with the Applications, or use -f FILE"),
        );
    }
    sorted(documents)
}

fn is_skipped(name: &str) -> bool {
    name.starts_with('.') || SKIPPED.contains(&name)
}

fn is_manifest(name: &str) -> bool {
    [".yaml", ".yml", ".json"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn look_at(tree: &dyn FileTree, path: &str, base: &Origin, documents: &mut Documents) {
    // What cannot be read here and matters is told when it is rendered.
    let Ok(bytes) = tree.read(path, FILE_BYTES_MAX) else {
        return;
    };
    let origin = Origin {
        path: path.to_owned(),
        ..base.clone()
    };
    read_file(&bytes, &origin, documents);
}

fn read_file(bytes: &[u8], origin: &Origin, documents: &mut Documents) {
    if !mentions(bytes, b"argoproj.io/") && !mentions(bytes, b"tidegate.dev/") {
        return;
    }
    let stream = parse_stream(bytes, &ParseOptions::default());
    let mut found = 0;
    for document in &stream.documents {
        let kind = kind_of(&document.root);
        if Application::matches(&kind) || AppProject::matches(&kind) || Settings::matches(&kind) {
            found += 1;
            read_documents(&document.root, origin, documents);
        } else if kind.is("argoproj.io", "ApplicationSet") {
            let span = document.root.span;
            let place = Origin {
                line: span.line,
                column: span.column,
                ..origin.clone()
            };
            documents.diagnostics.push(
                Diagnostic::warning(
                    "TG0004",
                    "ApplicationSets are not generated yet: this one is passed over",
                    place,
                )
                .help("write the Applications that it produces"),
            );
        }
    }
    // A broken file matters when Applications are in it; a template of a chart is no manifest yet.
    let is_template = mentions(bytes, b"{{");
    if (found > 0 || mentions(bytes, b"kind: Application")) && !is_template {
        for error in &stream.errors {
            let span = error.span;
            let place = Origin {
                line: span.line,
                column: span.column,
                ..origin.clone()
            };
            documents.diagnostics.push(
                Diagnostic::error("TG0001", error.message.clone(), place)
                    .help("mend the YAML; the other documents of the file were read"),
            );
        }
    }
}

fn kind_of(node: &Node) -> GroupKind {
    let text = |key: &str| node.get(key).and_then(Node::as_str).unwrap_or_default();
    GroupVersionKind::new(text("apiVersion"), text("kind")).group_kind()
}

fn mentions(bytes: &[u8], word: &[u8]) -> bool {
    // UTF-16 has a zero byte beside each of these characters.
    bytes.windows(word.len()).any(|window| window == word)
        || (bytes.contains(&0) && {
            let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
            narrow.windows(word.len()).any(|window| window == word)
        })
}

fn sorted(documents: Documents) -> Declared {
    let Documents {
        applications,
        projects,
        settings,
        objects: _,
        mut diagnostics,
    } = documents;
    let mut by_name: BTreeMap<String, Application> = BTreeMap::new();
    for application in applications {
        match by_name.get(&application.name) {
            None => {
                by_name.insert(application.name.clone(), application);
            }
            Some(first) => diagnostics.push(
                Diagnostic::error(
                    "TG0002",
                    format!(
                        "Application {:?} is declared twice; the first stands at {}",
                        application.name,
                        first.origin.place()
                    ),
                    application.origin.clone(),
                )
                .object(format!("Application {}", application.name))
                .help("give one of them another name, or remove it"),
            ),
        }
    }
    let projects = projects
        .into_iter()
        .map(|project| (project.name.clone(), project))
        .collect();
    Declared {
        applications: by_name.into_values().collect(),
        projects,
        settings,
        diagnostics,
        is_implicit: false,
    }
}

/// The Application that a repository without any is taken as: all of it, automated, to the namespace `default`.
fn implicit(snapshot: &Snapshot, name: &str) -> Application {
    let is_plain = tidegate_render::detect_files(&*snapshot.tree, "").is_directory();
    let mut source = serde_json::json!({"repoURL": snapshot.repository, "path": "."});
    if is_plain {
        source["directory"] = serde_json::json!({"recurse": true});
    }
    let document = serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name},
        "spec": {
            "project": "default",
            "source": source,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"]},
        },
    });
    let origin = Origin {
        repository: snapshot.repository.clone(),
        commit: snapshot.revision.clone(),
        ..Origin::default()
    };
    let node = Node::from_json(&document);
    Application::from_node(&node, &origin)
        .0
        .expect("the document above is a valid Application")
}
