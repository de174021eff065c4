//! Metadata: brokers, topics, partitions.
//!
//! Must not know: logs' contents.

use std::sync::Arc;

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use crate::broker::{Hub, State, Topic};
use crate::topics;
use crate::wire::{Call, Code, text};

/// The host clients connect to.
pub(crate) const HOST: &str = "127.0.0.1";
/// Stands for operations that nobody asked about.
pub(crate) const NOT_ASKED: i32 = i32::MIN;

pub(crate) fn answer(hub: &Arc<Hub>, call: &Call, request: &MetadataRequest) -> MetadataResponse {
    let mut state = hub.state.lock();
    let mut found = Vec::new();
    // Version 0 says "all" with an empty list, later versions with none.
    let all = request
        .topics
        .as_ref()
        .is_none_or(|topics| call.version == 0 && topics.is_empty());
    if all {
        for (name, topic) in &state.topics {
            found.push(described(hub, call, name, topic));
        }
    }
    for asked in request.topics.iter().flatten() {
        let named = asked.name.as_ref().map(|name| name.to_string());
        found.push(match named {
            Some(name) => by_name(
                hub,
                call,
                &mut state,
                &name,
                request.allow_auto_topic_creation,
            ),
            None => by_id(hub, call, &state, asked.topic_id),
        });
    }
    if request.include_topic_authorized_operations {
        for topic in &mut found {
            topic.topic_authorized_operations = topics::OPERATIONS;
        }
    }
    MetadataResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_brokers(vec![
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(hub.options.node_id))
                .with_host(text(HOST))
                .with_port(i32::from(call.port)),
        ])
        .with_cluster_id(Some(text(hub.options.cluster_id.as_str())))
        .with_controller_id(BrokerId(hub.options.node_id))
        .with_topics(found)
        .with_cluster_authorized_operations(if request.include_cluster_authorized_operations {
            topics::CLUSTER_OPERATIONS
        } else {
            NOT_ASKED
        })
}

fn by_name(
    hub: &Hub,
    call: &Call,
    state: &mut State,
    name: &str,
    create: bool,
) -> MetadataResponseTopic {
    if let Some(topic) = state.topics.get(name) {
        return described(hub, call, name, topic);
    }
    let failed = |code: Code| {
        MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_name(Some(TopicName(text(name))))
            .with_topic_authorized_operations(NOT_ASKED)
    };
    if topics::check_name(name).is_err() {
        return failed(Code::InvalidTopicException);
    }
    let create = create && hub.options.auto_create_topics;
    if !create {
        return failed(Code::UnknownTopicOrPartition);
    }
    match topics::auto_create(hub, state, name) {
        Ok(()) => match state.topics.get(name) {
            Some(topic) => described(hub, call, name, topic),
            None => failed(Code::UnknownTopicOrPartition),
        },
        Err(refusal) => failed(refusal.code),
    }
}

fn by_id(hub: &Hub, call: &Call, state: &State, id: Uuid) -> MetadataResponseTopic {
    let named = state.name_of(id).map(str::to_owned);
    match named.and_then(|name| {
        state
            .topics
            .get(&name)
            .map(|topic| described(hub, call, &name, topic))
    }) {
        Some(topic) => topic,
        None => MetadataResponseTopic::default()
            .with_error_code(Code::UnknownTopicId.code())
            .with_name(None)
            .with_topic_id(id)
            .with_topic_authorized_operations(NOT_ASKED),
    }
}

fn described(hub: &Hub, call: &Call, name: &str, topic: &Topic) -> MetadataResponseTopic {
    let node = BrokerId(hub.options.node_id);
    let partitions = topic.partitions.iter().zip(0..).map(|(log, index)| {
        MetadataResponsePartition::default()
            .with_error_code(call.fault.map_or(0, |fault| fault.code()))
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(log.epoch)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(topic.id)
        .with_is_internal(topics::internal(name))
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(NOT_ASKED)
}
