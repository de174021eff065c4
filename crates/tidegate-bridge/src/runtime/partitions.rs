//! The partitions of a binding: their queues, which of them want attention, which are paused, what is committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Parts, envelope, sizes};
use crate::metrics::PartitionFacts;
use crate::queue::{Finish, Moment, Next, Queue};
use crate::record::{Partition, Position, Record};
use crate::source::{Marks, Progress};

/// Bytes of records that a binding holds, shared by its partitions.
const BYTES_MAX: usize = 192 * 1024 * 1024;
/// Bytes that a partition may hold in any case.
const PARTITION_BYTES_MIN: usize = 256 * 1024;
const PARTITION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Records of a partition that are not behind its mark, beyond two batches of each lane.
const OUTSTANDING_MAX: usize = 20_000;

struct Slot {
    queue: Queue,
    generation: u64,
    timer: Option<Duration>,
    is_queued: bool,
    is_held: bool,
    is_paused: bool,
    committed: Option<Position>,
    end: Option<i64>,
    /// How far a stream's reading is behind, in milliseconds.
    behind: Option<i64>,
}

pub(super) struct Partitions {
    parts: Arc<Parts>,
    slots: BTreeMap<Partition, Slot>,
    due: VecDeque<Partition>,
    timers: BTreeSet<(Duration, Partition)>,
    generation: u64,
}

impl Partitions {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            slots: BTreeMap::new(),
            due: VecDeque::new(),
            timers: BTreeSet::new(),
            generation: 0,
        }
    }

    pub(super) fn assign(&mut self, partitions: Vec<Partition>) {
        self.remove(&partitions);
        for partition in partitions {
            self.generation += 1;
            let envelope = envelope(&self.parts, &partition);
            let seed = self.generation.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let slot = Slot {
                queue: Queue::new(Arc::clone(&self.parts.policy), envelope, seed),
                generation: self.generation,
                timer: None,
                is_queued: false,
                is_held: false,
                is_paused: false,
                committed: None,
                end: None,
                behind: None,
            };
            self.slots.insert(partition, slot);
        }
    }

    /// Starts nothing more for these.
    pub(super) fn hold(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(slot) = self.slots.get_mut(partition) {
                slot.is_held = true;
            }
        }
    }

    pub(super) fn remove(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(slot) = self.slots.remove(partition)
                && let Some(timer) = slot.timer
            {
                self.timers.remove(&(timer, partition.clone()));
            }
        }
    }

    /// Takes records; true when reading the partition should pause.
    pub(super) fn push(
        &mut self,
        partition: &Partition,
        records: Vec<Record>,
        now: Moment,
    ) -> bool {
        let limit = self.bytes_limit();
        let outstanding = self.outstanding_limit();
        let metrics = &self.parts.metrics;
        metrics.records.add(records.len());
        let Some(slot) = self.slots.get_mut(partition) else {
            return false;
        };
        if slot.is_held {
            return false;
        }
        for record in records {
            if self.parts.filter.passes(partition, &record) {
                let bytes = sizes(&self.parts, partition, &record);
                slot.queue.push(record, bytes, now);
            } else {
                metrics.filtered.add(1);
                slot.queue.pass_over(record.position);
            }
        }
        if !slot.is_queued {
            slot.is_queued = true;
            self.due.push_back(partition.clone());
        }
        let is_full = slot.queue.bytes() > limit || slot.queue.outstanding() > outstanding;
        let pauses = is_full && !slot.is_paused;
        slot.is_paused |= pauses;
        pauses
    }

    /// Takes a result; true when reading the partition should go on.
    pub(super) fn finish(
        &mut self,
        partition: &Partition,
        generation: u64,
        lane: usize,
        finish: Finish,
        now: Moment,
    ) -> bool {
        let limit = self.bytes_limit();
        let outstanding = self.outstanding_limit();
        let Some(slot) = self.slots.get_mut(partition) else {
            return false;
        };
        if slot.generation != generation {
            return false;
        }
        slot.queue.finish(lane, finish, now);
        if !slot.is_queued {
            slot.is_queued = true;
            self.due.push_back(partition.clone());
        }
        let has_room = slot.queue.bytes() < limit / 2 && slot.queue.outstanding() < outstanding / 2;
        let resumes = slot.is_paused && has_room;
        slot.is_paused &= !resumes;
        resumes
    }

    fn bytes_limit(&self) -> usize {
        let share = BYTES_MAX / self.slots.len().max(1);
        share.clamp(PARTITION_BYTES_MIN, PARTITION_BYTES_MAX)
    }

    fn outstanding_limit(&self) -> usize {
        let policy = &self.parts.policy;
        OUTSTANDING_MAX.max(2 * policy.batch_size * policy.parallelization)
    }

    /// Makes those due whose time has come.
    pub(super) fn wake(&mut self, now: Moment) {
        while let Some((timer, _)) = self.timers.first() {
            if *timer > now.running {
                break;
            }
            let Some((_, partition)) = self.timers.pop_first() else {
                break;
            };
            if let Some(slot) = self.slots.get_mut(&partition) {
                slot.timer = None;
                if !slot.is_queued {
                    slot.is_queued = true;
                    self.due.push_back(partition);
                }
            }
        }
    }

    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(timer, _)| *timer)
    }

    /// The next thing to do of a partition that is due; partitions take turns.
    pub(super) fn next(&mut self, now: Moment) -> Option<(Partition, u64, Next)> {
        loop {
            let partition = self.due.pop_front()?;
            let Some(slot) = self.slots.get_mut(&partition) else {
                continue;
            };
            slot.is_queued = false;
            if slot.is_held {
                continue;
            }
            let next = slot.queue.next(now);
            match next {
                Next::Work(_) => {
                    slot.is_queued = true;
                    self.due.push_back(partition.clone());
                    return Some((partition, slot.generation, next));
                }
                Next::Wait(until) => {
                    if let Some(old) = slot.timer.replace(until) {
                        self.timers.remove(&(old, partition.clone()));
                    }
                    self.timers.insert((until, partition));
                }
                Next::Idle => {}
            }
        }
    }

    pub(super) fn are_idle(&self, partitions: &[Partition]) -> bool {
        let mut slots = partitions
            .iter()
            .filter_map(|partition| self.slots.get(partition));
        slots.all(|slot| slot.queue.in_flight() == 0)
    }

    /// Marks that were not handed out before.
    pub(super) fn new_marks(&mut self) -> Marks {
        let mut marks = Marks::new();
        for (partition, slot) in &mut self.slots {
            let mark = slot.queue.mark();
            if mark.is_some() && mark != slot.committed.as_ref() && !slot.is_held {
                slot.committed = mark.cloned();
                marks.extend(slot.committed.clone().map(|mark| (partition.clone(), mark)));
            }
        }
        marks
    }

    pub(super) fn marks_of(&self, partitions: &[Partition]) -> Marks {
        let slots = partitions
            .iter()
            .filter_map(|name| self.slots.get_key_value(name));
        slots
            .filter_map(|(name, slot)| Some((name.clone(), slot.queue.mark()?.clone())))
            .collect()
    }

    pub(super) fn marks(&self) -> Marks {
        let slots = self.slots.iter();
        slots
            .filter_map(|(name, slot)| Some((name.clone(), slot.queue.mark()?.clone())))
            .collect()
    }

    pub(super) fn set_ends(&mut self, ends: Vec<(Partition, i64)>) {
        for (partition, end) in ends {
            if let Some(slot) = self.slots.get_mut(&partition) {
                slot.end = Some(end);
            }
        }
    }

    /// Takes note of how far a shard is read.
    pub(super) fn progress(&mut self, partition: &Partition, progress: Progress) {
        let Some(slot) = self.slots.get_mut(partition) else {
            return;
        };
        slot.behind = match progress {
            Progress::Behind { millis, .. } => Some(millis),
            Progress::Over => Some(0),
        };
        slot.queue.progress(progress);
        if !slot.is_queued && self.parts.policy.tumbling.is_some() {
            slot.is_queued = true;
            self.due.push_back(partition.clone());
        }
    }

    /// Tells the metrics what is known of every partition.
    pub(super) fn report(&self, now: Moment) {
        let facts = self.slots.iter().map(|(partition, slot)| {
            let next = match slot.queue.mark() {
                Some(Position::Offset(offset)) => Some(offset + 1),
                _ => None,
            };
            let oldest = slot.queue.oldest();
            let facts = PartitionFacts {
                next,
                end: slot.end,
                behind: slot.behind,
                outstanding: slot.queue.outstanding(),
                age: oldest.map(|time| now.wall.saturating_sub(time).max(0)),
                is_paused: slot.is_paused,
                is_blocked: slot.queue.is_blocked(),
            };
            (partition.clone(), facts)
        });
        self.parts.metrics.set_partitions(facts.collect());
    }
}
