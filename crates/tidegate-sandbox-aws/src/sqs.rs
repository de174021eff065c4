//! SQS: standard and FIFO queues with attributes, visibility, delays, dead-letter queues, tags and policies.
//!
//! `queue` holds a queue and its messages, `attributes` its settings, `messages` and `manage` the operations, `fault` the error
//! names of both protocols. Long polling is the caller's: an empty receive says how long to wait. Must not know: HTTP, Lambda.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

mod attributes;
mod digest;
pub(crate) mod fault;
mod manage;
mod messages;
mod moves;
mod queue;
mod reader;

pub(crate) use reader::{Outgoing, event_record};

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};
use queue::Queue;

/// Queues of one region.
const QUEUES: usize = 1_000;
/// Bytes of message bodies that one region keeps.
const MESSAGE_BYTES: usize = 128 << 20;

/// The queues of one region.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    queues: BTreeMap<String, Queue>,
    /// When a queue of this name was deleted.
    deleted: BTreeMap<String, Timestamp>,
    moves: Vec<moves::Move>,
    counter: u64,
}

pub(super) fn model() -> &'static Model {
    shape::model!("sqs")
}

/// What an operation gave.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The answer.
    Ready(Value),
    /// Nothing to receive yet: ask again when the queues changed, until so many seconds have passed.
    Wait(i64),
}

impl Queues {
    /// Answers one operation. `reuse` is how long a deleted queue's name stays unusable.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        reuse: SignedDuration,
        operation: &str,
        input: &Value,
    ) -> Result<Answer, Refusal> {
        let mut call = Call {
            queues: self,
            scope,
            reuse,
            input,
        };
        let answer = match operation {
            "ReceiveMessage" => return call.receive(),
            "CreateQueue" => call.create()?,
            "DeleteQueue" => call.delete()?,
            "GetQueueUrl" => call.url()?,
            "ListQueues" => call.list()?,
            "GetQueueAttributes" => call.attributes()?,
            "SetQueueAttributes" => call.set_attributes()?,
            "TagQueue" => call.tag()?,
            "UntagQueue" => call.untag()?,
            "ListQueueTags" => call.list_tags()?,
            "ListDeadLetterSourceQueues" => call.dead_letter_sources()?,
            "AddPermission" => call.add_permission()?,
            "RemovePermission" => call.remove_permission()?,
            "PurgeQueue" => call.purge()?,
            "SendMessage" => call.send()?,
            "SendMessageBatch" => call.send_batch()?,
            "DeleteMessage" => call.delete_message()?,
            "DeleteMessageBatch" => call.delete_message_batch()?,
            "ChangeMessageVisibility" => call.change_visibility()?,
            "ChangeMessageVisibilityBatch" => call.change_visibility_batch()?,
            "StartMessageMoveTask" => call.start_move()?,
            "CancelMessageMoveTask" => call.cancel_move()?,
            "ListMessageMoveTasks" => call.list_moves()?,
            other => return Err(Refusal::unsupported("SQS", other)),
        };
        Ok(Answer::Ready(answer))
    }

    /// Every queue with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.queues
            .values()
            .map(|queue| (queue.arn.clone(), queue.tags.clone()))
            .collect()
    }

    /// Names that can be used again are forgotten.
    fn forget(&mut self, horizon: Timestamp) {
        self.deleted.retain(|_, at| *at > horizon);
    }

    /// A number that no other message has.
    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn room(&self) -> Result<(), Refusal> {
        let held: usize = self.queues.values().map(|queue| queue.bytes).sum();
        if held < MESSAGE_BYTES {
            return Ok(());
        }
        Err(refuse(
            "OverLimit",
            format!(
                "The sandbox holds {} MiB of messages, its limit for one region; receive or purge them.",
                MESSAGE_BYTES >> 20
            ),
        ))
    }
}

/// One request to the queues of a region.
struct Call<'a> {
    queues: &'a mut Queues,
    scope: &'a Scope,
    reuse: SignedDuration,
    input: &'a Value,
}

/// The last part of a queue's URL or ARN: its name.
pub(crate) fn queue_name(given: &str) -> &str {
    given
        .trim_end_matches('/')
        .rsplit(['/', ':'])
        .next()
        .unwrap_or(given)
}

impl Call<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    fn queue_of(&mut self, field: &str) -> Result<&mut Queue, Refusal> {
        let name = queue_name(self.text(field).unwrap_or("")).to_owned();
        self.queues
            .queues
            .get_mut(&name)
            .ok_or_else(|| refuse("QueueDoesNotExist", "The specified queue does not exist."))
    }

    fn queue(&mut self) -> Result<&mut Queue, Refusal> {
        self.queue_of("QueueUrl")
    }
}
