//! What a renderer is given and what it gives back.

use std::fmt;
use std::sync::Arc;

use tidegate_manifest::{ApplicationSource, Diagnostic, Object, Origin};

use crate::{Artifact, AwsEnvironment, FileTree, ReadSet, RenderedTemplate};

/// The kinds of source, in Argo CD's words (`status.sourceType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceType {
    /// Plain manifests.
    Directory,
    /// A kustomization.
    Kustomize,
    /// A Helm chart.
    Helm,
    /// A config management plugin.
    Plugin,
}

impl SourceType {
    /// The word as Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceType::Directory => "Directory",
            SourceType::Kustomize => "Kustomize",
            SourceType::Helm => "Helm",
            SourceType::Plugin => "Plugin",
        }
    }

    /// Whether it is plain manifests.
    pub fn is_directory(self) -> bool {
        self == SourceType::Directory
    }
}

/// What a renderer is given.
#[derive(Clone, Debug)]
pub struct RenderInput {
    /// The files of the repository at the revision; paths are from its root.
    pub tree: Arc<dyn FileTree>,
    /// The source, with its overrides merged in.
    pub source: ApplicationSource,
    /// The application's name.
    pub application: String,
    /// The application's destination namespace.
    pub namespace: String,
    /// Repository, commit and renderer of every object; path, line and column are filled in per object.
    pub origin: Origin,
    /// What AWS templates are read against.
    pub aws: Arc<AwsEnvironment>,
}

/// What a source rendered to.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The objects, in the order of rendering.
    pub objects: Vec<Object>,
    /// What is wrong; with an error among them nothing may be pruned.
    pub diagnostics: Vec<Diagnostic>,
    /// The templates that objects were made of.
    pub templates: Vec<RenderedTemplate>,
    /// Packaged code that objects name by digest.
    pub artifacts: Vec<Artifact>,
    /// What was read: the result holds for any tree in which it reads the same.
    pub read_set: ReadSet,
}

/// Makes objects of files. Must not read anything but the tree it is given.
pub trait Renderer: fmt::Debug + Send + Sync {
    /// The kind of source that it renders.
    fn source_type(&self) -> SourceType;

    /// Renders a source; everything that is wrong is in the diagnostics.
    fn render(&self, input: &RenderInput) -> Rendered;
}
