//! Argo Rollouts: canary and blue-green updates over ReplicaSets (`argoproj.io/v1alpha1`), without traffic routers and
//! analysis: an analysis or experiment step counts as passed. The replica arithmetic is in `rollout/canary.rs`.

mod canary;

use crate::conditions::{Condition, conditions};
use crate::context::Context;
use crate::deployment::plain_template;
use crate::resources::{DEPLOYMENTS, REPLICA_SETS, SERVICES};
use crate::value::{
    at, controller_ref, deleting, flag, hash_name, int, int_or, items, label, later, name, stamp,
    text, time,
};
use canary::{Step, split};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const HASH: &str = "rollouts-pod-template-hash";
const REVISION: &str = "rollout.argoproj.io/revision";

/// One round over a Rollout.
struct Round<'a> {
    rollout: &'a Value,
    replicas: i64,
    hash: String,
    stable: String,
    /// The index of the current step; the number of steps when all are done.
    step: usize,
    steps: Vec<Step>,
    pauses: Vec<Value>,
    controller_pause: bool,
    aborted: bool,
    sets: Vec<Arc<Value>>,
}

pub(crate) fn react(cx: &mut Context<'_>) {
    if deleting(cx.object) || !cx.noticed() {
        return;
    }
    let Some(template) = template(cx) else { return };
    let Some(mut round) = Round::new(cx, &template) else {
        return;
    };
    if !round
        .sets
        .iter()
        .any(|set| label(set, HASH) == Some(&round.hash))
    {
        round.create(cx, &template);
        return round.report(cx, "Progressing", "more replicas need to be updated");
    }
    if at(cx.object, "spec.strategy.blueGreen").is_object() {
        round.blue_green(cx);
    } else {
        round.canary(cx);
    }
}

/// The pod template: the Rollout's own, or that of the Deployment it refers to.
fn template(cx: &mut Context<'_>) -> Option<Value> {
    let reference = text(cx.object, "spec.workloadRef.name");
    if reference.is_empty() {
        return Some(at(cx.object, "spec.template").clone());
    }
    let workload = cx.get(&DEPLOYMENTS, cx.namespace(), reference)?;
    Some(at(&workload, "spec.template").clone())
}

impl<'a> Round<'a> {
    fn new(cx: &mut Context<'a>, template: &Value) -> Option<Self> {
        let rollout = cx.object;
        let hash = hash_name(&plain_template(template), "");
        let steps: Vec<Step> = items(rollout, "spec.strategy.canary.steps")
            .iter()
            .map(Step::read)
            .collect();
        let stable = text(rollout, "status.stableRS").to_owned();
        let changed = text(rollout, "status.currentPodHash") != hash;
        let mut aborted = flag(rollout, "status.abort");
        let mut pauses = items(rollout, "status.pauseConditions").to_vec();
        let mut controller_pause = flag(rollout, "status.controllerPause");
        let shown = usize::try_from(int_or(rollout, "status.currentStepIndex", 0)).unwrap_or(0);
        let mut step = shown.min(steps.len());
        if changed {
            (aborted, controller_pause, step) = (false, false, 0);
            pauses.clear();
        }
        // The first deployment, and a return to the stable template, skip all steps.
        if stable.is_empty() || stable == hash || flag(rollout, "status.promoteFull") {
            step = steps.len();
            pauses.clear();
            controller_pause = false;
        }
        let mut sets = cx.owned(&REPLICA_SETS);
        sets.sort_by_key(|set| {
            (
                time(at(set, "metadata.creationTimestamp")),
                name(set).to_owned(),
            )
        });
        let replicas = int_or(rollout, "spec.replicas", 1);
        Some(Self {
            rollout,
            replicas,
            hash,
            stable,
            step,
            steps,
            pauses,
            controller_pause,
            aborted,
            sets,
        })
    }

    fn create(&mut self, cx: &mut Context<'_>, template: &Value) {
        let rollout = self.rollout;
        let revision = self
            .sets
            .iter()
            .filter_map(|set| crate::value::annotation(set, REVISION)?.parse::<i64>().ok());
        let revision = (revision.max().unwrap_or(0) + 1).to_string();
        let mut template = template.clone();
        template["metadata"]["labels"][HASH] = json!(self.hash);
        let mut selector = at(rollout, "spec.selector").clone();
        if !selector.is_object() {
            selector = json!({"matchLabels": at(&template, "metadata.labels")});
        }
        selector["matchLabels"][HASH] = json!(self.hash);
        let mut annotations = crate::fault::inherited(rollout);
        annotations.insert(REVISION.into(), json!(revision));
        let labels = at(&template, "metadata.labels").clone();
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": format!("{}-{}", name(rollout), self.hash), "namespace": cx.namespace(), "labels": labels,
                "annotations": annotations,
                "ownerReferences": [controller_ref("argoproj.io/v1alpha1", "Rollout", rollout)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        });
        cx.create(&REPLICA_SETS, object);
        if crate::value::annotation(rollout, REVISION) != Some(&revision) {
            cx.patch_self(json!({"metadata": {"annotations": {REVISION: revision}}}));
        }
    }

    fn set(&self, hash: &str) -> Option<&Arc<Value>> {
        self.sets.iter().find(|set| label(set, HASH) == Some(hash))
    }

    fn number(&self, hash: &str, field: &str) -> i64 {
        self.set(hash).map_or(0, |set| int_or(set, field, 0))
    }

    fn scale(&self, cx: &mut Context<'_>, hash: &str, size: i64) -> bool {
        let Some(set) = self.set(hash).cloned() else {
            return false;
        };
        let before = int_or(&set, "spec.replicas", 0);
        if before == size {
            return false;
        }
        cx.patch(&REPLICA_SETS, &set, json!({"spec": {"replicas": size}}));
        let direction = if before < size { "up" } else { "down" };
        let message = format!(
            "Scaled {direction} ReplicaSet {} from {before} to {size}",
            name(&set)
        );
        cx.event("Normal", "ScalingReplicaSet", message);
        true
    }

    /// Scales everything that is neither new nor stable to nothing.
    fn retire(&self, cx: &mut Context<'_>) {
        for set in &self.sets {
            let hash = label(set, HASH).unwrap_or("");
            if hash != self.hash && hash != self.stable {
                self.scale(cx, hash, 0);
            }
        }
    }

    fn canary(&mut self, cx: &mut Context<'_>) {
        let alone = self.stable.is_empty() || self.stable == self.hash;
        let weight = if self.aborted {
            0
        } else if alone || self.step >= self.steps.len() {
            100
        } else {
            canary::weight(&self.steps, self.step)
        };
        let (surge, unavailable) = canary::limits(self.rollout, self.replicas);
        let (canary, stable) = if alone {
            (self.replicas, 0)
        } else {
            split(self.replicas, weight, surge)
        };
        let (new_size, old_size) = (
            self.number(&self.hash, "spec.replicas"),
            self.number(&self.stable, "spec.replicas"),
        );
        let available = self.number(&self.hash, "status.availableReplicas");
        let mut moved = false;
        if alone {
            moved |= self.scale(cx, &self.hash.clone(), canary);
        } else {
            let room = (self.replicas + surge - old_size).max(0);
            let size = if canary > new_size {
                canary.min(room.max(new_size))
            } else {
                canary
            };
            moved |= self.scale(cx, &self.hash.clone(), size);
            let floor = (self.replicas - unavailable - available).max(0);
            let size = if stable < old_size {
                stable.max(floor).min(old_size)
            } else {
                stable
            };
            moved |= self.scale(cx, &self.stable.clone(), size);
        }
        self.retire(cx);
        let reached = !moved
            && available == canary
            && (alone || self.number(&self.stable, "status.availableReplicas") == stable);
        if self.aborted {
            return self.report(
                cx,
                "Degraded",
                "RolloutAborted: Rollout aborted update to revision",
            );
        }
        if flag(self.rollout, "spec.paused") {
            return self.report(cx, "Paused", "manually paused");
        }
        let broken = cx
            .faults
            .is_broken()
            .then(|| cx.faults.fail.clone().unwrap_or_default());
        if let Some(message) = broken
            && cx.waited(&format!("deadline-{}", cx.epoch()), 2_000)
        {
            let set = format!("{}-{}", cx.name(), self.hash);
            let message = format!(
                "ProgressDeadlineExceeded: ReplicaSet \"{set}\" has timed out progressing: {message}"
            );
            return self.report(cx, "Degraded", &message);
        }
        self.walk(cx, reached);
    }

    /// Goes through the steps as far as they are done.
    fn walk(&mut self, cx: &mut Context<'_>, reached: bool) {
        while let Some(step) = self.steps.get(self.step).copied() {
            let done = match step {
                Step::Weight(_) | Step::Scale => reached,
                Step::Pause(duration) => self.pause(cx, "CanaryPauseStep", duration),
                Step::Other => true,
            };
            if !done {
                break;
            }
            self.step += 1;
            if matches!(step, Step::Pause(_)) {
                self.pauses.clear();
                self.controller_pause = false;
            }
            if matches!(
                self.steps.get(self.step),
                None | Some(Step::Weight(_) | Step::Scale)
            ) {
                // The new weight has to be reached first.
                let now = cx.now;
                cx.wake(now);
                return self.report(cx, "Progressing", "more replicas need to be updated");
            }
        }
        if !self.pauses.is_empty() {
            return self.report(cx, "Paused", "CanaryPauseStep");
        }
        let all = self.number(&self.hash, "status.availableReplicas") == self.replicas;
        if self.step >= self.steps.len() && reached && all {
            self.stable.clone_from(&self.hash);
            return self.report(cx, "Healthy", "");
        }
        self.report(cx, "Progressing", "waiting for all steps to complete");
    }

    /// Whether a pause is over: its time has passed, or somebody took its condition away.
    fn pause(&mut self, cx: &mut Context<'_>, reason: &str, duration: Option<Duration>) -> bool {
        let known = self
            .pauses
            .iter()
            .find(|pause| text(pause, "reason") == reason);
        match known {
            Some(pause) => {
                let began = time(at(pause, "startTime")).unwrap_or(cx.now);
                duration.is_some_and(|duration| cx.reached(later(began, duration)))
            }
            None if self.controller_pause => true,
            None => {
                self.pauses
                    .push(json!({"reason": reason, "startTime": stamp(cx.now)}));
                self.controller_pause = true;
                if let Some(duration) = duration {
                    let now = cx.now;
                    cx.wake(later(now, duration));
                }
                false
            }
        }
    }

    fn blue_green(&mut self, cx: &mut Context<'_>) {
        let spec = at(self.rollout, "spec.strategy.blueGreen").clone();
        let alone = self.stable.is_empty() || self.stable == self.hash;
        self.select(cx, text(&spec, "previewService"), &self.hash.clone());
        self.scale(cx, &self.hash.clone(), self.replicas);
        self.retire(cx);
        let ready = self.number(&self.hash, "status.availableReplicas") >= self.replicas;
        if !ready {
            return self.report(
                cx,
                "Progressing",
                "updated replicas are still becoming available",
            );
        }
        let automatic = at(&spec, "autoPromotionEnabled").as_bool() != Some(false);
        let seconds =
            int(&spec, "autoPromotionSeconds").map(|s| Duration::from_secs(s.unsigned_abs()));
        let promoted = flag(self.rollout, "status.promoteFull");
        let waits = !alone && !promoted && (!automatic || seconds.is_some());
        if waits && !self.pause(cx, "BlueGreenPause", seconds) {
            return self.report(cx, "Paused", "BlueGreenPause");
        }
        self.pauses.clear();
        self.controller_pause = false;
        self.select(cx, text(&spec, "activeService"), &self.hash.clone());
        let delay = Duration::from_secs(int_or(&spec, "scaleDownDelaySeconds", 30).unsigned_abs());
        if !alone {
            let old = self.stable.clone();
            cx.remember("retiring", json!(old));
            cx.forget("retire");
        }
        self.stable.clone_from(&self.hash);
        if let Some(old) = cx.fact("retiring").as_str().map(str::to_owned)
            && old != self.hash
        {
            let began = cx.began("retire");
            if cx.reached(later(began, delay)) {
                self.scale(cx, &old, 0);
            }
        }
        self.report(cx, "Healthy", "");
    }

    fn select(&self, cx: &mut Context<'_>, service: &str, hash: &str) {
        if service.is_empty() {
            return;
        }
        let found = cx.get(&SERVICES, cx.namespace(), service);
        if let Some(found) =
            found.filter(|found| at(found, "spec.selector").get(HASH) != Some(&json!(hash)))
        {
            cx.patch(
                &SERVICES,
                &found,
                json!({"spec": {"selector": {HASH: hash}}}),
            );
        }
    }

    fn report(&self, cx: &mut Context<'_>, phase: &str, message: &str) {
        let sum = |field: &str| -> i64 { self.sets.iter().map(|set| int_or(set, field, 0)).sum() };
        let available = sum("status.availableReplicas");
        let healthy = phase == "Healthy";
        let set = format!("{}-{}", cx.name(), self.hash);
        let (status, reason, words) = match phase {
            "Healthy" => (
                "True",
                "NewReplicaSetAvailable",
                format!("ReplicaSet \"{set}\" has successfully progressed."),
            ),
            "Paused" => ("Unknown", "RolloutPaused", "Rollout is paused".to_owned()),
            "Degraded" if self.aborted => (
                "False",
                "RolloutAborted",
                "Rollout aborted update to revision".to_owned(),
            ),
            "Degraded" => ("False", "ProgressDeadlineExceeded", message.to_owned()),
            _ => (
                "True",
                "ReplicaSetUpdated",
                format!("ReplicaSet \"{set}\" is progressing."),
            ),
        };
        let yes = |wanted: bool| if wanted { "True" } else { "False" };
        let enough = available >= self.replicas;
        let (why, what) = if enough {
            ("AvailableReason", "Rollout has minimum availability")
        } else {
            (
                "AvailableReason",
                "Rollout does not have minimum availability",
            )
        };
        let new = [
            Condition::new("Progressing", status).because(reason, words),
            Condition::new("Available", yes(enough)).because(why, what),
            Condition::new("Completed", yes(self.stable == self.hash))
                .because("RolloutCompleted", "RolloutCompleted"),
            Condition::new("Healthy", yes(healthy)).because(
                "RolloutHealthy",
                if healthy {
                    "Rollout is healthy"
                } else {
                    "Rollout is not healthy"
                },
            ),
            Condition::new("Paused", yes(phase == "Paused")).because(
                "RolloutPaused",
                if phase == "Paused" {
                    "Rollout is paused"
                } else {
                    "Rollout is not paused"
                },
            ),
        ];
        let mut fields = json!({
            "observedGeneration": cx.generation().to_string(),
            "phase": phase,
            "message": if message.is_empty() { Value::Null } else { json!(message) },
            "currentPodHash": self.hash,
            "stableRS": if self.stable.is_empty() { Value::Null } else { json!(self.stable) },
            "replicas": sum("status.replicas"),
            "HPAReplicas": sum("status.replicas"),
            "updatedReplicas": self.number(&self.hash, "status.replicas"),
            "readyReplicas": sum("status.readyReplicas"),
            "availableReplicas": available,
            "pauseConditions": if self.pauses.is_empty() { Value::Null } else { json!(self.pauses) },
            "controllerPause": if self.controller_pause { json!(true) } else { Value::Null },
            "conditions": conditions(self.rollout, &new, cx.now),
        });
        if !self.steps.is_empty() {
            fields["currentStepIndex"] = json!(self.step);
        }
        let changed = text(self.rollout, "status.currentPodHash") != self.hash;
        if changed && flag(self.rollout, "status.abort") {
            fields["abort"] = Value::Null;
        }
        if healthy && flag(self.rollout, "status.promoteFull") {
            fields["promoteFull"] = Value::Null;
        }
        if at(self.rollout, "spec.strategy.blueGreen").is_object() {
            fields["blueGreen"] =
                json!({"activeSelector": self.stable, "previewSelector": self.hash});
        }
        cx.merge_status(fields);
    }
}
