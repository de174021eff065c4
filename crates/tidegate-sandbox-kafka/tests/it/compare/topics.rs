//! Questions about topics: creation, growth, metadata, deletion.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;

use uuid::Uuid;

use super::Script;
use crate::client::{text, topic};

fn config(key: &str, value: &str) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(text(key))
        .with_value(Some(text(value)))
}

fn creatable(
    name: &str,
    partitions: i32,
    replication: i16,
    configs: &[(&str, &str)],
) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replication)
        .with_configs(
            configs
                .iter()
                .map(|(key, value)| config(key, value))
                .collect(),
        )
}

pub(super) async fn creations(script: &mut Script) {
    let names = ["t", "c"].map(|name| script.name(name));
    let made = vec![
        creatable(&names[0], 2, 1, &[("retention.ms", "123456")]),
        creatable(&names[1], 1, 1, &[("cleanup.policy", "compact")]),
    ];
    let request = CreateTopicsRequest::default()
        .with_topics(made)
        .with_timeout_ms(5_000);
    let answer = script.client.call(7, &request).await;
    script.ids = answer
        .topics
        .iter()
        .map(|one| one.topic_id.to_string())
        .collect();
    let long = "x".repeat(250);
    let odd = |name: &str| creatable(name, 1, 1, &[]);
    let fixed = |of: CreatableTopic, brokers: &[&[i32]]| {
        let assignments = brokers.iter().zip(0..).map(|(ids, index)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect())
        });
        of.with_assignments(assignments.collect())
    };
    let n = script.name("n");
    let collision = (script.name("a.b"), script.name("a_b"));
    let placed = |places: &[(i32, &[i32])]| {
        let assignments = places.iter().map(|(index, ids)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*index)
                .with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect())
        });
        creatable(&n, -1, -1, &[]).with_assignments(assignments.collect())
    };
    let null = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(None);
    let cases = vec![
        odd(&names[0]),
        odd(""),
        odd("."),
        odd("b d"),
        odd(&long),
        creatable(&n, 0, 1, &[]),
        creatable(&n, -2, 1, &[]),
        creatable(&n, 1, 0, &[]),
        creatable(&n, 1, 3, &[]),
        creatable(&n, 1, 1, &[("no.such.key", "1")]),
        creatable(&n, 1, 1, &[("retention.ms", "banana")]),
        creatable(&n, 1, 1, &[("retention.ms", "-2")]),
        creatable(&n, 1, 1, &[("segment.bytes", "100")]),
        creatable(&n, 1, 1, &[("compression.type", "brotli")]),
        creatable(&n, 1, 1, &[("cleanup.policy", "shred")]),
        creatable(&n, 1, 1, &[("min.cleanable.dirty.ratio", "2")]),
        creatable(&n, 1, 1, &[("preallocate", "maybe")]),
        creatable(&n, 1, 1, &[("message.timestamp.type", "Never")]),
        creatable(&n, 1, 1, &[("compression.gzip.level", "12")]),
        creatable(
            &n,
            1,
            1,
            &[
                ("min.compaction.lag.ms", "10"),
                ("max.compaction.lag.ms", "5"),
            ],
        ),
        creatable(&n, 1, 1, &[("remote.storage.enable", "true")]),
        fixed(creatable(&n, 1, -1, &[]), &[&[1]]),
        fixed(creatable(&n, -1, 1, &[]), &[&[1]]),
        fixed(creatable(&n, -1, -1, &[]), &[&[9]]),
        fixed(creatable(&n, -1, -1, &[]), &[&[]]),
        fixed(creatable(&n, -1, -1, &[]), &[&[1, 1]]),
        fixed(creatable(&n, -1, -1, &[]), &[&[1], &[1]]),
        creatable(&n, -1, -1, &[]),
        creatable(&collision.0, 1, 1, &[]),
        creatable(&collision.1, 1, 1, &[]),
        placed(&[(0, &[1]), (0, &[1])]),
        placed(&[(0, &[1]), (2, &[1])]),
        placed(&[(1, &[1])]),
        placed(&[(0, &[1]), (1, &[1, 9])]),
        placed(&[(0, &[9, 9])]),
        creatable(&n, 0, 0, &[]),
        creatable(&n, 0, 1, &[("no.such.key", "1")]),
        creatable(&n, 0, 1, &[("retention.ms", "banana")]),
        creatable(&n, 0, 1, &[]).with_configs(vec![null]),
        creatable(&n, 1, 1, &[("retention.ms", "1"), ("retention.ms", "2")]),
        creatable(&n, 1, 1, &[("retention.ms", " 5 ")]),
        creatable(&n, 1, 1, &[("retention.ms", " -7 ")]),
        creatable(&n, 1, 1, &[("retention.ms", "")]),
        creatable(&n, 1, 1, &[("retention.ms", "9223372036854775808")]),
        creatable(&n, 1, 1, &[("max.message.bytes", "2147483648")]),
        creatable(&n, 1, 1, &[("max.message.bytes", "-1")]),
        creatable(&n, 1, 1, &[("compression.type", " gzip ")]),
        creatable(&n, 1, 1, &[("compression.type", "GZIP")]),
        creatable(&n, 1, 1, &[("compression.gzip.level", "0")]),
        creatable(&n, 1, 1, &[("compression.lz4.level", "18")]),
        creatable(&n, 1, 1, &[("compression.zstd.level", "23")]),
        creatable(&n, 1, 1, &[("cleanup.policy", "")]),
        creatable(&n, 1, 1, &[("cleanup.policy", "delete,delete")]),
        creatable(&n, 1, 1, &[("cleanup.policy", " compact , delete ")]),
        creatable(&n, 1, 1, &[("cleanup.policy", "compact,,delete")]),
        creatable(&n, 1, 1, &[("preallocate", "TRUE")]),
        creatable(&n, 1, 1, &[("min.insync.replicas", "0")]),
        creatable(&n, 1, 1, &[("min.insync.replicas", "5")]),
        creatable(&n, 1, 1, &[("min.cleanable.dirty.ratio", "-1e9")]),
        creatable(&n, 1, 1, &[("min.cleanable.dirty.ratio", "NaN")]),
        creatable(&n, 1, 1, &[("min.cleanable.dirty.ratio", "half")]),
        creatable(&n, 1, 1, &[("leader.replication.throttled.replicas", "x")]),
        creatable(&n, 1, 1, &[("leader.replication.throttled.replicas", "*")]),
        creatable(
            &n,
            1,
            1,
            &[("leader.replication.throttled.replicas", "0:1,1:2")],
        ),
        creatable(&n, 1, 1, &[("local.retention.ms", "9999999999")]),
        creatable(
            &n,
            1,
            1,
            &[("local.retention.bytes", "5"), ("retention.bytes", "4")],
        ),
        creatable(
            &n,
            1,
            1,
            &[
                ("segment.bytes", "1048576"),
                ("max.message.bytes", "2000000"),
            ],
        ),
        creatable(&n, 1, 1, &[("message.timestamp.difference.max.ms", "5")]),
        creatable(&n, 1, 1, &[("message.format.version", "2.0")]),
        creatable(&n, 1, 1, &[("message.downconversion.enable", "true")]),
        creatable("__cluster_metadata", 1, 1, &[]),
        creatable(&n, 100_000, 1, &[]),
        creatable(&n, 1, 32_767, &[]),
    ];
    for case in cases {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![case])
            .with_timeout_ms(5_000)
            .with_validate_only(true);
        script.ask_but(7, &request, drawn).await;
    }
    let m = script.name("m");
    for topics in [
        vec![odd(&n), odd(&n)],
        vec![odd(&n), odd(&n), odd(&n), odd(&m), odd("b d")],
        vec![odd(&collision.0), odd(&collision.1)],
        vec![
            creatable(&n, 6_000, 1, &[]),
            creatable(&m, 6_000, 1, &[]),
            odd("b d"),
        ],
        Vec::new(),
    ] {
        let request = CreateTopicsRequest::default()
            .with_topics(topics)
            .with_validate_only(true);
        script.ask_but(7, &request, drawn).await;
    }
    for version in [2, 4, 5, 6] {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![odd(&n), odd("b d")])
            .with_timeout_ms(5_000)
            .with_validate_only(true);
        script.ask_but(version, &request, drawn).await;
    }
}

/// Ids of topics are drawn: one that is there is all there is to say.
fn drawn(answer: &mut CreateTopicsResponse) {
    for topic in answer
        .topics
        .iter_mut()
        .filter(|topic| !topic.topic_id.is_nil())
    {
        topic.topic_id = Uuid::from_u128(1);
    }
}

/// Waits until the broker knows these topics.
pub(super) async fn known(script: &mut Script, names: &[&str]) {
    let ask = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic(&script.name(name)))));
    let request = MetadataRequest::default()
        .with_topics(Some(ask.collect()))
        .with_allow_auto_topic_creation(false);
    let led = |answer: &MetadataResponse| {
        answer.topics.iter().all(|topic| {
            topic.error_code == 0 && topic.partitions.iter().all(|one| one.error_code == 0)
        })
    };
    script.learnt(12, &request, led).await;
}

pub(super) async fn growth(script: &mut Script) {
    let (t, n) = (script.name("t"), script.name("n"));
    let grown = |name: &str, count: i32| {
        CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(None)
    };
    let fixed = |of: CreatePartitionsTopic, ids: &[i32]| {
        let ids = ids
            .iter()
            .map(|id| CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(*id)]));
        of.with_assignments(Some(ids.collect()))
    };
    for case in [
        grown(&t, 2),
        grown(&t, 1),
        grown(&t, 0),
        grown(&n, 4),
        fixed(grown(&t, 3), &[1, 1]),
        fixed(grown(&t, 3), &[9]),
        fixed(grown(&t, 3), &[1]),
        grown(&t, 3),
        grown(&t, -1),
        grown("", 3),
        grown("b d", 3),
        grown(&t, 100_000),
        grown(&t, 4).with_assignments(Some(vec![
            CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(1)]),
            CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]),
        ])),
        grown(&t, 4).with_assignments(Some(vec![
            CreatePartitionsAssignment::default(),
            CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]),
        ])),
        grown(&t, 4).with_assignments(Some(Vec::new())),
    ] {
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![case])
            .with_timeout_ms(5_000)
            .with_validate_only(true);
        script.ask(3, &request).await;
    }
    for topics in [
        vec![grown(&t, 3), grown(&t, 4)],
        vec![
            grown(&n, 3),
            grown(&t, 3),
            grown(&t, 4),
            grown(&script.name("c"), 2),
        ],
    ] {
        let request = CreatePartitionsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(5_000)
            .with_validate_only(true);
        for version in [1, 3] {
            // Kafka keeps the topics of one request in hash maps.
            script
                .ask_but(version, &request, |answer| {
                    answer
                        .results
                        .sort_by(|one, other| one.name.cmp(&other.name));
                })
                .await;
        }
    }
}

pub(super) async fn ends(script: &mut Script) {
    let (t, c, n) = (script.name("t"), script.name("c"), script.name("n"));
    let ask = |name: &str| MetadataRequestTopic::default().with_name(Some(topic(name)));
    for (version, name) in [
        (12, t.as_str()),
        (12, &n),
        (12, "b d"),
        (9, &t),
        (4, &n),
        (1, &t),
        (12, ""),
    ] {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![ask(name)]))
            .with_allow_auto_topic_creation(version < 4)
            .with_include_topic_authorized_operations(version >= 8);
        script.ask_but(version, &request, shared).await;
    }
    let by_id = |id: Uuid| {
        MetadataRequestTopic::default()
            .with_name(None)
            .with_topic_id(id)
    };
    for topics in [
        vec![by_id(Uuid::from_u128(77))],
        vec![by_id(script.id(0))],
        Vec::new(),
    ] {
        let request = MetadataRequest::default()
            .with_topics(Some(topics))
            .with_allow_auto_topic_creation(false);
        script.ask_but(12, &request, shared).await;
    }
    let named = |name: &str| DeleteTopicState::default().with_name(Some(topic(name)));
    let by_id = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(Uuid::from_u128(77));
    let nothing = DeleteTopicState::default().with_name(None);
    let both = named(&c).with_topic_id(Uuid::from_u128(77));
    let c_by_id = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(script.id(1));
    for topics in [
        vec![both],
        vec![named(&c), c_by_id.clone()],
        vec![named(&t), named(&t)],
        vec![named("b d"), named("")],
        vec![named(&t)],
        vec![c_by_id],
        vec![named(&n)],
        vec![by_id],
        vec![nothing],
        Vec::new(),
    ] {
        let request = DeleteTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(5_000);
        script.ask_but(6, &request, in_order).await;
    }
    for version in [1, 4, 5] {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic(&n), topic("b d")])
            .with_timeout_ms(5_000);
        script.ask_but(version, &request, in_order).await;
    }
}

/// Takes out what names this broker, and puts partitions in order: Kafka keeps them in hash maps.
fn shared(answer: &mut MetadataResponse) {
    answer.brokers.clear();
    answer.cluster_id = None;
    for topic in &mut answer.topics {
        topic.partitions.sort_by_key(|one| one.partition_index);
    }
}

/// Kafka shuffles what it says of topics that are deleted, so that nobody reads their order as a sign.
fn in_order(answer: &mut DeleteTopicsResponse) {
    answer.responses.sort_by_key(|one| format!("{one:?}"));
}
