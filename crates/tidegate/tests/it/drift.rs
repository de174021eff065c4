//! Drift: what somebody else changes, and what is not drift.

use serde_json::json;
use tidegate::manifest::{OperationPhase, SyncStatus};

use crate::cluster::{World, config_map};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_field_is_drift_and_an_added_one_is_not() {
    let world = World::new("drift").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    world.sync(|_| {}).await;
    let tidegate = world.open().await;
    world.edit(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"other": "x"}})).await;
    assert_eq!(
        tidegate.compare(&world.name).await.unwrap().sync,
        SyncStatus::Synced,
        "a field beside ours is not ours"
    );
    world.edit(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "2", "other": "x"}})).await;
    let comparison = tidegate.compare(&world.name).await.unwrap();
    assert_eq!(comparison.sync, SyncStatus::OutOfSync);
    let changed: Vec<_> = comparison
        .out_of_sync()
        .flat_map(|r| r.changes.iter().map(|c| c.path.clone()))
        .collect();
    assert_eq!(changed, [".data.value"]);
    assert_eq!(world.sync(|_| {}).await.phase, OperationPhase::Succeeded);
    let live = world.live("v1", "ConfigMap", "a").await.unwrap();
    assert_eq!(
        live["data"],
        json!({"value": "1", "other": "x"}),
        "the heal takes back our field and leaves the other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_differences_are_left_alone() {
    let world = World::new("ignored")
        .await
        .spec("ignoreDifferences: [{kind: ConfigMap, jsonPointers: [/data/value]}]\nsyncPolicy: {syncOptions: [CreateNamespace=true, RespectIgnoreDifferences=true]}");
    world.write("a.yaml", &config_map("a", 0, "1"));
    world.sync(|_| {}).await;
    world.edit(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "2"}})).await;
    assert_eq!(
        world.open().await.compare(&world.name).await.unwrap().sync,
        SyncStatus::Synced
    );
    world.sync(|_| {}).await;
    assert_eq!(
        world.live("v1", "ConfigMap", "a").await.unwrap()["data"]["value"],
        "2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_never_shown() {
    let world = World::new("secret").await;
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{password: {value}}}\n"
        )
    };
    world.write("a.yaml", &secret("hunter2"));
    world.sync(|_| {}).await;
    world.write("a.yaml", &secret("correct-horse"));
    let tidegate = world.open().await;
    let plan = tidegate.plan(&world.name).await.unwrap();
    assert!(plan.has_changes());
    let desired = tidegate
        .render(&world.name, tidegate::engine::Wanted::Newest)
        .await
        .unwrap();
    let diff = serde_json::to_string(&tidegate.diff(&desired).await.unwrap()).unwrap();
    for text in [plan.canonical(), diff] {
        for value in [
            "hunter2",
            "correct-horse",
            "aHVudGVyMg",
            "Y29ycmVjdC1ob3JzZQ",
        ] {
            assert!(!text.contains(value), "{value} in {text}");
        }
        assert!(text.contains("++++++++"), "{text}");
    }
}
