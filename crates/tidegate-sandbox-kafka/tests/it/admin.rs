//! Administration over the wire: topics, configuration, ACLs, users, quotas, SASL; and the view from inside.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use tidegate_sandbox_kafka::{AclBinding, KafkaOptions, SandboxKafka};

use crate::client::{Client, broker, configs, text, topic};

fn creatable(name: &str, partitions: i32, replication: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replication)
}

#[tokio::test]
async fn topics_are_created_with_kafkas_checks() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let long = "x".repeat(250);
    let config = |key: &str, value: &str| {
        CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    };
    let assigned =
        |broker: i32| CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(broker)]);
    let cases = [
        (creatable("a.b", 3, 1), 0),
        (creatable("a_b", 3, 1), 17),
        (creatable("a.b", 3, 1), 36),
        (creatable("", 1, 1), 17),
        (creatable("..", 1, 1), 17),
        (creatable("ö", 1, 1), 17),
        (creatable(&long, 1, 1), 17),
        (creatable("n", 0, 1), 37),
        (creatable("n", 1, 0), 38),
        (creatable("n", 1, 2), 38),
        (
            creatable("n", 1, 1).with_configs(vec![config("no.such", "1")]),
            40,
        ),
        (
            creatable("n", 1, 1).with_configs(vec![config("retention.ms", "-2")]),
            40,
        ),
        (creatable("n", 1, 1).with_assignments(vec![assigned(1)]), 42),
        (
            creatable("n", -1, -1).with_assignments(vec![assigned(9)]),
            39,
        ),
        (
            creatable("n", -1, -1).with_assignments(vec![assigned(1)]),
            0,
        ),
        (creatable("d", -1, -1), 0),
    ];
    for (index, (asked, code)) in cases.into_iter().enumerate() {
        for validate_only in [true, false] {
            let request = CreateTopicsRequest::default()
                .with_topics(vec![asked.clone()])
                .with_validate_only(validate_only);
            let answer = client.call(7, &request).await;
            assert_eq!(
                answer.topics[0].error_code, code,
                "case {index}, validate only: {validate_only}"
            );
        }
    }
    let twice = CreateTopicsRequest::default()
        .with_topics(vec![creatable("z", 1, 1), creatable("z", 1, 1)]);
    let codes: Vec<i16> = client
        .call(7, &twice)
        .await
        .topics
        .iter()
        .map(|one| one.error_code)
        .collect();
    assert_eq!(codes, [42]);
    let names: Vec<String> = broker
        .topics()
        .list()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["a.b", "d", "n"]);
    broker.shutdown().await;
}

#[tokio::test]
async fn metadata_tells_of_topics_in_every_version() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let id = client.create("t", 2, &[]).await.topics[0].topic_id;
    for version in 0..=13 {
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let answer = client
            .call(version, &MetadataRequest::default().with_topics(all))
            .await;
        assert_eq!(
            (answer.topics.len(), answer.topics[0].partitions.len()),
            (1, 2),
            "version {version}"
        );
    }
    let ask = |name: Option<&str>, id| {
        MetadataRequestTopic::default()
            .with_name(name.map(topic))
            .with_topic_id(id)
    };
    let none = uuid::Uuid::nil();
    let request = MetadataRequest::default()
        .with_topics(Some(vec![
            ask(None, id),
            ask(None, uuid::Uuid::max()),
            ask(Some("missing"), none),
            ask(Some("b d"), none),
        ]))
        .with_allow_auto_topic_creation(false);
    let answer = client.call(12, &request).await;
    let codes: Vec<i16> = answer.topics.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, 100, 3, 17]);
    let request = MetadataRequest::default().with_topics(Some(vec![ask(Some("made"), none)]));
    assert_eq!(client.call(12, &request).await.topics[0].error_code, 0);
    assert!(broker.topics().get("made").is_some());
    broker.shutdown().await;
}

#[tokio::test]
async fn topics_grow_and_go() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let id = client.create("t", 2, &[]).await.topics[0].topic_id;
    client.create("u", 1, &[]).await;
    for (name, count, code) in [("t", 4, 0), ("t", 4, 37), ("t", 3, 37), ("n", 3, 3)] {
        let asked = CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(None);
        let answer = client
            .call(
                3,
                &CreatePartitionsRequest::default().with_topics(vec![asked]),
            )
            .await;
        assert_eq!(answer.results[0].error_code, code, "{name} {count}");
    }
    assert_eq!(broker.topics().get("t").unwrap().partitions.len(), 4);
    let by_id = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(id);
    for code in [0, 100] {
        let answer = client
            .call(
                6,
                &DeleteTopicsRequest::default().with_topics(vec![by_id.clone()]),
            )
            .await;
        assert_eq!(answer.responses[0].error_code, code);
    }
    for (version, code) in [(1, 0), (5, 3)] {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic("u")]);
        assert_eq!(
            client.call(version, &request).await.responses[0].error_code,
            code
        );
    }
    assert!(broker.topics().list().is_empty());
    broker.shutdown().await;
}

async fn change(
    client: &mut Client,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
    validate_only: bool,
) -> (i16, String) {
    let changes = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(name))
        .with_configs(changes.collect());
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(validate_only);
    let answer = client.call(1, &request).await;
    let words = answer.responses[0].error_message.clone();
    (
        answer.responses[0].error_code,
        words.map(|words| words.to_string()).unwrap_or_default(),
    )
}

async fn described(
    client: &mut Client,
    kind: i8,
    name: &str,
    key: &str,
) -> Result<(Option<String>, i8), i16> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(Some(vec![text(key)]));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    let mut found = Err(0);
    for version in 1..=4 {
        let answer = client.call(version, &request).await;
        let result = &answer.results[0];
        if result.error_code != 0 {
            return Err(result.error_code);
        }
        let entry = &result.configs[0];
        found = Ok((
            entry.value.as_ref().map(ToString::to_string),
            entry.config_source,
        ));
    }
    found
}

#[tokio::test]
async fn configuration_changes_key_by_key() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[("retention.ms", "1000")]).await;
    let set = |key, value| [(key, 0, Some(value))];
    assert_eq!(
        described(&mut client, 2, "t", "retention.ms").await,
        Ok((Some("1000".to_owned()), 1))
    );
    assert_eq!(
        described(&mut client, 2, "t", "segment.ms").await,
        Ok((Some("604800000".to_owned()), 5))
    );
    assert_eq!(described(&mut client, 2, "n", "segment.ms").await, Err(3));
    assert_eq!(
        described(&mut client, 4, "1", "node.id").await,
        Ok((Some("1".to_owned()), 4))
    );
    assert_eq!(
        change(&mut client, "t", &set("segment.ms", "5"), true)
            .await
            .0,
        0
    );
    assert_eq!(
        described(&mut client, 2, "t", "segment.ms")
            .await
            .unwrap()
            .1,
        5
    );
    assert_eq!(
        change(&mut client, "t", &set("segment.ms", "5"), false)
            .await
            .0,
        0
    );
    assert_eq!(
        described(&mut client, 2, "t", "segment.ms").await,
        Ok((Some("5".to_owned()), 1))
    );
    assert_eq!(
        change(&mut client, "t", &set("retention.ms", "banana"), false).await,
        (
            40,
            "Invalid value banana for configuration retention.ms: Not a number of type LONG"
                .to_owned()
        )
    );
    assert_eq!(
        change(&mut client, "t", &set("what", "1"), false).await.0,
        40
    );
    assert_eq!(
        change(&mut client, "n", &set("segment.ms", "5"), false)
            .await
            .0,
        3
    );
    assert_eq!(
        change(&mut client, "t", &[("segment.ms", 2, Some("5"))], false)
            .await
            .0,
        40
    );
    assert_eq!(
        change(
            &mut client,
            "t",
            &[("cleanup.policy", 2, Some("compact"))],
            false
        )
        .await
        .0,
        0
    );
    assert_eq!(
        described(&mut client, 2, "t", "cleanup.policy").await,
        Ok((Some("delete,compact".to_owned()), 1))
    );
    assert_eq!(
        change(
            &mut client,
            "t",
            &[("cleanup.policy", 3, Some("delete"))],
            false
        )
        .await
        .0,
        0
    );
    assert_eq!(
        change(&mut client, "t", &[("retention.ms", 1, None)], false)
            .await
            .0,
        0
    );
    let all = broker.topics().get("t").unwrap().configs;
    assert_eq!(
        all,
        configs(&[("cleanup.policy", "compact"), ("segment.ms", "5")])
    );
    broker.shutdown().await;
}

#[tokio::test]
async fn the_old_way_of_altering_replaces_everything() {
    use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    client.create("t", 1, &[("retention.ms", "1000")]).await;
    let config = AlterableConfig::default()
        .with_name(text("segment.ms"))
        .with_value(Some(text("7")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let answer = client
        .call(
            2,
            &AlterConfigsRequest::default().with_resources(vec![resource]),
        )
        .await;
    assert_eq!(answer.responses[0].error_code, 0);
    assert_eq!(
        broker.topics().get("t").unwrap().configs,
        configs(&[("segment.ms", "7")])
    );
    broker.shutdown().await;
}

fn acl(kind: i8, name: &str, pattern: i8, principal: &str) -> AclCreation {
    AclCreation::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_resource_pattern_type(pattern)
        .with_principal(text(principal))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3)
}

fn acl_filter(name: Option<&str>, pattern: i8) -> DescribeAclsRequest {
    DescribeAclsRequest::default()
        .with_resource_type_filter(2)
        .with_resource_name_filter(name.map(text))
        .with_pattern_type_filter(pattern)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1)
}

#[tokio::test]
async fn acls_are_kept_and_found() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let request = CreateAclsRequest::default().with_creations(vec![
        acl(2, "orders", 3, "User:a"),
        acl(2, "ord", 4, "User:b"),
        acl(2, "*", 3, "User:c"),
        acl(2, "other", 3, "User:a"),
        acl(4, "not-the-cluster", 3, "User:a"),
        acl(2, "orders", 3, "nobody"),
        acl(2, "", 3, "User:a"),
    ]);
    let codes: Vec<i16> = client
        .call(3, &request)
        .await
        .results
        .iter()
        .map(|one| one.error_code)
        .collect();
    assert_eq!(codes, [0, 0, 0, 0, 42, 42, 42]);
    // A pattern that only filters have takes the whole request with it.
    let request = CreateAclsRequest::default().with_creations(vec![
        acl(2, "more", 3, "User:a"),
        acl(2, "orders", 2, "User:a"),
    ]);
    let answer = client.call(3, &request).await;
    assert!(answer.results.iter().all(|one| one.error_code == -1));
    for (filter, count) in [
        (acl_filter(None, 1), 4),
        (acl_filter(Some("orders"), 2), 3),
        (acl_filter(Some("orders"), 3), 1),
        (acl_filter(Some("ord"), 4), 1),
        (acl_filter(Some("ord"), 3), 0),
    ] {
        let answer = client.call(3, &filter).await;
        let found: usize = answer.resources.iter().map(|one| one.acls.len()).sum();
        assert_eq!(found, count, "{filter:?}");
    }
    let gone = delete_acls_request::DeleteAclsFilter::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(1)
        .with_principal_filter(Some(text("User:a")))
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    let answer = client
        .call(3, &DeleteAclsRequest::default().with_filters(vec![gone]))
        .await;
    assert_eq!(answer.filter_results[0].matching_acls.len(), 2);
    assert_eq!(broker.users().acls("User:a"), []);
    assert_eq!(broker.users().acls("User:b").len(), 1);
    broker.shutdown().await;
}

#[tokio::test]
async fn scram_credentials_are_checked() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let upsert = |name: &str, mechanism, iterations| {
        ScramCredentialUpsertion::default()
            .with_name(text(name))
            .with_mechanism(mechanism)
            .with_iterations(iterations)
            .with_salt(bytes::Bytes::from_static(b"salt"))
            .with_salted_password(bytes::Bytes::from_static(b"salted"))
    };
    let request = AlterUserScramCredentialsRequest::default()
        .with_deletions(vec![
            ScramCredentialDeletion::default()
                .with_name(text("nobody"))
                .with_mechanism(1),
        ])
        .with_upsertions(vec![
            upsert("a", 1, 4_096),
            upsert("b", 1, 100),
            upsert("c", 1, 20_000),
            upsert("d", 9, 4_096),
            upsert("e", 1, 4_096),
            upsert("e", 1, 8_192),
            upsert("", 1, 4_096),
        ]);
    let answer = client.call(0, &request).await;
    let codes: Vec<(String, i16)> = answer
        .results
        .iter()
        .map(|one| (one.user.to_string(), one.error_code))
        .collect();
    let expected = [
        ("nobody", 91),
        ("a", 0),
        ("b", 93),
        ("c", 93),
        ("d", 33),
        ("e", 92),
        ("", 93),
    ];
    assert_eq!(codes, expected.map(|(user, code)| (user.to_owned(), code)));
    let answer = client
        .call(
            0,
            &DescribeUserScramCredentialsRequest::default().with_users(None),
        )
        .await;
    assert_eq!(answer.results.len(), 1);
    assert_eq!(answer.results[0].credential_infos[0].iterations, 4_096);
    broker.shutdown().await;
}

#[tokio::test]
async fn quotas_are_kept_by_entity() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let entity = |kind: &str, name: Option<&str>| {
        EntityData::default()
            .with_entity_type(text(kind))
            .with_entity_name(name.map(text))
    };
    let set = |key: &str, value| OpData::default().with_key(text(key)).with_value(value);
    let entry = |entity, op| EntryData::default().with_entity(entity).with_ops(vec![op]);
    let both = vec![entity("user", Some("a")), entity("client-id", None)];
    let entries = vec![
        entry(
            vec![entity("user", Some("a"))],
            set("producer_byte_rate", 1024.0),
        ),
        entry(both, set("consumer_byte_rate", 1.0)),
        entry(vec![entity("user", Some("a"))], set("what", 1.0)),
        entry(
            vec![entity("planet", Some("a"))],
            set("producer_byte_rate", 1.0),
        ),
        entry(
            vec![entity("ip", Some("127.0.0.1"))],
            set("connection_creation_rate", 5.0),
        ),
        entry(
            vec![entity("user", Some("a"))],
            set("producer_byte_rate", -1.0),
        ),
        entry(Vec::new(), set("producer_byte_rate", 1.0)),
    ];
    let mut codes = Vec::new();
    for entry in entries {
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        codes.push(client.call(1, &request).await.entries[0].error_code);
    }
    assert_eq!(codes, [0, 0, 42, 42, 0, 42, 42]);
    let component = |kind: &str, how, name: Option<&str>| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(how)
            ._match_of(name)
    };
    for (components, strict, count) in [
        (vec![component("user", 0, Some("a"))], false, 2),
        (vec![component("user", 0, Some("a"))], true, 1),
        (vec![component("client-id", 1, None)], false, 1),
        (vec![component("ip", 2, None)], true, 1),
        (Vec::new(), false, 3),
    ] {
        let request = DescribeClientQuotasRequest::default()
            .with_components(components)
            .with_strict(strict);
        assert_eq!(client.call(1, &request).await.entries.unwrap().len(), count);
    }
    assert_eq!(
        broker.users().quotas("a").get("producer_byte_rate"),
        Some(&1024.0)
    );
    broker.shutdown().await;
}

trait Matching {
    fn _match_of(self, name: Option<&str>) -> Self;
}

impl Matching for ComponentData {
    fn _match_of(mut self, name: Option<&str>) -> Self {
        self._match = name.map(text);
        self
    }
}

#[tokio::test]
async fn the_guarded_listener_wants_a_password() {
    let broker = SandboxKafka::start(KafkaOptions {
        sasl_port: Some(0),
        plain_users: vec![("alice".to_owned(), "secret".to_owned())],
        ..KafkaOptions::default()
    })
    .await
    .unwrap();
    let to = broker.sasl_bootstrap().unwrap();
    let mut client = Client::connect(&to).await;
    assert!(
        client
            .try_call(12, &MetadataRequest::default())
            .await
            .is_none()
    );
    for (message, code) in [
        (&b"\0alice\0secret"[..], 0),
        (b"\0alice\0wrong", 58),
        (b"alice", 58),
    ] {
        let mut client = Client::connect(&to).await;
        let handshake = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
        assert_eq!(client.call(1, &handshake).await.error_code, 0);
        let request = SaslAuthenticateRequest::default()
            .with_auth_bytes(bytes::Bytes::copy_from_slice(message));
        assert_eq!(client.call(2, &request).await.error_code, code);
        assert_eq!(
            client
                .try_call(12, &MetadataRequest::default())
                .await
                .is_some(),
            code == 0
        );
    }
    let mut client = Client::connect(&to).await;
    let handshake = SaslHandshakeRequest::default().with_mechanism(text("GSSAPI"));
    assert_eq!(client.call(1, &handshake).await.error_code, 33);
    broker.shutdown().await;
}

#[tokio::test]
async fn the_view_changes_what_clients_see() {
    let broker = broker().await;
    let topics = broker.topics();
    let made = topics
        .create("t", 2, 1, &configs(&[("retention.ms", "5")]))
        .unwrap();
    assert_eq!((made.partitions.len(), made.replication), (2, 1));
    let refused = topics.create("t", 2, 1, &configs(&[])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "TOPIC_ALREADY_EXISTS: Topic 't' already exists."
    );
    topics.grow("t", 3).unwrap();
    assert_eq!(topics.grow("t", 2).unwrap_err().code, 37);
    topics
        .configure(
            "t",
            &[
                ("retention.ms".to_owned(), None),
                ("segment.ms".to_owned(), Some("9".to_owned())),
            ]
            .into(),
        )
        .unwrap();
    assert_eq!(
        topics.get("t").unwrap().configs,
        configs(&[("segment.ms", "9")])
    );
    let mut client = Client::connect(&broker.bootstrap()).await;
    let answer = client
        .call(12, &MetadataRequest::default().with_topics(None))
        .await;
    assert_eq!(answer.topics[0].partitions.len(), 3);
    topics.delete("t").unwrap();
    assert_eq!(topics.delete("t").unwrap_err().code, 3);

    let users = broker.users();
    users.set_password("alice", "secret").unwrap();
    assert_eq!(users.list(), ["alice"]);
    let binding = AclBinding {
        resource_type: 2,
        name: "t".to_owned(),
        pattern: 3,
        principal: "User:alice".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission: 3,
    };
    users
        .set_acls("User:alice", std::slice::from_ref(&binding))
        .unwrap();
    assert_eq!(users.acls("User:alice"), [binding]);
    users.set_acls("User:alice", &[]).unwrap();
    users
        .set_quotas("alice", &[("request_percentage".to_owned(), 50.0)].into())
        .unwrap();
    users.set_quotas("alice", &[].into()).unwrap();
    assert!(users.quotas("alice").is_empty());
    users.remove_password("alice").unwrap();
    assert_eq!(users.remove_password("alice").unwrap_err().code, 91);
    broker.shutdown().await;
}
