//! Produce: record batches checked, put in sequence, appended.
//!
//! Must not know: how they are read.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::batch::{self, Broken, Header};
use crate::broker::{Hub, Refusal, State};
use crate::configs;
use crate::log::Sequence;
use crate::records;
use crate::topics;
use crate::wire::{Call, Code, text};

/// What an append answers with.
struct Appended {
    base: i64,
    append_time: i64,
    start: i64,
}

pub(crate) fn answer(hub: &Arc<Hub>, call: &Call, request: &ProduceRequest) -> ProduceResponse {
    let mut state = hub.state.lock();
    let mut responses = Vec::new();
    for topic in &request.topic_data {
        let name = if call.version >= 13 {
            state.name_of(topic.topic_id).map(str::to_owned)
        } else {
            Some(topic.name.to_string())
        };
        let partitions = topic.partition_data.iter().map(|data| {
            let done = match (&name, call.fault) {
                (_, Some(fault)) => Err(Refusal::new(fault, fault.to_string())),
                (None, None) => Err(Refusal::new(
                    Code::UnknownTopicId,
                    Code::UnknownTopicId.to_string(),
                )),
                (Some(name), None) => append(hub, &mut state, name, data, request),
            };
            answered(data.index, done)
        });
        let partitions = partitions.collect();
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions),
        );
    }
    drop(state);
    hub.changed();
    ProduceResponse::default()
        .with_responses(responses)
        .with_throttle_time_ms(call.throttle)
}

fn answered(index: i32, done: Result<Appended, Refusal>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index);
    match done {
        Ok(appended) => answer
            .with_base_offset(appended.base)
            .with_log_append_time_ms(appended.append_time)
            .with_log_start_offset(appended.start),
        Err(refusal) => answer
            .with_error_code(refusal.code.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_error_message(Some(text(refusal.message))),
    }
}

fn append(
    hub: &Hub,
    state: &mut State,
    name: &str,
    data: &PartitionProduceData,
    request: &ProduceRequest,
) -> Result<Appended, Refusal> {
    if !matches!(request.acks, -1..=1) {
        return Err(plain(Code::InvalidRequiredAcks));
    }
    if topics::internal(name) {
        return Err(Refusal::new(
            Code::InvalidTopicException,
            format!("Cannot append to internal topic {name}"),
        ));
    }
    let records = data.records.clone().unwrap_or_default();
    state.log(name, data.index).map_err(plain)?;
    let (header, bytes) = single(&records)?;
    let place = Place {
        name,
        index: data.index,
        all: request.acks == -1,
    };
    write(hub, state, &place, &header, &bytes)
}

fn plain(code: Code) -> Refusal {
    Refusal::new(code, code.to_string())
}

fn single(records: &Bytes) -> Result<(Header, Bytes), Refusal> {
    let mut batches = batch::batches(records).map_err(|broken| match broken {
        Broken::Corrupt(why) => Refusal::new(Code::CorruptMessage, why),
        Broken::Invalid(why) => Refusal::new(Code::InvalidRecord, why),
        Broken::Format => Refusal::new(
            Code::InvalidRecord,
            "Produce requests are only allowed to contain record batches with magic version 2",
        ),
        Broken::Codec => plain(Code::UnsupportedCompressionType),
    })?;
    match (batches.pop(), batches.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Refusal::new(
            Code::InvalidRecord,
            "Produce requests must contain exactly one record batch",
        )),
        (Some(_), false) => Err(Refusal::new(
            Code::InvalidRecord,
            "Produce requests must contain exactly one record batch",
        )),
    }
}

struct Place<'a> {
    name: &'a str,
    index: i32,
    all: bool,
}

fn write(
    hub: &Hub,
    state: &mut State,
    place: &Place<'_>,
    header: &Header,
    bytes: &Bytes,
) -> Result<Appended, Refusal> {
    let now = hub.clock.now();
    let (name, index) = (place.name, place.index);
    let topic = state
        .topics
        .get(name)
        .ok_or_else(|| plain(Code::UnknownTopicOrPartition))?;
    let own = &topic.configs;
    let number = |key: &str| configs::number(key, own, &state.defaults);
    let rules = configs::rules(own, &state.defaults);
    if crate::log::as_i64(bytes.len()) > number("max.message.bytes") {
        return Err(Refusal::new(
            Code::MessageTooLarge,
            format!(
                "The record batch size in the append to {name}-{index} is {} bytes which exceeds the maximum configured value of {}.",
                bytes.len(),
                number("max.message.bytes")
            ),
        ));
    }
    let in_sync = hub.options.in_sync_replicas;
    if place.all && number("min.insync.replicas") > in_sync {
        return Err(Refusal::new(
            Code::NotEnoughReplicas,
            format!(
                "The size of the current ISR : {in_sync} is insufficient to satisfy the min.isr requirement of {} for partition {name}-{index}",
                number("min.insync.replicas")
            ),
        ));
    }
    let append_time = own
        .get("message.timestamp.type")
        .is_some_and(|kind| kind == "LogAppendTime")
        .then_some(now);
    if append_time.is_none() && header.max_timestamp >= 0 {
        check_stamp(
            header.max_timestamp,
            now,
            number("message.timestamp.before.max.ms"),
            number("message.timestamp.after.max.ms"),
        )?;
    }
    check_records(bytes, rules.compact, name, index)?;
    if header.transactional() {
        return Err(Refusal::new(
            Code::InvalidTxnState,
            "the sandbox's broker takes no transactional records",
        ));
    }
    if state.log_bytes.saturating_add(bytes.len()) > hub.options.limits.log_bytes {
        state.tidy(now);
        if state.log_bytes.saturating_add(bytes.len()) > hub.options.limits.log_bytes {
            return Err(Refusal::new(
                Code::KafkaStorageError,
                format!(
                    "the sandbox holds at most {} bytes of records",
                    hub.options.limits.log_bytes
                ),
            ));
        }
    }
    let log = state.log_mut(name, index).map_err(plain)?;
    let repeated = log
        .repeated(header)
        .map_err(|wrong| sequence(wrong, header, log, name, index))?;
    let before = log.bytes;
    let base = repeated.unwrap_or_else(|| log.append(header, bytes, append_time, now, &rules));
    let (start, grown) = (log.start, log.bytes - before);
    state.log_bytes += grown;
    Ok(Appended {
        base,
        append_time: append_time.unwrap_or(-1),
        start,
    })
}

fn check_records(bytes: &Bytes, keyed: bool, name: &str, index: i32) -> Result<(), Refusal> {
    let Some(records) = records::records(bytes) else {
        return Err(Refusal::new(
            Code::CorruptMessage,
            "Record batch does not hold the records that its header says",
        ));
    };
    if keyed && records.iter().any(|record| record.key.is_none()) {
        return Err(Refusal::new(
            Code::InvalidRecord,
            format!(
                "Compacted topic cannot accept message without key in topic partition {name}-{index}."
            ),
        ));
    }
    Ok(())
}

fn check_stamp(stamp: i64, now: i64, before: i64, after: i64) -> Result<(), Refusal> {
    let (low, high) = (now.saturating_sub(before), now.saturating_add(after));
    if (low..=high).contains(&stamp) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::InvalidTimestamp,
        "One or more records have been rejected due to invalid timestamp",
    ))
}

fn sequence(
    wrong: Sequence,
    header: &Header,
    log: &crate::log::Log,
    name: &str,
    index: i32,
) -> Refusal {
    let (producer, end) = (header.producer_id, log.end);
    let known = log.producers.get(&producer);
    match wrong {
        Sequence::Fenced => Refusal::new(
            Code::InvalidProducerEpoch,
            format!(
                "Epoch of producer {producer} at offset {end} in {name}-{index} is {}, which is smaller than the last seen epoch {}",
                header.producer_epoch,
                known.map_or(-1, |known| known.epoch)
            ),
        ),
        Sequence::OutOfOrder => Refusal::new(
            Code::OutOfOrderSequenceNumber,
            format!(
                "Out of order sequence number for producer {producer} at offset {end} in partition {name}-{index}: {} (incoming seq. number), {} (current end sequence number)",
                header.base_sequence,
                known
                    .and_then(|known| known.batches.back())
                    .map_or(-1, |last| last.last)
            ),
        ),
    }
}
