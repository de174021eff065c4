//! One table: keys, indexes, items, state, description.
//!
//! Must not know: requests, expressions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::number::Number;
use super::stream::Log;
use super::value::{Attribute, Item, item_size, item_weight};

/// Bytes of the largest item.
pub(super) const LARGEST_ITEM: usize = 400 * 1_024;
/// Seconds between two sweeps for expired items.
const SWEEP_SECONDS: i64 = 60;

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

/// A key attribute's value, in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyPart {
    Text(String),
    Number(Number),
    Binary(Vec<u8>),
}

impl KeyPart {
    pub(super) fn of(value: &Attribute) -> Option<Self> {
        match value {
            Attribute::Text(text) => Some(Self::Text(text.clone())),
            Attribute::Number(number) => Some(Self::Number(number.clone())),
            Attribute::Binary(bytes) => Some(Self::Binary(bytes.clone())),
            _ => None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Binary(bytes) => bytes.clone(),
        }
    }
}

/// Where an item lies: by the hash of its partition key, then by the keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ItemKey {
    pub(super) bucket: [u8; 16],
    pub(super) hash: KeyPart,
    pub(super) range: Option<KeyPart>,
}

impl ItemKey {
    pub(super) fn new(hash: KeyPart, range: Option<KeyPart>) -> Self {
        Self {
            bucket: Md5::digest(hash.bytes()).into(),
            hash,
            range,
        }
    }
}

/// The names of the key attributes of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) hash: String,
    pub(super) range: Option<String>,
}

impl Keys {
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    pub(super) fn describe(&self) -> Value {
        let mut schema = vec![json!({"AttributeName": self.hash, "KeyType": "HASH"})];
        if let Some(range) = &self.range {
            schema.push(json!({"AttributeName": range, "KeyType": "RANGE"}));
        }
        json!(schema)
    }

    /// The key of an item that has all key attributes.
    pub(super) fn key(&self, item: &Item) -> Option<ItemKey> {
        let hash = KeyPart::of(item.get(&self.hash)?)?;
        let range = match &self.range {
            Some(range) => Some(KeyPart::of(item.get(range)?)?),
            None => None,
        };
        Some(ItemKey::new(hash, range))
    }

    /// The key attributes of an item.
    pub(super) fn of(&self, item: &Item) -> Item {
        self.names()
            .filter_map(|name| Some((name.clone(), item.get(name)?.clone())))
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexState {
    Creating(Timestamp),
    Active,
    Deleting(Timestamp),
}

/// A secondary index.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) global: bool,
    pub(super) keys: Keys,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub(super) projection: String,
    pub(super) include: Vec<String>,
    pub(super) throughput: Option<(i64, i64)>,
    pub(super) on_demand: Option<Value>,
    pub(super) state: IndexState,
}

impl Index {
    /// The part of an item that the index holds.
    pub(super) fn project(&self, table: &Keys, item: &Item) -> Item {
        if self.projection == "ALL" {
            return item.clone();
        }
        item.iter()
            .filter(|(name, _)| {
                self.keys.names().any(|key| key == *name)
                    || table.names().any(|key| key == *name)
                    || (self.projection == "INCLUDE" && self.include.contains(name))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

#[derive(Clone, Debug)]
pub(super) struct TimeToLive {
    pub(super) attribute: String,
    pub(super) enabled: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) due: Option<Timestamp>,
    pub(super) created: Timestamp,
    pub(super) keys: Keys,
    /// `S`, `N` or `B` by attribute name.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) indexes: Vec<Index>,
    pub(super) on_demand: bool,
    pub(super) billed: bool,
    pub(super) throughput: (i64, i64),
    pub(super) on_demand_limits: Option<Value>,
    pub(super) warm: Option<Value>,
    pub(super) class: Option<String>,
    pub(super) encryption: Option<Value>,
    pub(super) protected: bool,
    pub(super) time_to_live: Option<TimeToLive>,
    pub(super) recovery: Option<(i64, Timestamp)>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) policy: Option<(String, String)>,
    pub(super) log: Option<Log>,
    pub(super) items: BTreeMap<ItemKey, Item>,
    pub(super) item_bytes: usize,
    /// What the items weigh in memory.
    pub(super) weight: usize,
    pub(super) swept: i64,
}

impl Table {
    /// Brings the table to its state at `now`. Says whether it is gone.
    pub(super) fn settle(&mut self, now: Timestamp) -> bool {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            if self.status == Status::Deleting {
                return true;
            }
            self.status = Status::Active;
        }
        self.indexes.retain(|index| match index.state {
            IndexState::Deleting(gone) => now < gone,
            IndexState::Creating(_) | IndexState::Active => true,
        });
        for index in &mut self.indexes {
            if let IndexState::Creating(ready) = index.state
                && ready <= now
            {
                index.state = IndexState::Active;
            }
        }
        if let Some(log) = &mut self.log {
            log.trim(now);
        }
        self.sweep(now);
        false
    }

    /// Removes items whose time to live is over.
    fn sweep(&mut self, now: Timestamp) {
        let Some(attribute) = self
            .time_to_live
            .as_ref()
            .filter(|ttl| ttl.enabled)
            .map(|ttl| ttl.attribute.clone())
        else {
            return;
        };
        let second = now.as_second();
        if second - self.swept < SWEEP_SECONDS {
            return;
        }
        self.swept = second;
        let expired: Vec<ItemKey> = self
            .items
            .iter()
            .filter(|(_, item)| match item.get(&attribute) {
                Some(Attribute::Number(number)) => {
                    Number::parse(&second.to_string()).is_ok_and(|present| *number < present)
                }
                _ => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in expired {
            self.remove(&key, now, true);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.weight + self.log.as_ref().map_or(0, |log| log.bytes)
    }

    /// Stores an item under its key and logs the change; gives the old one.
    pub(super) fn store(&mut self, key: ItemKey, item: Item, now: Timestamp) -> Option<Item> {
        self.item_bytes += item_size(&item);
        self.weight += item_weight(&item);
        let log = self.log.as_mut();
        if let Some(log) = log {
            let old = self.items.get(&key);
            if old != Some(&item) {
                log.record(&self.keys, old, Some(&item), now, false);
            }
        }
        let old = self.items.insert(key, item);
        if let Some(old) = &old {
            self.item_bytes = self.item_bytes.saturating_sub(item_size(old));
            self.weight = self.weight.saturating_sub(item_weight(old));
        }
        old
    }

    /// Removes an item and logs the change; gives it.
    pub(super) fn remove(&mut self, key: &ItemKey, now: Timestamp, expired: bool) -> Option<Item> {
        let old = self.items.remove(key)?;
        self.item_bytes = self.item_bytes.saturating_sub(item_size(&old));
        self.weight = self.weight.saturating_sub(item_weight(&old));
        if let Some(log) = &mut self.log {
            log.record(&self.keys, Some(&old), None, now, expired);
        }
        Some(old)
    }

    pub(super) fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// `TableDescription`.
    pub(super) fn describe(&self) -> Value {
        let mut map = Map::new();
        let mut set = |name: &str, value: Value| {
            map.insert(name.to_owned(), value);
        };
        set("TableName", json!(self.name));
        set("TableArn", json!(self.arn));
        set("TableId", json!(self.id));
        set("TableStatus", json!(self.status.name()));
        set(
            "CreationDateTime",
            json!(self.created.as_millisecond() as f64 / 1_000.0),
        );
        set("KeySchema", self.keys.describe());
        let attributes: Vec<Value> = self
            .attributes
            .iter()
            .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
            .collect();
        set("AttributeDefinitions", json!(attributes));
        set("ItemCount", json!(self.items.len()));
        set("TableSizeBytes", json!(self.item_bytes));
        set(
            "ProvisionedThroughput",
            json!({
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": self.throughput.0,
                "WriteCapacityUnits": self.throughput.1,
            }),
        );
        if self.billed {
            let mode = if self.on_demand {
                "PAY_PER_REQUEST"
            } else {
                "PROVISIONED"
            };
            set("BillingModeSummary", json!({"BillingMode": mode}));
        }
        for (field, global) in [
            ("GlobalSecondaryIndexes", true),
            ("LocalSecondaryIndexes", false),
        ] {
            let indexes: Vec<Value> = self
                .indexes
                .iter()
                .filter(|index| index.global == global)
                .map(|index| self.describe_index(index))
                .collect();
            if !indexes.is_empty() {
                set(field, json!(indexes));
            }
        }
        if let Some(log) = &self.log {
            if log.enabled {
                set(
                    "StreamSpecification",
                    json!({"StreamEnabled": true, "StreamViewType": log.view}),
                );
            }
            set("LatestStreamArn", json!(log.arn));
            set("LatestStreamLabel", json!(log.label));
        }
        if let Some(encryption) = &self.encryption {
            set("SSEDescription", encryption.clone());
        }
        if let Some(class) = &self.class {
            set("TableClassSummary", json!({"TableClass": class}));
        }
        if let Some(limits) = &self.on_demand_limits {
            set("OnDemandThroughput", limits.clone());
        }
        if let Some(warm) = &self.warm {
            set("WarmThroughput", warm.clone());
        }
        set("DeletionProtectionEnabled", json!(self.protected));
        Value::Object(map)
    }

    fn describe_index(&self, index: &Index) -> Value {
        let mut projection = json!({"ProjectionType": index.projection});
        if index.projection == "INCLUDE" {
            projection["NonKeyAttributes"] = json!(index.include);
        }
        let held = || {
            self.items
                .values()
                .filter(|item| index.keys.key(item).is_some())
        };
        let mut described = json!({
            "IndexName": index.name,
            "IndexArn": format!("{}/index/{}", self.arn, index.name),
            "KeySchema": index.keys.describe(),
            "Projection": projection,
            "ItemCount": held().count(),
            "IndexSizeBytes": held().map(item_size).sum::<usize>(),
        });
        if index.global {
            let (read, write) = index.throughput.unwrap_or((0, 0));
            described["ProvisionedThroughput"] = json!({
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": read,
                "WriteCapacityUnits": write,
            });
            described["IndexStatus"] = json!(match index.state {
                IndexState::Creating(_) => "CREATING",
                IndexState::Active => "ACTIVE",
                IndexState::Deleting(_) => "DELETING",
            });
            if matches!(index.state, IndexState::Creating(_)) {
                described["Backfilling"] = json!(true);
            }
            if let Some(limits) = &index.on_demand {
                described["OnDemandThroughput"] = limits.clone();
            }
        }
        described
    }
}
