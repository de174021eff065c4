//! Plan and sync as a pure step function, with an async shell around it.
//!
//! The engine must not know any target: it speaks to [`tidegate_applier::Applier`]s, and does not
//! know Kubernetes clients, AWS, Kafka, HTTP or Git.
//!
//! The map, in the direction of the data. Pure, without IO, async or a clock of its own:
//!
//! | module | does |
//! |---|---|
//! | `desired`, `destination` | what the caller gives: rendered objects, appliers by target |
//! | `normalise`, `project` | rendered objects in their final form; what a project permits |
//! | `live` | what was seen of the targets, and what could not be seen |
//! | `difference`, `compare`, `comparison` | what differs and counts; the verdict per object and for the application |
//! | `tasks` | what is applied, run and pruned, and in which group |
//! | `request` | what an applier is asked, by the options of application, operation and object |
//! | `planning`, `plan` | the same as a document with an identity, preconditions and edges |
//! | `step`, `wait` | `(tasks, live, results, now) -> (results, actions, phase, message, waits)` |
//! | `operation`, `journal` | what was asked, how far it is, what it did; what survives the process |
//! | `automation` | when an application is synced by itself |
//! | `status` | `.status` in Argo CD's form |
//!
//! The shell:
//!
//! | module | does |
//! |---|---|
//! | `engine` | everything that embedders call |
//! | `observe` | looks at the targets |
//! | `run` | one operation: step, record, act, record |
//! | `deletion` | the deletion of an application |
//! | `reconcile`, `watching` | one owner task per application; one watch per target |
//! | `control`, `clock`, `event`, `error` | signals in, time and identities in, events and errors out |
//!
//! # Where Tidegate differs from Argo CD
//! Order, waves, hooks and results are Argo CD's. Different without being asked: hooks that run to an
//! end run in every sync ([`StepOptions::strict_compatibility`] turns that off), the dry run asks the
//! target itself, a newer revision that renders differently ends an operation that is not pinned, an
//! object that cannot be applied fails its sync before anything was changed, nothing is pruned while
//! the target was not seen whole, there is no pause between waves. [`StepOptions`] offers the rest.

mod automation;
mod clock;
mod compare;
mod comparison;
mod control;
mod deletion;
mod desired;
mod destination;
mod difference;
mod engine;
mod error;
mod event;
mod journal;
mod live;
mod normalise;
mod observe;
mod operation;
mod plan;
mod planning;
mod project;
mod reconcile;
mod request;
mod run;
mod status;
mod step;
mod tasks;
mod wait;
mod watching;

pub use clock::{Clock, CountedIds, IdSource, RandomIds, RuntimeClock, SystemClock};
pub use comparison::{Comparison, Condition, ConditionType, ResourceDiff, ResourceStatus};
pub use control::{Control, Controller};
pub use desired::{Desired, Digest, RenderedSource};
pub use destination::{Destination, worlds};
pub use engine::{Engine, EngineContext, EngineOptions, WaitFor};
pub use error::{EngineError, with_causes};
pub use event::{
    ApplicationSummary, CollectedEvents, Event, EventObject, EventOrigin, EventSink, NoEvents,
    Reason,
};
pub use operation::{
    HistoryEntry, Initiator, OperationState, ResourceFilter, ResourceResult, RetryPolicy, Strategy,
    SyncRequest,
};
pub use plan::{
    PLAN_VERSION, Plan, PlanAction, PlanEdge, PlanEntry, PlanInputs, PlanRequest, check_plan,
};
pub use reconcile::{ApplicationTask, ApplicationView, ReconcileOptions, Source, Wanted};
pub use step::{OnSuspended, StepOptions};
pub use wait::Wait;
