//! Ids that change when what they stand for changes: ten characters of a SHA-1.

use serde_json::Value;
use sha1::{Digest as _, Sha1};

/// Characters of a hash in an id.
const LENGTH: usize = 10;

/// An id with the hash of some data behind it; of text as it is, of anything else as compact JSON.
pub(crate) fn id(prefix: &str, data: &Value) -> String {
    let is_empty = match data {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if is_empty {
        return prefix.to_owned();
    }
    format!("{prefix}{}", digest(data))
}

/// The ten characters.
pub(crate) fn digest(data: &Value) -> String {
    let text = match data {
        Value::String(text) => text.clone(),
        other => json_text(other),
    };
    let hash = Sha1::digest(text.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(LENGTH).collect()
}

/// A value as compact JSON, as Python writes it.
pub(crate) fn json_text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// Compact JSON with sorted keys and escaped non-ASCII characters.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&python_number(number)),
        Value::String(string) => quote(string, text),
        Value::Array(list) => {
            text.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            text.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                quote(key, text);
                text.push(':');
                write(&map[key], text);
            }
            text.push('}');
        }
    }
}

/// A number as Python shows it: exponents from sixteen digits on, with a sign and two digits.
fn python_number(number: &serde_json::Number) -> String {
    let plain = number.to_string();
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return plain;
    };
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return plain;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let shown = format!("{float}");
        return if shown.contains('.') {
            shown
        } else {
            format!("{shown}.0")
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn quote(string: &str, text: &mut String) {
    text.push('"');
    for unit in string.encode_utf16() {
        match unit {
            0x22 => text.push_str("\\\""),
            0x5c => text.push_str("\\\\"),
            0x0a => text.push_str("\\n"),
            0x0d => text.push_str("\\r"),
            0x09 => text.push_str("\\t"),
            0x08 => text.push_str("\\b"),
            0x0c => text.push_str("\\f"),
            0x20..=0x7e => text.push(char::from(unit as u8)),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        let version = json!({"MemorySize": 256, "S3Bucket": "bkt", "S3Key": "key.zip",
            "Variables": {"STAGE": {"Ref": "Stage"}}});
        assert_eq!(id("FVersion", &version), "FVersionfda5974ee8");
        let layer = json!({"L": {"Properties": {"CompatibleRuntimes": ["python3.12"],
            "ContentUri": "s3://bkt/layer.zip"}, "Type": "AWS::Serverless::LayerVersion"}});
        assert_eq!(id("L", &layer), "L6fba876fea");
        assert_eq!(id("L", &json!({})), "L");
    }
}
