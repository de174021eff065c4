//! One cluster: its connection, what is known of it, and the pieces that all operations share.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tidegate_applier::{ApplierError, Capabilities, Description};
use tidegate_manifest::{ResourceKey, Target};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::config::ClusterConfig;
use crate::discovery::Discovery;
use crate::failure::Failure;
use crate::health::Assess;
use crate::inventory::Inventory;
use crate::limiter;
use crate::memo::Memo;
use crate::transport::{Call, Transport};
use crate::types::Types;

/// Lists under way at one time to one cluster.
pub(crate) const LISTS: usize = 4;

/// The applier of one Kubernetes cluster.
///
/// Cheap to clone; clones share connection, discovery and cache. What it knows of the cluster is
/// fetched when it is first needed: [`Cluster::connect`] only reads settings.
///
/// ```no_run
/// use tidegate_applier::Applier;
/// use tidegate_cluster::{Cluster, ClusterConfig};
/// use tidegate_manifest::Target;
///
/// # async fn example() -> Result<(), tidegate_applier::ApplierError> {
/// let config = ClusterConfig::kubeconfig("dev/kubeconfig").context("dev");
/// let cluster = Cluster::connect(config, Target::kubernetes("dev")).await?;
/// println!("{}", cluster.describe().await?.target_label);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) target: Target,
    pub(crate) url: String,
    pub(crate) config: ClusterConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inventory: Inventory,
    pub(crate) cache: tokio::sync::Mutex<Option<Cache>>,
    /// Objects that an operation deleted and created, so that the same operation does not do it again.
    recreated: Mutex<HashMap<(String, ResourceKey), String>>,
    pub(crate) memo: Memo,
    pub(crate) types: Types,
}

/// What the tasks of the watch cache use too; it must not hold the cache.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) transport: Transport,
    pub(crate) discovery: Discovery,
    pub(crate) assess: Assess,
    pub(crate) lists: Semaphore,
}

/// How long the first question to a cluster may take: a person waits for it.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(10);
/// Recreations that are remembered.
const MAX_RECREATED: usize = 4096;

impl Cluster {
    /// Reads the settings and sets up the connection; sends nothing yet.
    ///
    /// # Errors
    /// Settings that cannot be read or used.
    pub async fn connect(config: ClusterConfig, target: Target) -> Result<Self, ApplierError> {
        let (transport, url) = Transport::connect(&config).await?;
        Ok(Self::new(transport, url, config, target))
    }

    /// The same with a client of the caller's own; `config` gives only the limits.
    pub fn with_client(client: kube::Client, config: ClusterConfig, target: Target) -> Self {
        let transport = Transport::with_client(client, &config);
        Self::new(transport, "the given client".to_owned(), config, target)
    }

    fn new(transport: Transport, url: String, config: ClusterConfig, target: Target) -> Self {
        let shared = Shared {
            transport,
            discovery: Discovery::default(),
            assess: Assess::new(config.compatible_health),
            lists: Semaphore::new(LISTS),
        };
        Self {
            inner: Arc::new(Inner {
                target,
                url,
                config,
                shared: Arc::new(shared),
                inventory: Inventory::default(),
                cache: tokio::sync::Mutex::new(None),
                recreated: Mutex::new(HashMap::new()),
                memo: Memo::default(),
                types: Types::default(),
            }),
        }
    }

    /// The target this cluster serves.
    pub fn target(&self) -> &Target {
        &self.inner.target
    }
}

impl Inner {
    pub(crate) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    pub(crate) fn discovery(&self) -> &Discovery {
        &self.shared.discovery
    }

    /// The deadline of an item that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.config.deadline
    }

    /// A live object; None when it (or its namespace) is not there.
    pub(crate) async fn get(
        &self,
        path: &str,
        deadline: Instant,
    ) -> Result<Option<Value>, Failure> {
        match self.transport().call(&Call::get(path), deadline).await {
            Ok(reply) => Ok(Some(reply.json()?)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(Failure::Refused(refusal)) if refusal.is_namespace_missing() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn describe(&self) -> Result<Description, ApplierError> {
        let reply = self
            .transport()
            .call(
                &Call::get("/version"),
                self.deadline().min(Instant::now() + DESCRIBE_DEADLINE),
            )
            .await?;
        let version: Value = reply.json().map_err(Failure::into_error)?;
        let git = version.get("gitVersion").and_then(Value::as_str);
        Ok(Description {
            name: "kubernetes".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: self.target.clone(),
            target_label: format!(
                "{} (Kubernetes {})",
                self.url.trim_end_matches('/'),
                git.unwrap_or("of unknown version")
            ),
            capabilities: Capabilities {
                exact_preview: true,
                watch: true,
            },
        })
    }

    /// Whether this operation already created this very object anew.
    pub(crate) fn was_recreated(&self, operation: &str, key: &ResourceKey, uid: &str) -> bool {
        let recreated = self
            .recreated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !operation.is_empty()
            && recreated
                .get(&(operation.to_owned(), key.clone()))
                .is_some_and(|known| known == uid)
    }

    pub(crate) fn note_recreated(&self, operation: &str, key: &ResourceKey, uid: &str) {
        if operation.is_empty() {
            return;
        }
        let mut recreated = self
            .recreated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if recreated.len() >= MAX_RECREATED {
            recreated.clear();
        }
        recreated.insert((operation.to_owned(), key.clone()), uid.to_owned());
    }
}

/// Does something to each item, several at one time; answers in the order of the items.
pub(crate) async fn batch<T, R, F>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R>,
{
    let mut answers: Vec<(usize, R)> = stream::iter(items.into_iter().enumerate())
        .map(|(i, item)| {
            let answer = work(item);
            async move { (i, answer.await) }
        })
        .buffer_unordered(limiter::MAX as usize)
        .collect()
        .await;
    answers.sort_by_key(|(i, _)| *i);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
