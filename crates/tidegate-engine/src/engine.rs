//! The async shell: everything an embedder calls. What is decided is decided in pure modules.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidegate_manifest::Application;
use tidegate_store::Store;

use crate::{
    Clock, Comparison, Control, Desired, Destination, EngineError, EventSink, HistoryEntry,
    IdSource, NoEvents, OperationState, Plan, RandomIds, ResourceDiff, StepOptions, SyncRequest,
    SystemClock,
};

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

/// Plans, syncs, compares, rolls back and deletes applications.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) context: EngineContext,
    pub(crate) options: EngineOptions,
}

impl Engine {
    /// An engine.
    pub fn new(context: EngineContext, options: EngineOptions) -> Self {
        Self { context, options }
    }

    /// Compares an application with its live state. Changes nothing.
    ///
    /// # Errors
    /// A target cannot be reached. What is wrong in Git is in the comparison.
    pub async fn compare(
        &self,
        destination: &Destination,
        desired: &Desired,
    ) -> Result<Comparison, EngineError> {
        let _ = (destination, desired);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// How each object differs from Git; objects that do not are left out. Changes nothing.
    ///
    /// # Errors
    /// As [`Engine::compare`], and when documents are wrong.
    pub async fn diff(
        &self,
        destination: &Destination,
        desired: &Desired,
    ) -> Result<Vec<ResourceDiff>, EngineError> {
        let _ = (destination, desired);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// What a sync would do. Changes nothing.
    ///
    /// # Errors
    /// As [`Engine::compare`]. A plan of wrong documents says so itself ([`Plan::is_invalid`]).
    pub async fn plan(
        &self,
        destination: &Destination,
        desired: &Desired,
        request: &SyncRequest,
    ) -> Result<Plan, EngineError> {
        let _ = (destination, desired, request);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// Runs one operation to its end, retries included; goes on with the one that a killed process
    /// left behind when it is the same.
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
        let _ = (destination, desired, request, approved, control);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// The operation that a killed process left behind, if any: render its revisions, then [`Engine::resume`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn unfinished(
        &self,
        application: &Application,
    ) -> Result<Option<OperationState>, EngineError> {
        let _ = application;
        Err(EngineError::Refused("not there yet".to_owned()))
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
        let _ = (destination, desired, control);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// Waits until the application is as asked; tells what it waits for by events.
    ///
    /// # Errors
    /// [`EngineError::TimedOut`] after `timeout`, [`EngineError::Cancelled`].
    pub async fn wait(
        &self,
        destination: &Destination,
        desired: &Desired,
        wanted: WaitFor,
        timeout: Duration,
        control: &Control,
    ) -> Result<Comparison, EngineError> {
        let _ = (destination, desired, wanted, timeout, control);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// The history of an application, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(
        &self,
        application: &Application,
    ) -> Result<Vec<HistoryEntry>, EngineError> {
        let _ = application;
        Err(EngineError::Refused("not there yet".to_owned()))
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
        let _ = (destination, desired, entry, request, control);
        Err(EngineError::Refused("not there yet".to_owned()))
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
        let _ = (destination, desired);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// Deletes an application as its finalizers say: cascading or leaving its objects.
    ///
    /// # Errors
    /// A target cannot be reached, a PreDelete hook failed, a deletion was refused.
    ///
    /// # Cancel safety
    /// May be repeated: what is gone is not deleted again.
    pub async fn delete_application(
        &self,
        destination: &Destination,
        desired: &Desired,
        control: &Control,
    ) -> Result<(), EngineError> {
        let _ = (destination, desired, control);
        Err(EngineError::Refused("not there yet".to_owned()))
    }

    /// The Application document with `.status` in Argo CD's form (section 2).
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn status_document(
        &self,
        application: &Application,
        comparison: Option<&Comparison>,
    ) -> Result<Value, EngineError> {
        let _ = (application, comparison);
        Err(EngineError::Refused("not there yet".to_owned()))
    }
}
