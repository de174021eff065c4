//! The order of tasks: phase, wave, kind rank, name; the two lifts; mirrored prune waves (Argo CD 7.3, 0.1).
//! References between objects play no part here, except for the order of prunes inside one wave.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use tidegate_manifest::Phase;

use crate::{Node, NodeId, NodeRole, kind_rank};

/// The tasks of one phase and wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The phase.
    pub phase: Phase,
    /// The wave.
    pub wave: i32,
    /// Live objects to delete, dependents before what they depend on; they go before the applies.
    pub prunes: Vec<NodeId>,
    /// Objects and hooks to apply, in Argo CD's order: runs of equal kind, then names.
    pub applies: Vec<NodeId>,
}

impl Group {
    /// All tasks: prunes, then applies.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.prunes.iter().chain(&self.applies).copied()
    }
}

/// Swaps the waves of what is to be pruned: the lowest with the highest, the second with the second-highest, and so on.
pub fn mirror_waves(waves: impl IntoIterator<Item = i32>) -> BTreeMap<i32, i32> {
    let waves: BTreeSet<i32> = waves.into_iter().collect();
    waves
        .iter()
        .copied()
        .zip(waves.iter().rev().copied())
        .collect()
}

/// Sets the waves of prune tasks: mirrored, or after everything of the Sync phase under `PruneLast`.
///
/// `is_left` says which prune tasks still count: Argo CD mirrors anew in every step.
pub(crate) fn set_prune_waves(
    nodes: &mut [Node],
    all_prune_last: PruneLast,
    is_left: impl Fn(usize) -> bool,
) {
    let prunes: Vec<usize> = (0..nodes.len())
        .filter(|i| nodes[*i].role == NodeRole::Prune && is_left(*i))
        .collect();
    let mirrored = mirror_waves(prunes.iter().map(|i| nodes[*i].declared_wave));
    for i in &prunes {
        nodes[*i].wave = mirrored[&nodes[*i].declared_wave];
    }
    // The waves that count are those before any lift, prune tasks among them (gitops-engine, getSyncTasks).
    let last = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.declared_phase == Phase::Sync && node.role.is_task())
        .filter(|(i, node)| node.role != NodeRole::Prune || is_left(*i))
        .map(|(_, node)| match node.role {
            NodeRole::Prune => node.wave,
            NodeRole::Apply | NodeRole::Hook | NodeRole::Skip => node.declared_wave,
        })
        .max()
        .unwrap_or(0)
        .max(0);
    for i in prunes {
        if all_prune_last == PruneLast::All || nodes[i].prune_last {
            nodes[i].wave = last.saturating_add(1);
        }
    }
}

/// Which prune tasks wait for the end of the sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PruneLast {
    /// Those whose object says so.
    #[default]
    Marked,
    /// All of them.
    All,
}

/// Sorts the tasks and lifts Namespaces and CustomResourceDefinitions; skipped nodes come last.
///
/// Returns the order as indices into `nodes`; phases and waves of lifted nodes are set in place.
pub(crate) fn order(nodes: &mut [Node]) -> Vec<usize> {
    let ranks: Vec<usize> = nodes.iter().map(|node| kind_rank(&node.key.kind)).collect();
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|a, b| {
        let (x, y) = (&nodes[*a], &nodes[*b]);
        let skipped = |node: &Node| !node.role.is_task();
        skipped(x)
            .cmp(&skipped(y))
            .then(x.phase.cmp(&y.phase))
            .then(x.wave.cmp(&y.wave))
            .then(ranks[*a].cmp(&ranks[*b]))
            .then_with(|| x.key.name.cmp(&y.key.name))
            .then_with(|| x.key.namespace.cmp(&y.key.namespace))
            .then_with(|| x.key.cmp(&y.key))
            .then(x.role.cmp(&y.role))
    });
    let order = lift(
        nodes,
        &order,
        |node| {
            (node.key.group.is_empty() && node.key.kind == "Namespace").then(|| {
                (
                    node.key.target.clone(),
                    String::new(),
                    node.key.name.clone(),
                )
            })
        },
        |node| {
            (!node.key.namespace.is_empty()).then(|| {
                (
                    node.key.target.clone(),
                    String::new(),
                    node.key.namespace.clone(),
                )
            })
        },
    );
    lift(
        nodes,
        &order,
        |node| {
            let (group, kind) = node.defines.clone()?;
            Some((node.key.target.clone(), group, kind))
        },
        |node| {
            Some((
                node.key.target.clone(),
                node.key.group.clone(),
                node.key.kind.clone(),
            ))
        },
    )
}

/// Moves each definer to just before the first applied node that refers to it; it takes over phase and wave.
///
/// Prune tasks neither lift nor are lifted. Several definers in front of one node keep their order.
fn lift<K: std::hash::Hash + Eq>(
    nodes: &mut [Node],
    order: &[usize],
    defines: impl Fn(&Node) -> Option<K>,
    refers: impl Fn(&Node) -> Option<K>,
) -> Vec<usize> {
    let mut first: HashMap<K, usize> = HashMap::new();
    let mut lifted: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut is_lifted = vec![false; nodes.len()];
    for &i in order {
        if !nodes[i].role.applies() {
            continue;
        }
        if let Some(key) = defines(&nodes[i]) {
            if let Some(&at) = first.get(&key) {
                (nodes[i].phase, nodes[i].wave) = (nodes[at].phase, nodes[at].wave);
                lifted.entry(at).or_default().push(i);
                is_lifted[i] = true;
            }
        } else if let Some(key) = refers(&nodes[i]) {
            first.entry(key).or_insert(i);
        }
    }
    let mut result = Vec::with_capacity(order.len());
    for &i in order.iter().filter(|i| !is_lifted[**i]) {
        result.extend(lifted.remove(&i).unwrap_or_default());
        result.push(i);
    }
    result
}

/// Gathers tasks, given in order, into groups.
pub(crate) fn group(nodes: &[Node], order: impl IntoIterator<Item = NodeId>) -> Vec<Group> {
    let mut groups: BTreeMap<(Phase, i32), Group> = BTreeMap::new();
    for id in order {
        let node = &nodes[id.index()];
        if !node.role.is_task() {
            continue;
        }
        let group = groups
            .entry((node.phase, node.wave))
            .or_insert_with(|| Group {
                phase: node.phase,
                wave: node.wave,
                prunes: Vec::new(),
                applies: Vec::new(),
            });
        match node.role {
            NodeRole::Prune => group.prunes.push(id),
            NodeRole::Apply | NodeRole::Hook => group.applies.push(id),
            NodeRole::Skip => {}
        }
    }
    groups.into_values().collect()
}
