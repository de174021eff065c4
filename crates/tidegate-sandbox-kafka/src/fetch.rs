//! Fetch: whole batches from an offset on, at once or when enough has come.
//!
//! Must not know: how records came in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};

use crate::broker::{Hub, State};
use crate::wire::{Call, Code};

/// Longest wait of one fetch, whatever its client asks for.
const LONGEST: Duration = Duration::from_secs(300);
/// Bytes of one answer (`fetch.max.bytes`).
const ANSWER: usize = 55 << 20;

/// What one look found.
struct Look {
    responses: Vec<FetchableTopicResponse>,
    bytes: usize,
    failed: bool,
}

pub(crate) async fn answer(hub: &Arc<Hub>, call: &Call, request: &FetchRequest) -> FetchResponse {
    if request.session_id != 0 && request.session_epoch > 0 {
        return failed(call, Code::FetchSessionIdNotFound);
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST);
    let deadline = tokio::time::Instant::now() + wait;
    let least = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut changes = hub.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let look = look(hub, call, request);
        if look.failed || look.bytes >= least || request.topics.is_empty() && wait.is_zero() {
            return found(call, look);
        }
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => return found(call, look),
            changed = changes.changed() => if changed.is_err() { return found(call, look) },
        }
    }
}

fn failed(call: &Call, code: Code) -> FetchResponse {
    FetchResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_error_code(code.code())
}

fn found(call: &Call, look: Look) -> FetchResponse {
    FetchResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_responses(look.responses)
}

fn look(hub: &Hub, call: &Call, request: &FetchRequest) -> Look {
    let mut state = hub.state.lock();
    let now = hub.clock.now();
    let most = usize::try_from(request.max_bytes).unwrap_or(0).min(ANSWER);
    let mut look = Look {
        responses: Vec::new(),
        bytes: 0,
        failed: false,
    };
    for topic in &request.topics {
        let name = topic_name(&state, call, topic);
        if let Some(name) = &name {
            state.tidy_topic(name, now);
        }
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let read = match (&name, call.fault) {
                (_, Some(fault)) => Err(fault),
                (None, None) => Err(Code::UnknownTopicId),
                (Some(name), None) => read(
                    &state,
                    name,
                    asked,
                    most.saturating_sub(look.bytes),
                    look.bytes == 0,
                ),
            };
            match read {
                Ok(data) => {
                    look.bytes += data.records.as_ref().map_or(0, Bytes::len);
                    partitions.push(data);
                }
                Err(code) => {
                    look.failed = true;
                    partitions.push(refused(asked, code));
                }
            }
        }
        look.responses.push(
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions),
        );
    }
    look
}

fn topic_name(state: &State, call: &Call, topic: &FetchTopic) -> Option<String> {
    if call.version >= 13 {
        state.name_of(topic.topic_id).map(str::to_owned)
    } else {
        Some(topic.topic.to_string())
    }
}

fn read(
    state: &State,
    name: &str,
    asked: &FetchPartition,
    left: usize,
    first: bool,
) -> Result<PartitionData, Code> {
    let log = state.log(name, asked.partition)?;
    check_epoch(asked.current_leader_epoch, log.epoch)?;
    if !(log.start..=log.end).contains(&asked.fetch_offset) {
        return Err(Code::OffsetOutOfRange);
    }
    let most = usize::try_from(asked.partition_max_bytes)
        .unwrap_or(0)
        .min(left);
    let records = log.read(asked.fetch_offset, most, first);
    Ok(PartitionData::default()
        .with_partition_index(asked.partition)
        .with_high_watermark(log.end)
        .with_last_stable_offset(log.end)
        .with_log_start_offset(log.start)
        .with_aborted_transactions(None)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(records)))
}

/// Compares the leader epoch a client knows with the true one.
///
/// # Errors
/// FENCED_LEADER_EPOCH and UNKNOWN_LEADER_EPOCH.
pub(crate) fn check_epoch(known: i32, epoch: i32) -> Result<(), Code> {
    match known {
        -1 => Ok(()),
        known if known < epoch => Err(Code::FencedLeaderEpoch),
        known if known > epoch => Err(Code::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

fn refused(asked: &FetchPartition, code: Code) -> PartitionData {
    // Only what Kafka finds out before it looks at the log has an empty list here.
    let unseen = matches!(
        code,
        Code::UnknownTopicOrPartition | Code::UnknownTopicId | Code::InconsistentTopicId
    );
    PartitionData::default()
        .with_partition_index(asked.partition)
        .with_error_code(code.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(unseen.then(Vec::new))
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(Bytes::new()))
}
