//! Topics as a source: a consumer group, cooperative, offsets committed only by marks.
//!
//! One thread polls; rebalances run on it and wait there until deliveries of revoked partitions are done.

mod arena;
mod context;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, Timestamp};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Marks, Source, SourceEvent};
use crate::binding::{KafkaSettings, Start};
use crate::record::{Partition, Position, Record, TimestampType};
use arena::Arena;
use context::Context;

/// Chunks between the polling thread and the runtime.
const CHUNKS: usize = 8;
const CHUNK_RECORDS: usize = 1_000;
/// Records of a partition in a chunk for which there is room at once.
const PARTITION_RECORDS: usize = 32;
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(100);
/// Longest wait for the thread to leave the group.
const CLOSE: Duration = Duration::from_secs(15);

/// A member of a consumer group.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<Context>>,
    events: mpsc::Receiver<SourceEvent>,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Settings of the client for a cluster, before those of a role.
pub fn client_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &*settings.bootstrap_servers);
    config.set("client.id", "tidegate-bridge");
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    config
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource").finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Joins the group. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A setting is unknown or wrong; the message is the client's.
    pub fn open(settings: &KafkaSettings, start: Start) -> Result<Self, String> {
        let mut config = client_config(settings);
        config.set("group.id", &settings.group);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        // Only for offsets that retention took away: the start of a new group is pinned when it is assigned.
        config.set("auto.offset.reset", "earliest");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        for (name, value) in [
            ("queued.max.messages.kbytes", "32768"),
            // A full queue stops fetching for this long: a second, as the client has it, leaves the queue empty.
            ("fetch.queue.backoff.ms", "10"),
            ("session.timeout.ms", "10000"),
            ("statistics.interval.ms", "5000"),
            ("topic.metadata.refresh.interval.ms", "60000"),
        ] {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let (sender, events) = mpsc::channel(CHUNKS);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let context = Context::new(sender.clone(), start);
        let consumer: BaseConsumer<Context> = config
            .create_with_context(context)
            .map_err(|error| format!("the Kafka client cannot be made: {error}"))?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|error| format!("the topics cannot be subscribed: {error}"))?;
        let consumer = Arc::new(consumer);
        let thread = tokio::task::spawn_blocking({
            let (consumer, is_stopped) = (Arc::clone(&consumer), Arc::clone(&is_stopped));
            move || poll(&consumer, &sender, &is_stopped)
        });
        Ok(Self {
            consumer,
            events,
            is_stopped,
            thread,
        })
    }

    fn one(partition: &Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        if let Some(number) = partition.number() {
            list.add_partition(&partition.source, number);
        }
        list
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn next(&mut self) -> SourceEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => SourceEvent::Failed("the polling thread ended".to_owned()),
        }
    }

    fn pause(&self, partition: &Partition) {
        // A partition that is no longer ours cannot be paused, and need not be.
        drop(self.consumer.pause(&Self::one(partition)));
    }

    fn resume(&self, partition: &Partition) {
        drop(self.consumer.resume(&Self::one(partition)));
    }

    fn commit(&self, marks: Marks) {
        let list = self.consumer.context().offsets(&marks);
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::warn!(%error, "offsets cannot be committed now");
        }
    }

    async fn close(self: Box<Self>, marks: Marks) -> Result<(), String> {
        let Self {
            consumer,
            mut events,
            is_stopped,
            thread,
        } = *self;
        // Callbacks that still want to tell something find nobody, and go on.
        events.close();
        while events.try_recv().is_ok() {}
        is_stopped.store(true, Ordering::Release);
        let last = tokio::task::spawn_blocking(move || {
            let list = consumer.context().offsets(&marks);
            if list.count() == 0 {
                return Ok(());
            }
            consumer
                .commit(&list, CommitMode::Sync)
                .map_err(|error| error.to_string())
        });
        let committed = last.await.unwrap_or_else(|error| Err(error.to_string()));
        if tokio::time::timeout(CLOSE, thread).await.is_err() {
            tracing::warn!("the consumer did not leave its group in time");
        }
        committed
    }
}

/// Polls until the runtime goes away or asks to stop; then the consumer leaves its group as it is dropped.
fn poll(
    consumer: &Arc<BaseConsumer<Context>>,
    sender: &mpsc::Sender<SourceEvent>,
    is_stopped: &AtomicBool,
) {
    let mut names = Names::default();
    let mut arena = Arena::default();
    while !is_stopped.load(Ordering::Acquire) {
        let mut chunk: Vec<(Partition, Vec<Record>)> = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        let mut wait = POLL;
        while records < CHUNK_RECORDS && bytes < CHUNK_BYTES {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = record(&message, &mut arena, &names.no_headers);
                    records += 1;
                    bytes += record.size();
                    match chunk.last_mut() {
                        Some((_, records)) if names.is_last(&message) => records.push(record),
                        _ => {
                            let mut records = Vec::with_capacity(PARTITION_RECORDS);
                            records.push(record);
                            chunk.push((names.partition(&message), records));
                        }
                    }
                }
                Some(Err(error)) => {
                    tell(sender, &error);
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        if !chunk.is_empty() && sender.blocking_send(SourceEvent::Records(chunk)).is_err() {
            return;
        }
        if sender.is_closed() {
            return;
        }
    }
}

fn tell(sender: &mpsc::Sender<SourceEvent>, error: &KafkaError) {
    let event = match error {
        KafkaError::MessageConsumptionFatal(code) => SourceEvent::Failed(code.to_string()),
        KafkaError::PartitionEOF(_) => return,
        error => SourceEvent::Trouble(error.to_string()),
    };
    drop(sender.blocking_send(event));
}

/// Names of partitions, made once.
#[derive(Debug)]
struct Names {
    topics: BTreeMap<String, BTreeMap<i32, Partition>>,
    last: Option<(Partition, i32)>,
    no_headers: Arc<[(String, Option<Bytes>)]>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            topics: BTreeMap::new(),
            last: None,
            no_headers: Arc::from([]),
        }
    }
}

impl Names {
    /// Whether a message is of the partition that was asked for last.
    fn is_last(&self, message: &BorrowedMessage<'_>) -> bool {
        self.last.as_ref().is_some_and(|(last, number)| {
            *number == message.partition() && *last.source == *message.topic()
        })
    }

    fn partition(&mut self, message: &BorrowedMessage<'_>) -> Partition {
        let (topic, number) = (message.topic(), message.partition());
        if let Some((last, _)) = self.last.as_ref().filter(|_| self.is_last(message)) {
            return last.clone();
        }
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_owned(), BTreeMap::new());
        }
        let name: Arc<str> = topic.into();
        let known = self.topics.entry(topic.to_owned()).or_default();
        let partition = known
            .entry(number)
            .or_insert_with(|| Partition::kafka(&name, number))
            .clone();
        self.last = Some((partition.clone(), number));
        partition
    }
}

fn record(
    message: &BorrowedMessage<'_>,
    arena: &mut Arena,
    no_headers: &Arc<[(String, Option<Bytes>)]>,
) -> Record {
    let (timestamp, timestamp_type) = match message.timestamp() {
        Timestamp::CreateTime(time) => (time, TimestampType::CreateTime),
        Timestamp::LogAppendTime(time) => (time, TimestampType::LogAppendTime),
        Timestamp::NotAvailable => (-1, TimestampType::CreateTime),
    };
    let headers = match message.headers() {
        Some(headers) if headers.count() > 0 => headers
            .iter()
            .map(|header| {
                (
                    header.key.to_owned(),
                    header.value.map(Bytes::copy_from_slice),
                )
            })
            .collect(),
        _ => Arc::clone(no_headers),
    };
    Record {
        position: Position::Offset(message.offset()),
        timestamp,
        timestamp_type,
        key: message.key().map(|key| arena.copy(key)),
        value: message.payload().map(|value| arena.copy(value)),
        headers,
        encryption: None,
    }
}

/// The offset to commit for a mark: that of the next record.
fn next_offset(position: &Position) -> Option<Offset> {
    match position {
        Position::Offset(offset) => Some(Offset::Offset(offset + 1)),
        Position::Sequence(_) => None,
    }
}
