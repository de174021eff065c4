//! What the documents of a pipeline say, as typed facts: functions, queues, streams, topics, mappings, consumers.
//!
//! Must not know: the rules.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_manifest::Object;

/// A queue without a setting hides a message for this long, in seconds.
const VISIBILITY_DEFAULT: u64 = 30;
/// A function without a setting may run for this long, in seconds.
const TIMEOUT_DEFAULT: u64 = 3;
/// How deep references are followed inside a value: deeper is nothing that anybody writes.
const DEPTH_MAX: usize = 16;

/// All facts of one Application.
#[derive(Debug, Default)]
pub(crate) struct Pipeline<'a> {
    resources: BTreeMap<(&'a str, &'a str), &'a Object>,
    by_name: BTreeMap<(&'a str, &'a str), &'a Object>,
    topics: BTreeMap<&'a str, Topic<'a>>,
    pub(crate) mappings: Vec<Mapping<'a>>,
    pub(crate) consumers: Vec<Consumer<'a>>,
    pub(crate) bindings: Vec<Binding<'a>>,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function<'a> {
    pub(crate) object: &'a Object,
    /// Seconds; none when only the target knows.
    pub(crate) timeout: Option<u64>,
    pub(crate) reserved: Option<u64>,
}

/// A queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue<'a> {
    pub(crate) object: &'a Object,
    /// Seconds; none when only the target knows.
    pub(crate) visibility: Option<u64>,
    pub(crate) has_redrive: bool,
}

/// A topic of Kafka.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic<'a> {
    pub(crate) object: &'a Object,
    pub(crate) partitions: Option<u64>,
    pub(crate) message_bytes: Option<u64>,
}

/// What a mapping reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    Sqs,
    Kinesis,
    DynamoDb,
    Kafka,
    Other,
}

/// An event-source mapping of Lambda.
#[derive(Clone, Debug)]
pub(crate) struct Mapping<'a> {
    pub(crate) object: &'a Object,
    pub(crate) properties: &'a Value,
    pub(crate) kind: SourceKind,
    /// The source, when a document of the Application declares it.
    pub(crate) source: Option<&'a Object>,
    pub(crate) topics: Vec<&'a str>,
}

/// Something that reads a topic with several readers.
#[derive(Clone, Debug)]
pub(crate) struct Consumer<'a> {
    pub(crate) object: &'a Object,
    pub(crate) topic: &'a str,
    pub(crate) readers: u64,
    /// The field that asks for them.
    pub(crate) field: String,
}

/// A binding that the bridge runs.
#[derive(Clone, Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) object: &'a Object,
    pub(crate) topics: Vec<&'a str>,
    /// The topic that takes what is given up.
    pub(crate) failures: Option<&'a str>,
}

impl<'a> Pipeline<'a> {
    pub(crate) fn of(objects: &[&'a Object]) -> Self {
        let mut found = Self::default();
        for object in objects {
            if object.gvk.kind.starts_with("AWS::") {
                let key = (object.namespace.as_str(), object.name.as_str());
                found.resources.insert(key, object);
                if let Some(name) = text(&object.body, "/PhysicalName") {
                    found
                        .by_name
                        .insert((object.gvk.kind.as_str(), name), object);
                }
            } else if object.group_kind().is("kafka.strimzi.io", "KafkaTopic") {
                let name = text(&object.body, "/spec/topicName").unwrap_or(&object.name);
                found.topics.insert(name, topic(object));
            }
        }
        for object in objects {
            found.consumer(object);
        }
        found
    }

    fn consumer(&mut self, object: &'a Object) {
        let kind = object.group_kind();
        if object.gvk.kind == "AWS::Lambda::EventSourceMapping" {
            let mapping = self.mapping(object);
            if let Some(readers) = number(
                mapping
                    .properties
                    .pointer("/ProvisionedPollerConfig/MaximumPollers"),
            ) {
                for topic in mapping.topics.clone() {
                    self.consumers.push(Consumer {
                        object,
                        topic,
                        readers,
                        field: ".Properties.ProvisionedPollerConfig.MaximumPollers".to_owned(),
                    });
                }
            }
            self.mappings.push(mapping);
        } else if kind.is("tidegate.dev", "EventSourceBinding") {
            let spec = object.body.get("spec").unwrap_or(&Value::Null);
            self.bindings.push(Binding {
                object,
                topics: texts(spec.get("Topics")),
                failures: text(spec, "/DestinationConfig/OnFailure/Destination")
                    .and_then(|destination| destination.strip_prefix("kafka://")),
            });
        } else if kind.is("keda.sh", "ScaledObject") {
            self.scaled(object);
        } else if kind.is("sources.knative.dev", "KafkaSource") {
            let readers = number(object.body.pointer("/spec/consumers"));
            for topic in texts(object.body.pointer("/spec/topics")) {
                self.reader(object, topic, readers, ".spec.consumers");
            }
        } else if kind.is("kafka.strimzi.io", "KafkaConnector") {
            let readers = number(object.body.pointer("/spec/tasksMax"));
            let topics = text(&object.body, "/spec/config/topics").unwrap_or_default();
            let topics: Vec<&str> = topics.split(',').map(str::trim).collect();
            // A connector of several topics spreads its tasks over all of them.
            if let [topic] = topics.as_slice()
                && !topic.is_empty()
            {
                self.reader(object, topic, readers, ".spec.tasksMax");
            }
        }
    }

    fn reader(&mut self, object: &'a Object, topic: &'a str, readers: Option<u64>, field: &str) {
        if let Some(readers) = readers {
            self.consumers.push(Consumer {
                object,
                topic,
                readers,
                field: field.to_owned(),
            });
        }
    }

    /// The triggers of KEDA: `maxReplicaCount` replicas share the partitions.
    fn scaled(&mut self, object: &'a Object) {
        let readers = number(object.body.pointer("/spec/maxReplicaCount"));
        let triggers = object.body.pointer("/spec/triggers");
        for trigger in triggers.and_then(Value::as_array).into_iter().flatten() {
            let kind = text(trigger, "/type");
            let idle = text(trigger, "/metadata/allowIdleConsumers");
            let is_kafka = matches!(kind, Some("kafka" | "apache-kafka"));
            if let Some(topic) = text(trigger, "/metadata/topic")
                && is_kafka
                && idle != Some("true")
            {
                self.reader(object, topic, readers, ".spec.maxReplicaCount");
            }
        }
    }

    fn mapping(&self, object: &'a Object) -> Mapping<'a> {
        let properties = object.body.get("Properties").unwrap_or(&Value::Null);
        let source = properties
            .get("EventSourceArn")
            .and_then(|value| self.resource(object, value));
        let arn = text(properties, "/EventSourceArn").unwrap_or_default();
        let kind = match source.map(|source| source.gvk.kind.as_str()) {
            Some("AWS::SQS::Queue") => SourceKind::Sqs,
            Some("AWS::Kinesis::Stream" | "AWS::Kinesis::StreamConsumer") => SourceKind::Kinesis,
            Some("AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable") => SourceKind::DynamoDb,
            Some("AWS::MSK::Cluster" | "AWS::MSK::ServerlessCluster") => SourceKind::Kafka,
            Some(_) => SourceKind::Other,
            None if properties.get("SelfManagedEventSource").is_some() => SourceKind::Kafka,
            None => match arn.split(':').nth(2) {
                Some("sqs") => SourceKind::Sqs,
                Some("kinesis") => SourceKind::Kinesis,
                Some("dynamodb") => SourceKind::DynamoDb,
                Some("kafka") => SourceKind::Kafka,
                Some(_) | None => SourceKind::Other,
            },
        };
        Mapping {
            object,
            properties,
            kind,
            source,
            topics: texts(properties.get("Topics")),
        }
    }

    /// The resource of the Application that a property names: by `Ref`, `Fn::GetAtt`, name or ARN.
    fn resource(&self, from: &Object, value: &Value) -> Option<&'a Object> {
        if let Some(id) = reference(value, 0) {
            return self.resources.get(&(from.namespace.as_str(), id)).copied();
        }
        let arn = value.as_str()?;
        let service = arn.split(':').nth(2).unwrap_or_default();
        let last = arn.rsplit(':').next().unwrap_or_default();
        let kind_and_name = match service {
            "sqs" => ("AWS::SQS::Queue", last),
            "kinesis" => ("AWS::Kinesis::Stream", last.strip_prefix("stream/")?),
            "dynamodb" => ("AWS::DynamoDB::Table", last.split('/').nth(1)?),
            _ => return None,
        };
        self.by_name.get(&kind_and_name).copied()
    }

    /// The function that a mapping invokes, through its version or alias.
    pub(crate) fn function(&self, mapping: &Mapping<'a>) -> Option<Function<'a>> {
        let mut from = mapping.object;
        let mut value = mapping.properties.get("FunctionName")?;
        for _ in 0..DEPTH_MAX {
            let named = match reference(value, 0) {
                Some(id) => self
                    .resources
                    .get(&(from.namespace.as_str(), id))
                    .copied()?,
                None => *self
                    .by_name
                    .get(&("AWS::Lambda::Function", function_name(value.as_str()?)?))?,
            };
            let properties = named.body.get("Properties")?;
            match named.gvk.kind.as_str() {
                "AWS::Lambda::Function" => return Some(function(named, properties)),
                "AWS::Lambda::Alias" | "AWS::Lambda::Version" => {
                    from = named;
                    value = properties.get("FunctionName")?;
                }
                _ => return None,
            }
        }
        None
    }

    /// The queue that a mapping reads.
    pub(crate) fn queue(&self, mapping: &Mapping<'a>) -> Option<Queue<'a>> {
        let object = mapping
            .source
            .filter(|source| source.gvk.kind == "AWS::SQS::Queue")?;
        let properties = object.body.get("Properties").unwrap_or(&Value::Null);
        Some(Queue {
            object,
            visibility: seconds(properties.get("VisibilityTimeout"), VISIBILITY_DEFAULT),
            has_redrive: properties.get("RedrivePolicy").is_some(),
        })
    }

    /// The shards of the stream that a mapping reads, when it has a fixed number.
    pub(crate) fn shards(&self, mapping: &Mapping<'a>) -> Option<u64> {
        let properties = mapping.source?.body.get("Properties")?;
        if text(properties, "/StreamModeDetails/StreamMode") == Some("ON_DEMAND") {
            return None;
        }
        number(properties.get("ShardCount"))
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic<'a>> {
        self.topics.get(name)
    }
}

fn function<'a>(object: &'a Object, properties: &Value) -> Function<'a> {
    Function {
        object,
        timeout: seconds(properties.get("Timeout"), TIMEOUT_DEFAULT),
        reserved: number(properties.get("ReservedConcurrentExecutions")),
    }
}

fn topic(object: &Object) -> Topic<'_> {
    let config = object.body.pointer("/spec/config");
    Topic {
        object,
        partitions: number(object.body.pointer("/spec/partitions")),
        message_bytes: number(config.and_then(|config| config.get("max.message.bytes"))),
    }
}

/// The one logical id that a value names.
fn reference(value: &Value, depth: usize) -> Option<&str> {
    if depth > DEPTH_MAX {
        return None;
    }
    match value {
        Value::Object(map) if map.len() == 1 => {
            let (name, argument) = map.iter().next()?;
            match (name.as_str(), argument) {
                ("Ref", Value::String(id)) => Some(id),
                ("Fn::GetAtt", Value::String(path)) => path.split('.').next(),
                ("Fn::GetAtt", Value::Array(path)) => path.first()?.as_str(),
                (_, argument) => reference(argument, depth + 1),
            }
        }
        Value::Array(items) => {
            let mut found = items.iter().filter_map(|item| reference(item, depth + 1));
            let first = found.next()?;
            found.all(|other| other == first).then_some(first)
        }
        _ => None,
    }
}

/// The name in a function's name, partial ARN or ARN, without its version or alias.
fn function_name(text: &str) -> Option<&str> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", _, _, "function", name, ..] => Some(name),
        [_, "function", name, ..] => Some(name),
        [name] | [name, _] => Some(name),
        _ => None,
    }
}

/// A setting in seconds: its default when it is not there, none when it is no number.
fn seconds(value: Option<&Value>, default: u64) -> Option<u64> {
    match value {
        None => Some(default),
        Some(value) => number(Some(value)),
    }
}

/// A whole number, also as a text.
pub(crate) fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A signed whole number, also as a text.
pub(crate) fn signed(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}
