//! Values of parameters inside decisions and hashes, and references to resources that got another id.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Template;
use crate::sam::link::python_shown;
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

/// What stands for a value that another stack gives later: not a value yet.
const PENDING: &str = "{{IntrinsicFunction:";

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

    /// The value of a parameter, when it is known.
    fn known(&self, name: &str) -> Option<&Value> {
        let value = self.values.get(name)?;
        let is_pending = value.as_str().is_some_and(|text| text.starts_with(PENDING));
        (!is_pending).then_some(value)
    }

    fn replace(&self, value: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return value.clone();
        }
        match value {
            Value::Object(map) if map.len() == 1 => {
                let name = map.get("Ref").and_then(Value::as_str);
                if let Some(found) = name.and_then(|name| self.known(name)) {
                    return self.replace_inside(found, depth);
                }
                if let Some(sub) = map.get("Fn::Sub") {
                    return json!({"Fn::Sub": self.replace_sub(sub, depth)});
                }
                self.replace_inside(value, depth)
            }
            other => self.replace_inside(other, depth),
        }
    }

    /// What lies in a mapping or a list is replaced; the value itself was looked at.
    fn replace_inside(&self, value: &Value, depth: usize) -> Value {
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.replace(value, depth + 1)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(list) => list
                .iter()
                .map(|value| self.replace(value, depth + 1))
                .collect(),
            plain => plain.clone(),
        }
    }

    fn replace_sub(&self, argument: &Value, depth: usize) -> Value {
        let replaced = with_text(argument, &|name, written| match self.known(name) {
            None => written.to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                self.end(format!(
                    "Invalid Fn::Sub variable value {}. Fn::Sub expects all variables to be strings.",
                    python_shown(other)
                ));
                written.to_owned()
            }
        });
        self.replace_inside(&replaced, depth)
    }

    /// A mistake that ends the transform: nothing else is told.
    fn end(&self, message: String) {
        // The first one counts.
        let _ = self.fatal.set(message);
    }

    /// A value with what it takes from the section `Mappings`, when it can be told now.
    pub(crate) fn mapped(&self, value: &Value) -> Value {
        match self.template.section("Mappings") {
            Some(mappings) if !mappings.is_empty() => self.find(value, mappings, 0),
            _ => value.clone(),
        }
    }

    fn find(&self, value: &Value, mappings: &Map<String, Value>, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return value.clone();
        }
        match self.find_one(value, mappings, depth) {
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (key, self.find(&value, mappings, depth + 1)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(list) => list
                .iter()
                .map(|value| self.find(value, mappings, depth + 1))
                .collect(),
            plain => plain,
        }
    }

    /// `Fn::FindInMap`, whose arguments may be further ones.
    fn find_one(&self, value: &Value, mappings: &Map<String, Value>, depth: usize) -> Value {
        let map = value.as_object().filter(|map| map.len() == 1);
        let Some(argument) = map.and_then(|map| map.get("Fn::FindInMap")) else {
            return value.clone();
        };
        let Some([map, key, name]) = argument.as_array().map(Vec::as_slice) else {
            self.end(format!(
                "Invalid FindInMap value {}. FindInMap expects an array with 3 values.",
                python_shown(argument)
            ));
            return value.clone();
        };
        if depth > DEPTH_MAX {
            return value.clone();
        }
        let keys = [map, key, name].map(|part| self.find_one(part, mappings, depth + 1));
        let [Value::String(map), Value::String(key), Value::String(name)] = &keys else {
            return value.clone();
        };
        let not_two_levels = || {
            self.end(format!(
                "Cannot use Fn::FindInMap on Mapping '{map}' which is not a a two-level map."
            ));
            value.clone()
        };
        let Some(rows) = mappings.get(map) else {
            return value.clone();
        };
        let Some(rows) = rows.as_object() else {
            return not_two_levels();
        };
        let Some(row) = rows.get(key) else {
            return value.clone();
        };
        let Some(row) = row.as_object() else {
            return not_two_levels();
        };
        row.get(name).cloned().unwrap_or_else(|| value.clone())
    }
}

/// The argument of `Fn::Sub` with each `${name}` of its text replaced by what `replace` makes of the name
/// and of how it is written.
fn with_text(argument: &Value, replace: &dyn Fn(&str, &str) -> String) -> Value {
    match argument {
        Value::String(text) => Value::String(replace_names(text, replace)),
        Value::Array(list) => {
            let mut list = list.clone();
            if let Some(Value::String(text)) = list.first_mut() {
                *text = replace_names(text, replace);
            }
            Value::Array(list)
        }
        other => other.clone(),
    }
}

fn replace_names(text: &str, replace: &dyn Fn(&str, &str) -> String) -> String {
    let mut replaced = text.to_owned();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let inner = &rest[start + 2..];
        let length = inner
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == ':'))
            .unwrap_or(inner.len());
        let (name, behind) = inner.split_at(length);
        if behind.starts_with('}') && is_name(name) {
            let written = &rest[start..start + 3 + length];
            replaced = replaced.replacen(written, &replace(name, written), 1);
            rest = &behind[1..];
        } else {
            rest = inner;
        }
    }
    replaced
}

/// `Name`, `Name.Attribute` or `AWS::Name`.
fn is_name(name: &str) -> bool {
    match name.strip_prefix("AWS::") {
        Some(pseudo) => {
            pseudo.starts_with(|c: char| c.is_ascii_uppercase())
                && pseudo.bytes().all(|byte| byte.is_ascii_alphabetic())
        }
        None => !name.is_empty() && !name.contains(':'),
    }
}

/// What resources are called after the transform.
pub(crate) struct Names<'n> {
    /// `Fn.Alias` and its like.
    pub(crate) derived: &'n BTreeMap<(String, String), String>,
    /// Layers with a hash in their ids.
    pub(crate) renamed: &'n BTreeMap<String, String>,
}

impl Names<'_> {
    fn derived(&self, id: &str, property: &str) -> Option<&String> {
        self.derived.get(&(id.to_owned(), property.to_owned()))
    }

    /// Lets references follow: functions of one key, and `DependsOn`.
    pub(crate) fn follow(&self, value: &mut Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        if let Value::Object(map) = value {
            if let Some(depends) = map.get_mut("DependsOn") {
                self.follow_dependence(depends);
            }
            if map.len() == 1 {
                self.follow_function(map);
            }
        }
        match value {
            Value::Object(map) => {
                for value in map.values_mut() {
                    self.follow(value, depth + 1);
                }
            }
            Value::Array(list) => {
                for value in list {
                    self.follow(value, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn follow_dependence(&self, depends: &mut Value) {
        let names = match depends {
            Value::Array(list) => list.as_mut_slice(),
            other => std::slice::from_mut(other),
        };
        for name in names {
            if let Some(found) = name.as_str().and_then(|name| self.renamed.get(name)) {
                *name = json!(found);
            }
        }
    }

    fn follow_function(&self, map: &mut Map<String, Value>) {
        if let Some(Value::String(name)) = map.get_mut("Ref") {
            let found = match name.split_once('.') {
                None => self.renamed.get(name.as_str()),
                Some((id, property)) => self.derived(id, property),
            };
            if let Some(found) = found {
                found.clone_into(name);
            }
        }
        if let Some(Value::Array(list)) = map.get_mut("Fn::GetAtt") {
            self.follow_attribute(list);
        }
        if let Some(argument) = map.get_mut("Fn::Sub") {
            *argument = with_text(argument, &|name, written| {
                let id = name.split('.').next().unwrap_or_default();
                match self.renamed.get(id) {
                    Some(found) => written.replace(id, found),
                    None => written.to_owned(),
                }
            });
            *argument = with_text(argument, &|name, written| {
                let mut parts = name.split('.');
                let (Some(id), Some(property)) = (parts.next(), parts.next()) else {
                    return written.to_owned();
                };
                match self.derived(id, property) {
                    Some(found) => written.replace(&format!("{id}.{property}"), found),
                    None => written.to_owned(),
                }
            });
        }
    }

    /// `[Fn.Alias, Name]` or `[Fn, Alias.Name]`.
    fn follow_attribute(&self, list: &mut Vec<Value>) {
        let parts = |list: &[Value]| -> Option<Vec<String>> {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let texts = texts.filter(|texts| texts.len() > 1)?;
            Some(texts.join(".").split('.').map(str::to_owned).collect())
        };
        let renew = |found: &String, rest: &[String]| -> Vec<Value> {
            std::iter::once(found)
                .chain(rest)
                .map(|part| json!(part))
                .collect()
        };
        if let Some([id, rest @ ..]) = parts(list).as_deref()
            && let Some(found) = self.renamed.get(id)
        {
            *list = renew(found, rest);
        }
        if let Some([id, property, rest @ ..]) = parts(list).as_deref()
            && let Some(found) = self.derived(id, property)
        {
            *list = renew(found, rest);
        }
    }
}
