//! Where records go that are given up, behind a trait, and the documents that tell of them.

#[cfg(test)]
mod tests;

pub mod aws;
pub mod kafka;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::event::{EventShape, WindowPart, event_json, milliseconds};
use crate::outcome::{Condition, Failure};
use crate::queue::Span;
use crate::record::{Partition, Record};

/// Records that are given up.
#[derive(Clone, Debug)]
pub struct GivenUp {
    /// The binding.
    pub binding: Arc<str>,
    /// The function: an ARN, or the target's address.
    pub function: Arc<str>,
    /// What the binding says about its events.
    pub shape: Arc<EventShape>,
    /// Where the records come from.
    pub partition: Partition,
    /// The records in order; none for the end of a tumbling window.
    pub records: Vec<Record>,
    /// The tumbling window, when the binding has them.
    pub window: Option<WindowPart>,
    /// The window's records, when it was its end that failed.
    pub span: Option<Span>,
    /// Why.
    pub condition: Condition,
    /// Deliveries that were tried.
    pub invocations: u64,
    /// How the last of them failed.
    pub failure: Option<Failure>,
    /// When, in milliseconds since 1970.
    pub time: i64,
}

/// Takes records that are given up.
#[async_trait]
pub trait Destination: Debug + Send + Sync {
    /// Stores them; success means that they are safe.
    ///
    /// # Errors
    /// They are not safe: the bridge asks again, and does not move on.
    async fn take(&self, given_up: &GivenUp) -> Result<(), String>;
}

/// Whether a document carries the records themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// No: queues and SNS topics.
    Without,
    /// Yes: buckets and Kafka topics.
    With,
}

impl GivenUp {
    /// The document that AWS sends, as JSON. `request` is an id for it when the target gave none.
    pub fn document(&self, request: &str, payload: Payload) -> Value {
        let failure = self.failure.clone().unwrap_or_default();
        let mut document = Map::new();
        let id = failure.request_id.as_deref().unwrap_or(request);
        document.insert(
            "requestContext".to_owned(),
            json!({
                "requestId": id,
                "functionArn": &*self.function,
                "condition": self.condition.as_str(),
                "approximateInvokeCount": self.invocations,
            }),
        );
        let has_response = self.condition == Condition::RetryAttemptsExhausted;
        if has_response {
            document.insert(
                "responseContext".to_owned(),
                json!({
                    "statusCode": failure.status.unwrap_or(200),
                    "executedVersion": failure.executed_version.as_deref().unwrap_or("$LATEST"),
                    "functionError": failure.function_error,
                }),
            );
        } else if self.condition == Condition::MaximumPayloadSizeExceeded {
            document.insert("responseContext".to_owned(), Value::Null);
        }
        document.insert("version".to_owned(), json!("1.0"));
        document.insert("timestamp".to_owned(), json!(milliseconds(self.time)));
        let (name, info) = self.batch_info();
        document.insert(name.to_owned(), info);
        if payload == Payload::With {
            document.insert("payload".to_owned(), self.payload());
        }
        Value::Object(document)
    }

    fn batch_info(&self) -> (&'static str, Value) {
        match &*self.shape {
            EventShape::Kinesis { stream_arn, .. } => {
                ("KinesisBatchInfo", self.kinesis_info(stream_arn))
            }
            EventShape::SelfManagedKafka {
                bootstrap_servers, ..
            } => ("KafkaBatchInfo", self.kafka_info(None, bootstrap_servers)),
            EventShape::Msk {
                cluster_arn,
                bootstrap_servers,
            } => (
                "KafkaBatchInfo",
                self.kafka_info(Some(cluster_arn), bootstrap_servers),
            ),
        }
    }

    /// The records; when the end of a window failed, those of the whole window: its state is lost with it.
    fn kinesis_info(&self, stream_arn: &str) -> Value {
        let span = self.span.clone().or_else(|| {
            let (first, last) = (self.records.first()?, self.records.last()?);
            Some(Span {
                first: (first.position.clone(), first.timestamp),
                last: (last.position.clone(), last.timestamp),
                count: self.records.len(),
            })
        });
        span.map_or(Value::Null, |span| {
            json!({
                "shardId": &*self.partition.id,
                "startSequenceNumber": span.first.0.to_string(),
                "endSequenceNumber": span.last.0.to_string(),
                "approximateArrivalOfFirstRecord": milliseconds(span.first.1),
                "approximateArrivalOfLastRecord": milliseconds(span.last.1),
                "batchSize": span.count,
                "streamArn": stream_arn,
            })
        })
    }

    /// The event that the target would not take.
    fn event(&self) -> String {
        let window = self.window.as_ref();
        event_json(&self.shape, &self.partition, &self.records, window)
    }

    fn kafka_info(&self, arn: Option<&str>, servers: &str) -> Value {
        let ends = self.records.first().zip(self.records.last());
        let records = ends.map(|(first, last)| {
            json!({self.partition.to_string(): {
                "firstRecordOffset": first.position.to_string(),
                "lastRecordOffset": last.position.to_string(),
                "firstRecordTimestamp": milliseconds(first.timestamp),
                "lastRecordTimestamp": milliseconds(last.timestamp),
            }})
        });
        let size = self.event().len();
        let mut info = json!({
            "batchSize": self.records.len(),
            "bootstrapServers": servers,
            "payloadSize": size,
            "recordsInfo": records,
        });
        if let (Some(arn), Some(fields)) = (arn, info.as_object_mut()) {
            fields.insert("eventSourceArn".to_owned(), json!(arn));
        }
        info
    }

    /// The event: for topics as escaped text, for streams as an object.
    fn payload(&self) -> Value {
        let text = self.event();
        match &*self.shape {
            EventShape::Kinesis { .. } => serde_json::from_str(&text).unwrap_or(Value::Null),
            _ => Value::String(text),
        }
    }
}
