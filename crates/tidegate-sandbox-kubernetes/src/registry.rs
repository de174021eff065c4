//! What is served right now: built-ins plus the custom resources of established definitions.
//! Immutable: a change of definitions makes a new registry, readers keep the one they hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::openapi::Documents;
use crate::resource::{Resource, ResourceName};

/// All served resources.
#[derive(Debug)]
pub(crate) struct Registry {
    resources: BTreeMap<ResourceName, Arc<Resource>>,
    kinds: HashMap<(String, String), ResourceName>,
    /// The OpenAPI documents of these resources.
    pub(crate) documents: Documents,
}

impl Registry {
    /// Built-ins and the given custom resources; a built-in always wins.
    pub(crate) fn new(custom: Vec<Resource>) -> Self {
        let mut resources = BTreeMap::new();
        let mut kinds = HashMap::new();
        let builtin = crate::builtin::resources().iter().cloned();
        for resource in builtin.chain(custom.into_iter().map(Arc::new)) {
            let kind = (resource.name.group().to_owned(), resource.kind.clone());
            if resources.contains_key(&resource.name) {
                continue;
            }
            kinds.entry(kind).or_insert_with(|| resource.name.clone());
            resources.insert(resource.name.clone(), resource);
        }
        Self {
            resources,
            kinds,
            documents: Documents::default(),
        }
    }

    pub(crate) fn get(&self, name: &ResourceName) -> Option<Arc<Resource>> {
        self.resources.get(name).cloned()
    }

    pub(crate) fn by_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        let name = self.kinds.get(&(group.to_owned(), kind.to_owned()))?;
        self.resources.get(name)
    }

    /// All resources, by group and plural.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// Whether any resource is served in that group and version.
    pub(crate) fn serves_version(&self, group: &str, version: &str) -> bool {
        self.all()
            .any(|r| r.name.group() == group && r.version(version).is_some())
    }

    /// The groups with their versions, in the order of discovery: the server's preference first.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in self.all() {
            let versions = groups.entry(resource.name.group()).or_default();
            for version in resource.versions.iter().filter(|version| version.served) {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        let mut list: Vec<Group> = groups
            .into_iter()
            .map(|(name, mut versions)| {
                versions.sort_by_key(|version| priority(version));
                let versions = versions.into_iter().map(str::to_owned).collect();
                Group {
                    name: name.to_owned(),
                    versions,
                }
            })
            .filter(|group| !group.versions.is_empty())
            .collect();
        list.sort_by_key(|group| rank(&group.name));
        list
    }
}

/// A served group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// Preferred first.
    pub(crate) versions: Vec<String>,
}

/// Groups in the order in which the real server lists them; custom groups follow by name.
fn rank(group: &str) -> (usize, String) {
    const ORDER: [&str; 21] = [
        "",
        "apiregistration.k8s.io",
        "apps",
        "events.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "scheduling.k8s.io",
        "coordination.k8s.io",
        "node.k8s.io",
        "discovery.k8s.io",
        "resource.k8s.io",
        "flowcontrol.apiserver.k8s.io",
    ];
    let position = ORDER
        .iter()
        .position(|known| *known == group)
        .unwrap_or(ORDER.len());
    (position, group.to_owned())
}

/// Kubernetes' version priority: GA before beta before alpha, higher first, others last by name.
pub(crate) fn priority(version: &str) -> (u8, std::cmp::Reverse<(u32, u32)>, String) {
    fn parse(version: &str) -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major: u32 = rest[..end].parse().ok()?;
        let tail = &rest[end..];
        if tail.is_empty() {
            return Some((0, major, 0));
        }
        if let Some(minor) = tail.strip_prefix("beta") {
            return Some((1, major, minor.parse().ok()?));
        }
        Some((2, major, tail.strip_prefix("alpha")?.parse().ok()?))
    }
    match parse(version) {
        Some((stage, major, minor)) => (stage, std::cmp::Reverse((major, minor)), String::new()),
        None => (3, std::cmp::Reverse((0, 0)), version.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_stage_then_number() {
        let mut versions = [
            "foo10",
            "v1",
            "v11alpha2",
            "v10",
            "v3beta1",
            "v12alpha1",
            "v2",
            "foo1",
        ];
        versions.sort_by_key(|version| priority(version));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v3beta1",
                "v12alpha1",
                "v11alpha2",
                "foo1",
                "foo10"
            ]
        );
    }
}
