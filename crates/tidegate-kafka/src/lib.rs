//! The Kafka applier: topics, ACLs, SCRAM users and quotas from Strimzi's own documents, straight to
//! the brokers, for a destination that has no Strimzi.
//!
//! Must not know: the engine, Kubernetes clients. The wire is spoken here, in `kafka-protocol`'s
//! messages, because no safe client has all the requests that are needed.

mod acl;
mod admin;
mod adminusers;
mod applier;
mod check;
mod client;
mod connection;
mod document;
mod error;
mod ledger;
mod registry;
mod sasl;
mod scram;
mod secrets;
mod security;
mod shape;
mod subject;
mod subjects;
#[cfg(feature = "tls")]
mod tls;
mod topic;
mod topics;
mod user;
mod users;

pub use applier::{KafkaApplier, KafkaApplierOptions};
pub use check::{Rendered, check, check_all};
pub use client::Client;
pub use document::DELETE_DATA;
pub use error::KafkaError;
pub use ledger::{DirectoryLedger, Ledger, MemoryLedger, PasswordMark, Record, Records};
pub use registry::SchemaRegistry;
pub use secrets::{ClusterSecrets, DirectorySecrets, NoSecrets, SecretSource};
pub use security::Security;
