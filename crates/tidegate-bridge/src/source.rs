//! Where records come from, behind a trait: the runtime knows no broker.

pub mod kafka;
pub mod kinesis;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::record::{Partition, Position, Record};

/// The last done record of each partition.
pub type Marks = Vec<(Partition, Position)>;

/// How far the reading of a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Records are read up to some time ago.
    Behind {
        /// How long ago in milliseconds; 0: all is read that had come by `asked`.
        millis: i64,
        /// When that was asked, in milliseconds since 1970.
        asked: i64,
    },
    /// The shard takes no more records, and all of them are read.
    Over,
}

/// What a source tells the runtime.
#[derive(Debug)]
pub enum SourceEvent {
    /// These partitions are read from now on.
    Assigned(Vec<Partition>),
    /// Records, in order within each partition.
    Records(Vec<(Partition, Vec<Record>)>),
    /// These partitions go to somebody else once `reply` is answered with their marks, which are then committed.
    Revoking {
        /// The partitions.
        partitions: Vec<Partition>,
        /// Where the marks go.
        reply: oneshot::Sender<Marks>,
    },
    /// These partitions went to somebody else already: nothing of them may be committed.
    Lost(Vec<Partition>),
    /// These shards are done for good: what stands behind them is committed.
    Finished(Vec<Partition>),
    /// How far the reading of a shard is; what was read stands in events before.
    Progress(Partition, Progress),
    /// How far each partition goes: the position after its last record.
    Ends(Vec<(Partition, i64)>),
    /// Something is wrong that may pass.
    Trouble(String),
    /// The source cannot go on.
    Failed(String),
}

/// A source of ordered partitions.
#[async_trait]
pub trait Source: Send {
    /// The next event.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn next(&mut self) -> SourceEvent;

    /// Asks that no more records of a partition come; some may be on their way.
    fn pause(&self, partition: &Partition);

    /// Takes [`Source::pause`] back.
    fn resume(&self, partition: &Partition);

    /// Commits marks in the background; the next marks make up for what fails.
    fn commit(&self, marks: Marks);

    /// Commits the last marks, leaves, and ends.
    ///
    /// # Errors
    /// The marks could not be committed: records behind them come again.
    async fn close(self: Box<Self>, marks: Marks) -> Result<(), String>;
}
