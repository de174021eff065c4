//! KafkaTopics, as the unidirectional Topic Operator reconciles them: it runs only once its cluster is up, never writes
//! `NotReady`, and holds a managed topic by a finalizer.

use super::{CLUSTER, SMALL, kafka, paused, runs, watched_by};
use crate::conditions::{Condition, conditions, is_true};
use crate::context::Context;
use crate::resources::{KAFKA_NODE_POOLS, KAFKA_TOPICS};
use crate::value::{
    Hold, annotation, at, deleting, finalizers_patch, has_finalizer, int, kafka_id, name,
    namespace, observed, text, time, uid,
};
use serde_json::{Value, json};
use std::sync::Arc;

const FINALIZER: &str = "strimzi.io/topic-operator";
/// How long the operator outlives its cluster: deletions that come with the cluster's are still served.
const FAREWELL: u64 = 3_000;

/// A failed reconciliation: reason and message.
struct Refusal(&'static str, String);

pub(crate) fn react(cx: &mut Context<'_>) {
    let topic = cx.object;
    let Some(kafka) = watched_by(cx, "topicOperator").filter(|kafka| runs(kafka)) else {
        return orphaned(cx);
    };
    cx.remember("operator", json!(true));
    cx.forget("farewell");
    if deleting(topic) {
        return delete(cx);
    }
    if annotation(topic, "strimzi.io/managed") == Some("false") {
        return unmanaged(cx);
    }
    let settled = observed(topic) == cx.generation() && is_true(topic, "Ready");
    let step = format!("reconcile-{}", cx.epoch());
    if !settled && !cx.passed(&step, SMALL, SMALL) {
        return;
    }
    if !at(topic, "spec").is_object() {
        return;
    }
    if let Err(Refusal(reason, message)) = identity(cx) {
        return refuse(cx, reason, &message);
    }
    if paused(cx) {
        return;
    }
    if !has_finalizer(topic, FINALIZER) {
        cx.patch_self(finalizers_patch(topic, FINALIZER, Hold::Add));
    }
    match reconcile(cx, &kafka) {
        Err(Refusal(reason, message)) => refuse(cx, reason, &message),
        Ok(()) => accept(cx),
    }
}

/// No operator looks at the topic. One that did look is let go if it was deleted together with its cluster.
fn orphaned(cx: &mut Context<'_>) {
    let topic = cx.object;
    let served = cx.fact("operator").as_bool() == Some(true);
    if served
        && !cx.waited("farewell", FAREWELL)
        && deleting(topic)
        && has_finalizer(topic, FINALIZER)
    {
        cx.patch_self(finalizers_patch(topic, FINALIZER, Hold::Remove));
    }
}

fn delete(cx: &mut Context<'_>) {
    let topic = cx.object;
    if !has_finalizer(topic, FINALIZER) || !cx.waited("delete", SMALL) {
        return;
    }
    if annotation(topic, "strimzi.io/managed") != Some("false")
        && let Err(Refusal(reason, message)) = renamed(topic)
    {
        return refuse(cx, reason, &message);
    }
    cx.patch_self(finalizers_patch(topic, FINALIZER, Hold::Remove));
}

fn unmanaged(cx: &mut Context<'_>) {
    let list = conditions(cx.object, &[Condition::new("Unmanaged", "True")], cx.now);
    cx.status(json!({"conditions": list, "observedGeneration": cx.generation()}));
}

fn topic_name(topic: &Value) -> &str {
    match text(topic, "spec.topicName") {
        "" => name(topic),
        wanted => wanted,
    }
}

fn renamed(topic: &Value) -> Result<(), Refusal> {
    let pinned = text(topic, "status.topicName");
    if pinned.is_empty() || pinned == topic_name(topic) {
        return Ok(());
    }
    Err(Refusal(
        "NotSupported",
        "Changing spec.topicName is not supported".into(),
    ))
}

/// The topic's name is what it was, and no other resource manages the same topic.
fn identity(cx: &mut Context<'_>) -> Result<(), Refusal> {
    let topic = cx.object;
    renamed(topic)?;
    let cluster = crate::value::label(topic, CLUSTER).unwrap_or("");
    let rivals = cx.labelled(&KAFKA_TOPICS, cx.namespace(), CLUSTER, cluster);
    let wanted = topic_name(topic);
    let same = |other: &Arc<Value>| {
        uid(other) != uid(topic)
            && topic_name(other) == wanted
            && annotation(other, "strimzi.io/managed") != Some("false")
    };
    let age = |topic: &Value| time(at(topic, "metadata.creationTimestamp"));
    for rival in rivals.iter().filter(|other| same(other)) {
        // Of equal age, only one that is Ready already keeps the topic.
        let loses = match age(topic).cmp(&age(rival)) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => !is_true(topic, "Ready"),
        };
        if loses {
            let (space, other) = (namespace(rival), name(rival));
            return Err(Refusal(
                "ResourceConflict",
                format!("Managed by Ref{{namespace='{space}', name='{other}'}}"),
            ));
        }
    }
    Ok(())
}

/// What Kafka and the operator say to the topic's partitions and replicas.
fn reconcile(cx: &mut Context<'_>, kafka: &Value) -> Result<(), Refusal> {
    let topic = cx.object;
    if let Some(message) = failure(cx) {
        return Err(Refusal("KafkaError", message));
    }
    let cluster = name(kafka);
    let pools = cx.labelled(&KAFKA_NODE_POOLS, namespace(kafka), CLUSTER, cluster);
    let brokers = kafka::brokers(kafka, &pools);
    let default = |key: &str| {
        let value = at(kafka, "spec.kafka.config").get(key);
        value
            .and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()))
            .unwrap_or(1)
    };
    let partitions = int(topic, "spec.partitions");
    let replicas = int(topic, "spec.replicas");
    let (known_partitions, known_replicas) =
        (cx.fact("partitions").as_i64(), cx.fact("replicas").as_i64());
    let Some((had_partitions, had_replicas)) = known_partitions.zip(known_replicas) else {
        let replicas = replicas.unwrap_or_else(|| default("default.replication.factor"));
        // A topic that was there before this memory began keeps what its status implies.
        if replicas > brokers && !is_true(topic, "Ready") {
            return Err(Refusal(
                "KafkaError",
                format!(
                    "org.apache.kafka.common.errors.InvalidReplicationFactorException: Unable to replicate the partition {replicas} time(s): The target replication factor of {replicas} cannot be reached because only {brokers} broker(s) are registered."
                ),
            ));
        }
        cx.remember(
            "partitions",
            json!(partitions.unwrap_or_else(|| default("num.partitions"))),
        );
        cx.remember("replicas", json!(replicas));
        return Ok(());
    };
    if let Some(wanted) = partitions {
        if wanted < had_partitions {
            return Err(Refusal(
                "NotSupported",
                "Decreasing partitions not supported".into(),
            ));
        }
        cx.remember("partitions", json!(wanted));
    }
    if let Some(wanted) = replicas.filter(|wanted| *wanted != had_replicas) {
        if at(kafka, "spec.cruiseControl").is_null() {
            let all: Vec<String> = (0..had_partitions.min(1_000))
                .map(|number| number.to_string())
                .collect();
            return Err(Refusal(
                "NotSupported",
                format!(
                    "Replication factor change not supported, but required for partitions [{}]",
                    all.join(", ")
                ),
            ));
        }
        cx.remember("replicas", json!(wanted));
    }
    Ok(())
}

fn failure(cx: &mut Context<'_>) -> Option<String> {
    match super::attempt(cx, SMALL) {
        Some(Err(message)) => Some(message),
        Some(Ok(())) | None => None,
    }
}

fn accept(cx: &mut Context<'_>) {
    let topic = cx.object;
    let list = conditions(topic, &[Condition::new("Ready", "True")], cx.now);
    let wanted = topic_name(topic);
    let known = text(topic, "status.topicId");
    let id = if known.is_empty() {
        kafka_id(&[uid(topic), wanted])
    } else {
        known.to_owned()
    };
    cx.status(json!({
        "conditions": list, "observedGeneration": cx.generation(), "topicName": wanted, "topicId": id,
    }));
}

fn refuse(cx: &mut Context<'_>, reason: &str, message: &str) {
    let failed = Condition::new("Ready", "False").because(reason, message);
    let list = conditions(cx.object, &[failed], cx.now);
    let generation = cx.generation();
    let mut fields = json!({"conditions": list, "observedGeneration": generation});
    if text(cx.object, "status.topicName").is_empty() && reason != "ResourceConflict" {
        fields["topicName"] = json!(topic_name(cx.object));
    }
    cx.merge_status(fields);
}
