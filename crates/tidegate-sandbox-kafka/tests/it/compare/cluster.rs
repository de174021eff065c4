//! Questions about the cluster: what it says of itself, of partitions, of producers.

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::*;

use super::Script;
use crate::client::{text, topic};

pub(super) async fn questions(script: &mut Script) {
    for (version, kind) in [(0, 1), (1, 1), (1, 2), (1, 7), (2, 1)] {
        let request = DescribeClusterRequest::default()
            .with_include_cluster_authorized_operations(true)
            .with_endpoint_type(kind);
        script
            .ask_but(version, &request, |answer| {
                if !answer.cluster_id.is_empty() {
                    answer.cluster_id = text("CLUSTER");
                }
                for broker in &mut answer.brokers {
                    (broker.host, broker.port) = (text("HOST"), 1);
                }
            })
            .await;
    }
    // The listener asks for no user.
    for mechanism in ["PLAIN", "SCRAM-SHA-512", "MADE-UP"] {
        let request = SaslHandshakeRequest::default().with_mechanism(text(mechanism));
        script.ask(1, &request).await;
    }
    let request =
        SaslAuthenticateRequest::default().with_auth_bytes(bytes::Bytes::from_static(b"\0a\0b"));
    script.ask(2, &request).await;
    partitions(script).await;
    reassignments(script).await;
    producers(script).await;
}

async fn partitions(script: &mut Script) {
    let (t, c, n) = (script.name("t"), script.name("c"), script.name("n"));
    let cursor = |name: &str, index: i32| {
        Some(
            Cursor::default()
                .with_topic_name(topic(name))
                .with_partition_index(index),
        )
    };
    for (names, most, from) in [
        (vec![&t, &c, &n], 2_000, None),
        (vec![&t, &c], 1, None),
        (vec![&t, &c], 2, None),
        (vec![&t, &c], 1, cursor(&t, 1)),
        (vec![&t], 2_000, cursor(&c, 0)),
        (vec![&t, &t], 2_000, None),
        (vec![&t], 0, None),
        (vec![&t], 2_000, cursor(&t, -1)),
        (vec![&t], 2_000, cursor(&t, 9)),
    ] {
        let topics = names
            .into_iter()
            .map(|name| TopicRequest::default().with_name(topic(name)));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(most)
            .with_cursor(from);
        script.ask(0, &request).await;
    }
}

async fn reassignments(script: &mut Script) {
    let (t, n) = (script.name("t"), script.name("n"));
    for name in [&t, &n] {
        let asked = ListPartitionReassignmentsTopics::default()
            .with_name(topic(name))
            .with_partition_indexes(vec![0, 9]);
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(5_000)
            .with_topics(Some(vec![asked]));
        script.ask(0, &request).await;
    }
    let all = ListPartitionReassignmentsRequest::default()
        .with_timeout_ms(5_000)
        .with_topics(None);
    script.ask(0, &all).await;
}

/// Ids of idempotent producers: each gets one of its own.
async fn producers(script: &mut Script) {
    let fresh = InitProducerIdRequest::default().with_transaction_timeout_ms(1_000);
    for (version, request) in [
        (0, fresh.clone()),
        (4, fresh.clone()),
        (
            4,
            fresh
                .clone()
                .with_producer_id(ProducerId(5))
                .with_producer_epoch(3),
        ),
        (4, fresh.clone().with_producer_id(ProducerId(5))),
        (4, fresh.clone().with_producer_epoch(3)),
        (4, fresh.clone().with_transaction_timeout_ms(0)),
        (
            4,
            fresh.with_transactional_id(Some(TransactionalId(text("")))),
        ),
    ] {
        script
            .ask_but(version, &request, |answer| {
                if answer.producer_id.0 >= 0 {
                    answer.producer_id = ProducerId(1);
                }
            })
            .await;
    }
}
