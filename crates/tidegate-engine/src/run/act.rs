//! Carrying out actions: intent, effect, result, each durable before the next.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tidegate_applier::{
    ApplierError, ApplyMode, ApplyRequest, ApplyResult, ChangeOutcome, DeleteOutcome,
    DeleteRequest, ErrorKind, LiveObject, Precondition,
};
use tidegate_graph::NodeId;
use tidegate_manifest::{
    GroupKind, OperationPhase, Phase, ResourceKey, ResultCode, TrackingId, annotation,
};

use super::Run;
use crate::journal::{Effect, Entry, Intent};
use crate::live::{finalizers, is_deleting};
use crate::normalise;
use crate::planning::prune_skip;
use crate::request::without_finalizer;
use crate::step::{Action, DryRun, GroupRun};
use crate::tasks::Task;
use crate::{EngineError, ResourceResult, observe};

/// How long a kind that was defined a moment ago may take to be served.
const SERVED_WAIT: Duration = Duration::from_secs(15);
/// How far apart it is asked for.
const SERVED_POLL: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// Carries one action out. What fails is in the results; an error means that the journal failed.
    pub(super) async fn act(&mut self, action: Action) -> Result<(), EngineError> {
        match action {
            Action::CreateNamespace(id) => {
                if let Some(task) = self.task(id) {
                    self.tell_group(task.phase, task.wave);
                }
                self.apply_tasks(&[id]).await
            }
            Action::DryRun(ids) => self.dry_run(&ids).await,
            Action::ReleaseHook(id) => self.release_hook(id).await,
            Action::DeleteHook(id) => self.delete_hook(id, Effect::DeleteHook).await.map(|_| ()),
            Action::TerminateHook(id) => self
                .delete_hook(id, Effect::TerminateHook)
                .await
                .map(|_| ()),
            Action::Run(group) => self.run_group(group).await,
        }
    }

    fn task(&self, id: NodeId) -> Option<Task> {
        self.tasks.task(id).cloned()
    }

    /// The result of a task as it stands, or a blank one.
    fn result_of(&self, task: &Task) -> ResourceResult {
        let known = self.progress.operation.result(&task.key, task.phase);
        let mut result = known.cloned().unwrap_or_else(|| ResourceResult::new(task));
        if result.started_at.is_none() {
            result.started_at = Some(self.now());
        }
        result
    }

    fn failed(&self, task: &Task, code: Option<ResultCode>, message: String) -> ResourceResult {
        ResourceResult {
            status: code,
            hook_phase: OperationPhase::Failed,
            message,
            ..self.result_of(task)
        }
    }

    /// Asks what would be done; nothing may be refused. Answers from the look at the beginning count,
    /// unless they were assumed because the namespace was missing.
    async fn dry_run(&mut self, ids: &[NodeId]) -> Result<(), EngineError> {
        let tasks: Vec<Task> = ids.iter().filter_map(|id| self.task(*id)).collect();
        let is_known = |task: &Task| match self.observation.previews.get(&task.key) {
            Some(Ok(preview)) => !task.is_hook() && !preview.assumed,
            Some(Err(_)) => !task.is_hook(),
            None => false,
        };
        let (known, asked): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(is_known);
        let mut failed = Vec::new();
        for task in known {
            if let Some(Err(error)) = self.observation.previews.get(&task.key) {
                failed.push(self.failed(&task, Some(ResultCode::SyncFailed), words(error)));
            }
        }
        let requests = asked.iter().map(|task| {
            let body = self.body(task);
            let live = self.live.get(&task.key);
            self.context
                .preview(&task.key, &task.gvk, &task.facts, body, live)
        });
        let answers = observe::preview(self.destination, requests.collect()).await;
        for (request, answer) in answers {
            let task = asked.iter().find(|task| task.key == request.key);
            if let (Some(task), Err(error)) = (task, &answer) {
                failed.push(self.failed(task, Some(ResultCode::SyncFailed), words(error)));
            }
        }
        for result in &failed {
            if let Some(task) = self
                .tasks
                .iter()
                .find(|(_, t)| (&t.key, t.phase) == result.task())
            {
                self.tell_done(&task.1.clone(), result);
            }
        }
        let outcome = if failed.is_empty() {
            DryRun::Passed
        } else {
            DryRun::Failed
        };
        let mut entries = Vec::new();
        if outcome == DryRun::Passed && self.context.sync.dry_run {
            failed.extend(self.dry_results());
        }
        if !failed.is_empty() {
            entries.push(Entry::Results(failed));
        }
        entries.push(Entry::DryRun(outcome));
        self.record(entries).await
    }

    /// What an operation that changes nothing would have come to.
    fn dry_results(&self) -> Vec<ResourceResult> {
        let blocked = self.observation.prune_blocked.as_deref();
        let tasks = self
            .tasks
            .iter()
            .filter(|(_, task)| task.phase != Phase::SyncFail);
        let results = tasks.map(|(_, task)| {
            let (status, message) = if task.is_prune() {
                match prune_skip(task, &self.context.sync, blocked) {
                    Some(reason) => (ResultCode::PruneSkipped, reason),
                    None => (ResultCode::Pruned, "pruned (dry run)".to_owned()),
                }
            } else {
                let outcome = self
                    .differences
                    .by_key
                    .get(&task.key)
                    .map(|found| found.outcome);
                let outcome = outcome.unwrap_or(ChangeOutcome::Created);
                (
                    ResultCode::Synced,
                    format!("{} (dry run)", applied(&task.key, outcome)),
                )
            };
            ResourceResult {
                status: Some(status),
                hook_phase: OperationPhase::Succeeded,
                message,
                ..self.result_of(task)
            }
        });
        results.collect()
    }

    /// The body that is applied: ignored fields keep their live values when the application wants that.
    fn body(&self, task: &Task) -> Value {
        let body = task.body.as_deref().cloned().unwrap_or_default();
        let live = self.live.get(&task.key);
        match live {
            Some(live) if self.context.sync.options.respect_ignore_differences => {
                let ty = crate::difference::type_of(&task.gvk);
                let bare = tidegate_diff::changes::without_server_fields(&live.body);
                self.rules.keep_live_values(Some(&ty), &body, &bare)
            }
            Some(_) | None => body,
        }
    }

    /// One group: prunes, deletions of earlier hooks, applies; each only when the one before went well.
    async fn run_group(&mut self, group: GroupRun) -> Result<(), EngineError> {
        self.tell_group(group.phase, group.wave);
        if !self.prune(&group.prunes).await? {
            return Ok(());
        }
        for id in group.replaced {
            if let Some(error) = self.delete_hook(id, Effect::DeleteHook).await?
                && let Some(task) = self.task(id)
            {
                let message = format!("failed to delete resource: {error}");
                let result = ResourceResult {
                    hook_phase: OperationPhase::Error,
                    ..self.failed(&task, None, message)
                };
                self.tell_done(&task, &result);
                self.record(vec![Entry::Results(vec![result])]).await?;
            }
        }
        for run in group.applies {
            self.apply_tasks(&run).await?;
        }
        Ok(())
    }

    /// Deletes what is no longer in Git; false when one of them failed.
    async fn prune(&mut self, ids: &[NodeId]) -> Result<bool, EngineError> {
        let mut results = Vec::new();
        let mut requests: Vec<(Task, DeleteRequest)> = Vec::new();
        for task in ids.iter().filter_map(|id| self.task(*id)) {
            let blocked = self.observation.prune_blocked.as_deref();
            let skip = prune_skip(&task, &self.context.sync, blocked);
            let found = self
                .live
                .get(&task.key)
                .filter(|live| live.uid == task.prune_uid);
            let is_going = found.is_none_or(is_deleting);
            match skip {
                Some(reason) => results.push(self.ended(&task, ResultCode::PruneSkipped, reason)),
                None if is_going => {
                    results.push(self.ended(&task, ResultCode::Pruned, "pruned".to_owned()));
                }
                None => {
                    let request = self.context.delete(&task.key, &task.prune_uid);
                    requests.push((task, request));
                }
            }
        }
        self.tell_and_record(results).await?;
        if requests.is_empty() {
            return Ok(true);
        }
        let intents = requests.iter().map(|(task, request)| Intent {
            key: request.key.clone(),
            phase: task.phase,
            effect: Effect::Prune,
            uid: task.prune_uid.clone(),
        });
        self.record(vec![Entry::Intent(intents.collect())]).await?;
        let batch = requests
            .iter()
            .map(|(_, request)| request.clone())
            .collect();
        let answers = self.delete(batch).await;
        let keys = requests.iter().map(|(task, _)| task.key.clone()).collect();
        self.read(keys).await;
        let mut results = Vec::new();
        for (request, answer) in answers {
            if let Some((task, _)) = requests.iter().find(|(task, _)| task.key == request.key) {
                results.push(self.pruned(task, answer));
            }
        }
        let is_good = results
            .iter()
            .all(|result| !result.hook_phase.is_unsuccessful());
        self.tell_and_record(results).await?;
        Ok(is_good)
    }

    fn pruned(&self, task: &Task, answer: Result<DeleteOutcome, ApplierError>) -> ResourceResult {
        let found = self
            .live
            .get(&task.key)
            .filter(|live| live.uid == task.prune_uid);
        let error = match answer {
            Ok(DeleteOutcome::Deleted | DeleteOutcome::Deleting { .. } | DeleteOutcome::Absent) => {
                return self.ended(task, ResultCode::Pruned, "pruned".to_owned());
            }
            Err(error) => error,
        };
        let Some(found) = found else {
            return self.ended(task, ResultCode::Pruned, "pruned".to_owned());
        };
        let other = TrackingId::of(&found.body)
            .filter(|mark| mark.application != self.context.owner.application);
        match (error.kind, other) {
            (ErrorKind::Conflict, Some(other)) => {
                let message = format!("ignored (it belongs to application {})", other.application);
                self.ended(task, ResultCode::PruneSkipped, message)
            }
            _ => self.failed(task, Some(ResultCode::SyncFailed), words(&error)),
        }
    }

    fn ended(&self, task: &Task, code: ResultCode, message: String) -> ResourceResult {
        ResourceResult {
            status: Some(code),
            hook_phase: OperationPhase::Succeeded,
            message,
            uid: task.prune_uid.clone(),
            ..self.result_of(task)
        }
    }

    async fn tell_and_record(&mut self, results: Vec<ResourceResult>) -> Result<(), EngineError> {
        if results.is_empty() {
            return Ok(());
        }
        for result in &results {
            let found = self
                .tasks
                .iter()
                .find(|(_, t)| (&t.key, t.phase) == result.task());
            if let Some(task) = found.map(|(_, task)| task.clone()) {
                self.tell_done(&task, result);
            }
        }
        self.record(vec![Entry::Results(results)]).await
    }

    async fn delete(
        &self,
        requests: Vec<DeleteRequest>,
    ) -> Vec<(DeleteRequest, Result<DeleteOutcome, ApplierError>)> {
        observe::per_target(
            self.destination,
            requests,
            |request| request.key.target.clone(),
            |applier, requests| async move { applier.delete(requests).await },
        )
        .await
    }

    /// Deletes a hook together with the finalizer that kept it; the failure, if any, when the hook is
    /// still there afterwards.
    async fn delete_hook(
        &mut self,
        id: NodeId,
        effect: Effect,
    ) -> Result<Option<ApplierError>, EngineError> {
        let Some(task) = self.task(id) else {
            return Ok(None);
        };
        let Some(found) = self.live.get(&task.key) else {
            return Ok(None);
        };
        let uid = found.uid.clone();
        let mut request = self.context.delete(&task.key, &uid);
        request.remove_finalizer = Some(annotation::HOOK_FINALIZER.to_owned());
        if TrackingId::of(&found.body).is_none() {
            request.owner = None;
        }
        self.record(vec![Entry::Intent(vec![self.intent(&task, effect, &uid)])])
            .await?;
        let answer = self
            .delete(vec![request])
            .await
            .pop()
            .map(|(_, answer)| answer);
        self.read(vec![task.key.clone()]).await;
        let left = self
            .live
            .get(&task.key)
            .filter(|live| live.uid == uid && !is_deleting(live));
        let error = match (answer, left) {
            (Some(Err(error)), Some(_)) => Some(error),
            (Some(_) | None, _) => None,
        };
        if effect == Effect::TerminateHook {
            let result = match &error {
                Some(error) => {
                    let message = format!("{}: {error}", crate::step::NOT_DELETED);
                    self.failed(&task, None, message)
                }
                None => ResourceResult {
                    hook_phase: OperationPhase::Succeeded,
                    message: "Deleted".to_owned(),
                    ..self.result_of(&task)
                },
            };
            self.record(vec![Entry::Results(vec![result])]).await?;
        }
        Ok(error)
    }

    fn intent(&self, task: &Task, effect: Effect, uid: &str) -> Intent {
        Intent {
            key: task.key.clone(),
            phase: task.phase,
            effect,
            uid: uid.to_owned(),
        }
    }

    /// Lets a hook go whose result is recorded: the same object without the finalizer.
    async fn release_hook(&mut self, id: NodeId) -> Result<(), EngineError> {
        let Some(task) = self.task(id) else {
            return Ok(());
        };
        let Some(found) = self.live.get(&task.key) else {
            return Ok(());
        };
        let uid = found.uid.clone();
        let body = without_finalizer(task.body.as_deref().unwrap_or(&Value::Null));
        let mut request = self.hook_request(&task, body);
        request.precondition = Precondition {
            exists: Some(true),
            uid: Some(uid.clone()).filter(|uid| !uid.is_empty()),
            version: None,
        };
        let answer = self
            .send(vec![request])
            .await
            .pop()
            .map(|(_, answer)| answer);
        self.read(vec![task.key.clone()]).await;
        let still_held = self.live.get(&task.key).is_some_and(|live| {
            live.uid == uid
                && finalizers(live)
                    .iter()
                    .any(|f| f == annotation::HOOK_FINALIZER)
        });
        if let (Some(Err(error)), true) = (answer, still_held) {
            let message = format!("Failed to remove hook finalizer: {error}");
            let result = ResourceResult {
                hook_phase: OperationPhase::Error,
                message,
                ..self.result_of(&task)
            };
            return self.record(vec![Entry::Results(vec![result])]).await;
        }
        if still_held {
            // Another owner wants the finalizer: it is not ours to take away.
            tracing::debug!(hook = %task.key, "the hook finalizer has another owner");
        }
        Ok(())
    }

    fn hook_request(&self, task: &Task, body: Value) -> ApplyRequest {
        let mut request = self
            .context
            .apply(&task.key, &task.gvk, &task.facts, body, None);
        request.mode = ApplyMode::Apply;
        request.force_recreate = false;
        request
    }

    async fn send(
        &self,
        requests: Vec<ApplyRequest>,
    ) -> Vec<(ApplyRequest, Result<ApplyResult, ApplierError>)> {
        observe::per_target(
            self.destination,
            requests,
            |request| request.key.target.clone(),
            |applier, requests| async move { applier.apply(requests).await },
        )
        .await
    }

    /// The request of one task; the effect says whether it may happen twice.
    fn apply_request(&self, task: &Task) -> (ApplyRequest, Effect) {
        let body = self.body(task);
        if task.is_hook() {
            return (self.hook_request(task, body), Effect::Apply);
        }
        let live = self.live.get(&task.key);
        let mut request = self
            .context
            .apply(&task.key, &task.gvk, &task.facts, body, live);
        if request.mode == ApplyMode::Recreate
            && let Some(before) = self.began_with(&task.key, task.phase)
            && live.is_some_and(|live| live.uid != before)
        {
            // It was deleted and made anew before the process died; once is enough.
            request.mode = ApplyMode::Apply;
            request.force_recreate = false;
        }
        if self.approved.is_some() {
            request.precondition = Precondition {
                exists: Some(live.is_some()),
                uid: live
                    .map(|live| live.uid.clone())
                    .filter(|uid| !uid.is_empty()),
                version: None,
            };
        }
        let effect = match request.mode {
            ApplyMode::Recreate => Effect::Recreate,
            ApplyMode::Apply | ApplyMode::Replace => Effect::Apply,
        };
        (request, effect)
    }

    /// Whether the object was applied before and an exact preview says that nothing would change.
    fn is_known_unchanged(&self, task: &Task) -> bool {
        let difference = self.differences.by_key.get(&task.key);
        let preview = self.observation.previews.get(&task.key);
        let Some(live) = self.live.get(&task.key) else {
            return false;
        };
        let is_exact = preview.is_some_and(|preview| {
            preview.as_ref().is_ok_and(|preview| {
                !preview.assumed && preview.outcome == ChangeOutcome::Unchanged
            })
        });
        !task.is_hook()
            && is_exact
            && difference.is_some_and(|found| !found.is_modified())
            && self.inventory.get(&task.key) == Some(&live.uid)
    }

    /// Applies tasks of one kind together.
    async fn apply_tasks(&mut self, ids: &[NodeId]) -> Result<(), EngineError> {
        let tasks: Vec<Task> = ids.iter().filter_map(|id| self.task(*id)).collect();
        let (same, tasks): (Vec<Task>, Vec<Task>) = tasks
            .into_iter()
            .partition(|task| self.is_known_unchanged(task));
        let mut results = Vec::new();
        for task in &same {
            let live = self.live.get(&task.key).cloned();
            let result = self.synced(task, ChangeOutcome::Unchanged, live.as_ref());
            self.tell_applied(task, &result, ChangeOutcome::Unchanged);
            results.push(result);
        }
        if !tasks.is_empty() {
            self.wait_served(&tasks).await;
            let requests: Vec<(ApplyRequest, Effect)> =
                tasks.iter().map(|task| self.apply_request(task)).collect();
            let intents = tasks.iter().zip(&requests).map(|(task, (_, effect))| {
                let uid = self
                    .live
                    .get(&task.key)
                    .map_or("", |live| live.uid.as_str());
                let uid = self
                    .began_with(&task.key, task.phase)
                    .unwrap_or(uid)
                    .to_owned();
                self.intent(task, *effect, &uid)
            });
            self.record(vec![Entry::Intent(intents.collect())]).await?;
            let requests = requests.into_iter().map(|(request, _)| request).collect();
            for (request, answer) in self.send(requests).await {
                if let Some(task) = tasks.iter().find(|task| task.key == request.key) {
                    results.push(self.applied(task, answer));
                }
            }
        }
        if results.is_empty() {
            return Ok(());
        }
        self.record(vec![Entry::Results(results)]).await
    }

    fn applied(
        &mut self,
        task: &Task,
        answer: Result<ApplyResult, ApplierError>,
    ) -> ResourceResult {
        match answer {
            Ok(done) => {
                let result = self.synced(task, done.outcome, Some(&done.live));
                self.tell_applied(task, &result, done.outcome);
                self.live.set(&task.key, Ok(Some(done.live)));
                result
            }
            Err(error) => {
                let result = self.failed(task, Some(ResultCode::SyncFailed), words(&error));
                self.tell_done(task, &result);
                result
            }
        }
    }

    fn synced(
        &self,
        task: &Task,
        outcome: ChangeOutcome,
        live: Option<&LiveObject>,
    ) -> ResourceResult {
        ResourceResult {
            status: Some(ResultCode::Synced),
            hook_phase: OperationPhase::Running,
            message: applied(&task.key, outcome),
            uid: live.map(|live| live.uid.clone()).unwrap_or_default(),
            ..self.result_of(task)
        }
    }

    /// Waits for kinds that this very sync defined to be served; what is not served in time fails by
    /// being applied.
    async fn wait_served(&self, tasks: &[Task]) {
        let objects = self.observation.normalised.objects.iter();
        let defined: BTreeSet<GroupKind> = objects
            .filter_map(|o| Some(normalise::definition(&o.object)?.0))
            .collect();
        let mut kinds: Vec<(ResourceKey, String)> = Vec::new();
        for task in tasks {
            let kind = task.key.group_kind();
            let is_asked = kinds.iter().any(|(key, _)| key.group_kind() == kind);
            if defined.contains(&kind) && task.skips_dry_run && !is_asked {
                kinds.push((task.key.clone(), task.gvk.version.clone()));
            }
        }
        for (key, version) in kinds {
            let Some(applier) = self.destination.applier(&key.target) else {
                continue;
            };
            let asked = async {
                loop {
                    let answer = applier.kinds(vec![key.group_kind()]).await.pop();
                    let serves =
                        |facts: &tidegate_applier::KindFacts| facts.versions.contains(&version);
                    if matches!(&answer, Some(Ok(Some(facts))) if serves(facts)) {
                        break;
                    }
                    tokio::time::sleep(SERVED_POLL).await;
                }
            };
            if tokio::time::timeout(SERVED_WAIT, asked).await.is_err() {
                tracing::debug!(kind = %key.group_kind(), "the kind is not served in time");
            }
        }
    }
}

/// What an apply came to, as kubectl words it.
fn applied(key: &ResourceKey, outcome: ChangeOutcome) -> String {
    let verb = match outcome {
        ChangeOutcome::Created => "created",
        ChangeOutcome::Updated => "configured",
        ChangeOutcome::Replaced => "replaced",
        ChangeOutcome::Unchanged => "unchanged",
    };
    let kind = key.kind.to_lowercase();
    if key.group.is_empty() {
        format!("{kind}/{} {verb}", key.name)
    } else {
        format!("{kind}.{}/{} {verb}", key.group, key.name)
    }
}

/// A failure in the target's words, with what can be done about it.
fn words(error: &ApplierError) -> String {
    match &error.help {
        Some(help) => format!("{error} ({help})"),
        None => error.to_string(),
    }
}
