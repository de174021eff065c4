//! Completion indexes of an Indexed Job: which are done, which come next, and how they are written (`1,3-5`).

use super::index_of;
use crate::value::{text, uid};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most completions whose indexes are kept.
const MAX_INDEXES: i64 = 100_000;

/// The done indexes of a Job.
pub(super) struct Indexes {
    done: BTreeSet<i64>,
    completions: i64,
}

impl Indexes {
    /// Those that the status names, and those of the pods that have succeeded since.
    pub(super) fn of(job: &Value, pods: &[Arc<Value>], completions: i64) -> Self {
        let completions = completions.clamp(0, MAX_INDEXES);
        let mut done = parse(text(job, "status.completedIndexes"));
        let succeeded = pods
            .iter()
            .filter(|pod| text(pod, "status.phase") == "Succeeded" && !uid(pod).is_empty());
        done.extend(succeeded.filter_map(|pod| index_of(pod)));
        done.retain(|index| (0..completions).contains(index));
        Self { done, completions }
    }

    pub(super) fn done_count(&self) -> i64 {
        i64::try_from(self.done.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn done_text(&self) -> String {
        print(&self.done)
    }

    /// The lowest indexes that are neither done nor running.
    pub(super) fn pending(&self, active: &[Arc<Value>], many: usize) -> Vec<i64> {
        let running: BTreeSet<i64> = active.iter().filter_map(|pod| index_of(pod)).collect();
        (0..self.completions)
            .filter(|index| !self.done.contains(index) && !running.contains(index))
            .take(many)
            .collect()
    }
}

/// How many indexes a text names.
pub(super) fn count(text: &str) -> i64 {
    i64::try_from(parse(text).len()).unwrap_or(i64::MAX)
}

fn parse(text: &str) -> BTreeSet<i64> {
    let mut done = BTreeSet::new();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
            done.extend(from.max(0)..=to.min(MAX_INDEXES));
        }
    }
    done
}

fn print(done: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for index in done {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == *index => *to = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let texts: Vec<String> = ranges
        .into_iter()
        .map(|(from, to)| match to - from {
            0 => from.to_string(),
            1 => format!("{from},{to}"),
            _ => format!("{from}-{to}"),
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_kubernetes_writes_them() {
        for (indexes, expected) in [
            (&[][..], ""),
            (&[0], "0"),
            (&[0, 1], "0,1"),
            (&[0, 1, 2], "0-2"),
            (&[1, 3, 4, 5, 7], "1,3-5,7"),
        ] {
            let done: BTreeSet<i64> = indexes.iter().copied().collect();
            assert_eq!(print(&done), expected);
            assert_eq!(parse(expected), done);
        }
    }
}
