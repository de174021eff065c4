//! Where logs begin and end: ListOffsets, OffsetForLeaderEpoch, DeleteRecords.
//!
//! Must not know: groups' offsets.

use std::sync::Arc;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::broker::{Hub, State};
use crate::fetch::check_epoch;
use crate::records;
use crate::wire::{Call, Code};

/// Timestamps that mean a place rather than a time.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST_STAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub(crate) fn list(
    hub: &Arc<Hub>,
    call: &Call,
    request: &ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut state = hub.state.lock();
    state.tidy(hub.clock.now());
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer =
                ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            let found = call
                .fault
                .map_or_else(|| find(&state, call.version, &topic.name, asked), Err);
            match found {
                Ok((timestamp, offset, epoch)) => answer
                    .with_timestamp(timestamp)
                    .with_offset(offset)
                    .with_leader_epoch(if call.version >= 4 { epoch } else { -1 }),
                Err(code) => answer
                    .with_error_code(code.code())
                    .with_timestamp(-1)
                    .with_offset(-1)
                    .with_leader_epoch(-1),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_topics(topics.collect())
}

fn find(
    state: &State,
    version: i16,
    name: &str,
    asked: &ListOffsetsPartition,
) -> Result<(i64, i64, i32), Code> {
    let log = state.log(name, asked.partition_index)?;
    check_epoch(asked.current_leader_epoch, log.epoch)?;
    // Each of these came with a version of its own.
    let since = match asked.timestamp {
        NEWEST_STAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => 0,
    };
    if version < since {
        return Err(Code::UnsupportedVersion);
    }
    match asked.timestamp {
        LATEST => Ok((-1, log.end, log.epoch)),
        EARLIEST | EARLIEST_LOCAL => {
            let epoch = log.batches.front().map_or(log.epoch, |first| first.epoch);
            Ok((-1, log.start, epoch))
        }
        LATEST_TIERED => Ok((-1, -1, -1)),
        NEWEST_STAMP => {
            let newest = log
                .batches
                .iter()
                .rev()
                .max_by_key(|stored| stored.max_timestamp);
            let Some(newest) = newest else {
                return Ok((-1, -1, -1));
            };
            let found = records::first_at(&newest.bytes, newest.max_timestamp, log.start);
            let offset = found.map_or(newest.last, |(_, offset)| offset);
            Ok((newest.max_timestamp, offset, newest.epoch))
        }
        timestamp if timestamp < 0 => Err(Code::UnsupportedVersion),
        timestamp => {
            for stored in log
                .batches
                .iter()
                .filter(|stored| stored.max_timestamp >= timestamp)
            {
                if let Some((at, offset)) = records::first_at(&stored.bytes, timestamp, log.start) {
                    return Ok((at, offset, stored.epoch));
                }
            }
            Ok((-1, -1, -1))
        }
    }
}
