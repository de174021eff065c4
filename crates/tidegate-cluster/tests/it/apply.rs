//! Apply in all its modes, and what its previews say.

use serde_json::{Value, json};
use tidegate_applier::manifest::GroupKind;
use tidegate_applier::{Applier, ApplyMode, ChangeOutcome, ErrorKind, Scope};

use crate::target::{TestCluster, cluster, is_real, unique};

/// Creates an object as `kubectl apply` without `--server-side` does.
async fn kubectl_apply(test: &TestCluster, body: &Value) {
    let mut body = body.clone();
    body["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        body.to_string().into();
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?fieldManager=kubectl-client-side-apply",
        test.namespace
    );
    test.send("POST", &path, "application/json", &body).await;
}

fn managers(live: &Value) -> Vec<String> {
    let mut names: Vec<String> = live["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            format!(
                "{} {}",
                entry["manager"].as_str().unwrap_or_default(),
                entry["operation"].as_str().unwrap_or_default()
            )
        })
        .collect();
    names.sort();
    names
}

async fn raw_live(test: &TestCluster, name: &str) -> Value {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", test.namespace);
    test.send("GET", &path, "application/json", &Value::Null)
        .await
}

#[tokio::test]
async fn fields_of_client_side_apply_are_taken_over_as_foretold() {
    let test = cluster().await;
    kubectl_apply(
        &test,
        &test.config_map("a", &json!({"keep": "1", "drop": "2"})),
    )
    .await;
    let wanted = test.config_map("a", &json!({"keep": "1"}));
    let preview = test.preview(test.request(&wanted)).await.expect("foretold");
    assert_eq!(preview.outcome, ChangeOutcome::Updated);
    let paths: Vec<&str> = preview
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(paths, [".data.drop", ".metadata.annotations"]);
    let result = test.apply(test.request(&wanted)).await.expect("applied");
    assert_eq!(result.outcome, ChangeOutcome::Updated);
    assert_eq!(result.live.body["data"], json!({"keep": "1"}));
    assert_eq!(result.live.body["data"], preview.after["data"]);
    assert_eq!(
        result.live.body["metadata"]["annotations"],
        preview.after["metadata"]["annotations"]
    );
    let live = raw_live(&test, "a").await;
    assert_eq!(managers(&live), ["tidegate Apply"]);
    let again = test.apply(test.request(&wanted)).await.expect("applied");
    assert_eq!(again.outcome, ChangeOutcome::Unchanged);
}

#[tokio::test]
async fn without_migration_the_fields_stay() {
    let test = cluster().await;
    kubectl_apply(
        &test,
        &test.config_map("a", &json!({"keep": "1", "drop": "2"})),
    )
    .await;
    let mut request = test.request(&test.config_map("a", &json!({"keep": "1"})));
    request.migrate_client_side_apply = false;
    let result = test.apply(request).await.expect("applied");
    assert_eq!(result.outcome, ChangeOutcome::Unchanged);
    assert_eq!(result.live.body["data"], json!({"keep": "1", "drop": "2"}));
}

#[tokio::test]
async fn a_migration_keeps_the_version_precondition() {
    let test = cluster().await;
    kubectl_apply(&test, &test.config_map("a", &json!({"k": "1"}))).await;
    let wanted = test.config_map("a", &json!({"k": "2"}));
    let preview = test.preview(test.request(&wanted)).await.expect("foretold");
    let mut request = test.request(&wanted);
    request.precondition.version = preview.before.map(|before| before.version);
    request.precondition.exists = Some(true);
    let result = test.apply(request).await.expect("the plan still holds");
    assert_eq!(result.live.body["data"], json!({"k": "2"}));
}

#[tokio::test]
async fn conflicts_name_owner_and_field() {
    let test = cluster().await;
    let path = format!(
        "/api/v1/namespaces/{}/configmaps/a?fieldManager=other&force=true",
        test.namespace
    );
    let theirs = test.config_map("a", &json!({"k": "theirs"}));
    test.send("PATCH", &path, "application/apply-patch+yaml", &theirs)
        .await;
    let mut request = test.request(&test.config_map("a", &json!({"k": "ours"})));
    request.force_conflicts = false;
    let error = test.apply(request.clone()).await.expect_err("a conflict");
    assert_eq!((error.kind, error.retryable), (ErrorKind::Conflict, false));
    assert!(
        error.message.contains("conflict with \"other\""),
        "{}",
        error.message
    );
    assert!(
        error
            .help
            .unwrap_or_default()
            .contains("\"other\" owns .data.k")
    );
    request.force_conflicts = true;
    let result = test.apply(request).await.expect("by force");
    assert_eq!(result.live.body["data"]["k"], "ours");
}

#[tokio::test]
async fn validation_is_strict_unless_it_is_off() {
    let test = cluster().await;
    let mut body = test.config_map("a", &json!({"k": "v"}));
    body["dada"] = json!({});
    let error = test
        .apply(test.request(&body))
        .await
        .expect_err("an unknown field");
    assert_eq!(
        (error.kind, error.retryable),
        (ErrorKind::Invalid, false),
        "{error}"
    );
    assert!(test.live(&body).await.is_none());
}

#[tokio::test]
async fn what_cannot_change_in_place_is_refused_or_recreated() {
    let test = cluster().await;
    let secret = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": test.namespace},
            "immutable": true, "type": "Opaque", "data": {"k": value}})
    };
    let first = test
        .apply(test.request(&secret("YQ==")))
        .await
        .expect("created");
    let answer = test.apply(test.request(&secret("Yg=="))).await;
    if answer.is_ok() && !is_real() {
        eprintln!("skipped: this server does not check immutable secrets");
        return;
    }
    let error = answer.expect_err("immutable");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(
        error.help.unwrap_or_default().contains("Force=true"),
        "{}",
        error.message
    );
    let mut request = test.request(&secret("Yg=="));
    request.force_recreate = true;
    request.operation_id = unique("op");
    let preview = test.preview(request.clone()).await.expect("foretold");
    assert_eq!(preview.outcome, ChangeOutcome::Replaced);
    assert_eq!(preview.after["data"]["k"], "Yg==");
    assert_eq!(preview.after["metadata"]["name"], "s");
    assert_eq!(
        test.live(&secret("")).await.expect("untouched").uid,
        first.live.uid
    );
    let result = test.apply(request).await.expect("recreated");
    assert_eq!(result.outcome, ChangeOutcome::Replaced);
    assert_ne!(result.live.uid, first.live.uid);
}

#[tokio::test]
async fn what_cannot_be_created_is_not_deleted_first() {
    let test = cluster().await;
    let good = test.config_map("a", &json!({"k": "v"}));
    let first = test.apply(test.request(&good)).await.expect("created");
    let mut bad = test.request(&test.config_map("a", &json!({"k": {"not": "text"}})));
    bad.mode = ApplyMode::Recreate;
    let error = test.apply(bad).await.expect_err("refused");
    assert!(!error.message.contains("tidegate-preview"), "{error}");
    assert_eq!(
        test.live(&good).await.expect("still there").uid,
        first.live.uid
    );
}

#[tokio::test]
async fn replace_puts_the_whole_object() {
    let test = cluster().await;
    let mut first = test.config_map("a", &json!({"k": "1", "gone": "1"}));
    first["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let mut request = test.request(&first);
    request.mode = ApplyMode::Replace;
    let created = test.apply(request).await.expect("created");
    assert_eq!(created.outcome, ChangeOutcome::Created);
    let mut request = test.request(&test.config_map("a", &json!({"k": "2"})));
    request.mode = ApplyMode::Replace;
    let preview = test.preview(request.clone()).await.expect("foretold");
    let replaced = test.apply(request.clone()).await.expect("replaced");
    assert_eq!(replaced.outcome, ChangeOutcome::Updated);
    assert_eq!(replaced.live.uid, created.live.uid);
    assert_eq!(replaced.live.body["data"], json!({"k": "2"}));
    assert_eq!(preview.after["data"], replaced.live.body["data"]);
    assert_eq!(
        replaced.live.body["metadata"]["finalizers"],
        json!(["example.com/hold"])
    );
    let again = test.apply(request).await.expect("replaced");
    assert_eq!(again.outcome, ChangeOutcome::Unchanged);
    // Later applies take over what the replacement owned.
    let mut release = test.config_map("a", &json!({}));
    release["metadata"]["finalizers"] = json!([]);
    let applied = test.apply(test.request(&release)).await.expect("applied");
    let data = applied.live.body["data"].as_object();
    assert!(data.is_none_or(serde_json::Map::is_empty), "{data:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_about_is_assumed() {
    let test = cluster().await;
    let mut body = test.config_map("a", &json!({"k": "v"}));
    body["metadata"]["namespace"] = unique("none").into();
    let preview = test.preview(test.request(&body)).await.expect("assumed");
    assert_eq!(
        (preview.outcome, preview.assumed),
        (ChangeOutcome::Created, true)
    );
    let error = test
        .apply(test.request(&body))
        .await
        .expect_err("no namespace");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error
            .help
            .unwrap_or_default()
            .contains("CreateNamespace=true")
    );
    let other = json!({"apiVersion": "nowhere.example.com/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": test.namespace}});
    let preview = test.preview(test.request(&other)).await.expect("assumed");
    assert!(preview.assumed);
    let error = test.apply(test.request(&other)).await.expect_err("no kind");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error
            .help
            .unwrap_or_default()
            .contains("CustomResourceDefinition")
    );
}

#[tokio::test]
async fn names_cannot_reach_other_paths() {
    let test = cluster().await;
    for name in ["../secrets/x", "..", "a/b", "a%2fb", ""] {
        let body = test.config_map(name, &json!({}));
        let error = test.apply(test.request(&body)).await.expect_err("no name");
        assert_eq!(error.kind, ErrorKind::Invalid, "{name}");
    }
}

#[tokio::test]
async fn exported_bookkeeping_does_no_harm() {
    let test = cluster().await;
    let body = test.config_map("a", &json!({"k": "v"}));
    test.apply(test.request(&body)).await.expect("created");
    let mut exported = raw_live(&test, "a").await;
    exported["metadata"]["resourceVersion"] = json!("1");
    exported["metadata"]["uid"] = json!("other");
    exported["data"]["k"] = json!("w");
    let result = test.apply(test.request(&exported)).await.expect("applied");
    assert_eq!(result.live.body["data"]["k"], "w");
}

fn definition(group: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "size": {"type": "integer"}, "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                        "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "v": {"type": "string"}}}}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

#[tokio::test]
async fn a_definition_and_its_objects_go_in_one_batch() {
    let test = cluster().await;
    let group = format!("{}.example.com", unique("g"));
    let crd = definition(&group);
    let widget = |size: u32, v: &str| {
        json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w", "namespace": test.namespace},
            "spec": {"size": size, "parts": [{"id": "a", "v": v}]}})
    };
    let unknown = test
        .cluster
        .kinds(vec![GroupKind::new(&group, "Widget")])
        .await
        .remove(0);
    assert_eq!(unknown, Ok(None));
    let batch = vec![test.request(&widget(1, "x")), test.request(&crd)];
    let answers = test.cluster.apply(batch).await;
    for answer in &answers {
        assert_eq!(
            answer.as_ref().expect("applied").outcome,
            ChangeOutcome::Created
        );
    }
    assert_eq!(
        answers[0].as_ref().expect("applied").live.key.kind,
        "Widget"
    );
    let facts = test
        .cluster
        .kinds(vec![GroupKind::new(&group, "Widget")])
        .await
        .remove(0);
    let facts = facts.expect("asked").expect("served");
    assert_eq!((facts.scope, facts.stale), (Scope::Namespaced, false));
    let preview = test
        .preview(test.request(&widget(2, "y")))
        .await
        .expect("foretold");
    let paths: Vec<&str> = preview
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(paths, [".spec.parts[id=\"a\"].v", ".spec.size"]);
    let mut bad = widget(2, "y");
    bad["spec"]["zz"] = json!(1);
    let error = test
        .apply(test.request(&bad))
        .await
        .expect_err("no such field");
    assert_eq!(
        (error.kind, error.retryable),
        (ErrorKind::Invalid, false),
        "{error}"
    );
    let mut wrong = widget(2, "y");
    wrong["apiVersion"] = format!("{group}/v9").into();
    let error = test
        .apply(test.request(&wrong))
        .await
        .expect_err("no such version");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.help.unwrap_or_default().contains("v1"));
    // The definition goes, and its objects with it.
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}");
    test.send("DELETE", &path, "application/json", &json!({}))
        .await;
}
