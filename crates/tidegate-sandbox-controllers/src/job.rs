//! Jobs: pods until enough succeeded or too many failed, each counted exactly once through its finalizer
//! (Kubernetes `pkg/controller/job`). Not simulated: pod failure policies and success policies.

mod index;
mod report;

use crate::conditions::{condition_status, is_true};
use crate::context::Context;
use crate::pod::JOB_FINALIZER;
use crate::resources::PODS;
use crate::value::{
    Hold, annotation, at, deleting, finalizers_patch, flag, has_finalizer, int, int_or, items,
    later, name, text, time, uid,
};
use crate::workload::{BURST, Owner, by_deletion_order, claim, is_active, len, set_fault};
use index::Indexes;
use report::{Outcome, Report};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The real controller waits 10 s, 20 s, 40 s… before it replaces failed pods, the simulation this part of it.
const BACKOFF_MILLIS: u64 = 500;
/// The longest wait before a failed pod is replaced.
const MAX_BACKOFF_MILLIS: u64 = 5_000;

/// The annotation that holds a pod's completion index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

struct Round<'a> {
    job: &'a Value,
    owner: Owner<'a>,
    pods: Vec<Arc<Value>>,
    active: Vec<Arc<Value>>,
    indexed: bool,
    completions: Option<i64>,
    suspended: bool,
    /// Pods whose end is being counted for the first time.
    new_succeeded: Vec<Arc<Value>>,
    new_failed: Vec<Arc<Value>>,
}

pub(crate) fn react(cx: &mut Context<'_>) {
    let job = cx.object;
    if is_true(job, "Complete") || is_true(job, "Failed") {
        return finished(cx);
    }
    let manager = text(job, "spec.managedBy");
    if !matches!(manager, "" | "kubernetes.io/job-controller") || !cx.noticed() {
        return;
    }
    if cx.faults.stuck {
        return;
    }
    Round::new(cx).run(cx);
}

/// A finished Job waits for its time to live, and lets its remaining pods go.
fn finished(cx: &mut Context<'_>) {
    for pod in cx
        .owned(&PODS)
        .iter()
        .filter(|pod| has_finalizer(pod, JOB_FINALIZER))
    {
        cx.patch(
            &PODS,
            pod,
            finalizers_patch(pod, JOB_FINALIZER, Hold::Remove),
        );
    }
    let Some(seconds) = int(cx.object, "spec.ttlSecondsAfterFinished") else {
        return;
    };
    let ended = items(cx.object, "status.conditions")
        .iter()
        .filter(|condition| matches!(text(condition, "type"), "Complete" | "Failed"))
        .find_map(|condition| time(at(condition, "lastTransitionTime")));
    let Some(ended) = ended else { return };
    let due = later(ended, Duration::from_secs(seconds.unsigned_abs()));
    if !deleting(cx.object) && cx.reached(due) {
        let (resource, job) = (cx.resource.clone(), cx.object);
        cx.delete(&resource, job);
    }
}

impl<'a> Round<'a> {
    fn new(cx: &mut Context<'a>) -> Self {
        let job = cx.object;
        let owner = Owner {
            api_version: "batch/v1",
            kind: "Job",
            object: job,
        };
        let pods = claim(cx, owner);
        let counted: Vec<&str> = ["succeeded", "failed"]
            .iter()
            .flat_map(|list| items(at(job, "status.uncountedTerminatedPods"), list))
            .filter_map(Value::as_str)
            .collect();
        let is_new =
            |pod: &Value| has_finalizer(pod, JOB_FINALIZER) && !counted.contains(&uid(pod));
        let phase = |pod: &Value, phase: &str| text(pod, "status.phase") == phase;
        let new_succeeded: Vec<_> = pods
            .iter()
            .filter(|pod| is_new(pod) && phase(pod, "Succeeded"))
            .cloned()
            .collect();
        // A pod that somebody deleted counts as failed, as long as it had not succeeded.
        let failed =
            |pod: &Value| phase(pod, "Failed") || (deleting(pod) && !phase(pod, "Succeeded"));
        let new_failed: Vec<_> = pods
            .iter()
            .filter(|pod| is_new(pod) && failed(pod))
            .cloned()
            .collect();
        let active = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let indexed = text(job, "spec.completionMode") == "Indexed";
        let completions = int(job, "spec.completions");
        // A server without defaults leaves both out of a Job that runs once.
        let completions =
            completions.or_else(|| int(job, "spec.parallelism").is_none().then_some(1));
        let suspended = flag(job, "spec.suspend");
        Self {
            job,
            owner,
            pods,
            active,
            indexed,
            completions,
            suspended,
            new_succeeded,
            new_failed,
        }
    }

    fn run(mut self, cx: &mut Context<'_>) {
        let mut report = Report::new(cx, &self);
        let failed = report.failed + len(&self.new_failed);
        let mut succeeded = report.succeeded + len(&self.new_succeeded);
        let indexes = self
            .indexed
            .then(|| Indexes::of(self.job, &self.pods, self.completions.unwrap_or(0)));
        if let Some(indexes) = &indexes {
            succeeded = indexes.done_count();
            report.indexes = Some(indexes.done_text());
        }
        report.start(cx, &self);
        self.note_failures(cx);
        let mut outcome = self.standing(cx, failed);
        if outcome.is_some() {
            self.delete_all(cx);
        } else if !deleting(self.job) {
            self.manage(cx, succeeded, failed, indexes.as_ref());
            let done = match self.completions {
                None => succeeded > 0 && self.active.is_empty(),
                Some(completions) => succeeded >= completions && self.active.is_empty(),
            };
            if done {
                let message = "Reached expected number of succeeded pods";
                outcome = Some(Outcome::new(
                    "SuccessCriteriaMet",
                    "CompletionsReached",
                    message,
                ));
            } else {
                report.suspension(cx, self.suspended);
            }
        }
        report.write(cx, &self, outcome);
    }

    /// Whether the Job's end was decided already, or is now by too many failures or too much time.
    fn standing(&self, cx: &mut Context<'_>, failed: i64) -> Option<Outcome> {
        for kind in ["SuccessCriteriaMet", "FailureTarget"] {
            if condition_status(self.job, kind) == "True" {
                return Outcome::shown(self.job, kind);
            }
        }
        let limit = int_or(self.job, "spec.backoffLimit", 6);
        if failed > limit || self.restarted_too_often(limit) {
            let mut message = "Job has reached the specified backoff limit".to_owned();
            if let Some(fail) = &cx.faults.fail {
                message = format!("{message}: {fail}");
            }
            return Some(Outcome::new(
                "FailureTarget",
                "BackoffLimitExceeded",
                message,
            ));
        }
        let seconds = int(self.job, "spec.activeDeadlineSeconds").filter(|_| !self.suspended)?;
        let start = time(at(self.job, "status.startTime")).unwrap_or(cx.now);
        let due = later(start, Duration::from_secs(seconds.unsigned_abs()));
        cx.reached(due).then(|| {
            let message = "Job was active longer than specified deadline";
            Outcome::new("FailureTarget", "DeadlineExceeded", message)
        })
    }

    /// With `OnFailure`, restarts inside the pods count against the limit.
    fn restarted_too_often(&self, limit: i64) -> bool {
        if text(self.job, "spec.template.spec.restartPolicy") != "OnFailure" {
            return false;
        }
        let restarts: i64 = self
            .pods
            .iter()
            .filter(|pod| matches!(text(pod, "status.phase"), "Running" | "Pending"))
            .flat_map(|pod| items(pod, "status.containerStatuses"))
            .map(|status| int_or(status, "restartCount", 0))
            .sum();
        if limit == 0 {
            restarts > 0
        } else {
            restarts >= limit
        }
    }

    /// Remembers how many pods failed in a row, and when the last did.
    fn note_failures(&self, cx: &mut Context<'_>) {
        if !self.new_succeeded.is_empty() {
            cx.remember("failures", json!(0));
        }
        if !self.new_failed.is_empty() {
            let before = cx.fact("failures").as_i64().unwrap_or(0);
            cx.remember("failures", json!(before + len(&self.new_failed)));
            cx.forget("back-off");
            cx.began("back-off");
        }
    }

    fn backed_off(cx: &mut Context<'_>) -> bool {
        let failures = cx.fact("failures").as_u64().unwrap_or(0);
        if failures == 0 {
            return true;
        }
        let wait = BACKOFF_MILLIS << (failures - 1).min(10);
        cx.waited("back-off", wait.min(MAX_BACKOFF_MILLIS))
    }

    /// Deletes the pods that still run, once the end is decided. They keep their finalizer and are counted.
    fn delete_all(&mut self, cx: &mut Context<'_>) {
        for pod in std::mem::take(&mut self.active) {
            cx.delete(&PODS, &pod);
        }
    }

    /// Deletes pods that are not wanted any more: they are not counted.
    fn delete_some(&mut self, cx: &mut Context<'_>, many: usize) {
        by_deletion_order(&mut self.active);
        for pod in self.active.drain(..many).collect::<Vec<_>>() {
            cx.patch(
                &PODS,
                &pod,
                finalizers_patch(&pod, JOB_FINALIZER, Hold::Remove),
            );
            cx.delete(&PODS, &pod);
            cx.event(
                "Normal",
                "SuccessfulDelete",
                format!("Deleted pod: {}", name(&pod)),
            );
        }
    }

    fn manage(
        &mut self,
        cx: &mut Context<'_>,
        succeeded: i64,
        failed: i64,
        indexes: Option<&Indexes>,
    ) {
        let active = len(&self.active);
        let parallelism = int_or(self.job, "spec.parallelism", 1);
        let wanted = match self.completions {
            _ if self.suspended => 0,
            None if succeeded > 0 => active,
            None => parallelism,
            Some(completions) => (completions - succeeded).min(parallelism),
        }
        .max(0);
        if active > wanted {
            return self.delete_some(cx, usize::try_from(active - wanted).unwrap_or(0).min(BURST));
        }
        // The end of a pod is counted before another one takes its place.
        if active == wanted || !Self::backed_off(cx) {
            return;
        }
        let many = usize::try_from(wanted - active).unwrap_or(0).min(BURST);
        let pending = indexes.map(|indexes| indexes.pending(&self.active, many));
        let many = pending.as_ref().map_or(many, Vec::len);
        for at in 0..many {
            let pod = self.new_pod(cx, at, failed, pending.as_ref().map(|pending| pending[at]));
            self.active.push(Arc::new(pod.clone()));
            cx.event(
                "Normal",
                "SuccessfulCreate",
                format!("Created pod: {}", name(&pod)),
            );
            cx.create(&PODS, pod);
        }
    }

    fn new_pod(&self, cx: &Context<'_>, at: usize, failed: i64, index: Option<i64>) -> Value {
        let job = name(self.job);
        let base = index.map_or_else(|| job.to_owned(), |index| format!("{job}-{index}"));
        let pod_name = self.owner.pod_name(cx, &base, at);
        let mut pod = self
            .owner
            .pod(&pod_name, crate::value::at(self.job, "spec.template"));
        let metadata = &mut pod["metadata"];
        metadata["finalizers"] = json!([JOB_FINALIZER]);
        for (label, value) in [
            ("batch.kubernetes.io/controller-uid", uid(self.job)),
            ("batch.kubernetes.io/job-name", job),
            ("controller-uid", uid(self.job)),
            ("job-name", job),
        ] {
            metadata["labels"][label] = json!(value);
        }
        if let Some(index) = index {
            metadata["annotations"][INDEX] = json!(index.to_string());
            metadata["labels"][INDEX] = json!(index.to_string());
            pod["spec"]["hostname"] = json!(base);
        }
        self.decide_fault(cx, &mut pod, failed + i64::try_from(at).unwrap_or(0));
        pod
    }

    /// Each pod of a Job with restart policy `Never` is one attempt: the Job decides which of them fail.
    fn decide_fault(&self, cx: &Context<'_>, pod: &mut Value, attempt: i64) {
        let never = text(self.job, "spec.template.spec.restartPolicy") != "OnFailure";
        if !never || cx.faults.fail_times.is_none() {
            return;
        }
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        let message = cx.faults.failure(attempt).map(str::to_owned);
        set_fault(pod, "fail-times", None);
        if message.is_none() {
            for fault in ["crash-loop", "oom-killed", "image-pull-backoff"] {
                set_fault(pod, fault, None);
            }
        }
        set_fault(pod, "fail", message.as_deref());
    }
}

/// The completion index of a pod.
fn index_of(pod: &Value) -> Option<i64> {
    annotation(pod, INDEX)?.parse().ok()
}
