//! What goes into a graph and what a node of it is. No order, no edges: those live in `schedule` and `resolve`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tidegate_manifest::{Object, Origin, Phase, ResourceKey, Role, SyncFacts, Target};

/// Ends the name of an object that has only `generateName`; no real name holds it.
pub(crate) const UNNAMED: char = '*';

/// What a node does in a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// A plain object that is applied.
    Apply,
    /// A hook that runs in its phase.
    Hook,
    /// A live object that is no longer in Git.
    Prune,
    /// An object that takes no part (`hook: Skip`, a hook of no sync phase); it is only shown.
    Skip,
}

impl NodeRole {
    /// Whether the node creates or updates its object.
    pub fn applies(self) -> bool {
        matches!(self, NodeRole::Apply | NodeRole::Hook)
    }

    /// Whether the node is a task of the sync.
    pub fn is_task(self) -> bool {
        self != NodeRole::Skip
    }
}

/// One task (or skipped object) as the caller knows it; an object listed in several phases is given once per phase.
#[derive(Clone, Debug)]
pub struct NodeInput<'a> {
    /// Which object.
    pub key: ResourceKey,
    /// What is done with it.
    pub role: NodeRole,
    /// The phase of the task; prune tasks are of phase `Sync`.
    pub phase: Phase,
    /// The wave that the annotations give; mirroring and lifts are done here.
    pub wave: i32,
    /// The desired body, or the live one of a prune task.
    pub body: &'a Value,
    /// What the annotations say; those of the live object for a prune task.
    pub facts: &'a SyncFacts,
    /// Where the object came from.
    pub origin: Arc<Origin>,
}

impl<'a> NodeInput<'a> {
    /// The tasks of a desired object in `target`: one per phase, or one skipped node.
    ///
    /// A hook that has only `generateName` is shown as `check-*`; nothing can refer to it until it has its name.
    pub fn of_object(object: &'a Object, target: &Target) -> Vec<Self> {
        let mut key = object.key(target.clone());
        if let Some(prefix) = object.generate_name() {
            key.name = format!("{prefix}{UNNAMED}");
        }
        Self::of_desired(&key, &object.body, &object.facts, &object.origin)
    }

    /// The tasks of a desired object with parts that stand apart.
    pub fn of_desired(
        key: &ResourceKey,
        body: &'a Value,
        facts: &'a SyncFacts,
        origin: &Arc<Origin>,
    ) -> Vec<Self> {
        let make = |role, phase| NodeInput {
            key: key.clone(),
            role,
            phase,
            wave: facts.wave,
            body,
            facts,
            origin: Arc::clone(origin),
        };
        let role = if facts.role == Role::Hook {
            NodeRole::Hook
        } else {
            NodeRole::Apply
        };
        let phases = facts.phases();
        if phases.is_empty() {
            return vec![make(NodeRole::Skip, Phase::Sync)];
        }
        phases.into_iter().map(|phase| make(role, phase)).collect()
    }

    /// The task that prunes a live object.
    pub fn prune(
        key: ResourceKey,
        live: &'a Value,
        facts: &'a SyncFacts,
        origin: Arc<Origin>,
    ) -> Self {
        Self {
            key,
            role: NodeRole::Prune,
            phase: Phase::Sync,
            wave: facts.wave,
            body: live,
            facts,
            origin,
        }
    }
}

/// A node's number: its place in the task order of the graph, skipped nodes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The place in [`crate::Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("the number of nodes is bounded by MAX_NODES"))
    }
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Which object.
    pub key: ResourceKey,
    /// What is done with it.
    pub role: NodeRole,
    /// The phase it runs in, after lifts.
    pub phase: Phase,
    /// The wave it runs in, after mirroring, `PruneLast` and lifts.
    pub wave: i32,
    /// The phase it was given.
    pub declared_phase: Phase,
    /// The wave it was given.
    pub declared_wave: i32,
    /// `PruneLast=true` on the object itself.
    pub prune_last: bool,
    /// Where the object came from.
    pub origin: Arc<Origin>,
    /// For a CustomResourceDefinition: the group and kind that it defines.
    #[serde(skip)]
    pub(crate) defines: Option<(String, String)>,
}

impl Node {
    /// `Kind namespace/name`, for people.
    pub fn short(&self) -> String {
        self.key.short()
    }

    /// Whether a lift moved the node out of the phase or wave that it was given.
    pub fn is_lifted(&self) -> bool {
        self.role.applies() && (self.phase, self.wave) != (self.declared_phase, self.declared_wave)
    }
}
