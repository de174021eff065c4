//! Log groups: their life, retention, keys and tags.
//!
//! Must not know: events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope, refuse};

use super::streams::Stream;
use super::subscriptions::Subscription;
use super::{Call, GROUPS, Region, check_name, constraint, exists, invalid, no_group, null};

/// Tags of a group.
const TAGS: usize = 50;
/// The numbers of days that a retention may have.
const DAYS: [i64; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// A log group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) arn: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Days that events are kept.
    pub(super) retention: Option<i64>,
    created: Timestamp,
    key: Option<String>,
    class: String,
}

impl Group {
    pub(super) fn new(scope: &Scope, name: &str) -> Self {
        Self {
            arn: scope.arn("logs", &format!("log-group:{name}")),
            tags: BTreeMap::new(),
            streams: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            retention: None,
            created: scope.now,
            key: None,
            class: "STANDARD".to_owned(),
        }
    }

    /// The oldest time, in milliseconds, of events that are still kept.
    pub(super) fn horizon(&self, now: Timestamp) -> i64 {
        self.retention.map_or(i64::MIN, |days| {
            now.as_millisecond()
                .saturating_sub(days.saturating_mul(86_400_000))
        })
    }

    fn shown(&self, name: &str) -> Value {
        let bytes: usize = self.streams.values().map(|stream| stream.bytes).sum();
        let mut shown = json!({
            "logGroupName": name,
            "creationTime": self.created.as_millisecond(),
            "metricFilterCount": 0,
            "arn": format!("{}:*", self.arn),
            "logGroupArn": self.arn,
            "storedBytes": bytes,
            "logGroupClass": self.class,
        });
        if let Some(days) = self.retention {
            shown["retentionInDays"] = json!(days);
        }
        if let Some(key) = &self.key {
            shown["kmsKeyId"] = json!(key);
        }
        shown
    }

    fn merge(&mut self, more: BTreeMap<String, String>) -> Result<(), Refusal> {
        let fresh = more
            .keys()
            .filter(|key| !self.tags.contains_key(*key))
            .count();
        if self.tags.len() + fresh > TAGS {
            return Err(refuse(
                "TooManyTagsException",
                format!("A resource can have no more than {TAGS} tags."),
            ));
        }
        self.tags.extend(more);
        Ok(())
    }
}

impl Region {
    /// The group with this name, made when there is none; `None` when there is no room.
    pub(super) fn group_or_new(&mut self, scope: &Scope, name: &str) -> Option<&mut Group> {
        if !self.groups.contains_key(name) {
            if self.groups.len() >= GROUPS || check_name(name).is_err() {
                return None;
            }
            self.groups.insert(name.to_owned(), Group::new(scope, name));
        }
        self.groups.get_mut(name)
    }
}

impl Call<'_> {
    fn tags_given(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut tags = BTreeMap::new();
        for (key, value) in self.input["tags"].as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| null("tags"))?;
            if key.is_empty() || key.chars().count() > 128 {
                return Err(constraint(
                    key,
                    "tags",
                    "Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
                ));
            }
            if key.to_lowercase().starts_with("aws:") {
                return Err(invalid(
                    "Tag keys cannot start with the reserved prefix aws:",
                ));
            }
            if value.chars().count() > 256 {
                return Err(constraint(
                    value,
                    "tags",
                    "Map value must satisfy constraint: [Member must have length less than or equal to 256]",
                ));
            }
            tags.insert(key.clone(), value.to_owned());
        }
        Ok(tags)
    }

    fn key_given(&self) -> Result<Option<String>, Refusal> {
        match self.input["kmsKeyId"].as_str() {
            Some(key) if !key.starts_with("arn:") => Err(invalid(format!(
                "The specified KMS Key Id could not be found: {key}"
            ))),
            key => Ok(key.map(str::to_owned)),
        }
    }

    pub(super) fn create_group(&mut self) -> Result<Value, Refusal> {
        let name = self.group_name()?;
        let (key, tags) = (self.key_given()?, self.tags_given()?);
        let class = self.input["logGroupClass"].as_str().unwrap_or("STANDARD");
        if !["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"].contains(&class) {
            return Err(constraint(
                class,
                "logGroupClass",
                "Member must satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, DELIVERY]",
            ));
        }
        if self.region.groups.contains_key(&name) {
            return Err(exists("log group"));
        }
        if self.region.groups.len() >= GROUPS {
            return Err(refuse("LimitExceededException", "Resource limit exceeded."));
        }
        let mut group = Group::new(self.scope, &name);
        group.merge(tags)?;
        group.key = key;
        group.class = class.to_owned();
        self.region.groups.insert(name, group);
        Ok(Value::Null)
    }

    pub(super) fn delete_group(&mut self) -> Result<Value, Refusal> {
        let name = self.group_name()?;
        let group = self.region.groups.remove(&name).ok_or_else(no_group)?;
        let bytes: usize = group.streams.values().map(|stream| stream.bytes).sum();
        self.region.bytes = self.region.bytes.saturating_sub(bytes);
        Ok(Value::Null)
    }

    pub(super) fn describe_groups(&mut self) -> Result<Value, Refusal> {
        let limit = self.limit(50, 50)?;
        let prefix = self.input["logGroupNamePrefix"].as_str();
        let part = self.input["logGroupNamePattern"].as_str();
        if prefix.is_some() && part.is_some() {
            return Err(invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        let class = self.input["logGroupClass"].as_str();
        let part = part.map(str::to_lowercase);
        let entries = self
            .region
            .groups
            .iter()
            .filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)))
            .filter(|(name, _)| {
                part.as_ref()
                    .is_none_or(|part| name.to_lowercase().contains(part.as_str()))
            })
            .filter(|(_, group)| class.is_none_or(|class| group.class == class))
            .map(|(name, group)| (name.clone(), group.shown(name)))
            .collect();
        Ok(self.page("logGroups", entries, limit))
    }

    pub(super) fn put_retention(&mut self) -> Result<Value, Refusal> {
        let days = self.input["retentionInDays"]
            .as_i64()
            .ok_or_else(|| null("retentionInDays"))?;
        if !DAYS.contains(&days) {
            let set: Vec<String> = DAYS.iter().map(i64::to_string).collect();
            return Err(constraint(
                &days.to_string(),
                "retentionInDays",
                &format!("Member must satisfy enum value set: [{}]", set.join(", ")),
            ));
        }
        self.group()?.retention = Some(days);
        Ok(Value::Null)
    }

    pub(super) fn delete_retention(&mut self) -> Result<Value, Refusal> {
        self.group()?.retention = None;
        Ok(Value::Null)
    }

    pub(super) fn associate_key(&mut self) -> Result<Value, Refusal> {
        self.text("kmsKeyId")?;
        let key = self.key_given()?;
        self.group()?.key = key;
        Ok(Value::Null)
    }

    pub(super) fn disassociate_key(&mut self) -> Result<Value, Refusal> {
        self.group()?.key = None;
        Ok(Value::Null)
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = self.tags_given()?;
        self.group()?.merge(tags)?;
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        // The older operation calls the keys `tags`.
        let keys: Vec<String> = ["tagKeys", "tags"]
            .iter()
            .filter_map(|member| self.input[*member].as_array())
            .flatten()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect();
        self.group()?.tags.retain(|key, _| !keys.contains(key));
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&mut self) -> Result<Value, Refusal> {
        Ok(json!({"tags": self.group()?.tags}))
    }
}
