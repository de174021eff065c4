//! Which node a name means: exact names first, then the one thing of that name nearby. No kinds are known here.

use std::borrow::Cow;
use std::collections::HashMap;

use tidegate_manifest::{ResourceKey, Target};

use crate::NodeId;
use crate::reader::{Identity, Place};

type Text<'a> = Cow<'a, str>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Exact<'a> {
    target: u32,
    group: Text<'a>,
    kind: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
}

/// The same without the group: for references that name none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Groupless<'a> {
    target: u32,
    kind: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
}

/// The same without a namespace, and without a target when `target` is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Nearby<'a> {
    target: Option<u32>,
    group: Text<'a>,
    kind: Text<'a>,
    name: Text<'a>,
}

/// What stands under a name: an object beats what merely brings it about, the earlier task beats the later.
#[derive(Clone, Copy, Debug)]
struct Slot {
    node: NodeId,
    is_object: bool,
}

#[derive(Clone, Debug)]
struct Shared<'a> {
    slot: Slot,
    /// What tells those of one name apart: the group, or target and namespace.
    mark: (u32, Text<'a>),
    is_ambiguous: bool,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// This node; `is_object` when it is the thing itself rather than what brings it about.
    Node { node: NodeId, is_object: bool },
    /// Several things bear the name.
    Ambiguous,
    /// Nothing bears it.
    Nothing,
}

/// Names of the nodes of one side: of those that are applied, or of those that are pruned.
#[derive(Debug, Default)]
pub(crate) struct Index<'a> {
    targets: HashMap<&'a Target, u32>,
    exact: HashMap<Exact<'a>, Slot>,
    groupless: HashMap<Groupless<'a>, Shared<'a>>,
    nearby: HashMap<Nearby<'a>, Shared<'a>>,
    /// Objects of any target, group and namespace, by kind and name.
    anywhere: HashMap<(Text<'a>, Text<'a>), Shared<'a>>,
}

fn better(old: Slot, new: Slot) -> Slot {
    if new.is_object && !old.is_object {
        new
    } else {
        old
    }
}

impl<'a> Index<'a> {
    /// The number of a target.
    pub(crate) fn target(&mut self, target: &'a Target) -> u32 {
        let next = u32::try_from(self.targets.len()).expect("fewer targets than nodes");
        *self.targets.entry(target).or_insert(next)
    }

    /// Enters an object; nodes are entered in task order.
    pub(crate) fn add_object(&mut self, key: &'a ResourceKey, node: NodeId) {
        let target = self.target(&key.target);
        let exact = Exact {
            target,
            group: Cow::Borrowed(&key.group),
            kind: Cow::Borrowed(&key.kind),
            namespace: Cow::Borrowed(&key.namespace),
            name: Cow::Borrowed(&key.name),
        };
        self.add(exact, node, true);
    }

    /// Enters what an object brings about.
    pub(crate) fn add_provided(&mut self, identity: Identity<'a>, target: u32, node: NodeId) {
        let namespace = match identity.place {
            Place::Namespace(ns) | Place::Nearest(ns) | Place::Anywhere(ns) => ns,
            Place::Cluster => Cow::Borrowed(""),
        };
        let exact = Exact {
            target,
            group: identity.group.unwrap_or_default(),
            kind: identity.kind,
            namespace,
            name: identity.name,
        };
        self.add(exact, node, false);
    }

    fn add(&mut self, key: Exact<'a>, node: NodeId, is_object: bool) {
        let slot = Slot { node, is_object };
        for target in [Some(key.target), None] {
            let nearby = Nearby {
                target,
                group: key.group.clone(),
                kind: key.kind.clone(),
                name: key.name.clone(),
            };
            share(
                &mut self.nearby,
                nearby,
                slot,
                (key.target, key.namespace.clone()),
            );
        }
        let groupless = Groupless {
            target: key.target,
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        };
        if is_object {
            share(&mut self.groupless, groupless, slot, (0, key.group.clone()));
            let place = Cow::Owned(format!("{}/{}", key.group, key.namespace));
            let named = (key.kind.clone(), key.name.clone());
            share(&mut self.anywhere, named, slot, (key.target, place));
        }
        let entry = self.exact.entry(key).or_insert(slot);
        *entry = better(*entry, slot);
    }

    /// The node that an identity means, asked from `target`.
    pub(crate) fn find(&self, identity: &Identity<'a>, target: &Target) -> Lookup {
        let target = self.targets.get(target).copied();
        let empty = Cow::Borrowed("");
        let (namespace, near) = match &identity.place {
            Place::Namespace(ns) => (ns, false),
            Place::Cluster => (&empty, false),
            Place::Nearest(ns) | Place::Anywhere(ns) => (ns, true),
        };
        if let Some(target) = target {
            for namespace in [namespace, &empty] {
                match self.find_exact(identity, target, namespace) {
                    Lookup::Nothing => {}
                    found @ (Lookup::Node { .. } | Lookup::Ambiguous) => return found,
                }
                if namespace.is_empty() {
                    break;
                }
            }
        }
        if matches!(identity.place, Place::Anywhere(_)) && !namespace.is_empty() {
            let others = self
                .targets
                .values()
                .filter(|other| Some(**other) != target);
            let mut found = others
                .map(|other| self.find_exact(identity, *other, namespace))
                .filter(|found| *found != Lookup::Nothing);
            if let (Some(only), None) = (found.next(), found.next()) {
                return only;
            }
        }
        let Some(group) = identity.group.as_ref().filter(|_| near) else {
            let anywhere = matches!(identity.place, Place::Anywhere(_)).then(|| {
                let key = (identity.kind.clone(), identity.name.clone());
                self.anywhere.get(&key).map(Shared::lookup)
            });
            return anywhere.flatten().unwrap_or(Lookup::Nothing);
        };
        let mut scopes = vec![target.map(Some)];
        if matches!(identity.place, Place::Anywhere(_)) {
            scopes.push(Some(None));
        }
        for scope in scopes.into_iter().flatten() {
            let key = Nearby {
                target: scope,
                group: group.clone(),
                kind: identity.kind.clone(),
                name: identity.name.clone(),
            };
            if let Some(shared) = self.nearby.get(&key) {
                return shared.lookup();
            }
        }
        Lookup::Nothing
    }

    fn find_exact(&self, identity: &Identity<'a>, target: u32, namespace: &Text<'a>) -> Lookup {
        let Some(group) = &identity.group else {
            let key = Groupless {
                target,
                kind: identity.kind.clone(),
                namespace: namespace.clone(),
                name: identity.name.clone(),
            };
            return self
                .groupless
                .get(&key)
                .map_or(Lookup::Nothing, Shared::lookup);
        };
        let key = Exact {
            target,
            group: group.clone(),
            kind: identity.kind.clone(),
            namespace: namespace.clone(),
            name: identity.name.clone(),
        };
        self.exact
            .get(&key)
            .map_or(Lookup::Nothing, |slot| Lookup::Node {
                node: slot.node,
                is_object: slot.is_object,
            })
    }
}

impl Shared<'_> {
    fn lookup(&self) -> Lookup {
        if self.is_ambiguous {
            return Lookup::Ambiguous;
        }
        Lookup::Node {
            node: self.slot.node,
            is_object: self.slot.is_object,
        }
    }
}

fn share<'a, K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, Shared<'a>>,
    key: K,
    slot: Slot,
    mark: (u32, Text<'a>),
) {
    map.entry(key)
        .and_modify(|shared| {
            shared.is_ambiguous |= shared.mark != mark;
            shared.slot = better(shared.slot, slot);
        })
        .or_insert(Shared {
            slot,
            mark,
            is_ambiguous: false,
        });
}
