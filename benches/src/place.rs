//! Where benchmarks with an API server take place: the sandbox of this process, or the cluster of
//! `TIDEGATE_TEST_KUBECONFIG`, a throwaway one.

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_cluster::{Cluster, ClusterConfig};
use tidegate_engine::{
    Control, Desired, Destination, Engine, EngineContext, EngineOptions, SyncRequest,
};
use tidegate_manifest::{OperationPhase, Target};
use tidegate_sandbox_kubernetes::{Options, Server};
use tidegate_store::MemoryStore;

/// An API server, the applier of it, an engine.
#[derive(Debug)]
pub struct Place {
    /// The sandbox, unless the place is a real cluster.
    pub server: Option<Server>,
    /// The engine.
    pub engine: Engine,
    /// The applier.
    pub destination: Destination,
}

/// The kubeconfig of a real cluster, when one was named.
pub fn real() -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_TEST_KUBECONFIG").map(PathBuf::from)
}

impl Place {
    /// A fresh sandbox without controllers, or the real cluster.
    ///
    /// # Panics
    /// When it cannot be had: there is nothing to measure then.
    pub async fn start(real: Option<PathBuf>) -> Self {
        let (server, config) = match real {
            Some(file) => (None, ClusterConfig::kubeconfig(file)),
            None => {
                let server = Server::start(Options::default())
                    .await
                    .expect("loopback has a free port");
                let config = ClusterConfig::token(server.url(), server.token());
                (Some(server), config)
            }
        };
        let target = Target::kubernetes("bench");
        let cluster = Cluster::connect(config, target.clone())
            .await
            .expect("the settings are usable");
        Self {
            server,
            engine: engine(),
            destination: Destination::new().with(target, Arc::new(cluster)),
        }
    }

    /// Syncs to the end.
    ///
    /// # Panics
    /// When the sync does not succeed.
    pub async fn sync(&self, desired: &Desired) {
        sync(&self.engine, &self.destination, desired).await;
    }
}

/// An engine that remembers in memory and tells nobody.
pub fn engine() -> Engine {
    Engine::new(
        EngineContext::new(Arc::new(MemoryStore::new())),
        EngineOptions::default(),
    )
}

/// Syncs to the end.
///
/// # Panics
/// When the sync does not succeed.
pub async fn sync(engine: &Engine, destination: &Destination, desired: &Desired) {
    let request = SyncRequest::manual(&desired.application, "bench");
    let done = engine
        .sync(destination, desired, request, None, &Control::none())
        .await;
    let done = done.expect("the operation runs");
    assert_eq!(done.phase, OperationPhase::Succeeded, "{}", done.message);
}
