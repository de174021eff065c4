//! The rules: facts in, findings out.
//!
//! Must not know: how documents are written.

use tidegate_manifest::{Diagnostic, Object};

use crate::facts::{Binding, Consumer, Mapping, Pipeline, SourceKind, number, signed, text};

/// Where a mapping starts to read.
const START: &str = "TG1601";
/// A queue that shows a message again while the function still works on it.
const VISIBILITY: &str = "TG1602";
/// Failures that go nowhere.
const FAILURES: &str = "TG1603";
/// More invocations at once than the function may have.
const CONCURRENCY: &str = "TG1604";
/// More readers than partitions.
const PARTITIONS: &str = "TG1605";
/// Records that do not fit where they go.
const SIZES: &str = "TG1606";

/// Lambda's documentation asks for a visibility timeout of six times the function's, for retries after throttling.
const VISIBILITY_FACTOR: u64 = 6;
/// A document of Kafka for failures is this much larger than the record, and holds it in base64.
const ENVELOPE_BYTES: u64 = 2_048;
/// What a broker takes when a topic does not say.
const MESSAGE_BYTES_DEFAULT: u64 = 1_048_588;
/// The largest record in base64 that fits a function's request of 6 MB.
const PAYLOAD_BYTES_MAX: u64 = 6 * 1_024 * 1_024 / 4 * 3;

fn warning(code: &str, object: &Object, message: String, help: &str) -> Diagnostic {
    Diagnostic::warning(code, message, (*object.origin).clone())
        .object(object.short())
        .help(help)
}

fn error(code: &str, object: &Object, message: String, help: &str) -> Diagnostic {
    Diagnostic::error(code, message, (*object.origin).clone())
        .object(object.short())
        .help(help)
}

/// A mapping of a stream says where it starts, and what it skips is said.
pub(crate) fn start(mapping: &Mapping<'_>, pipeline: &Pipeline<'_>, found: &mut Vec<Diagnostic>) {
    let field = ".Properties.StartingPosition";
    let position = mapping.properties.get("StartingPosition");
    let word = text(mapping.properties, "/StartingPosition");
    let mut tell = |diagnostic: Diagnostic| found.push(diagnostic.field(field));
    match mapping.kind {
        SourceKind::Kinesis | SourceKind::DynamoDb if position.is_none() => tell(error(
            START,
            mapping.object,
            "a mapping of a stream needs StartingPosition; Lambda refuses it without".to_owned(),
            "set StartingPosition: TRIM_HORIZON to read from the oldest record, or LATEST",
        )),
        SourceKind::DynamoDb if word == Some("AT_TIMESTAMP") => tell(error(
            START,
            mapping.object,
            "a stream of DynamoDB cannot be read AT_TIMESTAMP; Lambda refuses it".to_owned(),
            "set StartingPosition: TRIM_HORIZON or LATEST",
        )),
        SourceKind::Kinesis | SourceKind::Kafka
            if word == Some("AT_TIMESTAMP")
                && mapping
                    .properties
                    .get("StartingPositionTimestamp")
                    .is_none() =>
        {
            tell(error(
                START,
                mapping.object,
                "StartingPosition AT_TIMESTAMP needs StartingPositionTimestamp".to_owned(),
                "add StartingPositionTimestamp: seconds since 1970",
            ));
        }
        SourceKind::Kinesis | SourceKind::DynamoDb | SourceKind::Kafka
            if word == Some("LATEST") && is_made_here(mapping, pipeline) =>
        {
            tell(warning(
                START,
                mapping.object,
                "the mapping starts at LATEST on a source that this Application makes: records written before its first poll are never read".to_owned(),
                "set StartingPosition: TRIM_HORIZON, or let producers start in a later wave",
            ));
        }
        _ => {}
    }
}

fn is_made_here(mapping: &Mapping<'_>, pipeline: &Pipeline<'_>) -> bool {
    mapping.source.is_some() && mapping.kind != SourceKind::Kafka
        || mapping
            .topics
            .iter()
            .any(|topic| pipeline.topic(topic).is_some())
}

/// A queue hides a message for longer than the function works on it.
pub(crate) fn visibility(
    mapping: &Mapping<'_>,
    pipeline: &Pipeline<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let (Some(queue), Some(function)) = (pipeline.queue(mapping), pipeline.function(mapping))
    else {
        return;
    };
    let (Some(visible), Some(timeout)) = (queue.visibility, function.timeout) else {
        return;
    };
    let field = ".Properties.VisibilityTimeout";
    if visible < timeout {
        let message = format!(
            "messages of {} become visible after {visible} s while {} may run {timeout} s: Lambda refuses the mapping {}",
            queue.object.short(),
            function.object.short(),
            mapping.object.name,
        );
        let help = format!(
            "set VisibilityTimeout to at least {timeout}; {} leaves room for retries",
            timeout.saturating_mul(VISIBILITY_FACTOR)
        );
        found.push(error(VISIBILITY, queue.object, message, &help).field(field));
    } else if visible < timeout.saturating_mul(VISIBILITY_FACTOR) {
        let message = format!(
            "messages of {} become visible after {visible} s, less than {VISIBILITY_FACTOR} times the {timeout} s of {}: throttled batches are worked on twice",
            queue.object.short(),
            function.object.short(),
        );
        let help = format!(
            "set VisibilityTimeout: {}",
            timeout.saturating_mul(VISIBILITY_FACTOR)
        );
        found.push(warning(VISIBILITY, queue.object, message, &help).field(field));
    }
}

/// What a function cannot process has somewhere to go.
pub(crate) fn failures(
    mapping: &Mapping<'_>,
    pipeline: &Pipeline<'_>,
    found: &mut Vec<Diagnostic>,
) {
    match mapping.kind {
        SourceKind::Sqs => {
            if let Some(queue) = pipeline.queue(mapping).filter(|queue| !queue.has_redrive) {
                let message = format!(
                    "{} has no dead-letter queue: a message that {} cannot process comes back until it expires",
                    queue.object.short(),
                    mapping.object.name
                );
                let help = "set RedrivePolicy with a deadLetterTargetArn and a maxReceiveCount of 5 or more";
                found.push(
                    warning(FAILURES, queue.object, message, help)
                        .field(".Properties.RedrivePolicy"),
                );
            }
        }
        SourceKind::Kinesis | SourceKind::DynamoDb | SourceKind::Kafka => {
            let destination = mapping
                .properties
                .pointer("/DestinationConfig/OnFailure/Destination");
            if destination.is_some() {
                return;
            }
            let is_finite =
                |name: &str| signed(mapping.properties.get(name)).is_some_and(|number| number >= 0);
            let message = if is_finite("MaximumRetryAttempts")
                || is_finite("MaximumRecordAgeInSeconds")
            {
                "records that the function cannot process are dropped: the mapping ends its retries and names no destination for failures"
            } else {
                "one record that the function cannot process holds up its shard or partition until it expires: the mapping retries for ever"
            };
            let help = "set MaximumRetryAttempts and DestinationConfig.OnFailure.Destination to a queue, a topic or a bucket";
            found.push(
                warning(FAILURES, mapping.object, message.to_owned(), help)
                    .field(".Properties.DestinationConfig"),
            );
        }
        SourceKind::Other => {}
    }
}

/// A function may run as often at once as its mapping invokes it.
pub(crate) fn concurrency(
    mapping: &Mapping<'_>,
    pipeline: &Pipeline<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(function) = pipeline.function(mapping) else {
        return;
    };
    let Some(reserved) = function.reserved else {
        return;
    };
    let (asked, of) = match mapping.kind {
        SourceKind::Kinesis => {
            let Some(shards) = pipeline.shards(mapping) else {
                return;
            };
            let factor = number(mapping.properties.get("ParallelizationFactor")).unwrap_or(1);
            (
                shards.saturating_mul(factor),
                format!("{shards} shards with ParallelizationFactor {factor}"),
            )
        }
        SourceKind::Sqs => {
            let most = mapping
                .properties
                .pointer("/ScalingConfig/MaximumConcurrency");
            let Some(most) = number(most) else {
                return;
            };
            (most, format!("ScalingConfig.MaximumConcurrency {most}"))
        }
        SourceKind::Kafka => {
            let partitions = mapping.topics.iter().map(|topic| {
                let topic = pipeline.topic(topic)?;
                topic.partitions
            });
            let Some(partitions) = partitions.sum::<Option<u64>>().filter(|sum| *sum > 0) else {
                return;
            };
            (partitions, format!("{partitions} partitions"))
        }
        SourceKind::DynamoDb | SourceKind::Other => return,
    };
    if asked > reserved {
        let message = format!(
            "{of} ask for {asked} invocations at once; {} reserves {reserved}: the others are throttled and retried",
            function.object.short()
        );
        let help = "raise ReservedConcurrentExecutions, or lower the parallelism of the mapping";
        found.push(warning(CONCURRENCY, mapping.object, message, help));
    }
}

/// Every reader of a topic has a partition.
pub(crate) fn partitions(
    consumer: &Consumer<'_>,
    pipeline: &Pipeline<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(topic) = pipeline.topic(consumer.topic) else {
        return;
    };
    let Some(partitions) = topic.partitions else {
        return;
    };
    if consumer.readers > partitions {
        let message = format!(
            "{} readers of {:?}, which has {partitions} partitions ({}): {} of them stay idle",
            consumer.readers,
            consumer.topic,
            topic.object.origin.place(),
            consumer.readers - partitions
        );
        let help = "lower the number of readers, or raise the partitions (keys then move to other partitions)";
        found.push(
            warning(PARTITIONS, consumer.object, message, help).field(consumer.field.clone()),
        );
    }
}

/// What a topic may hold fits the function and the topic for failures.
pub(crate) fn sizes(binding: &Binding<'_>, pipeline: &Pipeline<'_>, found: &mut Vec<Diagnostic>) {
    let topics = binding.topics.iter();
    let largest = topics
        .filter_map(|name| {
            let topic = pipeline.topic(name)?;
            Some((
                topic.message_bytes.unwrap_or(MESSAGE_BYTES_DEFAULT),
                *name,
                topic,
            ))
        })
        .max_by_key(|(bytes, ..)| *bytes);
    let Some((bytes, name, topic)) = largest else {
        return;
    };
    if bytes > PAYLOAD_BYTES_MAX {
        let message = format!(
            "records of {name:?} may have {bytes} bytes ({}); a function takes {PAYLOAD_BYTES_MAX} at most: larger ones go to the failure destination",
            topic.object.origin.place()
        );
        let help =
            "lower max.message.bytes of the topic, or let producers store large payloads elsewhere";
        found.push(warning(SIZES, binding.object, message, help).field(".spec.Topics"));
    }
    let Some(failures) = binding.failures else {
        return;
    };
    if let Some(into) = pipeline.topic(failures) {
        let room = into.message_bytes.unwrap_or(MESSAGE_BYTES_DEFAULT);
        let needed = (bytes / 3 + 1)
            .saturating_mul(4)
            .saturating_add(ENVELOPE_BYTES);
        if room < needed {
            let message = format!(
                "failed records of {name:?} take up to {needed} bytes in {failures:?}, which takes {room} ({}): the largest could not be parked",
                into.object.origin.place()
            );
            let help = format!("set max.message.bytes of {failures:?} to at least {needed}");
            found.push(
                warning(SIZES, binding.object, message, &help)
                    .field(".spec.DestinationConfig.OnFailure.Destination"),
            );
        }
    }
}
