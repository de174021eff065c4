//! The pattern language by example.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::record::TimestampType;

fn record(value: Option<&[u8]>) -> Record {
    Record {
        position: Position::Offset(41),
        timestamp: 1_000,
        timestamp_type: TimestampType::CreateTime,
        key: Some(Bytes::from_static(b"eu")),
        value: value.map(Bytes::copy_from_slice),
        headers: Arc::from([]),
        encryption: None,
    }
}

fn passes(pattern: &Value, value: &[u8]) -> bool {
    let filter = Filter::new(Kind::Kafka, &[pattern.to_string()]).expect("a pattern");
    filter.passes(&Partition::kafka(&"t".into(), 3), &record(Some(value)))
}

/// A pattern of the record's value, values that match, values that do not.
#[expect(
    clippy::needless_pass_by_value,
    reason = "calls read best with `json!` in place"
)]
fn check(pattern: Value, matching: &[Value], others: &[Value]) {
    let whole = json!({ "value": pattern });
    for value in matching {
        assert!(
            passes(&whole, value.to_string().as_bytes()),
            "{pattern} takes {value}"
        );
    }
    for value in others {
        assert!(
            !passes(&whole, value.to_string().as_bytes()),
            "{pattern} does not take {value}"
        );
    }
}

#[test]
fn literals() {
    check(
        json!({"a": ["x", 300, null, true]}),
        &[
            json!({"a": "x"}),
            json!({"a": 3.0e2}),
            json!({"a": null}),
            json!({"a": true}),
            json!({"a": [9, "x"]}),
        ],
        &[
            json!({"a": "X"}),
            json!({"a": "300"}),
            json!({"a": false}),
            json!({}),
            json!({"a": {"x": 1}}),
            json!({"a": []}),
        ],
    );
    check(
        json!({"a": [""]}),
        &[json!({"a": ""})],
        &[json!({"a": null}), json!({})],
    );
}

#[test]
fn fields_hold_together_and_within_one_element() {
    check(
        json!({"a": {"b": [1], "c": [2]}}),
        &[
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": [{"b": 9}, {"b": 1, "c": 2}]}),
        ],
        &[
            json!({"a": [{"b": 1}, {"c": 2}]}),
            json!({"a": {"b": 1}}),
            json!({"a": 1}),
        ],
    );
    check(
        json!({"a.b": [1], "a.c": [2]}),
        &[json!({"a": {"b": 1, "c": 2}})],
        &[json!({"a": [{"b": 1}, {"c": 2}]})],
    );
}

#[test]
fn texts() {
    check(
        json!({"a": [{"prefix": "ab"}]}),
        &[json!({"a": "abc"})],
        &[json!({"a": "Abc"}), json!({"a": 1})],
    );
    check(
        json!({"a": [{"suffix": "bc"}]}),
        &[json!({"a": "abc"})],
        &[json!({"a": "bcd"})],
    );
    check(
        json!({"a": [{"prefix": {"equals-ignore-case": "AB"}}]}),
        &[json!({"a": "aBc"})],
        &[json!({"a": "b"})],
    );
    check(
        json!({"a": [{"equals-ignore-case": "ÄB"}]}),
        &[json!({"a": "äb"})],
        &[json!({"a": "äbc"})],
    );
    check(
        json!({"a": [{"wildcard": "a*b\\*"}]}),
        &[json!({"a": "ab*"}), json!({"a": "abxb*"})],
        &[json!({"a": "abb"}), json!({"a": "xab*"})],
    );
}

#[test]
fn anything_but() {
    check(
        json!({"a": [{"anything-but": ["x", "y"]}]}),
        &[json!({"a": "z"}), json!({"a": 1}), json!({"a": ["x", "z"]})],
        &[json!({"a": "x"}), json!({})],
    );
    check(
        json!({"a": [{"anything-but": 5}]}),
        &[json!({"a": 6})],
        &[json!({"a": 5.0})],
    );
    check(
        json!({"a": [{"anything-but": {"prefix": ["in", "un"]}}]}),
        &[json!({"a": "done"})],
        &[json!({"a": "undone"})],
    );
}

#[test]
fn numbers_and_networks() {
    check(
        json!({"a": [{"numeric": [">", 0, "<=", 5]}]}),
        &[json!({"a": 5}), json!({"a": 0.1})],
        &[json!({"a": 0}), json!({"a": 5.1}), json!({"a": "3"})],
    );
    check(
        json!({"a": [{"cidr": "10.1.0.0/16"}]}),
        &[json!({"a": "10.1.255.3"})],
        &[
            json!({"a": "10.2.0.1"}),
            json!({"a": "::1"}),
            json!({"a": "x"}),
        ],
    );
    check(
        json!({"a": [{"cidr": "2001:db8::/32"}]}),
        &[json!({"a": "2001:db8:1::9"})],
        &[json!({"a": "2001:db9::"})],
    );
    check(
        json!({"a": [{"cidr": "0.0.0.0/0"}]}),
        &[json!({"a": "255.1.1.1"})],
        &[json!({"a": "::"})],
    );
}

#[test]
fn existence_is_of_leaves_and_over_all_elements() {
    check(
        json!({"a": [{"exists": true}]}),
        &[json!({"a": null}), json!({"a": [1]})],
        &[json!({}), json!({"a": {"b": 1}}), json!({"a": []})],
    );
    check(
        json!({"a": {"b": [{"exists": false}]}}),
        &[
            json!({}),
            json!({"a": 1}),
            json!({"a": {"c": 1}}),
            json!({"a": {"b": {"c": 1}}}),
        ],
        &[json!({"a": {"b": 1}}), json!({"a": [{"c": 1}, {"b": 1}]})],
    );
    check(
        json!({"a": ["x", {"exists": false}]}),
        &[json!({}), json!({"a": "x"})],
        &[json!({"a": "y"})],
    );
}

#[test]
fn alternatives() {
    check(
        json!({"a": [1], "$or": [{"b": [2]}, {"c": [3], "d": [4]}]}),
        &[json!({"a": 1, "b": 2}), json!({"a": 1, "c": 3, "d": 4})],
        &[json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "c": 3})],
    );
    // One object, or operators' names: an ordinary field.
    check(
        json!({"$or": {"b": [2]}}),
        &[json!({"$or": {"b": 2}})],
        &[json!({"b": 2})],
    );
}

#[test]
fn forms_of_values() {
    let text = json!({"value": ["plain"]});
    assert!(passes(&text, b"plain"));
    assert!(
        !passes(&text, br#"{"a": "plain"}"#),
        "JSON against a pattern of text"
    );
    assert!(
        !passes(&json!({"value": {"a": [1]}}), b"plain"),
        "text against a pattern of JSON"
    );
    assert!(!passes(&text, b"\xff"), "no UTF-8");
    assert!(
        passes(&json!({"key": ["eu"], "partition": [3]}), b"\xff"),
        "the value is not asked for"
    );
    assert!(!passes(&json!({"partition": [4]}), b"x"));
    let filter = Filter::new(Kind::Kafka, &[text.to_string()]).expect("a pattern");
    assert!(
        !filter.passes(&Partition::kafka(&"t".into(), 0), &record(None)),
        "a tombstone"
    );
    let all = Filter::new(Kind::Kafka, &[String::new()]).expect("a pattern");
    assert!(all.passes(&Partition::kafka(&"t".into(), 0), &record(None)));
}

#[test]
fn what_is_no_pattern() {
    for (text, expected) in [
        (
            "{",
            "the pattern is no JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("[]", "the pattern is no JSON object"),
        (
            r#"{"vlaue":["x"]}"#,
            "a record has no part \"vlaue\"; it has value, key, topic, partition, offset, timestamp, timestampType",
        ),
        (r#"{"value":"x"}"#, "value is no list: write [\"x\"]"),
        (r#"{"value":{"a":[]}}"#, "value.a is an empty list"),
        (r#"{"value":{}}"#, "value is empty"),
        (
            r#"{"value":{"a":[{"matches":"x"}]}}"#,
            "value.a: \"matches\" is no operator",
        ),
        (
            r#"{"value":{"a":[{"wildcard":"a**"}]}}"#,
            "value.a: wildcard \"a**\" has two stars in a row",
        ),
        (
            r#"{"value":{"a":[{"numeric":["<",1,">",0]}]}}"#,
            "value.a: numeric takes one comparison, or a lower and then an upper limit",
        ),
        (
            r#"{"value":{"a":[{"anything-but":["x",1]}]}}"#,
            "value.a: anything-but takes texts, or numbers",
        ),
        (
            r#"{"value":{"a":[{"cidr":"10.0.0.0/33"}]}}"#,
            "value.a: \"10.0.0.0/33\" is no network like 10.0.0.0/24",
        ),
        (
            r#"{"value":{"a":[1]},"value.a.b":[1]}"#,
            "value.a.b is both a field and an object",
        ),
    ] {
        let refused = Filter::new(Kind::Kafka, &["".to_owned(), text.to_owned()]);
        assert_eq!(refused.map(|_| ()), Err((1, expected.to_owned())), "{text}");
    }
    let many: Vec<Value> = (0..40).map(|number| json!({"b": [number]})).collect();
    let bomb = json!({"value": {"x": {"$or": many}, "y": {"$or": many}}});
    let refused = Filter::new(Kind::Kafka, &[bomb.to_string()]);
    assert!(refused.is_err_and(|(_, error)| error.contains("more than 1000 alternatives")));
    let leaf = Filter::new(Kind::Kinesis, &[r#"{"data":["x"]}"#.to_owned()]);
    assert!(leaf.is_err());
}
