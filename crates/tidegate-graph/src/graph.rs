//! The graph itself: how it is built and what can be read of it. Orders and paths are asked in `query`.

use std::collections::BTreeSet;

use petgraph::graph::DiGraph;
use tidegate_manifest::{Diagnostic, ResourceKey};

use crate::cycle::Cycle;
use crate::reader::ReferenceReader;
use crate::reason::{Contradiction, Edge};
use crate::schedule::{self, Group, PruneLast};
use crate::{Node, NodeId, NodeInput, NodeRole};

/// Most nodes that one graph takes; what is beyond stays out and is an error.
pub const MAX_NODES: usize = 200_000;

/// How a graph is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// `PruneLast=true` of the application: all prune tasks come after everything of the Sync phase.
    pub prune_last: bool,
}

/// What goes from vertex to vertex: an edge's number, or the barrier between two waves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Edge(u32),
    Barrier,
}

/// One dependency graph over all tasks of a sync, whatever their target.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) groups: Vec<Group>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) contradictions: Vec<Contradiction>,
    pub(crate) cycles: Vec<Cycle>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Vertices 0..nodes are the nodes, those after them the barriers behind each group.
    pub(crate) links: DiGraph<(), Link>,
    pub(crate) by_key: Vec<NodeId>,
    /// References between prune tasks, those against their waves too: deletion has other waves.
    pub(crate) prune_links: Vec<(NodeId, NodeId)>,
    pub(crate) options: GraphOptions,
}

impl Graph {
    /// Builds the graph with the built-in readers; mistakes of the user are in [`Graph::diagnostics`].
    pub fn build<'a>(
        inputs: impl IntoIterator<Item = NodeInput<'a>>,
        options: &GraphOptions,
    ) -> Self {
        let readers = crate::built_in_readers();
        let readers: Vec<&dyn ReferenceReader> = readers.iter().map(AsRef::as_ref).collect();
        Self::build_with(inputs, options, &readers)
    }

    /// Builds the graph with readers of one's own choice; namespaces, kinds and `depends-on` are always read.
    pub fn build_with<'a>(
        inputs: impl IntoIterator<Item = NodeInput<'a>>,
        options: &GraphOptions,
        readers: &[&dyn ReferenceReader],
    ) -> Self {
        crate::resolve::build(inputs, *options, readers)
    }

    /// All nodes: tasks in their order, then skipped ones. A [`NodeId`] is a place in this list.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// All nodes with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (NodeId::at(index), node))
    }

    /// The nodes of an object, in task order: several for a hook of several phases.
    pub fn find(&self, key: &ResourceKey) -> &[NodeId] {
        let key_of = |id: &NodeId| &self.nodes[id.index()].key;
        let start = self.by_key.partition_point(|id| key_of(id) < key);
        let end = self.by_key.partition_point(|id| key_of(id) <= key);
        &self.by_key[start..end]
    }

    /// All edges between nodes that order something, sorted; the order of waves is not among them.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// References that phases and waves run against.
    pub fn contradictions(&self) -> &[Contradiction] {
        &self.contradictions
    }

    /// Cycles, shortest first.
    pub fn cycles(&self) -> &[Cycle] {
        &self.cycles
    }

    /// What is wrong, errors first.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether anything keeps the graph from being run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The tasks by phase and wave, in order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups once these prune tasks are done: what is left to prune is mirrored anew (Argo CD 0.1).
    ///
    /// Apply tasks stay in their groups whether done or not.
    pub fn regroup(&self, pruned: &BTreeSet<NodeId>) -> Vec<Group> {
        let mut nodes = self.nodes.clone();
        let is_left = |index: usize| !pruned.contains(&NodeId::at(index));
        schedule::set_prune_waves(&mut nodes, self.prune_last(), is_left);
        let left = (0..nodes.len()).filter(|index| {
            nodes[*index].role.is_task()
                && (nodes[*index].role != NodeRole::Prune || is_left(*index))
        });
        let mut groups = schedule::group(&nodes, left.map(NodeId::at));
        self.sort_prunes(&mut groups);
        groups
    }

    /// The nodes as the deletion of an application takes them: the highest wave first, dependents before what
    /// they depend on (Argo CD 10). Every node that is given to the graph as a prune task counts.
    pub fn deletion_groups(&self) -> Vec<Group> {
        let mut nodes = self.nodes.clone();
        for node in &mut nodes {
            node.wave = node.declared_wave;
        }
        let prunes = (0..nodes.len()).filter(|index| nodes[*index].role == NodeRole::Prune);
        let mut groups = schedule::group(&nodes, prunes.map(NodeId::at));
        groups.reverse();
        self.sort_prunes(&mut groups);
        groups
    }

    pub(crate) fn prune_last(&self) -> PruneLast {
        if self.options.prune_last {
            PruneLast::All
        } else {
            PruneLast::Marked
        }
    }
}
