//! Offline drift: what an apply by us would change, without asking.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_diff::managed::{self, KindVersions, OnConflict, Request, apply};
use tidegate_diff::own::{Owner, Verdict, verdict};
use tidegate_diff::schema::{Schema, TypeRef};

use crate::generate::{Dice, widget, widget_crd};

const OWNER: Owner<'static> = Owner {
    manager: "tidegate",
    filter: None,
};

fn live_of(ty: &TypeRef, desired: &Value) -> Value {
    let (version, kind) = (
        desired["apiVersion"].as_str().unwrap(),
        desired["kind"].as_str().unwrap(),
    );
    let versions = KindVersions::one(version, ty.clone());
    let request = Request {
        versions: &versions,
        api_version: version,
        kind,
        subresource: "",
        manager: "tidegate",
        now: "2026-01-02T03:04:05Z",
    };
    apply(&request, None, desired, OnConflict::Fail)
        .unwrap()
        .object
}

fn summary(verdict: &Verdict) -> String {
    match verdict {
        Verdict::InSync => "in sync".into(),
        Verdict::Unsure(reason) => format!("unsure: {reason}"),
        Verdict::Drifted(changes) => {
            let text = |v: &Option<Value>| v.as_ref().map_or("-".to_owned(), Value::to_string);
            let rows: Vec<String> = changes
                .iter()
                .map(|c| format!("{} {} {}", c.path, text(&c.before), text(&c.after)))
                .collect();
            rows.join("; ")
        }
    }
}

fn deployment() -> (TypeRef, Value) {
    let ty = Schema::builtin("apps", "v1", "Deployment").unwrap();
    let desired = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1000m"}},
                "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "ports": [{"containerPort": 80}]}], "tolerations": [{"key": "k"}], "imagePullSecrets": []}}}});
    (ty, desired)
}

/// `edit` changes the live object after our apply; then we compare with what `want` makes of the desired one.
fn check(edit: impl Fn(&mut Value), want: impl Fn(&mut Value), expected: &str) {
    let (ty, mut desired) = deployment();
    let mut live = live_of(&ty, &desired);
    edit(&mut live);
    want(&mut desired);
    assert_eq!(summary(&verdict(&ty, &live, &desired, OWNER)), expected);
}

#[test]
fn what_a_server_makes_of_it_is_no_drift() {
    check(|_| {}, |_| {}, "in sync");
    check(
        |live| {
            let container = &mut live["spec"]["template"]["spec"]["containers"][0];
            container["resources"]["limits"]["cpu"] = json!("1");
            container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] = json!("v1");
            container["ports"][0]["protocol"] = json!("TCP");
            container["imagePullPolicy"] = json!("Always");
            live["spec"]["template"]["spec"]
                .as_object_mut()
                .unwrap()
                .remove("imagePullSecrets");
            live["spec"]["revisionHistoryLimit"] = json!(10);
            live["spec"]["replicas"] = json!(2.0);
            live["metadata"]["uid"] = json!("u");
            live["status"] = json!({"replicas": 2});
        },
        |_| {},
        "in sync",
    );
}

#[test]
fn drift() {
    check(
        |live| live["spec"]["replicas"] = json!(3),
        |_| {},
        ".spec.replicas 3 2",
    );
    check(
        |live| live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x"),
        |_| {},
        ".spec.template.spec.containers[name=\"c\"].image \"x\" \"i\"",
    );
    check(
        |live| live["metadata"]["labels"] = json!({}),
        |_| {},
        ".metadata.labels.a - \"b\"",
    );
    check(
        |live| {
            live["spec"]["template"]["spec"]["tolerations"] = json!([{"key": "k"}, {"key": "l"}]);
        },
        |_| {},
        ".spec.template.spec.tolerations [{\"key\":\"k\"},{\"key\":\"l\"}] [{\"key\":\"k\"}]",
    );
    check(
        |_| {},
        |want| want["spec"]["replicas"] = json!(4),
        ".spec.replicas 2 4",
    );
    check(
        |_| {},
        |want| want["spec"]["paused"] = json!(true),
        ".spec.paused - true",
    );
    // Dropped from Git: gone, unless the default is the same.
    check(
        |_| {},
        |want| drop(want["metadata"].as_object_mut().unwrap().remove("labels")),
        ".metadata.labels.a \"b\" -",
    );
    check(
        |_| {},
        |want| drop(want["spec"].as_object_mut().unwrap().remove("replicas")),
        ".spec.replicas 2 1",
    );
    check(
        |_| {},
        |want| {
            want["spec"]["template"]["spec"]["containers"]
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "d"}));
        },
        ".spec.template.spec.containers[name=\"d\"] - {\"name\":\"d\"}",
    );
}

#[test]
fn what_only_the_server_knows() {
    check(
        |live| {
            live["spec"]["template"]["spec"]["tolerations"] =
                json!([{"key": "k", "operator": "Exists"}]);
        },
        |_| {},
        "unsure: .spec.template.spec.tolerations holds more than was applied",
    );
    check(
        |live| live["metadata"]["managedFields"][0]["manager"] = json!("x"),
        |_| {},
        "unsure: tidegate has not applied this object",
    );
    check(
        |live| {
            let fields = &mut live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
            fields.as_object_mut().unwrap().remove("f:replicas");
        },
        |_| {},
        "unsure: .spec.replicas has the wanted value, but its owners differ",
    );
    check(
        |live| live["apiVersion"] = json!("apps/v2"),
        |_| {},
        "unsure: the live object was read at another version",
    );
    check(
        |_| {},
        |want| want["spec"]["zz"] = json!(1),
        "unsure: the desired object does not fit its schema: .spec.zz: field not declared in schema",
    );
}

#[test]
fn secrets() {
    let ty = Schema::builtin("", "v1", "Secret").unwrap();
    let desired = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "text"}, "data": {"b": "eA"}});
    let mut live = live_of(&ty, &desired);
    live.as_object_mut().unwrap().remove("stringData");
    live["data"] = json!({"a": "dGV4dA==", "b": "eA=="});
    assert_eq!(summary(&verdict(&ty, &live, &desired, OWNER)), "in sync");
    live["data"]["a"] = json!("b3RoZXI=");
    assert_eq!(
        summary(&verdict(&ty, &live, &desired, OWNER)),
        ".data.a \"b3RoZXI=\" \"dGV4dA==\""
    );
}

#[test]
fn status_is_not_ours() {
    let ty = Schema::from_crd(&widget_crd(), "v1").unwrap();
    let filter = managed::reset_fields("diff.tidegate.dev", "Widget", "", true).unwrap();
    let desired = json!({"apiVersion": "diff.tidegate.dev/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"port": 1}, "status": {"phase": "x"}});
    let mut bare = desired.clone();
    bare.as_object_mut().unwrap().remove("status");
    let mut live = live_of(&ty, &bare);
    live["status"] = json!({"phase": "y"});
    let owner = Owner {
        manager: "tidegate",
        filter: Some(&filter),
    };
    assert_eq!(summary(&verdict(&ty, &live, &desired, owner)), "in sync");
}

proptest! {
    #[test]
    fn in_sync_means_that_an_apply_changes_nothing(a in any::<u64>(), b in any::<u64>(), same in any::<bool>()) {
        let ty = Schema::from_crd(&widget_crd(), "v1").unwrap();
        let make = |seed: u64| {
            let mut object = widget(&mut Dice(seed));
            object["apiVersion"] = json!("diff.tidegate.dev/v1");
            object["kind"] = json!("Widget");
            object["metadata"]["name"] = json!("w");
            object
        };
        let live = live_of(&ty, &make(a));
        let desired = make(if same { a } else { b });
        let versions = KindVersions::one("diff.tidegate.dev/v1", ty.clone());
        let request = Request { versions: &versions, api_version: "diff.tidegate.dev/v1", kind: "Widget", subresource: "", manager: "tidegate", now: "2026-01-02T03:04:05Z" };
        let merged = apply(&request, Some(&live), &desired, OnConflict::Fail).unwrap();
        match verdict(&ty, &live, &desired, OWNER) {
            Verdict::InSync => prop_assert_eq!(&merged.object["metadata"]["managedFields"], &live["metadata"]["managedFields"]),
            Verdict::Drifted(changes) => prop_assert!(merged.changed, "{changes:?}"),
            Verdict::Unsure(_) => {}
        }
        if same {
            prop_assert_eq!(verdict(&ty, &live, &desired, OWNER), Verdict::InSync);
        }
    }
}
