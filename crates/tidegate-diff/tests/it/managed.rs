//! Apply and update: tables of who owns what, and the laws.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_diff::fieldset::{FieldPath, FieldSet};
use tidegate_diff::managed::{
    self, ApplyError, KindVersions, Managers, MigrateOptions, OnConflict, Operation, Request,
    apply, update,
};
use tidegate_diff::schema::Schema;

use crate::generate::{Dice, widget, widget_crd};

const NOW: &str = "2026-01-02T03:04:05Z";

fn widgets() -> KindVersions {
    KindVersions::one(
        "diff.tidegate.dev/v1",
        Schema::from_crd(&widget_crd(), "v1").unwrap(),
    )
    .with_filter(
        "diff.tidegate.dev/v1",
        managed::reset_fields("diff.tidegate.dev", "Widget", "", true).unwrap(),
    )
}

fn config_maps() -> KindVersions {
    KindVersions::one("v1", Schema::builtin("", "v1", "ConfigMap").unwrap())
}

fn request<'a>(
    versions: &'a KindVersions,
    api_version: &'a str,
    kind: &'a str,
    manager: &'a str,
) -> Request<'a> {
    Request {
        versions,
        api_version,
        kind,
        subresource: "",
        manager,
        now: NOW,
    }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data})
}

fn apply_map(
    live: Option<&Value>,
    data: Value,
    manager: &str,
    on: OnConflict,
) -> Result<Value, ApplyError> {
    let versions = config_maps();
    apply(
        &request(&versions, "v1", "ConfigMap", manager),
        live,
        &config_map(data),
        on,
    )
    .map(|m| m.object)
}

fn update_map(live: Option<&Value>, data: Value, manager: &str) -> Value {
    let versions = config_maps();
    let mut new = config_map(data);
    // A write over an object that exists carries what identifies it.
    if live.is_some() {
        new["metadata"]["uid"] = json!("u");
    }
    update(&request(&versions, "v1", "ConfigMap", manager), live, &new)
}

/// `manager operation {fields}` per entry, in their order.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |e: &Value, key: &str| e[key].as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|e| {
            format!(
                "{} {} {}",
                text(e, "manager"),
                text(e, "operation"),
                e["fieldsV1"]
            )
        })
        .collect()
}

#[test]
fn one_applier() {
    let first = apply_map(None, json!({"a": "1", "b": "2"}), "m", OnConflict::Fail).unwrap();
    assert_eq!(
        owners(&first),
        [r#"m Apply {"f:data":{"f:a":{},"f:b":{}}}"#]
    );
    assert_eq!(first["metadata"]["managedFields"][0]["time"], NOW);
    // What is no longer applied goes.
    let second = apply_map(Some(&first), json!({"a": "1"}), "m", OnConflict::Fail).unwrap();
    assert_eq!(second["data"], json!({"a": "1"}));
    assert_eq!(owners(&second), [r#"m Apply {"f:data":{"f:a":{}}}"#]);
}

#[test]
fn conflicts_read_as_the_server_writes_them() {
    let live = apply_map(None, json!({"a": "1"}), "x", OnConflict::Fail).unwrap();
    let error = apply_map(Some(&live), json!({"a": "2"}), "m", OnConflict::Fail).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"x\": .data.a"
    );
    let live = update_map(
        Some(&live),
        json!({"a": "1", "b": "1", "c": "1"}),
        "unknown",
    );
    let error = apply_map(
        Some(&live),
        json!({"a": "2", "b": "2", "c": "2"}),
        "m",
        OnConflict::Fail,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"unknown\" using v1:\n- .data.b\n- .data.c\nconflicts with \"x\":\n- .data.a"
    );
    let ApplyError::Conflicts(conflicts) = error else {
        panic!("conflicts")
    };
    let causes: Vec<_> = conflicts
        .iter()
        .map(|c| (c.cause(), c.path.to_string()))
        .collect();
    assert_eq!(
        causes[0],
        (
            "conflict with \"unknown\" using v1".to_owned(),
            ".data.b".to_owned()
        )
    );
    let taken = apply_map(
        Some(&live),
        json!({"a": "2", "b": "2"}),
        "m",
        OnConflict::Force,
    )
    .unwrap();
    assert_eq!(taken["data"], json!({"a": "2", "b": "2", "c": "1"}));
    assert_eq!(
        owners(&taken),
        [
            r#"m Apply {"f:data":{"f:a":{},"f:b":{}}}"#,
            r#"unknown Update {"f:data":{"f:c":{}}}"#
        ]
    );
}

#[test]
fn the_same_value_is_shared() {
    let live = apply_map(None, json!({"a": "1", "b": "1"}), "x", OnConflict::Fail).unwrap();
    let both = apply_map(Some(&live), json!({"a": "1"}), "m", OnConflict::Fail).unwrap();
    assert_eq!(both["data"], json!({"a": "1", "b": "1"}));
    assert_eq!(
        owners(&both),
        [
            r#"m Apply {"f:data":{"f:a":{}}}"#,
            r#"x Apply {"f:data":{"f:a":{},"f:b":{}}}"#
        ]
    );
    // An apply that changes nothing has no time.
    assert_eq!(both["metadata"]["managedFields"][0].get("time"), None);
    // x lets go of both: m keeps a.
    let left = apply_map(Some(&both), json!({}), "x", OnConflict::Fail).unwrap();
    assert_eq!(left["data"], json!({"a": "1"}));
}

#[test]
fn updates() {
    let created = update_map(None, json!({"a": "1"}), "kubectl-create");
    assert_eq!(
        owners(&created),
        [r#"kubectl-create Update {"f:data":{".":{},"f:a":{}}}"#]
    );
    let changed = update_map(Some(&created), json!({"a": "2"}), "other");
    assert_eq!(
        owners(&changed),
        [
            r#"kubectl-create Update {"f:data":{}}"#,
            r#"other Update {"f:data":{"f:a":{}}}"#
        ]
    );
    // The same manager again: one entry.
    let more = update_map(Some(&changed), json!({"a": "2", "b": "1"}), "other");
    assert_eq!(
        owners(&more)[1],
        r#"other Update {"f:data":{"f:a":{},"f:b":{}}}"#
    );
    let removed = update_map(Some(&more), json!({"b": "1"}), "third");
    assert_eq!(owners(&removed).len(), 2);
    assert_eq!(owners(&removed)[1], r#"other Update {"f:data":{"f:b":{}}}"#);
}

#[test]
fn nested_structs_of_typed_objects_are_nobodys() {
    let versions = KindVersions::one(
        "apps/v1",
        Schema::builtin("apps", "v1", "Deployment").unwrap(),
    );
    let new = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "E"}]}]}}}});
    let object = update(
        &request(&versions, "apps/v1", "Deployment", "m"),
        None,
        &new,
    );
    assert_eq!(
        object["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {"f:selector": {}, "f:strategy": {"f:type": {}}, "f:template": {
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {},
                "f:env": {".": {}, "k:{\"name\":\"E\"}": {".": {}, "f:name": {}}}}}}}}})
    );
}

#[test]
fn untracked_objects() {
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", "uid": "u"}, "data": {"a": "1"}});
    assert!(owners(&update_map(Some(&live), json!({"a": "2"}), "m")).is_empty());
    let applied = apply_map(Some(&live), json!({"b": "1"}), "m", OnConflict::Fail).unwrap();
    assert_eq!(
        owners(&applied),
        [
            r#"m Apply {"f:data":{"f:b":{}}}"#,
            r#"before-first-apply Update {"f:data":{".":{},"f:a":{}}}"#
        ]
    );
    // A write may forget all owners.
    let versions = config_maps();
    for reset in [json!([]), json!([{}])] {
        let mut new = config_map(json!({"a": "1"}));
        new["metadata"]["uid"] = json!("u");
        new["metadata"]["managedFields"] = reset;
        assert!(
            owners(&update(
                &request(&versions, "v1", "ConfigMap", "m"),
                Some(&applied),
                &new
            ))
            .is_empty()
        );
    }
}

#[test]
fn at_most_ten_updaters() {
    let mut live = update_map(None, json!({"k0": "x"}), "m0");
    let mut data = json!({"k0": "x"});
    for i in 1..15 {
        data[format!("k{i:02}")] = json!("x");
        live = update_map(Some(&live), data.clone(), &format!("m{i:02}"));
    }
    let names = owners(&live);
    assert_eq!(names.len(), 10);
    assert!(
        names
            .iter()
            .any(|n| n.starts_with("ancient-changes Update"))
    );
    let all = names
        .iter()
        .map(|n| n.matches("f:k").count())
        .sum::<usize>();
    assert_eq!(all, 15);
}

#[test]
fn kubectl_takes_over_what_client_side_apply_set() {
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", "annotations": {}}, "data": {"a": "1"}});
    let mut created = config_map(json!({"a": "1"}));
    created["metadata"]["annotations"] = json!({managed::LAST_APPLIED: applied.to_string()});
    let versions = config_maps();
    let live = update(
        &request(&versions, "v1", "ConfigMap", "kubectl-client-side-apply"),
        None,
        &created,
    );
    assert!(apply_map(Some(&live), json!({"a": "2"}), "m", OnConflict::Fail).is_err());
    let object = apply_map(Some(&live), json!({"a": "2<"}), "kubectl", OnConflict::Fail).unwrap();
    assert_eq!(object["data"]["a"], "2<");
    let annotation = object["metadata"]["annotations"][managed::LAST_APPLIED]
        .as_str()
        .unwrap();
    assert!(
        annotation.ends_with("\n") && annotation.contains("2\\u003c"),
        "{annotation}"
    );
}

#[test]
fn bad_requests() {
    let versions = config_maps();
    let request = request(&versions, "v1", "ConfigMap", "m");
    let check = |config: Value, message: &str| {
        assert_eq!(
            apply(&request, None, &config, OnConflict::Fail)
                .unwrap_err()
                .to_string(),
            message
        );
    };
    check(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "managedFields": []}}),
        "metadata.managedFields must be nil",
    );
    check(
        json!({"apiVersion": "v2", "kind": "ConfigMap"}),
        "invalid object type: /v2, Kind=ConfigMap",
    );
    check(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "dta": {}}),
        "failed to create typed patch object (n/c; /v1, Kind=ConfigMap): .dta: field not declared in schema",
    );
    check(json!([1]), "invalid object type: /, Kind=");
    let broken = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": [{"operation": "Try"}]}});
    let error = apply(
        &request,
        Some(&broken),
        &config_map(json!({})),
        OnConflict::Fail,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to decode managed fields: operation must be `Apply` or `Update`"
    );
}

#[test]
fn status_is_not_owned_through_the_object() {
    let versions = widgets();
    let config = json!({"apiVersion": "diff.tidegate.dev/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {"port": 1}, "status": {"phase": "x"}});
    let object = apply(
        &request(&versions, "diff.tidegate.dev/v1", "Widget", "m"),
        None,
        &config,
        OnConflict::Fail,
    );
    assert_eq!(
        owners(&object.unwrap().object),
        [r#"m Apply {"f:spec":{"f:port":{}}}"#]
    );
}

#[test]
fn managers_of_versions_that_are_gone_are_forgotten() {
    let live = apply_map(None, json!({"a": "1"}), "x", OnConflict::Fail).unwrap();
    let mut old = live.clone();
    old["metadata"]["managedFields"][0]["apiVersion"] = json!("v1beta1");
    let object = apply_map(Some(&old), json!({"a": "2"}), "m", OnConflict::Fail).unwrap();
    assert_eq!(owners(&object), [r#"m Apply {"f:data":{"f:a":{}}}"#]);
    // With the version served, the same is a conflict.
    let ty = Schema::builtin("", "v1", "ConfigMap").unwrap();
    let versions = config_maps().with("v1beta1", ty);
    let request = request(&versions, "v1", "ConfigMap", "m");
    let error = apply(
        &request,
        Some(&old),
        &config_map(json!({"a": "2"})),
        OnConflict::Fail,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"x\": .data.a"
    );
}

#[test]
fn ownership_moves_to_one_applier() {
    let options = MigrateOptions {
        updaters: &["kubectl-client-side-apply"],
        appliers: &["argocd-controller"],
        to: "tidegate",
        now: NOW,
    };
    let mut live = update_map(
        None,
        json!({"a": "1", "b": "1"}),
        "kubectl-client-side-apply",
    );
    live["metadata"]["resourceVersion"] = json!("7");
    let live = apply_map(
        Some(&live),
        json!({"c": "1"}),
        "argocd-controller",
        OnConflict::Fail,
    )
    .unwrap();
    let patch = managed::migration_patch(&live, &options).unwrap().unwrap();
    assert_eq!(
        patch[1],
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"})
    );
    let mut moved = live.clone();
    moved["metadata"]["managedFields"] = patch[0]["value"].clone();
    assert_eq!(
        owners(&moved),
        [r#"tidegate Apply {"f:data":{".":{},"f:a":{},"f:b":{},"f:c":{}}}"#]
    );
    // What left Git since is pruned now.
    let pruned = apply_map(
        Some(&moved),
        json!({"a": "1"}),
        "tidegate",
        OnConflict::Fail,
    )
    .unwrap();
    assert_eq!(pruned["data"], json!({"a": "1"}));
    assert!(
        managed::migration_patch(&pruned, &options)
            .unwrap()
            .is_none()
    );
}

#[test]
fn scale_owns_one_field_of_its_parent() {
    let path =
        |version: &str| (version == "apps/v1").then(|| FieldPath::of_fields(&["spec", "replicas"]));
    let entry = |manager: &str, operation: &str, fields: Value| json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields});
    let parent = Managers::decode(&json!([
        entry(
            "m",
            "Apply",
            json!({"f:spec": {"f:replicas": {}, "f:paused": {}}})
        ),
        entry("n", "Update", json!({"f:spec": {"f:selector": {}}})),
    ]))
    .unwrap();
    let scale = managed::to_scale_managers(&parent, path);
    assert_eq!(scale.len(), 1);
    let hpa = Managers::decode(&json!([{"manager": "hpa", "operation": "Update", "apiVersion": "autoscaling/v1",
        "subresource": "scale", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]))
    .unwrap();
    let after = managed::from_scale_managers(&parent, &hpa, "apps/v1", path);
    let text: Vec<String> = after
        .iter()
        .map(|(k, s)| format!("{} {}", k.manager, s.set.encode()))
        .collect();
    assert_eq!(
        text,
        [
            r#"hpa {"f:spec":{"f:replicas":{}}}"#,
            r#"m {"f:spec":{"f:paused":{}}}"#,
            r#"n {"f:spec":{"f:selector":{}}}"#,
        ]
    );
    assert!(
        after
            .iter()
            .any(|(k, _)| k.operation == Operation::Update && k.subresource == "scale")
    );
}

#[test]
fn times_alone_are_no_change() {
    let live = apply_map(None, json!({"a": "1"}), "m", OnConflict::Fail).unwrap();
    let mut new = live.clone();
    new["metadata"]["managedFields"][0]["time"] = json!("2027-01-01T00:00:00Z");
    managed::settle_times(&live, &mut new);
    assert_eq!(new, live);
    new["metadata"]["managedFields"][0]["time"] = json!("2027-01-01T00:00:00Z");
    new["data"]["a"] = json!("2");
    managed::settle_times(&live, &mut new);
    assert_eq!(
        new["metadata"]["managedFields"][0]["time"],
        "2027-01-01T00:00:00Z"
    );
}

fn roll(seed: u64) -> Value {
    let mut object = widget(&mut Dice(seed));
    object["apiVersion"] = json!("diff.tidegate.dev/v1");
    object["kind"] = json!("Widget");
    object["metadata"]["name"] = json!("w");
    object
}

fn apply_widget(
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    on: OnConflict,
) -> Result<Value, ApplyError> {
    let versions = widgets();
    apply(
        &request(&versions, "diff.tidegate.dev/v1", "Widget", manager),
        live,
        config,
        on,
    )
    .map(|m| m.object)
}

/// Only the fields of one half: the generator's objects overlap otherwise.
fn half(object: &Value, first: bool) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("labels");
    let keys: &[&str] = if first {
        &["items", "set", "frozen"]
    } else {
        &["plain", "free", "labels", "port", "number", "pod"]
    };
    // An empty associative list is owned by nobody, so its order of arrival shows.
    object["spec"]
        .as_object_mut()
        .unwrap()
        .retain(|key, v| keys.contains(&key.as_str()) && *v != json!([]));
    object
}

proptest! {
    #[test]
    fn applying_twice_changes_nothing(a in any::<u64>(), b in any::<u64>()) {
        let live = apply_widget(None, &roll(a), "m", OnConflict::Fail).unwrap();
        let once = apply_widget(Some(&live), &roll(b), "n", OnConflict::Force).unwrap();
        let twice = apply_widget(Some(&once), &roll(b), "n", OnConflict::Fail).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn disjoint_managers_commute(a in any::<u64>(), b in any::<u64>()) {
        let (x, y) = (half(&roll(a), true), half(&roll(b), false));
        let chain = |first: (&Value, &str), second: (&Value, &str)| {
            let live = apply_widget(None, first.0, first.1, OnConflict::Fail).unwrap();
            apply_widget(Some(&live), second.0, second.1, OnConflict::Fail).unwrap()
        };
        // Who comes second with an empty spec changes nothing, hence has no time.
        prop_assume!(x["spec"] != json!({}) && y["spec"] != json!({}));
        prop_assert_eq!(chain((&x, "m"), (&y, "n")), chain((&y, "n"), (&x, "m")));
    }

    #[test]
    fn force_leaves_no_field_that_differs_to_others(a in any::<u64>(), b in any::<u64>()) {
        let ty = Schema::from_crd(&widget_crd(), "v1").unwrap();
        let live = apply_widget(None, &roll(a), "m", OnConflict::Fail).unwrap();
        let forced = apply_widget(Some(&live), &roll(b), "n", OnConflict::Force).unwrap();
        let change = tidegate_diff::typed::compare(&ty, &live, &forced).unwrap();
        let managers = Managers::decode(&forced["metadata"]["managedFields"]).unwrap();
        let touched = change.modified.union(&change.added).difference(&FieldSet::of_fields(&[&["metadata", "managedFields"]]));
        for (key, state) in managers.iter().filter(|(key, _)| key.manager == "m") {
            prop_assert!(state.set.intersection(&touched).is_empty(), "{:?}", key);
        }
        // And what was forced is there.
        let again = apply_widget(Some(&forced), &roll(b), "n", OnConflict::Fail);
        prop_assert_eq!(again.unwrap(), forced);
    }

    #[test]
    fn leaving_takes_everything_along(a in any::<u64>()) {
        let live = apply_widget(None, &roll(a), "m", OnConflict::Fail).unwrap();
        let empty = json!({"apiVersion": "diff.tidegate.dev/v1", "kind": "Widget", "metadata": {"name": "w"}});
        let left = apply_widget(Some(&live), &empty, "m", OnConflict::Fail).unwrap();
        prop_assert!(left["metadata"].get("managedFields").is_none());
        prop_assert!(left["metadata"].get("labels").is_none_or(Value::is_null));
    }
}
