//! Event JSON against AWS's published shapes, and sizes against the text itself.
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::TimestampType;

fn self_managed() -> EventShape {
    EventShape::SelfManagedKafka {
        event_source: "SelfManagedKafka".into(),
        bootstrap_servers: "b-2:9092,b-1:9092".into(),
    }
}

fn kinesis() -> EventShape {
    EventShape::Kinesis {
        stream_arn: "arn:aws:kinesis:us-east-1:1:stream/s".into(),
        region: "us-east-1".into(),
        role_arn: "arn:aws:iam::1:role/r".into(),
    }
}

fn shard() -> Partition {
    Partition {
        source: "arn:aws:kinesis:us-east-1:1:stream/s".into(),
        id: "shardId-000000000000".into(),
    }
}

#[test]
fn a_record_of_a_topic() {
    let record = Record {
        position: Position::Offset(15),
        timestamp: 1_545_084_650_987,
        timestamp_type: TimestampType::CreateTime,
        key: Some(Bytes::from_static(b"abcDEFghi")),
        value: Some(Bytes::from_static(b"Hello from a topic")),
        headers: Arc::from([
            (
                "head".to_owned(),
                Some(Bytes::from_static(&[104, 255, 128])),
            ),
            ("none".to_owned(), None),
        ]),
        encryption: None,
    };
    let partition = Partition::kafka(&"mytopic".into(), 0);
    let text = event_json(&self_managed(), &partition, &[record], None);
    let found: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "eventSource": "SelfManagedKafka",
        "bootstrapServers": "b-2:9092,b-1:9092",
        "records": {"mytopic-0": [{
            "topic": "mytopic", "partition": 0, "offset": 15, "timestamp": 1_545_084_650_987_i64,
            "timestampType": "CREATE_TIME", "key": "YWJjREVGZ2hp", "value": "SGVsbG8gZnJvbSBhIHRvcGlj",
            "headers": [{"head": [104, -1, -128]}, {"none": []}],
        }]},
    });
    assert_eq!(found, expected);
}

#[test]
fn a_record_of_a_stream_and_its_window() {
    let record = Record {
        position: Position::Sequence("4956".into()),
        timestamp: 1_480_641_523_477,
        timestamp_type: TimestampType::CreateTime,
        key: Some(Bytes::from_static(b"s1")),
        value: Some(Bytes::from_static(b"{}")),
        headers: Arc::from([]),
        encryption: Some("KMS".into()),
    };
    let window = WindowPart {
        start: 1_607_497_440_000,
        end: 1_607_497_560_000,
        state: json!({}),
        is_final: false,
        is_terminated_early: false,
    };
    let text = event_json(&kinesis(), &shard(), &[record], Some(&window));
    let found: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "Records": [{
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "s1", "sequenceNumber": "4956", "data": "e30=",
                "approximateArrivalTimestamp": 1_480_641_523.477, "encryptionType": "KMS",
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "shardId-000000000000:4956",
            "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::1:role/r",
            "awsRegion": "us-east-1", "eventSourceARN": "arn:aws:kinesis:us-east-1:1:stream/s",
        }],
        "window": {"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z"}, "state": {},
        "shardId": "shardId-000000000000", "eventSourceARN": "arn:aws:kinesis:us-east-1:1:stream/s",
        "isFinalInvokeForWindow": false, "isWindowTerminatedEarly": false,
    });
    assert_eq!(found, expected);
}

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
}

proptest! {
    #[test]
    fn sizes_are_exact(
        topic in "[a-z\"\\\\é\u{0}-\u{1f}\u{7f}]{0,8}", offset in 0i64..i64::MAX, timestamp in -1i64..4_000_000_000_000,
        key in bytes(), value in bytes(), headers in proptest::collection::vec((".{0,6}", bytes()), 0..4),
    ) {
        let record = Record {
            position: Position::Offset(offset), timestamp, timestamp_type: TimestampType::LogAppendTime,
            key, value, headers: headers.into(), encryption: None,
        };
        for (shape, partition) in [(self_managed(), Partition::kafka(&topic.as_str().into(), 7)), (kinesis(), shard())] {
            let text = event_json(&shape, &partition, std::slice::from_ref(&record), None);
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            let len = envelope_len(&shape, &partition) + record_len(&shape, &partition, &record);
            prop_assert_eq!(text.len(), len);
        }
    }
}
