//! Questions to a built graph: order, readiness, what depends on what, why, and what takes longest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use serde::Serialize;
use tidegate_manifest::Phase;

use crate::diagnose::when;
use crate::graph::Link;
use crate::resolve::vertex;
use crate::{Edge, Graph, Group, Node, NodeId};

/// Which edges a question follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// References and declared dependencies only: what health gates.
    References,
    /// The order of phases and waves too: what a failure holds up.
    Waves,
}

/// One step of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// One object refers to the other.
    Edge(Edge),
    /// All of one wave comes before all of another.
    #[serde(rename_all = "camelCase")]
    Waves {
        /// What goes first.
        before: NodeId,
        /// What waits for it.
        after: NodeId,
        /// The phase and wave of what goes first.
        from: (Phase, i32),
        /// The phase and wave of what waits.
        to: (Phase, i32),
    },
}

/// The chain of tasks that takes longest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CriticalPath {
    /// The tasks of the chain, in order.
    pub nodes: Vec<NodeId>,
    /// How long they take one after the other.
    pub total: Duration,
}

impl Graph {
    /// All tasks in an order that respects every edge and every wave; ties go by task order.
    ///
    /// Members of a cycle come in task order. Tasks of `SyncFail` are last.
    pub fn order(&self) -> Vec<NodeId> {
        let mut order = Vec::with_capacity(self.nodes.len());
        for group in &self.groups {
            let members: BTreeSet<NodeId> = group.members().collect();
            let inside = members.iter().flat_map(|id| {
                self.after(*id)
                    .filter(|after| members.contains(after))
                    .map(|after| (*id, after))
            });
            order.extend(topological(members.iter().copied(), inside, |id| {
                Reverse(id.index())
            }));
        }
        order
    }

    /// The tasks that may start now: everything they wait for is in `done`, and they are not.
    ///
    /// Tasks of `SyncFail` run only when a sync failed and are never ready here.
    pub fn ready(&self, done: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let open = self
            .groups
            .iter()
            .find(|group| group.members().any(|id| !done.contains(&id)));
        let Some(group) = open.filter(|group| group.phase != Phase::SyncFail) else {
            return Vec::new();
        };
        let mut ready: Vec<NodeId> = group
            .members()
            .filter(|id| !done.contains(id))
            .filter(|id| self.before(*id).all(|before| done.contains(&before)))
            .collect();
        ready.sort_unstable();
        ready
    }

    /// Everything that waits for `id`, directly or not, in task order: what cannot go on when it fails.
    pub fn dependents_of(&self, id: NodeId, follow: Follow) -> Vec<NodeId> {
        self.reach(id, follow, Direction::Outgoing)
    }

    /// Everything that `id` waits for, directly or not, in task order.
    pub fn dependencies_of(&self, id: NodeId, follow: Follow) -> Vec<NodeId> {
        self.reach(id, follow, Direction::Incoming)
    }

    fn reach(&self, id: NodeId, follow: Follow, direction: Direction) -> Vec<NodeId> {
        if id.index() >= self.nodes.len() {
            return Vec::new();
        }
        let mut seen = HashSet::from([vertex(id)]);
        let mut stack = vec![vertex(id)];
        while let Some(here) = stack.pop() {
            for link in self.links.edges_directed(here, direction) {
                if *link.weight() == Link::Barrier && follow == Follow::References {
                    continue;
                }
                let next = match direction {
                    Direction::Outgoing => link.target(),
                    Direction::Incoming => link.source(),
                };
                if seen.insert(next) {
                    stack.push(next);
                }
            }
        }
        let mut found: Vec<NodeId> = seen
            .into_iter()
            .filter(|vertex| vertex.index() < self.nodes.len() && vertex.index() != id.index())
            .map(|vertex| NodeId::at(vertex.index()))
            .collect();
        found.sort_unstable();
        found
    }

    /// Why `after` waits for `before`: the shortest chain of references, else the order of their waves.
    ///
    /// None when it does not wait.
    pub fn explain(&self, before: NodeId, after: NodeId) -> Option<Vec<Step>> {
        let (first, last) = (
            self.nodes.get(before.index())?,
            self.nodes.get(after.index())?,
        );
        if before == after {
            return None;
        }
        if let Some(edges) = self.chain(before, after) {
            return Some(edges.into_iter().cloned().map(Step::Edge).collect());
        }
        let (from, to) = ((first.phase, first.wave), (last.phase, last.wave));
        let ordered = first.role.is_task()
            && last.role.is_task()
            && from < to
            && last.phase != Phase::SyncFail;
        ordered.then(|| {
            vec![Step::Waves {
                before,
                after,
                from,
                to,
            }]
        })
    }

    fn chain(&self, before: NodeId, after: NodeId) -> Option<Vec<&Edge>> {
        let mut came: HashMap<NodeIndex, u32> = HashMap::new();
        let mut queue = VecDeque::from([vertex(before)]);
        while let Some(here) = queue.pop_front() {
            let mut links: Vec<(NodeIndex, u32)> = self
                .links
                .edges(here)
                .filter_map(|link| match link.weight() {
                    Link::Edge(number) => Some((link.target(), *number)),
                    Link::Barrier => None,
                })
                .collect();
            links.sort_unstable();
            for (next, number) in links {
                if next == vertex(before) || came.contains_key(&next) {
                    continue;
                }
                came.insert(next, number);
                if next == vertex(after) {
                    let mut chain = Vec::new();
                    let mut at = next;
                    while at != vertex(before) {
                        let edge = &self.edges[came[&at] as usize];
                        chain.push(edge);
                        at = vertex(edge.before);
                    }
                    chain.reverse();
                    return Some(chain);
                }
                queue.push_back(next);
            }
        }
        None
    }

    /// A step in words, for people.
    pub fn step_text(&self, step: &Step) -> String {
        match step {
            Step::Edge(edge) => self.edge_text(edge),
            Step::Waves { before, after, .. } => {
                let (first, last) = (self.node(*before), self.node(*after));
                format!(
                    "{} runs in {}, after all of {}, where {} runs",
                    last.short(),
                    when(last),
                    when(first),
                    first.short()
                )
            }
        }
    }

    /// An edge in words: `Deployment shop/web reads ConfigMap shop/settings (.spec…)`.
    pub fn edge_text(&self, edge: &Edge) -> String {
        edge.reason.sentence(
            &self.node(edge.dependent).short(),
            &self.node(edge.dependency).short(),
        )
    }

    /// The chain of tasks that takes longest, by how long each takes; `SyncFail` is left out.
    ///
    /// A wave begins when all of the wave before it is done. Where times are equal, a reference explains better
    /// than a wave, and the earlier task better than the later.
    pub fn critical_path(&self, durations: impl Fn(&Node) -> Duration) -> CriticalPath {
        let mut finish: HashMap<NodeId, (Duration, Option<NodeId>)> = HashMap::new();
        let mut gate: Option<(Duration, NodeId)> = None;
        let mut slowest: Option<(Duration, NodeId)> = None;
        let mut place = None;
        for id in self.order() {
            let node = self.node(id);
            if node.phase == Phase::SyncFail {
                continue;
            }
            if place != Some((node.phase, node.wave)) {
                place = Some((node.phase, node.wave));
                gate = slowest;
            }
            let mut start = gate.map_or((Duration::ZERO, None), |(time, from)| (time, Some(from)));
            let mut is_reference = false;
            for before in self.before(id) {
                let Some((time, _)) = finish.get(&before) else {
                    continue;
                };
                let is_better = *time > start.0
                    || (*time == start.0
                        && (!is_reference || start.1.is_none_or(|from| before < from)));
                if is_better {
                    start = (*time, Some(before));
                    is_reference = true;
                }
            }
            let end = start.0.saturating_add(durations(node));
            finish.insert(id, (end, start.1));
            if slowest.is_none_or(|(time, _)| end > time) {
                slowest = Some((end, id));
            }
        }
        let mut path = CriticalPath::default();
        let mut here = slowest.map(|(total, id)| {
            path.total = total;
            id
        });
        while let Some(id) = here {
            path.nodes.push(id);
            here = finish.get(&id).and_then(|(_, from)| *from);
        }
        path.nodes.reverse();
        path
    }

    pub(crate) fn before(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.neighbours(id, Direction::Incoming)
    }

    pub(crate) fn after(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.neighbours(id, Direction::Outgoing)
    }

    fn neighbours(&self, id: NodeId, direction: Direction) -> impl Iterator<Item = NodeId> + '_ {
        self.links
            .edges_directed(vertex(id), direction)
            .filter(|link| matches!(link.weight(), Link::Edge(_)))
            .map(move |link| match direction {
                Direction::Outgoing => NodeId::at(link.target().index()),
                Direction::Incoming => NodeId::at(link.source().index()),
            })
    }

    /// Sorts the prunes of each group: dependents first, ties the other way round than they were created.
    pub(crate) fn sort_prunes(&self, groups: &mut [Group]) {
        for group in groups.iter_mut().filter(|group| group.prunes.len() > 1) {
            let members: BTreeSet<NodeId> = group.prunes.iter().copied().collect();
            let inside = members.iter().flat_map(|id| {
                let start = self.prune_links.partition_point(|(before, _)| before < id);
                self.prune_links[start..]
                    .iter()
                    .take_while(move |(before, _)| before == id)
                    .filter(|(_, after)| members.contains(after))
                    .copied()
            });
            group.prunes = topological(members.iter().rev().copied(), inside, NodeId::index);
        }
    }
}

/// Kahn's algorithm; of those that are free the one of the highest priority goes first.
///
/// When a cycle leaves none free, the first of `members` that is left goes: the result always holds all of them.
fn topological<P: Ord>(
    members: impl Iterator<Item = NodeId>,
    edges: impl Iterator<Item = (NodeId, NodeId)>,
    priority: impl Fn(NodeId) -> P,
) -> Vec<NodeId> {
    let members: Vec<NodeId> = members.collect();
    let mut waits: BTreeMap<NodeId, usize> = members.iter().map(|id| (*id, 0)).collect();
    let mut out: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    let edges: BTreeSet<(NodeId, NodeId)> = edges.filter(|(a, b)| a != b).collect();
    for (before, after) in edges {
        out.entry(before).or_default().push(after);
        if let Some(count) = waits.get_mut(&after) {
            *count += 1;
        }
    }
    let mut free: BinaryHeap<(P, NodeId)> = members
        .iter()
        .filter(|id| waits[id] == 0)
        .map(|id| (priority(*id), *id))
        .collect();
    let mut order = Vec::with_capacity(members.len());
    let mut left = members.iter();
    loop {
        let next = match free.pop() {
            Some((_, id)) => Some(id),
            None => left.by_ref().copied().find(|id| waits.contains_key(id)),
        };
        let Some(id) = next else {
            return order;
        };
        if waits.remove(&id).is_none() {
            continue;
        }
        order.push(id);
        for after in out.remove(&id).unwrap_or_default() {
            if let Some(count) = waits.get_mut(&after) {
                *count -= 1;
                if *count == 0 {
                    free.push((priority(after), after));
                }
            }
        }
    }
}
