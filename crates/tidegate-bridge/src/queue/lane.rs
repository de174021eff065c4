//! One order of records: batches that form, the batch that is tried, its pieces after a bisection.

use std::collections::VecDeque;
use std::time::Duration;

use super::window::{self, Closing, Open, Reading, Span, start_of};
use crate::event::WindowPart;
use crate::outcome::{Condition, Failure, Outcome};
use crate::policy::{Exhausted, Oversize, Policy};
use crate::queue::{Finish, Moment};
use crate::record::{Position, Record};

/// A record in a lane.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    /// The tracker's number.
    pub(super) number: u64,
    /// The record that came before it.
    pub(super) before: Option<Position>,
    /// Bytes in an event.
    pub(super) bytes: usize,
    /// When it came.
    pub(super) came: Duration,
}

/// Records that are tried together.
#[derive(Clone, Debug, Default)]
struct Piece {
    entries: Vec<Entry>,
    /// Tries that count.
    tries: u64,
    /// Tries at all.
    invocations: u64,
    failure: Option<Failure>,
    /// Set when it is to be given up.
    condition: Option<Condition>,
    /// Set when it is the end of a window: it has no records.
    closing: Option<Closing>,
}

/// What a lane wants to have done.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) records: Vec<Record>,
    pub(super) window: Option<Box<WindowPart>>,
    pub(super) span: Option<Box<Span>>,
    pub(super) condition: Option<Condition>,
    pub(super) invocations: u64,
    pub(super) failure: Option<Failure>,
}

/// What a lane says when asked.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    Order(Order),
    Wait(Duration),
    Idle,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    forming: VecDeque<Entry>,
    /// The last is next.
    pieces: Vec<Piece>,
    in_flight: Option<Piece>,
    window: Option<Open>,
    not_before: Duration,
    failures: u32,
    is_blocked: bool,
}

impl Lane {
    pub(super) fn push(&mut self, entry: Entry) {
        self.forming.push_back(entry);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// The number of the first record of the open window, and the record before it.
    pub(super) fn open_since(&self) -> Option<(u64, Option<&Position>)> {
        let open = self.window.as_ref()?;
        Some((open.number, open.before.as_ref()))
    }

    /// What to do now. An order must be finished before the next is given.
    pub(super) fn turn(
        &mut self,
        policy: &Policy,
        envelope: usize,
        reading: Reading,
        now: Moment,
    ) -> Turn {
        if self.in_flight.is_some() {
            return Turn::Idle;
        }
        self.close_window(reading);
        if self.pieces.is_empty() {
            match self.form(policy, envelope, reading, now) {
                Ok(Some(piece)) => self.pieces.push(piece),
                Ok(None) => return Turn::Idle,
                Err(wait) => return Turn::Wait(wait),
            }
        }
        if now.running < self.not_before {
            return Turn::Wait(self.not_before);
        }
        if policy.exhausted != Exhausted::Block {
            self.split_aged(policy, now);
        }
        let Some(mut piece) = self.pieces.pop() else {
            return Turn::Idle;
        };
        if piece.condition.is_none() {
            piece.invocations += 1;
        }
        self.open_window(policy, &piece);
        let window = self.window.as_ref();
        let order = Order {
            window: window.map(|open| Box::new(open.part(piece.closing))),
            span: window
                .filter(|_| piece.closing.is_some())
                .map(|open| Box::new(open.span.clone())),
            records: piece
                .entries
                .iter()
                .map(|entry| entry.record.clone())
                .collect(),
            condition: piece.condition,
            invocations: piece.invocations,
            failure: piece.failure.clone(),
        };
        self.in_flight = Some(piece);
        Turn::Order(order)
    }

    /// Puts the end of the window on top of what is to be done, when it is due.
    fn close_window(&mut self, reading: Reading) {
        let Some(open) = &self.window else {
            return;
        };
        let is_closing = |piece: &Piece| piece.closing.is_some();
        if self.pieces.last().is_some_and(is_closing) {
            return;
        }
        // Pieces that wait are of this window: only its state can end it before them.
        let is_too_big = open.bytes > window::STATE_BYTES_MAX;
        if !self.pieces.is_empty() && !is_too_big {
            return;
        }
        let next = self.forming.front().map(|entry| entry.record.timestamp);
        if let Some(closing) = open.closing(next, reading) {
            self.pieces.push(Piece {
                closing: Some(closing),
                ..Piece::default()
            });
        }
    }

    /// Opens the window of a piece, unless one is open.
    fn open_window(&mut self, policy: &Policy, piece: &Piece) {
        if let (Some(length), None, Some(first)) =
            (length(policy), &self.window, piece.entries.first())
            && piece.condition.is_none()
        {
            let before = first.before.clone();
            self.window = Some(Open::new(&first.record, first.number, before, length));
        }
    }

    /// Whether all records of the first one's window are here; and how many of the next batch are of that window.
    fn of_one_window(&self, policy: &Policy, reading: Reading) -> (bool, usize) {
        let (Some(length), Some(first)) = (length(policy), self.forming.front()) else {
            return (false, policy.batch_size);
        };
        let start = match &self.window {
            Some(open) => open.end() - length,
            None => start_of(first.record.timestamp, length),
        };
        let is_own = |entry: &&Entry| start_of(entry.record.timestamp, length) <= start;
        let own = self
            .forming
            .iter()
            .take(policy.batch_size)
            .take_while(is_own);
        let count = own.count();
        let is_followed = count < self.forming.len().min(policy.batch_size);
        let is_whole = is_followed || reading.is_over || reading.caught_up >= start + length;
        (is_whole, count)
    }

    /// A batch when it is full or its window is over; else when to look again.
    fn form(
        &mut self,
        policy: &Policy,
        envelope: usize,
        reading: Reading,
        now: Moment,
    ) -> Result<Option<Piece>, Duration> {
        let Some(first) = self.forming.front() else {
            return Ok(None);
        };
        let due = first.came + policy.batch_window;
        let (mut is_full, most) = self.of_one_window(policy, reading);
        let state = self.window.as_ref().map_or(2, |open| open.bytes);
        let mut bytes = envelope + policy.tumbling.map_or(0, |_| window::ENVELOPE + state);
        let mut count = 0;
        for entry in self.forming.iter().take(most) {
            let with = bytes + entry.bytes + usize::from(count > 0);
            if with > policy.batch_bytes && count > 0 {
                is_full = true;
                break;
            }
            bytes = with;
            count += 1;
        }
        is_full |= count >= policy.batch_size || bytes >= policy.batch_bytes;
        if !is_full && now.running < due {
            return Err(due);
        }
        let mut piece = Piece {
            entries: self.forming.drain(..count).collect(),
            ..Piece::default()
        };
        let is_refused = bytes > policy.batch_bytes && policy.oversize == Oversize::Refuse;
        if is_refused && policy.exhausted != Exhausted::Block {
            piece.condition = Some(Condition::MaximumPayloadSizeExceeded);
        }
        Ok(Some(piece))
    }

    /// Gives the expired records at the front of the next piece a piece of their own.
    fn split_aged(&mut self, policy: &Policy, now: Moment) {
        let (Some(age), Some(piece)) = (policy.record_age, self.pieces.last_mut()) else {
            return;
        };
        if piece.condition.is_some() {
            return;
        }
        let limit = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let is_old = |entry: &Entry| now.wall.saturating_sub(entry.record.timestamp) >= limit;
        let count = piece
            .entries
            .iter()
            .take_while(|entry| is_old(entry))
            .count();
        if count == 0 {
            return;
        }
        let aged = Piece {
            entries: piece.entries.drain(..count).collect(),
            condition: Some(Condition::RecordAgeExceeded),
            ..piece.clone_head()
        };
        if piece.entries.is_empty() {
            self.pieces.pop();
        }
        self.pieces.push(aged);
    }

    /// Takes the result of the order in flight; gives the numbers of the records that are done.
    pub(super) fn finish(
        &mut self,
        policy: &Policy,
        finish: Finish,
        now: Moment,
        jitter: f64,
    ) -> Vec<Entry> {
        let Some(piece) = self.in_flight.take() else {
            return Vec::new();
        };
        match finish {
            Finish::GivenUp | Finish::Outcome(Outcome::Delivered) => {
                if piece.closing.is_some() {
                    self.window = None;
                } else if finish != Finish::GivenUp {
                    self.delivered(&piece.entries);
                }
                self.rest();
                piece.entries
            }
            Finish::Outcome(Outcome::Windowed { state, then }) => {
                if then.taken(piece.entries.len()) > 0
                    && let Some(open) = &mut self.window
                {
                    open.take_state(state);
                }
                self.in_flight = Some(piece);
                self.finish(policy, Finish::Outcome(*then), now, jitter)
            }
            Finish::GiveUpFailed => {
                self.pieces.push(piece);
                self.wait(policy, now, jitter, None);
                Vec::new()
            }
            Finish::Outcome(Outcome::Unavailable {
                failure,
                retry_after,
            }) => {
                self.pieces.push(Piece {
                    failure: Some(failure),
                    ..piece
                });
                self.wait(policy, now, jitter, retry_after);
                Vec::new()
            }
            Finish::Outcome(Outcome::Failed(failure)) => {
                self.failed(policy, piece, failure, now, jitter);
                Vec::new()
            }
            Finish::Outcome(Outcome::Rejected(failure)) => {
                self.rejected(policy, piece, failure, now, jitter);
                Vec::new()
            }
            Finish::Outcome(Outcome::Partial { from, failure }) => {
                self.partial(policy, piece, from, failure, now, jitter)
            }
            Finish::Outcome(Outcome::Stopped { at, then }) => {
                self.stopped(policy, piece, at, *then, now, jitter)
            }
        }
    }

    /// The record at `at` becomes a piece of its own: what became of it says nothing about those behind it.
    fn stopped(
        &mut self,
        policy: &Policy,
        mut piece: Piece,
        at: usize,
        then: Outcome,
        now: Moment,
        jitter: f64,
    ) -> Vec<Entry> {
        if at >= piece.entries.len() {
            self.in_flight = Some(piece);
            return self.finish(policy, Finish::Outcome(then), now, jitter);
        }
        let behind = Piece {
            entries: piece.entries.split_off(at + 1),
            ..Piece::default()
        };
        let own = piece.entries.split_off(at);
        let mut done = std::mem::replace(&mut piece.entries, own);
        if !done.is_empty() {
            piece.tries = 0;
            piece.invocations = 1;
            self.rest();
        }
        if !behind.entries.is_empty() {
            self.pieces.push(behind);
        }
        self.in_flight = Some(piece);
        done.extend(self.finish(policy, Finish::Outcome(then), now, jitter));
        done
    }

    fn delivered(&mut self, entries: &[Entry]) {
        if let Some(open) = &mut self.window {
            open.delivered(entries.iter().map(|entry| &entry.record));
        }
    }

    fn rest(&mut self) {
        self.failures = 0;
        self.not_before = Duration::ZERO;
        self.is_blocked = false;
    }

    fn wait(&mut self, policy: &Policy, now: Moment, jitter: f64, wanted: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let wait = policy.backoff.wait(self.failures, jitter);
        let wanted = wanted.unwrap_or_default().min(policy.backoff.max);
        self.not_before = now.running + wait.max(wanted);
    }

    fn failed(
        &mut self,
        policy: &Policy,
        mut piece: Piece,
        failure: Failure,
        now: Moment,
        jitter: f64,
    ) {
        piece.failure = Some(failure);
        if policy.bisect && piece.entries.len() > 1 {
            self.bisect(piece);
            self.wait(policy, now, jitter, None);
            return;
        }
        piece.tries += 1;
        let is_spent = policy.retries.is_some_and(|retries| piece.tries > retries);
        self.again_or_give_up(policy, piece, is_spent, now, jitter);
    }

    fn rejected(
        &mut self,
        policy: &Policy,
        mut piece: Piece,
        failure: Failure,
        now: Moment,
        jitter: f64,
    ) {
        piece.failure = Some(failure);
        if policy.bisect && piece.entries.len() > 1 {
            self.bisect(piece);
            return;
        }
        piece.tries += 1;
        self.again_or_give_up(policy, piece, true, now, jitter);
    }

    fn again_or_give_up(
        &mut self,
        policy: &Policy,
        mut piece: Piece,
        is_spent: bool,
        now: Moment,
        jitter: f64,
    ) {
        if is_spent && policy.exhausted != Exhausted::Block {
            piece.condition = Some(Condition::RetryAttemptsExhausted);
            self.failures = 0;
            self.not_before = Duration::ZERO;
            self.pieces.push(piece);
            return;
        }
        self.is_blocked = is_spent;
        self.pieces.push(piece);
        self.wait(policy, now, jitter, None);
    }

    /// First half next, second half after it; both with the tries so far.
    fn bisect(&mut self, mut piece: Piece) {
        let second = Piece {
            entries: piece.entries.split_off(piece.entries.len().div_ceil(2)),
            ..piece.clone_head()
        };
        self.pieces.push(second);
        self.pieces.push(piece);
    }

    fn partial(
        &mut self,
        policy: &Policy,
        mut piece: Piece,
        from: usize,
        failure: Failure,
        now: Moment,
        jitter: f64,
    ) -> Vec<Entry> {
        if from >= piece.entries.len() || from == 0 {
            self.failed(policy, piece, failure, now, jitter);
            return Vec::new();
        }
        let rest = piece.entries.split_off(from);
        let done = std::mem::replace(&mut piece.entries, rest);
        self.delivered(&done);
        piece.failure = Some(failure);
        if policy.bisect {
            self.pieces.push(piece);
            self.wait(policy, now, jitter, None);
            return done;
        }
        piece.tries += 1;
        let is_spent = policy.retries.is_some_and(|retries| piece.tries > retries);
        self.again_or_give_up(policy, piece, is_spent, now, jitter);
        done
    }
}

/// The length of windows, in milliseconds.
fn length(policy: &Policy) -> Option<i64> {
    let length = policy.tumbling?;
    Some(i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1))
}

impl Piece {
    /// All but the records.
    fn clone_head(&self) -> Self {
        Self {
            entries: Vec::new(),
            tries: self.tries,
            invocations: self.invocations,
            failure: self.failure.clone(),
            condition: self.condition,
            closing: self.closing,
        }
    }
}
