//! Claims, persistent volumes, storage classes.

use serde_json::Value;

use super::at::{At, Checks};
use super::{container, formats, pod, volume};
use crate::status::Cause;

const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

/// A claim's spec, also inside templates.
pub(super) fn claim_spec(checks: &mut Checks, spec: &At<'_>) {
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        checks.required(&modes, "at least 1 access mode is required");
    }
    checks.selector(&spec.get("selector"));
    access_modes(checks, &modes);
    // The path leaves the requests out, as the real server's does.
    let storage = At {
        path: format!("{}[storage]", spec.path_of("resources")),
        value: spec.get("resources").get("requests").get("storage").value,
    };
    match container::amount_of(storage.value) {
        None => checks.required(&storage, ""),
        Some(amount) if amount.as_f64() <= 0.0 => {
            checks.invalid(&storage, "must be greater than zero");
        }
        Some(_) => {}
    }
    let class = spec.get("storageClassName");
    if !class.is_empty() {
        checks.format(&class, formats::subdomain);
    }
    checks.one_of_if_set(&spec.get("volumeMode"), &["Block", "Filesystem"]);
    for field in ["dataSource", "dataSourceRef"] {
        let source = spec.get(field);
        if source.is_set() {
            checks.present(&source.get("name"));
            checks.present(&source.get("kind"));
        }
    }
}

fn access_modes(checks: &mut Checks, modes: &At<'_>) {
    let mut alone = false;
    for mode in modes.items() {
        if !MODES.contains(&mode.text()) {
            checks.add(Cause::not_supported(
                modes.path.as_str(),
                mode.value,
                &MODES,
            ));
        }
        alone |= mode.text() == "ReadWriteOncePod";
    }
    if alone && modes.items().len() > 1 {
        checks.forbidden(
            modes,
            "may not use ReadWriteOncePod with other access modes",
        );
    }
}

const CLAIM_FIXED: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";

/// A claim stays as it is; bound ones may grow.
pub(super) fn claim_change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    let (now, before) = (new.get("spec"), old.get("spec"));
    let bound = old.get("status").get("phase").text() == "Bound";
    let fixed = |at: &At<'_>| {
        let mut map = at.value.as_object().cloned().unwrap_or_default();
        if before.get("volumeName").is_empty() {
            map.remove("volumeName");
        }
        if before.get("storageClassName").is_empty() {
            map.remove("storageClassName");
        }
        map.remove("volumeAttributesClassName");
        if bound && let Some(Value::Object(resources)) = map.get_mut("resources") {
            resources.remove("requests");
        }
        map
    };
    if fixed(&now) != fixed(&before) {
        checks.forbidden(&now, CLAIM_FIXED);
        return;
    }
    let wanted = now.get("resources").get("requests").get("storage");
    let had = before.get("resources").get("requests").get("storage");
    let capacity = container::amount_of(old.get("status").get("capacity").get("storage").value);
    let shrinks = container::amount_of(wanted.value) < container::amount_of(had.value);
    if bound
        && shrinks
        && capacity.is_none_or(|capacity| container::amount_of(wanted.value) < Some(capacity))
    {
        checks.forbidden(&wanted, "field can not be less than status.capacity");
    }
}

pub(super) fn volume(checks: &mut Checks, object: &At<'_>) {
    let spec = object.get("spec");
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        checks.required(&modes, "");
    }
    access_modes(checks, &modes);
    let capacity = spec.get("capacity");
    if capacity.is_empty() {
        checks.required(&capacity, "");
    }
    let entries = capacity.entries();
    if entries.len() != 1 || entries[0].0 != "storage" {
        checks.add(Cause::not_supported(
            capacity.path.as_str(),
            capacity.value,
            &["storage"],
        ));
    }
    for (name, amount) in entries {
        container::quantity(checks, name, &amount);
        if container::amount_of(amount.value).is_some_and(|amount| amount.is_zero()) {
            checks.invalid(&amount, "must be greater than zero");
        }
    }
    let kinds = volume::sources_of(spec.value);
    for (index, kind) in kinds.iter().enumerate() {
        let at = spec.get(kind);
        if index > 0 {
            checks.forbidden(&at, "may not specify more than 1 volume type");
        } else if *kind == "local" {
            checks.present(&at.get("path"));
            if !spec.get("nodeAffinity").is_set() {
                checks.required(
                    &object.get("metadata").get("annotations"),
                    "Local volume requires node affinity",
                );
            }
        } else if *kind == "csi" {
            checks.present(&at.get("driver"));
            checks.present(&at.get("volumeHandle"));
        } else {
            volume::one(checks, kind, &at);
        }
    }
    if kinds.is_empty() {
        checks.required(&spec, "must specify a volume type");
    }
    let affinity = spec.get("nodeAffinity").get("required");
    for term in affinity.get("nodeSelectorTerms").items() {
        pod::node_term(checks, &term);
    }
    let reclaim = spec.get("persistentVolumeReclaimPolicy");
    checks.one_of(&reclaim, &["Delete", "Recycle", "Retain"]);
    let class = spec.get("storageClassName");
    if !class.is_empty() {
        checks.format(&class, formats::subdomain);
    }
    checks.one_of_if_set(&spec.get("volumeMode"), &["Block", "Filesystem"]);
}

/// The source of a volume never changes.
pub(super) fn volume_change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    let sources = |at: &At<'_>| -> Vec<(&str, Value)> {
        volume::sources_of(at.value)
            .into_iter()
            .map(|kind| (kind, at.value[kind].clone()))
            .collect()
    };
    if sources(new) != sources(old) {
        let at = At {
            path: new.path_of("persistentvolumesource"),
            value: new.value,
        };
        checks.forbidden(
            &at,
            "spec.persistentvolumesource is immutable after creation\n",
        );
    }
    // The real server names this path without the spec.
    if new.get("volumeMode").value != old.get("volumeMode").value {
        checks.invalid_as(
            "volumeMode",
            new.get("volumeMode").value,
            "field is immutable",
        );
    }
}

pub(super) fn class(checks: &mut Checks, object: &At<'_>) {
    let provisioner = object.get("provisioner");
    if provisioner.is_empty() {
        checks.required(&provisioner, "");
    } else {
        for why in formats::qualified(&provisioner.text().to_lowercase()) {
            checks.invalid(&provisioner, &why);
        }
    }
    let parameters = object.get("parameters");
    for (key, _) in parameters.entries() {
        if key.is_empty() {
            let shown = Value::String(String::new());
            checks.invalid_as(parameters.path.as_str(), &shown, "field can not be empty.");
        }
    }
    checks.one_of(&object.get("reclaimPolicy"), &["Delete", "Retain"]);
    checks.one_of(
        &object.get("volumeBindingMode"),
        &["Immediate", "WaitForFirstConsumer"],
    );
}
