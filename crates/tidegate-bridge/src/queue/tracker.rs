//! Which records of a partition are done, and up to where without a gap.

use std::collections::VecDeque;

use crate::record::Position;

/// Records in the order in which they came; done ones leave from the front.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    first: u64,
    open: VecDeque<(Position, i64, State)>,
    mark: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

impl Tracker {
    /// Takes note of a record; gives its number.
    pub(super) fn open(&mut self, position: Position, timestamp: i64) -> u64 {
        let number = self.first + self.open.len() as u64;
        self.open.push_back((position, timestamp, State::Open));
        number
    }

    /// A record is delivered, filtered out or safely given up. Unknown and repeated numbers change nothing.
    pub(super) fn done(&mut self, number: u64) {
        let index = number.checked_sub(self.first).map(usize::try_from);
        if let Some(Ok(index)) = index
            && let Some(entry) = self.open.get_mut(index)
        {
            entry.2 = State::Done;
        }
        while let Some((_, _, State::Done)) = self.open.front() {
            self.mark = self.open.pop_front().map(|(position, _, _)| position);
            self.first += 1;
        }
    }

    /// The last record such that it and all before it are done.
    pub(super) fn mark(&self) -> Option<&Position> {
        self.mark.as_ref()
    }

    /// The number of the first record that is not done.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Records that came and are not behind the mark.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The timestamp of the first record that is not done.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.open.front().map(|(_, timestamp, _)| *timestamp)
    }
}
