//! Queues made, described, changed, tagged and deleted.
//!
//! Must not know: messages.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::queue::Queue;
use super::{Call, QUEUES, attributes, queue_name};
use crate::refusal::{Refusal, refuse};

/// Tags of one queue.
const TAGS: usize = 50;
/// Seconds between two purges.
const PURGE_SECONDS: i64 = 60;

fn check_name(name: &str) -> Result<(), Refusal> {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let letters = stem
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !stem.is_empty() && name.len() <= 80 && letters {
        return Ok(());
    }
    Err(refuse(
        "InvalidParameterValue",
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    ))
}

impl Call<'_> {
    fn url_of(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.scope.endpoint, self.scope.account)
    }

    pub(super) fn create(&mut self) -> Result<Value, Refusal> {
        let name = self.text("QueueName").unwrap_or("").to_owned();
        check_name(&name)?;
        let settings = attributes::check(&name, &self.input["Attributes"])?;
        if name.ends_with(".fifo") && !settings.contains_key("FifoQueue") {
            return Err(refuse(
                "InvalidParameterValue",
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        let url = self.url_of(&name);
        if let Some(queue) = self.queues.queues.get(&name) {
            let names: Vec<String> = settings.keys().cloned().collect();
            let current = attributes::read(queue, &names, self.scope.now)?;
            let differs = settings.iter().find(|(name, value)| {
                current.get(*name).and_then(Value::as_str).unwrap_or("") != value.as_str()
            });
            return match differs {
                Some((attribute, _)) => Err(refuse(
                    "QueueNameExists",
                    format!(
                        "A queue already exists with the same name and a different value for attribute {attribute}"
                    ),
                )),
                None => Ok(json!({"QueueUrl": url})),
            };
        }
        let horizon = self
            .scope
            .now
            .checked_sub(self.reuse)
            .unwrap_or(self.scope.now);
        self.queues.forget(horizon);
        if self.queues.deleted.contains_key(&name) {
            return Err(refuse(
                "QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            ));
        }
        if self.queues.queues.len() >= QUEUES {
            return Err(refuse(
                "OverLimit",
                format!("the sandbox keeps at most {QUEUES} queues in a region"),
            ));
        }
        self.check_target(&settings)?;
        let tags = read_tags(self.input.get("tags").or(self.input.get("Tags")))?;
        let queue = Queue {
            arn: self.scope.arn("sqs", &name),
            created: self.scope.now,
            modified: self.scope.now,
            settings,
            tags,
            messages: Vec::new(),
            bytes: 0,
            purged: None,
            seen: BTreeMap::new(),
            name: name.clone(),
        };
        self.queues.queues.insert(name, queue);
        Ok(json!({"QueueUrl": url}))
    }

    /// A redrive policy must name a queue that exists.
    fn check_target(&self, settings: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let Some(policy) = settings
            .get("RedrivePolicy")
            .filter(|policy| !policy.is_empty())
        else {
            return Ok(());
        };
        let read: Value = serde_json::from_str(policy).unwrap_or_default();
        let target = read["deadLetterTargetArn"].as_str().unwrap_or("");
        let found = self
            .queues
            .queues
            .get(queue_name(target))
            .is_some_and(|queue| queue.arn == target);
        if found {
            return Ok(());
        }
        Err(refuse(
            "InvalidParameterValue",
            format!(
                "Value {policy} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist."
            ),
        ))
    }

    pub(super) fn delete(&mut self) -> Result<Value, Refusal> {
        let name = queue_name(self.text("QueueUrl").unwrap_or("")).to_owned();
        self.queue()?;
        self.queues.queues.remove(&name);
        let horizon = self
            .scope
            .now
            .checked_sub(self.reuse)
            .unwrap_or(self.scope.now);
        self.queues.forget(horizon);
        self.queues.deleted.insert(name, self.scope.now);
        Ok(Value::Null)
    }

    pub(super) fn url(&mut self) -> Result<Value, Refusal> {
        let name = self.queue_of("QueueName")?.name.clone();
        Ok(json!({"QueueUrl": self.url_of(&name)}))
    }

    pub(super) fn list(&mut self) -> Result<Value, Refusal> {
        let prefix = self.text("QueueNamePrefix").unwrap_or("");
        let after = self.text("NextToken");
        let limit = self.input["MaxResults"].as_u64();
        let size = usize::try_from(limit.unwrap_or(1_000).clamp(1, 1_000)).unwrap_or(1_000);
        let mut names: Vec<&String> = self
            .queues
            .queues
            .keys()
            .filter(|name| {
                name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after)
            })
            .collect();
        let more = names.len() > size;
        names.truncate(size);
        let urls: Vec<String> = names.iter().map(|name| self.url_of(name)).collect();
        let mut answer = json!({});
        if !urls.is_empty() {
            answer["QueueUrls"] = json!(urls);
        }
        if more
            && limit.is_some()
            && let Some(last) = names.last()
        {
            answer["NextToken"] = json!(last);
        }
        Ok(answer)
    }

    pub(super) fn attributes(&mut self) -> Result<Value, Refusal> {
        let names: Vec<String> = self.input["AttributeNames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let now = self.scope.now;
        let queue = self.queue()?;
        queue.expire(now);
        let attributes = attributes::read(queue, &names, now)?;
        if attributes.is_empty() {
            return Ok(json!({}));
        }
        Ok(json!({"Attributes": attributes}))
    }

    pub(super) fn set_attributes(&mut self) -> Result<Value, Refusal> {
        let name = queue_name(self.text("QueueUrl").unwrap_or("")).to_owned();
        self.queue()?;
        if self.input["Attributes"].get("FifoQueue").is_some() {
            return Err(refuse(
                "InvalidAttributeName",
                "Unknown Attribute FifoQueue.",
            ));
        }
        let settings = attributes::check(&name, &self.input["Attributes"])?;
        self.check_target(&settings)?;
        let now = self.scope.now;
        let queue = self.queue()?;
        queue.settings.extend(settings);
        queue.settings.retain(|_, value| !value.is_empty());
        queue.modified = now;
        Ok(Value::Null)
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = read_tags(self.input.get("Tags"))?;
        let queue = self.queue()?;
        let mut all = queue.tags.clone();
        all.extend(tags);
        if all.len() > TAGS {
            return Err(refuse(
                "InvalidParameterValue",
                format!("Too many tags added for queue {}.", queue.name),
            ));
        }
        queue.tags = all;
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        let keys = self.input["TagKeys"].clone();
        let queue = self.queue()?;
        for key in keys
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            queue.tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&mut self) -> Result<Value, Refusal> {
        let tags = self.queue()?.tags.clone();
        if tags.is_empty() {
            return Ok(json!({}));
        }
        Ok(json!({"Tags": tags}))
    }

    pub(super) fn dead_letter_sources(&mut self) -> Result<Value, Refusal> {
        let arn = self.queue()?.arn.clone();
        let urls: Vec<String> = self
            .queues
            .queues
            .values()
            .filter(|queue| queue.redrive().is_some_and(|(target, _)| target == arn))
            .map(|queue| self.url_of(&queue.name))
            .collect();
        Ok(json!({"queueUrls": urls}))
    }

    pub(super) fn purge(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let queue = self.queue()?;
        let horizon = now
            .checked_sub(SignedDuration::from_secs(PURGE_SECONDS))
            .unwrap_or(now);
        if queue.purged.is_some_and(|at| at > horizon) {
            return Err(refuse(
                "PurgeQueueInProgress",
                format!(
                    "Only one PurgeQueue operation on {} is allowed every 60 seconds.",
                    queue.name
                ),
            ));
        }
        queue.purged = Some(now);
        queue.messages.clear();
        queue.bytes = 0;
        Ok(Value::Null)
    }

    pub(super) fn add_permission(&mut self) -> Result<Value, Refusal> {
        let label = self.text("Label").unwrap_or("").to_owned();
        let input = self.input;
        let list = |field: &str, form: &dyn Fn(&str) -> String| -> Vec<String> {
            input[field]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(form)
                .collect()
        };
        let partition = self.scope.partition();
        let principals = list("AWSAccountIds", &|id| {
            format!("arn:{partition}:iam::{id}:root")
        });
        let actions = list("Actions", &|action| format!("SQS:{action}"));
        let queue = self.queue()?;
        let mut policy: Value = queue
            .setting("Policy")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_else(|| {
                json!({"Version": "2012-10-17", "Id": format!("{}/SQSDefaultPolicy", queue.arn), "Statement": []})
            });
        let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
        if statements
            .iter()
            .any(|statement| statement["Sid"] == label.as_str())
        {
            return Err(refuse(
                "InvalidParameterValue",
                format!("Value {label} for parameter Label is invalid. Reason: Already exists."),
            ));
        }
        let mut statements = statements;
        statements.push(json!({
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": principals},
            "Action": actions,
            "Resource": queue.arn,
        }));
        policy["Statement"] = json!(statements);
        queue.settings.insert("Policy".into(), policy.to_string());
        Ok(Value::Null)
    }

    pub(super) fn remove_permission(&mut self) -> Result<Value, Refusal> {
        let label = self.text("Label").unwrap_or("").to_owned();
        let queue = self.queue()?;
        let missing = || {
            refuse(
                "InvalidParameterValue",
                format!("Value {label} for parameter Label is invalid. Reason: can't find label."),
            )
        };
        let mut policy: Value = queue
            .setting("Policy")
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(missing)?;
        let Some(statements) = policy["Statement"].as_array_mut() else {
            return Err(missing());
        };
        let before = statements.len();
        statements.retain(|statement| statement["Sid"] != label.as_str());
        if statements.len() == before {
            return Err(missing());
        }
        if statements.is_empty() {
            queue.settings.remove("Policy");
        } else {
            queue.settings.insert("Policy".into(), policy.to_string());
        }
        Ok(Value::Null)
    }
}

fn read_tags(value: Option<&Value>) -> Result<BTreeMap<String, String>, Refusal> {
    let tags: BTreeMap<String, String> = value
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()))
        .collect();
    if tags.len() > TAGS {
        return Err(refuse(
            "InvalidParameterValue",
            "Too many tags added for queue.",
        ));
    }
    Ok(tags)
}
