//! Reading JSON as Kubernetes does: the last duplicate wins, but every duplicate is reported by path.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How many duplicates are reported.
const MAX_DUPLICATES: usize = 100;

/// A document and the paths of its duplicate fields (`spec.a`, `spec.list[0].b`).
pub(crate) fn parse(
    bytes: &[u8],
    floats: Floats,
) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut duplicates = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed {
        floats,
        path: String::new(),
        duplicates: &mut duplicates,
    };
    let value = seed.deserialize(&mut reader)?;
    reader.end()?;
    Ok((value, duplicates))
}

/// What becomes of a whole number that is written as a float (`3.0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floats {
    /// An integer, as where values have no Go type.
    Whole,
    /// What it is: a Go integer refuses it.
    Kept,
}

struct Seed<'a> {
    floats: Floats,
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // Go keeps a whole float and writes it without a point.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.floats == Floats::Whole && value.fract() == 0.0 && value.abs() < EXACT {
            return Ok(Value::Number((value as i64).into()));
        }
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            let seed = Seed {
                floats: self.floats,
                path,
                duplicates: &mut *self.duplicates,
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            if map.contains_key(&key) && self.duplicates.len() < MAX_DUPLICATES {
                self.duplicates.push(path.clone());
            }
            let seed = Seed {
                floats: self.floats,
                path,
                duplicates: &mut *self.duplicates,
            };
            map.insert(key, entries.next_value_seed(seed)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duplicates_are_named_and_the_last_one_wins() {
        let (value, duplicates) = parse(
            br#"{"a": 1, "l": [{"x": 1, "x": {"y": 2.5}}], "a": "\u00e9"}"#,
            Floats::Whole,
        )
        .unwrap();
        assert_eq!(value, json!({"a": "é", "l": [{"x": {"y": 2.5}}]}));
        assert_eq!(duplicates, ["l[0].x", "a"]);
    }

    #[test]
    fn broken_and_bottomless_documents_are_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "{} x", "{\"a\":}", deep.as_str()] {
            assert!(parse(text.as_bytes(), Floats::Whole).is_err());
        }
    }
}
