//! Deployments, stateful sets, daemon sets, replica sets.

use serde_json::{Value, json};

use super::at::{At, Checks, Percent};
use super::matches_selector;
use super::{formats, pod, storage};

const MISMATCH: &str = "`selector` does not match template `labels`";

pub(super) fn deployment(checks: &mut Checks, spec: &At<'_>) {
    checks.not_negative(&spec.get("replicas"));
    selector(
        checks,
        spec,
        Some("empty selector is invalid for deployment"),
    );
    always(checks, spec);
    let strategy = spec.get("strategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "Recreate" => {
            if rolling.is_set() {
                checks.forbidden(
                    &rolling,
                    "may not be specified when strategy `type` is 'Recreate'",
                );
            }
        }
        "RollingUpdate" => rolling_update(checks, &rolling),
        _ => {
            checks.not_supported_shown(
                &strategy,
                &shown_strategy(&strategy),
                &["Recreate", "RollingUpdate"],
            );
        }
    }
    let ready = spec.get("minReadySeconds");
    checks.not_negative(&ready);
    checks.not_negative(&spec.get("revisionHistoryLimit"));
    let deadline = spec.get("progressDeadlineSeconds");
    if let Some(seconds) = deadline.number() {
        checks.not_negative(&deadline);
        if seconds <= ready.number().unwrap_or(0) {
            checks.invalid(&deadline, "must be greater than minReadySeconds");
        }
    }
}

/// A strategy as the real server's errors show it.
fn shown_strategy(strategy: &At<'_>) -> String {
    let kind = json!(strategy.get("type").text());
    format!(
        "{{\"Type\":{kind},\"RollingUpdate\":{}}}",
        strategy.get("rollingUpdate").value
    )
}

fn rolling_update(checks: &mut Checks, rolling: &At<'_>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    checks.number_or_percent(&unavailable, Percent::UpTo100);
    checks.number_or_percent(&surge, Percent::Any);
    if is_zero(&unavailable) && is_zero(&surge) {
        checks.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
    }
}

/// Whether a number or a percentage is zero.
fn is_zero(at: &At<'_>) -> bool {
    match at.value {
        Value::String(text) => {
            text.strip_suffix('%')
                .and_then(|digits| digits.parse::<u64>().ok())
                == Some(0)
        }
        value => value.as_i64() == Some(0),
    }
}

/// The selector of a workload: there, well-formed, not empty, and true of the template.
fn selector(checks: &mut Checks, spec: &At<'_>, empty: Option<&str>) {
    let selector = spec.get("selector");
    let before = checks.causes.len();
    if selector.is_set() {
        checks.selector(&selector);
        if let Some(why) = empty.filter(|_| selector.is_empty()) {
            checks.invalid(&selector, why);
        }
    } else if empty.is_some() {
        checks.required(&selector, "");
    }
    if checks.causes.len() > before && selector.is_set() && !selector.is_empty() {
        checks.invalid(&selector, "invalid label selector");
    } else if !selector.is_empty() || !selector.is_set() {
        matching(checks, spec, &selector);
    }
}

fn matching(checks: &mut Checks, spec: &At<'_>, selector: &At<'_>) {
    let labels = spec.get("template").get("metadata").get("labels");
    if !matches_selector(selector.value, labels.value) {
        checks.invalid(&labels, MISMATCH);
    }
}

/// The template of a workload whose pods run for ever.
fn always(checks: &mut Checks, spec: &At<'_>) {
    let template = spec.get("template");
    pod::template(checks, &template);
    let inner = template.get("spec");
    let restart = inner.get("restartPolicy");
    if restart.text() != "Always" && ["OnFailure", "Never"].contains(&restart.text()) {
        checks.one_of(&restart, &["Always"]);
    }
    let deadline = inner.get("activeDeadlineSeconds");
    if deadline.is_set() {
        checks.forbidden(
            &deadline,
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        );
    }
}

pub(super) fn replica_set(checks: &mut Checks, spec: &At<'_>) {
    checks.not_negative(&spec.get("replicas"));
    checks.not_negative(&spec.get("minReadySeconds"));
    selector(
        checks,
        spec,
        Some("empty selector is invalid for deployment"),
    );
    always(checks, spec);
}

pub(super) fn daemon_set(checks: &mut Checks, spec: &At<'_>) {
    let selector = spec.get("selector");
    checks.selector(&selector);
    if !(selector.is_set() && selector.is_empty()) {
        matching(checks, spec, &selector);
    }
    if selector.is_set() && selector.is_empty() {
        checks.invalid(&selector, "empty selector is invalid for daemonset");
    }
    let template = spec.get("template");
    pod::template(checks, &template);
    let restart = template.get("spec").get("restartPolicy");
    if ["OnFailure", "Never"].contains(&restart.text()) {
        checks.one_of(&restart, &["Always"]);
    }
    let deadline = template.get("spec").get("activeDeadlineSeconds");
    if deadline.is_set() {
        checks.forbidden(
            &deadline,
            "activeDeadlineSeconds in DaemonSet is not Supported",
        );
    }
    checks.not_negative(&spec.get("minReadySeconds"));
    daemon_strategy(checks, &spec.get("updateStrategy"));
    checks.not_negative(&spec.get("revisionHistoryLimit"));
}

fn daemon_strategy(checks: &mut Checks, strategy: &At<'_>) {
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.get("rollingUpdate");
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            checks.number_or_percent(&unavailable, Percent::UpTo100);
            checks.number_or_percent(&surge, Percent::UpTo100);
            if is_zero(&unavailable) && is_zero(&surge) {
                checks.required(&unavailable, "cannot be 0 when maxSurge is 0");
            } else if !is_zero(&unavailable) && !is_zero(&surge) {
                checks.invalid(&surge, "may not be set when maxUnavailable is non-zero");
            }
        }
        _ => {
            checks.not_supported_shown(
                strategy,
                &shown_strategy(strategy),
                &["RollingUpdate", "OnDelete"],
            );
        }
    }
}

pub(super) fn stateful_set(checks: &mut Checks, spec: &At<'_>) {
    let policy = spec.get("podManagementPolicy");
    if !["OrderedReady", "Parallel"].contains(&policy.text()) {
        checks.invalid(&policy, "must be 'OrderedReady' or 'Parallel'");
    }
    stateful_strategy(checks, &spec.get("updateStrategy"));
    let retention = spec.get("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        checks.one_of(&retention.get(field), &["Retain", "Delete"]);
    }
    checks.not_negative(&spec.get("replicas"));
    checks.not_negative(&spec.get("minReadySeconds"));
    checks.not_negative(&spec.get("ordinals").get("start"));
    selector(
        checks,
        spec,
        Some("empty selector is invalid for statefulset"),
    );
    let template = spec.get("template");
    pod::template(checks, &template);
    let service = spec.get("serviceName");
    if !service.is_empty() {
        checks.format(&service, formats::label);
    }
    for claim in spec.get("volumeClaimTemplates").items() {
        storage::claim_spec(checks, &claim.get("spec"));
    }
    let restart = template.get("spec").get("restartPolicy");
    if ["OnFailure", "Never"].contains(&restart.text()) {
        checks.one_of(&restart, &["Always"]);
    }
    let deadline = template.get("spec").get("activeDeadlineSeconds");
    if deadline.is_set() {
        checks.forbidden(
            &deadline,
            "activeDeadlineSeconds in StatefulSet is not Supported",
        );
    }
}

fn stateful_strategy(checks: &mut Checks, strategy: &At<'_>) {
    let rolling = strategy.get("rollingUpdate");
    let inner = || {
        let (partition, unavailable) = (rolling.get("partition"), rolling.get("maxUnavailable"));
        format!(
            "{{\"Partition\":{},\"MaxUnavailable\":{}}}",
            partition.value, unavailable.value
        )
    };
    match strategy.get("type").text() {
        "OnDelete" => {
            if rolling.is_set() {
                let why = "only allowed for updateStrategy 'RollingUpdate'";
                checks.invalid_shown(&rolling, &inner(), why);
            }
        }
        "RollingUpdate" => {
            checks.not_negative(&rolling.get("partition"));
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_set() {
                checks.number_or_percent(&unavailable, Percent::UpTo100);
                if is_zero(&unavailable) {
                    checks.invalid(&unavailable, "cannot be 0");
                }
            }
        }
        kind => {
            let update = if rolling.is_set() {
                inner()
            } else {
                "null".to_owned()
            };
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{update}}}", json!(kind));
            checks.invalid_shown(strategy, &shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}

const STATEFUL_FIELDS: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

const STATEFUL_UPDATE: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Most of a stateful set stays as it was made.
pub(super) fn stateful_set_change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    let fixed = |at: &At<'_>| {
        let mut map = at.value.as_object().cloned().unwrap_or_default();
        map.retain(|key, _| !STATEFUL_FIELDS.contains(&key.as_str()));
        map
    };
    if fixed(new) != fixed(old) {
        checks.forbidden(new, STATEFUL_UPDATE);
    }
}

pub(super) fn replication_controller(checks: &mut Checks, spec: &At<'_>) {
    checks.not_negative(&spec.get("minReadySeconds"));
    let selector = spec.get("selector");
    if selector.is_empty() {
        checks.required(&selector, "");
    }
    checks.not_negative(&spec.get("replicas"));
    let template = spec.get("template");
    if !template.is_set() {
        checks.required(&template, "");
        return;
    }
    if !selector.is_empty() {
        let wanted = json!({"matchLabels": selector.value});
        let labels = template.get("metadata").get("labels");
        if !matches_selector(&wanted, labels.value) {
            checks.invalid(&labels, MISMATCH);
        }
    }
    always(checks, spec);
}
