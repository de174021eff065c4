//! Topics come, grow and go: CreateTopics, CreatePartitions, DeleteTopics, with Kafka's checks and words.
//!
//! Must not know: logs' contents, groups.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse};
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
/// Partitions that one request may make.
pub(crate) const AT_ONCE: i32 = 10_000;
/// The topic of the controllers' own log.
const METADATA: &str = "__cluster_metadata";
/// How the ids of topics begin: those that are created, and those that are only tried.
const CREATED: u64 = 0x7469_6465_6761_7465;
const TRIED: u64 = 0x7469_6465_7472_6965;
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
    let many = partitions(hub, &request.topics) > i64::from(AT_ONCE);
    let (once, twice) = by_repetition(&request.topics, |asked| &asked.name);
    // Names that stand twice are answered once, after the others.
    let results = once.into_iter().chain(twice.iter().copied()).map(|asked| {
        let made = if twice.iter().any(|other| other.name == asked.name) {
            Err(Refusal::new(Code::InvalidRequest, "Duplicate topic name."))
        } else if let Some(fault) = call.fault {
            Err(Refusal::new(fault, fault.to_string()))
        } else if asked.name.as_str() == METADATA {
            Err(Refusal::new(
                Code::InvalidRequest,
                format!("Creation of internal topic {METADATA} is prohibited."),
            ))
        } else if many {
            Err(Refusal::new(
                Code::PolicyViolation,
                "Excessively large number of partitions per request.",
            ))
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

/// Partitions that are asked for, all topics together.
fn partitions(hub: &Hub, topics: &[CreatableTopic]) -> i64 {
    let of = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => i64::from(hub.options.default_partitions),
        (0, wanted) => i64::from(wanted.max(0)),
        (placed, _) => i64::try_from(placed).unwrap_or(i64::MAX),
    };
    topics.iter().map(of).fold(0, i64::saturating_add)
}

/// What is asked once, and the first of each that is asked more than once.
pub(crate) fn by_repetition<T, K: PartialEq>(
    asked: &[T],
    key: impl Fn(&T) -> &K,
) -> (Vec<&T>, Vec<&T>) {
    let (mut once, mut twice): (Vec<&T>, Vec<&T>) = (Vec::new(), Vec::new());
    for (at, one) in asked.iter().enumerate() {
        let same = |other: &T| key(other) == key(one);
        if asked.iter().filter(|other| same(other)).count() == 1 {
            once.push(one);
        } else if !asked[..at].iter().any(same) {
            twice.push(one);
        }
    }
    (once, twice)
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
    let mut wanted = Wanted {
        partitions: 0,
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
    let partitions = check_layout(hub, asked)?;
    wanted.partitions = partitions;
    check_room(hub, state, name, partitions)?;
    let configs = listed(&wanted.configs, &state.defaults);
    let mut result = CreatableTopicResult::default()
        .with_name(asked.name.clone())
        .with_error_message(None)
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs));
    result.topic_id = if validate_only {
        // Kafka tells an id here too, one that no topic ever gets.
        Uuid::from_u64_pair(TRIED, state.next_topic + 1)
    } else {
        insert(state, name, wanted)
    };
    Ok(result)
}

fn check_layout(hub: &Hub, asked: &CreatableTopic) -> Result<i32, Refusal> {
    if asked.assignments.is_empty() {
        if asked.replication_factor < -1 || asked.replication_factor == 0 {
            return Err(Refusal::new(
                Code::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if asked.num_partitions < -1 || asked.num_partitions == 0 {
            return Err(Refusal::new(
                Code::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
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
    let mut indexes: Vec<i32> = Vec::new();
    let mut replicas = None;
    for one in &asked.assignments {
        if indexes.contains(&one.partition_index) {
            return Err(unassignable(format!(
                "Found multiple manual partition assignments for partition {}",
                one.partition_index
            )));
        }
        check_replicas(hub, &one.broker_ids, replicas)?;
        replicas = Some(one.broker_ids.len());
        indexes.push(one.partition_index);
    }
    indexes.sort_unstable();
    if indexes
        .iter()
        .zip(0..)
        .any(|(&index, place)| index != place)
    {
        return Err(unassignable(
            "partitions should be a consecutive 0-based integer sequence",
        ));
    }
    i32::try_from(indexes.len())
        .map_err(|_| Refusal::new(Code::InvalidPartitions, "too many partitions"))
}

fn unassignable(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidReplicaAssignment, message)
}

/// Checks the brokers that somebody wants a partition on; `usual` is how many the other partitions have.
///
/// # Errors
/// INVALID_REPLICA_ASSIGNMENT in Kafka's words.
pub(crate) fn check_replicas(
    hub: &Hub,
    ids: &[BrokerId],
    usual: Option<usize>,
) -> Result<(), Refusal> {
    if ids.is_empty() {
        return Err(unassignable(
            "The manual partition assignment includes an empty replica list.",
        ));
    }
    let mut sorted: Vec<i32> = ids.iter().map(|id| id.0).collect();
    sorted.sort_unstable();
    let mut before = None;
    for id in sorted {
        if id != hub.options.node_id {
            return Err(unassignable(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            )));
        }
        if before == Some(id) {
            return Err(unassignable(format!(
                "The manual partition assignment includes the broker {id} more than once."
            )));
        }
        before = Some(id);
    }
    match usual.filter(|usual| *usual != ids.len()) {
        None => Ok(()),
        Some(usual) => Err(unassignable(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {usual} replica(s).",
            ids.len()
        ))),
    }
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
    let id = Uuid::from_u64_pair(CREATED, state.next_topic);
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
