//! Structured merge diff, three-way diff, ignore rules, secret masking. Pure: no IO, no clock, no async.
//!
//! One code for the engine (plans, drift), the cluster applier and the embedded API server. Start at [`schema::Schema`]
//! for types, [`managed::apply`] and [`managed::update`] for server-side apply, [`own`] for offline drift,
//! [`changes`] for what people read.

pub mod changes;
pub mod fieldset;
pub mod ignore;
pub mod managed;
pub mod mask;
pub mod merge_patch;
pub mod normalise;
pub mod own;
pub mod schema;
pub mod strategic;
pub mod threeway;
pub mod typed;
pub mod value;
