//! What the Kafka client calls back: rebalances, commits, statistics.
//!
//! The start of a partition that its group never committed is pinned here, by a commit before its first record:
//! a crash before the first delivery cannot move a group that starts with the latest record.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::next_offset;
use crate::binding::Start;
use crate::record::Partition;
use crate::source::{Marks, SourceEvent};

/// Longest call to a broker within a rebalance.
const CALL: Duration = Duration::from_secs(10);
/// Tries of such a call.
const CALLS: u32 = 5;
/// Marks a commit as ours, and says when its group began.
const METADATA: &str = "tidegate start=";

#[derive(Debug)]
pub(super) struct Context {
    events: mpsc::Sender<SourceEvent>,
    start: Start,
    /// When the group began, in milliseconds since 1970: kept in every commit.
    began: OnceLock<i64>,
}

impl Context {
    pub(super) fn new(events: mpsc::Sender<SourceEvent>, start: Start) -> Self {
        Self {
            events,
            start,
            began: OnceLock::new(),
        }
    }

    /// What to commit for `marks`.
    pub(super) fn offsets(&self, marks: &Marks) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(marks.len());
        for (partition, position) in marks {
            let (Some(number), Some(offset)) = (partition.number(), next_offset(position)) else {
                continue;
            };
            let mut element = list.add_partition(&partition.source, number);
            drop(element.set_offset(offset));
            if let Some(began) = self.began.get() {
                element.set_metadata(format!("{METADATA}{began}"));
            }
        }
        list
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        if let Err(error) = self.place(consumer, list) {
            // Without offsets of our own the client takes the committed ones, else the oldest: more, never less.
            self.tell(SourceEvent::Trouble(format!(
                "where to begin cannot be found out: {error}"
            )));
        }
        self.tell(SourceEvent::Assigned(partitions(list)));
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        };
        if let Err(error) = assigned {
            self.tell(SourceEvent::Failed(format!(
                "partitions cannot be taken: {error}"
            )));
        }
    }

    /// Sets the offset of every partition of `list`, and commits those that were never committed.
    fn place(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        if list.count() == 0 {
            return Ok(());
        }
        let committed = again(|| consumer.committed_offsets(list.clone(), CALL))?;
        let mut fresh = TopicPartitionList::new();
        for element in committed.elements() {
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => {
                    self.remember(element.metadata());
                    list.set_partition_offset(
                        element.topic(),
                        element.partition(),
                        Offset::Offset(offset),
                    )?;
                }
                _ => {
                    fresh.add_partition(element.topic(), element.partition());
                }
            }
        }
        if fresh.count() == 0 {
            return Ok(());
        }
        let pinned = self.pin(consumer, &fresh)?;
        for element in pinned.elements() {
            list.set_partition_offset(element.topic(), element.partition(), element.offset())?;
        }
        again(|| consumer.commit(&pinned, CommitMode::Sync))
    }

    fn remember(&self, metadata: &str) {
        if let Some(began) = metadata.strip_prefix(METADATA)
            && let Ok(began) = began.parse()
        {
            self.began.get_or_init(|| began);
        }
    }

    /// Where partitions without a committed offset begin.
    fn pin(
        &self,
        consumer: &BaseConsumer<Self>,
        fresh: &TopicPartitionList,
    ) -> KafkaResult<TopicPartitionList> {
        self.look_around(consumer, fresh);
        let is_old = self.began.get().is_some();
        let began = *self.began.get_or_init(wall);
        let mut pinned = TopicPartitionList::new();
        for element in fresh.elements() {
            let (topic, number) = (element.topic(), element.partition());
            let (low, high) = again(|| consumer.fetch_watermarks(topic, number, CALL))?;
            let offset = match self.start {
                Start::TrimHorizon => low,
                Start::Latest if !is_old => high,
                // A partition that appeared after its group began is read from then on.
                Start::Latest => at_time(consumer, topic, number, began)?.unwrap_or(high),
                Start::At(time) => at_time(consumer, topic, number, time)?.unwrap_or(high),
            };
            let mut element = pinned.add_partition(topic, number);
            element.set_offset(Offset::Offset(offset))?;
            element.set_metadata(format!("{METADATA}{began}"));
        }
        Ok(pinned)
    }

    /// Looks whether another partition of the topics tells when the group began.
    fn look_around(&self, consumer: &BaseConsumer<Self>, fresh: &TopicPartitionList) {
        if self.began.get().is_some() || self.start != Start::Latest {
            return;
        }
        let mut all = TopicPartitionList::new();
        for element in fresh.elements() {
            let topic = element.topic();
            if !all.elements_for_topic(topic).is_empty() {
                continue;
            }
            let Ok(metadata) = consumer.fetch_metadata(Some(topic), CALL) else {
                continue;
            };
            for partition in metadata
                .topics()
                .iter()
                .flat_map(rdkafka::metadata::MetadataTopic::partitions)
            {
                all.add_partition(topic, partition.id());
            }
        }
        if let Ok(committed) = consumer.committed_offsets(all, CALL) {
            for element in committed.elements() {
                self.remember(element.metadata());
            }
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        if consumer.assignment_lost() {
            self.tell(SourceEvent::Lost(partitions(list)));
        } else if list.count() > 0 {
            self.hand_over(consumer, list);
        }
        let left = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        };
        if let Err(error) = left {
            self.tell(SourceEvent::Trouble(format!(
                "partitions cannot be given back: {error}"
            )));
        }
    }

    /// Waits for deliveries of `list`, then commits their marks.
    fn hand_over(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let (reply, answer) = oneshot::channel();
        let event = SourceEvent::Revoking {
            partitions: partitions(list),
            reply,
        };
        if self.events.blocking_send(event).is_err() {
            return;
        }
        // The runtime answers within `drain`, or went away and drops the channel.
        let Ok(marks) = answer.blocking_recv() else {
            return;
        };
        let offsets = self.offsets(&marks);
        if offsets.count() == 0 {
            return;
        }
        if let Err(error) = consumer.commit(&offsets, CommitMode::Sync) {
            self.tell(SourceEvent::Trouble(format!(
                "offsets of partitions that are given back cannot be committed: {error}"
            )));
        }
    }

    fn tell(&self, event: SourceEvent) {
        drop(self.events.blocking_send(event));
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut ends = Vec::new();
        for (topic, facts) in &statistics.topics {
            let name = topic.as_str().into();
            for (number, facts) in &facts.partitions {
                if *number >= 0 && facts.hi_offset >= 0 {
                    ends.push((Partition::kafka(&name, *number), facts.hi_offset));
                }
            }
        }
        // Statistics come again: a full channel may miss one.
        drop(self.events.try_send(SourceEvent::Ends(ends)));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let text = format!("{error}: {reason}");
        drop(self.events.try_send(SourceEvent::Trouble(text)));
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: Code, list: &mut TopicPartitionList) {
        match code {
            Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            other => {
                self.tell(SourceEvent::Trouble(format!("rebalance: {other:?}")));
                drop(consumer.unassign());
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(())
            | Err(KafkaError::ConsumerCommit(rdkafka::types::RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                let text = format!("offsets were not committed: {error}");
                drop(self.events.try_send(SourceEvent::Trouble(text)));
            }
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| Partition::kafka(&element.topic().into(), element.partition()))
        .collect()
}

/// The first offset at or after a time; none when there is none yet.
fn at_time(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    number: i32,
    time: i64,
) -> KafkaResult<Option<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, number, Offset::Offset(time))?;
    let found = again(|| consumer.offsets_for_times(list.clone(), CALL))?;
    let element = found.find_partition(topic, number);
    Ok(element.and_then(|element| match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }))
}

/// Repeats a call that failed, a few times.
fn again<T>(mut call: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut tries = 1;
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) if tries >= CALLS => return Err(error),
            Err(_) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

fn wall() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
