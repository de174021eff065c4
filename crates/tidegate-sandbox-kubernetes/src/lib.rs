//! The embedded Kubernetes API server of the sandbox: the real protocol on loopback, in memory, for development and tests.
//!
//! It speaks HTTP (`http/`), keeps objects in a bounded memory (`store`), and lets controllers in through a door without HTTP
//! ([`Objects`]). It must not know the engine, nor any simulated controller.

mod allocate;
mod bootstrap;
mod builtin;
mod clock;
mod convert;
mod core;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod faults;
mod fields;
mod gotypes;
mod http;
mod json;
mod lifecycle;
mod lock;
mod managed;
mod metadata;
mod object;
mod objects;
mod openapi;
mod patch;
mod prepare;
mod protobuf;
mod registry;
mod resource;
mod scale;
mod selector;
mod server;
mod status;
mod store;
mod structural;
mod table;
mod validate;
mod write;
mod yaml;

pub use clock::{Clock, ManualClock};
pub use faults::{Fault, FaultRule, Faults, MAX_FAULTS, MAX_LATENCY};
pub use http::MAX_BODY;
pub use http::serve::MAX_CONNECTIONS;
pub use objects::{Changes, DeleteOptions, Objects, Propagation};
pub use resource::ResourceName;
pub use server::{Options, Server, StartError};
pub use status::{Cause, Details, Status};
pub use store::{Change, ChangeKind, MAX_EVENT_BYTES, MAX_EVENTS, MAX_OBJECT_BYTES, MAX_OBJECTS};
