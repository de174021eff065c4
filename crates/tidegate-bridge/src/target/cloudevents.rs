//! CloudEvents 1.0 over HTTP: one request per record (binary or structured), or one per batch.
//!
//! `id` is the record's place, so a record that comes again has the id that it had: receivers can tell. A record that is
//! a CloudEvent already (Kafka's binary binding: `ce_` headers) keeps its attributes.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use serde_json::{Map, Value, json};

use super::http::{client, send};
use super::{Delivery, Target, response};
use crate::binding::CloudEventsMode;
use crate::event::milliseconds;
use crate::outcome::Outcome;
use crate::record::{Partition, Record};

/// A receiver of CloudEvents.
#[derive(Clone, Debug)]
pub struct CloudEvents {
    client: Client,
    options: CloudEventsOptions,
}

/// What events say and how they travel.
#[derive(Clone, Debug)]
pub struct CloudEventsOptions {
    /// The address.
    pub url: String,
    /// How they travel.
    pub mode: CloudEventsMode,
    /// Their `type`.
    pub kind: String,
    /// Their `source`; none: the cluster or stream, and the topic.
    pub source: Option<String>,
    /// More headers.
    pub headers: std::collections::BTreeMap<String, String>,
    /// Longest request.
    pub timeout: Duration,
    /// Whether the answer to a batch names the records that failed.
    pub reports_item_failures: bool,
}

/// Attributes of one event; the data beside them.
struct Event<'a> {
    attributes: Map<String, Value>,
    content_type: String,
    data: Option<&'a [u8]>,
}

impl CloudEvents {
    /// A target.
    ///
    /// # Errors
    /// A header is none.
    pub fn new(options: CloudEventsOptions) -> Result<Self, String> {
        Ok(Self {
            client: client(&options.headers, options.timeout)?,
            options,
        })
    }

    fn event<'a>(&self, partition: &Partition, record: &'a Record) -> Event<'a> {
        let source = self.options.source.clone();
        let mut attributes = Map::new();
        attributes.insert("specversion".to_owned(), json!("1.0"));
        attributes.insert(
            "id".to_owned(),
            json!(format!("{partition}-{}", record.position)),
        );
        let default = || format!("/tidegate/{}", partition.source);
        attributes.insert("source".to_owned(), json!(source.unwrap_or_else(default)));
        attributes.insert("type".to_owned(), json!(self.options.kind));
        attributes.insert("time".to_owned(), json!(milliseconds(record.timestamp)));
        attributes.insert(
            "subject".to_owned(),
            json!(format!("{partition}#{}", record.position)),
        );
        if let Some(Ok(key)) = record.key.as_deref().map(std::str::from_utf8) {
            attributes.insert("partitionkey".to_owned(), json!(key));
        }
        let data = record.value.as_deref();
        let mut content_type = content_type(data).to_owned();
        for (name, value) in record.headers.iter() {
            let Some(Ok(value)) = value.as_deref().map(std::str::from_utf8) else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-type") {
                value.clone_into(&mut content_type);
            } else if let Some(name) = name.strip_prefix("ce_")
                && is_attribute(name)
            {
                attributes.insert(name.to_owned(), json!(value));
            }
        }
        Event {
            attributes,
            content_type,
            data,
        }
    }

    fn one(&self, event: Event<'_>) -> RequestBuilder {
        let mut request = self.client.post(&self.options.url);
        if self.options.mode == CloudEventsMode::Structured {
            let body = structured(event).to_string();
            return request
                .header(CONTENT_TYPE, "application/cloudevents+json; charset=UTF-8")
                .body(body);
        }
        for (name, value) in &event.attributes {
            if let Value::String(text) = value {
                request = request.header(format!("ce-{name}"), percent_encoded(text));
            }
        }
        if let Some(data) = event.data {
            request = request
                .header(CONTENT_TYPE, event.content_type)
                .body(data.to_vec());
        }
        request
    }

    async fn batch(&self, delivery: &Delivery) -> Outcome {
        let events: Vec<Value> = delivery
            .records
            .iter()
            .map(|record| structured(self.event(&delivery.partition, record)))
            .collect();
        let request = self
            .client
            .post(&self.options.url)
            .header(
                CONTENT_TYPE,
                "application/cloudevents-batch+json; charset=UTF-8",
            )
            .body(Value::Array(events).to_string());
        match send(request).await {
            Err(outcome) => outcome,
            Ok(answer) if self.options.reports_item_failures => {
                response::read(delivery, &answer.body, answer.failure)
            }
            Ok(_) => Outcome::Delivered,
        }
    }
}

#[async_trait]
impl Target for CloudEvents {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        if self.options.mode == CloudEventsMode::Batch {
            return self.batch(delivery).await;
        }
        for (index, record) in delivery.records.iter().enumerate() {
            let request = self.one(self.event(&delivery.partition, record));
            match send(request).await {
                Ok(_) => {}
                Err(then) => {
                    let then = Box::new(then);
                    return Outcome::Stopped { at: index, then };
                }
            }
        }
        Outcome::Delivered
    }
}

fn structured(event: Event<'_>) -> Value {
    let mut fields = event.attributes;
    let Some(data) = event.data else {
        return Value::Object(fields);
    };
    let is_json = event.content_type.starts_with("application/json");
    let json = is_json
        .then(|| serde_json::from_slice::<Value>(data).ok())
        .flatten();
    let text = std::str::from_utf8(data).ok();
    let (name, value) = match (json, text) {
        (Some(json), _) => ("data", json),
        (None, Some(text)) if !is_json => ("data", json!(text)),
        _ => ("data_base64", json!(STANDARD.encode(data))),
    };
    fields.insert("datacontenttype".to_owned(), json!(event.content_type));
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

fn content_type(data: Option<&[u8]>) -> &'static str {
    match data {
        Some(data) if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() => {
            "application/json"
        }
        Some(data) if std::str::from_utf8(data).is_ok() => "text/plain; charset=UTF-8",
        _ => "application/octet-stream",
    }
}

/// CloudEvents' rule for names: lower-case letters and digits.
fn is_attribute(name: &str) -> bool {
    let is_char = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    !name.is_empty() && name.len() <= 64 && name.chars().all(is_char)
}

/// Attribute values in headers: what is no printable ASCII, and space, quote and percent, as `%XX` of UTF-8.
fn percent_encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' | 0..=0x20 | 0x7F..=0xFF => {
                let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
                out.extend(['%', char::from(high), char::from(low)]);
            }
            byte => out.push(char::from(byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    //! Attributes, data, headers.

    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::record::{Position, TimestampType};

    fn target(mode: CloudEventsMode) -> CloudEvents {
        CloudEvents::new(CloudEventsOptions {
            url: "http://127.0.0.1:9/".to_owned(),
            mode,
            kind: "t".to_owned(),
            source: None,
            headers: std::collections::BTreeMap::new(),
            timeout: Duration::from_secs(1),
            reports_item_failures: false,
        })
        .expect("no headers")
    }

    fn record(value: &'static [u8], headers: &[(&str, &'static [u8])]) -> Record {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(Bytes::from_static(value))));
        Record {
            position: Position::Offset(7),
            timestamp: 1_700_000_000_000,
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(value)),
            headers: headers.collect::<Arc<[_]>>(),
            encryption: None,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read best with `json!` in place"
    )]
    fn check(record: &Record, expected: Value) {
        let partition = Partition::kafka(&"orders".into(), 2);
        let event = structured(target(CloudEventsMode::Batch).event(&partition, record));
        assert_eq!(event, expected);
    }

    #[test]
    fn a_record_becomes_an_event() {
        let mut expected = json!({
            "specversion": "1.0", "id": "orders-2-7", "source": "/tidegate/orders", "type": "t",
            "time": "2023-11-14T22:13:20.000Z", "subject": "orders-2#7", "partitionkey": "k",
            "datacontenttype": "application/json", "data": {"n": 1},
        });
        check(&record(b"{\"n\":1}", &[]), expected.clone());
        expected["datacontenttype"] = json!("text/plain; charset=UTF-8");
        expected["data"] = json!("hello");
        check(&record(b"hello", &[]), expected.clone());
        expected["datacontenttype"] = json!("application/octet-stream");
        expected.as_object_mut().expect("an object").remove("data");
        expected["data_base64"] = json!("/w==");
        check(&record(b"\xff", &[]), expected);
    }

    #[test]
    fn an_event_stays_what_it_is() {
        let headers: [(&str, &[u8]); 4] = [
            ("ce_id", b"77"),
            ("ce_type", b"order"),
            ("ce_Bad-Name", b"x"),
            ("content-type", b"text/csv"),
        ];
        let expected = json!({
            "specversion": "1.0", "id": "77", "source": "/tidegate/orders", "type": "order",
            "time": "2023-11-14T22:13:20.000Z", "subject": "orders-2#7", "partitionkey": "k",
            "datacontenttype": "text/csv", "data": "a,b",
        });
        check(&record(b"a,b", &headers), expected);
    }

    #[test]
    fn attributes_in_headers_are_encoded() {
        let partition = Partition::kafka(&"t".into(), 0);
        let target = target(CloudEventsMode::Binary);
        let record = record(b"x", &[("ce_subject", "a \"ä\" 50%".as_bytes())]);
        let request = target
            .one(target.event(&partition, &record))
            .build()
            .expect("a request");
        assert_eq!(request.headers()["ce-subject"], "a%20%22%C3%A4%22%2050%25");
        assert_eq!(request.headers()["ce-id"], "t-0-7");
        assert_eq!(
            request.headers()["content-type"],
            "text/plain; charset=UTF-8"
        );
    }
}
