//! Autoscalers and disruption budgets.

use serde_json::json;

use super::at::{At, Checks, Percent};
use crate::status::Cause;

pub(super) fn scaler(checks: &mut Checks, spec: &At<'_>, version: &str) {
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if least.number().is_some_and(|number| number < 1) {
        checks.invalid(&least, "must be greater than or equal to 1");
    }
    if most.number().unwrap_or(0) < 1 {
        checks.required(&most, "must be set and greater than 0");
    }
    if least
        .number()
        .is_some_and(|least| most.number().unwrap_or(0) < least)
    {
        let shown = json!(most.number().unwrap_or(0));
        checks.invalid_as(
            most.path.as_str(),
            &shown,
            "must be greater than or equal to `minReplicas`",
        );
    }
    let target = spec.get("scaleTargetRef");
    for field in ["kind", "name"] {
        let at = target.get(field);
        if at.is_empty() {
            checks.required(&at, "");
        }
    }
    if target.get("apiVersion").is_empty() {
        let at = target.get("apiVersion");
        checks.invalid_as(
            at.path.as_str(),
            &json!(""),
            "apiVersion must specify API group",
        );
    }
    if version == "v1" {
        return;
    }
    let metrics = spec.get("metrics");
    for metric in metrics.items() {
        one_metric(checks, &metric);
    }
    let kinds = metrics.items();
    let outside = |metric: &At<'_>| ["Object", "External"].contains(&metric.get("type").text());
    if least.number() == Some(0) && !kinds.iter().any(outside) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        checks.forbidden(&metrics, why);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = spec.get("behavior").get(direction);
        if rules.is_set() {
            scaling_rules(checks, &rules);
        }
    }
}

/// Types of metrics and the fields that describe them.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn one_metric(checks: &mut Checks, metric: &At<'_>) {
    let kind = metric.get("type");
    if kind.is_empty() {
        checks.required(&kind, "must specify a metric source type");
        return;
    }
    let Some((_, field)) = METRICS.iter().find(|(name, _)| *name == kind.text()) else {
        let names = METRICS.map(|(name, _)| name);
        // The real server says it twice.
        checks.one_of(&kind, &names);
        checks.one_of(&kind, &names);
        return;
    };
    let source = metric.get(field);
    if !source.is_set() {
        checks.required(
            &source,
            "must populate information for the given metric source",
        );
        return;
    }
    match *field {
        "resource" | "containerResource" => {
            if source.get("name").is_empty() {
                checks.required(&source.get("name"), "must specify a resource name");
            }
            if *field == "containerResource" && source.get("container").is_empty() {
                checks.required(&source.get("container"), "must specify a container");
            }
            target(checks, &source.get("target"));
            let goal = source.get("target");
            let (utilization, value) = (goal.get("averageUtilization"), goal.get("averageValue"));
            if !utilization.is_set() && !value.is_set() {
                let why = "must set either a target raw value or a target utilization";
                checks.required(&utilization, why);
            } else if utilization.is_set() && value.is_set() {
                checks.forbidden(
                    &value,
                    "may not set both a target raw value and a target utilization",
                );
            }
        }
        _ => {
            let name = source.get("metric").get("name");
            if name.is_empty() {
                checks.required(&name, "must specify a metric name");
            }
            checks.selector(&source.get("metric").get("selector"));
            target(checks, &source.get("target"));
            let goal = source.get("target");
            if *field == "pods" {
                if !goal.get("averageValue").is_set() {
                    checks.required(
                        &goal.get("averageValue"),
                        "must specify a positive target averageValue",
                    );
                }
            } else if !goal.get("value").is_set() && !goal.get("averageValue").is_set() {
                let why = "must set either a target value or averageValue";
                checks.required(&goal.get("averageValue"), why);
            }
        }
    }
}

fn target(checks: &mut Checks, goal: &At<'_>) {
    let kind = goal.get("type");
    if kind.is_empty() {
        checks.required(&kind, "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind.text()) {
        let shown = json!(kind.text());
        checks.invalid_as(
            kind.path.as_str(),
            &shown,
            "must be either Utilization, Value, or AverageValue",
        );
    }
    let utilization = goal.get("averageUtilization");
    if utilization.number().is_some_and(|number| number < 1) {
        checks.invalid(&utilization, "must be greater than 0");
    }
    for field in ["value", "averageValue"] {
        let at = goal.get(field);
        if super::container::amount_of(at.value).is_some_and(|amount| amount.as_f64() <= 0.0) {
            checks.invalid(&at, "must be positive");
        }
    }
}

fn scaling_rules(checks: &mut Checks, rules: &At<'_>) {
    const LONGEST: i64 = 3_600;
    let window = rules.get("stabilizationWindowSeconds");
    match window.number() {
        Some(seconds) if seconds < 0 => {
            checks.invalid(&window, "must be greater than or equal to zero");
        }
        Some(seconds) if seconds > LONGEST => {
            checks.invalid(&window, "must be less than or equal to 3600");
        }
        _ => {}
    }
    checks.one_of_if_set(&rules.get("selectPolicy"), &["Disabled", "Max", "Min"]);
    let policies = rules.get("policies");
    if policies.is_empty() {
        checks.required(&policies, "must specify at least one Policy");
    }
    for policy in policies.items() {
        checks.one_of(&policy.get("type"), &["Percent", "Pods"]);
        for field in ["value", "periodSeconds"] {
            let at = policy.get(field);
            if at.number().unwrap_or(0) <= 0 {
                checks.invalid_as(
                    at.path.as_str(),
                    &json!(at.number().unwrap_or(0)),
                    "must be greater than zero",
                );
            }
        }
        let period = policy.get("periodSeconds");
        if period.number().is_some_and(|seconds| seconds > 1_800) {
            checks.invalid(&period, "must be less than or equal to 1800");
        }
    }
}

pub(super) fn budget(checks: &mut Checks, spec: &At<'_>) {
    let (available, unavailable) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if available.is_set() && unavailable.is_set() {
        let part = |field: &str| spec.get(field).value.clone();
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            part("minAvailable"),
            part("selector"),
            part("maxUnavailable"),
            part("unhealthyPodEvictionPolicy"),
        );
        let why = "minAvailable and maxUnavailable cannot be both set";
        let message = format!("Invalid value: {shown}: {why}");
        checks.add(Cause::new("FieldValueInvalid", spec.path.as_str(), message));
    }
    for at in [&available, &unavailable] {
        if at.is_set() {
            checks.number_or_percent(at, Percent::UpTo100);
        }
    }
    checks.selector(&spec.get("selector"));
    checks.one_of_if_set(
        &spec.get("unhealthyPodEvictionPolicy"),
        &["AlwaysAllow", "IfHealthyBudget"],
    );
}

pub(super) fn lease(checks: &mut Checks, spec: &At<'_>) {
    let duration = spec.get("leaseDurationSeconds");
    if duration.number().is_some_and(|seconds| seconds <= 0) {
        checks.invalid(&duration, "must be greater than 0");
    }
    checks.not_negative(&spec.get("leaseTransitions"));
}

/// The highest priority that users may give.
const HIGHEST: i64 = 1_000_000_000;

pub(super) fn priority_class(checks: &mut Checks, object: &At<'_>, name: &str) {
    const SYSTEM: [&str; 2] = ["system-node-critical", "system-cluster-critical"];
    if name.starts_with("system-") {
        if !SYSTEM.contains(&name) {
            let why = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            checks.add(Cause::forbidden("metadata.name", &why));
        }
    } else if object
        .get("value")
        .number()
        .is_some_and(|value| value > HIGHEST)
    {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        checks.forbidden(&object.get("value"), &why);
    }
    checks.one_of_if_set(
        &object.get("preemptionPolicy"),
        &["PreemptLowerPriority", "Never"],
    );
}

pub(super) fn priority_class_change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    if new.get("value").value != old.get("value").value {
        checks.forbidden(&new.get("value"), "may not be changed in an update.");
    }
    checks.immutable(&new.get("preemptionPolicy"), &old.get("preemptionPolicy"));
}
