//! The Strimzi operators: what the Cluster, Topic and User Operator say about each kind of `kafka.strimzi.io`
//! (strimzi-kafka-operator 0.45-1.2; conditions and texts as those write them).

mod broker_topic;
pub(crate) mod connect;
pub(crate) mod kafka;
mod shared;
pub(crate) mod topic;
pub(crate) mod user;

use crate::conditions::{Condition, conditions, is_true};
use crate::context::Context;
use crate::resources::KAFKAS;
use crate::value::{annotation, label, namespace, observed, text};
use serde_json::{Value, json};
use std::sync::Arc;

/// The label that names the cluster an object belongs to.
pub(crate) const CLUSTER: &str = "strimzi.io/cluster";
const PAUSE: &str = "strimzi.io/pause-reconciliation";
/// How long one reconciliation of a cluster takes, and of something smaller.
const RECONCILE: u64 = 1_800;
const SMALL: u64 = 300;
/// The simulated operator retries a failed reconciliation after this time (the real one after 2 minutes).
const RETRY: u64 = 1_000;

/// Whether the object asks the operator to leave it alone; reports that, in the operator's way.
fn paused(cx: &mut Context<'_>) -> bool {
    if annotation(cx.object, PAUSE) != Some("true") {
        return false;
    }
    let paused = [Condition::new("ReconciliationPaused", "True")];
    // The observed generation stays what it was: the operator has not looked at the new spec.
    let list = conditions(cx.object, &paused, cx.now);
    let mut fields = json!({"conditions": list});
    if !cx.object["status"]["observedGeneration"].is_number() {
        fields["observedGeneration"] = json!(0);
    }
    cx.merge_status(fields);
    true
}

/// The end of a reconciliation: `NotReady` with a Java exception's name, as all operators but the Topic Operator say it.
fn not_ready(cx: &mut Context<'_>, exception: &str, message: &str) {
    let failed = [Condition::new("NotReady", "True").because(exception, message)];
    let list = conditions(cx.object, &failed, cx.now);
    let generation = cx.generation();
    cx.merge_status(json!({"conditions": list, "observedGeneration": generation}));
}

/// A successful reconciliation with the kind's own fields.
fn ready(cx: &mut Context<'_>, warnings: &[Condition], fields: Value) {
    let all: Vec<Condition> = warnings
        .iter()
        .cloned()
        .chain([Condition::new("Ready", "True")])
        .collect();
    let mut merged = json!({"conditions": conditions(cx.object, &all, cx.now)});
    merged["observedGeneration"] = json!(cx.generation());
    if let (Some(merged), Value::Object(fields)) = (merged.as_object_mut(), fields) {
        merged.extend(fields);
    }
    cx.merge_status(merged);
}

/// The outcome of the current attempt at the current generation; `None` while it goes on.
/// A failed attempt is retried, so that `fail-times` heals.
fn attempt(cx: &mut Context<'_>, millis: u64) -> Option<Result<(), String>> {
    // What is Ready has its failing attempts behind it, whatever this memory knows.
    let ready = is_true(cx.object, "Ready") && observed(cx.object) == cx.generation();
    if ready && cx.faults.fail_times.is_some() {
        return Some(Ok(()));
    }
    let epoch = cx.epoch();
    let done = cx
        .fact("failed")
        .get(epoch.to_string())
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let done = u32::try_from(done).unwrap_or(u32::MAX);
    let step = format!("reconcile-{epoch}-{done}");
    if !cx.passed(&step, millis, millis) {
        return None;
    }
    let Some(message) = cx.faults.failure(done).map(str::to_owned) else {
        return Some(Ok(()));
    };
    if cx.faults.fail_times.is_some() && cx.waited(&format!("retry-{epoch}-{done}"), RETRY) {
        cx.remember("failed", json!({epoch.to_string(): done + 1}));
        // The next attempt begins at once.
        let now = cx.now;
        cx.wake(now);
    }
    Some(Err(message))
}

/// The Kafka cluster that an object names by its label, where the named entity operator (`topicOperator`,
/// `userOperator`) watches the object's namespace. Without such an operator nobody will ever look at the object.
fn watched_by(cx: &mut Context<'_>, operator: &str) -> Option<Arc<Value>> {
    let cluster = label(cx.object, CLUSTER)?;
    let space = namespace(cx.object);
    let watches = |kafka: &Value| {
        let entity = crate::value::at(kafka, "spec.entityOperator");
        let Some(spec) = entity.get(operator).filter(|spec| spec.is_object()) else {
            return false;
        };
        match text(spec, "watchedNamespace") {
            "" => namespace(kafka) == space,
            watched => watched == space,
        }
    };
    let own = cx
        .get(&KAFKAS, space, cluster)
        .filter(|kafka| watches(kafka));
    own.or_else(|| {
        let others = cx.list(&KAFKAS, "");
        others
            .into_iter()
            .find(|kafka| crate::value::name(kafka) == cluster && watches(kafka))
    })
}

/// Whether a cluster's entity operator runs: it is deployed last, and then stays.
fn runs(kafka: &Value) -> bool {
    !text(kafka, "status.clusterId").is_empty()
}
