//! The Flink Kubernetes operator. Argo CD looks at the deployment alone; the precise verdict looks at the job, for a job can fail in a
//! deployment that is fine. Sources: Argo CD's script; the operator's status types and its order of lifecycle states.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use tidegate_manifest::Health;

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended},
    view::View,
};

/// How long a stable job may restart before it counts as failing.
pub(crate) const RESTART_GRACE: Duration = Duration::from_secs(300);

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    if subject.group != "flink.apache.org" {
        return None;
    }
    match (subject.kind, subject.precise()) {
        ("FlinkDeployment", false) => Some(compatible(subject.view)),
        ("FlinkDeployment" | "FlinkSessionJob", true) => Some(lifecycle(subject)),
        ("FlinkStateSnapshot", true) => Some(snapshot(subject.view)),
        ("FlinkBlueGreenDeployment", true) => Some(blue_green(subject)),
        _ => None,
    }
}

fn compatible(view: View<'_>) -> Health {
    let reconciliation = view.status(&["reconciliationStatus"]);
    if reconciliation.exists() {
        if reconciliation.at(&["success"]).is_true()
            || reconciliation.at(&["state"]).text() == "DEPLOYED"
        {
            return healthy("");
        }
        match view.status(&["jobManagerDeploymentStatus"]).text() {
            "DEPLOYED_NOT_READY" | "DEPLOYING" => return progressing("Waiting for deploying"),
            "ERROR" => return degraded(reconciliation.at(&["error"]).text()),
            _ => {}
        }
    }
    progressing("Waiting for Flink operator")
}

fn lifecycle(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    if !view.at(&["status"]).exists() {
        return progressing("Waiting for Flink operator");
    }
    if let Some(waiting) = subject.unobserved() {
        return waiting;
    }
    let error = error(view);
    let or = |words: &str| {
        if error.is_empty() {
            words.to_owned()
        } else {
            error.clone()
        }
    };
    match state(view) {
        "CREATED" => progressing(or("created, not deployed yet")),
        "UPGRADING" => progressing(or("upgrading")),
        "DELETING" | "DELETED" => progressing(or("being deleted")),
        "DEPLOYED" => progressing(or("deployed, not stable yet")),
        "ROLLING_BACK" => progressing(or("rolling back to the last stable specification")),
        "ROLLED_BACK" => degraded(or(
            "rolled back by the Flink operator: the last stable specification runs, not this one",
        )),
        "SUSPENDED" => suspended("job is suspended"),
        "FAILED" => degraded(or("job has failed")),
        "STABLE" => running(subject, &error),
        other => progressing(format!("lifecycle state {other}")),
    }
}

/// `status.lifecycleState`, or what newer operators would compute for a status without it.
fn state(view: View<'_>) -> &str {
    let told = view.status(&["lifecycleState"]).text();
    if !told.is_empty() {
        return told;
    }
    let reconciliation = view.status(&["reconciliationStatus"]);
    let (last, stable) = (
        reconciliation.at(&["lastReconciledSpec"]).text(),
        reconciliation.at(&["lastStableSpec"]).text(),
    );
    let failed = !view.status(&["error"]).text().is_empty();
    let (manager, job) = (
        view.status(&["jobManagerDeploymentStatus"]).text(),
        view.status(&["jobStatus", "state"]).text(),
    );
    match reconciliation.at(&["state"]).text() {
        _ if last.is_empty() && failed => "FAILED",
        "" if !reconciliation.at(&["success"]).is_true() => "CREATED",
        "UPGRADING" => "UPGRADING",
        "ROLLING_BACK" => "ROLLING_BACK",
        _ if wants_suspension(last) => "SUSPENDED",
        _ if job == "FAILED" => "FAILED",
        _ if matches!(manager, "MISSING" | "ERROR") && failed => "FAILED",
        "ROLLED_BACK" => "ROLLED_BACK",
        _ if !stable.is_empty() && stable == last => "STABLE",
        // Statuses of old operators know no stable specification.
        _ if stable.is_empty()
            && matches!(manager, "READY" | "")
            && matches!(job, "RUNNING" | "FINISHED") =>
        {
            "STABLE"
        }
        _ => "DEPLOYED",
    }
}

/// The reconciled specification is kept as JSON text.
fn wants_suspension(specification: &str) -> bool {
    let Ok(parsed) = serde_json::from_str::<Value>(specification) else {
        return false;
    };
    let view = View::new(&parsed);
    [&["spec", "job", "state"][..], &["job", "state"]]
        .iter()
        .any(|path| view.at(path).text().eq_ignore_ascii_case("suspended"))
}

/// `status.error` is JSON with a message, or plain text.
fn error(view: View<'_>) -> String {
    let text = view.status(&["error"]).text();
    let parsed = serde_json::from_str::<Value>(text).ok();
    let message = parsed
        .as_ref()
        .map(|parsed| View::new(parsed).at(&["message"]).text())
        .filter(|message| !message.is_empty());
    message.unwrap_or(text).to_owned()
}

fn running(subject: &Subject<'_>, error: &str) -> Health {
    let view = subject.view;
    let manager = view.status(&["jobManagerDeploymentStatus"]).text();
    match manager {
        "" | "READY" => {}
        "MISSING" | "ERROR" => {
            return degraded(if error.is_empty() {
                format!("job manager is {manager}")
            } else {
                error.to_owned()
            });
        }
        _ => return progressing(format!("job manager is {manager}")),
    }
    let has_job = subject.kind == "FlinkSessionJob" || view.spec(&["job"]).exists();
    if !has_job {
        return healthy("session cluster is ready");
    }
    let job = view.status(&["jobStatus", "state"]).text();
    match job {
        "RUNNING" => healthy("job is running"),
        "FINISHED" => healthy("job has finished"),
        "FAILED" => degraded(if error.is_empty() {
            "job has failed".to_owned()
        } else {
            error.to_owned()
        }),
        "SUSPENDED" | "CANCELED" => suspended(format!("job is {job}")),
        "" => progressing("state of the job is not known yet"),
        _ if unsettled_for_long(subject) => degraded(format!(
            "job is {job} for more than {} minutes",
            RESTART_GRACE.as_secs() / 60
        )),
        _ => progressing(format!("job is {job}")),
    }
}

/// True when the job has been in its state for longer than a restart should take.
fn unsettled_for_long(subject: &Subject<'_>) -> bool {
    let Some(now) = subject
        .options
        .now
        .and_then(|now| now.duration_since(UNIX_EPOCH).ok())
    else {
        return false;
    };
    let since = subject
        .view
        .status(&["jobStatus", "updateTime"])
        .number()
        .and_then(|millis| u64::try_from(millis).ok());
    since.is_some_and(|since| now.saturating_sub(Duration::from_millis(since)) > RESTART_GRACE)
}

fn snapshot(view: View<'_>) -> Health {
    let error = view.status(&["error"]).text();
    match view.status(&["state"]).text() {
        "COMPLETED" => healthy(view.status(&["path"]).text()),
        "FAILED" | "ABANDONED" => degraded(if error.is_empty() {
            "snapshot was not taken"
        } else {
            error
        }),
        "IN_PROGRESS" => progressing("snapshot is being taken"),
        _ => progressing("Waiting for Flink operator"),
    }
}

fn blue_green(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    if let Some(waiting) = subject.unobserved() {
        return waiting;
    }
    let error = error(view);
    let state = view.status(&["blueGreenState"]).text();
    let job = view.status(&["jobStatus", "state"]).text();
    if job == "FAILED" || (!error.is_empty() && state.starts_with("ACTIVE")) {
        return degraded(if error.is_empty() {
            "job has failed".to_owned()
        } else {
            error
        });
    }
    match state {
        "" => progressing("Waiting for Flink operator"),
        "ACTIVE_BLUE" | "ACTIVE_GREEN" => healthy(state),
        _ => progressing(if error.is_empty() {
            state.to_owned()
        } else {
            error
        }),
    }
}
