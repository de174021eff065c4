//! Argo CD's AppProject: what its applications may use (Argo CD section 3).
//!
//! Rules are read here and applied where a plan is made; sync windows, roles and signatures are kept in the document.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_yaml::Node;

use crate::fields::{Fields, Reader};
use crate::object::describe;
use crate::{Diagnostic, GroupKind, Origin};

/// A project.
#[derive(Clone, Debug, PartialEq)]
pub struct AppProject {
    /// `metadata.name`.
    pub name: String,
    /// `spec.sourceRepos`: globs, `!glob` refuses.
    pub source_repos: Vec<String>,
    /// `spec.destinations`.
    pub destinations: Vec<ProjectDestination>,
    /// `spec.sourceNamespaces`.
    pub source_namespaces: Vec<String>,
    /// `spec.clusterResourceWhitelist`; null and empty both allow none.
    pub cluster_resource_whitelist: Vec<KindPattern>,
    /// `spec.clusterResourceBlacklist`.
    pub cluster_resource_blacklist: Vec<KindPattern>,
    /// `spec.namespaceResourceWhitelist`; null allows all, empty allows none.
    pub namespace_resource_whitelist: Option<Vec<KindPattern>>,
    /// `spec.namespaceResourceBlacklist`.
    pub namespace_resource_blacklist: Vec<KindPattern>,
    /// The whole document.
    pub document: Value,
    /// Where the document stands.
    pub origin: Origin,
}

/// Where a project's applications may go; every part is a glob, `!glob` refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectDestination {
    /// `server`.
    pub server: String,
    /// `name`.
    pub name: String,
    /// `namespace`.
    pub namespace: String,
}

/// A kind by shell globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindPattern {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The object's name; empty is any.
    pub name: String,
}

impl AppProject {
    /// Whether a document is an AppProject.
    pub fn matches(kind: &GroupKind) -> bool {
        kind.is("argoproj.io", "AppProject")
    }

    /// The project `default` as Argo CD creates it: everything is allowed.
    pub fn permissive(name: &str) -> Self {
        let any = KindPattern {
            group: "*".into(),
            kind: "*".into(),
            name: String::new(),
        };
        Self {
            name: name.to_owned(),
            source_repos: vec!["*".to_owned()],
            destinations: vec![ProjectDestination {
                server: "*".into(),
                name: String::new(),
                namespace: "*".into(),
            }],
            source_namespaces: Vec::new(),
            cluster_resource_whitelist: vec![any],
            cluster_resource_blacklist: Vec::new(),
            namespace_resource_whitelist: None,
            namespace_resource_blacklist: Vec::new(),
            document: Value::Null,
            origin: Origin::default(),
        }
    }

    /// Reads a project with all its mistakes at once.
    pub fn from_node(node: &Node, origin: &Origin) -> (Option<Self>, Vec<Diagnostic>) {
        let place = Origin {
            line: node.span.line,
            column: node.span.column,
            ..origin.clone()
        };
        let mut reader = Reader::new(origin, describe(node));
        let root = Fields::root(node);
        let metadata = reader.mapping(&root, "metadata").unwrap_or_else(|| Fields {
            node,
            path: ".metadata".to_owned(),
        });
        let name = reader.required_text(&metadata, "name", "give the project a name");
        let spec = reader.mapping(&root, "spec").unwrap_or_else(|| Fields {
            node: EMPTY.get_or_init(Node::default),
            path: ".spec".to_owned(),
        });
        let project = Self {
            name,
            source_repos: reader.texts(&spec, "sourceRepos").unwrap_or_default(),
            destinations: read_destinations(&mut reader, &spec),
            source_namespaces: reader.texts(&spec, "sourceNamespaces").unwrap_or_default(),
            cluster_resource_whitelist: kinds(&mut reader, &spec, "clusterResourceWhitelist")
                .unwrap_or_default(),
            cluster_resource_blacklist: kinds(&mut reader, &spec, "clusterResourceBlacklist")
                .unwrap_or_default(),
            namespace_resource_whitelist: kinds(&mut reader, &spec, "namespaceResourceWhitelist"),
            namespace_resource_blacklist: kinds(&mut reader, &spec, "namespaceResourceBlacklist")
                .unwrap_or_default(),
            document: node.to_json(),
            origin: place,
        };
        let found = reader.finish();
        let usable = (!found.iter().any(Diagnostic::is_error)).then_some(project);
        (usable, found)
    }
}

static EMPTY: std::sync::OnceLock<Node> = std::sync::OnceLock::new();

fn read_destinations(reader: &mut Reader<'_>, spec: &Fields<'_>) -> Vec<ProjectDestination> {
    let entries = reader.mappings(spec, "destinations").unwrap_or_default();
    let mut found = Vec::new();
    for entry in &entries {
        let destination = ProjectDestination {
            server: reader.text(entry, "server").unwrap_or_default(),
            name: reader.text(entry, "name").unwrap_or_default(),
            namespace: reader.text(entry, "namespace").unwrap_or_default(),
        };
        for (field, part) in [
            ("server", &destination.server),
            ("name", &destination.name),
            ("namespace", &destination.namespace),
        ] {
            if part == "!*" {
                let path = entry.child(field);
                reader.error(
                    entry.node,
                    &path,
                    format!("{path}: \"!*\" refuses everything"),
                    "remove the entry",
                );
            }
        }
        found.push(destination);
    }
    found
}

fn kinds(reader: &mut Reader<'_>, spec: &Fields<'_>, key: &str) -> Option<Vec<KindPattern>> {
    let entries = reader.mappings(spec, key)?;
    Some(
        entries
            .iter()
            .map(|entry| KindPattern {
                group: reader.text(entry, "group").unwrap_or_default(),
                kind: reader.text(entry, "kind").unwrap_or_default(),
                name: reader.text(entry, "name").unwrap_or_default(),
            })
            .collect(),
    )
}
