//! Queues used from inside the process: by pollers of event-source mappings and by services that deliver to queues.
//!
//! Must not know: mappings, Lambda.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::messages::{receipt, system_attributes};
use super::queue::Message;
use super::{Answer, Queues, queue_name};
use crate::refusal::Refusal;
use crate::regions::Scope;

/// A message that another service sends to a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    /// The text.
    pub(crate) body: String,
    /// `MessageAttributes` in their JSON form.
    pub(crate) attributes: Option<Value>,
    /// FIFO group.
    pub(crate) group: Option<String>,
    /// FIFO deduplication id.
    pub(crate) deduplication: Option<String>,
}

impl Queues {
    /// Takes visible messages; dead letters that are due go to their queue.
    pub(super) fn take(
        &mut self,
        name: &str,
        count: usize,
        timeout: i64,
        now: Timestamp,
    ) -> Vec<Message> {
        let mut counter = self.counter;
        let Some(queue) = self.queues.get_mut(name) else {
            return Vec::new();
        };
        let arn = queue.arn.clone();
        let target = queue.redrive().map(|(target, _)| target);
        let (taken, dead) = queue.receive(count, timeout, now, &mut |id| {
            counter += 1;
            receipt(name, id, counter)
        });
        self.counter = counter;
        if let Some(target) = target
            && let Some(queue) = self.queues.get_mut(queue_name(&target))
        {
            for mut message in dead {
                message.source = Some(arn.clone());
                message.receipt = None;
                message.received = 0;
                message.first_received = None;
                message.visible = now;
                queue.push(message);
            }
        }
        taken
    }

    /// Receives up to `count` messages of the queue with this ARN for `timeout` seconds (the queue's own when `None`);
    /// `None` when there is no such queue.
    pub(crate) fn poll(
        &mut self,
        arn: &str,
        count: usize,
        timeout: Option<i64>,
        now: Timestamp,
    ) -> Option<Vec<Message>> {
        let name = queue_name(arn).to_owned();
        let queue = self.queues.get(&name).filter(|queue| queue.arn == arn)?;
        let timeout = timeout.unwrap_or_else(|| queue.number("VisibilityTimeout"));
        Some(self.take(&name, count, timeout, now))
    }

    /// Deletes a received message.
    pub(crate) fn acknowledge(&mut self, arn: &str, receipt: &str) {
        if let Some(queue) = self.queues.get_mut(queue_name(arn)) {
            queue.delete(receipt);
        }
    }

    /// Makes a received message visible at once.
    pub(crate) fn release(&mut self, arn: &str, receipt: &str, now: Timestamp) {
        if let Some(queue) = self.queues.get_mut(queue_name(arn))
            && let Some(message) = queue.by_receipt(receipt)
        {
            message.visible = now;
        }
    }

    /// The seconds for which a receive hides messages of this queue.
    pub(crate) fn visibility(&self, arn: &str) -> Option<i64> {
        let queue = self.queues.get(queue_name(arn))?;
        Some(queue.number("VisibilityTimeout"))
    }

    /// Sends a message to the queue with this ARN.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn deliver(
        &mut self,
        scope: &Scope,
        arn: &str,
        message: &Outgoing,
    ) -> Result<Value, Refusal> {
        let mut input = json!({"QueueUrl": arn, "MessageBody": message.body});
        if let Some(attributes) = &message.attributes {
            input["MessageAttributes"] = attributes.clone();
        }
        if let Some(group) = &message.group {
            input["MessageGroupId"] = json!(group);
        }
        if let Some(id) = &message.deduplication {
            input["MessageDeduplicationId"] = json!(id);
        }
        let nothing = jiff::SignedDuration::ZERO;
        match self.call(scope, nothing, "SendMessage", &input)? {
            Answer::Ready(answer) => Ok(answer),
            Answer::Wait(_) => Ok(Value::Null),
        }
    }
}

/// A received message as Lambda's event has it.
pub(crate) fn event_record(message: &Message, arn: &str, scope: &Scope) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let attributes: Map<String, Value> = message
        .attributes
        .iter()
        .map(|(name, attribute)| {
            let mut value = json!({
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute.kind,
            });
            if attribute.binary {
                value["binaryValue"] = json!(STANDARD.encode(&attribute.value));
            } else {
                value["stringValue"] = json!(String::from_utf8_lossy(&attribute.value));
            }
            (name.clone(), value)
        })
        .collect();
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": system_attributes(message, &scope.account),
        "messageAttributes": attributes,
        "md5OfBody": message.md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": scope.region,
    });
    if let Some(md5) = &message.attributes_md5 {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}
