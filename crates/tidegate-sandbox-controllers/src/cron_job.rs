//! CronJobs: a Job at every due time, history kept short (Kubernetes `pkg/controller/cronjob`).

use crate::conditions::is_true;
use crate::context::Context;
use crate::cron::Schedule;
use crate::fault::inherited;
use crate::resources::JOBS;
use crate::value::{
    at, controller_ref, deleting, flag, int, int_or, items, name, stamp, text, time, uid,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The most missed times that are looked at; older ones are given up, as in the real controller.
const MAX_MISSED: usize = 100;

pub(crate) fn react(cx: &mut Context<'_>) {
    let cron_job = cx.object;
    if deleting(cron_job) {
        return;
    }
    let jobs = cx.owned(&JOBS);
    let finished = |job: &Value| is_true(job, "Complete") || is_true(job, "Failed");
    let (ended, mut active): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| finished(job));
    clean_up(cx, &ended);
    let mut last = time(at(cron_job, "status.lastScheduleTime"));
    if !flag(cron_job, "spec.suspend")
        && let Some((due, zone)) = due(cx, last)
    {
        start(cx, due, &zone, &mut active, &mut last);
    }
    report(cx, &ended, &active, last);
}

/// The latest due time that has not been served, in the schedule's time zone.
fn due(cx: &mut Context<'_>, last: Option<Timestamp>) -> Option<(Timestamp, TimeZone)> {
    let cron_job = cx.object;
    let schedule = match Schedule::parse(text(cron_job, "spec.schedule")) {
        Ok(schedule) => schedule,
        Err(why) => {
            warn_once(
                cx,
                "UnparseableSchedule",
                &format!("unparseable schedule: {why}"),
            );
            return None;
        }
    };
    let zone = match text(cron_job, "spec.timeZone") {
        "" => TimeZone::UTC,
        wanted => match TimeZone::get(wanted) {
            Ok(zone) => zone,
            Err(why) => {
                warn_once(
                    cx,
                    "UnknownTimeZone",
                    &format!("invalid timeZone: {wanted:?}: {why}"),
                );
                return None;
            }
        },
    };
    let created = time(at(cron_job, "metadata.creationTimestamp")).unwrap_or(cx.now);
    let mut earliest = last.unwrap_or(created);
    let deadline = int(cron_job, "spec.startingDeadlineSeconds");
    if let Some(seconds) = deadline {
        let since = jiff::SignedDuration::from_secs(seconds.max(0));
        earliest = earliest.max(cx.now.saturating_sub(since).unwrap_or(Timestamp::MIN));
    }
    let mut due = None;
    let mut next = schedule.next(earliest, &zone)?;
    for _ in 0..MAX_MISSED {
        if next > cx.now {
            break;
        }
        due = Some(next);
        next = schedule.next(next, &zone)?;
    }
    if next <= cx.now {
        // Too many were missed: only the latest before now counts.
        warn_once(cx, "TooManyMissedTimes", "too many missed start times");
        let minute = Duration::from_secs(60);
        let recent = cx
            .now
            .checked_sub(jiff::SignedDuration::try_from(minute).ok()?)
            .ok()?;
        due = schedule
            .next(recent, &zone)
            .filter(|time| *time <= cx.now)
            .or(due);
        next = schedule.next(cx.now, &zone)?;
    }
    cx.wake(next);
    due.map(|due| (due, zone))
}

fn warn_once(cx: &mut Context<'_>, reason: &str, message: &str) {
    if cx.fact("told").as_str() != Some(message) {
        cx.remember("told", json!(message));
        cx.event("Warning", reason, message);
    }
}

fn start(
    cx: &mut Context<'_>,
    due: Timestamp,
    zone: &TimeZone,
    active: &mut Vec<Arc<Value>>,
    last: &mut Option<Timestamp>,
) {
    let cron_job = cx.object;
    let job_name = format!("{}-{}", name(cron_job), due.as_second().div_euclid(60));
    if last.is_some_and(|last| last >= due) || cx.get(&JOBS, cx.namespace(), &job_name).is_some() {
        return;
    }
    match text(cron_job, "spec.concurrencyPolicy") {
        "Forbid" if !active.is_empty() => {
            let message = format!(
                "Not starting job because prior execution is running and concurrency policy is Forbid: {job_name}"
            );
            warn_once(cx, "JobAlreadyActive", &message);
            return;
        }
        "Replace" => {
            for job in active.drain(..) {
                cx.delete(&JOBS, &job);
                cx.event(
                    "Normal",
                    "SuccessfulDelete",
                    format!("Deleted job {}", name(&job)),
                );
            }
        }
        _ => {}
    }
    let template = at(cron_job, "spec.jobTemplate");
    let mut annotations: Map<String, Value> = at(template, "metadata.annotations")
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (key, value) in inherited(cron_job) {
        annotations.entry(key).or_insert(value);
    }
    let local = jiff::ZonedDateTime::new(due, zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string();
    let local = local
        .strip_suffix("+00:00")
        .map_or(local.clone(), |utc| format!("{utc}Z"));
    annotations.insert(
        "batch.kubernetes.io/cronjob-scheduled-timestamp".into(),
        json!(local),
    );
    let mut metadata = json!({
        "name": job_name, "namespace": cx.namespace(), "annotations": annotations,
        "ownerReferences": [controller_ref("batch/v1", "CronJob", cron_job)],
    });
    if at(template, "metadata.labels").is_object() {
        metadata["labels"] = at(template, "metadata.labels").clone();
    }
    let spec = at(template, "spec");
    cx.create(
        &JOBS,
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}),
    );
    cx.event(
        "Normal",
        "SuccessfulCreate",
        format!("Created job {job_name}"),
    );
    *last = Some(due);
}

/// Deletes finished Jobs beyond the history limits, oldest first.
fn clean_up(cx: &mut Context<'_>, ended: &[Arc<Value>]) {
    for (kind, field, default) in [
        ("Complete", "spec.successfulJobsHistoryLimit", 3),
        ("Failed", "spec.failedJobsHistoryLimit", 1),
    ] {
        let limit = usize::try_from(int_or(cx.object, field, default)).unwrap_or(0);
        let mut jobs: Vec<&Arc<Value>> = ended
            .iter()
            .filter(|job| is_true(job, kind) && !deleting(job))
            .collect();
        jobs.sort_by_key(|job| (time(at(job, "status.startTime")), name(job).to_owned()));
        let surplus = jobs.len().saturating_sub(limit);
        for job in jobs.into_iter().take(surplus) {
            cx.delete(&JOBS, job);
            cx.event(
                "Normal",
                "SuccessfulDelete",
                format!("Deleted job {}", name(job)),
            );
        }
    }
}

fn report(
    cx: &mut Context<'_>,
    ended: &[Arc<Value>],
    active: &[Arc<Value>],
    last: Option<Timestamp>,
) {
    let mut status = json!({});
    let list: Vec<Value> = active
        .iter()
        .filter(|job| !deleting(job))
        .map(|job| {
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "name": name(job), "namespace": cx.namespace(),
                "uid": uid(job), "resourceVersion": text(job, "metadata.resourceVersion"),
            })
        })
        .collect();
    // References keep the resource version that they were taken with.
    let known = items(cx.object, "status.active");
    let list: Vec<Value> = list
        .into_iter()
        .map(|new| {
            known
                .iter()
                .find(|old| at(old, "uid") == at(&new, "uid"))
                .cloned()
                .unwrap_or(new)
        })
        .collect();
    if !list.is_empty() {
        status["active"] = json!(list);
    }
    if let Some(last) = last {
        status["lastScheduleTime"] = json!(stamp(last));
    }
    let known = time(at(cx.object, "status.lastSuccessfulTime"));
    let success = ended
        .iter()
        .filter_map(|job| time(at(job, "status.completionTime")))
        .max()
        .max(known);
    if let Some(success) = success {
        status["lastSuccessfulTime"] = json!(stamp(success));
    }
    if status != json!({}) || at(cx.object, "status").is_object() {
        cx.status(status);
    }
}
