//! The engine against a cluster of the test's own: manifests in, transcripts out, laws.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod deletion;
mod fake;
mod group;
mod hooks;
mod kit;
mod laws;
mod options;
mod order;
mod reconcile;
mod reports;
mod resume;
