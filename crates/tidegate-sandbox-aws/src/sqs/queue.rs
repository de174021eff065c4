//! One queue: messages with their visibility, order of FIFO groups, deduplication, dead letters.
//!
//! Must not know: requests, URLs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Seconds for which a FIFO queue remembers a deduplication id.
const DEDUPLICATION_SECONDS: i64 = 300;
/// Deduplication ids that are remembered.
const DEDUPLICATION_IDS: usize = 100_000;

/// A message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageAttribute {
    /// `String`, `Number`, `Binary`, with or without a label.
    pub(crate) kind: String,
    /// Is the value binary?
    pub(crate) binary: bool,
    /// The value's bytes.
    pub(crate) value: Vec<u8>,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its id.
    pub(crate) id: String,
    /// Its text.
    pub(crate) body: String,
    /// MD5 of the text.
    pub(crate) md5: String,
    /// Its attributes.
    pub(crate) attributes: BTreeMap<String, MessageAttribute>,
    /// MD5 of the attributes.
    pub(crate) attributes_md5: Option<String>,
    /// The X-Ray header, if it was sent.
    pub(crate) trace: Option<String>,
    /// When it was sent.
    pub(crate) sent: Timestamp,
    /// From when on it can be received.
    pub(crate) visible: Timestamp,
    /// How often it was received.
    pub(crate) received: u32,
    /// When it was first received.
    pub(crate) first_received: Option<Timestamp>,
    /// The handle of the last receive.
    pub(crate) receipt: Option<String>,
    /// FIFO group.
    pub(crate) group: Option<String>,
    /// FIFO deduplication id.
    pub(crate) deduplication: Option<String>,
    /// FIFO sequence number.
    pub(crate) sequence: Option<String>,
    /// The queue it came from, once it is a dead letter.
    pub(crate) source: Option<String>,
}

/// Bytes that a message weighs beside its body and attributes.
const MESSAGE_WEIGHT: usize = 512;

impl Message {
    /// What it weighs in memory.
    pub(super) fn weight(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, attribute)| name.len() + attribute.value.len())
            .sum();
        self.body.len() + attributes + MESSAGE_WEIGHT
    }

    pub(super) fn in_flight(&self, now: Timestamp) -> bool {
        self.receipt.is_some() && self.visible > now
    }
}

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    /// Settings as the caller gave them, defaults left out.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) messages: Vec<Message>,
    pub(super) bytes: usize,
    pub(super) purged: Option<Timestamp>,
    /// Deduplication id (with its scope) -> moment, message id, sequence number.
    pub(super) seen: BTreeMap<String, (Timestamp, String, String)>,
}

impl Queue {
    pub(super) fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }

    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        let default = match name {
            "VisibilityTimeout" => 30,
            "MessageRetentionPeriod" => 345_600,
            "MaximumMessageSize" => 1_048_576,
            _ => 0,
        };
        self.setting(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    }

    /// The dead-letter queue's ARN and the number of receives it takes.
    pub(super) fn redrive(&self) -> Option<(String, u32)> {
        let policy: Value = serde_json::from_str(self.setting("RedrivePolicy")?).ok()?;
        let target = policy["deadLetterTargetArn"].as_str()?.to_owned();
        let count = match &policy["maxReceiveCount"] {
            Value::String(text) => text.parse().ok()?,
            other => u32::try_from(other.as_u64()?).ok()?,
        };
        Some((target, count))
    }

    /// Drops messages whose retention is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let horizon = now
            .checked_sub(SignedDuration::from_secs(
                self.number("MessageRetentionPeriod"),
            ))
            .unwrap_or(Timestamp::MIN);
        let mut freed = 0;
        self.messages.retain(|message| {
            let kept = message.sent >= horizon;
            if !kept {
                freed += message.weight();
            }
            kept
        });
        self.bytes = self.bytes.saturating_sub(freed);
        let memory = now
            .checked_sub(SignedDuration::from_secs(DEDUPLICATION_SECONDS))
            .unwrap_or(Timestamp::MIN);
        self.seen.retain(|_, (at, ..)| *at > memory);
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.weight();
        self.messages.push(message);
    }

    /// What an earlier message with this deduplication id was given.
    pub(super) fn duplicate(&self, key: &str) -> Option<(String, String)> {
        self.seen
            .get(key)
            .map(|(_, id, sequence)| (id.clone(), sequence.clone()))
    }

    pub(super) fn remember(&mut self, key: String, now: Timestamp, id: String, sequence: String) {
        if self.seen.len() < DEDUPLICATION_IDS {
            self.seen.insert(key, (now, id, sequence));
        }
    }

    /// Takes up to `count` visible messages for `timeout` seconds; gives them and the dead letters that were due.
    pub(super) fn receive(
        &mut self,
        count: usize,
        timeout: i64,
        now: Timestamp,
        handle: &mut dyn FnMut(&str) -> String,
    ) -> (Vec<Message>, Vec<Message>) {
        self.expire(now);
        let limit = self.redrive().map(|(_, limit)| limit);
        let until = now
            .checked_add(SignedDuration::from_secs(timeout))
            .unwrap_or(Timestamp::MAX);
        let fifo = self.is_fifo();
        let mut blocked: BTreeSet<String> = BTreeSet::new();
        if fifo {
            blocked.extend(
                self.messages
                    .iter()
                    .filter(|message| message.in_flight(now))
                    .filter_map(|message| message.group.clone()),
            );
        }
        let mut taken = Vec::new();
        let mut dead = Vec::new();
        let mut index = 0;
        while index < self.messages.len() && taken.len() < count {
            let message = &mut self.messages[index];
            let waits = message.visible > now
                || message
                    .group
                    .as_ref()
                    .is_some_and(|group| fifo && blocked.contains(group));
            if waits {
                if let Some(group) = message.group.clone().filter(|_| fifo) {
                    blocked.insert(group);
                }
                index += 1;
                continue;
            }
            if limit.is_some_and(|limit| message.received >= limit) {
                let message = self.messages.remove(index);
                self.bytes = self.bytes.saturating_sub(message.weight());
                dead.push(message);
                continue;
            }
            message.received += 1;
            message.first_received.get_or_insert(now);
            message.visible = until;
            message.receipt = Some(handle(&message.id));
            taken.push(message.clone());
            index += 1;
        }
        (taken, dead)
    }

    /// The place of the message that a receipt handle is for: on a standard queue also an earlier receive's handle.
    fn place(&self, receipt: &str) -> Option<usize> {
        let id = super::messages::message_of(receipt);
        let fifo = self.is_fifo();
        self.messages.iter().position(|message| {
            message.receipt.as_deref() == Some(receipt)
                || (!fifo && message.receipt.is_some() && Some(&message.id) == id.as_ref())
        })
    }

    /// The message that a receipt handle is for.
    pub(super) fn by_receipt(&mut self, receipt: &str) -> Option<&mut Message> {
        let place = self.place(receipt)?;
        self.messages.get_mut(place)
    }

    pub(super) fn delete(&mut self, receipt: &str) {
        if let Some(place) = self.place(receipt) {
            let message = self.messages.remove(place);
            self.bytes = self.bytes.saturating_sub(message.weight());
        }
    }

    /// Visible, in flight and delayed messages.
    pub(super) fn counts(&self, now: Timestamp) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for message in &self.messages {
            if message.visible <= now {
                counts.0 += 1;
            } else if message.receipt.is_some() {
                counts.1 += 1;
            } else {
                counts.2 += 1;
            }
        }
        counts
    }
}
