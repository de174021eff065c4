//! What a pod needs before it can run: claims, ConfigMaps, Secrets. Finds what is missing, in the kubelet's words.

use crate::context::Context;
use crate::resources::{CLAIMS, CONFIG_MAPS, NODES, SECRETS, STORAGE_CLASSES};
use crate::value::{annotation, at, flag, items, name, text};
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_sandbox_kubernetes::ResourceName;

/// Something that is missing.
pub(super) struct Need {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Why the scheduler cannot place the pod yet, when a claim of it is missing or not bound.
pub(super) fn unbound_claim(cx: &mut Context<'_>) -> Option<String> {
    let volumes = items(cx.object, "spec.volumes");
    let nodes = cx.list(&NODES, "");
    let count = nodes.len();
    for volume in volumes {
        let claim_name = text(volume, "persistentVolumeClaim.claimName");
        if claim_name.is_empty() {
            continue;
        }
        let Some(claim) = cx.get(&CLAIMS, cx.namespace(), claim_name) else {
            return Some(format!(
                "0/{count} nodes are available: persistentvolumeclaim \"{claim_name}\" not found. \
                 preemption: 0/{count} nodes are available: {count} Preemption is not helpful for scheduling."
            ));
        };
        if text(&claim, "status.phase") == "Bound" {
            continue;
        }
        if waits_for_consumer(cx, &claim) {
            let node = nodes.first().map(|node| name(node).to_owned());
            if annotation(&claim, SELECTED_NODE).is_none()
                && let Some(node) = node
            {
                cx.patch(
                    &CLAIMS,
                    &claim,
                    json!({"metadata": {"annotations": {SELECTED_NODE: node}}}),
                );
            }
            return Some(String::new());
        }
        return Some(format!(
            "0/{count} nodes are available: pod has unbound immediate PersistentVolumeClaims. \
             preemption: 0/{count} nodes are available: {count} Preemption is not helpful for scheduling."
        ));
    }
    None
}

/// The annotation by which the scheduler tells the provisioner that a consumer exists.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Whether the claim's class binds only once a pod uses it.
pub(crate) fn waits_for_consumer(cx: &mut Context<'_>, claim: &Value) -> bool {
    let class = text(claim, "spec.storageClassName");
    !class.is_empty()
        && cx
            .get(&STORAGE_CLASSES, "", class)
            .is_some_and(|class| text(&class, "volumeBindingMode") == "WaitForFirstConsumer")
}

/// The first volume whose ConfigMap or Secret is missing.
pub(super) fn missing_volume(cx: &mut Context<'_>) -> Option<Need> {
    for volume in items(cx.object, "spec.volumes") {
        let mut sources = vec![
            (
                SECRETS,
                text(volume, "secret.secretName"),
                flag(volume, "secret.optional"),
            ),
            (
                CONFIG_MAPS,
                text(volume, "configMap.name"),
                flag(volume, "configMap.optional"),
            ),
        ];
        for source in items(volume, "projected.sources") {
            sources.push((
                SECRETS,
                text(source, "secret.name"),
                flag(source, "secret.optional"),
            ));
            let optional = flag(source, "configMap.optional");
            sources.push((CONFIG_MAPS, text(source, "configMap.name"), optional));
        }
        for (resource, wanted, optional) in sources {
            if wanted.is_empty() || optional || cx.get(&resource, cx.namespace(), wanted).is_some()
            {
                continue;
            }
            let (volume, kind) = (text(volume, "name"), singular(&resource));
            let message = format!(
                "MountVolume.SetUp failed for volume \"{volume}\" : {kind} \"{wanted}\" not found"
            );
            return Some(Need {
                reason: "FailedMount",
                message,
            });
        }
    }
    None
}

/// The first environment variable whose ConfigMap or Secret, or key in it, is missing.
pub(super) fn missing_environment(cx: &mut Context<'_>) -> Option<Need> {
    for container in items(cx.object, "spec.containers") {
        for source in items(container, "envFrom") {
            for (resource, field) in [(SECRETS, "secretRef"), (CONFIG_MAPS, "configMapRef")] {
                let missing = missing_key(cx, &resource, at(source, field), "");
                if missing.is_some() {
                    return missing;
                }
            }
        }
        for variable in items(container, "env") {
            for (resource, field) in [(SECRETS, "secretKeyRef"), (CONFIG_MAPS, "configMapKeyRef")] {
                let reference = at(at(variable, "valueFrom"), field);
                let missing = missing_key(cx, &resource, reference, text(reference, "key"));
                if missing.is_some() {
                    return missing;
                }
            }
        }
    }
    None
}

fn missing_key(
    cx: &mut Context<'_>,
    resource: &ResourceName,
    reference: &Value,
    key: &str,
) -> Option<Need> {
    let wanted = text(reference, "name");
    if wanted.is_empty() || flag(reference, "optional") {
        return None;
    }
    let need = |message| {
        Some(Need {
            reason: "CreateContainerConfigError",
            message,
        })
    };
    let Some(object) = cx.get(resource, cx.namespace(), wanted) else {
        return need(format!("{} \"{wanted}\" not found", singular(resource)));
    };
    if key.is_empty() || has_key(&object, key) {
        return None;
    }
    let kind = if *resource == SECRETS {
        "Secret"
    } else {
        "ConfigMap"
    };
    need(format!(
        "couldn't find key {key} in {kind} {}/{wanted}",
        cx.namespace()
    ))
}

fn has_key(object: &Arc<Value>, key: &str) -> bool {
    ["data", "binaryData", "stringData"]
        .iter()
        .any(|field| at(object, field).get(key).is_some())
}

fn singular(resource: &ResourceName) -> &'static str {
    if *resource == SECRETS {
        "secret"
    } else {
        "configmap"
    }
}
