//! The applier against brokers: the sandbox's always, Apache Kafka where TIDEGATE_TEST_KAFKA says so.
//!
//! One program, so that it links once.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[cfg(feature = "tls")]
mod apache;
mod conformance;
mod registry;
#[cfg(feature = "tls")]
mod secure;
mod stage;
mod topics;
mod users;
