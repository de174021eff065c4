//! What is said of references that do not resolve, run against waves or form cycles.

use serde_json::{Value, json};
use tidegate_graph::Graph;

use crate::fixture::{World, edges};

const NONE: Value = Value::Null;

/// `code severity path:line object: message | help` for each finding.
fn told(graph: &Graph) -> Vec<String> {
    let line = |d: &tidegate_manifest::Diagnostic| {
        let (object, help) = (
            d.object.as_deref().unwrap_or(""),
            d.help.as_deref().unwrap_or(""),
        );
        format!(
            "{} {:?} {} {object}: {} | {help}",
            d.code,
            d.severity,
            d.origin.place(),
            d.message
        )
    };
    graph.diagnostics().iter().map(line).collect()
}

fn check(world: &World, expected: &[&str]) {
    assert_eq!(told(&world.graph()), expected);
}

fn reading(config: &str) -> Value {
    json!({"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": config}}]}]}})
}

#[test]
fn an_unresolved_declaration_is_an_error_at_its_line() {
    check(
        &World::new()
            .apply("v1 Pod a/x depends-on=KafkaTopic:orders", NONE)
            .apply("kafka.strimzi.io/v1 KafkaTopic k/orders", NONE),
        &[
            "TG0201 Error app.yaml:1 Pod a/x: depends on KafkaTopic a/orders, which is not part of the sync | did you mean \
           KafkaTopic k/orders (app.yaml:2)? write kafka.strimzi.io:KafkaTopic:k/orders",
        ],
    );
    check(
        &World::new().apply("v1 Pod a/x depends-on=Job:nothing", NONE),
        &[
            "TG0201 Error app.yaml:1 Pod a/x: depends on Job a/nothing, which is not part of the sync | name an object of this \
           application: [GROUP:]KIND:[NAMESPACE/]NAME",
        ],
    );
    check(
        &World::new()
            .apply("v1 Pod a/x depends-on=Service:s", NONE)
            .apply("v1 Service a/s", NONE)
            .apply("serving.knative.dev/v1 Service a/s", NONE),
        &[
            "TG0201 Error app.yaml:1 Pod a/x: depends on Service a/s, and objects of several groups bear that name | write the group \
           too: GROUP:KIND:[NAMESPACE/]NAME",
        ],
    );
    check(
        &World::new()
            .apply("v1 Pod a/x depends-on=Job:j", NONE)
            .apply("batch/v1 Job a/j hook=Skip", NONE),
        &[
            "TG0201 Error app.yaml:1 Pod a/x: depends on Job a/j, which takes no part in the sync | take the hook annotation off the \
           dependency, or the dependency off the list",
        ],
    );
}

#[test]
fn a_reference_against_the_waves_is_a_warning_that_names_both() {
    let world = World::new()
        .apply("v1 Pod a/x", reading("c"))
        .apply("v1 ConfigMap a/c wave=1", NONE);
    check(
        &world,
        &[
            "TG0204 Warning app.yaml:1 Pod a/x: Pod a/x of Sync wave 0 reads ConfigMap a/c (app.yaml:2), which comes later, in Sync \
           wave 1 | waves win; give ConfigMap a/c an earlier phase or wave than Sync wave 0, or Pod a/x a later one",
        ],
    );
    let graph = world.graph();
    assert_eq!(edges(&graph), Vec::<String>::new());
    assert_eq!(
        (graph.contradictions().len(), graph.has_errors()),
        (1, false)
    );
    check(
        &World::new()
            .apply(
                "v1 Pod a/x",
                json!({"spec": {"volumes": [{"configMap": {"name": "c", "optional": true}}]}}),
            )
            .apply("v1 ConfigMap a/c wave=1", NONE),
        &[],
    );
}

#[test]
fn a_declaration_against_the_waves_is_an_error() {
    check(
        &World::new()
            .apply("v1 Pod a/x depends-on=ConfigMap:c", NONE)
            .apply("v1 ConfigMap a/c wave=1", NONE),
        &[
            "TG0202 Error app.yaml:1 Pod a/x: Pod a/x of Sync wave 0 declares that it depends on ConfigMap a/c (app.yaml:2), which \
           comes later, in Sync wave 1 | a declared dependency must not run against phases and waves: move ConfigMap a/c to Sync wave \
           0 or before, or drop the declaration",
        ],
    );
}

#[test]
fn a_cycle_names_its_members_and_the_reason_of_each_edge() {
    let world = World::new()
        .apply("v1 ConfigMap a/c depends-on=Pod:x", NONE)
        .apply("v1 Pod a/x", reading("c"));
    let graph = world.graph();
    assert_eq!(graph.cycles().len(), 1);
    check(
        &world,
        &[
            "TG0203 Error app.yaml:1 ConfigMap a/c: 2 objects wait for each other: ConfigMap a/c (app.yaml:1) declares that it depends \
           on Pod a/x (app.yaml:2) (.metadata.annotations[\"tidegate.dev/depends-on\"]); Pod a/x (app.yaml:2) reads ConfigMap a/c \
           (app.yaml:1) (.spec.containers[0].envFrom[0].configMapRef) | take Pod:a/x off the tidegate.dev/depends-on list of ConfigMap a/c",
        ],
    );
    assert_eq!(graph.order().len(), 2);
}

#[test]
fn several_cycles_are_told_the_shortest_first() {
    let graph = World::new()
        .apply("v1 ConfigMap a/p depends-on=ConfigMap:q", NONE)
        .apply("v1 ConfigMap a/q depends-on=ConfigMap:r", NONE)
        .apply("v1 ConfigMap a/r depends-on=ConfigMap:p", NONE)
        .apply("v1 ConfigMap a/s depends-on=ConfigMap:t", NONE)
        .apply("v1 ConfigMap a/t depends-on=ConfigMap:s", NONE)
        .apply("v1 ConfigMap a/u depends-on=ConfigMap:u", NONE)
        .graph();
    let lengths: Vec<usize> = graph
        .cycles()
        .iter()
        .map(|cycle| cycle.edges.len())
        .collect();
    assert_eq!(lengths, [1, 2, 3]);
    for cycle in graph.cycles() {
        for (at, edge) in cycle.edges.iter().enumerate() {
            assert_eq!(edge.after, cycle.edges[(at + 1) % cycle.edges.len()].before);
        }
    }
    assert!(
        told(&graph)
            .iter()
            .any(|line| line.contains("an object waits for itself"))
    );
}

#[test]
fn a_declared_cycle_across_waves_is_found() {
    let graph = World::new()
        .apply("v1 ConfigMap a/p depends-on=ConfigMap:q", NONE)
        .apply("v1 ConfigMap a/q depends-on=ConfigMap:p wave=1", NONE)
        .graph();
    let mut codes: Vec<&str> = graph
        .diagnostics()
        .iter()
        .map(|d| d.code.as_str())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, ["TG0202", "TG0203"]);
}

#[test]
fn guesses_give_way_to_a_cycle() {
    let topic = json!({"spec": {"containers": [{"name": "c", "args": ["orders"]}]}});
    let graph = World::new()
        .apply(
            "kafka.strimzi.io/v1 KafkaTopic a/orders depends-on=Pod:x",
            NONE,
        )
        .apply("v1 Pod a/x", topic)
        .graph();
    assert_eq!(edges(&graph), ["KafkaTopic a/orders -> Pod a/x: declared"]);
    assert_eq!(
        graph
            .diagnostics()
            .iter()
            .map(|d| d.code.as_str())
            .collect::<Vec<_>>(),
        ["TG0205"]
    );
}

#[test]
fn what_is_pruned_but_still_needed_is_told() {
    check(
        &World::new()
            .apply("v1 Pod a/x", reading("c"))
            .prune("v1 ConfigMap a/c", NONE),
        &[
            "TG0206 Warning app.yaml:1 Pod a/x: reads ConfigMap a/c, which this sync prunes | put ConfigMap a/c back into Git, or take \
           the reference away",
        ],
    );
}

#[test]
fn of_two_objects_with_one_key_the_later_wins() {
    let world = World::new()
        .apply("v1 ConfigMap a/c wave=1", NONE)
        .apply("v1 ConfigMap a/c wave=2", NONE);
    check(
        &world,
        &[
            "TG0209 Warning app.yaml:2 ConfigMap a/c: ConfigMap a/c appears twice: the one at app.yaml:1 is replaced by this one | keep one of them",
        ],
    );
    assert_eq!(world.graph().groups()[0].wave, 2);
}

#[test]
fn findings_are_bounded() {
    let world = (0..500).fold(World::new(), |world, i| {
        world.apply(&format!("v1 Pod a/p{i} depends-on=Job:none"), NONE)
    });
    let told = told(&world.graph());
    assert_eq!(told.len(), 201);
    assert!(told[200].contains("300 more findings"), "{}", told[200]);
}
