//! The compact value of one YAML node and where it stood in the text.

use serde_json::Number;

/// Where a node stands in its text: byte offsets from the start of the stream, and the line and
/// column (both from 1) of its first character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Byte offset of the first character.
    pub start: u32,
    /// Byte offset after the last character.
    pub end: u32,
    /// Line of the first character, from 1.
    pub line: u32,
    /// Column of the first character in characters, from 1.
    pub column: u32,
}

/// A parsed node: its value and its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// What the node holds.
    pub value: Value,
    /// Where it stood.
    pub span: Span,
}

/// A key of a mapping and its place. Keys are strings after resolution, as in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key's text after resolution (`1: a` has the key `"1"`).
    pub text: Box<str>,
    /// Where the key stood.
    pub span: Span,
}

/// The value of a node, compact: no map tree, entries stand in source order.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing.
    #[default]
    Null,
    /// A boolean under the resolver in force.
    Bool(bool),
    /// An integer or a finite float.
    Number(Number),
    /// Text.
    String(Box<str>),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, keys unique, in source order.
    Mapping(Vec<(Key, Node)>),
}

impl Node {
    /// The value under `key`, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The entry under `key` with the place of its key.
    pub fn entry(&self, key: &str) -> Option<(&Key, &Node)> {
        match &self.value {
            Value::Mapping(entries) => entries
                .iter()
                .find(|(k, _)| &*k.text == key)
                .map(|(k, n)| (k, n)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Sequence(_) => None,
        }
    }

    /// The node a path of keys and indexes leads to: `["spec", "containers", "0", "name"]`.
    pub fn at<'n>(&'n self, path: &[&str]) -> Option<&'n Node> {
        path.iter().try_fold(self, |node, step| match &node.value {
            Value::Sequence(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
            Value::Mapping(_) => node.get(step),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }

    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Sequence(_)
            | Value::Mapping(_) => None,
        }
    }

    /// A node without places, from JSON.
    pub fn from_json(json: &serde_json::Value) -> Node {
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(*flag),
            serde_json::Value::Number(number) => Value::Number(number.clone()),
            serde_json::Value::String(text) => Value::String(text.as_str().into()),
            serde_json::Value::Array(items) => {
                Value::Sequence(items.iter().map(Node::from_json).collect())
            }
            serde_json::Value::Object(map) => Value::Mapping(
                map.iter()
                    .map(|(key, value)| {
                        let key = Key {
                            text: key.as_str().into(),
                            span: Span::default(),
                        };
                        (key, Node::from_json(value))
                    })
                    .collect(),
            ),
        };
        Node {
            value,
            span: Span::default(),
        }
    }

    /// The same value as JSON, without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => serde_json::Value::Bool(*flag),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::String(text) => serde_json::Value::String(text.to_string()),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Value::Mapping(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|(k, n)| (k.text.to_string(), n.to_json()))
                    .collect(),
            ),
        }
    }
}
