//! What a schema must be to be structural, with the refusals of the API server.

use serde_json::{Map, Value, json};

use crate::status::Cause;

/// How deep a schema may nest.
const MAX_DEPTH: usize = 64;
/// How many causes are reported.
const MAX_CAUSES: usize = 100;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Checks an `openAPIV3Schema` under `path`.
pub(crate) fn check_schema(schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(map) = schema.as_object() else {
        causes.push(Cause::required(path, "schemas are required"));
        return causes;
    };
    if map.get("type").and_then(Value::as_str) != Some("object") {
        let have = map.get("type").cloned().unwrap_or_else(|| json!(""));
        if have == "" {
            causes.push(Cause::required(
                format!("{path}.type"),
                "must not be empty at the root",
            ));
        } else {
            causes.push(Cause::invalid(
                format!("{path}.type"),
                &have,
                "must be object at the root",
            ));
        }
    }
    node(map, path, 0, true, &mut causes);
    causes.truncate(MAX_CAUSES);
    causes
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn node(map: &Map<String, Value>, path: &str, depth: usize, root: bool, causes: &mut Vec<Cause>) {
    if causes.len() >= MAX_CAUSES {
        return;
    }
    if depth > MAX_DEPTH {
        causes.push(Cause::forbidden(path, "the schema is nested too deeply"));
        return;
    }
    check_type(map, path, root, causes);
    check_exclusive(map, path, causes);
    check_list(map, path, causes);
    if let Some(pattern) = map.get("pattern").and_then(Value::as_str)
        && regex::Regex::new(pattern).is_err()
    {
        let why = "must be a valid regular expression, but isn't";
        causes.push(Cause::invalid(
            format!("{path}.pattern"),
            &json!(pattern),
            why,
        ));
    }
    for forbidden in [
        "$ref",
        "definitions",
        "dependencies",
        "patternProperties",
        "id",
        "additionalItems",
    ] {
        if map.get(forbidden).is_some_and(|value| !value.is_null()) {
            let why = format!("{forbidden} is not supported");
            causes.push(Cause::forbidden(format!("{path}.{forbidden}"), &why));
        }
    }
    if flag(map, "uniqueItems") {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{path}.uniqueItems"), why));
    }
    for (name, property) in map
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        below(
            property,
            &format!("{path}.properties[{name}]"),
            depth,
            causes,
        );
    }
    match map.get("items") {
        Some(Value::Array(_)) => {
            let why = "items must be a schema object and not an array";
            causes.push(Cause::forbidden(format!("{path}.items"), why));
        }
        Some(items) => below(items, &format!("{path}.items"), depth, causes),
        None => {}
    }
    if let Some(additional @ Value::Object(_)) = map.get("additionalProperties") {
        below(
            additional,
            &format!("{path}.additionalProperties"),
            depth,
            causes,
        );
    }
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in map
            .get(junctor)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            junctor_branch(
                branch,
                &format!("{path}.{junctor}[{index}]"),
                flag(map, "x-kubernetes-int-or-string"),
                causes,
            );
        }
    }
    if let Some(not) = map.get("not") {
        junctor_branch(not, &format!("{path}.not"), false, causes);
    }
}

fn below(schema: &Value, path: &str, depth: usize, causes: &mut Vec<Cause>) {
    match schema.as_object() {
        Some(map) => node(map, path, depth + 1, false, causes),
        None => causes.push(Cause::invalid(path, schema, "must be a schema")),
    }
}

fn check_type(map: &Map<String, Value>, path: &str, root: bool, causes: &mut Vec<Cause>) {
    let kind = map.get("type").and_then(Value::as_str).unwrap_or("");
    let at = format!("{path}.type");
    if flag(map, "x-kubernetes-int-or-string") {
        if !kind.is_empty() {
            let why = "must be empty if x-kubernetes-int-or-string is true";
            causes.push(Cause::invalid(at, &json!(kind), why));
        }
        return;
    }
    if kind.is_empty() {
        if !root && !flag(map, "x-kubernetes-preserve-unknown-fields") {
            causes.push(Cause::required(
                at,
                "must not be empty for specified object fields",
            ));
        }
        return;
    }
    if !TYPES.contains(&kind) {
        causes.push(Cause::not_supported(at.clone(), &json!(kind), &TYPES));
    }
    if flag(map, "x-kubernetes-embedded-resource") {
        if kind != "object" {
            let why = "must be object if x-kubernetes-embedded-resource is true";
            causes.push(Cause::invalid(at, &json!(kind), why));
        }
        let open = flag(map, "x-kubernetes-preserve-unknown-fields");
        if !open && !map.contains_key("properties") {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            causes.push(Cause::required(format!("{path}.properties"), why));
        }
    }
    if kind == "array" && !map.contains_key("items") {
        let why = "must be specified";
        causes.push(Cause::required(format!("{path}.items"), why));
    }
}

fn check_exclusive(map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    let additional = map
        .get("additionalProperties")
        .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)));
    if additional
        && map
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|p| !p.is_empty())
    {
        let why = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(
            format!("{path}.additionalProperties"),
            why,
        ));
    }
    if map.get("additionalProperties") == Some(&Value::Bool(false)) {
        let why = "additionalProperties cannot be set to false";
        causes.push(Cause::forbidden(
            format!("{path}.additionalProperties"),
            why,
        ));
    }
    if map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let why = "must be true or undefined";
        causes.push(Cause::invalid(
            format!("{path}.x-kubernetes-preserve-unknown-fields"),
            &json!(false),
            why,
        ));
    }
}

fn check_list(map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    let Some(list) = map.get("x-kubernetes-list-type").and_then(Value::as_str) else {
        if map.contains_key("x-kubernetes-list-map-keys") {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            causes.push(Cause::required(
                format!("{path}.x-kubernetes-list-type"),
                why,
            ));
        }
        return;
    };
    let at = format!("{path}.x-kubernetes-list-type");
    if !["atomic", "map", "set"].contains(&list) {
        causes.push(Cause::not_supported(
            at,
            &json!(list),
            &["atomic", "map", "set"],
        ));
        return;
    }
    if map.get("type").and_then(Value::as_str) != Some("array") {
        let have = map.get("type").cloned().unwrap_or_else(|| json!(""));
        let why = "must be array if x-kubernetes-list-type is specified";
        causes.push(Cause::invalid(format!("{path}.type"), &have, why));
    }
    let keys = map
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    let empty = keys.is_none_or(Vec::is_empty);
    if list == "map" {
        if empty {
            let why = "must not be empty if x-kubernetes-list-type is map";
            causes.push(Cause::required(
                format!("{path}.x-kubernetes-list-map-keys"),
                why,
            ));
        }
        for (index, key) in keys.into_iter().flatten().enumerate() {
            let known = key.as_str().is_some_and(|key| {
                map.get("items")
                    .and_then(|items| items.get("properties"))
                    .and_then(|p| p.get(key))
                    .is_some()
            });
            if !known {
                let why = "entries must all be names of item properties";
                causes.push(Cause::invalid(
                    format!("{path}.x-kubernetes-list-map-keys[{index}]"),
                    key,
                    why,
                ));
            }
        }
    } else if !empty {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        causes.push(Cause::invalid(at, &json!(list), why));
    }
}

/// Branches of junctors only restrict: they may not add structure.
fn junctor_branch(branch: &Value, path: &str, int_or_string: bool, causes: &mut Vec<Cause>) {
    let Some(map) = branch.as_object() else {
        return;
    };
    for field in [
        "type",
        "default",
        "additionalProperties",
        "nullable",
        "description",
        "title",
    ] {
        let set = map
            .get(field)
            .is_some_and(|value| !value.is_null() && value != &json!(false) && value != &json!(""));
        if set && !(int_or_string && field == "type") {
            let why = "must be empty to be structural";
            causes.push(Cause::forbidden(format!("{path}.{field}"), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
    fn check(schema: Value, expected: &[&str]) {
        let causes = check_schema(&schema, "s");
        let lines: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn only_structural_schemas_pass() {
        check(
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            &[],
        );
        check(
            json!({}),
            &["s.type: Required value: must not be empty at the root"],
        );
        check(
            json!({"type": "object", "properties": {"a": {}}}),
            &[
                "s.properties[a].type: Required value: must not be empty for specified object fields",
            ],
        );
        check(
            json!({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}}),
            &[],
        );
        check(
            json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": {"type": "string"}}}}),
            &[
                "s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
            ],
        );
        check(
            json!({"type": "object", "oneOf": [{"type": "object", "required": ["a"]}]}),
            &["s.oneOf[0].type: Forbidden: must be empty to be structural"],
        );
    }
}
