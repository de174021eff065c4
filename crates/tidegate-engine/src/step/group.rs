//! What comes next: failure, success, or the next group.

use std::collections::BTreeSet;

use tidegate_graph::{Group, NodeId};
use tidegate_manifest::{HookDeletePolicy, OperationPhase, Phase, ResultCode, TargetKind};

use super::{Action, GroupRun, Step, StepOutput, words};
use crate::Wait;
use crate::live::is_deleting;
use crate::tasks::{self, Task};

impl Step<'_> {
    fn task(&self, id: NodeId) -> Option<&'_ Task> {
        self.input.tasks.task(id)
    }

    /// The last group that has anything to do with this sync; `SyncFail` is none.
    fn last_group(&self) -> Option<&Group> {
        self.groups.iter().rev().find(|group| {
            let counts = |id: NodeId| {
                self.task(id)
                    .is_some_and(|task| !self.is_pending(task) || !self.is_dropped(task))
            };
            group.phase != Phase::SyncFail && group.members().any(counts)
        })
    }

    /// Step 8: everything was run and the last group has no hooks, so its health is not waited for.
    pub(super) fn succeeded_without_waiting(&mut self) -> Option<StepOutput> {
        if self.input.options.await_last_wave {
            return None;
        }
        let last = self.last_group()?;
        if last
            .applies
            .iter()
            .any(|id| self.task(*id).is_some_and(Task::is_hook))
        {
            return None;
        }
        let members: BTreeSet<usize> = last.members().map(NodeId::index).collect();
        let all_run = self.input.tasks.iter().all(|(_, task)| {
            if task.phase == Phase::SyncFail || self.is_dropped(task) {
                return true;
            }
            match self.result(task).map(|result| result.hook_phase) {
                Some(OperationPhase::Succeeded) => true,
                Some(OperationPhase::Running) => members.contains(&task.index),
                Some(
                    OperationPhase::Failed | OperationPhase::Error | OperationPhase::Terminating,
                )
                | None => false,
            }
        });
        if !all_run {
            return None;
        }
        let actions = self.deletions(HookDeletePolicy::HookSucceeded);
        let message = "successfully synced (all tasks run)".to_owned();
        Some(self.take_end(OperationPhase::Succeeded, message, actions))
    }

    /// Step 5: a task ended badly.
    pub(super) fn fail(&mut self) -> Option<StepOutput> {
        let tasks = self.input.tasks;
        let failed: Vec<&Task> = tasks
            .iter()
            .map(|(_, task)| task)
            .filter(|task| task.phase != Phase::SyncFail)
            .filter(|task| {
                self.result(task)
                    .is_some_and(|result| result.hook_phase.is_unsuccessful())
            })
            .collect();
        if failed.is_empty() {
            return None;
        }
        let message = self.failure(&failed);
        let mut actions = self.deletions(HookDeletePolicy::HookFailed);
        let fail_hooks: Vec<NodeId> = tasks
            .iter()
            .filter(|(_, task)| task.phase == Phase::SyncFail)
            .map(|(id, _)| id)
            .collect();
        let is_done = |id: &NodeId| self.task(*id).is_none_or(|task| self.is_completed(task));
        if fail_hooks.iter().all(is_done) {
            return Some(self.take_end(OperationPhase::Failed, message, actions));
        }
        let wave = fail_hooks
            .first()
            .and_then(|id| self.task(*id))
            .map_or(0, |task| task.wave);
        let group = Group {
            phase: Phase::SyncFail,
            wave,
            prunes: Vec::new(),
            applies: fail_hooks,
        };
        let output = self.run(&group, message);
        actions.extend(output.actions);
        Some(StepOutput { actions, ..output })
    }

    /// A failure to apply in the last group, with nothing to run after it, is told as such; what a
    /// later step sees is told otherwise (Argo CD 0.6).
    fn failure(&self, failed: &[&Task]) -> String {
        let could_not_apply = |task: &Task| {
            self.result(task)
                .is_some_and(|result| result.status == Some(ResultCode::SyncFailed))
        };
        let members: BTreeSet<usize> = self
            .last_group()
            .map(|group| group.members().map(NodeId::index).collect())
            .unwrap_or_default();
        let mut tasks = self.input.tasks.iter();
        let has_fail_hooks = tasks.any(|(_, task)| task.phase == Phase::SyncFail);
        let is_direct = !has_fail_hooks
            && failed
                .iter()
                .all(|task| could_not_apply(task) && members.contains(&task.index));
        let reason = self.reasons(|result| {
            result.status == Some(ResultCode::SyncFailed) && result.sync_phase != Phase::SyncFail
        });
        if is_direct {
            format!("one or more objects failed to apply{reason}")
        } else {
            format!("one or more synchronization tasks completed unsuccessfully{reason}")
        }
    }

    /// Steps 6 and 7: nothing left, or the first group that has anything left.
    pub(super) fn next_group(mut self) -> StepOutput {
        let is_left = |id: &NodeId| {
            self.task(*id)
                .is_some_and(|task| self.is_pending(task) && !self.is_dropped(task))
        };
        let left = |ids: &[NodeId]| ids.iter().copied().filter(&is_left).collect::<Vec<_>>();
        let next = self
            .groups
            .iter()
            .filter(|group| group.phase != Phase::SyncFail)
            .map(|group| Group {
                phase: group.phase,
                wave: group.wave,
                prunes: left(&group.prunes),
                applies: left(&group.applies),
            })
            .find(|group| group.members().next().is_some());
        let Some(group) = next else {
            let actions = self.deletions(HookDeletePolicy::HookSucceeded);
            let message = "successfully synced (no more tasks)".to_owned();
            return self.end(OperationPhase::Succeeded, message, actions);
        };
        if let Some(output) = self.confirm(&group) {
            return output;
        }
        self.run(&group, "one or more tasks are running".to_owned())
    }

    /// Prunes that a person must approve: nothing of the group runs before.
    fn confirm(&mut self, group: &Group) -> Option<StepOutput> {
        let request = self.input.request;
        let is_approved = request
            .deletion_approved
            .is_some_and(|at| at >= self.input.started_at);
        if is_approved || !request.prune || self.input.prune_blocked.is_some() {
            return None;
        }
        let open: Vec<&Task> = group
            .prunes
            .iter()
            .filter_map(|id| self.input.tasks.task(*id))
            .filter(|task| tasks::needs_approval(&task.facts, request.options.prune))
            .collect();
        if open.is_empty() {
            return None;
        }
        let message = words::confirming(&open);
        let waits = open
            .iter()
            .map(|task| Wait::approval(&task.key, "pruning"))
            .collect();
        Some(self.take(OperationPhase::Running, message, Vec::new(), waits))
    }

    /// Runs what is pending in a group.
    fn run(&mut self, group: &Group, message: String) -> StepOutput {
        let tasks = self.input.tasks;
        let pending = |id: &NodeId| tasks.task(*id).is_some_and(|task| self.is_pending(task));
        let prunes: Vec<NodeId> = group.prunes.iter().copied().filter(pending).collect();
        let applies: Vec<NodeId> = group.applies.iter().copied().filter(pending).collect();
        let replaced: Vec<NodeId> = applies
            .iter()
            .copied()
            .filter(|id| tasks.task(*id).is_some_and(|task| self.is_replaced(task)))
            .collect();
        let is_going = |id: &NodeId| {
            let found = tasks
                .task(*id)
                .and_then(|task| self.input.live.get(&task.key));
            found.is_some_and(is_deleting)
        };
        let going: Vec<&Task> = replaced
            .iter()
            .filter(|id| is_going(id))
            .filter_map(|id| tasks.task(*id))
            .collect();
        let to_delete: Vec<NodeId> = replaced
            .iter()
            .copied()
            .filter(|id| !is_going(id))
            .collect();
        if prunes.is_empty() && to_delete.is_empty() && !going.is_empty() {
            let message = words::deleting(&going);
            let waits = going.iter().map(|task| self.wait_gone(task)).collect();
            return self.take(OperationPhase::Running, message, Vec::new(), waits);
        }
        let applies = if replaced.is_empty() {
            runs_of_kind(tasks, &applies)
        } else {
            Vec::new()
        };
        let run = GroupRun {
            phase: group.phase,
            wave: group.wave,
            prunes,
            replaced: to_delete,
            applies,
        };
        self.take_run(vec![Action::Run(run)], message)
    }
}

/// Splits tasks, given in order, where the kind changes. CloudFormation resources of a wave go
/// together: what they name of each other orders them, and their applier keeps that order.
fn runs_of_kind(tasks: &tasks::TaskSet, ids: &[NodeId]) -> Vec<Vec<NodeId>> {
    let kind = |id: NodeId| {
        tasks.task(id).map(|task| match task.key.target.kind {
            TargetKind::Aws => "",
            TargetKind::Kubernetes | TargetKind::Kafka => task.key.kind.as_str(),
        })
    };
    let chunks = ids.chunk_by(|a, b| kind(*a) == kind(*b));
    chunks.map(<[NodeId]>::to_vec).collect()
}
