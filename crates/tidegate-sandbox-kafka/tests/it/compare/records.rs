//! Questions about records: produce, fetch, offsets, epochs, deletion.

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;

use super::Script;
use crate::client::{Of, batch, topic};

pub(super) async fn questions(script: &mut Script) {
    let (t, c, n) = (script.name("t"), script.name("c"), script.name("n"));
    let stamp = script.stamp;
    let of = Of {
        timestamp: stamp,
        ..Of::default()
    };
    let good = batch(of, &[("a", Some("1")), ("b", Some("2"))]);
    let mut sum = good.to_vec();
    *sum.last_mut().unwrap() ^= 1;
    let keyless = batch(of, &[("", Some("1"))]);
    let large = batch(of, &[("a", Some(&"x".repeat(3_000)))]);
    let two = [good.as_ref(), good.as_ref()].concat();
    let far = batch(
        Of {
            timestamp: stamp + 7_200_000,
            ..of
        },
        &[("a", Some("1"))],
    );
    let numbered = |epoch: i16, first: i32| {
        batch(
            Of {
                producer: (900_001, epoch, first),
                ..of
            },
            &[("a", Some("1"))],
        )
    };
    let questions = [
        (&t, 0, -1, good.to_vec()),
        (&t, 0, 1, sum),
        (&t, 0, 1, two.clone()),
        (&t, 0, 1, Vec::new()),
        (&t, 0, 5, good.to_vec()),
        (&n, 0, 5, good.to_vec()),
        (&t, 0, 1, good[..30].to_vec()),
        (&t, 0, 1, good[..good.len() - 1].to_vec()),
        (&t, 0, 1, with(&good, 8, &[0, 0, 0, 5])),
        (&t, 0, 1, with(&good, 8, &[0, 0, 0, 20])),
        (&t, 0, 1, with(&good, 8, &[0xff, 0, 0, 0])),
        (&t, 0, 1, with(&good, 35, &[0, 0, 0, 0, 0, 0, 0, 5])),
        (&t, 0, 1, with(&good, 16, &[1])),
        (&t, 0, 1, with(&good, 16, &[9])),
        (&t, 0, 1, with(&good, 21, &[0, 5])),
        (&t, 0, 1, with(&good, 21, &[0, 0x20])),
        (&t, 0, 1, with(&good, 21, &[0, 0x08])),
        (&t, 0, 1, with(&good, 23, &[0, 0, 0, 7])),
        (&t, 0, 1, with(&good, 57, &[0, 0, 0, 1])),
        (&t, 0, 1, with(&good, 57, &[0xff, 0xff, 0xff, 0xff])),
        (&t, 0, 1, with(&good, 57, &[0, 0, 0, 0])),
        (&n, 0, 1, Vec::new()),
        (&n, 0, 1, two.clone()),
        (&t, 9, 1, two.clone()),
        (&"__consumer_offsets".to_owned(), 0, 1, good.to_vec()),
        (&"b d".to_owned(), 0, 1, good.to_vec()),
        (&t, 0, 1, of_many(of, stamp + 7_200_000)),
        (&c, 0, 1, of_many(of, stamp)),
        (&c, 0, 1, of_many(of, stamp + 7_200_000)),
        (
            &t,
            0,
            -1,
            with(&numbered(0, 0), 53, &[0xff, 0xff, 0xff, 0xff]),
        ),
        (&t, 9, 1, good.to_vec()),
        (&n, 0, 1, good.to_vec()),
        (&t, 0, 1, large.to_vec()),
        (&c, 0, 1, keyless.to_vec()),
        (&t, 0, 1, far.to_vec()),
        (&t, 0, -1, numbered(0, 0).to_vec()),
        (&t, 0, -1, numbered(0, 0).to_vec()),
        (&t, 0, -1, numbered(0, 1).to_vec()),
        (&t, 0, -1, numbered(0, 5).to_vec()),
        (&t, 0, -1, numbered(1, 3).to_vec()),
        (&t, 0, -1, numbered(1, 0).to_vec()),
        (&t, 0, -1, numbered(0, 2).to_vec()),
        (&t, 0, -1, numbered(1, 1).to_vec()),
        (&c, 0, -1, numbered(3, 7).to_vec()),
        (&c, 0, -1, numbered(3, 8).to_vec()),
        (&c, 0, -1, numbered(3, 10).to_vec()),
    ];
    for (name, index, acks, bytes) in questions {
        let data = PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(bytes.into()));
        let named = TopicProduceData::default()
            .with_name(topic(name))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![named]);
        for version in [9, 3] {
            if version == 9 || acks == 1 && name == &n {
                script.ask(version, &request).await;
            }
        }
    }
    with_ids(script, &good).await;
    fetches(script).await;
    places(script).await;
}

/// Versions that name topics by their ids.
async fn with_ids(script: &mut Script, good: &bytes::Bytes) {
    let (t, c) = (script.id(0), script.id(1));
    for (id, index) in [(c, 0), (c, 4), (uuid::Uuid::from_u128(77), 0)] {
        let data = PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(good.clone()));
        let named = TopicProduceData::default()
            .with_topic_id(id)
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![named]);
        script.ask(13, &request).await;
    }
    for (id, index, offset) in [
        (t, 0, 4),
        (t, 9, 0),
        (t, 0, -1),
        (uuid::Uuid::from_u128(77), 0, 0),
    ] {
        let asked = FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let named = FetchTopic::default()
            .with_topic_id(id)
            .with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_topics(vec![named]);
        for version in [13, 16] {
            script.ask(version, &request).await;
        }
    }
}

async fn fetches(script: &mut Script) {
    let (t, n) = (script.name("t"), script.name("n"));
    for (name, offset, epoch) in [
        (&t, 0, -1),
        (&t, 2, 0),
        (&t, 99, -1),
        (&t, 0, 7),
        (&n, 0, -1),
    ] {
        let asked = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_current_leader_epoch(epoch)
            .with_partition_max_bytes(1 << 20);
        let named = FetchTopic::default()
            .with_topic(topic(name))
            .with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_topics(vec![named]);
        script.ask(12, &request).await;
    }
    for version in [4, 7, 11] {
        let asked = FetchPartition::default()
            .with_fetch_offset(3)
            .with_partition_max_bytes(1);
        let named = FetchTopic::default()
            .with_topic(topic(&t))
            .with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_max_bytes(1)
            .with_topics(vec![named]);
        script.ask(version, &request).await;
    }
    let session = FetchRequest::default()
        .with_session_id(5)
        .with_session_epoch(3);
    script.ask(12, &session).await;
}

/// Where logs begin and end, and cutting them.
async fn places(script: &mut Script) {
    let (t, c, n) = (script.name("t"), script.name("c"), script.name("n"));
    let stamp = script.stamp;
    for (name, index, timestamp) in [
        (&t, 0, -1),
        (&t, 0, -2),
        (&t, 0, -3),
        (&t, 0, stamp),
        (&t, 0, stamp + 1),
        (&t, 9, -1),
        (&n, 0, -1),
        (&c, 0, -3),
        (&t, 0, -4),
        (&t, 0, -5),
        (&t, 0, -9),
        (&t, 1, -3),
        (&t, 1, -1),
        (&t, 1, 0),
        (&t, 0, 0),
        (&t, 0, i64::MAX),
        (&t, -1, -1),
    ] {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(timestamp);
        let named = ListOffsetsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_topics(vec![named]);
        script.ask(9, &request).await;
        script.ask(4, &request).await;
        script.ask(1, &request).await;
    }
    for (name, epoch, known) in [
        (&t, 0, -1),
        (&t, 5, -1),
        (&t, 0, 9),
        (&t, 0, 0),
        (&t, -1, -1),
        (&n, 0, -1),
    ] {
        let asked = OffsetForLeaderPartition::default()
            .with_leader_epoch(epoch)
            .with_current_leader_epoch(known);
        let named = OffsetForLeaderTopic::default()
            .with_topic(topic(name))
            .with_partitions(vec![asked]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![named]);
        script.ask(4, &request).await;
    }
    for (name, index, offset) in [
        (&t, 0, 1),
        (&t, 0, 99),
        (&t, 0, -2),
        (&t, 9, 0),
        (&n, 0, 0),
        (&c, 0, 0),
        (&c, 0, -1),
    ] {
        let asked = DeleteRecordsPartition::default()
            .with_partition_index(index)
            .with_offset(offset);
        let named = DeleteRecordsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![asked]);
        script
            .ask(
                2,
                &DeleteRecordsRequest::default()
                    .with_topics(vec![named])
                    .with_timeout_ms(5_000),
            )
            .await;
    }
}

/// Records without keys, all of one time.
fn of_many(of: Of, timestamp: i64) -> Vec<u8> {
    let records = [
        ("", Some("1")),
        ("a", Some("2")),
        ("", Some("3")),
        ("", Some("4")),
        ("", Some("5")),
    ];
    batch(Of { timestamp, ..of }, &records).to_vec()
}

/// A batch with other bytes at a place behind its checksum, or before it, and the checksum that fits them.
fn with(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = batch.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = crc32c::crc32c(&changed[21..]);
    changed[17..21].copy_from_slice(&sum.to_be_bytes());
    changed
}
