//! The API server from outside: raw HTTP, and every kubectl that is installed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod client;
mod custom;
mod faults;
mod kubectl;
mod kubectl_forms;
mod objects;
mod rules;
mod watching;
mod wire;
