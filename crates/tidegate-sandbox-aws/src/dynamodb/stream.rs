//! The change log of a table and the streams API over it: one shard a stream, records kept for a day.
//!
//! Must not know: expressions, mappings, Lambda.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Tables;
use super::table::Keys;
use super::value::{Item, item_json, item_size};
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;

/// Hours that records are kept.
const KEPT_HOURS: i64 = 24;
/// Bytes of records that one stream keeps.
const LOG_BYTES: usize = 64 << 20;
/// Milliseconds that a shard iterator lives.
const ITERATOR_MILLIS: i64 = 900_000;

/// One change, in its JSON form.
#[derive(Clone, Debug)]
struct Entry {
    number: u64,
    at: Timestamp,
    bytes: usize,
    record: Value,
}

/// The change log of a table.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) arn: String,
    pub(super) label: String,
    pub(super) view: String,
    pub(super) enabled: bool,
    pub(super) bytes: usize,
    created: Timestamp,
    region: String,
    last: u64,
    entries: VecDeque<Entry>,
}

/// Where a reader of a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOrigin {
    /// The oldest record.
    TrimHorizon,
    /// The next record.
    Latest,
}

/// What one read from inside the process gave.
#[derive(Clone, Debug)]
pub struct LogBatch {
    /// The records in their JSON form, oldest first, without `eventSourceARN`.
    pub records: Vec<Value>,
    /// The number to read on from.
    pub next: u64,
    /// The stream was disabled and everything in it was read.
    pub finished: bool,
    /// The shard they come from.
    pub shard: String,
    /// Arrival of the first record that is still to be read, if there is one.
    pub waiting: Option<Timestamp>,
}

fn sequence(number: u64) -> String {
    format!(
        "{}",
        100_000_000_000_000_000_000_u128 + u128::from(number) * 100
    )
}

fn number_of(sequence: &str) -> Option<u64> {
    let value: u128 = sequence.parse().ok()?;
    u64::try_from(value.saturating_sub(100_000_000_000_000_000_000) / 100).ok()
}

impl Log {
    pub(super) fn new(table_arn: &str, view: &str, scope: &Scope) -> Self {
        let label = scope.now.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
        Self {
            arn: format!("{table_arn}/stream/{label}"),
            label,
            view: view.to_owned(),
            enabled: true,
            bytes: 0,
            created: scope.now,
            region: scope.region.clone(),
            last: 0,
            entries: VecDeque::new(),
        }
    }

    fn shard(&self) -> String {
        format!(
            "shardId-{:020}-{:08x}",
            self.created.as_millisecond(),
            crc32fast::hash(self.arn.as_bytes())
        )
    }

    pub(super) fn record(
        &mut self,
        keys: &Keys,
        old: Option<&Item>,
        new: Option<&Item>,
        now: Timestamp,
        expired: bool,
    ) {
        if !self.enabled {
            return;
        }
        let Some(image) = new.or(old) else {
            return;
        };
        self.last += 1;
        let key = keys.of(image);
        let mut change = json!({
            "ApproximateCreationDateTime": now.as_second(),
            "Keys": item_json(&key),
            "SequenceNumber": sequence(self.last),
            "StreamViewType": self.view,
        });
        let mut size = item_size(&key);
        let both = self.view == "NEW_AND_OLD_IMAGES";
        if let Some(new) = new.filter(|_| both || self.view == "NEW_IMAGE") {
            change["NewImage"] = item_json(new);
            size += item_size(new);
        }
        if let Some(old) = old.filter(|_| both || self.view == "OLD_IMAGE") {
            change["OldImage"] = item_json(old);
            size += item_size(old);
        }
        change["SizeBytes"] = json!(size);
        let name = match (old, new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let mut record = json!({
            "eventID": event_id(&self.arn, self.last),
            "eventName": name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.region,
            "dynamodb": change,
        });
        if expired {
            record["userIdentity"] =
                json!({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"});
        }
        let size = record.to_string().len() * 3;
        self.bytes += size;
        self.entries.push_back(Entry {
            number: self.last,
            at: now,
            bytes: size,
            record,
        });
        while self.bytes > LOG_BYTES {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    pub(super) fn trim(&mut self, now: Timestamp) {
        let horizon = now
            .checked_sub(SignedDuration::from_hours(KEPT_HOURS))
            .unwrap_or(Timestamp::MIN);
        while self.entries.front().is_some_and(|entry| entry.at < horizon) {
            self.drop_first();
        }
    }

    fn read(&self, from: u64, limit: usize) -> Vec<&Entry> {
        self.entries
            .iter()
            .skip_while(|entry| entry.number < from)
            .take(limit)
            .collect()
    }

    fn describe(&self, table: &str, keys: &Keys) -> Value {
        let mut range = json!({"StartingSequenceNumber": sequence(1)});
        if !self.enabled {
            range["EndingSequenceNumber"] = json!(sequence(self.last + 1));
        }
        json!({
            "StreamArn": self.arn,
            "StreamLabel": self.label,
            "StreamStatus": if self.enabled { "ENABLED" } else { "DISABLED" },
            "StreamViewType": self.view,
            "CreationRequestDateTime": self.created.as_millisecond() as f64 / 1_000.0,
            "TableName": table,
            "KeySchema": keys.describe(),
            "Shards": [{"ShardId": self.shard(), "SequenceNumberRange": range}],
        })
    }
}

fn event_id(arn: &str, number: u64) -> String {
    use md5::{Digest as _, Md5};
    let digest: [u8; 16] = Md5::digest(format!("{arn}/{number}")).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tables {
    /// Answers one operation of the streams API.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call_streams(
        &mut self,
        scope: &Scope,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.settle(scope.now);
        match operation {
            "ListStreams" => Ok(self.list_streams(input)),
            "DescribeStream" => {
                let arn = input["StreamArn"].as_str().unwrap_or("");
                let (table, keys, log) = self.log(arn)?;
                let mut described = log.describe(table, keys);
                let after = input["ExclusiveStartShardId"].as_str();
                if after.is_some_and(|after| after >= log.shard().as_str()) {
                    described["Shards"] = json!([]);
                }
                Ok(json!({"StreamDescription": described}))
            }
            "GetShardIterator" => self.log_iterator(scope, input),
            "GetRecords" => self.log_records(scope, input),
            other => Err(Refusal::unsupported("DynamoDB Streams", other)),
        }
    }

    fn log(&self, arn: &str) -> Result<(&str, &Keys, &Log), Refusal> {
        self.tables
            .values()
            .find_map(|table| {
                let log = table.log.as_ref().filter(|log| log.arn == arn)?;
                Some((table.name.as_str(), &table.keys, log))
            })
            .ok_or_else(|| {
                refuse(
                    "ResourceNotFoundException",
                    format!("Requested resource not found: Stream: {arn} not found"),
                )
            })
    }

    fn list_streams(&self, input: &Value) -> Value {
        let wanted = input["TableName"].as_str();
        let streams: Vec<Value> = self
            .tables
            .values()
            .filter(|table| wanted.is_none_or(|name| name == table.name))
            .filter_map(|table| {
                let log = table.log.as_ref()?;
                Some(json!({"StreamArn": log.arn, "StreamLabel": log.label, "TableName": table.name}))
            })
            .collect();
        json!({"Streams": streams})
    }

    fn log_iterator(&self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        let arn = input["StreamArn"].as_str().unwrap_or("");
        let (_, _, log) = self.log(arn)?;
        let shard = input["ShardId"].as_str().unwrap_or("");
        if shard != log.shard() {
            return Err(refuse(
                "ResourceNotFoundException",
                "Requested resource not found: Shard does not exist",
            ));
        }
        let given = input["SequenceNumber"].as_str().and_then(number_of);
        let from = match (input["ShardIteratorType"].as_str().unwrap_or(""), given) {
            ("TRIM_HORIZON", None) => 0,
            ("LATEST", None) => log.last + 1,
            ("AT_SEQUENCE_NUMBER", Some(number)) => number,
            ("AFTER_SEQUENCE_NUMBER", Some(number)) => number + 1,
            (kind, _) => {
                return Err(refuse(
                    "ValidationException",
                    format!("SequenceNumber and the iterator type {kind} do not go together"),
                ));
            }
        };
        Ok(json!({"ShardIterator": iterator(arn, from, scope.now)}))
    }

    fn log_records(&self, scope: &Scope, input: &Value) -> Result<Value, Refusal> {
        let token = input["ShardIterator"].as_str().unwrap_or("");
        let bad = || refuse("ValidationException", "Invalid ShardIterator");
        let text = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(bad)?;
        let parts: Vec<&str> = text.splitn(3, '|').collect();
        let [from, made, arn] = parts[..] else {
            return Err(bad());
        };
        let from: u64 = from.parse().map_err(|_| bad())?;
        let made: i64 = made.parse().map_err(|_| bad())?;
        if scope.now.as_millisecond() - made > ITERATOR_MILLIS {
            return Err(refuse(
                "ExpiredIteratorException",
                "Iterator expired. The iterator is older than 15 minutes.",
            ));
        }
        let limit = input["Limit"]
            .as_u64()
            .map_or(1_000, |limit| limit.clamp(1, 1_000));
        let (_, _, log) = self.log(arn)?;
        let entries = log.read(from, usize::try_from(limit).unwrap_or(1_000));
        let next = entries.last().map_or(from, |entry| entry.number + 1);
        let mut answer =
            json!({"Records": entries.iter().map(|entry| &entry.record).collect::<Vec<_>>()});
        if log.enabled || next <= log.last {
            answer["NextShardIterator"] = json!(iterator(arn, next, scope.now));
        }
        Ok(answer)
    }

    /// The number at which an origin begins; `None` when there is no such stream.
    pub(crate) fn log_origin(&self, arn: &str, origin: LogOrigin) -> Option<u64> {
        let (_, _, log) = self.log(arn).ok()?;
        Some(match origin {
            LogOrigin::TrimHorizon => 0,
            LogOrigin::Latest => log.last + 1,
        })
    }

    /// Reads a stream from inside the process; `None` when there is no such stream.
    pub(crate) fn read_log(
        &mut self,
        arn: &str,
        from: u64,
        limit: usize,
        now: Timestamp,
    ) -> Option<LogBatch> {
        self.settle(now);
        let (_, _, log) = self.log(arn).ok()?;
        let entries = log.read(from, limit);
        let next = entries.last().map_or(from, |entry| entry.number + 1);
        Some(LogBatch {
            records: entries.iter().map(|entry| entry.record.clone()).collect(),
            next,
            finished: !log.enabled && next > log.last,
            shard: log.shard(),
            waiting: log.read(next, 1).first().map(|entry| entry.at),
        })
    }
}

fn iterator(arn: &str, from: u64, now: Timestamp) -> String {
    URL_SAFE_NO_PAD.encode(format!("{from}|{}|{arn}", now.as_millisecond()))
}
