//! Sync options (Argo CD section 8), ownership and what must never be pruned.

use std::time::Duration;

use serde_json::json;
use tidegate_engine::{Controller, SyncRequest};

use crate::fake::key;
use crate::kit::{World, app, desired, manifests, results, verdict};

fn with_options(options: &str, lines: &str) -> tidegate_engine::Desired {
    let extra = format!("  syncPolicy: {{syncOptions: [{options}]}}");
    desired(&extra, &manifests(lines))
}

#[tokio::test(start_paused = true)]
async fn pruning_happens_only_when_it_is_asked_for_and_permitted() {
    let world = World::new();
    world
        .sync(&app(
            "ConfigMap plain\nConfigMap never options=Prune=false\nConfigMap a",
        ))
        .await;
    world.log();
    let state = world
        .sync_with(&app("ConfigMap a"), |request| request.prune = false)
        .await;
    let found: Vec<&str> = state.results.iter().map(|r| r.message.as_str()).collect();
    assert_eq!(
        found[..2],
        ["ignored (requires pruning)", "ignored (requires pruning)"]
    );
    assert_eq!(world.log(), "");
    let state = world.sync(&app("ConfigMap a")).await;
    assert_eq!(world.log(), "delete ConfigMap/plain");
    assert!(
        state
            .results
            .iter()
            .any(|r| r.message == "ignored (no prune)")
    );
}

#[tokio::test(start_paused = true)]
async fn a_prune_that_needs_approval_waits_for_it() {
    let world = World::new();
    world
        .sync(&app("ConfigMap old options=Prune=confirm\nConfigMap a"))
        .await;
    world.told();
    let desired = app("ConfigMap a data=new");
    let (controller, control) = Controller::new();
    let approve = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        // An approval from before the operation does not count.
        controller.approve_deletions("2024-05-01T09:00:00Z".parse().expect("a time"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.fake.names().len(), 2);
        controller.approve_deletions("2024-05-01T11:00:00Z".parse().expect("a time"));
    };
    let mut request = SyncRequest::manual(&desired.application, "tester");
    request.prune = true;
    world.log();
    let (state, ()) = tokio::join!(world.try_sync(&desired, request, &control), approve);
    assert_eq!(
        verdict(&state.expect("it ends")),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.log(), "delete ConfigMap/old\nupdate ConfigMap/a");
    let told = world.told();
    assert!(
        told.iter()
            .any(|l| l.contains("waiting until pruning is approved")),
        "{told:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_namespace_is_made_first_and_is_not_marked() {
    let world = World::new();
    world.fake.state().objects.clear();
    let desired = with_options("CreateNamespace=true", "ConfigMap a");
    let state = world.sync(&desired).await;
    assert_eq!(world.log(), "create Namespace/shop\ncreate ConfigMap/a");
    assert_eq!(
        results(&state),
        [
            "PreSync Namespace/shop Synced Succeeded",
            "Sync ConfigMap/a Synced Running"
        ]
    );
    let body = world
        .fake
        .body(&key("", "Namespace", "", "shop"))
        .expect("it is there");
    assert_eq!(body["metadata"], json!({"name": "shop"}));
    world.sync(&desired).await;
    assert_eq!(world.log(), "");
}

#[tokio::test(start_paused = true)]
async fn managed_namespace_metadata_is_kept() {
    let world = World::new();
    let extra = |label: &str| {
        format!(
            "  syncPolicy: {{syncOptions: [CreateNamespace=true], managedNamespaceMetadata: {{labels: {{team: {label}}}}}}}"
        )
    };
    let one = desired(&extra("a"), &manifests("ConfigMap a"));
    world.sync(&one).await;
    assert_eq!(world.log(), "update Namespace/shop\ncreate ConfigMap/a");
    let body = world
        .fake
        .body(&key("", "Namespace", "", "shop"))
        .expect("it is there");
    assert_eq!(body["metadata"]["labels"], json!({"team": "a"}));
    let notes = &body["metadata"]["annotations"];
    assert_eq!(
        notes["argocd.argoproj.io/sync-options"],
        "ServerSideApply=true"
    );
    let two = desired(&extra("b"), &manifests("ConfigMap a"));
    let comparison = world
        .engine
        .compare(&world.destination(), &two)
        .await
        .expect("comparable");
    assert_eq!(comparison.sync.as_str(), "OutOfSync");
    world.sync(&two).await;
    let comparison = world
        .engine
        .compare(&world.destination(), &two)
        .await
        .expect("comparable");
    assert_eq!(comparison.sync.as_str(), "Synced");
}

#[tokio::test(start_paused = true)]
async fn only_what_differs_is_applied_when_asked() {
    let world = World::new();
    world
        .sync(&app("ConfigMap a\nConfigMap b\nJob pre hook=PreSync"))
        .await;
    world.log();
    let changed = "ConfigMap a data=new\nConfigMap b\nJob pre hook=PreSync";
    let state = world
        .sync(&with_options("ApplyOutOfSyncOnly=true", changed))
        .await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(
        results(&state),
        [
            "PreSync Job/pre Synced Succeeded",
            "Sync ConfigMap/a Synced Running"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn force_and_replace_recreate() {
    let world = World::new();
    world.sync(&app("Job a spec=1")).await;
    world.log();
    let state = world.sync(&app("Job a spec=2")).await;
    assert!(verdict(&state).contains("immutable"), "{}", verdict(&state));
    world.sync(&app("Job a spec=2 options=Force=true")).await;
    assert_eq!(world.log(), "recreate Job/a");
    world.sync(&app("ConfigMap m")).await;
    world.log();
    world.fake.edit(&key("", "ConfigMap", "shop", "m"), |body| {
        body["data"]["extra"] = "x".into();
    });
    world
        .sync(&app("ConfigMap m options=Replace=true data=c"))
        .await;
    assert_eq!(world.log(), "update ConfigMap/m");
    let body = world
        .fake
        .body(&key("", "ConfigMap", "shop", "m"))
        .expect("it is there");
    assert_eq!(body["data"], json!({"a": "c"}));
}

#[tokio::test(start_paused = true)]
async fn ignored_fields_keep_their_live_values_when_asked() {
    let rule = "  ignoreDifferences: [{group: '', kind: ConfigMap, jsonPointers: [/data/a]}]";
    let respect = format!("{rule}\n  syncPolicy: {{syncOptions: [RespectIgnoreDifferences=true]}}");
    for (extra, expected) in [(rule.to_owned(), "b"), (respect, "live")] {
        let world = World::new();
        let lines = manifests("ConfigMap m");
        world.sync(&desired(&extra, &lines)).await;
        let place = key("", "ConfigMap", "shop", "m");
        world
            .fake
            .edit(&place, |body| body["data"]["a"] = "live".into());
        let now = desired(&extra, &lines);
        let found = world
            .engine
            .compare(&world.destination(), &now)
            .await
            .expect("comparable");
        assert_eq!(found.sync.as_str(), "Synced");
        world.sync(&now).await;
        assert_eq!(
            world.fake.body(&place).expect("it is there")["data"]["a"],
            expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_application_is_told_and_refused_when_asked() {
    let world = World::new();
    world.fake.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "shop", "annotations":
            {"argocd.argoproj.io/tracking-id": "other:/ConfigMap:shop/a"}}}));
    let state = world
        .sync(&with_options("FailOnSharedResource=true", "ConfigMap a"))
        .await;
    assert_eq!(
        verdict(&state),
        "Failed: Shared resource found: ConfigMap/a is part of applications app and other"
    );
    assert_eq!(world.log(), "");
    let state = world.sync(&app("ConfigMap a")).await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.log(), "update ConfigMap/a");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pruned_while_the_target_is_not_seen_whole() {
    let world = World::new();
    world.sync(&app("ConfigMap a\nConfigMap b")).await;
    world.log();
    world.fake.state().incomplete = vec!["widgets.example.org".to_owned()];
    let state = world.sync(&app("ConfigMap a")).await;
    assert_eq!(
        verdict(&state),
        "Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.log(), "");
    let kept = state
        .results
        .iter()
        .find(|r| r.key.name == "b")
        .expect("a result");
    assert_eq!(
        kept.message,
        "ignored (the target could not be listed whole: widgets.example.org)"
    );
    world.fake.state().incomplete.clear();
    for facts in world.fake.state().kinds.values_mut() {
        facts.stale = true;
    }
    world.sync(&app("ConfigMap a")).await;
    assert_eq!(world.log(), "");
}

#[tokio::test(start_paused = true)]
async fn copies_children_and_definitions_are_never_pruned() {
    let world = World::new();
    world
        .sync(&app(
            "CustomResourceDefinition widgets.example.org\nConfigMap a",
        ))
        .await;
    world.log();
    let marked = |name: &str, id: &str, owners: serde_json::Value| {
        let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": name, "namespace": "shop",
            "annotations": {"argocd.argoproj.io/tracking-id": id}}});
        if !owners.is_null() {
            body["metadata"]["ownerReferences"] = owners;
        }
        world.fake.put(body);
    };
    marked("copy", "app:/ConfigMap:shop/a", json!(null));
    marked(
        "child",
        "app:/ConfigMap:shop/child",
        json!([{"kind": "Deployment", "name": "x"}]),
    );
    marked("real", "app:/ConfigMap:shop/real", json!(null));
    world.sync(&app("ConfigMap a")).await;
    assert_eq!(world.log(), "delete ConfigMap/real");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing_and_says_what_it_would() {
    let world = World::new();
    world.sync(&app("ConfigMap a\nConfigMap old")).await;
    world.log();
    let state = world
        .sync_with(&app("ConfigMap a data=new\nConfigMap b"), |request| {
            request.dry_run = true;
        })
        .await;
    assert_eq!(state.phase.as_str(), "Succeeded");
    assert_eq!(world.log(), "");
    let found: Vec<&str> = state.results.iter().map(|r| r.message.as_str()).collect();
    for expected in [
        "configmap/a configured (dry run)",
        "configmap/b created (dry run)",
        "pruned (dry run)",
    ] {
        assert!(found.contains(&expected), "{found:?}");
    }
}
