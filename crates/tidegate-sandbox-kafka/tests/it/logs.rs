//! Records in and out: produce, fetch, offsets, retention, compaction, idempotent producers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::records::Compression;
use tidegate_sandbox_kafka::{Clock, KafkaOptions, Limits, ManualClock, SandboxKafka};

use crate::client::{Client, Of, batch, broker, now, topic};

#[tokio::test]
async fn what_goes_in_comes_out_with_every_codec() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[]).await;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for (codec, first) in codecs.into_iter().zip([0, 2, 4, 6, 8]) {
        let of = Of {
            codec,
            ..Of::default()
        };
        let answer = client
            .produce("t", batch(of, &[("a", Some("1")), ("b", None)]))
            .await;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, first),
            "{codec:?}"
        );
    }
    let read = client.read("t", 0).await;
    assert_eq!(read.len(), 10);
    assert_eq!(read[9], (9, "b".to_owned(), None));
    assert_eq!(client.read("t", 7).await[0].0, 7);
    broker.shutdown().await;
}

#[tokio::test]
async fn every_version_carries_records() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let id = client.create("t", 1, &[]).await.topics[0].topic_id;
    for version in 3..=13 {
        let data = PartitionProduceData::default()
            .with_records(Some(batch(Of::default(), &[("k", Some("v"))])));
        let named = TopicProduceData::default().with_partition_data(vec![data]);
        let named = if version < 13 {
            named.with_name(topic("t"))
        } else {
            named.with_topic_id(id)
        };
        let request = ProduceRequest::default()
            .with_acks(1)
            .with_topic_data(vec![named]);
        let answer = client.call(version, &request).await;
        assert_eq!(
            answer.responses[0].partition_responses[0].error_code, 0,
            "produce {version}"
        );
    }
    for version in 4..=18 {
        let asked = fetch_request::FetchPartition::default().with_partition_max_bytes(1 << 20);
        let named = fetch_request::FetchTopic::default().with_partitions(vec![asked]);
        let named = if version < 13 {
            named.with_topic(topic("t"))
        } else {
            named.with_topic_id(id)
        };
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_topics(vec![named]);
        let answer = client.call(version, &request).await;
        let data = &answer.responses[0].partitions[0];
        assert_eq!(
            (data.error_code, data.high_watermark),
            (0, 11),
            "fetch {version}"
        );
        let found = crate::client::records(data.records.clone().unwrap());
        assert_eq!(found.len(), 11, "fetch {version}");
    }
    for version in 1..=10 {
        let asked = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
        let named = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic("t"))
            .with_partitions(vec![asked]);
        let answer = client
            .call(
                version,
                &ListOffsetsRequest::default().with_topics(vec![named]),
            )
            .await;
        assert_eq!(
            answer.topics[0].partitions[0].offset, 11,
            "list offsets {version}"
        );
    }
    for version in 2..=4 {
        let asked = OffsetForLeaderPartition::default().with_leader_epoch(0);
        let named = OffsetForLeaderTopic::default()
            .with_topic(topic("t"))
            .with_partitions(vec![asked]);
        let answer = client
            .call(
                version,
                &OffsetForLeaderEpochRequest::default().with_topics(vec![named]),
            )
            .await;
        assert_eq!(
            answer.topics[0].partitions[0].end_offset, 11,
            "epoch {version}"
        );
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn broken_batches_are_refused_with_their_code() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client
        .create("t", 1, &[("max.message.bytes", "1000")])
        .await;
    let good = batch(Of::default(), &[("a", Some("1")), ("b", Some("2"))]).to_vec();
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let mut old = good.clone();
    old[16] = 1;
    let mut control = good.clone();
    control[22] |= 0x20;
    let mut count = good.clone();
    count[60] = 3;
    for bytes in [&mut control, &mut count] {
        let sum = crc32c::crc32c(&bytes[21..]).to_be_bytes();
        bytes[17..21].copy_from_slice(&sum);
    }
    let long = "x".repeat(2_000);
    let large = batch(Of::default(), &[("a", Some(&long))]).to_vec();
    let two = [good.clone(), good.clone()].concat();
    let cases = [
        (wrong_sum, 2),
        (good[..40].to_vec(), 87),
        (old, 87),
        (control, 87),
        (count, 87),
        (large, 10),
        (two, 87),
        (Vec::new(), 87),
    ];
    for (index, (bytes, code)) in cases.into_iter().enumerate() {
        let answer = client.produce("t", Bytes::from(bytes)).await;
        assert_eq!(answer.error_code, code, "case {index}");
    }
    assert_eq!(
        client
            .produce("nothing", Bytes::from(good))
            .await
            .error_code,
        3
    );
    assert!(client.read("t", 0).await.is_empty());
    broker.shutdown().await;
}

fn sequenced(producer: i64, epoch: i16, first: i32, count: usize) -> Bytes {
    let of = Of {
        producer: (producer, epoch, first),
        ..Of::default()
    };
    batch(of, &vec![("k", Some("v")); count])
}

#[tokio::test]
async fn sequences_of_a_producer_are_kept() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[]).await;
    let first = client
        .call(
            4,
            &InitProducerIdRequest::default().with_transactional_id(None),
        )
        .await;
    let second = client
        .call(
            4,
            &InitProducerIdRequest::default().with_transactional_id(None),
        )
        .await;
    assert_ne!(first.producer_id, second.producer_id);
    let id = first.producer_id.0;
    let steps = [
        // epoch, first sequence, records: code, base offset
        ((0, 0, 2), (0, 0)),
        ((0, 2, 1), (0, 2)),
        ((0, 0, 2), (0, 0)),
        ((0, 5, 1), (45, -1)),
        ((0, 3, 1), (0, 3)),
        ((1, 4, 1), (45, -1)),
        ((1, 0, 1), (0, 4)),
        ((0, 4, 1), (47, -1)),
    ];
    for ((epoch, sequence, count), expected) in steps {
        let answer = client
            .produce("t", sequenced(id, epoch, sequence, count))
            .await;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            expected,
            "epoch {epoch}, sequence {sequence}"
        );
    }
    assert_eq!(client.read("t", 0).await.len(), 5);
    broker.shutdown().await;
}

#[tokio::test]
async fn sequences_wrap() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[]).await;
    assert_eq!(
        client
            .produce("t", sequenced(7, 0, i32::MAX, 1))
            .await
            .error_code,
        0
    );
    assert_eq!(
        client.produce("t", sequenced(7, 0, 0, 1)).await.base_offset,
        1
    );
    broker.shutdown().await;
}

#[tokio::test]
async fn transactions_are_refused() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let id = TransactionalId(crate::client::text("tx"));
    let answer = client
        .call(
            4,
            &InitProducerIdRequest::default().with_transactional_id(Some(id)),
        )
        .await;
    assert_eq!(answer.error_code, 42);
    let asked = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![crate::client::text("tx")]);
    let answer = client.call(4, &asked).await;
    let words = answer.coordinators[0].error_message.clone().unwrap();
    assert_eq!(words.as_str(), "the sandbox's broker has no transactions");
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_waits_for_enough_or_for_its_time() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[]).await;
    let begun = Instant::now();
    let data = client.fetch("t", 0, 200, 1).await;
    assert!(data.records.unwrap().is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let to = broker.bootstrap();
    let waiting = tokio::spawn(async move {
        let mut other = Client::connect(&to).await;
        other.fetch("t", 0, 60_000, 1).await
    });
    client
        .produce("t", batch(Of::default(), &[("k", Some("v"))]))
        .await;
    let data = waiting.await.unwrap();
    assert_eq!(crate::client::records(data.records.unwrap()).len(), 1);
    assert_eq!(client.fetch("t", 5, 60_000, 1).await.error_code, 1);
    broker.shutdown().await;
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[]).await;
    let start = now() - 10_000;
    for step in 0..3 {
        let of = Of {
            timestamp: start + step * 1_000,
            ..Of::default()
        };
        client
            .produce("t", batch(of, &[("a", Some("1")), ("b", Some("2"))]))
            .await;
    }
    assert_eq!(client.offset("t", -2).await, (-1, 0));
    assert_eq!(client.offset("t", -1).await, (-1, 6));
    assert_eq!(client.offset("t", start + 1).await, (start + 1_000, 2));
    assert_eq!(client.offset("t", start + 2_001).await, (-1, -1));
    assert_eq!(client.offset("t", -3).await, (start + 2_000, 4));
    broker.shutdown().await;
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[]).await;
    client
        .create("c", 1, &[("cleanup.policy", "compact")])
        .await;
    for _ in 0..3 {
        client
            .produce(
                "t",
                batch(Of::default(), &[("a", Some("1")), ("b", Some("2"))]),
            )
            .await;
    }
    for (name, offset, code, low) in [
        ("t", 3, 0, 3),
        ("t", 7, 1, -1),
        ("t", -1, 0, 6),
        ("c", 0, 44, -1),
        ("n", 0, 3, -1),
    ] {
        let asked = DeleteRecordsPartition::default().with_offset(offset);
        let named = DeleteRecordsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![asked]);
        let answer = client
            .call(2, &DeleteRecordsRequest::default().with_topics(vec![named]))
            .await;
        let result = &answer.topics[0].partitions[0];
        assert_eq!(
            (result.error_code, result.low_watermark),
            (code, low),
            "{name} {offset}"
        );
    }
    assert_eq!(client.offset("t", -2).await, (-1, 6));
    assert_eq!(client.fetch("t", 0, 0, 0).await.error_code, 1);
    broker.shutdown().await;
}

async fn clocked(limits: Limits) -> (SandboxKafka, ManualClock, Client) {
    let clock = ManualClock::new(now());
    let broker = SandboxKafka::start(KafkaOptions {
        clock: Clock::Manual(clock.clone()),
        limits,
        ..KafkaOptions::default()
    })
    .await
    .unwrap();
    let client = Client::connect(&broker.bootstrap()).await;
    (broker, clock, client)
}

fn at(clock: &ManualClock) -> Of {
    Of {
        timestamp: clock.now(),
        ..Of::default()
    }
}

#[tokio::test]
async fn retention_drops_what_is_too_old_or_too_much() {
    let (broker, clock, mut client) = clocked(Limits::default()).await;
    client
        .create("old", 1, &[("retention.ms", "1000"), ("segment.ms", "100")])
        .await;
    client
        .create(
            "much",
            1,
            &[("retention.bytes", "100"), ("segment.ms", "100")],
        )
        .await;
    for name in ["old", "much"] {
        client
            .produce(name, batch(at(&clock), &[("a", Some("1"))]))
            .await;
    }
    clock.advance(Duration::from_millis(800));
    for name in ["old", "much"] {
        client
            .produce(name, batch(at(&clock), &[("b", Some("2"))]))
            .await;
    }
    assert_eq!(client.offset("old", -2).await.1, 0);
    clock.advance(Duration::from_millis(300));
    assert_eq!(client.offset("old", -2).await.1, 1);
    for step in 2..5 {
        clock.advance(Duration::from_millis(200));
        client
            .produce("much", batch(at(&clock), &[("c", Some("3"))]))
            .await;
        assert_eq!(client.offset("much", -1).await.1, step + 1);
    }
    // One batch is 69 bytes or so: two segments reach 100 bytes, the rest goes.
    assert_eq!(client.offset("much", -2).await.1, 3);
    broker.shutdown().await;
}

#[tokio::test]
async fn compaction_keeps_each_keys_last_record() {
    let (broker, clock, mut client) = clocked(Limits::default()).await;
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("delete.retention.ms", "1000"),
    ];
    client.create("c", 1, &configs).await;
    assert_eq!(
        client
            .produce("c", batch(at(&clock), &[("", Some("1"))]))
            .await
            .error_code,
        87
    );
    let gzip = Of {
        codec: Compression::Gzip,
        ..at(&clock)
    };
    client
        .produce(
            "c",
            batch(
                gzip,
                &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))],
            ),
        )
        .await;
    clock.advance(Duration::from_millis(200));
    client.produce("c", batch(at(&clock), &[("b", None)])).await;
    clock.advance(Duration::from_millis(200));
    client
        .produce("c", batch(at(&clock), &[("d", Some("1"))]))
        .await;
    let expected = [(2, "a", Some("2")), (3, "b", None), (4, "d", Some("1"))];
    let read = client.read("c", 0).await;
    let read: Vec<_> = read
        .iter()
        .map(|(offset, key, value)| (*offset, key.as_str(), value.as_deref()))
        .collect();
    assert_eq!(read, expected);
    clock.advance(Duration::from_secs(2));
    for key in ["e", "f"] {
        client
            .produce("c", batch(at(&clock), &[(key, Some("1"))]))
            .await;
        clock.advance(Duration::from_millis(200));
    }
    let keys: Vec<String> = client
        .read("c", 0)
        .await
        .into_iter()
        .map(|(_, key, _)| key)
        .collect();
    assert_eq!(keys, ["a", "d", "e", "f"]);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_full_broker_says_so() {
    let limits = Limits {
        log_bytes: 200,
        partitions: 3,
        ..Limits::default()
    };
    let (broker, clock, mut client) = clocked(limits).await;
    client.create("t", 1, &[]).await;
    let codes = [0, 0, 56];
    for code in codes {
        let answer = client
            .produce("t", batch(at(&clock), &[("a", Some("1"))]))
            .await;
        assert_eq!(answer.error_code, code);
    }
    let refused = client.create("u", 3, &[]).await;
    assert_eq!(refused.topics[0].error_code, 44);
    assert_eq!(
        refused.topics[0].error_message.as_deref(),
        Some("the sandbox holds at most 3 partitions")
    );
    broker.shutdown().await;
}
