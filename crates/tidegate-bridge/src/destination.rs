//! Where records go that are given up, behind a trait, and the documents that tell of them.

#[cfg(test)]
mod tests;

pub mod aws;
pub mod kafka;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::event::{EventShape, event_json, milliseconds};
use crate::outcome::{Condition, Failure};
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
    /// The records in order; never none.
    pub records: Vec<Record>,
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
        let (Some(first), Some(last)) = (self.records.first(), self.records.last()) else {
            return ("KafkaBatchInfo", Value::Null);
        };
        match &*self.shape {
            EventShape::Kinesis { stream_arn, .. } => (
                "KinesisBatchInfo",
                json!({
                    "shardId": &*self.partition.id,
                    "startSequenceNumber": first.position.to_string(),
                    "endSequenceNumber": last.position.to_string(),
                    "approximateArrivalOfFirstRecord": milliseconds(first.timestamp),
                    "approximateArrivalOfLastRecord": milliseconds(last.timestamp),
                    "batchSize": self.records.len(),
                    "streamArn": &**stream_arn,
                }),
            ),
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
        let size = event_json(&self.shape, &self.partition, &self.records, None).len();
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
        let text = event_json(&self.shape, &self.partition, &self.records, None);
        match &*self.shape {
            EventShape::Kinesis { .. } => serde_json::from_str(&text).unwrap_or(Value::Null),
            _ => Value::String(text),
        }
    }
}
