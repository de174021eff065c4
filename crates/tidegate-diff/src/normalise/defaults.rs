//! Defaults that an API server fills into built-in types, by component. Only what it always does, whatever the cluster;
//! allocations (addresses, ports, names) are not here.

use serde_json::{Value, json};

use crate::schema::{Schema, TypeId, TypeRef};

/// One component's fields and the JSON text of their defaults. Source: defaults of the API groups, Kubernetes 1.36.
const DEFAULTS: &[(&str, &[(&str, &str)])] = &[
    ("apps.v1.DaemonSetSpec", &[("revisionHistoryLimit", "10")]),
    (
        "apps.v1.DeploymentSpec",
        &[
            ("replicas", "1"),
            ("revisionHistoryLimit", "10"),
            ("progressDeadlineSeconds", "600"),
        ],
    ),
    ("apps.v1.ReplicaSetSpec", &[("replicas", "1")]),
    (
        "apps.v1.StatefulSetSpec",
        &[
            ("replicas", "1"),
            ("revisionHistoryLimit", "10"),
            ("podManagementPolicy", "\"OrderedReady\""),
        ],
    ),
    (
        "batch.v1.CronJobSpec",
        &[
            ("concurrencyPolicy", "\"Allow\""),
            ("suspend", "false"),
            ("successfulJobsHistoryLimit", "3"),
            ("failedJobsHistoryLimit", "1"),
        ],
    ),
    (
        "core.v1.AzureDiskVolumeSource",
        &[
            ("cachingMode", "\"ReadWrite\""),
            ("kind", "\"Shared\""),
            ("fsType", "\"ext4\""),
            ("readOnly", "false"),
        ],
    ),
    ("core.v1.ConfigMapVolumeSource", &[("defaultMode", "420")]),
    (
        "core.v1.Container",
        &[
            ("terminationMessagePath", "\"/dev/termination-log\""),
            ("terminationMessagePolicy", "\"File\""),
            ("resources", "{}"),
        ],
    ),
    ("core.v1.ContainerPort", &[("protocol", "\"TCP\"")]),
    ("core.v1.DownwardAPIVolumeSource", &[("defaultMode", "420")]),
    ("core.v1.EndpointPort", &[("protocol", "\"TCP\"")]),
    (
        "core.v1.EphemeralContainer",
        &[
            ("terminationMessagePath", "\"/dev/termination-log\""),
            ("terminationMessagePolicy", "\"File\""),
            ("resources", "{}"),
        ],
    ),
    ("core.v1.GRPCAction", &[("service", "\"\"")]),
    (
        "core.v1.HTTPGetAction",
        &[("path", "\"/\""), ("scheme", "\"HTTP\"")],
    ),
    ("core.v1.HostPathVolumeSource", &[("type", "\"\"")]),
    (
        "core.v1.ISCSIVolumeSource",
        &[("iscsiInterface", "\"default\"")],
    ),
    ("core.v1.ObjectFieldSelector", &[("apiVersion", "\"v1\"")]),
    (
        "core.v1.PersistentVolumeClaimSpec",
        &[("volumeMode", "\"Filesystem\"")],
    ),
    (
        "core.v1.PersistentVolumeSpec",
        &[
            ("volumeMode", "\"Filesystem\""),
            ("persistentVolumeReclaimPolicy", "\"Retain\""),
        ],
    ),
    (
        "core.v1.PodSpec",
        &[
            ("restartPolicy", "\"Always\""),
            ("terminationGracePeriodSeconds", "30"),
            ("dnsPolicy", "\"ClusterFirst\""),
            ("securityContext", "{}"),
            ("schedulerName", "\"default-scheduler\""),
        ],
    ),
    (
        "core.v1.Probe",
        &[
            ("timeoutSeconds", "1"),
            ("periodSeconds", "10"),
            ("successThreshold", "1"),
            ("failureThreshold", "3"),
        ],
    ),
    ("core.v1.ProjectedVolumeSource", &[("defaultMode", "420")]),
    (
        "core.v1.RBDVolumeSource",
        &[
            ("pool", "\"rbd\""),
            ("user", "\"admin\""),
            ("keyring", "\"/etc/ceph/keyring\""),
        ],
    ),
    ("core.v1.ReplicationControllerSpec", &[("replicas", "1")]),
    ("core.v1.ResourceFieldSelector", &[("divisor", "\"0\"")]),
    (
        "core.v1.ScaleIOVolumeSource",
        &[
            ("storageMode", "\"ThinProvisioned\""),
            ("fsType", "\"xfs\""),
        ],
    ),
    ("core.v1.SecretVolumeSource", &[("defaultMode", "420")]),
    (
        "core.v1.ServiceAccountTokenProjection",
        &[("expirationSeconds", "3600")],
    ),
    ("core.v1.ServicePort", &[("protocol", "\"TCP\"")]),
    (
        "core.v1.ServiceSpec",
        &[("type", "\"ClusterIP\""), ("sessionAffinity", "\"None\"")],
    ),
    (
        "core.v1.TopologySpreadConstraint",
        &[
            ("nodeAffinityPolicy", "\"Honor\""),
            ("nodeTaintsPolicy", "\"Ignore\""),
        ],
    ),
    (
        "networking.v1.NetworkPolicyPort",
        &[("protocol", "\"TCP\"")],
    ),
    (
        "batch.v1.JobSpec",
        &[
            ("backoffLimit", "6"),
            ("completionMode", "\"NonIndexed\""),
            ("suspend", "false"),
            ("podReplacementPolicy", "\"TerminatingOrFailed\""),
        ],
    ),
    (
        "storage.v1.StorageClass",
        &[
            ("reclaimPolicy", "\"Delete\""),
            ("volumeBindingMode", "\"Immediate\""),
        ],
    ),
    (
        "admissionregistration.v1.MutatingWebhook",
        &[
            ("failurePolicy", "\"Fail\""),
            ("matchPolicy", "\"Equivalent\""),
            ("namespaceSelector", "{}"),
            ("objectSelector", "{}"),
            ("timeoutSeconds", "10"),
            ("reinvocationPolicy", "\"Never\""),
        ],
    ),
    (
        "admissionregistration.v1.ValidatingWebhook",
        &[
            ("failurePolicy", "\"Fail\""),
            ("matchPolicy", "\"Equivalent\""),
            ("namespaceSelector", "{}"),
            ("objectSelector", "{}"),
            ("timeoutSeconds", "10"),
        ],
    ),
    (
        "admissionregistration.v1.RuleWithOperations",
        &[("scope", "\"*\"")],
    ),
    (
        "admissionregistration.v1.ServiceReference",
        &[("port", "443")],
    ),
    ("apiextensions.v1.ServiceReference", &[("port", "443")]),
];

/// Fills the defaults of the value's type and of all below it. Fields that are null count as absent.
pub fn fill_defaults(ty: &TypeRef, value: &mut Value) {
    fill(ty.schema(), ty.id(), value);
}

fn fill(schema: &Schema, ty: TypeId, value: &mut Value) {
    let node = schema.node(ty);
    match value {
        Value::Object(object) => {
            let Some(map) = &node.map else { return };
            for (key, member) in object.iter_mut() {
                if let Some(ty) = map.member(key) {
                    fill(schema, ty, member);
                }
            }
            for (field, default) in defaults_of(node.name.as_deref()) {
                let slot = object.entry(*field).or_insert(Value::Null);
                if slot.is_null() {
                    *slot = serde_json::from_str(default).unwrap_or(Value::Null);
                }
            }
            conditional(node.name.as_deref().unwrap_or_default(), object);
        }
        Value::Array(items) => {
            let Some(list) = &node.list else { return };
            let name = schema.node(list.element).name.as_deref();
            let claims = name.is_some_and(|n| is_component(n, "core.v1.PersistentVolumeClaim"));
            for item in items {
                fill(schema, list.element, item);
                if claims {
                    claim_template(item);
                }
            }
        }
        _ => {}
    }
}

fn defaults_of(name: Option<&str>) -> &'static [(&'static str, &'static str)] {
    let Some(name) = name else { return &[] };
    DEFAULTS
        .iter()
        .find(|(suffix, _)| is_component(name, suffix))
        .map_or(&[], |(_, fields)| fields)
}

/// Whether a component name is `…​.group.version.Type`.
fn is_component(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.ends_with('.'))
}

/// Defaults that depend on other fields.
fn conditional(name: &str, object: &mut serde_json::Map<String, Value>) {
    let mut put = |key: &str, value: Value| {
        let slot = object.entry(key).or_insert(Value::Null);
        if slot.is_null() {
            *slot = value;
        }
    };
    match name.rsplit('.').next().unwrap_or_default() {
        "RoleRef" if name.contains(".rbac.") => put("apiGroup", json!("rbac.authorization.k8s.io")),
        "Subject" if name.contains(".rbac.") => {
            let account = object.get("kind").is_some_and(|k| k == "ServiceAccount");
            if !account {
                let slot = object.entry("apiGroup").or_insert(Value::Null);
                if slot.is_null() {
                    *slot = json!("rbac.authorization.k8s.io");
                }
            }
        }
        "ServicePort" => {
            if let Some(port) = object.get("port").cloned() {
                let slot = object.entry("targetPort").or_insert(Value::Null);
                if slot.is_null() || *slot == json!(0) || *slot == json!("") {
                    *slot = port;
                }
            }
        }
        "Container" | "EphemeralContainer" if name.contains(".core.") => {
            let image = object
                .get("image")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let policy = pull_policy(image);
            let slot = object.entry("imagePullPolicy").or_insert(Value::Null);
            if slot.is_null() {
                *slot = json!(policy);
            }
        }
        "DeploymentStrategy" => rolling(
            object,
            "RollingUpdate",
            json!({"maxUnavailable": "25%", "maxSurge": "25%"}),
        ),
        "DaemonSetUpdateStrategy" => rolling(
            object,
            "RollingUpdate",
            json!({"maxUnavailable": 1, "maxSurge": 0}),
        ),
        "StatefulSetUpdateStrategy" => rolling(object, "RollingUpdate", json!({"partition": 0})),
        _ => {}
    }
}

/// A typed server holds the claim templates of a StatefulSet as whole claims.
fn claim_template(claim: &mut Value) {
    let Some(claim) = claim.as_object_mut() else {
        return;
    };
    for (key, value) in [
        ("apiVersion", json!("v1")),
        ("kind", json!("PersistentVolumeClaim")),
        ("status", json!({"phase": "Pending"})),
    ] {
        claim.entry(key).or_insert(value);
    }
}

fn rolling(object: &mut serde_json::Map<String, Value>, kind: &str, parameters: Value) {
    let strategy = object.entry("type").or_insert(Value::Null);
    if strategy.is_null() {
        *strategy = json!(kind);
    }
    if *strategy != json!(kind) {
        return;
    }
    let Value::Object(parameters) = parameters else {
        return;
    };
    let slot = object.entry("rollingUpdate").or_insert_with(|| json!({}));
    if slot.is_null() {
        *slot = json!({});
    }
    if let Some(slot) = slot.as_object_mut() {
        for (key, value) in parameters {
            slot.entry(key).or_insert(value);
        }
    }
}

/// `Always` for images of the tag `latest`, also by omission.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    if image.contains('@') {
        return "IfNotPresent";
    }
    match last.split_once(':') {
        Some((_, tag)) if tag != "latest" => "IfNotPresent",
        _ => "Always",
    }
}
