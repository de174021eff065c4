//! Argo Rollouts, Workflows and Events. Sources: Argo CD's Go check and scripts. ApplicationSet and EventBus are in `table`.

use tidegate_manifest::Health;

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended, unknown},
    view::View,
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    if subject.group != "argoproj.io" {
        return None;
    }
    let view = subject.view;
    match subject.kind {
        "Rollout" => Some(rollout(view)),
        "AnalysisRun" => Some(analysis_run(view)),
        "Experiment" => Some(experiment(view)),
        "Workflow" => Some(workflow(view)),
        "CronWorkflow" => Some(cron_workflow(view)),
        "Sensor" | "EventSource" if subject.precise() => Some(
            subject
                .unobserved()
                .unwrap_or_else(|| event_component(view)),
        ),
        _ => None,
    }
}

fn workflow(view: View<'_>) -> Health {
    let message = view.status(&["message"]).text();
    match view.status(&["phase"]).text() {
        "" | "Pending" | "Running" => progressing(message),
        "Succeeded" => healthy(message),
        "Failed" | "Error" => degraded(message),
        _ => unknown(message),
    }
}

fn cron_workflow(view: View<'_>) -> Health {
    let decided =
        view.conditions()
            .iter()
            .find_map(|condition| match (condition.kind, condition.status) {
                ("SpecError" | "SubmissionError", "True") => Some(degraded(condition.message)),
                ("Completed", "True") => Some(healthy(condition.message)),
                _ => None,
            });
    decided.unwrap_or_else(|| healthy("CronWorkflow is healthy."))
}

fn analysis_run(view: View<'_>) -> Health {
    let or = |default: &str| {
        let message = view.status(&["message"]).text();
        if message.is_empty() {
            default.to_owned()
        } else {
            message.to_owned()
        }
    };
    match view.status(&["phase"]).text() {
        "Pending" | "Running" => progressing("Analysis run is running"),
        "Successful" => healthy(or("Analysis run completed successfully")),
        "Failed" => degraded(or("Analysis run failed")),
        "Error" => degraded(or("Analysis run had an error")),
        "Inconclusive" => unknown(or("Analysis run was inconclusive")),
        _ => progressing("Waiting for analysis run to finish: status has not been reconciled."),
    }
}

fn experiment(view: View<'_>) -> Health {
    match view.status(&["phase"]).text() {
        "Pending" => progressing("Experiment is pending"),
        "Running" => progressing("Experiment is running"),
        "Successful" => healthy("Experiment is successful"),
        "Failed" => degraded("Experiment has failed"),
        "Error" => degraded("Experiment had an error"),
        "Inconclusive" => unknown("Experiment was inconclusive"),
        _ => progressing("Waiting for experiment to finish: status has not been reconciled."),
    }
}

/// Argo Events: any condition that is False has failed, `Deployed` tells that it runs.
fn event_component(view: View<'_>) -> Health {
    let conditions = view.conditions();
    if let Some(failed) = conditions
        .iter()
        .find(|condition| condition.status == "False")
    {
        return degraded(format!("{}: {}", failed.kind, failed.words()));
    }
    let settled = conditions
        .iter()
        .all(|condition| condition.status == "True");
    if settled
        && conditions
            .iter()
            .any(|condition| condition.kind == "Deployed")
    {
        healthy("")
    } else {
        progressing("Waiting for initialization")
    }
}

fn rollout(view: View<'_>) -> Health {
    let waiting = || progressing("Waiting for rollout spec update to be observed");
    // Written as text by Argo Rollouts.
    let Some(observed) = view.status(&["observedGeneration"]).number() else {
        let unreadable = view.status(&["observedGeneration"]).exists();
        // Before 1.0 it was a hash, which says nothing about the generation.
        return if unreadable {
            replicas_of_rollout(view)
        } else {
            waiting()
        };
    };
    if view
        .generation()
        .is_some_and(|generation| generation != observed)
        || workload_is_behind(view)
    {
        return waiting();
    }
    let message = view.status(&["message"]).text();
    match view.status(&["phase"]).text() {
        "Healthy" => healthy(message),
        "Degraded" => degraded(message),
        "Progressing" => progressing(message),
        "Paused" => suspended(if message.is_empty() {
            "Rollout is paused"
        } else {
            message
        }),
        _ => replicas_of_rollout(view),
    }
}

/// A Rollout may take its pods from a Deployment, whose generation is noted in an annotation.
fn workload_is_behind(view: View<'_>) -> bool {
    if !view.spec(&["workloadRef"]).exists() {
        return false;
    }
    let wanted = view
        .annotation("rollout.argoproj.io/workload-generation")
        .and_then(|text| text.parse::<i64>().ok());
    let observed = view.status(&["workloadObservedGeneration"]).number();
    wanted
        .zip(observed)
        .is_some_and(|(wanted, observed)| wanted != observed)
}

/// Objects of versions that know no phase.
fn replicas_of_rollout(view: View<'_>) -> Health {
    for condition in view.conditions() {
        let aborted = condition.kind == "Progressing"
            && matches!(
                condition.reason,
                "RolloutAborted" | "ProgressDeadlineExceeded"
            );
        if condition.kind == "InvalidSpec" || aborted {
            return degraded(condition.message);
        }
    }
    if !view.status(&["pauseConditions"]).is_empty() || view.spec(&["paused"]).is_true() {
        return suspended("Rollout is paused");
    }
    let current = view.status(&["currentPodHash"]).text();
    if current.is_empty() {
        return progressing("Waiting for rollout to finish: status has not been reconciled.");
    }
    let wanted = view.spec(&["replicas"]).number().unwrap_or(1);
    let (replicas, updated, available) = (
        view.count("replicas"),
        view.count("updatedReplicas"),
        view.count("availableReplicas"),
    );
    if updated < wanted {
        return progressing("Waiting for roll out to finish: More replicas need to be updated");
    }
    if available < updated {
        return progressing(
            "Waiting for roll out to finish: updated replicas are still becoming available",
        );
    }
    let stable = match view.status(&["stableRS"]).text() {
        "" => view.status(&["canary", "stableRS"]).text(),
        stable => stable,
    };
    if view.spec(&["strategy", "blueGreen"]).exists() {
        if view.status(&["blueGreen", "activeSelector"]).text() != current {
            return progressing("active service cutover pending");
        }
        if !stable.is_empty() && stable != current {
            return progressing("waiting for analysis to complete");
        }
    } else if view.spec(&["strategy", "canary"]).exists() {
        if replicas > updated {
            return progressing(
                "Waiting for roll out to finish: old replicas are pending termination",
            );
        }
        if stable != current {
            return progressing("Waiting for rollout to finish steps");
        }
    }
    healthy("")
}
