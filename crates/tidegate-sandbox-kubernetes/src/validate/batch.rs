//! Jobs and cron jobs.

mod schedule;

use serde_json::{Value, json};

use super::at::{At, Checks};
use super::matches_selector;
use super::pod;
use crate::status::Cause;

const REPLACEMENTS: [&str; 2] = ["Failed", "TerminatingOrFailed"];

/// A job by itself.
pub(super) fn job(checks: &mut Checks, object: &At<'_>, name: &str, uid: &str) {
    let spec = object.get("spec");
    let selector = spec.get("selector");
    let labels = spec.get("template").get("metadata").get("labels");
    if selector.is_set() {
        checks.selector(&selector);
    } else {
        checks.required(&selector, "");
    }
    if !spec.get("manualSelector").is_true() && selector.is_set() {
        for (key, wanted) in [
            ("controller-uid", uid),
            ("job-name", name),
            ("batch.kubernetes.io/controller-uid", uid),
            ("batch.kubernetes.io/job-name", name),
        ] {
            let label = labels.key(key);
            if !label.is_set() {
                checks.required(&label, &format!("must be '{wanted}'"));
            } else if label.text() != wanted {
                checks.invalid(&label, &format!("must be '{wanted}'"));
            }
        }
        let generated = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
        let older = json!({"matchLabels": {"controller-uid": uid}});
        if *selector.value != generated && *selector.value != older {
            checks.invalid(&selector, "`selector` not auto-generated");
        }
    }
    if !matches_selector(selector.value, labels.value) {
        checks.invalid(&labels, "`selector` does not match template `labels`");
    }
    job_spec(checks, &spec);
}

/// What a job and the template of a cron job have in common.
fn job_spec(checks: &mut Checks, spec: &At<'_>) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ] {
        checks.not_negative(&spec.get(field));
    }
    let managed = spec.get("managedBy");
    if managed.is_set() && !managed.text().contains('/') {
        checks.invalid(
            &managed,
            "must be a domain-prefixed path (such as \"acme.io/foo\")",
        );
    }
    let mode = spec.get("completionMode");
    let indexed = mode.text() == "Indexed";
    if mode.is_set() {
        checks.one_of(&mode, &["NonIndexed", "Indexed"]);
        if indexed && !spec.get("completions").is_set() {
            let why = "when completion mode is Indexed";
            checks.required(&spec.get("completions"), why);
        }
    }
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        let at = spec.get(field);
        checks.not_negative(&at);
        if at.is_set() && !indexed {
            checks.invalid(&at, "requires indexed completion mode");
        }
    }
    failure_policy(checks, spec);
    checks.one_of_if_set(&spec.get("podReplacementPolicy"), &REPLACEMENTS);
    let template = spec.get("template");
    pod::template(checks, &template);
    let restart = template.get("spec").get("restartPolicy");
    match restart.text() {
        "OnFailure" => {
            if spec.get("podFailurePolicy").is_set() {
                checks.invalid(
                    &restart,
                    "only \"Never\" is supported when podFailurePolicy is specified",
                );
            }
        }
        "Never" => {}
        "" | "Always" => checks.required(&restart, "valid values: \"OnFailure\", \"Never\""),
        _ => checks.one_of(&restart, &["OnFailure", "Never"]),
    }
}

fn failure_policy(checks: &mut Checks, spec: &At<'_>) {
    for rule in spec.get("podFailurePolicy").get("rules").items() {
        let action = rule.get("action");
        if action.is_empty() {
            checks.required(
                &action,
                "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"",
            );
        } else {
            checks.one_of(&action, &["Count", "FailIndex", "FailJob", "Ignore"]);
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() {
            let operator = codes.get("operator");
            checks.one_of(&operator, &["In", "NotIn"]);
            let values = codes.get("values");
            if values.is_empty() {
                checks.invalid(&values, "at least one value is required");
            }
        }
        if codes.is_set() != conditions.is_empty() {
            let why = if codes.is_set() {
                "specifying both OnExitCodes and OnPodConditions is not supported"
            } else {
                "specifying one of OnExitCodes and OnPodConditions is required"
            };
            let message = format!("Invalid value: {why}");
            checks.add(Cause::new("FieldValueInvalid", rule.path.as_str(), message));
        }
    }
}

/// What a job cannot change after its creation.
pub(super) fn job_change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    let completions = new.get("completions");
    let scaled = new.get("completionMode").text() == "Indexed"
        && completions.value == new.get("parallelism").value
        && old.get("completions").is_set()
        && completions.is_set();
    if completions.value != old.get("completions").value && !scaled {
        checks.invalid(&completions, "field is immutable");
    }
    checks.immutable(&new.get("selector"), &old.get("selector"));
    let suspended = |at: &At<'_>| at.get("suspend").is_true();
    let template = |at: &At<'_>| {
        let mut copy = at.get("template").value.clone();
        // A suspended job that never ran may still be steered.
        if suspended(old) {
            if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("annotations");
                metadata.remove("labels");
            }
            if let Some(spec) = copy.get_mut("spec").and_then(Value::as_object_mut) {
                for field in ["nodeSelector", "tolerations", "schedulingGates", "affinity"] {
                    spec.remove(field);
                }
                let Some(Value::Array(containers)) = spec.get_mut("containers") else {
                    return copy;
                };
                for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                    container.remove("resources");
                }
            }
        }
        copy
    };
    if template(new) != template(old) {
        checks.invalid(&new.get("template"), "field is immutable");
    }
    for field in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        checks.immutable(&new.get(field), &old.get(field));
    }
}

pub(super) fn cron_job(checks: &mut Checks, object: &At<'_>, name: &str) {
    const LONGEST: usize = 52;
    let spec = object.get("spec");
    let schedule = spec.get("schedule");
    if schedule.is_empty() {
        checks.required(&schedule, "");
    } else {
        if let Err(why) = schedule::check(schedule.text()) {
            checks.invalid(&schedule, &why);
        }
    }
    checks.not_negative(&spec.get("startingDeadlineSeconds"));
    let policy = spec.get("concurrencyPolicy");
    checks.one_of(&policy, &["Allow", "Forbid", "Replace"]);
    time_zone(checks, &spec.get("timeZone"));
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        checks.not_negative(&spec.get(field));
    }
    let inner = spec.get("jobTemplate").get("spec");
    job_spec(checks, &inner);
    let manual = inner.get("manualSelector");
    if manual.is_true() {
        checks.add(Cause::not_supported(
            manual.path.as_str(),
            manual.value,
            &["nil", "false"],
        ));
    }
    if name.len() > LONGEST {
        let why = "must be no more than 52 characters";
        checks.invalid_as("metadata.name", &json!(name), why);
    }
}

fn time_zone(checks: &mut Checks, zone: &At<'_>) {
    if !zone.is_set() {
        return;
    }
    if zone.is_empty() {
        checks.invalid(zone, "timeZone must be nil or non-empty string");
    } else if zone.text().eq_ignore_ascii_case("local") {
        checks.invalid(
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        );
    } else if jiff::tz::TimeZone::get(zone.text()).is_err() {
        checks.invalid(zone, &format!("unknown time zone {}", zone.text()));
    }
}
