//! Settings of mappings: what each kind of source takes, bounds, defaults, and the form in which answers show them.
//!
//! Must not know: how pollers follow them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Refusal, pattern};

use super::source::Source;
use crate::fault::{constraint, invalid};

/// Filters of one mapping.
const FILTERS: usize = 5;
/// Characters of a filter's pattern.
const PATTERN: usize = 4_096;

/// What a poller follows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) batch: usize,
    /// Seconds to gather a batch.
    pub(crate) window: u64,
    pub(crate) lanes: usize,
    pub(crate) starting: String,
    /// Seconds since the epoch.
    pub(crate) starting_at: Option<f64>,
    /// Texts of patterns; a record passes when one matches.
    pub(crate) filters: Vec<String>,
    pub(crate) bisects: bool,
    /// `None`: as long as the record lives.
    pub(crate) retries: Option<u64>,
    /// Seconds; `None`: as long as the record lives.
    pub(crate) age: Option<u64>,
    /// Seconds of a tumbling window, 0 for none.
    pub(crate) tumbling: u64,
    pub(crate) reports_items: bool,
    /// Where batches go that are given up.
    pub(crate) failed: Option<String>,
    pub(crate) concurrency: Option<usize>,
}

impl Plan {
    /// Reads the settings of a mapping.
    pub(crate) fn read(shown: &Map<String, Value>) -> Self {
        let get = |field: &str| shown.get(field).unwrap_or(&Value::Null);
        let size = |value: &Value, default: usize| {
            value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(default)
        };
        let filters = get("FilterCriteria")["Filters"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        Self {
            batch: size(get("BatchSize"), 100),
            window: get("MaximumBatchingWindowInSeconds").as_u64().unwrap_or(0),
            lanes: size(get("ParallelizationFactor"), 1),
            starting: get("StartingPosition").as_str().unwrap_or("").to_owned(),
            starting_at: get("StartingPositionTimestamp").as_f64(),
            filters: filters
                .iter()
                .filter_map(|one| one["Pattern"].as_str().map(str::to_owned))
                .collect(),
            bisects: get("BisectBatchOnFunctionError").as_bool().unwrap_or(false),
            retries: get("MaximumRetryAttempts").as_u64(),
            age: get("MaximumRecordAgeInSeconds").as_u64(),
            tumbling: get("TumblingWindowInSeconds").as_u64().unwrap_or(0),
            reports_items: get("FunctionResponseTypes")
                .as_array()
                .is_some_and(|types| !types.is_empty()),
            failed: get("DestinationConfig")["OnFailure"]["Destination"]
                .as_str()
                .map(str::to_owned),
            concurrency: get("ScalingConfig")["MaximumConcurrency"]
                .as_u64()
                .and_then(|number| usize::try_from(number).ok()),
        }
    }
}

/// What a setting is for.
const STREAM: u8 = 1;
const QUEUE: u8 = 2;
const KAFKA: u8 = 4;

/// Settings, the kinds of source that take them, and whether an update may change them.
const SETTINGS: [(&str, u8, bool); 24] = [
    ("BatchSize", STREAM | QUEUE | KAFKA, true),
    ("FilterCriteria", STREAM | QUEUE | KAFKA, true),
    ("KMSKeyArn", STREAM | QUEUE | KAFKA, true),
    ("MetricsConfig", STREAM | QUEUE | KAFKA, true),
    ("LoggingConfig", KAFKA, true),
    ("ScalingConfig", QUEUE, true),
    (
        "MaximumBatchingWindowInSeconds",
        STREAM | QUEUE | KAFKA,
        true,
    ),
    ("ParallelizationFactor", STREAM, true),
    ("StartingPosition", STREAM | KAFKA, false),
    ("StartingPositionTimestamp", STREAM | KAFKA, false),
    ("DestinationConfig", STREAM | KAFKA, true),
    ("MaximumRecordAgeInSeconds", STREAM | KAFKA, true),
    ("BisectBatchOnFunctionError", STREAM | KAFKA, true),
    ("MaximumRetryAttempts", STREAM | KAFKA, true),
    ("TumblingWindowInSeconds", STREAM, true),
    ("Topics", KAFKA, false),
    ("SourceAccessConfigurations", KAFKA, true),
    ("SelfManagedEventSource", KAFKA, false),
    ("FunctionResponseTypes", STREAM | QUEUE | KAFKA, true),
    ("AmazonManagedKafkaEventSourceConfig", KAFKA, true),
    ("SelfManagedKafkaEventSourceConfig", KAFKA, true),
    ("ProvisionedPollerConfig", QUEUE | KAFKA, true),
    ("EventSourceArn", STREAM | QUEUE | KAFKA, false),
    ("Queues", 0, false),
];

/// Numbers with their bounds.
const NUMBERS: [(&str, &str, i64, i64); 6] = [
    ("BatchSize", "batchSize", 1, 10_000),
    (
        "MaximumBatchingWindowInSeconds",
        "maximumBatchingWindowInSeconds",
        0,
        300,
    ),
    ("ParallelizationFactor", "parallelizationFactor", 1, 10),
    (
        "MaximumRecordAgeInSeconds",
        "maximumRecordAgeInSeconds",
        -1,
        604_800,
    ),
    ("MaximumRetryAttempts", "maximumRetryAttempts", -1, 10_000),
    ("TumblingWindowInSeconds", "tumblingWindowInSeconds", 0, 900),
];

fn bounded(field: &str, value: &Value, least: i64, most: i64) -> Result<(), Refusal> {
    if value.is_null() {
        return Ok(());
    }
    let number = value.as_i64().ok_or_else(|| {
        tidegate_sandbox_aws::service::refuse(
            "SerializationException",
            format!("{field} is no integer"),
        )
    })?;
    if number < least {
        let rule = format!("Member must have value greater than or equal to {least}");
        return Err(constraint(&number.to_string(), field, &rule));
    }
    if number > most {
        let rule = format!("Member must have value less than or equal to {most}");
        return Err(constraint(&number.to_string(), field, &rule));
    }
    Ok(())
}

/// The settings of a mapping after a request: checked, completed, in the form of answers.
///
/// # Errors
/// The service's own refusal.
pub(super) fn complete(
    source: &Source,
    before: Option<&Map<String, Value>>,
    input: &Value,
    now: Timestamp,
) -> Result<Map<String, Value>, Refusal> {
    let kind = match source {
        Source::Queue { .. } => QUEUE,
        Source::Kafka => KAFKA,
        _ => STREAM,
    };
    for (field, member, least, most) in NUMBERS {
        bounded(member, &input[field], least, most)?;
    }
    let mut shown = before.cloned().unwrap_or_else(|| defaults(source));
    for (field, kinds, mutable) in SETTINGS {
        let value = &input[field];
        if value.is_null() || before.is_some() && !mutable {
            continue;
        }
        if kinds & kind == 0 && !is_empty(value) {
            if field == "StartingPosition" {
                return Err(invalid(
                    "StartingPosition is not valid for SQS event sources.",
                ));
            }
            return Err(invalid(format!(
                "Unsupported {field} parameter for given event source mapping type."
            )));
        }
        if kinds & kind != 0 {
            shown.insert(field.to_owned(), value.clone());
        }
    }
    check(source, &shown, before.is_none(), now)?;
    tidy(&mut shown);
    Ok(shown)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Null => true,
    }
}

fn defaults(source: &Source) -> Map<String, Value> {
    let defaults = match source {
        Source::Queue { .. } => json!({
            "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [],
        }),
        Source::Kafka => json!({
            "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "DestinationConfig": {"OnFailure": {}},
        }),
        _ => json!({
            "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 1,
            "BisectBatchOnFunctionError": false, "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1,
            "TumblingWindowInSeconds": 0, "FunctionResponseTypes": [], "DestinationConfig": {"OnFailure": {}},
        }),
    };
    match defaults {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn check(
    source: &Source,
    shown: &Map<String, Value>,
    fresh: bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    let get = |field: &str| shown.get(field).unwrap_or(&Value::Null);
    check_filters(source, get("FilterCriteria"))?;
    check_destination(get("DestinationConfig"))?;
    if let Some(types) = get("FunctionResponseTypes").as_array()
        && types.iter().any(|one| one != "ReportBatchItemFailures")
    {
        return Err(constraint(
            &get("FunctionResponseTypes").to_string(),
            "functionResponseTypes",
            "Member must satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures]]",
        ));
    }
    if let Some(age) = get("MaximumRecordAgeInSeconds").as_i64()
        && (0..60).contains(&age)
    {
        return Err(invalid(
            "MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.",
        ));
    }
    let batch = get("BatchSize").as_i64().unwrap_or(0);
    let window = get("MaximumBatchingWindowInSeconds").as_i64().unwrap_or(0);
    match source {
        Source::Queue { fifo: true, .. } if window > 0 => {
            Err(invalid("Batching window is not supported for FIFO queues."))
        }
        Source::Queue { fifo: true, .. } if batch > 10 => Err(constraint(
            &batch.to_string(),
            "batchSize",
            "Member must have value less than or equal to 10",
        )),
        Source::Queue { .. } if batch > 10 && window == 0 => Err(invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        )),
        Source::Queue { .. } => bounded(
            "scalingConfig.maximumConcurrency",
            &get("ScalingConfig")["MaximumConcurrency"],
            2,
            1_000,
        ),
        Source::Kafka => check_kafka(shown, fresh),
        _ if fresh => check_position(source, shown, now),
        _ => Ok(()),
    }
}

fn check_position(
    source: &Source,
    shown: &Map<String, Value>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(position) = shown.get("StartingPosition").and_then(Value::as_str) else {
        return Err(tidegate_sandbox_aws::service::refuse(
            crate::fault::INVALID,
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
        ));
    };
    let at = shown
        .get("StartingPositionTimestamp")
        .and_then(Value::as_f64);
    match position {
        "LATEST" | "TRIM_HORIZON" if at.is_some() => Err(invalid(
            "StartingPositionTimestamp can only be specified for StartingPosition AT_TIMESTAMP.",
        )),
        "LATEST" | "TRIM_HORIZON" => Ok(()),
        "AT_TIMESTAMP" if matches!(source, Source::Table { .. }) => Err(invalid(format!(
            "Unsupported starting position for arn type: {}",
            source.arn()
        ))),
        "AT_TIMESTAMP" => match at {
            None => Err(invalid(
                "StartingPositionTimestamp must be specified for StartingPosition AT_TIMESTAMP.",
            )),
            Some(at) if at > now.as_second() as f64 + 1.0 => Err(invalid(
                "StartingPositionTimestamp must not be in the future.",
            )),
            Some(_) => Ok(()),
        },
        other => Err(constraint(
            other,
            "startingPosition",
            "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        )),
    }
}

fn check_kafka(shown: &Map<String, Value>, fresh: bool) -> Result<(), Refusal> {
    let topics = shown.get("Topics").and_then(Value::as_array);
    if fresh && topics.is_none_or(|topics| topics.len() != 1) {
        return Err(invalid("Topics must name exactly one topic."));
    }
    let least = shown
        .get("ProvisionedPollerConfig")
        .and_then(|config| config["MinimumPollers"].as_i64());
    let most = shown
        .get("ProvisionedPollerConfig")
        .and_then(|config| config["MaximumPollers"].as_i64());
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        return Err(invalid(
            "MinimumPollers must not be greater than MaximumPollers.",
        ));
    }
    Ok(())
}

fn check_filters(source: &Source, criteria: &Value) -> Result<(), Refusal> {
    let wrong = || invalid("Invalid filter pattern definition.");
    let Some(filters) = criteria["Filters"].as_array() else {
        return Ok(());
    };
    if filters.len() > FILTERS {
        return Err(invalid(format!(
            "1 validation error detected: Value at 'filterCriteria.filters' failed to satisfy constraint: Member must have length less than or equal to {FILTERS}"
        )));
    }
    for filter in filters {
        let text = filter["Pattern"].as_str().unwrap_or("");
        if text.is_empty() {
            continue;
        }
        if text.chars().count() > PATTERN || pattern::check_text(text).is_err() {
            return Err(wrong());
        }
        let read: Value = serde_json::from_str(text).map_err(|_| wrong())?;
        // The data of a stream's records is JSON or it is dropped: a pattern of plain texts could never match.
        if matches!(source, Source::Kinesis { .. }) && read["data"].is_array() {
            return Err(wrong());
        }
    }
    Ok(())
}

fn check_destination(config: &Value) -> Result<(), Refusal> {
    let Some(target) = config["OnFailure"]["Destination"].as_str() else {
        return Ok(());
    };
    let service = target.split(':').nth(2).unwrap_or("");
    let known = target.is_empty()
        || target.starts_with("kafka://")
        || target.starts_with("arn:") && ["sqs", "sns", "s3"].contains(&service);
    if known && !target.ends_with(".fifo") {
        return Ok(());
    }
    Err(invalid(format!(
        "The destination ARN {target} is not valid for OnFailure of an event source mapping."
    )))
}

/// Empty settings are shown as AWS shows them.
fn tidy(shown: &mut Map<String, Value>) {
    let empty = |value: Option<&Value>, inner: &str| {
        value.is_some_and(|value| value[inner].as_array().is_none_or(Vec::is_empty))
    };
    if empty(shown.get("FilterCriteria"), "Filters") {
        shown.remove("FilterCriteria");
    }
    for field in ["ScalingConfig", "ProvisionedPollerConfig"] {
        if shown.get(field).is_some_and(is_empty) {
            shown.remove(field);
        }
    }
    if shown.get("KMSKeyArn").is_some_and(is_empty) {
        shown.remove("KMSKeyArn");
    }
    if let Some(config) = shown.get_mut("DestinationConfig") {
        let target = config["OnFailure"]["Destination"]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        *config = match target {
            Some(target) => json!({"OnFailure": {"Destination": target}}),
            None => json!({"OnFailure": {}}),
        };
    }
}

/// Adds what a mapping gets when its request leaves it out: the consumer group of Kafka is the mapping's own id.
pub(super) fn identify(source: &Source, shown: &mut Map<String, Value>, uuid: &str) {
    if !matches!(source, Source::Kafka) {
        return;
    }
    let field = if shown.contains_key("SelfManagedEventSource") {
        "SelfManagedKafkaEventSourceConfig"
    } else {
        "AmazonManagedKafkaEventSourceConfig"
    };
    let config = shown.entry(field).or_insert_with(|| json!({}));
    if config["ConsumerGroupId"].is_null() && config.is_object() {
        config["ConsumerGroupId"] = json!(uuid);
    }
}
