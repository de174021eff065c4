//! The type table: complete, closed, and right where it matters.

use serde_json::{Value, json};
use tidegate_diff::managed::zero_object;
use tidegate_diff::schema::{JsonType, ListRelation, MapRelation, Schema, TypeRef, resources};

use tidegate_diff::typed::{Duplicates, validate};

use crate::generate::widget_crd;

fn at(ty: &TypeRef, path: &str) -> TypeRef {
    path.split('.')
        .filter(|p| !p.is_empty())
        .fold(ty.clone(), |ty, step| match step {
            "*" => ty
                .element()
                .unwrap_or_else(|| panic!("no element in {path}")),
            name => ty
                .member(name)
                .unwrap_or_else(|| panic!("no {name} in {path}")),
        })
}

fn list(ty: &TypeRef, path: &str) -> String {
    let ty = at(ty, path);
    let list = ty.node().as_list().unwrap().clone();
    match list.relation {
        ListRelation::Atomic => "atomic".into(),
        ListRelation::Set => "set".into(),
        ListRelation::Map => list.keys.join(","),
    }
}

#[test]
fn lists_of_built_in_kinds() {
    let deployment = Schema::builtin("apps", "v1", "Deployment").unwrap();
    let pod = "spec.template.spec";
    for (path, expected) in [
        ("containers", "name"),
        ("initContainers", "name"),
        ("containers.*.env", "name"),
        ("containers.*.ports", "containerPort,protocol"),
        ("containers.*.volumeMounts", "mountPath"),
        ("containers.*.args", "atomic"),
        ("containers.*.envFrom", "atomic"),
        ("volumes", "name"),
        ("tolerations", "atomic"),
        ("hostAliases", "ip"),
        ("topologySpreadConstraints", "topologyKey,whenUnsatisfiable"),
        ("imagePullSecrets", "name"),
    ] {
        assert_eq!(
            list(&deployment, &format!("{pod}.{path}")),
            expected,
            "{path}"
        );
    }
    let service = Schema::builtin("", "v1", "Service").unwrap();
    assert_eq!(list(&service, "spec.ports"), "port,protocol");
    assert_eq!(list(&service, "metadata.finalizers"), "set");
    assert_eq!(list(&service, "metadata.ownerReferences"), "uid");
    assert_eq!(list(&service, "metadata.managedFields"), "atomic");
}

#[test]
fn maps_of_built_in_kinds() {
    let deployment = Schema::builtin("apps", "v1", "Deployment").unwrap();
    let relation = |ty: &TypeRef, path: &str| at(ty, path).node().as_map().unwrap().relation;
    assert_eq!(relation(&deployment, "spec.selector"), MapRelation::Atomic);
    assert_eq!(
        relation(&deployment, "spec.template.spec.nodeSelector"),
        MapRelation::Atomic
    );
    assert_eq!(
        relation(&deployment, "spec.template.metadata.labels"),
        MapRelation::Granular
    );
    let volume = Schema::builtin("", "v1", "PersistentVolume").unwrap();
    // The reference is atomic, this use of it is not.
    assert_eq!(relation(&volume, "spec.claimRef"), MapRelation::Granular);
    let claim = at(&volume, "spec.claimRef");
    assert!(claim.node().overridden);
    let event = Schema::builtin("", "v1", "Event").unwrap();
    assert_eq!(relation(&event, "involvedObject"), MapRelation::Atomic);
}

#[test]
fn json_facts() {
    let deployment = Schema::builtin("apps", "v1", "Deployment").unwrap();
    let container = at(&deployment, "spec.template.spec.containers.*");
    assert_eq!(
        container.node().name.as_deref(),
        Some("io.k8s.api.core.v1.Container")
    );
    assert_eq!(
        at(&container, "resources.limits.*").node().json,
        JsonType::Quantity
    );
    let map = deployment.member("spec").unwrap();
    let fields = map.node().as_map().unwrap();
    assert!(fields.field("selector").unwrap().required);
    assert!(!fields.field("replicas").unwrap().required);
    assert!(fields.field("strategy").unwrap().patch.retain_keys);
    let port = at(&container, "ports.*");
    let protocol = port
        .node()
        .as_map()
        .unwrap()
        .field("protocol")
        .unwrap()
        .clone();
    assert_eq!(protocol.default, Some(json!("TCP")));
    let ports = container
        .node()
        .as_map()
        .unwrap()
        .field("ports")
        .unwrap()
        .clone();
    assert_eq!(ports.patch.merge_key.as_deref(), Some("containerPort"));
    let surge = at(&deployment, "spec.strategy.rollingUpdate.maxSurge");
    assert_eq!(surge.node().json, JsonType::IntOrString);
    let secret = Schema::builtin("", "v1", "Secret").unwrap();
    assert!(
        matches!(&at(&secret, "data.*").node().json, JsonType::String { format } if format.as_deref() == Some("byte"))
    );
}

#[test]
fn every_kind_has_a_type_and_every_reference_leads_somewhere() {
    let schema = Schema::builtins();
    assert!(
        schema
            .types()
            .filter(|(_, node)| node.name.is_some())
            .count()
            > 700
    );
    assert!(schema.kinds().count() > 150);
    for (_, node) in schema.types() {
        let parts = [
            node.scalar.is_some(),
            node.list.is_some(),
            node.map.is_some(),
        ];
        assert!(parts.contains(&true), "{:?} is nothing", node.name);
        for field in node.map.iter().flat_map(|m| &m.fields) {
            let _ = schema.node(field.ty);
        }
    }
    for facts in resources::builtin() {
        for (group, version, kind) in std::iter::once((&facts.group, &facts.version, &facts.kind))
            .chain(
                facts
                    .subresources
                    .iter()
                    .map(|s| (&s.group, &s.version, &s.kind)),
            )
        {
            // Options of streaming subresources are no objects and have no schema.
            if !kind.ends_with("Options") {
                assert!(
                    Schema::builtin(group, version, kind).is_some(),
                    "{group}/{version} {kind}"
                );
            }
        }
    }
}

#[test]
fn resources() {
    let find = |resource: &str| {
        resources::builtin()
            .iter()
            .find(|r| r.resource == resource)
            .unwrap()
    };
    let deployments = find("deployments");
    assert_eq!(deployments.api_version(), "apps/v1");
    assert_eq!(deployments.short_names, ["deploy"]);
    assert_eq!(deployments.categories, ["all"]);
    assert_eq!(deployments.subresource("scale").unwrap().kind, "Scale");
    assert_eq!(
        deployments.subresource("scale").unwrap().group,
        "autoscaling"
    );
    assert!(deployments.on_by_default() && deployments.namespaced);
    assert!(!find("nodes").namespaced);
    assert!(
        find("customresourcedefinitions")
            .subresource("status")
            .is_some()
    );
}

#[test]
fn a_definition_becomes_types() {
    let widget = Schema::from_crd(&widget_crd(), "v1").unwrap();
    assert_eq!(list(&widget, "spec.items"), "name,port");
    assert_eq!(list(&widget, "spec.items.*.tags"), "set");
    assert_eq!(list(&widget, "spec.plain"), "atomic");
    assert_eq!(list(&widget, "metadata.finalizers"), "set");
    assert_eq!(list(&widget, "spec.pod.metadata.ownerReferences"), "uid");
    assert_eq!(
        at(&widget, "spec.frozen").node().as_map().unwrap().relation,
        MapRelation::Atomic
    );
    assert_eq!(at(&widget, "spec.port").node().json, JsonType::IntOrString);
    assert!(at(&widget, "spec").member("nothing").is_none());
    assert!(at(&widget, "spec.free").member("anything").is_some());
    assert!(at(&widget, "spec.pod").node().embedded);
}

#[test]
fn bad_definitions() {
    let crd = |schema: Value| json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    for (schema, message) in [
        (
            json!({"type": "thing"}),
            "openAPIV3Schema: unrecognized type: \"thing\"",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            ".a: `items` must be specified on arrays",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"},
                "x-kubernetes-list-type": "map"}}}),
            ".a: missing map keys",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {}, "x-kubernetes-list-type": "bag"}}}),
            ".a: unknown list type bag",
        ),
        (
            json!({"type": "object", "x-kubernetes-map-type": "loose"}),
            "openAPIV3Schema: unknown map type loose",
        ),
    ] {
        assert_eq!(
            Schema::from_crd(&crd(schema), "v1")
                .unwrap_err()
                .to_string(),
            message
        );
    }
    assert_eq!(
        Schema::from_crd(&crd(json!({})), "v2")
            .unwrap_err()
            .to_string(),
        "the definition has no version \"v2\""
    );
    let mut deep = json!({"type": "string"});
    for _ in 0..200 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    assert!(
        Schema::from_crd(&crd(deep), "v1")
            .unwrap_err()
            .to_string()
            .contains("nested too deeply")
    );
    assert!(Schema::from_crd(&json!("no object"), "v1").is_err());
}

#[test]
fn every_kind_has_a_zero_object_that_fits() {
    for (group, version, kind, _) in Schema::builtins().kinds() {
        let ty = Schema::builtin(group, version, kind).unwrap();
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        let zero = zero_object(&ty, &api_version, kind);
        if ty.node().as_map().unwrap().field("kind").is_some() {
            let fits = validate(&ty, &zero, Duplicates::Refuse);
            assert!(fits.is_ok(), "{api_version} {kind}: {}", fits.unwrap_err());
        }
    }
}
