//! Where a desired object came from.

use serde::{Deserialize, Serialize};

/// What made an object out of a file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Renderer {
    /// Plain manifests.
    #[default]
    Directory,
    /// A kustomization.
    Kustomize,
    /// A Helm chart.
    Helm,
    /// An AWS SAM template.
    Sam,
    /// A `serverless.yml`.
    Serverless,
    /// A CloudFormation template.
    Cloudformation,
    /// A config management plugin.
    Plugin,
    /// Tidegate itself, for example the namespace of `CreateNamespace=true`.
    Tidegate,
}

/// The file and line in a commit that an object was rendered from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The repository's URL or directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// The commit, with `+dirty` for a directory that differs from it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The file, from the repository's root, with forward slashes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Line of the object's first character, from 1; 0 when unknown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u32,
    /// Column of the object's first character, from 1; 0 when unknown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub column: u32,
    /// What made the object.
    #[serde(default)]
    pub renderer: Renderer,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Origin {
    /// `path:line`, or as much of it as is known.
    pub fn place(&self) -> String {
        match (self.path.is_empty(), self.line) {
            (true, _) => String::new(),
            (false, 0) => self.path.clone(),
            (false, line) => format!("{}:{line}", self.path),
        }
    }
}
