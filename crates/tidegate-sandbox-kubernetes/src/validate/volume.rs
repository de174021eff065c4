//! Volumes of pods and sources of persistent volumes.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::at::{At, Checks};
use super::container;
use super::{formats, storage};

/// Checks the volumes; answers their names, and whether a claim is behind.
pub(super) fn all<'a>(checks: &mut Checks, spec: &At<'a>) -> Vec<(&'a str, bool)> {
    let mut known: Vec<(&str, bool)> = Vec::new();
    let mut names = HashSet::new();
    for volume in spec.get("volumes").items() {
        source(checks, &volume);
        let name = volume.get("name");
        if checks.present(&name) {
            checks.format(&name, formats::label);
            if !names.insert(name.text()) {
                checks.duplicate(&name);
            }
        }
        let claim =
            volume.get("persistentVolumeClaim").is_set() || volume.get("ephemeral").is_set();
        known.push((name.text(), claim));
    }
    known
}

fn source(checks: &mut Checks, volume: &At<'_>) {
    let kinds: Vec<&str> = SOURCES
        .iter()
        .copied()
        .filter(|kind| volume.get(kind).is_set())
        .collect();
    for (index, kind) in kinds.iter().enumerate() {
        let at = volume.get(kind);
        if index > 0 {
            checks.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        one(checks, kind, &at);
    }
    if kinds.is_empty() {
        checks.required(volume, "must specify a volume type");
    }
}

/// Every kind of source, in the order of the checks.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
    "flexVolume",
];

/// Paths that must be there, per kind.
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("image", &["reference"]),
    ("flexVolume", &["driver"]),
    ("secret", &["secretName"]),
    ("configMap", &["name"]),
];

/// One source of a pod's volume, or of a persistent volume.
pub(super) fn one(checks: &mut Checks, kind: &str, at: &At<'_>) {
    if let Some((_, fields)) = REQUIRED.iter().find(|(name, _)| *name == kind) {
        for field in *fields {
            checks.present(&at.get(field));
        }
    }
    match kind {
        "emptyDir" => {
            let limit = at.get("sizeLimit");
            if container::amount_of(limit.value).is_some_and(|amount| amount.as_f64() < 0.0) {
                checks.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
            }
        }
        "hostPath" => host_path(checks, at),
        "nfs" => {
            checks.present(&at.get("server"));
            let path = at.get("path");
            checks.present(&path);
            if !path.text().starts_with('/') {
                checks.invalid_as(
                    path.path.as_str(),
                    &json!(path.text()),
                    "must be an absolute path",
                );
            }
        }
        "secret" | "configMap" => {
            mode(checks, &at.get("defaultMode"));
            keys(checks, &at.get("items"));
        }
        "downwardAPI" => {
            mode(checks, &at.get("defaultMode"));
            downward(checks, at, &at.get("items"));
        }
        "projected" => projected(checks, at),
        "ephemeral" => {
            let template = at.get("volumeClaimTemplate");
            if template.is_set() {
                storage::claim_spec(checks, &template.get("spec"));
            } else {
                checks.required(&template, "");
            }
        }
        _ => {}
    }
}

const HOST_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

fn host_path(checks: &mut Checks, at: &At<'_>) {
    let path = at.get("path");
    if checks.present(&path) && path.text().split('/').any(|part| part == "..") {
        checks.invalid(&path, "must not contain '..'");
    }
    checks.one_of_if_set(&at.get("type"), &HOST_TYPES);
}

fn mode(checks: &mut Checks, at: &At<'_>) {
    if at.number().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        checks.invalid(
            at,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

fn keys(checks: &mut Checks, items: &At<'_>) {
    for item in items.items() {
        checks.present(&item.get("key"));
        let path = item.get("path");
        if checks.present(&path) {
            checks.format(&path, inner_path);
        }
        mode(checks, &item.get("mode"));
    }
}

/// A relative path that does not begin with two dots.
fn inner_path(text: &str) -> Vec<String> {
    let mut whys = formats::local_path(text);
    if text.starts_with("..") && !text.starts_with("../") && text != ".." {
        whys.push("must not start with '..'".to_owned());
    }
    whys
}

/// Paths of a pod that a file may show.
const FILE_PATHS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

fn downward<'a>(checks: &mut Checks, owner: &At<'a>, items: &At<'a>) {
    for item in items.items() {
        // The real server leaves the position out of these paths.
        let at = |name: &str| At {
            path: owner.path_of(name),
            value: item.get(name).value,
        };
        let path = at("path");
        if checks.present(&path) {
            checks.format(&path, inner_path);
        }
        let (field, resource) = (at("fieldRef"), at("resourceFieldRef"));
        if field.is_set() {
            container::field_ref(checks, &field, &FILE_PATHS);
            if resource.is_set() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                checks.invalid_as(owner.path.as_str(), &json!("resource"), why);
            }
        } else if resource.is_set() {
            container::resource_ref(checks, &resource);
        } else {
            checks.required(owner, "one of fieldRef and resourceFieldRef is required");
        }
        mode(checks, &at("mode"));
    }
}

fn projected(checks: &mut Checks, at: &At<'_>) {
    mode(checks, &at.get("defaultMode"));
    for source in at.get("sources").items() {
        let kinds = [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ];
        let mut count = 0;
        for kind in kinds {
            let projection = source.get(kind);
            if !projection.is_set() {
                continue;
            }
            count += 1;
            if count > 1 {
                checks.forbidden(
                    &source,
                    "may not specify more than 1 volume type per source",
                );
                continue;
            }
            match kind {
                "secret" | "configMap" => {
                    checks.present(&projection.get("name"));
                    keys(checks, &projection.get("items"));
                }
                "downwardAPI" => downward(checks, &projection, &projection.get("items")),
                "serviceAccountToken" => {
                    checks.present(&projection.get("path"));
                    let seconds = projection.get("expirationSeconds");
                    if seconds.number().is_some_and(|seconds| seconds < 600) {
                        checks.invalid(&seconds, "may not specify a duration less than 10 minutes");
                    }
                }
                _ => {}
            }
        }
    }
}

/// The sources that a persistent volume has set.
pub(super) fn sources_of(spec: &Value) -> Vec<&'static str> {
    const MORE: [&str; 1] = ["local"];
    let is_set = |kind: &str| spec.get(kind).is_some_and(|value| !value.is_null());
    SOURCES
        .iter()
        .chain(&MORE)
        .copied()
        .filter(|kind| is_set(kind))
        .collect()
}
