//! The Spark operator: applications and their schedules (`sparkoperator.k8s.io`, kubeflow/spark-operator 2.x).
//! Applications have neither conditions nor an observed generation: a change shows only in their states.

use crate::context::Context;
use crate::cron::Schedule;
use crate::fault::inherited;
use crate::resources::SPARK_APPLICATIONS;
use crate::value::{
    at, controller_ref, deleting, flag, hex, int, int_or, items, later, name, stamp, text, time,
    uid, uuid,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::time::Duration;

const SUBMIT: u64 = 400;
const DRIVER: u64 = 500;
const EXECUTORS: u64 = 300;
const RUN: u64 = 600;
const END: u64 = 200;
const WHOLE: u64 = SUBMIT + DRIVER + EXECUTORS + RUN + END;
const RETRY: u64 = 500;
/// The most executors that a status lists.
const MAX_EXECUTORS: i64 = 1_000;

pub(crate) fn react(cx: &mut Context<'_>) {
    let application = cx.object;
    if deleting(application) {
        return;
    }
    let state = text(application, "status.applicationState.state").to_owned();
    if invalidated(cx, &state) {
        return;
    }
    let run = run_of(application);
    match state.as_str() {
        "" => new(cx),
        "SUBMITTED" if cx.passed(&format!("driver-{run}"), DRIVER, WHOLE) => {
            write(cx, "RUNNING", None, &[]);
        }
        "RUNNING" => running(cx, &run),
        "SUCCEEDING" | "FAILING" => ending(cx, &state, &run),
        "SUBMISSION_FAILED" => resubmit(cx, &run),
        "PENDING_RERUN" | "RESUMING" if cx.passed(&format!("again-{run}"), SUBMIT, WHOLE) => {
            submit(cx);
        }
        "INVALIDATING" if cx.waited(&format!("invalidate-{run}"), END) => {
            write(cx, "PENDING_RERUN", None, &[("executorState", Value::Null)]);
        }
        "SUSPENDING" if cx.waited(&format!("suspend-{run}"), END) => {
            let ended = json!(stamp(cx.now));
            write(
                cx,
                "SUSPENDED",
                None,
                &[("executorState", json!({})), ("terminationTime", ended)],
            );
        }
        "SUSPENDED" if !flag(application, "spec.suspend") => write(cx, "RESUMING", None, &[]),
        "COMPLETED" | "FAILED" => expire(cx),
        _ => {}
    }
}

/// Which submission the steps belong to.
fn run_of(application: &Value) -> String {
    let tries = int_or(application, "status.submissionAttempts", 0);
    format!(
        "{tries}-{}",
        int_or(application, "status.executionAttempts", 0)
    )
}

/// Whether a change of the spec, or a suspension, takes the application out of its state.
fn invalidated(cx: &mut Context<'_>, state: &str) -> bool {
    let application = cx.object;
    let mut spec = at(application, "spec").clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("suspend");
        fields.remove("timeToLiveSeconds");
    }
    let digest = hex(&[&spec.to_string()], 8);
    let known = cx.fact("spec").as_str().map(str::to_owned);
    // A change that happened while nobody looked is not acted upon, as in the real operator.
    let changed = known.is_some_and(|known| known != digest);
    let wants_pause = flag(application, "spec.suspend");
    if wants_pause
        && matches!(
            state,
            "SUBMITTED" | "RUNNING" | "PENDING_RERUN" | "SUBMISSION_FAILED"
        )
    {
        cx.remember("spec", json!(digest));
        write(cx, "SUSPENDING", None, &[]);
        return true;
    }
    if changed && !matches!(state, "" | "SUSPENDED" | "SUSPENDING" | "INVALIDATING") {
        if cx.noticed() {
            cx.remember("spec", json!(digest));
            cx.memory.steps.clear();
            write(cx, "INVALIDATING", None, &[]);
        }
        return true;
    }
    cx.remember("spec", json!(digest));
    false
}

fn new(cx: &mut Context<'_>) {
    if flag(cx.object, "spec.suspend") {
        return write(cx, "SUSPENDING", None, &[]);
    }
    if cx.passed("submit", SUBMIT, WHOLE) {
        submit(cx);
    }
}

fn submit(cx: &mut Context<'_>) {
    let tries = int_or(cx.object, "status.submissionAttempts", 0) + 1;
    let now = json!(stamp(cx.now));
    let image = text(cx.object, "spec.mainApplicationFile").is_empty()
        && text(cx.object, "spec.type") != "Java"
        && text(cx.object, "spec.mainClass").is_empty();
    let message = if image {
        Some("failed to run spark-submit: Error: Missing application resource.".to_owned())
    } else if cx.faults.image_pull_backoff {
        Some("failed to run spark-submit: driver image cannot be pulled".to_owned())
    } else {
        None
    };
    if let Some(message) = message {
        let more = [
            ("submissionAttempts", json!(tries)),
            ("lastSubmissionAttemptTime", now),
        ];
        return write(cx, "SUBMISSION_FAILED", Some(&message), &more);
    }
    let app_name = cx.name();
    let port = 4040;
    let id = uuid(&[cx.uid(), &tries.to_string(), &cx.now.to_string()]);
    let driver = json!({
        "podName": format!("{app_name}-driver"), "webUIServiceName": format!("{app_name}-ui-svc"),
        "webUIPort": port, "webUIAddress": format!("10.96.0.1:{port}"),
    });
    let runs = int_or(cx.object, "status.executionAttempts", 0) + 1;
    let more = [
        ("submissionAttempts", json!(tries)),
        ("executionAttempts", json!(runs)),
        ("lastSubmissionAttemptTime", now),
        ("submissionID", json!(id)),
        (
            "sparkApplicationId",
            json!(format!("spark-{}", hex(&[&id], 16))),
        ),
        ("driverInfo", driver),
        ("executorState", Value::Null),
        ("terminationTime", Value::Null),
    ];
    write(cx, "SUBMITTED", None, &more);
}

fn resubmit(cx: &mut Context<'_>, run: &str) {
    let retries = int_or(
        cx.object,
        "spec.restartPolicy.onSubmissionFailureRetries",
        0,
    );
    let always = text(cx.object, "spec.restartPolicy.type") == "Always";
    let tries = int_or(cx.object, "status.submissionAttempts", 0);
    if always || (text(cx.object, "spec.restartPolicy.type") == "OnFailure" && tries <= retries) {
        if cx.waited(&format!("resubmit-{run}"), RETRY) {
            submit(cx);
        }
    } else {
        let message = text(cx.object, "status.applicationState.errorMessage").to_owned();
        let ended = [("terminationTime", json!(stamp(cx.now)))];
        write(cx, "FAILED", Some(&message), &ended);
    }
}

fn executors(application: &Value) -> i64 {
    let wanted = int(application, "spec.executor.instances");
    let wanted = wanted.or_else(|| int(application, "spec.dynamicAllocation.initialExecutors"));
    let wanted = wanted.or_else(|| int(application, "spec.dynamicAllocation.minExecutors"));
    wanted.unwrap_or(1).clamp(0, MAX_EXECUTORS)
}

fn executor_states(application: &Value, state: &str) -> Value {
    let (app_name, id) = (
        name(application),
        hex(&[uid(application), &run_of(application)], 8),
    );
    let states: Map<String, Value> = (1..=executors(application))
        .map(|number| (format!("{app_name}-{id}-exec-{number}"), json!(state)))
        .collect();
    Value::Object(states)
}

fn running(cx: &mut Context<'_>, run: &str) {
    let application = cx.object;
    if !cx.passed(&format!("executors-{run}"), EXECUTORS, WHOLE) {
        return write(
            cx,
            "RUNNING",
            None,
            &[("executorState", executor_states(application, "PENDING"))],
        );
    }
    let up = [("executorState", executor_states(application, "RUNNING"))];
    write(cx, "RUNNING", None, &up);
    let done = u32::try_from(int_or(application, "status.executionAttempts", 1) - 1).unwrap_or(0);
    let broken = cx.faults.crash_loop || cx.faults.oom_killed;
    let fails = broken || cx.faults.failure(done).is_some();
    // An application that is always restarted is a streaming one: it runs until it fails.
    let streaming = text(application, "spec.restartPolicy.type") == "Always";
    if (streaming && !fails) || !cx.passed(&format!("work-{run}"), RUN, WHOLE) {
        return;
    }
    let ended = json!(stamp(cx.now));
    if fails {
        let message = match cx.faults.failure(done) {
            Some(message) => message.to_owned(),
            None if cx.faults.oom_killed => {
                "driver container failed with ExitCode: 137, Reason: OOMKilled".to_owned()
            }
            None => "driver container failed with ExitCode: 1, Reason: Error".to_owned(),
        };
        let more = [
            ("executorState", executor_states(application, "FAILED")),
            ("terminationTime", ended),
        ];
        write(cx, "FAILING", Some(&message), &more);
    } else {
        let more = [
            ("executorState", executor_states(application, "COMPLETED")),
            ("terminationTime", ended),
        ];
        write(cx, "SUCCEEDING", None, &more);
    }
}

fn ending(cx: &mut Context<'_>, state: &str, run: &str) {
    let application = cx.object;
    let failed = state == "FAILING";
    let policy = text(application, "spec.restartPolicy.type");
    let retries = int_or(application, "spec.restartPolicy.onFailureRetries", 0);
    let runs = int_or(application, "status.executionAttempts", 1);
    let again = policy == "Always" || (failed && policy == "OnFailure" && runs <= retries);
    let message = text(application, "status.applicationState.errorMessage").to_owned();
    let message = Some(message.as_str()).filter(|message| !message.is_empty());
    if again {
        if cx.waited(&format!("retry-{run}"), RETRY) {
            write(cx, "PENDING_RERUN", None, &[]);
        }
    } else if cx.passed(&format!("end-{run}"), END, WHOLE) {
        write(
            cx,
            if failed { "FAILED" } else { "COMPLETED" },
            message,
            &[],
        );
    }
}

/// A finished application with a time to live is deleted, and with it the desired state is gone from the cluster.
fn expire(cx: &mut Context<'_>) {
    let Some(seconds) = int(cx.object, "spec.timeToLiveSeconds") else {
        return;
    };
    let Some(ended) = time(at(cx.object, "status.terminationTime")) else {
        return;
    };
    if cx.reached(later(ended, Duration::from_secs(seconds.unsigned_abs()))) {
        let (resource, application) = (cx.resource.clone(), cx.object);
        cx.delete(&resource, application);
    }
}

fn write(cx: &mut Context<'_>, state: &str, error: Option<&str>, more: &[(&str, Value)]) {
    let mut shown = json!({"state": state});
    if let Some(error) = error {
        shown["errorMessage"] = json!(error);
    }
    let mut fields = json!({"applicationState": shown});
    for (field, value) in more {
        fields[*field] = value.clone();
    }
    cx.merge_status(fields);
}

/// A schedule starts an application at every due time.
pub(crate) fn react_scheduled(cx: &mut Context<'_>) {
    let scheduled = cx.object;
    if deleting(scheduled) {
        return;
    }
    let schedule = match Schedule::parse(text(scheduled, "spec.schedule")) {
        Ok(schedule) => schedule,
        Err(why) => {
            let reason = format!("failed to parse schedule: {why}");
            return cx.merge_status(json!({"scheduleState": "FailedValidation", "reason": reason}));
        }
    };
    if flag(scheduled, "spec.suspend") {
        return;
    }
    let zone = match text(scheduled, "spec.timeZone") {
        "" | "Local" => TimeZone::UTC,
        zone => TimeZone::get(zone).unwrap_or(TimeZone::UTC),
    };
    let planned = time(at(scheduled, "status.nextRun"));
    let Some(planned) = planned else {
        if let Some(next) = schedule.next(cx.now, &zone) {
            cx.merge_status(json!({"scheduleState": "Scheduled", "nextRun": stamp(next)}));
        }
        return;
    };
    if !cx.reached(planned) {
        return trim(cx);
    }
    let runs = cx.owned(&SPARK_APPLICATIONS);
    let busy: Vec<_> = runs
        .iter()
        .filter(|run| {
            !matches!(
                text(run, "status.applicationState.state"),
                "COMPLETED" | "FAILED"
            )
        })
        .cloned()
        .collect();
    match text(scheduled, "spec.concurrencyPolicy") {
        "Forbid" if !busy.is_empty() => return,
        "Replace" => busy
            .iter()
            .for_each(|run| cx.delete(&SPARK_APPLICATIONS, run)),
        _ => {}
    }
    start(cx, planned, &schedule, &zone);
}

fn start(cx: &mut Context<'_>, planned: Timestamp, schedule: &Schedule, zone: &TimeZone) {
    let scheduled = cx.object;
    let run_name = format!("{}-{}", name(scheduled), planned.as_nanosecond());
    let mut metadata = json!({
        "name": run_name, "namespace": cx.namespace(),
        "labels": {"sparkoperator.k8s.io/scheduled-app-name": name(scheduled)},
        "ownerReferences": [controller_ref(text(scheduled, "apiVersion"), "ScheduledSparkApplication", scheduled)],
    });
    let faults = inherited(scheduled);
    if !faults.is_empty() {
        metadata["annotations"] = Value::Object(faults);
    }
    cx.create(
        &SPARK_APPLICATIONS,
        json!({
            "apiVersion": text(scheduled, "apiVersion"), "kind": "SparkApplication",
            "metadata": metadata, "spec": at(scheduled, "spec.template"),
        }),
    );
    let next = schedule.next(cx.now, zone).map(stamp);
    cx.merge_status(json!({
        "scheduleState": "Scheduled", "lastRun": stamp(cx.now), "lastRunName": run_name, "nextRun": next,
    }));
}

/// Keeps the history of runs short, and names them.
fn trim(cx: &mut Context<'_>) {
    let scheduled = cx.object;
    let runs = cx.owned(&SPARK_APPLICATIONS);
    let mut fields = json!({});
    for (state, field, limit) in [
        (
            "COMPLETED",
            "pastSuccessfulRunNames",
            "spec.successfulRunHistoryLimit",
        ),
        ("FAILED", "pastFailedRunNames", "spec.failedRunHistoryLimit"),
    ] {
        let mut past: Vec<_> = runs
            .iter()
            .filter(|run| text(run, "status.applicationState.state") == state)
            .collect();
        past.sort_by_key(|run| std::cmp::Reverse(time(at(run, "metadata.creationTimestamp"))));
        let limit = usize::try_from(int_or(scheduled, limit, 1)).unwrap_or(1);
        for run in past.iter().skip(limit) {
            cx.delete(&SPARK_APPLICATIONS, run);
        }
        let names: Vec<&str> = past.iter().take(limit).map(|run| name(run)).collect();
        if !names.is_empty() || !items(at(scheduled, "status"), field).is_empty() {
            fields[field] = json!(names);
        }
    }
    cx.merge_status(fields);
}
