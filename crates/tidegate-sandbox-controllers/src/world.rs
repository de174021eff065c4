//! What a reaction may look at besides its own object, and the cache that answers. No writing, no time.

use crate::broker::Broker;
use crate::value::{at, controller, name, namespace, text, uid};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidegate_sandbox_kubernetes::ResourceName;

/// The name of one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// Group and plural.
    pub resource: ResourceName,
    /// Empty for cluster-wide objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of an object of a resource.
    pub fn of(resource: &ResourceName, object: &Value) -> Self {
        Self {
            resource: resource.clone(),
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
        }
    }
}

/// Something a reaction looked at: a change there is a reason to react again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Interest {
    /// One object, present or not.
    Object(Key),
    /// The objects of a resource that an owner controls.
    Owned(ResourceName, String),
    /// The objects of a resource in a namespace with a label.
    Labelled(ResourceName, String, String, String),
    /// The objects of a resource, in one namespace or (empty) in all.
    All(ResourceName, String),
}

impl Interest {
    /// Every interest that a change of an object touches.
    pub(crate) fn touched(resource: &ResourceName, object: &Value) -> Vec<Self> {
        let space = namespace(object);
        let mut touched = vec![
            Self::Object(Key::of(resource, object)),
            Self::All(resource.clone(), String::new()),
        ];
        if !space.is_empty() {
            touched.push(Self::All(resource.clone(), space.to_owned()));
        }
        if let Some(owner) = controller(object) {
            touched.push(Self::Owned(resource.clone(), text(owner, "uid").to_owned()));
        }
        let labels = at(object, "metadata.labels")
            .as_object()
            .into_iter()
            .flatten();
        touched.extend(labels.filter_map(|(key, value)| {
            let (key, value) = (key.clone(), value.as_str()?.to_owned());
            Some(Self::Labelled(
                resource.clone(),
                space.to_owned(),
                key,
                value,
            ))
        }));
        touched
    }
}

/// The objects around the one that reacts.
pub trait World {
    /// One object.
    fn get(&self, resource: &ResourceName, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// The objects that the owner with this uid controls, by name.
    fn owned(&self, resource: &ResourceName, uid: &str) -> Vec<Arc<Value>>;
    /// The objects of a namespace with a label, by name.
    fn labelled(
        &self,
        resource: &ResourceName,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Vec<Arc<Value>>;
    /// All objects of a resource, in one namespace or (empty) in all, by namespace and name.
    fn list(&self, resource: &ResourceName, namespace: &str) -> Vec<Arc<Value>>;
    /// Whether the server knows the resource.
    fn serves(&self, resource: &ResourceName) -> bool;
    /// The broker that stands for the Kafka clusters; without one they are words only.
    fn broker(&self) -> Option<&dyn Broker> {
        None
    }
}

type LabelKey = (ResourceName, String, String, String);

/// All objects of a server, with the indexes that reactions need.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    objects: BTreeMap<Key, Arc<Value>>,
    owned: BTreeMap<(ResourceName, String), BTreeSet<Key>>,
    labelled: BTreeMap<LabelKey, BTreeSet<Key>>,
    served: BTreeSet<ResourceName>,
    broker: Option<Arc<dyn Broker>>,
}

impl Cache {
    /// An empty cache with the broker that stands for the Kafka clusters.
    pub fn with_broker(broker: Option<Arc<dyn Broker>>) -> Self {
        Self {
            broker,
            ..Self::default()
        }
    }

    /// Says which resources are served besides the built-in ones.
    pub fn serve(&mut self, resources: impl IntoIterator<Item = ResourceName>) {
        self.served = resources.into_iter().collect();
    }

    /// Puts an object in or replaces it.
    pub fn put(&mut self, resource: &ResourceName, object: Arc<Value>) {
        let key = Key::of(resource, &object);
        self.remove(&key);
        for interest in Interest::touched(resource, &object) {
            match interest {
                Interest::Owned(resource, uid) => {
                    self.owned
                        .entry((resource, uid))
                        .or_default()
                        .insert(key.clone());
                }
                Interest::Labelled(resource, space, label, value) => {
                    self.labelled
                        .entry((resource, space, label, value))
                        .or_default()
                        .insert(key.clone());
                }
                Interest::Object(_) | Interest::All(..) => {}
            }
        }
        self.objects.insert(key, object);
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let old = self.objects.remove(key)?;
        for interest in Interest::touched(&key.resource, &old) {
            match interest {
                Interest::Owned(resource, uid) => unindex(&mut self.owned, &(resource, uid), key),
                Interest::Labelled(resource, space, label, value) => {
                    unindex(&mut self.labelled, &(resource, space, label, value), key);
                }
                Interest::Object(_) | Interest::All(..) => {}
            }
        }
        Some(old)
    }

    /// The object under a key.
    pub fn find(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    /// Whether any object has this uid.
    pub fn has_uid(
        &self,
        resource: &ResourceName,
        namespace: &str,
        name: &str,
        wanted: &str,
    ) -> bool {
        self.get(resource, namespace, name)
            .is_some_and(|object| uid(&object) == wanted)
    }

    fn named<'a>(&'a self, keys: Option<&'a BTreeSet<Key>>) -> Vec<Arc<Value>> {
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.objects.get(key).cloned())
            .collect()
    }
}

fn unindex<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Key>>, at: &K, key: &Key) {
    if let Some(keys) = index.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(at);
        }
    }
}

impl World for Cache {
    fn get(&self, resource: &ResourceName, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.objects
            .get(&Key {
                resource: resource.clone(),
                namespace,
                name,
            })
            .cloned()
    }

    fn owned(&self, resource: &ResourceName, uid: &str) -> Vec<Arc<Value>> {
        self.named(self.owned.get(&(resource.clone(), uid.to_owned())))
    }

    fn labelled(
        &self,
        resource: &ResourceName,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Vec<Arc<Value>> {
        let at = (
            resource.clone(),
            namespace.to_owned(),
            key.to_owned(),
            value.to_owned(),
        );
        self.named(self.labelled.get(&at))
    }

    fn list(&self, resource: &ResourceName, namespace: &str) -> Vec<Arc<Value>> {
        let from = Key {
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        self.objects
            .range(from..)
            .take_while(|(key, _)| {
                key.resource == *resource && (namespace.is_empty() || key.namespace == namespace)
            })
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn serves(&self, resource: &ResourceName) -> bool {
        self.served.contains(resource)
    }

    fn broker(&self) -> Option<&dyn Broker> {
        self.broker.as_deref()
    }
}
