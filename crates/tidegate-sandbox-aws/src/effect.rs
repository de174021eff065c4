//! What one service does to another: deliveries that a request causes, carried out once the request is done.
//!
//! Must not know: how a service does its own work.

use serde_json::Value;

use crate::sqs::Outgoing;

/// A delivery.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// A message for a queue.
    Queue {
        /// The queue's ARN.
        arn: String,
        /// What to send.
        message: Outgoing,
    },
    /// An asynchronous invocation of a function.
    Function {
        /// The function's ARN, with or without a qualifier.
        arn: String,
        /// The event.
        event: Value,
    },
    /// A message for a topic.
    Topic {
        /// The topic's ARN.
        arn: String,
        /// The message.
        message: String,
        /// Its subject.
        subject: Option<String>,
        /// FIFO group.
        group: Option<String>,
    },
    /// A record for a stream.
    Stream {
        /// The stream's ARN.
        arn: String,
        /// The partition key.
        key: String,
        /// The record's bytes.
        data: Vec<u8>,
    },
    /// An event for an event bus, as an entry of PutEvents.
    Bus {
        /// The region of the bus.
        region: String,
        /// The entry; `EventBusName` names the bus.
        entry: Value,
    },
    /// An execution of a state machine.
    Machine {
        /// The state machine's ARN.
        arn: String,
        /// The input document.
        input: String,
    },
    /// A target that this sandbox cannot deliver to; logged.
    Unreachable {
        /// The target.
        arn: String,
        /// Why not.
        reason: String,
    },
}

impl Effect {
    /// The delivery of a JSON text to whatever an ARN names, as rules and schedules do it.
    pub(crate) fn to_target(arn: &str, payload: &str, parameters: &Value) -> Self {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let service = parts.get(2).copied().unwrap_or("");
        let group = parameters["SqsParameters"]["MessageGroupId"]
            .as_str()
            .map(str::to_owned);
        match service {
            "sqs" => Self::Queue {
                arn: arn.to_owned(),
                message: Outgoing {
                    body: payload.to_owned(),
                    deduplication: group.as_ref().map(|_| uuid::Uuid::new_v4().to_string()),
                    group,
                    attributes: None,
                },
            },
            "lambda" => Self::Function {
                arn: arn.to_owned(),
                event: serde_json::from_str(payload)
                    .unwrap_or_else(|_| Value::String(payload.to_owned())),
            },
            "sns" => Self::Topic {
                arn: arn.to_owned(),
                message: payload.to_owned(),
                subject: None,
                group,
            },
            "kinesis" => Self::Stream {
                arn: arn.to_owned(),
                key: stream_key(payload, parameters),
                data: payload.as_bytes().to_vec(),
            },
            "states" => Self::Machine {
                arn: arn.to_owned(),
                input: payload.to_owned(),
            },
            "events" => Self::Bus {
                region: parts.get(3).copied().unwrap_or("").to_owned(),
                entry: bus_entry(arn, payload, parameters),
            },
            _ => Self::Unreachable {
                arn: arn.to_owned(),
                reason: format!("the sandbox delivers nothing to {service}"),
            },
        }
    }
}

fn bus_entry(arn: &str, payload: &str, parameters: &Value) -> Value {
    let event: Value = serde_json::from_str(payload).unwrap_or_default();
    let own = &parameters["EventBridgeParameters"];
    let text = |given: &Value, field: &str, default: &str| {
        given
            .as_str()
            .or(event[field].as_str())
            .unwrap_or(default)
            .to_owned()
    };
    let detail = if own.is_object() || event.get("detail").is_none() {
        payload.to_owned()
    } else {
        event["detail"].to_string()
    };
    serde_json::json!({
        "EventBusName": arn,
        "Source": text(&own["Source"], "source", "tidegate.sandbox"),
        "DetailType": text(&own["DetailType"], "detail-type", "Scheduled Event"),
        "Detail": detail,
        "Resources": event["resources"],
    })
}

/// The partition key of a record for a stream: at a path of the event, or given, or random.
fn stream_key(payload: &str, parameters: &Value) -> String {
    let own = &parameters["KinesisParameters"];
    if let Some(key) = own["PartitionKey"].as_str() {
        return key.to_owned();
    }
    own["PartitionKeyPath"]
        .as_str()
        .and_then(|path| {
            let event: Value = serde_json::from_str(payload).ok()?;
            let pointer = path.trim_start_matches('$').replace('.', "/");
            match event.pointer(&pointer)? {
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            }
        })
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}
