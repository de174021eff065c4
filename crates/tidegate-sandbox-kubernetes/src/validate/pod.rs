//! Pods and pod templates apart from their containers: scheduling, network, security.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::at::{At, Checks};
use super::container::{self, Pod};
use super::{formats, volume};
use crate::status::Cause;

/// A pod's own spec, or a template's.
pub(super) fn spec(checks: &mut Checks, spec: &At<'_>) {
    let volumes = volume::all(checks, spec);
    let pod = Pod {
        volumes,
        host_network: spec.get("hostNetwork").is_true(),
    };
    container::all(checks, spec, &pod);
    let restart = spec.get("restartPolicy");
    checks.one_of(&restart, &["Always", "OnFailure", "Never"]);
    checks.one_of(
        &spec.get("dnsPolicy"),
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    checks.labels(&spec.get("nodeSelector"));
    security(checks, &spec.get("securityContext"));
    affinity(checks, &spec.get("affinity"));
    dns(checks, spec);
    for gate in spec.get("readinessGates").items() {
        checks.format(&gate.get("conditionType"), formats::qualified);
    }
    gates(checks, &spec.get("schedulingGates"));
    spread(checks, &spec.get("topologySpreadConstraints"));
    for field in ["serviceAccountName", "nodeName"] {
        if !spec.get(field).is_empty() {
            checks.format(&spec.get(field), formats::subdomain);
        }
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.is_set() {
        checks.in_range(&deadline, 1, i64::from(i32::MAX));
    }
    for field in ["hostname", "subdomain"] {
        if !spec.get(field).is_empty() {
            checks.format(&spec.get(field), formats::label);
        }
    }
    tolerations(checks, &spec.get("tolerations"));
    for alias in spec.get("hostAliases").items() {
        checks.format(&alias.get("ip"), formats::ip);
        for name in alias.get("hostnames").items() {
            checks.format(&name, formats::subdomain);
        }
    }
    for field in ["priorityClassName", "runtimeClassName"] {
        if spec.get(field).is_set() && !(field == "priorityClassName" && spec.get(field).is_empty())
        {
            checks.format(&spec.get(field), formats::subdomain);
        }
    }
    let preemption = spec.get("preemptionPolicy");
    checks.one_of_if_set(&preemption, &["Never", "PreemptLowerPriority"]);
    let os = spec.get("os");
    if os.is_set() {
        let name = os.get("name");
        if name.is_empty() {
            checks.required(&name, "cannot be empty");
        } else if !["linux", "windows"].contains(&name.text()) {
            checks.add(Cause::not_supported(
                os.path.as_str(),
                name.value,
                &["linux", "windows"],
            ));
        }
    }
}

/// A template: its metadata and its spec.
pub(super) fn template(checks: &mut Checks, template: &At<'_>) {
    // The real server leaves `metadata` out of these two paths.
    let labels = template.get("metadata").get("labels");
    checks.labels(&At {
        path: template.path_of("labels"),
        value: labels.value,
    });
    let annotations = template.get("metadata").get("annotations");
    for (key, _) in annotations.entries() {
        for why in formats::qualified(&key.to_lowercase()) {
            checks.invalid_as(template.path_of("annotations"), &json!(key), &why);
        }
    }
    spec(checks, &template.get("spec"));
}

fn security(checks: &mut Checks, at: &At<'_>) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        if at.get(field).is_set() {
            checks.in_range(&at.get(field), 0, i64::from(i32::MAX));
        }
    }
    for group in at.get("supplementalGroups").items() {
        checks.in_range(&group, 0, i64::from(i32::MAX));
    }
    let mut names = HashSet::new();
    for sysctl in at.get("sysctls").items() {
        let name = sysctl.get("name");
        if name.is_empty() {
            checks.required(&name, "");
        } else if !is_sysctl(name.text()) {
            checks.invalid(&name, SYSCTL);
        } else if !names.insert(name.text()) {
            checks.duplicate(&name);
        }
    }
    checks.one_of_if_set(
        &at.get("fsGroupChangePolicy"),
        &["Always", "OnRootMismatch"],
    );
    container::seccomp(checks, &at.get("seccompProfile"));
}

const SYSCTL: &str = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

fn is_sysctl(name: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            bytes.first().copied().is_some_and(edge)
                && bytes.last().copied().is_some_and(edge)
                && bytes.iter().all(|byte| edge(*byte) || b"-_".contains(byte))
        })
}

fn affinity(checks: &mut Checks, at: &At<'_>) {
    let node = at.get("nodeAffinity");
    let required = node.get("requiredDuringSchedulingIgnoredDuringExecution");
    if required.is_set() {
        let terms = required.get("nodeSelectorTerms");
        if terms.is_empty() {
            checks.required(&terms, "must have at least one node selector term");
        }
        terms
            .items()
            .iter()
            .for_each(|term| node_term(checks, term));
    }
    for term in node
        .get("preferredDuringSchedulingIgnoredDuringExecution")
        .items()
    {
        weight(checks, &term);
        node_term(checks, &term.get("preference"));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = at.get(kind);
        for term in affinity
            .get("requiredDuringSchedulingIgnoredDuringExecution")
            .items()
        {
            pod_term(checks, &term);
        }
        for term in affinity
            .get("preferredDuringSchedulingIgnoredDuringExecution")
            .items()
        {
            weight(checks, &term);
            pod_term(checks, &term.get("podAffinityTerm"));
        }
    }
}

fn weight(checks: &mut Checks, term: &At<'_>) {
    let weight = term.get("weight");
    if !weight
        .number()
        .is_some_and(|weight| (1..=100).contains(&weight))
    {
        checks.invalid(&weight, "must be in the range 1-100");
    }
}

pub(super) fn node_term(checks: &mut Checks, term: &At<'_>) {
    for expression in term.get("matchExpressions").items() {
        let (operator, values) = (expression.get("operator"), expression.get("values"));
        match operator.text() {
            "In" | "NotIn" => {
                if values.is_empty() {
                    checks.required(
                        &values,
                        "must be specified when `operator` is 'In' or 'NotIn'",
                    );
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    checks.forbidden(&values, why);
                }
            }
            "Gt" | "Lt" => {
                if values.items().len() != 1 {
                    checks.required(
                        &values,
                        "must be specified single value when `operator` is 'Lt' or 'Gt'",
                    );
                }
            }
            _ => {
                let value = json!(operator.text());
                checks.invalid_as(
                    operator.path.as_str(),
                    &value,
                    "not a valid selector operator",
                );
            }
        }
        checks.format(&expression.get("key"), formats::qualified);
    }
}

fn pod_term(checks: &mut Checks, term: &At<'_>) {
    checks.selector(&term.get("labelSelector"));
    checks.selector(&term.get("namespaceSelector"));
    for namespace in term.get("namespaces").items() {
        checks.format(&namespace, formats::label);
    }
    let key = term.get("topologyKey");
    if key.is_empty() {
        checks.required(&key, "can not be empty");
    }
    checks.format(&key, formats::qualified);
}

fn dns(checks: &mut Checks, spec: &At<'_>) {
    const SERVERS: usize = 3;
    let config = spec.get("dnsConfig");
    if spec.get("dnsPolicy").text() == "None" {
        if !config.is_set() {
            checks.required(&config, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if config.get("nameservers").is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            checks.required(&config.get("nameservers"), why);
            return;
        }
    }
    let servers = config.get("nameservers");
    if servers.items().len() > SERVERS {
        checks.invalid(&servers, "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        checks.format(&server, formats::ip);
    }
    for option in config.get("options").items() {
        if option.get("name").is_empty() {
            checks.required(&option, "must not be empty");
        }
    }
}

fn gates(checks: &mut Checks, list: &At<'_>) {
    let mut names = HashSet::new();
    for gate in list.items() {
        let name = gate.get("name");
        for why in formats::qualified(name.text()) {
            checks.invalid_as(gate.path.as_str(), &json!(name.text()), &why);
        }
        if !names.insert(name.text()) {
            checks.duplicate(&name);
        }
    }
}

fn spread(checks: &mut Checks, list: &At<'_>) {
    let mut seen = HashSet::new();
    for constraint in list.items() {
        let skew = constraint.get("maxSkew");
        if skew.number().is_none_or(|number| number <= 0) {
            checks.invalid(&skew, "must be greater than zero");
        }
        let (key, action) = (
            constraint.get("topologyKey"),
            constraint.get("whenUnsatisfiable"),
        );
        if key.is_empty() {
            checks.required(&key, "can not be empty");
        } else {
            checks.format(&key, formats::qualified);
        }
        checks.one_of(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        if !seen.insert((key.text(), action.text())) {
            let pair = format!("{{{}, {}}}", key.text(), action.text());
            let path = format!("{}.{{topologyKey, whenUnsatisfiable}}", constraint.path);
            checks.add(Cause::duplicate(path, &json!(pair)));
        }
        let least = constraint.get("minDomains");
        if least.number().is_some_and(|number| number <= 0) {
            checks.invalid(&least, "must be greater than zero");
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            checks.one_of_if_set(&constraint.get(field), &["Honor", "Ignore"]);
        }
        checks.selector(&constraint.get("labelSelector"));
    }
}

fn tolerations(checks: &mut Checks, list: &At<'_>) {
    for toleration in list.items() {
        let at = |name: &str| toleration.get(name);
        let (key, operator, value, effect) = (at("key"), at("operator"), at("value"), at("effect"));
        if !key.is_empty() {
            checks.format(&key, formats::qualified);
        }
        if key.is_empty() && operator.text() != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            checks.invalid_as(operator.path.as_str(), &json!(operator.text()), why);
        }
        if at("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            checks.invalid_as(effect.path.as_str(), &json!(effect.text()), why);
        }
        match operator.text() {
            "" | "Equal" => {
                for why in formats::label_value(value.text()) {
                    checks.invalid_as(operator.path.as_str(), value.value, &why);
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let why = "value must be empty when `operator` is 'Exists'";
                    checks.invalid_as(operator.path.as_str(), value.value, why);
                }
            }
            _ => checks.one_of(&operator, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            checks.one_of(&effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// Legal, but seldom meant.
pub(super) fn warnings(spec: &At<'_>, told: &mut Vec<String>) {
    for constraint in spec.get("topologySpreadConstraints").items() {
        if !constraint.get("labelSelector").is_set() {
            let path = constraint.path_of("labelSelector");
            told.push(format!(
                "{path}: a null labelSelector results in matching no pod"
            ));
        }
    }
    for secret in spec.get("imagePullSecrets").items() {
        if secret.get("name").is_empty() {
            told.push(format!(
                "{}: invalid empty name \"\"",
                secret.path_of("name")
            ));
        }
    }
    for container in spec
        .get("initContainers")
        .items()
        .iter()
        .chain(&spec.get("containers").items())
    {
        let mut names = HashSet::new();
        for variable in container.get("env").items() {
            let name = variable.get("name");
            if !names.insert(name.text()) {
                let why = format!(
                    "hides previous definition of {:?}, which may be dropped when using apply",
                    name.text()
                );
                told.push(format!("{}: {why}", variable.path));
            }
        }
    }
}

const UPDATE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

/// What a running pod may change.
pub(super) fn change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    for list in ["containers", "initContainers"] {
        if new.get(list).items().len() != old.get(list).items().len() {
            checks.forbidden(
                &new.get(list),
                "pod updates may not add or remove containers",
            );
            return;
        }
    }
    let deadline = new.get("activeDeadlineSeconds");
    match (deadline.number(), old.get("activeDeadlineSeconds").number()) {
        (Some(after), Some(before)) if after > before => {
            checks.invalid(&deadline, "must be less than or equal to previous value");
            return;
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            checks.invalid(&deadline, why);
            return;
        }
        _ => {}
    }
    let kept = old.get("tolerations").items();
    let tolerations = new.get("tolerations");
    let now: Vec<&Value> = tolerations.items().iter().map(|one| one.value).collect();
    if kept.iter().any(|one| !now.contains(&one.value)) {
        checks.forbidden(
            &tolerations,
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    if fixed(new.value) != fixed(old.value) {
        checks.forbidden(new, UPDATE);
    }
}

/// The spec without what may change.
fn fixed(spec: &Value) -> Value {
    let mut copy = spec.clone();
    for list in ["containers", "initContainers"] {
        let Some(Value::Array(items)) = copy.get_mut(list) else {
            continue;
        };
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("image");
        }
    }
    if let Some(map) = copy.as_object_mut() {
        // Nodes and binders write some of these through other doors.
        for field in [
            "activeDeadlineSeconds",
            "tolerations",
            "nodeName",
            "ephemeralContainers",
            "schedulingGates",
        ] {
            map.remove(field);
        }
        if map.get("terminationGracePeriodSeconds") == Some(&json!(1)) {
            map.remove("terminationGracePeriodSeconds");
        }
    }
    copy
}
