//! What the engine is given: an application, its project, and what its sources rendered to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tidegate_manifest::{AppProject, Application, Diagnostic, Object};

/// What one source of an application rendered to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RenderedSource {
    /// The resolved revision: a full commit, `+dirty` behind it for a directory that differs.
    pub revision: String,
    /// `Directory`, `Kustomize`, `Helm` or `Plugin`, as Argo CD's status writes it.
    pub source_type: String,
    /// The objects, in the order of rendering.
    pub objects: Vec<Object>,
}

/// The desired state of one application at resolved revisions.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The application.
    pub application: Arc<Application>,
    /// Its project.
    pub project: Arc<AppProject>,
    /// One entry per source that renders or lends files, in order.
    pub sources: Vec<RenderedSource>,
    /// What rendering found. With an error among them nothing is applied and nothing is pruned.
    pub diagnostics: Vec<Diagnostic>,
}

/// The identity of a value: the SHA-256 of its canonical JSON, in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub String);

impl Digest {
    /// The digest of a value's canonical JSON (RFC 8785).
    pub fn of(value: &serde_json::Value) -> Self {
        let hash = Sha256::digest(tidegate_yaml::canonical(value).as_bytes());
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Desired {
    /// The revisions, one per source.
    pub fn revisions(&self) -> Vec<String> {
        let revisions = self.sources.iter().map(|source| source.revision.clone());
        revisions.collect()
    }

    /// Whether rendering failed.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The name under which the application marks and remembers what is its own.
    ///
    /// Plain: namespaces of Applications are told apart by the controller that serves several.
    pub fn application_name(&self) -> &str {
        &self.application.name
    }

    /// The digest of everything that decides what a sync does: objects, spec and annotations, not
    /// the commit. Two commits that render alike have the same digest.
    pub fn digest(&self) -> Digest {
        let objects = self.sources.iter().map(|source| {
            let bodies = source.objects.iter().map(|object| object.body.clone());
            bodies.collect::<Vec<_>>()
        });
        let project = &self.project;
        Digest::of(&json!({
            "spec": self.application.document.get("spec"),
            "annotations": self.application.annotations,
            "project": project.document.get("spec"),
            "objects": objects.collect::<Vec<_>>(),
        }))
    }
}
