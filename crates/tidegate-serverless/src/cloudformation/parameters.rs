//! The section `Parameters`: values given, defaults, types and constraints.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};
use tidegate_manifest::Diagnostic;
use tidegate_render::AwsEnvironment;

use crate::Template;

/// A parameter with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What `Ref` gives.
    pub value: Value,
    /// `NoEcho`: the value is shown nowhere.
    pub is_secret: bool,
}

/// Reads all parameters; those without a value are told once, together.
pub(super) fn read(
    template: &Template,
    environment: &AwsEnvironment,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Parameter> {
    let mut found = BTreeMap::new();
    let mut missing: Vec<&str> = Vec::new();
    let empty = Map::new();
    let declared = template.section("Parameters").unwrap_or(&empty);
    for (name, body) in declared {
        let given = environment.parameters.get(name).cloned();
        let default = body.get("Default").filter(|value| !value.is_null());
        let Some(text) = given.or_else(|| default.map(text)) else {
            missing.push(name);
            continue;
        };
        let kind = body.get("Type").and_then(Value::as_str).unwrap_or("String");
        for message in violations(name, kind, &text, body) {
            let origin = template.place(&["Parameters", name]);
            diagnostics.push(
                Diagnostic::error("TG1302", message, origin)
                    .object(format!("parameter {name}"))
                    .help("give a value that the template allows"),
            );
        }
        let is_secret = matches!(body.get("NoEcho"), Some(Value::Bool(true)))
            || body.get("NoEcho").and_then(Value::as_str) == Some("true");
        let value = typed(kind, &text);
        found.insert(name.clone(), Parameter { value, is_secret });
    }
    if !missing.is_empty() {
        let origin = template.place(&["Parameters", missing[0]]);
        let message = format!("Parameters: [{}] must have values", missing.join(", "));
        diagnostics.push(Diagnostic::error("TG1302", message, origin).help(
            "give them with --parameter KEY=VALUE, in the source's plugin parameters, or a Default",
        ));
    }
    for name in environment.parameters.keys() {
        if !declared.contains_key(name) {
            let origin = template.place(&["Parameters"]);
            let message = format!("Parameters: [{name}] do not exist in the template");
            diagnostics.push(
                Diagnostic::warning("TG1302", message, origin)
                    .help("remove the value, or declare the parameter"),
            );
        }
    }
    found
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn typed(kind: &str, text: &str) -> Value {
    let list = || {
        let items = text.split(',').map(|item| Value::from(item.trim()));
        Value::Array(items.collect())
    };
    if let Some(inner) = kind
        .strip_prefix("AWS::SSM::Parameter::Value<")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        let reference = format!("{{{{resolve:ssm:{text}}}}}");
        return if inner.starts_with("List<") || inner == "CommaDelimitedList" {
            serde_json::json!({"Fn::Split": [",", reference]})
        } else {
            Value::String(reference)
        };
    }
    match kind {
        "CommaDelimitedList" => list(),
        _ if kind.starts_with("List<") => list(),
        // A number stays what was written: 0644 is no octal, and 1.50 keeps its zero.
        _ => Value::String(text.to_owned()),
    }
}

fn violations(name: &str, kind: &str, value: &str, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
    let items: Vec<&str> = if is_list {
        value.split(',').map(str::trim).collect()
    } else {
        vec![value]
    };
    if let Some(allowed) = body.get("AllowedValues").and_then(Value::as_array) {
        let allowed: Vec<String> = allowed.iter().map(text).collect();
        if items.iter().any(|item| !allowed.iter().any(|a| a == item)) {
            found.push(format!(
                "Parameter '{name}' must be one of AllowedValues: [{}]",
                allowed.join(", ")
            ));
        }
    }
    if let Some(pattern) = body.get("AllowedPattern").and_then(Value::as_str)
        && let Ok(regex) = Regex::new(&format!("^(?:{pattern})$"))
        && items.iter().any(|item| !regex.is_match(item))
    {
        let described = body.get("ConstraintDescription").and_then(Value::as_str);
        found.push(match described {
            Some(words) => format!("Parameter {name} failed to satisfy constraint: {words}"),
            None => format!("Parameter '{name}' must match pattern {pattern}"),
        });
    }
    let bound = |field: &str| text(body.get(field)?).parse::<f64>().ok();
    let is_number = kind == "Number" || kind == "List<Number>";
    for item in &items {
        let number = item.parse::<f64>();
        if is_number && number.is_err() {
            found.push(format!("Parameter '{name}' must be a number."));
            continue;
        }
        let number = number.unwrap_or_default();
        let length = item.chars().count() as f64;
        if is_number && bound("MinValue").is_some_and(|min| number < min) {
            let min = bound("MinValue").unwrap_or_default();
            found.push(format!(
                "Parameter '{name}' must be a number not less than {min}"
            ));
        }
        if is_number && bound("MaxValue").is_some_and(|max| number > max) {
            let max = bound("MaxValue").unwrap_or_default();
            found.push(format!(
                "Parameter '{name}' must be a number not greater than {max}"
            ));
        }
        if bound("MinLength").is_some_and(|min| length < min) {
            let min = bound("MinLength").unwrap_or_default();
            found.push(format!(
                "Parameter '{name}' must contain at least {min} characters"
            ));
        }
        if bound("MaxLength").is_some_and(|max| length > max) {
            let max = bound("MaxLength").unwrap_or_default();
            found.push(format!(
                "Parameter '{name}' must contain at most {max} characters"
            ));
        }
    }
    found
}
