//! Discovery documents in their three forms: aggregated v2, aggregated v2beta1, and the old lists (spec kubernetes.md B2).

use serde_json::{Value, json};

use tidegate_diff::schema::resources::SubresourceFacts;

use crate::registry::{Group, Registry};
use crate::resource::{Resource, Version, api_version};

/// The group versions of the two aggregated forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregated {
    V2,
    V2Beta1,
}

impl Aggregated {
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }
}

/// A subresource as discovery shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sub {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) verbs: Vec<String>,
}

/// The subresources of a resource at a version.
pub(crate) fn subresources(resource: &Resource, version: &Version) -> Vec<Sub> {
    if let Some(facts) = resource.facts {
        let own = |sub: &SubresourceFacts| Sub {
            name: sub.name.clone(),
            group: sub.group.clone(),
            // A foreign kind keeps its version, an own one follows the resource's.
            version: if sub.group == facts.group {
                version.name.clone()
            } else {
                sub.version.clone()
            },
            kind: sub.kind.clone(),
            verbs: sub.verbs.clone(),
        };
        return facts.subresources.iter().map(own).collect();
    }
    let verbs = ["get", "patch", "update"].map(str::to_owned).to_vec();
    let mut subs = Vec::new();
    if version.status {
        subs.push(Sub {
            name: "status".to_owned(),
            group: resource.name.group().to_owned(),
            version: version.name.clone(),
            kind: resource.kind.clone(),
            verbs: verbs.clone(),
        });
    }
    if version.scale.is_some() {
        subs.push(Sub {
            name: "scale".to_owned(),
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            kind: "Scale".to_owned(),
            verbs,
        });
    }
    subs
}

fn served<'a>(
    registry: &'a Registry,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = (&'a Resource, &'a Version)> {
    registry
        .all()
        .filter(move |resource| resource.name.group() == group)
        .filter_map(move |resource| Some((&**resource, resource.version(version)?)))
}

/// The aggregated document of `/api` (`core`) or `/apis`.
pub(crate) fn aggregated(registry: &Registry, form: Aggregated, core: bool) -> Value {
    let items: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|group| group.name.is_empty() == core)
        .map(|group| aggregated_group(registry, group))
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{}", form.version()),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_group(registry: &Registry, group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> = served(registry, &group.name, version)
                .map(|(resource, version)| aggregated_resource(resource, version))
                .collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let mut metadata = json!({});
    if !group.name.is_empty() {
        metadata["name"] = json!(group.name);
    }
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Resource, version: &Version) -> Value {
    // Built-in groups leave out what is the same as around them.
    let kind = |group: &str, named: &str, kind: &str| {
        let same = group == resource.name.group() && named == version.name;
        if same && resource.facts.is_some() {
            return json!({"group": "", "version": "", "kind": kind});
        }
        json!({"group": group, "version": named, "kind": kind})
    };
    let subs: Vec<Value> = subresources(resource, version)
        .iter()
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": kind(&sub.group, &sub.version, &sub.kind),
                "verbs": sub.verbs,
            })
        })
        .collect();
    let mut out = json!({
        "resource": resource.name.resource(),
        "responseKind": kind(resource.name.group(), &version.name, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs(),
    });
    if !resource.short_names.is_empty() {
        out["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        out["categories"] = json!(resource.categories);
    }
    if !subs.is_empty() {
        out["subresources"] = Value::Array(subs);
    }
    out
}

/// The old document of `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// The old document of `/apis`.
pub(crate) fn group_list(registry: &Registry) -> Value {
    let groups: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|group| !group.name.is_empty())
        .map(group_body)
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// The old document of `/apis/GROUP`.
pub(crate) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = registry.groups();
    let group = groups
        .iter()
        .find(|group| group.name == name && !name.is_empty())?;
    let mut body = group_body(group);
    body["kind"] = json!("APIGroup");
    body["apiVersion"] = json!("v1");
    Some(body)
}

fn group_body(group: &Group) -> Value {
    let version = |version: &String| json!({"groupVersion": api_version(&group.name, version), "version": version});
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({"name": group.name, "versions": versions, "preferredVersion": versions.first()})
}

/// The old document of `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resource_list(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    if !registry.serves_version(group, version) {
        return None;
    }
    let mut resources = Vec::new();
    for (resource, version) in served(registry, group, version) {
        let mut entry = json!({
            "name": resource.name.resource(),
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs(),
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        resources.push(entry);
        for sub in subresources(resource, version) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.name.resource(), sub.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": sub.kind,
                "verbs": sub.verbs,
            });
            if sub.group != group || sub.version != version.name {
                entry["group"] = json!(sub.group);
                entry["version"] = json!(sub.version);
            }
            resources.push(entry);
        }
    }
    let mut out = json!({
        "kind": "APIResourceList",
        "groupVersion": api_version(group, version),
        "resources": resources,
    });
    if !group.is_empty() {
        out["apiVersion"] = json!("v1");
    }
    Some(out)
}
