//! From what was seen to a plan. Pure: same inputs, same bytes.

use serde_json::Value;
use tidegate_applier::{ApplyMode, ChangeOutcome, Precondition};
use tidegate_graph::NodeId;
use tidegate_manifest::ResourceKey;

use crate::difference::Differences;
use crate::live::Observation;
use crate::request::RequestContext;
use crate::tasks::{self, Task, TaskSet};
use crate::{
    Desired, Digest, PLAN_VERSION, Plan, PlanAction, PlanEdge, PlanEntry, PlanInputs, PlanRequest,
};

/// What a plan is made of.
pub(crate) struct PlanningInput<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) observation: &'a Observation,
    pub(crate) differences: &'a Differences,
    pub(crate) context: &'a RequestContext,
    pub(crate) tasks: &'a TaskSet,
}

/// Writes down what a sync would do.
pub(crate) fn plan(input: &PlanningInput<'_>) -> Plan {
    let groups = input.tasks.groups(&input.observation.live);
    let mut order: Vec<(NodeId, i32)> = Vec::new();
    for group in &groups {
        order.extend(group.members().map(|id| (id, group.wave)));
    }
    let mut places = vec![None; input.tasks.tasks.len()];
    let mut entries = Vec::with_capacity(order.len());
    for (id, wave) in order {
        if let Some(task) = input.tasks.task(id) {
            places[id.index()] = Some(entries.len());
            entries.push(entry(input, task, wave));
        }
    }
    let mut edges: Vec<PlanEdge> = input
        .tasks
        .graph
        .edges()
        .iter()
        .filter_map(|edge| {
            let name = |id: NodeId| input.tasks.graph.node(id).short();
            Some(PlanEdge {
                before: places[edge.before.index()]?,
                after: places[edge.after.index()]?,
                reason: edge
                    .reason
                    .sentence(&name(edge.dependent), &name(edge.dependency)),
            })
        })
        .collect();
    edges.sort_by(|a, b| (a.before, a.after, &a.reason).cmp(&(b.before, b.after, &b.reason)));
    let mut diagnostics = input.observation.normalised.diagnostics.clone();
    diagnostics.extend(input.observation.normalised.refusals.iter().cloned());
    diagnostics.extend(input.tasks.graph.diagnostics().iter().cloned());
    let mut conditions = input.observation.conditions.clone();
    conditions.sort();
    conditions.dedup();
    let sync = &input.context.sync;
    Plan {
        version: PLAN_VERSION,
        application: input.desired.application_name().to_owned(),
        revisions: input.desired.revisions(),
        inputs: PlanInputs {
            desired: input.desired.digest(),
            live: input.observation.live_digest(),
        },
        request: PlanRequest {
            prune: sync.prune,
            strategy: sync.strategy,
            resources: sync.resources.clone(),
            options: sync.option_list.clone(),
        },
        entries,
        edges,
        conditions,
        diagnostics,
    }
}

fn entry(input: &PlanningInput<'_>, task: &Task, wave: i32) -> PlanEntry {
    let live = input.observation.live.get(&task.key);
    let precondition = Precondition {
        exists: Some(live.is_some()),
        uid: live.map(|live| live.uid.clone()),
        version: live.map(|live| live.version.clone()),
    };
    let mut entry = PlanEntry {
        key: task.key.clone(),
        version: task.gvk.version.clone(),
        action: PlanAction::Nothing,
        phase: task.phase,
        wave,
        hook: task.hook,
        changes: Vec::new(),
        precondition,
        desired: task.body.as_deref().map(|body| stable_digest(task, body)),
        assumed: false,
        message: String::new(),
        is_invalid: false,
        warnings: Vec::new(),
        origin: Some((*task.origin).clone()).filter(|origin| *origin != <_>::default()),
    };
    if task.is_prune() {
        decide_prune(input, task, &mut entry);
    } else if task.is_hook() {
        entry.action = PlanAction::Hook;
    } else {
        decide_apply(input, task, &mut entry);
    }
    if let Some(reason) = &task.invalid {
        entry.is_invalid = true;
        entry.message.clone_from(reason);
    }
    entry
}

/// The digest of a desired body. A hook's names its operation: without that, so that plans compare.
fn stable_digest(task: &Task, body: &Value) -> Digest {
    let mut body = body.clone();
    if task.is_hook()
        && let Some(annotations) = body.pointer_mut("/metadata/annotations")
        && let Some(annotations) = annotations.as_object_mut()
    {
        annotations.remove(crate::request::OPERATION_ID);
    }
    Digest::of(&body)
}

fn decide_prune(input: &PlanningInput<'_>, task: &Task, entry: &mut PlanEntry) {
    let sync = &input.context.sync;
    let reason = prune_skip(task, sync, input.observation.prune_blocked.as_deref());
    match reason {
        Some(reason) => {
            entry.action = PlanAction::Skip;
            entry.message = reason;
        }
        None => {
            entry.action = PlanAction::Delete;
            if tasks::needs_approval(&task.facts, sync.options.prune) {
                entry.message = "needs approval".to_owned();
            }
        }
    }
}

/// Why a prune task leaves its object alone, in Argo CD's words.
pub(crate) fn prune_skip(
    task: &Task,
    sync: &crate::SyncRequest,
    blocked: Option<&str>,
) -> Option<String> {
    if !sync.prune {
        return Some("ignored (requires pruning)".to_owned());
    }
    if tasks::forbids_prune(&task.facts, sync.options.prune) {
        return Some("ignored (no prune)".to_owned());
    }
    blocked.map(str::to_owned)
}

fn decide_apply(input: &PlanningInput<'_>, task: &Task, entry: &mut PlanEntry) {
    if let Some(error) = error_of(input, &task.key) {
        entry.is_invalid = true;
        entry.message = error;
        return;
    }
    let live = input.observation.live.get(&task.key);
    let Some(difference) = input.differences.by_key.get(&task.key) else {
        // The namespace of `CreateNamespace=true` is not compared.
        entry.action = if live.is_none() {
            PlanAction::Create
        } else {
            PlanAction::Update
        };
        entry.assumed = live.is_none();
        return;
    };
    let (mode, _) = input.context.mode(&task.key, &task.facts, live);
    entry.action = match (difference.outcome, mode) {
        (ChangeOutcome::Unchanged, _) => PlanAction::Nothing,
        (ChangeOutcome::Created, _) => PlanAction::Create,
        (ChangeOutcome::Replaced, _)
        | (ChangeOutcome::Updated, ApplyMode::Replace | ApplyMode::Recreate) => PlanAction::Replace,
        (ChangeOutcome::Updated, ApplyMode::Apply) => PlanAction::Update,
    };
    if entry.action == PlanAction::Create {
        // A creation is told by its digest: the whole object is new.
        entry.assumed = difference.assumed;
    }
    entry.changes.clone_from(&difference.changes);
    entry.warnings.clone_from(&difference.warnings);
}

fn error_of(input: &PlanningInput<'_>, key: &ResourceKey) -> Option<String> {
    let found = input.differences.errors.get(key);
    let found = found.or_else(|| input.differences.refused.get(key));
    found.map(ToString::to_string)
}
