//! Questions to a graph: what waits for what, why, what may start, what takes longest.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_graph::{Follow, Graph, NodeId};

use crate::fixture::{World, id, show};

const NONE: Value = Value::Null;

fn of(cluster: &str) -> Value {
    json!({"metadata": {"labels": {"strimzi.io/cluster": cluster}}})
}

fn pipeline() -> Graph {
    World::new()
        .apply("v1 Namespace k wave=-1", NONE)
        .apply("kafka.strimzi.io/v1 Kafka k/events", NONE)
        .apply("kafka.strimzi.io/v1 KafkaTopic k/orders", of("events"))
        .apply("v1 ConfigMap k/other", NONE)
        .apply(
            "flink.apache.org/v1beta1 FlinkDeployment k/job wave=1",
            json!({"spec": {"job": {"args": ["orders"]}}}),
        )
        .apply("batch/v1 Job k/smoke hook=PostSync", NONE)
        .apply("batch/v1 Job k/rescue hook=SyncFail", NONE)
        .graph()
}

fn names(graph: &Graph, ids: &[NodeId]) -> Vec<String> {
    ids.iter().map(|id| show(graph.node(*id))).collect()
}

#[test]
fn dependents_are_what_fails_with_an_object() {
    let graph = pipeline();
    let kafka = id(&graph, "Kafka k/events");
    assert_eq!(
        names(&graph, &graph.dependents_of(kafka, Follow::References)),
        ["KafkaTopic k/orders", "FlinkDeployment k/job"]
    );
    assert_eq!(
        names(&graph, &graph.dependents_of(kafka, Follow::Waves)),
        [
            "KafkaTopic k/orders",
            "FlinkDeployment k/job",
            "Job k/smoke @PostSync"
        ]
    );
    let job = id(&graph, "FlinkDeployment k/job");
    assert_eq!(
        names(&graph, &graph.dependencies_of(job, Follow::References)),
        ["Namespace k", "Kafka k/events", "KafkaTopic k/orders"]
    );
    assert_eq!(graph.dependencies_of(job, Follow::Waves).len(), 4);
}

#[test]
fn explanations_prefer_references_to_waves() {
    let graph = pipeline();
    let explain = |before: &str, after: &str| {
        let steps = graph.explain(id(&graph, before), id(&graph, after))?;
        Some(
            steps
                .iter()
                .map(|step| graph.step_text(step))
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(
        explain("Kafka k/events", "FlinkDeployment k/job"),
        Some(vec![
            "KafkaTopic k/orders belongs to Kafka k/events (.metadata.labels[\"strimzi.io/cluster\"])".to_owned(),
            "FlinkDeployment k/job names the topic of KafkaTopic k/orders (.spec.job.args[0])".to_owned(),
        ])
    );
    assert_eq!(
        explain("ConfigMap k/other", "FlinkDeployment k/job"),
        Some(vec!["FlinkDeployment k/job runs in Sync wave 1, after all of Sync wave 0, where ConfigMap k/other runs".to_owned()])
    );
    assert_eq!(explain("FlinkDeployment k/job", "Kafka k/events"), None);
    assert_eq!(explain("ConfigMap k/other", "Kafka k/events"), None);
    assert_eq!(explain("Kafka k/events", "Job k/rescue @SyncFail"), None);
}

#[test]
fn ready_walks_through_the_graph() {
    let graph = pipeline();
    let mut done = BTreeSet::new();
    let mut waves = Vec::new();
    loop {
        let ready = graph.ready(&done);
        if ready.is_empty() {
            break;
        }
        waves.push(names(&graph, &ready).join(", "));
        done.extend(ready);
    }
    assert_eq!(
        waves,
        [
            "Namespace k",
            "ConfigMap k/other, Kafka k/events",
            "KafkaTopic k/orders",
            "FlinkDeployment k/job",
            "Job k/smoke @PostSync"
        ]
    );
}

#[test]
fn the_critical_path_takes_longest() {
    let graph = pipeline();
    let path = graph.critical_path(|node| {
        Duration::from_secs(if node.key.kind == "ConfigMap" { 100 } else { 1 })
    });
    assert_eq!(
        names(&graph, &path.nodes),
        [
            "Namespace k",
            "ConfigMap k/other",
            "FlinkDeployment k/job",
            "Job k/smoke @PostSync"
        ]
    );
    assert_eq!(path.total, Duration::from_secs(103));
    let even = graph.critical_path(|_| Duration::from_secs(1));
    assert_eq!(
        names(&graph, &even.nodes),
        [
            "Namespace k",
            "Kafka k/events",
            "KafkaTopic k/orders",
            "FlinkDeployment k/job",
            "Job k/smoke @PostSync"
        ]
    );
    assert_eq!(
        World::new().graph().critical_path(|_| Duration::MAX).nodes,
        []
    );
    // Durations that overflow saturate.
    assert_eq!(graph.critical_path(|_| Duration::MAX).total, Duration::MAX);
}

#[test]
fn nodes_are_found_by_key() {
    let graph = World::new()
        .apply("batch/v1 Job k/x hook=PreSync,PostSync", NONE)
        .apply("v1 ConfigMap k/c", NONE)
        .graph();
    let key = graph.node(id(&graph, "Job k/x @PreSync")).key.clone();
    assert_eq!(
        names(&graph, graph.find(&key)),
        ["Job k/x @PreSync", "Job k/x @PostSync"]
    );
    let mut other = key;
    other.name = "y".to_owned();
    assert_eq!(graph.find(&other), []);
}
