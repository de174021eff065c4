//! Topics come, grow and go: CreateTopics, CreatePartitions, DeleteTopics, with Kafka's checks and words.
//!
//! Must not know: logs' contents, groups.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use crate::broker::{Hub, Refusal, State, Topic};
use crate::configs::{self, Values};
use crate::log::Log;
use crate::wire::{Call, Code, text};

/// Longest name of a topic.
const NAME: usize = 249;
/// What a topic's operations are to whoever may do everything: read, write, create, delete, alter, describe, describe and alter configs.
pub(crate) const OPERATIONS: i32 = 0b1101_1111_1000;
/// The same for the cluster: create, cluster action, describe and alter configs, idempotent write, alter, describe.
pub(crate) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// Topics that the broker keeps for itself, and that clients do not create by naming them.
const INTERNAL: &[&str] = &[
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// Whether a topic is one of the broker's own.
pub(crate) fn internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Checks a topic's name.
///
/// # Errors
/// INVALID_TOPIC_EXCEPTION in Kafka's words.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(Code::InvalidTopicException, message));
    if name.is_empty() {
        return refuse("Topic name is invalid: the empty string is not allowed".to_owned());
    }
    if name == "." || name == ".." {
        return refuse(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > NAME {
        return refuse(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {NAME}"
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.chars().all(allowed) {
        return refuse(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// What a creation came to: partitions, or why not.
struct Wanted {
    partitions: i32,
    configs: Values,
}

/// Creates a topic that somebody named before it was there.
///
/// # Errors
/// When there is no room.
pub(crate) fn auto_create(hub: &Hub, state: &mut State, name: &str) -> Result<(), Refusal> {
    check_name(name)?;
    check_collision(state, name)?;
    let wanted = Wanted {
        partitions: hub.options.default_partitions,
        configs: Values::new(),
    };
    check_room(hub, state, name, wanted.partitions)?;
    insert(state, name, wanted);
    Ok(())
}

pub(crate) fn create(
    hub: &Arc<Hub>,
    call: &Call,
    request: &CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut state = hub.state.lock();
    let results = request.topics.iter().map(|asked| {
        let twice = request
            .topics
            .iter()
            .filter(|other| other.name == asked.name)
            .count()
            > 1;
        let made = if twice {
            Err(Refusal::new(Code::InvalidRequest, "Duplicate topic name."))
        } else if let Some(fault) = call.fault {
            Err(Refusal::new(fault, fault.to_string()))
        } else {
            create_one(hub, &mut state, asked, request.validate_only)
        };
        // Older answers have no place for what the topic became.
        let made = made.map(|mut made| {
            if call.version < 5 {
                made.configs = Some(Vec::new());
            }
            made
        });
        made.unwrap_or_else(|refusal| {
            CreatableTopicResult::default()
                .with_name(asked.name.clone())
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message)))
        })
    });
    let results = results.collect();
    drop(state);
    hub.changed();
    CreateTopicsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(results)
}

pub(crate) fn create_one(
    hub: &Hub,
    state: &mut State,
    asked: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let name = asked.name.as_str();
    check_name(name)?;
    if state.topics.contains_key(name) {
        return Err(Refusal::new(
            Code::TopicAlreadyExists,
            format!("Topic '{name}' already exists."),
        ));
    }
    check_collision(state, name)?;
    let partitions = check_layout(hub, asked)?;
    let mut wanted = Wanted {
        partitions,
        configs: Values::new(),
    };
    for config in &asked.configs {
        let Some(value) = &config.value else {
            return Err(Refusal::new(
                Code::InvalidConfig,
                format!(
                    "Null value not supported for topic configs: {}",
                    config.name.as_str()
                ),
            ));
        };
        configs::check_topic(&config.name, value)?;
        wanted
            .configs
            .insert(config.name.to_string(), value.to_string());
    }
    configs::check_together(&wanted.configs)?;
    check_room(hub, state, name, partitions)?;
    let configs = listed(&wanted.configs, &state.defaults);
    let mut result = CreatableTopicResult::default()
        .with_name(asked.name.clone())
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs));
    if !validate_only {
        result.topic_id = insert(state, name, wanted);
    }
    Ok(result)
}

fn check_layout(hub: &Hub, asked: &CreatableTopic) -> Result<i32, Refusal> {
    if asked.assignments.is_empty() {
        if asked.num_partitions < -1 || asked.num_partitions == 0 {
            return Err(Refusal::new(
                Code::InvalidPartitions,
                "Number of partitions must be larger than 0, or -1 to use the default value.",
            ));
        }
        if asked.replication_factor < -1 || asked.replication_factor == 0 {
            return Err(Refusal::new(
                Code::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if asked.replication_factor > 1 {
            return Err(Refusal::new(
                Code::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {} time(s): The target replication factor of {} cannot be reached because only 1 broker(s) are registered.",
                    asked.replication_factor, asked.replication_factor
                ),
            ));
        }
        return Ok(if asked.num_partitions == -1 {
            hub.options.default_partitions
        } else {
            asked.num_partitions
        });
    }
    check_assignments(hub, asked)
}

fn check_assignments(hub: &Hub, asked: &CreatableTopic) -> Result<i32, Refusal> {
    if asked.replication_factor != -1 {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    }
    if asked.num_partitions != -1 {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    }
    let mut indexes: Vec<i32> = asked
        .assignments
        .iter()
        .map(|one| one.partition_index)
        .collect();
    indexes.sort_unstable();
    if indexes
        .iter()
        .zip(0..)
        .any(|(&index, place)| index != place)
    {
        return Err(Refusal::new(
            Code::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ));
    }
    for one in &asked.assignments {
        if one.broker_ids.is_empty() {
            return Err(Refusal::new(
                Code::InvalidReplicaAssignment,
                "The manual partition assignment includes an empty replica list.",
            ));
        }
        if let Some(other) = one.broker_ids.iter().find(|id| id.0 != hub.options.node_id) {
            return Err(Refusal::new(
                Code::InvalidReplicaAssignment,
                format!(
                    "The manual partition assignment includes broker {}, but no such broker is registered.",
                    other.0
                ),
            ));
        }
    }
    i32::try_from(indexes.len())
        .map_err(|_| Refusal::new(Code::InvalidPartitions, "too many partitions"))
}

/// Names that differ in `.` and `_` only would be one metric: Kafka refuses the second.
fn check_collision(state: &State, name: &str) -> Result<(), Refusal> {
    let plain = |name: &str| name.replace('.', "_");
    let wanted = plain(name);
    match state
        .topics
        .keys()
        .find(|other| *other != name && plain(other) == wanted)
    {
        None => Ok(()),
        Some(other) => Err(Refusal::new(
            Code::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {other}"),
        )),
    }
}

/// Whether there is room for `more` partitions of a topic.
pub(crate) fn check_room(hub: &Hub, state: &State, name: &str, more: i32) -> Result<(), Refusal> {
    let limits = &hub.options.limits;
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    let known = state.topics.contains_key(name);
    if !known && state.topics.len() >= limits.topics {
        return Err(Refusal::new(
            Code::PolicyViolation,
            format!("the sandbox holds at most {} topics", limits.topics),
        ));
    }
    if state.partitions().saturating_add(more) > limits.partitions {
        return Err(Refusal::new(
            Code::PolicyViolation,
            format!("the sandbox holds at most {} partitions", limits.partitions),
        ));
    }
    Ok(())
}

fn insert(state: &mut State, name: &str, wanted: Wanted) -> Uuid {
    state.next_topic += 1;
    // Ids are counted, not drawn: the same requests give the same ids.
    let id = Uuid::from_u64_pair(0x7469_6465_6761_7465, state.next_topic);
    let count = usize::try_from(wanted.partitions).unwrap_or(0);
    state.topics.insert(
        name.to_owned(),
        Topic {
            id,
            partitions: vec![Log::default(); count],
            configs: wanted.configs,
        },
    );
    id
}

fn listed(values: &Values, broker: &Values) -> Vec<CreatableTopicConfigs> {
    configs::TOPIC
        .iter()
        .map(|key| {
            CreatableTopicConfigs::default()
                .with_name(text(key.name))
                .with_value(Some(text(configs::effective(key, values, broker))))
                .with_config_source(
                    match (
                        values.contains_key(key.name),
                        broker.contains_key(configs::behind(key)),
                    ) {
                        (true, _) => 1,
                        (false, true) => 3,
                        (false, false) => 5,
                    },
                )
        })
        .collect()
}
