//! Who owns whom: an index over owner references, kept up by events. No IO, no decisions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::delete::{FOREGROUND, ORPHAN};
use crate::object;
use crate::resource::ResourceName;

/// A reference to an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Arc<str>,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) blocks: bool,
}

/// An object as far as ownership goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) resource: ResourceName,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) owners: Vec<Owner>,
    pub(super) deleting: bool,
    pub(super) foreground: bool,
    pub(super) orphan: bool,
}

impl Node {
    pub(super) fn of(resource: &ResourceName, object: &Value) -> Self {
        let finalizers = object::finalizers(object);
        let deleting = object::is_deleting(object);
        Self {
            resource: resource.clone(),
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
            owners: owners(object),
            deleting,
            foreground: deleting && finalizers.contains(&FOREGROUND),
            orphan: deleting && finalizers.contains(&ORPHAN),
        }
    }
}

pub(super) fn owners(object: &Value) -> Vec<Owner> {
    let list = object::metadata(object).and_then(|meta| meta.get("ownerReferences"));
    let list = list.and_then(Value::as_array);
    let owner = |owner: &Value| Owner {
        uid: Arc::from(object::text(owner, &["uid"])),
        api_version: object::text(owner, &["apiVersion"]).to_owned(),
        kind: object::text(owner, &["kind"]).to_owned(),
        name: object::text(owner, &["name"]).to_owned(),
        blocks: owner.get("blockOwnerDeletion") == Some(&Value::Bool(true)),
    };
    list.into_iter().flatten().map(owner).collect()
}

/// All objects by uid, and the dependents of each.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Arc<str>, Node>,
    dependents: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Arc<str>> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Learns an object; returns what was known of it.
    pub(super) fn put(&mut self, uid: &str, node: &Node) -> Option<Node> {
        let uid: Arc<str> = Arc::from(uid);
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.clone());
        }
        let old = self.nodes.insert(uid.clone(), node.clone());
        let gone = old.iter().flat_map(|old| &old.owners);
        for owner in gone.filter(|owner| !node.owners.iter().any(|o| o.uid == owner.uid)) {
            self.forget_edge(&owner.uid, &uid);
        }
        old
    }

    /// Forgets an object; its dependents keep their edges until they change.
    pub(super) fn remove(&mut self, uid: &str) -> Option<Node> {
        let node = self.nodes.remove(uid)?;
        let uid: Arc<str> = Arc::from(uid);
        for owner in &node.owners {
            self.forget_edge(&owner.uid, &uid);
        }
        Some(node)
    }

    fn forget_edge(&mut self, owner: &Arc<str>, dependent: &Arc<str>) {
        if let Some(set) = self.dependents.get_mut(owner) {
            set.remove(dependent);
            if set.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.dependents.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn edges_follow_the_references() {
        let pods = ResourceName::new("", "pods");
        let owned = |owners: &[&str]| {
            let list: Vec<Value> = owners.iter().map(|uid| json!({"uid": uid})).collect();
            Node::of(&pods, &json!({"metadata": {"ownerReferences": list}}))
        };
        let mut graph = Graph::default();
        graph.put("a", &owned(&["x", "y"]));
        assert_eq!(graph.dependents("x").len(), 1);
        graph.put("a", &owned(&["y"]));
        assert_eq!(
            (graph.dependents("x").len(), graph.dependents("y").len()),
            (0, 1)
        );
        graph.remove("a");
        assert!(graph.dependents("y").is_empty() && graph.dependents.is_empty());
    }
}
