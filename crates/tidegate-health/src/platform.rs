//! Whole families of groups: ACK, Crossplane and Upbound, Config Connector, Pulumi, Flux. Source: Argo CD's scripts.

use tidegate_manifest::Health;

use crate::{
    Subject,
    table::unobserved_condition,
    verdict::{degraded, healthy, progressing, suspended},
    view::View,
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let (group, view) = (subject.group, subject.view);
    let in_family = |family: &str| {
        group
            .strip_suffix(family)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    };
    match (group, subject.kind) {
        ("pkg.crossplane.io", "Provider") => {
            return Some(subject.unobserved().unwrap_or_else(|| provider(view)));
        }
        ("s3.aws.crossplane.io" | "rds.aws.crossplane.io" | "iam.aws.crossplane.io", kind) => {
            return Some(
                subject
                    .unobserved()
                    .unwrap_or_else(|| native_crossplane(view, kind)),
            );
        }
        ("pulumi.com", "Stack") => return Some(pulumi(view)),
        ("source.toolkit.fluxcd.io", _) => {
            return Some(
                subject
                    .unobserved()
                    .unwrap_or_else(|| flux(subject, &["ArtifactInStorage"], 2)),
            );
        }
        ("kustomize.toolkit.fluxcd.io", _) => {
            return Some(
                subject
                    .unobserved()
                    .unwrap_or_else(|| flux(subject, &[], 1)),
            );
        }
        ("helm.toolkit.fluxcd.io", _) => {
            return Some(
                subject
                    .unobserved()
                    .unwrap_or_else(|| flux(subject, &[], 1)),
            );
        }
        _ => {}
    }
    if in_family("services.k8s.aws") {
        return Some(ack(subject));
    }
    if in_family("crossplane.io") {
        return Some(crossplane(
            subject,
            CROSSPLANE_WITHOUT_STATUS,
            CROSSPLANE_READY,
        ));
    }
    if in_family("upbound.io") {
        return Some(crossplane(subject, UPBOUND_WITHOUT_STATUS, &["Ready"]));
    }
    if in_family("cnrm.cloud.google.com") {
        return Some(config_connector(subject));
    }
    None
}

fn ack(subject: &Subject<'_>) -> Health {
    let conditions = subject.view.conditions();
    let waiting = || progressing("Waiting for resource to be ready");
    // A controller that stopped for good says so among its other conditions, before or after them.
    if subject.precise()
        && let Some(terminal) = conditions
            .iter()
            .find(|condition| condition.is_true("ACK.Terminal"))
    {
        return degraded(terminal.message);
    }
    let decided =
        conditions
            .iter()
            .find_map(|condition| match (condition.kind, condition.status) {
                ("ACK.Terminal", "True") => Some(degraded(condition.message)),
                ("Ready", "False") => Some(progressing(condition.message)),
                ("Ready", "True") => {
                    Some(unobserved_condition(subject, condition).unwrap_or_else(|| healthy("")))
                }
                _ => None,
            });
    decided.unwrap_or_else(waiting)
}

const CROSSPLANE_WITHOUT_STATUS: &[&str] = &[
    "Composition",
    "CompositionRevision",
    "DeploymentRuntimeConfig",
    "ClusterProviderConfig",
    "ProviderConfig",
    "ProviderConfigUsage",
    "ControllerConfig",
];
const CROSSPLANE_READY: &[&str] = &[
    "Ready",
    "Healthy",
    "Offered",
    "Established",
    "ValidPipeline",
    "RevisionHealthy",
];
const UPBOUND_WITHOUT_STATUS: &[&str] = &[
    "ClusterProviderConfig",
    "ProviderConfig",
    "ProviderConfigUsage",
];

fn crossplane(subject: &Subject<'_>, without_status: &[&str], ready: &[&str]) -> Health {
    let view = subject.view;
    let provisioning = || progressing("Provisioning ...");
    let has_none = without_status.contains(&subject.kind);
    if view.status(&[]).is_empty() {
        // To Argo CD any kind without a status is up to date, by a slip of precedence in its script.
        let absent = !view.at(&["status"]).exists();
        return if has_none || (absent && !subject.precise()) {
            healthy("Resource is up-to-date.")
        } else {
            provisioning()
        };
    }
    if !view.status(&["conditions"]).exists() {
        let used = matches!(subject.kind, "ProviderConfig" | "ClusterProviderConfig")
            && view.status(&["users"]).exists();
        return if used {
            healthy("Resource is in use.")
        } else {
            provisioning()
        };
    }
    let conditions = view.conditions();
    let failed = |kind: &str| conditions.iter().find(|condition| condition.is_false(kind));
    // A failure counts wherever it stands in the list.
    if subject.precise()
        && let Some(failed) = failed("LastAsyncOperation").or_else(|| failed("Synced"))
    {
        return unobserved_condition(subject, failed).unwrap_or_else(|| degraded(failed.message));
    }
    let decided = conditions
        .iter()
        .find_map(|condition| match condition.kind {
            "LastAsyncOperation" | "Synced" if condition.status == "False" => {
                Some(degraded(condition.message))
            }
            kind if ready.contains(&kind) && condition.status == "True" => Some(
                unobserved_condition(subject, condition)
                    .unwrap_or_else(|| healthy("Resource is up-to-date.")),
            ),
            _ => None,
        });
    decided.unwrap_or_else(provisioning)
}

fn provider(view: View<'_>) -> Health {
    let conditions = view.conditions();
    if !view.status(&["conditions"]).exists() {
        return progressing("Waiting for provider to be installed");
    }
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let (installed, working) = (find("Installed"), find("Healthy"));
    let reason = |condition: Option<&crate::view::Condition<'_>>| {
        condition
            .map(|condition| condition.reason.to_owned())
            .unwrap_or_default()
    };
    let message = format!("{} {}", reason(installed), reason(working))
        .trim()
        .to_owned();
    let both = [installed, working]
        .iter()
        .all(|condition| condition.is_some_and(|condition| condition.status == "True"));
    if both {
        healthy(message)
    } else {
        degraded(message)
    }
}

/// Kinds of the classic AWS provider.
fn native_crossplane(view: View<'_>, kind: &str) -> Health {
    if !view.status(&["conditions"]).exists() {
        return progressing(format!("Waiting for {kind} to be created"));
    }
    let conditions = view.conditions();
    let find = |kind: &str| {
        conditions
            .iter()
            .rev()
            .find(|condition| condition.kind == kind)
    };
    let (ready, synced) = (find("Ready"), find("Synced"));
    let holds = |condition: Option<&crate::view::Condition<'_>>| {
        condition.is_some_and(|condition| condition.status == "True")
    };
    match (holds(ready), holds(synced)) {
        (true, true) => healthy(ready.map(|ready| ready.reason).unwrap_or_default()),
        (_, false) if synced.is_some_and(|synced| synced.reason == "ReconcilePaused") => {
            suspended("ReconcilePaused")
        }
        (false, true) => progressing(format!("Waiting for {kind} to be available")),
        (_, false) => degraded(synced.map(|synced| synced.message).unwrap_or_default()),
    }
}

fn config_connector(subject: &Subject<'_>) -> Health {
    let (view, kind) = (subject.view, subject.kind);
    let updating = || progressing("Update in progress");
    let observed = view.status(&["observedGeneration"]).number();
    if observed.is_some() && observed != view.generation() {
        return updating();
    }
    let working = view.status(&["healthy"]);
    if matches!(kind, "ConfigConnector" | "ConfigConnectorContext") && working.exists() {
        return if working.is_true() {
            healthy(format!("{kind} is healthy"))
        } else {
            degraded(format!("{kind} is not healthy"))
        };
    }
    let decided = view
        .conditions()
        .iter()
        .find_map(|condition| match condition.reason {
            "UpToDate" if condition.status == "True" => Some(healthy(condition.message)),
            "UpdateFailed" | "DependencyNotFound" => Some(degraded(condition.message)),
            "DependencyNotReady" => Some(suspended(condition.message)),
            _ => None,
        });
    decided.unwrap_or_else(updating)
}

fn pulumi(view: View<'_>) -> Health {
    let waiting = || progressing("Waiting for the stack to be reconciled");
    if let Some(observed) = view.status(&["observedGeneration"]).number()
        && Some(observed) != view.generation()
    {
        return waiting();
    }
    let decided =
        view.conditions()
            .iter()
            .find_map(|condition| match (condition.kind, condition.status) {
                ("Stalled", "True") => Some(degraded(condition.message)),
                ("Reconciling", "True") => Some(progressing(condition.message)),
                ("Ready", "True") => Some(healthy(condition.message)),
                _ => None,
            });
    decided.unwrap_or_else(waiting)
}

/// Flux: `also` names the conditions that have to be True beside Ready, `wanted` how many that makes.
fn flux(subject: &Subject<'_>, also: &[&str], wanted: usize) -> Health {
    let view = subject.view;
    if view.spec(&["suspend"]).is_true() {
        return suspended(format!("{} is suspended", subject.kind));
    }
    if !view.status(&["conditions"]).exists() {
        return progressing("Status unknown");
    }
    let (mut going, mut done, mut message) = (0, 0, String::new());
    for condition in view.conditions() {
        match (condition.kind, condition.status) {
            ("Ready", status) => {
                going += usize::from(status == "Unknown");
                done += usize::from(status == "True");
                message = condition.reason.to_owned();
            }
            ("Reconciling", "True") => going += 1,
            ("ArtifactOutdated", "True") => message = format!("{message} {}", condition.reason),
            (kind, "True") if also.contains(&kind) => done += 1,
            _ => {}
        }
    }
    match () {
        () if going == 2 => progressing(message),
        () if done == wanted => healthy(message),
        () => degraded(message),
    }
}
