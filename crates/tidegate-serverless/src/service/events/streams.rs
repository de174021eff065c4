//! Kinesis and DynamoDB streams, and SQS queues.
//!
//! Must not know: how mappings are applied.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use crate::service::context::{Composer, Context, Function, is_mapping};
use crate::service::names;

/// What the streams of one function ask of the role.
#[derive(Default)]
struct Rights {
    tables: Vec<Value>,
    streams: Vec<Value>,
    watched: Vec<Value>,
    consumers: Vec<Value>,
    topics: Vec<Value>,
    queues: Vec<Value>,
}

impl Rights {
    fn give(self, template: &mut Composer) {
        const STATEMENTS: [&[&str]; 6] = [
            &[
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:DescribeStream",
                "dynamodb:ListStreams",
            ],
            &[
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:DescribeStream",
                "kinesis:ListStreams",
            ],
            &[
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:DescribeStreamSummary",
                "kinesis:ListShards",
            ],
            &["kinesis:SubscribeToShard"],
            &["sns:Publish"],
            &["sqs:ListQueues", "sqs:SendMessage"],
        ];
        let resources = [
            self.tables,
            self.streams,
            self.watched,
            self.consumers,
            self.topics,
            self.queues,
        ];
        for (actions, resources) in STATEMENTS.into_iter().zip(resources) {
            common::allow_some(template, actions, resources);
        }
    }
}

/// Adds the mappings of `stream` events.
pub(crate) fn streams(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        let mut rights = Rights::default();
        for event in common::events(function, "stream") {
            stream(context, function, event, &mut rights, template);
        }
        rights.give(template);
    }
}

fn stream(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    rights: &mut Rights,
    template: &mut Composer,
) {
    let arn = if is_mapping(event) {
        given(event, "arn")
    } else {
        Some(event)
    };
    let Some(arn) = arn else {
        return common::nameless(context, template, "stream", event);
    };
    let Some(kind) = text(event, "type").or_else(|| service_of(arn)) else {
        return common::missing(
            context,
            template,
            event,
            "`type`, since its `arn` is no text",
        );
    };
    let Some(name) = common::source_name(arn, '/') else {
        return common::nameless(context, template, "stream", arn);
    };
    let mut properties = Properties::default();
    properties.set("EventSourceArn", arn.to_json());
    stream_settings(event, &mut properties);
    if kind == "dynamodb" {
        rights.tables.push(arn.to_json());
    } else if truthy(event, "consumer").is_some() {
        rights.watched.push(arn.to_json());
    } else {
        rights.streams.push(arn.to_json());
    }
    if let Some(destination) = given(event, "destinations").and_then(|all| given(all, "onFailure"))
    {
        on_failure(context, destination, &mut properties, rights, template);
    }
    let mut waits = Vec::new();
    if let Some(consumer) = truthy(event, "consumer").filter(|_| kind == "kinesis") {
        let source = consumer_arn(
            context,
            function,
            (consumer, arn, &name),
            &mut waits,
            template,
        );
        rights.consumers.push(source.clone());
        properties.set("EventSourceArn", source);
        if text(event, "startingPosition") == Some("AT_TIMESTAMP")
            && truthy(event, "startingPositionTimestamp").is_none()
        {
            let key = &function.key;
            return common::refuse(
                context,
                template,
                event,
                format!(
                    "You must specify startingPositionTimestamp for function: {key} when startingPosition is AT_TIMESTAMP"
                ),
                "add `startingPositionTimestamp`, in seconds since 1970",
            );
        }
        properties.positive(
            "StartingPositionTimestamp",
            event,
            "startingPositionTimestamp",
        );
    }
    let id = format!(
        "{}EventSourceMapping{}{}",
        names::normalize(&function.key),
        names::upper_first(kind),
        names::alphanumeric(&name)
    );
    let resource = common::mapping(context, function, properties, &waits);
    template.resource(id, resource, event.span);
}

fn service_of(arn: &Node) -> Option<&str> {
    arn.as_str().and_then(|arn| arn.split(':').nth(2))
}

fn stream_settings(event: &Node, properties: &mut Properties) {
    properties.set("BatchSize", 10);
    properties.set("StartingPosition", "TRIM_HORIZON");
    properties.set("Enabled", true);
    properties.positive("BatchSize", event, "batchSize");
    properties.positive("ParallelizationFactor", event, "parallelizationFactor");
    properties.copy("StartingPosition", event, "startingPosition");
    properties.scalar("Enabled", event, "enabled");
    properties.scalar("MaximumBatchingWindowInSeconds", event, "batchWindow");
    properties.scalar("MaximumRetryAttempts", event, "maximumRetryAttempts");
    properties.scalar(
        "BisectBatchOnFunctionError",
        event,
        "bisectBatchOnFunctionError",
    );
    properties.positive(
        "MaximumRecordAgeInSeconds",
        event,
        "maximumRecordAgeInSeconds",
    );
    properties.scalar("TumblingWindowInSeconds", event, "tumblingWindowInSeconds");
    response_type(event, properties);
    properties.filters(event);
}

fn response_type(event: &Node, properties: &mut Properties) {
    if let Some(kind) = given(event, "functionResponseType") {
        properties.set("FunctionResponseTypes", json!([kind.to_json()]));
    }
}

fn on_failure(
    context: &Context<'_>,
    destination: &Node,
    properties: &mut Properties,
    rights: &mut Rights,
    template: &mut Composer,
) {
    let arn = if is_mapping(destination) {
        destination.get("arn")
    } else {
        Some(destination)
    };
    let kind = arn.and_then(|arn| text(destination, "type").or_else(|| service_of(arn)));
    let (Some(arn), Some(kind)) = (arn, kind) else {
        return common::missing(
            context,
            template,
            destination,
            "`arn` and `type` of its destination",
        );
    };
    let arn = arn.to_json();
    if kind == "sns" {
        rights.topics.push(arn.clone());
    } else {
        rights.queues.push(arn.clone());
    }
    properties.set(
        "DestinationConfig",
        json!({"OnFailure": {"Destination": arn}}),
    );
}

/// What a mapping with a consumer of its own reads from: the consumer that is named, or a new one.
fn consumer_arn(
    context: &Context<'_>,
    function: &Function,
    (consumer, stream, name): (&Node, &Node, &str),
    waits: &mut Vec<String>,
    template: &mut Composer,
) -> Value {
    if consumer.value != tidegate_yaml::Value::Bool(true) && consumer.as_str() != Some("true") {
        return consumer.to_json();
    }
    let key = &function.key;
    let has_service = context
        .setting(&["kinesis", "consumerNamingMode"])
        .is_some();
    let consumer_name = if has_service {
        format!("{key}{name}{}{}Consumer", context.service, context.stage)
    } else {
        format!("{key}{name}Consumer")
    };
    let id = format!("{}StreamConsumer", names::normalize(&consumer_name));
    let resource = json!({
        "Type": "AWS::Kinesis::StreamConsumer",
        "Properties": {"StreamARN": stream.to_json(), "ConsumerName": consumer_name},
    });
    template.resource(&id, resource, consumer.span);
    waits.push(id.clone());
    json!({"Ref": id})
}

/// Adds the mappings of `sqs` events.
pub(crate) fn queues(context: &Context<'_>, template: &mut Composer) {
    let mut queues = Vec::new();
    for function in &context.functions {
        for event in common::events(function, "sqs") {
            queue(context, function, event, &mut queues, template);
        }
    }
    let actions = [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    ];
    common::allow_some(template, &actions, queues);
}

fn queue(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    queues: &mut Vec<Value>,
    template: &mut Composer,
) {
    let arn = if is_mapping(event) {
        given(event, "arn")
    } else {
        Some(event)
    };
    let name = arn.filter(|arn| arn.get("Ref").is_none());
    let Some((arn, name)) = arn.zip(name.and_then(|arn| common::source_name(arn, ':'))) else {
        return common::nameless(context, template, "sqs", arn.unwrap_or(event));
    };
    let mut properties = Properties::default();
    properties.set("EventSourceArn", arn.to_json());
    properties.set("BatchSize", 10);
    properties.set("Enabled", true);
    properties.positive("BatchSize", event, "batchSize");
    properties.scalar("Enabled", event, "enabled");
    properties.scalar(
        "MaximumBatchingWindowInSeconds",
        event,
        "maximumBatchingWindow",
    );
    response_type(event, &mut properties);
    properties.filters(event);
    if let Some(concurrency) = truthy(event, "maximumConcurrency") {
        let concurrency = common::scalar(concurrency);
        properties.set("ScalingConfig", json!({"MaximumConcurrency": concurrency}));
    }
    queues.push(arn.to_json());
    let id = format!(
        "{}EventSourceMappingSQS{}",
        names::normalize(&function.key),
        names::alphanumeric(&name)
    );
    let resource = common::mapping(context, function, properties, &[]);
    template.resource(id, resource, event.span);
}
