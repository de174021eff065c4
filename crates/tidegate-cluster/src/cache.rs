//! The watch cache: for every kind one task lists and watches; what it sees is kept as digests.
//! One owner task holds all others, and ends with the cache.

mod fingerprint;
mod lines;
mod store;
mod watcher;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tidegate_applier::{
    ApplierError, ErrorKind, LiveObject, OwnedList, ReadOptions, WatchEvent, WatchStream,
};
use tidegate_manifest::{GroupKind, ResourceKey, TrackingId};
use tokio::sync::{Notify, broadcast};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::{Cluster, Inner, Shared};
use crate::content::metadata;
use crate::decode::{Annotations, Head};
use crate::discovery::Endpoint;
use crate::inventory::{is_worth_listing, list, silent};
use store::{Seen, Store, TableState};

/// Events that a slow reader of the stream may be behind; one that is further behind must list again.
pub(crate) const EVENT_BUFFER: usize = 4096;
/// Discovery is looked at again this often, for kinds that came without an event.
const RESYNC: Duration = Duration::from_secs(600);
/// Events of definitions that come together are answered by one look.
const SETTLE: Duration = Duration::from_millis(300);
/// How long the first lists may take before their kinds count as incomplete.
const SYNC_DEADLINE: Duration = Duration::from_secs(120);

/// Which kinds the cache watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheKinds {
    /// All that can hold objects of an application, those that come later too.
    All,
    /// These; others are listed when they are asked for.
    Only(Vec<GroupKind>),
}

impl CacheKinds {
    fn includes(&self, kind: &GroupKind) -> bool {
        match self {
            CacheKinds::All => true,
            CacheKinds::Only(kinds) => kinds.contains(kind),
        }
    }
}

/// How much the cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Objects kept.
    pub objects: usize,
    /// Objects that bear an application's mark.
    pub marked: usize,
    /// Kinds watched.
    pub kinds: usize,
    /// Kinds that cannot be watched now, and why.
    pub incomplete: Vec<String>,
}

/// A running cache; dropping it ends its tasks.
#[derive(Debug)]
pub(crate) struct Cache {
    watched: Arc<Watched>,
    supervisor: JoinHandle<()>,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// What the tasks of the cache share.
#[derive(Debug)]
struct Watched {
    store: Mutex<Store>,
    events: broadcast::Sender<WatchEvent>,
    /// A table changed its state.
    synced: Notify,
    /// A definition changed: other kinds may be served.
    kinds_changed: Notify,
    kinds: CacheKinds,
}

impl Watched {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, events: impl IntoIterator<Item = WatchEvent>) {
        for event in events {
            // Nobody listening is no failure.
            let _ = self.events.send(event);
        }
    }
}

impl Cluster {
    /// Starts the watch cache, unless it runs. Returns once its kinds are known; their first lists
    /// go on in the background, and questions wait for them.
    ///
    /// # Errors
    /// When the cluster's kinds cannot be discovered.
    pub async fn start_cache(&self, kinds: CacheKinds) -> Result<(), ApplierError> {
        self.inner.start_cache(kinds).await
    }

    /// Ends the watch cache and all its tasks.
    pub async fn stop_cache(&self) {
        let stopped = self.inner.cache.lock().await.take();
        if let Some(mut cache) = stopped {
            cache.supervisor.abort();
            let _ = (&mut cache.supervisor).await;
        }
    }

    /// How much the cache holds; None when it does not run.
    pub async fn cache_stats(&self) -> Option<CacheStats> {
        let cache = self.inner.cache.lock().await;
        let watched = Arc::clone(&cache.as_ref()?.watched);
        let store = watched.store();
        let (objects, marked) = store.counts();
        Some(CacheStats {
            objects,
            marked,
            kinds: store.states().count(),
            incomplete: incomplete(&store),
        })
    }

    /// Waits until the first lists of the cache are done, at most until `deadline`; whether they are.
    pub async fn cache_synced(&self, deadline: Instant) -> bool {
        match self.inner.watched().await {
            Some(watched) => wait_synced(&watched, deadline).await,
            None => false,
        }
    }
}

impl Inner {
    async fn watched(&self) -> Option<Arc<Watched>> {
        let cache = self.cache.lock().await;
        cache.as_ref().map(|cache| Arc::clone(&cache.watched))
    }

    pub(crate) async fn start_cache(&self, kinds: CacheKinds) -> Result<(), ApplierError> {
        let mut cache = self.cache.lock().await;
        if cache.is_some() {
            return Ok(());
        }
        let (events, _) = broadcast::channel(EVENT_BUFFER);
        let watched = Arc::new(Watched {
            store: Mutex::new(Store::new(self.target.clone())),
            events,
            synced: Notify::new(),
            kinds_changed: Notify::new(),
            kinds,
        });
        let wanted = wanted_kinds(&self.shared, &watched.kinds).await?;
        {
            let mut store = watched.store();
            for endpoint in &wanted {
                store.add_kind(&endpoint.kind);
            }
        }
        let supervisor = tokio::spawn(supervise(
            Arc::clone(&self.shared),
            Arc::clone(&watched),
            wanted,
        ));
        *cache = Some(Cache {
            watched,
            supervisor,
        });
        Ok(())
    }

    /// Events from now on; starts the cache when it does not run.
    pub(crate) async fn watch(&self) -> Result<WatchStream, ApplierError> {
        self.start_cache(CacheKinds::All).await?;
        let Some(watched) = self.watched().await else {
            return Err(ApplierError::new(
                ErrorKind::Unavailable,
                "the cache was stopped",
            ));
        };
        let receiver = watched.events.subscribe();
        Ok(stream::unfold(Some(receiver), next_event).boxed())
    }

    /// What the cache can say of an object; None: ask the cluster. `Some(None)`: it is not there.
    pub(crate) async fn cached(
        &self,
        key: &ResourceKey,
        options: ReadOptions,
    ) -> Option<Option<LiveObject>> {
        let watched = self.watched().await?;
        let store = watched.store();
        if !store.contains(key)? {
            return Some(None);
        }
        if !options.metadata_only {
            return None;
        }
        let facts = store.facts(key)?;
        let mut body = serde_json::json!({
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "uid": facts.uid,
                "resourceVersion": facts.version,
                "annotations": facts.annotations,
            },
        });
        if !key.namespace.is_empty() {
            body["metadata"]["namespace"] = key.namespace.as_str().into();
        }
        // The time itself is not kept; an object that is going is asked for.
        (!facts.is_deleting).then(|| {
            Some(LiveObject {
                key: key.clone(),
                body,
                version: facts.version,
                uid: facts.uid,
                health: facts.health,
            })
        })
    }

    /// The application's objects as the cache knows them; None when it does not run.
    pub(crate) async fn cached_owned(
        &self,
        application: &str,
    ) -> Result<Option<OwnedList>, ApplierError> {
        let Some(watched) = self.watched().await else {
            return Ok(None);
        };
        wait_synced(&watched, Instant::now() + SYNC_DEADLINE).await;
        let catalog = self.discovery().catalog(self.transport()).await?;
        let (mut owned, tables) = {
            let store = watched.store();
            let list = OwnedList {
                items: store.owned(application),
                incomplete: incomplete(&store),
            };
            let tables: HashMap<GroupKind, TableState> = store
                .states()
                .map(|(kind, state)| (kind.clone(), state.clone()))
                .collect();
            (list, tables)
        };
        let is_left = |endpoint: &Endpoint| {
            is_worth_listing(endpoint)
                && !tables.contains_key(&endpoint.kind)
                && self
                    .config
                    .inventory_kinds
                    .as_ref()
                    .is_none_or(|kinds| kinds.contains(&endpoint.kind))
        };
        let rest = if catalog.all().iter().any(is_left) {
            list(&self.shared, &self.target, &catalog, is_left)
                .await
                .of(application)
        } else {
            OwnedList {
                incomplete: silent(&catalog),
                ..OwnedList::default()
            }
        };
        owned.items.extend(rest.items);
        owned.items.sort_by(|a, b| a.key.cmp(&b.key));
        owned.incomplete.extend(rest.incomplete);
        owned.incomplete.sort();
        owned.incomplete.dedup();
        Ok(Some(owned))
    }

    /// Tells the cache of a write's answer, so that it never lags behind our own deeds.
    pub(crate) async fn observe(&self, key: &ResourceKey, body: &Value) {
        let Some(watched) = self.watched().await else {
            return;
        };
        let seen = seen(&self.shared, body);
        let event = watched.store().upsert(&key.group_kind(), seen);
        watched.tell(event);
    }

    /// Tells the cache that an object is gone.
    pub(crate) async fn forget(&self, key: &ResourceKey) {
        let Some(watched) = self.watched().await else {
            return;
        };
        let event = watched
            .store()
            .remove(&key.group_kind(), &key.namespace, &key.name, None);
        watched.tell(event);
    }
}

async fn next_event(
    receiver: Option<broadcast::Receiver<WatchEvent>>,
) -> Option<(
    Result<WatchEvent, ApplierError>,
    Option<broadcast::Receiver<WatchEvent>>,
)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Ok(event) => Some((Ok(event), Some(receiver))),
        Err(broadcast::error::RecvError::Closed) => None,
        Err(broadcast::error::RecvError::Lagged(missed)) => {
            let error = ApplierError::new(
                ErrorKind::Unavailable,
                format!("{missed} events were missed: list again and watch again"),
            );
            Some((Err(error), None))
        }
    }
}

fn incomplete(store: &Store) -> Vec<String> {
    store
        .states()
        .filter_map(|(kind, state)| match state {
            TableState::Synced => None,
            TableState::Syncing => Some(format!("{kind}: the first list is not done yet")),
            TableState::Incomplete(words) => Some(format!("{kind}: {words}")),
        })
        .collect()
}

async fn wait_synced(watched: &Watched, deadline: Instant) -> bool {
    loop {
        let changed = watched.synced.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let waiting = watched
            .store()
            .states()
            .any(|(_, state)| *state == TableState::Syncing);
        if !waiting {
            return true;
        }
        if timeout_at(deadline, changed).await.is_err() {
            return false;
        }
    }
}

/// The kinds that can be watched and are wanted.
async fn wanted_kinds(shared: &Shared, kinds: &CacheKinds) -> Result<Vec<Endpoint>, ApplierError> {
    let catalog = shared.discovery.catalog(&shared.transport).await?;
    Ok(catalog
        .all()
        .into_iter()
        .filter(|endpoint| {
            is_worth_listing(endpoint) && endpoint.can_watch && kinds.includes(&endpoint.kind)
        })
        .collect())
}

/// Whether the objects of a kind's first list are news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// The kind was there when the cache began: whoever asks, lists.
    Quiet,
    /// The kind came later.
    Told,
}

/// Holds one task for each kind, and follows what the cluster serves.
async fn supervise(shared: Arc<Shared>, watched: Arc<Watched>, mut wanted: Vec<Endpoint>) {
    let mut tasks: JoinSet<GroupKind> = JoinSet::new();
    let mut running: HashMap<GroupKind, (Endpoint, AbortHandle)> = HashMap::new();
    let mut first = First::Quiet;
    loop {
        adjust(&shared, &watched, &wanted, first, &mut tasks, &mut running);
        first = First::Told;
        let reason = tokio::select! {
            () = watched.kinds_changed.notified() => {
                sleep(SETTLE).await;
                true
            }
            () = sleep(RESYNC) => true,
            Some(ended) = tasks.join_next() => {
                if let Ok(kind) = ended {
                    running.remove(&kind);
                } else {
                    running.retain(|_, (_, task)| !task.is_finished());
                }
                sleep(SETTLE).await;
                true
            }
        };
        if reason
            && shared
                .discovery
                .look_again(&shared.transport)
                .await
                .is_err()
        {
            continue;
        }
        match wanted_kinds(&shared, &watched.kinds).await {
            Ok(now) => wanted = now,
            Err(error) => tracing::warn!("the cache keeps its kinds: {error}"),
        }
    }
}

/// Starts and ends tasks so that they are those of the wanted kinds.
fn adjust(
    shared: &Arc<Shared>,
    watched: &Arc<Watched>,
    wanted: &[Endpoint],
    first: First,
    tasks: &mut JoinSet<GroupKind>,
    running: &mut HashMap<GroupKind, (Endpoint, AbortHandle)>,
) {
    let gone: Vec<GroupKind> = running
        .iter()
        .filter(|(kind, (endpoint, _))| {
            let now = wanted.iter().find(|wanted| wanted.kind == **kind);
            now.is_none_or(|now| now.collection() != endpoint.collection())
        })
        .map(|(kind, _)| kind.clone())
        .collect();
    for kind in gone {
        if let Some((_, task)) = running.remove(&kind) {
            task.abort();
        }
    }
    let left: Vec<GroupKind> = {
        let store = watched.store();
        let known = store.states().map(|(kind, _)| kind.clone());
        known
            .filter(|kind| !wanted.iter().any(|w| w.kind == *kind))
            .collect()
    };
    for kind in left {
        let events = watched.store().remove_kind(&kind);
        watched.tell(events);
        watched.synced.notify_waiters();
    }
    for endpoint in wanted {
        if running.contains_key(&endpoint.kind) {
            continue;
        }
        watched.store().add_kind(&endpoint.kind);
        let task = watcher::run(
            Arc::clone(shared),
            Arc::clone(watched),
            endpoint.clone(),
            first,
        );
        let kind = endpoint.kind.clone();
        let handle = tasks.spawn(async move {
            task.await;
            kind
        });
        running.insert(endpoint.kind.clone(), (endpoint.clone(), handle));
    }
}

/// An object from its whole body.
fn seen(shared: &Shared, body: &Value) -> Seen {
    let text = serde_json::json!({"metadata": body["metadata"]}).to_string();
    let annotations = serde_json::from_str::<Head<'_>>(&text)
        .map(|head| head.metadata.annotations)
        .unwrap_or_default();
    let owners = body["metadata"]["ownerReferences"].as_array();
    full(shared, body, annotations, owners.is_none_or(Vec::is_empty))
}

fn full(shared: &Shared, body: &Value, annotations: Annotations, is_root: bool) -> Seen {
    let mark = TrackingId::of(body);
    let (health, digest) = match mark {
        Some(_) => (shared.assess.of(body), fingerprint::fingerprint(body)),
        None => (None, 0),
    };
    Seen {
        namespace: metadata(body, "namespace").to_owned(),
        name: metadata(body, "name").to_owned(),
        uid: metadata(body, "uid").to_owned(),
        version: metadata(body, "resourceVersion").to_owned(),
        is_root,
        is_deleting: !metadata(body, "deletionTimestamp").is_empty(),
        mark,
        annotations,
        health,
        digest,
    }
}
