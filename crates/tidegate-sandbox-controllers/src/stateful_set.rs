//! StatefulSets: pods by ordinal, one after the other, their claims, partitioned updates
//! (Kubernetes `pkg/controller/statefulset`).

use crate::context::Context;
use crate::resources::{CLAIMS, PODS};
use crate::revision::{REVISION_LABEL, Revision, revisions, truncate};
use crate::value::{at, compact, deleting, int, int_or, items, label, name, namespace, text, uid};
use crate::workload::{Owner, claim, has_ended, is_available, is_ready};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most pods that the simulation looks after in one set.
const MAX_REPLICAS: i64 = 10_000;

struct Round<'a> {
    set: &'a Value,
    owner: Owner<'a>,
    current: Revision,
    update: Revision,
    start: i64,
    replicas: i64,
    partition: Option<i64>,
    ordered: bool,
    min_ready: i64,
    pods: BTreeMap<i64, Arc<Value>>,
}

pub(crate) fn react(cx: &mut Context<'_>) {
    if !cx.noticed() {
        return;
    }
    let set = cx.object;
    let owner = Owner {
        api_version: "apps/v1",
        kind: "StatefulSet",
        object: set,
    };
    let history = revisions(cx, owner);
    let Some(update) = history.last().cloned() else {
        return;
    };
    let shown = text(set, "status.currentRevision");
    let current = history
        .iter()
        .find(|revision| revision.name == shown)
        .unwrap_or(&update)
        .clone();
    let pods = claim(cx, owner)
        .into_iter()
        .filter_map(|pod| Some((ordinal(set, name(&pod))?, pod)))
        .collect();
    let partition = int(set, "spec.updateStrategy.rollingUpdate.partition");
    let round = Round {
        set,
        owner,
        current,
        update,
        start: int_or(set, "spec.ordinals.start", 0),
        replicas: int_or(set, "spec.replicas", 1).clamp(0, MAX_REPLICAS),
        partition,
        ordered: text(set, "spec.podManagementPolicy") != "Parallel",
        min_ready: int_or(set, "spec.minReadySeconds", 0),
        pods,
    };
    let replaced = !deleting(set) && round.act(cx);
    round.report(cx, replaced);
    let mut live: BTreeSet<String> = [&round.current, &round.update]
        .iter()
        .map(|revision| revision.name.clone())
        .collect();
    live.extend(round.pods.values().map(|pod| revision_of(pod).to_owned()));
    truncate(cx, &history, &live);
}

/// The ordinal in a pod's name, when the name belongs to the set.
fn ordinal(set: &Value, pod: &str) -> Option<i64> {
    pod.strip_prefix(name(set))?.strip_prefix('-')?.parse().ok()
}

fn revision_of(pod: &Value) -> &str {
    label(pod, REVISION_LABEL).unwrap_or("")
}

impl Round<'_> {
    fn end(&self) -> i64 {
        self.start + self.replicas
    }

    fn healthy(&self, cx: &mut Context<'_>, pod: &Value) -> bool {
        text(pod, "status.phase") == "Running"
            && !deleting(pod)
            && is_available(cx, pod, self.min_ready)
    }

    /// One step towards what is wanted; whether a pod of the current revision was replaced.
    fn act(&self, cx: &mut Context<'_>) -> bool {
        let waits = self.fill(cx) || self.drain(cx);
        !waits && text(self.set, "spec.updateStrategy.type") != "OnDelete" && self.replace(cx)
    }

    /// Creates missing pods, in order; true when something has to be waited for first.
    fn fill(&self, cx: &mut Context<'_>) -> bool {
        let mut created = 0;
        for ordinal in self.start..self.end() {
            let Some(pod) = self.pods.get(&ordinal) else {
                self.create(cx, ordinal);
                created += 1;
                if self.ordered || created >= crate::workload::BURST {
                    return true;
                }
                continue;
            };
            if has_ended(pod) {
                if !deleting(pod) {
                    cx.delete(&PODS, pod);
                }
                if self.ordered {
                    return true;
                }
                continue;
            }
            if self.ordered && !self.healthy(cx, pod) {
                return true;
            }
        }
        false
    }

    /// Deletes pods outside the range, highest first; true while that goes on in order.
    fn drain(&self, cx: &mut Context<'_>) -> bool {
        let condemned: Vec<(&i64, &Arc<Value>)> = self
            .pods
            .iter()
            .rev()
            .filter(|(ordinal, _)| **ordinal < self.start || **ordinal >= self.end())
            .collect();
        for (_, pod) in condemned {
            if deleting(pod) {
                if self.ordered {
                    return true;
                }
                continue;
            }
            self.hand_over_claims(cx, pod);
            cx.delete(&PODS, pod);
            let (pod, set) = (name(pod), name(self.set));
            cx.event(
                "Normal",
                "SuccessfulDelete",
                format!("delete Pod {pod} in StatefulSet {set} successful"),
            );
            if self.ordered {
                return true;
            }
        }
        false
    }

    /// Replaces one outdated pod, highest ordinal first, once all above it are available.
    fn replace(&self, cx: &mut Context<'_>) -> bool {
        let lowest = self.start.max(self.partition.unwrap_or(0));
        for ordinal in (lowest..self.end()).rev() {
            let Some(pod) = self.pods.get(&ordinal) else {
                return false;
            };
            if revision_of(pod) != self.update.name && !deleting(pod) {
                cx.delete(&PODS, pod);
                let current = revision_of(pod) == self.current.name;
                let (pod, set) = (name(pod), name(self.set));
                let message = format!("delete Pod {pod} in StatefulSet {set} successful");
                cx.event("Normal", "SuccessfulDelete", message);
                return current;
            }
            if !self.healthy(cx, pod) {
                return false;
            }
        }
        false
    }

    fn create(&self, cx: &mut Context<'_>, ordinal: i64) {
        let rolling = text(self.set, "spec.updateStrategy.type") != "OnDelete";
        let kept = match self.partition {
            None => ordinal < self.start + int_or(self.set, "status.currentReplicas", 0),
            Some(partition) => ordinal < self.start.max(partition),
        };
        let revision = if rolling && kept {
            &self.current
        } else {
            &self.update
        };
        let pod_name = format!("{}-{ordinal}", name(self.set));
        self.create_claims(cx, ordinal, &pod_name);
        let mut pod = self.owner.pod(&pod_name, &revision.template);
        let labels = &mut pod["metadata"]["labels"];
        labels["statefulset.kubernetes.io/pod-name"] = json!(pod_name);
        labels["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
        labels[REVISION_LABEL] = json!(revision.name);
        pod["spec"]["hostname"] = json!(pod_name);
        let service = text(self.set, "spec.serviceName");
        if !service.is_empty() {
            pod["spec"]["subdomain"] = json!(service);
        }
        let claims: Vec<&str> = items(self.set, "spec.volumeClaimTemplates")
            .iter()
            .map(name)
            .collect();
        if !claims.is_empty() {
            let mut volumes: Vec<Value> = claims
                .iter()
                .map(|claim| {
                    json!({"name": claim, "persistentVolumeClaim": {"claimName": format!("{claim}-{pod_name}")}})
                })
                .collect();
            let others = items(&pod, "spec.volumes").iter();
            volumes.extend(
                others
                    .filter(|volume| !claims.contains(&text(volume, "name")))
                    .cloned(),
            );
            pod["spec"]["volumes"] = json!(volumes);
        }
        cx.create(&PODS, pod);
        let set = name(self.set);
        cx.event(
            "Normal",
            "SuccessfulCreate",
            format!("create Pod {pod_name} in StatefulSet {set} successful"),
        );
    }

    fn create_claims(&self, cx: &mut Context<'_>, ordinal: i64, pod_name: &str) {
        for template in items(self.set, "spec.volumeClaimTemplates") {
            let claim_name = format!("{}-{pod_name}", name(template));
            if cx.get(&CLAIMS, namespace(self.set), &claim_name).is_some() {
                continue;
            }
            let mut metadata = json!({"name": claim_name, "namespace": namespace(self.set)});
            let mut labels = at(template, "metadata.labels")
                .as_object()
                .cloned()
                .unwrap_or_default();
            if let Some(wanted) = at(self.set, "spec.selector.matchLabels").as_object() {
                labels.extend(wanted.clone());
            }
            if !labels.is_empty() {
                metadata["labels"] = Value::Object(labels);
            }
            if at(template, "metadata.annotations").is_object() {
                metadata["annotations"] = at(template, "metadata.annotations").clone();
            }
            if text(
                self.set,
                "spec.persistentVolumeClaimRetentionPolicy.whenDeleted",
            ) == "Delete"
            {
                metadata["ownerReferences"] = json!([self.owner.reference()]);
            }
            let spec = at(template, "spec");
            cx.create(
                &CLAIMS,
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}),
            );
            let (pod, set) = (format!("{}-{ordinal}", name(self.set)), name(self.set));
            let message =
                format!("create Claim {claim_name} Pod {pod} in StatefulSet {set} success");
            cx.event("Normal", "SuccessfulCreate", message);
        }
    }

    /// With `whenScaled: Delete`, a condemned pod takes its claims with it.
    fn hand_over_claims(&self, cx: &mut Context<'_>, pod: &Value) {
        if text(
            self.set,
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled",
        ) != "Delete"
        {
            return;
        }
        for template in items(self.set, "spec.volumeClaimTemplates") {
            let claim_name = format!("{}-{}", name(template), name(pod));
            if let Some(claim) = cx.get(&CLAIMS, namespace(self.set), &claim_name) {
                let reference =
                    json!({"apiVersion": "v1", "kind": "Pod", "name": name(pod), "uid": uid(pod)});
                cx.patch(
                    &CLAIMS,
                    &claim,
                    json!({"metadata": {"ownerReferences": [reference]}}),
                );
            }
        }
    }

    fn report(&self, cx: &mut Context<'_>, replaced: bool) {
        let (mut ready, mut available, mut current, mut updated) = (0, 0, -i64::from(replaced), 0);
        for pod in self.pods.values() {
            if text(pod, "status.phase") == "Running" && is_ready(pod) {
                ready += 1;
                available += i64::from(is_available(cx, pod, self.min_ready));
            }
            if !deleting(pod) {
                current += i64::from(revision_of(pod) == self.current.name);
                updated += i64::from(revision_of(pod) == self.update.name);
            }
        }
        let total = i64::try_from(self.pods.len()).unwrap_or(i64::MAX);
        let mut shown = &self.current.name;
        let complete = updated == self.replicas && ready == self.replicas && total == self.replicas;
        if text(self.set, "spec.updateStrategy.type") != "OnDelete" && complete {
            current = updated;
            shown = &self.update.name;
        }
        let mut status = compact(json!({
            "observedGeneration": cx.generation(),
            "readyReplicas": ready,
            "currentReplicas": current,
            "updatedReplicas": updated,
            "currentRevision": shown,
            "updateRevision": self.update.name,
        }));
        status["replicas"] = json!(total);
        status["availableReplicas"] = json!(available);
        status["collisionCount"] = json!(int_or(self.set, "status.collisionCount", 0));
        cx.status(status);
    }
}
