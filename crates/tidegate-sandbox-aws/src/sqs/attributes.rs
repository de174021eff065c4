//! The settings of a queue: which there are, what values they take, how they are read back.
//!
//! Must not know: messages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::queue::Queue;
use crate::refusal::{Refusal, refuse};

/// Settable numbers with their bounds.
const NUMBERS: [(&str, i64, i64); 6] = [
    ("DelaySeconds", 0, 900),
    ("MaximumMessageSize", 1_024, 1_048_576),
    ("MessageRetentionPeriod", 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 20),
    ("VisibilityTimeout", 0, 43_200),
    ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
];
/// Bytes of one setting.
const SETTING_BYTES: usize = 32_768;
/// Settings of FIFO queues only.
const FIFO: [&str; 3] = [
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];
/// What cannot be set.
const READ_ONLY: [&str; 6] = [
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

fn bad_value(name: &str) -> Refusal {
    refuse(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}."),
    )
}

/// Checks settings of a queue called `name`.
///
/// # Errors
/// `InvalidAttributeName`, `InvalidAttributeValue` in SQS's words.
pub(super) fn check(name: &str, input: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let fifo = name.ends_with(".fifo");
    let mut settings = BTreeMap::new();
    for (key, value) in input.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        if value.len() > SETTING_BYTES {
            return Err(bad_value(key));
        }
        if let Some((_, min, max)) = NUMBERS.iter().find(|(number, ..)| number == key) {
            let number: i64 = value.parse().map_err(|_| bad_value(key))?;
            if !(*min..=*max).contains(&number) {
                return Err(bad_value(key));
            }
        } else {
            check_other(key, value, fifo)?;
        }
        settings.insert(key.clone(), value.to_owned());
    }
    Ok(settings)
}

fn check_other(key: &str, value: &str, fifo: bool) -> Result<(), Refusal> {
    let unknown = || refuse("InvalidAttributeName", format!("Unknown Attribute {key}."));
    let flag = || {
        if matches!(value, "true" | "false") {
            Ok(())
        } else {
            Err(bad_value(key))
        }
    };
    match key {
        "FifoQueue" if !fifo && value == "true" => Err(refuse(
            "InvalidParameterValue",
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.",
        )),
        "FifoQueue" if !fifo => Err(unknown()),
        "FifoQueue" if value != "true" => Err(bad_value(key)),
        "FifoQueue" => Ok(()),
        _ if FIFO.contains(&key) && !fifo => Err(refuse(
            "InvalidAttributeName",
            format!("You can specify the {key} only when FifoQueue is set to true."),
        )),
        "ContentBasedDeduplication" | "SqsManagedSseEnabled" => flag(),
        "DeduplicationScope" if matches!(value, "messageGroup" | "queue") => Ok(()),
        "FifoThroughputLimit" if matches!(value, "perQueue" | "perMessageGroupId") => Ok(()),
        "DeduplicationScope" | "FifoThroughputLimit" => Err(bad_value(key)),
        "KmsMasterKeyId" => Ok(()),
        "Policy" | "RedrivePolicy" | "RedriveAllowPolicy" if value.is_empty() => Ok(()),
        "Policy" | "RedriveAllowPolicy" => match serde_json::from_str::<Value>(value) {
            Ok(Value::Object(_)) => Ok(()),
            _ => Err(bad_value(key)),
        },
        "RedrivePolicy" => check_redrive(value),
        _ if READ_ONLY.contains(&key) => Err(unknown()),
        _ => Err(unknown()),
    }
}

fn check_redrive(value: &str) -> Result<(), Refusal> {
    let bad = |reason: &str| {
        refuse(
            "InvalidParameterValue",
            format!("Value {value} for parameter RedrivePolicy is invalid. Reason: {reason}"),
        )
    };
    let policy: Value =
        serde_json::from_str(value).map_err(|_| bad("Redrive policy is not a valid JSON map."))?;
    let Some(map) = policy.as_object() else {
        return Err(bad("Redrive policy is not a valid JSON map."));
    };
    if map
        .get("deadLetterTargetArn")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err(bad(
            "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
        ));
    }
    let count = match map.get("maxReceiveCount") {
        None => {
            return Err(bad(
                "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
            ));
        }
        Some(Value::String(text)) => text.parse::<i64>().ok(),
        Some(other) => other.as_i64(),
    };
    match count {
        Some(1..=1_000) => Ok(()),
        _ => Err(bad(
            "Invalid value for maxReceiveCount: it must be between 1 and 1000, both inclusive.",
        )),
    }
}

/// The settings and counters of a queue that a caller asks for.
///
/// # Errors
/// `InvalidAttributeName` for names that SQS does not know.
pub(super) fn read(
    queue: &Queue,
    names: &[String],
    now: Timestamp,
) -> Result<Map<String, Value>, Refusal> {
    let (visible, in_flight, delayed) = queue.counts(now);
    let mut all: BTreeMap<String, String> = [
        ("ApproximateNumberOfMessages", visible.to_string()),
        (
            "ApproximateNumberOfMessagesNotVisible",
            in_flight.to_string(),
        ),
        ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
        ("CreatedTimestamp", queue.created.as_second().to_string()),
        (
            "LastModifiedTimestamp",
            queue.modified.as_second().to_string(),
        ),
        ("QueueArn", queue.arn.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for name in [
        "DelaySeconds",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "VisibilityTimeout",
    ] {
        all.insert(name.into(), queue.number(name).to_string());
    }
    let managed = queue.setting("KmsMasterKeyId").is_none_or(str::is_empty);
    all.insert("SqsManagedSseEnabled".into(), managed.to_string());
    if !managed {
        all.insert("KmsDataKeyReusePeriodSeconds".into(), "300".into());
    }
    if queue.is_fifo() {
        for (name, default) in [
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "false"),
            ("DeduplicationScope", "queue"),
            ("FifoThroughputLimit", "perQueue"),
        ] {
            all.insert(name.into(), default.into());
        }
    }
    for (name, value) in &queue.settings {
        if value.is_empty() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    let mut answer = Map::new();
    for name in names {
        if name == "All" {
            return Ok(all
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect());
        }
        if let Some(value) = all.get(name) {
            answer.insert(name.clone(), Value::String(value.clone()));
        } else if !is_known(name) {
            return Err(refuse(
                "InvalidAttributeName",
                format!("Unknown Attribute {name}."),
            ));
        }
    }
    Ok(answer)
}

fn is_known(name: &str) -> bool {
    NUMBERS.iter().any(|(number, ..)| *number == name)
        || FIFO.contains(&name)
        || READ_ONLY.contains(&name)
        || matches!(
            name,
            "Policy"
                | "RedrivePolicy"
                | "RedriveAllowPolicy"
                | "KmsMasterKeyId"
                | "SqsManagedSseEnabled"
                | "FifoQueue"
        )
}
