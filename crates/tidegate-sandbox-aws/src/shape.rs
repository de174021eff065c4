//! What the public service models demand of a request: required members, lengths, ranges, patterns and choices,
//! told in the words of AWS ("1 validation error detected: …").
//!
//! Must not know: what a service does with a request. One table a service lies in `shape/`, a line a shape:
//! `@Operation Input`, `Name { Member!:Shape …` (structure, `!` = required), `[ Item 1..10` (list), `< Key Value`
//! (map), `s 1..9 /pattern` (text), `e A|B` (choice), `i`, `f`, `b`, `B` (blob), `t` (time).

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// Compiled patterns stay below this size; a larger one is not checked.
const PATTERN_BYTES: usize = 1 << 20;
/// Violations told in one message.
const VIOLATIONS: usize = 10;
/// Levels of nesting that are looked into.
const DEPTH: usize = 48;

/// Why a request does not fit the model of its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A member has the wrong JSON type: `SerializationException`.
    Type(String),
    /// Members break a constraint: `ValidationException`.
    Constraint(String),
}

/// The request shapes of one service.
#[derive(Debug)]
pub(crate) struct Model {
    operations: HashMap<&'static str, &'static str>,
    shapes: HashMap<&'static str, Shape>,
}

#[derive(Debug)]
enum Shape {
    Text(Bounds, Option<Pattern>),
    Choice(Vec<&'static str>),
    Integer(Bounds),
    Float,
    Bool,
    Blob(Bounds),
    Time,
    List(&'static str, Bounds),
    Map(&'static str, &'static str, Bounds),
    Structure(Vec<Member>),
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    required: bool,
    shape: &'static str,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    min: Option<i64>,
    max: Option<i64>,
}

#[derive(Debug)]
struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn matches(&self, value: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| {
            RegexBuilder::new(&format!("^(?:{})$", self.text))
                .size_limit(PATTERN_BYTES)
                .build()
                .ok()
        });
        compiled.as_ref().is_none_or(|regex| regex.is_match(value))
    }
}

impl Model {
    /// Reads a table; lines that cannot be read are passed over (the tables are part of the program, a test reads them all).
    pub(crate) fn parse(table: &'static str) -> Self {
        let mut operations = HashMap::new();
        let mut shapes = HashMap::new();
        for line in table.lines() {
            let Some((name, body)) = line.split_once(' ') else {
                continue;
            };
            if let Some(operation) = name.strip_prefix('@') {
                operations.insert(operation, body);
            } else if let Some(shape) = parse_shape(body) {
                shapes.insert(name, shape);
            }
        }
        Self { operations, shapes }
    }

    /// Checks the input of an operation.
    ///
    /// # Errors
    /// The first wrong type, or all broken constraints in one message.
    pub(crate) fn check(&self, operation: &str, input: &Value) -> Result<(), Flaw> {
        let Some(shape) = self.operations.get(operation) else {
            return Ok(());
        };
        let mut found = Vec::new();
        self.walk(shape, "", input, DEPTH, &mut found)?;
        if found.is_empty() {
            return Ok(());
        }
        let plural = if found.len() == 1 { "" } else { "s" };
        Err(Flaw::Constraint(format!(
            "{} validation error{plural} detected: {}",
            found.len(),
            found.join("; ")
        )))
    }

    fn walk(
        &self,
        shape: &str,
        path: &str,
        value: &Value,
        depth: usize,
        found: &mut Vec<String>,
    ) -> Result<(), Flaw> {
        if depth == 0 || found.len() >= VIOLATIONS {
            return Ok(());
        }
        let builtin;
        let shape = match self.shapes.get(shape) {
            Some(shape) => shape,
            None => match parse_shape_owned(shape) {
                Some(shape) => {
                    builtin = shape;
                    &builtin
                }
                None => return Ok(()),
            },
        };
        match shape {
            Shape::Structure(members) => self.structure(members, path, value, depth, found),
            Shape::List(item, bounds) => {
                let list = value
                    .as_array()
                    .ok_or_else(|| wrong_type(value, "ArrayList"))?;
                check_length(list.len(), *bounds, path, value, found);
                for (index, entry) in list.iter().enumerate() {
                    let path = format!("{path}.{}.member", index + 1);
                    self.walk(item, &path, entry, depth - 1, found)?;
                }
                Ok(())
            }
            Shape::Map(key, item, bounds) => {
                let map = value
                    .as_object()
                    .ok_or_else(|| wrong_type(value, "HashMap"))?;
                check_length(map.len(), *bounds, path, value, found);
                for (name, entry) in map {
                    let name_value = Value::String(name.clone());
                    self.walk(
                        key,
                        &format!("{path}.{name}.key"),
                        &name_value,
                        depth - 1,
                        found,
                    )?;
                    self.walk(
                        item,
                        &format!("{path}.{name}.member"),
                        entry,
                        depth - 1,
                        found,
                    )?;
                }
                Ok(())
            }
            leaf => check_leaf(leaf, path, value, found),
        }
    }

    fn structure(
        &self,
        members: &[Member],
        path: &str,
        value: &Value,
        depth: usize,
        found: &mut Vec<String>,
    ) -> Result<(), Flaw> {
        let map = value.as_object().ok_or_else(|| {
            Flaw::Type("Start of structure or map found where not expected.".into())
        })?;
        for member in members {
            let path = if path.is_empty() {
                lower_first(member.name)
            } else {
                format!("{path}.{}", lower_first(member.name))
            };
            match map.get(member.name) {
                None | Some(Value::Null) if member.required => found.push(format!(
                    "Value null at '{path}' failed to satisfy constraint: Member must not be null"
                )),
                None | Some(Value::Null) => {}
                Some(value) => self.walk(member.shape, &path, value, depth - 1, found)?,
            }
        }
        Ok(())
    }
}

fn check_leaf(
    shape: &Shape,
    path: &str,
    value: &Value,
    found: &mut Vec<String>,
) -> Result<(), Flaw> {
    match shape {
        Shape::Text(bounds, pattern) => {
            let text = value.as_str().ok_or_else(|| wrong_type(value, "String"))?;
            check_length(text.chars().count(), *bounds, path, value, found);
            if let Some(pattern) = pattern
                && !pattern.matches(text)
            {
                found.push(violation(
                    path,
                    value,
                    &format!(
                        "Member must satisfy regular expression pattern: {}",
                        pattern.text
                    ),
                ));
            }
        }
        Shape::Choice(choices) => {
            let text = value.as_str().ok_or_else(|| wrong_type(value, "String"))?;
            if !choices.contains(&text) {
                let choices = choices.join(", ");
                found.push(violation(
                    path,
                    value,
                    &format!("Member must satisfy enum value set: [{choices}]"),
                ));
            }
        }
        Shape::Integer(bounds) => check_integer(*bounds, path, value, found)?,
        Shape::Float => {
            if !value.is_number() {
                return Err(wrong_type(value, "Double"));
            }
        }
        Shape::Bool => {
            if !value.is_boolean() {
                return Err(wrong_type(value, "Boolean"));
            }
        }
        Shape::Blob(bounds) => {
            let text = value.as_str().ok_or_else(|| wrong_type(value, "Blob"))?;
            let bytes = STANDARD.decode(text).map_err(|_| {
                Flaw::Type("Invalid Base64 character in a blob of the request".to_owned())
            })?;
            check_length(bytes.len(), *bounds, path, &Value::Null, found);
        }
        Shape::Time => {
            if !value.is_number() && !value.is_string() {
                return Err(wrong_type(value, "Date"));
            }
        }
        Shape::List(..) | Shape::Map(..) | Shape::Structure(_) => {}
    }
    Ok(())
}

fn check_integer(
    bounds: Bounds,
    path: &str,
    value: &Value,
    found: &mut Vec<String>,
) -> Result<(), Flaw> {
    let number = match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64))
            .unwrap_or(i64::MAX),
        _ => return Err(wrong_type(value, "Integer")),
    };
    if let Some(min) = bounds.min
        && number < min
    {
        let rule = format!("Member must have value greater than or equal to {min}");
        found.push(violation(path, value, &rule));
    }
    if let Some(max) = bounds.max
        && number > max
    {
        let rule = format!("Member must have value less than or equal to {max}");
        found.push(violation(path, value, &rule));
    }
    Ok(())
}

fn check_length(length: usize, bounds: Bounds, path: &str, value: &Value, found: &mut Vec<String>) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if let Some(min) = bounds.min
        && length < min
    {
        let rule = format!("Member must have length greater than or equal to {min}");
        found.push(violation(path, value, &rule));
    }
    if let Some(max) = bounds.max
        && length > max
    {
        let rule = format!("Member must have length less than or equal to {max}");
        found.push(violation(path, value, &rule));
    }
}

fn violation(path: &str, value: &Value, rule: &str) -> String {
    format!(
        "Value '{}' at '{path}' failed to satisfy constraint: {rule}",
        shown(value)
    )
}

/// A value as the services print it, cut where it would fill a screen.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 1_100;
    let mut text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "java.nio.HeapByteBuffer".to_owned(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{name}={}", shown(value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    };
    if text.len() > LONGEST {
        let cut = text.floor_char_boundary(LONGEST);
        text.truncate(cut);
    }
    text
}

fn wrong_type(value: &Value, wanted: &str) -> Flaw {
    let message = match value {
        Value::String(_) => format!("STRING_VALUE cannot be converted to {wanted}"),
        Value::Number(_) => format!("NUMBER_VALUE cannot be converted to {wanted}"),
        Value::Bool(true) => format!("TRUE_VALUE cannot be converted to {wanted}"),
        Value::Bool(false) => format!("FALSE_VALUE cannot be converted to {wanted}"),
        Value::Array(_) => "Unexpected list found where not expected.".to_owned(),
        Value::Object(_) => "Start of structure or map found where not expected.".to_owned(),
        Value::Null => format!("NULL_VALUE cannot be converted to {wanted}"),
    };
    Flaw::Type(message)
}

/// `StreamName` -> `streamName`, as the services name members in their messages.
fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn parse_shape_owned(letter: &str) -> Option<Shape> {
    Some(match letter {
        "s" => Shape::Text(Bounds::default(), None),
        "i" => Shape::Integer(Bounds::default()),
        "f" => Shape::Float,
        "b" => Shape::Bool,
        "B" => Shape::Blob(Bounds::default()),
        "t" => Shape::Time,
        _ => return None,
    })
}

fn parse_shape(body: &'static str) -> Option<Shape> {
    let (kind, rest) = body.split_once(' ').unwrap_or((body, ""));
    Some(match kind {
        "s" => {
            let (bounds, pattern) = match rest.strip_prefix('/') {
                Some(pattern) => ("", Some(pattern)),
                None => match rest.split_once(" /") {
                    Some((bounds, pattern)) => (bounds, Some(pattern)),
                    None => (rest, None),
                },
            };
            let pattern = pattern.map(|text| Pattern {
                text,
                compiled: OnceLock::new(),
            });
            Shape::Text(parse_bounds(bounds), pattern)
        }
        "e" => Shape::Choice(rest.split('|').collect()),
        "i" => Shape::Integer(parse_bounds(rest)),
        "B" => Shape::Blob(parse_bounds(rest)),
        "[" => {
            let (item, bounds) = rest.split_once(' ').unwrap_or((rest, ""));
            Shape::List(item, parse_bounds(bounds))
        }
        "<" => {
            let (key, rest) = rest.split_once(' ')?;
            let (value, bounds) = rest.split_once(' ').unwrap_or((rest, ""));
            Shape::Map(key, value, parse_bounds(bounds))
        }
        "{" => Shape::Structure(rest.split(' ').filter_map(parse_member).collect()),
        other => return parse_shape_owned(other),
    })
}

fn parse_member(text: &'static str) -> Option<Member> {
    let (name, shape) = text.split_once(':')?;
    let (name, required) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    Some(Member {
        name,
        required,
        shape,
    })
}

fn parse_bounds(text: &str) -> Bounds {
    let Some((min, max)) = text.split_once("..") else {
        return Bounds::default();
    };
    Bounds {
        min: min.parse().ok(),
        max: max.parse().ok(),
    }
}

/// Declares the model of a service, read once: `shape::model!("kinesis")` gives `&'static Model`.
macro_rules! model {
    ($service:literal) => {{
        static MODEL: std::sync::OnceLock<$crate::shape::Model> = std::sync::OnceLock::new();
        MODEL.get_or_init(|| {
            $crate::shape::Model::parse(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/shape/",
                $service,
                ".txt"
            )))
        })
    }};
}
pub(crate) use model;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read better with values"
    )]
    fn check(operation: &str, input: Value, expected: Result<(), Flaw>) {
        assert_eq!(model!("kinesis").check(operation, &input), expected);
    }

    #[test]
    fn every_table_is_read_to_its_last_line() {
        for table in [
            include_str!("shape/kinesis.txt"),
            include_str!("shape/dynamodb.txt"),
            include_str!("shape/dynamodbstreams.txt"),
            include_str!("shape/events.txt"),
            include_str!("shape/scheduler.txt"),
            include_str!("shape/stepfunctions.txt"),
            include_str!("shape/secretsmanager.txt"),
            include_str!("shape/ssm.txt"),
            include_str!("shape/cloudcontrol.txt"),
            include_str!("shape/resourcegroupstaggingapi.txt"),
            include_str!("shape/sqs.txt"),
            include_str!("shape/sns.txt"),
        ] {
            let model = Model::parse(table);
            assert_eq!(
                model.operations.len() + model.shapes.len(),
                table.lines().count()
            );
            for (name, shape) in &model.shapes {
                if let Shape::Structure(members) = shape {
                    for member in members {
                        assert!(
                            model.shapes.contains_key(member.shape)
                                || parse_shape_owned(member.shape).is_some(),
                            "{name}.{} has no shape {}",
                            member.name,
                            member.shape
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn all_broken_constraints_are_told_at_once() {
        check(
            "CreateStream",
            json!({"StreamName": "a b", "ShardCount": 0}),
            Err(Flaw::Constraint(
                "2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; \
                 Value '0' at 'shardCount' failed to satisfy constraint: \
                 Member must have value greater than or equal to 1"
                    .into(),
            )),
        );
        check(
            "CreateStream",
            json!({}),
            Err(Flaw::Constraint(
                "1 validation error detected: Value null at 'streamName' failed to satisfy constraint: \
                 Member must not be null"
                    .into(),
            )),
        );
    }

    #[test]
    fn a_wrong_type_is_a_serialization_error() {
        check(
            "CreateStream",
            json!({"StreamName": 5}),
            Err(Flaw::Type(
                "NUMBER_VALUE cannot be converted to String".into(),
            )),
        );
        check(
            "CreateStream",
            json!({"StreamName": "s", "Unknown": 1}),
            Ok(()),
        );
    }
}
