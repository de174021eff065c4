//! Phases, waves, plans: what a sync does when all is well.

use tidegate::engine::{PlanAction, Reason};
use tidegate::manifest::OperationPhase;

use crate::cluster::{World, config_map};

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  \
    template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: 'nginx:1.29', ports: [{containerPort: 80}]}]}\n---\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sync_changes_nothing() {
    let world = World::new("twice").await;
    world.write("a.yaml", &(config_map("first", 0, "1") + DEPLOYMENT));
    assert_eq!(world.sync(|_| {}).await.phase, OperationPhase::Succeeded);
    let plan = world.open().await.plan(&world.name).await.unwrap();
    let changes: Vec<_> = plan
        .entries
        .iter()
        .filter(|e| e.action.is_change())
        .map(|e| (e.key.short(), e.changes.clone()))
        .collect();
    assert_eq!(changes, [], "defaults of the server are not drift");
    world.events.take();
    assert_eq!(world.sync(|_| {}).await.phase, OperationPhase::Succeeded);
    assert_eq!(
        world.told(&[Reason::Applied, Reason::Pruned]),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_waits_for_the_health_of_the_one_before() {
    let world = World::new("waves").await;
    world.write(
        "a.yaml",
        &(config_map("last", 1, "1") + DEPLOYMENT + &config_map("first", -1, "1")),
    );
    assert_eq!(world.sync(|_| {}).await.phase, OperationPhase::Succeeded);
    let told = world.told(&[Reason::Applied, Reason::Healthy]);
    let place = |what: &str| {
        told.iter()
            .position(|line| line == what)
            .unwrap_or_else(|| panic!("{what} in {told:?}"))
    };
    assert!(
        place("Applied ConfigMap/first") < place("Applied Deployment/web"),
        "{told:?}"
    );
    assert!(
        place("Healthy Deployment/web") < place("Applied ConfigMap/last"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_its_object_go_in_one_sync() {
    let world = World::new("crd").await;
    let group = format!("{}.example.com", world.name);
    world.write(
        "a.yaml",
        &format!(
            "apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: 3}}\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata: {{name: widgets.{group}}}\nspec:\n  group: {group}\n  scope: Namespaced\n  names: {{kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}}\n  \
             versions:\n    - name: v1\n      served: true\n      storage: true\n      schema:\n        openAPIV3Schema:\n          type: object\n          \
             properties: {{spec: {{type: object, properties: {{size: {{type: integer}}, colour: {{type: string, default: blue}}}}}}}}\n"
        ),
    );
    let done = world.sync(|_| {}).await;
    assert_eq!(done.phase, OperationPhase::Succeeded, "{}", done.message);
    let live = world
        .live(&format!("{group}/v1"), "Widget", "w")
        .await
        .unwrap();
    assert_eq!(
        live["spec"],
        serde_json::json!({"size": 3, "colour": "blue"})
    );
    let plan = world.open().await.plan(&world.name).await.unwrap();
    assert!(
        !plan.has_changes(),
        "a default is not drift: {:?}",
        plan.entries
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_git_is_pruned_last_wave_first() {
    let world = World::new("prune").await;
    world.write("keep.yaml", &config_map("keep", 0, "1"));
    world.write(
        "go.yaml",
        &(config_map("zero", 0, "1") + &config_map("one", 1, "1") + &config_map("two", 2, "1")),
    );
    world.sync(|_| {}).await;
    world.remove("go.yaml");
    let unpruned = world.sync(|_| {}).await;
    assert_eq!(unpruned.phase, OperationPhase::Succeeded);
    assert!(
        world.live("v1", "ConfigMap", "two").await.is_some(),
        "nothing is pruned unasked"
    );
    world.events.take();
    assert_eq!(
        world.sync(|request| request.prune = true).await.phase,
        OperationPhase::Succeeded
    );
    assert_eq!(
        world.told(&[Reason::Pruned]),
        [
            "Pruned ConfigMap/two",
            "Pruned ConfigMap/one",
            "Pruned ConfigMap/zero"
        ]
    );
    assert!(world.live("v1", "ConfigMap", "keep").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_exactly_or_refused() {
    let world = World::new("plan").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    let tidegate = world.open().await;
    let plan = tidegate.plan(&world.name).await.unwrap();
    assert_eq!(
        plan.canonical(),
        tidegate.plan(&world.name).await.unwrap().canonical(),
        "plans are deterministic"
    );
    let actions: Vec<PlanAction> = plan.entries.iter().map(|e| e.action).collect();
    assert_eq!(
        actions,
        [PlanAction::Create, PlanAction::Create],
        "namespace and object"
    );
    world.write("b.yaml", &config_map("b", 0, "1"));
    let refused = world
        .open()
        .await
        .apply(&plan)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no longer holds"), "{refused}");
    assert!(
        world.live("v1", "ConfigMap", "a").await.is_none(),
        "a refused plan changes nothing"
    );
    world.remove("b.yaml");
    assert_eq!(
        world.open().await.apply(&plan).await.unwrap().phase,
        OperationPhase::Succeeded
    );
    assert_eq!(
        world.live("v1", "ConfigMap", "a").await.unwrap()["data"]["value"],
        "1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_fields_are_refused_or_replaced_as_asked() {
    let world = World::new("immutable").await;
    world.write("a.yaml", DEPLOYMENT);
    world.sync(|_| {}).await;
    world.write("a.yaml", &DEPLOYMENT.replace("app: web", "app: other"));
    let refused = world.sync(|_| {}).await;
    assert_eq!(refused.phase, OperationPhase::Failed);
    let before = world.live("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(before["spec"]["selector"]["matchLabels"]["app"], "web");
    let forced = world
        .sync(|request| request.strategy = tidegate::engine::Strategy::Hook { force: true })
        .await;
    assert_eq!(
        forced.phase,
        OperationPhase::Succeeded,
        "{}",
        forced.message
    );
    let after = world.live("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(after["spec"]["selector"]["matchLabels"]["app"], "other");
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing() {
    let world = World::new("dry").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    world.sync(|_| {}).await;
    world.write("a.yaml", &config_map("a", 0, "2"));
    assert_eq!(
        world.sync(|request| request.dry_run = true).await.phase,
        OperationPhase::Succeeded
    );
    assert_eq!(
        world.live("v1", "ConfigMap", "a").await.unwrap()["data"]["value"],
        "1"
    );
}
