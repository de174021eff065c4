//! Claims and volumes: a provisioner that always has room, and what happens to a volume when its claim goes
//! (Kubernetes `pkg/controller/volume/persistentvolume`).

use crate::context::Context;
use crate::pod::needs::{SELECTED_NODE, waits_for_consumer};
use crate::resources::{CLAIMS, STORAGE_CLASSES, VOLUMES};
use crate::value::{annotation, at, deleting, name, namespace, text, uid};
use serde_json::{Value, json};

const PROVISION: u64 = 200;

/// A claim: Pending until its volume exists, then Bound.
pub(crate) fn react_claim(cx: &mut Context<'_>) {
    let claim = cx.object;
    if deleting(claim) {
        return;
    }
    if text(claim, "status.phase") == "Bound" {
        return grow(cx);
    }
    if let Some(message) = cx.faults.failure(0).map(str::to_owned) {
        cx.merge_status(json!({"phase": "Pending"}));
        if cx.passed("provision", PROVISION, PROVISION) && cx.fact("told").is_null() {
            cx.remember("told", json!(true));
            cx.event(
                "Warning",
                "ProvisioningFailed",
                format!("failed to provision volume: {message}"),
            );
        }
        return;
    }
    if waits_for_consumer(cx, claim) && annotation(claim, SELECTED_NODE).is_none() {
        cx.merge_status(json!({"phase": "Pending"}));
        if cx.fact("told").is_null() {
            cx.remember("told", json!(true));
            let message = "waiting for first consumer to be created before binding";
            cx.event("Normal", "WaitForFirstConsumer", message);
        }
        return;
    }
    if !cx.passed("provision", PROVISION, PROVISION) {
        cx.merge_status(json!({"phase": "Pending"}));
        return;
    }
    let chosen = text(claim, "spec.volumeName");
    let volume_name = if chosen.is_empty() {
        format!("pvc-{}", uid(claim))
    } else {
        chosen.to_owned()
    };
    match cx.get(&VOLUMES, "", &volume_name) {
        None if !chosen.is_empty() => return cx.merge_status(json!({"phase": "Pending"})),
        None => provision(cx, &volume_name),
        Some(volume) if text(&volume, "spec.claimRef.uid").is_empty() => {
            cx.patch(
                &VOLUMES,
                &volume,
                json!({"spec": {"claimRef": claim_ref(claim)}}),
            );
        }
        Some(_) => {}
    }
    if chosen.is_empty() {
        cx.patch_self(json!({
            "metadata": {"annotations": {
                "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
            }},
            "spec": {"volumeName": volume_name},
        }));
    }
    cx.merge_status(json!({
        "phase": "Bound",
        "accessModes": at(claim, "spec.accessModes"),
        "capacity": {"storage": requested(claim)},
    }));
}

fn requested(claim: &Value) -> Value {
    let wanted = at(claim, "spec.resources.requests").get("storage");
    wanted.cloned().unwrap_or_else(|| json!("1Gi"))
}

fn claim_ref(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name(claim),
        "namespace": namespace(claim), "uid": uid(claim),
    })
}

fn provision(cx: &mut Context<'_>, volume_name: &str) {
    let claim = cx.object;
    let class_name = text(claim, "spec.storageClassName");
    let class = if class_name.is_empty() {
        None
    } else {
        cx.get(&STORAGE_CLASSES, "", class_name)
    };
    let policy = class
        .as_ref()
        .map_or("", |class| text(class, "reclaimPolicy"));
    let policy = if policy.is_empty() { "Delete" } else { policy };
    let mode = text(claim, "spec.volumeMode");
    let mut spec = json!({
        "accessModes": at(claim, "spec.accessModes"),
        "capacity": {"storage": requested(claim)},
        "claimRef": claim_ref(claim),
        "hostPath": {"path": format!("/var/lib/sandbox/{volume_name}"), "type": "DirectoryOrCreate"},
        "persistentVolumeReclaimPolicy": policy,
        "volumeMode": if mode.is_empty() { "Filesystem" } else { mode },
    });
    if !class_name.is_empty() {
        spec["storageClassName"] = json!(class_name);
    }
    cx.create(
        &VOLUMES,
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {
                "name": volume_name,
                "annotations": {"pv.kubernetes.io/provisioned-by": "sandbox.tidegate.dev/provisioner"},
            },
            "spec": spec,
        }),
    );
    cx.event(
        "Normal",
        "ProvisioningSucceeded",
        format!("Successfully provisioned volume {volume_name}"),
    );
}

/// A claim that asks for more gets it.
fn grow(cx: &mut Context<'_>) {
    let wanted = requested(cx.object);
    if at(cx.object, "status.capacity").get("storage") == Some(&wanted) {
        return;
    }
    if cx.passed("grow", PROVISION, PROVISION) {
        cx.forget("grow");
        cx.merge_status(json!({"capacity": {"storage": wanted}}));
    }
}

/// A volume: Available, Bound, and Released or deleted when its claim is gone.
pub(crate) fn react_volume(cx: &mut Context<'_>) {
    let volume = cx.object;
    if deleting(volume) {
        return;
    }
    let wanted = text(volume, "spec.claimRef.uid");
    let (space, claim_name) = (
        text(volume, "spec.claimRef.namespace"),
        text(volume, "spec.claimRef.name"),
    );
    if claim_name.is_empty() || wanted.is_empty() {
        return cx.merge_status(json!({"phase": "Available"}));
    }
    let claim = cx.get(&CLAIMS, space, claim_name);
    if claim.is_some_and(|claim| uid(&claim) == wanted) {
        return cx.merge_status(json!({"phase": "Bound"}));
    }
    if text(volume, "spec.persistentVolumeReclaimPolicy") == "Delete" {
        let resource = cx.resource.clone();
        cx.delete(&resource, volume);
    } else {
        cx.merge_status(json!({"phase": "Released"}));
    }
}
