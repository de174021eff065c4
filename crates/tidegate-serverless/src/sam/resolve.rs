//! Values of parameters inside decisions and hashes, and references to resources that got another id.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Template;
use crate::sam::{Sam, SamOptions};

/// Deepest value that is looked into.
const DEPTH_MAX: usize = 100;

/// The values that SAM knows: parameters with their defaults, the region, the partition.
pub(crate) fn values(template: &Template, options: &SamOptions) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (name, body) in template.section("Parameters").into_iter().flatten() {
        if let Some(default) = body.get("Default") {
            values.insert(name.clone(), default.clone());
        }
    }
    let given = options.parameters.iter();
    values.extend(given.map(|(name, value)| (name.clone(), json!(value))));
    values.insert("AWS::Region".to_owned(), json!(options.region));
    values.insert("AWS::Partition".to_owned(), json!(options.partition));
    values
}

impl Sam<'_> {
    /// A value with references to parameters replaced by what they are.
    pub(crate) fn resolved(&self, value: &Value) -> Value {
        self.replace(value, 0)
    }

    /// What the reference makes of a value that it resolves in place: everything inside is resolved,
    /// a reference that is the whole value stays.
    pub(crate) fn settled(&self, value: &Value) -> Value {
        let is_reference = value
            .as_object()
            .is_some_and(|map| map.len() == 1 && map.contains_key("Ref"));
        if is_reference {
            value.clone()
        } else {
            self.resolved(value)
        }
    }

    fn replace(&self, value: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return value.clone();
        }
        match value {
            Value::Object(map) if map.len() == 1 => {
                if let Some(found) = map
                    .get("Ref")
                    .and_then(Value::as_str)
                    .and_then(|name| self.values.get(name))
                {
                    return found.clone();
                }
                if let Some(sub) = map.get("Fn::Sub") {
                    return json!({"Fn::Sub": self.replace_sub(sub, depth)});
                }
                let fields = map.iter();
                fields
                    .map(|(key, value)| (key.clone(), self.replace(value, depth + 1)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.replace(value, depth + 1)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Array(list) => list
                .iter()
                .map(|value| self.replace(value, depth + 1))
                .collect(),
            plain => plain.clone(),
        }
    }

    fn replace_sub(&self, argument: &Value, depth: usize) -> Value {
        match argument {
            Value::String(text) => Value::String(self.replace_names(text)),
            Value::Array(list) => list
                .iter()
                .map(|value| match value {
                    Value::String(text) => Value::String(self.replace_names(text)),
                    other => self.replace(other, depth + 1),
                })
                .collect(),
            other => self.replace(other, depth + 1),
        }
    }

    fn replace_names(&self, text: &str) -> String {
        let mut replaced = text.to_owned();
        for (name, value) in &self.values {
            let shown = match value {
                Value::String(text) => text.clone(),
                Value::Array(_) | Value::Object(_) => continue,
                other => other.to_string(),
            };
            replaced = replaced.replace(&format!("${{{name}}}"), &shown);
        }
        replaced
    }

    /// A value of the section `Mappings`, when it can be told now.
    pub(crate) fn mapped(&self, value: &Value) -> Value {
        let Some(list) = value.get("Fn::FindInMap").and_then(Value::as_array) else {
            return value.clone();
        };
        let keys: Vec<Value> = list.iter().map(|part| self.resolved(part)).collect();
        let [map, key, name] = keys.as_slice() else {
            return value.clone();
        };
        let found = (map.as_str(), key.as_str(), name.as_str());
        let (Some(map), Some(key), Some(name)) = found else {
            return value.clone();
        };
        let found = self
            .template
            .section("Mappings")
            .and_then(|all| all.get(map))
            .and_then(|map| map.get(key))
            .and_then(|row| row.get(name));
        found.cloned().unwrap_or_else(|| value.clone())
    }
}

/// Lets references follow: `Fn.Alias` and its like, and layers with a hash in their ids.
pub(crate) fn follow(
    value: &mut Value,
    derived: &BTreeMap<(String, String), String>,
    renamed: &BTreeMap<String, String>,
    depth: usize,
) {
    if depth > DEPTH_MAX {
        return;
    }
    let target = |name: &str| -> Option<String> {
        if let Some((id, property)) = name.split_once('.') {
            let key = (id.to_owned(), property.to_owned());
            return derived.get(&key).cloned();
        }
        renamed.get(name).cloned()
    };
    match value {
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get_mut("Ref")
                && let Some(found) = target(name)
            {
                *name = found;
            }
            if let Some(Value::Array(list)) = map.get_mut("Fn::GetAtt") {
                follow_attribute(list, &target);
            }
            match map.get_mut("Fn::Sub") {
                Some(Value::String(text)) => *text = follow_text(text, derived, renamed),
                Some(Value::Array(list)) => {
                    if let Some(Value::String(text)) = list.first_mut() {
                        *text = follow_text(text, derived, renamed);
                    }
                }
                _ => {}
            }
            match map.get_mut("DependsOn") {
                Some(Value::String(name)) => {
                    if let Some(found) = renamed.get(name.as_str()) {
                        found.clone_into(name);
                    }
                }
                Some(Value::Array(list)) => {
                    for name in list {
                        if let Some(found) = name.as_str().and_then(|name| renamed.get(name)) {
                            *name = json!(found);
                        }
                    }
                }
                _ => {}
            }
            for value in map.values_mut() {
                follow(value, derived, renamed, depth + 1);
            }
        }
        Value::Array(list) => {
            for value in list {
                follow(value, derived, renamed, depth + 1);
            }
        }
        _ => {}
    }
}

/// `[Fn.Alias, Name]` or `[Fn, Alias.Name]`.
fn follow_attribute(list: &mut Vec<Value>, target: &dyn Fn(&str) -> Option<String>) {
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let Some(joined) = texts.map(|texts| texts.join(".")) else {
        return;
    };
    let mut parts = joined.splitn(3, '.');
    let (Some(id), Some(property)) = (parts.next(), parts.next()) else {
        return;
    };
    match (target(&format!("{id}.{property}")), parts.next()) {
        (Some(found), Some(rest)) => *list = vec![json!(found), json!(rest)],
        _ => {
            if let Some(found) = target(id)
                && let Some(first) = list.first_mut()
            {
                *first = json!(found);
            }
        }
    }
}

fn follow_text(
    text: &str,
    derived: &BTreeMap<(String, String), String>,
    renamed: &BTreeMap<String, String>,
) -> String {
    let mut followed = text.to_owned();
    for ((id, property), found) in derived {
        followed = followed
            .replace(&format!("${{{id}.{property}}}"), &format!("${{{found}}}"))
            .replace(&format!("${{{id}.{property}."), &format!("${{{found}."));
    }
    for (id, found) in renamed {
        followed = followed
            .replace(&format!("${{{id}}}"), &format!("${{{found}}}"))
            .replace(&format!("${{{id}."), &format!("${{{found}."));
    }
    followed
}
