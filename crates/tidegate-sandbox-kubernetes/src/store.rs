//! The memory of the server: objects by resource and key, one revision counter, and a bounded ring of events.
//! Nothing here knows HTTP or what an object means; it only counts, keeps and wakes (spec kubernetes.md B5).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use imbl::OrdMap;
use serde_json::Value;
use tokio::sync::watch;

use crate::lock::RwLock;
use crate::resource::ResourceName;

/// How many events the ring keeps at most.
pub const MAX_EVENTS: usize = 100_000;
/// How many bytes of superseded objects the ring keeps at most (estimated).
pub const MAX_EVENT_BYTES: usize = 64 << 20;
/// How many objects the server keeps at most.
pub const MAX_OBJECTS: usize = 200_000;
/// How many bytes of objects the server keeps at most (estimated).
pub const MAX_OBJECT_BYTES: usize = 1 << 30;

/// How much a store keeps.
#[derive(Clone, Copy, Debug)]
struct Limits {
    events: usize,
    event_bytes: usize,
    objects: usize,
    object_bytes: usize,
}

const LIMITS: Limits = Limits {
    events: MAX_EVENTS,
    event_bytes: MAX_EVENT_BYTES,
    objects: MAX_OBJECTS,
    object_bytes: MAX_OBJECT_BYTES,
};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It appeared.
    Added,
    /// It changed.
    Modified,
    /// It is gone; the object is its last state, with the revision of the deletion.
    Deleted,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Change {
    /// The server's revision after it.
    pub revision: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// To which resource.
    pub resource: ResourceName,
    /// The object after it (at the storage version).
    pub object: Arc<Value>,
    /// The object before it.
    pub previous: Option<Arc<Value>>,
}

#[derive(Debug)]
struct Event {
    change: Change,
    key: Arc<str>,
    /// Revision of the resource's event before this one, 0 for none.
    before: u64,
    bytes: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) object: Arc<Value>,
    pub(crate) revision: u64,
    bytes: usize,
}

/// All objects of one resource, keyed `NAMESPACE/NAME` or `NAME`, in etcd's order.
pub(crate) type Table = OrdMap<Arc<str>, Stored>;

#[derive(Debug)]
struct State {
    limits: Limits,
    revision: u64,
    tables: HashMap<ResourceName, Table>,
    last: HashMap<ResourceName, u64>,
    ring: VecDeque<Event>,
    ring_bytes: usize,
    /// Events up to here are forgotten.
    compacted: u64,
    objects: usize,
    bytes: usize,
}

/// What a commit expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Absent,
    Revision(u64),
}

/// Why a commit did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitError {
    /// Somebody else was faster: read again.
    Raced,
    /// The server holds as much as it may.
    Full,
}

/// The events of one resource after a revision, or that some of them are forgotten.
#[derive(Debug)]
pub(crate) enum Events {
    Known { upto: u64, events: Vec<Change> },
    Expired { oldest: u64 },
}

#[derive(Debug)]
pub(crate) struct Store {
    state: RwLock<State>,
    revision: watch::Sender<u64>,
}

/// The key of an object in its table.
pub(crate) fn key(namespace: &str, name: &str) -> Arc<str> {
    if namespace.is_empty() {
        Arc::from(name)
    } else {
        Arc::from(format!("{namespace}/{name}"))
    }
}

/// The part of a table that lies in `namespace`; the whole table when that is empty.
pub(crate) fn range<'a>(
    table: &'a Table,
    namespace: &str,
) -> Box<dyn Iterator<Item = (&'a Arc<str>, &'a Stored)> + Send + 'a> {
    if namespace.is_empty() {
        return Box::new(table.iter());
    }
    // '0' follows '/' in ASCII.
    let (from, to): (Arc<str>, Arc<str>) = (
        Arc::from(format!("{namespace}/")),
        Arc::from(format!("{namespace}0")),
    );
    Box::new(table.range(from..to))
}

impl Store {
    pub(crate) fn new() -> Self {
        Self::bounded(LIMITS)
    }

    fn bounded(limits: Limits) -> Self {
        let state = State {
            limits,
            revision: 1,
            tables: HashMap::new(),
            last: HashMap::new(),
            ring: VecDeque::new(),
            ring_bytes: 0,
            compacted: 1,
            objects: 0,
            bytes: 0,
        };
        Self {
            state: RwLock::new(state),
            revision: watch::Sender::new(1),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.state.read().revision
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(crate) fn get(&self, resource: &ResourceName, key: &str) -> Option<Stored> {
        self.state.read().tables.get(resource)?.get(key).cloned()
    }

    /// The table of a resource as it is now, with the revision it shows.
    pub(crate) fn table(&self, resource: &ResourceName) -> (u64, Table) {
        let state = self.state.read();
        (
            state.revision,
            state.tables.get(resource).cloned().unwrap_or_default(),
        )
    }

    /// The table as it was at `revision`; `None` when that is forgotten.
    pub(crate) fn table_at(&self, resource: &ResourceName, revision: u64) -> Option<Table> {
        let state = self.state.read();
        let mut table = state.tables.get(resource).cloned().unwrap_or_default();
        if revision < state.compacted {
            return None;
        }
        let mut at = state.last.get(resource).copied().unwrap_or(0);
        while at > revision {
            let event = state.event(at)?;
            match &event.change.previous {
                None => table.remove(&event.key),
                Some(previous) => table.insert(event.key.clone(), Stored::of(previous.clone())),
            };
            at = event.before;
        }
        Some(table)
    }

    /// Events of `resource` after `after`; what was forgotten counts only when it concerned the resource.
    pub(crate) fn events(&self, resource: &ResourceName, after: u64) -> Events {
        let state = self.state.read();
        let mut events = Vec::new();
        let mut at = state.last.get(resource).copied().unwrap_or(0);
        while at > after {
            let Some(event) = state.event(at) else {
                return Events::Expired {
                    oldest: state.compacted,
                };
            };
            events.push(event.change.clone());
            at = event.before;
        }
        events.reverse();
        Events::Known {
            upto: state.revision,
            events,
        }
    }

    /// Events of all resources after `after`.
    pub(crate) fn all_events(&self, after: u64) -> Events {
        let state = self.state.read();
        if after < state.compacted {
            return Events::Expired {
                oldest: state.compacted,
            };
        }
        let skip = usize::try_from(after - state.compacted).unwrap_or(usize::MAX);
        let events = state
            .ring
            .iter()
            .skip(skip)
            .map(|event| event.change.clone())
            .collect();
        Events::Known {
            upto: state.revision,
            events,
        }
    }

    /// Whether a watch may start after `revision`.
    pub(crate) fn compacted(&self) -> u64 {
        self.state.read().compacted
    }

    /// Forgets every event up to the present.
    pub(crate) fn compact(&self) {
        let mut state = self.state.write();
        state.ring.clear();
        state.ring_bytes = 0;
        state.compacted = state.revision;
    }

    /// Writes `object` (or removes it) if the table holds what was expected; stamps the new revision into it.
    pub(crate) fn commit(
        &self,
        resource: &ResourceName,
        key: &str,
        expect: Expect,
        object: Option<Value>,
    ) -> Result<Arc<Value>, CommitError> {
        let bytes = object.as_ref().map_or(0, size);
        let mut state = self.state.write();
        let current = state
            .tables
            .get(resource)
            .and_then(|table| table.get(key))
            .cloned();
        let as_expected = match (expect, &current) {
            (Expect::Absent, None) => object.is_some(),
            (Expect::Revision(revision), Some(stored)) => stored.revision == revision,
            _ => false,
        };
        if !as_expected {
            return Err(CommitError::Raced);
        }
        let freed = current.as_ref().map_or(0, |stored| stored.bytes);
        if object.is_some() {
            let more = usize::from(current.is_none());
            let full = state.objects + more > state.limits.objects
                || (bytes > freed && state.bytes - freed + bytes > state.limits.object_bytes);
            if full {
                return Err(CommitError::Full);
            }
        }
        let object = state.record(resource, key, current.as_ref(), object, bytes);
        let revision = state.revision;
        drop(state);
        self.revision.send_replace(revision);
        Ok(object)
    }
}

impl State {
    /// The event that made `revision`: every revision has exactly one.
    fn event(&self, revision: u64) -> Option<&Event> {
        let first = self.ring.front()?.change.revision;
        let index = usize::try_from(revision.checked_sub(first)?).ok()?;
        self.ring.get(index)
    }

    fn record(
        &mut self,
        resource: &ResourceName,
        key: &str,
        current: Option<&Stored>,
        object: Option<Value>,
        bytes: usize,
    ) -> Arc<Value> {
        self.revision += 1;
        let revision = self.revision;
        let key: Arc<str> = Arc::from(key);
        let previous = current.map(|stored| stored.object.clone());
        let freed = current.map_or(0, |stored| stored.bytes);
        let (kind, mut object, kept) = match (object, &previous) {
            (Some(object), None) => (ChangeKind::Added, object, true),
            (Some(object), Some(_)) => (ChangeKind::Modified, object, true),
            (None, previous) => {
                let last = previous.as_deref().cloned().unwrap_or(Value::Null);
                (ChangeKind::Deleted, last, false)
            }
        };
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(
                "resourceVersion".to_owned(),
                Value::String(revision.to_string()),
            );
        }
        let object = Arc::new(object);
        let table = self.tables.entry(resource.clone()).or_default();
        if kept {
            let stored = Stored {
                object: object.clone(),
                revision,
                bytes,
            };
            table.insert(key.clone(), stored);
        } else {
            table.remove(&key);
        }
        self.objects = self.objects + usize::from(kind == ChangeKind::Added)
            - usize::from(kind == ChangeKind::Deleted);
        self.bytes = (self.bytes + bytes).saturating_sub(freed);
        let before = self.last.insert(resource.clone(), revision).unwrap_or(0);
        let change = Change {
            revision,
            kind,
            resource: resource.clone(),
            object: object.clone(),
            previous,
        };
        // Deleted states are kept by the ring alone; superseded ones too.
        let weight = freed.max(64);
        self.ring_bytes += weight;
        self.ring.push_back(Event {
            change,
            key,
            before,
            bytes: weight,
        });
        while self.ring.len() > self.limits.events || self.ring_bytes > self.limits.event_bytes {
            let Some(dropped) = self.ring.pop_front() else {
                break;
            };
            self.ring_bytes -= dropped.bytes;
            self.compacted = dropped.change.revision;
        }
        object
    }
}

impl Stored {
    fn of(object: Arc<Value>) -> Self {
        let revision = crate::object::resource_version(&object);
        Self {
            object,
            revision,
            bytes: 0,
        }
    }
}

/// A quick estimate of the bytes that a value occupies in memory.
fn size(value: &Value) -> usize {
    /// Bytes of a tree node of a one-entry map, measured.
    const MAP: usize = 640;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 32,
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 32 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => {
            let nodes = map.len().div_ceil(6).max(1);
            nodes * MAP
                + map
                    .iter()
                    .map(|(key, value)| key.len() + size(value))
                    .sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MAPS: ResourceName = ResourceName::new("", "configmaps");
    const PODS: ResourceName = ResourceName::new("", "pods");

    fn object(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    fn names(table: &Table) -> Vec<String> {
        table.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn a_commit_needs_what_it_expects() {
        let store = Store::new();
        let made = store
            .commit(&MAPS, "a/x", Expect::Absent, Some(object("x")))
            .unwrap();
        assert_eq!(made["metadata"]["resourceVersion"], "2");
        let again = store.commit(&MAPS, "a/x", Expect::Absent, Some(object("x")));
        assert_eq!(again.unwrap_err(), CommitError::Raced);
        let stale = store.commit(&MAPS, "a/x", Expect::Revision(1), Some(object("x")));
        assert_eq!(stale.unwrap_err(), CommitError::Raced);
        let gone = store
            .commit(&MAPS, "a/x", Expect::Revision(2), None)
            .unwrap();
        assert_eq!(gone["metadata"]["resourceVersion"], "3");
        assert!(store.get(&MAPS, "a/x").is_none());
    }

    #[test]
    fn the_past_can_be_read_until_it_is_forgotten() {
        let store = Store::new();
        store
            .commit(&MAPS, "a/x", Expect::Absent, Some(object("x")))
            .unwrap();
        store
            .commit(&PODS, "a/p", Expect::Absent, Some(object("p")))
            .unwrap();
        store
            .commit(&MAPS, "a/y", Expect::Absent, Some(object("y")))
            .unwrap();
        store
            .commit(&MAPS, "a/x", Expect::Revision(2), None)
            .unwrap();
        assert_eq!(
            names(&store.table_at(&MAPS, 1).unwrap()),
            Vec::<String>::new()
        );
        assert_eq!(names(&store.table_at(&MAPS, 3).unwrap()), ["a/x"]);
        assert_eq!(names(&store.table_at(&MAPS, 4).unwrap()), ["a/x", "a/y"]);
        assert_eq!(names(&store.table(&MAPS).1), ["a/y"]);
        store.compact();
        assert!(store.table_at(&MAPS, 4).is_none());
        assert_eq!(names(&store.table_at(&MAPS, 5).unwrap()), ["a/y"]);
    }

    #[test]
    fn events_follow_the_resource_and_expire_only_when_its_own_are_lost() {
        let store = Store::new();
        store
            .commit(&PODS, "a/p", Expect::Absent, Some(object("p")))
            .unwrap();
        store.compact();
        store
            .commit(&MAPS, "a/x", Expect::Absent, Some(object("x")))
            .unwrap();
        store
            .commit(&PODS, "a/q", Expect::Absent, Some(object("q")))
            .unwrap();
        let seen = |resource: &ResourceName, after| match store.events(resource, after) {
            Events::Known { events, .. } => {
                Some(events.iter().map(|e| e.revision).collect::<Vec<_>>())
            }
            Events::Expired { .. } => None,
        };
        assert_eq!(seen(&MAPS, 0), Some(vec![3]));
        assert_eq!(seen(&PODS, 0), None);
        assert_eq!(seen(&PODS, 2), Some(vec![4]));
        let all = |after| match store.all_events(after) {
            Events::Known { events, .. } => {
                Some(events.iter().map(|e| e.revision).collect::<Vec<_>>())
            }
            Events::Expired { .. } => None,
        };
        assert_eq!(all(1), None);
        assert_eq!(all(2), Some(vec![3, 4]));
        assert_eq!(all(3), Some(vec![4]));
        assert_eq!(all(9), Some(vec![]));
    }

    const SMALL: Limits = Limits {
        events: 8,
        event_bytes: 20_000,
        objects: 3,
        object_bytes: 6_000,
    };

    #[test]
    fn objects_are_bounded_by_number_and_by_bytes() {
        let store = Store::bounded(SMALL);
        for name in ["a", "b", "c"] {
            store
                .commit(&MAPS, name, Expect::Absent, Some(object(name)))
                .unwrap();
        }
        let more = store.commit(&MAPS, "d", Expect::Absent, Some(object("d")));
        assert_eq!(more.unwrap_err(), CommitError::Full);
        let large = Some(json!({"data": "x".repeat(SMALL.object_bytes)}));
        let larger = store.commit(&MAPS, "a", Expect::Revision(2), large);
        assert_eq!(larger.unwrap_err(), CommitError::Full);
        store.commit(&MAPS, "a", Expect::Revision(2), None).unwrap();
        store
            .commit(&MAPS, "d", Expect::Absent, Some(object("d")))
            .unwrap();
    }

    #[test]
    fn the_ring_is_bounded_by_number_and_by_bytes() {
        let store = Store::bounded(SMALL);
        let body = |size: usize| Some(json!({"metadata": {}, "data": "x".repeat(size)}));
        store.commit(&MAPS, "a", Expect::Absent, body(1)).unwrap();
        for revision in 2..20 {
            store
                .commit(&MAPS, "a", Expect::Revision(revision), body(1))
                .unwrap();
        }
        assert_eq!(store.state.read().ring.len(), SMALL.events);
        for revision in 20..40 {
            store
                .commit(&MAPS, "a", Expect::Revision(revision), body(3_000))
                .unwrap();
        }
        let state = store.state.read();
        assert!(state.ring_bytes <= SMALL.event_bytes && state.ring.len() < SMALL.events);
        assert_eq!(
            state.ring.iter().map(|event| event.bytes).sum::<usize>(),
            state.ring_bytes
        );
    }

    proptest::proptest! {
        /// Whatever happens, every remembered past is the past, and replaying from it leads to the present.
        #[test]
        fn the_past_is_what_was(steps in proptest::collection::vec((0_u8..4, 0_u8..3, proptest::bool::ANY), 1..40)) {
            let store = Store::bounded(Limits { objects: 100, object_bytes: 1 << 20, event_bytes: 1 << 20, events: 12 });
            let mut history = vec![(store.revision(), Table::default())];
            for (key, kind, remove) in steps {
                let resource = if kind == 0 { &PODS } else { &MAPS };
                let key = format!("n/{key}");
                let current = store.get(resource, &key).map(|stored| stored.revision);
                let expect = current.map_or(Expect::Absent, Expect::Revision);
                let body = (!remove || current.is_none()).then(|| object(&key));
                store.commit(resource, &key, expect, body).unwrap();
                let (revision, table) = store.table(&MAPS);
                history.push((revision, table));
            }
            let (_, present) = store.table(&MAPS);
            for (revision, then) in history {
                let Some(past) = store.table_at(&MAPS, revision) else {
                    proptest::prop_assert!(revision < store.compacted());
                    continue;
                };
                let seen = |table: &Table| -> Vec<(String, u64)> {
                    table.iter().map(|(key, stored)| (key.to_string(), stored.revision)).collect()
                };
                proptest::prop_assert_eq!(seen(&past), seen(&then));
                let Events::Known { events, .. } = store.events(&MAPS, revision) else {
                    return Err(proptest::test_runner::TestCaseError::fail("events are lost"));
                };
                let mut replayed: std::collections::BTreeSet<String> =
                    past.values().map(|stored| crate::object::name(&stored.object).to_owned()).collect();
                for change in events {
                    let name = crate::object::name(&change.object).to_owned();
                    if change.kind == ChangeKind::Deleted {
                        proptest::prop_assert!(replayed.remove(&name));
                    } else {
                        proptest::prop_assert_eq!(replayed.insert(name), change.kind == ChangeKind::Added);
                    }
                }
                let now: std::collections::BTreeSet<String> =
                    present.values().map(|stored| crate::object::name(&stored.object).to_owned()).collect();
                proptest::prop_assert_eq!(replayed, now);
            }
        }
    }
}
