//! The real binary: its command line contract, and what survives `kill -9`. How things are decided is tested in the crates.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should say where"
)]

mod changing;
mod kill;
mod kit;
mod looking;
mod refusals;
mod serverless;
mod whole;
