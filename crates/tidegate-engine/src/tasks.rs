//! The tasks of a sync: what is applied, run, pruned; in which group (Argo CD 7.1-7.3). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_graph::{Graph, GraphOptions, Group, NodeId, NodeInput, NodeRole};
use tidegate_manifest::{
    Approval, Diagnostic, GroupVersionKind, HookKind, Origin, Phase, Renderer, ResourceKey, Role,
    SyncFacts, TargetKind,
};

use crate::live::{Live, Observation};
use crate::normalise::{DesiredObject, Served};
use crate::request::{self, RequestContext};
use crate::{Desired, Destination, ResourceFilter};

/// One task: an object in one phase.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The place among the tasks, which is its node's number.
    pub(crate) index: usize,
    pub(crate) key: ResourceKey,
    pub(crate) gvk: GroupVersionKind,
    pub(crate) role: NodeRole,
    /// The phase after lifts: part of the task's identity.
    pub(crate) phase: Phase,
    /// The wave after lifts; for prunes the groups know better.
    pub(crate) wave: i32,
    pub(crate) hook: Option<HookKind>,
    /// Of the desired object; of the live one for a prune.
    pub(crate) facts: SyncFacts,
    /// The desired body; none for a prune.
    pub(crate) body: Option<Arc<Value>>,
    pub(crate) origin: Arc<Origin>,
    /// The very object that a prune deletes.
    pub(crate) prune_uid: String,
    /// It cannot be asked about yet: its kind comes with this sync, or may be missing.
    pub(crate) skips_dry_run: bool,
    pub(crate) invalid: Option<String>,
    /// Differs from the live object; decides under `ApplyOutOfSyncOnly`.
    pub(crate) is_modified: bool,
    /// The namespace of `CreateNamespace=true`.
    pub(crate) is_namespace: bool,
}

impl Task {
    pub(crate) fn is_hook(&self) -> bool {
        self.role == NodeRole::Hook
    }

    pub(crate) fn is_prune(&self) -> bool {
        self.role == NodeRole::Prune
    }
}

/// All tasks of an operation and their graph. A task's number is its node's.
#[derive(Clone, Debug)]
pub(crate) struct TaskSet {
    pub(crate) graph: Graph,
    /// Parallel to the graph's nodes; none for skipped nodes.
    pub(crate) tasks: Vec<Option<Task>>,
}

impl TaskSet {
    pub(crate) fn task(&self, id: NodeId) -> Option<&Task> {
        self.tasks.get(id.index())?.as_ref()
    }

    /// All tasks with their numbers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Task)> {
        let nodes = self.graph.iter();
        nodes.filter_map(|(id, _)| Some((id, self.task(id)?)))
    }

    /// The groups as they stand: what is pruned and gone no longer takes part in the mirroring.
    pub(crate) fn groups(&self, live: &Live) -> Vec<Group> {
        let gone = |(id, task): (NodeId, &Task)| {
            let found = live.get(&task.key);
            let is_gone = task.is_prune() && found.is_none_or(|found| found.uid != task.prune_uid);
            is_gone.then_some(id)
        };
        let gone: BTreeSet<NodeId> = self.iter().filter_map(gone).collect();
        self.graph.regroup(&gone)
    }

    /// Why the tasks must not be run, by task; errors of the graph stand at the tasks that they name.
    pub(crate) fn graph_errors(&self) -> impl Iterator<Item = &Diagnostic> {
        let found = self.graph.diagnostics().iter();
        found.filter(|diagnostic| diagnostic.is_error())
    }
}

/// What decides which tasks there are.
pub(crate) struct TaskInput<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) destination: &'a Destination,
    pub(crate) observation: &'a Observation,
    pub(crate) context: &'a RequestContext,
    pub(crate) started_at: Timestamp,
    /// Objects whose changes are ignored by rule count as unmodified.
    pub(crate) unmodified: &'a BTreeSet<ResourceKey>,
}

/// Makes the tasks of an operation.
pub(crate) fn tasks(input: &TaskInput<'_>) -> TaskSet {
    let mut made: BTreeMap<(ResourceKey, Phase), Task> = BTreeMap::new();
    let mut skipped: Vec<&DesiredObject> = Vec::new();
    for object in &input.observation.normalised.objects {
        if !ResourceFilter::selects(&input.context.sync.resources, &object.key) {
            continue;
        }
        match object.object.facts.role {
            Role::Resource => insert(&mut made, plain(input, object)),
            Role::Hook => {
                for hook in &object.object.facts.hooks {
                    let Some(phase) = hook.phase() else { continue };
                    if input.context.sync.runs_hooks() {
                        insert(&mut made, hook_task(input, object, *hook, phase));
                    }
                }
            }
            Role::Skip => skipped.push(object),
            Role::Ignored => {}
        }
    }
    for task in prunes(input) {
        insert(&mut made, task);
    }
    if let Some(task) = namespace(input, &made) {
        insert(&mut made, task);
    }
    number(input, made, &skipped)
}

fn insert(made: &mut BTreeMap<(ResourceKey, Phase), Task>, task: Task) {
    made.insert((task.key.clone(), task.phase), task);
}

/// Builds the graph and puts each task at its node's number.
fn number(
    input: &TaskInput<'_>,
    mut made: BTreeMap<(ResourceKey, Phase), Task>,
    skipped: &[&DesiredObject],
) -> TaskSet {
    let bodies: Vec<Arc<Value>> = made.values().map(|task| graph_body(input, task)).collect();
    let inputs = made.values().zip(&bodies).map(|(task, body)| NodeInput {
        key: task.key.clone(),
        role: task.role,
        phase: task.phase,
        wave: task.wave,
        body,
        facts: &task.facts,
        origin: Arc::clone(&task.origin),
    });
    let skipped = skipped.iter().flat_map(|object| {
        let (body, facts) = (&object.object.body, &object.object.facts);
        NodeInput::of_desired(&object.key, body, facts, &object.object.origin)
    });
    let options = GraphOptions {
        prune_last: input.context.sync.options.prune_last,
    };
    let inputs: Vec<NodeInput<'_>> = inputs.chain(skipped).collect();
    let graph = Graph::build(inputs, &options);
    let tasks = graph
        .nodes()
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let mut task = made.remove(&(node.key.clone(), node.declared_phase))?;
            task.index = index;
            task.phase = node.phase;
            task.wave = node.wave;
            Some(task)
        })
        .collect();
    TaskSet { graph, tasks }
}

fn graph_body(input: &TaskInput<'_>, task: &Task) -> Arc<Value> {
    if let Some(body) = &task.body {
        return Arc::clone(body);
    }
    let live = input.observation.live.get(&task.key);
    Arc::new(live.map(|live| live.body.clone()).unwrap_or_default())
}

fn plain(input: &TaskInput<'_>, object: &DesiredObject) -> Task {
    let is_unmodified = input.unmodified.contains(&object.key);
    Task {
        index: usize::MAX,
        key: object.key.clone(),
        gvk: object.object.gvk.clone(),
        role: NodeRole::Apply,
        phase: Phase::Sync,
        wave: object.object.facts.wave,
        hook: None,
        facts: object.object.facts.clone(),
        body: Some(Arc::new(object.object.body.clone())),
        origin: Arc::clone(&object.object.origin),
        prune_uid: String::new(),
        skips_dry_run: skips_dry_run(input, object),
        invalid: object.invalid.clone(),
        is_modified: !is_unmodified,
        is_namespace: false,
    }
}

/// A kind that comes with this sync, or whose definition this sync changes, cannot be asked about.
fn skips_dry_run(input: &TaskInput<'_>, object: &DesiredObject) -> bool {
    if object.served != Served::Yes {
        return true;
    }
    object.is_defined_here
        && input.observation.normalised.objects.iter().any(|other| {
            let defines = crate::normalise::definition(&other.object);
            defines.is_some_and(|(kind, _)| kind == object.object.group_kind())
                && !input.unmodified.contains(&other.key)
        })
}

fn hook_task(input: &TaskInput<'_>, object: &DesiredObject, hook: HookKind, phase: Phase) -> Task {
    let mut task = plain(input, object);
    let name = match object.object.generate_name() {
        Some(prefix) => {
            let revision = input
                .desired
                .sources
                .first()
                .map_or("", |s| s.revision.as_str());
            request::hook_name(prefix, revision, phase, input.started_at)
        }
        None => object.object.name.clone(),
    };
    let attempt = &input.context.attempt;
    let mut named = (*object.object).clone();
    named.set_name(&name);
    let mark = crate::normalise::tracking_id(&named, &input.context.owner);
    named.set_annotation(
        tidegate_manifest::annotation::TRACKING_ID,
        &mark.to_string(),
    );
    let body = request::hook_body(&named, &name, attempt, phase.as_str());
    task.key.name = name;
    task.body = Some(Arc::new(body));
    task.role = NodeRole::Hook;
    task.phase = phase;
    task.hook = Some(hook);
    task.is_modified = true;
    task
}

/// Live objects that Git no longer has; hooks that remained are none of them (Argo CD 7.5).
fn prunes<'a>(input: &'a TaskInput<'_>) -> impl Iterator<Item = Task> + 'a {
    let extras = input.observation.extras.iter();
    extras.filter_map(|owned| {
        let live = input.observation.live.get(&owned.key)?;
        let facts = SyncFacts::of(&live.body);
        let is_selected = ResourceFilter::selects(&input.context.sync.resources, &owned.key);
        if !owned.is_self_reference || facts.role != Role::Resource || !is_selected {
            return None;
        }
        let version = live.body.get("apiVersion").and_then(Value::as_str);
        let gvk = GroupVersionKind::new(version.unwrap_or_default(), owned.key.kind.as_str());
        Some(Task {
            index: usize::MAX,
            key: owned.key.clone(),
            gvk: GroupVersionKind {
                group: owned.key.group.clone(),
                ..gvk
            },
            role: NodeRole::Prune,
            phase: Phase::Sync,
            wave: facts.wave,
            hook: None,
            facts,
            body: None,
            origin: Arc::new(Origin::default()),
            prune_uid: live.uid.clone(),
            skips_dry_run: true,
            invalid: None,
            is_modified: true,
            is_namespace: false,
        })
    })
}

/// The task that makes the destination's namespace, or keeps its metadata (Argo CD section 8).
fn namespace(input: &TaskInput<'_>, made: &BTreeMap<(ResourceKey, Phase), Task>) -> Option<Task> {
    if !input.context.sync.options.create_namespace {
        return None;
    }
    let target = input.destination.target(TargetKind::Kubernetes)?;
    let namespace = request::managed_namespace(&input.desired.application, target)?;
    let is_in_git = made.keys().any(|(key, _)| *key == namespace.key);
    let live = input.observation.live.get(&namespace.key);
    if is_in_git || (live.is_some() && !namespace.has_metadata) {
        return None;
    }
    let foreign = live.and_then(|live| crate::observe::foreign_owner(live, &input.context.owner));
    let application = &input.context.owner.application;
    let invalid = foreign.filter(|_| namespace.has_metadata).map(|other| {
        let name = &namespace.key.name;
        format!("namespace {name} is already managed by application {other}, not by {application}")
    });
    Some(Task {
        index: usize::MAX,
        key: namespace.key,
        gvk: GroupVersionKind::new("v1", "Namespace"),
        role: NodeRole::Apply,
        phase: Phase::PreSync,
        wave: 0,
        hook: None,
        facts: SyncFacts::default(),
        body: Some(Arc::new(namespace.body)),
        origin: Arc::new(Origin {
            renderer: Renderer::Tidegate,
            ..input.desired.application.origin.clone()
        }),
        prune_uid: String::new(),
        skips_dry_run: false,
        invalid,
        is_modified: true,
        is_namespace: true,
    })
}

/// Whether pruning the object needs a person's approval.
pub(crate) fn needs_approval(facts: &SyncFacts, application: Approval) -> bool {
    facts.options.prune.unwrap_or(application) == Approval::Confirm
}

/// Whether the object must never be pruned.
pub(crate) fn forbids_prune(facts: &SyncFacts, application: Approval) -> bool {
    facts.options.prune.unwrap_or(application) == Approval::Forbidden
}
