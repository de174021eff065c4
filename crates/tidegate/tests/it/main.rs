//! The engine over a real API: the sandbox by default, any Kubernetes with `TIDEGATE_TEST_KUBECONFIG`.
//!
//! Each test has its own namespace and its own application names, so that they run side by side.

#![expect(
    clippy::unwrap_used,
    reason = "what these helpers do must work for a test to mean anything"
)]

mod bad_input;
mod cluster;
mod deletion;
mod drift;
mod hooks;
mod kustomize;
#[path = "../../../tidegate-aws/tests/it/memory.rs"]
mod memory;
mod repository;
mod sync;
mod worlds;
