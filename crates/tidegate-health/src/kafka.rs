//! Kafka on Kubernetes: Strimzi, Koperator (Banzai), Confluent, and Pravega's ZooKeeper.
//!
//! Sources: Argo CD's scripts for the compatible verdicts; Strimzi's operators for the precise ones: what they write when.

use tidegate_manifest::Health;

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended},
    view::{Condition, View},
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    match subject.group {
        "kafka.strimzi.io" | "core.strimzi.io" if subject.precise() => strimzi(subject),
        "kafka.strimzi.io" => compatible_strimzi(subject),
        "kafka.banzaicloud.io" if subject.kind == "KafkaCluster" => Some(koperator(subject.view)),
        "platform.confluent.io" => confluent(subject),
        "zookeeper.pravega.io" if subject.kind == "ZookeeperCluster" => {
            Some(zookeeper(subject.view))
        }
        _ => None,
    }
}

/// What Argo CD waits for, by kind.
fn waiting_for(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Kafka" => "Waiting for Kafka Cluster",
        "KafkaTopic" => "Waiting for Kafka Topic",
        "KafkaUser" => "Waiting for Kafka User",
        "KafkaConnect" => "Waiting for Kafka Connect",
        "KafkaConnector" => "Waiting for Kafka Connector",
        "KafkaBridge" => "Waiting for Kafka Bridge",
        _ => return None,
    })
}

fn compatible_strimzi(subject: &Subject<'_>) -> Option<Health> {
    let waiting = waiting_for(subject.kind)?;
    let decided = subject.view.conditions().iter().find_map(|condition| {
        let creating = subject.kind == "Kafka" && condition.reason == "Creating";
        if condition.is_true("NotReady") && !creating {
            return Some(degraded(condition.message));
        }
        condition.is_true("Ready").then(|| healthy(""))
    });
    Some(decided.unwrap_or_else(|| progressing(waiting)))
}

fn strimzi(subject: &Subject<'_>) -> Option<Health> {
    match (subject.group, subject.kind) {
        ("core.strimzi.io", "StrimziPodSet") => return Some(pod_set(subject)),
        ("kafka.strimzi.io", "KafkaNodePool") => return Some(node_pool(subject)),
        ("kafka.strimzi.io", "KafkaRebalance") => return Some(rebalance(subject)),
        ("kafka.strimzi.io", "KafkaMirrorMaker2") => {}
        ("kafka.strimzi.io", kind) if waiting_for(kind).is_some() => {}
        _ => return None,
    }
    let conditions = subject.view.conditions();
    if let Some(verdict) = common(subject, &conditions) {
        return Some(verdict);
    }
    if let Some(ready) = conditions
        .iter()
        .find(|condition| condition.is_true("Ready"))
    {
        let specific = match subject.kind {
            "Kafka" => balancing(subject.view),
            "KafkaTopic" => changing_replicas(subject.view),
            "KafkaConnector" => connector(subject.view),
            "KafkaMirrorMaker2" => failed_connectors(subject.view),
            _ => None,
        };
        return Some(
            specific.unwrap_or_else(|| healthy(with_warnings(ready.message, &conditions))),
        );
    }
    Some(progressing(unanswered(subject)))
}

/// Pauses, staleness and failures, which all kinds of Strimzi write alike.
fn common(subject: &Subject<'_>, conditions: &[Condition<'_>]) -> Option<Health> {
    let found = |kind: &str, status: &str| {
        conditions
            .iter()
            .find(|condition| condition.is(kind, status))
    };
    // First: while paused, the operators leave the observed generation behind.
    if found("ReconciliationPaused", "True").is_some() {
        return Some(suspended(
            "reconciliation is paused by the annotation strimzi.io/pause-reconciliation",
        ));
    }
    if let Some(waiting) = subject.unobserved() {
        return Some(waiting);
    }
    if found("Unmanaged", "True").is_some() {
        return Some(healthy("unmanaged: the topic in Kafka is left as it is"));
    }
    // The Topic Operator writes Ready=False where the others write NotReady=True.
    let failure = found("NotReady", "True").or_else(|| found("Ready", "False"))?;
    Some(if failure.reason == "Creating" {
        progressing(failure.message)
    } else {
        degraded(failure.words())
    })
}

/// Why nothing may have been written yet.
fn unanswered(subject: &Subject<'_>) -> String {
    let waiting = waiting_for(subject.kind).unwrap_or("Waiting for the Strimzi operator");
    let labelled = subject
        .view
        .at(&["metadata", "labels", "strimzi.io/cluster"])
        .exists();
    let needs_label = matches!(
        subject.kind,
        "KafkaTopic" | "KafkaUser" | "KafkaConnector" | "KafkaNodePool"
    );
    if needs_label && !labelled && !subject.view.at(&["status"]).exists() {
        format!("{waiting}: without the label strimzi.io/cluster no operator takes it up")
    } else {
        waiting.to_owned()
    }
}

fn with_warnings(message: &str, conditions: &[Condition<'_>]) -> String {
    let warnings = conditions
        .iter()
        .filter(|condition| condition.is_true("Warning"))
        .map(|warning| format!("warning: {}", warning.words()));
    let all: Vec<String> = (!message.is_empty())
        .then(|| message.to_owned())
        .into_iter()
        .chain(warnings)
        .collect();
    all.join("; ")
}

fn balancing(view: View<'_>) -> Option<Health> {
    let state = view.status(&["autoRebalance", "state"]).text();
    (!matches!(state, "" | "Idle"))
        .then(|| progressing(format!("partitions are being rebalanced ({state})")))
}

fn changing_replicas(view: View<'_>) -> Option<Health> {
    let change = view.status(&["replicasChange"]);
    if !change.exists() {
        return None;
    }
    let message = change.at(&["message"]).text();
    if !message.is_empty() {
        return Some(degraded(format!(
            "replication factor not changed yet: {message}"
        )));
    }
    let (state, target) = (
        change.at(&["state"]).text(),
        change.at(&["targetReplicas"]).number().unwrap_or_default(),
    );
    Some(progressing(format!(
        "replication factor is changing to {target} ({state})"
    )))
}

fn connector(view: View<'_>) -> Option<Health> {
    let wanted = view.spec(&["state"]).text();
    let state = view
        .status(&["connectorStatus", "connector", "state"])
        .text();
    let failed = failed_tasks(view.status(&["connectorStatus"]));
    if state.eq_ignore_ascii_case("failed") || !failed.is_empty() {
        return Some(degraded(if failed.is_empty() {
            "the connector has failed".to_owned()
        } else {
            format!("failed tasks: {failed}")
        }));
    }
    if matches!(wanted, "paused" | "stopped") {
        let there = state.eq_ignore_ascii_case(wanted);
        return Some(if there {
            suspended(format!("connector is {wanted}"))
        } else {
            progressing(format!("connector is {state}, not {wanted} yet"))
        });
    }
    if !state.is_empty() && !state.eq_ignore_ascii_case("running") {
        return Some(progressing(format!("connector is {state}")));
    }
    let restarts = view
        .status(&["autoRestart", "count"])
        .number()
        .filter(|count| *count > 0)?;
    Some(healthy(format!(
        "running after {restarts} automatic restarts"
    )))
}

fn failed_connectors(view: View<'_>) -> Option<Health> {
    let failed: Vec<&str> = view
        .status(&["connectors"])
        .items()
        .filter(|status| {
            status.at(&["connector", "state"]).text() == "FAILED"
                || !failed_tasks(*status).is_empty()
        })
        .map(|status| status.at(&["name"]).text())
        .collect();
    (!failed.is_empty()).then(|| degraded(format!("failed connectors: {}", failed.join(", "))))
}

fn failed_tasks(status: View<'_>) -> String {
    let failed = status
        .at(&["tasks"])
        .items()
        .filter(|task| task.at(&["state"]).text() == "FAILED");
    failed
        .map(|task| task.at(&["id"]).number().unwrap_or_default().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A pool has no Ready of its own; it is there once its nodes have their numbers.
fn node_pool(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    let conditions = view.conditions();
    if let Some(verdict) = common(subject, &conditions) {
        return verdict;
    }
    if !view.at(&["status"]).exists() {
        return progressing(unanswered(subject));
    }
    let nodes = i64::try_from(view.status(&["nodeIds"]).items().count()).unwrap_or(i64::MAX);
    match view.spec(&["replicas"]).number() {
        Some(wanted) if nodes < wanted => {
            progressing(format!("{nodes} of {wanted} nodes have been assigned"))
        }
        Some(wanted) if nodes > wanted => {
            progressing(format!("{nodes} nodes are being scaled down to {wanted}"))
        }
        _ => healthy(with_warnings("", &conditions)),
    }
}

fn pod_set(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    if let Some(verdict) = common(subject, &view.conditions()) {
        return verdict;
    }
    if !view.at(&["status"]).exists() {
        return progressing("Waiting for the Strimzi operator");
    }
    let wanted = i64::try_from(view.spec(&["pods"]).items().count()).unwrap_or(i64::MAX);
    let (pods, current, ready) = (
        view.count("pods"),
        view.count("currentPods"),
        view.count("readyPods"),
    );
    if pods == wanted && current == wanted && ready == wanted {
        healthy("")
    } else {
        progressing(format!(
            "{ready} of {wanted} pods are ready, {current} are up to date"
        ))
    }
}

/// The state of a rebalance is the type of its condition.
fn rebalance(subject: &Subject<'_>) -> Health {
    let conditions = subject.view.conditions();
    let state = conditions
        .iter()
        .rfind(|condition| condition.status == "True" && condition.kind != "Warning");
    let Some(state) = state else {
        return progressing("Waiting for the Strimzi operator");
    };
    if let Some(waiting) = subject
        .unobserved()
        .filter(|_| state.kind != "ReconciliationPaused")
    {
        return waiting;
    }
    match state.kind {
        "Ready" => healthy(state.message),
        "NotReady" => degraded(state.words()),
        "Stopped" => suspended("the rebalance was stopped"),
        "ReconciliationPaused" => {
            suspended("reconciliation is paused by the annotation strimzi.io/pause-reconciliation")
        }
        "ProposalReady" => suspended(
            "a proposal waits for approval: annotate it with strimzi.io/rebalance=approve",
        ),
        other => progressing(format!("rebalance is in state {other}")),
    }
}

fn koperator(view: View<'_>) -> Health {
    let brokers = view.status(&["brokersState"]);
    if brokers.exists() {
        let in_sync = |broker: View<'_>| {
            let action = broker
                .at(&["gracefulActionState", "cruiseControlState"])
                .text();
            broker.at(&["configurationState"]).text() == "ConfigInSync"
                && matches!(
                    action,
                    "GracefulUpscaleSucceeded" | "GracefulDownscaleSucceeded"
                )
        };
        let state = view.status(&["state"]).text();
        if state == "ClusterRollingUpgrading" {
            return progressing("Kafka Cluster is Rolling Upgrading.");
        }
        // Brokers are numbered from zero; the highest number tells how many there should be.
        let wanted = brokers
            .entries()
            .filter_map(|(id, _)| id.parse::<usize>().ok())
            .map(|id| id.saturating_add(1))
            .max()
            .unwrap_or(0);
        if brokers
            .entries()
            .filter(|(_, broker)| in_sync(*broker))
            .count()
            != wanted
        {
            return degraded("Broker Config is out of Sync or CruiseControlState is not Ready");
        }
        let topic_ready =
            view.status(&["cruiseControlTopicStatus"]).text() == "CruiseControlTopicReady";
        if topic_ready && state == "ClusterRunning" {
            return healthy("Kafka Brokers, CruiseControl and cluster are in Healthy State.");
        }
        if !topic_ready && state == "ClusterReconciling" {
            return progressing("Kafka Cluster is Reconciling.");
        }
    }
    progressing("Waiting for KafkaCluster")
}

fn confluent(subject: &Subject<'_>) -> Option<Health> {
    let view = subject.view;
    if subject.kind == "Connector" {
        return Some(confluent_connector(view));
    }
    let name = match subject.kind {
        "Kafka" | "Zookeeper" | "Connect" | "SchemaRegistry" => subject.kind,
        "KsqlDB" => "Ksqldb",
        "ControlCenter" => "Control Center",
        _ => return None,
    };
    if let Some(waiting) = subject.unobserved() {
        return Some(waiting);
    }
    Some(match view.status(&["phase"]).text() {
        "RUNNING" => healthy(format!("{name} running")),
        "PROVISIONING" => progressing(format!("{name} provisioning")),
        _ => progressing(format!("Waiting for {name}")),
    })
}

fn confluent_connector(view: View<'_>) -> Health {
    let state = view.status(&["state"]).text();
    let failed = view.status(&["failedTasksCount"]).number();
    if state == "CREATED"
        && view.status(&["connectorState"]).text() == "RUNNING"
        && failed.unwrap_or_default() == 0
    {
        return healthy("Connector running");
    }
    if state == "ERROR" {
        let first = view.conditions().first().map(|condition| condition.message);
        return degraded(first.unwrap_or("No conditions available"));
    }
    if !state.is_empty() && failed.is_some_and(|failed| failed > 0) {
        return degraded("Connector has failed tasks");
    }
    progressing("Waiting for Kafka Connector")
}

fn zookeeper(view: View<'_>) -> Health {
    let ready = view.count("readyReplicas");
    if ready != 0 && ready == view.count("replicas") {
        healthy("All ZK Nodes have joined the ensemble")
    } else {
        progressing("Waiting for ZK Nodes to join the ensemble")
    }
}
