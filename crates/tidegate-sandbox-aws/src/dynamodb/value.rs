//! DynamoDB's attribute values: reading and writing their JSON form, order, size.
//!
//! Must not know: tables, expressions.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::number::Number;

/// Levels that documents may be nested.
const NESTING: usize = 32;

/// An item or a map: attributes by name.
pub(crate) type Item = BTreeMap<String, Attribute>;

/// One attribute value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// `S`
    Text(String),
    /// `N`
    Number(Number),
    /// `B`
    Binary(Vec<u8>),
    /// `BOOL`
    Bool(bool),
    /// `NULL`
    Null,
    /// `L`
    List(Vec<Attribute>),
    /// `M`
    Map(Item),
    /// `SS`
    Texts(BTreeSet<String>),
    /// `NS`
    Numbers(BTreeSet<Number>),
    /// `BS`
    Binaries(BTreeSet<Vec<u8>>),
}

impl Attribute {
    /// Reads `{"S": "…"}` and its kin.
    ///
    /// # Errors
    /// DynamoDB's own words (a `ValidationException`).
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        read_nested(value, NESTING)
    }

    /// The JSON form.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!({"S": text}),
            Self::Number(number) => json!({"N": number.to_string()}),
            Self::Binary(bytes) => json!({"B": STANDARD.encode(bytes)}),
            Self::Bool(flag) => json!({"BOOL": flag}),
            Self::Null => json!({"NULL": true}),
            Self::List(list) => {
                json!({"L": list.iter().map(Self::to_json).collect::<Vec<_>>()})
            }
            Self::Map(map) => json!({"M": item_json(map)}),
            Self::Texts(set) => json!({"SS": set}),
            Self::Numbers(set) => {
                json!({"NS": set.iter().map(Number::to_string).collect::<Vec<_>>()})
            }
            Self::Binaries(set) => {
                json!({"BS": set.iter().map(|bytes| STANDARD.encode(bytes)).collect::<Vec<_>>()})
            }
        }
    }

    /// The letter of its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
            Self::Binary(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::List(_) => "L",
            Self::Map(_) => "M",
            Self::Texts(_) => "SS",
            Self::Numbers(_) => "NS",
            Self::Binaries(_) => "BS",
        }
    }

    /// Order among values of one scalar type; `None` between types and for documents.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Number(a), Self::Number(b)) => Some(a.cmp(b)),
            (Self::Binary(a), Self::Binary(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Bytes it counts for.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(number) => number.size(),
            Self::Binary(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::List(list) => 3 + list.iter().map(|item| 1 + item.size()).sum::<usize>(),
            Self::Map(map) => 3 + map.len() + item_size(map),
            Self::Texts(set) => set.iter().map(String::len).sum(),
            Self::Numbers(set) => set.iter().map(Number::size).sum(),
            Self::Binaries(set) => set.iter().map(Vec::len).sum(),
        }
    }
}

/// Bytes that an item counts for: names and values.
pub(crate) fn item_size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value.size())
        .sum()
}

/// What an item weighs in memory, where small attributes cost more than their bytes.
pub(crate) fn item_weight(item: &Item) -> usize {
    const ATTRIBUTE: usize = 128;
    fn values(value: &Attribute) -> usize {
        match value {
            Attribute::List(list) => list.iter().map(|one| ATTRIBUTE + values(one)).sum(),
            Attribute::Map(map) => map.values().map(|one| ATTRIBUTE + values(one)).sum(),
            Attribute::Texts(set) => set.len() * ATTRIBUTE,
            Attribute::Numbers(set) => set.len() * ATTRIBUTE,
            Attribute::Binaries(set) => set.len() * ATTRIBUTE,
            _ => 0,
        }
    }
    let small: usize = item.values().map(|value| ATTRIBUTE + values(value)).sum();
    item_size(item) + small + ATTRIBUTE
}

/// An item in JSON.
pub(crate) fn item_json(item: &Item) -> Value {
    let map: Map<String, Value> = item
        .iter()
        .map(|(name, value)| (name.clone(), value.to_json()))
        .collect();
    Value::Object(map)
}

/// Reads an item.
///
/// # Errors
/// DynamoDB's own words (a `ValidationException`).
pub(crate) fn read_item(value: &Value) -> Result<Item, String> {
    let Some(map) = value.as_object() else {
        return Err(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
                .into(),
        );
    };
    map.iter()
        .map(|(name, value)| Ok((name.clone(), Attribute::read(value)?)))
        .collect()
}

fn read_nested(value: &Value, depth: usize) -> Result<Attribute, String> {
    if depth == 0 {
        return Err("Nesting Levels have exceeded supported limits: Attributes can be nested up to 32 levels deep".into());
    }
    let map = value.as_object().filter(|map| !map.is_empty()).ok_or(
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
    )?;
    if map.len() > 1 {
        return Err("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes".into());
    }
    let Some((kind, body)) = map.iter().next() else {
        return Err("Supplied AttributeValue is empty".into());
    };
    let text = || {
        body.as_str()
            .ok_or_else(|| format!("the {kind} of an attribute value must be a string"))
    };
    Ok(match kind.as_str() {
        "S" => Attribute::Text(text()?.to_owned()),
        "N" => Attribute::Number(Number::parse(text()?)?),
        "B" => Attribute::Binary(decode(text()?)?),
        "BOOL" => Attribute::Bool(body.as_bool().ok_or("BOOL must be true or false")?),
        "NULL" => match body.as_bool() {
            Some(true) => Attribute::Null,
            _ => return Err("One or more parameter values were invalid: Null attribute value types must have the value of true".into()),
        },
        "L" => Attribute::List(
            list(kind, body)?
                .iter()
                .map(|item| read_nested(item, depth - 1))
                .collect::<Result<_, _>>()?,
        ),
        "M" => {
            let map = body.as_object().ok_or("the M of an attribute value must be an object")?;
            let mut item = Item::new();
            for (name, value) in map {
                item.insert(name.clone(), read_nested(value, depth - 1)?);
            }
            Attribute::Map(item)
        }
        "SS" => Attribute::Texts(set(kind, body, |text| Ok(text.to_owned()))?),
        "NS" => Attribute::Numbers(set(kind, body, Number::parse)?),
        "BS" => Attribute::Binaries(set(kind, body, decode)?),
        _ => return Err("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".into()),
    })
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|_| "Invalid Base64 in an attribute value of type binary".to_owned())
}

fn list<'a>(kind: &str, body: &'a Value) -> Result<&'a Vec<Value>, String> {
    body.as_array()
        .ok_or_else(|| format!("the {kind} of an attribute value must be a list"))
}

fn set<T: Ord>(
    kind: &str,
    body: &Value,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<BTreeSet<T>, String> {
    let list = list(kind, body)?;
    if list.is_empty() {
        return Err(match kind {
            "SS" => "One or more parameter values were invalid: An string set  may not be empty",
            "NS" => "One or more parameter values were invalid: An number set  may not be empty",
            _ => "One or more parameter values were invalid: Binary sets should not be empty",
        }
        .into());
    }
    let mut all = BTreeSet::new();
    for entry in list {
        let text = entry
            .as_str()
            .ok_or_else(|| format!("the members of a {kind} must be strings"))?;
        if !all.insert(read(text)?) {
            let shown: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            return Err(format!(
                "One or more parameter values were invalid: Input collection [{}] contains duplicates.",
                shown.join(", ")
            ));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written_alike() {
        for value in [
            json!({"S": ""}),
            json!({"N": "12.5"}),
            json!({"B": "AQI="}),
            json!({"BOOL": false}),
            json!({"NULL": true}),
            json!({"L": [{"S": "a"}, {"M": {"x": {"N": "1"}}}]}),
            json!({"SS": ["a", "b"]}),
            json!({"NS": ["-1", "2"]}),
            json!({"BS": ["AQ=="]}),
        ] {
            assert_eq!(Attribute::read(&value).unwrap().to_json(), value);
        }
    }

    #[test]
    fn bad_values_are_refused_in_words() {
        for (value, words) in [
            (json!({}), "is empty"),
            (json!({"S": "a", "N": "1"}), "more than one"),
            (json!({"SS": []}), "may not be empty"),
            (json!({"SS": ["a", "a"]}), "duplicates"),
            (json!({"N": "x"}), "numeric value"),
            (json!({"NULL": false}), "value of true"),
        ] {
            assert!(
                Attribute::read(&value).unwrap_err().contains(words),
                "{value}"
            );
        }
        let mut deep = json!({"S": "x"});
        for _ in 0..40 {
            deep = json!({"L": [deep]});
        }
        assert!(Attribute::read(&deep).unwrap_err().contains("32 levels"));
    }
}
