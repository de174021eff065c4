//! Laws of defaulting, and the kinds that the tables do not show.

use serde_json::{Value, json};

use super::*;
use crate::registry::Registry;
use crate::resource::ResourceName;
use std::sync::Arc;

fn resource(group: &'static str, name: &'static str) -> Arc<Resource> {
    Registry::new(Vec::new())
        .get(&ResourceName::new(group, name))
        .unwrap()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "cases read better without references"
)]
fn check(group: &'static str, name: &'static str, mut object: Value, expected: Value) {
    let resource = resource(group, name);
    let api_version = resource.storage_api_version();
    object["apiVersion"] = json!(api_version);
    apply(&resource, &mut object);
    object.as_object_mut().unwrap().remove("apiVersion");
    assert_eq!(object, expected);
}

#[test]
fn what_the_author_left_out_is_filled_in() {
    check(
        "",
        "secrets",
        json!({"stringData": {"a": "b"}, "data": {"a": "eA=="}}),
        json!({"metadata": {}, "type": "Opaque", "data": {"a": "Yg=="}}),
    );
    check(
        "rbac.authorization.k8s.io",
        "rolebindings",
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}, {"kind": "User", "name": "u"}]}),
        json!({"metadata": {}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}, {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]}),
    );
    check(
        "networking.k8s.io",
        "networkpolicies",
        json!({"spec": {"egress": [{}]}}),
        json!({"metadata": {}, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]}}),
    );
    check(
        "",
        "resourcequotas",
        json!({"spec": {"hard": {"cpu": "0.0001", "memory": "1024Mi"}}}),
        json!({"metadata": {}, "spec": {"hard": {"cpu": "1m", "memory": "1Gi"}}, "status": {}}),
    );
}

/// One manifest of each kind that has defaults, as JSON.
fn manifests() -> Vec<(&'static str, &'static str, Value)> {
    let container = json!({
        "name": "a", "image": "nginx", "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "B", "value": ""}],
        "livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"grpc": {"port": 5}},
    });
    let pod = json!({
        "serviceAccountName": "s", "hostNetwork": true, "containers": [container],
        "volumes": [{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}, {"name": "d", "hostPath": {"path": "/x"}},
            {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
    });
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod});
    let workload = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let mut set = workload.clone();
    set["volumeClaimTemplates"] = json!([claim]);
    vec![
        ("", "pods", json!({"spec": pod})),
        (
            "",
            "services",
            json!({"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": ""}]}}),
        ),
        (
            "",
            "secrets",
            json!({"stringData": {"a": "b"}, "data": {"c": "ZA=="}}),
        ),
        (
            "",
            "persistentvolumes",
            json!({"spec": {"capacity": {"storage": "1.5Gi"}, "iscsi": {"lun": 0}}}),
        ),
        (
            "",
            "limitranges",
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "0.0001"}}]}}),
        ),
        ("", "namespaces", json!({"metadata": {"name": "n"}})),
        ("apps", "deployments", json!({"spec": workload})),
        ("apps", "daemonsets", json!({"spec": workload})),
        ("apps", "statefulsets", json!({"spec": set})),
        ("batch", "jobs", json!({"spec": {"template": template}})),
        (
            "batch",
            "cronjobs",
            json!({"spec": {"schedule": "x", "jobTemplate": {"spec": {"template": template}}}}),
        ),
        (
            "autoscaling",
            "horizontalpodautoscalers",
            json!({"spec": {"behavior": {"scaleUp": {}}}}),
        ),
        (
            "networking.k8s.io",
            "networkpolicies",
            json!({"spec": {"ingress": [{"ports": [{"port": 80}]}]}}),
        ),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            json!({"webhooks": [{"name": "a", "clientConfig": {"service": {"name": "x"}}, "rules": [{"operations": ["CREATE"]}]}]}),
        ),
        (
            "storage.k8s.io",
            "storageclasses",
            json!({"provisioner": "x"}),
        ),
        (
            "rbac.authorization.k8s.io",
            "rolebindings",
            json!({"roleRef": {"apiGroup": ""}, "subjects": [{"kind": "User"}]}),
        ),
    ]
}

/// Takes away or spoils the part of the value that the numbers choose.
fn spoil(value: &mut Value, path: &[usize], how: usize) {
    let (Some(first), rest) = (path.first(), path.get(1..).unwrap_or(&[])) else {
        return;
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map
                .keys()
                .nth(first % map.len())
                .cloned()
                .unwrap_or_default();
            if !rest.is_empty() && map[&key].is_object() | map[&key].is_array() {
                return spoil(&mut map[&key], rest, how);
            }
            match how {
                0 => {
                    map.remove(&key);
                }
                1 => map[&key] = Value::Null,
                2 => map[&key] = json!({}),
                3 => map[&key] = json!([]),
                4 => map[&key] = json!(""),
                _ => map[&key] = json!(-1),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = first % items.len();
            spoil(&mut items[at], rest, how);
        }
        _ => {}
    }
}

proptest::proptest! {
    /// Defaults of defaults are the same, whatever the author wrote; and no object makes a rule panic.
    #[test]
    fn defaulting_twice_changes_nothing(
        which in 0_usize..16,
        edits in proptest::collection::vec((proptest::collection::vec(0_usize..9, 1..7), 0_usize..6), 0..4),
    ) {
        let (group, name, mut object) = manifests().swap_remove(which);
        let resource = resource(group, name);
        for (path, how) in edits {
            spoil(&mut object, &path, how);
        }
        let object = object::ensure(&mut object);
        object.insert("apiVersion".to_owned(), json!(resource.storage_api_version()));
        let mut once = Value::Object(object.clone());
        apply(&resource, &mut once);
        let mut twice = once.clone();
        apply(&resource, &mut twice);
        proptest::prop_assert_eq!(&once, &twice);
        prepare(&resource, &mut twice);
        let _ = crate::validate::create(&resource, &twice);
        let _ = crate::validate::warnings(&resource, &twice);
    }
}
