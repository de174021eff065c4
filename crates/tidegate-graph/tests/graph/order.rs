//! The order of tasks: sort keys, lifts, mirrored prune waves.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_graph::{Graph, GraphOptions};

use crate::fixture::{World, groups, id};

const NONE: Value = Value::Null;

fn check(world: &World, expected: &[&str]) {
    let graph = world.graph();
    assert_eq!(groups(&graph, graph.groups()), expected);
}

fn crd(group: &str, kind: &str) -> Value {
    json!({"spec": {"group": group, "names": {"kind": kind}}})
}

#[test]
fn tasks_are_sorted_by_phase_wave_kind_and_name() {
    let world = World::new()
        .apply("batch/v1 Job a/smoke hook=PostSync", NONE)
        .apply("example.com/v1 Widget a/z", NONE)
        .apply("apps/v1 Deployment a/b", NONE)
        .apply("apps/v1 Deployment a/a", NONE)
        .apply("v1 ConfigMap b/c", NONE)
        .apply("v1 ConfigMap a/c", NONE)
        .apply("v1 Service a/late wave=3", NONE)
        .apply("v1 Secret a/early wave=-2", NONE)
        .apply("batch/v1 Job a/check hook=PreSync,PostSync", NONE)
        .apply("batch/v1 Job a/rescue hook=SyncFail wave=1", NONE)
        .apply("v1 ConfigMap a/off hook=Skip", NONE);
    check(
        &world,
        &[
            "PreSync 0: Job a/check @PreSync",
            "Sync -2: Secret a/early",
            "Sync 0: ConfigMap a/c, ConfigMap b/c, Deployment a/a, Deployment a/b, Widget a/z",
            "Sync 3: Service a/late",
            "PostSync 0: Job a/check @PostSync, Job a/smoke @PostSync",
            "SyncFail 1: Job a/rescue @SyncFail",
        ],
    );
}

#[test]
fn a_namespace_goes_before_the_first_task_in_it_and_takes_its_phase_and_wave() {
    let world = World::new()
        .apply("v1 Namespace shop wave=5", NONE)
        .apply("v1 Namespace other wave=5", NONE)
        .apply("batch/v1 Job shop/migrate hook=PreSync wave=-1", NONE)
        .apply("v1 ConfigMap shop/settings", NONE);
    check(
        &world,
        &[
            "PreSync -1: Namespace shop, Job shop/migrate @PreSync",
            "Sync 0: ConfigMap shop/settings",
            "Sync 5: Namespace other",
        ],
    );
}

#[test]
fn a_definition_goes_before_the_first_object_of_its_kind() {
    let world = World::new()
        .apply(
            "apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com wave=2",
            crd("example.com", "Widget"),
        )
        .apply(
            "apiextensions.k8s.io/v1 CustomResourceDefinition gadgets.example.com wave=2",
            crd("example.com", "Gadget"),
        )
        .apply("other.com/v1 Gadget a/g wave=-4", NONE)
        .apply("example.com/v1 Widget a/w wave=-3", NONE)
        .apply("v1 ConfigMap a/c wave=-3", NONE);
    check(
        &world,
        &[
            "Sync -4: Gadget a/g",
            "Sync -3: ConfigMap a/c, CustomResourceDefinition widgets.example.com, Widget a/w",
            "Sync 2: CustomResourceDefinition gadgets.example.com",
        ],
    );
}

#[test]
fn a_lifted_definition_follows_namespaces_that_were_lifted_to_the_same_place() {
    let world = World::new()
        .apply("v1 Namespace a wave=9", NONE)
        .apply(
            "apiextensions.k8s.io/v1 CustomResourceDefinition w wave=9",
            crd("example.com", "Widget"),
        )
        .apply("example.com/v1 Widget a/w hook=PreSync", NONE);
    check(
        &world,
        &["PreSync 0: Namespace a, CustomResourceDefinition w, Widget a/w @PreSync"],
    );
}

#[test]
fn prunes_do_not_lift() {
    let world = World::new()
        .apply("v1 Namespace a wave=3", NONE)
        .prune("v1 ConfigMap a/old", NONE)
        .prune("v1 Namespace b wave=2", NONE)
        .prune("v1 ConfigMap b/old", NONE);
    check(
        &world,
        &[
            "Sync 0: -Namespace b",
            "Sync 2: -ConfigMap b/old, -ConfigMap a/old",
            "Sync 3: Namespace a",
        ],
    );
}

fn pruning(waves: &[i32]) -> World {
    let names = ["a", "b", "c", "d", "e", "f"];
    waves
        .iter()
        .zip(names)
        .fold(World::new(), |world, (wave, name)| {
            world.prune(&format!("v1 ConfigMap x/{name} wave={wave}"), NONE)
        })
}

#[test]
fn prune_waves_are_mirrored_anew_in_every_step() {
    // Argo CD 0.1: waves 0, 1, 2 to prune beside objects of waves 0, 1, 2.
    let world = ["0", "1", "2"]
        .iter()
        .fold(pruning(&[0, 1, 2]), |world, wave| {
            world.apply(&format!("v1 ConfigMap x/keep{wave} wave={wave}"), NONE)
        });
    let graph = world.graph();
    let mut pruned = BTreeSet::new();
    let mut first_groups = Vec::new();
    for done in ["", "-ConfigMap x/c", "-ConfigMap x/b"] {
        if !done.is_empty() {
            pruned.insert(id(&graph, done));
        }
        first_groups.push(groups(&graph, &graph.regroup(&pruned))[0].clone());
    }
    assert_eq!(
        first_groups,
        [
            "Sync 0: -ConfigMap x/c, ConfigMap x/keep0",
            "Sync 0: -ConfigMap x/b, ConfigMap x/keep0",
            "Sync 0: -ConfigMap x/a, ConfigMap x/keep0",
        ]
    );
}

#[test]
fn all_prunes_of_low_waves_go_before_an_object_of_wave_zero() {
    // Argo CD 0.1: waves -1, 0, 2, 5 to prune, one after the other before an object of wave 0.
    let graph = pruning(&[-1, 0, 2, 5])
        .apply("v1 ConfigMap x/keep", NONE)
        .graph();
    let mut pruned = BTreeSet::new();
    let mut order = Vec::new();
    for _ in 0..4 {
        let now = graph.regroup(&pruned);
        order.push(groups(&graph, &now)[0].clone());
        pruned.extend(now[0].prunes.iter().copied());
    }
    assert_eq!(
        order,
        [
            "Sync -1: -ConfigMap x/d",
            "Sync -1: -ConfigMap x/c",
            "Sync -1: -ConfigMap x/b",
            "Sync -1: -ConfigMap x/a",
        ]
    );
    assert_eq!(
        groups(&graph, &graph.regroup(&pruned)),
        ["Sync 0: ConfigMap x/keep"]
    );
}

#[test]
fn prune_last_comes_after_everything_of_the_sync() {
    let world = World::new()
        .apply("v1 ConfigMap x/keep wave=3", NONE)
        .prune("v1 ConfigMap x/last wave=0 options=PruneLast=true", NONE)
        .prune("v1 ConfigMap x/high wave=7", NONE);
    // Mirrored, `last` has wave 7; that wave counts for the end of the sync too.
    check(
        &world,
        &[
            "Sync 0: -ConfigMap x/high",
            "Sync 3: ConfigMap x/keep",
            "Sync 8: -ConfigMap x/last",
        ],
    );
    let all = Graph::build(world.inputs(), &GraphOptions { prune_last: true });
    assert_eq!(
        groups(&all, all.groups()),
        [
            "Sync 3: ConfigMap x/keep",
            "Sync 8: -ConfigMap x/last, -ConfigMap x/high"
        ]
    );
    check(
        &World::new().prune("v1 ConfigMap x/a wave=-4 options=PruneLast=true", NONE),
        &["Sync 1: -ConfigMap x/a"],
    );
}

#[test]
fn deletion_takes_the_highest_wave_first_and_dependents_before_dependencies() {
    let graph = World::new()
        .prune("v1 Namespace shop", NONE)
        .prune("v1 ConfigMap shop/settings", NONE)
        .prune("v1 Pod shop/web", json!({"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}}))
        .prune("v1 ConfigMap shop/late wave=4", NONE)
        .graph();
    assert_eq!(
        groups(&graph, &graph.deletion_groups()),
        [
            "Sync 4: -ConfigMap shop/late",
            "Sync 0: -Pod shop/web, -ConfigMap shop/settings, -Namespace shop"
        ]
    );
}

#[test]
fn the_order_respects_references_inside_a_wave() {
    let graph = World::new()
        .apply(
            "kafka.strimzi.io/v1 KafkaTopic k/a",
            json!({"metadata": {"labels": {"strimzi.io/cluster": "z"}}}),
        )
        .apply("kafka.strimzi.io/v1 Kafka k/z", NONE)
        .apply(
            "kafka.strimzi.io/v1 KafkaNodePool k/zz",
            json!({"metadata": {"labels": {"strimzi.io/cluster": "z"}}}),
        )
        .graph();
    let order: Vec<String> = graph
        .order()
        .into_iter()
        .map(|id| graph.node(id).short())
        .collect();
    assert_eq!(order, ["KafkaNodePool k/zz", "Kafka k/z", "KafkaTopic k/a"]);
    assert_eq!(
        groups(&graph, graph.groups()),
        ["Sync 0: KafkaTopic k/a, Kafka k/z, KafkaNodePool k/zz"]
    );
}

#[test]
fn hooks_without_a_name_are_kept_apart() {
    let hook = |line| {
        let body = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "check-", "namespace": "a",
            "annotations": {"argocd.argoproj.io/hook": "PreSync"}, "labels": {"line": line}}});
        tidegate_manifest::Object::from_body(body, std::sync::Arc::default())
            .expect("a valid object")
    };
    let mut world = World::new();
    world.desired.extend([hook("1"), hook("2")]);
    let graph = world.graph();
    assert_eq!(
        groups(&graph, graph.groups()),
        ["PreSync 0: Job a/check-* @PreSync, Job a/check-* @PreSync"]
    );
    assert_eq!(
        graph.to_json()["groups"][0]["applies"][1],
        "kubernetes:prod/batch/Job/a/check-*@PreSync#2"
    );
}
