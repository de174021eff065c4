//! A Deployment's status and its conditions, in the controller's own order and words.

use super::{Plan, Set};
use crate::conditions::find;
use crate::context::Context;
use crate::value::{at, compact, flag, int, int_or, items, later, name, stamp, text, time};
use serde_json::{Value, json};
use std::time::Duration;

/// The failed rollout of a Deployment with a fault is noticed after this time instead of its whole deadline.
const QUICK_DEADLINE_MILLIS: u64 = 2_000;
/// `progressDeadlineSeconds` that means none.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// The conditions as they are during the round.
pub(super) struct Report {
    plan: Plan,
    deadline: Option<i64>,
    conditions: Vec<Value>,
}

impl Report {
    pub(super) fn new(cx: &Context<'_>, plan: Plan) -> Self {
        let deadline = int_or(cx.object, "spec.progressDeadlineSeconds", 600);
        let deadline = Some(deadline).filter(|seconds| *seconds != NO_DEADLINE);
        Self {
            plan,
            deadline,
            conditions: items(cx.object, "status.conditions").to_vec(),
        }
    }

    /// Says so when a pause begins or ends.
    pub(super) fn paused(&mut self, cx: &mut Context<'_>) {
        let reason = self.reason();
        if self.deadline.is_none() || reason == "ProgressDeadlineExceeded" {
            return;
        }
        let (wanted, shown) = (flag(cx.object, "spec.paused"), reason == "DeploymentPaused");
        if wanted && !shown {
            self.set(
                cx,
                "Progressing",
                "Unknown",
                "DeploymentPaused",
                "Deployment is paused",
            );
        } else if !wanted && shown {
            self.set(
                cx,
                "Progressing",
                "Unknown",
                "DeploymentResumed",
                "Deployment is resumed",
            );
        } else {
            return;
        }
        // Said in a status of its own, before anything is counted.
        cx.merge_status(json!({"conditions": self.conditions}));
    }

    /// A ReplicaSet of the template was there already.
    pub(super) fn found(&mut self, cx: &Context<'_>, set: &str) {
        if self.deadline.is_some() && find(&self.conditions, "Progressing").is_none() {
            let message = format!("Found new replica set \"{set}\"");
            self.set(cx, "Progressing", "True", "FoundNewReplicaSet", &message);
        }
    }

    /// A ReplicaSet of the template was created: said in a status of its own, before anything is counted.
    pub(super) fn created(&mut self, cx: &mut Context<'_>, set: &str) {
        if self.deadline.is_none() {
            return;
        }
        match cx.memory.refusal.clone() {
            Some(refusal) => {
                let message = format!("Failed to create new replica set \"{set}\": {refusal}");
                self.set(
                    cx,
                    "Progressing",
                    "False",
                    "ReplicaSetCreateError",
                    &message,
                );
            }
            None => {
                let message = format!("Created new replica set \"{set}\"");
                self.set(cx, "Progressing", "True", "NewReplicaSetCreated", &message);
                cx.merge_status(json!({"conditions": self.conditions}));
            }
        }
    }

    /// Only the numbers and the availability: while paused, scaled or deleted.
    pub(super) fn counts_only(&mut self, cx: &mut Context<'_>, new: Option<&Set>, old: &[Set]) {
        let status = self.count(cx, new, old);
        self.write(cx, status);
    }

    /// The numbers, and how the rollout goes.
    pub(super) fn rollout(&mut self, cx: &mut Context<'_>, new: Option<&Set>, old: &[Set]) {
        let status = self.count(cx, new, old);
        if self.deadline.is_none() {
            self.conditions
                .retain(|condition| text(condition, "type") != "Progressing");
        }
        let number = |field: &str| int_or(&status, field, 0);
        let settled = number("replicas") == number("updatedReplicas")
            && text_of(
                find(items(cx.object, "status.conditions"), "Progressing"),
                "reason",
            ) == "NewReplicaSetAvailable";
        if self.deadline.is_some() && !settled {
            let who = new.map_or_else(
                || format!("Deployment \"{}\"", name(cx.object)),
                |new| format!("ReplicaSet \"{}\"", new.name()),
            );
            let complete = ["updatedReplicas", "replicas", "availableReplicas"]
                .iter()
                .all(|field| number(field) == self.plan.replicas);
            if complete {
                let message = format!("{who} has successfully progressed.");
                self.set(
                    cx,
                    "Progressing",
                    "True",
                    "NewReplicaSetAvailable",
                    &message,
                );
            } else if progressed(cx.object, &status) {
                self.progressing(cx, &format!("{who} is progressing."));
            } else {
                self.overdue(cx, &who);
            }
        }
        self.replica_failures(cx, new, old);
        self.write(cx, status);
    }

    fn reason(&self) -> &str {
        find(&self.conditions, "Progressing").map_or("", |condition| text(condition, "reason"))
    }

    /// Progress renews the update time even when nothing else about the condition changes.
    fn progressing(&mut self, cx: &Context<'_>, message: &str) {
        let since = find(&self.conditions, "Progressing")
            .filter(|old| text(old, "status") == "True")
            .map(|old| at(old, "lastTransitionTime").clone());
        self.conditions
            .retain(|condition| text(condition, "type") != "Progressing");
        self.set(cx, "Progressing", "True", "ReplicaSetUpdated", message);
        if let (Some(since), Some(last)) = (since, self.conditions.last_mut()) {
            last["lastTransitionTime"] = since;
        }
    }

    /// Whether the deadline has passed without progress; else wakes up when it will have.
    fn overdue(&mut self, cx: &mut Context<'_>, who: &str) {
        let reason = self.reason().to_owned();
        if matches!(
            reason.as_str(),
            "" | "NewReplicaSetAvailable" | "ProgressDeadlineExceeded"
        ) {
            return;
        }
        let quick = cx.faults.is_broken()
            && cx.waited(&format!("deadline-{}", cx.epoch()), QUICK_DEADLINE_MILLIS);
        let since =
            find(&self.conditions, "Progressing").and_then(|old| time(at(old, "lastUpdateTime")));
        let seconds = self.deadline.unwrap_or(0).unsigned_abs();
        let over =
            since.is_some_and(|since| cx.reached(later(since, Duration::from_secs(seconds + 1))));
        if quick || over {
            let mut message = format!("{who} has timed out progressing.");
            if let Some(fail) = &cx.faults.fail {
                message = format!("{who} has timed out progressing: {fail}");
            }
            self.set(
                cx,
                "Progressing",
                "False",
                "ProgressDeadlineExceeded",
                &message,
            );
        }
    }

    /// What the server refused a ReplicaSet, the Deployment shows too.
    fn replica_failures(&mut self, cx: &Context<'_>, new: Option<&Set>, old: &[Set]) {
        let failure = new.into_iter().chain(old).find_map(|set| {
            find(items(&set.object, "status.conditions"), "ReplicaFailure").cloned()
        });
        match failure {
            Some(failure) => {
                let (status, reason) = (text(&failure, "status"), text(&failure, "reason"));
                let status = if status == "True" { "True" } else { "False" };
                self.set(
                    cx,
                    "ReplicaFailure",
                    status,
                    reason,
                    text(&failure, "message"),
                );
            }
            None => self
                .conditions
                .retain(|condition| text(condition, "type") != "ReplicaFailure"),
        }
    }

    fn count(&mut self, cx: &Context<'_>, new: Option<&Set>, old: &[Set]) -> Value {
        let all = || old.iter().chain(new);
        let sum = |field: &str| -> i64 { all().map(|set| int_or(&set.object, field, 0)).sum() };
        let available = sum("status.availableReplicas");
        let asked: i64 = all().map(|set| set.replicas).sum();
        let mut status = compact(json!({
            "observedGeneration": cx.generation(),
            "replicas": sum("status.replicas"),
            "updatedReplicas": new.map_or(0, |new| int_or(&new.object, "status.replicas", 0)),
            "readyReplicas": sum("status.readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": (asked - available).max(0),
        }));
        status["terminatingReplicas"] = json!(sum("status.terminatingReplicas"));
        if let Some(collisions) = int(cx.object, "status.collisionCount") {
            status["collisionCount"] = json!(collisions);
        }
        if available >= self.plan.fewest() {
            let message = "Deployment has minimum availability.";
            self.set(cx, "Available", "True", "MinimumReplicasAvailable", message);
        } else {
            let message = "Deployment does not have minimum availability.";
            self.set(
                cx,
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                message,
            );
        }
        status
    }

    /// Sets a condition the controller's way: unchanged when status and reason are, else moved to the end.
    fn set(&mut self, cx: &Context<'_>, kind: &str, status: &str, reason: &str, message: &str) {
        let now = stamp(cx.now);
        let mut since = now.clone();
        if let Some(old) = find(&self.conditions, kind)
            && text(old, "status") == status
        {
            if text(old, "reason") == reason {
                return;
            }
            text(old, "lastTransitionTime").clone_into(&mut since);
        }
        self.conditions
            .retain(|condition| text(condition, "type") != kind);
        self.conditions.push(json!({
            "type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": since,
            "reason": reason, "message": message,
        }));
    }

    fn write(&self, cx: &mut Context<'_>, mut status: Value) {
        if !self.conditions.is_empty() {
            status["conditions"] = json!(self.conditions);
        }
        cx.status(status);
    }
}

fn text_of<'a>(value: Option<&'a Value>, field: &str) -> &'a str {
    value.map_or("", |value| text(value, field))
}

fn progressed(deployment: &Value, status: &Value) -> bool {
    let old = |field: &str| int_or(at(deployment, "status"), field, 0);
    let new = |field: &str| int_or(status, field, 0);
    new("updatedReplicas") > old("updatedReplicas")
        || new("replicas") - new("updatedReplicas") < old("replicas") - old("updatedReplicas")
        || new("readyReplicas") > old("readyReplicas")
        || new("availableReplicas") > old("availableReplicas")
}
