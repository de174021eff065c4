//! The heart that HTTP, the in-process door and the lifecycle task share: store, registry, clock, faults.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::crd;
use crate::faults::Faults;
use crate::lock::RwLock;
use crate::registry::Registry;
use crate::resource::{Resource, ResourceName};
use crate::store::Store;
use crate::write::{Part, Target};

pub(crate) const NAMESPACES: ResourceName = ResourceName::new("", "namespaces");
pub(crate) const CRDS: ResourceName =
    ResourceName::new("apiextensions.k8s.io", "customresourcedefinitions");

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    registry: RwLock<Arc<Registry>>,
}

impl Core {
    /// An empty cluster: the built-in kinds and the standard namespaces.
    pub(crate) fn start(clock: Clock) -> Arc<Self> {
        let core = Arc::new(Self {
            store: Store::new(),
            clock,
            faults: Faults::default(),
            registry: RwLock::new(Arc::new(Registry::new(Vec::new()))),
        });
        crate::bootstrap::populate(&core);
        core
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.registry.read().clone()
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Whether the namespace exists, and whether it is going away.
    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<Value>> {
        self.store
            .get(&NAMESPACES, name)
            .map(|stored| stored.object)
    }

    /// The main part of an object at the storage version, for writes of the server's own.
    pub(crate) fn target(
        &self,
        name: &ResourceName,
        namespace: &str,
        object: &str,
    ) -> Option<Target> {
        let resource = self.registry().get(name)?;
        Some(Target {
            version: resource.storage().name.clone(),
            namespace: namespace.to_owned(),
            name: object.to_owned(),
            part: Part::Main,
            resource,
        })
    }

    /// Reads the definitions again and serves what they say.
    pub(crate) fn refresh_definitions(&self) {
        // The write lock spans reading the table, so a slower refresh cannot overwrite a newer one.
        let mut registry = self.registry.write();
        let (_, table) = self.store.table(&CRDS);
        let custom: Vec<Resource> = table
            .values()
            .filter_map(|stored| crd::resource(&stored.object))
            .collect();
        *registry = Arc::new(Registry::new(custom));
    }
}

/// `{"apiVersion": …, "kind": …}` for a new object.
pub(crate) fn typed(api_version: &str, kind: &str, metadata: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
}
