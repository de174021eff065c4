//! Hooks: their order, what happens when one fails, when they are deleted.

use tidegate::engine::Reason;
use tidegate::manifest::OperationPhase;

use crate::cluster::{World, config_map, job};

const TRUE: &str = "['true']";
const FALSE: &str = "['false']";

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_before_and_after() {
    let world = World::new("hooks").await;
    world.write(
        "a.yaml",
        &(job("before", "PreSync", "HookSucceeded", TRUE)
            + &config_map("a", 0, "1")
            + &job("after", "PostSync", "BeforeHookCreation", TRUE)),
    );
    let done = world.sync(|_| {}).await;
    assert_eq!(done.phase, OperationPhase::Succeeded, "{}", done.message);
    assert_eq!(
        world
            .told(&[Reason::HookStarted, Reason::HookSucceeded, Reason::Applied])
            .into_iter()
            .filter(|line| !line.contains("Namespace"))
            .collect::<Vec<_>>(),
        [
            "HookStarted Job/before",
            "HookSucceeded Job/before",
            "Applied ConfigMap/a",
            "HookStarted Job/after",
            "HookSucceeded Job/after"
        ]
    );
    assert!(
        world.live("batch/v1", "Job", "before").await.is_none(),
        "HookSucceeded deletes it"
    );
    assert!(
        world.live("batch/v1", "Job", "after").await.is_some(),
        "BeforeHookCreation keeps it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_hook_runs_anew_in_the_next_sync() {
    let world = World::new("again").await;
    world.write("a.yaml", &job("test", "Sync", "BeforeHookCreation", TRUE));
    world.sync(|_| {}).await;
    let first = world.live("batch/v1", "Job", "test").await.unwrap();
    world.sync(|_| {}).await;
    let second = world.live("batch/v1", "Job", "test").await.unwrap();
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
}

/// A simulated pod cannot fail by its command on a cluster whose nodes are played (kwok): the sandbox's can.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_presync_hook_keeps_the_rest_from_being_applied() {
    if std::env::var_os("TIDEGATE_TEST_KUBECONFIG").is_some() {
        println!("SKIPPED: jobs cannot fail on played nodes");
        return;
    }
    let world = World::new("failed").await;
    world.write(
        "a.yaml",
        &(job("before", "PreSync", "HookFailed", FALSE)
            + &config_map("a", 0, "1")
            + &job("alarm", "SyncFail", "BeforeHookCreation", TRUE)),
    );
    let done = world.sync(|_| {}).await;
    assert_eq!(done.phase, OperationPhase::Failed);
    assert!(
        world.live("v1", "ConfigMap", "a").await.is_none(),
        "nothing of the sync itself was applied"
    );
    assert!(
        world.live("batch/v1", "Job", "alarm").await.is_some(),
        "the SyncFail hook ran"
    );
    assert!(
        world.live("batch/v1", "Job", "before").await.is_none(),
        "HookFailed deletes it"
    );
    let told = world.told(&[Reason::HookFailed, Reason::SyncFailed]);
    assert_eq!(told, ["HookFailed Job/before", "SyncFailed"]);
}
