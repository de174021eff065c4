//! Questions to a built graph: order, readiness, what depends on what, why, and what takes longest.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tidegate_manifest::Phase;

use crate::{Edge, Graph, Node, NodeId};

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
        todo_order(self)
    }

    /// The tasks that may start now: everything they wait for is in `done`, and they are not.
    ///
    /// Tasks of `SyncFail` run only when a sync failed and are never ready here.
    pub fn ready(&self, done: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let _ = done;
        Vec::new()
    }

    /// Everything that waits for `id`, directly or not, in task order: what cannot go on when it fails.
    pub fn dependents_of(&self, id: NodeId, follow: Follow) -> Vec<NodeId> {
        let _ = (id, follow);
        Vec::new()
    }

    /// Everything that `id` waits for, directly or not, in task order.
    pub fn dependencies_of(&self, id: NodeId, follow: Follow) -> Vec<NodeId> {
        let _ = (id, follow);
        Vec::new()
    }

    /// Why `after` waits for `before`: the shortest chain of references, else the order of their waves.
    ///
    /// None when it does not wait.
    pub fn explain(&self, before: NodeId, after: NodeId) -> Option<Vec<Step>> {
        let _ = (before, after);
        None
    }

    /// A step in words, for people.
    pub fn step_text(&self, step: &Step) -> String {
        let _ = step;
        String::new()
    }

    /// The chain of tasks that takes longest, by how long each takes; `SyncFail` is left out.
    pub fn critical_path(&self, durations: impl Fn(&Node) -> Duration) -> CriticalPath {
        let _ = durations;
        CriticalPath::default()
    }
}

fn todo_order(graph: &Graph) -> Vec<NodeId> {
    (0..graph.nodes.len()).map(NodeId::at).collect()
}
