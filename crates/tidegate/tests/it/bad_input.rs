//! Bad input: each mistake names object, file and line; what does not depend on it goes on; nothing else changes.

use tidegate::engine::Wanted;
use tidegate::manifest::{Diagnostic, OperationPhase};

use crate::cluster::{World, config_map};

async fn findings(world: &World) -> Vec<Diagnostic> {
    let tidegate = world.open().await;
    let plan = tidegate.plan(&world.name).await.unwrap();
    plan.diagnostics
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_manifest_changes_nothing_and_prunes_nothing() {
    let world = World::new("broken").await;
    world
        .write("a.yaml", &config_map("a", 0, "1"))
        .write("b.yaml", &config_map("b", 0, "1"));
    world.sync(|_| {}).await;
    world
        .remove("b.yaml")
        .write("a.yaml", &config_map("a", 0, "2"))
        .write(
            "c.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  x: [1\n",
        );
    let found = findings(&world).await;
    assert!(
        found
            .iter()
            .any(|d| d.is_error() && d.origin.path == "app/c.yaml" && d.origin.line > 0),
        "{found:?}"
    );
    let tidegate = world.open().await;
    let desired = tidegate.render(&world.name, Wanted::Newest).await.unwrap();
    let mut request = tidegate::Tidegate::request(&desired.application);
    request.prune = true;
    let done = tidegate
        .sync(&desired, request, None, &tidegate::engine::Control::none())
        .await;
    assert!(done.is_err() || done.unwrap().phase.is_unsuccessful());
    assert_eq!(
        world.live("v1", "ConfigMap", "a").await.unwrap()["data"]["value"],
        "1"
    );
    assert!(world.live("v1", "ConfigMap", "b").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_are_told_at_once() {
    let world = World::new("mistakes").await;
    world.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n---\nkind: Secret\nmetadata: {name: s}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {a: 1}}\n");
    let found = findings(&world).await;
    let lines: Vec<(u32, &str)> = found
        .iter()
        .filter(|d| d.is_error())
        .map(|d| (d.origin.line, d.field.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        lines,
        [
            (3, ".metadata.name"),
            (5, ".apiVersion"),
            (10, ".metadata.labels")
        ],
        "{found:#?}"
    );
    assert!(found.iter().all(|d| d.help.is_some()), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_name_both_places() {
    let world = World::new("duplicates").await;
    world
        .write("a.yaml", &config_map("a", 0, "1"))
        .write("b.yaml", &config_map("a", 0, "2"));
    let found = findings(&world).await;
    let error = found
        .iter()
        .find(|d| d.is_error())
        .unwrap_or_else(|| panic!("{found:?}"));
    let text = error.to_string();
    assert!(
        text.contains("app/a.yaml") && text.contains("app/b.yaml"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_is_told_with_its_place() {
    let world = World::new("unknown").await;
    world.write(
        "a.yaml",
        &(config_map("a", 0, "1")
            + "apiVersion: nowhere.example.com/v1\nkind: Thing\nmetadata: {name: t}\n"),
    );
    let found = findings(&world).await;
    let error = found
        .iter()
        .find(|d| d.is_error())
        .unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(
        (error.origin.path.as_str(), error.origin.line),
        ("app/a.yaml", 8),
        "{error}"
    );
    assert!(
        error
            .help
            .as_deref()
            .unwrap_or_default()
            .contains("CustomResourceDefinition"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_declared_dependencies_names_its_members() {
    let world = World::new("circle").await;
    let with = |name: &str, on: &str| {
        config_map(name, 0, "1").replace(
            "annotations: {",
            &format!("annotations: {{tidegate.dev/depends-on: '{on}', "),
        )
    };
    world.write(
        "a.yaml",
        &(with("a", "ConfigMap:b") + &with("b", "ConfigMap:a")),
    );
    let found = findings(&world).await;
    let error = found
        .iter()
        .find(|d| d.is_error())
        .unwrap_or_else(|| panic!("{found:?}"));
    assert!(
        error.message.contains('a')
            && error.message.contains('b')
            && error.message.contains("depends"),
        "{error}"
    );
    assert_ne!(world.sync(|_| {}).await.phase, OperationPhase::Succeeded);
}
