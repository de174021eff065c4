//! What the live state says of tasks that run, and whether they are waited for.

use jiff::SignedDuration;
use tidegate_graph::NodeId;
use tidegate_manifest::{
    Health, HealthStatus, HookDeletePolicy, OperationPhase, Phase, ResultCode, annotation,
};

use super::{Action, OnSuspended, Step, StepOutput, words};
use crate::live::{finalizers, is_deleting};
use crate::tasks::Task;
use crate::{ResourceResult, Wait};

/// Where a running task stands by its live object.
enum Verdict {
    Ended(OperationPhase, String),
    Runs(String),
}

impl Step<'_> {
    /// Step 1: running tasks by their live objects.
    pub(super) fn update(&mut self) {
        let tasks = self.input.tasks;
        for (_, task) in tasks.iter().filter(|(_, task)| !task.is_prune()) {
            let Some(result) = self.result(task) else {
                continue;
            };
            if result.hook_phase != OperationPhase::Running {
                continue;
            }
            if self.input.live.errors.contains_key(&task.key) {
                continue;
            }
            let verdict = match self.input.live.get(&task.key) {
                None => Verdict::Ended(
                    OperationPhase::Error,
                    format!("{} vanished before it was done", task.key.short()),
                ),
                Some(found) if task.is_hook() => hook_verdict(found.health.as_ref(), result),
                Some(found) => self.plain_verdict(found.health.as_ref(), result),
            };
            match verdict {
                Verdict::Ended(phase, message) => self.set(task, None, phase, &message),
                Verdict::Runs(message) => {
                    self.set(task, None, OperationPhase::Running, &message);
                }
            }
        }
    }

    fn plain_verdict(&self, health: Option<&Health>, result: &ResourceResult) -> Verdict {
        use OperationPhase::{Failed, Succeeded};
        let Some(health) = health else {
            return Verdict::Ended(Succeeded, result.message.clone());
        };
        let message = health.message.clone();
        match (health.status, self.input.options.suspended) {
            (HealthStatus::Healthy, _) | (HealthStatus::Suspended, OnSuspended::Succeed) => {
                let kept = if message.is_empty() {
                    result.message.clone()
                } else {
                    message
                };
                Verdict::Ended(Succeeded, kept)
            }
            (HealthStatus::Degraded, _) | (HealthStatus::Suspended, OnSuspended::Fail) => {
                Verdict::Ended(Failed, message)
            }
            (
                HealthStatus::Suspended
                | HealthStatus::Progressing
                | HealthStatus::Missing
                | HealthStatus::Unknown,
                _,
            ) => match self.deadline(result) {
                Some(deadline) if deadline <= self.input.now => Verdict::Ended(
                    Failed,
                    format!("not healthy in time: {}", words::health(health)),
                ),
                Some(_) | None => Verdict::Runs(result.message.clone()),
            },
        }
    }

    /// When a task fails for not being healthy.
    fn deadline(&self, result: &ResourceResult) -> Option<jiff::Timestamp> {
        let limit = SignedDuration::try_from(self.input.options.health_timeout?).ok()?;
        result.started_at?.checked_add(limit).ok()
    }

    /// Step 4: hooks that have ended lose the finalizer that kept them; their results are recorded
    /// before the shell carries this out.
    pub(super) fn release(&mut self) -> Option<StepOutput> {
        let tasks = self.input.tasks;
        let held = |task: &Task| {
            let found = self.input.live.get(&task.key);
            found.is_some_and(|found| {
                self.is_own(task, found)
                    && finalizers(found)
                        .iter()
                        .any(|f| f == annotation::HOOK_FINALIZER)
            })
        };
        let ended = tasks
            .iter()
            .filter(|(_, task)| task.is_hook() && self.is_completed(task) && held(task));
        let actions: Vec<Action> = ended.map(|(id, _)| Action::ReleaseHook(id)).collect();
        if actions.is_empty() {
            return None;
        }
        Some(self.take_run(actions, "letting ended hooks go".to_owned()))
    }

    /// Steps 2 and 3: running tasks, and pruned objects that are still there.
    pub(super) fn wait(&mut self) -> Option<StepOutput> {
        // What could not be applied fails the sync at once; only hooks are let end before.
        let is_failed = self.results.iter().any(|result| {
            result.status == Some(ResultCode::SyncFailed) && result.sync_phase != Phase::SyncFail
        });
        let awaits = self.groups.len() > 1 || self.input.options.await_last_wave;
        let is_multi_step = awaits && !is_failed;
        let tasks = self.input.tasks;
        let running: Vec<&Task> = tasks
            .iter()
            .map(|(_, task)| task)
            .filter(|task| is_multi_step || task.is_hook())
            .filter(|task| self.is_in(task, OperationPhase::Running))
            .collect();
        if !running.is_empty() {
            let health = |task: &Task| self.input.live.get(&task.key)?.health.clone();
            let waits = running.iter().map(|task| {
                if task.is_hook() {
                    Wait::hook(&task.key, health(task).as_ref())
                } else {
                    Wait::healthy(&task.key, health(task).as_ref())
                }
            });
            let waits = waits.collect();
            let results = running.iter().filter_map(|task| self.result(task));
            let wake_at = results.filter_map(|result| self.deadline(result)).min();
            let message = words::waiting(&running);
            let mut output = self.take(OperationPhase::Running, message, Vec::new(), waits);
            output.wake_at = wake_at;
            return Some(output);
        }
        self.wait_for_pruned()
    }

    fn wait_for_pruned(&mut self) -> Option<StepOutput> {
        let tasks = self.input.tasks;
        let is_going = |task: &Task| {
            let is_pruned = self
                .result(task)
                .is_some_and(|r| r.status == Some(ResultCode::Pruned));
            let found = self.input.live.get(&task.key);
            let found = found.filter(|found| found.uid == task.prune_uid && is_deleting(found));
            is_pruned && found.is_some()
        };
        let going: Vec<&Task> = tasks
            .iter()
            .map(|(_, task)| task)
            .filter(|task| task.is_prune() && is_going(task))
            .collect();
        if going.is_empty() {
            return None;
        }
        let message = words::deleting(&going);
        let waits = going.iter().map(|task| self.wait_gone(task)).collect();
        Some(self.take(OperationPhase::Running, message, Vec::new(), waits))
    }

    pub(super) fn wait_gone(&self, task: &Task) -> Wait {
        let held = self.input.live.get(&task.key).map(finalizers);
        Wait::gone(&task.key, &held.unwrap_or_default())
    }

    /// Hooks that have ended and are deleted by a policy now.
    pub(super) fn deletions(&self, policy: HookDeletePolicy) -> Vec<Action> {
        let tasks = self.input.tasks;
        let mut found: Vec<NodeId> = Vec::new();
        let mut keys = Vec::new();
        for (id, task) in tasks.iter().filter(|(_, task)| task.is_hook()) {
            let is_live = self.input.live.get(&task.key).is_some();
            let is_due = task.facts.delete_policies.contains(&policy);
            if is_live && is_due && self.is_completed(task) && !keys.contains(&&task.key) {
                keys.push(&task.key);
                found.push(id);
            }
        }
        found.into_iter().map(Action::DeleteHook).collect()
    }

    /// A terminated operation: running hooks are deleted, ended ones keep their result.
    pub(super) fn terminate(mut self) -> StepOutput {
        let tasks = self.input.tasks;
        let mut actions = Vec::new();
        let mut failed = false;
        for (id, task) in tasks.iter().filter(|(_, task)| task.is_hook()) {
            let Some(found) = self.input.live.get(&task.key) else {
                continue;
            };
            if !self.is_own(task, found) {
                continue;
            }
            if let Some(result) = self.result(task)
                && result.hook_phase.is_completed()
            {
                failed |= result.message.starts_with(words::NOT_DELETED);
                continue;
            }
            let blank = ResourceResult::new(task);
            let result = self.result(task).unwrap_or(&blank);
            match hook_verdict(found.health.as_ref(), result) {
                Verdict::Runs(_) => actions.push(Action::TerminateHook(id)),
                Verdict::Ended(phase, message) => {
                    self.set(task, None, phase, &message);
                    if finalizers(found)
                        .iter()
                        .any(|f| f == annotation::HOOK_FINALIZER)
                    {
                        actions.push(Action::ReleaseHook(id));
                    }
                }
            }
        }
        if !actions.is_empty() {
            return self.take_run(actions, "terminating".to_owned());
        }
        if failed {
            let message = "Operation termination had errors".to_owned();
            return self.end(OperationPhase::Error, message, Vec::new());
        }
        self.end(
            OperationPhase::Failed,
            "Operation terminated".to_owned(),
            Vec::new(),
        )
    }

    /// Whether a live hook of an earlier operation is deleted before this one's is made.
    pub(super) fn is_replaced(&self, task: &Task) -> bool {
        let Some(found) = self.input.live.get(&task.key) else {
            return false;
        };
        if !task.is_hook() || !self.is_pending(task) || self.is_own(task, found) {
            return false;
        }
        let by_policy = task
            .facts
            .delete_policies
            .contains(&HookDeletePolicy::BeforeHookCreation);
        let would_not_run =
            !self.input.options.strict_compatibility && super::runs_to_an_end(&task.key);
        by_policy || would_not_run || is_deleting(found)
    }
}

fn hook_verdict(health: Option<&Health>, result: &ResourceResult) -> Verdict {
    use OperationPhase::{Failed, Succeeded};
    let Some(health) = health else {
        return Verdict::Ended(Succeeded, result.message.clone());
    };
    let message = health.message.clone();
    let kept = if message.is_empty() {
        result.message.clone()
    } else {
        message.clone()
    };
    match health.status {
        HealthStatus::Healthy => Verdict::Ended(Succeeded, kept),
        HealthStatus::Degraded | HealthStatus::Unknown => Verdict::Ended(Failed, message),
        HealthStatus::Progressing | HealthStatus::Suspended | HealthStatus::Missing => {
            Verdict::Runs(kept)
        }
    }
}
