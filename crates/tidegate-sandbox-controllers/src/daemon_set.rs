//! DaemonSets: one pod on every node, replaced a few at a time (Kubernetes `pkg/controller/daemon`).

use crate::context::Context;
use crate::resources::{NODES, PODS};
use crate::revision::{REVISION_LABEL, Revision, revisions, truncate};
use crate::value::{Rounding, at, compact, deleting, int_or, label, name, scaled, selects, text};
use crate::workload::{Owner, claim, has_ended, is_available, is_ready, len};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) fn react(cx: &mut Context<'_>) {
    if !cx.noticed() {
        return;
    }
    let set = cx.object;
    let owner = Owner {
        api_version: "apps/v1",
        kind: "DaemonSet",
        object: set,
    };
    let history = revisions(cx, owner);
    let Some(update) = history.last().cloned() else {
        return;
    };
    let pods = claim(cx, owner);
    let selector = json!({"matchLabels": at(set, "spec.template.spec.nodeSelector")});
    let wanted: Vec<String> = cx
        .list(&NODES, "")
        .iter()
        .filter(|node| selects(&selector, at(node, "metadata.labels")))
        .map(|node| name(node).to_owned())
        .collect();
    let mut round = Round {
        set,
        owner,
        update,
        pods,
        wanted,
    };
    if !deleting(set) {
        round.act(cx);
    }
    round.report(cx);
    let mut live: BTreeSet<String> = [round.update.name.clone()].into();
    let used = round
        .pods
        .iter()
        .filter_map(|pod| label(pod, REVISION_LABEL));
    live.extend(used.map(|hash| format!("{}-{hash}", name(set))));
    truncate(cx, &history, &live);
}

struct Round<'a> {
    set: &'a Value,
    owner: Owner<'a>,
    update: Revision,
    pods: Vec<Arc<Value>>,
    wanted: Vec<String>,
}

impl Round<'_> {
    fn hash(&self) -> &str {
        let prefix = name(self.set).len() + 1;
        self.update.name.get(prefix..).unwrap_or("")
    }

    fn is_new(&self, pod: &Value) -> bool {
        label(pod, REVISION_LABEL) == Some(self.hash())
    }

    fn act(&mut self, cx: &mut Context<'_>) {
        let rolling = text(self.set, "spec.updateStrategy.type") != "OnDelete";
        let min_ready = int_or(self.set, "spec.minReadySeconds", 0);
        let nodes = len(&self.wanted);
        let resolve = |field: &str, rounding| {
            let value = at(self.set, "spec.updateStrategy.rollingUpdate").get(field);
            value.and_then(|value| scaled(value, nodes, rounding))
        };
        let surge = resolve("maxSurge", Rounding::Up).unwrap_or(0);
        let most = resolve("maxUnavailable", Rounding::Up).unwrap_or(1);
        let most = if surge == 0 { most.max(1) } else { most };
        let mut unavailable = 0;
        let mut outdated = Vec::new();
        let mut index = 0;
        let mut created = Vec::new();
        for node in &self.wanted {
            let here: Vec<&Arc<Value>> = self
                .pods
                .iter()
                .filter(|pod| text(pod, "spec.nodeName") == node)
                .collect();
            for ended in here.iter().filter(|pod| has_ended(pod) && !deleting(pod)) {
                cx.delete(&PODS, ended);
            }
            let living: Vec<&&Arc<Value>> = here.iter().filter(|pod| !has_ended(pod)).collect();
            if living.is_empty() {
                created.push(self.create(cx, node, index));
                index += 1;
                unavailable += 1;
                continue;
            }
            if !living
                .iter()
                .any(|pod| !deleting(pod) && is_available(cx, pod, min_ready))
            {
                unavailable += 1;
            }
            let old = living
                .iter()
                .find(|pod| !self.is_new(pod) && !deleting(pod));
            let new_ready = living
                .iter()
                .any(|pod| self.is_new(pod) && is_available(cx, pod, min_ready));
            if let Some(old) = old {
                let gone = !is_ready(old) || new_ready;
                outdated.push((gone, (***old).clone(), living.len() > 1, node.clone()));
            }
        }
        for stray in self.pods.iter().filter(|pod| {
            !deleting(pod)
                && !self
                    .wanted
                    .iter()
                    .any(|node| node == text(pod, "spec.nodeName"))
        }) {
            cx.delete(&PODS, stray);
        }
        if rolling {
            self.replace(cx, outdated, most - unavailable, surge);
        }
        self.pods.extend(created);
    }

    /// Replaces outdated pods: the unready ones at once, others as far as unavailability or surge allows.
    fn replace(
        &self,
        cx: &mut Context<'_>,
        outdated: Vec<(bool, Arc<Value>, bool, String)>,
        mut room: i64,
        surge: i64,
    ) {
        let mut surging = outdated
            .iter()
            .filter(|(_, _, doubled, _)| *doubled)
            .count() as i64;
        for (index, (gone, pod, doubled, node)) in outdated.into_iter().enumerate() {
            if gone {
                cx.delete(&PODS, &pod);
            } else if surge > 0 && !doubled && surging < surge {
                surging += 1;
                self.create(cx, &node, 1_000 + index);
            } else if surge == 0 && room > 0 {
                room -= 1;
                cx.delete(&PODS, &pod);
            }
        }
    }

    fn create(&self, cx: &mut Context<'_>, node: &str, index: usize) -> Arc<Value> {
        let pod_name = self.owner.pod_name(cx, name(self.set), index);
        let mut pod = self.owner.pod(&pod_name, &self.update.template);
        pod["metadata"]["labels"][REVISION_LABEL] = json!(self.hash());
        let generation = cx.generation().to_string();
        pod["metadata"]["labels"]["pod-template-generation"] = json!(generation);
        pod["spec"]["nodeName"] = json!(node);
        cx.create(&PODS, pod.clone());
        cx.event(
            "Normal",
            "SuccessfulCreate",
            format!("Created pod: {pod_name}"),
        );
        Arc::new(pod)
    }

    fn report(&self, cx: &mut Context<'_>) {
        let min_ready = int_or(self.set, "spec.minReadySeconds", 0);
        let (mut current, mut ready, mut available, mut updated) = (0, 0, 0, 0);
        for node in &self.wanted {
            let mut here = self
                .pods
                .iter()
                .filter(|pod| text(pod, "spec.nodeName") == node && !deleting(pod));
            let Some(first) = here.clone().next() else {
                continue;
            };
            current += 1;
            let pod = here.find(|pod| is_ready(pod)).unwrap_or(first);
            ready += i64::from(is_ready(pod));
            available += i64::from(is_available(cx, pod, min_ready));
            updated += i64::from(self.is_new(pod));
        }
        let stray = self.pods.iter().filter(|pod| {
            !deleting(pod)
                && !self
                    .wanted
                    .iter()
                    .any(|node| node == text(pod, "spec.nodeName"))
        });
        let stray = stray.count();
        let desired = len(&self.wanted);
        let mut status = compact(json!({
            "observedGeneration": cx.generation(),
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": desired - available,
        }));
        status["currentNumberScheduled"] = json!(current);
        status["numberMisscheduled"] = json!(stray);
        status["desiredNumberScheduled"] = json!(desired);
        status["numberReady"] = json!(ready);
        cx.status(status);
    }
}
