//! A stream of Kinesis as a source: shards in the order of their resharding, leases shared by replicas, checkpoints that
//! only the owner of a lease writes.

mod keeper;
pub mod lease;
mod reader;
pub mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use tidegate_aws::Aws;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::{Marks, Source, SourceEvent};
use crate::binding::{KinesisSettings, LeaseSettings, Start};
use crate::record::{Partition, Position};
use keeper::{Keeper, Options};
use lease::Checkpoint;
use reader::Control;
use store::table::Table;
use store::{Beginning, Folder, Store};

/// Chunks between the readers and the runtime: one read of a shard is up to 10 MB.
const CHUNKS: usize = 2;
/// Longest wait for the last checkpoints.
const CLOSE: Duration = Duration::from_secs(20);

/// How a stream is named in calls.
#[derive(Clone, Debug)]
pub(crate) struct StreamName {
    pub(crate) name: Option<String>,
    pub(crate) arn: Option<String>,
}

/// What the source and its keeper share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Marks that are to be committed.
    marks: Mutex<BTreeMap<Arc<str>, Arc<str>>>,
    /// Shards that are read.
    controls: Mutex<BTreeMap<Arc<str>, Arc<Control>>>,
    /// Woken when there are marks.
    has_marks: Notify,
}

impl Shared {
    fn put(&self, marks: Marks) {
        if let Ok(mut waiting) = self.marks.lock() {
            for (partition, position) in marks {
                if let Position::Sequence(number) = position {
                    waiting.insert(partition.id, number);
                }
            }
        }
        self.has_marks.notify_one();
    }

    fn control(&self, partition: &Partition) -> Option<Arc<Control>> {
        let controls = self.controls.lock().ok()?;
        controls.get(&partition.id).cloned()
    }
}

/// A replica that reads shards of a stream.
#[derive(Debug)]
pub struct KinesisSource {
    shared: Arc<Shared>,
    events: mpsc::Receiver<SourceEvent>,
    stop: watch::Sender<bool>,
    keeper: JoinHandle<Result<(), String>>,
}

impl KinesisSource {
    /// Opens the leases and begins to read. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The leases cannot be opened, or are those of another stream.
    pub async fn open(
        aws: &Aws,
        settings: &KinesisSettings,
        name: &str,
        start: Start,
    ) -> Result<Self, String> {
        let store: Arc<dyn Store> = match &settings.leases {
            LeaseSettings::Table(table) => Arc::new(Table::open(aws, table).await?),
            LeaseSettings::Folder(folder) => Arc::new(Folder::open(folder, name)?),
        };
        let checkpoint = match start {
            Start::TrimHorizon => Checkpoint::TrimHorizon,
            // Kept with the leases: whenever a shard is read first, nothing after this moment is missed.
            Start::Latest => Checkpoint::At(reader::now()),
            Start::At(time) => Checkpoint::At(time),
        };
        let wanted = Beginning {
            stream: Arc::clone(&settings.stream_arn),
            checkpoint,
        };
        let agreed = store.begin(&wanted).await?;
        if agreed.stream != wanted.stream {
            return Err(format!(
                "the leases of {name} are of stream {}: name another table or directory for {}",
                agreed.stream, wanted.stream
            ));
        }
        let config = aws_sdk_kinesis::config::Builder::from(&aws.config)
            .retry_config(RetryConfig::disabled())
            .build();
        let (sender, events) = mpsc::channel(CHUNKS);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let options = Options {
            client: Client::from_conf(config),
            stream: stream_name(aws, &settings.stream_arn),
            stream_arn: Arc::clone(&settings.stream_arn),
            store,
            beginning: agreed.checkpoint,
            poll: settings.poll,
            lease: settings.lease,
        };
        let keeper = Keeper::new(options, sender, Arc::clone(&shared));
        Ok(Self {
            shared,
            events,
            stop,
            keeper: tokio::spawn(keeper.run(stopped)),
        })
    }
}

impl Drop for KinesisSource {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Streams of another account are called by ARN; an emulator has one account.
fn stream_name(aws: &Aws, arn: &str) -> StreamName {
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    let is_own = arn.split(':').nth(4) == Some(aws.account_id.as_str());
    if is_own || aws.endpoint_url.is_some() {
        return StreamName {
            name: Some(name),
            arn: None,
        };
    }
    StreamName {
        name: None,
        arn: Some(arn.to_owned()),
    }
}

#[async_trait]
impl Source for KinesisSource {
    async fn next(&mut self) -> SourceEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => SourceEvent::Failed("the reading of the stream ended".to_owned()),
        }
    }

    fn pause(&self, partition: &Partition) {
        if let Some(control) = self.shared.control(partition) {
            control.pause(true);
        }
    }

    fn resume(&self, partition: &Partition) {
        if let Some(control) = self.shared.control(partition) {
            control.pause(false);
        }
    }

    fn commit(&self, marks: Marks) {
        self.shared.put(marks);
    }

    async fn close(mut self: Box<Self>, marks: Marks) -> Result<(), String> {
        // Readers that still want to tell something find nobody, and end.
        self.events.close();
        while self.events.try_recv().is_ok() {}
        self.shared.put(marks);
        self.stop.send_replace(true);
        match tokio::time::timeout(CLOSE, &mut self.keeper).await {
            Ok(ended) => ended.unwrap_or_else(|error| Err(error.to_string())),
            Err(_) => Err("the last checkpoints were not written in time".to_owned()),
        }
    }
}
