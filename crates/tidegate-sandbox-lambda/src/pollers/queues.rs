//! Queues: messages received into batches, deleted when the function is done with them.
//!
//! Must not know: how queues hide and order messages. What fails is left to the queue: it comes again when its visibility
//! timeout has passed, until the queue's redrive policy takes it away.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::reply::{self, Verdict};
use super::{Backoff, ENVELOPE_BYTES, EVENT_BYTES, Poller, filters};
use crate::invoke::Invoked;
use crate::mappings::visibility;

/// Batches under way at once when the mapping names no number.
const CONCURRENCY: usize = 5;
/// Most of them, whatever it names: functions are local processes.
const MOST_CONCURRENCY: usize = 50;
/// Messages of one receive.
const RECEIVED: usize = 10;

/// Polls a queue until the poller is stopped.
pub(super) async fn run(poller: Arc<Poller>) {
    let many = poller
        .plan
        .concurrency
        .unwrap_or(CONCURRENCY)
        .clamp(1, MOST_CONCURRENCY);
    let room = Arc::new(Semaphore::new(many));
    let mut batches = JoinSet::new();
    let mut kept = VecDeque::new();
    loop {
        // Nothing is received before somebody can work on it: hidden messages age.
        let permit = tokio::select! {
            () = poller.stopped() => break,
            permit = Arc::clone(&room).acquire_owned() => permit,
        };
        let Ok(permit) = permit else {
            break;
        };
        while batches.try_join_next().is_some() {}
        let Some(batch) = gather(&poller, &mut kept).await else {
            break;
        };
        let poller = Arc::clone(&poller);
        batches.spawn(async move {
            process(&poller, batch).await;
            drop(permit);
        });
    }
    give_back(&poller, kept.iter());
    while batches.join_next().await.is_some() {}
}

fn receipt(message: &Value) -> &str {
    message["receiptHandle"].as_str().unwrap_or("")
}

fn give_back<'a>(poller: &Poller, messages: impl Iterator<Item = &'a Value>) {
    let feeds = poller.neighbours.feeds();
    for message in messages {
        feeds.release(poller.source.arn(), receipt(message));
    }
}

/// Receives until a batch is full or its time is over; `None` when the poller is stopped.
async fn gather(poller: &Poller, kept: &mut VecDeque<Value>) -> Option<Vec<Value>> {
    let mut changes = poller.neighbours.changes();
    let mut batch: Vec<Value> = Vec::new();
    let mut bytes = ENVELOPE_BYTES;
    let mut end: Option<Timestamp> = None;
    loop {
        changes.mark_unchanged();
        let mut received = 0;
        if kept.is_empty() {
            let many = RECEIVED.min(poller.plan.batch.saturating_sub(batch.len()));
            received = receive(poller, many, kept);
        }
        while let Some(message) = kept.front() {
            let size = message.to_string().len() + 1;
            if batch.len() >= poller.plan.batch || (!batch.is_empty() && bytes + size > EVENT_BYTES)
            {
                return Some(batch);
            }
            bytes += size;
            batch.extend(kept.pop_front());
        }
        if batch.len() >= poller.plan.batch {
            return Some(batch);
        }
        if received > 0 && poller.plan.batch > batch.len() {
            if end.is_none() && !batch.is_empty() {
                end = Some(end_of(poller));
            }
            if poller.plan.window > 0 || batch.is_empty() {
                continue;
            }
        }
        let now = poller.now();
        match end {
            Some(end) if now >= end => return Some(batch),
            Some(end) => {
                tokio::select! {
                    () = poller.neighbours.clock().sleep_until(end) => {}
                    goes_on = poller.look_again(&mut changes) => {
                        if !goes_on {
                            give_back(poller, batch.iter());
                            return None;
                        }
                    }
                }
            }
            None => {
                if !poller.look_again(&mut changes).await {
                    give_back(poller, batch.iter());
                    return None;
                }
            }
        }
    }
}

/// When the batch that begins now is sent at the latest.
fn end_of(poller: &Poller) -> Timestamp {
    let seconds = i64::try_from(poller.plan.window).unwrap_or(0);
    let end = poller
        .now()
        .saturating_add(SignedDuration::from_secs(seconds));
    end.unwrap_or(Timestamp::MAX)
}

/// Receives messages; those that no filter lets pass are deleted. Says how many came.
fn receive(poller: &Poller, many: usize, kept: &mut VecDeque<Value>) -> usize {
    let feeds = poller.neighbours.feeds();
    let arn = poller.source.arn();
    let messages = feeds.receive(arn, many, None).unwrap_or_default();
    let count = messages.len();
    for message in messages {
        if filters::passes(&poller.plan.filters, &poller.source, &message) {
            kept.push_back(message);
        } else {
            feeds.acknowledge(arn, receipt(&message));
        }
    }
    count
}

/// Invokes for a batch and deletes what is done.
async fn process(poller: &Poller, batch: Vec<Value>) {
    let arn = poller.source.arn();
    let hidden = visibility(&poller.neighbours, &poller.scope(arn), arn).unwrap_or(30);
    let began = poller.now();
    let mut backoff = Backoff::new(poller.backoff);
    let event = Bytes::from(json!({"Records": batch}).to_string());
    let answer = loop {
        match poller.invoker.invoke(&poller.function, event.clone()).await {
            Invoked::Answer { body, .. } => break body,
            Invoked::FunctionError { .. } => return,
            Invoked::Refused(refusal) => {
                tracing::debug!(
                    code = refusal.code,
                    message = refusal.message,
                    "a batch was refused"
                );
                let pause = backoff.pause();
                let spent = poller.now().duration_since(began);
                let spent = Duration::try_from(spent).unwrap_or_default() + pause;
                // Half of the time is left for the function itself; then the queue gives the messages anew.
                if spent > Duration::from_secs(hidden) / 2 || !poller.pause(pause).await {
                    return;
                }
            }
        }
    };
    let failed = if poller.plan.reports_items {
        let find = |id: &str| batch.iter().position(|message| message["messageId"] == id);
        match reply::read(&answer, find) {
            Verdict::Done => Vec::new(),
            Verdict::Failed => return,
            Verdict::Items(places) => places,
        }
    } else {
        Vec::new()
    };
    let feeds = poller.neighbours.feeds();
    for (place, message) in batch.iter().enumerate() {
        if !failed.contains(&place) {
            feeds.acknowledge(arn, receipt(message));
        }
    }
}
