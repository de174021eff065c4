//! The same requests to Apache Kafka and to the sandbox: the answers are the same.
//!
//! Runs where `TIDEGATE_TEST_KAFKA=HOST:PORT` names a Kafka 4.1 with one broker; elsewhere it says that it was skipped.

use std::fmt::Debug;

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;

use crate::client::{Client, Of, batch, broker, text, topic};

/// What was asked and what came back, with what differs by nature replaced.
struct Script {
    client: Client,
    prefix: String,
    ids: Vec<String>,
    lines: Vec<(String, String)>,
}

impl Script {
    fn name(&self, of: &str) -> String {
        format!("{}{of}", self.prefix)
    }

    async fn ask<R: Request + Debug>(&mut self, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug,
    {
        let answer = self.client.call(version, request).await;
        let mut told = format!("{answer:?}");
        for id in &self.ids {
            told = told.replace(id, "ID");
        }
        let told = told
            .replace(&self.prefix, "P-")
            .replace(", unknown_tagged_fields: {}", "");
        let mut asked = format!(
            "{:?} {version} {request:?}",
            ApiKey::try_from(R::KEY).unwrap()
        );
        asked = asked
            .replace(&self.prefix, "P-")
            .replace(", unknown_tagged_fields: {}", "");
        self.lines.push((asked, told));
        answer
    }
}

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

async fn creations(script: &mut Script) {
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
    ];
    for case in cases {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![case])
            .with_timeout_ms(5_000)
            .with_validate_only(true);
        script.ask(7, &request).await;
    }
    let twice = vec![odd(&n), odd(&n)];
    script
        .ask(
            7,
            &CreateTopicsRequest::default()
                .with_topics(twice)
                .with_validate_only(true),
        )
        .await;
}

async fn growth(script: &mut Script) {
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
    ] {
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![case])
            .with_timeout_ms(5_000)
            .with_validate_only(true);
        script.ask(3, &request).await;
    }
}

async fn configuration(script: &mut Script) {
    let (t, n) = (script.name("t"), script.name("n"));
    let change = |name: &str, changes: &[(&str, i8, Option<&str>)]| {
        let changes = changes.iter().map(|(key, operation, value)| {
            AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(*operation)
                .with_value(value.map(text))
        });
        AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configs(changes.collect())
    };
    for case in [
        change(&t, &[("segment.ms", 0, Some("5000"))]),
        change(&t, &[("cleanup.policy", 2, Some("compact"))]),
        change(&t, &[("cleanup.policy", 3, Some("delete"))]),
        change(&t, &[("cleanup.policy", 0, Some("banana"))]),
        change(&t, &[("retention.ms", 0, Some("banana"))]),
        change(&t, &[("retention.ms", 0, None)]),
        change(&t, &[("retention.ms", 2, Some("5"))]),
        change(&t, &[("retention.ms", 9, Some("5"))]),
        change(&t, &[("no.such.key", 0, Some("5"))]),
        change(&t, &[("no.such.key", 1, None)]),
        change(
            &t,
            &[
                ("retention.ms", 0, Some("5")),
                ("retention.ms", 0, Some("6")),
            ],
        ),
        change(&n, &[("retention.ms", 0, Some("5"))]),
        change(
            &t,
            &[
                ("retention.ms", 1, None),
                ("max.message.bytes", 0, Some("2000")),
            ],
        ),
        change("", &[("retention.ms", 0, Some("5"))]),
    ] {
        script
            .ask(
                1,
                &IncrementalAlterConfigsRequest::default().with_resources(vec![case]),
            )
            .await;
    }
    for name in [t.as_str(), n.as_str(), "b d"] {
        for version in [1, 4] {
            let resource = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(name))
                .with_configuration_keys(None);
            let request = DescribeConfigsRequest::default()
                .with_resources(vec![resource])
                .with_include_synonyms(true);
            script.ask(version, &request).await;
        }
    }
}

async fn records(script: &mut Script) {
    let (t, c, n) = (script.name("t"), script.name("c"), script.name("n"));
    let stamp = crate::client::now();
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
    for (name, index, acks, bytes) in [
        (&t, 0, -1, good.to_vec()),
        (&t, 0, 1, sum),
        (&t, 0, 1, two),
        (&t, 0, 1, Vec::new()),
        (&t, 0, 5, good.to_vec()),
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
    ] {
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
        script.ask(9, &request).await;
    }
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
    ] {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(timestamp);
        let named = ListOffsetsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![asked]);
        script
            .ask(9, &ListOffsetsRequest::default().with_topics(vec![named]))
            .await;
    }
    for (name, epoch, known) in [(&t, 0, -1), (&t, 5, -1), (&t, 0, 9), (&n, 0, -1)] {
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
    for (name, index, offset) in [(&t, 0, 1), (&t, 0, 99), (&t, 0, -2), (&t, 9, 0), (&n, 0, 0)] {
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

async fn groups(script: &mut Script) {
    let (t, g) = (script.name("t"), GroupId(text(&script.name("g"))));
    let commit = |generation: i32, member: &str, name: &str, index: i32| {
        let asked = OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(5)
            .with_committed_leader_epoch(-1);
        let named = OffsetCommitRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![asked]);
        OffsetCommitRequest::default()
            .with_group_id(g.clone())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(text(member))
            .with_topics(vec![named])
    };
    let n = script.name("n");
    script
        .ask(
            6,
            &DescribeGroupsRequest::default().with_groups(vec![g.clone()]),
        )
        .await;
    script
        .ask(
            5,
            &DescribeGroupsRequest::default().with_groups(vec![g.clone()]),
        )
        .await;
    for (version, request) in [
        (8, commit(3, "who", &t, 0)),
        (9, commit(3, "who", &t, 0)),
        (8, commit(-1, "", &t, 0)),
        (8, commit(-1, "", &t, 77)),
        (8, commit(-1, "", &n, 0)),
        (8, commit(4, "who", &t, 0)),
    ] {
        script.ask(version, &request).await;
    }
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(g.clone())
        .with_topics(None);
    script
        .ask(8, &OffsetFetchRequest::default().with_groups(vec![asked]))
        .await;
    script
        .ask(
            4,
            &HeartbeatRequest::default()
                .with_group_id(g.clone())
                .with_member_id(text("who")),
        )
        .await;
    script
        .ask(
            4,
            &HeartbeatRequest::default()
                .with_group_id(GroupId(text("nobody")))
                .with_member_id(text("who")),
        )
        .await;
    let join = JoinGroupRequest::default()
        .with_group_id(g.clone())
        .with_protocol_type(text("consumer"));
    script
        .ask(6, &join.clone().with_session_timeout_ms(10))
        .await;
    script
        .ask(6, &join.clone().with_session_timeout_ms(10_000))
        .await;
    script
        .ask(
            6,
            &join
                .clone()
                .with_session_timeout_ms(10_000)
                .with_member_id(text("who")),
        )
        .await;
    script
        .ask(
            6,
            &join
                .with_group_id(GroupId::default())
                .with_session_timeout_ms(10_000),
        )
        .await;
    script
        .ask(
            6,
            &DescribeGroupsRequest::default().with_groups(vec![g.clone()]),
        )
        .await;
    for id in [g.clone(), GroupId(text("nobody"))] {
        script
            .ask(
                2,
                &DeleteGroupsRequest::default().with_groups_names(vec![id]),
            )
            .await;
    }
}

async fn users(script: &mut Script) {
    let (u, v) = (script.name("u"), script.name("v"));
    let upsert = |name: &str, mechanism: i8, iterations: i32| {
        ScramCredentialUpsertion::default()
            .with_name(text(name))
            .with_mechanism(mechanism)
            .with_iterations(iterations)
            .with_salt(bytes::Bytes::from_static(b"salt"))
            .with_salted_password(bytes::Bytes::from_static(b"salted"))
    };
    let drop = |name: &str, mechanism: i8| {
        ScramCredentialDeletion::default()
            .with_name(text(name))
            .with_mechanism(mechanism)
    };
    let request = AlterUserScramCredentialsRequest::default;
    for case in [
        request().with_upsertions(vec![upsert(&u, 1, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 1, 10)]),
        request().with_upsertions(vec![upsert(&v, 1, 99_999)]),
        request().with_upsertions(vec![upsert("", 1, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 9, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 1, 4_096), upsert(&v, 1, 4_096)]),
        request().with_deletions(vec![drop(&v, 1)]),
    ] {
        script.ask(0, &case).await;
    }
    for names in [
        vec![u.as_str()],
        vec![v.as_str()],
        vec![v.as_str(), v.as_str()],
    ] {
        let names = names.into_iter().map(|name| {
            describe_user_scram_credentials_request::UserName::default().with_name(text(name))
        });
        script
            .ask(
                0,
                &DescribeUserScramCredentialsRequest::default().with_users(Some(names.collect())),
            )
            .await;
    }
    script
        .ask(0, &request().with_deletions(vec![drop(&u, 1)]))
        .await;

    let acl = |kind: i8, name: &str, pattern: i8, principal: &str, operation: i8| {
        AclCreation::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_resource_pattern_type(pattern)
            .with_principal(text(principal))
            .with_host(text("*"))
            .with_operation(operation)
            .with_permission_type(3)
    };
    let owner = format!("User:{u}");
    for case in [
        acl(2, "orders", 3, &owner, 3),
        acl(2, "ord", 4, &owner, 3),
        acl(4, "elsewhere", 3, &owner, 3),
        acl(2, "", 3, &owner, 3),
        acl(2, "orders", 2, &owner, 3),
        acl(2, "orders", 3, "nobody", 3),
        acl(2, "orders", 3, &owner, 1),
    ] {
        script
            .ask(3, &CreateAclsRequest::default().with_creations(vec![case]))
            .await;
    }
    for (name, pattern) in [
        (None, 1),
        (Some("orders"), 2),
        (Some("orders"), 3),
        (Some("ord"), 4),
    ] {
        let filter = DescribeAclsRequest::default()
            .with_resource_type_filter(2)
            .with_resource_name_filter(name.map(text))
            .with_pattern_type_filter(pattern)
            .with_principal_filter(Some(text(&owner)))
            .with_host_filter(None)
            .with_operation(1)
            .with_permission_type(1);
        script.ask(3, &filter).await;
    }
    let all = delete_acls_request::DeleteAclsFilter::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(Some(text("orders")))
        .with_pattern_type_filter(3)
        .with_principal_filter(Some(text(&owner)))
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    for _ in 0..2 {
        script
            .ask(
                3,
                &DeleteAclsRequest::default().with_filters(vec![all.clone()]),
            )
            .await;
    }
    let rest = all
        .with_resource_name_filter(None)
        .with_pattern_type_filter(1);
    script
        .ask(3, &DeleteAclsRequest::default().with_filters(vec![rest]))
        .await;
    quotas(script, &u).await;
}

async fn quotas(script: &mut Script, user: &str) {
    let entity = |kind: &str, name: Option<&str>| {
        EntityData::default()
            .with_entity_type(text(kind))
            .with_entity_name(name.map(text))
    };
    let set = |key: &str, value: f64| OpData::default().with_key(text(key)).with_value(value);
    let unset = |key: &str| OpData::default().with_key(text(key)).with_remove(true);
    let mine = || vec![entity("user", Some(user))];
    for (entity, op) in [
        (mine(), set("producer_byte_rate", 1_024.0)),
        (mine(), set("producer_byte_rate", 1.5)),
        (mine(), set("producer_byte_rate", 0.0)),
        (mine(), set("producer_byte_rate", -1.0)),
        (mine(), set("what", 1.0)),
        (mine(), set("connection_creation_rate", 1.0)),
        (
            vec![entity("planet", Some("mars"))],
            set("producer_byte_rate", 1.0),
        ),
        (
            vec![entity("user", Some(""))],
            set("producer_byte_rate", 1.0),
        ),
        (
            vec![entity("ip", Some("127.0.0.1")), entity("user", Some(user))],
            set("connection_creation_rate", 1.0),
        ),
        (Vec::new(), set("producer_byte_rate", 1.0)),
        (mine(), unset("producer_byte_rate")),
    ] {
        let entry = EntryData::default().with_entity(entity).with_ops(vec![op]);
        script
            .ask(
                1,
                &AlterClientQuotasRequest::default().with_entries(vec![entry]),
            )
            .await;
    }
}

async fn ends(script: &mut Script) {
    let (t, c, n) = (script.name("t"), script.name("c"), script.name("n"));
    let ask = |name: &str| MetadataRequestTopic::default().with_name(Some(topic(name)));
    for name in [t.as_str(), n.as_str(), "b d"] {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![ask(name)]))
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(true);
        let mut answer = script.client.call(12, &request).await;
        answer.brokers.clear();
        answer.cluster_id = None;
        let mut told = format!("{answer:?}").replace(&script.prefix, "P-");
        for id in &script.ids {
            told = told.replace(id, "ID");
        }
        script.lines.push((
            format!("metadata of {}", name.replace(&script.prefix, "P-")),
            told,
        ));
    }
    let named = |name: &str| DeleteTopicState::default().with_name(Some(topic(name)));
    let by_id = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(uuid::Uuid::from_u128(77));
    let nothing = DeleteTopicState::default().with_name(None);
    for case in [named(&t), named(&c), named(&n), by_id, nothing] {
        script
            .ask(
                6,
                &DeleteTopicsRequest::default()
                    .with_topics(vec![case])
                    .with_timeout_ms(5_000),
            )
            .await;
    }
}

async fn transcript(to: &str, prefix: String) -> Vec<(String, String)> {
    let mut script = Script {
        client: Client::connect(to).await,
        prefix,
        ids: Vec::new(),
        lines: Vec::new(),
    };
    creations(&mut script).await;
    // Kafka's brokers learn of topics a moment after the controller has made them.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    growth(&mut script).await;
    configuration(&mut script).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    records(&mut script).await;
    groups(&mut script).await;
    users(&mut script).await;
    ends(&mut script).await;
    script.lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_apache_kafka() {
    let Ok(kafka) = std::env::var("TIDEGATE_TEST_KAFKA") else {
        eprintln!("SKIPPED: TIDEGATE_TEST_KAFKA names no Apache Kafka to compare with");
        return;
    };
    let broker = broker().await;
    let prefix = format!("compare-{}-", std::process::id());
    let ours = transcript(&broker.bootstrap(), prefix.clone()).await;
    let theirs = transcript(&kafka, prefix).await;
    assert_eq!(ours.len(), theirs.len());
    let mut differences = 0;
    for ((asked, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours != theirs {
            differences += 1;
            println!("asked   {asked}\nsandbox {ours}\nkafka   {theirs}\n");
        }
    }
    println!("{} answers compared, {differences} differ", ours.len());
    assert_eq!(differences, 0);
    broker.shutdown().await;
}
