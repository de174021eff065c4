//! Deleting an application, and what belongs to somebody else.

use serde_json::json;
use tidegate::engine::{Control, Reason, Wanted};
use tidegate::manifest::OperationPhase;

use crate::cluster::{World, config_map};

#[tokio::test(flavor = "multi_thread")]
async fn deletion_goes_last_wave_first_and_leaves_what_asks_to_stay() {
    let world = World::new("delete").await;
    let kept = config_map("kept", 0, "1").replace(
        "argocd.argoproj.io/sync-wave: '0'",
        "argocd.argoproj.io/sync-options: Delete=false",
    );
    world.write(
        "a.yaml",
        &(config_map("zero", 0, "1") + &config_map("one", 1, "1") + &kept),
    );
    world.sync(|_| {}).await;
    world.events.take();
    let tidegate = world.open().await;
    let desired = tidegate.render(&world.name, Wanted::Newest).await.unwrap();
    let destination = tidegate.destination(&world.name).await.unwrap();
    tidegate
        .engine()
        .delete_application(&destination, &desired, &Control::none())
        .await
        .unwrap();
    assert_eq!(
        world.told(&[Reason::Pruned]),
        ["Pruned ConfigMap/one", "Pruned ConfigMap/zero"]
    );
    assert!(world.live("v1", "ConfigMap", "kept").await.is_some());
    assert!(world.live("v1", "ConfigMap", "zero").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_others_are_not_pruned() {
    let world = World::new("others").await;
    world.write("a.yaml", &config_map("mine", 0, "1"));
    world.sync(|_| {}).await;
    // A copied mark does not make it ours, and an object without a mark is nobody's.
    let id = format!("{}:/ConfigMap:{}/mine", world.name, world.name);
    world
        .edit(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "copy", "annotations": {"argocd.argoproj.io/tracking-id": id}}}))
        .await;
    world
        .edit(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign"}}))
        .await;
    world
        .remove("a.yaml")
        .write("b.yaml", &config_map("next", 0, "1"));
    assert_eq!(
        world.sync(|request| request.prune = true).await.phase,
        OperationPhase::Succeeded
    );
    assert!(world.live("v1", "ConfigMap", "mine").await.is_none());
    assert!(world.live("v1", "ConfigMap", "copy").await.is_some());
    assert!(world.live("v1", "ConfigMap", "foreign").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_object_is_told_and_refused_when_asked() {
    let first = World::new("shared").await;
    first.write("a.yaml", &config_map("a", 0, "1"));
    first.sync(|_| {}).await;
    let mut second = World::new("shared")
        .await
        .spec("syncPolicy: {syncOptions: [FailOnSharedResource=true]}");
    second.name = format!("{}-second", first.name);
    let place = format!("  namespace: {}\n  annotations: {{argocd", first.name);
    second.write(
        "a.yaml",
        &config_map("a", 0, "2").replace("  annotations: {argocd", &place),
    );
    let done = second.sync(|_| {}).await;
    assert_eq!(done.phase, OperationPhase::Failed, "{}", done.message);
    assert!(done.message.contains(&first.name), "{}", done.message);
    assert_eq!(
        first.live("v1", "ConfigMap", "a").await.unwrap()["data"]["value"],
        "1"
    );
}
