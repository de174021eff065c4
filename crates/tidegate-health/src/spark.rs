//! The Spark operator. Sources: Argo CD's script, executor arithmetic included; the operator's states for the precise verdicts.

use tidegate_manifest::{Health, HealthStatus};

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended},
    view::View,
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    if subject.group != "sparkoperator.k8s.io" {
        return None;
    }
    match (subject.kind, subject.precise()) {
        ("SparkApplication", false) => Some(application(subject.view)),
        ("SparkApplication", true) => Some(precise(subject.view)),
        ("ScheduledSparkApplication", true) => Some(scheduled(subject)),
        ("SparkConnect", true) => Some(connect(subject)),
        _ => None,
    }
}

fn application(view: View<'_>) -> Health {
    let state = view.status(&["applicationState"]);
    let error = state.at(&["errorMessage"]).text();
    match state.at(&["state"]).text() {
        "" if state.at(&["state"]).exists() => {
            progressing("SparkApplication was added, enqueuing it for submission")
        }
        "RUNNING" if executors_suffice(view) => healthy("SparkApplication is Running"),
        "SUBMITTED" => progressing("SparkApplication was submitted successfully"),
        "COMPLETED" => healthy("SparkApplication was Completed"),
        "FAILED" | "SUBMISSION_FAILED" | "FAILING" => degraded(error),
        "PENDING_RERUN" => progressing("SparkApplication is Pending Rerun"),
        "INVALIDATING" => Health::new(
            HealthStatus::Missing,
            "SparkApplication is in InvalidatingState",
        ),
        "SUCCEEDING" => progressing(
            "The driver pod has been completed successfully. The executor pods terminate and are cleaned up.",
        ),
        "UNKNOWN" => progressing(
            "SparkApplication is in UnknownState because either driver pod or one or all executor pods in unknown state",
        ),
        _ => progressing("Waiting for Executor pods"),
    }
}

/// As many executors run as are asked for: a number, a range, or at least one.
fn executors_suffice(view: View<'_>) -> bool {
    let states = view.status(&["executorState"]);
    if !states.exists() {
        return false;
    }
    let running = states
        .entries()
        .filter(|(_, state)| state.text() == "RUNNING")
        .count();
    let running = i64::try_from(running).unwrap_or(i64::MAX);
    let wanted = view.spec(&["executor", "instances"]).number();
    if wanted == Some(running) {
        return true;
    }
    if let Some((least, most)) = executor_range(view) {
        return (least..=most).contains(&running);
    }
    wanted.is_none() && !view.spec(&["dynamicAllocation"]).exists() && running >= 1
}

/// The bounds of dynamic allocation, from the specification or from Spark's own configuration.
fn executor_range(view: View<'_>) -> Option<(i64, i64)> {
    let allocation = view.spec(&["dynamicAllocation"]);
    if allocation.at(&["enabled"]).is_true() {
        let bound = |name: &str| allocation.at(&[name]).number();
        return Some((
            bound("minExecutors").unwrap_or(0),
            bound("maxExecutors").unwrap_or(i64::MAX),
        ));
    }
    let configuration = view.spec(&["sparkConf"]);
    [
        "spark.streaming.dynamicAllocation",
        "spark.dynamicAllocation",
    ]
    .into_iter()
    .find_map(|prefix| {
        let setting = |name: &str| configuration.at(&[&format!("{prefix}.{name}")]);
        let bound = |name: &str| setting(name).number();
        (setting("enabled").text() == "true").then(|| {
            (
                bound("minExecutors").unwrap_or(0),
                bound("maxExecutors").unwrap_or(i64::MAX),
            )
        })
    })
}

fn precise(view: View<'_>) -> Health {
    let restart = view.spec(&["restartPolicy", "type"]).text();
    match view.status(&["applicationState", "state"]).text() {
        "COMPLETED" if restart == "Always" => {
            degraded("the application has ended, although it should always run")
        }
        "SUBMISSION_FAILED" if submissions_left(view, restart) => progressing(format!(
            "submission failed and is tried again: {}",
            view.status(&["applicationState", "errorMessage"]).text()
        )),
        "INVALIDATING" => {
            progressing("the specification has changed, the application is submitted again")
        }
        "RESUMING" => progressing("the application is resumed"),
        "SUSPENDING" | "SUSPENDED" => suspended("the application is suspended"),
        _ => application(view),
    }
}

fn submissions_left(view: View<'_>, restart: &str) -> bool {
    let retries = view
        .spec(&["restartPolicy", "onSubmissionFailureRetries"])
        .number();
    match restart {
        "Always" => true,
        "OnFailure" => retries.is_some_and(|retries| view.count("submissionAttempts") <= retries),
        _ => false,
    }
}

fn scheduled(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    if view.spec(&["suspend"]).is_true() {
        return suspended("the schedule is suspended");
    }
    match view.status(&["scheduleState"]).text() {
        "Scheduled" => {
            let last = view.status(&["lastRunName"]).text();
            healthy(if last.is_empty() {
                "scheduled".to_owned()
            } else {
                format!("scheduled, last run {last}")
            })
        }
        "FailedValidation" => degraded(view.status(&["reason"]).text()),
        _ => progressing("Waiting for the Spark operator"),
    }
}

fn connect(subject: &Subject<'_>) -> Health {
    if let Some(waiting) = subject.unobserved() {
        return waiting;
    }
    match subject.view.status(&["state"]).text() {
        "Ready" => healthy("server is ready"),
        "Failed" => degraded("server has failed"),
        "" => progressing("Waiting for the Spark operator"),
        other => progressing(other),
    }
}
