//! Responses in every form that functions send.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::event::EventShape;
use crate::record::{Partition, Record, TimestampType};

fn delivery() -> Delivery {
    let record = |offset| Record {
        position: Position::Offset(offset),
        timestamp: 0,
        timestamp_type: TimestampType::CreateTime,
        key: None,
        value: None,
        headers: Arc::from([]),
        encryption: None,
    };
    Delivery {
        shape: Arc::new(EventShape::SelfManagedKafka {
            event_source: "SelfManagedKafka".into(),
            bootstrap_servers: "b:1".into(),
        }),
        partition: Partition::kafka(&"t".into(), 0),
        records: vec![record(5), record(7), record(9)],
        window: None,
    }
}

/// None: delivered. Else the first failed record.
fn check(body: &str, expected: Option<usize>) {
    let found = match read(&delivery(), body.as_bytes(), Failure::default()) {
        Outcome::Delivered => None,
        Outcome::Partial { from, .. } => Some(from),
        other => panic!("{other:?} of {body}"),
    };
    assert_eq!(found, expected, "{body}");
}

#[test]
fn success() {
    for body in [
        "",
        "\"\"",
        " null ",
        "{}",
        r#"{"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":null}"#,
    ] {
        check(body, None);
    }
}

#[test]
fn records_that_failed() {
    for identifier in [
        r#"{"partition":"t-0","offset":7}"#,
        r#"{"topic-partition":"t-0","offset":"7"}"#,
        r#""t-0-7""#,
    ] {
        check(
            &format!(r#"{{"batchItemFailures":[{{"itemIdentifier":{identifier}}}]}}"#),
            Some(1),
        );
    }
    let two = r#"{"batchItemFailures":[{"itemIdentifier":"t-0-9"},{"itemIdentifier":"t-0-7"}]}"#;
    check(two, Some(1));
}

#[test]
fn whole_batches_that_failed() {
    for body in [
        "{",
        "7",
        "[]",
        r#"{"batchItemFailures":7}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
        r#"{"batchItemFailures":[{"identifier":"t-0-7"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"t-0-9"},{"itemIdentifier":"t-0-6"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"t-1","offset":7}}]}"#,
    ] {
        check(body, Some(0));
    }
}

#[test]
fn a_window_needs_a_state_until_it_ends() {
    let mut delivery = delivery();
    let window = |is_final| crate::event::WindowPart {
        start: 0,
        end: 10_000,
        state: json!({}),
        is_final,
        is_terminated_early: false,
    };
    let answer = |delivery: &Delivery, body: &str| {
        answered(delivery, body.as_bytes(), Failure::default(), true)
    };
    delivery.window = Some(window(false));
    for body in ["", "null", "{}", "7", "{\"state\": 7}", "{\"state\""] {
        let found = answer(&delivery, body);
        assert!(matches!(found, Outcome::Failed(_)), "{body}: {found:?}");
    }
    let expected = Outcome::Windowed {
        state: json!({"n": 2}),
        then: Box::new(Outcome::Delivered),
    };
    let body = "{\"state\": {\"n\": 2}, \"batchItemFailures\": []}";
    assert_eq!(answer(&delivery, body), expected);
    delivery.window = Some(window(true));
    assert_eq!(answer(&delivery, "null"), Outcome::Delivered);
}
