//! Jobs and CronJobs. Sources: Argo CD's Go check and its script.

use tidegate_manifest::Health;

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended},
    view::View,
    workloads::unsupported,
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    match (subject.group, subject.kind) {
        ("batch", "Job") if subject.version != "batch/v1" => Some(unsupported(subject, "Job")),
        ("batch", "Job") if subject.precise() => Some(job(subject.view)),
        ("batch", "Job") => Some(compatible_job(subject.view)),
        ("batch", "CronJob") => Some(cron_job(subject.view)),
        _ => None,
    }
}

/// Conditions count when they are True: a Job that was resumed keeps `Suspended=False`.
fn job(view: View<'_>) -> Health {
    let conditions = view.conditions();
    let found = |kind: &str| conditions.iter().find(|condition| condition.is_true(kind));
    if let Some(failed) = found("Failed") {
        return degraded(failed.message);
    }
    if let Some(complete) = found("Complete") {
        return healthy(complete.message);
    }
    if let Some(paused) = found("Suspended") {
        return suspended(paused.message);
    }
    // The verdict is made, but pods still end.
    let ending = found("FailureTarget").or_else(|| found("SuccessCriteriaMet"));
    progressing(
        ending
            .map(|condition| condition.message)
            .unwrap_or_default(),
    )
}

/// The mere presence of a condition counts, so a resumed Job is Healthy while it runs.
fn compatible_job(view: View<'_>) -> Health {
    let conditions = view.conditions();
    let last = |kind: &str| {
        conditions
            .iter()
            .rev()
            .find(|condition| condition.kind == kind)
    };
    if let Some(failed) = last("Failed") {
        return degraded(failed.message);
    }
    if conditions
        .iter()
        .any(|condition| condition.is_true("Suspended"))
    {
        return suspended("");
    }
    let ended = conditions
        .iter()
        .rev()
        .find(|condition| matches!(condition.kind, "Complete" | "Suspended"));
    ended.map_or_else(|| progressing(""), |ended| healthy(ended.message))
}

fn cron_job(view: View<'_>) -> Health {
    if view.spec(&["suspend"]).is_true() {
        // Deliberately: a suspended schedule must not keep an application from being Healthy.
        return healthy("CronJob is Suspended");
    }
    if !view.at(&["status"]).exists() {
        return progressing("Waiting for CronJob");
    }
    let scheduled = view.status(&["lastScheduleTime"]).text();
    let succeeded = view.status(&["lastSuccessfulTime"]).text();
    if scheduled.is_empty() {
        return healthy("CronJob has not been scheduled yet");
    }
    if succeeded.is_empty() {
        return healthy("The Cronjob never completed succesfully. It may not be healthy");
    }
    if !view.status(&["active"]).is_empty() {
        return healthy("The job is running. Its last execution may not have been successful");
    }
    // Both are RFC 3339 in UTC, so the order of the texts is the order of the times.
    if succeeded < scheduled {
        return degraded("CronJob has not completed its last execution successfully");
    }
    healthy("CronJob has completed its last execution successfully")
}
