//! Draws the graph of a small streaming pipeline: `cargo run -p tidegate-graph --example picture > pipeline.svg`.
//!
//! With a number it draws that many made-up objects instead; `dot`, `mermaid` or `json` choose another form.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_graph::{Graph, GraphOptions, NodeInput};
use tidegate_manifest::{Object, Origin, Phase, ResourceKey, SyncFacts, Target, TargetKind};

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.iter().find_map(|word| word.parse().ok());
    let objects = number.map_or_else(pipeline, many);
    let live = if number.is_none() {
        leftovers()
    } else {
        Vec::new()
    };
    let cluster = Target::kubernetes("prod");
    let function = function();
    let facts = SyncFacts::of(&function);
    let desired = objects
        .iter()
        .flat_map(|object| NodeInput::of_object(object, &cluster));
    let gone = live.iter().map(|object| {
        NodeInput::prune(
            object.key(cluster.clone()),
            &object.body,
            &object.facts,
            Arc::clone(&object.origin),
        )
    });
    let lambda = NodeInput {
        key: ResourceKey {
            target: Target::new(TargetKind::Aws, "prod"),
            group: String::new(),
            kind: "AWS::Lambda::Function".to_owned(),
            namespace: String::new(),
            name: "EnrichOrders".to_owned(),
        },
        role: tidegate_graph::NodeRole::Apply,
        phase: Phase::Sync,
        wave: 2,
        body: &function,
        facts: &facts,
        origin: Arc::new(Origin::default()),
    };
    let lambda = number.is_none().then_some(lambda);
    let graph = Graph::build(desired.chain(gone).chain(lambda), &GraphOptions::default());
    let critical = graph.critical_path(|node| match node.key.kind.as_str() {
        "Kafka" => Duration::from_secs(60),
        "FlinkDeployment" => Duration::from_secs(30),
        _ => Duration::from_secs(2),
    });
    let mut stderr = std::io::stderr().lock();
    for diagnostic in graph.diagnostics() {
        writeln!(stderr, "{diagnostic}\n")?;
    }
    let form = words.iter().find(|word| word.parse::<usize>().is_err());
    let text = match form.map(String::as_str) {
        Some("dot") => graph.to_dot(),
        Some("mermaid") => graph.to_mermaid(),
        Some("json") => format!("{:#}\n", graph.to_json()),
        Some(_) | None => graph.to_svg(&critical),
    };
    std::io::stdout().lock().write_all(text.as_bytes())
}

fn object(line: usize, body: Value) -> Object {
    let origin = Origin {
        path: "pipelines/orders.yaml".to_owned(),
        line: u32::try_from(line * 10 + 1).unwrap_or_default(),
        ..Origin::default()
    };
    Object::from_body(body, Arc::new(origin)).expect("the example's objects are valid")
}

fn make(line: usize, words: &str, rest: Value) -> Object {
    let mut words = words.split_whitespace();
    let (version, kind, place) = (words.next(), words.next(), words.next());
    let mut body = if rest.is_null() { json!({}) } else { rest };
    let (namespace, name) = place
        .unwrap_or_default()
        .split_once('/')
        .unwrap_or(("", place.unwrap_or_default()));
    body["apiVersion"] = json!(version);
    body["kind"] = json!(kind);
    body["metadata"]["name"] = json!(name);
    if !namespace.is_empty() {
        body["metadata"]["namespace"] = json!(namespace);
    }
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let key = match key {
            "wave" => "argocd.argoproj.io/sync-wave",
            "hook" => "argocd.argoproj.io/hook",
            other => other,
        };
        body["metadata"]["annotations"][key] = json!(value);
    }
    object(line, body)
}

fn crd(group: &str, kind: &str) -> Value {
    json!({"spec": {"group": group, "names": {"kind": kind}}})
}

fn of(cluster: &str) -> Value {
    json!({"metadata": {"labels": {"strimzi.io/cluster": cluster}}})
}

fn function() -> Value {
    json!({"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": {"TOPIC": "orders", "OUT": "orders-enriched"}}}})
}

fn pipeline() -> Vec<Object> {
    let objects = [
        ("v1 Namespace analytics wave=-2", Value::Null),
        (
            "apiextensions.k8s.io/v1 CustomResourceDefinition kafkas.kafka.strimzi.io wave=-2",
            crd("kafka.strimzi.io", "Kafka"),
        ),
        (
            "apiextensions.k8s.io/v1 CustomResourceDefinition kafkatopics.kafka.strimzi.io wave=-2",
            crd("kafka.strimzi.io", "KafkaTopic"),
        ),
        (
            "apiextensions.k8s.io/v1 CustomResourceDefinition flinkdeployments.flink.apache.org wave=-2",
            crd("flink.apache.org", "FlinkDeployment"),
        ),
        (
            "batch/v1 Job analytics/validate-schemas hook=PreSync",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "pipeline-settings"}}]}]}}}}),
        ),
        (
            "v1 ConfigMap analytics/pipeline-settings wave=-1",
            json!({"data": {"TOPIC": "orders"}}),
        ),
        ("v1 ServiceAccount analytics/flink wave=-1", Value::Null),
        (
            "rbac.authorization.k8s.io/v1 Role analytics/flink-jobs wave=-1",
            Value::Null,
        ),
        (
            "rbac.authorization.k8s.io/v1 RoleBinding analytics/flink-jobs wave=-1",
            json!({"roleRef": {"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": "flink-jobs"}, "subjects": [{"kind": "ServiceAccount", "name": "flink"}]}),
        ),
        (
            "external-secrets.io/v1 SecretStore analytics/vault wave=-1",
            Value::Null,
        ),
        (
            "external-secrets.io/v1 ExternalSecret analytics/warehouse-credentials wave=-1",
            json!({"spec": {"secretStoreRef": {"name": "vault"}}}),
        ),
        (
            "kafka.strimzi.io/v1 KafkaNodePool analytics/brokers",
            of("events"),
        ),
        (
            "kafka.strimzi.io/v1 KafkaNodePool analytics/controllers",
            of("events"),
        ),
        ("kafka.strimzi.io/v1 Kafka analytics/events", Value::Null),
        (
            "kafka.strimzi.io/v1 KafkaTopic analytics/orders wave=1",
            of("events"),
        ),
        (
            "kafka.strimzi.io/v1 KafkaTopic analytics/orders-enriched wave=1",
            of("events"),
        ),
        (
            "kafka.strimzi.io/v1 KafkaTopic analytics/orders-dead-letter-queue-of-the-enrichment-function wave=1",
            of("events"),
        ),
        (
            "kafka.strimzi.io/v1 KafkaUser analytics/flink-user wave=1",
            of("events"),
        ),
        (
            "flink.apache.org/v1beta1 FlinkDeployment analytics/orders-enrichment wave=2",
            json!({"spec": {"serviceAccount": "flink", "job": {"args": ["--in", "orders", "--out", "orders-enriched", "--brokers", "events-kafka-bootstrap:9092"]},
            "podTemplate": {"spec": {"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "pipeline-settings"}}, {"secretRef": {"name": "flink-user"}}]}]}}}}),
        ),
        (
            "sparkoperator.k8s.io/v1beta2 SparkApplication analytics/daily-report wave=2",
            json!({"spec": {"arguments": ["orders-enriched"], "driver": {"serviceAccount": "flink", "envFrom": [{"secretRef": {"name": "warehouse-credentials"}}]}}}),
        ),
        ("v1 Service analytics/api wave=2", Value::Null),
        (
            "apps/v1 Deployment analytics/api wave=2 tidegate.dev/depends-on=flink.apache.org:FlinkDeployment:orders-enrichment",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "T", "value": "orders-enriched"}]}]}}}}),
        ),
        (
            "networking.k8s.io/v1 Ingress analytics/api wave=2",
            json!({"spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "api"}}}]}}]}}),
        ),
        (
            "autoscaling/v2 HorizontalPodAutoscaler analytics/api wave=2",
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}}}),
        ),
        (
            "batch/v1 Job analytics/smoke-test hook=PostSync",
            Value::Null,
        ),
        (
            "batch/v1 Job analytics/notify hook=PostSync,SyncFail",
            Value::Null,
        ),
        ("v1 ConfigMap analytics/draft hook=Skip", Value::Null),
    ];
    objects
        .into_iter()
        .enumerate()
        .map(|(line, (words, rest))| make(line, words, rest))
        .collect()
}

fn leftovers() -> Vec<Object> {
    vec![
        make(90, "v1 ConfigMap analytics/old-settings", Value::Null),
        make(
            91,
            "apps/v1 Deployment analytics/old-api",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "old-settings"}}]}]}}}}),
        ),
    ]
}

fn many(count: usize) -> Vec<Object> {
    let mut objects = vec![make(0, "v1 Namespace load", Value::Null)];
    for i in 1..count {
        let wave = i % 4;
        let of = i / 8;
        let (words, body) = match i % 8 {
            0 => (
                format!("v1 ConfigMap load/settings-{of} wave=0"),
                Value::Null,
            ),
            1 => (format!("v1 Secret load/token-{of} wave=0"), Value::Null),
            2 => (
                format!("kafka.strimzi.io/v1 KafkaTopic load/topic-{of} wave=1"),
                Value::Null,
            ),
            3 => (
                format!("v1 ServiceAccount load/runner-{of} wave=0"),
                Value::Null,
            ),
            4 => (format!("v1 Service load/service-{of} wave=2"), Value::Null),
            5 => (
                format!("networking.k8s.io/v1 Ingress load/web-{of} wave=3"),
                json!({"spec": {"defaultBackend": {"service": {"name": format!("service-{of}")}}}}),
            ),
            6 => (
                format!("batch/v1 CronJob load/cron-{of} wave={wave}"),
                json!({"spec": {"serviceAccountName": format!("runner-{of}")}}),
            ),
            _ => (
                format!("apps/v1 Deployment load/worker-{of} wave=2"),
                json!({"spec": {"serviceAccountName": format!("runner-{of}"), "containers": [{"name": "c",
                "envFrom": [{"configMapRef": {"name": format!("settings-{of}")}}, {"secretRef": {"name": format!("token-{}", of / 2)}}],
                "args": ["--topic", format!("topic-{}", (of * 7) % (count / 8 + 1))]}]}}),
            ),
        };
        objects.push(make(i, &words, body));
    }
    objects
}
