//! Questions about groups and the offsets they commit.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::Script;
use crate::client::{text, topic};

pub(super) async fn questions(script: &mut Script) {
    coordinators(script).await;
    classic(script).await;
    member(script).await;
}

async fn classic(script: &mut Script) {
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

/// Where groups live: what names the broker itself is taken out.
async fn coordinators(script: &mut Script) {
    let g = script.name("g");
    for version in [3, 4, 6] {
        for (kind, key) in [(0, g.as_str()), (0, ""), (7, &g)] {
            let request = FindCoordinatorRequest::default()
                .with_key_type(kind)
                .with_key(text(if version < 4 { key } else { "" }))
                .with_coordinator_keys(if version < 4 {
                    Vec::new()
                } else {
                    vec![text(key)]
                });
            let one = |host: &mut StrBytes, port: &mut i32| {
                if *port > 0 {
                    (*host, *port) = (text("HOST"), 1);
                }
            };
            if kind == 7 {
                script.refused(version, &request).await;
                continue;
            }
            script
                .ask_but(version, &request, |answer| {
                    one(&mut answer.host, &mut answer.port);
                    for found in &mut answer.coordinators {
                        one(&mut found.host, &mut found.port);
                    }
                })
                .await;
        }
    }
}

/// One member's whole life, and what an administrator sees of its group.
async fn member(script: &mut Script) {
    let (t, h) = (script.name("t"), script.name("h"));
    let group = || GroupId(text(&h));
    // A consumer's subscription: version 0, one topic, no data of its own.
    let mut subscription = vec![0, 0, 0, 0, 0, 1, 0, u8::try_from(t.len()).unwrap()];
    subscription.extend_from_slice(t.as_bytes());
    subscription.extend_from_slice(&[0xff; 4]);
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(subscription.into());
    let join = JoinGroupRequest::default()
        .with_group_id(group())
        .with_protocol_type(text("consumer"))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocols(vec![protocol.clone()]);
    let mut id = text("");
    script
        .ask_but(9, &join, |answer| {
            id = std::mem::replace(&mut answer.member_id, text("DRAWN"));
        })
        .await;
    script.ids.push(id.to_string());
    let join = join.with_member_id(id.clone());
    let joined = script.ask(9, &join).await;
    let generation = joined.generation_id;
    let admin = DescribeGroupsRequest::default()
        .with_groups(vec![group()])
        .with_include_authorized_operations(true);
    // A group that is new is told of once its coordinator has written it down.
    script
        .learnt(5, &admin, in_state("CompletingRebalance"))
        .await;
    script.ask_but(5, &admin, elsewhere).await;
    let sync = |generation: i32, member: &str, protocol: &str| {
        SyncGroupRequest::default()
            .with_group_id(group())
            .with_generation_id(generation)
            .with_member_id(text(member))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text(protocol)))
            .with_assignments(vec![
                SyncGroupRequestAssignment::default()
                    .with_member_id(text(member))
                    .with_assignment(bytes::Bytes::from_static(b"share")),
            ])
    };
    let beat = |generation: i32, member: &str| {
        HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(generation)
            .with_member_id(text(member))
    };
    script.ask(4, &beat(generation, &id)).await;
    script.ask(5, &sync(generation, "who", "range")).await;
    script.ask(5, &sync(generation + 1, &id, "range")).await;
    script.ask(5, &sync(generation, &id, "sticky")).await;
    script.ask(5, &sync(generation, &id, "range")).await;
    script.ask(5, &sync(generation, &id, "range")).await;
    script.ask(4, &beat(generation, &id)).await;
    script.ask(4, &beat(generation + 1, &id)).await;
    script.ask(4, &beat(generation, "who")).await;
    script
        .ask(
            4,
            &beat(generation, &id).with_group_instance_id(Some(text("i"))),
        )
        .await;
    offsets(script, generation, &id).await;
    script.learnt(5, &admin, in_state("Stable")).await;
    for version in [5, 6] {
        script.ask_but(version, &admin, elsewhere).await;
    }
    let other = JoinGroupRequestProtocol::default()
        .with_name(text("sticky"))
        .with_metadata(bytes::Bytes::from_static(b"x"));
    let stranger = join.clone().with_member_id(text(""));
    for request in [
        stranger.clone().with_protocols(vec![other]),
        stranger.clone().with_protocol_type(text("connect")),
        stranger.with_protocols(Vec::new()),
    ] {
        script.ask(9, &request).await;
    }
    listings(script).await;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    script.ask(2, &delete).await;
    forgetting(script, &t).await;
    let leave = |member: &str, instance: Option<&str>| {
        LeaveGroupRequest::default()
            .with_group_id(group())
            .with_members(vec![
                MemberIdentity::default()
                    .with_member_id(text(member))
                    .with_group_instance_id(instance.map(text)),
            ])
    };
    script.ask(5, &leave("who", None)).await;
    script.ask(5, &leave("", Some("i"))).await;
    script.ask(5, &leave(&id, None)).await;
    script.ask(5, &leave(&id, None)).await;
    let old = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_member_id(id.clone());
    script.ask(2, &old).await;
    script.ask(4, &beat(generation, &id)).await;
    script.learnt(5, &admin, in_state("Empty")).await;
    script.ask_but(6, &admin, elsewhere).await;
    listings(script).await;
    forgetting(script, &t).await;
    script.ask(2, &delete).await;
    script.ask(2, &delete).await;
}

fn in_state(state: &str) -> impl Fn(&DescribeGroupsResponse) -> bool {
    move |answer| answer.groups[0].group_state.as_str() == state
}

/// Where a member's connection comes from is said by its broker.
fn elsewhere(answer: &mut DescribeGroupsResponse) {
    for member in answer
        .groups
        .iter_mut()
        .flat_map(|group| &mut group.members)
    {
        member.client_host = text("HOST");
    }
}

/// Offsets of a group that has a member.
async fn offsets(script: &mut Script, generation: i32, id: &str) {
    let (t, n, h) = (script.name("t"), script.name("n"), script.name("h"));
    let commit = |generation: i32, member: &str, metadata: Option<&str>| {
        let asked = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(3)
            .with_committed_leader_epoch(0)
            .with_committed_metadata(metadata.map(text));
        let named = OffsetCommitRequestTopic::default()
            .with_name(topic(&t))
            .with_partitions(vec![asked]);
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&h)))
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(text(member))
            .with_topics(vec![named])
    };
    let long = "x".repeat(4_097);
    for (version, request) in [
        (8, commit(generation, id, Some(&long))),
        (8, commit(generation, id, Some(&long[1..]))),
        (8, commit(generation, id, None)),
        (8, commit(generation, id, Some("note"))),
        (8, commit(generation + 1, id, None)),
        (8, commit(generation, "who", None)),
        (9, commit(generation, "who", None)),
        (9, commit(generation + 1, id, None)),
        (8, commit(-1, "", None)),
        (8, commit(-1, id, None)),
        (8, commit(-1, "", None).with_group_id(GroupId(text("")))),
        (
            8,
            commit(generation, id, None).with_group_id(GroupId(text(""))),
        ),
        (
            8,
            commit(generation, id, None).with_group_instance_id(Some(text("i"))),
        ),
    ] {
        script.ask(version, &request).await;
    }
    for (name, indexes) in [(&t, vec![0, 1, 9]), (&n, vec![0])] {
        let asked = OffsetFetchRequestTopic::default()
            .with_name(topic(name))
            .with_partition_indexes(indexes.clone());
        for version in [1, 2, 5, 7] {
            let request = OffsetFetchRequest::default()
                .with_group_id(GroupId(text(&h)))
                .with_topics(Some(vec![asked.clone()]));
            script.ask(version, &request).await;
        }
        let asked = OffsetFetchRequestTopics::default()
            .with_name(topic(name))
            .with_partition_indexes(indexes);
        for (version, group) in [(8, h.as_str()), (9, &h), (8, "nobody"), (8, "")] {
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(Some(vec![asked.clone()]));
            let request = OffsetFetchRequest::default().with_groups(vec![group]);
            script.ask(version, &request).await;
        }
    }
    let all = OffsetFetchRequest::default()
        .with_group_id(GroupId(text("nobody")))
        .with_topics(None);
    script.ask(7, &all).await;
}

/// Groups as they are listed: those of this script only, since other scripts may have theirs.
async fn listings(script: &mut Script) {
    let prefix = script.prefix.clone();
    let words = |words: &[&str]| words.iter().map(|word| text(word)).collect::<Vec<_>>();
    for (version, states, kinds) in [
        (3, &[][..], &[][..]),
        (4, &["Stable"], &[]),
        (4, &["empty"], &[]),
        (5, &[], &["classic"]),
        (5, &[], &["Consumer"]),
        (5, &["Dead"], &["classic"]),
    ] {
        let request = ListGroupsRequest::default()
            .with_states_filter(words(states))
            .with_types_filter(words(kinds));
        script
            .ask_but(version, &request, |answer| {
                answer
                    .groups
                    .retain(|group| group.group_id.starts_with(&prefix));
                answer
                    .groups
                    .sort_by(|one, other| one.group_id.cmp(&other.group_id));
            })
            .await;
    }
}

/// OffsetDelete of what a group has, subscribes to, and has never seen.
async fn forgetting(script: &mut Script, t: &str) {
    let h = script.name("h");
    for (group, name, index) in [
        (h.as_str(), t, 0),
        (&h, t, 77),
        (&h, "b d", 0),
        ("nobody", t, 0),
        ("", t, 0),
    ] {
        let asked = OffsetDeleteRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![
                OffsetDeleteRequestPartition::default().with_partition_index(index),
            ]);
        let request = OffsetDeleteRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(vec![asked]);
        script.ask(0, &request).await;
    }
}
