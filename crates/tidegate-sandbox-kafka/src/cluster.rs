//! What is said of the cluster as a whole: DescribeCluster, DescribeTopicPartitions, reassignments, elections, log directories, epochs.
//!
//! Must not know: how topics change.

use std::sync::Arc;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};

use crate::broker::Hub;
use crate::fetch::check_epoch;
use crate::log::as_i64;
use crate::metadata::{HOST, NOT_ASKED};
use crate::topics;
use crate::wire::{Call, Code, text};

/// Partitions of one DescribeTopicPartitions answer (`max.request.partition.size.limit`).
const PARTITIONS: usize = 2_000;
/// Endpoint types: this broker is of the first.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
/// The one place of all logs: memory, by the name a path would have.
const DIRECTORY: &str = "/memory";

pub(crate) fn describe(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let answer = DescribeClusterResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_endpoint_type(BROKERS);
    if let Some(fault) = call.fault {
        return answer.with_error_code(fault.code());
    }
    if !matches!(request.endpoint_type, BROKERS | CONTROLLERS) {
        return answer
            .with_error_code(Code::UnsupportedEndpointType.code())
            .with_error_message(Some(text(format!(
                "Unsupported endpoint type {}",
                request.endpoint_type
            ))));
    }
    if request.endpoint_type != BROKERS {
        return answer
            .with_error_code(Code::MismatchedEndpointType.code())
            .with_error_message(Some(text(
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
            )));
    }
    answer
        .with_cluster_id(text(hub.options.cluster_id.as_str()))
        .with_controller_id(BrokerId(hub.options.node_id))
        .with_brokers(vec![
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(hub.options.node_id))
                .with_host(text(HOST))
                .with_port(i32::from(call.port)),
        ])
        .with_cluster_authorized_operations(if request.include_cluster_authorized_operations {
            topics::CLUSTER_OPERATIONS
        } else {
            NOT_ASKED
        })
}

pub(crate) fn topic_partitions(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    if let Some(cursor) = &request.cursor {
        let named = |topic: &TopicRequest| topic.name == cursor.topic_name;
        let listed = request.topics.is_empty() || request.topics.iter().any(named);
        if cursor.partition_index < 0 || !listed {
            return unplaced(call, request);
        }
    }
    let state = hub.state.lock();
    let mut names: Vec<String> = if request.topics.is_empty() {
        state.topics.keys().cloned().collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    };
    names.sort();
    names.dedup();
    let from = request
        .cursor
        .as_ref()
        .map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
    if let Some((name, _)) = &from {
        names.retain(|other| other >= name);
    }
    let mut left = usize::try_from(request.response_partition_limit)
        .unwrap_or(PARTITIONS)
        .clamp(1, PARTITIONS);
    let mut found = Vec::new();
    let mut next = None;
    for name in names {
        let topic = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(TopicName(text(name.as_str()))));
        let Some(known) = state.topics.get(&name) else {
            let code = match topics::check_name(&name) {
                Ok(()) => Code::UnknownTopicOrPartition,
                Err(refusal) => refusal.code,
            };
            found.push(
                topic
                    .with_error_code(code.code())
                    .with_topic_authorized_operations(topics::OPERATIONS),
            );
            continue;
        };
        let first = from
            .as_ref()
            .filter(|(of, _)| *of == name)
            .map_or(0, |(_, index)| *index);
        if left == 0 {
            next = Some(
                Cursor::default()
                    .with_topic_name(TopicName(text(name)))
                    .with_partition_index(0),
            );
            break;
        }
        let node = BrokerId(hub.options.node_id);
        let partitions: Vec<_> = known
            .partitions
            .iter()
            .zip(0..)
            .filter(|(_, index)| *index >= first)
            .take(left)
            .map(|(log, index)| {
                DescribeTopicPartitionsResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(node)
                    .with_leader_epoch(log.epoch)
                    .with_replica_nodes(vec![node])
                    .with_isr_nodes(vec![node])
                    .with_eligible_leader_replicas(Some(Vec::new()))
                    .with_last_known_elr(Some(Vec::new()))
            })
            .collect();
        left -= partitions.len();
        let last = partitions
            .last()
            .map_or(first, |last| last.partition_index + 1);
        found.push(
            topic
                .with_topic_id(known.id)
                .with_is_internal(topics::internal(&name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(topics::OPERATIONS),
        );
        if usize::try_from(last).is_ok_and(|last| last < known.partitions.len()) {
            next = Some(
                Cursor::default()
                    .with_topic_name(TopicName(text(name)))
                    .with_partition_index(last),
            );
            break;
        }
    }
    DescribeTopicPartitionsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(found)
        .with_next_cursor(next)
}

/// The answer to a cursor that points nowhere: every topic is refused.
fn unplaced(
    call: &Call,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(topic.name.clone()))
            .with_error_code(Code::InvalidRequest.code())
            .with_topic_authorized_operations(NOT_ASKED)
    });
    DescribeTopicPartitionsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(topics.collect())
}

/// One broker reassigns nothing.
pub(crate) fn reassignments(
    call: &Call,
    _request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_error_message(None)
        .with_error_code(call.fault.map_or(0, |fault| fault.code()))
}

pub(crate) fn log_dirs(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let state = hub.state.lock();
    let wanted = |name: &str, index: i32| {
        request.topics.as_ref().is_none_or(|topics| {
            topics
                .iter()
                .any(|topic| topic.topic.as_str() == name && topic.partitions.contains(&index))
        })
    };
    let topics = state.topics.iter().map(|(name, topic)| {
        let partitions = topic
            .partitions
            .iter()
            .zip(0..)
            .filter(|(_, index)| wanted(name, *index))
            .map(|(log, index)| {
                DescribeLogDirsPartition::default()
                    .with_partition_index(index)
                    .with_partition_size(as_i64(log.bytes))
            });
        DescribeLogDirsTopic::default()
            .with_name(TopicName(text(name.as_str())))
            .with_partitions(partitions.collect())
    });
    let topics = topics
        .filter(|topic| !topic.partitions.is_empty())
        .collect();
    let room = as_i64(hub.options.limits.log_bytes);
    let directory = DescribeLogDirsResult::default()
        .with_log_dir(text(DIRECTORY))
        .with_topics(topics)
        .with_total_bytes(room)
        .with_usable_bytes(room.saturating_sub(as_i64(state.log_bytes)));
    DescribeLogDirsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_error_code(
            call.fault
                .filter(|_| call.version >= 3)
                .map_or(0, |fault| fault.code()),
        )
        .with_results(vec![directory])
}

pub(crate) fn epochs(
    hub: &Arc<Hub>,
    call: &Call,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let state = hub.state.lock();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            let found = state.log(&topic.topic, asked.partition).and_then(|log| {
                check_epoch(asked.current_leader_epoch, log.epoch)?;
                Ok(log.end_of_epoch(asked.leader_epoch))
            });
            match call.fault.map_or(found, Err) {
                Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Err(code) => answer
                    .with_error_code(code.code())
                    .with_leader_epoch(-1)
                    .with_end_offset(-1),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(topics.collect())
}
