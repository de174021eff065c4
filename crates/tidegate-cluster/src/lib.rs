//! The Kubernetes applier: server-side apply, discovery, watch cache, many clusters.
//!
//! [`Cluster`] implements [`tidegate_applier::Applier`] for one cluster; [`ClusterConfig`] says how it is
//! reached; [`Clusters`] holds many. It must not know the engine.

mod applier;
mod apply;
mod breaker;
mod cache;
mod cluster;
mod clusters;
mod config;
mod content;
mod decode;
mod delete;
mod discovery;
mod failure;
mod health;
mod inventory;
mod limiter;
mod memo;
mod migrate;
mod read;
mod recreate;
mod retry;
mod transport;
mod types;

pub use cache::{CacheKinds, CacheStats};
pub use cluster::Cluster;
pub use clusters::Clusters;
pub use config::{ClusterConfig, Server};
pub use retry::RetryPolicy;
