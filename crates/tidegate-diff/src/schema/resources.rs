//! The resources of a Kubernetes API server, for discovery: names, verbs, subresources. Facts only.

use std::sync::OnceLock;

use serde::Deserialize;

const DATA: &str = include_str!("../../data/builtin-resources.json");

/// One resource of one group version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceFacts {
    /// `""` is the core group.
    pub group: String,
    pub version: String,
    /// The plural name, as in URLs.
    pub resource: String,
    pub singular: String,
    pub kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subresources: Vec<SubresourceFacts>,
}

impl ResourceFacts {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether a server serves the version without being asked: alpha and beta versions are off.
    pub fn on_by_default(&self) -> bool {
        !self.version.contains("alpha") && !self.version.contains("beta")
    }

    /// The subresource `name`.
    pub fn subresource(&self, name: &str) -> Option<&SubresourceFacts> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

/// One subresource: its own kind (which may be of another group, as `Scale` is) and verbs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SubresourceFacts {
    pub name: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

/// Every resource of Kubernetes 1.36, sorted by group, version and name; those of alpha and beta versions too.
pub fn builtin() -> &'static [ResourceFacts] {
    static TABLE: OnceLock<Vec<ResourceFacts>> = OnceLock::new();
    TABLE.get_or_init(|| serde_json::from_str(DATA).unwrap_or_default())
}
