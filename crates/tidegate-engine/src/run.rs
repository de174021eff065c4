//! Running one operation: step, record, act, record, and again. The decisions are `step`'s.

mod act;
mod tell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_applier::ReadOptions;
use tidegate_manifest::{OperationPhase, Phase, ResourceKey, ResultCode};

use crate::control::Signals;
use crate::difference::{self, Differences};
use crate::engine::Engine;
use crate::journal::{Effect, Entry, Intent, Progress};
use crate::live::{Live, Observation, is_deleting};
use crate::observe;
use crate::request::RequestContext;
use crate::step::{self, Action, StepInput, StepOutput};
use crate::tasks::{self, TaskInput, TaskSet};
use crate::watching::Inbox;
use crate::{
    ConditionType, Control, Desired, Destination, EngineError, Event, OperationState, Plan, Reason,
    ResourceResult, check_plan,
};

/// Most steps of one attempt: a step that comes to nothing new ends it long before.
const STEPS_MAX: usize = 1_000_000;

/// How an attempt ended.
enum Ended {
    /// With a phase.
    As(OperationPhase, String),
    /// A newer revision ended it.
    Superseded(String),
}

/// One operation while it runs.
pub(crate) struct Run<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) destination: &'a Destination,
    pub(crate) desired: &'a Desired,
    pub(crate) approved: Option<&'a Plan>,
    pub(crate) application: String,
    pub(crate) progress: Progress,
    pub(crate) context: RequestContext,
    pub(crate) tasks: TaskSet,
    pub(crate) live: Live,
    pub(crate) observation: Observation,
    pub(crate) differences: Differences,
    /// What was applied before, by key.
    pub(crate) inventory: BTreeMap<ResourceKey, String>,
    pub(crate) rules: tidegate_diff::ignore::IgnoreRules,
    control: Control,
    /// What is heard of the application's objects, when somebody watches.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// When a newer revision was first heard of.
    newer_since: Option<Timestamp>,
    told: tell::Told,
}

/// Runs an operation to its end, retries included.
pub(crate) async fn run(mut run: Run<'_>) -> Result<OperationState, EngineError> {
    loop {
        if run.progress.operation.is_waiting_for_retry() {
            if let Some(message) = run.wait_for_retry().await? {
                return run.finish(Ended::Superseded(message)).await;
            }
            let count = run.progress.operation.retry_count + 1;
            run.record(vec![Entry::Attempt(count)]).await?;
        }
        let ended = run.attempt().await?;
        match ended {
            Ended::As(phase, message) if run.retries(phase) => {
                run.schedule_retry(&message).await?;
            }
            ended => return run.finish(ended).await,
        }
    }
}

/// The pieces that an operation is run with.
impl<'a> Run<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        destination: &'a Destination,
        desired: &'a Desired,
        progress: Progress,
        control: &Control,
    ) -> Self {
        let application = engine.tracking_name(&desired.application);
        let context = engine.request_context(desired, &progress.operation.request);
        Self {
            engine,
            destination,
            desired,
            approved: None,
            application,
            progress,
            context,
            tasks: TaskSet {
                graph: tidegate_graph::Graph::build([], &tidegate_graph::GraphOptions::default()),
                tasks: Vec::new(),
            },
            live: Live::default(),
            observation: Observation::default(),
            differences: Differences::default(),
            inventory: BTreeMap::new(),
            rules: tidegate_diff::ignore::IgnoreRules::default(),
            control: control.clone(),
            inbox: None,
            newer_since: None,
            told: tell::Told::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.engine.context.clock.now()
    }

    pub(crate) fn emit(&self, event: Event) {
        let time = Some(self.now());
        self.engine.context.events.emit(Event { time, ..event });
    }

    pub(crate) fn event(&self, reason: Reason) -> Event {
        Event::new(reason, self.desired.application_name())
    }

    /// Makes entries durable, then takes them over.
    pub(crate) async fn record(&mut self, entries: Vec<Entry>) -> Result<(), EngineError> {
        let batch = Progress::batch(&self.application, &entries);
        self.engine.commit(&self.application, batch).await?;
        for entry in entries {
            self.progress.take(entry);
        }
        Ok(())
    }

    /// One attempt: look, then step until the phase is an end.
    async fn attempt(&mut self) -> Result<Ended, EngineError> {
        if self.control.is_cancelled() {
            return Err(self.cancelled());
        }
        self.look().await;
        if let Some(ended) = self.refusal()? {
            return Ok(ended);
        }
        self.recover().await?;
        let mut poll = self.engine.options.poll_min;
        for _ in 0..STEPS_MAX {
            let signals = self.control.signals();
            if signals.is_cancelled {
                return Err(self.cancelled());
            }
            self.hear(&signals);
            let output = self.step(signals.is_terminated || self.ends_hooks());
            self.take(&output).await?;
            if let Some(message) = self.superseded(&signals, &output) {
                return Ok(Ended::Superseded(message));
            }
            if output.actions.is_empty() && output.phase == OperationPhase::Running {
                self.tell_waits(&output.waits);
                self.wait(&output, &signals, poll).await;
                poll = (poll * 3 / 2).min(self.poll_max());
                continue;
            }
            if !output.actions.is_empty() {
                poll = self.engine.options.poll_min;
            }
            let is_end = output.phase != OperationPhase::Running;
            if is_end && output.phase.is_unsuccessful() {
                self.tell_graph_errors();
            }
            for action in output.actions {
                self.act(action).await?;
            }
            if is_end {
                return Ok(Ended::As(output.phase, output.message));
            }
        }
        let message = "the operation did not come to an end".to_owned();
        Ok(Ended::As(OperationPhase::Error, message))
    }

    fn cancelled(&self) -> EngineError {
        EngineError::Cancelled {
            application: self.desired.application_name().to_owned(),
        }
    }

    /// Approvals that came while the operation runs.
    fn hear(&mut self, signals: &Signals) {
        let approved = self.progress.operation.request.deletion_approved;
        self.progress.operation.request.deletion_approved = approved.max(signals.approved);
        if signals.newer.is_some() && self.newer_since.is_none() {
            self.newer_since = Some(self.now());
        }
    }

    /// Looks at the targets and makes the tasks of this attempt.
    async fn look(&mut self) {
        self.context.attempt = self.progress.operation.attempt_id();
        let (rules, rule_errors) = difference::ignore_rules(self.desired);
        self.observation = self
            .engine
            .observe(self.destination, self.desired, &self.context, &rules)
            .await;
        self.observation.normalised.diagnostics.extend(rule_errors);
        self.differences = difference::differences(&self.observation, &rules);
        self.rules = rules;
        self.live = self.observation.live.clone();
        self.tasks = tasks::tasks(&TaskInput {
            desired: self.desired,
            destination: self.destination,
            observation: &self.observation,
            context: &self.context,
            started_at: self.progress.operation.started_at,
            unmodified: &self.differences.unmodified(),
        });
        self.read_generated_hooks().await;
        self.tell_plan();
    }

    /// Hooks that got their name from this operation were not known when the targets were looked at.
    async fn read_generated_hooks(&mut self) {
        let named = |key: &ResourceKey| {
            let objects = &self.observation.normalised.objects;
            objects.iter().any(|object| object.key == *key)
        };
        let hooks = self.tasks.iter().filter(|(_, task)| task.is_hook());
        let unknown: Vec<ResourceKey> = hooks
            .map(|(_, task)| task.key.clone())
            .filter(|key| !named(key))
            .collect();
        self.read(unknown).await;
    }

    /// Why the attempt must not do anything.
    fn refusal(&self) -> Result<Option<Ended>, EngineError> {
        if self.observation.has_errors() {
            let found = self.observation.normalised.diagnostics.iter();
            let errors: Vec<String> = found
                .filter(|diagnostic| diagnostic.is_error())
                .map(|diagnostic| match diagnostic.origin.place() {
                    place if place.is_empty() => diagnostic.message.clone(),
                    place => format!("{place}: {}", diagnostic.message),
                })
                .collect();
            let found = &self.observation.normalised.diagnostics;
            self.engine
                .tell_findings(self.desired.application_name(), found);
            let message = format!("ComparisonError: {}", errors.join("; "));
            return Ok(Some(Ended::As(OperationPhase::Error, message)));
        }
        let shared = self.observation.conditions.iter();
        let mut shared = shared.filter(|found| found.kind == ConditionType::SharedResourceWarning);
        if self.context.sync.options.fail_on_shared_resource
            && let Some(found) = shared.next()
        {
            let message = format!("Shared resource found: {}", found.message);
            return Ok(Some(Ended::As(OperationPhase::Failed, message)));
        }
        let is_fresh = self.progress.operation.results.is_empty();
        if let Some(approved) = self.approved.filter(|_| is_fresh) {
            let now = self.engine.plan_of(
                self.destination,
                self.desired,
                &self.observation,
                &self.differences,
                &self.context,
            );
            check_plan(approved, &now).map_err(|reasons| EngineError::StalePlan { reasons })?;
        }
        Ok(None)
    }

    /// Finds out what became of effects whose outcome was not recorded (the process died in between).
    async fn recover(&mut self) -> Result<(), EngineError> {
        let open = self.progress.open.clone();
        if open.is_empty() {
            return Ok(());
        }
        self.read(open.iter().map(|intent| intent.key.clone()).collect())
            .await;
        let mut results = Vec::new();
        for intent in open {
            let found = self.live.get(&intent.key);
            let is_gone = found.is_none_or(|found| found.uid != intent.uid);
            let is_going = found.is_some_and(is_deleting);
            let (code, message) = match intent.effect {
                Effect::Prune if is_gone || is_going => (Some(ResultCode::Pruned), "pruned"),
                Effect::TerminateHook if is_gone || is_going => (None, "Deleted"),
                // The namespace is no task any more once it is there.
                Effect::Apply if found.is_some() && !self.has_task(&intent) => {
                    (Some(ResultCode::Synced), "created")
                }
                Effect::Prune
                | Effect::TerminateHook
                | Effect::Apply
                | Effect::Recreate
                | Effect::DeleteHook
                | Effect::ReleaseHook => continue,
            };
            let known = self.progress.operation.result(&intent.key, intent.phase);
            let mut result = known
                .cloned()
                .unwrap_or_else(|| ResourceResult::of_key(&intent.key, intent.phase, &intent.uid));
            result.status = code.or(result.status);
            result.hook_phase = OperationPhase::Succeeded;
            message.clone_into(&mut result.message);
            results.push(result);
        }
        if results.is_empty() {
            return Ok(());
        }
        self.record(vec![Entry::Results(results)]).await
    }

    fn has_task(&self, intent: &Intent) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|(_, task)| (&task.key, task.phase) == (&intent.key, intent.phase))
    }

    /// The object that a recreation began with, when its outcome was not recorded.
    pub(crate) fn began_with(&self, key: &ResourceKey, phase: Phase) -> Option<&str> {
        let mut open = self.progress.open.iter();
        let intent = open.find(|intent| {
            intent.effect == Effect::Recreate && (&intent.key, intent.phase) == (key, phase)
        })?;
        Some(&intent.uid)
    }

    fn step(&self, is_terminated: bool) -> StepOutput {
        step::step(StepInput {
            tasks: &self.tasks,
            live: &self.live,
            results: &self.progress.operation.results,
            dry_run: self.progress.dry_run,
            request: &self.progress.operation.request,
            attempt: &self.context.attempt,
            started_at: self.progress.operation.started_at,
            now: self.now(),
            options: &self.engine.options.step,
            is_terminated,
            prune_blocked: self.observation.prune_blocked.as_deref(),
        })
    }

    /// Records what a step found out, before anything is done about it.
    async fn take(&mut self, output: &StepOutput) -> Result<(), EngineError> {
        // A step only adds to the list, so old and new results stand at the same places.
        let before = &self.progress.operation.results;
        let is_news = |(place, result): &(usize, &ResourceResult)| {
            before.get(*place).is_none_or(|old| {
                (old.status, old.hook_phase) != (result.status, result.hook_phase)
            })
        };
        let results = output.results.iter().enumerate().filter(is_news);
        let changed: Vec<ResourceResult> = results.map(|(_, result)| result.clone()).collect();
        self.tell_results(&changed);
        if !changed.is_empty() {
            self.record(vec![Entry::Results(changed)]).await?;
        }
        let operation = &mut self.progress.operation;
        operation.results.clone_from(&output.results);
        operation.message.clone_from(&output.message);
        operation.waits.clone_from(&output.waits);
        self.engine.publish(&self.application, operation);
        Ok(())
    }

    /// Whether a newer revision ends the operation now: between two groups or while it waits, but
    /// not while hooks run, unless they were given their time, and not before ended ones are let go.
    fn superseded(&self, signals: &Signals, output: &StepOutput) -> Option<String> {
        let newer = self.newer(signals)?;
        let message = format!("superseded by {}", newer.join(", "));
        if output.phase != OperationPhase::Running {
            let is_cut_short = self.ends_hooks() && !signals.is_terminated;
            return is_cut_short.then_some(message);
        }
        let mut results = self.progress.operation.results.iter();
        let runs_hooks = results.any(|result| {
            result.hook_type.is_some() && result.hook_phase == OperationPhase::Running
        });
        let mut actions = output.actions.iter();
        let is_between = actions.all(|action| match action {
            Action::Run(_) | Action::CreateNamespace(_) | Action::DryRun(_) => true,
            Action::ReleaseHook(_) | Action::DeleteHook(_) | Action::TerminateHook(_) => false,
        });
        (!runs_hooks && is_between).then_some(message)
    }

    fn newer<'s>(&self, signals: &'s Signals) -> Option<&'s Vec<String>> {
        let operation = &self.progress.operation;
        let newer = signals.newer.as_ref()?;
        let counts = !operation.request.is_pinned && !operation.request.dry_run;
        (counts && *newer != operation.revisions).then_some(newer)
    }

    /// Whether hooks have used up the time that they were given after a newer revision came.
    fn ends_hooks(&self) -> bool {
        if self.newer(&self.control.signals()).is_none() {
            return false;
        }
        self.hooks_end_at().is_some_and(|at| at <= self.now())
    }

    fn hooks_end_at(&self) -> Option<Timestamp> {
        let grace = self.engine.options.superseded_hook_grace;
        let grace = SignedDuration::try_from(grace).ok()?;
        self.newer_since?.checked_add(grace).ok()
    }

    fn poll_max(&self) -> Duration {
        /// How much rarer live state is read where its changes are told.
        const RARER_WHEN_WATCHED: u32 = 10;
        let max = self.engine.options.poll_max;
        if self.inbox.is_some() {
            max * RARER_WHEN_WATCHED
        } else {
            max
        }
    }

    /// Waits until something may have changed, then looks at what is waited for.
    async fn wait(&mut self, output: &StepOutput, signals: &Signals, poll: Duration) {
        let keys: Vec<ResourceKey> = output.waits.iter().map(|w| w.object.clone()).collect();
        let mut timeout = poll;
        let hooks_end = self.newer_since.and_then(|_| self.hooks_end_at());
        for at in [output.wake_at, hooks_end].into_iter().flatten() {
            let left = at.duration_since(self.now());
            timeout = timeout.min(Duration::try_from(left).unwrap_or_default());
        }
        let timeout = timeout.max(Duration::from_millis(1));
        let mut control = self.control.clone();
        tokio::select! {
            () = tokio::time::sleep(timeout) => {}
            () = control.changed(signals) => {}
            () = heard(self.inbox.as_deref(), &keys) => {}
        }
        self.read(keys).await;
    }

    /// Reads some keys anew.
    pub(crate) async fn read(&mut self, keys: Vec<ResourceKey>) {
        if keys.is_empty() {
            return;
        }
        for (key, answer) in observe::read(self.destination, keys, ReadOptions::default()).await {
            self.live.set(&key, answer);
        }
    }

    fn retries(&self, phase: OperationPhase) -> bool {
        let operation = &self.progress.operation;
        let is_terminated = self.control.signals().is_terminated;
        phase.is_unsuccessful()
            && !is_terminated
            && operation.request.retry.permits(operation.retry_count)
    }

    async fn schedule_retry(&mut self, message: &str) -> Result<(), EngineError> {
        let count = self.progress.operation.retry_count;
        let wait = self.progress.operation.request.retry.wait(count);
        let waits_from = self.now();
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        let at = waits_from.checked_add(wait).unwrap_or(Timestamp::MAX);
        let shown = at.strftime("%-I:%M%p");
        let message = format!("{message}. Retrying attempt #{} at {shown}.", count + 1);
        self.emit(self.event(Reason::Waiting).message(message.clone()));
        self.record(vec![Entry::Retry {
            message,
            at,
            waits_from,
        }])
        .await?;
        self.engine
            .publish(&self.application, &self.progress.operation);
        Ok(())
    }

    /// Waits for the time of the next attempt; a message when a newer revision came instead.
    async fn wait_for_retry(&mut self) -> Result<Option<String>, EngineError> {
        loop {
            let signals = self.control.signals();
            if signals.is_cancelled {
                return Err(self.cancelled());
            }
            if let Some(newer) = self.newer(&signals) {
                return Ok(Some(format!("superseded by {}", newer.join(", "))));
            }
            let due = self.progress.retry_at.unwrap_or(Timestamp::MIN);
            if due <= self.now() || signals.is_terminated {
                return Ok(None);
            }
            let left = Duration::try_from(due.duration_since(self.now())).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.control.changed(&signals) => {}
            }
        }
    }

    async fn finish(mut self, ended: Ended) -> Result<OperationState, EngineError> {
        let (phase, mut message, is_superseded) = match ended {
            Ended::As(phase, message) => (phase, message, false),
            Ended::Superseded(message) => (OperationPhase::Failed, message, true),
        };
        let now = self.now();
        let operation = &mut self.progress.operation;
        if operation.retry_count > 0 && !is_superseded && phase.is_unsuccessful() {
            message = format!("{message} (retried {} times).", operation.retry_count);
        }
        operation.phase = phase;
        operation.message.clone_from(&message);
        operation.finished_at = Some(now);
        operation.waits.clear();
        operation.is_superseded = is_superseded;
        let operation = operation.clone();
        self.engine
            .close(&self.application, self.desired, &operation)
            .await?;
        let reason = match (is_superseded, phase) {
            (true, _) => Reason::Superseded,
            (false, OperationPhase::Succeeded) => Reason::SyncSucceeded,
            (false, _) => Reason::SyncFailed,
        };
        self.emit(self.event(reason).message(message));
        Ok(operation)
    }
}

/// Returns when something was heard of one of the keys; never when nobody watches.
async fn heard(inbox: Option<&Inbox>, keys: &[ResourceKey]) {
    let Some(inbox) = inbox else {
        return std::future::pending().await;
    };
    loop {
        inbox.news().await;
        let heard = inbox.take();
        if heard.has_gap || heard.keys.keys().any(|key| keys.contains(key)) {
            return;
        }
    }
}
