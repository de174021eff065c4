//! Message move tasks: dead letters sent back to where they came from, at once.
//!
//! Must not know: receiving.

use serde_json::{Value, json};

use super::{Call, queue_name};
use crate::refusal::{Refusal, refuse};

/// Tasks that are remembered.
const TASKS: usize = 100;

/// A finished task.
#[derive(Clone, Debug)]
pub(super) struct Move {
    handle: String,
    source: String,
    destination: Option<String>,
    moved: usize,
    started: i64,
}

impl Call<'_> {
    pub(super) fn start_move(&mut self) -> Result<Value, Refusal> {
        let source = self.text("SourceArn").unwrap_or("").to_owned();
        let destination = self.text("DestinationArn").map(str::to_owned);
        let missing = || {
            refuse(
                "ResourceNotFoundException",
                "The resource that you specified for the SourceArn parameter doesn't exist.",
            )
        };
        let queues = &mut self.queues.queues;
        let is_dead_letter = queues
            .values()
            .any(|queue| queue.redrive().is_some_and(|(target, _)| target == source));
        if !queues.contains_key(queue_name(&source)) {
            return Err(missing());
        }
        if !is_dead_letter {
            return Err(refuse(
                "InvalidParameterValue",
                "Source queue must be configured as a Dead Letter Queue.",
            ));
        }
        if let Some(destination) = &destination
            && !queues.contains_key(queue_name(destination))
        {
            return Err(refuse(
                "ResourceNotFoundException",
                "The resource that you specified for the DestinationArn parameter doesn't exist.",
            ));
        }
        let queue = queues.get_mut(queue_name(&source)).ok_or_else(missing)?;
        let messages = std::mem::take(&mut queue.messages);
        queue.bytes = 0;
        let mut moved = 0;
        for mut message in messages {
            let target = destination.clone().or_else(|| message.source.clone());
            let place = target.as_deref().map(queue_name).unwrap_or_default();
            match queues.get_mut(place) {
                Some(queue) => {
                    message.source = None;
                    moved += 1;
                    queue.push(message);
                }
                None => {
                    if let Some(queue) = queues.get_mut(queue_name(&source)) {
                        queue.push(message);
                    }
                }
            }
        }
        let handle = self.scope.uuid(&format!("move/{source}"));
        if self.queues.moves.len() >= TASKS {
            self.queues.moves.remove(0);
        }
        self.queues.moves.push(Move {
            handle: handle.clone(),
            source,
            destination,
            moved,
            started: self.scope.now.as_millisecond(),
        });
        Ok(json!({"TaskHandle": handle}))
    }

    pub(super) fn cancel_move(&mut self) -> Result<Value, Refusal> {
        let handle = self.text("TaskHandle").unwrap_or("");
        if self.queues.moves.iter().any(|task| task.handle == handle) {
            return Err(refuse(
                "UnsupportedOperation",
                "Only active tasks can be cancelled.",
            ));
        }
        Err(refuse("ResourceNotFoundException", "Task does not exist."))
    }

    pub(super) fn list_moves(&mut self) -> Result<Value, Refusal> {
        let source = self.text("SourceArn").unwrap_or("");
        let limit = self.input["MaxResults"].as_u64().unwrap_or(1).clamp(1, 10);
        let results: Vec<Value> = self
            .queues
            .moves
            .iter()
            .rev()
            .filter(|task| task.source == source)
            .take(usize::try_from(limit).unwrap_or(1))
            .map(|task| {
                let mut shown = json!({
                    "Status": "COMPLETED",
                    "SourceArn": task.source,
                    "ApproximateNumberOfMessagesMoved": task.moved,
                    "ApproximateNumberOfMessagesToMove": task.moved,
                    "StartedTimestamp": task.started,
                });
                if let Some(destination) = &task.destination {
                    shown["DestinationArn"] = json!(destination);
                }
                shown
            })
            .collect();
        Ok(json!({"Results": results}))
    }
}
