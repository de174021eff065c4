//! Records put and read.
//!
//! Must not know: how streams change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::sequence::{Iterator, Position, Sequence, seconds};
use super::shard::{Record, Shard, hash_key, shard_id};
use super::stream::Stream;
use super::{Call, RECORD_BYTES};
use crate::refusal::{Refusal, refuse};

/// Milliseconds that a shard iterator lives.
const ITERATOR_MILLIS: i64 = 300_000;
/// Bytes of one GetRecords answer.
const READ_BYTES: usize = 10 << 20;
/// Bytes of one PutRecords request.
const PUT_BYTES: usize = 10 << 20;

impl Call<'_> {
    pub(super) fn put_record(&mut self) -> Result<Value, Refusal> {
        self.room()?;
        let input = self.input;
        let now = self.scope.now;
        let stream = self.data_stream()?;
        let (shard, sequence) = put(stream, input, now)?;
        Ok(answered(stream, shard, &sequence, true))
    }

    pub(super) fn put_records(&mut self) -> Result<Value, Refusal> {
        self.room()?;
        let now = self.scope.now;
        let records = self.input["Records"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let size: usize = records
            .iter()
            .map(|record| record["Data"].as_str().map_or(0, |data| data.len() / 4 * 3))
            .sum();
        if size > PUT_BYTES {
            return Err(refuse(
                "InvalidArgumentException",
                "Records size exceeds 10 MB limit",
            ));
        }
        let stream = self.data_stream()?;
        for (index, record) in records.iter().enumerate() {
            check(
                stream,
                record,
                &format!("records.{}.member.data", index + 1),
            )?;
        }
        let mut answers = Vec::new();
        for record in &records {
            let (shard, sequence) = put(stream, record, now)?;
            answers.push(answered(stream, shard, &sequence, false));
        }
        let mut answer = json!({"FailedRecordCount": 0, "Records": answers});
        if stream.key.is_some() {
            answer["EncryptionType"] = json!("KMS");
        }
        Ok(answer)
    }

    fn room(&self) -> Result<(), Refusal> {
        let held: usize = self
            .streams
            .streams
            .values()
            .map(|stream| stream.bytes)
            .sum();
        if held < RECORD_BYTES {
            return Ok(());
        }
        Err(refuse(
            "ProvisionedThroughputExceededException",
            format!(
                "The sandbox holds {} MiB of records, its limit for one region; records leave it when their retention is over or their stream is deleted.",
                RECORD_BYTES >> 20
            ),
        ))
    }

    pub(super) fn get_shard_iterator(&mut self) -> Result<Value, Refusal> {
        let id = self.text("ShardId").unwrap_or("").to_owned();
        let kind = self.text("ShardIteratorType").unwrap_or("").to_owned();
        let number = self.text("StartingSequenceNumber").map(str::to_owned);
        let timestamp = self.input["Timestamp"].as_f64();
        let now = self.scope.now;
        let account = self.scope.account.clone();
        let stream = self.data_stream()?;
        let shard = stream.shards.get(&id).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                format!(
                    "Shard {id} in stream {} under account {account} does not exist",
                    stream.name
                ),
            )
        })?;
        let position = match kind.as_str() {
            "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" => {
                let number = number.ok_or_else(|| {
                    refuse(
                        "InvalidArgumentException",
                        format!("Must either specify (1) AT_SEQUENCE_NUMBER/AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON/LATEST and no StartingSequenceNumber. Request specified {kind} and no StartingSequenceNumber."),
                    )
                })?;
                let sequence = Sequence::read(&number).ok_or_else(|| {
                    refuse(
                        "InvalidArgumentException",
                        format!("StartingSequenceNumber {number} used in GetShardIterator on shard {id} in stream {} under account {account} is invalid.", stream.name),
                    )
                })?;
                if kind == "AT_SEQUENCE_NUMBER" {
                    Position::At(sequence)
                } else {
                    Position::After(sequence)
                }
            }
            _ if number.is_some() => {
                return Err(refuse(
                    "InvalidArgumentException",
                    format!(
                        "Must either specify (1) AT_SEQUENCE_NUMBER/AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON/LATEST and no StartingSequenceNumber. Request specified {kind} and also a StartingSequenceNumber."
                    ),
                ));
            }
            "TRIM_HORIZON" => Position::At(Sequence::zero()),
            "LATEST" => Position::At(stream.shards.next_sequence()),
            _ => {
                let at = timestamp.ok_or_else(|| {
                    refuse(
                        "InvalidArgumentException",
                        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.",
                    )
                })?;
                let at = Timestamp::from_millisecond((at * 1_000.0) as i64).unwrap_or(now);
                if at > now {
                    return Err(refuse(
                        "InvalidArgumentException",
                        format!(
                            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {}",
                            at.as_millisecond(),
                            now.as_millisecond()
                        ),
                    ));
                }
                from_time(stream, shard, at)
            }
        };
        let iterator = Iterator {
            stream: stream.name.clone(),
            born: stream.shards.born(),
            shard: shard.number,
            position,
            made: now.as_millisecond(),
        };
        Ok(json!({"ShardIterator": iterator.write()}))
    }

    pub(super) fn get_records(&mut self) -> Result<Value, Refusal> {
        let token = self.text("ShardIterator").unwrap_or("").to_owned();
        let limit = self
            .number("Limit")
            .map_or(10_000, |limit| limit.clamp(1, 10_000));
        let limit = usize::try_from(limit).unwrap_or(10_000);
        let now = self.scope.now;
        let iterator = Iterator::read(&token)
            .ok_or_else(|| refuse("InvalidArgumentException", "Invalid ShardIterator."))?;
        if now.as_millisecond() - iterator.made > ITERATOR_MILLIS {
            return Err(refuse(
                "ExpiredIteratorException",
                format!(
                    "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the future than the tolerated delay of {ITERATOR_MILLIS} milliseconds.",
                    iterator.made,
                    now.as_millisecond()
                ),
            ));
        }
        let missing = self.missing(&iterator.stream);
        let stream = self
            .streams
            .streams
            .get(&iterator.stream)
            .filter(|stream| stream.accepts_data() && stream.shards.born() == iterator.born)
            .ok_or(missing)?;
        let shard = stream.shards.by_number(iterator.shard).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                format!(
                    "Shard {} in stream {} does not exist",
                    shard_id(iterator.shard),
                    stream.name
                ),
            )
        })?;
        let records = shard.read(&iterator.position, limit, READ_BYTES);
        let position = match records.last() {
            Some(last) => Position::After(last.sequence.clone()),
            None => iterator.position.clone(),
        };
        let rest = shard.read(&position, 1, usize::MAX);
        let behind = rest.first().map_or(0, |next| behind(now, next.arrival));
        let mut answer = json!({
            "Records": records.iter().map(describe).collect::<Vec<_>>(),
            "MillisBehindLatest": behind,
        });
        if !shard.is_open() && rest.is_empty() {
            answer["ChildShards"] = json!(child_shards(stream, shard));
        } else {
            let next = Iterator {
                position,
                made: now.as_millisecond(),
                ..iterator
            };
            answer["NextShardIterator"] = json!(next.write());
        }
        Ok(answer)
    }
}

/// How late a reader is whose next record arrived at `arrival`, in milliseconds; never 0 when there is one.
pub(super) fn behind(now: Timestamp, arrival: Timestamp) -> i64 {
    (now.as_millisecond() - arrival.as_millisecond()).max(1)
}

/// The position of the first record at or after a time.
pub(super) fn from_time(stream: &Stream, shard: &Shard, at: Timestamp) -> Position {
    match shard.records.iter().find(|record| record.arrival >= at) {
        Some(record) => Position::At(record.sequence.clone()),
        None => Position::At(stream.shards.next_sequence()),
    }
}

pub(super) fn child_shards(stream: &Stream, shard: &Shard) -> Vec<Value> {
    stream
        .shards
        .children(shard.number)
        .into_iter()
        .map(|child| {
            let parents: Vec<String> = child
                .parent
                .into_iter()
                .chain(child.adjacent)
                .map(shard_id)
                .collect();
            json!({
                "ShardId": shard_id(child.number),
                "ParentShards": parents,
                "HashKeyRange": {
                    "StartingHashKey": child.start.to_string(),
                    "EndingHashKey": child.end.to_string(),
                },
            })
        })
        .collect()
}

/// A record as GetRecords gives it.
pub(super) fn describe(record: &Record) -> Value {
    let mut value = json!({
        "SequenceNumber": record.sequence.as_str(),
        "ApproximateArrivalTimestamp": seconds(record.arrival),
        "Data": STANDARD.encode(&record.data),
        "PartitionKey": record.partition_key,
    });
    if record.encrypted {
        value["EncryptionType"] = json!("KMS");
    }
    value
}

fn answered(stream: &Stream, shard: u64, sequence: &Sequence, alone: bool) -> Value {
    let mut answer = json!({"ShardId": shard_id(shard), "SequenceNumber": sequence.as_str()});
    if alone && stream.key.is_some() {
        answer["EncryptionType"] = json!("KMS");
    }
    answer
}

fn check(stream: &Stream, record: &Value, place: &str) -> Result<(Vec<u8>, u128), Refusal> {
    let data = STANDARD
        .decode(record["Data"].as_str().unwrap_or(""))
        .map_err(|_| refuse("SerializationException", "Data is not base64"))?;
    let limit = usize::try_from(stream.max_record).unwrap_or(1_024) * 1_024;
    let key = record["PartitionKey"].as_str().unwrap_or("");
    if data.len() + key.len() > limit {
        return Err(refuse(
            "ValidationException",
            format!(
                "1 validation error detected: Value at '{place}' failed to satisfy constraint: Member must have length less than or equal to {limit}"
            ),
        ));
    }
    let hash = match record["ExplicitHashKey"].as_str() {
        Some(text) => text.parse().map_err(|_| {
            refuse(
                "InvalidArgumentException",
                format!("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"),
            )
        })?,
        None => hash_key(key),
    };
    Ok((data, hash))
}

fn put(stream: &mut Stream, record: &Value, now: Timestamp) -> Result<(u64, Sequence), Refusal> {
    let (data, hash) = check(stream, record, "data")?;
    let key = record["PartitionKey"].as_str().unwrap_or("").to_owned();
    stream.bytes += Record::weight(data.len(), key.len());
    let encrypted = stream.key.is_some();
    stream
        .shards
        .put(hash, key, Bytes::from(data), encrypted, now)
        .ok_or_else(|| {
            refuse(
                "InternalFailureException",
                "no open shard covers the hash key",
            )
        })
}
