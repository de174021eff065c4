//! A lane of a shard: gathers batches in order, invokes, and retries, splits or gives up what fails.
//!
//! Must not know: how shards are read. A lane works on one batch at a time, so that the order of its records holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::failed::{self, Last, Reason};
use super::reply::{self, Verdict};
use super::tumble::Tumbling;
use super::{Backoff, ENVELOPE_BYTES, EVENT_BYTES, Place, Poller};
use crate::invoke::Invoked;
use crate::lambda::Guarded;

/// A record on its way to the function.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its number among those read of the shard.
    pub(super) index: u64,
    pub(super) sequence: String,
    pub(super) arrival: Timestamp,
    /// As the event has it.
    pub(super) record: Value,
    pub(super) bytes: usize,
}

/// A shard that is being read.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) poller: Arc<Poller>,
    pub(super) id: String,
    tracker: Guarded<Tracker>,
    /// Told whenever records are done with.
    pub(super) room: Notify,
}

/// Which records are on their way, and from where to read on after all of them.
#[derive(Debug, Default)]
struct Tracker {
    under_way: BTreeMap<u64, (Place, usize)>,
    bytes: usize,
    next: Option<Place>,
}

impl Shard {
    pub(super) fn new(poller: Arc<Poller>, id: String) -> Self {
        Self {
            poller,
            id,
            tracker: Guarded::default(),
            room: Notify::new(),
        }
    }

    /// Bytes of the records on their way.
    pub(super) fn bytes(&self) -> usize {
        self.tracker.lock().bytes
    }

    /// Notes records that were read, with the places to read them again from, and where to read on.
    pub(super) fn read(&self, items: Vec<(u64, Place, usize)>, next: Place) {
        {
            let mut tracker = self.tracker.lock();
            for (index, place, bytes) in items {
                tracker.bytes += bytes;
                tracker.under_way.insert(index, (place, bytes));
            }
            tracker.next = Some(next);
        }
        self.checkpoint();
    }

    /// Notes that records are done with.
    fn done(&self, items: &[Item]) {
        {
            let mut tracker = self.tracker.lock();
            for item in items {
                if let Some((_, bytes)) = tracker.under_way.remove(&item.index) {
                    tracker.bytes -= bytes;
                }
            }
        }
        self.checkpoint();
        self.room.notify_one();
    }

    fn checkpoint(&self) {
        let place = {
            let tracker = self.tracker.lock();
            let first = tracker.under_way.values().next();
            first
                .map(|(place, _)| place.clone())
                .or_else(|| tracker.next.clone())
        };
        if let Some(place) = place {
            let mut progress = self.poller.progress.lock();
            progress.places.insert(self.id.clone(), place);
        }
    }
}

/// A part of a batch that is still to be done.
#[derive(Debug)]
struct Piece {
    items: Vec<Item>,
    /// Attempts that count against the retries.
    attempts: u64,
    /// Invocations made for its records.
    invocations: u64,
    last: Last,
}

/// A lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) shard: Arc<Shard>,
    pub(super) chunks: mpsc::Receiver<Vec<Item>>,
    buffer: VecDeque<Item>,
    closed: bool,
    backoff: Backoff,
    pub(super) tumbling: Option<Tumbling>,
}

/// Does the poller go on?
type GoesOn = bool;

impl Lane {
    pub(super) fn new(shard: Arc<Shard>, chunks: mpsc::Receiver<Vec<Item>>) -> Self {
        let seconds = shard.poller.plan.tumbling;
        Self {
            backoff: Backoff::new(shard.poller.backoff),
            tumbling: (seconds > 0).then(|| Tumbling::new(seconds)),
            shard,
            chunks,
            buffer: VecDeque::new(),
            closed: false,
        }
    }

    /// Works until the shard is read to its end or the poller is stopped.
    pub(super) async fn run(mut self) {
        while self.step().await {}
    }

    async fn step(&mut self) -> GoesOn {
        if self.shard.poller.is_stopped() {
            return false;
        }
        if self.buffer.is_empty() && !self.closed && !self.wait().await {
            return false;
        }
        let now = self.shard.poller.now();
        let next = self.buffer.front().map(|item| item.arrival);
        let due = self
            .tumbling
            .as_ref()
            .is_some_and(|own| own.is_due(next, now, self.closed));
        if due {
            let over = self
                .tumbling
                .as_ref()
                .and_then(Tumbling::end)
                .is_none_or(|end| now >= end);
            return self.close_window(next.is_none() && !over, false).await;
        }
        if self.buffer.is_empty() {
            return !self.closed;
        }
        if !self.gather().await {
            return false;
        }
        let batch = self.take();
        self.process(batch).await
    }

    /// Waits for records, or for the end of a window.
    async fn wait(&mut self) -> GoesOn {
        let poller = Arc::clone(&self.shard.poller);
        let end = self.tumbling.as_ref().and_then(Tumbling::end);
        let window = async {
            match end {
                Some(end) => poller.neighbours.clock().sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = poller.stopped() => false,
            chunk = self.chunks.recv() => {
                self.accept(chunk);
                true
            }
            () = window => true,
        }
    }

    fn accept(&mut self, chunk: Option<Vec<Item>>) {
        match chunk {
            Some(items) => self.buffer.extend(items),
            None => self.closed = true,
        }
    }

    /// How many records of the buffer make the next batch, and whether no more fit.
    fn measure(&self) -> (usize, bool) {
        let plan = &self.shard.poller.plan;
        let mut bytes = ENVELOPE_BYTES;
        let first = self.buffer.front().map(|item| item.arrival);
        for (count, item) in self.buffer.iter().enumerate() {
            bytes += item.bytes;
            let other = match (&self.tumbling, first) {
                (Some(own), Some(first)) => !own.is_same(first, item.arrival),
                _ => false,
            };
            if count == plan.batch || other || (count > 0 && bytes > EVENT_BYTES) {
                return (count, true);
            }
        }
        let count = self.buffer.len();
        (count, count >= plan.batch || bytes > EVENT_BYTES)
    }

    /// Waits until the batch is full or its time is over.
    async fn gather(&mut self) -> GoesOn {
        let poller = Arc::clone(&self.shard.poller);
        let seconds = i64::try_from(poller.plan.window).unwrap_or(0);
        let mut end = poller
            .now()
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
        if let Some(window) = self.tumbling.as_ref().and_then(Tumbling::end) {
            end = end.min(window);
        }
        while !self.closed && !self.measure().1 {
            if seconds == 0 {
                match self.chunks.try_recv() {
                    Ok(items) => self.buffer.extend(items),
                    Err(mpsc::error::TryRecvError::Empty) => return true,
                    Err(mpsc::error::TryRecvError::Disconnected) => self.closed = true,
                }
                continue;
            }
            tokio::select! {
                () = poller.stopped() => return false,
                chunk = self.chunks.recv() => self.accept(chunk),
                () = poller.neighbours.clock().sleep_until(end) => return true,
            }
        }
        true
    }

    fn take(&mut self) -> Vec<Item> {
        let (count, _) = self.measure();
        self.buffer.drain(..count.max(1)).collect()
    }

    /// The event of a batch.
    fn event(&self, items: &[Item], closing: Option<bool>) -> Bytes {
        let records: Vec<&Value> = items.iter().map(|item| &item.record).collect();
        let mut event = json!({"Records": records});
        if let Some(own) = &self.tumbling {
            own.describe(&mut event, closing);
            event["shardId"] = json!(self.shard.id);
            event["eventSourceARN"] = json!(self.shard.poller.source.arn());
        }
        Bytes::from(event.to_string())
    }

    /// Does a batch until each of its records is done with or given up.
    async fn process(&mut self, items: Vec<Item>) -> GoesOn {
        if let (Some(own), Some(first)) = (&mut self.tumbling, items.first()) {
            own.open(first.arrival);
        }
        let mut pieces = vec![Piece {
            items,
            attempts: 0,
            invocations: 0,
            last: Last::None,
        }];
        while let Some(mut piece) = pieces.pop() {
            if !self.drop_old(&mut piece).await {
                return false;
            }
            if piece.items.is_empty() {
                continue;
            }
            let Some(verdict) = self.attempt(&mut piece).await else {
                return false;
            };
            let done = match verdict {
                Verdict::Done => piece.items.len(),
                Verdict::Failed => 0,
                Verdict::Items(places) => places.first().copied().unwrap_or(0),
            };
            let rest = piece.items.split_off(done);
            self.shard.done(&piece.items);
            piece.items = rest;
            if piece.items.is_empty() {
                self.backoff.reset();
                self.shard.poller.tell("OK");
                if !self.end_early().await {
                    return false;
                }
                continue;
            }
            self.shard.poller.tell("PROBLEM: Function call failed");
            if !self.again(&mut pieces, piece, done > 0).await {
                return false;
            }
        }
        true
    }

    /// Decides what becomes of a piece that failed.
    async fn again(
        &mut self,
        pieces: &mut Vec<Piece>,
        mut piece: Piece,
        progressed: bool,
    ) -> GoesOn {
        let plan = &self.shard.poller.plan;
        if plan.bisects && (progressed || piece.items.len() > 1) {
            // A split does not count as an attempt. Records before the one that failed are done: that was the split.
            if !progressed {
                let back = piece.items.split_off(piece.items.len() / 2);
                pieces.push(Piece {
                    items: back,
                    attempts: piece.attempts,
                    invocations: piece.invocations,
                    last: piece.last.clone(),
                });
            }
            pieces.push(piece);
            return true;
        }
        piece.attempts += 1;
        if plan.retries.is_some_and(|most| piece.attempts > most) {
            return self
                .give_up(&piece, &piece.items, Reason::RetryAttemptsExhausted)
                .await;
        }
        let pause = self.backoff.pause();
        pieces.push(piece);
        self.shard.poller.pause(pause).await
    }

    /// Gives up the records of a piece that are too old.
    async fn drop_old(&mut self, piece: &mut Piece) -> GoesOn {
        let Some(age) = self.shard.poller.plan.age else {
            return true;
        };
        let now = self.shard.poller.now();
        let age = i64::try_from(age).unwrap_or(i64::MAX);
        let old = piece
            .items
            .iter()
            .take_while(|item| now.duration_since(item.arrival).as_secs() >= age)
            .count();
        if old == 0 {
            return true;
        }
        let kept = piece.items.split_off(old);
        let gone = std::mem::replace(&mut piece.items, kept);
        self.give_up(piece, &gone, Reason::RecordAgeExceeded).await
    }

    /// Tells where the mapping says that records are given up; they stay until that is told.
    async fn give_up(&mut self, piece: &Piece, items: &[Item], reason: Reason) -> GoesOn {
        let shard = Arc::clone(&self.shard);
        let document = failed::document(
            &shard.poller,
            &shard.id,
            items,
            reason,
            &piece.last,
            piece.invocations,
        );
        while let Err(refusal) = failed::send(&shard.poller, &shard.id, document.clone(), items) {
            tracing::warn!(
                code = refusal.code,
                message = refusal.message,
                "a failed batch cannot be told of"
            );
            shard.poller.tell("PROBLEM: Destination delivery failed");
            let pause = self.backoff.pause();
            if !shard.poller.pause(pause).await {
                return false;
            }
        }
        shard.done(items);
        self.backoff.reset();
        true
    }

    /// Invokes once, however often that is refused; `None` when the poller ends first.
    async fn attempt(&mut self, piece: &mut Piece) -> Option<Verdict> {
        let poller = Arc::clone(&self.shard.poller);
        loop {
            let event = self.event(&piece.items, None);
            match poller.invoker.invoke(&poller.function, event).await {
                Invoked::Answer {
                    body: answer,
                    version,
                } => {
                    piece.invocations += 1;
                    piece.last = Last::Named(version);
                    if let Some(own) = &mut self.tumbling
                        && !own.answered(&answer)
                    {
                        return Some(Verdict::Failed);
                    }
                    if !poller.plan.reports_items {
                        return Some(Verdict::Done);
                    }
                    let find = |id: &str| piece.items.iter().position(|item| item.sequence == id);
                    return Some(reply::read(&answer, find));
                }
                Invoked::FunctionError { version } => {
                    piece.invocations += 1;
                    piece.last = Last::Threw(version);
                    return Some(Verdict::Failed);
                }
                // Too large an event will never be taken.
                Invoked::Refused(refusal) if refusal.status == 413 => {
                    poller.tell_refused(&refusal);
                    return Some(Verdict::Failed);
                }
                Invoked::Refused(refusal) => {
                    poller.tell_refused(&refusal);
                    let pause = self.backoff.pause();
                    if !poller.pause(pause).await {
                        return None;
                    }
                    if !self.drop_old(piece).await {
                        return None;
                    }
                    if piece.items.is_empty() {
                        return Some(Verdict::Done);
                    }
                }
            }
        }
    }

    /// Ends a window whose state has grown too large.
    async fn end_early(&mut self) -> GoesOn {
        let large = self.tumbling.as_ref().is_some_and(Tumbling::is_large);
        if large {
            self.close_window(true, true).await
        } else {
            true
        }
    }

    /// Invokes a last time for the present window, which may go on without its state.
    async fn close_window(&mut self, early: bool, stays: bool) -> GoesOn {
        let poller = Arc::clone(&self.shard.poller);
        let mut attempts = 0;
        loop {
            let event = self.event(&[], Some(early));
            match poller.invoker.invoke(&poller.function, event).await {
                Invoked::Answer { .. } => break,
                Invoked::FunctionError { .. } => {
                    poller.tell("PROBLEM: Function call failed");
                    attempts += 1;
                    if poller.plan.retries.is_some_and(|most| attempts > most) {
                        break;
                    }
                }
                Invoked::Refused(refusal) => poller.tell_refused(&refusal),
            }
            let pause = self.backoff.pause();
            if !poller.pause(pause).await {
                return false;
            }
        }
        self.backoff.reset();
        if let Some(own) = &mut self.tumbling {
            own.close(stays);
        }
        true
    }
}
