//! A topic as a failure destination: one message per record, with its key, its headers and the reason.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::{Destination, GivenUp, Payload};
use crate::binding::KafkaSettings;
use crate::record::Record;
use crate::source::kafka::client_config;

/// Longest time until the broker has a message.
const SEND: Duration = Duration::from_secs(30);

/// A topic of the source's cluster.
pub struct KafkaTopic {
    producer: FutureProducer,
    topic: String,
}

impl std::fmt::Debug for KafkaTopic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaTopic")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl KafkaTopic {
    /// A producer that waits for all replicas.
    ///
    /// # Errors
    /// A setting is unknown or wrong.
    pub fn open(settings: &KafkaSettings, topic: &str) -> Result<Self, String> {
        let mut config = client_config(settings);
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        config.set("message.timeout.ms", SEND.as_millis().to_string());
        let producer = config.create();
        Ok(Self {
            producer: producer.map_err(|error| format!("the producer cannot be made: {error}"))?,
            topic: topic.to_owned(),
        })
    }

    async fn send(&self, given_up: &GivenUp, record: &Record) -> Result<(), String> {
        let single = GivenUp {
            records: vec![record.clone()],
            ..given_up.clone()
        };
        let id = format!("{}:{}", given_up.partition, record.position);
        let mut document = single.document(&id, Payload::With);
        if let Value::Object(fields) = &mut document {
            let info =
                json!({"offset": record.position.to_string(), "timestamp": record.timestamp});
            fields.insert("recordInfo".to_owned(), info);
        }
        let key = record.key.as_deref();
        self.put(&document, key, headers(given_up, Some(record)))
            .await
    }

    async fn put(
        &self,
        document: &Value,
        key: Option<&[u8]>,
        headers: OwnedHeaders,
    ) -> Result<(), String> {
        let body = document.to_string();
        let mut message = FutureRecord::to(&self.topic)
            .payload(&body)
            .headers(headers);
        if let Some(key) = key {
            message = message.key(key);
        }
        match self.producer.send(message, SEND).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(format!("topic {}: {error}", self.topic)),
        }
    }
}

/// The record's own headers, then those that tell why it is here.
fn headers(given_up: &GivenUp, record: Option<&Record>) -> OwnedHeaders {
    let failure = given_up.failure.clone().unwrap_or_default();
    let mut ours = BTreeMap::from([
        (
            "tidegate.error.type",
            given_up.condition.as_str().to_owned(),
        ),
        ("tidegate.error.message", failure.message),
        ("tidegate.error.attempts", given_up.invocations.to_string()),
        ("tidegate.error.binding", given_up.binding.to_string()),
        (
            "tidegate.error.source.topic",
            given_up.partition.source.to_string(),
        ),
        (
            "tidegate.error.source.partition",
            given_up.partition.id.to_string(),
        ),
    ]);
    let mut own: &[_] = &[];
    if let Some(record) = record {
        own = &record.headers;
        let position = record.position.to_string();
        ours.insert("tidegate.error.source.offset", position);
        let timestamp = record.timestamp.to_string();
        ours.insert("tidegate.error.source.timestamp", timestamp);
    }
    let mut headers = OwnedHeaders::new_with_capacity(own.len() + ours.len());
    for (key, value) in own {
        headers = headers.insert(Header {
            key,
            value: value.as_deref(),
        });
    }
    for (key, value) in ours {
        headers = headers.insert(Header {
            key,
            value: Some(value.as_bytes()),
        });
    }
    headers
}

#[async_trait]
impl Destination for KafkaTopic {
    async fn take(&self, given_up: &GivenUp) -> Result<(), String> {
        if given_up.records.is_empty() {
            // The end of a window: there is no record whose key the message could have.
            let id = uuid::Uuid::new_v4().to_string();
            let document = given_up.document(&id, Payload::With);
            return self.put(&document, None, headers(given_up, None)).await;
        }
        for record in &given_up.records {
            self.send(given_up, record).await?;
        }
        Ok(())
    }
}
