//! One shard, read from its checkpoint on until it is finished.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record as StreamRecord, ShardIteratorType};
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::StreamName;
use super::lease::Checkpoint;
use crate::policy::Backoff;
use crate::record::{Partition, Position, Record, TimestampType};
use crate::source::{Progress, SourceEvent};

/// Time between reads of a shard whose reader is behind: a shard takes five reads a second from all its readers.
const CATCH_UP: Duration = Duration::from_millis(210);
/// Waits after a read that failed.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    factor: 2.0,
    max: Duration::from_secs(10),
};

/// What a reader and its keeper know of each other.
#[derive(Debug)]
pub(super) struct Control {
    is_paused: watch::Sender<bool>,
    progress: Mutex<Read>,
    /// Woken when a shard is read to its end.
    ended: Arc<Notify>,
}

/// How far a reader is.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    /// The last record that went to the runtime.
    pub(super) last: Option<Arc<str>>,
    /// Whether nothing comes after it.
    pub(super) is_over: bool,
}

impl Control {
    pub(super) fn new(ended: Arc<Notify>) -> Self {
        Self {
            is_paused: watch::channel(false).0,
            progress: Mutex::default(),
            ended,
        }
    }

    pub(super) fn pause(&self, pauses: bool) {
        self.is_paused.send_replace(pauses);
    }

    pub(super) fn read(&self) -> Read {
        self.progress
            .lock()
            .map(|read| read.clone())
            .unwrap_or_default()
    }

    fn set(&self, change: impl FnOnce(&mut Read)) {
        if let Ok(mut read) = self.progress.lock() {
            change(&mut read);
        }
    }
}

/// A reader of a shard.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) stream: StreamName,
    pub(super) partition: Partition,
    pub(super) from: Checkpoint,
    pub(super) poll: Duration,
    pub(super) events: mpsc::Sender<SourceEvent>,
    pub(super) control: Arc<Control>,
    /// Taken while what was read is held here.
    pub(super) reads: Arc<Semaphore>,
}

/// What a failed call means.
enum Trouble {
    /// The iterator is too old.
    Expired,
    /// The shard's records are all gone.
    Gone(String),
    /// It may pass.
    Passing(String),
}

impl Reader {
    /// Reads until the shard is over or nobody listens.
    pub(super) async fn run(mut self) {
        let mut iterator = None;
        let mut failures = 0;
        let mut paused = self.control.is_paused.subscribe();
        loop {
            if paused.wait_for(|paused| !paused).await.is_err() {
                return;
            }
            let begin = Instant::now();
            match self.read(&mut iterator).await {
                Ok(None) => return self.over().await,
                Ok(Some(is_behind)) => {
                    failures = 0;
                    let wait = if is_behind { CATCH_UP } else { self.poll };
                    tokio::time::sleep(wait.saturating_sub(begin.elapsed())).await;
                }
                Err(Trouble::Expired) => iterator = None,
                Err(Trouble::Gone(why)) => {
                    self.tell(SourceEvent::Trouble(why)).await;
                    return self.over().await;
                }
                Err(Trouble::Passing(why)) => {
                    failures += 1;
                    if !self.tell(SourceEvent::Trouble(why)).await {
                        return;
                    }
                    tokio::time::sleep(BACKOFF.wait(failures, jitter())).await;
                }
            }
        }
    }

    async fn tell(&self, event: SourceEvent) -> bool {
        self.events.send(event).await.is_ok()
    }

    async fn over(&self) {
        self.control.set(|read| read.is_over = true);
        let ended = SourceEvent::Progress(self.partition.clone(), Progress::Over);
        self.tell(ended).await;
        self.control.ended.notify_one();
    }

    /// One read; none: the shard is over, else whether there is more to read now.
    async fn read(&mut self, iterator: &mut Option<String>) -> Result<Option<bool>, Trouble> {
        let reads = Arc::clone(&self.reads);
        let Ok(_permit) = reads.acquire().await else {
            return Err(Trouble::Passing("no more is read".to_owned()));
        };
        let from = match iterator.take() {
            Some(iterator) => iterator,
            None => self.iterator().await?,
        };
        let asked = now();
        let got = self
            .client
            .get_records()
            .shard_iterator(&from)
            .set_stream_arn(self.stream.arn.clone())
            .send()
            .await;
        let got = match got {
            Ok(got) => got,
            Err(error) => {
                let code = error.code().unwrap_or_default();
                if code.contains("Throughput") || code.contains("Throttl") {
                    *iterator = Some(from);
                }
                return Err(self.unread(&error));
            }
        };
        iterator.clone_from(&got.next_shard_iterator);
        let behind = got.millis_behind_latest().unwrap_or(0).max(0);
        let is_over = iterator.is_none();
        let is_behind = behind > 0;
        if !self.hand_over(got).await {
            return Err(Trouble::Passing("nobody listens".to_owned()));
        }
        let progress = Progress::Behind {
            millis: behind,
            asked,
        };
        self.tell(SourceEvent::Progress(self.partition.clone(), progress))
            .await;
        Ok((!is_over).then_some(is_behind))
    }

    async fn hand_over(&mut self, got: GetRecordsOutput) -> bool {
        let records: Vec<Record> = got.records.into_iter().map(record).collect();
        let Some(Record {
            position: Position::Sequence(last),
            ..
        }) = records.last()
        else {
            return true;
        };
        let last = Arc::clone(last);
        self.from = Checkpoint::After(Arc::clone(&last));
        self.control.set(|read| read.last = Some(last));
        let chunk = vec![(self.partition.clone(), records)];
        self.tell(SourceEvent::Records(chunk)).await
    }

    async fn iterator(&self) -> Result<String, Trouble> {
        let call = self
            .client
            .get_shard_iterator()
            .set_stream_name(self.stream.name.clone())
            .set_stream_arn(self.stream.arn.clone())
            .shard_id(&*self.partition.id);
        let call = match &self.from {
            Checkpoint::TrimHorizon | Checkpoint::Ended => {
                call.shard_iterator_type(ShardIteratorType::TrimHorizon)
            }
            Checkpoint::At(time) => call
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(*time)),
            Checkpoint::After(number) => call
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(&**number),
        };
        let got = call.send().await.map_err(|error| {
            let text = format!(
                "shard {}: no iterator: {}",
                self.partition.id,
                DisplayErrorContext(&error)
            );
            match error.as_service_error() {
                Some(GetShardIteratorError::ResourceNotFoundException(found)) => {
                    self.missing(found.message().unwrap_or_default(), text)
                }
                _ => Trouble::Passing(text),
            }
        })?;
        got.shard_iterator
            .ok_or_else(|| Trouble::Passing("Kinesis gave no iterator".to_owned()))
    }

    fn unread(&self, error: &aws_sdk_kinesis::error::SdkError<GetRecordsError>) -> Trouble {
        if error.code() == Some("ExpiredIteratorException") {
            return Trouble::Expired;
        }
        let text = format!(
            "shard {}: {}",
            self.partition.id,
            DisplayErrorContext(error)
        );
        match error.as_service_error() {
            Some(GetRecordsError::ResourceNotFoundException(found)) => {
                self.missing(found.message().unwrap_or_default(), text)
            }
            _ => Trouble::Passing(text),
        }
    }

    /// A stream that is not there may come back; a shard of a stream that is there does not.
    fn missing(&self, message: &str, text: String) -> Trouble {
        if message.contains(&*self.partition.id) {
            let why = format!(
                "{text}; its retention is over: what was not read of it by now is lost, and its children are read"
            );
            return Trouble::Gone(why);
        }
        Trouble::Passing(text)
    }
}

fn record(record: StreamRecord) -> Record {
    let arrival = record.approximate_arrival_timestamp;
    let millis = arrival.and_then(|time| time.to_millis().ok());
    let encryption = record.encryption_type.map(|kind| kind.as_str().to_owned());
    Record {
        position: Position::Sequence(record.sequence_number.into()),
        timestamp: millis.unwrap_or(-1),
        timestamp_type: TimestampType::CreateTime,
        key: record.partition_key.map(Bytes::from),
        value: Some(Bytes::from(record.data.into_inner())),
        headers: Arc::from([]),
        encryption: encryption.filter(|kind| kind != "NONE").map(Into::into),
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Between 0 and 1.
fn jitter() -> f64 {
    let random = uuid::Uuid::new_v4().as_u128() & u128::from(u32::MAX);
    f64::from(u32::try_from(random).unwrap_or(0)) / f64::from(u32::MAX)
}
