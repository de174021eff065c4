//! Produce: record batches checked, put in sequence, appended.
//!
//! Must not know: how they are read.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::batch::{self, Broken, Header};
use crate::broker::{Hub, State};
use crate::configs;
use crate::log::{Sequence, Times};
use crate::records;
use crate::topics;
use crate::wire::{Call, Code, text};

/// Bytes that a record of any age has behind its length.
const LEAST: usize = 14;

/// What an append answers with.
struct Appended {
    base: i64,
    append_time: i64,
    start: i64,
}

/// Why nothing was appended.
struct Rejected {
    code: Code,
    /// Where the log begins, when it was found out only there.
    start: i64,
    /// Kafka says why only when single records are at fault; the sandbox also when its own bounds are.
    message: Option<String>,
    records: Vec<BatchIndexAndErrorMessage>,
}

impl Rejected {
    fn said(code: Code, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..plain(code)
        }
    }

    fn at(self, start: i64) -> Self {
        Self { start, ..self }
    }
}

fn plain(code: Code) -> Rejected {
    Rejected {
        code,
        start: -1,
        message: None,
        records: Vec::new(),
    }
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
                (_, Some(fault)) => Err(Rejected::said(fault, fault.to_string())),
                (None, None) => Err(plain(Code::UnknownTopicId)),
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

fn answered(index: i32, done: Result<Appended, Rejected>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index);
    match done {
        Ok(appended) => answer
            .with_base_offset(appended.base)
            .with_log_append_time_ms(appended.append_time)
            .with_log_start_offset(appended.start),
        Err(rejected) => answer
            .with_error_code(rejected.code.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(rejected.start)
            .with_record_errors(rejected.records)
            .with_error_message(rejected.message.map(text)),
    }
}

fn append(
    hub: &Hub,
    state: &mut State,
    name: &str,
    data: &PartitionProduceData,
    request: &ProduceRequest,
) -> Result<Appended, Rejected> {
    let internal = topics::internal(name);
    if !internal {
        state.log(name, data.index).map_err(plain)?;
    }
    let records = data.records.clone().unwrap_or_default();
    let (header, bytes) = single(&records)?;
    if !matches!(request.acks, -1..=1) {
        return Err(plain(Code::InvalidRequiredAcks));
    }
    if internal {
        return Err(plain(Code::InvalidTopicException));
    }
    let start = state.log(name, data.index).map_err(plain)?.start;
    let broken = |broken| match broken {
        Broken::Corrupt => plain(Code::CorruptMessage),
        Broken::Invalid => plain(Code::InvalidRecord).at(start),
        Broken::Format(_) => plain(Code::InvalidRecord),
        Broken::Codec => plain(Code::UnknownServerError).at(start),
    };
    batch::check(&header, &bytes).map_err(broken)?;
    let place = Place {
        name,
        index: data.index,
        all: request.acks == -1,
    };
    write(hub, state, &place, &header, &bytes)
}

/// The one batch that a produce request has for a partition.
fn single(records: &Bytes) -> Result<(Header, Bytes), Rejected> {
    whole(records)?;
    let one = batch::header(records).map_err(|broken| match broken {
        Broken::Format(magic) if !(0..=2).contains(&magic) => Rejected::said(
            Code::CorruptMessage,
            format!("Invalid magic found in record: {magic}"),
        ),
        Broken::Corrupt => plain(Code::CorruptMessage),
        _ => plain(Code::InvalidRecord),
    })?;
    if one.size != records.len() {
        return Err(plain(Code::InvalidRecord));
    }
    Ok((one, records.clone()))
}

/// Whether as many bytes are there as a batch says that it has.
fn whole(records: &Bytes) -> Result<(), Rejected> {
    // A batch that is cut off is no batch.
    let cut = || plain(Code::InvalidRecord);
    let length = records.get(8..12).ok_or_else(cut)?;
    let length = i32::from_be_bytes(length.try_into().map_err(|_| cut())?);
    match usize::try_from(length) {
        Ok(length) if length >= LEAST => match records.len().checked_sub(12) {
            Some(there) if there >= length => Ok(()),
            _ => Err(cut()),
        },
        _ => Err(Rejected::said(
            Code::CorruptMessage,
            format!("Record size {length} is less than the minimum record overhead ({LEAST})"),
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
) -> Result<Appended, Rejected> {
    let now = hub.clock.now();
    let (name, index) = (place.name, place.index);
    let topic = state
        .topics
        .get(name)
        .ok_or_else(|| plain(Code::UnknownTopicOrPartition))?;
    let start = state.log(name, index).map_err(plain)?.start;
    let own = &topic.configs;
    let number = |key: &str| configs::number(key, own, &state.defaults);
    let rules = configs::rules(own, &state.defaults);
    if place.all && number("min.insync.replicas") > hub.options.in_sync_replicas {
        return Err(plain(Code::NotEnoughReplicas).at(start));
    }
    if crate::log::as_i64(bytes.len()) > number("max.message.bytes") {
        return Err(plain(Code::MessageTooLarge));
    }
    let append_time = own
        .get("message.timestamp.type")
        .is_some_and(|kind| kind == "LogAppendTime")
        .then_some(now);
    let window = append_time.is_none().then(|| {
        let before = number("message.timestamp.before.max.ms");
        let after = number("message.timestamp.after.max.ms");
        now.saturating_sub(before)..=now.saturating_add(after)
    });
    let checked = check_records(bytes, rules.compact, window.as_ref(), place);
    let times = Times {
        now,
        append: append_time,
        newest: checked.map_err(|no| no.at(start))?,
    };
    if header.transactional() {
        return Err(Rejected::said(
            Code::InvalidTxnState,
            "the sandbox's broker takes no transactional records",
        ));
    }
    if state.log_bytes.saturating_add(bytes.len()) > hub.options.limits.log_bytes {
        state.tidy(now);
        if state.log_bytes.saturating_add(bytes.len()) > hub.options.limits.log_bytes {
            return Err(Rejected::said(
                Code::KafkaStorageError,
                format!(
                    "the sandbox holds at most {} bytes of records",
                    hub.options.limits.log_bytes
                ),
            ));
        }
    }
    let log = state.log_mut(name, index).map_err(plain)?;
    let repeated = log.repeated(header).map_err(|wrong| {
        plain(match wrong {
            Sequence::Fenced => Code::InvalidProducerEpoch,
            Sequence::OutOfOrder => Code::OutOfOrderSequenceNumber,
        })
        .at(start)
    })?;
    if let Some(known) = repeated {
        // Kafka tells the time of the batch that is there already, whoever set it.
        return Ok(Appended {
            base: known.offset,
            append_time: known.stamp,
            start,
        });
    }
    let before = log.bytes;
    let base = log.append(header, bytes, &times, &rules);
    let grown = log.bytes - before;
    state.log_bytes += grown;
    Ok(Appended {
        base,
        append_time: append_time.unwrap_or(-1),
        start,
    })
}

/// Checks each record of a batch: its key where keys are needed, its time within `window`. Gives the newest time.
fn check_records(
    bytes: &Bytes,
    keyed: bool,
    window: Option<&RangeInclusive<i64>>,
    place: &Place<'_>,
) -> Result<i64, Rejected> {
    let Some(records) = records::records(bytes) else {
        return Err(plain(Code::CorruptMessage));
    };
    let mut late = false;
    let mut wrong = Vec::new();
    for (record, at) in records.iter().zip(0..) {
        let outside =
            window.filter(|window| record.timestamp != -1 && !window.contains(&record.timestamp));
        let why = if keyed && record.key.is_none() {
            format!(
                "Compacted topic cannot accept message without key in topic partition {}-{}",
                place.name, place.index
            )
        } else if let Some(window) = outside {
            late = true;
            format!(
                "Timestamp {} of message with offset {} is out of range. The timestamp should be within [{}, {}]",
                record.timestamp,
                record.offset,
                window.start(),
                window.end()
            )
        } else {
            continue;
        };
        wrong.push((at, why));
    }
    if wrong.is_empty() {
        let times = records.iter().map(|record| record.timestamp);
        return Ok(times.max().unwrap_or(-1));
    }
    let (code, message) = if late {
        (
            Code::InvalidTimestamp,
            "One or more records have been rejected due to invalid timestamp".to_owned(),
        )
    } else {
        (Code::InvalidRecord, told(&wrong))
    };
    let records = wrong.into_iter().map(|(at, why)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(at)
            .with_batch_index_error_message(Some(text(why)))
    });
    Err(Rejected {
        records: records.collect(),
        ..Rejected::said(code, message)
    })
}

fn told(wrong: &[(i32, String)]) -> String {
    let shown: Vec<String> = wrong
        .iter()
        .take(3)
        .map(|(at, why)| format!("RecordError(batchIndex={at}, message='{why}')"))
        .collect();
    format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at most: [{}]",
        wrong.len(),
        shown.join(", ")
    )
}
