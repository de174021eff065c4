//! Laws of defaulting, and the kinds that the tables do not show.

use serde_json::{Value, json};

use super::*;
use crate::registry::Registry;
use crate::resource::ResourceName;
use std::sync::Arc;

fn resource(group: &'static str, name: &'static str) -> Arc<Resource> {
    Registry::new(Vec::new()).get(&ResourceName::new(group, name)).unwrap()
}

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
    check("", "secrets", json!({"stringData": {"a": "b"}, "data": {"a": "eA=="}}), json!({"metadata": {}, "type": "Opaque", "data": {"a": "Yg=="}}));
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

