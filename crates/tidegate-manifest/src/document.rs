//! Sorting the documents of a file into those that Tidegate acts on and plain objects.

use tidegate_yaml::Node;

use crate::{
    AppProject, Application, Diagnostic, GroupKind, GroupVersionKind, Object, Origin, Settings,
};

/// The documents of one or more files, sorted.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// Argo CD Applications.
    pub applications: Vec<Application>,
    /// Argo CD AppProjects.
    pub projects: Vec<AppProject>,
    /// Tidegate's settings.
    pub settings: Vec<Settings>,
    /// Everything else that is an object.
    pub objects: Vec<Object>,
    /// What is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Sorts one parsed document into `documents`; `origin` names repository, commit and path.
pub fn read_documents(node: &Node, origin: &Origin, documents: &mut Documents) {
    let text = |key: &str| node.get(key).and_then(Node::as_str).unwrap_or_default();
    let kind: GroupKind = GroupVersionKind::new(text("apiVersion"), text("kind")).group_kind();
    if Application::matches(&kind) {
        let (found, diagnostics) = Application::from_node(node, origin);
        documents.applications.extend(found);
        documents.diagnostics.extend(diagnostics);
    } else if AppProject::matches(&kind) {
        let (found, diagnostics) = AppProject::from_node(node, origin);
        documents.projects.extend(found);
        documents.diagnostics.extend(diagnostics);
    } else if Settings::matches(&kind) {
        let (found, diagnostics) = Settings::from_node(node, origin);
        documents.settings.extend(found);
        documents.diagnostics.extend(diagnostics);
    } else {
        let (found, diagnostics) = Object::from_node(node, origin);
        documents.objects.extend(found);
        documents.diagnostics.extend(diagnostics);
    }
}
