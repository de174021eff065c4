//! Plan and sync as a pure step function, with an async shell around it.
//!
//! The engine must not know any target: it speaks to [`tidegate_applier::Applier`]s, and does not
//! know Kubernetes clients, AWS, Kafka, HTTP or Git.
//!
//! The map, in the direction of the data; everything but the shell is pure:
//!
//! | module | does |
//! |---|---|
//! | `desired`, `destination` | what the caller gives: rendered objects, appliers by target |
//! | `comparison` | the verdict per object and for the application |
//! | `plan` | the same as a document with an identity, preconditions and edges |
//! | `operation` | what was asked, how far it is, what it did |
//! | `step` | `(tasks, live, results, now) -> (actions, results, phase, message, waits)` |
//! | `wait` | waits that explain themselves |
//! | `engine` | the async shell: what embedders call |
//! | `reconcile` | one owner task per application: automatic sync, self-heal, drift |
//! | `control`, `clock`, `event`, `error` | signals in, time and identities in, events and errors out |

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
pub use destination::Destination;
pub use engine::{Engine, EngineContext, EngineOptions, WaitFor};
pub use error::EngineError;
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
