//! Laws that hold for every graph.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tidegate_graph::{Follow, Graph, GraphOptions, NodeId, NodeRole, mirror_waves};
use tidegate_manifest::{Phase, SyncFacts};

use crate::fixture::{World, raw};

const KINDS: [&str; 8] = [
    "v1 Namespace",
    "v1 ConfigMap",
    "v1 ServiceAccount",
    "v1 Pod",
    "apps/v1 Deployment",
    "example.com/v1 Widget",
    "kafka.strimzi.io/v1 Kafka",
    "kafka.strimzi.io/v1 KafkaTopic",
];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const HOOKS: [&str; 5] = [
    "PreSync",
    "PostSync",
    "SyncFail",
    "PreSync,PostSync",
    "Skip",
];

#[derive(Clone, Debug)]
struct Made {
    kind: usize,
    namespace: usize,
    name: usize,
    wave: i32,
    hook: Option<usize>,
    uses: usize,
    is_live: bool,
}

fn made() -> impl Strategy<Value = Made> {
    (
        0..KINDS.len(),
        0..2usize,
        0..NAMES.len(),
        -2..3i32,
        prop::option::weighted(0.2, 0..HOOKS.len()),
        0..NAMES.len(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(kind, namespace, name, wave, hook, uses, is_live)| Made {
            kind,
            namespace,
            name,
            wave,
            hook,
            uses,
            is_live,
        })
}

fn worlds() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec(made(), 0..40).prop_map(|all| {
        let mut seen = BTreeSet::new();
        all.into_iter()
            .filter(|m| seen.insert((m.kind, m.namespace * usize::from(m.kind != 0), m.name)))
            .collect()
    })
}

fn world(all: &[Made]) -> World {
    let definition = "apiextensions.k8s.io/v1 CustomResourceDefinition widgets.example.com wave=1";
    let world = World::new().apply(
        definition,
        json!({"spec": {"group": "example.com", "names": {"kind": "Widget"}}}),
    );
    all.iter().fold(world, |world, made| {
        let (kind, name, uses) = (KINDS[made.kind], NAMES[made.name], NAMES[made.uses]);
        let place = if made.kind == 0 { name.to_owned() } else { format!("{}/{name}", NAMES[made.namespace]) };
        let hook = made.hook.filter(|_| !made.is_live).map(|hook| format!(" hook={}", HOOKS[hook])).unwrap_or_default();
        let words = format!("{kind} {place} wave={}{hook}", made.wave);
        // Only what runs pods refers to others, so that no cycle is made.
        let mut body = json!({
            "metadata": {"labels": {"strimzi.io/cluster": uses}},
            "spec": {"serviceAccountName": uses, "containers": [{"name": "c", "args": [uses], "envFrom": [{"configMapRef": {"name": uses}}]}]},
        });
        if matches!(made.kind, 0..=2 | 6) {
            body["spec"] = Value::Null;
        }
        if made.is_live { world.prune(&words, body) } else { world.apply(&words, body) }
    })
}

fn places(order: &[NodeId]) -> BTreeMap<NodeId, usize> {
    order.iter().enumerate().map(|(at, id)| (*id, at)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_task_is_in_one_group_and_the_order_respects_all(all in worlds()) {
        let world = world(&all);
        let graph = world.graph();
        let tasks: BTreeSet<NodeId> = graph.iter().filter(|(_, node)| node.role.is_task()).map(|(id, _)| id).collect();
        let members: Vec<NodeId> = graph.groups().iter().flat_map(tidegate_graph::Group::members).collect();
        prop_assert_eq!(members.len(), tasks.len());
        prop_assert_eq!(&members.iter().copied().collect::<BTreeSet<_>>(), &tasks);
        let order = graph.order();
        let at = places(&order);
        prop_assert_eq!(at.len(), tasks.len());
        for edge in graph.edges() {
            prop_assert!(at[&edge.before] < at[&edge.after], "{:?}", edge);
        }
        for pair in order.windows(2) {
            let place = |id: NodeId| (graph.node(id).phase, graph.node(id).wave);
            prop_assert!(place(pair[0]) <= place(pair[1]));
        }
        for group in graph.groups() {
            for id in group.members() {
                prop_assert_eq!((graph.node(id).phase, graph.node(id).wave), (group.phase, group.wave));
            }
            let local = places(&group.prunes);
            for edge in graph.edges() {
                if let (Some(before), Some(after)) = (local.get(&edge.before), local.get(&edge.after)) {
                    prop_assert!(before < after);
                }
            }
        }
    }

    #[test]
    fn a_graph_does_not_depend_on_the_order_of_its_input(all in worlds(), seeds in prop::collection::vec(any::<Index>(), 60)) {
        let world = world(&all);
        let first = world.graph();
        let mut inputs = world.inputs();
        for i in (1..inputs.len()).rev() {
            let other = seeds[i % seeds.len()].index(i + 1);
            inputs.swap(i, other);
        }
        let second = Graph::build(inputs, &GraphOptions::default());
        prop_assert_eq!(first.to_json().to_string(), second.to_json().to_string());
        let path = first.critical_path(|_| std::time::Duration::from_secs(1));
        prop_assert_eq!(first.to_svg(&path), second.to_svg(&path));
    }

    #[test]
    fn lifted_nodes_stand_right_before_what_needs_them(all in worlds()) {
        let world = world(&all);
        let graph = world.graph();
        let applied: Vec<(NodeId, &tidegate_graph::Node)> = graph.iter().filter(|(_, node)| node.role.applies()).collect();
        for (id, node) in &applied {
            if node.is_lifted() {
                prop_assert!(matches!(node.key.kind.as_str(), "Namespace" | "CustomResourceDefinition"));
            }
            if node.key.kind == "Namespace" {
                let first = applied.iter().find(|(_, other)| other.key.namespace == node.key.name);
                if let Some((other, _)) = first {
                    prop_assert!(id < other);
                }
            }
            if node.key.kind == "Widget" {
                let (definition, _) = applied.iter().find(|(_, other)| other.key.kind == "CustomResourceDefinition").expect("always there");
                prop_assert!(definition < id);
            }
        }
    }

    #[test]
    fn ready_reaches_every_task_once(all in worlds()) {
        let world = world(&all);
        let graph = world.graph();
        let mut done = BTreeSet::new();
        loop {
            let ready = graph.ready(&done);
            if ready.is_empty() {
                break;
            }
            for id in ready {
                prop_assert!(graph.dependencies_of(id, Follow::Waves).iter().all(|before| done.contains(before)));
                done.insert(id);
            }
        }
        let expected = graph.iter().filter(|(_, node)| node.role.is_task() && node.phase != Phase::SyncFail).count();
        prop_assert_eq!(done.len(), expected);
    }

    #[test]
    fn step_by_step_the_last_waves_are_pruned_first(all in worlds()) {
        let world = world(&all);
        let graph = world.graph();
        let mut pruned = BTreeSet::new();
        let mut waves = Vec::new();
        loop {
            let groups = graph.regroup(&pruned);
            let Some(group) = groups.iter().find(|group| !group.prunes.is_empty()) else {
                break;
            };
            waves.push(graph.node(group.prunes[0]).declared_wave);
            pruned.extend(group.prunes.iter().copied());
        }
        prop_assert!(waves.is_sorted_by(|a, b| a > b), "{:?}", waves);
        prop_assert_eq!(pruned.len(), graph.nodes().iter().filter(|node| node.role == NodeRole::Prune).count());
    }

    #[test]
    fn mirroring_twice_changes_nothing(waves in prop::collection::vec(any::<i32>(), 0..20)) {
        let mirrored = mirror_waves(waves.iter().copied());
        for wave in &waves {
            prop_assert_eq!(mirrored[&mirrored[wave]], *wave);
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(bodies in prop::collection::vec(json(), 1..6)) {
        let facts: Vec<SyncFacts> = bodies.iter().map(SyncFacts::of).collect();
        let inputs = bodies.iter().zip(&facts).enumerate().map(|(i, (body, facts))| raw(body, facts, NAMES[i % 4]));
        let graph = Graph::build(inputs, &GraphOptions::default());
        let path = graph.critical_path(|_| std::time::Duration::from_secs(1));
        prop_assert!(!graph.to_svg(&path).is_empty() && !graph.to_dot().is_empty() && !graph.to_mermaid().is_empty());
        prop_assert!(graph.to_json().is_object());
    }
}

/// JSON made of the words that readers look for, in wrong places and of wrong types.
fn json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "a",
        "b",
        "kind",
        "name",
        "Kafka",
        "KafkaTopic",
        "Pod",
        "kafka.strimzi.io/v1",
        "apps/v1",
        "v1",
        "a-kafka-bootstrap:9092",
        "--topic=a,b",
        "=",
        ",",
        "",
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        "ConfigMap",
        "é\u{0}",
        "line: a\nx.topic=b\n",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "name",
        "namespace",
        "labels",
        "annotations",
        "strimzi.io/cluster",
        "template",
        "containers",
        "env",
        "envFrom",
        "value",
        "valueFrom",
        "secretKeyRef",
        "configMapRef",
        "volumes",
        "secret",
        "secretName",
        "configMap",
        "data",
        "args",
        "ref",
        "sink",
        "scaleTargetRef",
        "triggers",
        "authenticationRef",
        "issuerRef",
        "optional",
        "group",
        "names",
        "subjects",
        "roleRef",
        "tidegate.dev/depends-on",
        "argocd.argoproj.io/hook",
        "argocd.argoproj.io/sync-wave",
        "topics",
        "bootstrapServers",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone(), inner, 0..6).prop_map(|map| Value::Object(
                map.into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

#[test]
fn a_body_of_any_depth_is_survived() {
    let mut body = Value::from("end");
    for i in 0..1_000 {
        body = if i % 2 == 0 {
            Value::Object(std::iter::once(("spec".to_owned(), body)).collect())
        } else {
            Value::Array(vec![body])
        };
    }
    let words =
        [("apiVersion", "v1"), ("kind", "Pod")].map(|(k, v)| (k.to_owned(), Value::from(v)));
    let body = Value::Object(
        words
            .into_iter()
            .chain([("spec".to_owned(), body)])
            .collect(),
    );
    let facts = SyncFacts::default();
    assert_eq!(
        Graph::build([raw(&body, &facts, "deep")], &GraphOptions::default())
            .nodes()
            .len(),
        1
    );
}

#[test]
fn a_hundred_thousand_objects_take_linear_work() {
    // Every object refers to one hub and to its neighbour; quadratic work would not end in a test's time.
    const COUNT: usize = 100_000;
    let bodies: Vec<Value> = (0..COUNT)
        .map(|i| json!({"apiVersion": "v1", "kind": "ConfigMap", "uses": {"configMapRef": {"name": "hub"}}, "next": {"secretRef": {"name": format!("n{}", i + 1)}}}))
        .collect();
    let facts = SyncFacts::default();
    let inputs = bodies.iter().enumerate().map(|(i, body)| {
        let mut input = raw(body, &facts, &format!("n{i}"));
        input.key.kind = if i == 0 {
            "ConfigMap".to_owned()
        } else {
            "Pod".to_owned()
        };
        if i == 0 {
            input.key.name = "hub".to_owned();
        }
        input.wave = i32::try_from(i % 5).unwrap_or_default() * i32::from(i > 0);
        input
    });
    let graph = Graph::build(inputs, &GraphOptions::default());
    assert_eq!(graph.nodes().len(), COUNT);
    assert_eq!(graph.edges().len(), COUNT - 1);
    assert_eq!(graph.order().len(), COUNT);
    let hub = graph
        .iter()
        .find(|(_, node)| node.key.name == "hub")
        .expect("the hub")
        .0;
    assert_eq!(
        graph.dependents_of(hub, Follow::References).len(),
        COUNT - 1
    );
    assert_eq!(
        graph
            .critical_path(|_| std::time::Duration::from_secs(1))
            .nodes
            .len(),
        6
    );
}

#[test]
fn nodes_beyond_the_limit_are_left_out_with_an_error() {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let facts = SyncFacts::default();
    let inputs = (0..=tidegate_graph::MAX_NODES).map(|i| raw(&body, &facts, &i.to_string()));
    let graph = Graph::build(inputs, &GraphOptions::default());
    assert_eq!(graph.nodes().len(), tidegate_graph::MAX_NODES);
    assert_eq!(
        graph
            .diagnostics()
            .iter()
            .map(|d| d.code.as_str())
            .collect::<Vec<_>>(),
        ["TG0208"]
    );
}
