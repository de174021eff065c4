//! Filters of mappings: what of a record a pattern is held against.
//!
//! Must not know: the filter language (it is the sandbox's `pattern`), batches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tidegate_sandbox_aws::service::pattern;

use crate::mappings::Source;

/// Does a record of a mapping's event pass?
pub(super) fn passes(filters: &[String], source: &Source, record: &Value) -> bool {
    filters.is_empty() || filters.iter().any(|text| passes_one(text, source, record))
}

fn passes_one(text: &str, source: &Source, record: &Value) -> bool {
    if text.is_empty() {
        return true;
    }
    let Ok(read) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    match source {
        Source::Kinesis { .. } => {
            let mut seen = record["kinesis"].clone();
            if let Some(map) = seen.as_object_mut() {
                map.remove("data");
            }
            if names(&read, "data") {
                let bytes = record["kinesis"]["data"]
                    .as_str()
                    .and_then(|data| STANDARD.decode(data).ok());
                let Some(data) =
                    bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
                else {
                    return false;
                };
                seen["data"] = data;
            }
            pattern::matches_text(text, &seen)
        }
        Source::Queue { .. } => {
            let mut seen = record.clone();
            let body = record["body"].as_str().unwrap_or("");
            let parsed = serde_json::from_str::<Value>(body)
                .ok()
                .filter(|value| value.is_object() || value.is_array());
            match (parsed, is_text(&read["body"])) {
                // A text and a pattern for JSON, or the other way round: the record is dropped.
                (None, false) if names(&read, "body") => return false,
                (Some(_), true) => return false,
                (Some(parsed), false) => seen["body"] = parsed,
                (None, _) => {}
            }
            pattern::matches_text(text, &seen)
        }
        Source::Table { .. } | Source::Kafka => pattern::matches_text(text, record),
    }
}

/// Is a pattern of a whole body one of plain texts?
fn is_text(pattern: &Value) -> bool {
    pattern.is_array()
}

/// Does a pattern say anything of a field, at the root or in a branch of `$or`?
fn names(pattern: &Value, field: &str) -> bool {
    let Some(map) = pattern.as_object() else {
        return false;
    };
    map.keys()
        .any(|key| key == field || key.split('.').next() == Some(field))
        || map
            .get("$or")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|one| names_flat(one, field)))
}

fn names_flat(pattern: &Value, field: &str) -> bool {
    pattern
        .as_object()
        .is_some_and(|map| map.keys().any(|key| key.split('.').next() == Some(field)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(source: &Source, pattern: &str, record: &Value, expected: bool) {
        let filters = [pattern.to_owned()];
        assert_eq!(
            passes(&filters, source, record),
            expected,
            "{pattern} on {record}"
        );
    }

    #[test]
    fn data_of_streams() {
        let source = Source::Kinesis { arn: String::new() };
        let record =
            |data: &str| json!({"kinesis": {"partitionKey": "k", "data": STANDARD.encode(data)}});
        check(
            &source,
            r#"{"data":{"t":[1]}}"#,
            &record(r#"{"t":1}"#),
            true,
        );
        check(
            &source,
            r#"{"data":{"t":[2]}}"#,
            &record(r#"{"t":1}"#),
            false,
        );
        check(&source, r#"{"data":{"t":[1]}}"#, &record("no JSON"), false);
        check(
            &source,
            r#"{"partitionKey":["k"]}"#,
            &record("no JSON"),
            true,
        );
        check(&source, "", &record("x"), true);
    }

    #[test]
    fn bodies_of_queues() {
        let source = Source::Queue {
            arn: String::new(),
            fifo: false,
        };
        let record = |body: &str| json!({"messageId": "m", "body": body});
        check(
            &source,
            r#"{"body":{"t":[{"numeric":[">",1]}]}}"#,
            &record(r#"{"t":2}"#),
            true,
        );
        check(&source, r#"{"body":{"t":[2]}}"#, &record("text"), false);
        check(
            &source,
            r#"{"body":[{"prefix":"te"}]}"#,
            &record("text"),
            true,
        );
        check(
            &source,
            r#"{"body":["text"]}"#,
            &record(r#"{"t":2}"#),
            false,
        );
        check(&source, r#"{"messageId":["m"]}"#, &record("text"), true);
    }

    #[test]
    fn records_of_tables() {
        let source = Source::Table { arn: String::new() };
        let record = json!({"eventName": "INSERT", "dynamodb": {"NewImage": {"s": {"S": "new"}}}});
        check(
            &source,
            r#"{"eventName":["INSERT"],"dynamodb":{"NewImage":{"s":{"S":["new"]}}}}"#,
            &record,
            true,
        );
        check(&source, r#"{"eventName":["REMOVE"]}"#, &record, false);
    }
}
