//! Validation of custom resources against their schema, with the texts and causes of the API server.

use serde_json::{Map, Number, Value, json};

use super::{Additional, Bound, Kind, ListType, Structural};
use crate::object;
use crate::status::Cause;

/// How many causes are reported.
const MAX_CAUSES: usize = 100;

/// The refusals of a custom resource.
pub(crate) fn check_object(schema: &Structural, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, object, "", true, &mut causes);
    causes.truncate(MAX_CAUSES);
    causes
}

fn check(schema: &Structural, value: &Value, path: &str, root: bool, causes: &mut Vec<Cause>) {
    if causes.len() >= MAX_CAUSES {
        return;
    }
    if value.is_null() && schema.nullable {
        return;
    }
    if !check_type(schema, value, path, causes) {
        return;
    }
    check_choices(schema, value, path, causes);
    match value {
        Value::String(text) => check_string(schema, text, path, causes),
        Value::Number(number) => check_number(schema, number, path, causes),
        Value::Array(items) => check_array(schema, items, path, causes),
        Value::Object(map) => check_map(schema, map, path, root, causes),
        Value::Null | Value::Bool(_) => {}
    }
    check_junctors(schema, value, path, causes);
    if schema.embedded && !root {
        check_embedded(value, path, causes);
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_integer(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_integer(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

/// `false` when the value is of another type: nothing more can be said of it.
fn check_type(schema: &Structural, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let have = kind_of(value);
    if schema.int_or_string {
        if ["integer", "string"].contains(&have) {
            return true;
        }
        causes.push(type_error(path, value, "integer,string", have));
        return false;
    }
    let Some(kind) = schema.kind else { return true };
    let fits = kind.name() == have || (kind == Kind::Number && have == "integer");
    if !fits {
        causes.push(type_error(path, value, kind.name(), have));
        if kind == Kind::Integer && have == "number" {
            causes.push(unchecked(path, "integer (default format)"));
        }
    }
    fits
}

fn type_error(path: &str, value: &Value, wanted: &str, have: &str) -> Cause {
    let field = if path.is_empty() {
        "<nil>".to_owned()
    } else {
        path.to_owned()
    };
    // Maps and lists are named by their type, as the original does.
    let shown = match value {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        other => other.to_string(),
    };
    let shown = if value.is_null() {
        "\"null\"".to_owned()
    } else {
        shown
    };
    let shown = if value.is_string() || value.is_number() || value.is_boolean() {
        format!("\"{have}\"")
    } else {
        shown
    };
    let message =
        format!("Invalid value: {shown}: {field} in body must be of type {wanted}: \"{have}\"");
    Cause::new("FieldValueTypeInvalid", path, message)
}

fn invalid(path: &str, value: &Value, rule: &str) -> Cause {
    let field = if path.is_empty() { "<nil>" } else { path };
    Cause::invalid(path, value, &format!("{field} in body {rule}"))
}

fn check_choices(schema: &Structural, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(choices) = &schema.choices else {
        return;
    };
    if choices.iter().any(|choice| same(choice, value)) {
        return;
    }
    let list: Vec<String> = choices
        .iter()
        .map(|choice| match choice {
            Value::String(text) => format!("{text:?}"),
            other => format!("{:?}", other.to_string()),
        })
        .collect();
    let message = format!(
        "Unsupported value: {value}: supported values: {}",
        list.join(", ")
    );
    causes.push(Cause::new("FieldValueNotSupported", path, message));
}

/// Equality of JSON values where 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn check_string(schema: &Structural, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = json!(text);
    let length = text.chars().count() as u64;
    if let Some(least) = schema.length.0.filter(|least| length < *least) {
        causes.push(invalid(
            path,
            &value,
            &format!("should be at least {least} chars long"),
        ));
    }
    if let Some(most) = schema.length.1.filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause::new("FieldValueTooLong", path, message));
    }
    if let Some((source, Some(pattern))) = &schema.pattern
        && !pattern.is_match(text)
    {
        causes.push(invalid(path, &value, &format!("should match '{source}'")));
    }
    if !schema.format.is_empty() && !fits_format(&schema.format, text) {
        let message = format!(
            "Invalid value: {text:?}: {path} in body must be of type {}: {text:?}",
            schema.format
        );
        causes.push(Cause::new("FieldValueTypeInvalid", path, message));
    }
}

/// The formats that are checked; unknown ones accept everything.
fn fits_format(format: &str, text: &str) -> bool {
    match format {
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(address, bits)| {
            let bits: Option<u8> = bits.parse().ok();
            match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => bits.is_some_and(|bits| bits <= 32),
                Ok(std::net::IpAddr::V6(_)) => bits.is_some_and(|bits| bits <= 128),
                Err(_) => false,
            }
        }),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => uuid::Uuid::try_parse(text).is_ok(),
        "byte" => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD
                .decode(text.as_bytes())
                .is_ok()
        }
        "hostname" => crate::metadata::subdomain(&text.to_lowercase()).is_none(),
        "email" => text.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
        }),
        "uri" => {
            text.split_once(':').is_some_and(|(scheme, _)| {
                scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            }) || text.starts_with('/')
        }
        _ => true,
    }
}

fn check_number(schema: &Structural, number: &Number, path: &str, causes: &mut Vec<Cause>) {
    let value = Value::Number(number.clone());
    if let Some(Bound {
        value: least,
        exclusive,
    }) = &schema.minimum
    {
        let order = order(number, least);
        if order.is_lt() || (*exclusive && order.is_eq()) {
            let rule = if *exclusive {
                "greater than"
            } else {
                "greater than or equal to"
            };
            causes.push(invalid(path, &value, &format!("should be {rule} {least}")));
        }
    }
    if let Some(Bound {
        value: most,
        exclusive,
    }) = &schema.maximum
    {
        let order = order(number, most);
        if order.is_gt() || (*exclusive && order.is_eq()) {
            let rule = if *exclusive {
                "less than"
            } else {
                "less than or equal to"
            };
            causes.push(invalid(path, &value, &format!("should be {rule} {most}")));
        }
    }
    if let Some(step) = schema.multiple_of
        && step > 0.0
        && number
            .as_f64()
            .is_some_and(|value| (value / step).fract() != 0.0)
    {
        causes.push(invalid(
            path,
            &value,
            &format!("should be a multiple of {step}"),
        ));
    }
    let fits = match schema.format.as_str() {
        "int32" => number
            .as_i64()
            .is_none_or(|value| i32::try_from(value).is_ok()),
        _ => true,
    };
    if !fits {
        causes.push(unchecked(path, "integer with format int32"));
    }
}

/// The words for a number that does not fit its type, which name no field.
fn unchecked(path: &str, wanted: &str) -> Cause {
    let message = format!("Invalid value: \"\": Checked value must be of type {wanted} in {path}");
    Cause::new("FieldValueInvalid", "<nil>", message)
}

fn order(a: &Number, b: &Number) -> std::cmp::Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
        }
    }
}

fn check_array(schema: &Structural, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let count = items.len() as u64;
    if let Some(least) = schema.item_count.0.filter(|least| count < *least) {
        let shown = Value::from(count);
        causes.push(invalid(
            path,
            &shown,
            &format!("should have at least {least} items"),
        ));
    }
    if let Some(most) = schema.item_count.1.filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        causes.push(Cause::new("FieldValueTooMany", path, message));
    }
    if let Some(below) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            check(below, item, &format!("{path}[{index}]"), false, causes);
        }
    }
    if schema.unique
        && items
            .iter()
            .enumerate()
            .any(|(i, item)| items[..i].contains(item))
    {
        causes.push(invalid(
            path,
            &Value::Array(items.to_vec()),
            "shouldn't contain duplicates",
        ));
    }
    check_list_type(schema, items, path, causes);
}

fn check_list_type(schema: &Structural, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let mut seen: Vec<Value> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let key = match &schema.list {
            ListType::Atomic => return,
            ListType::Set => item.clone(),
            ListType::Map(keys) => {
                let part = |key: &String| Some((key.clone(), item.get(key)?.clone()));
                Value::Object(keys.iter().filter_map(part).collect())
            }
        };
        if seen.contains(&key) {
            let shown = match &key {
                Value::Object(_) => key.to_string(),
                other => other.to_string(),
            };
            let message = format!("Duplicate value: {shown}");
            causes.push(Cause::new(
                "FieldValueDuplicate",
                format!("{path}[{index}]"),
                message,
            ));
        } else {
            seen.push(key);
        }
    }
}

fn check_map(
    schema: &Structural,
    map: &Map<String, Value>,
    path: &str,
    root: bool,
    causes: &mut Vec<Cause>,
) {
    for name in &schema.required {
        if !map.contains_key(name) {
            causes.push(Cause::new(
                "FieldValueRequired",
                join(path, name),
                "Required value",
            ));
        }
    }
    let count = map.len() as u64;
    if let Some(least) = schema.property_count.0.filter(|least| count < *least) {
        let shown = Value::from(count);
        causes.push(invalid(
            path,
            &shown,
            &format!("should have at least {least} properties"),
        ));
    }
    if let Some(most) = schema.property_count.1.filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        causes.push(Cause::new("FieldValueTooMany", path, message));
    }
    for (name, value) in map {
        if root && name == "metadata" {
            // ObjectMeta has its own rules; a schema may only restrict name and generateName.
            if let Some(below) = schema.properties.get(name) {
                for field in ["name", "generateName"] {
                    if let (Some(below), Some(value)) =
                        (below.properties.get(field), value.get(field))
                    {
                        check(below, value, &format!("metadata.{field}"), false, causes);
                    }
                }
            }
            continue;
        }
        if let Some(property) = schema.properties.get(name) {
            check(property, value, &join(path, name), false, causes);
        } else if let Additional::Schema(below) = &schema.additional {
            check(below, value, &key_path(path, name), false, causes);
        }
    }
}

fn check_junctors(schema: &Structural, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let run = |branches: &[Structural]| -> Vec<Vec<Cause>> {
        branches
            .iter()
            .map(|branch| failures(branch, value, path))
            .collect()
    };
    let all = run(&schema.all_of);
    if !all.is_empty() && all.iter().all(|failures| !failures.is_empty()) {
        causes.push(unmet(
            path,
            "must validate all the schemas (allOf). None validated",
        ));
    }
    causes.extend(all.into_iter().flatten());
    let any = run(&schema.any_of);
    if !any.is_empty() && any.iter().all(|failures| !failures.is_empty()) {
        causes.push(unmet(path, "must validate at least one schema (anyOf)"));
        causes.extend(any.into_iter().next().into_iter().flatten());
    }
    let one = run(&schema.one_of);
    let valid = one.iter().filter(|failures| failures.is_empty()).count();
    if !one.is_empty() && valid == 0 {
        causes.push(unmet(
            path,
            "must validate one and only one schema (oneOf). Found none valid",
        ));
        causes.extend(one.into_iter().next().into_iter().flatten());
    } else if valid > 1 {
        let rule = format!(
            "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
        );
        causes.push(unmet(path, &rule));
    }
    if let Some(not) = &schema.not
        && failures(not, value, path).is_empty()
    {
        causes.push(unmet(path, "must not validate the schema (not)"));
    }
}

/// The words about a combination of schemas, which name no field.
fn unmet(path: &str, rule: &str) -> Cause {
    Cause::new(
        "FieldValueInvalid",
        "<nil>",
        format!("Invalid value: \"\": {path:?} {rule}"),
    )
}

fn failures(schema: &Structural, value: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, value, path, false, &mut causes);
    causes
}

/// An embedded object needs a type and good metadata.
fn check_embedded(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["apiVersion", "kind"] {
        if object::text(value, &[field]).is_empty() {
            causes.push(Cause::required(join(path, field), ""));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A key of a map is part of a path like a property, unless it cannot be read so.
fn key_path(path: &str, key: &str) -> String {
    join(path, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
    fn check(schema: Value, value: Value, expected: &[&str]) {
        let schema = Structural::parse(&json!({"type": "object", "properties": {"spec": schema}}));
        let causes = check_object(&schema, &json!({"spec": value}));
        let lines: Vec<String> = causes
            .iter()
            .map(|cause| format!("{} {}: {}", cause.reason, cause.field, cause.message))
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn types_are_checked_first() {
        check(
            json!({"type": "integer", "minimum": 5}),
            json!("x"),
            &[
                "FieldValueTypeInvalid spec: Invalid value: \"string\": spec in body must be of type integer: \"string\"",
            ],
        );
        check(json!({"type": "number"}), json!(3), &[]);
        check(json!({"type": "integer"}), json!(3.0), &[]);
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!("50%"),
            &[],
        );
        check(
            json!({"type": "string", "nullable": true}),
            Value::Null,
            &[],
        );
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &[
                "FieldValueTypeInvalid spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"",
            ],
        );
    }

    #[test]
    fn values_are_checked_against_their_rules() {
        check(
            json!({"type": "integer", "minimum": 1, "maximum": 9, "exclusiveMaximum": true}),
            json!(9),
            &["FieldValueInvalid spec: Invalid value: 9: spec in body should be less than 9"],
        );
        check(
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            &[
                "FieldValueNotSupported spec: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ],
        );
        check(
            json!({"type": "string", "pattern": "^a+$", "minLength": 2}),
            json!("b"),
            &[
                "FieldValueInvalid spec: Invalid value: \"b\": spec in body should be at least 2 chars long",
                "FieldValueInvalid spec: Invalid value: \"b\": spec in body should match '^a+$'",
            ],
        );
        check(
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            &["FieldValueRequired spec.a: Required value"],
        );
        check(
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
            json!(["a", "b", "a"]),
            &["FieldValueDuplicate spec[2]: Duplicate value: \"a\""],
        );
        check(
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                   "items": {"type": "object", "properties": {"n": {"type": "string"}}}}),
            json!([{"n": "a"}, {"n": "a"}]),
            &["FieldValueDuplicate spec[1]: Duplicate value: {\"n\":\"a\"}"],
        );
    }

    #[test]
    fn junctors_combine() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        check(schema.clone(), json!({"a": "1"}), &[]);
        check(
            schema,
            json!({}),
            &[
                "FieldValueInvalid <nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
                "FieldValueRequired spec.a: Required value",
            ],
        );
    }

    #[test]
    fn formats_are_checked() {
        for (format, good, bad) in [
            ("date-time", "2026-01-02T03:04:05Z", "yesterday"),
            ("date", "2026-01-02", "2026-13-02"),
            ("ipv4", "10.0.0.1", "10.0.0"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("uuid", "67e55044-10b1-426f-9247-bb680e5fe0c8", "67e5"),
        ] {
            assert!(fits_format(format, good), "{format}");
            assert!(!fits_format(format, bad), "{format}");
        }
    }
}
