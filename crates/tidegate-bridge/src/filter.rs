//! Which records of a source are delivered: `FilterCriteria`, with the whole pattern language of EventBridge.
//!
//! Patterns name parts of a record: `value` and `key` of a topic's, `data` of a stream's, and what stands beside them. A
//! part that is a JSON object or list matches patterns of fields; any other part matches lists of texts. Every other
//! combination does not match, and the record is passed over.

mod matcher;
mod pattern;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::record::{Partition, Position, Record};
use pattern::{Node, Tree};

/// Whose records are filtered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A topic's.
    #[default]
    Kafka,
    /// A stream's.
    Kinesis,
}

impl Kind {
    /// Parts that hold what somebody wrote.
    fn payloads(self) -> &'static [&'static str] {
        match self {
            Self::Kafka => &["value", "key"],
            Self::Kinesis => &["data"],
        }
    }

    fn others(self) -> &'static [&'static str] {
        match self {
            Self::Kafka => &["topic", "partition", "offset", "timestamp", "timestampType"],
            Self::Kinesis => &[
                "partitionKey",
                "sequenceNumber",
                "approximateArrivalTimestamp",
                "kinesisSchemaVersion",
            ],
        }
    }
}

/// The filters of a binding; none: every record passes.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    kind: Kind,
    alternatives: Vec<Tree>,
}

/// What a part of a record is.
enum Part {
    Missing,
    Text(String),
    Json(Value),
    Binary,
}

impl Filter {
    /// Reads patterns; a record passes when one of them matches it.
    ///
    /// # Errors
    /// The index of the first pattern that is none, and what is wrong with it.
    pub fn new(kind: Kind, patterns: &[String]) -> Result<Self, (usize, String)> {
        let mut alternatives = Vec::new();
        for (index, text) in patterns.iter().enumerate() {
            let trees = pattern::read(text).map_err(|error| (index, error))?;
            for tree in &trees {
                check(kind, tree).map_err(|error| (index, error))?;
            }
            alternatives.extend(trees);
        }
        Ok(Self { kind, alternatives })
    }

    /// Whether a record is delivered.
    pub fn passes(&self, partition: &Partition, record: &Record) -> bool {
        if self.alternatives.is_empty() {
            return true;
        }
        let is_named = |name: &&&str| {
            let mut trees = self.alternatives.iter();
            trees.any(|tree| tree.fields.contains_key(**name))
        };
        let mut root = Map::new();
        if self.kind.others().iter().any(|name| is_named(&name)) {
            root = facts(self.kind, partition, record);
        }
        let named = self.kind.payloads().iter().filter(is_named);
        let parts: Vec<(&str, Part)> = named.map(|name| (*name, part(name, record))).collect();
        for (name, part) in &parts {
            match part {
                Part::Text(text) => root.insert((*name).to_owned(), Value::String(text.clone())),
                Part::Json(value) => root.insert((*name).to_owned(), value.clone()),
                Part::Missing | Part::Binary => None,
            };
        }
        let root = Value::Object(root);
        self.alternatives.iter().any(|tree| {
            let fits = parts
                .iter()
                .all(|(name, part)| match (tree.fields.get(*name), part) {
                    (None, _) | (Some(_), Part::Missing) => true,
                    (Some(Node::Leaf(_)), Part::Text(_)) => true,
                    (Some(Node::Tree(_)), Part::Json(_)) => true,
                    (Some(_), _) => false,
                });
            fits && tree.matches(&root, root.as_object())
        })
    }
}

fn check(kind: Kind, tree: &Tree) -> Result<(), String> {
    for (name, node) in &tree.fields {
        let is_known =
            kind.payloads().contains(&name.as_str()) || kind.others().contains(&name.as_str());
        if !is_known {
            let known = [kind.payloads(), kind.others()].concat().join(", ");
            return Err(format!("a record has no part {name:?}; it has {known}"));
        }
        if kind == Kind::Kinesis && name == "data" && matches!(node, Node::Leaf(_)) {
            return Err("data of a stream is JSON: write an object of fields".to_owned());
        }
    }
    Ok(())
}

fn part(name: &str, record: &Record) -> Part {
    let bytes = if name == "key" {
        &record.key
    } else {
        &record.value
    };
    let Some(bytes) = bytes else {
        return Part::Missing;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Part::Binary;
    };
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Part::Json(value),
        _ => Part::Text(text.to_owned()),
    }
}

fn facts(kind: Kind, partition: &Partition, record: &Record) -> Map<String, Value> {
    let facts = match (kind, &record.position) {
        (Kind::Kafka, Position::Offset(offset)) => json!({
            "topic": &*partition.source,
            "partition": partition.number(),
            "offset": offset,
            "timestamp": record.timestamp,
            "timestampType": record.timestamp_type.as_str(),
        }),
        (_, position) => {
            let key = record.key.as_deref().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "the event has a double too")]
            let arrival = record.timestamp as f64 / 1000.0;
            json!({
                "partitionKey": String::from_utf8_lossy(key),
                "sequenceNumber": position.to_string(),
                "approximateArrivalTimestamp": arrival,
                "kinesisSchemaVersion": "1.0",
            })
        }
    };
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}
