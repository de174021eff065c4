//! One partition as a pure machine: records in, orders out, results in, a mark that may be committed.
//!
//! Laws, tested by model: a record is behind the mark only when it was delivered, filtered out or given up; a
//! lane never has two orders in flight; a record is not ordered before the ones ahead of it in its lane are done.
//! No IO, no clock: the time is an argument.

mod lane;
#[cfg(test)]
mod tests;
mod tracker;
mod window;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use crate::event::WindowPart;
use crate::outcome::{Condition, Failure, Outcome};
use crate::policy::Policy;
use crate::record::{Position, Record};
use crate::source::Progress;
use lane::{Entry, Lane, Turn};
use tracker::Tracker;
use window::Reading;
pub use window::{STATE_BYTES_MAX, Span};

/// Now, on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time since the start of the process: never goes back.
    pub running: Duration,
    /// Milliseconds since 1970: what record ages are measured with.
    pub wall: i64,
}

/// What is to be done with some records.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The lane, for [`Queue::finish`].
    pub lane: usize,
    /// The records in order; none for the end of a tumbling window.
    pub records: Vec<Record>,
    /// The tumbling window, when the binding has them.
    pub window: Option<Box<WindowPart>>,
    /// The window's records, when it ends.
    pub span: Option<Box<Span>>,
    /// None: deliver them. Else give them up, for this reason.
    pub condition: Option<Condition>,
    /// Deliveries of these records, this one included when it is one.
    pub invocations: u64,
    /// How the last delivery failed.
    pub failure: Option<Failure>,
}

/// What the queue wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Do this, then call [`Queue::finish`].
    Work(Work),
    /// Ask again at this running time, or when something comes.
    Wait(Duration),
    /// Ask again when something comes.
    Idle,
}

/// What came of a [`Work`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Of a delivery.
    Outcome(Outcome),
    /// The records are safe in the failure destination, or dropped as the binding says.
    GivenUp,
    /// The failure destination did not take them.
    GiveUpFailed,
}

/// A partition's records between source and target.
#[derive(Debug)]
pub struct Queue {
    policy: Arc<Policy>,
    envelope: usize,
    lanes: Vec<Lane>,
    tracker: Tracker,
    reading: Reading,
    /// The record that came last.
    last: Option<Position>,
    bytes: usize,
    keyless: usize,
    random: u64,
}

impl Queue {
    /// An empty queue. `envelope`: bytes of an event around its records; `seed`: for jitter.
    pub fn new(policy: Arc<Policy>, envelope: usize, seed: u64) -> Self {
        let lanes = policy.parallelization.max(1);
        Self {
            policy,
            envelope,
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            tracker: Tracker::default(),
            reading: Reading::default(),
            last: None,
            bytes: 0,
            keyless: 0,
            random: seed | 1,
        }
    }

    /// Takes a record that is to be delivered; `bytes` are its bytes in an event.
    pub fn push(&mut self, record: Record, bytes: usize, now: Moment) {
        let number = self.tracker.open(record.position.clone(), record.timestamp);
        self.bytes += record.size();
        let before = self.last.replace(record.position.clone());
        let lane = self.lane_of(&record);
        self.lanes[lane].push(Entry {
            record,
            number,
            before,
            bytes,
            came: now.running,
        });
    }

    /// Takes note of a record that the filters dropped.
    pub fn pass_over(&mut self, position: Position) {
        self.last = Some(position.clone());
        let number = self.tracker.open(position, 0);
        self.tracker.done(number);
    }

    /// Takes note of how far a shard is read: windows end by it.
    pub fn progress(&mut self, progress: Progress) {
        match progress {
            Progress::Behind { millis: 0, asked } => {
                self.reading.caught_up = self.reading.caught_up.max(asked);
            }
            Progress::Behind { .. } => {}
            Progress::Over => self.reading.is_over = true,
        }
    }

    fn lane_of(&mut self, record: &Record) -> usize {
        let lanes = self.lanes.len();
        if lanes == 1 {
            return 0;
        }
        let Some(key) = &record.key else {
            self.keyless = (self.keyless + 1) % lanes;
            return self.keyless;
        };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0)
    }

    /// What to do now.
    pub fn next(&mut self, now: Moment) -> Next {
        let mut wait: Option<Duration> = None;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            match lane.turn(&self.policy, self.envelope, self.reading, now) {
                Turn::Order(order) => {
                    return Next::Work(Work {
                        lane: index,
                        records: order.records,
                        window: order.window,
                        span: order.span,
                        condition: order.condition,
                        invocations: order.invocations,
                        failure: order.failure,
                    });
                }
                Turn::Wait(until) => wait = Some(wait.map_or(until, |wait| wait.min(until))),
                Turn::Idle => {}
            }
        }
        wait.map_or(Next::Idle, Next::Wait)
    }

    /// Takes the result of a lane's work. A result that nobody waits for changes nothing.
    pub fn finish(&mut self, lane: usize, finish: Finish, now: Moment) {
        let jitter = self.jitter();
        let Some(lane) = self.lanes.get_mut(lane) else {
            return;
        };
        for entry in lane.finish(&self.policy, finish, now, jitter) {
            self.bytes = self.bytes.saturating_sub(entry.record.size());
            self.tracker.done(entry.number);
        }
    }

    /// Between 0 and 1 (xorshift: spreads retries, keeps no secrets).
    fn jitter(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        f64::from(u32::try_from(self.random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    /// The last record such that it and all before it are delivered, filtered out or given up, and in no open window.
    pub fn mark(&self) -> Option<&Position> {
        let open = self.lanes.iter().filter_map(Lane::open_since);
        match open.min_by_key(|(number, _)| *number) {
            Some((number, before)) if number <= self.tracker.first() => before,
            _ => self.tracker.mark(),
        }
    }

    /// The timestamp of the first record that is not behind the mark.
    pub fn oldest(&self) -> Option<i64> {
        self.tracker.oldest()
    }

    /// Records that came and are not behind the mark.
    pub fn outstanding(&self) -> usize {
        self.tracker.len()
    }

    /// Bytes of records that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Works that are not finished.
    pub fn in_flight(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_busy()).count()
    }

    /// Whether exhausted records hold a lane up, since nobody said what becomes of them.
    pub fn is_blocked(&self) -> bool {
        self.lanes.iter().any(Lane::is_blocked)
    }
}
