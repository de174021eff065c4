//! Topics and subscriptions made, changed, listed and removed.
//!
//! Must not know: delivery.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::topic::{SUBSCRIPTION_ATTRIBUTES, Subscription, TOPIC_ATTRIBUTES, Topic};
use super::{Call, SUBSCRIPTIONS, TOPIC_SUBSCRIPTIONS, TOPICS, invalid};
use crate::refusal::{Refusal, refuse};

/// Entries of one page.
const PAGE: usize = 100;
/// Bytes of one attribute's value.
const ATTRIBUTE_BYTES: usize = 32_768;
/// Tags of one topic.
const TAGS: usize = 50;

fn read_tags(value: &Value) -> BTreeMap<String, String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| {
            Some((
                tag["Key"].as_str()?.to_owned(),
                tag["Value"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

fn read_map(value: &Value) -> BTreeMap<String, String> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()))
        .collect()
}

fn check_topic_attribute(name: &str, value: &str, fifo: bool) -> Result<(), Refusal> {
    if value.len() > ATTRIBUTE_BYTES {
        return Err(invalid(format!("{name} Reason: the value is too long")));
    }
    if !TOPIC_ATTRIBUTES.contains(&name) {
        return Err(invalid("AttributeName"));
    }
    let flag = matches!(value, "true" | "false");
    match name {
        "FifoTopic" | "ContentBasedDeduplication" if !flag => Err(invalid(format!(
            "{name} Reason: {name} must be true or false"
        ))),
        "ContentBasedDeduplication" if !fifo => Err(invalid(
            "Attributes Reason: Content-based deduplication can only be set for FIFO topics",
        )),
        "Policy" | "DeliveryPolicy" | "ArchivePolicy" if !value.is_empty() => {
            match serde_json::from_str::<Value>(value) {
                Ok(Value::Object(_)) => Ok(()),
                _ => Err(invalid(format!("{name} Reason: failed to parse JSON"))),
            }
        }
        _ => Ok(()),
    }
}

fn check_subscription_attribute(name: &str, value: &str) -> Result<(), Refusal> {
    if value.len() > ATTRIBUTE_BYTES {
        return Err(invalid(format!("{name} Reason: the value is too long")));
    }
    if !SUBSCRIPTION_ATTRIBUTES.contains(&name) {
        return Err(invalid("AttributeName"));
    }
    match name {
        "RawMessageDelivery" if !matches!(value, "true" | "false") => Err(invalid(
            "Attributes Reason: RawMessageDelivery: Invalid value. Must be true or false.",
        )),
        "FilterPolicyScope" if !matches!(value, "MessageAttributes" | "MessageBody") => {
            Err(invalid(
                "Attributes Reason: FilterPolicyScope: Invalid value. Please use either MessageBody or MessageAttributes",
            ))
        }
        "FilterPolicy" if !value.is_empty() && value != "{}" => crate::filter::check_text(value)
            .map_err(|reason| invalid(format!("FilterPolicy: {reason}"))),
        "RedrivePolicy" | "DeliveryPolicy" if !value.is_empty() => {
            match serde_json::from_str::<Value>(value) {
                Ok(Value::Object(_)) => Ok(()),
                _ => Err(invalid(format!("{name}: failed to parse JSON."))),
            }
        }
        _ => Ok(()),
    }
}

impl Call<'_> {
    pub(super) fn create(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("").to_owned();
        let attributes = read_map(&self.input["Attributes"]);
        let stem = name.strip_suffix(".fifo").unwrap_or(&name);
        let letters = stem
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let fifo = attributes
            .get("FifoTopic")
            .is_some_and(|value| value == "true");
        if stem.is_empty() || name.len() > 256 || !letters {
            return Err(invalid("Topic Name"));
        }
        if fifo != name.ends_with(".fifo") {
            return Err(invalid(if fifo {
                "Topic Name Reason: a FIFO topic's name must end with .fifo"
            } else {
                "Topic Name"
            }));
        }
        for (name, value) in &attributes {
            check_topic_attribute(name, value, fifo)?;
        }
        let tags = read_tags(&self.input["Tags"]);
        if tags.len() > TAGS {
            return Err(refuse(
                "TagLimitExceeded",
                "Could not complete request: tag quota of per resource exceeded",
            ));
        }
        let arn = self.scope.arn("sns", &name);
        if let Some(topic) = self.topics.topics.get(&arn) {
            let differs = attributes
                .iter()
                .any(|(name, value)| topic.attributes.get(name) != Some(value));
            if differs {
                return Err(invalid(
                    "Attributes Reason: Topic already exists with different attributes",
                ));
            }
            if !tags.is_empty() && tags != topic.tags {
                return Err(invalid(
                    "Tags Reason: Topic already exists with different tags",
                ));
            }
            return Ok(json!({"TopicArn": arn}));
        }
        if self.topics.topics.len() >= TOPICS {
            return Err(refuse(
                "TopicLimitExceeded",
                format!("the sandbox keeps at most {TOPICS} topics in a region"),
            )
            .status(403));
        }
        self.topics.topics.insert(
            arn.clone(),
            Topic {
                arn: arn.clone(),
                name,
                attributes,
                tags,
                deleted: 0,
                seen: BTreeMap::new(),
            },
        );
        Ok(json!({"TopicArn": arn}))
    }

    pub(super) fn delete(&mut self) -> Value {
        let arn = self.text("TopicArn").unwrap_or("").to_owned();
        self.topics.topics.remove(&arn);
        self.topics
            .subscriptions
            .retain(|_, subscription| subscription.topic != arn);
        Value::Null
    }

    pub(super) fn list(&mut self) -> Value {
        let after = self.text("NextToken");
        let mut arns: Vec<&String> = self
            .topics
            .topics
            .keys()
            .filter(|arn| after.is_none_or(|after| arn.as_str() > after))
            .collect();
        let more = arns.len() > PAGE;
        arns.truncate(PAGE);
        let mut answer =
            json!({"Topics": arns.iter().map(|arn| json!({"TopicArn": arn})).collect::<Vec<_>>()});
        if more && let Some(last) = arns.last() {
            answer["NextToken"] = json!(last);
        }
        answer
    }

    pub(super) fn topic_attributes(&mut self) -> Result<Value, Refusal> {
        let account = self.scope.account.clone();
        let arn = self.topic()?.arn.clone();
        let count = |pending: bool| {
            self.topics
                .subscriptions
                .values()
                .filter(|subscription| subscription.topic == arn && subscription.pending == pending)
                .count()
        };
        let (confirmed, pending) = (count(false), count(true));
        let topic = self.topic()?;
        Ok(json!({"Attributes": topic.describe(&account, confirmed, pending)}))
    }

    pub(super) fn set_topic_attributes(&mut self) -> Result<Value, Refusal> {
        let name = self.text("AttributeName").unwrap_or("").to_owned();
        let value = self.text("AttributeValue").unwrap_or("").to_owned();
        let topic = self.topic()?;
        check_topic_attribute(&name, &value, topic.is_fifo())?;
        if name == "FifoTopic" {
            return Err(invalid("AttributeName"));
        }
        topic.attributes.insert(name, value);
        Ok(Value::Null)
    }

    pub(super) fn add_permission(&mut self) -> Result<Value, Refusal> {
        let label = self.text("Label").unwrap_or("").to_owned();
        let account = self.scope.account.clone();
        let accounts = self.input["AWSAccountId"].clone();
        let actions = self.input["ActionName"].clone();
        let topic = self.topic()?;
        let mut policy: Value = topic
            .describe(&account, 0, 0)
            .get("Policy")
            .and_then(Value::as_str)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let list = |value: &Value, form: &dyn Fn(&str) -> String| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(form)
                .collect()
        };
        let statement = json!({
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": list(&accounts, &|id| format!("arn:aws:iam::{id}:root"))},
            "Action": list(&actions, &|action| format!("SNS:{action}")),
            "Resource": topic.arn,
        });
        match policy["Statement"].as_array_mut() {
            Some(all) if all.iter().any(|one| one["Sid"] == label.as_str()) => {
                return Err(invalid("Statement already exists"));
            }
            Some(all) => all.push(statement),
            None => policy["Statement"] = json!([statement]),
        }
        topic.attributes.insert("Policy".into(), policy.to_string());
        Ok(Value::Null)
    }

    pub(super) fn remove_permission(&mut self) -> Result<Value, Refusal> {
        let label = self.text("Label").unwrap_or("").to_owned();
        let topic = self.topic()?;
        if let Some(text) = topic.attributes.get("Policy")
            && let Ok(mut policy) = serde_json::from_str::<Value>(text)
        {
            if let Some(all) = policy["Statement"].as_array_mut() {
                all.retain(|one| one["Sid"] != label.as_str());
            }
            topic.attributes.insert("Policy".into(), policy.to_string());
        }
        Ok(Value::Null)
    }

    fn tagged(&mut self) -> Result<&mut Topic, Refusal> {
        let arn = self.text("ResourceArn").unwrap_or("").to_owned();
        self.topics
            .topics
            .get_mut(&arn)
            .ok_or_else(|| refuse("ResourceNotFound", "Resource does not exist").status(404))
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = read_tags(&self.input["Tags"]);
        let topic = self.tagged()?;
        let mut all = topic.tags.clone();
        all.extend(tags);
        if all.len() > TAGS {
            return Err(refuse(
                "TagLimitExceeded",
                "Could not complete request: tag quota of per resource exceeded",
            ));
        }
        topic.tags = all;
        Ok(json!({}))
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        let keys = self.input["TagKeys"].clone();
        let topic = self.tagged()?;
        for key in keys
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            topic.tags.remove(key);
        }
        Ok(json!({}))
    }

    pub(super) fn list_tags(&mut self) -> Result<Value, Refusal> {
        let tags: Vec<Value> = self
            .tagged()?
            .tags
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        Ok(json!({"Tags": tags}))
    }

    pub(super) fn subscribe(&mut self) -> Result<Value, Refusal> {
        let protocol = self.text("Protocol").unwrap_or("").to_owned();
        let endpoint = self.text("Endpoint").unwrap_or("").to_owned();
        let attributes = read_map(&self.input["Attributes"]);
        let wants_arn = match &self.input["ReturnSubscriptionArn"] {
            Value::Bool(flag) => *flag,
            other => other.as_str() == Some("true"),
        };
        let (topic, fifo) = {
            let topic = self.topic()?;
            (topic.arn.clone(), topic.is_fifo())
        };
        check_endpoint(&protocol, &endpoint, fifo)?;
        for (name, value) in &attributes {
            check_subscription_attribute(name, value)?;
        }
        let known = self.topics.subscriptions.values().find(|subscription| {
            subscription.topic == topic
                && subscription.protocol == protocol
                && subscription.endpoint == endpoint
        });
        if let Some(known) = known {
            let differs = attributes
                .iter()
                .any(|(name, value)| known.attributes.get(name) != Some(value));
            if differs {
                return Err(invalid(
                    "Attributes Reason: Subscription already exists with different attributes",
                ));
            }
            let arn = if known.pending && !wants_arn {
                "pending confirmation"
            } else {
                &known.arn
            };
            return Ok(json!({"SubscriptionArn": arn}));
        }
        let of_topic = self
            .topics
            .subscriptions
            .values()
            .filter(|one| one.topic == topic)
            .count();
        if self.topics.subscriptions.len() >= SUBSCRIPTIONS || of_topic >= TOPIC_SUBSCRIPTIONS {
            return Err(refuse(
                "SubscriptionLimitExceeded",
                format!("the sandbox keeps at most {TOPIC_SUBSCRIPTIONS} subscriptions of a topic and {SUBSCRIPTIONS} in a region"),
            )
            .status(403));
        }
        self.topics.counter += 1;
        let id = self.scope.uuid(&format!(
            "{topic}/{protocol}/{endpoint}/{}",
            self.topics.counter
        ));
        let arn = format!("{topic}:{id}");
        let pending = !matches!(
            protocol.as_str(),
            "sqs" | "lambda" | "firehose" | "sms" | "application"
        );
        self.topics.subscriptions.insert(
            arn.clone(),
            Subscription {
                arn: arn.clone(),
                topic,
                protocol,
                endpoint,
                pending,
                attributes,
            },
        );
        let shown = if pending && !wants_arn {
            "pending confirmation"
        } else {
            &arn
        };
        Ok(json!({"SubscriptionArn": shown}))
    }

    pub(super) fn unsubscribe(&mut self) -> Value {
        let arn = self.text("SubscriptionArn").unwrap_or("").to_owned();
        if let Some(gone) = self.topics.subscriptions.remove(&arn)
            && let Some(topic) = self.topics.topics.get_mut(&gone.topic)
        {
            topic.deleted += 1;
        }
        Value::Null
    }

    /// The token of a pending subscription is the last part of its ARN.
    pub(super) fn confirm(&mut self) -> Result<Value, Refusal> {
        let token = self.text("Token").unwrap_or("").to_owned();
        let topic = self.topic()?.arn.clone();
        let arn = format!("{topic}:{token}");
        match self.topics.subscriptions.get_mut(&arn) {
            Some(subscription) => {
                subscription.pending = false;
                Ok(json!({"SubscriptionArn": arn}))
            }
            None => Err(invalid("Token")),
        }
    }

    pub(super) fn list_subscriptions(&mut self, topic: Option<&str>) -> Value {
        let after = self.text("NextToken");
        let mut found: Vec<&Subscription> = self
            .topics
            .subscriptions
            .values()
            .filter(|subscription| topic.is_none_or(|topic| subscription.topic == topic))
            .filter(|subscription| after.is_none_or(|after| subscription.arn.as_str() > after))
            .collect();
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        let account = &self.scope.account;
        let mut answer = json!({
            "Subscriptions": found.iter().map(|one| one.summary(account)).collect::<Vec<_>>(),
        });
        if more && let Some(last) = found.last() {
            answer["NextToken"] = json!(last.arn);
        }
        answer
    }

    pub(super) fn subscription_attributes(&mut self) -> Result<Value, Refusal> {
        let account = self.scope.account.clone();
        Ok(json!({"Attributes": self.subscription()?.describe(&account)}))
    }

    pub(super) fn set_subscription_attributes(&mut self) -> Result<Value, Refusal> {
        let name = self.text("AttributeName").unwrap_or("").to_owned();
        let value = self.text("AttributeValue").unwrap_or("").to_owned();
        let subscription = self.subscription()?;
        check_subscription_attribute(&name, &value)?;
        let removes = value.is_empty() || (name == "FilterPolicy" && value == "{}");
        if removes {
            subscription.attributes.remove(&name);
        } else {
            subscription.attributes.insert(name, value);
        }
        Ok(Value::Null)
    }

    pub(super) fn put_data_protection(&mut self) -> Result<Value, Refusal> {
        let policy = self.text("DataProtectionPolicy").unwrap_or("").to_owned();
        let topic = self.tagged()?;
        topic
            .attributes
            .insert("DataProtectionPolicy".into(), policy);
        Ok(Value::Null)
    }

    pub(super) fn get_data_protection(&mut self) -> Result<Value, Refusal> {
        let topic = self.tagged()?;
        let policy = topic.attributes.get("DataProtectionPolicy").cloned();
        Ok(json!({"DataProtectionPolicy": policy.unwrap_or_default()}))
    }
}

fn check_endpoint(protocol: &str, endpoint: &str, fifo: bool) -> Result<(), Refusal> {
    let arn_of = |service: &str| endpoint.split(':').nth(2) == Some(service);
    match protocol {
        "sqs" if !arn_of("sqs") => Err(invalid("SQS endpoint ARN")),
        "sqs" if endpoint.ends_with(".fifo") && !fifo => Err(invalid(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics",
        )),
        "lambda" if !arn_of("lambda") => Err(invalid("Lambda endpoint ARN")),
        "firehose" if !arn_of("firehose") => Err(invalid("Firehose endpoint ARN")),
        "lambda" | "firehose" | "email" | "email-json" | "http" | "https" | "sms" if fifo => Err(
            invalid("Invalid protocol type: a FIFO topic takes queues only"),
        ),
        "http" | "https" if !endpoint.starts_with(&format!("{protocol}://")) => {
            Err(invalid("Endpoint must match the specified protocol"))
        }
        "email" | "email-json" if !endpoint.contains('@') => Err(invalid("Email address")),
        "sqs" | "lambda" | "firehose" | "http" | "https" | "email" | "email-json" | "sms"
        | "application" => Ok(()),
        _ => Err(invalid(format!(
            "Amazon SNS does not support this protocol string: {protocol}"
        ))),
    }
}
