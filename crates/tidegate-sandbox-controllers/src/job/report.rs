//! A Job's status: counters that count each pod once, and the two steps of its end.

use super::Round;
use crate::conditions::{Condition, condition, find, set};
use crate::context::Context;
use crate::pod::JOB_FINALIZER;
use crate::resources::PODS;
use crate::value::{
    Hold, at, deleting, finalizers_patch, has_finalizer, int_or, items, stamp, text, uid,
};
use crate::workload::{count, has_ended, is_ready, len};
use serde_json::{Value, json};

/// How a Job ends: decided first (`SuccessCriteriaMet`, `FailureTarget`), enacted once all pods are gone and counted.
pub(super) struct Outcome {
    decided: &'static str,
    reason: String,
    message: String,
}

impl Outcome {
    pub(super) fn new(decided: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            decided,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// An outcome that the status shows already.
    pub(super) fn shown(job: &Value, decided: &'static str) -> Option<Self> {
        let shown = condition(job, decided)?;
        Some(Self::new(
            decided,
            text(shown, "reason"),
            text(shown, "message"),
        ))
    }

    fn final_kind(&self) -> &'static str {
        if self.decided == "SuccessCriteriaMet" {
            "Complete"
        } else {
            "Failed"
        }
    }
}

/// A status in the making.
pub(super) struct Report {
    pub(super) succeeded: i64,
    pub(super) failed: i64,
    pub(super) indexes: Option<String>,
    start: Option<String>,
    conditions: Vec<Value>,
    uncounted_succeeded: Vec<Value>,
    uncounted_failed: Vec<Value>,
}

impl Report {
    /// Takes up the status; pods that were noted as ended and have lost their finalizer since are counted now.
    pub(super) fn new(cx: &Context<'_>, round: &Round<'_>) -> Self {
        let job = cx.object;
        let held = |id: &Value| {
            let id = id.as_str().unwrap_or("");
            round
                .pods
                .iter()
                .any(|pod| uid(pod) == id && has_finalizer(pod, JOB_FINALIZER))
        };
        let split = |list: &str| -> (Vec<Value>, Vec<Value>) {
            let noted = items(at(job, "status.uncountedTerminatedPods"), list)
                .iter()
                .cloned();
            noted.partition(held)
        };
        let (uncounted_succeeded, newly_succeeded) = split("succeeded");
        let (uncounted_failed, newly_failed) = split("failed");
        let start =
            Some(text(job, "status.startTime").to_owned()).filter(|start| !start.is_empty());
        Self {
            succeeded: int_or(job, "status.succeeded", 0) + len(&newly_succeeded),
            failed: int_or(job, "status.failed", 0) + len(&newly_failed),
            indexes: None,
            start,
            conditions: items(job, "status.conditions").to_vec(),
            uncounted_succeeded,
            uncounted_failed,
        }
    }

    /// The start time, unless the Job is suspended.
    pub(super) fn start(&mut self, cx: &Context<'_>, round: &Round<'_>) {
        if self.start.is_none() && !round.suspended {
            self.start = Some(stamp(cx.now));
        }
    }

    /// Says so when a suspension begins or ends.
    pub(super) fn suspension(&mut self, cx: &mut Context<'_>, suspended: bool) {
        let shown = find(&self.conditions, "Suspended").map(|old| text(old, "status") == "True");
        if suspended && shown != Some(true) {
            let condition =
                Condition::new("Suspended", "True").because("JobSuspended", "Job suspended");
            set(&mut self.conditions, &condition, cx.now);
            cx.event("Normal", "Suspended", "Job suspended");
            self.start = None;
        } else if !suspended && shown == Some(true) {
            let condition =
                Condition::new("Suspended", "False").because("JobResumed", "Job resumed");
            set(&mut self.conditions, &condition, cx.now);
            cx.event("Normal", "Resumed", "Job resumed");
            self.start = Some(stamp(cx.now));
        }
    }

    /// Writes the status, in the order in which nothing can be counted twice or forgotten: first note the ended
    /// pods, then let them go, and count them when they are gone.
    pub(super) fn write(
        mut self,
        cx: &mut Context<'_>,
        round: &Round<'_>,
        outcome: Option<Outcome>,
    ) {
        let over = outcome.is_some();
        let note = |pods: &[std::sync::Arc<Value>]| {
            pods.iter().map(|pod| json!(uid(pod))).collect::<Vec<_>>()
        };
        // An Indexed Job counts its successes by index.
        if !round.indexed {
            self.uncounted_succeeded.extend(note(&round.new_succeeded));
        }
        self.uncounted_failed.extend(note(&round.new_failed));
        if let Some(outcome) = &outcome {
            let condition = Condition::new(outcome.decided, "True")
                .because(&outcome.reason, outcome.message.clone());
            if find(&self.conditions, outcome.decided).is_none() {
                set(&mut self.conditions, &condition, cx.now);
            }
        }
        let leaving: Vec<_> = round
            .pods
            .iter()
            .filter(|pod| has_finalizer(pod, JOB_FINALIZER))
            .filter(|pod| has_ended(pod) || deleting(pod))
            .cloned()
            .collect();
        let terminating = count(&round.pods, |pod| deleting(pod) && !has_ended(pod));
        let waiting = !self.uncounted_succeeded.is_empty() || !self.uncounted_failed.is_empty();
        let settled = !waiting && leaving.is_empty() && terminating == 0 && round.active.is_empty();
        let no_pod_left = !round.pods.iter().any(|pod| !has_ended(pod));
        if let Some(outcome) = outcome.filter(|_| settled && no_pod_left) {
            self.enact(cx, &outcome);
        }
        let status = self.status(round, terminating, over);
        cx.status(status);
        for pod in leaving {
            cx.patch(
                &PODS,
                &pod,
                finalizers_patch(&pod, JOB_FINALIZER, Hold::Remove),
            );
        }
    }

    fn enact(&mut self, cx: &mut Context<'_>, outcome: &Outcome) {
        let kind = outcome.final_kind();
        let last = Condition::new(kind, "True").because(&outcome.reason, outcome.message.clone());
        set(&mut self.conditions, &last, cx.now);
        if kind == "Complete" {
            cx.event("Normal", "Completed", "Job completed");
        } else {
            cx.event("Warning", &outcome.reason.clone(), outcome.message.clone());
        }
    }

    fn status(&self, round: &Round<'_>, terminating: i64, over: bool) -> Value {
        let mut uncounted = json!({});
        for (list, ids) in [
            ("succeeded", &self.uncounted_succeeded),
            ("failed", &self.uncounted_failed),
        ] {
            if !ids.is_empty() {
                uncounted[list] = json!(ids);
            }
        }
        let active = if over { 0 } else { len(&round.active) };
        let mut status = json!({
            "ready": if over { 0 } else { count(&round.active, is_ready) },
            "terminating": terminating,
            "uncountedTerminatedPods": uncounted,
        });
        if active > 0 {
            status["active"] = json!(active);
        }
        let succeeded = match &self.indexes {
            Some(indexes) => super::index::count(indexes),
            None => self.succeeded,
        };
        for (field, number) in [("succeeded", succeeded), ("failed", self.failed)] {
            if number > 0 {
                status[field] = json!(number);
            }
        }
        if let Some(indexes) = self.indexes.as_ref().filter(|indexes| !indexes.is_empty()) {
            status["completedIndexes"] = json!(indexes);
        }
        if let Some(start) = &self.start {
            status["startTime"] = json!(start);
        }
        if !self.conditions.is_empty() {
            status["conditions"] = json!(self.conditions);
        }
        if let Some(done) = find(&self.conditions, "Complete") {
            status["completionTime"] = at(done, "lastTransitionTime").clone();
        }
        status
    }
}
