//! Bridges in this process, from the sandbox's broker to functions that run in the sandbox.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod applier;
mod doors;
mod kinesis;
mod lambda;
mod place;
mod sink;
#[cfg(feature = "kafka-tls")]
mod tls;
