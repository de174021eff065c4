//! Custom resources: definitions, schemas, versions, ownership, the end of a definition.

use serde_json::{Value, json};

use crate::client::{APPLY, Lab, MERGE, STRATEGIC, definition};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

fn widget(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

async fn lab() -> Lab {
    let lab = Lab::start().await;
    let made = lab.post(DEFINITIONS, &definition()).await;
    assert_eq!(made.code, 201, "{}", made.text);
    lab
}

#[tokio::test]
async fn a_definition_is_served_at_once() {
    let lab = lab().await;
    let live = lab
        .get(&format!("{DEFINITIONS}/widgets.example.com"))
        .await
        .json();
    let conditions: Vec<(&str, &str)> = live["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["type"].as_str().unwrap(),
                one["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        conditions,
        [("NamesAccepted", "True"), ("Established", "True")]
    );
    let group = lab.get("/apis/example.com").await.json();
    assert_eq!(group["preferredVersion"]["version"], "v1");
    let resources = lab.get("/apis/example.com/v1").await.json();
    assert_eq!(resources["resources"][0]["shortNames"], json!(["wd"]));
    assert_eq!(resources["resources"][0]["categories"], json!(["all"]));
}

#[tokio::test]
async fn objects_are_pruned_defaulted_and_checked() {
    let lab = lab().await;
    let made = lab
        .post(WIDGETS, &widget("w", &json!({"size": 1, "junk": true})))
        .await;
    assert_eq!(made.json()["spec"], json!({"size": 1, "mode": "auto"}));
    assert_eq!(
        made.headers["warning"],
        "299 - \"unknown field \\\"spec.junk\\\"\""
    );
    for (spec, reason, field) in [
        (json!({}), "FieldValueRequired", "spec.size"),
        (json!({"size": 0}), "FieldValueInvalid", "spec.size"),
        (json!({"size": "x"}), "FieldValueTypeInvalid", "spec.size"),
        (
            json!({"size": 1, "items": [{"name": "a"}, {"name": "a"}]}),
            "FieldValueDuplicate",
            "spec.items[1]",
        ),
    ] {
        let reply = lab.post(WIDGETS, &widget("bad", &spec)).await;
        let cause = reply.json()["details"]["causes"][0].clone();
        assert_eq!(reply.code, 422);
        assert_eq!(
            (cause["reason"].as_str(), cause["field"].as_str()),
            (Some(reason), Some(field))
        );
    }
    let strict = lab
        .post(
            &format!("{WIDGETS}?fieldValidation=Strict"),
            &widget("s", &json!({"size": 1, "junk": 1})),
        )
        .await;
    assert_eq!(strict.code, 400);
    let unset = lab
        .put(&format!("{WIDGETS}/w"), &widget("w", &json!({"size": 2})))
        .await;
    assert_eq!(
        unset.message(),
        "widgets.example.com \"w\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    let merged = lab
        .patch(&format!("{WIDGETS}/w"), STRATEGIC, &json!({}))
        .await;
    assert_eq!(merged.code, 415);
}

#[tokio::test]
async fn every_version_shows_the_same_object() {
    let lab = lab().await;
    lab.post(WIDGETS, &widget("w", &json!({"size": 1}))).await;
    let beta = "/apis/example.com/v1beta1/namespaces/default/widgets";
    let shown = lab.get(&format!("{beta}/w")).await.json();
    assert_eq!(
        (&shown["apiVersion"], &shown["spec"]["size"]),
        (&json!("example.com/v1beta1"), &json!(1))
    );
    let list = lab.get(beta).await.json();
    assert_eq!(list["items"][0]["apiVersion"], "example.com/v1beta1");
    assert_eq!(lab.get(&format!("{beta}/w/status")).await.code, 404);
}

#[tokio::test]
async fn two_appliers_share_a_list_by_its_keys() {
    let lab = lab().await;
    let apply = async |manager: &str, items: Value| {
        let body = widget("w", &json!({"size": 1, "items": items}));
        lab.patch(&format!("{WIDGETS}/w?fieldManager={manager}"), APPLY, &body)
            .await
    };
    assert_eq!(apply("one", json!([{"name": "a", "v": 1}])).await.code, 201);
    let both = apply("two", json!([{"name": "b", "v": 1}])).await.json();
    assert_eq!(
        both["spec"]["items"],
        json!([{"name": "a", "v": 1}, {"name": "b", "v": 1}])
    );
    let refused = apply("two", json!([{"name": "a", "v": 2}])).await;
    assert_eq!(
        (
            refused.code,
            refused.json()["details"]["causes"][0]["field"].clone()
        ),
        (409, json!(".spec.items[name=\"a\"].v"))
    );
    let left = apply("two", json!([])).await.json();
    assert_eq!(left["spec"]["items"], json!([{"name": "a", "v": 1}]));
    assert_eq!(left["spec"]["mode"], "auto");
    assert!(
        !left["metadata"]["managedFields"]
            .to_string()
            .contains("f:mode"),
        "a default is nobody's"
    );
    let twice = apply("one", json!([{"name": "a"}, {"name": "a"}])).await;
    assert_eq!(
        (twice.code, twice.json()["reason"].clone()),
        (500, Value::Null)
    );
}

#[tokio::test]
async fn status_and_scale_are_apart() {
    let lab = lab().await;
    lab.post(WIDGETS, &widget("w", &json!({"size": 1, "replicas": 1})))
        .await;
    let both = json!({"spec": {"size": 7}, "status": {"replicas": 3}});
    let status = lab
        .patch(&format!("{WIDGETS}/w/status"), MERGE, &both)
        .await
        .json();
    assert_eq!(
        (&status["spec"]["size"], &status["metadata"]["generation"]),
        (&json!(1), &json!(1))
    );
    let main = lab
        .patch(
            &format!("{WIDGETS}/w"),
            MERGE,
            &json!({"status": {"replicas": 9}}),
        )
        .await
        .json();
    assert_eq!(main["status"]["replicas"], 3);
    let scale = lab
        .patch(
            &format!("{WIDGETS}/w/scale"),
            MERGE,
            &json!({"spec": {"replicas": 4}}),
        )
        .await
        .json();
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["replicas"]),
        (&json!(4), &json!(3))
    );
    let live = lab.get(&format!("{WIDGETS}/w")).await.json();
    assert_eq!(
        (&live["spec"]["replicas"], &live["metadata"]["generation"]),
        (&json!(4), &json!(2))
    );
}

#[tokio::test]
async fn a_definition_takes_its_objects_along() {
    let lab = lab().await;
    lab.post(WIDGETS, &widget("w", &json!({"size": 1}))).await;
    let marked = lab
        .delete(&format!("{DEFINITIONS}/widgets.example.com"), None)
        .await
        .json();
    assert_eq!(
        marked["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    lab.until(&format!("{DEFINITIONS}/widgets.example.com"), |reply| {
        reply.code == 404
    })
    .await;
    let gone = lab.get(WIDGETS).await;
    assert_eq!(
        (gone.code, gone.text.as_str()),
        (404, "404 page not found\n")
    );
    lab.post(DEFINITIONS, &definition()).await;
    assert_eq!(lab.get(WIDGETS).await.json()["items"], json!([]));
}

#[tokio::test]
async fn definitions_that_cannot_work_are_refused() {
    let lab = Lab::start().await;
    let mut open = definition();
    open["spec"]["versions"][0]["schema"] = json!({});
    assert_eq!(lab.post(DEFINITIONS, &open).await.code, 422);
    let mut hooked = definition();
    hooked["spec"]["conversion"] =
        json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}});
    let refused = lab.post(DEFINITIONS, &hooked).await;
    assert_eq!(
        (
            refused.code,
            refused.json()["details"]["causes"][0]["field"].clone()
        ),
        (422, json!("spec.conversion.strategy"))
    );
}
