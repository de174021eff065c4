//! A KafkaTopic document: what it asks for, how that differs from a topic, what a change would risk. Pure.
//!
//! Must not know: requests, ownership.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_applier::ApplierError;
use tidegate_manifest::{Health, HealthStatus, ResourceKey};

use crate::admin::LiveTopic;
use crate::document::{Fields, invalid, quoted, wrong};

/// The longest name of a topic.
const NAME: usize = 249;
/// Partitions that a document may ask for.
const PARTITIONS: i64 = 100_000;
/// Keys whose values are lists.
const LISTS: &[&str] = &[
    "cleanup.policy",
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
];

/// What a document asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TopicSpec {
    pub(crate) name: String,
    pub(crate) partitions: Option<i32>,
    pub(crate) replicas: Option<i16>,
    pub(crate) config: BTreeMap<String, String>,
}

impl TopicSpec {
    /// Reads a document.
    ///
    /// # Errors
    /// Something in it is no topic; the error says which field.
    pub(crate) fn read(body: &Value, key: &ResourceKey) -> Result<Self, ApplierError> {
        let spec = Fields::of(body.get("spec"), ".spec")?;
        spec.only(&["topicName", "partitions", "replicas", "config"])?;
        let name = spec.text("topicName")?.unwrap_or(&key.name).to_owned();
        check_name(&name)?;
        let partitions = spec.whole("partitions", 1, PARTITIONS)?;
        let replicas = spec.whole("replicas", 1, i64::from(i16::MAX))?;
        let configs = Fields::of(spec.get("config"), ".spec.config")?;
        let mut config = BTreeMap::new();
        for (key, value) in configs.entries() {
            config.insert(key.clone(), config_text(key, value)?);
        }
        Ok(Self {
            name,
            partitions: partitions.and_then(|count| i32::try_from(count).ok()),
            replicas: replicas.and_then(|count| i16::try_from(count).ok()),
            config,
        })
    }

    /// The same from a document that was applied; what cannot be read is left out.
    pub(crate) fn remembered(body: &Value, key: &ResourceKey) -> Self {
        Self::read(body, key).unwrap_or_default()
    }
}

fn check_name(name: &str) -> Result<(), ApplierError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = (1..=NAME).contains(&name.len())
        && name.chars().all(is_good)
        && !matches!(name, "." | "..");
    if is_name {
        return Ok(());
    }
    Err(invalid(
        format!("{} is no name of a topic", quoted(name)),
        "use 1 to 249 letters, digits, dots, underscores and hyphens; set .spec.topicName when the object's name differs",
    ))
}

/// A value as Kafka takes it: texts as they are, lists joined by commas.
fn config_text(key: &str, value: &Value) -> Result<String, ApplierError> {
    let at = format!(".spec.config.{key}");
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let text = match value {
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            items.map(|items| items.join(","))
        }
        other => scalar(other),
    };
    let text = text.ok_or_else(|| match value {
        Value::Null => invalid(
            format!("{at} has no value"),
            "write a value, or remove the key: then the broker's default holds",
        ),
        other => wrong(
            &at,
            "a text, a number, true, false or a list of these",
            other,
        ),
    })?;
    Ok(canonical(key, &text))
}

fn canonical(key: &str, text: &str) -> String {
    if LISTS.contains(&key) {
        let items: Vec<&str> = text.split(',').map(str::trim).collect();
        return items.join(",");
    }
    text.trim().to_owned()
}

/// Whether two texts are one value to Kafka.
pub(crate) fn same_value(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let truth = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    if let (Ok(a), Ok(b)) = (a.parse::<i64>(), b.parse::<i64>()) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (truth(a), truth(b)) {
        return a == b;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        // Whole numbers that are too long for one must not become equal by rounding.
        (Ok(x), Ok(y)) if a.contains(['.', 'e', 'E']) || b.contains(['.', 'e', 'E']) => x == y,
        _ => false,
    }
}

/// What must be done so that a topic is what a document asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TopicChanges {
    pub(crate) grow: Option<i32>,
    pub(crate) config: BTreeMap<String, Option<String>>,
}

impl TopicChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.grow.is_none() && self.config.is_empty()
    }
}

/// How a topic differs from what is wanted; `before` is what its document asked for last: only keys
/// that it set are taken away.
///
/// # Errors
/// What cannot be done: fewer partitions, other replicas.
pub(crate) fn compare(
    wanted: &TopicSpec,
    before: Option<&TopicSpec>,
    live: &LiveTopic,
) -> Result<TopicChanges, ApplierError> {
    let mut changes = TopicChanges::default();
    let there = i32::try_from(live.partitions.len()).unwrap_or(i32::MAX);
    match wanted.partitions {
        Some(count) if count < there => {
            let message = format!(
                ".spec.partitions is {count}, and topic {} has {there}: Kafka cannot take partitions away",
                wanted.name
            );
            return Err(invalid(
                message,
                &format!("write partitions: {there}, or move the records to a new topic"),
            ));
        }
        Some(count) if count > there => changes.grow = Some(count),
        Some(_) | None => {}
    }
    if let (Some(count), Some(has)) = (wanted.replicas, live.replicas())
        && usize::try_from(count).unwrap_or(0) != has
    {
        let message = format!(
            ".spec.replicas is {count}, and topic {} has {has}: another number means moving partitions between brokers, which Tidegate does not do",
            wanted.name
        );
        return Err(invalid(
            message,
            &format!(
                "write replicas: {has}, or move the partitions first, with kafka-reassign-partitions or Cruise Control"
            ),
        ));
    }
    for (key, value) in &wanted.config {
        let found = live.configs.get(key);
        let is_same = found
            .and_then(|config| config.value.as_deref())
            .is_some_and(|live| same_value(live, value));
        if !is_same {
            changes.config.insert(key.clone(), Some(value.clone()));
        }
    }
    for key in before.into_iter().flat_map(|spec| spec.config.keys()) {
        let is_set = live.configs.get(key).is_some_and(|config| config.is_own);
        if is_set && !wanted.config.contains_key(key) {
            changes.config.insert(key.clone(), None);
        }
    }
    Ok(changes)
}

/// A topic as a spec: of the fields that its document has or had, what is there. Values that are as
/// the document writes them are shown as it writes them.
pub(crate) fn shown(live: &LiveTopic, documents: &[&Value], key: &ResourceKey) -> Value {
    let specs: Vec<&Value> = documents.iter().filter_map(|doc| doc.get("spec")).collect();
    let written = |name: &str| specs.iter().find_map(|spec| spec.get(name));
    let mut spec = Map::new();
    if written("topicName").is_some() || live.name != key.name {
        spec.insert("topicName".to_owned(), json!(live.name));
    }
    if written("partitions").is_some() {
        spec.insert("partitions".to_owned(), json!(live.partitions.len()));
    }
    if written("replicas").is_some() {
        let replicas = live.replicas();
        let replicas = replicas.or_else(|| live.partitions.iter().map(|p| p.replicas).max());
        spec.insert("replicas".to_owned(), json!(replicas));
    }
    let mut config = Map::new();
    for source in specs.iter().filter_map(|spec| spec.get("config")) {
        for (name, value) in source.as_object().into_iter().flatten() {
            let Some(found) = live.configs.get(name) else {
                continue;
            };
            let Some(there) = found.value.as_deref() else {
                continue;
            };
            let is_same = config_text(name, value).is_ok_and(|text| same_value(&text, there));
            if is_same {
                config.insert(name.clone(), value.clone());
            } else if found.is_own && !config.contains_key(name) {
                config.insert(name.clone(), json!(there));
            }
        }
    }
    if written("config").is_some() {
        spec.insert("config".to_owned(), Value::Object(config));
    }
    Value::Object(spec)
}

/// What the brokers say of a topic beside what documents ask for.
pub(crate) fn status(live: &LiveTopic) -> Value {
    json!({
        "topicName": live.name,
        "topicId": live.id.to_string(),
        "partitions": live.partitions.len(),
        "replicas": live.replicas(),
    })
}

/// Health by its partitions: each has a leader and enough replicas in sync.
pub(crate) fn health(live: &LiveTopic) -> Health {
    let least = live.configs.get("min.insync.replicas");
    let least = least.and_then(|config| config.value.as_deref()?.parse::<usize>().ok());
    let least = least.unwrap_or(1);
    let of = |words: String| Health::new(HealthStatus::Degraded, words);
    if let Some(lost) = live.partitions.iter().find(|one| !one.has_leader) {
        return of(format!("partition {} has no leader", lost.index));
    }
    if let Some(few) = live.partitions.iter().find(|one| one.in_sync < least) {
        return of(format!(
            "partition {} has {} replicas in sync, and min.insync.replicas is {least}",
            few.index, few.in_sync
        ));
    }
    let behind = live
        .partitions
        .iter()
        .filter(|one| one.in_sync < one.replicas);
    let behind = behind.count();
    let words = if behind > 0 {
        format!("{behind} partitions have replicas that are behind")
    } else {
        String::new()
    };
    Health::new(HealthStatus::Healthy, words)
}

/// What a change puts at risk, for people.
pub(crate) fn risks(wanted: &TopicSpec, live: &LiveTopic, changes: &TopicChanges) -> Vec<String> {
    let mut risks = Vec::new();
    let now = |key: &str| {
        live.configs
            .get(key)
            .and_then(|config| config.value.as_deref())
    };
    let compacts = |policy: Option<&str>| policy.is_some_and(|text| text.contains("compact"));
    if let Some(count) = changes.grow {
        let mut risk = format!(
            "topic {} grows from {} to {count} partitions: records of one key go to other partitions from now on, and their order across the change is lost",
            wanted.name,
            live.partitions.len()
        );
        if compacts(now("cleanup.policy")) {
            risk.push_str(
                "; the topic is compacted, so that old values of a key stay in its old partition",
            );
        }
        risks.push(risk);
    }
    for key in ["retention.ms", "retention.bytes"] {
        let after = match changes.config.get(key) {
            None => continue,
            Some(None) => {
                risks.push(format!(
                    "{key} goes back to the broker's default: records may be deleted sooner"
                ));
                continue;
            }
            Some(Some(after)) => after,
        };
        let (Ok(after), Some(Ok(before))) = (after.parse::<i64>(), now(key).map(str::parse::<i64>))
        else {
            continue;
        };
        // -1 is without end.
        if after >= 0 && (before < 0 || after < before) {
            risks.push(format!(
                "{key} goes from {before} to {after}: records beyond it are deleted, and cannot be had back"
            ));
        }
    }
    if let Some(after) = changes.config.get("cleanup.policy") {
        let (was, will) = (compacts(now("cleanup.policy")), compacts(after.as_deref()));
        if !was && will {
            risks.push("cleanup.policy turns compaction on: of each key the last value stays, and records without a key are refused".to_owned());
        }
        if was && !will {
            risks.push("cleanup.policy turns compaction off: values older than the retention are deleted, the last of a key included".to_owned());
        }
    }
    if let Some(Some(after)) = changes.config.get("min.insync.replicas")
        && let (Ok(after), Some(replicas)) = (after.parse::<usize>(), live.replicas())
        && after > replicas
    {
        risks.push(format!(
            "min.insync.replicas is {after}, and each partition has {replicas}: producers with acks=all will fail"
        ));
    }
    if let Some(Some(after)) = changes.config.get("max.message.bytes")
        && let (Ok(after), Some(Ok(before))) = (
            after.parse::<i64>(),
            now("max.message.bytes").map(str::parse::<i64>),
        )
        && after > before
    {
        risks.push(format!(
            "max.message.bytes grows from {before} to {after}: consumers need max.partition.fetch.bytes to match"
        ));
    }
    risks
}

#[cfg(test)]
mod tests;
