//! The Kafka applier: topics, ACLs, SCRAM users and quotas from Strimzi's own documents, straight to
//! the brokers, for a destination that has no Strimzi.
//!
//! Must not know: the engine, Kubernetes clients. The wire is spoken here, in `kafka-protocol`'s
//! messages, because no safe client has all the requests that are needed.

mod connection;
mod error;
mod sasl;
mod scram;
mod security;
#[cfg(feature = "tls")]
mod tls;

pub use error::KafkaError;
pub use security::Security;
