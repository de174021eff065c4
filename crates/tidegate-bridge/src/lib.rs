//! The self-hosted event-source runtime: Kafka or Kinesis in, Lambda, HTTP or CloudEvents out, with the
//! settings and the semantics of Lambda's event-source mappings.
//!
//! Pure: `record`, `event`, `policy`, `outcome`, `queue`. Doors: sources, targets and destinations, each behind a
//! trait. No engine, no rendering.

pub mod applier;
pub mod binding;
pub mod bridge;
pub mod destination;
pub mod event;
pub mod filter;
pub mod metrics;
pub mod outcome;
pub mod policy;
pub mod queue;
pub mod record;
pub mod runtime;
pub mod server;
pub mod source;
pub mod target;

pub use binding::{Binding, Bindings, Defaults, from_value, read};
pub use bridge::{Bridge, Change};
