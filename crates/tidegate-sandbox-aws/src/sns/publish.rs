//! Messages published: filter policies, and what each subscription gets.
//!
//! Must not know: how topics are set up.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::topic::{Subscription, Topic};
use super::{Call, invalid};
use crate::effect::Effect;
use crate::filter;
use crate::refusal::{Refusal, refuse};
use crate::sqs::Outgoing;

/// Bytes of one message or batch.
const MESSAGE_BYTES: usize = 262_144;
/// Entries of one batch.
const ENTRIES: usize = 10;
/// Seconds for which a FIFO topic remembers a deduplication id.
const DEDUPLICATION_SECONDS: i64 = 300;
/// Deduplication ids that a topic remembers.
const DEDUPLICATION_IDS: usize = 10_000;

/// One message on its way.
struct Published<'a> {
    id: String,
    topic: &'a str,
    entry: &'a Value,
    now: Timestamp,
    group: Option<String>,
    deduplication: Option<String>,
}

impl Call<'_> {
    pub(super) fn publish(&mut self, effects: &mut Vec<Effect>) -> Result<Value, Refusal> {
        let input = self.input.clone();
        if self.text("TopicArn").or(self.text("TargetArn")).is_none() {
            if self.text("PhoneNumber").is_some() {
                let id = self.scope.uuid("sms");
                return Ok(json!({"MessageId": id}));
            }
            return Err(invalid(
                "TopicArn or TargetArn Reason: no value for required parameter",
            ));
        }
        let field = if self.text("TopicArn").is_some() {
            "TopicArn"
        } else {
            "TargetArn"
        };
        let arn = self.topic_of(field)?.arn.clone();
        self.accept(&arn, &input, effects)
    }

    pub(super) fn publish_batch(&mut self, effects: &mut Vec<Effect>) -> Result<Value, Refusal> {
        let arn = self.topic()?.arn.clone();
        let entries = self.input["PublishBatchRequestEntries"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if entries.is_empty() {
            return Err(refuse(
                "EmptyBatchRequest",
                "The batch request doesn't contain any entries.",
            ));
        }
        if entries.len() > ENTRIES {
            return Err(refuse(
                "TooManyEntriesInBatchRequest",
                "The batch request contains more entries than permissible.",
            ));
        }
        let mut seen = BTreeSet::new();
        if !entries
            .iter()
            .all(|entry| seen.insert(entry["Id"].as_str().unwrap_or("").to_owned()))
        {
            return Err(refuse(
                "BatchEntryIdsNotDistinct",
                "Two or more batch entries in the request have the same Id.",
            ));
        }
        let size: usize = entries
            .iter()
            .map(|e| e["Message"].as_str().map_or(0, str::len))
            .sum();
        if size > MESSAGE_BYTES {
            return Err(refuse(
                "BatchRequestTooLong",
                "The length of all the messages put together is more than the limit.",
            ));
        }
        let mut successful = Vec::new();
        let mut failed = Vec::new();
        for entry in &entries {
            match self.accept(&arn, entry, effects) {
                Ok(mut answer) => {
                    answer["Id"] = entry["Id"].clone();
                    successful.push(answer);
                }
                Err(refusal) => failed.push(json!({
                    "Id": entry["Id"],
                    "Code": refusal.code,
                    "Message": refusal.message,
                    "SenderFault": true,
                })),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    fn accept(
        &mut self,
        arn: &str,
        entry: &Value,
        effects: &mut Vec<Effect>,
    ) -> Result<Value, Refusal> {
        let message = entry["Message"].as_str().unwrap_or("");
        if message.is_empty() {
            return Err(invalid("Empty message"));
        }
        if message.len() > MESSAGE_BYTES {
            return Err(invalid("Message too long"));
        }
        if entry["MessageStructure"].as_str() == Some("json") {
            let structured: Option<Value> = serde_json::from_str(message).ok();
            match structured.as_ref().and_then(|map| map["default"].as_str()) {
                Some(_) => {}
                None if structured.is_none() => {
                    return Err(invalid(
                        "Message Structure - JSON message body failed to parse",
                    ));
                }
                None => {
                    return Err(invalid(
                        "Message Structure - No default entry in JSON message body",
                    ));
                }
            }
        }
        check_attributes(&entry["MessageAttributes"])?;
        self.topics.counter += 1;
        let counter = self.topics.counter;
        let id = self.scope.uuid(&format!("{arn}/{counter}"));
        let now = self.scope.now;
        let Some(topic) = self.topics.topics.get_mut(arn) else {
            return Err(refuse("NotFound", "Topic does not exist").status(404));
        };
        let mut answer = json!({"MessageId": id});
        let group = entry["MessageGroupId"].as_str().map(str::to_owned);
        let mut deduplication = None;
        if topic.is_fifo() {
            let key = fifo_key(topic, entry, message, group.is_some())?;
            if let Some((_, id, sequence)) = topic.seen.get(&key) {
                return Ok(json!({"MessageId": id, "SequenceNumber": sequence}));
            }
            let sequence = format!("100000000000000{counter:05}");
            let horizon = now
                .checked_sub(SignedDuration::from_secs(DEDUPLICATION_SECONDS))
                .unwrap_or(now);
            topic.seen.retain(|_, (at, ..)| *at > horizon);
            if topic.seen.len() < DEDUPLICATION_IDS {
                topic
                    .seen
                    .insert(key.clone(), (now, id.clone(), sequence.clone()));
            }
            answer["SequenceNumber"] = json!(sequence);
            deduplication = Some(key);
        } else if entry["MessageDeduplicationId"].is_string() {
            return Err(invalid(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type",
            ));
        }
        let published = Published {
            id,
            topic: arn,
            entry,
            now,
            group,
            deduplication,
        };
        let region = &self.scope.region;
        for subscription in self.topics.subscriptions.values() {
            if subscription.topic == arn && !subscription.pending && passes(subscription, entry) {
                effects.push(deliver(subscription, &published, region));
            }
        }
        Ok(answer)
    }
}

fn check_attributes(attributes: &Value) -> Result<(), Refusal> {
    for (name, value) in attributes.as_object().into_iter().flatten() {
        let kind = value["DataType"].as_str().unwrap_or("");
        let base = kind.split('.').next().unwrap_or("");
        if !matches!(base, "String" | "Number" | "Binary") {
            return Err(refuse(
                "ParameterValueInvalid",
                format!(
                    "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."
                ),
            ));
        }
        let text = value["StringValue"]
            .as_str()
            .or(value["BinaryValue"].as_str());
        if text.is_none_or(str::is_empty) {
            return Err(refuse(
                "ParameterValueInvalid",
                format!(
                    "The message attribute '{name}' must contain non-empty message attribute value for message attribute type '{kind}'."
                ),
            ));
        }
    }
    Ok(())
}

fn fifo_key(topic: &Topic, entry: &Value, message: &str, grouped: bool) -> Result<String, Refusal> {
    if !grouped {
        return Err(invalid(
            "The MessageGroupId parameter is required for FIFO topics",
        ));
    }
    if let Some(id) = entry["MessageDeduplicationId"].as_str() {
        return Ok(id.to_owned());
    }
    if topic
        .attributes
        .get("ContentBasedDeduplication")
        .is_some_and(|on| on == "true")
    {
        let hash = Sha256::digest(message.as_bytes());
        return Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    Err(invalid(
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    ))
}

/// Does a subscription's filter policy let the message through?
fn passes(subscription: &Subscription, entry: &Value) -> bool {
    let Some(policy) = subscription.attributes.get("FilterPolicy") else {
        return true;
    };
    let by_body = subscription
        .attributes
        .get("FilterPolicyScope")
        .is_some_and(|scope| scope == "MessageBody");
    let subject = if by_body {
        match entry["Message"]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
        {
            Some(body @ Value::Object(_)) => body,
            _ => return false,
        }
    } else {
        attributes_document(&entry["MessageAttributes"])
    };
    filter::matches_text(policy, &subject)
}

/// Message attributes as a document that a policy can be matched against.
fn attributes_document(attributes: &Value) -> Value {
    let map = attributes
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = value["StringValue"].as_str().unwrap_or("");
            let value = match value["DataType"].as_str() {
                Some("Number") => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
                Some("String.Array") => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
                _ => json!(text),
            };
            (name.clone(), value)
        });
    Value::Object(map.collect())
}

fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The text that a protocol gets: its own, or the default, of a structured message.
fn text_for(entry: &Value, protocol: &str) -> String {
    let message = entry["Message"].as_str().unwrap_or("");
    if entry["MessageStructure"].as_str() != Some("json") {
        return message.to_owned();
    }
    let structured: Value = serde_json::from_str(message).unwrap_or_default();
    structured[protocol]
        .as_str()
        .or(structured["default"].as_str())
        .unwrap_or("")
        .to_owned()
}

fn shown_attributes(entry: &Value) -> Map<String, Value> {
    entry["MessageAttributes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = value["StringValue"]
                .as_str()
                .or(value["BinaryValue"].as_str());
            (
                name.clone(),
                json!({"Type": value["DataType"], "Value": text}),
            )
        })
        .collect()
}

fn deliver(subscription: &Subscription, published: &Published<'_>, region: &str) -> Effect {
    let entry = published.entry;
    let message = text_for(entry, &subscription.protocol);
    let attributes = shown_attributes(entry);
    let certificate =
        format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-sandbox.pem");
    let unsubscribe = format!(
        "https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={}",
        subscription.arn
    );
    match subscription.protocol.as_str() {
        "lambda" => Effect::Function {
            arn: subscription.endpoint.clone(),
            event: json!({"Records": [{
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": {
                    "Type": "Notification",
                    "MessageId": published.id,
                    "TopicArn": published.topic,
                    "Subject": entry["Subject"],
                    "Message": message,
                    "Timestamp": time(published.now),
                    "SignatureVersion": "1",
                    "Signature": "sandbox",
                    "SigningCertUrl": certificate,
                    "UnsubscribeUrl": unsubscribe,
                    "MessageAttributes": attributes,
                },
            }]}),
        },
        "sqs" => {
            let (body, sent) = if subscription.raw() {
                (message, entry.get("MessageAttributes").cloned())
            } else {
                let mut envelope = json!({
                    "Type": "Notification",
                    "MessageId": published.id,
                    "TopicArn": published.topic,
                    "Message": message,
                    "Timestamp": time(published.now),
                    "SignatureVersion": "1",
                    "Signature": "sandbox",
                    "SigningCertURL": certificate,
                    "UnsubscribeURL": unsubscribe,
                });
                if let Some(subject) = entry.get("Subject").filter(|subject| subject.is_string()) {
                    envelope["Subject"] = subject.clone();
                }
                if !attributes.is_empty() {
                    envelope["MessageAttributes"] = Value::Object(attributes);
                }
                (envelope.to_string(), None)
            };
            let fifo = subscription.endpoint.ends_with(".fifo");
            Effect::Queue {
                arn: subscription.endpoint.clone(),
                message: Outgoing {
                    body,
                    attributes: sent,
                    group: published.group.clone().filter(|_| fifo),
                    deduplication: published.deduplication.clone().filter(|_| fifo),
                },
            }
        }
        other => Effect::Unreachable {
            arn: subscription.endpoint.clone(),
            reason: format!("the sandbox sends nothing over {other}"),
        },
    }
}
