//! An Application's desired state: its sources resolved, read and rendered. Implements the engine's [`Source`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidegate_engine::{Desired, RenderedSource, Source, Wanted};
use tidegate_manifest::{
    AppProject, Application, ApplicationSource, Diagnostic, Origin, Renderer as RendererKind,
};
use tidegate_render::{ReadSet, RenderInput, Rendered, Renderers};

use crate::{Error, Repository, Snapshot};

/// A source that is read from a directory although its URL says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFrom {
    /// The URL in the Application.
    pub repo_url: String,
    /// The directory.
    pub directory: PathBuf,
}

/// The last render of one source, valid while what it read reads the same.
#[derive(Clone, Debug)]
struct Kept {
    source: ApplicationSource,
    rendered: Rendered,
    source_type: &'static str,
}

/// Brings one Application's desired state out of Git.
#[derive(Debug)]
pub struct GitSource {
    application: Arc<Application>,
    project: Arc<AppProject>,
    repository: Arc<Repository>,
    renderers: Arc<Renderers>,
    /// What was found wrong with the Application's own document, warnings included.
    findings: Vec<Diagnostic>,
    kept: Mutex<Vec<Option<Kept>>>,
}

impl GitSource {
    /// The source of one Application.
    pub fn new(
        application: Arc<Application>,
        project: Arc<AppProject>,
        repository: Arc<Repository>,
        renderers: Arc<Renderers>,
        findings: Vec<Diagnostic>,
    ) -> Self {
        let kept = Mutex::new(vec![None; application.sources.len()]);
        Self { application, project, repository, renderers, findings, kept }
    }

    /// The Application.
    pub fn application(&self) -> &Arc<Application> {
        &self.application
    }

    /// Which sources are read from a directory although their URL says otherwise.
    pub fn read_from(&self) -> Vec<ReadFrom> {
        let places = self.application.sources.iter().filter_map(|source| {
            let snapshot = self.repository.source(source, None).ok()?;
            let directory = snapshot.read_from?;
            Some(ReadFrom { repo_url: source.repo_url.clone(), directory })
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
        self.application.sources.iter().map(|source| self.repository.newest(source)).collect()
    }

    /// The desired state. Blocks.
    ///
    /// # Errors
    /// A remote does not answer, or has no such revision.
    pub fn desired_blocking(&self, wanted: &Wanted) -> Result<Desired, Error> {
        let mut sources = Vec::new();
        let mut diagnostics = self.findings.clone();
        for (index, source) in self.application.sources.iter().enumerate() {
            let exactly = match wanted {
                Wanted::Newest => None,
                Wanted::Revisions(revisions) => revisions.get(index).map(String::as_str),
            };
            let snapshot = self.repository.source(source, exactly)?;
            let revision = snapshot.revision.clone();
            let (rendered, source_type) = self.render(index, source, &snapshot);
            diagnostics.extend(rendered.diagnostics);
            sources.push(RenderedSource {
                revision,
                source_type: source_type.to_owned(),
                objects: rendered.objects,
            });
        }
        Ok(Desired {
            application: Arc::clone(&self.application),
            project: Arc::clone(&self.project),
            sources,
            diagnostics,
        })
    }

    fn render(&self, index: usize, source: &ApplicationSource, snapshot: &Snapshot) -> (Rendered, &'static str) {
        let origin = Origin {
            repository: snapshot.repository.clone(),
            commit: snapshot.revision.clone(),
            renderer: RendererKind::Directory,
            ..Origin::default()
        };
        if let Some((rendered, source_type)) = self.kept(index, source, snapshot) {
            return (at_commit(rendered, &origin), source_type);
        }
        let input = RenderInput {
            tree: Arc::clone(&snapshot.tree),
            source: source.clone(),
            application: self.application.name.clone(),
            namespace: self.application.destination.namespace.clone(),
            origin,
        };
        let (source_type, rendered) = self.renderers.render(&input);
        let source_type = source_type.as_str();
        let keep = Kept { source: source.clone(), rendered: rendered.clone(), source_type };
        self.lock()[index] = Some(keep);
        (rendered, source_type)
    }

    /// The last render, when the new tree reads the same where it was read.
    fn kept(&self, index: usize, source: &ApplicationSource, snapshot: &Snapshot) -> Option<(Rendered, &'static str)> {
        let kept = self.lock().get(index)?.clone()?;
        let is_same = kept.source == *source
            && kept.rendered.read_set != ReadSet::default()
            && kept.rendered.read_set.still_valid(&*snapshot.tree);
        is_same.then_some((kept.rendered, kept.source_type))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
impl Source for Arc<GitSource> {
    async fn newest(&self) -> Result<Vec<String>, String> {
        let source = Arc::clone(self);
        blocking(move || source.newest_blocking()).await.map_err(|error| error.to_string())
    }

    async fn desired(&self, wanted: Wanted) -> Result<Desired, String> {
        let source = Arc::clone(self);
        blocking(move || source.desired_blocking(&wanted)).await.map_err(|error| error.to_string())
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
