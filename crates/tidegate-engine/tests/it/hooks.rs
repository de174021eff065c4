//! Hooks: names, policies, finalizers, what is no hook (Argo CD 7.1, 7.5, 0.5).

use tidegate_engine::{EngineOptions, Strategy};
use tidegate_store::MemoryStore;

use crate::fake::{Fake, key};
use crate::kit::{World, app, results, verdict};

#[tokio::test(start_paused = true)]
async fn a_generated_name_is_made_of_revision_phase_and_time() {
    let world = World::new();
    let state = world
        .sync(&app("Job migrate-* hook=PreSync\nConfigMap a"))
        .await;
    let name = "migrate-c0ffee0-presync-1714557600";
    assert_eq!(
        results(&state)[0],
        format!("PreSync Job/{name} Synced Succeeded")
    );
    let body = world
        .fake
        .body(&key("batch", "Job", "shop", name))
        .expect("the hook stays");
    assert_eq!(
        body["metadata"]["annotations"]["tidegate.dev/operation-id"],
        "op-1/0/PreSync"
    );
    assert_eq!(body["metadata"]["finalizers"], serde_json::Value::Null);
    assert_eq!(
        body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
        format!("app:batch/Job:shop/{name}")
    );
}

#[tokio::test(start_paused = true)]
async fn one_object_runs_in_several_phases() {
    let world = World::new();
    let state = world
        .sync(&app("Job both hook=PreSync,PostSync\nConfigMap a"))
        .await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (no more tasks)"
    );
    assert_eq!(
        world.log(),
        "create Job/both\nrelease Job/both\ncreate ConfigMap/a\ndelete Job/both\ncreate Job/both\nrelease Job/both"
    );
}

/// What a second sync, and the end of the first, do to a hook of a policy.
async fn check(policy: &str, health: &str, strict: bool, first: &str, second: &str) {
    let mut options = EngineOptions::default();
    options.step.strict_compatibility = strict;
    let store = std::sync::Arc::new(MemoryStore::new());
    let world = World::with(Fake::new(), store, options, "op");
    let lines = format!("Job pre hook=PreSync policy={policy} health={health}\nConfigMap a");
    world.sync(&app(&lines)).await;
    assert_eq!(world.log(), first, "{policy} first");
    world.sync(&app(&lines)).await;
    assert_eq!(world.log(), second, "{policy} second");
}

const GOOD: &str = "Progressing,Healthy";
const BAD: &str = "Progressing,Degraded";

#[tokio::test(start_paused = true)]
async fn policies_delete_hooks_when_they_say() {
    check(
        "BeforeHookCreation",
        GOOD,
        false,
        "create Job/pre\nrelease Job/pre\ncreate ConfigMap/a",
        "delete Job/pre\ncreate Job/pre\nrelease Job/pre",
    )
    .await;
    check(
        "HookSucceeded",
        GOOD,
        false,
        "create Job/pre\nrelease Job/pre\ncreate ConfigMap/a\ndelete Job/pre",
        "create Job/pre\nrelease Job/pre\ndelete Job/pre",
    )
    .await;
    check(
        "HookFailed",
        BAD,
        false,
        "create Job/pre\nrelease Job/pre\ndelete Job/pre",
        "create Job/pre\nrelease Job/pre\ndelete Job/pre",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_ran_runs_again_unless_argo_cd_is_followed_to_the_letter() {
    let first = "create Job/pre\nrelease Job/pre\ncreate ConfigMap/a";
    check(
        "HookFailed",
        GOOD,
        false,
        first,
        "delete Job/pre\ncreate Job/pre\nrelease Job/pre",
    )
    .await;
    check(
        "HookFailed",
        GOOD,
        true,
        first,
        "update Job/pre\nrelease Job/pre",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_lingers_is_waited_for_before_it_runs_again() {
    let world = World::new();
    let lines = "Job pre hook=PreSync linger=4\nConfigMap a";
    world.sync(&app(lines)).await;
    let state = world.sync(&app(lines)).await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(
        world.log(),
        "create Job/pre\nrelease Job/pre\ncreate ConfigMap/a\ndelete Job/pre\ncreate Job/pre\nrelease Job/pre"
    );
    let told = world.told();
    assert!(
        told.iter().any(|line| line.contains("the object is gone")),
        "{told:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hook_of_a_sync_is_not_applied() {
    let world = World::new();
    let state = world
        .sync(&app(
            "Job skip hook=Skip\nJob odd hook=Typo\nJob gone hook=PreDelete\nConfigMap a",
        ))
        .await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.log(), "create ConfigMap/a");
}

#[tokio::test(start_paused = true)]
async fn hooks_do_not_run_in_partial_syncs_and_under_strategy_apply() {
    let desired = app("Job pre hook=PreSync\nConfigMap a\nConfigMap b");
    let world = World::new();
    world
        .sync_with(&desired, |request| {
            request.resources = vec![":ConfigMap:a".parse().expect("a filter")];
        })
        .await;
    assert_eq!(world.log(), "create ConfigMap/a");
    assert_eq!(
        world
            .engine
            .history(&desired.application)
            .await
            .expect("readable")
            .len(),
        0
    );
    world
        .sync_with(&desired, |request| {
            request.strategy = Strategy::Apply { force: false }
        })
        .await;
    assert_eq!(world.log(), "create ConfigMap/b");
    assert_eq!(
        world
            .engine
            .history(&desired.application)
            .await
            .expect("readable")
            .len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_left_git_is_not_pruned() {
    let world = World::new();
    world.sync(&app("Job pre hook=PreSync\nConfigMap a")).await;
    world.log();
    world.sync(&app("ConfigMap a")).await;
    assert_eq!(world.log(), "");
    assert_eq!(world.fake.names(), ["ConfigMap/a", "Job/pre"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_fails_the_sync() {
    let world = World::new();
    let state = world
        .sync(&app(
            "Job pre hook=PreSync health=Progressing,Degraded\nConfigMap a",
        ))
        .await;
    assert_eq!(
        verdict(&state),
        "Failed: one or more synchronization tasks completed unsuccessfully"
    );
    assert_eq!(world.log(), "create Job/pre\nrelease Job/pre");
    let told = world.told();
    assert!(
        told.contains(&"HookFailed PreSync:0 Job/pre".to_owned()),
        "{told:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_beside_the_last_wave_is_waited_for_but_not_the_wave() {
    let world = World::new();
    let state = world
        .sync(&app(
            "Job during hook=Sync\nDeployment slow health=Progressing",
        ))
        .await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (no more tasks)"
    );
    assert_eq!(
        results(&state),
        [
            "Sync Deployment/slow Synced Running",
            "Sync Job/during Synced Succeeded"
        ]
    );
}
