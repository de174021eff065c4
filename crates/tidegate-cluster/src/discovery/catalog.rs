//! The kinds of a cluster by name, and the paths of their objects. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidegate_applier::{ApplierError, ErrorKind, KindFacts, Scope};
use tidegate_manifest::GroupKind;
use tokio::time::Instant;

/// What may stand unescaped in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// What a cluster serves.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    kinds: HashMap<GroupKind, Served>,
    /// Groups (with a version, when only one fails) that do not answer, and why.
    pub(crate) silent: BTreeMap<(String, String), String>,
    pub(crate) fetched: Instant,
}

/// A kind in all its versions, the preferred one first.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    kind: GroupKind,
    versions: Vec<Version>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    name: String,
    plural: String,
    scope: Scope,
    has_status: bool,
    can_list: bool,
    can_watch: bool,
    can_delete: bool,
    stale: bool,
}

/// Where the objects of a kind live, at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) kind: GroupKind,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) scope: Scope,
    /// Status is a subresource, so that a write to the object never touches it.
    pub(crate) has_status: bool,
    pub(crate) can_list: bool,
    pub(crate) can_watch: bool,
    pub(crate) can_delete: bool,
    pub(crate) stale: bool,
}

/// A resource as discovery tells it, either form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resource {
    pub(crate) plural: String,
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    pub(crate) has_status: bool,
    pub(crate) stale: bool,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
            silent: BTreeMap::new(),
            fetched: Instant::now(),
        }
    }
}

impl Catalog {
    pub(crate) fn get(&self, kind: &GroupKind) -> Option<&Served> {
        self.kinds.get(kind)
    }

    /// All kinds, sorted.
    pub(crate) fn all(&self) -> Vec<Endpoint> {
        let mut all: Vec<Endpoint> = self.kinds.values().map(Served::preferred).collect();
        all.sort_by(|a, b| a.kind.cmp(&b.kind));
        all
    }

    /// Why a group does not answer.
    pub(crate) fn silent_group(&self, group: &str) -> Option<&str> {
        self.silent
            .iter()
            .find(|((silent, _), _)| silent == group)
            .map(|(_, words)| words.as_str())
    }

    /// Adds a version of a group; versions come in the server's order of preference.
    pub(crate) fn add(&mut self, group: &str, version: &str, resources: &[Resource]) {
        for resource in resources {
            let kind = GroupKind::new(group, resource.kind.as_str());
            let can = |verb: &str| resource.verbs.iter().any(|v| v == verb);
            let entry = Version {
                name: version.to_owned(),
                plural: resource.plural.clone(),
                scope: if resource.namespaced {
                    Scope::Namespaced
                } else {
                    Scope::Cluster
                },
                has_status: resource.has_status,
                can_list: can("list"),
                can_watch: can("watch"),
                can_delete: can("delete"),
                stale: resource.stale,
            };
            let served = self.kinds.entry(kind.clone()).or_insert_with(|| Served {
                kind,
                versions: Vec::new(),
            });
            if !served.versions.iter().any(|v| v.name == version) {
                served.versions.push(entry);
            }
        }
    }

    /// Replaces what is known of one version of a group, keeping the order of versions.
    pub(crate) fn merge(&mut self, group: &str, version: &str, resources: &[Resource]) {
        let mut fresh = Catalog::default();
        fresh.add(group, version, resources);
        for (kind, served) in fresh.kinds {
            let known = self.kinds.entry(kind).or_insert_with(|| Served {
                kind: served.kind.clone(),
                versions: Vec::new(),
            });
            for entry in served.versions {
                match known.versions.iter_mut().find(|v| v.name == entry.name) {
                    Some(old) => *old = entry,
                    None => known.versions.push(entry),
                }
            }
        }
        self.silent.remove(&(group.to_owned(), version.to_owned()));
    }

    /// Takes over what was known of a group that does not answer now, as stale.
    pub(crate) fn keep_stale(&mut self, known: Option<&Catalog>, group: &str, version: &str) {
        for (kind, served) in known.iter().flat_map(|known| &known.kinds) {
            if kind.group != group {
                continue;
            }
            for entry in served.versions.iter().filter(|v| v.name == version) {
                let target = self.kinds.entry(kind.clone()).or_insert_with(|| Served {
                    kind: kind.clone(),
                    versions: Vec::new(),
                });
                if !target.versions.iter().any(|v| v.name == version) {
                    target.versions.push(Version {
                        stale: true,
                        ..entry.clone()
                    });
                }
            }
        }
    }

    /// The same, none of it current, as if it were `age` old.
    pub(crate) fn all_stale(&self, age: Duration) -> Self {
        let mut stale = self.clone();
        stale.fetched = Instant::now().checked_sub(age).unwrap_or(self.fetched);
        for served in stale.kinds.values_mut() {
            for version in &mut served.versions {
                version.stale = true;
            }
        }
        stale
    }
}

impl Served {
    pub(crate) fn at(&self, version: &str) -> Option<Endpoint> {
        self.versions
            .iter()
            .find(|v| v.name == version)
            .map(|v| self.endpoint(v))
    }

    pub(crate) fn preferred(&self) -> Endpoint {
        self.endpoint(&self.versions[0])
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        self.versions.iter().map(|v| v.name.clone()).collect()
    }

    pub(crate) fn facts(&self) -> KindFacts {
        KindFacts {
            kind: self.kind.clone(),
            scope: self.preferred().scope,
            versions: self.versions(),
            stale: self.versions.iter().any(|v| v.stale),
        }
    }

    fn endpoint(&self, version: &Version) -> Endpoint {
        Endpoint {
            kind: self.kind.clone(),
            version: version.name.clone(),
            plural: version.plural.clone(),
            scope: version.scope,
            has_status: version.has_status,
            can_list: version.can_list,
            can_watch: version.can_watch,
            can_delete: version.can_delete,
            stale: version.stale,
        }
    }
}

impl Endpoint {
    /// The path of all objects of the kind, in all namespaces.
    pub(crate) fn collection(&self) -> String {
        let plural = utf8_percent_encode(&self.plural, SEGMENT);
        format!("{}/{plural}", self.root())
    }

    fn root(&self) -> String {
        let version = utf8_percent_encode(&self.version, SEGMENT);
        if self.kind.group.is_empty() {
            format!("/api/{version}")
        } else {
            let group = utf8_percent_encode(&self.kind.group, SEGMENT);
            format!("/apis/{group}/{version}")
        }
    }

    /// The path of the kind's objects in one namespace (in all, for cluster-scoped kinds).
    ///
    /// # Errors
    /// A namespace that is none.
    pub(crate) fn place(&self, namespace: &str) -> Result<String, ApplierError> {
        if self.scope == Scope::Cluster {
            return Ok(self.collection());
        }
        if namespace.is_empty() {
            return Err(ApplierError::new(
                ErrorKind::Invalid,
                format!("{} needs a namespace", self.kind),
            )
            .help("set metadata.namespace, or the destination namespace of the application"));
        }
        segment("namespace", namespace)?;
        let namespace = utf8_percent_encode(namespace, SEGMENT);
        let plural = utf8_percent_encode(&self.plural, SEGMENT);
        Ok(format!("{}/namespaces/{namespace}/{plural}", self.root()))
    }

    /// The path of one object.
    ///
    /// # Errors
    /// A name or namespace that is none.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> Result<String, ApplierError> {
        let place = self.place(namespace)?;
        segment("name", name)?;
        Ok(format!("{place}/{}", utf8_percent_encode(name, SEGMENT)))
    }

    /// `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.kind.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.kind.group, self.version)
        }
    }
}

/// Names become path segments: those that would reach another path are refused (the API server's
/// own rule for path segment names).
fn segment(what: &str, name: &str) -> Result<(), ApplierError> {
    let wrong = if name.is_empty() {
        "may not be empty"
    } else if name == "." || name == ".." {
        "may not be '.' or '..'"
    } else if name.contains('/') {
        "may not contain '/'"
    } else if name.contains('%') {
        "may not contain '%'"
    } else if name.len() > 253 {
        "must be no more than 253 characters"
    } else {
        return Ok(());
    };
    Err(ApplierError::new(
        ErrorKind::Invalid,
        format!("metadata.{what}: {name:?} {wrong}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(plural: &str, kind: &str, namespaced: bool) -> Resource {
        Resource {
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            verbs: vec!["list".to_owned(), "delete".to_owned()],
            ..Resource::default()
        }
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        catalog.add("", "v1", &[resource("configmaps", "ConfigMap", true)]);
        catalog.add("example.com", "v2", &[resource("things", "Thing", false)]);
        catalog.add("example.com", "v1", &[resource("things", "Thing", false)]);
        catalog
    }

    #[test]
    fn paths() {
        let catalog = catalog();
        let maps = catalog
            .get(&GroupKind::new("", "ConfigMap"))
            .expect("served")
            .preferred();
        let things = catalog
            .get(&GroupKind::new("example.com", "Thing"))
            .expect("served");
        assert_eq!(things.versions(), ["v2", "v1"]);
        let things = things.preferred();
        let check = |path: Result<String, ApplierError>, expected: Result<&str, &str>| match (
            path, expected,
        ) {
            (Ok(path), Ok(expected)) => assert_eq!(path, expected),
            (Err(error), Err(words)) => assert!(error.message.contains(words), "{error}"),
            (path, expected) => panic!("{path:?} instead of {expected:?}"),
        };
        check(
            maps.object("a", "b"),
            Ok("/api/v1/namespaces/a/configmaps/b"),
        );
        check(
            things.object("ignored", "system:x"),
            Ok("/apis/example.com/v2/things/system:x"),
        );
        check(
            things.object("", "a b?c"),
            Ok("/apis/example.com/v2/things/a%20b%3Fc"),
        );
        check(maps.object("", "b"), Err("needs a namespace"));
        check(
            maps.object("a", "../../secrets/x"),
            Err("may not contain '/'"),
        );
        check(maps.object("..", "x"), Err("may not be '.'"));
        check(maps.object("a", ".."), Err("may not be '.'"));
        check(maps.object("a", ""), Err("may not be empty"));
        check(maps.object("a", "a%2fb"), Err("may not contain '%'"));
    }

    #[test]
    fn a_silent_group_keeps_what_was_known_as_stale() {
        let known = catalog();
        let mut next = Catalog::default();
        next.keep_stale(Some(&known), "example.com", "v1");
        let facts = next
            .get(&GroupKind::new("example.com", "Thing"))
            .expect("kept")
            .facts();
        assert!(facts.stale);
        assert_eq!(facts.versions, ["v1"]);
        assert!(next.get(&GroupKind::new("", "ConfigMap")).is_none());
        assert!(
            known
                .all_stale(Duration::ZERO)
                .all()
                .iter()
                .all(|endpoint| endpoint.stale)
        );
    }
}
