//! Plain manifests: which files of a directory are read, by every option of Argo CD's `directory`
//! sub-spec. What one file holds: [`file`].

mod file;

use std::sync::Arc;

use tidegate_gocompat::Glob;
use tidegate_manifest::{Diagnostic, Origin, Renderer as RendererKind};

use crate::walk::{LINK_HOPS_MAX, Resolved, join, resolve, unsafe_name};
use crate::{
    DocumentReader, EntryKind, FileTree, RenderInput, Rendered, Renderer, SourceType, TreeEntry,
    TreeError,
};

/// Most bytes of all manifests of one source together: Argo CD's default of 10 MB.
pub const COMBINED_BYTES_MAX: u64 = 10_000_000;
/// Most entries that are looked at in one source.
pub const ENTRIES_MAX: usize = 200_000;
/// Deepest folder that is looked into.
pub const DEPTH_MAX: usize = 64;
/// Most findings of one source that are kept.
pub const DIAGNOSTICS_MAX: usize = 1_000;

/// Renders plain directories.
#[derive(Clone, Debug)]
pub struct DirectoryRenderer {
    /// Most bytes of all manifests together.
    pub combined_bytes: u64,
    /// Most entries that are looked at.
    pub entries: usize,
    /// Who reads files that are no manifests, asked in order.
    pub readers: Vec<Arc<dyn DocumentReader>>,
}

impl Default for DirectoryRenderer {
    fn default() -> Self {
        DirectoryRenderer {
            combined_bytes: COMBINED_BYTES_MAX,
            entries: ENTRIES_MAX,
            readers: Vec::new(),
        }
    }
}

impl Renderer for DirectoryRenderer {
    fn source_type(&self) -> SourceType {
        SourceType::Directory
    }

    fn render(&self, input: &RenderInput) -> Rendered {
        let mut run = Run::new(self, input);
        if let Some(directory) = run.application_directory()
            && let Some(filter) = run.filter()
        {
            run.walk(&directory, &filter);
        }
        run.settle_foreign();
        run.rendered
    }
}

/// Which files count as manifests.
struct Filter {
    include: Option<Glob>,
    exclude: Option<Glob>,
    any_extension: bool,
    recurse: bool,
}

impl Filter {
    /// Whether a file is read, by whether it is named like one and its path below the application's directory.
    fn accepts(&self, is_named_so: bool, relative: &str) -> bool {
        (self.any_extension || is_named_so)
            && !self
                .exclude
                .as_ref()
                .is_some_and(|glob| glob.matches(relative))
            && self
                .include
                .as_ref()
                .is_none_or(|glob| glob.matches(relative))
    }
}

fn is_manifest_name(name: &str) -> bool {
    [".yaml", ".yml", ".json", ".jsonnet"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// One rendering on its way.
struct Run<'i> {
    readers: &'i [Arc<dyn DocumentReader>],
    input: &'i RenderInput,
    tree: &'i dyn FileTree,
    bytes_left: u64,
    entries_left: usize,
    rendered: Rendered,
    /// A reader claimed a file: what is no manifest may be settings of it.
    has_claimed: bool,
    /// What is wrong, as manifests, with files that do not mean to be any.
    foreign: Vec<Diagnostic>,
}

/// A folder still to be read, or the rest of one.
struct Folder {
    path: String,
    relative: String,
    entries: std::vec::IntoIter<TreeEntry>,
}

impl<'i> Run<'i> {
    fn new(limits: &'i DirectoryRenderer, input: &'i RenderInput) -> Self {
        Run {
            readers: &limits.readers,
            input,
            tree: &*input.tree,
            bytes_left: limits.combined_bytes,
            entries_left: limits.entries,
            rendered: Rendered::default(),
            has_claimed: false,
            foreign: Vec::new(),
        }
    }

    /// Beside a template, JSON that is no manifest is its settings; elsewhere it is a mistake.
    fn settle_foreign(&mut self) {
        if !self.has_claimed {
            let foreign = std::mem::take(&mut self.foreign);
            foreign
                .into_iter()
                .for_each(|diagnostic| self.report(diagnostic));
        }
    }

    /// Lets a reader have the file that it claims.
    fn claimed(&mut self, path: &str, bytes: &[u8]) -> bool {
        let mut readers = self.readers.iter();
        let Some(reader) = readers.find(|reader| reader.claims(path, bytes)) else {
            return false;
        };
        self.has_claimed = true;
        let found = reader.read(self.input, path, bytes);
        self.rendered.objects.extend(found.objects);
        self.rendered.templates.extend(found.templates);
        self.rendered.artifacts.extend(found.artifacts);
        found
            .diagnostics
            .into_iter()
            .for_each(|diagnostic| self.report(diagnostic));
        true
    }

    fn origin(&self, path: &str) -> Origin {
        Origin {
            path: path.to_owned(),
            line: 0,
            column: 0,
            renderer: RendererKind::Directory,
            ..self.input.origin.clone()
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.rendered.diagnostics.len() < DIAGNOSTICS_MAX {
            self.rendered.diagnostics.push(diagnostic);
        }
    }

    fn error(&mut self, code: &str, path: &str, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::error(code, message, self.origin(path)).help(help);
        self.report(diagnostic);
    }

    fn warning(&mut self, code: &str, path: &str, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::warning(code, message, self.origin(path)).help(help);
        self.report(diagnostic);
    }

    /// The application's directory, links followed; what is wrong with it is reported.
    fn application_directory(&mut self) -> Option<String> {
        let path = self.input.source.path.as_deref().unwrap_or_default();
        let (message, help) = match resolve(self.tree, path) {
            Ok(Resolved::Directory(directory)) => return Some(directory),
            Ok(Resolved::File(_)) => (
                format!("app path {path:?} is not a directory"),
                "name the directory that holds the file, and select it with directory.include",
            ),
            Ok(Resolved::Missing(place)) => (
                format!("app path {path:?} does not exist: nothing stands at {place:?}"),
                "correct spec.source.path, or push the directory to this revision",
            ),
            Ok(Resolved::Submodule(place)) => (
                format!("app path {path:?} is in the submodule {place:?}, which is not fetched"),
                "point repoURL at the submodule's own repository",
            ),
            Err(error) => (
                format!("app path: {error}"),
                "write a path from the repository's root that stays inside the repository",
            ),
        };
        let diagnostic = Diagnostic::error("TG0504", message, self.origin(path))
            .object(format!("Application {}", self.input.application))
            .field(".spec.source.path")
            .help(help);
        self.report(diagnostic);
        None
    }

    /// The compiled options; a bad glob stops the rendering, because it would select anything.
    fn filter(&mut self) -> Option<Filter> {
        let options = self.input.source.directory.clone().unwrap_or_default();
        let include = self.glob("include", options.include.as_deref());
        let exclude = self.glob("exclude", options.exclude.as_deref());
        Some(Filter {
            include: include?,
            exclude: exclude?,
            any_extension: options.disable_extension_filter,
            recurse: options.recurse,
        })
    }

    /// `/` is no separator in these globs: `*.yaml` also selects `sub/a.yaml`.
    fn glob(&mut self, field: &str, pattern: Option<&str>) -> Option<Option<Glob>> {
        let Some(pattern) = pattern else {
            return Some(None);
        };
        match Glob::new(pattern, &[]) {
            Ok(glob) => Some(Some(glob)),
            Err(error) => {
                let path = self.input.source.path.clone().unwrap_or_default();
                let diagnostic = Diagnostic::error(
                    "TG0505",
                    format!("{pattern:?}: {error}"),
                    self.origin(&path),
                )
                .object(format!("Application {}", self.input.application))
                .field(format!(".spec.source.directory.{field}"))
                .help("write a glob such as `*.yaml` or `{a.yaml,b/*}`");
                self.report(diagnostic);
                None
            }
        }
    }

    fn accepts(&self, filter: &Filter, name: &str, relative: &str) -> bool {
        let is_wanted = self.readers.iter().any(|reader| reader.wants(name));
        filter.accepts(is_wanted || is_manifest_name(name), relative)
    }

    /// Reads all files in order of their names, folders where their names stand.
    fn walk(&mut self, root: &str, filter: &Filter) {
        let mut open: Vec<Folder> = Vec::new();
        open.extend(self.folder(root.to_owned(), String::new()));
        while let Some(folder) = open.last_mut() {
            let Some(entry) = folder.entries.next() else {
                open.pop();
                continue;
            };
            let path = join(&folder.path, &entry.name);
            let relative = join(&folder.relative, &entry.name);
            if self.entries_left == 0 {
                self.error(
                    "TG0506",
                    root,
                    "the source has too many files and folders",
                    "narrow spec.source.path",
                );
                return;
            }
            self.entries_left -= 1;
            if let Some(reason) = unsafe_name(&entry.name) {
                let message = format!("{:?} may not stand in a repository: {reason}", entry.name);
                self.error(
                    "TG0507",
                    &folder_path(&path),
                    message,
                    "remove the entry from the commit",
                );
                continue;
            }
            match entry.kind {
                EntryKind::Directory if filter.recurse && open.len() >= DEPTH_MAX => {
                    let message = format!("folders are nested deeper than {DEPTH_MAX}");
                    self.error("TG0506", &path, message, "flatten the folders, or exclude them by another path");
                }
                EntryKind::Directory if filter.recurse => open.extend(self.folder(path, relative)),
                EntryKind::Directory => {}
                EntryKind::Submodule if filter.recurse => self.warning(
                    "TG0508",
                    &path,
                    "this is a submodule, which is not fetched: its manifests are not part of the application",
                    "give the submodule's repository a source of its own",
                ),
                EntryKind::Submodule => {}
                EntryKind::File if self.accepts(filter, &entry.name, &relative) => {
                    if !self.read(&path, &path) {
                        return;
                    }
                }
                EntryKind::File => {}
                EntryKind::Symlink => {
                    let accepted = self.accepts(filter, &entry.name, &relative);
                    if !self.link(&path, accepted) {
                        return;
                    }
                }
            }
        }
    }

    fn folder(&mut self, path: String, relative: String) -> Option<Folder> {
        match self.tree.list(&path) {
            Ok(mut entries) => {
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                Some(Folder {
                    path,
                    relative,
                    entries: entries.into_iter(),
                })
            }
            Err(error) => {
                self.error(
                    "TG0509",
                    &path,
                    error.to_string(),
                    "see that the repository can be read as a whole",
                );
                None
            }
        }
    }

    /// A symbolic link: one that leaves the repository is an error whatever it is named; one to a
    /// file is read as that file; a dangling one is a warning. False stops the walk.
    fn link(&mut self, path: &str, accepted: bool) -> bool {
        let help = "make the link relative and let it end inside the repository";
        match resolve(self.tree, path) {
            Ok(Resolved::File(target)) if accepted => return self.read(path, &target),
            Ok(Resolved::File(_) | Resolved::Directory(_)) => {}
            Ok(Resolved::Missing(target)) if accepted => {
                let message = format!("the symbolic link leads nowhere: {target:?} does not exist");
                self.warning(
                    "TG0510",
                    path,
                    message,
                    "remove the link, or add what it names",
                );
            }
            Ok(Resolved::Submodule(target)) if accepted => {
                let message = format!(
                    "the symbolic link leads into the submodule {target:?}, which is not fetched"
                );
                self.warning(
                    "TG0508",
                    path,
                    message,
                    "give the submodule's repository a source of its own",
                );
            }
            Ok(Resolved::Missing(_) | Resolved::Submodule(_)) => {}
            Err(TreeError::Escapes { reason, .. }) => {
                self.error(
                    "TG0507",
                    path,
                    format!("the symbolic link leaves the repository: {reason}"),
                    help,
                );
            }
            Err(TreeError::Limit { .. }) => {
                let message = format!(
                    "more than {LINK_HOPS_MAX} symbolic links follow each other, or they go in a circle"
                );
                self.error("TG0507", path, message, help);
            }
            Err(error) => self.error("TG0509", path, error.to_string(), help),
        }
        true
    }

    /// Reads one manifest; `path` is its name in the application, `target` where its bytes are.
    /// False when the combined size is used up, which stops the walk.
    fn read(&mut self, path: &str, target: &str) -> bool {
        if path.ends_with(".jsonnet") {
            self.error(
                "TG0511",
                path,
                "jsonnet is not evaluated by this build",
                "commit what it evaluates to, or leave it out with directory.exclude: '*.jsonnet'",
            );
            return true;
        }
        match self.tree.read(target, self.bytes_left) {
            Ok(bytes) => {
                self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
                if self.claimed(path, &bytes) {
                    return true;
                }
                let origin = self.origin(path);
                let manifest = file::read(&bytes, &origin);
                if !self.readers.is_empty() && manifest.is_foreign {
                    self.foreign.extend(manifest.diagnostics);
                    return true;
                }
                self.rendered.objects.extend(manifest.objects);
                manifest
                    .diagnostics
                    .into_iter()
                    .for_each(|diagnostic| self.report(diagnostic));
                true
            }
            Err(TreeError::Limit { .. }) => {
                self.error(
                    "TG0512",
                    path,
                    "with this file the manifests exceed the combined size that one application may have",
                    "split the application, or exclude large files that are no manifests",
                );
                false
            }
            Err(error) => {
                self.error(
                    "TG0509",
                    path,
                    error.to_string(),
                    "see that the repository can be read as a whole",
                );
                true
            }
        }
    }
}

/// The folder of a path, for reports about a name that is not to be repeated.
fn folder_path(path: &str) -> String {
    path.rsplit_once('/')
        .map_or_else(String::new, |(folder, _)| folder.to_owned())
}
