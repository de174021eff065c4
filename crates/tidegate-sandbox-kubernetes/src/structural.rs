//! Structural schemas of custom resources: reading them, and what they do to objects (spec kubernetes.md B7).
//! Pruning and defaulting are here; validation is in `structural/check.rs`, the rules for schemas in `structural/rules.rs`.

mod check;
mod rules;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Number, Value};

pub(crate) use check::check_object;
pub(crate) use rules::check_schema;

use crate::object;

/// How deep a schema may nest.
const MAX_DEPTH: usize = 64;
/// How large a compiled pattern may become, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// Properties that are not listed.
#[derive(Clone, Debug, Default)]
pub(crate) enum Additional {
    /// Pruned.
    #[default]
    None,
    /// `additionalProperties: true`.
    Any,
    Schema(Box<Structural>),
}

/// A bound of a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) value: Number,
    pub(crate) exclusive: bool,
}

/// How the items of a list relate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// A parsed structural schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Structural {
    pub(crate) kind: Option<Kind>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    pub(crate) preserve: bool,
    pub(crate) embedded: bool,
    pub(crate) default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Structural>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Structural>>,
    pub(crate) list: ListType,
    pub(crate) required: Vec<String>,
    pub(crate) choices: Option<Vec<Value>>,
    pub(crate) format: String,
    pub(crate) pattern: Option<(String, Option<Regex>)>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) length: (Option<u64>, Option<u64>),
    pub(crate) item_count: (Option<u64>, Option<u64>),
    pub(crate) property_count: (Option<u64>, Option<u64>),
    pub(crate) unique: bool,
    pub(crate) all_of: Vec<Structural>,
    pub(crate) any_of: Vec<Structural>,
    pub(crate) one_of: Vec<Structural>,
    pub(crate) not: Option<Box<Structural>>,
    /// Whether there is any default below.
    has_defaults: bool,
}

impl Structural {
    /// Reads an `openAPIV3Schema`; what it cannot read counts as unsaid.
    pub(crate) fn parse(schema: &Value) -> Self {
        Self::read(schema, 0)
    }

    fn read(schema: &Value, depth: usize) -> Self {
        let Some(map) = schema.as_object().filter(|_| depth < MAX_DEPTH) else {
            return Self {
                preserve: true,
                ..Self::default()
            };
        };
        let below = |value: &Value| Self::read(value, depth + 1);
        let list = |key: &str| {
            map.get(key)
                .and_then(Value::as_array)
                .map(|list| list.iter().map(below).collect())
                .unwrap_or_default()
        };
        let mut out = Self {
            kind: map
                .get("type")
                .and_then(Value::as_str)
                .and_then(Kind::parse),
            nullable: flag(map, "nullable"),
            int_or_string: flag(map, "x-kubernetes-int-or-string"),
            preserve: flag(map, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(map, "x-kubernetes-embedded-resource"),
            default: map.get("default").cloned(),
            items: map.get("items").map(|items| Box::new(below(items))),
            list: list_type(map),
            required: strings(map, "required"),
            choices: map.get("enum").and_then(Value::as_array).cloned(),
            format: map
                .get("format")
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned(),
            pattern: map.get("pattern").and_then(Value::as_str).map(pattern),
            minimum: bound(map, "minimum", "exclusiveMinimum"),
            maximum: bound(map, "maximum", "exclusiveMaximum"),
            multiple_of: map.get("multipleOf").and_then(Value::as_f64),
            length: range(map, "minLength", "maxLength"),
            item_count: range(map, "minItems", "maxItems"),
            property_count: range(map, "minProperties", "maxProperties"),
            unique: flag(map, "uniqueItems"),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: map.get("not").map(|not| Box::new(below(not))),
            ..Self::default()
        };
        for (name, property) in map
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            out.properties.insert(name.clone(), below(property));
        }
        out.additional = match map.get("additionalProperties") {
            None | Some(Value::Bool(false) | Value::Null) => Additional::None,
            Some(Value::Bool(true)) => Additional::Any,
            Some(schema) => Additional::Schema(Box::new(below(schema))),
        };
        out.has_defaults = out.default.is_some()
            || out
                .properties
                .values()
                .any(|property| property.has_defaults)
            || out.items.as_ref().is_some_and(|items| items.has_defaults)
            || matches!(&out.additional, Additional::Schema(schema) if schema.has_defaults);
        out
    }

    /// Whether objects may gain something when they are read or written.
    pub(crate) fn has_defaults(&self) -> bool {
        self.has_defaults
    }

    fn member(&self, name: &str) -> Option<Member<'_>> {
        if let Some(property) = self.properties.get(name) {
            return Some(Member::Known(property));
        }
        match &self.additional {
            Additional::Schema(schema) => Some(Member::Known(schema)),
            Additional::Any => Some(Member::Free),
            Additional::None if self.preserve => Some(Member::Free),
            Additional::None => None,
        }
    }
}

enum Member<'a> {
    Known(&'a Structural),
    Free,
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn strings(map: &Map<String, Value>, key: &str) -> Vec<String> {
    map.get(key)
        .and_then(Value::as_array)
        .map(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

fn range(map: &Map<String, Value>, least: &str, most: &str) -> (Option<u64>, Option<u64>) {
    let read = |key: &str| map.get(key).and_then(Value::as_u64);
    (read(least), read(most))
}

fn bound(map: &Map<String, Value>, key: &str, exclusive: &str) -> Option<Bound> {
    match map.get(key) {
        Some(Value::Number(value)) => Some(Bound {
            value: value.clone(),
            exclusive: flag(map, exclusive),
        }),
        _ => None,
    }
}

fn list_type(map: &Map<String, Value>) -> ListType {
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(strings(map, "x-kubernetes-list-map-keys")),
        _ => ListType::Atomic,
    }
}

/// Patterns are RE2 in the original; this engine reads the same language and is linear too.
fn pattern(text: &str) -> (String, Option<Regex>) {
    let compiled = regex::RegexBuilder::new(text)
        .size_limit(MAX_PATTERN)
        .build();
    (text.to_owned(), compiled.ok())
}

/// Drops what the schema does not know; returns the paths that went.
pub(crate) fn prune_object(schema: &Structural, object: &mut Value) -> Vec<String> {
    let mut gone = Vec::new();
    prune_root(schema, object, "", &mut gone);
    gone
}

/// Roots and embedded objects keep apiVersion, kind and metadata whatever the schema says.
fn prune_root(schema: &Structural, object: &mut Value, path: &str, gone: &mut Vec<String>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let kept: Vec<(&str, Option<Value>)> = ["apiVersion", "kind", "metadata"]
        .map(|key| (key, map.remove(key)))
        .to_vec();
    prune_map(schema, map, path, gone);
    for (key, value) in kept {
        if let Some(mut value) = value {
            if key == "metadata" {
                prune_metadata(&mut value, path, gone);
            }
            map.insert(key.to_owned(), value);
        }
    }
}

/// The fields of `ObjectMeta`.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

fn prune_metadata(metadata: &mut Value, path: &str, gone: &mut Vec<String>) {
    let Some(map) = metadata.as_object_mut() else {
        return;
    };
    map.retain(|key, value| {
        let known = METADATA.contains(&key.as_str());
        if !known {
            gone.push(join(&join(path, "metadata"), key));
        }
        let empty = match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            value => value.is_null(),
        };
        known && !empty
    });
}

fn prune(schema: &Structural, value: &mut Value, path: &str, gone: &mut Vec<String>) {
    if schema.embedded {
        return prune_root(schema, value, path, gone);
    }
    match value {
        Value::Object(map) => prune_map(schema, map, path, gone),
        Value::Array(items) => {
            let Some(below) = &schema.items else { return };
            for (index, item) in items.iter_mut().enumerate() {
                prune(below, item, &format!("{path}[{index}]"), gone);
            }
        }
        _ => {}
    }
}

fn prune_map(
    schema: &Structural,
    map: &mut Map<String, Value>,
    path: &str,
    gone: &mut Vec<String>,
) {
    map.retain(|key, value| match schema.member(key) {
        Some(Member::Known(below)) => {
            prune(below, value, &join(path, key), gone);
            true
        }
        Some(Member::Free) => true,
        None => {
            gone.push(join(path, key));
            false
        }
    });
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Fills in defaults; a null where null is not allowed and a default exists counts as absent.
pub(crate) fn default_object(schema: &Structural, object: &mut Value) {
    drop_nulls(schema, object);
    if schema.has_defaults {
        default_value(schema, object);
    }
}

fn default_value(schema: &Structural, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                let absent = match map.get(name) {
                    None => true,
                    Some(Value::Null) => !property.nullable,
                    Some(_) => false,
                };
                if let Some(default) = property.default.as_ref().filter(|_| absent) {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map.iter_mut() {
                if let Some(Member::Known(below)) = schema.member(name)
                    && below.has_defaults
                {
                    default_value(below, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(below) = schema.items.as_ref().filter(|below| below.has_defaults) {
                items.iter_mut().for_each(|item| default_value(below, item));
            }
        }
        _ => {}
    }
}

/// Nulls of properties that are not nullable count as absent.
fn drop_nulls(schema: &Structural, value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|key, value| match schema.member(key) {
            Some(Member::Known(below)) => {
                if value.is_null() && !below.nullable {
                    return false;
                }
                drop_nulls(below, value);
                true
            }
            _ => true,
        }),
        Value::Array(items) => {
            if let Some(below) = &schema.items {
                items.iter_mut().for_each(|item| drop_nulls(below, item));
            }
        }
        _ => {}
    }
    if schema.embedded {
        object::ensure(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Structural {
        Structural::parse(&json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "default": {},
                    "properties": {
                        "size": {"type": "integer", "default": 3},
                        "note": {"type": "string", "nullable": true, "default": "x"},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string", "default": "b"}}}},
                        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}}}},
                        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
                    },
                },
            },
        }))
    }

    #[test]
    fn unknown_fields_are_pruned_and_named() {
        let mut object = json!({
            "apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n", "junk": 1},
            "junk": 1,
            "spec": {
                "free": {"any": {"thing": 1}}, "list": [{"n": "1", "m": 2}],
                "map": {"k": {"a": "1", "z": 1}},
                "template": {"kind": "X", "metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}, "other": 1},
            },
        });
        let gone = prune_object(&schema(), &mut object);
        assert_eq!(
            gone,
            [
                "junk",
                "spec.list[0].m",
                "spec.map.k.z",
                "spec.template.other",
                "spec.template.spec.x",
                "metadata.junk"
            ]
        );
        assert_eq!(object["spec"]["free"], json!({"any": {"thing": 1}}));
        assert_eq!(object["spec"]["template"]["kind"], "X");
    }

    #[test]
    fn defaults_go_down_and_respect_nulls() {
        let check = |mut given: Value, expected: Value| {
            default_object(&schema(), &mut given);
            assert_eq!(given, expected);
        };
        check(json!({}), json!({"spec": {"size": 3, "note": "x"}}));
        check(
            json!({"spec": {"size": null, "note": null, "map": {"k": {}}}}),
            json!({"spec": {"size": 3, "note": null, "map": {"k": {"a": "b"}}}}),
        );
    }
}
