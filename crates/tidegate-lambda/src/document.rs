//! Policy documents in one shape, so that equal ones compare equal. Pure.

use serde_json::{Map, Value};

/// Deepest document that is brought into shape.
const DEPTH_MAX: usize = 32;

/// A document as IAM understands it: parsed, lists of one as their element, statements as a list.
pub(crate) fn normal(value: &Value) -> Value {
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    };
    let Value::Object(mut document) = parsed else {
        return parsed;
    };
    let statements = match document.remove("Statement") {
        Some(Value::Array(list)) => list,
        Some(single) => vec![single],
        None => Vec::new(),
    };
    let statements = statements.iter().map(|one| shape(one, 0)).collect();
    document.insert("Statement".to_owned(), Value::Array(statements));
    // The older language version is the default, and AWS writes it down or not.
    if document.get("Version").and_then(Value::as_str) == Some("2008-10-17") {
        document.remove("Version");
    }
    document.remove("Id");
    Value::Object(document)
}

fn shape(value: &Value, depth: usize) -> Value {
    match value {
        _ if depth > DEPTH_MAX => value.clone(),
        Value::Array(list) => match list.as_slice() {
            [only] => shape(only, depth + 1),
            _ => {
                let mut items: Vec<Value> = list.iter().map(|one| shape(one, depth + 1)).collect();
                items.sort_by_key(Value::to_string);
                Value::Array(items)
            }
        },
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("Action" | "NotAction", value) => lower(&shape(value, depth + 1)),
                    (_, value) => shape(value, depth + 1),
                };
                (key.clone(), value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Bool(flag) => Value::String(flag.to_string()),
        plain => plain.clone(),
    }
}

/// Actions are compared without their case.
fn lower(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.to_lowercase()),
        Value::Array(list) => list.iter().map(lower).collect(),
        other => other.clone(),
    }
}

/// Decodes a document that IAM gives in URL form.
pub(crate) fn decoded(text: &str) -> Value {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex: Vec<u8> = rest.by_ref().take(2).collect();
        let code = std::str::from_utf8(&hex).ok();
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.extend(code);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_that_say_the_same_are_equal() {
        let one = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Action": ["S3:GetObject"], "Resource": ["b", "a"]}]});
        let two = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Action": "s3:getobject", "Resource": ["a", "b"]}});
        assert_eq!(normal(&one), normal(&two));
        assert_eq!(normal(&json!(one.to_string())), normal(&two));
        let three = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny",
            "Action": "s3:getobject", "Resource": ["a", "b"]}});
        assert_ne!(normal(&one), normal(&three));
    }

    #[test]
    fn url_forms_are_decoded() {
        assert_eq!(decoded("%7B%22a%22%3A1%7D"), json!({"a": 1}));
    }
}
