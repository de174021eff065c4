//! Streams read shard by shard: children after their parents, each shard by one reader into its lanes.
//!
//! Must not know: how lanes batch and retry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::feeds::{LogOrigin, Origin, Position, Record, ShardView};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::lane::{Item, Lane, Shard};
use super::{EVENT_BYTES, Place, Poller, filters};
use crate::mappings::Source;

/// Bytes of a shard's records that are on their way at once.
const UNDER_WAY_BYTES: usize = 16 << 20;
/// Records of one read.
const READ_RECORDS: usize = 10_000;

/// How the reading of a shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Everything in it was read and done.
    Finished,
    /// It is to be looked at again.
    Interrupted,
}

/// What one read gave.
struct Read {
    items: Vec<(Item, Place, String)>,
    next: Place,
    finished: bool,
}

impl Poller {
    /// The shards of the stream; `None` while it cannot be read. A change log has one.
    fn shards(&self) -> Option<Vec<ShardView>> {
        let feeds = self.neighbours.feeds();
        let arn = self.source.arn();
        match self.source {
            Source::Kinesis { .. } => feeds.shards(arn),
            _ => {
                let log = feeds.read_log(arn, u64::MAX, 0)?;
                Some(vec![ShardView {
                    id: log.shard,
                    parents: Vec::new(),
                    closed: false,
                }])
            }
        }
    }

    fn origin(&self, shard: &str, first: bool) -> Option<Place> {
        let feeds = self.neighbours.feeds();
        let arn = self.source.arn();
        // What appears after the mapping began is read from its beginning.
        let starting = if first {
            self.plan.starting.as_str()
        } else {
            "TRIM_HORIZON"
        };
        if matches!(self.source, Source::Table { .. }) {
            let origin = if starting == "LATEST" {
                LogOrigin::Latest
            } else {
                LogOrigin::TrimHorizon
            };
            return feeds.log_origin(arn, origin).map(Place::Log);
        }
        let origin = match starting {
            "LATEST" => Origin::Latest,
            "AT_TIMESTAMP" => {
                let millis = (self.plan.starting_at.unwrap_or(0.0) * 1_000.0) as i64;
                Origin::Time(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH))
            }
            _ => Origin::TrimHorizon,
        };
        feeds.position(arn, shard, origin).map(Place::Kinesis)
    }

    /// Fixes where reading begins in the shards that exist now, unless that is known already.
    pub(crate) fn mark(&self) {
        if !self.source.is_stream() || self.progress.lock().seen {
            return;
        }
        let Some(views) = self.shards() else {
            return;
        };
        let places: Vec<(String, Place)> = views
            .into_iter()
            .filter_map(|view| self.origin(&view.id, true).map(|place| (view.id, place)))
            .collect();
        let mut progress = self.progress.lock();
        progress.places.extend(places);
        progress.seen = true;
    }

    fn read(&self, shard: &str, from: &Place, index: u64) -> Option<Read> {
        let feeds = self.neighbours.feeds();
        let arn = self.source.arn();
        let limit = self
            .plan
            .batch
            .saturating_mul(self.plan.lanes)
            .min(READ_RECORDS);
        match from {
            Place::Kinesis(position) => {
                let batch = feeds.read(arn, shard, position, limit, EVENT_BYTES)?;
                let mut place = position.clone();
                let mut items = Vec::with_capacity(batch.records.len());
                for (offset, record) in (0_u64..).zip(batch.records) {
                    let next = Position::After(record.sequence.clone());
                    let again = std::mem::replace(&mut place, next);
                    let key = record.partition_key.clone();
                    let item = self.item(shard, index + offset, &record);
                    items.push((item, Place::Kinesis(again), key));
                }
                Some(Read {
                    items,
                    next: Place::Kinesis(batch.next),
                    finished: batch.finished,
                })
            }
            Place::Log(number) => {
                let log = feeds.read_log(arn, *number, limit)?;
                let count = u64::try_from(log.records.len()).unwrap_or(0);
                let first = log.next.saturating_sub(count);
                let mut items = Vec::with_capacity(log.records.len());
                for (offset, mut record) in (0_u64..).zip(log.records) {
                    record["eventSourceARN"] = json!(arn);
                    let change = &record["dynamodb"];
                    let key = change["Keys"].to_string();
                    let seconds = change["ApproximateCreationDateTime"].as_i64().unwrap_or(0);
                    let item = Item {
                        index: index + offset,
                        sequence: change["SequenceNumber"].as_str().unwrap_or("").to_owned(),
                        arrival: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
                        bytes: record.to_string().len() + 1,
                        record,
                    };
                    items.push((item, Place::Log(first + offset), key));
                }
                Some(Read {
                    items,
                    next: Place::Log(log.next),
                    finished: log.finished,
                })
            }
        }
    }

    /// A record of a stream as the event has it.
    fn item(&self, shard: &str, index: u64, record: &Record) -> Item {
        let arn = self.source.arn();
        let sequence = record.sequence.as_str();
        let arrival = record.arrival.as_millisecond() as f64 / 1_000.0;
        let mut own = json!({
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": sequence,
            "data": STANDARD.encode(&record.data),
            "approximateArrivalTimestamp": arrival,
        });
        if record.encrypted {
            own["encryptionType"] = json!("KMS");
        }
        let shown: Value = json!({
            "kinesis": own,
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("{shard}:{sequence}"),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self.role,
            "awsRegion": arn.split(':').nth(3).unwrap_or(""),
            "eventSourceARN": arn,
        });
        Item {
            index,
            sequence: sequence.to_owned(),
            arrival: record.arrival,
            bytes: shown.to_string().len() + 1,
            record: shown,
        }
    }
}

/// Polls a stream until the poller is stopped.
pub(super) async fn run(poller: Arc<Poller>) {
    let mut changes = poller.neighbours.changes();
    let mut readers: JoinSet<(String, Ended)> = JoinSet::new();
    let mut running = BTreeSet::new();
    while !poller.is_stopped() {
        changes.mark_unchanged();
        poller.mark();
        if let Some(views) = poller.shards() {
            let known: BTreeSet<&str> = views.iter().map(|view| view.id.as_str()).collect();
            let mut ready = Vec::new();
            {
                let mut progress = poller.progress.lock();
                progress.finished.retain(|id| known.contains(id.as_str()));
                progress
                    .places
                    .retain(|id, _| known.contains(id.as_str()) || running.contains(id));
                for view in &views {
                    let done = |id: &String| {
                        progress.finished.contains(id) || !known.contains(id.as_str())
                    };
                    if !done(&view.id)
                        && !running.contains(&view.id)
                        && view.parents.iter().all(done)
                    {
                        ready.push((view.id.clone(), progress.places.get(&view.id).cloned()));
                    }
                }
            }
            for (id, place) in ready {
                let Some(place) = place.or_else(|| poller.origin(&id, false)) else {
                    continue;
                };
                running.insert(id.clone());
                readers.spawn(read_shard(Arc::clone(&poller), id, place));
            }
        }
        tokio::select! {
            Some(ended) = readers.join_next(), if !readers.is_empty() => {
                note(&poller, &mut running, ended);
            }
            goes_on = poller.look_again(&mut changes) => {
                if !goes_on {
                    break;
                }
            }
        }
    }
    while let Some(ended) = readers.join_next().await {
        note(&poller, &mut running, ended);
    }
}

fn note(
    poller: &Poller,
    running: &mut BTreeSet<String>,
    ended: Result<(String, Ended), tokio::task::JoinError>,
) {
    let Ok((id, ended)) = ended else {
        return;
    };
    running.remove(&id);
    if ended == Ended::Finished {
        let mut progress = poller.progress.lock();
        progress.places.remove(&id);
        progress.finished.insert(id);
    }
}

/// Reads a shard into its lanes.
async fn read_shard(poller: Arc<Poller>, id: String, mut place: Place) -> (String, Ended) {
    let shard = Arc::new(Shard::new(Arc::clone(&poller), id.clone()));
    let mut tasks = JoinSet::new();
    let mut lanes = Vec::new();
    for _ in 0..poller.plan.lanes.max(1) {
        let (sender, receiver) = mpsc::channel(1);
        lanes.push(sender);
        tasks.spawn(Lane::new(Arc::clone(&shard), receiver).run());
    }
    let mut changes = poller.neighbours.changes();
    let mut index = 0;
    let mut ended = Ended::Interrupted;
    while !poller.is_stopped() {
        if shard.bytes() >= UNDER_WAY_BYTES {
            tokio::select! {
                () = poller.stopped() => break,
                () = shard.room.notified() => continue,
            }
        }
        changes.mark_unchanged();
        let Some(read) = poller.read(&id, &place, index) else {
            break;
        };
        place = read.next.clone();
        let (empty, finished) = (read.items.is_empty(), read.finished);
        if !empty {
            index += u64::try_from(read.items.len()).unwrap_or(0);
            if !hand_out(&poller, &shard, &lanes, read).await {
                break;
            }
        }
        if finished {
            ended = Ended::Finished;
            break;
        }
        if empty && !poller.look_again(&mut changes).await {
            break;
        }
    }
    drop(lanes);
    while let Some(lane) = tasks.join_next().await {
        if lane.is_err() {
            ended = Ended::Interrupted;
        }
    }
    if poller.is_stopped() {
        ended = Ended::Interrupted;
    }
    (id, ended)
}

/// Gives the records that pass the filters to their lanes; says whether the poller goes on.
async fn hand_out(
    poller: &Poller,
    shard: &Shard,
    lanes: &[mpsc::Sender<Vec<Item>>],
    read: Read,
) -> bool {
    let mut chunks: BTreeMap<usize, Vec<Item>> = BTreeMap::new();
    let mut under_way = Vec::new();
    for (item, again, key) in read.items {
        if filters::passes(&poller.plan.filters, &poller.source, &item.record) {
            under_way.push((item.index, again, item.bytes));
            chunks
                .entry(lane_of(&key, lanes.len()))
                .or_default()
                .push(item);
        }
    }
    shard.read(under_way, read.next);
    for (lane, chunk) in chunks {
        let Some(sender) = lanes.get(lane) else {
            continue;
        };
        tokio::select! {
            () = poller.stopped() => return false,
            sent = sender.send(chunk) => {
                if sent.is_err() {
                    return false;
                }
            }
        }
    }
    true
}

/// The lane of a partition key: the same for every record of the key.
fn lane_of(key: &str, lanes: usize) -> usize {
    // FNV-1a: spreads short keys well and needs no table.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let lanes = u64::try_from(lanes.max(1)).unwrap_or(1);
    usize::try_from(hash % lanes).unwrap_or(0)
}
