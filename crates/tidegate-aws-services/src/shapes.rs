//! Small readings of properties that all handlers need. Pure.

use serde_json::{Map, Value};
use tidegate_applier::{ApplierError, ErrorKind};

/// Absent is no error.
pub(crate) fn not_found(error: ApplierError) -> Result<(), ApplierError> {
    if error.kind == ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// A whole number, also in quotes.
pub(crate) fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Text in a list.
pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// Text of a field.
pub(crate) fn text(value: Option<&Value>, name: &str) -> Option<String> {
    value?.get(name)?.as_str().map(str::to_owned)
}

/// A document as text.
pub(crate) fn document(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// A document as a value, whether it is written as text or not.
pub(crate) fn parsed(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    }
}

/// Numbers that a template has in quotes become numbers; those at their default go.
pub(crate) fn numbers(properties: &mut Map<String, Value>, defaults: &[(&str, i64)]) {
    for (name, default) in defaults {
        if let Some(found) = integer(properties.get(*name)) {
            if found == *default {
                properties.remove(*name);
            } else {
                properties.insert((*name).to_owned(), Value::from(found));
            }
        }
    }
}

/// Flags that a template has in quotes become flags; those that are false go.
pub(crate) fn flags(properties: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        let is_on = match properties.get(*name) {
            Some(Value::Bool(flag)) => Some(*flag),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        match is_on {
            Some(true) => {
                properties.insert((*name).to_owned(), Value::Bool(true));
            }
            Some(false) => {
                properties.remove(*name);
            }
            None => {}
        }
    }
}
