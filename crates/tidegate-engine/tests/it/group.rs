//! Failures, waits that end, termination, retries, newer revisions (Argo CD 7.4, 9.4, 0.2, 0.3, 0.6).

use std::time::Duration;

use tidegate_engine::{Controller, EngineOptions, OnSuspended, RetryPolicy, SyncRequest};
use tidegate_store::MemoryStore;

use crate::fake::{Fake, key};
use crate::kit::{World, app, desired, manifests, results, verdict};

async fn check(lines: &str, message: &str, log: &str, found: &[&str]) {
    let world = World::new();
    let state = world.sync(&app(lines)).await;
    assert_eq!(verdict(&state), message);
    assert_eq!(world.log(), log);
    assert_eq!(results(&state), found);
}

#[tokio::test(start_paused = true)]
async fn what_a_dry_run_refuses_keeps_everything_as_it_was() {
    check(
        "ConfigMap good\nConfigMap bad wave=3 invalid=no",
        "Failed: one or more objects failed to apply (dry run), reason: no",
        "",
        &["Sync ConfigMap/bad SyncFailed Failed"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_last_group_is_told_as_one_to_apply() {
    check(
        "ConfigMap good\nConfigMap bad refuse=no",
        "Failed: one or more objects failed to apply, reason: no",
        "create ConfigMap/good",
        &[
            "Sync ConfigMap/bad SyncFailed Failed",
            "Sync ConfigMap/good Synced Succeeded",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_last_group_stops_the_later_ones() {
    check(
        "ConfigMap bad refuse=no\nDeployment same health=Progressing\nConfigMap later wave=1",
        "Failed: one or more synchronization tasks completed unsuccessfully, reason: no",
        "create Deployment/same",
        &[
            "Sync ConfigMap/bad SyncFailed Failed",
            "Sync Deployment/same Synced Running",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_degraded_object_of_an_earlier_wave_fails_the_sync() {
    check(
        "Deployment sick health=Progressing,Degraded\nConfigMap later wave=1",
        "Failed: one or more synchronization tasks completed unsuccessfully",
        "create Deployment/sick",
        &["Sync Deployment/sick Synced Failed"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn sync_fail_hooks_run_once_whatever_their_wave_and_do_not_change_the_message() {
    check(
        "ConfigMap bad refuse=no\nJob alarm hook=SyncFail wave=3\nJob other hook=SyncFail health=Degraded",
        "Failed: one or more synchronization tasks completed unsuccessfully, reason: no",
        "create Job/other\ncreate Job/alarm\nrelease Job/other\nrelease Job/alarm",
        &[
            "Sync ConfigMap/bad SyncFailed Failed",
            "SyncFail Job/other Synced Failed",
            "SyncFail Job/alarm Synced Succeeded",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn sync_fail_hooks_do_not_run_when_all_goes_well() {
    check(
        "ConfigMap good\nJob alarm hook=SyncFail",
        "Succeeded: successfully synced (all tasks run)",
        "create ConfigMap/good",
        &["Sync ConfigMap/good Synced Running"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_prune_stops_its_group() {
    let world = World::new();
    world.sync(&app("ConfigMap old\nConfigMap keep")).await;
    world.log();
    // Another application takes the object over between the look and the deletion.
    let before = key("", "ConfigMap", "shop", "old");
    world.fake.edit(&before, |body| {
        body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
            "other:/ConfigMap:shop/old".into();
    });
    let state = world.sync(&app("ConfigMap keep data=new")).await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.log(), "update ConfigMap/keep");
    assert_eq!(world.fake.names(), ["ConfigMap/keep", "ConfigMap/old"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_vanishes_while_it_is_waited_for_is_an_error() {
    let world = World::new();
    let (controller, control) = Controller::new();
    let desired = app("Deployment a health=Progressing\nConfigMap b wave=1");
    let request = SyncRequest::manual(&desired.application, "tester");
    let fake = world.fake.clone();
    let remove = async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        fake.state()
            .objects
            .remove(&key("apps", "Deployment", "shop", "a"));
        controller.nudge();
        controller
    };
    let (state, _controller) = tokio::join!(world.try_sync(&desired, request, &control), remove);
    let state = state.expect("it ends");
    assert_eq!(
        verdict(&state),
        "Failed: one or more synchronization tasks completed unsuccessfully"
    );
    assert_eq!(results(&state), ["Sync Deployment/a Synced Error"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_object_is_waited_for_unless_told_otherwise() {
    for (suspended, expected) in [
        (
            OnSuspended::Succeed,
            "Succeeded: successfully synced (all tasks run)",
        ),
        (
            OnSuspended::Fail,
            "Failed: one or more synchronization tasks completed unsuccessfully",
        ),
        (OnSuspended::Wait, "Failed: Operation terminated"),
    ] {
        let mut options = EngineOptions::default();
        options.step.suspended = suspended;
        let world = World::with(
            Fake::new(),
            std::sync::Arc::new(MemoryStore::new()),
            options,
            "op",
        );
        let desired = app("Deployment a health=Suspended\nConfigMap b wave=1");
        let (controller, control) = Controller::new();
        let end = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            controller.terminate();
        };
        let request = SyncRequest::manual(&desired.application, "tester");
        let (state, ()) = tokio::join!(world.try_sync(&desired, request, &control), end);
        assert_eq!(verdict(&state.expect("it ends")), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_wave_is_waited_for_when_asked() {
    let mut options = EngineOptions::default();
    options.step.await_last_wave = true;
    options.step.health_timeout = Some(Duration::from_secs(60));
    let store = std::sync::Arc::new(MemoryStore::new());
    let world = World::with(Fake::new(), store, options, "op");
    let state = world.sync(&app("Deployment a")).await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (no more tasks)"
    );
    let state = world.sync(&app("Deployment b health=Progressing")).await;
    assert_eq!(
        verdict(&state),
        "Failed: one or more synchronization tasks completed unsuccessfully"
    );
    let last = state.results.last().expect("a result");
    assert_eq!(last.message, "not healthy in time: Progressing");
}

#[tokio::test(start_paused = true)]
async fn a_terminated_operation_deletes_its_running_hooks_and_keeps_ended_ones() {
    let world = World::new();
    let desired =
        app("Job done hook=PreSync wave=-1\nJob slow hook=PreSync health=Progressing\nConfigMap a");
    let (controller, control) = Controller::new();
    let end = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        controller.terminate();
    };
    let request = SyncRequest::manual(&desired.application, "tester");
    let (state, ()) = tokio::join!(world.try_sync(&desired, request, &control), end);
    let state = state.expect("it ends");
    assert_eq!(verdict(&state), "Failed: Operation terminated");
    assert_eq!(
        results(&state),
        [
            "PreSync Job/done Synced Succeeded",
            "PreSync Job/slow Synced Succeeded"
        ]
    );
    assert_eq!(state.results[1].message, "Deleted");
    assert_eq!(
        world.log(),
        "create Job/done\nrelease Job/done\ncreate Job/slow\ndelete Job/slow"
    );
}

fn retry(limit: u32) -> RetryPolicy {
    RetryPolicy {
        limit: Some(limit),
        duration: Duration::from_secs(5),
        factor: 2,
        max: Duration::from_secs(180),
        refresh: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_operation_is_tried_again_from_the_beginning() {
    let world = World::new();
    let desired = app("Job pre hook=PreSync\nConfigMap bad refuse=no");
    let state = world
        .sync_with(&desired, |request| request.retry = retry(2))
        .await;
    assert_eq!(
        verdict(&state),
        "Failed: one or more objects failed to apply, reason: no (retried 2 times)."
    );
    // Each attempt runs the hook again, in the same name.
    assert_eq!(
        world.log(),
        "create Job/pre\nrelease Job/pre\n".to_owned()
            + "delete Job/pre\ncreate Job/pre\nrelease Job/pre\n"
            + "delete Job/pre\ncreate Job/pre\nrelease Job/pre"
    );
    let told = world.told();
    let waits: Vec<&String> = told
        .iter()
        .filter(|line| line.contains("Retrying"))
        .collect();
    assert_eq!(
        waits[0],
        "Waiting | one or more objects failed to apply, reason: no. Retrying attempt #1 at 10:00AM."
    );
    assert_eq!(waits.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_newer_revision_ends_an_operation_that_waits() {
    let world = World::new();
    let desired = app("Deployment a health=Progressing\nConfigMap b wave=1");
    let (controller, control) = Controller::new();
    let push = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        controller.newer(vec!["beef".to_owned()]);
    };
    let mut request = SyncRequest::manual(&desired.application, "tester");
    request.retry = retry(5);
    let (state, ()) = tokio::join!(world.try_sync(&desired, request, &control), push);
    let state = state.expect("it ends");
    assert_eq!(verdict(&state), "Failed: superseded by beef");
    assert!(state.is_superseded);
    assert_eq!(
        world.told().last().map(String::as_str),
        Some("Superseded | superseded by beef")
    );
    assert_eq!(world.fake.names(), ["Deployment/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_running_hook_is_let_end_before_a_newer_revision_takes_over() {
    let slow = "health=Progressing,Progressing,Progressing,Progressing,Progressing,Healthy";
    for (health, expected) in [
        (slow, "create Job/pre\nrelease Job/pre"),
        ("health=Progressing", "create Job/pre\ndelete Job/pre"),
    ] {
        let world = World::new();
        let desired = app(&format!("Job pre hook=PreSync {health}\nConfigMap b"));
        let (controller, control) = Controller::new();
        controller.newer(vec!["beef".to_owned()]);
        let request = SyncRequest::manual(&desired.application, "tester");
        // The operation is told at once, before its first wave: let the hook start first.
        let push = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            controller.newer(vec!["cafe".to_owned()]);
        };
        controller.newer(desired.revisions());
        let (state, ()) = tokio::join!(world.try_sync(&desired, request, &control), push);
        let state = state.expect("it ends");
        assert!(state.is_superseded, "{}", verdict(&state));
        assert_eq!(world.log(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_pinned_is_not_superseded() {
    let world = World::new();
    let desired = app("Deployment a\nConfigMap b wave=1");
    let (controller, control) = Controller::new();
    controller.newer(vec!["beef".to_owned()]);
    let mut request = SyncRequest::manual(&desired.application, "tester");
    request.is_pinned = true;
    let state = world
        .try_sync(&desired, request, &control)
        .await
        .expect("it ends");
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_not_valid_keep_everything_as_it_was() {
    for (lines, reason) in [
        (
            "ConfigMap a\nWidget w",
            "the server could not find the requested resource",
        ),
        (
            "ConfigMap a depends=ConfigMap:b\nConfigMap b depends=ConfigMap:a",
            "ConfigMap shop/a",
        ),
    ] {
        let world = World::new();
        let state = world.sync(&app(lines)).await;
        let text = verdict(&state);
        let start = "Failed: one or more synchronization tasks are not valid: ";
        assert!(text.starts_with(start) && text.contains(reason), "{text}");
        assert_eq!(world.log(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_operation_can_be_resumed() {
    let world = World::new();
    let desired =
        app("Job pre hook=PreSync health=Progressing,Progressing,Progressing,Healthy\nConfigMap a");
    let (controller, control) = Controller::new();
    let request = SyncRequest::manual(&desired.application, "tester");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        controller.cancel();
    };
    let (state, ()) = tokio::join!(world.try_sync(&desired, request.clone(), &control), stop);
    assert!(matches!(
        state,
        Err(tidegate_engine::EngineError::Cancelled { .. })
    ));
    let left = world
        .engine
        .unfinished(&desired.application)
        .await
        .expect("readable");
    assert!(left.is_some());
    let state = world
        .try_sync(&desired, request, &tidegate_engine::Control::none())
        .await
        .expect("it ends");
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(
        world.log(),
        "create Job/pre\nrelease Job/pre\ncreate ConfigMap/a"
    );
    assert_eq!(state.id, "op-1");
}

#[tokio::test(start_paused = true)]
async fn broken_manifests_change_nothing() {
    let world = World::new();
    world.sync(&app("ConfigMap a\nConfigMap b")).await;
    world.log();
    let broken = format!(
        "{}---\nkind: ConfigMap\nmetadata: {{name: x}}\n",
        manifests("ConfigMap a data=new")
    );
    let state = world.sync(&desired("", &broken)).await;
    let text = verdict(&state);
    assert!(
        text.starts_with("Error: ComparisonError: all.yaml:"),
        "{text}"
    );
    assert_eq!(world.log(), "");
}
