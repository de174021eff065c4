//! Streams made, described, changed and deleted.
//!
//! Must not know: records, consumers' operations.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::shard::Shards;
use super::stream::{
    Change, GREATEST_RETENTION, LEAST_RETENTION, METRICS, Mode, ON_DEMAND_SHARDS, Status, Stream,
};
use super::{Call, SHARDS, STREAMS};
use crate::refusal::{Refusal, refuse};

/// Streams that may be CREATING at once.
const CREATING: usize = 5;
/// Mode switches of one stream in 24 hours.
const SWITCHES: usize = 2;
/// Default greatest record, in KiB.
const MAX_RECORD: i64 = 1_024;

impl Call<'_> {
    pub(super) fn create_stream(&mut self) -> Result<Value, Refusal> {
        let name = self.stream_name()?;
        let mode = Mode::read(
            self.input["StreamModeDetails"]["StreamMode"]
                .as_str()
                .unwrap_or("PROVISIONED"),
        );
        let count = match (mode, self.number("ShardCount")) {
            (Mode::OnDemand, Some(_)) => {
                return Err(refuse(
                    "ValidationException",
                    "ShardCount must not be set when StreamMode is ON_DEMAND.",
                ));
            }
            (Mode::OnDemand, None) => ON_DEMAND_SHARDS,
            (Mode::Provisioned, Some(count)) => u64::try_from(count).unwrap_or(1),
            (Mode::Provisioned, None) => {
                return Err(refuse(
                    "ValidationException",
                    "ShardCount must be set when StreamMode is PROVISIONED.",
                ));
            }
        };
        let account = &self.scope.account;
        if self.streams.streams.contains_key(&name) {
            return Err(refuse(
                "ResourceInUseException",
                format!("Stream {name} under account {account} already exists."),
            ));
        }
        let creating = self
            .streams
            .streams
            .values()
            .filter(|stream| stream.status == Status::Creating)
            .count();
        if creating >= CREATING {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "Rate exceeded for account {account}: at most {CREATING} streams may be in the CREATING state."
                ),
            ));
        }
        let open: u64 = self
            .streams
            .streams
            .values()
            .map(|s| s.shards.open_count())
            .sum();
        if open + count > SHARDS || self.streams.streams.len() >= STREAMS {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "This request would exceed the shard limit for the account {account} in {}. \
                     Current shard count for the account: {open}. Limit: {SHARDS}. \
                     Number of additional shards that would have resulted from this request: {count}. \
                     Refer to the AWS Service Limits page (https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) \
                     for current limits and how to request higher limits.",
                    self.scope.region
                ),
            ));
        }
        let tags = super::tags::read_tags(&self.input["Tags"])?;
        let arn = self.scope.arn("kinesis", &format!("stream/{name}"));
        let stream = Stream {
            name: name.clone(),
            arn,
            id: self.scope.stable_id(&name, 20) + "-abc",
            status: Status::Creating,
            mode,
            created: self.scope.now,
            retention: LEAST_RETENTION,
            key: None,
            shards: Shards::none(self.scope.now),
            metrics: BTreeSet::new(),
            max_record: self.number("MaxRecordSizeInKiB").unwrap_or(MAX_RECORD),
            warm: self.number("WarmThroughputMiBps"),
            tags,
            consumers: std::collections::BTreeMap::new(),
            policy: None,
            bytes: 0,
            scalings: Vec::new(),
            switches: Vec::new(),
            due: Some((self.due(), Change::Create(count))),
        };
        self.streams.streams.insert(name, stream);
        Ok(Value::Null)
    }

    pub(super) fn delete_stream(&mut self) -> Result<Value, Refusal> {
        let due = self.due();
        let account = self.scope.account.clone();
        let enforce = self.input["EnforceConsumerDeletion"].as_bool() == Some(true);
        let stream = self.stream()?;
        if !stream.consumers.is_empty() && !enforce {
            return Err(refuse(
                "ResourceInUseException",
                format!(
                    "Stream {} under account {account} has registered consumers. \
                     Deregister them, or set EnforceConsumerDeletion to true.",
                    stream.name
                ),
            ));
        }
        // One that is going already goes when it was to go.
        if stream.status != Status::Deleting {
            stream.status = Status::Deleting;
            stream.consumers.clear();
            stream.due = Some((due, Change::Nothing));
        }
        Ok(Value::Null)
    }

    pub(super) fn describe_stream(&mut self) -> Result<Value, Refusal> {
        let limit = self
            .number("Limit")
            .map_or(100, |limit| limit.clamp(1, 10_000));
        let after = self.text("ExclusiveStartShardId").map(str::to_owned);
        let stream = self.stream()?;
        let limit = usize::try_from(limit).unwrap_or(100);
        Ok(json!({"StreamDescription": stream.describe(after.as_deref(), limit)}))
    }

    pub(super) fn describe_stream_summary(&mut self) -> Result<Value, Refusal> {
        Ok(json!({"StreamDescriptionSummary": self.stream()?.summary()}))
    }

    pub(super) fn list_streams(&mut self) -> Result<Value, Refusal> {
        let limit = self
            .number("Limit")
            .map_or(100, |limit| limit.clamp(1, 10_000));
        let limit = usize::try_from(limit).unwrap_or(100);
        let after = self
            .text("NextToken")
            .or(self.text("ExclusiveStartStreamName"));
        let mut found: Vec<&Stream> = self
            .streams
            .streams
            .values()
            .filter(|stream| after.is_none_or(|after| stream.name.as_str() > after))
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let mut answer = json!({
            "StreamNames": found.iter().map(|stream| &stream.name).collect::<Vec<_>>(),
            "HasMoreStreams": more,
            "StreamSummaries": found.iter().map(|stream| json!({
                "StreamName": stream.name,
                "StreamARN": stream.arn,
                "StreamId": stream.id,
                "StreamStatus": stream.status.name(),
                "StreamModeDetails": {"StreamMode": stream.mode.name()},
                "StreamCreationTimestamp": super::sequence::seconds(stream.created),
            })).collect::<Vec<_>>(),
        });
        if more && let Some(last) = found.last() {
            answer["NextToken"] = json!(last.name);
        }
        Ok(answer)
    }

    pub(super) fn describe_limits(&mut self) -> Value {
        let streams = self.streams.streams.values();
        let on_demand = streams
            .clone()
            .filter(|stream| stream.mode == Mode::OnDemand)
            .count();
        let open: u64 = streams.map(|stream| stream.shards.open_count()).sum();
        json!({
            "ShardLimit": SHARDS,
            "OpenShardCount": open,
            "OnDemandStreamCount": on_demand,
            "OnDemandStreamCountLimit": 50,
        })
    }

    pub(super) fn retention(&mut self, increase: bool) -> Result<Value, Refusal> {
        let hours = self.number("RetentionPeriodHours").unwrap_or(0);
        let due = self.due();
        let account = self.scope.account.clone();
        let stream = self.active_stream()?;
        let refused = |words: String| Err(refuse("InvalidArgumentException", words));
        if hours < LEAST_RETENTION {
            return refused(format!(
                "Minimum allowed retention period is {LEAST_RETENTION} hours. Requested retention period ({hours} hours) is too short."
            ));
        }
        if hours > GREATEST_RETENTION {
            return refused(format!(
                "Maximum allowed retention period is {GREATEST_RETENTION} hours. Requested retention period ({hours} hours) is too long."
            ));
        }
        if increase && hours < stream.retention {
            return refused(format!(
                "Requested retention period ({hours} hours) for stream {} can not be shorter than existing retention period ({} hours). \
                 Use DecreaseRetentionPeriod API.",
                stream.name, stream.retention
            ));
        }
        if !increase && hours > stream.retention {
            return refused(format!(
                "Requested retention period ({hours} hours) for stream {} under account {account} can not be longer than existing retention period ({} hours). \
                 Use IncreaseRetentionPeriod API.",
                stream.name, stream.retention
            ));
        }
        if hours != stream.retention {
            stream.update(Change::Retention(hours), due);
        }
        Ok(Value::Null)
    }

    pub(super) fn start_encryption(&mut self) -> Result<Value, Refusal> {
        let key = self.text("KeyId").unwrap_or("alias/aws/kinesis").to_owned();
        if self.text("EncryptionType") != Some("KMS") {
            return Err(refuse(
                "InvalidArgumentException",
                "EncryptionType must be KMS.",
            ));
        }
        let due = self.due();
        let stream = self.active_stream()?;
        stream.update(Change::Encrypt(Some(key)), due);
        Ok(Value::Null)
    }

    pub(super) fn stop_encryption(&mut self) -> Result<Value, Refusal> {
        let due = self.due();
        let stream = self.active_stream()?;
        stream.update(Change::Encrypt(None), due);
        Ok(Value::Null)
    }

    pub(super) fn monitoring(&mut self, enable: bool) -> Result<Value, Refusal> {
        let listed: Vec<String> = self.input["ShardLevelMetrics"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|metric| metric.as_str().map(str::to_owned))
            .collect();
        let chosen: BTreeSet<String> = if listed.iter().any(|metric| metric == "ALL") {
            METRICS.iter().map(|metric| (*metric).to_owned()).collect()
        } else {
            listed.into_iter().collect()
        };
        let due = self.due();
        let stream = self.active_stream()?;
        let current = stream.metrics.clone();
        let desired: BTreeSet<String> = if enable {
            current.union(&chosen).cloned().collect()
        } else {
            current.difference(&chosen).cloned().collect()
        };
        stream.metrics.clone_from(&desired);
        stream.update(Change::Nothing, due);
        Ok(json!({
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardLevelMetrics": current,
            "DesiredShardLevelMetrics": desired,
        }))
    }

    pub(super) fn update_mode(&mut self) -> Result<Value, Refusal> {
        let mode = Mode::read(
            self.input["StreamModeDetails"]["StreamMode"]
                .as_str()
                .unwrap_or("PROVISIONED"),
        );
        let due = self.due();
        let now = self.scope.now;
        let day = now
            .checked_sub(SignedDuration::from_hours(24))
            .unwrap_or(now);
        let account = self.scope.account.clone();
        let stream = self.active_stream()?;
        if stream.mode == mode {
            return Err(refuse(
                "ValidationException",
                format!(
                    "The stream {} is already in the {} mode.",
                    stream.name,
                    mode.name()
                ),
            ));
        }
        stream.switches.retain(|at| *at > day);
        if stream.switches.len() >= SWITCHES {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "Stream {} under account {account} has switched its mode {SWITCHES} times in the last 24 hours.",
                    stream.name
                ),
            ));
        }
        stream.switches.push(now);
        stream.update(Change::Mode(mode), due);
        Ok(Value::Null)
    }

    pub(super) fn update_max_record_size(&mut self) -> Result<Value, Refusal> {
        let size = self.number("MaxRecordSizeInKiB").unwrap_or(MAX_RECORD);
        let due = self.due();
        let stream = self.active_stream()?;
        stream.update(Change::MaxRecord(size), due);
        Ok(Value::Null)
    }

    pub(super) fn update_warm_throughput(&mut self) -> Result<Value, Refusal> {
        let warm = self.number("WarmThroughputMiBps").unwrap_or(0);
        let due = self.due();
        let stream = self.active_stream()?;
        if stream.mode == Mode::Provisioned {
            return Err(refuse(
                "ValidationException",
                "Warm throughput can only be set on a stream in the ON_DEMAND mode.",
            ));
        }
        let current = stream.warm.replace(warm).unwrap_or(0);
        stream.update(Change::Nothing, due);
        Ok(json!({
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "WarmThroughput": {"TargetMiBps": warm, "CurrentMiBps": current},
        }))
    }
}
