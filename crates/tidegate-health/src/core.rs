//! Services, ingresses, claims, autoscalers, API services, disruption budgets and CRDs. Sources: Argo CD's Go checks and scripts.

use serde_json::Value;
use tidegate_manifest::Health;

use crate::{
    Subject,
    verdict::{degraded, healthy, progressing, unknown},
    view::{Condition, View},
    workloads::unsupported,
};

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let view = subject.view;
    match (subject.group, subject.kind) {
        ("", "Service" | "PersistentVolumeClaim") if subject.version != "v1" => {
            Some(unsupported(subject, subject.kind))
        }
        ("", "Service") => Some(service(view)),
        ("", "PersistentVolumeClaim") => Some(claim(view)),
        ("networking.k8s.io" | "extensions", "Ingress") => Some(ingress(view)),
        ("autoscaling", "HorizontalPodAutoscaler") => Some(autoscaler(subject)),
        ("apiregistration.k8s.io", "APIService") => match subject.version {
            "apiregistration.k8s.io/v1" | "apiregistration.k8s.io/v1beta1" => {
                Some(api_service(view))
            }
            _ => Some(unsupported(subject, "APIService")),
        },
        ("policy", "PodDisruptionBudget") => Some(disruption_budget(view)),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            Some(custom_resource_definition(view))
        }
        _ => None,
    }
}

fn has_address(view: View<'_>) -> bool {
    !view.status(&["loadBalancer", "ingress"]).is_empty()
}

fn service(view: View<'_>) -> Health {
    if view.spec(&["type"]).text() == "LoadBalancer" && !has_address(view) {
        progressing("")
    } else {
        healthy("")
    }
}

fn ingress(view: View<'_>) -> Health {
    if has_address(view) {
        healthy("")
    } else {
        progressing("")
    }
}

fn claim(view: View<'_>) -> Health {
    match view.status(&["phase"]).text() {
        "Bound" => healthy(""),
        "Pending" => progressing(""),
        "Lost" => degraded(""),
        _ => unknown(""),
    }
}

/// Pairs of condition and reason that mean failure.
const AUTOSCALER_FAILURES: &[(&str, &str)] = &[
    ("AbleToScale", "FailedGetScale"),
    ("AbleToScale", "FailedUpdateScale"),
    ("ScalingActive", "FailedGetResourceMetric"),
    ("ScalingActive", "FailedGetObjectMetric"),
    ("ScalingActive", "FailedGetPodsMetric"),
    ("ScalingActive", "FailedGetExternalMetric"),
    ("ScalingActive", "FailedComputeMetricsReplicas"),
    ("ScalingActive", "InvalidSelector"),
];

fn autoscaler(subject: &Subject<'_>) -> Health {
    let view = subject.view;
    let waiting = || progressing("Waiting to Autoscale");
    match subject.version {
        "autoscaling/v2" | "autoscaling/v2beta1" | "autoscaling/v2beta2" => {
            by_conditions(&view.conditions()).unwrap_or_else(waiting)
        }
        "autoscaling/v1" => {
            let Some(text) = view.annotation("autoscaling.alpha.kubernetes.io/conditions") else {
                return waiting();
            };
            let Ok(conditions) = serde_json::from_str::<Value>(text) else {
                return unknown("failed to convert conditions annotation to typed: it is no JSON");
            };
            let wrapped = serde_json::json!({"status": {"conditions": conditions}});
            by_conditions(&View::new(&wrapped).conditions()).unwrap_or_else(waiting)
        }
        _ => unsupported(subject, "HPA"),
    }
}

/// The first condition that decides, in the order of the list.
fn by_conditions(conditions: &[Condition<'_>]) -> Option<Health> {
    conditions.iter().find_map(|condition| {
        if AUTOSCALER_FAILURES.contains(&(condition.kind, condition.reason)) {
            return Some(degraded(condition.message));
        }
        let able = condition.is_true("AbleToScale") || condition.is_true("ScalingLimited");
        able.then(|| healthy(condition.message))
    })
}

fn api_service(view: View<'_>) -> Health {
    let conditions = view.conditions();
    let Some(available) = conditions
        .iter()
        .find(|condition| condition.kind == "Available")
    else {
        return progressing("Waiting to be processed");
    };
    let message = format!("{}: {}", available.reason, available.message);
    if available.status == "True" {
        healthy(message)
    } else {
        progressing(message)
    }
}

fn disruption_budget(view: View<'_>) -> Health {
    let conditions = view.conditions();
    let message =
        |condition: &Condition<'_>| format!("PodDisruptionBudget has {}", condition.reason);
    // Too few pods can be what somebody wants.
    let bad = conditions
        .iter()
        .find(|condition| condition.status == "False" && condition.reason != "InsufficientPods");
    match (bad, conditions.last()) {
        (Some(bad), _) => degraded(message(bad)),
        (None, Some(last)) => healthy(message(last)),
        (None, None) => progressing("Waiting for status"),
    }
}

fn custom_resource_definition(view: View<'_>) -> Health {
    if view.at(&["metadata", "deletionTimestamp"]).exists() {
        return progressing("CRD is terminating");
    }
    let conditions = view.conditions();
    if conditions.is_empty() {
        return progressing("Status conditions not found");
    }
    let found = |kind: &str, status: &str| {
        conditions
            .iter()
            .find(|condition| condition.is(kind, status))
    };
    if let Some(condition) = found("Terminating", "True") {
        return progressing(format!("CRD is terminating: {}", condition.message));
    }
    if let Some(condition) = found("NamesAccepted", "False") {
        return degraded(format!(
            "CRD names have not been accepted: {}",
            condition.message
        ));
    }
    if let Some(condition) = found("NonStructuralSchema", "True") {
        return degraded(format!("Schema violations found: {}", condition.message));
    }
    if found("Established", "True").is_some() {
        return healthy("CRD is healthy");
    }
    if conditions
        .iter()
        .any(|condition| condition.kind == "Established" && condition.reason == "Installing")
    {
        return progressing("CRD is being installed");
    }
    degraded("CRD is not established")
}
