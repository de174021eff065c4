//! Configuration over the wire: DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, of topics and of the broker.
//!
//! Must not know: what a key does.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Replaced;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Changed;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Hub, Refusal, State};
use crate::brokerconfigs;
use crate::configs::{self, Key, Kind, Values};
use crate::topics;
use crate::wire::{Call, Code, text};

/// Resource types on the wire.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Those that Kafka has beside: loggers, client metrics, groups.
const OTHERS: [i8; 3] = [8, 16, 32];
/// Where a value comes from, on the wire.
const FROM_TOPIC: i8 = 1;
const FROM_BROKER: i8 = 2;
const FROM_CLUSTER: i8 = 3;
const FROM_FILE: i8 = 4;
const FROM_DEFAULT: i8 = 5;

pub(crate) fn describe(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let state = hub.state.lock();
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let described = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None => describe_one(hub, &state, resource, request),
        };
        match described {
            // Java clients read the words only beside an error; Kafka sends them empty.
            Ok(configs) => result
                .with_configs(configs)
                .with_error_message(Some(text(""))),
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message))),
        }
    });
    DescribeConfigsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_results(results.collect())
}

fn describe_one(
    hub: &Hub,
    state: &State,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let wanted = |name: &str| {
        resource
            .configuration_keys
            .as_ref()
            .is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| key.as_str() == name))
    };
    match resource.resource_type {
        TOPIC => {
            topics::check_name(&resource.resource_name)?;
            let topic = state
                .topics
                .get(resource.resource_name.as_str())
                .ok_or_else(|| Refusal::new(Code::UnknownTopicOrPartition, ""))?;
            let keys = configs::TOPIC.iter().filter(|key| wanted(key.name));
            Ok(keys
                .map(|key| topic_entry(state, &topic.configs, key, request))
                .collect())
        }
        BROKER => {
            check_described(hub, &resource.resource_name)?;
            let keys = brokerconfigs::keys(hub, state);
            Ok(keys
                .into_iter()
                .filter(|key| wanted(key.name))
                .filter(|key| {
                    !resource.resource_name.is_empty()
                        || state.cluster_configs.contains_key(key.name)
                })
                .map(|mut key| {
                    if resource.resource_name.is_empty() {
                        // What holds for all brokers says nothing of what stands behind it.
                        key.synonyms.truncate(1);
                    }
                    broker_entry(key, request.include_synonyms)
                })
                .collect())
        }
        other if OTHERS.contains(&other) => Err(unknown_resource(other)),
        _ => Err(Refusal::new(
            Code::InvalidRequest,
            "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.",
        )),
    }
}

fn unknown_resource(number: i8) -> Refusal {
    if !OTHERS.contains(&number) {
        return Refusal::new(
            Code::InvalidRequest,
            format!("Unknown resource type {number}"),
        );
    }
    Refusal::new(
        Code::InvalidRequest,
        format!(
            "the sandbox's broker keeps configuration of topics and brokers only, not of resources of type {number}"
        ),
    )
}

/// Whether a name is this broker's, or that of all.
///
/// # Errors
/// INVALID_REQUEST, in the words of an alteration.
fn check_broker(hub: &Hub, name: &str) -> Result<(), Refusal> {
    let node = hub.options.node_id;
    let why = match name.parse::<i32>() {
        _ if name.is_empty() => return Ok(()),
        Ok(id) if id == node => return Ok(()),
        Ok(_) => format!("Unexpected broker id, expected {node}, but received {name}"),
        Err(_) => format!("Node id must be an integer, but it is: {name}"),
    };
    Err(Refusal::new(Code::InvalidRequest, why))
}

/// The same, in the words of a description.
fn check_described(hub: &Hub, name: &str) -> Result<(), Refusal> {
    check_broker(hub, name).map_err(|refusal| {
        let node = hub.options.node_id;
        let why = match name.parse::<i32>() {
            Ok(_) => format!(
                "Unexpected broker id, expected {node} or empty string, but received {name}"
            ),
            Err(_) => format!("Broker id must be an integer, but it is: {name}"),
        };
        Refusal::new(refusal.code, why)
    })
}

fn topic_entry(
    state: &State,
    topic: &Values,
    key: &Key,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let mut synonyms: Vec<DescribeConfigsSynonym> = Vec::new();
    let on_broker = state.defaults.contains_key(configs::behind(key));
    let mut push = |name: &str, value: &str, source: i8| {
        synonyms.push(
            DescribeConfigsSynonym::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
                .with_source(source),
        );
    };
    if let Some(value) = topic.get(key.name) {
        push(key.name, value, FROM_TOPIC);
    }
    for (values, source) in [
        (&state.broker_configs, FROM_BROKER),
        (&state.cluster_configs, FROM_CLUSTER),
    ] {
        if let Some(value) = values.get(configs::behind(key)) {
            push(configs::behind(key), value, source);
        }
    }
    if !key.synonym.is_empty() {
        push(key.synonym, key.default, FROM_DEFAULT);
    } else if let Some((name, value)) = configs::in_hours(key).filter(|_| on_broker) {
        push(name, value, FROM_DEFAULT);
    }
    let (value, source) = synonyms
        .first()
        .map_or((key.default, FROM_DEFAULT), |first| {
            (first.value.as_deref().unwrap_or_default(), first.source)
        });
    let entry = DescribeConfigsResourceResult::default()
        .with_name(text(key.name))
        .with_documentation(None)
        .with_value(Some(text(value)))
        .with_config_source(source)
        .with_config_type(key.kind.number());
    if request.include_synonyms {
        entry.with_synonyms(synonyms)
    } else {
        entry
    }
}

fn broker_entry(key: brokerconfigs::Described, synonyms: bool) -> DescribeConfigsResourceResult {
    let sensitive = key.kind == Kind::Password;
    let entry = DescribeConfigsResourceResult::default()
        .with_name(text(key.name))
        .with_documentation(None)
        .with_value(key.value.filter(|_| !sensitive).map(text))
        .with_read_only(key.read_only)
        .with_config_source(key.source)
        .with_is_sensitive(sensitive)
        .with_config_type(key.kind.number());
    if !synonyms {
        return entry;
    }
    let listed = key.synonyms.into_iter().map(|(value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(text(key.name))
            .with_value(Some(text(value)))
            .with_source(source)
    });
    entry.with_synonyms(listed.collect())
}

/// One change of one key.
struct Change<'a> {
    key: &'a str,
    value: Option<&'a str>,
    operation: i8,
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) fn incremental(
    hub: &Arc<Hub>,
    call: &Call,
    request: &IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut state = hub.state.lock();
    let responses = request.resources.iter().map(|resource| {
        let same = |other: &&kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource| {
            other.resource_type == resource.resource_type && other.resource_name == resource.resource_name
        };
        let twice = request.resources.iter().filter(same).count() > 1;
        let changes: Vec<Change<'_>> = resource
            .configs
            .iter()
            .map(|config| Change {
                key: &config.name,
                value: config.value.as_deref(),
                operation: config.config_operation,
            })
            .collect();
        let done = if twice {
            Err(Refusal::new(Code::InvalidRequest, "Each resource must appear at most once."))
        } else {
            let target = Target {
                kind: resource.resource_type,
                name: &resource.resource_name,
                validate_only: request.validate_only,
            };
            match call.fault {
                Some(fault) => Err(Refusal::new(fault, fault.to_string())),
                None => change(hub, &mut state, &target, &changes),
            }
        };
        let (code, message) = said(done);
        Changed::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(code)
            .with_error_message(message)
    });
    let responses = responses.collect();
    drop(state);
    hub.changed();
    IncrementalAlterConfigsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_responses(responses)
}

fn said(done: Result<(), Refusal>) -> (i16, Option<StrBytes>) {
    match done {
        Ok(()) => (0, None),
        Err(refusal) => (refusal.code.code(), refusal.said()),
    }
}

/// Sets and unsets keys of a topic from inside the process.
///
/// # Errors
/// What IncrementalAlterConfigs refuses.
pub(crate) fn configure(
    hub: &Hub,
    name: &str,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<(), Refusal> {
    let target = Target {
        kind: TOPIC,
        name,
        validate_only: false,
    };
    let changes: Vec<Change<'_>> = changes
        .iter()
        .map(|(key, value)| Change {
            key,
            value: value.as_deref(),
            operation: if value.is_some() { SET } else { DELETE },
        })
        .collect();
    change(hub, &mut hub.state.lock(), &target, &changes)
}

struct Target<'a> {
    kind: i8,
    name: &'a str,
    validate_only: bool,
}

fn change(
    hub: &Hub,
    state: &mut State,
    target: &Target<'_>,
    changes: &[Change<'_>],
) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = changes.iter().map(|change| change.key).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "Error due to duplicate config keys",
        ));
    }
    let mut values = present(hub, state, target)?.clone();
    for change in changes {
        apply(target, &mut values, change)?;
    }
    check_all(target, &values, changes)?;
    store(state, target, values);
    Ok(())
}

fn present<'a>(hub: &Hub, state: &'a State, target: &Target<'_>) -> Result<&'a Values, Refusal> {
    match target.kind {
        TOPIC if target.name.is_empty() => Err(Refusal::new(
            Code::InvalidRequest,
            "Default topic resources are not allowed.",
        )),
        TOPIC => {
            topics::check_name(target.name)?;
            let topic = state.topics.get(target.name).ok_or_else(|| {
                Refusal::new(
                    Code::UnknownTopicOrPartition,
                    format!("The topic '{}' does not exist.", target.name),
                )
            })?;
            Ok(&topic.configs)
        }
        BROKER => {
            check_broker(hub, target.name)?;
            Ok(if target.name.is_empty() {
                &state.cluster_configs
            } else {
                &state.broker_configs
            })
        }
        other => Err(unknown_resource(other)),
    }
}

fn store(state: &mut State, target: &Target<'_>, values: Values) {
    if target.validate_only {
        return;
    }
    match target.kind {
        TOPIC => {
            if let Some(topic) = state.topics.get_mut(target.name) {
                topic.configs = values;
            }
        }
        _ if target.name.is_empty() => state.cluster_configs = values,
        _ => state.broker_configs = values,
    }
    let (cluster, broker) = (&state.cluster_configs, &state.broker_configs);
    state.defaults = cluster
        .iter()
        .chain(broker)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
}

fn kind_of(target: &Target<'_>, key: &str) -> Option<Kind> {
    if target.kind == TOPIC {
        configs::topic_key(key).map(|key| key.kind)
    } else {
        brokerconfigs::kind(key)
    }
}

fn apply(target: &Target<'_>, values: &mut Values, change: &Change<'_>) -> Result<(), Refusal> {
    let key = change.key;
    let value = || {
        change.value.ok_or_else(|| {
            Refusal::new(
                Code::InvalidRequest,
                format!("Null value not supported for : {key}"),
            )
        })
    };
    match change.operation {
        SET => {
            values.insert(key.to_owned(), value()?.to_owned());
        }
        DELETE => {
            values.remove(key);
        }
        APPEND | SUBTRACT => {
            let value = value()?;
            if !matches!(kind_of(target, key), Some(Kind::List(_) | Kind::Replicas)) {
                let word = if change.operation == APPEND {
                    "append"
                } else {
                    "subtract"
                };
                if target.kind != TOPIC && kind_of(target, key).is_none() {
                    return Err(Refusal::silent(Code::UnknownServerError));
                }
                return Err(Refusal::new(
                    Code::InvalidConfig,
                    if target.kind == TOPIC {
                        let word = word.to_uppercase();
                        format!("Can't {word} to key {key} because its type is not LIST.")
                    } else {
                        format!("Config value {word} is not allowed for config key: {key}")
                    },
                ));
            }
            let default = configs::topic_key(key).map_or("", |key| key.default);
            let before = values.get(key).map_or(default, String::as_str);
            let split = |list: &str| -> Vec<String> {
                list.split(',')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect()
            };
            let mut list = split(before);
            for word in split(value) {
                if change.operation == APPEND && !list.contains(&word) {
                    list.push(word);
                } else if change.operation == SUBTRACT {
                    list.retain(|known| *known != word);
                }
            }
            values.insert(key.to_owned(), list.join(","));
        }
        // Kafka's controller falls over an operation that it does not know; a broker looks first.
        _ if target.kind == TOPIC => return Err(Refusal::silent(Code::UnknownServerError)),
        other => {
            return Err(Refusal::new(
                Code::InvalidRequest,
                format!("Unknown operations type {other}"),
            ));
        }
    }
    Ok(())
}

fn check_all(target: &Target<'_>, values: &Values, changes: &[Change<'_>]) -> Result<(), Refusal> {
    // Kafka validates the whole: a key that is unknown is refused, even when it is only deleted.
    let unknown = changes
        .iter()
        .find(|change| kind_of(target, change.key).is_none());
    if target.kind == TOPIC {
        if let Some(unknown) = unknown.filter(|change| change.operation != DELETE) {
            return Err(Refusal::new(
                Code::InvalidConfig,
                format!("Unknown topic config name: {}", unknown.key),
            ));
        }
        for (key, value) in values {
            configs::check_topic(key, value)?;
        }
        return configs::check_together(values);
    }
    for change in changes {
        brokerconfigs::check_change(change.key, values.get(change.key).map(String::as_str))?;
    }
    Ok(())
}

pub(crate) fn replace(
    hub: &Arc<Hub>,
    call: &Call,
    request: &AlterConfigsRequest,
) -> AlterConfigsResponse {
    let mut state = hub.state.lock();
    let responses = request.resources.iter().map(|resource| {
        let target = Target {
            kind: resource.resource_type,
            name: &resource.resource_name,
            validate_only: request.validate_only,
        };
        let changes: Vec<Change<'_>> = resource
            .configs
            .iter()
            .map(|config| Change {
                key: &config.name,
                value: config.value.as_deref(),
                operation: SET,
            })
            .collect();
        let done = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None => replace_all(hub, &mut state, &target, &changes),
        };
        let (code, message) = said(done);
        Replaced::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(code)
            .with_error_message(message)
    });
    let responses = responses.collect();
    drop(state);
    hub.changed();
    AlterConfigsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_responses(responses)
}

/// What AlterConfigs does: every key that is not named goes back to its default.
fn replace_all(
    hub: &Hub,
    state: &mut State,
    target: &Target<'_>,
    changes: &[Change<'_>],
) -> Result<(), Refusal> {
    present(hub, state, target)?;
    let mut values = Values::new();
    for change in changes {
        apply(target, &mut values, change)?;
    }
    check_all(target, &values, changes)?;
    store(state, target, values);
    Ok(())
}

/// Sources of a broker's keys, for its own list.
pub(crate) const SOURCES: [i8; 4] = [FROM_BROKER, FROM_CLUSTER, FROM_FILE, FROM_DEFAULT];
