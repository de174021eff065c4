//! Shards of one stream: hash ranges, lineage, split, merge, uniform scaling, records.
//!
//! Must not know: requests, states of streams.

use std::collections::VecDeque;

use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::sequence::{Position, Sequence};

/// Bytes that a record weighs beside its data and key.
const RECORD_WEIGHT: usize = 256;

/// One record in a shard.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number in the shard.
    pub sequence: Sequence,
    /// The producer's partition key.
    pub partition_key: String,
    /// Its bytes.
    pub data: Bytes,
    /// When it was accepted.
    pub arrival: Timestamp,
    /// Was the stream encrypted then?
    pub encrypted: bool,
}

/// One shard, open or closed.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(super) number: u64,
    pub(super) parent: Option<u64>,
    pub(super) adjacent: Option<u64>,
    pub(super) start: u128,
    pub(super) end: u128,
    pub(super) first: Sequence,
    pub(super) last: Option<Sequence>,
    pub(super) opened: Timestamp,
    pub(super) closed: Option<Timestamp>,
    pub(super) records: VecDeque<Record>,
}

impl Record {
    /// What it weighs in memory.
    pub(super) fn weight(data: usize, key: usize) -> usize {
        data + key + RECORD_WEIGHT
    }
}

impl Shard {
    pub(super) fn is_open(&self) -> bool {
        self.last.is_none()
    }

    pub(super) fn describe(&self) -> Value {
        let mut range = json!({"StartingSequenceNumber": self.first.as_str()});
        if let Some(last) = &self.last {
            range["EndingSequenceNumber"] = json!(last.as_str());
        }
        let mut shard = json!({
            "ShardId": shard_id(self.number),
            "HashKeyRange": {
                "StartingHashKey": self.start.to_string(),
                "EndingHashKey": self.end.to_string(),
            },
            "SequenceNumberRange": range,
        });
        if let Some(parent) = self.parent {
            shard["ParentShardId"] = json!(shard_id(parent));
        }
        if let Some(adjacent) = self.adjacent {
            shard["AdjacentParentShardId"] = json!(shard_id(adjacent));
        }
        shard
    }
}

/// `shardId-000000000000`
pub(super) fn shard_id(number: u64) -> String {
    format!("shardId-{number:012}")
}

/// The number in a shard id.
pub(super) fn shard_number(id: &str) -> Option<u64> {
    id.strip_prefix("shardId-")?.parse().ok()
}

/// The place of a partition key on the ring of hash keys.
pub(super) fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// All shards of a stream.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    pub(super) all: Vec<Shard>,
    born: i64,
    count: u64,
}

impl Shards {
    /// No shard yet.
    pub(super) fn none(now: Timestamp) -> Self {
        Self {
            all: Vec::new(),
            born: now.as_millisecond(),
            count: 0,
        }
    }

    /// `count` open shards of equal width.
    pub(super) fn uniform(count: u64, now: Timestamp) -> Self {
        let mut shards = Self::none(now);
        for (start, end) in ranges(count) {
            shards.open(start, end, None, None, now);
        }
        shards
    }

    pub(super) fn born(&self) -> i64 {
        self.born
    }

    pub(super) fn open_count(&self) -> u64 {
        self.all.iter().filter(|shard| shard.is_open()).count() as u64
    }

    pub(super) fn get(&self, id: &str) -> Option<&Shard> {
        let number = shard_number(id)?;
        self.all.iter().find(|shard| shard.number == number)
    }

    pub(super) fn by_number(&self, number: u64) -> Option<&Shard> {
        self.all.iter().find(|shard| shard.number == number)
    }

    fn sequence(&mut self, shard: u64) -> Sequence {
        self.count += 1;
        Sequence::new(self.born, self.count, shard)
    }

    /// The number that the next record of a shard will reach or pass.
    pub(super) fn next_sequence(&self) -> Sequence {
        Sequence::new(self.born, self.count + 1, 0)
    }

    fn open(
        &mut self,
        start: u128,
        end: u128,
        parent: Option<u64>,
        adjacent: Option<u64>,
        now: Timestamp,
    ) -> u64 {
        let number = self.all.last().map_or(0, |shard| shard.number + 1);
        let first = self.sequence(number);
        self.all.push(Shard {
            number,
            parent,
            adjacent,
            start,
            end,
            first,
            last: None,
            opened: now,
            closed: None,
            records: VecDeque::new(),
        });
        number
    }

    fn close(&mut self, number: u64, now: Timestamp) {
        let last = self.sequence(number);
        if let Some(shard) = self.all.iter_mut().find(|shard| shard.number == number) {
            shard.last = Some(last);
            shard.closed = Some(now);
        }
    }

    /// Splits an open shard so that the second child starts at `at`; the caller has checked both.
    pub(super) fn split(&mut self, number: u64, at: u128, now: Timestamp) {
        let Some((start, end)) = self.by_number(number).map(|shard| (shard.start, shard.end))
        else {
            return;
        };
        self.close(number, now);
        self.open(start, at - 1, Some(number), None, now);
        self.open(at, end, Some(number), None, now);
    }

    /// Merges two adjacent open shards; the caller has checked both.
    pub(super) fn merge(&mut self, number: u64, adjacent: u64, now: Timestamp) {
        let (Some(a), Some(b)) = (self.by_number(number), self.by_number(adjacent)) else {
            return;
        };
        let (start, end) = (a.start.min(b.start), a.end.max(b.end));
        self.close(number, now);
        self.close(adjacent, now);
        self.open(start, end, Some(number), Some(adjacent), now);
    }

    /// Splits and merges until `target` shards of equal width are open.
    pub(super) fn scale(&mut self, target: u64, now: Timestamp) {
        let wanted = ranges(target);
        for (start, _) in wanted.iter().skip(1) {
            let cut = self
                .all
                .iter()
                .find(|shard| shard.is_open() && shard.start < *start && *start <= shard.end)
                .map(|shard| shard.number);
            if let Some(number) = cut {
                self.split(number, *start, now);
            }
        }
        for (start, end) in wanted {
            loop {
                let mut inside: Vec<(u128, u64)> = self
                    .all
                    .iter()
                    .filter(|shard| shard.is_open() && shard.start >= start && shard.end <= end)
                    .map(|shard| (shard.start, shard.number))
                    .collect();
                inside.sort_unstable();
                let [(_, first), (_, second), ..] = inside[..] else {
                    break;
                };
                self.merge(first, second, now);
            }
        }
    }

    /// Accepts a record and tells its shard and number.
    pub(super) fn put(
        &mut self,
        hash: u128,
        partition_key: String,
        data: Bytes,
        encrypted: bool,
        now: Timestamp,
    ) -> Option<(u64, Sequence)> {
        let number = self
            .all
            .iter()
            .find(|shard| shard.is_open() && shard.start <= hash && hash <= shard.end)?
            .number;
        let sequence = self.sequence(number);
        let shard = self.all.iter_mut().find(|shard| shard.number == number)?;
        shard.records.push_back(Record {
            sequence: sequence.clone(),
            partition_key,
            data,
            arrival: now,
            encrypted,
        });
        Some((number, sequence))
    }

    /// The shards that were opened out of `number`.
    pub(super) fn children(&self, number: u64) -> Vec<&Shard> {
        self.all
            .iter()
            .filter(|shard| shard.parent == Some(number) || shard.adjacent == Some(number))
            .collect()
    }

    /// Drops records that arrived before `horizon` and closed shards that have nothing left since then; gives the bytes freed.
    pub(super) fn trim(&mut self, horizon: Timestamp) -> usize {
        let mut freed = 0;
        for shard in &mut self.all {
            while let Some(record) = shard.records.front() {
                if record.arrival >= horizon {
                    break;
                }
                freed += Record::weight(record.data.len(), record.partition_key.len());
                shard.records.pop_front();
            }
        }
        self.all
            .retain(|shard| shard.closed.is_none_or(|closed| closed >= horizon));
        freed
    }
}

impl Shard {
    /// Records from a position on, at most `limit` of them and about `bytes` bytes.
    pub(super) fn read(&self, position: &Position, limit: usize, bytes: usize) -> Vec<Record> {
        let from = self
            .records
            .partition_point(|record| !position.admits(&record.sequence));
        let mut size = 0;
        let mut read = Vec::new();
        for record in self.records.range(from..).take(limit) {
            size += record.data.len() + record.partition_key.len();
            if size > bytes && !read.is_empty() {
                break;
            }
            read.push(record.clone());
        }
        read
    }
}

/// `count` equal parts of the ring.
fn ranges(count: u64) -> Vec<(u128, u128)> {
    let count = u128::from(count.max(1));
    if count == 1 {
        return vec![(0, u128::MAX)];
    }
    let width = u128::MAX / count;
    let rest = u128::MAX % count;
    // The ring has u128::MAX + 1 places; the last shard takes what division leaves.
    let width = if rest == count - 1 { width + 1 } else { width };
    (0..count)
        .map(|index| {
            let start = index * width;
            let end = if index == count - 1 {
                u128::MAX
            } else {
                start + width - 1
            };
            (start, end)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cover(shards: &Shards, open: u64) {
        let mut ranges: Vec<(u128, u128)> = shards
            .all
            .iter()
            .filter(|shard| shard.is_open())
            .map(|shard| (shard.start, shard.end))
            .collect();
        ranges.sort_unstable();
        assert_eq!(ranges.len() as u64, open);
        assert_eq!(ranges[0].0, 0);
        assert_eq!(ranges[ranges.len() - 1].1, u128::MAX);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1 + 1, pair[1].0);
        }
    }

    #[test]
    fn scaling_always_covers_the_ring_and_keeps_lineage() {
        let now = Timestamp::UNIX_EPOCH;
        let mut shards = Shards::uniform(2, now);
        assert_eq!(
            shards.all[0].end,
            170_141_183_460_469_231_731_687_303_715_884_105_727
        );
        for target in [4, 2, 3, 5, 9, 6, 3, 2, 1, 2] {
            shards.scale(target, now);
            check_cover(&shards, target);
        }
        for shard in &shards.all {
            assert!(shard.is_open() || !shards.children(shard.number).is_empty());
        }
    }

    #[test]
    fn two_shards_doubled_make_six() {
        let mut shards = Shards::uniform(2, Timestamp::UNIX_EPOCH);
        shards.scale(4, Timestamp::UNIX_EPOCH);
        assert_eq!(shards.all.len(), 6);
        assert_eq!(shards.all[2].parent, Some(0));
    }
}
