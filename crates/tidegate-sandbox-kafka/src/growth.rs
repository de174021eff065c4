//! Topics after their creation: DeleteTopics, CreatePartitions, DeleteRecords, and what is said of their partitions.
//!
//! Must not know: how topics are created.

use std::sync::Arc;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

use crate::broker::{Hub, Refusal, State};
use crate::log::Log;
use crate::topics;
use crate::wire::{Call, Code, text};

pub(crate) fn delete(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let mut state = hub.state.lock();
    let named = request
        .topic_names
        .iter()
        .map(|name| (Some(name.to_string()), Uuid::nil()));
    let states = request
        .topics
        .iter()
        .map(|one| (one.name.as_ref().map(|name| name.to_string()), one.topic_id));
    let responses = named.chain(states).map(|(name, id)| {
        let deleted = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None => delete_one(&mut state, name.as_deref(), id),
        };
        let result = DeletableTopicResult::default();
        match deleted {
            Ok((name, id)) => result
                .with_name(Some(TopicName(text(name))))
                .with_topic_id(id),
            Err(refusal) => result
                .with_name(name.map(|name| TopicName(text(name))))
                .with_topic_id(id)
                .with_error_code(refusal.code.code())
                .with_error_message((call.version >= 5).then(|| text(refusal.message))),
        }
    });
    let responses = responses.collect();
    drop(state);
    hub.changed();
    DeleteTopicsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_responses(responses)
}

pub(crate) fn delete_one(
    state: &mut State,
    name: Option<&str>,
    id: Uuid,
) -> Result<(String, Uuid), Refusal> {
    let name = match name {
        Some(_) if !id.is_nil() => {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "You may not specify both topic name and topic id.",
            ));
        }
        None if id.is_nil() => {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "Neither topic name nor id were specified.",
            ));
        }
        Some(name) => name.to_owned(),
        None => state
            .name_of(id)
            .ok_or_else(|| {
                Refusal::new(
                    Code::UnknownTopicId,
                    "This server does not host this topic ID.",
                )
            })?
            .to_owned(),
    };
    let topic = state.topics.shift_remove(&name).ok_or_else(|| {
        Refusal::new(
            Code::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        )
    })?;
    state.log_bytes -= topic.partitions.iter().map(|log| log.bytes).sum::<usize>();
    for group in state.groups.values_mut() {
        group.offsets.retain(|(of, _), _| *of != name);
    }
    Ok((name, topic.id))
}

pub(crate) fn grow(
    hub: &Arc<Hub>,
    call: &Call,
    request: &CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut state = hub.state.lock();
    let results = request.topics.iter().map(|asked| {
        let twice = request
            .topics
            .iter()
            .filter(|other| other.name == asked.name)
            .count()
            > 1;
        let grown = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None if twice => Err(Refusal::new(Code::InvalidRequest, "Duplicate topic name.")),
            None => grow_one(hub, &mut state, asked, request.validate_only),
        };
        let result = CreatePartitionsTopicResult::default().with_name(asked.name.clone());
        match grown {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message))),
        }
    });
    let results = results.collect();
    drop(state);
    hub.changed();
    CreatePartitionsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_results(results)
}

pub(crate) fn grow_one(
    hub: &Hub,
    state: &mut State,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let name = asked.name.as_str();
    let invalid = |message: String| Err(Refusal::new(Code::InvalidPartitions, message));
    let Some(topic) = state.topics.get(name) else {
        return Err(Refusal::new(
            Code::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        ));
    };
    let present = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if asked.count == present {
        return invalid(format!("Topic already has {present} partition(s)."));
    }
    if asked.count < present {
        return invalid(format!(
            "The topic {name} currently has {present} partition(s); {} would not be an increase.",
            asked.count
        ));
    }
    let more = asked.count - present;
    if let Some(assignments) = &asked.assignments {
        let given = i32::try_from(assignments.len()).unwrap_or(i32::MAX);
        if given != more {
            return Err(Refusal::new(
                Code::InvalidReplicaAssignment,
                format!(
                    "Attempted to add {more} additional partition(s), but only {given} assignment(s) were specified."
                ),
            ));
        }
        if assignments.iter().any(|one| one.broker_ids.is_empty()) {
            return Err(Refusal::new(
                Code::InvalidReplicaAssignment,
                "The manual partition assignment includes an empty replica list.",
            ));
        }
        let foreign = assignments
            .iter()
            .flat_map(|one| &one.broker_ids)
            .find(|id| id.0 != hub.options.node_id);
        if let Some(foreign) = foreign {
            return Err(Refusal::new(
                Code::InvalidReplicaAssignment,
                format!(
                    "The manual partition assignment includes broker {}, but no such broker is registered.",
                    foreign.0
                ),
            ));
        }
    }
    topics::check_room(hub, state, name, more)?;
    if validate_only {
        return Ok(());
    }
    if let Some(topic) = state.topics.get_mut(name) {
        topic
            .partitions
            .resize(usize::try_from(asked.count).unwrap_or(0), Log::default());
    }
    Ok(())
}

pub(crate) fn delete_records(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut state = hub.state.lock();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let deleted = match call.fault {
                Some(fault) => Err(fault),
                None => cut(&mut state, &topic.name, index, asked.offset),
            };
            DeleteRecordsPartitionResult::default()
                .with_partition_index(index)
                .with_low_watermark(deleted.unwrap_or(-1))
                .with_error_code(deleted.map_or_else(|code| code.code(), |_| 0))
        });
        topics.push(
            DeleteRecordsTopicResult::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect()),
        );
    }
    DeleteRecordsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(topics)
}

fn cut(state: &mut State, name: &str, index: i32, offset: i64) -> Result<i64, Code> {
    if topics::internal(name) {
        return Err(Code::InvalidTopicException);
    }
    let broker = state.defaults.clone();
    if let Some(topic) = state.topics.get(name)
        && !crate::configs::rules(&topic.configs, &broker).delete
    {
        return Err(Code::PolicyViolation);
    }
    let log = state.log_mut(name, index)?;
    // -1 stands for the end.
    let offset = if offset == -1 { log.end } else { offset };
    if !(0..=log.end).contains(&offset) {
        return Err(Code::OffsetOutOfRange);
    }
    let before = log.bytes;
    log.drop_before(offset);
    let (start, freed) = (log.start, before - log.bytes);
    state.log_bytes -= freed;
    Ok(start)
}
