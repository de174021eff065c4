//! A KafkaTopic on the broker: created, configured, grown, put back and deleted, in the order of the Topic Operator.
//! It owns every setting of the topic: what is not in the manifest is taken off.

use super::topic::{Refusal, decreasing};
use crate::broker::{Broker, BrokerRefusal, BrokerTopic};
use crate::value::{at, int};
use serde_json::Value;
use std::collections::BTreeMap;

/// A setting as the operator hands it to Kafka; `None` for a null.
type Setting = Option<String>;

/// Brings the topic to what its manifest says; the topic as it then stands.
pub(super) fn reconcile(
    broker: &dyn Broker,
    topic: &Value,
    name: &str,
    default_partitions: i64,
) -> Result<BrokerTopic, Refusal> {
    let wanted = settings(topic)?;
    let partitions = int(topic, "spec.partitions");
    let Some(live) = broker.topic(name) else {
        let partitions = count(partitions.unwrap_or(default_partitions));
        let made = broker.create_topic(name, partitions, &all_set(wanted)?);
        return made.map_err(|refusal| refused(&refusal));
    };
    let configured = configure(broker, name, &live, wanted);
    // A change of the partitions is tried although the settings were refused.
    let grown = match partitions.map(count) {
        Some(wanted) if wanted < live.partitions => Err(decreasing()),
        Some(wanted) if wanted > live.partitions => broker
            .grow_topic(name, wanted)
            .map_err(|refusal| refused(&refusal)),
        _ => Ok(()),
    };
    configured.and(grown)?;
    Ok(broker.topic(name).unwrap_or(live))
}

/// Deletes the topic.
pub(super) fn delete(broker: &dyn Broker, name: &str) -> Result<(), Refusal> {
    broker
        .delete_topic(name)
        .map_err(|refusal| refused(&refusal))
}

fn configure(
    broker: &dyn Broker,
    name: &str,
    live: &BrokerTopic,
    wanted: BTreeMap<String, Setting>,
) -> Result<(), Refusal> {
    let nulls = nulls(&wanted);
    if !nulls.is_empty() {
        let error = "INVALID_REQUEST".to_owned();
        let message = format!("Null value not supported for : {nulls}");
        return Err(refused(&BrokerRefusal { error, message }));
    }
    let mut changes: BTreeMap<String, Setting> = live
        .configs
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .map(|key| (key.clone(), None))
        .collect();
    changes.extend(
        wanted
            .into_iter()
            .filter(|(key, value)| live.configs.get(key) != value.as_ref()),
    );
    if changes.is_empty() {
        return Ok(());
    }
    broker
        .configure_topic(name, &changes)
        .map_err(|refusal| refused(&refusal))
}

/// The settings of the manifest as text: numbers and booleans as they are written, the parts of a list with commas.
fn settings(topic: &Value) -> Result<BTreeMap<String, Setting>, Refusal> {
    let config = at(topic, "spec.config").as_object();
    let words = |key: &str, value: &Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Refusal(
            "InternalError",
            format!(
                "the value of config '{key}' is neither a text, a number, a boolean nor a list of those"
            ),
        )),
    };
    let setting = |(key, value): (&String, &Value)| {
        let text = match value {
            Value::Array(parts) => {
                let parts: Result<Vec<Setting>, Refusal> =
                    parts.iter().map(|part| words(key, part)).collect();
                let parts: Vec<String> = parts?.into_iter().flatten().collect();
                Some(parts.join(","))
            }
            plain => words(key, plain)?,
        };
        Ok((key.clone(), text))
    };
    config.into_iter().flatten().map(setting).collect()
}

/// The settings of a new topic, none of them null.
fn all_set(wanted: BTreeMap<String, Setting>) -> Result<BTreeMap<String, String>, Refusal> {
    let nulls = nulls(&wanted);
    if nulls.is_empty() {
        let set = wanted.into_iter();
        return Ok(set.filter_map(|(key, value)| Some((key, value?))).collect());
    }
    let error = "INVALID_CONFIG".to_owned();
    let message = format!("Null value not supported for topic configs: {nulls}");
    Err(refused(&BrokerRefusal { error, message }))
}

fn nulls(wanted: &BTreeMap<String, Setting>) -> String {
    let nulls = wanted.iter().filter(|(_, value)| value.is_none());
    let nulls: Vec<&str> = nulls.map(|(key, _)| key.as_str()).collect();
    nulls.join(",")
}

/// What no broker takes stays what no broker takes.
fn count(partitions: i64) -> i32 {
    i32::try_from(partitions).unwrap_or(if partitions < 0 { 0 } else { i32::MAX })
}

fn refused(refusal: &BrokerRefusal) -> Refusal {
    Refusal("KafkaError", refusal.to_string())
}
