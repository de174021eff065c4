//! Quotas and limits.

use std::collections::HashSet;

use serde_json::json;
use tidegate_gocompat::Quantity;

use super::at::{At, Checks};
use super::{container, formats};

/// Resources without a domain that the server knows.
const STANDARD: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
    "requests.storage",
    "resourceclaims",
    "requests.hugepages-",
];

/// Of these there are only whole ones.
const COUNTED: [&str; 9] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

pub(super) fn is_standard_resource(name: &str) -> bool {
    STANDARD.contains(&name)
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

pub(super) fn is_counted(name: &str) -> bool {
    COUNTED.contains(&name)
}

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

pub(super) fn quota(checks: &mut Checks, spec: &At<'_>) {
    for (name, amount) in spec.get("hard").entries() {
        for why in formats::qualified(name) {
            checks.invalid_as(amount.path.as_str(), &json!(name), &why);
        }
        if !name.contains('/') {
            if !is_standard_resource(name) {
                let why = "must be a standard resource type or fully qualified";
                checks.invalid_as(amount.path.as_str(), &json!(name), why);
            }
            if !is_standard_resource(name) || name == "storage" {
                checks.invalid_as(
                    amount.path.as_str(),
                    &json!(name),
                    "must be a standard resource for quota",
                );
            }
        }
        container::quantity(checks, name, &amount);
    }
    let scopes = spec.get("scopes");
    let hard = spec.get("hard").entries();
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            checks.invalid(&scopes, "unsupported scope");
        } else if hard.iter().any(|(name, _)| !counts_in(scope.text(), name)) {
            checks.invalid(&scopes, "unsupported scope applied to resource");
        }
    }
}

/// Whether a scope means anything for a resource: the best effort asks for nothing but pods.
fn counts_in(scope: &str, resource: &str) -> bool {
    const COMPUTE: [&str; 9] = [
        "pods",
        "cpu",
        "memory",
        "requests.cpu",
        "requests.memory",
        "limits.cpu",
        "limits.memory",
        "ephemeral-storage",
        "requests.ephemeral-storage",
    ];
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => {
            resource == "persistentvolumeclaims" || resource == "requests.storage"
        }
        _ => {
            COMPUTE.contains(&resource)
                || resource.starts_with("requests.hugepages-")
                || resource.contains('/')
        }
    }
}

pub(super) fn limits(checks: &mut Checks, spec: &At<'_>) {
    let mut kinds = HashSet::new();
    for item in spec.get("limits").items() {
        let kind = item.get("type");
        for why in formats::qualified(kind.text()) {
            checks.invalid_as(kind.path.as_str(), &json!(kind.text()), &why);
        }
        let standard = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind.text());
        if !standard && !kind.is_empty() && !kind.text().contains('/') {
            checks.invalid(&kind, "must be a standard limit type or fully qualified");
        }
        if !kinds.insert(kind.text()) {
            checks.duplicate(&kind);
            continue;
        }
        if kind.text() == "Pod" {
            for field in ["default", "defaultRequest"] {
                if !item.get(field).is_empty() {
                    checks.forbidden(
                        &item.get(field),
                        "may not be specified when `type` is 'Pod'",
                    );
                }
            }
        }
        if kind.text() == "PersistentVolumeClaim"
            && ["min", "max"]
                .iter()
                .all(|field| item.get(field).get("storage").value.is_null())
        {
            let why =
                "either minimum or maximum storage value is required, but neither was provided";
            checks.required(&item, why);
        }
        bounds(checks, &item);
    }
}

/// min <= defaultRequest <= default <= max, per resource.
fn bounds(checks: &mut Checks, item: &At<'_>) {
    let fields = [
        "max",
        "min",
        "default",
        "defaultRequest",
        "maxLimitRequestRatio",
    ];
    let names: std::collections::BTreeSet<&str> = fields
        .iter()
        .flat_map(|field| item.get(field).entries())
        .map(|(name, _)| name)
        .collect();
    for name in names {
        let read = |field: &str| container::amount_of(item.get(field).get(name).value);
        let [max, min, limit, request] = ["max", "min", "default", "defaultRequest"].map(read);
        let show = |quantity: &Option<Quantity>| {
            quantity
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let above = |a: &Option<Quantity>, b: &Option<Quantity>| matches!((a, b), (Some(a), Some(b)) if a > b);
        let mut refuse = |field: &str, value: &Option<Quantity>, why: String| {
            checks.invalid_as(
                format!("{}[{name}]", item.path_of(field)),
                &json!(show(value)),
                &why,
            );
        };
        if above(&min, &max) {
            refuse(
                "min",
                &min,
                format!(
                    "min value {} is greater than max value {}",
                    show(&min),
                    show(&max)
                ),
            );
        }
        if above(&min, &request) {
            let why = format!(
                "min value {} is greater than default request value {}",
                show(&min),
                show(&request)
            );
            refuse("defaultRequest", &request, why);
        }
        if above(&request, &max) {
            let why = format!(
                "default request value {} is greater than max value {}",
                show(&request),
                show(&max)
            );
            refuse("defaultRequest", &request, why);
        }
        if above(&request, &limit) {
            let why = format!(
                "default request value {} is greater than default limit value {}",
                show(&request),
                show(&limit)
            );
            refuse("defaultRequest", &request, why);
        }
        // These two show the bound instead of the value, as the real server does.
        if above(&min, &limit) {
            let why = format!(
                "min value {} is greater than default value {}",
                show(&min),
                show(&limit)
            );
            refuse("default", &min, why);
        }
        if above(&limit, &max) {
            let why = format!(
                "default value {} is greater than max value {}",
                show(&limit),
                show(&max)
            );
            refuse("default", &max, why);
        }
    }
}
