//! Reading a stream from inside the process: what an event-source mapping's poller uses instead of HTTP.
//!
//! Must not know: mappings, Lambda.

use jiff::Timestamp;

use super::Streams;
use super::data::{behind, from_time};
use super::sequence::{Position, Sequence};
use super::shard::{Record, shard_id};

/// Where a reader of a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The oldest record.
    TrimHorizon,
    /// The next record that arrives.
    Latest,
    /// The first record from this moment on.
    Time(Timestamp),
}

/// A shard as a poller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardView {
    /// `shardId-…`
    pub id: String,
    /// The shards that must be finished before this one, as far as they still exist.
    pub parents: Vec<String>,
    /// Will no record be added?
    pub closed: bool,
}

/// What one read gave.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// Where to read on.
    pub next: Position,
    /// The shard is closed and everything in it was read.
    pub finished: bool,
    /// Milliseconds behind the newest record.
    pub behind: i64,
}

impl Streams {
    /// The shards of a stream; `None` while it cannot be read.
    pub(crate) fn shards(&mut self, name: &str, now: Timestamp) -> Option<Vec<ShardView>> {
        self.settle(now);
        let stream = self
            .streams
            .get(name)
            .filter(|stream| stream.accepts_data())?;
        let views = stream.shards.all.iter().map(|shard| ShardView {
            id: shard_id(shard.number),
            parents: shard
                .parent
                .into_iter()
                .chain(shard.adjacent)
                .filter(|parent| stream.shards.by_number(*parent).is_some())
                .map(shard_id)
                .collect(),
            closed: !shard.is_open(),
        });
        Some(views.collect())
    }

    /// The position of an origin in a shard.
    pub(crate) fn position(&self, name: &str, shard: &str, origin: Origin) -> Option<Position> {
        let stream = self.streams.get(name)?;
        let shard = stream.shards.get(shard)?;
        Some(match origin {
            Origin::TrimHorizon => Position::At(Sequence::zero()),
            Origin::Latest => Position::At(stream.shards.next_sequence()),
            Origin::Time(at) => from_time(stream, shard, at),
        })
    }

    /// Reads a shard; `None` when stream or shard is gone.
    pub(crate) fn read(
        &mut self,
        name: &str,
        shard: &str,
        from: &Position,
        limit: usize,
        bytes: usize,
        now: Timestamp,
    ) -> Option<Batch> {
        self.settle(now);
        let stream = self
            .streams
            .get(name)
            .filter(|stream| stream.accepts_data())?;
        let shard = stream.shards.get(shard)?;
        let records = shard.read(from, limit, bytes);
        let next = match records.last() {
            Some(last) => Position::After(last.sequence.clone()),
            None => from.clone(),
        };
        let rest = shard.read(&next, 1, usize::MAX);
        Some(Batch {
            finished: !shard.is_open() && rest.is_empty(),
            behind: rest.first().map_or(0, |record| behind(now, record.arrival)),
            records,
            next,
        })
    }
}
