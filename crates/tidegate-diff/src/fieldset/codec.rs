//! `FieldsV1`: the wire form of a field set, byte for byte as the API server writes it.

use serde_json::{Map, Value};

use super::{FieldSet, PathElement};
use crate::value::{go_json, write_go_string};

/// Deeper sets are refused.
const MAX_DEPTH: usize = 200;

/// Why text is not a field set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("key must be 2 characters long: {0}")]
    ShortKey(String),
    #[error("missing colon: {0}")]
    MissingColon(String),
    #[error("parsing key {key:?} as path element: {reason}")]
    BadElement { key: String, reason: String },
    #[error("a field set is an object of objects")]
    NotAnObject,
    #[error("the field set is nested too deeply")]
    TooDeep,
}

impl PathElement {
    /// `f:name`, `k:{…}`, `v:…` or `i:0`.
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let mut out = String::from("k:{");
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_go_string(&mut out, name, false);
                    out.push(':');
                    out.push_str(&go_json(value));
                }
                out.push('}');
                out
            }
            Self::Value(value) => format!("v:{}", go_json(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads one element; `None` for a kind of element from the future, which is to be ignored.
    ///
    /// # Errors
    /// When the text is malformed.
    pub fn decode(text: &str) -> Result<Option<Self>, CodecError> {
        let bytes = text.as_bytes();
        if bytes.len() < 2 {
            return Err(CodecError::ShortKey(text.to_owned()));
        }
        if bytes[1] != b':' {
            return Err(CodecError::MissingColon(text.to_owned()));
        }
        let rest = &text[2..];
        let bad = |reason: String| CodecError::BadElement {
            key: text.to_owned(),
            reason,
        };
        let element = match bytes[0] {
            b'f' => Self::field(rest),
            b'v' => Self::Value(std::sync::Arc::new(
                serde_json::from_str(rest).map_err(|e| bad(e.to_string()))?,
            )),
            b'k' => {
                let map: Map<String, Value> =
                    serde_json::from_str(rest).map_err(|e| bad(e.to_string()))?;
                Self::key(map.into_iter().map(|(k, v)| (k.into(), v)).collect())
            }
            b'i' => Self::Index(rest.parse().map_err(|_| bad("not a number".into()))?),
            _ => return Ok(None),
        };
        Ok(Some(element))
    }
}

impl FieldSet {
    /// Reads `FieldsV1`.
    ///
    /// # Errors
    /// When a key is malformed or the value is not an object.
    pub fn decode(fields: &Value) -> Result<Self, CodecError> {
        Ok(decode_node(fields, MAX_DEPTH)?.0)
    }

    /// Writes `FieldsV1`. With a key-sorting JSON map the order is that of the map; see [`FieldSet::encode_text`].
    pub fn encode(&self) -> Value {
        encode_node(self, false)
    }

    /// Writes `FieldsV1` as text, in the API server's order.
    pub fn encode_text(&self) -> String {
        let mut out = String::new();
        write_node(&mut out, self, false);
        out
    }
}

/// The children of a node, and whether the node is itself a member.
fn decode_node(node: &Value, left: usize) -> Result<(FieldSet, bool), CodecError> {
    let map = match node {
        Value::Object(map) => map,
        Value::Null => return Ok((FieldSet::new(), true)),
        _ => return Err(CodecError::NotAnObject),
    };
    if left == 0 {
        return Err(CodecError::TooDeep);
    }
    let mut set = FieldSet::new();
    let mut member = false;
    for (key, below) in map {
        if key == "." {
            member = true;
            continue;
        }
        if let Some(element) = PathElement::decode(key)? {
            let (children, child_member) = decode_node(below, left - 1)?;
            set.set_child(&element, child_member, children);
        }
    }
    let member = member || set.is_empty();
    Ok((set, member))
}

fn encode_node(set: &FieldSet, member: bool) -> Value {
    let mut map = Map::new();
    if member && !set.is_empty() {
        map.insert(".".into(), Value::Object(Map::new()));
    }
    for (element, member, children) in set.iter_elements() {
        map.insert(element.encode(), encode_node(children, member));
    }
    Value::Object(map)
}

fn write_node(out: &mut String, set: &FieldSet, member: bool) {
    out.push('{');
    let mut first = true;
    if member && !set.is_empty() {
        out.push_str("\".\":{}");
        first = false;
    }
    for (element, member, children) in set.iter_elements() {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_go_string(out, &element.encode(), false);
        out.push(':');
        write_node(out, children, member);
    }
    out.push('}');
}
