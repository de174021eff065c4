//! Documents of records that were given up.

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::record::{Position, TimestampType};

fn given_up(condition: Condition) -> GivenUp {
    GivenUp {
        binding: "orders".into(),
        function: "arn:aws:lambda:us-east-1:1:function:f".into(),
        shape: Arc::new(EventShape::SelfManagedKafka {
            event_source: "SelfManagedKafka".into(),
            bootstrap_servers: "b:9092".into(),
        }),
        partition: Partition::kafka(&"t".into(), 3),
        records: vec![Record {
            position: Position::Offset(12),
            timestamp: 1_700_000_000_001,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(Bytes::from_static(b"x")),
            headers: Arc::from([]),
            encryption: None,
        }],
        window: None,
        span: None,
        condition,
        invocations: 4,
        failure: Some(Failure {
            status: Some(200),
            function_error: Some("Unhandled".to_owned()),
            ..Failure::default()
        }),
        time: 1_700_000_000_002,
    }
}

#[test]
fn exhausted_retries_of_a_topic() {
    let given_up = given_up(Condition::RetryAttemptsExhausted);
    let expected = json!({
        "requestContext": {
            "requestId": "id", "functionArn": "arn:aws:lambda:us-east-1:1:function:f",
            "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0", "timestamp": "2023-11-14T22:13:20.002Z",
        "KafkaBatchInfo": {
            "batchSize": 1, "bootstrapServers": "b:9092",
            "payloadSize": event_json(&given_up.shape, &given_up.partition, &given_up.records, None).len(),
            "recordsInfo": {"t-3": {
                "firstRecordOffset": "12", "lastRecordOffset": "12",
                "firstRecordTimestamp": "2023-11-14T22:13:20.001Z",
                "lastRecordTimestamp": "2023-11-14T22:13:20.001Z",
            }},
        },
    });
    assert_eq!(given_up.document("id", Payload::Without), expected);
}

#[test]
fn old_records_have_no_response_and_big_ones_a_null() {
    let old = given_up(Condition::RecordAgeExceeded).document("id", Payload::With);
    assert_eq!(old.get("responseContext"), None);
    assert!(
        old["payload"]
            .as_str()
            .is_some_and(|text| text.contains("\"offset\":12"))
    );
    let big = given_up(Condition::MaximumPayloadSizeExceeded).document("id", Payload::Without);
    assert_eq!(big.get("responseContext"), Some(&Value::Null));
}
