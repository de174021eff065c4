//! KafkaTopics, as the unidirectional Topic Operator reconciles them: it runs only once its cluster is up, never writes
//! `NotReady`, and holds a managed topic by a finalizer.

use super::{CLUSTER, SMALL, broker_topic, kafka, paused, runs, shared, watched_by};
use crate::conditions::{Condition, conditions, is_true};
use crate::context::Context;
use crate::resources::{KAFKA_NODE_POOLS, KAFKA_TOPICS, KAFKAS};
use crate::value::{
    Hold, annotation, at, deleting, finalizers_patch, has_finalizer, int, kafka_id, name,
    namespace, observed, text, time, uid,
};
use serde_json::{Value, json};
use std::sync::Arc;

const FINALIZER: &str = "strimzi.io/topic-operator";
/// How long the operator outlives its cluster: deletions that come with the cluster's are still served.
const FAREWELL: u64 = 3_000;
/// How often the operator looks at every topic though nothing in the cluster changed.
const PERIODIC: u64 = 120_000;

/// A failed reconciliation: reason and message.
pub(super) struct Refusal(pub(super) &'static str, pub(super) String);

pub(crate) fn react(cx: &mut Context<'_>) {
    let topic = cx.object;
    let Some(kafka) = watched_by(cx, "topicOperator").filter(|kafka| runs(kafka)) else {
        return orphaned(cx);
    };
    cx.remember("operator", json!(true));
    cx.forget("farewell");
    if deleting(topic) {
        return delete(cx, &kafka);
    }
    if unmanaged_by_wish(topic) {
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
    if cx.broker().is_some() && cx.waited("periodic", PERIODIC) {
        cx.forget("periodic");
        cx.waited("periodic", PERIODIC);
    }
    match reconcile(cx, &kafka) {
        Err(Refusal(reason, message)) => refuse(cx, reason, &message),
        Ok(id) => accept(cx, id),
    }
}

/// No operator looks at the topic. One that did look is let go if it was deleted together with its cluster. A cluster
/// that is gone leaves no topics on the broker.
fn orphaned(cx: &mut Context<'_>) {
    let topic = cx.object;
    let cluster = crate::value::label(topic, CLUSTER).unwrap_or("");
    if cx.fact("on-broker").as_bool() == Some(true) {
        let gone = !cx
            .list(&KAFKAS, "")
            .iter()
            .any(|kafka| name(kafka) == cluster);
        let drop = gone || (deleting(topic) && !unmanaged_by_wish(topic));
        if let Some(broker) = cx.broker().filter(|_| drop) {
            // What cannot be deleted is told to nobody: the operator that would tell is gone.
            let _ = broker_topic::delete(broker, topic_name(topic));
            cx.remember("on-broker", json!(false));
        }
    }
    let served = cx.fact("operator").as_bool() == Some(true);
    if served
        && !cx.waited("farewell", FAREWELL)
        && deleting(topic)
        && has_finalizer(topic, FINALIZER)
    {
        cx.patch_self(finalizers_patch(topic, FINALIZER, Hold::Remove));
    }
}

fn delete(cx: &mut Context<'_>, kafka: &Value) {
    let topic = cx.object;
    if !has_finalizer(topic, FINALIZER) || !cx.waited("delete", SMALL) {
        return;
    }
    if !unmanaged_by_wish(topic) {
        let mut outcome = renamed(topic);
        if let (Ok(()), Some(broker)) = (&outcome, shared::broker_of(cx, kafka)) {
            outcome = broker_topic::delete(broker, topic_name(topic));
        }
        if let Err(Refusal(reason, message)) = outcome {
            return refuse(cx, reason, &message);
        }
    }
    cx.patch_self(finalizers_patch(topic, FINALIZER, Hold::Remove));
}

fn unmanaged(cx: &mut Context<'_>) {
    let list = conditions(cx.object, &[Condition::new("Unmanaged", "True")], cx.now);
    cx.status(json!({"conditions": list, "observedGeneration": cx.generation()}));
}

fn unmanaged_by_wish(topic: &Value) -> bool {
    annotation(topic, "strimzi.io/managed") == Some("false")
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
        uid(other) != uid(topic) && topic_name(other) == wanted && !unmanaged_by_wish(other)
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

/// What Kafka and the operator say to the topic; its id on the broker, when there is one.
fn reconcile(cx: &mut Context<'_>, kafka: &Value) -> Result<Option<String>, Refusal> {
    if let Some(message) = failure(cx) {
        return Err(Refusal("KafkaError", message));
    }
    replicable(cx, kafka)?;
    let default = default_of(kafka, "num.partitions");
    let id = if let Some(broker) = shared::broker_of(cx, kafka) {
        cx.remember("on-broker", json!(true));
        let name = topic_name(cx.object);
        let live = broker_topic::reconcile(broker, cx.object, name, default)?;
        cx.remember("partitions", json!(live.partitions));
        Some(live.id)
    } else {
        grow(cx, default)?;
        None
    };
    replicate(cx, kafka)?;
    Ok(id)
}

fn default_of(kafka: &Value, key: &str) -> i64 {
    let value = at(kafka, "spec.kafka.config").get(key);
    value
        .and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()))
        .unwrap_or(1)
}

/// Whether a topic that is not known yet can have its replicas in this cluster.
fn replicable(cx: &mut Context<'_>, kafka: &Value) -> Result<(), Refusal> {
    let topic = cx.object;
    if cx.fact("replicas").is_number() {
        return Ok(());
    }
    let pools = cx.labelled(&KAFKA_NODE_POOLS, namespace(kafka), CLUSTER, name(kafka));
    let brokers = kafka::brokers(kafka, &pools);
    let replicas = int(topic, "spec.replicas");
    let replicas = replicas.unwrap_or_else(|| default_of(kafka, "default.replication.factor"));
    // A topic that was there before this memory began keeps what its status implies.
    if replicas > brokers && !is_true(topic, "Ready") {
        return Err(Refusal(
            "KafkaError",
            format!(
                "org.apache.kafka.common.errors.InvalidReplicationFactorException: Unable to replicate the partition {replicas} time(s): The target replication factor of {replicas} cannot be reached because only {brokers} broker(s) are registered."
            ),
        ));
    }
    Ok(())
}

/// The partitions of a topic that no broker has.
fn grow(cx: &mut Context<'_>, default: i64) -> Result<(), Refusal> {
    let wanted = int(cx.object, "spec.partitions");
    match (cx.fact("partitions").as_i64(), wanted) {
        (Some(had), Some(wanted)) if wanted < had => return Err(decreasing()),
        (Some(_), None) => {}
        (_, wanted) => cx.remember("partitions", json!(wanted.unwrap_or(default))),
    }
    Ok(())
}

pub(super) fn decreasing() -> Refusal {
    Refusal("NotSupported", "Decreasing partitions not supported".into())
}

/// The replicas: only Cruise Control moves them.
fn replicate(cx: &mut Context<'_>, kafka: &Value) -> Result<(), Refusal> {
    let wanted = int(cx.object, "spec.replicas");
    let Some(had) = cx.fact("replicas").as_i64() else {
        let replicas = wanted.unwrap_or_else(|| default_of(kafka, "default.replication.factor"));
        cx.remember("replicas", json!(replicas));
        return Ok(());
    };
    let Some(wanted) = wanted.filter(|wanted| *wanted != had) else {
        return Ok(());
    };
    if at(kafka, "spec.cruiseControl").is_null() {
        let partitions = cx.fact("partitions").as_i64().unwrap_or(1);
        let all: Vec<String> = (0..partitions.min(1_000))
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
    Ok(())
}

fn failure(cx: &mut Context<'_>) -> Option<String> {
    match super::attempt(cx, SMALL) {
        Some(Err(message)) => Some(message),
        Some(Ok(())) | None => None,
    }
}

fn accept(cx: &mut Context<'_>, id: Option<String>) {
    let topic = cx.object;
    let list = conditions(topic, &[Condition::new("Ready", "True")], cx.now);
    let wanted = topic_name(topic);
    let known = text(topic, "status.topicId");
    let id = id.unwrap_or_else(|| match known {
        "" => kafka_id(&[uid(topic), wanted]),
        known => known.to_owned(),
    });
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
