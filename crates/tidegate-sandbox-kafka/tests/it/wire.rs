//! Every request in every version is answered, and no bytes, however bad, end the broker.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Message, Request, VersionRange};
use tidegate_sandbox_kafka::{Fault, FaultKind, KafkaOptions, Limits, SandboxKafka};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, broker, frame};

async fn every_version<R: Request + Default>(to: &str) -> usize {
    every_version_of(to, &R::default()).await
}

async fn every_version_of<R: Request>(to: &str, request: &R) -> usize {
    let VersionRange { min, max } = <R as Message>::VERSIONS;
    for version in min..=max {
        let mut client = Client::connect(to).await;
        let answered = client.try_call(version, request).await;
        assert!(
            answered.is_some(),
            "{:?} {version} is not answered",
            ApiKey::try_from(R::KEY)
        );
    }
    usize::try_from(max - min + 1).unwrap()
}

macro_rules! all {
    ($to:expr, $($request:ty),* $(,)?) => { [$(every_version::<$request>($to).await),*] };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_in_every_version() {
    let broker = broker().await;
    let to = broker.bootstrap();
    let answered = all!(
        &to,
        ApiVersionsRequest,
        MetadataRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        CreatePartitionsRequest,
        DeleteRecordsRequest,
        DescribeConfigsRequest,
        AlterConfigsRequest,
        IncrementalAlterConfigsRequest,
        DescribeClusterRequest,
        DescribeTopicPartitionsRequest,
        ListPartitionReassignmentsRequest,
        DescribeLogDirsRequest,
        OffsetForLeaderEpochRequest,
        ListOffsetsRequest,
        FetchRequest,
        FindCoordinatorRequest,
        JoinGroupRequest,
        SyncGroupRequest,
        HeartbeatRequest,
        LeaveGroupRequest,
        OffsetCommitRequest,
        OffsetFetchRequest,
        OffsetDeleteRequest,
        ListGroupsRequest,
        DescribeGroupsRequest,
        DeleteGroupsRequest,
        InitProducerIdRequest,
        CreateAclsRequest,
        DeleteAclsRequest,
        DescribeClientQuotasRequest,
        AlterClientQuotasRequest,
        DescribeUserScramCredentialsRequest,
        AlterUserScramCredentialsRequest,
        SaslHandshakeRequest,
        SaslAuthenticateRequest,
    );
    assert_eq!(answered.len(), 36);
    // Kafka hangs up on a filter whose numbers stand for nothing, as those of an empty one do.
    let any = DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_operation(1)
        .with_permission_type(1);
    assert_eq!(every_version_of(&to, &any).await, 3);
    broker.shutdown().await;
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_as_the_first() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let mut bytes = frame(4, 7, &ApiVersionsRequest::default());
    bytes[2..4].copy_from_slice(&99_i16.to_be_bytes());
    let answer = client.raw(&bytes).await.unwrap();
    // Correlation, then UNSUPPORTED_VERSION.
    assert_eq!(answer[..6], [0, 0, 0, 7, 0, 35]);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_count_that_is_not_there_reserves_nothing() {
    let broker = broker().await;
    let mut head = frame(1, 1, &MetadataRequest::default()).to_vec();
    let count = head.len() - 4;
    head[count..].copy_from_slice(&i32::MAX.to_be_bytes());
    let mut client = Client::connect(&broker.bootstrap()).await;
    assert!(client.raw(&head).await.is_none());
    // Others are served on.
    let mut client = Client::connect(&broker.bootstrap()).await;
    assert_eq!(
        client
            .call(12, &MetadataRequest::default())
            .await
            .brokers
            .len(),
        1
    );
    broker.shutdown().await;
}

#[tokio::test]
async fn a_frame_beyond_the_limit_ends_its_connection() {
    let broker = SandboxKafka::start(KafkaOptions {
        limits: Limits {
            frame_bytes: 100,
            ..Limits::default()
        },
        ..KafkaOptions::default()
    })
    .await
    .unwrap();
    let mut stream = tokio::net::TcpStream::connect(broker.bootstrap())
        .await
        .unwrap();
    stream.write_all(&101_i32.to_be_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest).await;
    assert!(ended.is_err() || rest.is_empty());
    broker.shutdown().await;
}

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn samples() -> Vec<Vec<u8>> {
    use crate::client::{Of, batch, text, topic};
    use kafka_protocol::messages::create_topics_request::CreatableTopic;
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    let made = CreatableTopic::default()
        .with_name(topic("noise"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let create = CreateTopicsRequest::default().with_topics(vec![made]);
    let records = batch(Of::default(), &[("k", Some("v")), ("", Some("w"))]);
    let produce = ProduceRequest::default().with_acks(1).with_topic_data(vec![
        TopicProduceData::default()
            .with_name(topic("noise"))
            .with_partition_data(vec![
                PartitionProduceData::default().with_records(Some(records)),
            ]),
    ]);
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId(text("noise")))
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(1)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(text("range")),
        ]);
    let metadata = MetadataRequest::default().with_topics(None);
    let mut samples = Vec::new();
    for version in [2, 5, 7] {
        samples.push(frame(version, 1, &create).to_vec());
    }
    for version in [3, 9, 11] {
        samples.push(frame(version, 1, &produce).to_vec());
    }
    for version in [2, 5, 9] {
        samples.push(frame(version, 1, &join).to_vec());
    }
    for version in [1, 9, 12] {
        samples.push(frame(version, 1, &metadata).to_vec());
    }
    samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_requests_break_nothing_else() {
    let broker = broker().await;
    let mut noise = Noise(1);
    let samples = samples();
    for round in 0..1_500 {
        let mut bytes = samples[noise.next(samples.len())].clone();
        for _ in 0..=noise.next(4) {
            let at = noise.next(bytes.len());
            bytes[at] = u8::try_from(noise.next(256)).unwrap();
        }
        if noise.next(4) == 0 {
            bytes.truncate(noise.next(bytes.len()) + 1);
        }
        let mut client = Client::connect(&broker.bootstrap()).await;
        // A request may wait for others, say nothing, or end its connection: only the broker must live.
        let wait = std::time::Duration::from_millis(20);
        let _ = tokio::time::timeout(wait, client.raw(&bytes)).await;
        if round % 300 == 0 {
            let mut other = Client::connect(&broker.bootstrap()).await;
            assert_eq!(
                other
                    .call(12, &MetadataRequest::default())
                    .await
                    .brokers
                    .len(),
                1
            );
        }
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn faults_come_as_often_as_they_were_asked_for() {
    let broker = broker().await;
    assert!(!broker.inject(Fault::new(FaultKind::Disconnect).on("Nonsense")));
    assert!(
        broker.inject(
            Fault::new(FaultKind::CoordinatorLoading)
                .on("FindCoordinator")
                .times(2)
        )
    );
    let mut client = Client::connect(&broker.bootstrap()).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(
            client
                .call(3, &FindCoordinatorRequest::default())
                .await
                .error_code,
        );
    }
    assert_eq!(codes, [14, 14, 0]);
    assert!(
        broker.inject(
            Fault::new(FaultKind::Throttle(std::time::Duration::from_secs(2))).on("Metadata")
        )
    );
    assert_eq!(
        client
            .call(12, &MetadataRequest::default())
            .await
            .throttle_time_ms,
        2_000
    );
    assert!(broker.inject(Fault::new(FaultKind::LostAnswer).on("CreateTopics")));
    let made = create_topics_request::CreatableTopic::default()
        .with_name(crate::client::topic("lost"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![made]);
    assert!(client.try_call(7, &request).await.is_none());
    assert!(broker.topics().get("lost").is_some());
    broker.shutdown().await;
}
