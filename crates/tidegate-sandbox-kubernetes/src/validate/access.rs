//! Roles and their bindings.

use serde_json::json;

use super::at::{At, Checks};
use super::formats;
use crate::status::Cause;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Whether rules are for one namespace or for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Namespace,
    Cluster,
}

pub(super) fn role(checks: &mut Checks, object: &At<'_>, scope: Scope) {
    for rule in object.get("rules").items() {
        let verbs = rule.get("verbs");
        if verbs.is_empty() {
            checks.required(&verbs, "verbs must contain at least one value");
        }
        let (urls, resources, groups) = (
            rule.get("nonResourceURLs"),
            rule.get("resources"),
            rule.get("apiGroups"),
        );
        if !urls.is_empty() {
            if scope == Scope::Namespace {
                checks.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
            } else if !(groups.is_empty()
                && resources.is_empty()
                && rule.get("resourceNames").is_empty())
            {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                checks.invalid(&urls, why);
            }
            continue;
        }
        if groups.is_empty() {
            checks.required(&groups, "resource rules must supply at least one api group");
        }
        if resources.is_empty() {
            checks.required(
                &resources,
                "resource rules must supply at least one resource",
            );
        }
    }
    for selector in object
        .get("aggregationRule")
        .get("clusterRoleSelectors")
        .items()
    {
        checks.selector(&selector);
    }
}

pub(super) fn binding(checks: &mut Checks, object: &At<'_>, scope: Scope) {
    let role = object.get("roleRef");
    if role.get("apiGroup").text() != GROUP {
        checks.one_of(&role.get("apiGroup"), &[GROUP]);
    }
    let kinds: &[&str] = match scope {
        Scope::Namespace => &["Role", "ClusterRole"],
        Scope::Cluster => &["ClusterRole"],
    };
    checks.one_of(&role.get("kind"), kinds);
    let name = role.get("name");
    if name.is_empty() {
        checks.required(&name, "");
    } else {
        for bad in ["/", "%"].iter().filter(|bad| name.text().contains(**bad)) {
            checks.invalid(&name, &format!("may not contain '{bad}'"));
        }
    }
    for subject in object.get("subjects").items() {
        one_subject(checks, &subject, scope);
    }
}

fn one_subject(checks: &mut Checks, subject: &At<'_>, scope: Scope) {
    let name = subject.get("name");
    checks.present(&name);
    let (kind, group) = (subject.get("kind"), subject.get("apiGroup"));
    match kind.text() {
        "ServiceAccount" => {
            if !name.is_empty() {
                checks.format(&name, formats::subdomain);
            }
            if !group.is_empty() {
                checks.one_of(&group, &[""]);
            }
            if scope == Scope::Cluster {
                checks.present(&subject.get("namespace"));
            }
        }
        "User" | "Group" => checks.one_of(&group, &[GROUP]),
        _ => checks.one_of(&kind, &["ServiceAccount", "User", "Group"]),
    }
}

/// A binding stays with its role.
pub(super) fn binding_change(checks: &mut Checks, new: &At<'_>, old: &At<'_>) {
    let (now, before) = (new.get("roleRef"), old.get("roleRef"));
    if now.value == before.value {
        return;
    }
    let text = |field: &str| json!(now.get(field).text());
    let (group, kind, name) = (text("apiGroup"), text("kind"), text("name"));
    let shown = format!("{{\"APIGroup\":{group},\"Kind\":{kind},\"Name\":{name}}}");
    let message = format!("Invalid value: {shown}: cannot change roleRef");
    checks.add(Cause::new("FieldValueInvalid", now.path.as_str(), message));
}
