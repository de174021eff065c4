//! Tumbling windows of a lane: which records belong together, the state that goes from one delivery to the next.
//!
//! Records of an open window are done and yet not behind the mark: whoever goes on after a crash delivers the window
//! again from its first record, with an empty state.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::event::WindowPart;
use crate::record::{Position, Record};

/// Bytes of the largest state; a larger one ends its window early.
pub const STATE_BYTES_MAX: usize = 1 << 20;
/// Bytes that a window adds to an event, its state aside.
pub(super) const ENVELOPE: usize = 400;

/// How far the shard is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// All that had come by then is here, in milliseconds since 1970.
    pub(super) caught_up: i64,
    /// Nothing more comes.
    pub(super) is_over: bool,
}

/// The records of a window, for the document that tells of its failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Position and arrival of the first record.
    pub first: (Position, i64),
    /// Position and arrival of the last record.
    pub last: (Position, i64),
    /// Records delivered.
    pub count: usize,
}

/// Why a window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Its time is over.
    Complete,
    /// Its state is too big, or its shard is over.
    Early,
}

/// A window that is not closed.
#[derive(Clone, Debug)]
pub(super) struct Open {
    start: i64,
    length: i64,
    state: Value,
    /// Bytes of the state.
    pub(super) bytes: usize,
    /// The tracker's number of its first record.
    pub(super) number: u64,
    /// The record before that one: the mark while the window is open.
    pub(super) before: Option<Position>,
    pub(super) span: Span,
}

/// The start of the window in which a time lies; windows begin at multiples of their length since 1970.
pub(super) fn start_of(time: i64, length: i64) -> i64 {
    time - time.rem_euclid(length)
}

impl Open {
    pub(super) fn new(record: &Record, number: u64, before: Option<Position>, length: i64) -> Self {
        let place = (record.position.clone(), record.timestamp);
        Self {
            start: start_of(record.timestamp, length),
            length,
            state: Value::Object(serde_json::Map::new()),
            bytes: 2,
            number,
            before,
            span: Span {
                first: place.clone(),
                last: place,
                count: 0,
            },
        }
    }

    pub(super) fn end(&self) -> i64 {
        self.start.saturating_add(self.length)
    }

    /// Whether a record that arrived at `time` is of a later window. Arrivals are approximate: an earlier one is ours.
    pub(super) fn is_before(&self, time: i64) -> bool {
        start_of(time, self.length) > self.start
    }

    /// How the window is to end now, when `next` is the arrival of the next record.
    pub(super) fn closing(&self, next: Option<i64>, reading: Reading) -> Option<Closing> {
        if self.bytes > STATE_BYTES_MAX {
            return Some(Closing::Early);
        }
        match next {
            Some(next) => self.is_before(next).then_some(Closing::Complete),
            None if reading.caught_up >= self.end() => Some(Closing::Complete),
            None => reading.is_over.then_some(Closing::Early),
        }
    }

    pub(super) fn take_state(&mut self, state: Value) {
        self.bytes = state.to_string().len();
        self.state = state;
    }

    /// Records were delivered.
    pub(super) fn delivered<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            self.span.count += 1;
            self.span.last = (record.position.clone(), record.timestamp);
        }
    }

    pub(super) fn part(&self, closing: Option<Closing>) -> WindowPart {
        WindowPart {
            start: self.start,
            end: self.end(),
            state: self.state.clone(),
            is_final: closing.is_some(),
            is_terminated_early: closing == Some(Closing::Early),
        }
    }
}
