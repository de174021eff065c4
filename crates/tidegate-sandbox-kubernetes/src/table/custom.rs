//! Tables of custom resources: their `additionalPrinterColumns`, or name and age.

use serde_json::{Value, json};

use super::jsonpath::Path;
use super::{age, column};
use crate::object;

/// One column with the way to its values; an unreadable path leaves its cells empty.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) definition: Value,
    kind: String,
    path: Option<Path>,
}

/// The columns after the name.
pub(super) fn columns(declared: &[Value]) -> Vec<Column> {
    let made = |declared: &Value| {
        let path = object::text(declared, &["jsonPath"]);
        let kind = object::text(declared, &["type"]);
        let mut definition = column(
            object::text(declared, &["name"]),
            kind,
            object::text(declared, &["format"]),
        );
        definition["description"] = match object::text(declared, &["description"]) {
            "" => json!(format!(
                "Custom resource definition column (in JSONPath format): {path}"
            )),
            told => json!(told),
        };
        definition["priority"] = json!(
            declared
                .get("priority")
                .and_then(Value::as_i64)
                .unwrap_or(0)
        );
        Column {
            definition,
            kind: kind.to_owned(),
            path: Path::parse(path).ok(),
        }
    };
    if declared.is_empty() {
        let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
        return vec![made(&age)];
    }
    declared.iter().map(made).collect()
}

impl Column {
    pub(super) fn cell(&self, object: &Value, now: jiff::Timestamp) -> Value {
        let Some(value) = self.path.as_ref().and_then(|path| path.first(object)) else {
            return Value::Null;
        };
        match (self.kind.as_str(), value) {
            ("string", value) => json!(printed(value)),
            ("integer", Value::Number(number)) => match number.as_i64() {
                Some(whole) => json!(whole),
                // Go cuts the fraction off.
                None => number
                    .as_f64()
                    .map_or(Value::Null, |float| json!(float as i64)),
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(stamp)) => match stamp.as_str() {
                "" | "null" => json!("<unknown>"),
                stamp => json!(age::parse(stamp).map_or_else(
                    || "<invalid>".to_owned(),
                    |time| age::human(now.duration_since(time)),
                )),
            },
            _ => Value::Null,
        }
    }
}

/// A value as Go prints it: strings as they are, objects and lists as JSON.
fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(float)) => float_text(float),
            _ => number.to_string(),
        },
        Value::Array(_) | Value::Object(_) => sorted(value)
            .to_string()
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e"),
    }
}

/// Go's `%v` of a float: an exponent for the very large and the very small.
fn float_text(float: f64) -> String {
    let size = float.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    float.to_string()
}

/// The value with its keys in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            Value::Object(
                keys.into_iter()
                    .map(|key| (key.clone(), sorted(&map[key])))
                    .collect(),
            )
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_follow_the_type_of_their_column() {
        let object = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "a": {"s": "x", "i": 3, "f": 3.75, "b": true, "n": null, "m": {"z": 1, "b": "<"}, "l": [1], "t": "tomorrow", "big": 1e21}});
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let check = |kind: &str, path: &str, expected: Value| {
            let declared = json!({"name": "c", "type": kind, "jsonPath": path});
            assert_eq!(
                columns(&[declared])[0].cell(&object, now),
                expected,
                "{kind} {path}"
            );
        };
        check("string", ".a.s", json!("x"));
        check("string", ".a.i", json!("3"));
        check("string", ".a.f", json!("3.75"));
        check("string", ".a.big", json!("1e+21"));
        check("string", ".a.b", json!("true"));
        check("string", ".a.n", json!("<no value>"));
        check("string", ".a.m", json!("{\"b\":\"\\u003c\",\"z\":1}"));
        check("string", ".a.l", json!("[1]"));
        check("string", ".a.none", json!(null));
        check("integer", ".a.i", json!(3));
        check("integer", ".a.f", json!(3));
        check("integer", ".a.s", json!(null));
        check("number", ".a.f", json!(3.75));
        check("boolean", ".a.b", json!(true));
        check("boolean", ".a.s", json!(null));
        check("date", ".metadata.creationTimestamp", json!("5m"));
        check("date", ".a.t", json!("<invalid>"));
        check("date", ".a.n", json!(null));
        check("string", ".a[", json!(null));
    }

    #[test]
    fn without_columns_there_is_an_age() {
        let found = columns(&[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].definition["name"], "Age");
    }
}
