//! Rows of volumes, claims, classes and drivers.

use serde_json::{Value, json};

use super::row::{NONE, Row, UNSET, join, or, quantity, text};
use crate::object;

/// The name, marked when an annotation makes the class the default.
pub(super) fn marked(row: &Row<'_>, annotations: &[&str]) -> Value {
    let name = object::name(row.object);
    if annotations.iter().any(|key| row.annotated(key)) {
        return json!(format!("{name} (default)"));
    }
    json!(name)
}

/// Access modes in the server's own order and short form.
fn modes(row: &Row<'_>, pointer: &str) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given: Vec<&str> = row.list(pointer).iter().filter_map(Value::as_str).collect();
    let known = SHORT.iter().filter(|(long, _)| given.contains(long));
    join(known.map(|(_, short)| *short), ",")
}

/// The storage class, which old objects carry in an annotation.
fn class<'a>(row: &Row<'a>) -> &'a str {
    let old = object::metadata(row.object)
        .and_then(|meta| meta.get("annotations"))
        .and_then(|map| map.get("volume.beta.kubernetes.io/storage-class"))
        .and_then(Value::as_str);
    old.unwrap_or_else(|| row.text("/spec/storageClassName"))
}

fn phase<'a>(row: &Row<'a>) -> &'a str {
    if row.is_deleting() {
        "Terminating"
    } else {
        row.text("/status/phase")
    }
}

pub(super) fn claim(row: &Row<'_>) -> Vec<Value> {
    let volume = row.text("/spec/volumeName");
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => (
            quantity(row.at("/status/capacity/storage")),
            modes(row, "/status/accessModes"),
        ),
    };
    vec![
        row.name(),
        json!(phase(row)),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(class(row)),
        json!(row.text_or("/spec/volumeAttributesClassName", UNSET)),
        row.age(),
        json!(row.text_or("/spec/volumeMode", UNSET)),
    ]
}

pub(super) fn volume(row: &Row<'_>) -> Vec<Value> {
    let claim = row.at("/spec/claimRef").map_or_else(String::new, |claim| {
        format!("{}/{}", text(claim, "/namespace"), text(claim, "/name"))
    });
    vec![
        row.name(),
        json!(quantity(row.at("/spec/capacity/storage"))),
        json!(modes(row, "/spec/accessModes")),
        json!(row.text("/spec/persistentVolumeReclaimPolicy")),
        json!(phase(row)),
        json!(claim),
        json!(class(row)),
        json!(row.text_or("/spec/volumeAttributesClassName", UNSET)),
        json!(row.text("/status/reason")),
        row.age(),
        json!(row.text_or("/spec/volumeMode", UNSET)),
    ]
}

pub(super) fn storage_class(row: &Row<'_>) -> Vec<Value> {
    const DEFAULT: [&str; 2] = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ];
    vec![
        marked(row, &DEFAULT),
        json!(row.text("/provisioner")),
        json!(row.text_or("/reclaimPolicy", "Delete")),
        json!(row.text_or("/volumeBindingMode", "Immediate")),
        json!(row.flag("/allowVolumeExpansion", false)),
        row.age(),
    ]
}

pub(super) fn attributes_class(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), json!(row.text("/driverName")), row.age()]
}

pub(super) fn attachment(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.text("/spec/attacher")),
        json!(row.text("/spec/source/persistentVolumeName")),
        json!(row.text("/spec/nodeName")),
        json!(row.flag("/status/attached", false)),
        row.age(),
    ]
}

pub(super) fn csi_node(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        json!(row.list("/spec/drivers").len()),
        row.age(),
    ]
}

pub(super) fn csi_driver(row: &Row<'_>) -> Vec<Value> {
    let audiences = row.at("/spec/tokenRequests").and_then(Value::as_array);
    let audiences = audiences.map_or_else(
        || UNSET.to_owned(),
        |list| join(list.iter().map(|one| text(one, "/audience")), ","),
    );
    let modes = join(
        row.list("/spec/volumeLifecycleModes")
            .iter()
            .filter_map(Value::as_str),
        ",",
    );
    vec![
        row.name(),
        json!(row.flag("/spec/attachRequired", true)),
        json!(row.flag("/spec/podInfoOnMount", false)),
        json!(row.flag("/spec/storageCapacity", false)),
        json!(audiences),
        json!(row.flag("/spec/requiresRepublish", false)),
        json!(or(&modes, NONE)),
        row.age(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_tell_their_size_once_bound() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |object: Value, expected: [&str; 5]| {
            let cells = claim(&Row {
                object: &object,
                now,
            });
            assert_eq!(cells[1..6], expected.map(|cell| json!(cell)));
        };
        let spec =
            json!({"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}});
        check(
            json!({"spec": spec, "status": {"phase": "Pending"}}),
            ["Pending", "", "", "", "fast"],
        );
        check(
            json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
                "spec": {"volumeName": "v"},
                "status": {"phase": "Bound", "capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}}),
            ["Bound", "v", "1Gi", "RWO,RWX", "old"],
        );
        check(
            json!({"metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Bound"}}),
            ["Terminating", "", "", "", ""],
        );
    }
}
