//! The garbage collector: background, foreground and orphan deletion, as the real controller decides them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::graph::{Graph, Node, Owner};
use super::{edit, namespace};
use crate::core::{CRDS, Core, NAMESPACES};
use crate::delete::{self, FOREGROUND, ORPHAN};
use crate::object;
use crate::objects::{DeleteOptions, Propagation};
use crate::store::{Change, ChangeKind, Events, key};
use crate::write::Part;

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Are this object's owners still there?
    Owners(Arc<str>),
    /// An owner that goes after its dependents.
    Foreground(Arc<str>),
    /// An owner whose dependents stay.
    Orphan(Arc<str>),
    Namespace(String),
    Definition(String),
}

/// The state of the task: how far it has read, what it knows, what is to do.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    seen: u64,
    graph: Graph,
    queue: VecDeque<Work>,
    queued: BTreeSet<Work>,
    /// Namespaces and definitions that wait for their content to go.
    namespaces: BTreeSet<String>,
    definitions: BTreeSet<String>,
}

impl Collector {
    /// Reads new events and does up to `slice` pieces of work; `false` when there is nothing more to do.
    pub(crate) fn step(&mut self, core: &Core, slice: usize) -> bool {
        self.read(core);
        for _ in 0..slice {
            let Some(work) = self.queue.pop_front() else {
                return false;
            };
            self.queued.remove(&work);
            self.work(core, work);
            self.read(core);
        }
        true
    }

    fn push(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            self.queue.push_back(work);
        }
    }

    fn read(&mut self, core: &Core) {
        match core.store.all_events(self.seen) {
            Events::Known { upto, events } => {
                for change in &events {
                    self.learn(change);
                }
                self.seen = self.seen.max(upto);
            }
            Events::Expired { .. } => self.relist(core),
        }
    }

    /// Starts over from what is stored now.
    fn relist(&mut self, core: &Core) {
        self.graph.clear();
        self.seen = core.store.revision();
        for resource in core
            .registry()
            .all()
            .filter(|resource| !resource.is_alias())
        {
            let (_, table) = core.store.table(&resource.name);
            for stored in table.values() {
                self.learn(&Change {
                    revision: stored.revision,
                    kind: ChangeKind::Added,
                    resource: resource.name.clone(),
                    object: stored.object.clone(),
                    previous: None,
                });
            }
        }
    }

    fn learn(&mut self, change: &Change) {
        let uid = object::uid(&change.object);
        let waiting = object::namespace(&change.object);
        if self.namespaces.contains(waiting) {
            self.push(Work::Namespace(waiting.to_owned()));
        }
        let definition = change.resource.to_string();
        if self.definitions.contains(&definition) {
            self.push(Work::Definition(definition));
        }
        if change.kind == ChangeKind::Deleted {
            return self.forget(uid);
        }
        let node = Node::of(&change.resource, &change.object);
        let name = object::name(&change.object);
        if node.deleting && change.resource == NAMESPACES {
            self.namespaces.insert(name.to_owned());
            self.push(Work::Namespace(name.to_owned()));
        }
        if node.deleting && change.resource == CRDS {
            self.definitions.insert(name.to_owned());
            self.push(Work::Definition(name.to_owned()));
        }
        let id: Arc<str> = Arc::from(uid);
        if node.foreground {
            self.push(Work::Foreground(id.clone()));
        }
        if node.orphan {
            self.push(Work::Orphan(id.clone()));
        }
        let old = self.graph.put(uid, &node);
        // An owner that waits for this dependent may wait no longer.
        let before = old.iter().flat_map(|old| &old.owners);
        let released: Vec<Arc<str>> = before
            .filter(|owner| !node.owners.contains(owner))
            .filter(|owner| {
                self.graph
                    .get(&owner.uid)
                    .is_some_and(|owner| owner.foreground)
            })
            .map(|owner| owner.uid.clone())
            .collect();
        for owner in released {
            self.push(Work::Foreground(owner));
        }
        if !node.owners.is_empty() && old.is_none_or(|old| old != node) {
            self.push(Work::Owners(id));
        }
    }

    fn forget(&mut self, uid: &str) {
        for dependent in self.graph.dependents(uid) {
            self.push(Work::Owners(dependent));
        }
        let Some(node) = self.graph.remove(uid) else {
            return;
        };
        if node.resource == NAMESPACES {
            self.namespaces.remove(&node.name);
        }
        if node.resource == CRDS {
            self.definitions.remove(&node.name);
        }
        for owner in &node.owners {
            if self
                .graph
                .get(&owner.uid)
                .is_some_and(|owner| owner.foreground)
            {
                self.push(Work::Foreground(owner.uid.clone()));
            }
        }
    }

    fn work(&mut self, core: &Core, work: Work) {
        let done = match work {
            Work::Owners(uid) => self.check_owners(core, &uid),
            Work::Foreground(uid) => self.foreground(core, &uid),
            Work::Orphan(uid) => self.orphan(core, &uid),
            Work::Namespace(name) => namespace::finalize(core, &name),
            Work::Definition(name) => namespace::clean_definition(core, &name),
        };
        if let Err(status) = done {
            // The next event on the object tries again.
            tracing::debug!(%status, "a dependent could not be collected");
        }
    }

    /// The object as it is now, if it is still the one the graph knows.
    fn live(&self, core: &Core, uid: &str) -> Option<(Node, Arc<Value>)> {
        let node = self.graph.get(uid)?;
        let stored = core
            .store
            .get(&node.resource, &key(&node.namespace, &node.name))?;
        let same = object::uid(&stored.object) == uid;
        same.then(|| (Node::of(&node.resource, &stored.object), stored.object))
    }

    fn check_owners(&self, core: &Core, uid: &str) -> Result<(), crate::Status> {
        let Some((node, _)) = self.live(core, uid) else {
            return Ok(());
        };
        if (node.deleting && !node.foreground) || node.owners.is_empty() {
            return Ok(());
        }
        let (mut solid, mut waiting, mut dangling) = (0, Vec::new(), Vec::new());
        for owner in &node.owners {
            match state(core, &node, owner) {
                State::Unknown => return Ok(()),
                State::Solid => solid += 1,
                State::Waiting => waiting.push(owner.uid.clone()),
                State::Absent => dangling.push(owner.uid.clone()),
            }
        }
        let id = (node.namespace.as_str(), node.name.as_str(), uid);
        if solid > 0 {
            dangling.extend(waiting);
            if dangling.is_empty() {
                return Ok(());
            }
            return edit(core, &node.resource, id, Part::Main, &|object| {
                drop_owners(object, &dangling);
            });
        }
        let dependents = self.graph.dependents(uid);
        let policy = if !waiting.is_empty() && !dependents.is_empty() {
            let circle = dependents.iter().any(|dependent| {
                self.graph
                    .get(dependent)
                    .is_some_and(|node| node.foreground)
            });
            if circle {
                edit(core, &node.resource, id, Part::Main, &unblock)?;
            }
            Propagation::Foreground
        } else if node.foreground {
            Propagation::Foreground
        } else if node.orphan {
            Propagation::Orphan
        } else {
            Propagation::Background
        };
        remove(core, &node, uid, policy)
    }

    fn foreground(&mut self, core: &Core, uid: &str) -> Result<(), crate::Status> {
        let Some((node, _)) = self.live(core, uid) else {
            return Ok(());
        };
        if !node.foreground {
            return Ok(());
        }
        let dependents = self.graph.dependents(uid);
        let blocked = dependents.iter().any(|dependent| {
            let owners = self.graph.get(dependent).map(|node| node.owners.as_slice());
            owners
                .into_iter()
                .flatten()
                .any(|owner| &*owner.uid == uid && owner.blocks)
        });
        if !blocked {
            let id = (node.namespace.as_str(), node.name.as_str(), uid);
            return edit(core, &node.resource, id, Part::Main, &|object| {
                drop_finalizer(object, FOREGROUND);
            });
        }
        for dependent in dependents {
            self.push(Work::Owners(dependent));
        }
        Ok(())
    }

    fn orphan(&self, core: &Core, uid: &str) -> Result<(), crate::Status> {
        let Some((node, _)) = self.live(core, uid) else {
            return Ok(());
        };
        if !node.orphan {
            return Ok(());
        }
        for dependent in self.graph.dependents(uid) {
            let Some(below) = self.graph.get(&dependent) else {
                continue;
            };
            let id = (below.namespace.as_str(), below.name.as_str(), &*dependent);
            edit(core, &below.resource, id, Part::Main, &|object| {
                drop_owners(object, &[Arc::from(uid)]);
            })?;
        }
        let id = (node.namespace.as_str(), node.name.as_str(), uid);
        edit(core, &node.resource, id, Part::Main, &|object| {
            drop_finalizer(object, ORPHAN);
        })
    }
}

enum State {
    Solid,
    /// It goes too, after its dependents.
    Waiting,
    Absent,
    /// Its kind is not served: nothing is decided.
    Unknown,
}

fn state(core: &Core, node: &Node, owner: &Owner) -> State {
    let group = owner
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let registry = core.registry();
    let Some(resource) = registry.by_kind(group, &owner.kind) else {
        return State::Unknown;
    };
    if resource.namespaced && node.namespace.is_empty() {
        // A namespaced owner of a cluster-scoped object cannot be looked up.
        return State::Unknown;
    }
    let namespace = if resource.namespaced {
        node.namespace.as_str()
    } else {
        ""
    };
    match core.store.get(&resource.name, &key(namespace, &owner.name)) {
        Some(stored) if object::uid(&stored.object) == &*owner.uid => {
            let deleting = object::is_deleting(&stored.object);
            if deleting && object::finalizers(&stored.object).contains(&FOREGROUND) {
                State::Waiting
            } else {
                State::Solid
            }
        }
        _ => State::Absent,
    }
}

fn remove(core: &Core, node: &Node, uid: &str, policy: Propagation) -> Result<(), crate::Status> {
    let Some(target) = core.target(&node.resource, &node.namespace, &node.name) else {
        return Ok(());
    };
    let options = DeleteOptions {
        propagation: Some(policy),
        uid: Some(uid.to_owned()),
        ..DeleteOptions::default()
    };
    match delete::delete(core, &target, &options) {
        Err(status) if status.code != 404 && status.code != 409 => Err(status),
        _ => Ok(()),
    }
}

fn drop_owners(object: &mut Value, gone: &[Arc<str>]) {
    let metadata = object::metadata_mut(object);
    let Some(list) = metadata
        .get_mut("ownerReferences")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    list.retain(|owner| {
        !gone
            .iter()
            .any(|uid| &**uid == object::text(owner, &["uid"]))
    });
    if list.is_empty() {
        metadata.remove("ownerReferences");
    }
}

fn unblock(object: &mut Value) {
    let list = object
        .pointer_mut("/metadata/ownerReferences")
        .and_then(Value::as_array_mut);
    for owner in list.into_iter().flatten() {
        object::ensure(owner).insert("blockOwnerDeletion".to_owned(), json!(false));
    }
}

fn drop_finalizer(object: &mut Value, finalizer: &str) {
    let kept = object::finalizers(object)
        .into_iter()
        .filter(|name| *name != finalizer)
        .map(str::to_owned)
        .collect();
    object::set_finalizers(object, kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::objects::Objects;
    use crate::resource::ResourceName;

    const MAPS: ResourceName = ResourceName::new("", "configmaps");

    struct World {
        objects: Objects,
        collector: Collector,
    }

    impl World {
        fn new() -> Self {
            let clock = Clock::Manual(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
            Self {
                objects: Objects::in_memory(clock),
                collector: Collector::default(),
            }
        }

        fn make(&self, name: &str, owners: &[&str]) {
            let references: Vec<Value> = owners
                .iter()
                .map(|owner| {
                    let uid = self.objects.get(&MAPS, "default", owner).unwrap();
                    let uid = object::uid(&uid).to_owned();
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": true})
                })
                .collect();
            let body = json!({"metadata": {"name": name, "ownerReferences": references}});
            self.objects.create(&MAPS, "default", body, "test").unwrap();
        }

        fn delete(&self, name: &str, propagation: Propagation) {
            let options = DeleteOptions {
                propagation: Some(propagation),
                ..Default::default()
            };
            self.objects
                .delete(&MAPS, "default", name, options)
                .unwrap();
        }

        fn settle(&mut self) -> Vec<String> {
            while self.collector.step(&self.objects.core, 10) {}
            let (_, list) = self.objects.list(&MAPS, Some("default"));
            list.iter()
                .map(|object| object::name(object).to_owned())
                .collect()
        }
    }

    #[test]
    fn background_deletion_takes_the_whole_family() {
        let mut world = World::new();
        world.make("a", &[]);
        world.make("b", &["a"]);
        world.make("c", &["b"]);
        world.make("d", &["a", "c"]);
        assert_eq!(world.settle(), ["a", "b", "c", "d"]);
        world.delete("a", Propagation::Background);
        assert!(world.settle().is_empty());
    }

    #[test]
    fn a_second_owner_keeps_the_dependent() {
        let mut world = World::new();
        world.make("a", &[]);
        world.make("z", &[]);
        world.make("b", &["a", "z"]);
        world.delete("a", Propagation::Background);
        assert_eq!(world.settle(), ["b", "z"]);
        let kept = world.objects.get(&MAPS, "default", "b").unwrap();
        assert_eq!(
            kept["metadata"]["ownerReferences"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn orphans_stay() {
        let mut world = World::new();
        world.make("a", &[]);
        world.make("b", &["a"]);
        world.delete("a", Propagation::Orphan);
        assert_eq!(world.settle(), ["b"]);
        let kept = world.objects.get(&MAPS, "default", "b").unwrap();
        assert!(kept["metadata"].get("ownerReferences").is_none());
    }

    #[test]
    fn foreground_deletion_goes_bottom_up() {
        let mut world = World::new();
        world.make("a", &[]);
        world.make("b", &["a"]);
        let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
        world
            .objects
            .merge_patch(&MAPS, "default", "b", None, &hold, "test")
            .unwrap();
        world.delete("a", Propagation::Foreground);
        assert_eq!(world.settle(), ["a", "b"]);
        let release = json!({"metadata": {"finalizers": null}});
        world
            .objects
            .merge_patch(&MAPS, "default", "b", None, &release, "test")
            .unwrap();
        assert!(world.settle().is_empty());
    }

    #[test]
    fn foreground_deletion_lets_go_of_what_has_another_owner() {
        let mut world = World::new();
        world.make("a", &[]);
        world.make("b", &[]);
        world.make("c", &["a", "b"]);
        world.delete("a", Propagation::Foreground);
        assert_eq!(world.settle(), ["b", "c"]);
    }

    #[test]
    fn a_circle_of_owners_can_be_deleted() {
        let mut world = World::new();
        world.make("a", &[]);
        world.make("b", &["a"]);
        let uid = object::uid(&world.objects.get(&MAPS, "default", "b").unwrap()).to_owned();
        let back = json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": uid, "blockOwnerDeletion": true}]}});
        world
            .objects
            .merge_patch(&MAPS, "default", "a", None, &back, "test")
            .unwrap();
        world.delete("a", Propagation::Foreground);
        assert!(world.settle().is_empty());
    }

    #[test]
    fn a_namespace_takes_its_content_along() {
        let mut world = World::new();
        let body = json!({"metadata": {"name": "team"}});
        world.objects.create(&NAMESPACES, "", body, "test").unwrap();
        let held = json!({"metadata": {"name": "x", "finalizers": ["example.com/hold"]}});
        world.objects.create(&MAPS, "team", held, "test").unwrap();
        world.settle();
        world
            .objects
            .delete(&NAMESPACES, "", "team", DeleteOptions::default())
            .unwrap();
        world.settle();
        let namespace = world.objects.get(&NAMESPACES, "", "team").unwrap();
        assert_eq!(namespace["status"]["phase"], "Terminating");
        assert_eq!(
            namespace["status"]["conditions"].as_array().unwrap().len(),
            5
        );
        let refused =
            world
                .objects
                .create(&MAPS, "team", json!({"metadata": {"name": "y"}}), "test");
        assert_eq!(refused.unwrap_err().code, 403);
        let release = json!({"metadata": {"finalizers": null}});
        world
            .objects
            .merge_patch(&MAPS, "team", "x", None, &release, "test")
            .unwrap();
        world.settle();
        assert!(world.objects.get(&NAMESPACES, "", "team").is_none());
    }
}
