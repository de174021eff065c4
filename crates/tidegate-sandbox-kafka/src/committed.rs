//! Offsets that groups commit: OffsetCommit, OffsetFetch, OffsetDelete.
//!
//! Must not know: how a rebalance goes, what lies at an offset.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use crate::broker::{Hub, State};
use crate::groups::{Committed, Group, Phase};
use crate::wire::{Call, Code, text};

/// Bytes of a commit's metadata (`offset.metadata.max.bytes`).
const METADATA: usize = 4096;

pub(crate) fn commit(
    hub: &Arc<Hub>,
    call: &Call,
    request: &OffsetCommitRequest,
) -> OffsetCommitResponse {
    let mut state = hub.state.lock();
    let allowed = call
        .fault
        .map_or_else(|| may_commit(hub, &mut state, call, request), Err);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let done = allowed
                .and_then(|()| commit_one(&mut state, &request.group_id, &topic.name, asked));
            OffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(done.map_or_else(|code| code.code(), |()| 0))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(topics.collect())
}

fn may_commit(
    hub: &Hub,
    state: &mut State,
    call: &Call,
    request: &OffsetCommitRequest,
) -> Result<(), Code> {
    let generation = request.generation_id_or_member_epoch;
    let name = request.group_id.as_str();
    let groups = state.groups.len();
    let Some(group) = state.groups.get_mut(name) else {
        if generation >= 0 {
            // A group that is not there has no generations.
            return Err(if call.version >= 9 {
                Code::GroupIdNotFound
            } else {
                Code::IllegalGeneration
            });
        }
        if groups >= hub.options.limits.groups {
            return Err(Code::GroupMaxSizeReached);
        }
        state.groups.insert(name.to_owned(), Group::default());
        return Ok(());
    };
    let id = request.member_id.as_str();
    let instance = request.group_instance_id.as_deref();
    if generation < 0 && group.phase == Phase::Empty {
        return Ok(());
    }
    if generation >= 0 || !id.is_empty() || instance.is_some() {
        group.check_member(id, instance)?;
        if generation != group.generation {
            return Err(Code::IllegalGeneration);
        }
    } else if group.phase != Phase::Empty {
        return Err(Code::UnknownMemberId);
    }
    if group.phase == Phase::Completing {
        return Err(Code::RebalanceInProgress);
    }
    if let Some(member) = group.members.get_mut(id) {
        member.touch(hub.clock.now());
    }
    Ok(())
}

fn commit_one(
    state: &mut State,
    group: &str,
    topic: &str,
    asked: &OffsetCommitRequestPartition,
) -> Result<(), Code> {
    state.log(topic, asked.partition_index)?;
    let metadata = asked
        .committed_metadata
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if metadata.len() > METADATA {
        return Err(Code::OffsetMetadataTooLarge);
    }
    let group = state.groups.get_mut(group).ok_or(Code::UnknownMemberId)?;
    group.offsets.insert(
        (topic.to_owned(), asked.partition_index),
        Committed {
            offset: asked.committed_offset,
            epoch: asked.committed_leader_epoch,
            metadata,
        },
    );
    Ok(())
}

/// What one group is asked for: topics with partitions, or all.
type Asked = Option<Vec<(String, Vec<i32>)>>;
type Found = Vec<(String, Vec<(i32, Committed)>)>;

pub(crate) fn fetch(
    hub: &Arc<Hub>,
    call: &Call,
    request: &OffsetFetchRequest,
) -> OffsetFetchResponse {
    let state = hub.state.lock();
    let answer = OffsetFetchResponse::default().with_throttle_time_ms(call.throttle);
    let code = call.fault.map_or(0, |fault| fault.code());
    if call.version >= 8 {
        let groups = request.groups.iter().map(|asked| {
            let wanted: Asked = asked.topics.as_ref().map(|topics| {
                let named = topics
                    .iter()
                    .map(|topic| (topic.name.to_string(), topic.partition_indexes.clone()));
                named.collect()
            });
            let topics =
                found(&state, &asked.group_id, wanted)
                    .into_iter()
                    .map(|(name, offsets)| {
                        let partitions = offsets.into_iter().map(|(index, known)| {
                            OffsetFetchResponsePartitions::default()
                                .with_partition_index(index)
                                .with_committed_offset(known.offset)
                                .with_committed_leader_epoch(known.epoch)
                                .with_metadata(Some(text(known.metadata)))
                        });
                        OffsetFetchResponseTopics::default()
                            .with_name(TopicName(text(name)))
                            .with_partitions(partitions.collect())
                    });
            OffsetFetchResponseGroup::default()
                .with_group_id(asked.group_id.clone())
                .with_error_code(code)
                .with_topics(if code == 0 {
                    topics.collect()
                } else {
                    Vec::new()
                })
        });
        return answer.with_groups(groups.collect());
    }
    let wanted: Asked = request.topics.as_ref().map(|topics| {
        let named = topics
            .iter()
            .map(|topic| (topic.name.to_string(), topic.partition_indexes.clone()));
        named.collect()
    });
    let topics = found(&state, &request.group_id, wanted)
        .into_iter()
        .map(|(name, offsets)| {
            let partitions = offsets.into_iter().map(|(index, known)| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(known.offset)
                    .with_committed_leader_epoch(known.epoch)
                    .with_metadata(Some(text(known.metadata)))
                    // Version 1 has no place for the group's own error.
                    .with_error_code(code)
            });
            OffsetFetchResponseTopic::default()
                .with_name(TopicName(text(name)))
                .with_partitions(partitions.collect())
        });
    answer
        .with_topics(topics.collect())
        .with_error_code(if call.version >= 2 { code } else { 0 })
}

fn found(state: &State, group: &str, wanted: Asked) -> Found {
    let offsets = state.groups.get(group).map(|group| &group.offsets);
    let none = || Committed {
        offset: -1,
        epoch: -1,
        metadata: String::new(),
    };
    if let Some(wanted) = wanted {
        let look = |topic: &str, index: i32| {
            let known = offsets.and_then(|offsets| offsets.get(&(topic.to_owned(), index)));
            (index, known.cloned().unwrap_or_else(none))
        };
        let named = wanted.into_iter().map(|(topic, indexes)| {
            let partitions = indexes
                .into_iter()
                .map(|index| look(&topic, index))
                .collect();
            (topic, partitions)
        });
        return named.collect();
    }
    let mut all: BTreeMap<String, Vec<(i32, Committed)>> = BTreeMap::new();
    for ((topic, index), known) in offsets.into_iter().flatten() {
        all.entry(topic.clone())
            .or_default()
            .push((*index, known.clone()));
    }
    all.into_iter().collect()
}

pub(crate) fn delete(
    hub: &Arc<Hub>,
    call: &Call,
    request: &OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let mut state = hub.state.lock();
    let answer = OffsetDeleteResponse::default().with_throttle_time_ms(call.throttle);
    if let Some(fault) = call.fault {
        return answer.with_error_code(fault.code());
    }
    if request.group_id.is_empty() {
        return answer.with_error_code(Code::InvalidGroupId.code());
    }
    let Some(group) = state.groups.get(request.group_id.as_str()) else {
        return answer.with_error_code(Code::GroupIdNotFound.code());
    };
    let consumers = group.protocol_type.as_deref() == Some("consumer");
    if group.phase != Phase::Empty && !consumers {
        return answer.with_error_code(Code::NonEmptyGroup.code());
    }
    let subscribed: Vec<String> = group.members.values().flat_map(subscription).collect();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let busy = subscribed.iter().any(|name| *name == topic.name.as_str());
        let partitions = topic.partitions.iter().map(|asked| {
            let code = if state.log(&topic.name, asked.partition_index).is_err() {
                Code::UnknownTopicOrPartition.code()
            } else if busy {
                Code::GroupSubscribedToTopic.code()
            } else {
                if let Some(group) = state.groups.get_mut(request.group_id.as_str()) {
                    group
                        .offsets
                        .remove(&(topic.name.to_string(), asked.partition_index));
                }
                0
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code)
        });
        topics.push(
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect()),
        );
    }
    answer.with_topics(topics)
}

/// The topics of a consumer's subscription: the one thing a broker reads in a member's metadata.
fn subscription(member: &crate::groups::Member) -> Vec<String> {
    let metadata = member
        .protocols
        .first()
        .map(|(_, metadata)| metadata.clone());
    metadata.and_then(subscribed).unwrap_or_default()
}

fn subscribed(mut at: Bytes) -> Option<Vec<String>> {
    let _version = at.try_get_i16().ok()?;
    let count = at.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(at.try_get_i16().ok()?).ok()?;
        if length > at.len() {
            return None;
        }
        topics.push(String::from_utf8(at.split_to(length).to_vec()).ok()?);
    }
    Some(topics)
}
