//! Knative serving, eventing and its operator, and KServe. Sources: Argo CD's scripts; Knative's condition contract for the kinds that
//! Argo CD does not check.

use tidegate_manifest::Health;

use crate::{
    Subject,
    table::by_condition,
    verdict::{degraded, healthy, progressing, suspended},
    view::{Condition, View},
};

/// Groups whose kinds all follow Knative's contract: one `Ready` that sums up the rest.
const CONTRACT_GROUPS: &[&str] = &[
    "serving.knative.dev",
    "eventing.knative.dev",
    "messaging.knative.dev",
    "flows.knative.dev",
    "sources.knative.dev",
    "sinks.knative.dev",
];
/// Kinds of these groups that carry no status.
const WITHOUT_STATUS: &[&str] = &[
    "EventType",
    "EventPolicy",
    "DomainMappingClaim",
    "ClusterDomainClaim",
];

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let view = subject.view;
    match (subject.group, subject.kind) {
        ("serving.knative.dev", "Service") => {
            Some(subject.unobserved().unwrap_or_else(|| service(view)))
        }
        ("operator.knative.dev", "KnativeServing") => {
            Some(subject.unobserved().unwrap_or_else(|| {
                operator(
                    view,
                    "KnativeServing",
                    &[
                        "Ready",
                        "InstallSucceeded",
                        "DependenciesInstalled",
                        "DeploymentsAvailable",
                    ],
                    &["Ready", "DeploymentsAvailable"],
                )
            }))
        }
        ("operator.knative.dev", "KnativeEventing") => {
            Some(subject.unobserved().unwrap_or_else(|| {
                operator(
                    view,
                    "KnativeEventing",
                    &["Ready", "InstallSucceeded"],
                    &["Ready"],
                )
            }))
        }
        ("serving.kserve.io", "InferenceService") => Some(
            subject
                .unobserved()
                .unwrap_or_else(|| inference_service(view)),
        ),
        (group, kind)
            if subject.precise()
                && CONTRACT_GROUPS.contains(&group)
                && !WITHOUT_STATUS.contains(&kind) =>
        {
            Some(
                subject.unobserved().unwrap_or_else(|| {
                    by_condition(subject, "Ready", "Waiting for status update.")
                }),
            )
        }
        _ => None,
    }
}

/// One line for each condition that is not True.
fn complaints(conditions: &[Condition<'_>]) -> String {
    let mut text = String::new();
    for condition in conditions
        .iter()
        .filter(|condition| matches!(condition.status, "False" | "Unknown"))
    {
        text.push_str(&format!("{} is {}", condition.kind, condition.status));
        if !condition.reason.is_empty() {
            text.push_str(&format!(", since {}.", condition.reason));
        }
        if !condition.message.is_empty() {
            text.push_str(&format!(" {}", condition.message));
        }
        text.push('\n');
    }
    text
}

fn service(view: View<'_>) -> Health {
    if !view.status(&["conditions"]).exists() {
        return progressing("Waiting for status update.");
    }
    let conditions = view.conditions();
    let any = |status: &str| {
        conditions
            .iter()
            .any(|condition| condition.status == status)
    };
    let wanted = ["ConfigurationsReady", "RoutesReady", "Ready"];
    if any("False") {
        degraded(complaints(&conditions))
    } else if !any("Unknown")
        && wanted
            .iter()
            .all(|kind| conditions.iter().any(|condition| condition.is_true(kind)))
    {
        healthy("Knative Service is healthy.")
    } else {
        progressing(complaints(&conditions))
    }
}

/// `patient` lists the conditions whose False only means that it is not done yet.
fn operator(view: View<'_>, kind: &str, wanted: &[&str], patient: &[&str]) -> Health {
    if !view.status(&["conditions"]).exists() {
        return progressing(format!("Waiting for {kind}"));
    }
    let conditions = view.conditions();
    let listed = || -> String {
        conditions
            .iter()
            .enumerate()
            .map(|(at, condition)| {
                format!("{}: {} | {}\n", at + 1, condition.kind, condition.status)
            })
            .collect()
    };
    let open = |condition: &Condition<'_>| {
        condition.status == "Unknown"
            || (condition.status == "False" && patient.contains(&condition.kind))
    };
    if conditions.iter().any(open) {
        progressing(listed())
    } else if wanted
        .iter()
        .all(|kind| conditions.iter().any(|condition| condition.is_true(kind)))
    {
        healthy(format!("{kind} is healthy."))
    } else {
        degraded(listed())
    }
}

fn inference_service(view: View<'_>) -> Health {
    let conditions = view.conditions();
    if conditions
        .iter()
        .any(|condition| condition.is_true("Stopped"))
    {
        return suspended("InferenceService is Stopped");
    }
    let model = view.status(&["modelStatus"]);
    let transition = model.at(&["transitionStatus"]).text();
    if !matches!(transition, "" | "UpToDate") {
        let failure = model.at(&["lastFailureInfo", "message"]).text();
        let message = if failure.is_empty() {
            format!("InferenceService is {transition}")
        } else {
            format!("InferenceService is {transition}: {failure}")
        };
        return if transition == "InProgress" {
            progressing(message)
        } else {
            degraded(message)
        };
    }
    // `Stopped=False` is what a running service says.
    let rest: Vec<Condition<'_>> = conditions
        .into_iter()
        .filter(|condition| condition.kind != "Stopped")
        .collect();
    if rest.is_empty() {
        return progressing("Waiting for InferenceService to report status...");
    }
    if rest.iter().any(|condition| condition.status == "False") {
        degraded(complaints(&rest))
    } else if rest.iter().any(|condition| condition.status == "Unknown") {
        progressing(complaints(&rest))
    } else {
        healthy("InferenceService is healthy.")
    }
}
