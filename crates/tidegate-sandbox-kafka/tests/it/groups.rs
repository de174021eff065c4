//! Groups over the wire: both barriers, newcomers, leavers, static members, timeouts, offsets.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use tidegate_sandbox_kafka::{Clock, KafkaOptions, ManualClock, SandboxKafka};
use tokio::task::JoinHandle;

use crate::client::{Client, broker, now, text, topic};

fn group() -> GroupId {
    GroupId(text("g"))
}

/// A member as its own connection sees it.
struct Member {
    client: Client,
    id: String,
    instance: Option<&'static str>,
    generation: i32,
}

impl Member {
    async fn new(to: &str, instance: Option<&'static str>) -> Self {
        Self {
            client: Client::connect(to).await,
            id: String::new(),
            instance,
            generation: -1,
        }
    }

    async fn join_once(&mut self, metadata: &'static [u8]) -> JoinGroupResponse {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(metadata));
        let request = JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(20_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let answer = self.client.call(9, &request).await;
        if answer.error_code == 0 {
            self.id = answer.member_id.to_string();
            self.generation = answer.generation_id;
        }
        answer
    }

    /// Joins as clients do: once for an id, once with it.
    async fn join(&mut self, metadata: &'static [u8]) -> JoinGroupResponse {
        let first = self.join_once(metadata).await;
        if first.error_code != 79 {
            return first;
        }
        self.id = first.member_id.to_string();
        self.join_once(metadata).await
    }

    fn joining(mut self, metadata: &'static [u8]) -> JoinHandle<(Self, JoinGroupResponse)> {
        tokio::spawn(async move {
            let answer = self.join(metadata).await;
            (self, answer)
        })
    }

    async fn sync(&mut self, shares: &[(&str, &'static [u8])]) -> SyncGroupResponse {
        let shares = shares.iter().map(|(id, share)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(id))
                .with_assignment(Bytes::from_static(share))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(group())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(text))
            .with_assignments(shares.collect());
        self.client.call(5, &request).await
    }

    async fn beat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(text));
        self.client.call(4, &request).await.error_code
    }

    async fn leave(&mut self) -> i16 {
        let who = MemberIdentity::default().with_member_id(text(&self.id));
        let request = LeaveGroupRequest::default()
            .with_group_id(group())
            .with_members(vec![who]);
        self.client.call(5, &request).await.members[0].error_code
    }

    async fn commit(&mut self, generation: i32, offset: i64) -> i16 {
        let asked = OffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1);
        let named = OffsetCommitRequestTopic::default()
            .with_name(topic("t"))
            .with_partitions(vec![asked]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.map(text))
            .with_topics(vec![named]);
        self.client.call(9, &request).await.topics[0].partitions[0].error_code
    }

    /// Heartbeats until one says that a rebalance is on.
    async fn told_to_rejoin(&mut self) {
        for _ in 0..200 {
            if self.beat().await == 27 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        unreachable!("nobody was told of the rebalance");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_share_and_go() {
    let broker = broker().await;
    let to = broker.bootstrap();
    let mut one = Member::new(&to, None).await;
    let joined = one.join(b"one").await;
    assert_eq!(
        (
            joined.error_code,
            joined.generation_id,
            joined.members.len()
        ),
        (0, 1, 1)
    );
    assert_eq!(joined.leader.as_str(), one.id);
    let id = one.id.clone();
    assert_eq!(
        one.sync(&[(&id, b"all")]).await.assignment,
        Bytes::from_static(b"all")
    );
    assert_eq!(one.beat().await, 0);

    let two = Member::new(&to, None).await.joining(b"two");
    one.told_to_rejoin().await;
    let joined = one.join(b"one").await;
    let (mut two, answer) = two.await.unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    assert_eq!((answer.generation_id, answer.members.len()), (2, 0));
    assert_eq!(answer.leader.as_str(), one.id);
    let (first, second) = (one.id.clone(), two.id.clone());
    let waiting = tokio::spawn(async move {
        let synced = two.sync(&[]).await;
        (two, synced)
    });
    assert_eq!(
        one.sync(&[(&first, b"left"), (&second, b"right")])
            .await
            .assignment,
        Bytes::from_static(b"left")
    );
    let (mut two, synced) = waiting.await.unwrap();
    assert_eq!(synced.assignment, Bytes::from_static(b"right"));

    assert_eq!(two.leave().await, 0);
    assert_eq!(two.leave().await, 25);
    assert_eq!(one.beat().await, 27);
    assert_eq!(one.join(b"one").await.generation_id, 3);
    one.generation = 2;
    assert_eq!(one.beat().await, 22);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_comes_back_without_a_rebalance() {
    let broker = broker().await;
    let to = broker.bootstrap();
    let mut one = Member::new(&to, Some("i1")).await;
    assert_eq!(one.join(b"same").await.error_code, 0);
    let id = one.id.clone();
    one.sync(&[(&id, b"all")]).await;
    let mut again = Member::new(&to, Some("i1")).await;
    let joined = again.join(b"same").await;
    assert_eq!(
        (
            joined.error_code,
            joined.generation_id,
            joined.skip_assignment
        ),
        (0, 1, true)
    );
    assert_ne!(again.id, one.id);
    assert_eq!(again.sync(&[]).await.assignment, Bytes::from_static(b"all"));
    assert_eq!(one.beat().await, 82);
    assert_eq!(again.beat().await, 0);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_member_is_gone_after_its_session() {
    let clock = ManualClock::new(now());
    let broker = SandboxKafka::start(KafkaOptions {
        clock: Clock::Manual(clock.clone()),
        ..KafkaOptions::default()
    })
    .await
    .unwrap();
    let to = broker.bootstrap();
    let mut one = Member::new(&to, None).await;
    one.join(b"one").await;
    let id = one.id.clone();
    one.sync(&[(&id, b"all")]).await;
    let two = Member::new(&to, None).await.joining(b"two");
    one.told_to_rejoin().await;
    // Nobody answers for the first: the barrier ends by the clock, and the second goes on alone.
    clock.advance(Duration::from_secs(21));
    let (two, joined) = two.await.unwrap();
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    assert_eq!(joined.leader.as_str(), two.id);
    assert_eq!(one.beat().await, 25);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_are_checked() {
    let broker = broker().await;
    let mut client = Client::connect(&broker.bootstrap()).await;
    let good = JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(1_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(text("range")),
        ]);
    let cases = [
        (good.clone().with_group_id(GroupId::default()), 24),
        (good.clone().with_session_timeout_ms(5), 26),
        (good.clone().with_protocols(Vec::new()), 23),
        (good.clone().with_member_id(text("nobody")), 25),
        (good.clone(), 79),
    ];
    for (request, code) in cases {
        assert_eq!(client.call(5, &request).await.error_code, code);
    }
    // Before version 4 a newcomer is a member at once.
    assert_eq!(
        client
            .call(3, &good.with_group_id(GroupId(text("h"))))
            .await
            .error_code,
        0
    );
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_belong_to_the_generation() {
    let broker = broker().await;
    let to = broker.bootstrap();
    Client::connect(&to).await.create("t", 1, &[]).await;
    let mut one = Member::new(&to, None).await;
    assert_eq!(one.commit(3, 5).await, 69);
    assert_eq!(one.commit(-1, 5).await, 0);
    one.join(b"\x00\x00\x00\x00\x00\x01\x00\x01t").await;
    assert_eq!(one.commit(1, 6).await, 27);
    let id = one.id.clone();
    one.sync(&[(&id, b"all")]).await;
    assert_eq!(one.commit(1, 6).await, 0);
    assert_eq!(one.commit(0, 7).await, 22);
    let mut stranger = Member::new(&to, None).await;
    assert_eq!(stranger.commit(-1, 9).await, 25);
    for version in 1..=7 {
        let named = OffsetFetchRequestTopic::default()
            .with_name(topic("t"))
            .with_partition_indexes(vec![0, 1]);
        let request = OffsetFetchRequest::default()
            .with_group_id(group())
            .with_topics(Some(vec![named]));
        let answer = stranger.client.call(version, &request).await;
        let offsets: Vec<i64> = answer.topics[0]
            .partitions
            .iter()
            .map(|one| one.committed_offset)
            .collect();
        assert_eq!(offsets, [6, -1], "version {version}");
    }
    for version in 8..=9 {
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group())
            .with_topics(None);
        let answer = stranger
            .client
            .call(
                version,
                &OffsetFetchRequest::default().with_groups(vec![asked]),
            )
            .await;
        assert_eq!(answer.groups[0].topics[0].partitions[0].committed_offset, 6);
    }
    let mut delete = async |name: &str| {
        let named = OffsetDeleteRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
        let request = OffsetDeleteRequest::default()
            .with_group_id(group())
            .with_topics(vec![named]);
        stranger.client.call(0, &request).await.topics[0].partitions[0].error_code
    };
    assert_eq!(delete("t").await, 86);
    assert_eq!(delete("other").await, 3);
    let answer = stranger
        .client
        .call(
            2,
            &DeleteGroupsRequest::default().with_groups_names(vec![group(), GroupId(text("none"))]),
        )
        .await;
    let codes: Vec<i16> = answer.results.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [68, 69]);
    for version in 0..=6 {
        let answer = stranger
            .client
            .call(
                version,
                &DescribeGroupsRequest::default().with_groups(vec![group()]),
            )
            .await;
        let described = &answer.groups[0];
        assert_eq!(
            (described.group_state.as_str(), described.members.len()),
            ("Stable", 1),
            "version {version}"
        );
        assert_eq!(
            described.members[0].member_assignment,
            Bytes::from_static(b"all")
        );
    }
    assert_eq!(one.leave().await, 0);
    let answer = stranger
        .client
        .call(
            5,
            &ListGroupsRequest::default().with_states_filter(vec![text("empty")]),
        )
        .await;
    assert_eq!(answer.groups.len(), 1);
    let answer = stranger
        .client
        .call(
            2,
            &DeleteGroupsRequest::default().with_groups_names(vec![group()]),
        )
        .await;
    assert_eq!(answer.results[0].error_code, 0);
    broker.shutdown().await;
}
