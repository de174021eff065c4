//! Cycles, named by their members and the reason of each edge. Guesses give way to a cycle, firm references do not.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::diagnose::Findings;
use crate::{Contradiction, Edge, Node, NodeId, NodeRole, Strength};

/// Most cycles that are told.
const MAX_CYCLES: usize = 20;
/// Most cycles that are told of one knot of objects.
const MAX_CYCLES_PER_KNOT: usize = 5;
/// Most members of a knot from which the shortest cycle is sought.
const MAX_SEARCHES: usize = 64;

/// A ring of edges: each one's `after` is the next one's `before`, and the last leads back to the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cycle {
    /// The edges, beginning with the smallest node.
    pub edges: Vec<Edge>,
}

/// Finds cycles among edges and declared edges that run against waves; guesses inside a knot are dropped first.
pub(crate) fn find(
    nodes: &[Node],
    edges: &mut Vec<Edge>,
    contradictions: &[Contradiction],
    findings: &mut Findings,
) -> Vec<Cycle> {
    let against = contradictions
        .iter()
        .filter(|c| c.reason.strength == Strength::Declared)
        .map(|c| Edge {
            before: c.dependency,
            after: c.dependent,
            dependent: c.dependent,
            dependency: c.dependency,
            reason: c.reason.clone(),
        });
    let against: Vec<Edge> = against.collect();
    let knots = knots(nodes.len(), edges.iter().chain(&against));
    if knots.is_empty() {
        return Vec::new();
    }
    edges.retain(|edge| {
        let inside =
            knots.contains_key(&edge.before) && knots.get(&edge.before) == knots.get(&edge.after);
        let drop = inside && edge.reason.strength == Strength::Soft;
        if drop && is_applied(nodes, edge) {
            findings.dropped_soft(nodes, edge);
        }
        !drop
    });
    let edges: Vec<&Edge> = edges
        .iter()
        .chain(&against)
        .filter(|edge| is_applied(nodes, edge))
        .collect();
    let knots = self::knots(nodes.len(), edges.iter().copied());
    let mut members: BTreeMap<usize, Vec<&Edge>> = BTreeMap::new();
    for edge in edges {
        if let Some(knot) = knots
            .get(&edge.before)
            .filter(|knot| knots.get(&edge.after) == Some(knot))
        {
            members.entry(*knot).or_default().push(edge);
        }
    }
    let mut cycles: Vec<Cycle> = members
        .into_values()
        .take(MAX_CYCLES)
        .flat_map(cycles_of)
        .collect();
    cycles.sort_by(|a, b| {
        a.edges
            .len()
            .cmp(&b.edges.len())
            .then_with(|| a.edges.cmp(&b.edges))
    });
    cycles.truncate(MAX_CYCLES);
    for cycle in &cycles {
        findings.cycle(nodes, cycle);
    }
    cycles
}

fn is_applied(nodes: &[Node], edge: &Edge) -> bool {
    nodes[edge.dependent.index()].role != NodeRole::Prune
}

/// The number of its knot for every node that is part of one: strongly connected, or bound to itself.
fn knots<'e>(count: usize, edges: impl Iterator<Item = &'e Edge>) -> HashMap<NodeId, usize> {
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    for _ in 0..count {
        graph.add_node(());
    }
    let mut selfish = HashSet::new();
    for edge in edges {
        graph.add_edge(
            NodeIndex::new(edge.before.index()),
            NodeIndex::new(edge.after.index()),
            (),
        );
        if edge.before == edge.after {
            selfish.insert(edge.before);
        }
    }
    // Kosaraju's algorithm walks iteratively, so a long chain cannot exhaust the stack.
    let mut knots = HashMap::new();
    for members in kosaraju_scc(&graph) {
        let ids: Vec<NodeId> = members
            .iter()
            .map(|vertex| NodeId::at(vertex.index()))
            .collect();
        if ids.len() > 1 || ids.iter().any(|id| selfish.contains(id)) {
            let smallest = ids.iter().min().map_or(0, |id| id.index());
            knots.extend(ids.into_iter().map(|id| (id, smallest)));
        }
    }
    knots
}

/// Some cycles of one knot, the shortest first; each is sought without the edges of those before it.
fn cycles_of(mut edges: Vec<&Edge>) -> Vec<Cycle> {
    let mut cycles = Vec::new();
    while cycles.len() < MAX_CYCLES_PER_KNOT {
        let Some(cycle) = shortest(&edges) else {
            break;
        };
        let used: HashSet<(NodeId, NodeId)> =
            cycle.iter().map(|edge| (edge.before, edge.after)).collect();
        edges.retain(|edge| !used.contains(&(edge.before, edge.after)));
        cycles.push(Cycle {
            edges: cycle.into_iter().cloned().collect(),
        });
    }
    cycles
}

fn shortest<'e>(edges: &[&'e Edge]) -> Option<Vec<&'e Edge>> {
    let mut out: BTreeMap<NodeId, Vec<&'e Edge>> = BTreeMap::new();
    for edge in edges {
        out.entry(edge.before).or_default().push(edge);
    }
    let mut best: Option<Vec<&'e Edge>> = None;
    for start in out.keys().take(MAX_SEARCHES) {
        if let Some(ring) = ring_from(*start, &out)
            && best.as_ref().is_none_or(|best| ring.len() < best.len())
        {
            best = Some(ring);
        }
    }
    let mut ring = best?;
    let smallest = ring
        .iter()
        .enumerate()
        .min_by_key(|(_, edge)| edge.before)
        .map_or(0, |(at, _)| at);
    ring.rotate_left(smallest);
    Some(ring)
}

/// The shortest way from a node back to itself.
fn ring_from<'e>(start: NodeId, out: &BTreeMap<NodeId, Vec<&'e Edge>>) -> Option<Vec<&'e Edge>> {
    let mut came: HashMap<NodeId, &'e Edge> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in out.get(&node).into_iter().flatten() {
            if edge.after == start {
                let mut ring = vec![*edge];
                let mut here = node;
                while here != start {
                    let edge = came.get(&here)?;
                    ring.push(edge);
                    here = edge.before;
                }
                ring.reverse();
                return Some(ring);
            }
            if let std::collections::hash_map::Entry::Vacant(slot) = came.entry(edge.after) {
                slot.insert(edge);
                queue.push_back(edge.after);
            }
        }
    }
    None
}
