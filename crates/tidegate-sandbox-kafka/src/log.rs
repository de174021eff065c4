//! One partition's log: batches in order, cut into segments, with the state of its idempotent producers.
//!
//! Must not know: topics' names, requests. Times and rules come in as arguments.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::batch::{self, Header};

/// Batches whose sequences are remembered per producer, as Kafka does.
const REMEMBERED: usize = 5;
/// Producers whose state one partition remembers; the one silent longest is forgotten first.
const PRODUCERS: usize = 10_000;

/// A batch at its place.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) base: i64,
    pub(crate) last: i64,
    pub(crate) max_timestamp: i64,
    /// Epoch of the leader that appended it.
    pub(crate) epoch: i32,
    /// First offset of its segment.
    pub(crate) segment: i64,
    /// Whether compaction has seen it.
    pub(crate) clean: bool,
    pub(crate) bytes: Bytes,
}

/// What a log keeps and where it cuts, from its topic's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) retention_ms: i64,
    pub(crate) retention_bytes: i64,
    pub(crate) segment_bytes: i64,
    pub(crate) segment_ms: i64,
    pub(crate) delete: bool,
    pub(crate) compact: bool,
    pub(crate) delete_retention_ms: i64,
    pub(crate) min_compaction_lag_ms: i64,
}

/// The times of one append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) now: i64,
    /// The time that the broker gives the records, where the topic wants that.
    pub(crate) append: Option<i64>,
    /// The newest time that the records have themselves.
    pub(crate) newest: i64,
}

/// What one producer appended last.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    pub(crate) batches: VecDeque<Appended>,
}

/// One remembered append: sequences, base offset, times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) offset: i64,
    /// The newest time of its records.
    pub(crate) stamp: i64,
    pub(crate) at: i64,
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    Fenced,
    OutOfOrder,
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) batches: VecDeque<Stored>,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) bytes: usize,
    pub(crate) epoch: i32,
    pub(crate) producers: BTreeMap<i64, Producer>,
}

impl Log {
    /// The append of a batch that its producer sends again.
    ///
    /// # Errors
    /// When its epoch or its sequence is not the producer's next.
    pub(crate) fn repeated(&self, header: &Header) -> Result<Option<Appended>, Sequence> {
        if header.producer_id < 0 {
            return Ok(None);
        }
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return Ok(None);
        };
        if header.producer_epoch < producer.epoch {
            return Err(Sequence::Fenced);
        }
        if header.producer_epoch > producer.epoch {
            let first = header.base_sequence == 0;
            return if first {
                Ok(None)
            } else {
                Err(Sequence::OutOfOrder)
            };
        }
        let known = producer.batches.iter().find(|known| {
            known.first == header.base_sequence && known.last == header.last_sequence()
        });
        if let Some(known) = known {
            return Ok(Some(*known));
        }
        match producer.batches.back() {
            Some(last) if header.base_sequence != batch::sequence_after(last.last, 1) => {
                Err(Sequence::OutOfOrder)
            }
            _ => Ok(None),
        }
    }

    /// Appends a checked batch and answers its base offset.
    pub(crate) fn append(
        &mut self,
        header: &Header,
        bytes: &[u8],
        times: &Times,
        rules: &Rules,
    ) -> i64 {
        let base = self.end;
        let last = base + i64::from(header.last_delta);
        let bytes = batch::placed(bytes, base, self.epoch, times.append, times.newest);
        let max_timestamp = times.append.unwrap_or(times.newest);
        let segment = self
            .segment_for(&bytes, max_timestamp, rules)
            .unwrap_or(base);
        self.remember(header, base, max_timestamp, times.now);
        self.bytes += bytes.len();
        self.batches.push_back(Stored {
            base,
            last,
            max_timestamp,
            epoch: self.epoch,
            segment,
            clean: false,
            bytes,
        });
        self.end = last + 1;
        base
    }

    /// The active segment, when the next batch still goes into it.
    fn segment_for(&self, bytes: &[u8], timestamp: i64, rules: &Rules) -> Option<i64> {
        let active = self.batches.back()?.segment;
        let (mut size, mut first) = (0, i64::MAX);
        for stored in self
            .batches
            .iter()
            .rev()
            .take_while(|stored| stored.segment == active)
        {
            size += stored.bytes.len();
            first = stored.max_timestamp;
        }
        let full = as_i64(size + bytes.len()) > rules.segment_bytes;
        let old = timestamp.saturating_sub(first) > rules.segment_ms;
        (!full && !old).then_some(active)
    }

    fn remember(&mut self, header: &Header, base: i64, stamp: i64, now: i64) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                batches: VecDeque::new(),
            });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Appended {
            first: header.base_sequence,
            last: header.last_sequence(),
            offset: base,
            stamp,
            at: now,
        });
        if self.producers.len() > PRODUCERS {
            let silent = self
                .producers
                .iter()
                .min_by_key(|(_, producer)| producer.batches.back().map(|last| last.at))
                .map(|(&id, _)| id);
            self.producers.retain(|&id, _| Some(id) != silent);
        }
    }

    /// Whole batches from the one that holds `offset` on, at most `max_bytes` of them, but one at least when `first`.
    pub(crate) fn read(&self, offset: i64, max_bytes: usize, first: bool) -> Bytes {
        let from = self.batches.partition_point(|stored| stored.last < offset);
        let mut size = 0;
        let mut until = from;
        for stored in self.batches.range(from..) {
            if size + stored.bytes.len() > max_bytes && !(first && until == from) {
                break;
            }
            size += stored.bytes.len();
            until += 1;
        }
        if until == from + 1 {
            return self.batches[from].bytes.clone();
        }
        let mut bytes = BytesMut::with_capacity(size);
        for stored in self.batches.range(from..until) {
            bytes.extend_from_slice(&stored.bytes);
        }
        bytes.freeze()
    }

    /// Moves the start up to `offset` and drops the batches that lie before it.
    pub(crate) fn drop_before(&mut self, offset: i64) {
        self.start = self.start.max(offset);
        while let Some(first) = self.batches.front() {
            if first.last >= self.start {
                break;
            }
            self.bytes -= first.bytes.len();
            self.batches.pop_front();
        }
    }

    /// Drops whole segments that time or size has passed, as the topic's rules say.
    pub(crate) fn retain(&mut self, now: i64, rules: &Rules) {
        if !rules.delete {
            return;
        }
        while let Some((size, newest, next)) = self.first_segment() {
            let expired =
                rules.retention_ms >= 0 && now.saturating_sub(newest) > rules.retention_ms;
            // The active segment goes by time only: a size never empties a log.
            let heavy = rules.retention_bytes >= 0
                && next < self.end
                && as_i64(self.bytes - size) >= rules.retention_bytes;
            if !expired && !heavy {
                break;
            }
            self.drop_before(next);
        }
    }

    /// Bytes and newest stamp of the oldest segment, and the offset where the next begins.
    fn first_segment(&self) -> Option<(usize, i64, i64)> {
        let segment = self.batches.front()?.segment;
        let (mut size, mut newest, mut next) = (0, i64::MIN, self.end);
        for stored in &self.batches {
            if stored.segment != segment {
                next = stored.base;
                break;
            }
            size += stored.bytes.len();
            newest = newest.max(stored.max_timestamp);
        }
        Some((size, newest, next))
    }

    /// The end of the newest epoch that is not after `epoch`: what a client truncates to. Nothing is known of later epochs.
    pub(crate) fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        if epoch == self.epoch {
            return (self.epoch, self.end);
        }
        if epoch > self.epoch {
            return (-1, -1);
        }
        let after = self.batches.iter().position(|stored| stored.epoch > epoch);
        match after {
            Some(0) => (-1, -1),
            Some(after) => (self.batches[after - 1].epoch, self.batches[after].base),
            None => (self.batches.back().map_or(-1, |last| last.epoch), self.end),
        }
    }
}

pub(crate) fn as_i64(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
