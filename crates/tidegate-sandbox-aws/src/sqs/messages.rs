//! Messages sent, received, deleted, made visible.
//!
//! Must not know: how queues are set up.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::queue::{Message, MessageAttribute};
use super::{Answer, Call, digest, queue_name};
use crate::refusal::{Refusal, refuse};

/// Bytes of one batch.
const BATCH_BYTES: usize = 1_048_576;
/// Entries of one batch.
const ENTRIES: usize = 10;
/// Attributes of one message.
const ATTRIBUTES: usize = 10;
/// Messages of a queue in flight.
const IN_FLIGHT: usize = 120_000;

fn invalid(parameter: &str, value: &str, reason: &str) -> Refusal {
    refuse(
        "InvalidParameterValue",
        format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"),
    )
}

fn missing(parameter: &str) -> Refusal {
    refuse(
        "MissingParameter",
        format!("The request must contain the parameter {parameter}."),
    )
}

/// Reads message attributes.
///
/// # Errors
/// SQS's own words.
pub(super) fn read_attributes(
    value: &Value,
) -> Result<BTreeMap<String, MessageAttribute>, Refusal> {
    let mut all = BTreeMap::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let kind = value["DataType"].as_str().unwrap_or("");
        let base = kind.split('.').next().unwrap_or("");
        let bad = |reason: String| refuse("InvalidParameterValue", reason);
        let attribute = match base {
            "String" | "Number" => {
                let text = value["StringValue"].as_str().unwrap_or("");
                if text.is_empty() {
                    return Err(bad(format!(
                        "Message (user) attribute '{name}' must contain a non-empty value of type 'String'."
                    )));
                }
                if base == "Number" && text.parse::<f64>().is_err() {
                    return Err(bad(format!(
                        "Can't cast the value of message (user) attribute '{name}' to a number."
                    )));
                }
                MessageAttribute {
                    kind: kind.to_owned(),
                    binary: false,
                    value: text.as_bytes().to_vec(),
                }
            }
            "Binary" => MessageAttribute {
                kind: kind.to_owned(),
                binary: true,
                value: STANDARD
                    .decode(value["BinaryValue"].as_str().unwrap_or(""))
                    .map_err(|_| {
                        bad(format!(
                            "The binary value of message (user) attribute '{name}' is not base64."
                        ))
                    })?,
            },
            _ => {
                return Err(bad(format!(
                    "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String."
                )));
            }
        };
        all.insert(name.clone(), attribute);
    }
    if all.len() > ATTRIBUTES {
        return Err(refuse(
            "InvalidParameterValue",
            format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES}].",
                all.len()
            ),
        ));
    }
    Ok(all)
}

fn attribute_json(attribute: &MessageAttribute) -> Value {
    if attribute.binary {
        json!({"DataType": attribute.kind, "BinaryValue": STANDARD.encode(&attribute.value)})
    } else {
        json!({"DataType": attribute.kind, "StringValue": String::from_utf8_lossy(&attribute.value)})
    }
}

fn size_of(entry: &Value) -> usize {
    let attributes: usize = entry["MessageAttributes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = |field: &str| value[field].as_str().map_or(0, str::len);
            name.len() + text("DataType") + text("StringValue") + text("BinaryValue") / 4 * 3
        })
        .sum();
    entry["MessageBody"].as_str().map_or(0, str::len) + attributes
}

/// Characters that XML does not allow are refused.
fn check_body(body: &str) -> Result<(), Refusal> {
    let bad = |character: char| !matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    match body.chars().find(|character| bad(*character)) {
        Some(character) => Err(refuse(
            "InvalidMessageContents",
            format!(
                "Invalid binary character '#x{:x}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
                u32::from(character)
            ),
        )),
        None => Ok(()),
    }
}

impl Call<'_> {
    pub(super) fn send(&mut self) -> Result<Value, Refusal> {
        self.queues.room()?;
        let name = queue_name(self.text("QueueUrl").unwrap_or("")).to_owned();
        self.queue()?;
        let input = self.input.clone();
        self.accept(&name, &input)
    }

    /// Puts one entry into a queue that exists.
    fn accept(&mut self, name: &str, entry: &Value) -> Result<Value, Refusal> {
        let body = entry["MessageBody"].as_str().unwrap_or("");
        if body.is_empty() {
            return Err(missing("MessageBody"));
        }
        check_body(body)?;
        let attributes = read_attributes(&entry["MessageAttributes"])?;
        let system = read_attributes(&entry["MessageSystemAttributes"])?;
        let count = self.queues.count();
        let now = self.scope.now;
        let id = self.scope.uuid(&format!("sqs/{name}/{count}"));
        let Some(queue) = self.queues.queues.get_mut(name) else {
            return Err(refuse(
                "QueueDoesNotExist",
                "The specified queue does not exist.",
            ));
        };
        let limit = usize::try_from(queue.number("MaximumMessageSize")).unwrap_or(0);
        if size_of(entry) > limit {
            return Err(refuse(
                "InvalidParameterValue",
                format!(
                    "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
                ),
            ));
        }
        let delay = match entry["DelaySeconds"].as_i64() {
            Some(delay) if !(0..=900).contains(&delay) => {
                return Err(invalid(
                    "DelaySeconds",
                    &delay.to_string(),
                    "DelaySeconds must be >= 0 and <= 900.",
                ));
            }
            Some(delay) if queue.is_fifo() && delay != 0 => {
                return Err(invalid(
                    "DelaySeconds",
                    &delay.to_string(),
                    "The request include parameter that is not valid for this queue type.",
                ));
            }
            Some(delay) if !queue.is_fifo() => delay,
            _ => queue.number("DelaySeconds"),
        };
        let group = entry["MessageGroupId"].as_str().map(str::to_owned);
        let mut deduplication = entry["MessageDeduplicationId"].as_str().map(str::to_owned);
        let mut sequence = None;
        let mut answer = json!({"MD5OfMessageBody": digest::body(body)});
        if let Some(md5) = digest::attributes(&attributes) {
            answer["MD5OfMessageAttributes"] = json!(md5);
        }
        if let Some(md5) = digest::attributes(&system) {
            answer["MD5OfMessageSystemAttributes"] = json!(md5);
        }
        if queue.is_fifo() {
            let Some(group) = &group else {
                return Err(missing("MessageGroupId"));
            };
            if deduplication.is_none() && queue.setting("ContentBasedDeduplication") == Some("true")
            {
                let hash = Sha256::digest(body.as_bytes());
                deduplication = Some(hash.iter().map(|byte| format!("{byte:02x}")).collect());
            }
            let Some(key) = &deduplication else {
                return Err(refuse(
                    "InvalidParameterValue",
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
                ));
            };
            let key = match queue.setting("DeduplicationScope") {
                Some("messageGroup") => format!("{group}\u{0}{key}"),
                _ => key.clone(),
            };
            queue.expire(now);
            if let Some((id, sequence)) = queue.duplicate(&key) {
                answer["MessageId"] = json!(id);
                answer["SequenceNumber"] = json!(sequence);
                return Ok(answer);
            }
            let number = format!("188{count:017}");
            queue.remember(key, now, id.clone(), number.clone());
            answer["SequenceNumber"] = json!(number);
            sequence = Some(number);
        } else if deduplication.is_some() {
            return Err(invalid(
                "MessageDeduplicationId",
                deduplication.as_deref().unwrap_or(""),
                "The request includes a parameter that is not valid for this queue type.",
            ));
        }
        answer["MessageId"] = json!(id);
        queue.push(Message {
            id,
            md5: digest::body(body),
            body: body.to_owned(),
            attributes_md5: digest::attributes(&attributes),
            attributes,
            trace: system
                .get("AWSTraceHeader")
                .map(|header| String::from_utf8_lossy(&header.value).into_owned()),
            sent: now,
            visible: now
                .checked_add(SignedDuration::from_secs(delay))
                .unwrap_or(now),
            received: 0,
            first_received: None,
            receipt: None,
            group,
            deduplication,
            sequence,
            source: None,
        });
        Ok(answer)
    }

    /// The entries of a batch, checked as a whole.
    fn entries(&self, kind: &str) -> Result<Vec<Value>, Refusal> {
        let entries = self.input["Entries"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if entries.is_empty() {
            return Err(refuse(
                "EmptyBatchRequest",
                format!("There should be at least one {kind} in the request."),
            ));
        }
        if entries.len() > ENTRIES {
            return Err(refuse(
                "TooManyEntriesInBatchRequest",
                format!(
                    "Maximum number of entries per request are {ENTRIES}. You have sent {}.",
                    entries.len()
                ),
            ));
        }
        let mut seen = BTreeSet::new();
        for entry in &entries {
            let id = entry["Id"].as_str().unwrap_or("");
            let letters = id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if id.is_empty() || id.len() > 80 || !letters {
                return Err(refuse(
                    "InvalidBatchEntryId",
                    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
                ));
            }
            if !seen.insert(id.to_owned()) {
                return Err(refuse(
                    "BatchEntryIdsNotDistinct",
                    format!("Id {id} repeated."),
                ));
            }
        }
        Ok(entries)
    }

    /// Runs a batch entry by entry and sorts the outcomes.
    fn batch(
        &mut self,
        entries: &[Value],
        mut run: impl FnMut(&mut Self, &Value) -> Result<Value, Refusal>,
    ) -> Value {
        let mut successful = Vec::new();
        let mut failed = Vec::new();
        for entry in entries {
            let id = entry["Id"].clone();
            match run(self, entry) {
                Ok(Value::Object(mut answer)) => {
                    answer.insert("Id".into(), id);
                    successful.push(Value::Object(answer));
                }
                Ok(_) => successful.push(json!({"Id": id})),
                Err(refusal) => failed.push(json!({
                    "Id": id,
                    "SenderFault": true,
                    "Code": refusal.code,
                    "Message": refusal.message,
                })),
            }
        }
        let mut answer = json!({"Successful": successful});
        if !failed.is_empty() {
            answer["Failed"] = json!(failed);
        }
        answer
    }

    pub(super) fn send_batch(&mut self) -> Result<Value, Refusal> {
        self.queues.room()?;
        let name = queue_name(self.text("QueueUrl").unwrap_or("")).to_owned();
        self.queue()?;
        let entries = self.entries("SendMessageBatchRequestEntry")?;
        let size: usize = entries.iter().map(size_of).sum();
        if size > BATCH_BYTES {
            return Err(refuse(
                "BatchRequestTooLong",
                format!(
                    "Batch requests cannot be longer than {BATCH_BYTES} bytes. You have sent {size} bytes."
                ),
            ));
        }
        Ok(self.batch(&entries, |call, entry| call.accept(&name, entry)))
    }

    pub(super) fn receive(&mut self) -> Result<Answer, Refusal> {
        let input = self.input;
        let number = |field: &str, min: i64, max: i64| match input[field].as_i64() {
            Some(value) if !(min..=max).contains(&value) => Err(invalid(
                field,
                &value.to_string(),
                &format!("Must be >= {min} and <= {max}, if provided."),
            )),
            value => Ok(value),
        };
        let count = number("MaxNumberOfMessages", 1, 10)?.unwrap_or(1);
        let timeout = number("VisibilityTimeout", 0, 43_200)?;
        let wait = number("WaitTimeSeconds", 0, 20)?;
        let now = self.scope.now;
        let name = queue_name(self.text("QueueUrl").unwrap_or("")).to_owned();
        let queue = self.queue()?;
        let timeout = timeout.unwrap_or_else(|| queue.number("VisibilityTimeout"));
        let wait = wait.unwrap_or_else(|| queue.number("ReceiveMessageWaitTimeSeconds"));
        if queue.counts(now).1 >= IN_FLIGHT {
            return Err(refuse("OverLimit", "Too many messages in flight."));
        }
        let messages = self
            .queues
            .take(&name, usize::try_from(count).unwrap_or(1), timeout, now);
        if messages.is_empty() {
            if wait > 0 {
                return Ok(Answer::Wait(wait));
            }
            return Ok(Answer::Ready(json!({})));
        }
        let wanted = Wanted::read(input);
        let shown: Vec<Value> = messages
            .iter()
            .map(|message| wanted.show(message, &self.scope.account))
            .collect();
        Ok(Answer::Ready(json!({"Messages": shown})))
    }

    pub(super) fn delete_message(&mut self) -> Result<Value, Refusal> {
        let receipt = self.text("ReceiptHandle").unwrap_or("").to_owned();
        let queue = self.queue()?;
        check_receipt(&receipt)?;
        queue.delete(&receipt);
        Ok(Value::Null)
    }

    pub(super) fn delete_message_batch(&mut self) -> Result<Value, Refusal> {
        self.queue()?;
        let entries = self.entries("DeleteMessageBatchRequestEntry")?;
        Ok(self.batch(&entries, |call, entry| {
            let receipt = entry["ReceiptHandle"].as_str().unwrap_or("");
            check_receipt(receipt)?;
            call.queue()?.delete(receipt);
            Ok(Value::Null)
        }))
    }

    fn make_visible(&mut self, receipt: &str, timeout: i64) -> Result<(), Refusal> {
        if !(0..=43_200).contains(&timeout) {
            return Err(invalid(
                "VisibilityTimeout",
                &timeout.to_string(),
                "Must be >= 0 and <= 43200, if provided.",
            ));
        }
        let now = self.scope.now;
        check_receipt(receipt)?;
        let queue = self.queue()?;
        let message = queue
            .by_receipt(receipt)
            .filter(|message| message.in_flight(now))
            .ok_or_else(|| {
                invalid(
                    "ReceiptHandle",
                    receipt,
                    "Message does not exist or is not available for visibility timeout change.",
                )
            })?;
        message.visible = now
            .checked_add(SignedDuration::from_secs(timeout))
            .unwrap_or(now);
        Ok(())
    }

    pub(super) fn change_visibility(&mut self) -> Result<Value, Refusal> {
        let receipt = self.text("ReceiptHandle").unwrap_or("").to_owned();
        let timeout = self.input["VisibilityTimeout"].as_i64().unwrap_or(0);
        self.queue()?;
        self.make_visible(&receipt, timeout)?;
        Ok(Value::Null)
    }

    pub(super) fn change_visibility_batch(&mut self) -> Result<Value, Refusal> {
        self.queue()?;
        let entries = self.entries("ChangeMessageVisibilityBatchRequestEntry")?;
        Ok(self.batch(&entries, |call, entry| {
            let receipt = entry["ReceiptHandle"].as_str().unwrap_or("");
            call.make_visible(receipt, entry["VisibilityTimeout"].as_i64().unwrap_or(0))?;
            Ok(Value::Null)
        }))
    }
}

fn check_receipt(receipt: &str) -> Result<(), Refusal> {
    let ours = URL_SAFE_NO_PAD
        .decode(receipt)
        .is_ok_and(|bytes| bytes.starts_with(b"tidegate/"));
    if ours {
        return Ok(());
    }
    Err(refuse(
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{receipt}\" is not a valid receipt handle."),
    ))
}

/// A new receipt handle.
pub(super) fn receipt(queue: &str, message: &str, count: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("tidegate/{queue}/{message}/{count}"))
}

/// The id of the message that a receipt handle was given for.
pub(super) fn message_of(receipt: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(receipt).ok()?).ok()?;
    text.split('/').nth(2).map(str::to_owned)
}

/// Which attributes a receiver asked for.
struct Wanted {
    system: Vec<String>,
    user: Vec<String>,
}

impl Wanted {
    fn read(input: &Value) -> Self {
        let list = |field: &str| {
            input[field]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
        };
        Self {
            system: list("AttributeNames")
                .chain(list("MessageSystemAttributeNames"))
                .collect(),
            user: list("MessageAttributeNames").collect(),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.user.iter().any(|pattern| {
            pattern == "All"
                || pattern == name
                || pattern
                    .strip_suffix(".*")
                    .is_some_and(|prefix| name.starts_with(prefix))
        })
    }

    fn show(&self, message: &Message, account: &str) -> Value {
        let mut shown = json!({
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "MD5OfBody": message.md5,
            "Body": message.body,
        });
        let system: Map<String, Value> = system_attributes(message, account)
            .into_iter()
            .filter(|(name, _)| {
                self.system
                    .iter()
                    .any(|wanted| wanted == "All" || wanted == name)
            })
            .collect();
        if !system.is_empty() {
            shown["Attributes"] = Value::Object(system);
        }
        let user: BTreeMap<String, MessageAttribute> = message
            .attributes
            .iter()
            .filter(|(name, _)| self.wants(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(md5) = digest::attributes(&user) {
            let map: Map<String, Value> = user
                .iter()
                .map(|(name, value)| (name.clone(), attribute_json(value)))
                .collect();
            shown["MD5OfMessageAttributes"] = json!(md5);
            shown["MessageAttributes"] = Value::Object(map);
        }
        shown
    }
}

/// The attributes that SQS itself gives a received message.
pub(super) fn system_attributes(message: &Message, account: &str) -> Map<String, Value> {
    let mut map = Map::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), Value::String(value));
        }
    };
    set("SenderId", Some(account.to_owned()));
    set(
        "SentTimestamp",
        Some(message.sent.as_millisecond().to_string()),
    );
    set(
        "ApproximateReceiveCount",
        Some(message.received.to_string()),
    );
    set(
        "ApproximateFirstReceiveTimestamp",
        message
            .first_received
            .map(|at| at.as_millisecond().to_string()),
    );
    set("MessageGroupId", message.group.clone());
    set("MessageDeduplicationId", message.deduplication.clone());
    set("SequenceNumber", message.sequence.clone());
    set("AWSTraceHeader", message.trace.clone());
    set("DeadLetterQueueSourceArn", message.source.clone());
    map
}
