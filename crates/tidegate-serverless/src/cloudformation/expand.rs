//! `Fn::ForEach`: loops are written out before anything else is evaluated.

use serde_json::{Map, Value};
use tidegate_manifest::Diagnostic;
use tidegate_render::AwsEnvironment;

use crate::Template;
use crate::cloudformation::DEPTH_MAX;

/// Most entries that the loops of one template make.
const ENTRIES_MAX: usize = 20_000;
const PREFIX: &str = "Fn::ForEach::";

/// The template with its loops written out; None when it has none.
pub(super) fn loops(
    template: &Template,
    environment: &AwsEnvironment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Template> {
    if !has_loop(&template.body, 0) {
        return None;
    }
    let mut work = Work {
        template,
        environment,
        made: 0,
        errors: Vec::new(),
    };
    let body = work.value(&template.body, 0);
    diagnostics.append(&mut work.errors);
    let order = |id: &String| {
        let all = body.get("Resources").and_then(Value::as_object);
        all.is_some_and(|all| all.contains_key(id))
    };
    let kept = template.resource_order.iter().filter(|id| order(id));
    let kept = kept.cloned().collect();
    Some(template.derived(body, kept))
}

fn has_loop(value: &Value, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.starts_with(PREFIX) || has_loop(value, depth + 1)),
        Value::Array(list) => list.iter().any(|value| has_loop(value, depth + 1)),
        _ => false,
    }
}

struct Work<'t> {
    template: &'t Template,
    environment: &'t AwsEnvironment,
    made: usize,
    errors: Vec<Diagnostic>,
}

impl Work<'_> {
    fn error(&mut self, message: impl Into<String>) {
        let found = Diagnostic::error("TG1306", message, self.template.place(&["Resources"])).help(
            "a loop is `Fn::ForEach::Name: [Identifier, [items], {\"Key${Identifier}\": value}]`",
        );
        if !self.errors.contains(&found) {
            self.errors.push(found);
        }
    }

    fn value(&mut self, value: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            self.error("the template is nested too deeply");
            return Value::Null;
        }
        match value {
            Value::Object(map) => {
                let mut fields = Map::new();
                for (key, value) in map {
                    match key.strip_prefix(PREFIX) {
                        Some(name) => self.unroll(name, value, &mut fields, depth + 1),
                        None => {
                            fields.insert(key.clone(), self.value(value, depth + 1));
                        }
                    }
                }
                Value::Object(fields)
            }
            Value::Array(list) => {
                let items = list.iter().map(|item| self.value(item, depth + 1));
                Value::Array(items.collect())
            }
            plain => plain.clone(),
        }
    }

    fn unroll(&mut self, name: &str, body: &Value, into: &mut Map<String, Value>, depth: usize) {
        let Some([identifier, items, fields]) = body.as_array().map(Vec::as_slice) else {
            return self.error(format!("{PREFIX}{name} is no list of three"));
        };
        let (Some(identifier), Some(fields)) = (identifier.as_str(), fields.as_object()) else {
            return self.error(format!("{PREFIX}{name} has no identifier or no fields"));
        };
        for item in self.items(name, items) {
            for (key, value) in fields {
                self.made += 1;
                if self.made > ENTRIES_MAX {
                    return self.error(format!("loops make more than {ENTRIES_MAX} entries"));
                }
                let value = substitute(value, identifier, &item, 0);
                match key.strip_prefix(PREFIX) {
                    Some(inner) if depth < DEPTH_MAX => {
                        self.unroll(inner, &value, into, depth + 1);
                    }
                    _ => {
                        let key = replace(key, identifier, &item);
                        let value = self.value(&value, depth + 1);
                        into.insert(key, value);
                    }
                }
            }
        }
    }

    fn items(&mut self, name: &str, items: &Value) -> Vec<String> {
        match items {
            Value::Array(list) => {
                let mut found = Vec::new();
                for item in list {
                    match item {
                        Value::String(text) => found.push(text.clone()),
                        Value::Number(_) | Value::Bool(_) => found.push(item.to_string()),
                        other => found.extend(self.items(name, other)),
                    }
                }
                found
            }
            Value::Object(map) if map.len() == 1 => match map.get("Ref").and_then(Value::as_str) {
                Some(parameter) => self.parameter(parameter),
                None => {
                    self.error(format!("{PREFIX}{name}: the items must be known"));
                    Vec::new()
                }
            },
            _ => {
                self.error(format!("{PREFIX}{name}: the items are no list"));
                Vec::new()
            }
        }
    }

    fn parameter(&mut self, name: &str) -> Vec<String> {
        let given = self.environment.parameters.get(name).cloned();
        let declared = self
            .template
            .section("Parameters")
            .and_then(|all| all.get(name));
        let default = declared
            .and_then(|body| body.get("Default"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        match given.or(default) {
            Some(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            None => {
                self.error(format!("Fn::ForEach: the parameter {name} has no value"));
                Vec::new()
            }
        }
    }
}

fn replace(text: &str, identifier: &str, item: &str) -> String {
    let plain: String = item.chars().filter(char::is_ascii_alphanumeric).collect();
    text.replace(&format!("${{{identifier}}}"), item)
        .replace(&format!("&{{{identifier}}}"), &plain)
}

fn substitute(value: &Value, identifier: &str, item: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return value.clone();
    }
    match value {
        Value::String(text) => Value::String(replace(text, identifier, item)),
        Value::Object(map)
            if map.len() == 1 && map.get("Ref") == Some(&Value::from(identifier)) =>
        {
            Value::from(item)
        }
        Value::Object(map) => {
            let fields = map.iter().map(|(key, value)| {
                (
                    replace(key, identifier, item),
                    substitute(value, identifier, item, depth + 1),
                )
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => list
            .iter()
            .map(|value| substitute(value, identifier, item, depth + 1))
            .collect(),
        plain => plain.clone(),
    }
}
