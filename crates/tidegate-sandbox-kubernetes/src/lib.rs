//! The embedded Kubernetes API server of the sandbox: the real protocol on loopback, in memory, for development and tests.
//!
//! It speaks HTTP (`http/`), keeps objects in a bounded memory (`store`), and lets controllers in through a door without HTTP
//! ([`Objects`]). It must not know the engine, nor any simulated controller.

mod bootstrap;
mod builtin;
mod clock;
mod convert;
mod core;
mod crd;
mod defaults;
mod delete;
mod faults;
mod fields;
mod lock;
mod managed;
mod metadata;
mod object;
mod objects;
mod patch;
mod prepare;
mod registry;
mod resource;
mod scale;
mod status;
mod store;
mod structural;
mod validate;
mod write;

pub use clock::{Clock, ManualClock};
pub use faults::{Fault, FaultRule, Faults, MAX_FAULTS};
pub use objects::{Changes, DeleteOptions, Objects, Propagation};
pub use resource::ResourceName;
pub use status::{Cause, Details, Status};
pub use store::{Change, ChangeKind, MAX_EVENT_BYTES, MAX_EVENTS, MAX_OBJECT_BYTES, MAX_OBJECTS};
