//! Deleting an application (Argo CD section 10).

use std::time::Duration;

use serde_json::json;
use tidegate_engine::{Control, Controller, Desired, EngineError};

use crate::fake::key;
use crate::kit::{World, app};

const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

fn with_finalizer(mut desired: Desired, finalizer: &str) -> Desired {
    let mut application = (*desired.application).clone();
    application.finalizers = vec![finalizer.to_owned()];
    desired.application = std::sync::Arc::new(application);
    desired
}

async fn delete(world: &World, desired: &Desired) -> Result<(), EngineError> {
    let destination = world.destination();
    let control = Control::none();
    let run = world
        .engine
        .delete_application(&destination, desired, &control);
    tokio::time::timeout(Duration::from_secs(10_000), run)
        .await
        .expect("it ends")
}

#[tokio::test(start_paused = true)]
async fn objects_go_by_descending_waves_between_the_hooks() {
    let world = World::new();
    let lines = "
        ConfigMap first wave=-1
        ConfigMap middle linger=2
        Deployment last wave=3
        ConfigMap kept options=Delete=false
        ConfigMap held helm.sh/resource-policy=keep
        Job before hook=PreDelete
        Job after hook=PostDelete policy=HookSucceeded
        Job other hook=PostDelete";
    let desired = with_finalizer(app(lines), CASCADE);
    world.sync(&desired).await;
    world.log();
    delete(&world, &desired).await.expect("it is deleted");
    assert_eq!(
        world.log(),
        "create Job/before\nrelease Job/before\ndelete Deployment/last\ndelete ConfigMap/middle\ndelete Job/before\n\
         delete ConfigMap/first\ncreate Job/after\ncreate Job/other\nrelease Job/after\nrelease Job/other\ndelete Job/after"
    );
    assert_eq!(
        world.fake.names(),
        ["ConfigMap/held", "ConfigMap/kept", "Job/other"]
    );
    assert!(
        world
            .engine
            .history(&desired.application)
            .await
            .expect("readable")
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_finalizer_the_objects_stay() {
    let world = World::new();
    let desired = app("ConfigMap a");
    world.sync(&desired).await;
    delete(&world, &desired).await.expect("it is deleted");
    assert_eq!(world.fake.names(), ["ConfigMap/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_keeps_the_application() {
    let world = World::new();
    let bad = "Job before hook=PreDelete health=Progressing,Degraded\nConfigMap a";
    let desired = with_finalizer(app(bad), CASCADE);
    world.sync(&desired).await;
    world.log();
    let error = delete(&world, &desired).await.expect_err("the hook failed");
    assert!(
        error
            .to_string()
            .contains("PreDelete hook Job shop/before failed"),
        "{error}"
    );
    assert_eq!(world.log(), "create Job/before\ndelete Job/before");
    assert_eq!(world.fake.names(), ["ConfigMap/a"]);
    // Repaired in Git, it runs again.
    let desired = with_finalizer(app("Job before hook=PreDelete\nConfigMap a"), CASCADE);
    delete(&world, &desired).await.expect("it is deleted");
    assert!(world.fake.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_needs_approval_waits_for_it() {
    let world = World::new();
    let lines = "ConfigMap a options=Delete=confirm\nConfigMap b wave=1";
    let desired = with_finalizer(app(lines), CASCADE);
    world.sync(&desired).await;
    let (controller, control) = Controller::new();
    let approve = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.fake.names(), ["ConfigMap/a", "ConfigMap/b"]);
        controller.approve_deletions("2024-05-01T11:00:00Z".parse().expect("a time"));
    };
    let destination = world.destination();
    let run = world
        .engine
        .delete_application(&destination, &desired, &control);
    let (done, ()) = tokio::join!(run, approve);
    done.expect("it is deleted");
    assert!(world.fake.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_while_the_target_is_not_seen_whole() {
    let world = World::new();
    let desired = with_finalizer(app("ConfigMap a"), CASCADE);
    world.sync(&desired).await;
    world.fake.state().incomplete = vec!["x".to_owned()];
    assert!(delete(&world, &desired).await.is_err());
    assert_eq!(world.fake.names(), ["ConfigMap/a"]);
}

#[tokio::test(start_paused = true)]
async fn objects_of_others_stay() {
    let world = World::new();
    let desired = with_finalizer(app("ConfigMap a"), CASCADE);
    world.sync(&desired).await;
    world.fake.edit(&key("", "ConfigMap", "shop", "a"), |body| {
        body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
            json!("other:/ConfigMap:shop/a");
    });
    delete(&world, &desired).await.expect("it is deleted");
    assert_eq!(world.fake.names(), ["ConfigMap/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_died_goes_on() {
    let lines =
        "Job before hook=PreDelete\nConfigMap a\nConfigMap b wave=1\nJob after hook=PostDelete";
    for moment in 1..20 {
        let world = World::new();
        let desired = with_finalizer(app(lines), CASCADE);
        world.sync(&desired).await;
        world.log();
        world.fake.state().crash_after = Some(moment);
        let crashed = world.fake.state().crashed.clone();
        let lived = tokio::select! {
            _ = delete(&world, &desired) => true,
            () = crashed.notified() => false,
        };
        world.fake.state().crash_after = None;
        if !lived {
            delete(&world, &desired).await.expect("it is deleted");
        }
        let log = world.log();
        let effects: Vec<&str> = log
            .lines()
            .filter(|line| !line.starts_with("same"))
            .collect();
        assert_eq!(
            effects,
            [
                "create Job/before",
                "release Job/before",
                "delete ConfigMap/b",
                "delete ConfigMap/a",
                "delete Job/before",
                "create Job/after",
                "release Job/after"
            ],
            "after effect {moment}"
        );
        if lived {
            assert!(moment > 7);
            return;
        }
    }
}
