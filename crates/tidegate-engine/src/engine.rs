//! The async shell: everything an embedder calls. What is decided is decided in pure modules.

mod memory;
mod waiting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_applier::{LiveObject, OwnerRef};
use tidegate_diff::changes::without_server_fields;
use tidegate_diff::ignore::IgnoreRules;
use tidegate_manifest::{Application, Diagnostic, OperationPhase, Role, TargetKind};
use tidegate_store::Store;

use crate::compare::{CompareInput, compare};
use crate::difference::{self, Differences};
use crate::journal::{Entry, Progress};
use crate::live::Observation;
use crate::request::{self, RequestContext};
use crate::run::{self, Run};
use crate::tasks::{self, TaskInput};
use crate::watching::{Hub, Inbox};
use crate::{
    Clock, Comparison, Control, Controller, Desired, Destination, EngineError, Event, EventSink,
    HistoryEntry, IdSource, NoEvents, OperationState, Plan, PlanAction, RandomIds, Reason,
    ResourceDiff, StepOptions, Strategy, SyncRequest, SystemClock, observe, planning,
};
use memory::Running;

/// What an engine needs from outside.
#[derive(Clone, Debug)]
pub struct EngineContext {
    /// Journal, inventory, history.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Identities of operations.
    pub ids: Arc<dyn IdSource>,
    /// Who is told what happens.
    pub events: Arc<dyn EventSink>,
}

impl EngineContext {
    /// The system's clock, random identities, no events.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            events: Arc::new(NoEvents),
        }
    }
}

/// What has a default.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How steps are decided.
    pub step: StepOptions,
    /// The name that owns fields.
    pub field_owner: tidegate_applier::FieldOwner,
    /// Shortest time between two looks at what is waited for, where the target cannot be watched.
    pub poll_min: Duration,
    /// Longest time between two looks.
    pub poll_max: Duration,
    /// How long running hooks may go on when a newer revision ends their operation.
    pub superseded_hook_grace: Duration,
    /// The namespace whose Applications are tracked by their bare name; with none, all are.
    pub control_namespace: Option<String>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            step: StepOptions::default(),
            field_owner: tidegate_applier::FieldOwner::default(),
            poll_min: Duration::from_millis(50),
            poll_max: Duration::from_secs(1),
            superseded_hook_grace: Duration::from_secs(120),
            control_namespace: None,
        }
    }
}

/// What [`Engine::wait`] waits for; all that are asked for must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitFor {
    /// Synced.
    pub sync: bool,
    /// Healthy.
    pub health: bool,
    /// End with an error at once when it is Degraded.
    pub fail_on_degraded: bool,
}

impl Default for WaitFor {
    fn default() -> Self {
        Self {
            sync: true,
            health: true,
            fail_on_degraded: false,
        }
    }
}

/// Plans, syncs, compares, rolls back and deletes applications. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) context: EngineContext,
    pub(crate) options: EngineOptions,
    hub: Arc<Hub>,
    /// Operations that run in this process, by application.
    running: Arc<Mutex<BTreeMap<String, Option<OperationState>>>>,
    /// What was told to be wrong in documents, by application.
    told: Arc<Mutex<BTreeMap<String, Vec<Diagnostic>>>>,
}

impl Engine {
    /// An engine.
    pub fn new(context: EngineContext, options: EngineOptions) -> Self {
        Self {
            context,
            options,
            hub: Arc::default(),
            running: Arc::default(),
            told: Arc::default(),
        }
    }

    /// Compares an application with its live state. Changes nothing there.
    ///
    /// # Errors
    /// The verdict could not be remembered. What could not be compared, and why, is in the comparison.
    pub async fn compare(
        &self,
        destination: &Destination,
        desired: &Desired,
    ) -> Result<Comparison, EngineError> {
        let (comparison, _) = self.compare_observed(destination, desired).await?;
        Ok(comparison)
    }

    pub(crate) async fn compare_observed(
        &self,
        destination: &Destination,
        desired: &Desired,
    ) -> Result<(Comparison, Observation), EngineError> {
        let request = SyncRequest::manual(&desired.application, "");
        let context = self.request_context(desired, &request);
        let (rules, rule_errors) = difference::ignore_rules(desired);
        let observation = self.observe(destination, desired, &context, &rules).await;
        let comparison = self
            .judge(desired, &observation, &rules, &rule_errors)
            .await?;
        Ok((comparison, observation))
    }

    /// The verdict on what was seen; remembered.
    pub(crate) async fn judge(
        &self,
        desired: &Desired,
        observation: &Observation,
        rules: &IgnoreRules,
        rule_errors: &[Diagnostic],
    ) -> Result<Comparison, EngineError> {
        let name = self.tracking_name(&desired.application);
        let record = self.record(&name).await?;
        let comparison = compare(&CompareInput {
            desired,
            observation,
            differences: &difference::differences(observation, rules),
            rule_errors,
            applied_namespace_metadata: record.namespace_metadata.as_ref(),
        });
        self.remember(&name, desired, &comparison, record).await?;
        Ok(comparison)
    }

    /// How each object differs from Git; objects that do not are left out. Changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when documents are wrong, so that there is nothing to compare with.
    pub async fn diff(
        &self,
        destination: &Destination,
        desired: &Desired,
    ) -> Result<Vec<ResourceDiff>, EngineError> {
        let mut request = SyncRequest::manual(&desired.application, "");
        request.prune = true;
        let context = self.request_context(desired, &request);
        let (rules, rule_errors) = difference::ignore_rules(desired);
        let observation = self.observe(destination, desired, &context, &rules).await;
        let mut diagnostics = observation.normalised.diagnostics.clone();
        diagnostics.extend(rule_errors);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(EngineError::Invalid {
                application: desired.application_name().to_owned(),
                diagnostics,
            });
        }
        let differences = difference::differences(&observation, &rules);
        let mut failed = differences.errors.iter().chain(&differences.refused);
        if let Some((key, error)) = failed.next() {
            return Err(EngineError::Target {
                target: key.target.clone(),
                action: "compared",
                source: Box::new(error.clone()),
            });
        }
        let plan = self.plan_of(destination, desired, &observation, &differences, &context);
        let changed = plan.entries.into_iter().filter(|entry| match entry.action {
            PlanAction::Create | PlanAction::Update | PlanAction::Replace | PlanAction::Delete => {
                true
            }
            PlanAction::Hook | PlanAction::Nothing | PlanAction::Skip => false,
        });
        let mut found: Vec<ResourceDiff> = changed
            .map(|entry| resource_diff(&observation, &rules, entry))
            .collect();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// What a sync would do. Changes nothing.
    ///
    /// # Errors
    /// None at present: a plan of wrong documents says so itself ([`Plan::is_invalid`]).
    pub async fn plan(
        &self,
        destination: &Destination,
        desired: &Desired,
        request: &SyncRequest,
    ) -> Result<Plan, EngineError> {
        let context = self.request_context(desired, request);
        let (rules, rule_errors) = difference::ignore_rules(desired);
        let mut observation = self.observe(destination, desired, &context, &rules).await;
        observation.normalised.diagnostics.extend(rule_errors);
        let differences = difference::differences(&observation, &rules);
        let plan = self.plan_of(destination, desired, &observation, &differences, &context);
        let changes = plan.entries.iter().filter(|entry| entry.action.is_change());
        let message = format!(
            "{} of {} objects to change",
            changes.count(),
            plan.entries.len()
        );
        self.emit(Event::new(Reason::Planned, desired.application_name()).message(message));
        Ok(plan)
    }

    /// The plan of what was seen. It names no operation and no time, so that plans can be compared.
    pub(crate) fn plan_of(
        &self,
        destination: &Destination,
        desired: &Desired,
        observation: &Observation,
        differences: &Differences,
        context: &RequestContext,
    ) -> Plan {
        let context = RequestContext {
            attempt: String::new(),
            ..context.clone()
        };
        let tasks = tasks::tasks(&TaskInput {
            desired,
            destination,
            observation,
            context: &context,
            started_at: Timestamp::UNIX_EPOCH,
            unmodified: &differences.unmodified(),
        });
        planning::plan(&planning::PlanningInput {
            desired,
            observation,
            differences,
            context: &context,
            tasks: &tasks,
        })
    }

    /// Runs one operation to its end, retries included; goes on with the one that a killed process
    /// left behind when it is the same, and ends it as superseded when it is another.
    ///
    /// With a plan that was approved, nothing is done unless the plan still holds.
    ///
    /// # Errors
    /// The operation could not be run. That it failed is in its phase, not an error.
    ///
    /// # Cancel safety
    /// Dropping the future is like killing the process: effects that were sent may still happen,
    /// the journal has their intents, and the next call resumes. [`crate::Controller::cancel`] is kinder.
    pub async fn sync(
        &self,
        destination: &Destination,
        desired: &Desired,
        request: SyncRequest,
        approved: Option<&Plan>,
        control: &Control,
    ) -> Result<OperationState, EngineError> {
        self.tell_desired(desired, true, true);
        self.forget_told(desired.application_name());
        self.sync_inner(destination, desired, request, approved, control, None)
            .await
    }

    /// A sync that hears of its objects instead of asking for them again and again.
    pub(crate) async fn sync_heard(
        &self,
        destination: &Destination,
        desired: &Desired,
        request: SyncRequest,
        control: &Control,
        inbox: Option<Arc<Inbox>>,
    ) -> Result<OperationState, EngineError> {
        self.sync_inner(destination, desired, request, None, control, inbox)
            .await
    }

    async fn sync_inner(
        &self,
        destination: &Destination,
        desired: &Desired,
        request: SyncRequest,
        approved: Option<&Plan>,
        control: &Control,
        inbox: Option<Arc<Inbox>>,
    ) -> Result<OperationState, EngineError> {
        let name = self.tracking_name(&desired.application);
        let _running = self.begin(&name)?;
        let left = self.progress(&name).await?;
        let is_same = |left: &Progress| {
            left.operation.revisions == desired.revisions()
                && left.operation.desired == desired.digest()
                && left.operation.request.is_same(&request)
        };
        let progress = match left {
            Some(left) if is_same(&left) => left,
            left => {
                if let Some(left) = left {
                    self.abandon(&name, desired, left.operation).await?;
                }
                self.begin_operation(&name, desired, request).await?
            }
        };
        let mut run = self
            .prepare(destination, desired, progress, control)
            .await?;
        run.approved = approved;
        run.inbox = inbox;
        run::run(run).await
    }

    /// Journals the beginning of an operation.
    async fn begin_operation(
        &self,
        name: &str,
        desired: &Desired,
        request: SyncRequest,
    ) -> Result<Progress, EngineError> {
        let application = &desired.application;
        let operation = OperationState {
            id: self.context.ids.next(),
            request,
            revisions: desired.revisions(),
            sources: application
                .sources
                .iter()
                .map(|s| s.document.clone())
                .collect(),
            is_multi_source: application.is_multi_source,
            desired: desired.digest(),
            phase: OperationPhase::Running,
            message: String::new(),
            started_at: self.context.clock.now(),
            finished_at: None,
            retry_count: 0,
            results: Vec::new(),
            waits: Vec::new(),
            is_superseded: false,
        };
        let began = Entry::Began(Box::new(operation.clone()));
        self.commit(name, Progress::batch(name, &[began])).await?;
        Ok(Progress::new(operation))
    }

    /// An operation that is ready to run.
    async fn prepare<'a>(
        &'a self,
        destination: &'a Destination,
        desired: &'a Desired,
        progress: Progress,
        control: &Control,
    ) -> Result<Run<'a>, EngineError> {
        let name = self.tracking_name(&desired.application);
        let record = self.record(&name).await?;
        let mut run = Run::new(self, destination, desired, progress, control);
        let items = record.inventory.into_iter();
        run.inventory = items.map(|item| (item.key, item.uid)).collect();
        Ok(run)
    }

    /// Ends an operation that a killed process left behind and that nobody goes on with.
    async fn abandon(
        &self,
        name: &str,
        desired: &Desired,
        operation: OperationState,
    ) -> Result<(), EngineError> {
        let message = format!("superseded by {}", desired.revisions().join(", "));
        let operation = OperationState {
            phase: OperationPhase::Failed,
            message: message.clone(),
            finished_at: Some(self.context.clock.now()),
            is_superseded: true,
            ..operation
        };
        self.close(name, desired, &operation).await?;
        self.emit(Event::new(Reason::Superseded, desired.application_name()).message(message));
        Ok(())
    }

    /// The operation that a killed process left behind, if any: render its revisions, then [`Engine::resume`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn unfinished(
        &self,
        application: &Application,
    ) -> Result<Option<OperationState>, EngineError> {
        let name = self.tracking_name(application);
        let progress = self.progress(&name).await?;
        Ok(progress.map(|progress| progress.operation))
    }

    /// Goes on with the operation that a killed process left behind; none when there is none.
    ///
    /// # Errors
    /// As [`Engine::sync`]; [`EngineError::Refused`] when `desired` is not of its revisions.
    ///
    /// # Cancel safety
    /// As [`Engine::sync`].
    pub async fn resume(
        &self,
        destination: &Destination,
        desired: &Desired,
        control: &Control,
    ) -> Result<Option<OperationState>, EngineError> {
        let name = self.tracking_name(&desired.application);
        let _running = self.begin(&name)?;
        let Some(progress) = self.progress(&name).await? else {
            return Ok(None);
        };
        if progress.operation.revisions != desired.revisions() {
            return Err(EngineError::Refused(format!(
                "the operation that was left behind is of {}, not of {}",
                progress.operation.revisions.join(", "),
                desired.revisions().join(", ")
            )));
        }
        let run = self
            .prepare(destination, desired, progress, control)
            .await?;
        Ok(Some(run::run(run).await?))
    }

    /// The history of an application, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(
        &self,
        application: &Application,
    ) -> Result<Vec<HistoryEntry>, EngineError> {
        let name = self.tracking_name(application);
        Ok(self.record(&name).await?.history)
    }

    /// The last operation that ended, or the one that runs in this process.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn operation(
        &self,
        application: &Application,
    ) -> Result<Option<OperationState>, EngineError> {
        let name = self.tracking_name(application);
        if let Some(running) = self.published(&name) {
            return Ok(Some(running));
        }
        if let Some(progress) = self.progress(&name).await? {
            return Ok(Some(progress.operation));
        }
        Ok(self.record(&name).await?.operation)
    }

    /// Syncs to an entry of the history: `desired` is what its revisions render to. Hooks do not run.
    ///
    /// # Errors
    /// As [`Engine::sync`]; [`EngineError::Refused`] when the entry does not exist, is of other
    /// revisions, or the application syncs automatically.
    pub async fn rollback(
        &self,
        destination: &Destination,
        desired: &Desired,
        entry: u64,
        request: SyncRequest,
        control: &Control,
    ) -> Result<OperationState, EngineError> {
        let refuse = |why: String| Err(EngineError::Refused(why));
        if desired.application.sync_policy.automated.is_some() {
            return refuse(
                "rollback cannot be performed when auto-sync is enabled\nhelp: set spec.syncPolicy.automated.enabled to false first".to_owned(),
            );
        }
        let history = self.history(&desired.application).await?;
        let Some(found) = history.iter().find(|item| item.id == entry) else {
            let known: Vec<String> = history.iter().map(|item| item.id.to_string()).collect();
            return refuse(format!(
                "there is no history entry {entry}; there are: {}",
                known.join(", ")
            ));
        };
        if found.revisions != desired.revisions() {
            return refuse(format!(
                "history entry {entry} is of {}, not of {}",
                found.revisions.join(", "),
                desired.revisions().join(", ")
            ));
        }
        let force = request.strategy.is_forced();
        let request = SyncRequest {
            strategy: Strategy::Apply { force },
            is_pinned: true,
            rollback_to: Some(entry),
            ..request
        };
        self.sync(destination, desired, request, None, control)
            .await
    }

    /// Ends the operation that a killed process left behind: its running hooks are deleted.
    ///
    /// A running call is ended by [`crate::Controller::terminate`].
    ///
    /// # Errors
    /// As [`Engine::sync`].
    pub async fn terminate(
        &self,
        destination: &Destination,
        desired: &Desired,
    ) -> Result<Option<OperationState>, EngineError> {
        let (controller, control) = Controller::new();
        controller.terminate();
        self.resume(destination, desired, &control).await
    }
}

/// The parts that the other modules of the shell use.
impl Engine {
    /// The name under which the application marks what is its own (Argo CD section 5).
    pub(crate) fn tracking_name(&self, application: &Application) -> String {
        let namespace = &application.namespace;
        match &self.options.control_namespace {
            Some(control) if !namespace.is_empty() && namespace != control => {
                format!("{namespace}_{}", application.name)
            }
            Some(_) | None => application.name.clone(),
        }
    }

    pub(crate) fn owner(&self, application: &Application) -> OwnerRef {
        OwnerRef {
            application: self.tracking_name(application),
            destination_namespace: application.destination.namespace.clone(),
        }
    }

    pub(crate) fn request_context(&self, desired: &Desired, sync: &SyncRequest) -> RequestContext {
        RequestContext {
            owner: self.owner(&desired.application),
            field_owner: self.options.field_owner.clone(),
            sync: sync.clone(),
            attempt: String::new(),
        }
    }

    pub(crate) fn emit(&self, event: Event) {
        let time = Some(self.context.clock.now());
        self.context.events.emit(Event { time, ..event });
    }

    /// Tells which revisions are looked at, and what they render to.
    pub(crate) fn tell_desired(&self, desired: &Desired, is_new: bool, is_other: bool) {
        let event = |reason| Event::new(reason, desired.application_name());
        if is_new {
            let revisions = desired.revisions().join(", ");
            self.emit(event(Reason::Resolved).message(revisions));
        }
        if is_other {
            let count: usize = desired
                .sources
                .iter()
                .map(|source| source.objects.len())
                .sum();
            self.emit(event(Reason::Rendered).message(format!("{count} objects")));
        }
    }

    /// Looks at everything that a comparison, a plan or an operation needs.
    pub(crate) async fn observe(
        &self,
        destination: &Destination,
        desired: &Desired,
        context: &RequestContext,
        rules: &IgnoreRules,
    ) -> Observation {
        let respects = context.sync.options.respect_ignore_differences;
        let preview = |object: &crate::normalise::DesiredObject, live: Option<&LiveObject>| {
            let facts = &object.object.facts;
            if facts.role != Role::Resource {
                return None;
            }
            let mut body = object.object.body.clone();
            if let Some(live) = live.filter(|_| respects) {
                let ty = difference::type_of(&object.object.gvk);
                body = rules.keep_live_values(Some(&ty), &body, &without_server_fields(&live.body));
            }
            Some(context.preview(&object.key, &object.object.gvk, facts, body, live))
        };
        let namespace = destination
            .target(TargetKind::Kubernetes)
            .filter(|_| context.sync.options.create_namespace)
            .and_then(|target| request::managed_namespace(&desired.application, target));
        let more = namespace.map(|namespace| namespace.key);
        observe::observe(destination, desired, &context.owner, more, preview).await
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    fn begin(&self, name: &str) -> Result<Running, EngineError> {
        Running::begin(&self.running, name)
    }
}

/// One entry of a plan as a difference for people.
fn resource_diff(
    observation: &Observation,
    rules: &IgnoreRules,
    entry: crate::PlanEntry,
) -> ResourceDiff {
    let live = observation.live.get(&entry.key);
    let mut before = live.map(|live| without_server_fields(&live.body));
    let preview = observation
        .previews
        .get(&entry.key)
        .and_then(|p| p.as_ref().ok());
    let objects = observation.normalised.objects.iter();
    let desired = objects.clone().find(|object| object.key == entry.key);
    let mut after = match (preview, desired) {
        (Some(preview), _) => Some(without_server_fields(&preview.after)),
        (None, Some(object)) => Some(object.object.body.clone()),
        (None, None) => None,
    };
    if let (Some(before), Some(after)) = (&mut before, &mut after) {
        let gvk = desired
            .map(|object| object.object.gvk.clone())
            .unwrap_or_default();
        rules.apply(Some(&difference::type_of(&gvk)), after, before);
        for side in [&mut *before, &mut *after] {
            if let Some(map) = side.as_object_mut() {
                map.remove("status");
            }
        }
    }
    let mut sides: Vec<&mut Value> = [before.as_mut(), after.as_mut()]
        .into_iter()
        .flatten()
        .collect();
    tidegate_diff::mask::mask(&mut sides, &[]);
    ResourceDiff {
        key: entry.key,
        action: entry.action,
        live: before,
        desired: after.filter(|_| entry.action != PlanAction::Delete),
        changes: entry.changes,
        origin: entry.origin.map(Arc::new),
    }
}
