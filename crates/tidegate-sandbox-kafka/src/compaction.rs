//! Compaction: of closed segments, only each key's last record stays.
//!
//! Must not know: topics, requests.

use std::collections::HashMap;

use bytes::Bytes;

use crate::log::{Log, Rules, Stored};
use crate::records::{self, Record};

impl Log {
    /// Compacts closed segments that hold something new, as the topic's rules say.
    pub(crate) fn compact(&mut self, now: i64, rules: &Rules) {
        if !rules.compact {
            return;
        }
        let Some(active) = self.batches.back().map(|last| last.segment) else {
            return;
        };
        let young = |stored: &Stored| {
            now.saturating_sub(stored.max_timestamp) < rules.min_compaction_lag_ms
        };
        let closed = self
            .batches
            .iter()
            .take_while(|stored| stored.segment != active && !young(stored))
            .count();
        if self.batches.iter().take(closed).all(|stored| stored.clean) {
            return;
        }
        let read: Vec<Option<Vec<Record>>> = self
            .batches
            .iter()
            .take(closed)
            .map(|stored| records::records(&stored.bytes))
            .collect();
        let mut last: HashMap<Bytes, i64> = HashMap::new();
        for record in read.iter().flatten().flatten() {
            if let Some(key) = &record.key {
                last.insert(key.clone(), record.offset);
            }
        }
        let mut kept = Vec::with_capacity(closed);
        for (stored, records) in self.batches.drain(..closed).zip(read) {
            kept.extend(cleaned(stored, records, &last, now, rules));
        }
        for stored in kept.into_iter().rev() {
            self.batches.push_front(stored);
        }
        self.bytes = self.batches.iter().map(|stored| stored.bytes.len()).sum();
    }
}

fn cleaned(
    mut stored: Stored,
    records: Option<Vec<Record>>,
    last: &HashMap<Bytes, i64>,
    now: i64,
    rules: &Rules,
) -> Option<Stored> {
    let over = now.saturating_sub(stored.max_timestamp) > rules.delete_retention_ms;
    stored.clean = true;
    // A batch that cannot be read stays as it is.
    let Some(records) = records else {
        return Some(stored);
    };
    let before = records.len();
    let kept: Vec<Record> = records
        .into_iter()
        .filter(|record| {
            let newest = record
                .key
                .as_ref()
                .is_some_and(|key| last.get(key) == Some(&record.offset));
            newest && !(record.tombstone && over)
        })
        .collect();
    if kept.len() == before {
        return Some(stored);
    }
    stored.bytes = records::rebuilt(&stored.bytes, &kept)?;
    Some(stored)
}
