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
    let asked: Vec<Doomed> = named.chain(states).collect();
    let mut responses = Vec::new();
    // Nothing goes before everything was looked at.
    let mut going = Vec::new();
    for (at, one) in asked.iter().enumerate() {
        if asked[..at].contains(one) {
            continue;
        }
        match (call.fault, doomed(&state, &asked, one)) {
            (Some(fault), _) => {
                let refusal = Refusal::new(fault, fault.to_string());
                responses.push(spared(call, one.clone(), refusal));
            }
            (None, Fate::Goes(name)) => going.push(name),
            (None, Fate::Stays(told, refusal)) => responses.push(spared(call, told, refusal)),
            (None, Fate::Told) => {}
        }
    }
    for name in going {
        let result = DeletableTopicResult::default();
        responses.push(match delete_one(&mut state, &name) {
            Ok(id) => result
                .with_name(Some(TopicName(text(name))))
                .with_topic_id(id),
            Err(refusal) => spared(call, (Some(name), Uuid::nil()), refusal),
        });
    }
    drop(state);
    hub.changed();
    DeleteTopicsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_responses(responses)
}

/// A topic as a deletion names it: by name or by id.
type Doomed = (Option<String>, Uuid);

fn spared(call: &Call, one: Doomed, refusal: Refusal) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(one.0.map(|name| TopicName(text(name))))
        .with_topic_id(one.1)
        .with_error_code(refusal.code.code())
        .with_error_message((call.version >= 5).then(|| text(refusal.message)))
}

/// What becomes of one topic that a deletion names.
enum Fate {
    /// It goes, by this name.
    Goes(String),
    /// It stays, and this is said of it.
    Stays(Doomed, Refusal),
    /// Its other mention is answered.
    Told,
}

fn doomed(state: &State, asked: &[Doomed], one: &Doomed) -> Fate {
    let stays = |code: Code, why: &str| Fate::Stays(one.clone(), Refusal::new(code, why));
    let times = |wanted: &Doomed| asked.iter().filter(|other| *other == wanted).count();
    match one {
        (Some(_), id) if !id.is_nil() => stays(
            Code::InvalidRequest,
            "You may not specify both topic name and topic id.",
        ),
        (None, id) if id.is_nil() => stays(
            Code::InvalidRequest,
            "Neither topic name nor id were specified.",
        ),
        (Some(_), _) if times(one) > 1 => stays(Code::InvalidRequest, "Duplicate topic name."),
        (None, _) if times(one) > 1 => stays(Code::InvalidRequest, "Duplicate topic id."),
        (Some(name), _) => match state.topics.get(name) {
            Some(topic) if times(&(None, topic.id)) > 0 => Fate::Stays(
                (Some(name.clone()), topic.id),
                Refusal::new(
                    Code::InvalidRequest,
                    "The provided topic name maps to an ID that was already supplied.",
                ),
            ),
            Some(_) => Fate::Goes(name.clone()),
            None => Fate::Stays(one.clone(), missing()),
        },
        (None, id) => match state.name_of(*id) {
            Some(name) if times(&(Some(name.to_owned()), Uuid::nil())) == 1 => Fate::Told,
            Some(name) => Fate::Goes(name.to_owned()),
            None => stays(
                Code::UnknownTopicId,
                "This server does not host this topic ID.",
            ),
        },
    }
}

fn missing() -> Refusal {
    Refusal::new(
        Code::UnknownTopicOrPartition,
        "This server does not host this topic-partition.",
    )
}

/// Deletes a topic with what groups committed of it.
///
/// # Errors
/// UNKNOWN_TOPIC_OR_PARTITION.
pub(crate) fn delete_one(state: &mut State, name: &str) -> Result<Uuid, Refusal> {
    let topic = state.topics.shift_remove(name).ok_or_else(missing)?;
    state.log_bytes -= topic.partitions.iter().map(|log| log.bytes).sum::<usize>();
    for group in state.groups.values_mut() {
        group.offsets.retain(|(of, _), _| of != name);
    }
    Ok(topic.id)
}

pub(crate) fn grow(
    hub: &Arc<Hub>,
    call: &Call,
    request: &CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut state = hub.state.lock();
    let (once, twice) = topics::by_repetition(&request.topics, |asked| &asked.name);
    // Names that stand twice are answered once, before the others.
    let results = twice.iter().copied().chain(once).map(|asked| {
        let repeated = twice.iter().any(|other| other.name == asked.name);
        let grown = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None if repeated => Err(Refusal::new(Code::InvalidRequest, "Duplicate topic name.")),
            None => grow_one(hub, &mut state, asked, request.validate_only),
        };
        let result = CreatePartitionsTopicResult::default().with_name(asked.name.clone());
        match grown {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(refusal.said()),
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
        return Err(Refusal::silent(Code::UnknownTopicOrPartition));
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
        for one in assignments {
            topics::check_replicas(hub, &one.broker_ids, Some(1))?;
        }
    }
    if more > topics::AT_ONCE {
        // Kafka's controller falls over its own bound here.
        return Err(Refusal::silent(Code::UnknownServerError));
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
    state.log(name, index)?;
    if let Some(topic) = state.topics.get(name)
        && !crate::configs::rules(&topic.configs, &state.defaults).delete
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
