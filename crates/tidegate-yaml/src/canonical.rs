//! Canonical JSON (RFC 8785): one text for one value, so that a digest of it is its identity.

use std::fmt::Write;

use serde_json::{Number, Value};

use crate::number;

/// The canonical text: no white space, keys in UTF-16 order, numbers as ECMAScript prints them.
///
/// Integers keep all their digits, also beyond 2^53 where RFC 8785 would round them to a double:
/// two different integers must not share an identity.
///
/// ```
/// let value = serde_json::json!({"b": [1.0, 1e-7], "a": "é\n"});
/// assert_eq!(tidegate_yaml::canonical(&value), r#"{"a":"é\n","b":[1,1e-7]}"#);
/// ```
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_value(item, out);
            }
            out.push('}');
        }
    }
}

fn number_text(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    match number.as_f64() {
        Some(0.0) => "0".to_owned(),
        Some(value) => number::shortest(value).json(),
        None => number.to_string(),
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{C}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1F}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(canonical(&serde_json::from_str(json).unwrap()), expected);
    }

    #[test]
    fn numbers_are_printed_as_ecmascript_does() {
        check(
            "[1.0, -0.0, 1e21, 1e20, 1e-6, 1e-7, 333333333.33333329]",
            "[1,0,1e+21,100000000000000000000,0.000001,1e-7,333333333.3333333]",
        );
        check(
            "[4.50, 2e-3, 5e-324, 1.7976931348623157e308, 9007199254740993]",
            "[4.5,0.002,5e-324,1.7976931348623157e+308,9007199254740993]",
        );
    }

    #[test]
    fn keys_sort_by_utf16_units() {
        check(
            r#"{"\ufb33":1,"😀":2,"é":3,"a":4,"\r":5}"#,
            "{\"\\r\":5,\"a\":4,\"é\":3,\"😀\":2,\"\u{fb33}\":1}",
        );
        check(
            r#""\u0001\"\\\/\u007f\u2028""#,
            "\"\\u0001\\\"\\\\/\u{7f}\u{2028}\"",
        );
    }
}
