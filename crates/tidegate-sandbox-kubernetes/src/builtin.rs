//! The built-in resources that the sandbox serves: discovery's facts plus what discovery does not say.
//! Data only.

use std::sync::{Arc, OnceLock};

use tidegate_diff::schema::Schema;
use tidegate_diff::schema::resources::{self, ResourceFacts};

use crate::resource::{DeleteReply, Generation, Resource, ResourceName, ScalePaths, Version};

/// Resources whose `metadata.generation` follows their content (Kubernetes' registry strategies, 1.36).
const TRACKED: &[(&str, &str)] = &[
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
    ("discovery.k8s.io", "endpointslices"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"),
    (
        "flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations",
    ),
    ("networking.k8s.io", "ingressclasses"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceslices"),
];

/// Resources whose generation is 1 for ever.
const CONSTANT: &[(&str, &str)] = &[
    ("", "podtemplates"),
    ("scheduling.k8s.io", "priorityclasses"),
];

/// Resources whose `DELETE` answers the object instead of a Status.
const ANSWERS_OBJECT: &[(&str, &str)] = &[
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// Every built-in resource, read once.
pub(crate) fn resources() -> &'static [Arc<Resource>] {
    static ALL: OnceLock<Vec<Arc<Resource>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut list: Vec<Resource> = Vec::new();
        for facts in resources::builtin()
            .iter()
            .filter(|facts| facts.on_by_default())
        {
            let id = (facts.group.as_str(), facts.resource.as_str());
            match list.iter_mut().find(|known| known.is(id.0, id.1)) {
                Some(known) => known.versions.push(version(facts)),
                None => list.push(resource(facts)),
            }
        }
        list.iter_mut().for_each(choose_storage);
        list.into_iter().map(Arc::new).collect()
    })
}

fn resource(facts: &'static ResourceFacts) -> Resource {
    let id = (facts.group.as_str(), facts.resource.as_str());
    let generation = if TRACKED.contains(&id) {
        Generation::Tracked
    } else if CONSTANT.contains(&id) {
        Generation::Constant
    } else {
        Generation::Untracked
    };
    let answers_object = ANSWERS_OBJECT.contains(&id);
    Resource {
        name: ResourceName::new(&facts.group, &facts.resource),
        table: match id {
            ("events.k8s.io", "events") => ResourceName::new("", "events"),
            _ => ResourceName::new(&facts.group, &facts.resource),
        },
        kind: facts.kind.clone(),
        list_kind: format!("{}List", facts.kind),
        singular: facts.singular.clone(),
        short_names: facts.short_names.clone(),
        categories: facts.categories.clone(),
        namespaced: facts.namespaced,
        versions: vec![version(facts)],
        generation,
        delete_reply: if answers_object {
            DeleteReply::Object
        } else {
            DeleteReply::Status
        },
        create_only: facts.verbs == ["create"],
        terminating: false,
        facts: Some(facts),
    }
}

fn version(facts: &'static ResourceFacts) -> Version {
    let scale = facts.subresource("scale").map(|_| ScalePaths {
        spec: ".spec.replicas".to_owned(),
        status: ".status.replicas".to_owned(),
        selector: None,
    });
    Version {
        name: facts.version.clone(),
        served: true,
        storage: false,
        status: facts.subresource("status").is_some(),
        scale,
        smd: Schema::builtin(&facts.group, &facts.version, &facts.kind),
        custom: None,
    }
}

/// Objects are kept at the version that loses nothing: the newest.
fn choose_storage(resource: &mut Resource) {
    resource
        .versions
        .sort_by_key(|version| crate::registry::priority(&version.name));
    if let Some(first) = resource.versions.first_mut() {
        first.storage = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_tables_is_served() {
        for (group, name) in TRACKED.iter().chain(CONSTANT).chain(ANSWERS_OBJECT) {
            let found = resources().iter().any(|resource| resource.is(group, name));
            assert!(found, "{group}/{name}");
        }
    }

    #[test]
    fn every_stored_kind_has_a_schema() {
        let status = |resource: &Resource| resource.is("", "componentstatuses");
        let stored = resources().iter().filter(|resource| !resource.create_only);
        for resource in stored.filter(|resource| !status(resource)) {
            for version in &resource.versions {
                assert!(version.smd.is_some(), "{} {}", resource.name, version.name);
            }
        }
    }
}
