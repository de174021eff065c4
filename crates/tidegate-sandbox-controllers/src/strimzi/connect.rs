//! Kafka Connect clusters, their connectors, mirror makers and bridges.

use super::{CLUSTER, RECONCILE, RETRY, SMALL, attempt, not_ready, paused, ready};
use crate::conditions::is_true;
use crate::context::Context;
use crate::resources::{KAFKA_CONNECTS, KAFKAS, SERVICES};
use crate::value::{
    annotation, at, controller_ref, deleting, generation, int_or, items, label, name, observed,
    text,
};
use serde_json::{Value, json};

/// How long workers may wait for their brokers (the real operator: 5 minutes).
const PATIENCE: u64 = 30_000;

/// Which of the three alike kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Workers {
    Connect,
    MirrorMaker,
    Bridge,
}

pub(crate) fn react_connect(cx: &mut Context<'_>) {
    workers(cx, Workers::Connect);
}

pub(crate) fn react_mirror_maker(cx: &mut Context<'_>) {
    workers(cx, Workers::MirrorMaker);
}

pub(crate) fn react_bridge(cx: &mut Context<'_>) {
    workers(cx, Workers::Bridge);
}

fn workers(cx: &mut Context<'_>, kind: Workers) {
    if deleting(cx.object) || paused(cx) {
        return;
    }
    if !at(cx.object, "spec").is_object() {
        return not_ready(cx, "InvalidResourceException", "Spec cannot be null");
    }
    let settled = is_true(cx.object, "Ready") && observed(cx.object) == cx.generation();
    if settled && cx.faults.fail.is_none() {
        return;
    }
    if let Some(missing) = unready_cluster(cx) {
        // The pods start, cannot reach their brokers, and are never ready.
        if cx.waited(&format!("patience-{}", cx.epoch()), PATIENCE) {
            let seconds = 300_000;
            let (space, pod) = (cx.namespace(), pod_name(cx, kind));
            let message = format!(
                "Exceeded timeout of {seconds}ms while waiting for Pods resource {pod} in namespace {space} to be ready (its Kafka cluster {missing} is not)"
            );
            not_ready(cx, "TimeoutException", &message);
        }
        return;
    }
    match attempt(cx, RECONCILE) {
        None => {}
        Some(Err(message)) => not_ready(cx, "TimeoutException", &message),
        Some(Ok(())) => {
            let fields = fields(cx, kind);
            service(cx, kind);
            ready(cx, &[], fields);
        }
    }
}

fn pod_name(cx: &Context<'_>, kind: Workers) -> String {
    let middle = match kind {
        Workers::Connect => "connect",
        Workers::MirrorMaker => "mirrormaker2",
        Workers::Bridge => "bridge",
    };
    format!("{}-{middle}-0", cx.name())
}

/// A cluster of this server that the object's bootstrap addresses name and that is not ready.
fn unready_cluster(cx: &mut Context<'_>) -> Option<String> {
    let spec = at(cx.object, "spec");
    let mut addresses: Vec<&str> = vec![
        text(spec, "bootstrapServers"),
        text(spec, "target.bootstrapServers"),
    ];
    addresses.extend(
        items(spec, "clusters")
            .iter()
            .map(|cluster| text(cluster, "bootstrapServers")),
    );
    addresses.extend(
        items(spec, "mirrors")
            .iter()
            .map(|mirror| text(mirror, "source.bootstrapServers")),
    );
    for address in addresses.iter().flat_map(|list| list.split(',')) {
        let host = address
            .trim()
            .rsplit_once(':')
            .map_or(address.trim(), |(host, _)| host);
        let mut parts = host.split('.');
        let Some(cluster) = parts
            .next()
            .and_then(|first| first.strip_suffix("-kafka-bootstrap"))
        else {
            continue;
        };
        let space = parts.next().unwrap_or(cx.namespace()).to_owned();
        match cx.get(&KAFKAS, &space, cluster) {
            Some(kafka) if !is_true(&kafka, "Ready") => return Some(cluster.to_owned()),
            _ => {}
        }
    }
    None
}

fn fields(cx: &Context<'_>, kind: Workers) -> Value {
    let (object, space) = (cx.object, cx.namespace());
    let replicas = int_or(
        object,
        "spec.replicas",
        if kind == Workers::Connect { 3 } else { 1 },
    );
    let owner = cx.name();
    let selector = |what: &str| {
        format!(
            "strimzi.io/cluster={owner},strimzi.io/name={owner}-{},strimzi.io/kind={what}",
            service_part(kind)
        )
    };
    match kind {
        Workers::Connect => {
            let plugin =
                |class: &str, kind: &str| json!({"class": class, "type": kind, "version": "4.1.0"});
            json!({
                "url": format!("http://{owner}-connect-api.{space}.svc:8083"),
                "replicas": replicas, "labelSelector": selector("KafkaConnect"),
                "connectorPlugins": [
                    plugin("org.apache.kafka.connect.mirror.MirrorCheckpointConnector", "source"),
                    plugin("org.apache.kafka.connect.mirror.MirrorHeartbeatConnector", "source"),
                    plugin("org.apache.kafka.connect.mirror.MirrorSourceConnector", "source"),
                ],
            })
        }
        Workers::MirrorMaker => json!({
            "url": format!("http://{owner}-mirrormaker2-api.{space}.svc:8083"),
            "replicas": replicas, "labelSelector": selector("KafkaMirrorMaker2"),
            "connectors": mirrors(object),
        }),
        Workers::Bridge => json!({
            "url": format!("http://{owner}-bridge-service.{space}.svc:8080"),
            "replicas": replicas, "labelSelector": selector("KafkaBridge"),
        }),
    }
}

/// The connectors of a mirror maker, running.
fn mirrors(object: &Value) -> Vec<Value> {
    let mut connectors = Vec::new();
    let alias = |mirror: &Value, side: &str| {
        let old = text(mirror, &format!("{side}Cluster"));
        let new = text(mirror, &format!("{side}.alias"));
        if old.is_empty() {
            new.to_owned()
        } else {
            old.to_owned()
        }
    };
    for mirror in items(object, "spec.mirrors") {
        let source = alias(mirror, "source");
        let target = alias(mirror, "target");
        let target = if target.is_empty() {
            text(object, "spec.target.alias").to_owned()
        } else {
            target
        };
        for (field, class) in [
            ("sourceConnector", "MirrorSourceConnector"),
            ("checkpointConnector", "MirrorCheckpointConnector"),
            ("heartbeatConnector", "MirrorHeartbeatConnector"),
        ] {
            if at(mirror, field).is_object() {
                let tasks = int_or(at(mirror, field), "tasksMax", 1);
                let connector = format!("{source}->{target}.{class}");
                connectors.push(running(
                    &connector,
                    "source",
                    "RUNNING",
                    tasks,
                    name(object),
                ));
            }
        }
    }
    connectors
}

/// A connector as Connect's REST interface describes it.
fn running(connector: &str, kind: &str, state: &str, tasks: i64, cluster: &str) -> Value {
    let worker = format!("{cluster}-connect-0.{cluster}-connect:8083");
    let tasks: Vec<Value> = (0..tasks.clamp(0, 1_000))
        .map(|id| json!({"id": id, "state": state, "worker_id": worker}))
        .collect();
    json!({
        "name": connector, "type": kind,
        "connector": {"state": state, "worker_id": worker},
        "tasks": if state == "STOPPED" { Vec::new() } else { tasks },
    })
}

fn service_part(kind: Workers) -> &'static str {
    match kind {
        Workers::Connect => "connect",
        Workers::MirrorMaker => "mirrormaker2",
        Workers::Bridge => "bridge",
    }
}

fn service(cx: &mut Context<'_>, kind: Workers) {
    let (suffix, port) = match kind {
        Workers::Connect => ("connect-api", 8083),
        Workers::MirrorMaker => ("mirrormaker2-api", 8083),
        Workers::Bridge => ("bridge-service", 8080),
    };
    let child = format!("{}-{suffix}", cx.name());
    if cx.get(&SERVICES, cx.namespace(), &child).is_some() {
        return;
    }
    let owner = controller_ref(
        text(cx.object, "apiVersion"),
        text(cx.object, "kind"),
        cx.object,
    );
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": child, "namespace": cx.namespace(), "labels": {CLUSTER: cx.name()},
            "ownerReferences": [owner],
        },
        "spec": {
            "type": "ClusterIP", "selector": {CLUSTER: cx.name()},
            "ports": [{"name": "rest-api", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    });
    cx.create(&SERVICES, service);
}

/// A connector, in the Connect cluster that its label names.
pub(crate) fn react_connector(cx: &mut Context<'_>) {
    let connector = cx.object;
    if deleting(connector) || !cx.noticed() || paused(cx) {
        return;
    }
    let Some(cluster) = label(connector, CLUSTER) else {
        let message = "Resource lacks label 'strimzi.io/cluster': No connect cluster in which to create this connector.";
        return not_ready(cx, "InvalidResourceException", message);
    };
    let Some(connect) = cx.get(&KAFKA_CONNECTS, cx.namespace(), cluster) else {
        let space = cx.namespace();
        let message = format!(
            "KafkaConnect resource '{cluster}' identified by label 'strimzi.io/cluster' does not exist in namespace {space}."
        );
        return not_ready(cx, "NoSuchResourceException", &message);
    };
    if annotation(&connect, "strimzi.io/use-connector-resources") != Some("true") {
        let message = format!(
            "KafkaConnect cluster '{cluster}' is not configured with annotation strimzi.io/use-connector-resources"
        );
        return not_ready(cx, "NoSuchResourceException", &message);
    }
    if int_or(&connect, "spec.replicas", 3) == 0 {
        let space = cx.namespace();
        let message =
            format!("KafkaConnect cluster '{cluster}' in namespace {space} has 0 replicas.");
        return not_ready(cx, "RuntimeException", &message);
    }
    let up = is_true(&connect, "Ready") && observed(&connect) >= generation(&connect);
    if !up && observed(connector) == 0 {
        return;
    }
    if text(connector, "spec.class").is_empty() {
        let message = "The 'class' property in KafkaConnector resource is required.";
        return not_ready(cx, "InvalidResourceException", message);
    }
    if let Some(outcome) = attempt(cx, SMALL) {
        let step = format!("start-{}", cx.epoch());
        let started = cx.passed(&step, RETRY, RETRY);
        report(cx, cluster, outcome, started);
    }
}

fn report(cx: &mut Context<'_>, cluster: &str, outcome: Result<(), String>, started: bool) {
    let connector = cx.object;
    let tasks = int_or(connector, "spec.tasksMax", 1);
    let class = text(connector, "spec.class");
    let kind = if class.to_lowercase().contains("sink") {
        "sink"
    } else {
        "source"
    };
    let state = match text(connector, "spec.state") {
        "paused" => "PAUSED",
        "stopped" => "STOPPED",
        _ if outcome.is_err() => "FAILED",
        // A new connector is unassigned until the workers have shared it out.
        _ if !started && !is_true(connector, "Ready") => "UNASSIGNED",
        _ => "RUNNING",
    };
    let mut status = running(cx.name(), kind, state, tasks, cluster);
    if let Err(message) = outcome {
        let trace = format!("org.apache.kafka.connect.errors.ConnectException: {message}");
        status["connector"]["trace"] = json!(trace);
        status["tasks"] = json!([]);
        let failed = json!({"connectorStatus": status, "tasksMax": tasks});
        let message =
            format!("Connector has failed, see connectorStatus for more details. ({message})");
        let list = crate::conditions::conditions(
            connector,
            &[crate::conditions::Condition::new("NotReady", "True").because("Throwable", message)],
            cx.now,
        );
        let mut fields = failed;
        fields["conditions"] = list;
        fields["observedGeneration"] = json!(cx.generation());
        return cx.merge_status(fields);
    }
    let topics = at(connector, "spec.config")
        .get("topics")
        .or(at(connector, "spec.config").get("topic"));
    let topics: Vec<&str> = topics
        .and_then(Value::as_str)
        .map(|topics| topics.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let topics = if state == "RUNNING" {
        topics
    } else {
        Vec::new()
    };
    ready(
        cx,
        &[],
        json!({"connectorStatus": status, "tasksMax": tasks, "topics": topics}),
    );
}
