//! ReplicaSets: as many pods as asked, and a status that counts them
//! (Kubernetes `pkg/controller/replicaset`).

use crate::conditions::{Condition, condition, set};
use crate::context::Context;
use crate::resources::PODS;
use crate::value::{at, compact, deleting, int_or, items, name, selects, text};
use crate::workload::{self, BURST, Owner, claim, count, is_active, is_available, is_ready, len};
use serde_json::{Value, json};

pub(crate) fn react(cx: &mut Context<'_>) {
    let set_object = cx.object;
    let owner = Owner {
        api_version: "apps/v1",
        kind: "ReplicaSet",
        object: set_object,
    };
    let pods = claim(cx, owner);
    let mut terminating = count(&pods, deleting);
    let mut active: Vec<_> = pods.into_iter().filter(|pod| is_active(pod)).collect();
    let wanted = int_or(set_object, "spec.replicas", 1);
    if !deleting(set_object) {
        terminating += scale(cx, owner, &mut active, wanted);
    }
    let template_labels = json!({"matchLabels": at(set_object, "spec.template.metadata.labels")});
    let min_ready = int_or(set_object, "spec.minReadySeconds", 0);
    let labelled = count(&active, |pod| {
        selects(&template_labels, at(pod, "metadata.labels"))
    });
    let available = count(&active, |pod| is_available(cx, pod, min_ready));
    let mut status = compact(json!({
        "observedGeneration": cx.generation(),
        "fullyLabeledReplicas": labelled,
        "readyReplicas": count(&active, is_ready),
        "availableReplicas": available,
    }));
    status["replicas"] = json!(len(&active));
    status["terminatingReplicas"] = json!(terminating);
    let conditions = failure(cx, len(&active) - wanted);
    if !conditions.is_empty() {
        status["conditions"] = json!(conditions);
    }
    cx.status(status);
}

/// Creates or deletes pods; how many are on their way out now.
fn scale(
    cx: &mut Context<'_>,
    owner: Owner<'_>,
    active: &mut Vec<std::sync::Arc<Value>>,
    wanted: i64,
) -> i64 {
    let missing = usize::try_from(wanted - len(active))
        .unwrap_or(0)
        .min(BURST);
    for index in 0..missing {
        let pod_name = owner.pod_name(cx, cx.name(), index);
        let pod = owner.pod(&pod_name, at(cx.object, "spec.template"));
        cx.create(&PODS, pod);
        cx.event(
            "Normal",
            "SuccessfulCreate",
            format!("Created pod: {pod_name}"),
        );
    }
    let surplus = usize::try_from(len(active) - wanted)
        .unwrap_or(0)
        .min(BURST);
    workload::by_deletion_order(active);
    for pod in active.drain(..surplus) {
        cx.delete(&PODS, &pod);
        cx.event(
            "Normal",
            "SuccessfulDelete",
            format!("Deleted pod: {}", name(&pod)),
        );
    }
    i64::try_from(surplus).unwrap_or(0)
}

/// The conditions: `ReplicaFailure` while the server refuses pods.
fn failure(cx: &Context<'_>, surplus: i64) -> Vec<Value> {
    let mut conditions = items(cx.object, "status.conditions").to_vec();
    match &cx.memory.refusal {
        Some(refusal) if condition(cx.object, "ReplicaFailure").is_none() && surplus != 0 => {
            let reason = if surplus < 0 {
                "FailedCreate"
            } else {
                "FailedDelete"
            };
            let failure = Condition::new("ReplicaFailure", "True").because(reason, refusal.clone());
            set(&mut conditions, &failure, cx.now);
        }
        None => conditions.retain(|condition| text(condition, "type") != "ReplicaFailure"),
        Some(_) => {}
    }
    conditions
}
