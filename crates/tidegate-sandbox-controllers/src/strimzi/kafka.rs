//! Kafka clusters and their node pools, in KRaft mode or (older manifests) with ZooKeeper.

use super::{CLUSTER, RECONCILE, attempt, not_ready, paused, ready};
use crate::broker::Broker;
use crate::conditions::{Condition, conditions, is_true};
use crate::context::Context;
use crate::resources::{KAFKA_NODE_POOLS, KAFKAS, SECRETS, SERVICES};
use crate::value::{
    annotation, at, base64, controller_ref, deleting, digest, hex, int, int_or, items, kafka_id,
    label, name, namespace, observed, text, uid,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The version that a cluster runs when its manifest names none.
const DEFAULT_VERSION: &str = "4.1.0";
/// What the simulated operator calls itself.
const OPERATOR_VERSION: &str = "1.0.0";

/// A Kafka cluster.
pub(crate) fn react(cx: &mut Context<'_>) {
    let kafka = cx.object;
    if deleting(kafka) || paused(cx) {
        return;
    }
    if !at(kafka, "status").is_object() {
        if cx.noticed() {
            let creating = Condition::new("NotReady", "True")
                .because("Creating", "Kafka cluster is being deployed");
            let creating = conditions(kafka, &[creating], cx.now);
            cx.status(json!({"conditions": creating}));
        }
        return;
    }
    let pools = pools(cx);
    if let Some((exception, message)) = invalid(kafka, &pools) {
        if cx.waited(&format!("refuse-{}", cx.epoch()), super::SMALL) {
            not_ready(cx, exception, &message);
        }
        return;
    }
    // A change of a node pool is a reason to roll the cluster too.
    let broker = super::shared::broker_of(cx, kafka);
    let mut shape: Vec<String> = pools
        .iter()
        .map(|pool| format!("{}/{}", uid(pool), pool_generation(pool)))
        .collect();
    // So is the broker, when it becomes this cluster's.
    shape.extend(broker.map(Broker::address));
    let shape = hex(&shape.iter().map(String::as_str).collect::<Vec<_>>(), 8);
    let settled = is_true(kafka, "Ready") && observed(kafka) == cx.generation();
    if cx.fact("shape").as_str() != Some(&shape) {
        if !(settled && cx.fact("shape").is_null()) {
            cx.forget("reconcile");
            cx.remember("rolling", json!(true));
        }
        cx.remember("shape", json!(shape));
    } else if settled && cx.faults.fail.is_none() && cx.fact("rolling").as_bool() != Some(true) {
        return;
    }
    match attempt(cx, RECONCILE) {
        None => {}
        Some(Err(message)) => not_ready(cx, "TimeoutException", &message),
        Some(Ok(())) => {
            children(cx);
            let fields = status_fields(kafka, &pools, broker);
            let warnings = warnings(kafka, &pools);
            ready(cx, &warnings, fields);
            cx.remember("rolling", json!(false));
        }
    }
}

fn pools(cx: &mut Context<'_>) -> Vec<Arc<Value>> {
    let mut pools = cx.labelled(&KAFKA_NODE_POOLS, cx.namespace(), CLUSTER, cx.name());
    pools.retain(|pool| !deleting(pool));
    pools
}

fn pool_generation(pool: &Value) -> i64 {
    crate::value::generation(pool)
}

/// Whether the brokers come from node pools: always, except with the ZooKeeper section or replicas of old manifests.
fn uses_pools(kafka: &Value) -> bool {
    if annotation(kafka, "strimzi.io/node-pools") == Some("enabled") {
        return true;
    }
    text(kafka, "apiVersion").ends_with("/v1")
        || (at(kafka, "spec.zookeeper").is_null() && int(kafka, "spec.kafka.replicas").is_none())
}

fn has_role(pool: &Value, role: &str) -> bool {
    int_or(pool, "spec.replicas", 0) > 0
        && items(pool, "spec.roles")
            .iter()
            .any(|held| held.as_str() == Some(role))
}

/// What the operator refuses about a cluster.
fn invalid(kafka: &Value, pools: &[Arc<Value>]) -> Option<(&'static str, String)> {
    const INVALID: &str = "InvalidResourceException";
    let cluster = name(kafka);
    if uses_pools(kafka) {
        if pools.is_empty() {
            let message = format!(
                "KafkaNodePools are enabled, but no KafkaNodePools found for Kafka cluster {cluster}"
            );
            return Some(("InvalidConfigurationException", message));
        }
        let mut errors = Vec::new();
        for role in ["broker", "controller"] {
            let needed = role == "broker" || at(kafka, "spec.zookeeper").is_null();
            if needed && !pools.iter().any(|pool| has_role(pool, role)) {
                errors.push(format!(
                    "At least one KafkaNodePool with the {role} role and at least one replica is required when KRaft mode is enabled"
                ));
            }
        }
        if !errors.is_empty() {
            let message = format!(
                "The Kafka cluster {cluster} is invalid: [{}]",
                errors.join(", ")
            );
            return Some((INVALID, message));
        }
    }
    let brokers = brokers(kafka, pools);
    let config = at(kafka, "spec.kafka.config");
    for key in [
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    ] {
        let factor = config.get(key).and_then(|value| {
            value
                .as_i64()
                .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
        });
        if let Some(factor) = factor.filter(|factor| *factor > brokers) {
            let message = format!(
                "Kafka configuration option '{key}' should be set to {brokers} or less because this cluster has only {brokers} Kafka broker(s). It is set to {factor}."
            );
            return Some((INVALID, message));
        }
    }
    None
}

/// How many brokers the cluster has.
pub(crate) fn brokers(kafka: &Value, pools: &[Arc<Value>]) -> i64 {
    if uses_pools(kafka) {
        let brokers = pools.iter().filter(|pool| has_role(pool, "broker"));
        brokers.map(|pool| int_or(pool, "spec.replicas", 0)).sum()
    } else {
        int_or(kafka, "spec.kafka.replicas", 1)
    }
}

/// Settings that are taken, with a word of advice.
fn warnings(kafka: &Value, pools: &[Arc<Value>]) -> Vec<Condition> {
    let mut warnings = Vec::new();
    let mut warn = |reason: &str, message: &str| {
        warnings.push(Condition::new("Warning", "True").because(reason, message));
    };
    let config = at(kafka, "spec.kafka.config");
    if brokers(kafka, pools) > 1 {
        if config.get("default.replication.factor").is_none() {
            warn(
                "KafkaDefaultReplicationFactor",
                "default.replication.factor option is not configured. It defaults to 1 which does not guarantee reliability and availability. You should configure this option in .spec.kafka.config.",
            );
        }
        if config.get("min.insync.replicas").is_none() {
            warn(
                "KafkaMinInsyncReplicas",
                "min.insync.replicas option is not configured. It defaults to 1 which does not guarantee reliability and availability. You should configure this option in .spec.kafka.config.",
            );
        }
    }
    let controllers: i64 = pools
        .iter()
        .filter(|pool| has_role(pool, "controller"))
        .map(|pool| int_or(pool, "spec.replicas", 0))
        .sum();
    if controllers == 2 {
        warn(
            "KafkaKRaftControllerNodeCount",
            "Running KRaft controller quorum with two nodes is not advised as both nodes will be needed to avoid downtime. It is recommended that a minimum of three nodes are used.",
        );
    }
    warnings
}

fn status_fields(kafka: &Value, pools: &[Arc<Value>], broker: Option<&dyn Broker>) -> Value {
    let listeners: Vec<Value> = items(kafka, "spec.kafka.listeners")
        .iter()
        .map(|listener| {
            let served = broker.and_then(|broker| served(listener, broker));
            shown(kafka, listener, served)
        })
        .collect();
    let version = text(kafka, "spec.kafka.version");
    let version = if version.is_empty() {
        DEFAULT_VERSION
    } else {
        version
    };
    let mut fields = json!({
        "clusterId": cluster_id(kafka),
        "kafkaVersion": version,
        "listeners": listeners,
        "operatorLastSuccessfulVersion": OPERATOR_VERSION,
    });
    if uses_pools(kafka) {
        let short: Vec<&str> = version.splitn(3, '.').take(2).collect();
        let metadata = text(kafka, "spec.kafka.metadataVersion");
        let metadata = if metadata.is_empty() {
            format!("{}-IV0", short.join("."))
        } else {
            metadata.to_owned()
        };
        fields["kafkaMetadataVersion"] = json!(metadata);
        fields["kafkaMetadataState"] = json!("KRaft");
        fields["kafkaNodePools"] = pools
            .iter()
            .map(|pool| json!({"name": name(pool)}))
            .collect();
    }
    fields
}

/// Where the broker serves a listener: with SCRAM on a port of its own, anything else in plain text.
fn served(listener: &Value, broker: &dyn Broker) -> Option<(String, i64)> {
    let scram = text(listener, "authentication.type") == "scram-sha-512";
    let address = scram.then(|| broker.sasl_address()).flatten();
    let address = address.unwrap_or_else(|| broker.address());
    let (host, port) = address.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// A listener in the status; its address is the broker's, or else one that looks as it would in a cluster.
fn shown(kafka: &Value, listener: &Value, served: Option<(String, i64)>) -> Value {
    let (cluster, space) = (name(kafka), namespace(kafka));
    let (kind, port) = (text(listener, "type"), int_or(listener, "port", 9092));
    let listener_name = text(listener, "name");
    let (host, port) = served.unwrap_or_else(|| match kind {
        "loadbalancer" => {
            let last = 1 + digest(&[uid(kafka), listener_name])[0] % 254;
            (format!("203.0.113.{last}"), port)
        }
        "nodeport" => (
            crate::pod::report::NODE_IP.to_owned(),
            30_000 + port % 2_768,
        ),
        "ingress" | "route" => {
            let host = text(listener, "configuration.bootstrap.host");
            (
                if host.is_empty() {
                    format!("{cluster}.example.org")
                } else {
                    host.to_owned()
                },
                443,
            )
        }
        _ => (format!("{cluster}-kafka-bootstrap.{space}.svc"), port),
    });
    let mut shown = json!({
        "name": listener_name, "addresses": [{"host": host, "port": port}],
        "bootstrapServers": format!("{host}:{port}"),
    });
    if at(listener, "tls").as_bool() == Some(true) {
        shown["certificates"] = json!([certificate(&format!("{cluster} cluster CA"))]);
    }
    shown
}

fn cluster_id(kafka: &Value) -> String {
    kafka_id(&[uid(kafka), "cluster"])
}

fn certificate(subject: &str) -> String {
    let body = base64(format!("simulated certificate of {subject}").as_bytes());
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// The Services and Secrets that clients of the cluster refer to.
fn children(cx: &mut Context<'_>) {
    let kafka = cx.object;
    let (cluster, space) = (cx.name(), cx.namespace());
    let labels = json!({
        CLUSTER: cluster, "strimzi.io/kind": "Kafka", "strimzi.io/name": format!("{cluster}-kafka"),
        "app.kubernetes.io/managed-by": "strimzi-cluster-operator",
    });
    let metadata = |child: &str| {
        json!({
            "name": child, "namespace": space, "labels": labels,
            "ownerReferences": [controller_ref(text(kafka, "apiVersion"), "Kafka", kafka)],
        })
    };
    let internal: Vec<Value> = items(kafka, "spec.kafka.listeners")
        .iter()
        .filter(|listener| matches!(text(listener, "type"), "internal" | "cluster-ip"))
        .map(|listener| {
            let port = int_or(listener, "port", 9092);
            json!({"name": format!("tcp-{}", text(listener, "name")), "port": port, "targetPort": port, "protocol": "TCP"})
        })
        .collect();
    let replication =
        json!({"name": "tcp-replication", "port": 9091, "targetPort": 9091, "protocol": "TCP"});
    for (suffix, headless) in [("kafka-bootstrap", false), ("kafka-brokers", true)] {
        let child = format!("{cluster}-{suffix}");
        if cx.get(&SERVICES, space, &child).is_some() {
            continue;
        }
        let mut ports = vec![replication.clone()];
        ports.extend(internal.iter().cloned());
        let mut spec = json!({
            "type": "ClusterIP", "ports": ports,
            "selector": {CLUSTER: cluster, "strimzi.io/name": format!("{cluster}-kafka"), "strimzi.io/kind": "Kafka"},
        });
        if headless {
            spec["clusterIP"] = json!("None");
            spec["publishNotReadyAddresses"] = json!(true);
        }
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(&child), "spec": spec});
        cx.create(&SERVICES, service);
    }
    for authority in ["cluster", "clients"] {
        let child = format!("{cluster}-{authority}-ca-cert");
        if cx.get(&SECRETS, space, &child).is_some() {
            continue;
        }
        let password = hex(&[uid(kafka), authority, "password"], 6);
        let data = json!({
            "ca.crt": base64(certificate(&format!("{cluster} {authority} CA")).as_bytes()),
            "ca.p12": base64(b"simulated"),
            "ca.password": base64(password.as_bytes()),
        });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata(&child), "data": data,
        });
        cx.create(&SECRETS, secret);
    }
}

/// A node pool: node ids, as soon as its cluster exists.
pub(crate) fn react_pool(cx: &mut Context<'_>) {
    let pool = cx.object;
    if deleting(pool) || annotation(pool, super::PAUSE) == Some("true") {
        return;
    }
    let Some(cluster) = label(pool, CLUSTER) else {
        return;
    };
    let Some(kafka) = cx.get(&KAFKAS, cx.namespace(), cluster) else {
        return;
    };
    if !uses_pools(&kafka) || annotation(&kafka, super::PAUSE) == Some("true") {
        return;
    }
    let step = format!("assign-{}", cx.epoch());
    if !cx.passed(&step, super::SMALL, super::SMALL) {
        return;
    }
    let ids = node_ids(cx, cluster);
    cx.status(json!({
        "observedGeneration": cx.generation(),
        "nodeIds": ids,
        "clusterId": cluster_id(&kafka),
        "roles": at(pool, "spec.roles"),
        "replicas": int_or(pool, "spec.replicas", 0),
        "labelSelector": format!(
            "strimzi.io/cluster={cluster},strimzi.io/name={cluster}-kafka,strimzi.io/kind=Kafka,strimzi.io/pool-name={}",
            cx.name()
        ),
    }));
}

/// Keeps the ids it has; new ones are the lowest that no pool of the cluster uses, the highest go first.
fn node_ids(cx: &mut Context<'_>, cluster: &str) -> Vec<i64> {
    let replicas = usize::try_from(int_or(cx.object, "spec.replicas", 0))
        .unwrap_or(0)
        .min(1_000);
    let own = |pool: &Value| -> Vec<i64> {
        items(pool, "status.nodeIds")
            .iter()
            .filter_map(Value::as_i64)
            .collect()
    };
    let mut ids = own(cx.object);
    let pools = cx.labelled(&KAFKA_NODE_POOLS, cx.namespace(), CLUSTER, cluster);
    let mut used: BTreeSet<i64> = pools
        .iter()
        .filter(|pool| uid(pool) != cx.uid())
        .flat_map(|pool| own(pool))
        .chain(ids.iter().copied())
        .collect();
    // Pools without ids are served in the order of their names.
    let before = pools
        .iter()
        .filter(|pool| own(pool).is_empty() && name(pool) < cx.name());
    let reserved: i64 = before.map(|pool| int_or(pool, "spec.replicas", 0)).sum();
    let first_time = ids.is_empty();
    let mut skipped = 0;
    let mut candidate = 0;
    while ids.len() < replicas {
        if used.insert(candidate) {
            if first_time && skipped < reserved {
                skipped += 1;
            } else {
                ids.push(candidate);
            }
        }
        candidate += 1;
    }
    ids.sort_unstable();
    ids.truncate(replicas);
    ids
}

/// A rebalance: a proposal, and its execution once approved.
pub(crate) fn react_rebalance(cx: &mut Context<'_>) {
    let rebalance = cx.object;
    if deleting(rebalance) || paused(cx) {
        return;
    }
    let cluster = label(rebalance, CLUSTER).unwrap_or("");
    let Some(kafka) = cx.get(&KAFKAS, cx.namespace(), cluster) else {
        if cluster.is_empty() {
            let message = "Resource lacks label 'strimzi.io/cluster': No cluster related to a possible rebalance.";
            return not_ready(cx, "InvalidResourceException", message);
        }
        return not_ready(
            cx,
            "NoSuchResourceException",
            &format!(
                "Kafka resource '{cluster}' identified by label 'strimzi.io/cluster' does not exist in namespace {}.",
                cx.namespace()
            ),
        );
    };
    if at(&kafka, "spec.cruiseControl").is_null() {
        let message = "Kafka resource lacks 'cruiseControl' declaration : No deployed Cruise Control for doing a rebalance.";
        return not_ready(cx, "InvalidResourceException", message);
    }
    if !is_true(&kafka, "Ready") {
        return;
    }
    let approved = annotation(rebalance, "strimzi.io/rebalance") == Some("approve")
        || annotation(rebalance, "strimzi.io/rebalance-auto-approval") == Some("true");
    let generation = cx.generation();
    let state = if let Some(message) = cx.faults.failure(0).map(str::to_owned) {
        return not_ready(cx, "CruiseControlRestException", &message);
    } else if !cx.passed(&format!("propose-{}", cx.epoch()), 600, RECONCILE) {
        "PendingProposal"
    } else if !approved {
        "ProposalReady"
    } else if !cx.passed(&format!("move-{}", cx.epoch()), 1_200, RECONCILE) {
        "Rebalancing"
    } else {
        "Ready"
    };
    let list = conditions(rebalance, &[Condition::new(state, "True")], cx.now);
    let mut fields = json!({"conditions": list, "observedGeneration": generation});
    if matches!(state, "PendingProposal" | "Rebalancing") {
        fields["sessionId"] = json!(crate::value::uuid(&[cx.uid(), state]));
    } else {
        fields["sessionId"] = Value::Null;
        fields["optimizationResult"] = json!({
            "numReplicaMovements": 0, "numLeaderMovements": 0, "dataToMoveMB": 0,
            "onDemandBalancednessScoreBefore": 100.0, "onDemandBalancednessScoreAfter": 100.0,
        });
    }
    cx.merge_status(fields);
}
