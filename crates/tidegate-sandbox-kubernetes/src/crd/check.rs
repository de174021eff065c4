//! Validation of a CustomResourceDefinition, with the refusals of the API server.

use serde_json::{Value, json};

use crate::metadata;
use crate::object;
use crate::status::Cause;
use crate::structural;

/// The refusals of a definition, new (`old` is `None`) or changed.
pub(crate) fn check(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let empty = json!({});
    let spec = object.get("spec").unwrap_or(&empty);
    check_identity(object, spec, &mut causes);
    check_versions(spec, &mut causes);
    check_names(spec, &mut causes);
    check_conversion(spec, &mut causes);
    check_stored(object, spec, &mut causes);
    if let Some(old) = old {
        check_immutable(object, old, &mut causes);
    }
    causes
}

fn check_identity(object: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let group = object::text(spec, &["group"]);
    let plural = object::text(spec, &["names", "plural"]);
    let wanted = format!("{plural}.{group}");
    let name = object::name(object);
    if name != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if let Some(why) = metadata::subdomain(group) {
        causes.push(Cause::invalid("spec.group", &json!(group), &why));
    } else if group.split('.').count() < 2 {
        let why = "should be a domain with at least one dot";
        causes.push(Cause::invalid("spec.group", &json!(group), why));
    }
    if group == "k8s.io"
        || group == "kubernetes.io"
        || group.ends_with(".k8s.io")
        || group.ends_with(".kubernetes.io")
    {
        let approval = object.pointer("/metadata/annotations/api-approved.kubernetes.io");
        if approval.and_then(Value::as_str).is_none_or(str::is_empty) {
            let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
            causes.push(Cause::required(
                "metadata.annotations[api-approved.kubernetes.io]",
                why,
            ));
        }
    }
    let scope = object::text(spec, &["scope"]);
    if !["Cluster", "Namespaced"].contains(&scope) {
        let known = ["Cluster", "Namespaced"];
        causes.push(if scope.is_empty() {
            Cause::required("spec.scope", "")
        } else {
            Cause::not_supported("spec.scope", &json!(scope), &known)
        });
    }
}

fn check_names(spec: &Value, causes: &mut Vec<Cause>) {
    for (field, needed) in [
        ("plural", true),
        ("singular", true),
        ("kind", true),
        ("listKind", true),
    ] {
        let path = format!("spec.names.{field}");
        let name = object::text(spec, &["names", field]);
        if name.is_empty() {
            if needed {
                causes.push(Cause::required(path, ""));
            }
            continue;
        }
        // Kinds may have capitals; their lower case must be a label.
        let lowered = if field.ends_with("ind") {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        if let Some(why) = metadata::dns_label_1035(&lowered) {
            let why = match field {
                "kind" | "listKind" => {
                    format!("may have mixed case, but should otherwise match: {why}")
                }
                _ => why,
            };
            causes.push(Cause::invalid(path, &json!(name), &why));
        }
    }
    let kind = object::text(spec, &["names", "kind"]);
    if !kind.is_empty() && kind == object::text(spec, &["names", "listKind"]) {
        let why = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", &json!(kind), why));
    }
    for field in ["shortNames", "categories"] {
        let list = spec
            .pointer(&format!("/names/{field}"))
            .and_then(Value::as_array);
        for (index, name) in list.into_iter().flatten().enumerate() {
            if let Some(why) = metadata::dns_label_1035(name.as_str().unwrap_or("")) {
                causes.push(Cause::invalid(
                    format!("spec.names.{field}[{index}]"),
                    name,
                    &why,
                ));
            }
        }
    }
}

fn check_versions(spec: &Value, causes: &mut Vec<Cause>) {
    let none = Vec::new();
    let versions = spec
        .get("versions")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    if versions.is_empty() {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &Value::Null, why));
        return;
    }
    let storage = versions
        .iter()
        .filter(|v| v.get("storage") == Some(&Value::Bool(true)))
        .count();
    if storage != 1 {
        let names: Vec<&str> = versions
            .iter()
            .map(|v| object::text(v, &["name"]))
            .collect();
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(names), why));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = object::text(version, &["name"]);
        if let Some(why) = metadata::dns_label_1035(name) {
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), &why));
        }
        if seen.contains(&name) {
            let why = "must contain unique version names";
            causes.push(Cause::invalid("spec.versions", &json!(name), why));
        }
        seen.push(name);
        check_version(version, &path, causes);
    }
}

fn check_version(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = format!("{path}.schema.openAPIV3Schema");
    match version
        .pointer("/schema/openAPIV3Schema")
        .filter(|schema| !schema.is_null())
    {
        None => causes.push(Cause::required(at, "")),
        Some(schema) => causes.extend(structural::check_schema(schema, &at)),
    }
    if let Some(scale) = version.pointer("/subresources/scale") {
        for (field, prefix) in [
            ("specReplicasPath", ".spec."),
            ("statusReplicasPath", ".status."),
        ] {
            let given = object::text(scale, &[field]);
            let at = format!("{path}.subresources.scale.{field}");
            if given.is_empty() {
                causes.push(Cause::required(at, ""));
            } else if !given.starts_with(prefix) {
                let why = format!(
                    "should be a json path under {}",
                    prefix.trim_end_matches('.')
                );
                causes.push(Cause::invalid(at, &json!(given), &why));
            }
        }
    }
    let columns = version
        .get("additionalPrinterColumns")
        .and_then(Value::as_array);
    for (index, column) in columns.into_iter().flatten().enumerate() {
        let at = format!("{path}.additionalPrinterColumns[{index}]");
        for field in ["name", "type"] {
            if object::text(column, &[field]).is_empty() {
                causes.push(Cause::required(format!("{at}.{field}"), ""));
            }
        }
        let kind = object::text(column, &["type"]);
        let known = ["boolean", "date", "integer", "number", "string"];
        if !kind.is_empty() && !known.contains(&kind) {
            causes.push(Cause::not_supported(
                format!("{at}.type"),
                &json!(kind),
                &known,
            ));
        }
        if object::text(column, &["jsonPath"]).is_empty() {
            causes.push(Cause::required(format!("{at}.jsonPath"), ""));
        }
    }
}

/// The sandbox calls no webhooks: a definition whose versions need one to convert is refused.
fn check_conversion(spec: &Value, causes: &mut Vec<Cause>) {
    let strategy = object::text(spec, &["conversion", "strategy"]);
    let versions = spec
        .get("versions")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    match strategy {
        "" | "None" => {}
        "Webhook" if versions <= 1 => {}
        "Webhook" => {
            let why =
                "the sandbox converts between versions without webhooks only; use strategy None";
            causes.push(Cause::invalid(
                "spec.conversion.strategy",
                &json!(strategy),
                why,
            ));
        }
        other => {
            let known = ["None", "Webhook"];
            causes.push(Cause::not_supported(
                "spec.conversion.strategy",
                &json!(other),
                &known,
            ));
        }
    }
}

fn check_stored(object: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let stored = object
        .pointer("/status/storedVersions")
        .and_then(Value::as_array);
    let known: Vec<&str> = spec
        .get("versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|version| object::text(version, &["name"]))
        .collect();
    if stored.is_none_or(Vec::is_empty) {
        let why = "must have at least one stored version";
        causes.push(Cause::invalid("status.storedVersions", &Value::Null, why));
    }
    for (index, version) in stored.into_iter().flatten().enumerate() {
        if !version.as_str().is_some_and(|name| known.contains(&name)) {
            let path = format!("status.storedVersions[{index}]");
            let why = format!(
                "missing from spec.versions; {} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {} and removes {} from status.storedVersions",
                plain(version),
                plain(version),
                plain(version)
            );
            causes.push(Cause::invalid(path, version, &why));
        }
    }
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// What an established definition may not change any more.
fn check_immutable(object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let fields: [&[&str]; 4] = [
        &["spec", "group"],
        &["spec", "names", "plural"],
        &["spec", "scope"],
        &["spec", "names", "kind"],
    ];
    for path in fields {
        let (before, after) = (object::at(old, path), object::at(object, path));
        if before != after {
            let after = after.cloned().unwrap_or_default();
            causes.push(Cause::invalid(path.join("."), &after, "field is immutable"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({
            "metadata": {"name": "widgets.example.com"},
            "status": {"storedVersions": ["v1"]},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
        })
    }

    #[track_caller]
    fn check_edit(edit: impl FnOnce(&mut Value), expected: &[&str]) {
        let mut object = good();
        edit(&mut object);
        let fields: Vec<String> = check(&object, None).into_iter().map(|c| c.field).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn definitions_are_checked() {
        check_edit(|_| {}, &[]);
        check_edit(
            |d| d["metadata"]["name"] = json!("x.example.com"),
            &["metadata.name"],
        );
        check_edit(|d| d["spec"]["scope"] = json!("Galaxy"), &["spec.scope"]);
        check_edit(
            |d| d["spec"]["versions"][0]["storage"] = json!(false),
            &["spec.versions"],
        );
        check_edit(
            |d| d["spec"]["versions"][0]["schema"] = json!({}),
            &["spec.versions[0].schema.openAPIV3Schema"],
        );
        check_edit(
            |d| d["spec"]["names"]["kind"] = json!("wid get"),
            &["spec.names.kind"],
        );
        check_edit(
            |d| d["status"] = json!({"storedVersions": ["v0"]}),
            &["status.storedVersions[0]"],
        );
    }

    #[test]
    fn webhooks_are_refused_only_when_they_would_be_called() {
        check_edit(
            |d| d["spec"]["conversion"] = json!({"strategy": "Webhook"}),
            &[],
        );
        check_edit(
            |d| {
                d["spec"]["conversion"] = json!({"strategy": "Webhook"});
                let mut second = d["spec"]["versions"][0].clone();
                second["name"] = json!("v2");
                second["storage"] = json!(false);
                d["spec"]["versions"].as_array_mut().unwrap().push(second);
            },
            &["spec.conversion.strategy"],
        );
    }
}
