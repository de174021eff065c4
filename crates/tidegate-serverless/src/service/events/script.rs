//! JavaScript's own ways where they show in a template: its JSON text, numbers and words.
//!
//! Must not know: services and events.

use serde_json::Number;
use tidegate_yaml::{Key, Node, Value};

/// The JSON text of a value as `JSON.stringify` writes it: keys in document order, those that are
/// whole numbers first and by size.
pub(crate) fn stringify(node: &Node) -> String {
    let mut text = String::new();
    write(node, &mut text);
    text
}

fn write(node: &Node, text: &mut String) {
    match &node.value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(value) => text.push_str(&number(value)),
        Value::String(value) => text.push_str(&quoted(value)),
        Value::Sequence(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Mapping(entries) => {
            text.push('{');
            for (index, (key, value)) in in_order(entries).into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&quoted(&key.text));
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
    }
}

/// The entries of an object in the order in which JavaScript goes over them.
pub(crate) fn in_order(entries: &[(Key, Node)]) -> Vec<&(Key, Node)> {
    let mut ordered: Vec<&(Key, Node)> = entries.iter().collect();
    ordered.sort_by_key(|(key, _)| index_of(&key.text).unwrap_or(u64::MAX));
    ordered
}

/// The number that a key is, if JavaScript counts it among the indices.
fn index_of(key: &str) -> Option<u64> {
    let index: u32 = key.parse().ok()?;
    (index < u32::MAX && index.to_string() == key).then_some(u64::from(index))
}

/// A text in JSON's quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text of a number.
pub(crate) fn number(number: &Number) -> String {
    const LARGEST_PLAIN: f64 = 1e21;
    const SMALLEST_PLAIN: f64 = 1e-6;
    if !number.is_f64() {
        return number.to_string();
    }
    let value = number.as_f64().unwrap_or_default();
    if value == 0.0 {
        return "0".to_owned();
    }
    if (SMALLEST_PLAIN..LARGEST_PLAIN).contains(&value.abs()) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// The text that `String(value)` gives.
pub(crate) fn text(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.to_string(),
        Value::Number(value) => number(value),
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            items.join(",")
        }
        Value::Mapping(_) => "[object Object]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_yaml::{ParseOptions, parse_one};

    use super::*;

    fn check(yaml: &str, expected: &str) {
        let node = parse_one(yaml.as_bytes(), &ParseOptions::default()).unwrap();
        assert_eq!(stringify(&node), expected);
    }

    #[test]
    fn objects_keep_their_order_but_for_indices() {
        check(
            "{b: 1, a: [x, ~, true], '10': 1, '9': 2, '01': 3}",
            r#"{"9":2,"10":1,"b":1,"a":["x",null,true],"01":3}"#,
        );
    }

    #[test]
    fn numbers_are_written_as_javascript_does() {
        check(
            "[1.0, 0.5, 1e21, 1e20, 1.5e-7, -0.0]",
            "[1,0.5,1e+21,100000000000000000000,1.5e-7,0]",
        );
    }
}
