//! One stream with its state, and the changes that come due: a stream is CREATING, UPDATING or DELETING until its moment.
//!
//! Must not know: requests, HTTP.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::sequence::seconds;
use super::shard::Shards;

/// Default and least retention, in hours.
pub(super) const LEAST_RETENTION: i64 = 24;
/// Greatest retention, in hours.
pub(super) const GREATEST_RETENTION: i64 = 8_760;
/// Shards of a new on-demand stream.
pub(super) const ON_DEMAND_SHARDS: u64 = 4;
/// What `ALL` stands for among the shard-level metrics.
pub(super) const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Provisioned,
    OnDemand,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "PROVISIONED",
            Self::OnDemand => "ON_DEMAND",
        }
    }

    pub(super) fn read(name: &str) -> Self {
        if name == "ON_DEMAND" {
            Self::OnDemand
        } else {
            Self::Provisioned
        }
    }
}

/// What happens to a stream once its present change is through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Create(u64),
    Scale(u64),
    Split(u64, u128),
    Merge(u64, u64),
    Retention(i64),
    Encrypt(Option<String>),
    Mode(Mode),
    MaxRecord(i64),
    Nothing,
}

#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: Timestamp,
    pub(super) active_at: Timestamp,
    pub(super) gone_at: Option<Timestamp>,
    pub(super) tags: BTreeMap<String, String>,
}

impl Consumer {
    pub(super) fn describe(&self, now: Timestamp) -> Value {
        let status = if self.gone_at.is_some() {
            "DELETING"
        } else if now < self.active_at {
            "CREATING"
        } else {
            "ACTIVE"
        };
        json!({
            "ConsumerName": self.name,
            "ConsumerARN": self.arn,
            "ConsumerStatus": status,
            "ConsumerCreationTimestamp": seconds(self.created),
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) mode: Mode,
    pub(super) created: Timestamp,
    pub(super) retention: i64,
    pub(super) key: Option<String>,
    pub(super) shards: Shards,
    pub(super) metrics: BTreeSet<String>,
    pub(super) max_record: i64,
    pub(super) warm: Option<i64>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) consumers: BTreeMap<String, Consumer>,
    pub(super) policy: Option<String>,
    pub(super) bytes: usize,
    /// Times of the last shard count updates, mode switches and key changes.
    pub(super) scalings: Vec<Timestamp>,
    pub(super) switches: Vec<Timestamp>,
    pub(super) due: Option<(Timestamp, Change)>,
}

impl Stream {
    /// Brings the stream to its state at `now`. Says whether it is gone.
    pub(super) fn settle(&mut self, now: Timestamp) -> bool {
        self.consumers
            .retain(|_, consumer| consumer.gone_at.is_none_or(|gone| now < gone));
        if let Some((at, _)) = &self.due
            && *at <= now
            && let Some((at, change)) = self.due.take()
        {
            if self.status == Status::Deleting {
                return true;
            }
            self.complete(change, at);
        }
        let horizon = now
            .checked_sub(SignedDuration::from_hours(self.retention))
            .unwrap_or(Timestamp::MIN);
        let freed = self.shards.trim(horizon);
        self.bytes = self.bytes.saturating_sub(freed);
        false
    }

    fn complete(&mut self, change: Change, at: Timestamp) {
        self.status = Status::Active;
        match change {
            Change::Create(count) => self.shards = Shards::uniform(count, at),
            Change::Scale(count) => self.shards.scale(count, at),
            Change::Split(number, hash) => self.shards.split(number, hash, at),
            Change::Merge(a, b) => self.shards.merge(a, b, at),
            Change::Retention(hours) => self.retention = hours,
            Change::Encrypt(key) => self.key = key,
            Change::Mode(mode) => self.mode = mode,
            Change::MaxRecord(size) => self.max_record = size,
            Change::Nothing => {}
        }
    }

    /// Starts a change that comes through at `at`.
    pub(super) fn update(&mut self, change: Change, at: Timestamp) {
        self.status = Status::Updating;
        self.due = Some((at, change));
    }

    pub(super) fn accepts_data(&self) -> bool {
        matches!(self.status, Status::Active | Status::Updating)
    }

    fn common(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut set = |name: &str, value: Value| {
            map.insert(name.to_owned(), value);
        };
        set("StreamName", json!(self.name));
        set("StreamARN", json!(self.arn));
        set("StreamId", json!(self.id));
        set("StreamStatus", json!(self.status.name()));
        set("StreamModeDetails", json!({"StreamMode": self.mode.name()}));
        set("RetentionPeriodHours", json!(self.retention));
        set("StreamCreationTimestamp", json!(seconds(self.created)));
        set(
            "EnhancedMonitoring",
            json!([{"ShardLevelMetrics": self.metrics}]),
        );
        match &self.key {
            Some(key) => {
                set("EncryptionType", json!("KMS"));
                set("KeyId", json!(key));
            }
            None => set("EncryptionType", json!("NONE")),
        }
        map
    }

    pub(super) fn summary(&self) -> Value {
        let mut map = self.common();
        map.insert("OpenShardCount".into(), json!(self.shards.open_count()));
        map.insert("ConsumerCount".into(), json!(self.consumers.len()));
        map.insert("MaxRecordSizeInKiB".into(), json!(self.max_record));
        if let Some(warm) = self.warm {
            map.insert(
                "WarmThroughput".into(),
                json!({"TargetMiBps": warm, "CurrentMiBps": warm}),
            );
        }
        Value::Object(map)
    }

    pub(super) fn describe(&self, after: Option<&str>, limit: usize) -> Value {
        let mut map = self.common();
        map.remove("StreamId");
        let mut shards: Vec<Value> = self
            .shards
            .all
            .iter()
            .filter(|shard| {
                after.is_none_or(|after| super::shard::shard_id(shard.number).as_str() > after)
            })
            .map(super::shard::Shard::describe)
            .collect();
        let more = shards.len() > limit;
        shards.truncate(limit);
        map.insert("Shards".into(), json!(shards));
        map.insert("HasMoreShards".into(), json!(more));
        Value::Object(map)
    }
}
