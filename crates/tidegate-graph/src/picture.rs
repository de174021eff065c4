//! Pictures and documents of a graph: DOT, Mermaid, SVG, JSON. They read the graph and decide nothing.

mod document;
mod dot;
mod layout;
mod mermaid;
mod order;
mod scene;
mod svg;
mod text;

use crate::{Contradiction, CriticalPath, Edge, Graph, Node, NodeRole, Relation, Strength};

impl Graph {
    /// Graphviz: waves as clusters from left to right, reasons as labels and tooltips.
    pub fn to_dot(&self) -> String {
        dot::write(self)
    }

    /// A Mermaid flowchart: waves as subgraphs, reasons as labels.
    pub fn to_mermaid(&self) -> String {
        mermaid::write(self)
    }

    /// The whole graph as a sorted document; `version` tells its form.
    pub fn to_json(&self) -> serde_json::Value {
        document::write(self)
    }

    /// A picture that stands alone: waves as columns, targets as lanes, reasons as tooltips, no scripts.
    ///
    /// A graph of more nodes than can be read is drawn by kinds.
    pub fn to_svg(&self, critical: &CriticalPath) -> String {
        svg::write(self, critical)
    }
}

/// A name of a node that is the same in every run: `kubernetes:prod/apps/Deployment/shop/web`.
pub(crate) fn name(node: &Node) -> String {
    let mark = match node.role {
        NodeRole::Apply => String::new(),
        NodeRole::Hook => format!("@{}", node.declared_phase.as_str()),
        NodeRole::Prune => "@prune".to_owned(),
        NodeRole::Skip => "@skip".to_owned(),
    };
    format!("{}/{}{mark}", node.key.target, node.key)
}

/// Sorts of relations that are drawn alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Sort {
    Declared,
    Data,
    Traffic,
    Config,
    Structure,
}

impl Sort {
    pub(crate) const ALL: [Sort; 5] = [
        Sort::Declared,
        Sort::Data,
        Sort::Traffic,
        Sort::Config,
        Sort::Structure,
    ];

    pub(crate) fn of(relation: &Relation) -> Self {
        match relation {
            Relation::Declared => Sort::Declared,
            Relation::Cluster
            | Relation::NodePool
            | Relation::Topic
            | Relation::Bootstrap
            | Relation::Broker
            | Relation::Sink => Sort::Data,
            Relation::Service
            | Relation::ScaleTarget
            | Relation::Webhook
            | Relation::Analysis
            | Relation::Gateway
            | Relation::Reference
            | Relation::Other(_) => Sort::Traffic,
            Relation::Secret
            | Relation::ConfigMap
            | Relation::ImagePullSecret
            | Relation::ServiceAccount
            | Relation::Subject
            | Relation::Role
            | Relation::VolumeClaim
            | Relation::Volume
            | Relation::StorageClass
            | Relation::Issuer
            | Relation::SecretStore
            | Relation::Authentication
            | Relation::Template => Sort::Config,
            Relation::Namespace | Relation::DefinesKind | Relation::Class | Relation::Project => {
                Sort::Structure
            }
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Sort::Declared => "declared",
            Sort::Data => "data",
            Sort::Traffic => "traffic",
            Sort::Config => "config",
            Sort::Structure => "structure",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Sort::Declared => "declared",
            Sort::Data => "clusters, topics, events",
            Sort::Traffic => "services, scaling, other",
            Sort::Config => "configuration, rights, storage",
            Sort::Structure => "namespace, kind",
        }
    }
}

/// References against the waves worth drawing: guesses say nothing when they order nothing.
pub(crate) fn told(graph: &Graph) -> impl Iterator<Item = &Contradiction> {
    let all = graph.contradictions().iter();
    all.filter(|against| against.reason.strength != Strength::Soft)
}

/// Edges worth drawing: one to a namespace or definition is left out when another edge implies it.
///
/// It is implied when the node also waits for another object of that namespace in an earlier place.
pub(crate) fn drawn(graph: &Graph) -> Vec<&Edge> {
    let mut has_other = vec![false; graph.nodes().len()];
    for edge in graph.edges() {
        let (before, after) = (graph.node(edge.before), graph.node(edge.after));
        let is_structure = matches!(
            edge.reason.relation,
            Relation::Namespace | Relation::DefinesKind
        );
        if !is_structure
            && before.key.target == after.key.target
            && before.key.namespace == after.key.namespace
        {
            has_other[edge.after.index()] = true;
        }
    }
    let edges = graph.edges().iter();
    edges
        .filter(|edge| {
            edge.reason.relation != Relation::Namespace || !has_other[edge.after.index()]
        })
        .collect()
}
