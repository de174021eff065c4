//! Deployments, StatefulSets, DaemonSets, ReplicaSets and Pods, in Argo CD's words. Source: its Go checks.

use tidegate_manifest::{Health, annotation};

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, suspended, unknown},
    view::View,
};

/// Makes a pod that ends by itself fail early, as one that is restarted does (Argo CD).
const IGNORE_RESTART_POLICY: &str = "argocd.argoproj.io/ignore-restart-policy";

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let check = match (subject.group, subject.kind) {
        ("apps", "Deployment") => deployment,
        ("apps", "StatefulSet") => stateful_set,
        ("apps", "DaemonSet") => daemon_set,
        ("apps", "ReplicaSet") => replica_set,
        ("", "Pod") => return Some(pod(subject)),
        _ => return None,
    };
    if subject.version != "apps/v1" {
        return Some(unsupported(subject, subject.kind));
    }
    Some(check(subject.view))
}

/// The words of Argo CD for a version that it does not know.
pub(crate) fn unsupported(subject: &Subject<'_>, what: &str) -> Health {
    unknown(format!(
        "unsupported {what} GVK: {}, Kind={}",
        subject.version, subject.kind
    ))
}

fn observed(view: View<'_>) -> bool {
    view.generation().unwrap_or_default() <= view.count("observedGeneration")
}

fn deployment(view: View<'_>) -> Health {
    if view.spec(&["paused"]).is_true() {
        return suspended("Deployment is paused");
    }
    if !observed(view) {
        return progressing(
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let (replicas, updated, available) = (
        view.count("replicas"),
        view.count("updatedReplicas"),
        view.count("availableReplicas"),
    );
    let late = |condition: &crate::view::Condition<'_>| {
        condition.kind == "Progressing" && condition.reason == "ProgressDeadlineExceeded"
    };
    if view.conditions().iter().any(late) {
        return degraded(format!(
            "Deployment \"{}\" exceeded its progress deadline",
            view.name()
        ));
    }
    if let Some(wanted) = view
        .spec(&["replicas"])
        .number()
        .filter(|wanted| updated < *wanted)
    {
        return progressing(format!(
            "Waiting for rollout to finish: {updated} out of {wanted} new replicas have been updated..."
        ));
    }
    if replicas > updated {
        return progressing(format!(
            "Waiting for rollout to finish: {} old replicas are pending termination...",
            replicas - updated
        ));
    }
    if available < updated {
        return progressing(format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        ));
    }
    healthy("")
}

fn stateful_set(view: View<'_>) -> Health {
    if view.count("observedGeneration") == 0 || !observed(view) {
        return progressing("Waiting for statefulset spec update to be observed...");
    }
    let (ready, updated) = (view.count("readyReplicas"), view.count("updatedReplicas"));
    let wanted = view.spec(&["replicas"]).number();
    if let Some(wanted) = wanted.filter(|wanted| ready < *wanted) {
        return progressing(format!(
            "Waiting for {} pods to be ready...",
            wanted - ready
        ));
    }
    let strategy = view.spec(&["updateStrategy"]);
    if strategy.at(&["type"]).text() == "RollingUpdate" && strategy.at(&["rollingUpdate"]).exists()
    {
        if let (Some(wanted), Some(partition)) = (
            wanted,
            strategy.at(&["rollingUpdate", "partition"]).number(),
        ) && updated < wanted - partition
        {
            let wanted = wanted - partition;
            return progressing(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
            ));
        }
        return healthy(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        ));
    }
    if strategy.at(&["type"]).text() == "OnDelete" {
        return healthy(format!("statefulset has {ready} ready pods"));
    }
    let (new, current) = (
        view.status(&["updateRevision"]).text(),
        view.status(&["currentRevision"]).text(),
    );
    if new != current {
        return progressing(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {new}..."
        ));
    }
    healthy(format!(
        "statefulset rolling update complete {} pods at revision {current}...",
        view.count("currentReplicas")
    ))
}

fn daemon_set(view: View<'_>) -> Health {
    if !observed(view) {
        return progressing(
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let (wanted, updated) = (
        view.count("desiredNumberScheduled"),
        view.count("updatedNumberScheduled"),
    );
    if view.spec(&["updateStrategy", "type"]).text() == "OnDelete" {
        return healthy(format!(
            "daemon set {updated} out of {wanted} new pods have been updated"
        ));
    }
    let name = view.name();
    if updated < wanted {
        return progressing(format!(
            "Waiting for daemon set \"{name}\" rollout to finish: {updated} out of {wanted} new pods have been updated..."
        ));
    }
    let available = view.count("numberAvailable");
    if available < wanted {
        return progressing(format!(
            "Waiting for daemon set \"{name}\" rollout to finish: {available} of {wanted} updated pods are available..."
        ));
    }
    healthy("")
}

fn replica_set(view: View<'_>) -> Health {
    if !observed(view) {
        return progressing(
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    if let Some(failure) = view
        .conditions()
        .iter()
        .find(|condition| condition.is_true("ReplicaFailure"))
    {
        return degraded(failure.message);
    }
    let available = view.count("availableReplicas");
    if let Some(wanted) = view
        .spec(&["replicas"])
        .number()
        .filter(|wanted| available < *wanted)
    {
        return progressing(format!(
            "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
        ));
    }
    healthy("")
}

fn pod(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    if subject.version != "v1" {
        return unsupported(subject, "Pod");
    }
    let restarts = view.spec(&["restartPolicy"]).text();
    let is_hook = [annotation::HOOK, annotation::HELM_HOOK]
        .iter()
        .any(|name| view.annotation(name).is_some());
    // A hook that cannot pull its image may still come to run: failing it early would run it after its sync has ended.
    if restarts == "Always" || (view.annotation(IGNORE_RESTART_POLICY) == Some("true") && !is_hook)
    {
        let mut messages: Vec<&str> = waiting_errors(view, "containerStatuses");
        if subject.precise() {
            messages.extend(waiting_errors(view, "initContainerStatuses"));
        }
        if !messages.is_empty() {
            return degraded(messages.join(", "));
        }
    }
    let message = view.status(&["message"]).text();
    match (view.status(&["phase"]).text(), restarts) {
        ("Pending", _) => progressing(message),
        ("Succeeded", _) => healthy(message),
        ("Failed", _) => degraded(failure_of_pod(view)),
        ("Running", "Always") => running_pod(view, message),
        ("Running", "OnFailure" | "Never") => progressing(message),
        _ => unknown(message),
    }
}

/// What containers wait for that looks like an error.
fn waiting_errors<'a>(view: View<'a>, statuses: &str) -> Vec<&'a str> {
    let is_error = |reason: &str| {
        reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff")
    };
    let waiting = view
        .status(&[statuses])
        .items()
        .map(|container| container.at(&["state", "waiting"]));
    waiting
        .filter(|waiting| is_error(waiting.at(&["reason"]).text()))
        .map(|waiting| waiting.at(&["message"]).text())
        .collect()
}

fn running_pod(view: View<'_>, message: &str) -> Health {
    if view
        .conditions()
        .iter()
        .any(|condition| condition.is_true("Ready"))
    {
        return healthy(message);
    }
    let was_terminated = |container: View<'_>| container.at(&["lastState", "terminated"]).exists();
    if view
        .status(&["containerStatuses"])
        .items()
        .any(was_terminated)
    {
        degraded(message)
    } else {
        progressing(message)
    }
}

fn failure_of_pod(view: View<'_>) -> String {
    let message = view.status(&["message"]).text();
    if !message.is_empty() {
        return message.to_owned();
    }
    let containers = view
        .status(&["initContainerStatuses"])
        .items()
        .chain(view.status(&["containerStatuses"]).items());
    let failure = |container: View<'_>| {
        let ended = container.at(&["state", "terminated"]);
        let code = ended.at(&["exitCode"]).number().unwrap_or_default();
        match (ended.at(&["message"]).text(), ended.at(&["reason"]).text()) {
            ("", "OOMKilled") => Some("OOMKilled".to_owned()),
            ("", _) if code != 0 => Some(format!(
                "container \"{}\" failed with exit code {code}",
                container.at(&["name"]).text()
            )),
            ("", _) => None,
            (message, _) => Some(message.to_owned()),
        }
    };
    let mut failures = containers.filter_map(failure);
    failures.next().unwrap_or_default()
}
