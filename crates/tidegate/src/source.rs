//! An Application's desired state: its sources resolved, read and rendered. Implements the engine's [`Source`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidegate_engine::{Desired, RenderedSource, Source, Wanted};
use tidegate_manifest::{
    AppProject, Application, ApplicationSource, Diagnostic, Origin, Renderer as RendererKind,
    Severity,
};
use tidegate_render::{AwsEnvironment, ReadSet, RenderInput, Rendered, Renderers};
use tidegate_serverless::UNLOADABLE_HANDLER;

use crate::{Error, Places, Repository, Snapshot};

/// A source that is read from the repository at hand although its URL says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFrom {
    /// The URL in the Application.
    pub repo_url: String,
    /// The directory or repository.
    pub place: String,
}

/// The last render of one source, valid while what it read reads the same.
#[derive(Clone, Debug)]
struct Kept {
    source: ApplicationSource,
    aws: Arc<AwsEnvironment>,
    revision: String,
    rendered: Rendered,
    source_type: &'static str,
}

/// Brings one Application's desired state out of Git; clones share what they know.
#[derive(Clone, Debug)]
pub struct GitSource {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    application: Arc<Application>,
    project: Arc<AppProject>,
    repository: Arc<Repository>,
    renderers: Arc<Renderers>,
    places: Arc<Places>,
    /// What was found wrong with the Application's own document, warnings included.
    findings: Vec<Diagnostic>,
    kept: Mutex<Vec<Option<Kept>>>,
    renders: AtomicU64,
}

impl GitSource {
    /// The source of one Application.
    pub fn new(
        application: Arc<Application>,
        project: Arc<AppProject>,
        repository: Arc<Repository>,
        renderers: Arc<Renderers>,
        places: Arc<Places>,
        findings: Vec<Diagnostic>,
    ) -> Self {
        let kept = Mutex::new(vec![None; application.sources.len()]);
        Self {
            inner: Arc::new(Inner {
                application,
                project,
                repository,
                renderers,
                places,
                findings,
                kept,
                renders: AtomicU64::new(0),
            }),
        }
    }

    /// Whether another source is of the same documents.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.inner.application.document == other.inner.application.document
            && self.inner.project.document == other.inner.project.document
            && self.inner.findings == other.inner.findings
    }

    /// The Application.
    pub fn application(&self) -> &Arc<Application> {
        &self.inner.application
    }

    /// Which sources are read from the repository at hand although their URL says otherwise.
    pub fn read_from(&self) -> Vec<ReadFrom> {
        let places = self.inner.application.sources.iter().filter_map(|source| {
            let snapshot = self.inner.repository.source(source, None).ok()?;
            let place = snapshot.read_from?;
            Some(ReadFrom {
                repo_url: source.repo_url.clone(),
                place,
            })
        });
        let mut found: Vec<ReadFrom> = places.collect();
        found.dedup();
        found
    }

    /// What the target revisions stand for now. Blocks.
    ///
    /// # Errors
    /// A remote does not answer, or has no such revision.
    pub fn newest_blocking(&self) -> Result<Vec<String>, Error> {
        self.inner
            .application
            .sources
            .iter()
            .map(|source| self.inner.repository.newest(source))
            .collect()
    }

    /// What the files of sources that are directories look like now, by name, size and time; None when there are none.
    pub fn fingerprint_blocking(&self) -> Option<u64> {
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = std::hash::DefaultHasher::new();
        let mut is_any = false;
        for (index, source) in self.inner.application.sources.iter().enumerate() {
            if let Some(root) = self.inner.repository.directory_of(source) {
                is_any = true;
                let path = source.path.as_deref().unwrap_or_default().trim_matches('/');
                stat(&root.join(path), 0, &mut hasher);
                // Bases lie outside of the source's own folder.
                let kept = self.lock().get(index).cloned().flatten();
                if let Some(kept) = kept {
                    stat_read(&root, &kept.rendered.read_set, &mut hasher);
                }
            }
        }
        is_any.hash(&mut hasher);
        is_any.then(|| hasher.finish())
    }

    /// How often its sources were rendered, rather than found to read the same as before.
    pub fn renders(&self) -> u64 {
        self.inner.renders.load(Ordering::Relaxed)
    }

    /// The desired state.
    ///
    /// # Errors
    /// A remote does not answer, or has no such revision; the AWS target cannot be reached.
    pub async fn render(self, wanted: Wanted) -> Result<Desired, Error> {
        let places = &self.inner.places;
        let aws = places.environment(&self.inner.application).await?;
        blocking(move || self.desired_blocking(&wanted, &Arc::new(aws))).await
    }

    fn desired_blocking(
        &self,
        wanted: &Wanted,
        aws: &Arc<AwsEnvironment>,
    ) -> Result<Desired, Error> {
        let mut sources = Vec::new();
        let mut diagnostics = self.inner.findings.clone();
        for (index, source) in self.inner.application.sources.iter().enumerate() {
            let exactly = match wanted {
                Wanted::Newest => None,
                Wanted::Revisions(revisions) => revisions.get(index).map(String::as_str),
            };
            let snapshot = self.inner.repository.source(source, exactly)?;
            let revision = snapshot.revision.clone();
            let (rendered, source_type) = self.rendered(index, source, &snapshot, aws);
            for artifact in &rendered.artifacts {
                let kept = self.inner.places.artifacts();
                kept.put(&artifact.sha256, &artifact.bytes)
                    .map_err(|error| Error::Refused(error.to_string()))?;
            }
            diagnostics.extend(rendered.diagnostics);
            sources.push(RenderedSource {
                revision,
                source_type: source_type.to_owned(),
                objects: rendered.objects,
            });
        }
        let objects = sources.iter().flat_map(|source| &source.objects);
        diagnostics.extend(tidegate_policy::check(objects));
        for finding in &mut diagnostics {
            if finding.code == UNLOADABLE_HANDLER {
                finding.severity = Severity::Error;
            }
        }
        Ok(Desired {
            application: Arc::clone(&self.inner.application),
            project: Arc::clone(&self.inner.project),
            sources,
            diagnostics,
        })
    }

    fn rendered(
        &self,
        index: usize,
        source: &ApplicationSource,
        snapshot: &Snapshot,
        aws: &Arc<AwsEnvironment>,
    ) -> (Rendered, &'static str) {
        let origin = Origin {
            repository: snapshot.repository.clone(),
            commit: snapshot.revision.clone(),
            renderer: RendererKind::Directory,
            ..Origin::default()
        };
        let aws = match &source.plugin {
            Some(plugin) => Arc::new((**aws).clone().with_plugin(plugin)),
            None => Arc::clone(aws),
        };
        if let Some((rendered, source_type)) = self.kept(index, source, snapshot, &aws) {
            return (at_commit(rendered, &origin), source_type);
        }
        let input = RenderInput {
            tree: Arc::clone(&snapshot.tree),
            source: source.clone(),
            application: self.inner.application.name.clone(),
            namespace: self.inner.application.destination.namespace.clone(),
            origin,
            aws: Arc::clone(&aws),
        };
        self.inner.renders.fetch_add(1, Ordering::Relaxed);
        let (source_type, rendered) = self.inner.renderers.render(&input);
        let source_type = source_type.as_str();
        let keep = Kept {
            source: source.clone(),
            aws,
            revision: snapshot.revision.clone(),
            rendered: rendered.clone(),
            source_type,
        };
        self.lock()[index] = Some(keep);
        (rendered, source_type)
    }

    /// The last render, when the new tree reads the same where it was read.
    fn kept(
        &self,
        index: usize,
        source: &ApplicationSource,
        snapshot: &Snapshot,
        aws: &Arc<AwsEnvironment>,
    ) -> Option<(Rendered, &'static str)> {
        let kept = self.lock().get(index)?.clone()?;
        let is_same = kept.source == *source
            && kept.aws == *aws
            && (kept.revision == snapshot.revision || !is_of_one_revision(source))
            && kept.rendered.read_set != ReadSet::default()
            && kept.rendered.read_set.still_valid(&*snapshot.tree);
        is_same.then_some((kept.rendered, kept.source_type))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Kept>>> {
        self.inner
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deepest folder that a fingerprint covers.
const FINGERPRINT_DEPTH_MAX: usize = 32;

/// What the files of a directory look like now, by name, size and time.
pub(crate) fn fingerprint(root: &std::path::Path) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = std::hash::DefaultHasher::new();
    stat(root, 0, &mut hasher);
    hasher.finish()
}

/// Adds what a file or folder looks like; what cannot be looked at counts as absent.
fn stat(path: &std::path::Path, depth: usize, hasher: &mut std::hash::DefaultHasher) {
    use std::hash::Hash as _;
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return;
    };
    path.hash(hasher);
    if found.is_dir() && depth < FINGERPRINT_DEPTH_MAX {
        let Ok(entries) = std::fs::read_dir(path) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.file_name().is_none_or(|name| name != ".git"));
        paths.sort();
        paths.iter().for_each(|path| stat(path, depth + 1, hasher));
    } else {
        found.len().hash(hasher);
        found.modified().ok().hash(hasher);
    }
}

/// Adds what the files and folders look like that a render read.
fn stat_read(root: &std::path::Path, read: &ReadSet, hasher: &mut std::hash::DefaultHasher) {
    use std::hash::Hash as _;
    let names = read.files.keys().chain(read.directories.keys());
    for name in names.chain(read.kinds.keys()).chain(read.links.keys()) {
        let found = std::fs::symlink_metadata(root.join(name)).ok();
        let looks = found.map(|found| (found.len(), found.modified().ok()));
        (name, looks).hash(hasher);
    }
}

/// Whether what it renders to holds for one revision only.
fn is_of_one_revision(source: &ApplicationSource) -> bool {
    let spec = source.kustomize.as_ref();
    let expands = spec.and_then(|spec| spec.get("commonAnnotationsEnvsubst"));
    expands.and_then(serde_json::Value::as_bool) == Some(true)
}

/// A kept render belongs to the commit at hand.
fn at_commit(mut rendered: Rendered, origin: &Origin) -> Rendered {
    for object in &mut rendered.objects {
        let mut own = (*object.origin).clone();
        own.commit.clone_from(&origin.commit);
        object.origin = Arc::new(own);
    }
    for finding in &mut rendered.diagnostics {
        finding.origin.commit.clone_from(&origin.commit);
    }
    rendered
}

#[async_trait]
impl Source for GitSource {
    async fn newest(&self) -> Result<Vec<String>, String> {
        let source = self.clone();
        blocking(move || source.newest_blocking())
            .await
            .map_err(|error| error.to_string())
    }

    async fn desired(&self, wanted: Wanted) -> Result<Desired, String> {
        let desired = self.clone().render(wanted).await;
        desired.map_err(|error| error.to_string())
    }
}

/// Runs blocking work off the async workers.
///
/// # Cancel safety
/// The work itself goes on to its own deadline when the future is dropped; its result is lost.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Interrupted),
    }
}
