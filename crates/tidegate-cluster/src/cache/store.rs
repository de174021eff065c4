//! What the watch cache keeps of each object: a few hundred bytes, never its body. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tidegate_applier::{Owned, WatchEvent};
use tidegate_manifest::{GroupKind, Health, ResourceKey, Target, TrackingId};

use crate::decode::Annotations;
use crate::inventory::annotations;

/// One object as it was decoded from a list, a watch or an answer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) is_root: bool,
    pub(crate) is_deleting: bool,
    pub(crate) mark: Option<TrackingId>,
    pub(crate) annotations: Annotations,
    pub(crate) health: Option<Health>,
    /// Of the fields that Tidegate owns.
    pub(crate) digest: u64,
}

/// Whether a kind's table can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TableState {
    /// The first list is under way.
    Syncing,
    /// The table is as new as the last event.
    Synced,
    /// The kind cannot be listed or watched, in the server's words.
    Incomplete(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    namespace: Option<Arc<str>>,
    name: Arc<str>,
}

#[derive(Debug)]
enum Uid {
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl Uid {
    fn new(text: &str) -> Self {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        match u128::from_str_radix(&digits, 16) {
            Ok(number) if digits.len() == 32 => {
                let uid = Uid::Uuid(number.to_be_bytes());
                if uid.to_string() == text {
                    uid
                } else {
                    Uid::Text(text.into())
                }
            }
            _ => Uid::Text(text.into()),
        }
    }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Uid::Text(text) => f.write_str(text),
            Uid::Uuid(bytes) => {
                for (i, byte) in bytes.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// What is kept of an object that bears a mark.
#[derive(Debug)]
struct Marked {
    application: Arc<str>,
    is_self_reference: bool,
    annotations: Annotations,
    health: Option<Health>,
    digest: u64,
}

#[derive(Debug)]
struct Entry {
    uid: Uid,
    version: Version,
    marked: Option<Box<Marked>>,
    round: u32,
    is_root: bool,
    is_deleting: bool,
}

/// A resourceVersion; numbers compare, the rest does not.
#[derive(Debug)]
enum Version {
    Number(u64),
    Text(Box<str>),
}

impl Version {
    fn new(text: &str) -> Self {
        match text.parse::<u64>() {
            Ok(number) if number.to_string() == text => Version::Number(number),
            _ => Version::Text(text.into()),
        }
    }

    fn is_older_than(&self, other: &Self) -> bool {
        matches!((self, other), (Version::Number(a), Version::Number(b)) if a < b)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Version::Number(number) => write!(f, "{number}"),
            Version::Text(text) => f.write_str(text),
        }
    }
}

#[derive(Debug)]
struct Table {
    kind: Arc<GroupKind>,
    state: TableState,
    round: u32,
    objects: HashMap<Name, Entry>,
}

/// The tables of all watched kinds, with an index by application.
#[derive(Debug)]
pub(crate) struct Store {
    target: Target,
    tables: BTreeMap<Arc<GroupKind>, Table>,
    by_application: HashMap<Arc<str>, HashSet<(Arc<GroupKind>, Name)>>,
    /// Names that many objects share: namespaces and applications.
    shared: HashSet<Arc<str>>,
}

impl Store {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            tables: BTreeMap::new(),
            by_application: HashMap::new(),
            shared: HashSet::new(),
        }
    }

    /// Begins to keep a kind.
    pub(crate) fn add_kind(&mut self, kind: &GroupKind) {
        let kind = Arc::new(kind.clone());
        self.tables
            .entry(Arc::clone(&kind))
            .or_insert_with(|| Table {
                kind,
                state: TableState::Syncing,
                round: 0,
                objects: HashMap::new(),
            });
    }

    /// Forgets a kind that is no longer served.
    pub(crate) fn remove_kind(&mut self, kind: &GroupKind) -> Vec<WatchEvent> {
        let Some(table) = self.tables.get_mut(kind) else {
            return Vec::new();
        };
        table.round = table.round.wrapping_add(1);
        table.state = TableState::Synced;
        let events = self.end_round(kind);
        self.tables.remove(kind);
        events
    }

    pub(crate) fn state(&self, kind: &GroupKind) -> Option<&TableState> {
        self.tables.get(kind).map(|table| &table.state)
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = (&GroupKind, &TableState)> {
        self.tables
            .values()
            .map(|table| (&*table.kind, &table.state))
    }

    pub(crate) fn set_incomplete(&mut self, kind: &GroupKind, words: String) {
        if let Some(table) = self.tables.get_mut(kind) {
            table.state = TableState::Incomplete(words);
        }
    }

    /// A list begins: what it does not show is gone at its end.
    pub(crate) fn begin_round(&mut self, kind: &GroupKind) {
        if let Some(table) = self.tables.get_mut(kind) {
            table.round = table.round.wrapping_add(1);
        }
    }

    /// A list ended: drops what it did not show, which repairs missed deletions.
    pub(crate) fn end_round(&mut self, kind: &GroupKind) -> Vec<WatchEvent> {
        let Some(table) = self.tables.get_mut(kind) else {
            return Vec::new();
        };
        let round = table.round;
        let gone: Vec<Name> = table
            .objects
            .iter()
            .filter(|(_, entry)| entry.round != round)
            .map(|(name, _)| name.clone())
            .collect();
        let mut events: Vec<WatchEvent> = gone
            .iter()
            .filter_map(|name| self.take(kind, name))
            .collect();
        if let Some(table) = self.tables.get_mut(kind) {
            table.state = TableState::Synced;
        }
        events.sort_by(|a, b| a.key.cmp(&b.key));
        events
    }

    /// Takes in an object; answers the event it makes, if any.
    pub(crate) fn upsert(&mut self, kind: &GroupKind, seen: Seen) -> Option<WatchEvent> {
        let name = self.name(&seen.namespace, &seen.name);
        let application = seen.mark.as_ref().map(|mark| self.share(&mark.application));
        let key = self.key(kind, &name);
        let table = self.tables.get_mut(kind)?;
        let version = Version::new(&seen.version);
        let old = table.objects.get_mut(&name);
        if let Some(old) = old
            && version.is_older_than(&old.version)
        {
            old.round = table.round;
            return None;
        }
        let health = seen.health.clone();
        let marked = application.map(|application| {
            Box::new(Marked {
                application,
                is_self_reference: seen.mark.as_ref().is_some_and(|mark| {
                    mark.is_self_reference(&kind.group, &kind.kind, &seen.namespace, &seen.name)
                }),
                annotations: seen.annotations,
                health: seen.health,
                digest: seen.digest,
            })
        });
        let entry = Entry {
            uid: Uid::new(&seen.uid),
            version,
            marked,
            round: table.round,
            is_root: seen.is_root,
            is_deleting: seen.is_deleting,
        };
        let new_application = entry.marked.as_ref().map(|m| Arc::clone(&m.application));
        let judged = judge(table.objects.get(&name), &entry);
        let old = table.objects.insert(name.clone(), entry);
        let old_application = old.and_then(|old| old.marked).map(|m| m.application);
        if old_application != new_application {
            self.reindex(
                kind,
                &name,
                old_application.as_ref(),
                new_application.as_ref(),
            );
        }
        let desired_fields_changed = judged?;
        let mut applications: Vec<String> = [old_application, new_application]
            .into_iter()
            .flatten()
            .map(|application| application.to_string())
            .collect();
        applications.sort();
        applications.dedup();
        Some(WatchEvent {
            key,
            applications,
            deleted: false,
            health,
            desired_fields_changed,
        })
    }

    /// Takes an object out; answers the event it makes, if any.
    pub(crate) fn remove(
        &mut self,
        kind: &GroupKind,
        namespace: &str,
        name: &str,
        version: Option<&str>,
    ) -> Option<WatchEvent> {
        let name = self.name(namespace, name);
        let entry = self.tables.get(kind)?.objects.get(&name)?;
        // A deletion that we already saw the successor of.
        if version.is_some_and(|version| Version::new(version).is_older_than(&entry.version)) {
            return None;
        }
        self.take(kind, &name)
    }

    fn take(&mut self, kind: &GroupKind, name: &Name) -> Option<WatchEvent> {
        let entry = self.tables.get_mut(kind)?.objects.remove(name)?;
        let marked = entry.marked?;
        self.reindex(kind, name, Some(&marked.application), None);
        Some(WatchEvent {
            key: self.key(kind, name),
            applications: vec![marked.application.to_string()],
            deleted: true,
            health: None,
            desired_fields_changed: true,
        })
    }

    fn reindex(
        &mut self,
        kind: &GroupKind,
        name: &Name,
        old: Option<&Arc<str>>,
        new: Option<&Arc<str>>,
    ) {
        let Some(table) = self.tables.get(kind) else {
            return;
        };
        let member = (Arc::clone(&table.kind), name.clone());
        if let Some(old) = old
            && let Some(members) = self.by_application.get_mut(old)
        {
            members.remove(&member);
            if members.is_empty() {
                self.by_application.remove(old);
            }
        }
        if let Some(new) = new {
            self.by_application
                .entry(Arc::clone(new))
                .or_default()
                .insert(member);
        }
    }

    /// Whether the object is there; None when the kind's table cannot tell.
    pub(crate) fn contains(&self, key: &ResourceKey) -> Option<bool> {
        let table = self.tables.get(&key.group_kind())?;
        if table.state != TableState::Synced {
            return None;
        }
        Some(
            table
                .objects
                .contains_key(&self.lookup(&key.namespace, &key.name)),
        )
    }

    /// Health as it was last seen; None when the object is not there or bears no mark.
    pub(crate) fn facts(&self, key: &ResourceKey) -> Option<Facts> {
        let table = self.tables.get(&key.group_kind())?;
        let name = self.lookup(&key.namespace, &key.name);
        let entry = table.objects.get(&name)?;
        let marked = entry.marked.as_ref()?;
        Some(Facts {
            uid: entry.uid.to_string(),
            version: entry.version.to_string(),
            is_deleting: entry.is_deleting,
            annotations: annotations(&marked.annotations),
            health: marked.health.clone(),
        })
    }

    /// The objects that bear an application's mark, sorted.
    pub(crate) fn owned(&self, application: &str) -> Vec<Owned> {
        let mut owned: Vec<Owned> = self
            .by_application
            .get(application)
            .into_iter()
            .flatten()
            .filter_map(|(kind, name)| {
                let entry = self.tables.get(kind)?.objects.get(name)?;
                let marked = entry.marked.as_ref()?;
                Some(Owned {
                    key: self.key(kind, name),
                    uid: entry.uid.to_string(),
                    version: entry.version.to_string(),
                    is_root: entry.is_root,
                    is_self_reference: marked.is_self_reference,
                    is_deleting: entry.is_deleting,
                    annotations: annotations(&marked.annotations),
                })
            })
            .collect();
        owned.sort_by(|a, b| a.key.cmp(&b.key));
        owned
    }

    /// Objects kept, and how many of them bear a mark.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (
            self.tables.values().map(|table| table.objects.len()).sum(),
            self.by_application.values().map(HashSet::len).sum(),
        )
    }

    fn key(&self, kind: &GroupKind, name: &Name) -> ResourceKey {
        ResourceKey {
            target: self.target.clone(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            namespace: name.namespace.as_deref().unwrap_or_default().to_owned(),
            name: name.name.to_string(),
        }
    }

    fn name(&mut self, namespace: &str, name: &str) -> Name {
        Name {
            namespace: (!namespace.is_empty()).then(|| self.share(namespace)),
            name: name.into(),
        }
    }

    fn lookup(&self, namespace: &str, name: &str) -> Name {
        Name {
            namespace: (!namespace.is_empty()).then(|| namespace.into()),
            name: name.into(),
        }
    }

    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.shared.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.shared.insert(Arc::clone(&new));
        new
    }
}

/// What the cache knows of a marked object.
#[derive(Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) is_deleting: bool,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) health: Option<Health>,
}

/// None: nobody need hear of it. Otherwise whether anything but status may have changed.
fn judge(old: Option<&Entry>, new: &Entry) -> Option<bool> {
    let Some(old) = old else {
        return new.marked.as_ref().map(|_| true);
    };
    let desired_changed = match (&old.marked, &new.marked) {
        (None, None) => return None,
        (Some(old), Some(new)) => {
            old.application != new.application
                || old.digest != new.digest
                || old.annotations != new.annotations
        }
        _ => true,
    } || old.is_deleting != new.is_deleting
        || old.is_root != new.is_root
        || old.uid.to_string() != new.uid.to_string();
    let health = |entry: &Entry| entry.marked.as_ref().and_then(|m| m.health.clone());
    if !desired_changed && health(old) == health(new) {
        return None;
    }
    Some(desired_changed)
}

#[cfg(test)]
mod tests {
    use tidegate_manifest::HealthStatus;

    use super::*;

    fn kind() -> GroupKind {
        GroupKind::new("apps", "Deployment")
    }

    fn seen(name: &str, version: &str, application: Option<&str>) -> Seen {
        Seen {
            namespace: "ns".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            version: version.into(),
            is_root: true,
            is_deleting: false,
            mark: application
                .and_then(|app| TrackingId::parse(&format!("{app}:apps/Deployment:ns/{name}"))),
            annotations: Annotations::default(),
            health: None,
            digest: 1,
        }
    }

    fn synced() -> Store {
        let mut store = Store::new(Target::kubernetes("x"));
        store.add_kind(&kind());
        store.begin_round(&kind());
        store.end_round(&kind());
        store
    }

    fn names(store: &Store, application: &str) -> Vec<String> {
        store
            .owned(application)
            .into_iter()
            .map(|owned| owned.key.name)
            .collect()
    }

    #[test]
    fn a_relist_repairs_missed_deletions() {
        let mut store = synced();
        for name in ["a", "b"] {
            assert!(
                store
                    .upsert(&kind(), seen(name, "5", Some("shop")))
                    .is_some()
            );
        }
        store.begin_round(&kind());
        assert!(
            store
                .upsert(&kind(), seen("a", "5", Some("shop")))
                .is_none(),
            "nothing new"
        );
        let events = store.end_round(&kind());
        assert_eq!(events.len(), 1);
        assert!(events[0].deleted && events[0].key.name == "b");
        assert_eq!(names(&store, "shop"), ["a"]);
        assert_eq!(store.remove_kind(&kind()).len(), 1);
        assert_eq!(store.counts(), (0, 0));
    }

    #[test]
    fn older_news_is_no_news() {
        let mut store = synced();
        store.upsert(&kind(), seen("a", "9", Some("shop")));
        assert!(
            store
                .upsert(&kind(), seen("a", "8", Some("bank")))
                .is_none()
        );
        assert_eq!(names(&store, "shop"), ["a"]);
        assert!(store.remove(&kind(), "ns", "a", Some("8")).is_none());
        assert!(store.remove(&kind(), "ns", "a", Some("10")).is_some());
        assert!(names(&store, "shop").is_empty());
    }

    #[test]
    fn events_tell_what_matters() {
        let mut store = synced();
        let mut next = |change: &dyn Fn(&mut Seen), version: &str| {
            let mut object = seen("a", version, Some("shop"));
            change(&mut object);
            store
                .upsert(&kind(), object)
                .map(|event| (event.applications.join(","), event.desired_fields_changed))
        };
        assert_eq!(next(&|_| {}, "1"), Some(("shop".into(), true)));
        assert_eq!(next(&|_| {}, "2"), None, "status churn");
        let degraded = |s: &mut Seen| s.health = Some(Health::new(HealthStatus::Degraded, "x"));
        assert_eq!(next(&degraded, "3"), Some(("shop".into(), false)));
        assert_eq!(
            next(
                &|s| {
                    degraded(s);
                    s.digest = 2;
                },
                "4"
            ),
            Some(("shop".into(), true))
        );
        assert_eq!(
            next(
                &|s| s.mark = TrackingId::parse("bank:apps/Deployment:ns/a"),
                "5"
            ),
            Some(("bank,shop".into(), true))
        );
        assert_eq!(next(&|s| s.mark = None, "6"), Some(("bank".into(), true)));
        assert_eq!(
            next(
                &|s| {
                    s.mark = None;
                    s.digest = 3;
                },
                "7"
            ),
            None,
            "not ours"
        );
    }

    #[test]
    fn unsynced_tables_say_nothing() {
        let mut store = Store::new(Target::kubernetes("x"));
        store.add_kind(&kind());
        let key = store.key(&kind(), &store.lookup("ns", "a"));
        assert_eq!(store.contains(&key), None);
        store.begin_round(&kind());
        store.end_round(&kind());
        assert_eq!(store.contains(&key), Some(false));
        store.set_incomplete(&kind(), "forbidden".into());
        assert_eq!(store.contains(&key), None);
    }

    #[test]
    fn entries_are_small() {
        assert!(
            size_of::<(Name, Entry)>() <= 104,
            "{}",
            size_of::<(Name, Entry)>()
        );
        for text in [
            "8f2d1c9a-0000-4000-8000-00000000abcd",
            "no-uuid",
            "8F2D1C9A-0000-4000-8000-00000000ABCD",
            "",
        ] {
            assert_eq!(Uid::new(text).to_string(), text);
        }
        for text in ["12", "012", "abc", ""] {
            assert_eq!(Version::new(text).to_string(), text);
        }
    }
}
