//! What people and programs read: comparison, diff, plan, status document, history, rollback, events.

use std::time::Duration;

use serde_json::json;
use tidegate_engine::{
    ApplicationSummary, Control, Event, PlanAction, ResourceFilter, SyncRequest, WaitFor,
    check_plan,
};
use tidegate_manifest::{HealthStatus, SyncStatus};

use crate::fake::key;
use crate::kit::{World, app, desired, line, manifests, verdict};

async fn compared(world: &World, desired: &tidegate_engine::Desired) -> Vec<String> {
    let found = world
        .engine
        .compare(&world.destination(), desired)
        .await
        .expect("comparable");
    let mut lines = vec![format!("{} {}", found.sync, found.health.status)];
    lines.extend(found.resources.iter().map(|row| {
        let status = row.status.map_or("-", SyncStatus::as_str);
        let health = row
            .health
            .as_ref()
            .map_or("-", |health| health.status.as_str());
        let pruning = if row.requires_pruning { " prune" } else { "" };
        format!(
            "{}/{} {status} {health}{pruning}",
            row.key.kind, row.key.name
        )
    }));
    lines.extend(
        found
            .conditions
            .iter()
            .map(|c| format!("{}: {}", c.kind.as_str(), c.message)),
    );
    lines
}

#[tokio::test(start_paused = true)]
async fn a_comparison_says_what_differs_and_how_it_is() {
    let world = World::new();
    let now = app("ConfigMap a\nDeployment web\nJob pre hook=PreSync\nConfigMap skipped hook=Skip");
    assert_eq!(
        compared(&world, &now).await,
        [
            "OutOfSync Missing",
            "ConfigMap/a OutOfSync Missing",
            "ConfigMap/skipped - -",
            "Deployment/web OutOfSync Missing"
        ]
    );
    world.sync(&now).await;
    assert_eq!(compared(&world, &now).await[0], "Synced Progressing");
    assert_eq!(compared(&world, &now).await[0], "Synced Healthy");
    world.fake.edit(&key("", "ConfigMap", "shop", "a"), |body| {
        body["data"]["a"] = "x".into();
    });
    let fewer = app("ConfigMap a");
    assert_eq!(
        compared(&world, &fewer).await,
        [
            "OutOfSync Healthy",
            "ConfigMap/a OutOfSync -",
            "Deployment/web OutOfSync Healthy prune",
            "Job/pre - Healthy"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn extra_objects_and_ignored_fields_need_not_count() {
    let world = World::new();
    world
        .sync(&app(
            "ConfigMap a\nConfigMap extra compare=IgnoreExtraneous",
        ))
        .await;
    assert_eq!(
        compared(&world, &app("ConfigMap a")).await,
        [
            "Synced Healthy",
            "ConfigMap/a Synced -",
            "ConfigMap/extra OutOfSync - prune"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_documents_make_everything_unknown_and_are_named() {
    let world = World::new();
    world.sync(&app("ConfigMap a")).await;
    let twice = app("ConfigMap a\nConfigMap a data=2");
    let lines = compared(&world, &twice).await;
    assert_eq!(lines[..2], ["Unknown Healthy", "ConfigMap/a Unknown -"]);
    assert_eq!(
        lines[2],
        "ComparisonError: all.yaml:8: duplicate object: ConfigMap shop/a is also defined at all.yaml:2"
    );
    let bad_rule = desired(
        "  ignoreDifferences: [{kind: ConfigMap, jsonPointers: [data]}]",
        &manifests("ConfigMap a"),
    );
    let lines = compared(&world, &bad_rule).await;
    assert_eq!(lines[0], "Unknown Healthy");
    assert!(
        lines[2].contains("a pointer starts with a slash"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_target_refuses_is_out_of_sync_and_what_cannot_be_asked_is_unknown() {
    let world = World::new();
    let now = app("ConfigMap a invalid=no\nConfigMap b");
    let lines = compared(&world, &now).await;
    assert_eq!(
        lines[..2],
        ["OutOfSync Missing", "ConfigMap/a OutOfSync Missing"]
    );
    assert_eq!(lines[3], "ComparisonError: ConfigMap shop/a: no");
    world.fake.state().unavailable = true;
    let lines = compared(&world, &now).await;
    assert_eq!(lines[..2], ["Unknown Unknown", "ConfigMap/a Unknown -"]);
    let state = world.sync(&now).await;
    assert!(state.phase.is_unsuccessful(), "{}", verdict(&state));
    world.fake.state().unavailable = false;
    assert_eq!(world.log(), "");
}

#[tokio::test(start_paused = true)]
async fn two_sources_may_repeat_an_object_and_the_last_wins() {
    let world = World::new();
    let mut both = app("ConfigMap a data=one");
    both.sources
        .push(app("ConfigMap a data=two").sources.remove(0));
    world.sync(&both).await;
    let body = world
        .fake
        .body(&key("", "ConfigMap", "shop", "a"))
        .expect("it is there");
    assert_eq!(body["data"]["a"], "two");
    let lines = compared(&world, &both).await;
    assert_eq!(
        lines[2],
        "RepeatedResourceWarning: Resource /ConfigMap/shop/a appeared 2 times among application resources."
    );
}

#[tokio::test(start_paused = true)]
async fn projects_are_obeyed() {
    let world = World::new();
    let mut outside = app("ConfigMap a\nClusterRole r");
    let mut project = tidegate_manifest::AppProject::permissive("tight");
    project.cluster_resource_whitelist.clear();
    outside.project = std::sync::Arc::new(project.clone());
    let state = world.sync(&outside).await;
    assert_eq!(
        verdict(&state),
        "Failed: one or more synchronization tasks are not valid: resource rbac.authorization.k8s.io:ClusterRole is not permitted in project tight"
    );
    assert_eq!(world.log(), "");
    let rows = compared(&world, &outside).await;
    assert!(
        rows.contains(&"ClusterRole/r Unknown Missing".to_owned()),
        "{rows:?}"
    );
    project.source_repos = vec!["https://elsewhere/*".to_owned()];
    outside.project = std::sync::Arc::new(project);
    let rows = compared(&world, &outside).await;
    assert_eq!(
        rows.last().map(String::as_str),
        Some(
            "InvalidSpecError: app.yaml:2: application repo https://git.example/repo is not permitted in project 'tight'"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_diff_shows_fields_and_hides_secrets() {
    let world = World::new();
    world
        .sync(&app("Secret s\nConfigMap a\nConfigMap old"))
        .await;
    let now = app("Secret s\nConfigMap a data=new");
    world.fake.edit(&key("", "Secret", "shop", "s"), |body| {
        body["stringData"]["password"] = "changed".into();
    });
    let found = world
        .engine
        .diff(&world.destination(), &now)
        .await
        .expect("a diff");
    let lines: Vec<String> = found
        .iter()
        .map(|d| format!("{} {}/{}", d.action.as_str(), d.key.kind, d.key.name))
        .collect();
    assert_eq!(
        lines,
        [
            "update ConfigMap/a",
            "delete ConfigMap/old",
            "update Secret/s"
        ]
    );
    assert_eq!(found[0].changes[0].path, ".data.a");
    let text = serde_json::to_string(&found).expect("it is JSON");
    assert!(
        !text.contains("hunter2") && !text.contains("changed"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_approved_plan_is_applied_only_while_it_holds() {
    let world = World::new();
    world.sync(&app("ConfigMap a\nConfigMap b")).await;
    let now = app("ConfigMap a data=new\nConfigMap b\nJob pre-* hook=PreSync");
    let request = SyncRequest::manual(&now.application, "tester");
    let destination = world.destination();
    let plan = world
        .engine
        .plan(&destination, &now, &request)
        .await
        .expect("a plan");
    assert!(plan.has_changes() && !plan.is_invalid());
    // Only a version moved: nothing that the plan says is touched.
    world.fake.edit(&key("", "ConfigMap", "shop", "b"), |body| {
        body["status"] = json!({"x": 1});
    });
    let again = world
        .engine
        .plan(&destination, &now, &request)
        .await
        .expect("a plan");
    assert_ne!(again.id(), plan.id());
    assert_eq!(check_plan(&plan, &again), Ok(()));
    world.fake.edit(&key("", "ConfigMap", "shop", "b"), |body| {
        body["data"]["a"] = "x".into();
    });
    world.log();
    let control = Control::none();
    let refused = world
        .engine
        .sync(&destination, &now, request.clone(), Some(&plan), &control)
        .await;
    let error = refused.expect_err("it is stale");
    assert_eq!(
        error.to_string(),
        "the plan no longer holds: ConfigMap shop/b: nothing became update"
    );
    assert_eq!(world.log(), "");
    let plan = world
        .engine
        .plan(&destination, &now, &request)
        .await
        .expect("a plan");
    let state = world
        .engine
        .sync(&destination, &now, request, Some(&plan), &control)
        .await;
    assert_eq!(state.expect("it runs").phase.as_str(), "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_cannot_be_done() {
    let world = World::new();
    let now = app("Widget w\nConfigMap a invalid=no");
    let request = SyncRequest::manual(&now.application, "tester");
    let plan = world
        .engine
        .plan(&world.destination(), &now, &request)
        .await
        .expect("a plan");
    assert!(plan.is_invalid());
    let lines: Vec<String> = plan
        .entries
        .iter()
        .map(|e| format!("{} {} {}", e.key.name, e.is_invalid, e.message))
        .collect();
    assert_eq!(lines[0], "a true no");
    assert!(
        lines[1].starts_with("w true the server could not find"),
        "{lines:?}"
    );
    assert_eq!(plan.entries[0].action, PlanAction::Nothing);
    assert!(
        plan.diagnostics
            .iter()
            .any(|d| d.is_error() && d.origin.line > 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_status_document_has_argo_cds_form() {
    let world = World::new();
    let now = app("Job pre hook=PreSync\nDeployment web wave=2");
    world.sync(&now).await;
    for _look in 0..2 {
        world
            .engine
            .compare(&world.destination(), &now)
            .await
            .expect("comparable");
    }
    let document = world
        .engine
        .status_document(&now.application)
        .await
        .expect("a document");
    let status = &document["status"];
    assert_eq!(document["metadata"]["name"], "app");
    assert_eq!(status["sync"]["status"], "Synced");
    assert_eq!(status["sync"]["revision"], "c0ffee0011223344");
    assert_eq!(
        status["sync"]["comparedTo"]["destination"]["namespace"],
        "shop"
    );
    assert_eq!(status["sourceType"], "Directory");
    assert_eq!(
        status["resources"][0],
        json!({"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop",
            "name": "web", "status": "Synced", "health": {"status": "Healthy"}, "syncWave": 2})
    );
    let state = &status["operationState"];
    assert_eq!(state["phase"], "Succeeded");
    assert_eq!(state["startedAt"], "2024-05-01T10:00:00Z");
    assert_eq!(
        state["operation"]["initiatedBy"],
        json!({"username": "tester"})
    );
    assert_eq!(
        state["operation"]["sync"]["syncStrategy"],
        json!({"hook": {}})
    );
    assert_eq!(
        state["syncResult"]["resources"][0],
        json!({"group": "batch", "version": "v1", "kind": "Job", "namespace": "shop", "name": "pre",
            "status": "Synced", "hookType": "PreSync", "hookPhase": "Succeeded",
            "syncPhase": "PreSync", "message": "job.batch/pre created"})
    );
    assert_eq!(status["history"][0]["id"], 0);
    assert_eq!(status["history"][0]["revision"], "c0ffee0011223344");
}

#[tokio::test(start_paused = true)]
async fn history_is_bounded_and_can_be_gone_back_to() {
    let world = World::new();
    let at = |revision: &str, data: &str| {
        let extra = "  revisionHistoryLimit: 2";
        let mut desired = desired(extra, &manifests(&format!("ConfigMap a data={data}")));
        desired.sources[0].revision = revision.to_owned();
        desired
    };
    for revision in ["one", "two", "three"] {
        world.sync(&at(revision, revision)).await;
    }
    let application = &at("x", "x").application;
    let history = world.engine.history(application).await.expect("readable");
    let found: Vec<(u64, &str)> = history
        .iter()
        .map(|h| (h.id, h.revisions[0].as_str()))
        .collect();
    assert_eq!(found, [(1, "two"), (2, "three")]);
    let request = SyncRequest::manual(application, "tester");
    let destination = world.destination();
    let control = Control::none();
    let roll = |desired, entry| {
        let (request, control) = (request.clone(), &control);
        let (engine, destination) = (&world.engine, &destination);
        async move {
            engine
                .rollback(destination, desired, entry, request, control)
                .await
        }
    };
    let two = at("two", "two");
    assert!(
        roll(&two, 0)
            .await
            .expect_err("it is gone")
            .to_string()
            .contains("there are: 1, 2")
    );
    assert!(roll(&two, 2).await.is_err());
    let state = roll(&two, 1).await.expect("it runs");
    assert_eq!(state.phase.as_str(), "Succeeded");
    let body = world
        .fake
        .body(&key("", "ConfigMap", "shop", "a"))
        .expect("it is there");
    assert_eq!(body["data"]["a"], "two");
    let mut automated = desired("  syncPolicy: {automated: {}}", &manifests("ConfigMap a"));
    automated.sources[0].revision = "two".to_owned();
    let error = roll(&automated, 1).await.expect_err("it is refused");
    assert!(
        error.to_string().contains("auto-sync is enabled"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_it_is_healthy_or_late() {
    let world = World::new();
    let slow = app("Deployment web health=Progressing,Progressing,Progressing,Progressing,Healthy");
    world.sync(&slow).await;
    let (destination, control) = (world.destination(), Control::none());
    let minute = Duration::from_secs(60);
    let wait = |desired, wanted| {
        world
            .engine
            .wait(&destination, desired, wanted, minute, &control)
    };
    let found = wait(&slow, WaitFor::default())
        .await
        .expect("it becomes healthy");
    assert_eq!(found.health.status, HealthStatus::Healthy);
    let never = app("Deployment web health=Progressing");
    world.sync(&never).await;
    let error = wait(&never, WaitFor::default())
        .await
        .expect_err("it does not");
    assert_eq!(
        error.to_string(),
        "app did not become Synced and Healthy in time: Synced and Progressing (Deployment shop/web)"
    );
}

#[tokio::test(start_paused = true)]
async fn an_operation_tells_its_story() {
    let world = World::new();
    world.sync(&app("ConfigMap old\nConfigMap a")).await;
    world.told();
    world
        .sync(&app(
            "Job pre hook=PreSync\nConfigMap a\nConfigMap b wave=1",
        ))
        .await;
    let told = world.told();
    let story: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(
        story,
        [
            "Resolved | c0ffee0011223344",
            "Rendered | 3 objects",
            "Planned | 1 to apply, 1 to prune, 1 hooks",
            "PhaseStarted PreSync",
            "WaveStarted PreSync:0",
            "HookStarted PreSync:0 Job/pre | job.batch/pre created",
            "Waiting PreSync:0 Job/pre | Job shop/pre: waiting until the hook has ended; now: Progressing; changed by the controller of Job",
            "HookSucceeded PreSync:0 Job/pre | job.batch/pre created",
            "PhaseStarted Sync",
            "WaveStarted Sync:0",
            "Pruned Sync:0 ConfigMap/old | pruned",
            "Unchanged Sync:0 ConfigMap/a | configmap/a unchanged",
            "WaveStarted Sync:1",
            "Applied Sync:1 ConfigMap/b | configmap/b created",
            "SyncSucceeded | successfully synced (all tasks run)",
        ]
    );
}

#[test]
fn events_leave_absent_fields_out() {
    let summary = Event::summary(&[ApplicationSummary {
        name: "app".to_owned(),
        sync: SyncStatus::Synced,
        health: HealthStatus::Healthy,
        revision: "abc".to_owned(),
    }]);
    let text = serde_json::to_string(&summary).expect("it is JSON");
    assert_eq!(
        text,
        r#"{"reason":"Summary","applications":[{"name":"app","sync":"Synced","health":"Healthy","revision":"abc"}]}"#
    );
    let event = Event::new(tidegate_engine::Reason::Applied, "app").object(&key(
        "",
        "ConfigMap",
        "shop",
        "a",
    ));
    let text = serde_json::to_string(&event).expect("it is JSON");
    assert_eq!(
        text,
        r#"{"reason":"Applied","application":"app","object":{"target":"kubernetes:test","kind":"ConfigMap","namespace":"shop","name":"a"}}"#
    );
    assert_eq!(line(&event), "Applied ConfigMap/a");
}

#[test]
fn filters_are_read_and_applied() {
    let take = |texts: &[&str], kind: &str, name: &str| {
        let filters: Vec<ResourceFilter> = texts
            .iter()
            .map(|text| text.parse().expect("a filter"))
            .collect();
        ResourceFilter::selects(&filters, &key("", kind, "shop", name))
    };
    assert!(take(&[], "ConfigMap", "a"));
    assert!(take(&[":ConfigMap:a"], "ConfigMap", "a"));
    assert!(!take(&[":ConfigMap:a"], "ConfigMap", "b"));
    assert!(take(&["*:*:a"], "Secret", "a"));
    assert!(!take(&[":ConfigMap:other/a"], "ConfigMap", "a"));
    assert!(take(&[":ConfigMap:shop/a"], "ConfigMap", "a"));
    assert!(!take(&["!:ConfigMap:a"], "ConfigMap", "a"));
    assert!(take(&["!:ConfigMap:a"], "ConfigMap", "b"));
    for bad in ["", "a", "a:b", "::a", ":b:", "a:b:c/"] {
        assert!(bad.parse::<ResourceFilter>().is_err(), "{bad}");
    }
}
