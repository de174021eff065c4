//! The step function of a sync (Argo CD section 7.4, with the corrections of section 0). Pure.
//!
//! `(tasks, live, results so far, now) -> (results, actions, phase, message, waits)`. Its only memory
//! are the results and whether the dry run passed; both are journalled. The shell carries the actions
//! out in order, records what came of them, and steps again.

mod group;
mod progress;
mod words;

pub(crate) use words::NOT_DELETED;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_graph::{Group, NodeId};
use tidegate_manifest::{OperationPhase, Phase, ResourceKey, ResultCode};

use crate::live::{self, Live};
use crate::request::OPERATION_ID;
use crate::tasks::{Task, TaskSet};
use crate::{ResourceResult, SyncRequest, Wait};

/// Where Tidegate offers something else than Argo CD; every default is Argo CD's behaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOptions {
    /// Wait for the health of the last wave too. Argo CD: the sync succeeds once it is applied.
    pub await_last_wave: bool,
    /// What a Suspended object of a wave that is waited for means. Argo CD: waits, without end.
    pub suspended: OnSuspended,
    /// Fail a task that is not healthy this long after it was applied. Argo CD: waits, without end.
    pub health_timeout: Option<Duration>,
    /// Reproduce Argo CD's defects too: a hook that ran to its end and was not deleted by its
    /// policy does not run again (section 0.5). Otherwise it is deleted and runs again.
    pub strict_compatibility: bool,
}

/// What a Suspended object of a wave that is waited for means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSuspended {
    /// Wait (Argo CD).
    #[default]
    Wait,
    /// Go on.
    Succeed,
    /// Fail.
    Fail,
}

/// Where the dry run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum DryRun {
    /// Not done.
    #[default]
    Pending,
    /// Every task would be taken.
    Passed,
    /// Some task would not; the results say which.
    Failed,
}

/// What a step is decided by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepInput<'a> {
    pub(crate) tasks: &'a TaskSet,
    pub(crate) live: &'a Live,
    pub(crate) results: &'a [ResourceResult],
    pub(crate) dry_run: DryRun,
    pub(crate) request: &'a SyncRequest,
    /// Which attempt of which operation: hooks that bear it are this attempt's own.
    pub(crate) attempt: &'a str,
    pub(crate) started_at: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) options: &'a StepOptions,
    pub(crate) is_terminated: bool,
    /// Why nothing may be pruned.
    pub(crate) prune_blocked: Option<&'a str>,
}

/// What is to be done next, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Make the destination's namespace.
    CreateNamespace(NodeId),
    /// Ask what applying these would do; none may be refused.
    DryRun(Vec<NodeId>),
    /// Let a hook go whose result is recorded.
    ReleaseHook(NodeId),
    /// Delete a hook by its policy.
    DeleteHook(NodeId),
    /// Delete a running hook because the operation is terminated.
    TerminateHook(NodeId),
    /// Run a group.
    Run(GroupRun),
}

/// One group as it is run: prunes together, then deletions of hooks from earlier operations, then
/// runs of equal kind, each together and one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupRun {
    pub(crate) phase: Phase,
    pub(crate) wave: i32,
    /// If one of them fails, nothing else of the group is done.
    pub(crate) prunes: Vec<NodeId>,
    /// If there are any, nothing is applied before the next step.
    pub(crate) replaced: Vec<NodeId>,
    /// A failure in one run does not stop the next.
    pub(crate) applies: Vec<Vec<NodeId>>,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepOutput {
    /// All results, with what the live state says by now.
    pub(crate) results: Vec<ResourceResult>,
    pub(crate) actions: Vec<Action>,
    /// The phase once the actions are done.
    pub(crate) phase: OperationPhase,
    pub(crate) message: String,
    pub(crate) waits: Vec<Wait>,
    /// When a step comes to something else although no live object changed.
    pub(crate) wake_at: Option<Timestamp>,
}

/// A step in the making: the input with results that change.
struct Step<'a> {
    input: StepInput<'a>,
    groups: Vec<Group>,
    results: Vec<ResourceResult>,
    /// Per task, the place of its result.
    places: Vec<Option<usize>>,
}

/// Decides what is to be done next.
pub(crate) fn step(input: StepInput<'_>) -> StepOutput {
    let mut places: BTreeMap<(&ResourceKey, Phase), usize> = BTreeMap::new();
    for (place, result) in input.results.iter().enumerate() {
        places.insert(result.task(), place);
    }
    let find = |task: &Option<Task>| {
        let task = task.as_ref()?;
        places.get(&(&task.key, task.phase)).copied()
    };
    let step = Step {
        input,
        groups: input.tasks.groups(input.live),
        results: input.results.to_vec(),
        places: input.tasks.tasks.iter().map(find).collect(),
    };
    step.decide()
}

impl Step<'_> {
    fn decide(mut self) -> StepOutput {
        if let Some(message) = self.invalid() {
            return self.end(OperationPhase::Failed, message, Vec::new());
        }
        if self.input.is_terminated {
            return self.terminate();
        }
        if let Some(output) = self.before() {
            return output;
        }
        self.adopt();
        if let Some(output) = self.succeeded_without_waiting() {
            return output;
        }
        self.update();
        if let Some(output) = self.release() {
            return output;
        }
        if let Some(output) = self.wait() {
            return output;
        }
        if let Some(output) = self.fail() {
            return output;
        }
        self.next_group()
    }

    /// Tasks that must not be run: nothing is done at all.
    fn invalid(&mut self) -> Option<String> {
        let mut reasons: Vec<String> = Vec::new();
        let invalid = self.input.tasks.iter().filter_map(|(_, task)| {
            let reason = task.invalid.clone()?;
            Some((task, reason))
        });
        for (task, reason) in invalid.collect::<Vec<_>>() {
            reasons.push(reason.clone());
            self.set(
                task,
                Some(ResultCode::SyncFailed),
                OperationPhase::Failed,
                &reason,
            );
        }
        let wrong = self.input.tasks.graph_errors();
        reasons.extend(wrong.map(|diagnostic| diagnostic.message.clone()));
        if reasons.is_empty() {
            return None;
        }
        let reasons = reasons.join(", ");
        Some(format!(
            "one or more synchronization tasks are not valid: {reasons}"
        ))
    }

    /// The destination's namespace and the dry run, once per attempt.
    fn before(&mut self) -> Option<StepOutput> {
        match self.input.dry_run {
            DryRun::Passed => None,
            DryRun::Failed => {
                let reason = self.reasons(|result| result.hook_phase.is_unsuccessful());
                let message = format!("one or more objects failed to apply (dry run){reason}");
                Some(self.take_end(OperationPhase::Failed, message, Vec::new()))
            }
            DryRun::Pending => Some(self.ask()),
        }
    }

    fn ask(&mut self) -> StepOutput {
        let tasks = self.input.tasks;
        let namespace = tasks.iter().find(|(_, task)| task.is_namespace);
        if let Some((id, task)) = namespace
            && self.input.live.get(&task.key).is_none()
            && !self.input.request.dry_run
        {
            match self.result(task).map(|result| result.hook_phase) {
                None => {
                    let message = "creating the namespace".to_owned();
                    return self.take_run(vec![Action::CreateNamespace(id)], message);
                }
                Some(phase) if phase.is_unsuccessful() => {
                    let reason = self.reasons(|result| result.hook_phase.is_unsuccessful());
                    let message = format!("the namespace failed to apply{reason}");
                    return self.take_end(OperationPhase::Failed, message, Vec::new());
                }
                Some(_) => {}
            }
        }
        let asked = tasks
            .iter()
            .filter(|(_, task)| !task.is_prune() && !task.skips_dry_run && !self.is_dropped(task));
        let asked = asked.filter(|(_, task)| self.result(task).is_none());
        let asked = asked.filter(|(_, task)| !self.is_replaced(task));
        let asked = asked.map(|(id, _)| id).collect();
        self.take_run(
            vec![Action::DryRun(asked)],
            "checking what would be done".to_owned(),
        )
    }

    /// A hook of this very attempt that is live without a result: the process died between the two.
    fn adopt(&mut self) {
        let tasks = self.input.tasks;
        for (_, task) in tasks.iter().filter(|(_, task)| task.is_hook()) {
            let Some(live) = self.input.live.get(&task.key) else {
                continue;
            };
            if self.result(task).is_none() && self.is_own(task, live) {
                let message = format!("{} created", task.key.name);
                self.set(
                    task,
                    Some(ResultCode::Synced),
                    OperationPhase::Running,
                    &message,
                );
            }
        }
    }

    /// Whether a live hook was made by this attempt for this phase.
    fn is_own(&self, task: &Task, live: &tidegate_applier::LiveObject) -> bool {
        let mark = live::live_annotation(live, OPERATION_ID);
        mark == Some(&format!("{}/{}", self.input.attempt, task.phase.as_str()))
    }

    fn result(&self, task: &Task) -> Option<&ResourceResult> {
        let place = self.places.get(task.index).copied().flatten()?;
        self.results.get(place)
    }

    fn set(
        &mut self,
        task: &Task,
        status: Option<ResultCode>,
        phase: OperationPhase,
        message: &str,
    ) {
        let place = self.places.get(task.index).copied().flatten();
        match place.and_then(|place| self.results.get_mut(place)) {
            Some(result) => {
                result.status = status.or(result.status);
                result.hook_phase = phase;
                message.clone_into(&mut result.message);
            }
            None => {
                let uid = self.input.live.get(&task.key).map(|live| live.uid.clone());
                if let Some(place) = self.places.get_mut(task.index) {
                    *place = Some(self.results.len());
                }
                self.results.push(ResourceResult {
                    status,
                    hook_phase: phase,
                    message: message.to_owned(),
                    uid: uid.unwrap_or_default(),
                    started_at: Some(self.input.now),
                    ..ResourceResult::new(task)
                });
            }
        }
    }

    fn is_in(&self, task: &Task, phase: OperationPhase) -> bool {
        self.result(task)
            .is_some_and(|result| result.hook_phase == phase)
    }

    fn is_completed(&self, task: &Task) -> bool {
        self.result(task)
            .is_some_and(|result| result.hook_phase.is_completed())
    }

    fn is_pending(&self, task: &Task) -> bool {
        self.result(task).is_none()
    }

    /// Left out under `ApplyOutOfSyncOnly`: a plain object that is as it should be.
    fn is_dropped(&self, task: &Task) -> bool {
        let is_plain = !task.is_hook() && !task.is_prune();
        self.input.request.options.apply_out_of_sync_only && is_plain && !task.is_modified
    }

    /// `, reason: …` with the messages of some results.
    fn reasons(&self, which: impl Fn(&ResourceResult) -> bool) -> String {
        let found = self.results.iter().filter(|result| which(result));
        let messages: Vec<&str> = found.map(|result| result.message.as_str()).collect();
        if messages.is_empty() {
            return String::new();
        }
        format!(", reason: {}", messages.join(","))
    }

    fn take_run(&mut self, actions: Vec<Action>, message: String) -> StepOutput {
        self.take(OperationPhase::Running, message, actions, Vec::new())
    }

    fn take_end(
        &mut self,
        phase: OperationPhase,
        message: String,
        actions: Vec<Action>,
    ) -> StepOutput {
        self.take(phase, message, actions, Vec::new())
    }

    fn end(mut self, phase: OperationPhase, message: String, actions: Vec<Action>) -> StepOutput {
        self.take(phase, message, actions, Vec::new())
    }

    fn take(
        &mut self,
        phase: OperationPhase,
        message: String,
        actions: Vec<Action>,
        waits: Vec<Wait>,
    ) -> StepOutput {
        StepOutput {
            results: std::mem::take(&mut self.results),
            actions,
            phase,
            message,
            waits,
            wake_at: None,
        }
    }
}

/// Kinds that run to an end: applied again they do not run again, so they are replaced.
pub(crate) fn runs_to_an_end(key: &ResourceKey) -> bool {
    matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("batch", "Job")
            | ("", "Pod")
            | ("argoproj.io", "Workflow" | "AnalysisRun")
            | ("tekton.dev", "PipelineRun" | "TaskRun")
            | ("sparkoperator.k8s.io", "SparkApplication")
    )
}
