//! What an operation tells while it runs: one event per thing that happened.

use std::collections::BTreeMap;

use tidegate_applier::ChangeOutcome;
use tidegate_manifest::{OperationPhase, Phase, ResourceKey, ResultCode};

use super::Run;
use crate::tasks::Task;
use crate::{Event, Reason, ResourceResult, Wait};

/// Most waits that one look tells of.
const WAITS_TOLD_MAX: usize = 10;

/// What was told last, so that it is not told again.
#[derive(Debug, Default)]
pub(crate) struct Told {
    waits: BTreeMap<ResourceKey, String>,
    phase: Option<Phase>,
    wave: Option<(Phase, i32)>,
}

impl Run<'_> {
    pub(super) fn task_event(&self, reason: Reason, task: &Task) -> Event {
        let wave = self
            .tasks
            .graph
            .nodes()
            .get(task.index)
            .map_or(task.wave, |node| node.wave);
        let event = self.event(reason).object(&task.key).at(task.phase, wave);
        event.origin(&task.origin)
    }

    /// Tells how much there is to do.
    pub(super) fn tell_plan(&self) {
        let (mut applied, mut pruned, mut hooks) = (0, 0, 0);
        for (_, task) in self.tasks.iter() {
            match (task.is_prune(), task.is_hook()) {
                (true, _) => pruned += 1,
                (false, true) => hooks += 1,
                (false, false) => applied += usize::from(task.is_modified),
            }
        }
        let message = format!("{applied} to apply, {pruned} to prune, {hooks} hooks");
        self.emit(self.event(Reason::Planned).message(message));
    }

    fn find(&self, result: &ResourceResult) -> Option<&Task> {
        let mut tasks = self.tasks.iter().map(|(_, task)| task);
        tasks.find(|task| (&task.key, task.phase) == result.task())
    }

    /// Tells of phase and wave when they begin.
    pub(super) fn tell_group(&mut self, phase: Phase, wave: i32) {
        if self.told.phase != Some(phase) {
            self.told.phase = Some(phase);
            let event = self.event(Reason::PhaseStarted);
            self.emit(Event {
                phase: Some(phase),
                ..event
            });
        }
        if self.told.wave != Some((phase, wave)) {
            self.told.wave = Some((phase, wave));
            self.emit(self.event(Reason::WaveStarted).at(phase, wave));
        }
    }

    /// Tells of tasks that a look at the live state ended.
    pub(super) fn tell_results(&self, changed: &[ResourceResult]) {
        for result in changed {
            let before = self
                .progress
                .operation
                .result(&result.key, result.sync_phase);
            let was_running = before.is_some_and(|b| b.hook_phase == OperationPhase::Running);
            let Some(task) = self.find(result) else {
                continue;
            };
            let is_checked = self
                .live
                .get(&task.key)
                .is_some_and(|live| live.health.is_some());
            let reason = match (result.hook_phase, task.is_hook()) {
                (OperationPhase::Succeeded, true) if was_running => Reason::HookSucceeded,
                (OperationPhase::Failed | OperationPhase::Error, true) if was_running => {
                    Reason::HookFailed
                }
                (OperationPhase::Succeeded, false) if was_running && is_checked => Reason::Healthy,
                (OperationPhase::Failed, false) if was_running => Reason::Degraded,
                (OperationPhase::Failed | OperationPhase::Error, _) => Reason::Failed,
                (
                    OperationPhase::Succeeded
                    | OperationPhase::Running
                    | OperationPhase::Terminating,
                    _,
                ) => continue,
            };
            let mut event = self.task_event(reason, task);
            if task.invalid.is_some() {
                self.add_help(&mut event, &result.message);
            }
            let health = self
                .live
                .get(&task.key)
                .and_then(|live| live.health.as_ref());
            let message = match (reason, health) {
                (Reason::Healthy, Some(health)) => health.message.clone(),
                (_, _) => result.message.clone(),
            };
            self.emit(event.message(message));
        }
    }

    /// What can be done about an object that must not be applied.
    fn add_help(&self, event: &mut Event, message: &str) {
        let name = event
            .object
            .as_ref()
            .map_or("", |object| object.name.as_str());
        let mut refusals = self.observation.normalised.refusals.iter();
        let found = refusals.find(|refusal| {
            let object = refusal.object.as_deref().unwrap_or_default();
            refusal.message == message && object.ends_with(name)
        });
        if let Some(found) = found {
            event.take_details(found);
        }
    }

    /// Tells what keeps the graph of the tasks from being run.
    pub(super) fn tell_graph_errors(&self) {
        for found in self.tasks.graph_errors() {
            let mut event = self.event(Reason::Failed).origin(&found.origin);
            event.take_details(found);
            let object = found.object.as_deref().unwrap_or_default();
            let message = if object.is_empty() || found.message.contains(object) {
                found.message.clone()
            } else {
                format!("{object}: {}", found.message)
            };
            self.emit(event.message(message));
        }
    }

    /// Tells of waits that are new or explain themselves otherwise than before.
    pub(super) fn tell_waits(&mut self, waits: &[Wait]) {
        let mut told = BTreeMap::new();
        for (number, wait) in waits.iter().enumerate() {
            let text = wait.to_string();
            let is_known = self.told.waits.get(&wait.object) == Some(&text);
            if !is_known && number < WAITS_TOLD_MAX {
                let task = self.tasks.iter().find(|(_, task)| task.key == wait.object);
                let event = match task {
                    Some((_, task)) => self.task_event(Reason::Waiting, task),
                    None => self.event(Reason::Waiting).object(&wait.object),
                };
                self.emit(event.message(text.clone()));
            }
            told.insert(wait.object.clone(), text);
        }
        self.told.waits = told;
    }

    /// Tells what an apply came to.
    pub(super) fn tell_applied(
        &self,
        task: &Task,
        result: &ResourceResult,
        outcome: ChangeOutcome,
    ) {
        let reason = match (outcome, task.is_hook()) {
            (_, true) => Reason::HookStarted,
            (ChangeOutcome::Unchanged, false) => Reason::Unchanged,
            (ChangeOutcome::Created | ChangeOutcome::Updated | ChangeOutcome::Replaced, false) => {
                Reason::Applied
            }
        };
        self.emit(
            self.task_event(reason, task)
                .message(result.message.clone()),
        );
    }

    /// Tells that a task ended while it was carried out.
    pub(super) fn tell_done(&self, task: &Task, result: &ResourceResult) {
        let reason = match result.status {
            Some(ResultCode::Pruned) => Reason::Pruned,
            Some(ResultCode::PruneSkipped) => Reason::Unchanged,
            Some(ResultCode::Synced | ResultCode::SyncFailed) | None => Reason::Failed,
        };
        self.emit(
            self.task_event(reason, task)
                .message(result.message.clone()),
        );
    }
}
