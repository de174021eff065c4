//! Discovery in all its forms.

use serde_json::json;
use tidegate_applier::manifest::GroupKind;
use tidegate_applier::{Applier, ErrorKind, KindFacts, OwnerRef, Scope};

use crate::scripts::{AGGREGATED, Answer, Script, core, resource, status};

fn legacy() -> Script {
    let versions = json!({"kind": "APIVersions", "versions": ["v1"]});
    let groups = json!({"kind": "APIGroupList", "groups": [
        {"name": "apps", "versions": [{"groupVersion": "apps/v1beta1", "version": "v1beta1"}, {"groupVersion": "apps/v1", "version": "v1"}],
         "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}},
        {"name": "metrics.example.com", "versions": [{"groupVersion": "metrics.example.com/v1", "version": "v1"}],
         "preferredVersion": {"groupVersion": "metrics.example.com/v1", "version": "v1"}}]});
    let resources = |plural: &str, kind: &str| {
        Answer::Json(
            200,
            json!({"kind": "APIResourceList", "resources": [
            {"name": plural, "kind": kind, "namespaced": true, "verbs": ["get", "list", "watch", "patch"]}]}),
        )
    };
    Script::default()
        .on("GET /api", &[Answer::Json(200, versions)])
        .on("GET /apis", &[Answer::Json(200, groups)])
        .on("GET /api/v1", &[resources("configmaps", "ConfigMap")])
        .on(
            "GET /apis/apps/v1",
            &[resources("deployments", "Deployment")],
        )
        .on(
            "GET /apis/apps/v1beta1",
            &[resources("deployments", "Deployment")],
        )
        .on(
            "GET /apis/metrics.example.com/v1",
            &[status(403, "Forbidden", "not today")],
        )
        .on(
            "GET /api/v1/configmaps",
            &[Answer::Json(200, json!({"metadata": {}, "items": []}))],
        )
        .on(
            "GET /apis/apps/v1/deployments",
            &[Answer::Json(200, json!({"metadata": {}, "items": []}))],
        )
}

#[tokio::test]
async fn a_server_without_the_aggregated_form_is_asked_group_by_group() {
    let cluster = legacy().cluster();
    let kinds = vec![
        GroupKind::new("apps", "Deployment"),
        GroupKind::new("", "Nothing"),
        GroupKind::new("metrics.example.com", "Node"),
    ];
    let answers = cluster.kinds(kinds.clone()).await;
    assert_eq!(
        answers[0],
        Ok(Some(KindFacts {
            kind: kinds[0].clone(),
            scope: Scope::Namespaced,
            versions: vec!["v1".into(), "v1beta1".into()],
            stale: false
        }))
    );
    assert_eq!(answers[1], Ok(None));
    let error = answers[2].clone().expect_err("its group does not answer");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("not today"), "{error}");
}

#[tokio::test]
async fn a_group_that_does_not_answer_makes_an_inventory_incomplete() {
    let owner = OwnerRef {
        application: "shop".into(),
        destination_namespace: "ns".into(),
    };
    let owned = legacy().cluster().list_owned(owner).await.expect("listed");
    assert_eq!(owned.incomplete, ["metrics.example.com/v1: not today"]);
}

#[tokio::test]
async fn a_legacy_answer_to_the_aggregated_question_is_not_no_groups() {
    // The core group comes aggregated, the others do not: neither form alone will do.
    let script = legacy().on(
        "GET /api",
        &[
            Answer::Typed(200, AGGREGATED, json!({"items": []})),
            Answer::Json(200, json!({"kind": "APIVersions", "versions": ["v1"]})),
        ],
    );
    let facts = script
        .cluster()
        .kinds(vec![GroupKind::new("apps", "Deployment")])
        .await
        .remove(0);
    assert!(facts.expect("asked").is_some());
}

#[tokio::test]
async fn stale_kinds_are_told_as_stale() {
    let groups = |freshness: &str, resources: serde_json::Value| {
        Answer::Typed(
            200,
            AGGREGATED,
            json!({"items": [{"metadata": {"name": "x.example.com"}, "versions": [
            {"version": "v1", "freshness": freshness, "resources": resources}]}]}),
        )
    };
    let script = core().on(
        "GET /apis",
        &[
            groups("Current", json!([resource("things", "Thing", false)])),
            groups("Stale", json!([])),
        ],
    );
    let cluster = script.cluster();
    let thing = GroupKind::new("x.example.com", "Thing");
    let first = cluster
        .kinds(vec![thing.clone()])
        .await
        .remove(0)
        .expect("asked")
        .expect("served");
    assert!(!first.stale);
    // An unknown kind makes it look again; by then the group is stale, and what was known is kept.
    let unknown = cluster
        .kinds(vec![GroupKind::new("y.example.com", "Other")])
        .await
        .remove(0);
    assert_eq!(unknown, Ok(None));
    let second = cluster
        .kinds(vec![thing])
        .await
        .remove(0)
        .expect("asked")
        .expect("kept");
    assert!(second.stale);
    let owner = OwnerRef {
        application: "shop".into(),
        destination_namespace: "ns".into(),
    };
    let owned = cluster.list_owned(owner).await.expect("listed");
    assert!(
        owned
            .incomplete
            .iter()
            .any(|words| words.starts_with("x.example.com/v1")),
        "{:?}",
        owned.incomplete
    );
}

#[tokio::test]
async fn unknown_kinds_do_not_make_it_look_without_end() {
    let script = core();
    let cluster = script.cluster();
    let kinds: Vec<GroupKind> = (0..40)
        .map(|i| GroupKind::new("x.example.com", format!("Kind{i}")))
        .collect();
    assert!(
        cluster
            .kinds(kinds)
            .await
            .iter()
            .all(|answer| *answer == Ok(None))
    );
    assert!(
        script
            .asked()
            .iter()
            .filter(|line| *line == "GET /apis")
            .count()
            <= 2,
        "{:?}",
        script.asked()
    );
}

#[tokio::test]
async fn documents_that_did_not_change_are_not_sent_again() {
    let core_document = json!({"items": [{"metadata": {}, "versions": [{"version": "v1", "resources": [resource("configmaps", "ConfigMap", true)]}]}]});
    let script = Script::default()
        .on(
            "GET /api",
            &[
                Answer::Tagged(AGGREGATED, "\"e1\"", core_document),
                Answer::Text(304, ""),
            ],
        )
        .on(
            "GET /apis",
            &[
                Answer::Tagged(AGGREGATED, "\"e2\"", json!({"items": []})),
                Answer::Text(304, ""),
            ],
        );
    let cluster = script.cluster();
    let config_map = GroupKind::new("", "ConfigMap");
    assert!(
        cluster
            .kinds(vec![config_map.clone()])
            .await
            .remove(0)
            .expect("asked")
            .is_some()
    );
    assert_eq!(
        cluster
            .kinds(vec![GroupKind::new("", "Other")])
            .await
            .remove(0),
        Ok(None)
    );
    assert!(
        cluster
            .kinds(vec![config_map])
            .await
            .remove(0)
            .expect("asked")
            .is_some()
    );
    assert_eq!(script.count("GET /apis"), 2);
}
