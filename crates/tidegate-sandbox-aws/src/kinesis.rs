//! Kinesis Data Streams: streams with their delays, shards, records, iterators and consumers.
//!
//! `stream` holds a stream's state, `shard` its shards, `sequence` numbers and iterators, `manage`, `scale` and `data` the
//! operations, `reader` what pollers in the same process use. Must not know: HTTP, Lambda.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

mod consumers;
mod data;
mod manage;
mod reader;
mod scale;
mod sequence;
mod shard;
mod stream;
mod tags;

pub use reader::{Batch, Origin, ShardView};
pub use sequence::{Position, Sequence};
pub use shard::Record;

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};
use stream::{Status, Stream};

/// Streams of one region.
const STREAMS: usize = 500;
/// Open shards of one region.
const SHARDS: u64 = 1_000;
/// Bytes of records that one region keeps.
const RECORD_BYTES: usize = 256 << 20;

/// How long changes of streams and consumers take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delays {
    /// CREATING, UPDATING and DELETING of a stream.
    pub(crate) stream: SignedDuration,
    /// CREATING and DELETING of a consumer.
    pub(crate) consumer: SignedDuration,
}

/// The streams of one region.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<String, Stream>,
}

pub(super) fn model() -> &'static Model {
    shape::model!("kinesis")
}

impl Streams {
    /// Answers one operation.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        delays: Delays,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.settle(scope.now);
        let mut call = Call {
            streams: self,
            scope,
            delays,
            input,
        };
        match operation {
            "CreateStream" => call.create_stream(),
            "DeleteStream" => call.delete_stream(),
            "DescribeStream" => call.describe_stream(),
            "DescribeStreamSummary" => call.describe_stream_summary(),
            "ListStreams" => call.list_streams(),
            "ListShards" => call.list_shards(),
            "DescribeLimits" => Ok(call.describe_limits()),
            "DescribeAccountSettings" => {
                Ok(json!({"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}}))
            }
            "IncreaseStreamRetentionPeriod" => call.retention(true),
            "DecreaseStreamRetentionPeriod" => call.retention(false),
            "StartStreamEncryption" => call.start_encryption(),
            "StopStreamEncryption" => call.stop_encryption(),
            "EnableEnhancedMonitoring" => call.monitoring(true),
            "DisableEnhancedMonitoring" => call.monitoring(false),
            "UpdateStreamMode" => call.update_mode(),
            "UpdateMaxRecordSize" => call.update_max_record_size(),
            "UpdateStreamWarmThroughput" => call.update_warm_throughput(),
            "SplitShard" => call.split_shard(),
            "MergeShards" => call.merge_shards(),
            "UpdateShardCount" => call.update_shard_count(),
            "PutRecord" => call.put_record(),
            "PutRecords" => call.put_records(),
            "GetShardIterator" => call.get_shard_iterator(),
            "GetRecords" => call.get_records(),
            "RegisterStreamConsumer" => call.register_consumer(),
            "DeregisterStreamConsumer" => call.deregister_consumer(),
            "DescribeStreamConsumer" => call.describe_consumer(),
            "ListStreamConsumers" => call.list_consumers(),
            "AddTagsToStream" => call.add_tags_to_stream(),
            "RemoveTagsFromStream" => call.remove_tags_from_stream(),
            "ListTagsForStream" => call.list_tags_for_stream(),
            "TagResource" => call.tag_resource(),
            "UntagResource" => call.untag_resource(),
            "ListTagsForResource" => call.list_tags_for_resource(),
            "PutResourcePolicy" => call.put_policy(),
            "GetResourcePolicy" => call.get_policy(),
            "DeleteResourcePolicy" => call.delete_policy(),
            other => Err(Refusal::unsupported("Kinesis", other)),
        }
    }

    /// Brings every stream to its state at `now`.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.streams.retain(|_, stream| !stream.settle(now));
    }

    /// Every stream and consumer with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let mut all = Vec::new();
        for stream in self.streams.values() {
            all.push((stream.arn.clone(), stream.tags.clone()));
            for consumer in stream.consumers.values() {
                all.push((consumer.arn.clone(), consumer.tags.clone()));
            }
        }
        all
    }
}

/// One request to the streams of a region.
struct Call<'a> {
    streams: &'a mut Streams,
    scope: &'a Scope,
    delays: Delays,
    input: &'a Value,
}

impl Call<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    fn number(&self, field: &str) -> Option<i64> {
        self.input.get(field).and_then(Value::as_i64)
    }

    fn due(&self) -> Timestamp {
        self.scope.after(self.delays.stream)
    }

    /// The name of the stream that a request is about.
    fn stream_name(&self) -> Result<String, Refusal> {
        let named = self.text("StreamName");
        let by_arn = self.text("StreamARN").map(|arn| {
            let rest = arn.split_once(":stream/").map_or("", |(_, rest)| rest);
            rest.split('/').next().unwrap_or("")
        });
        match (named, by_arn) {
            (Some(name), Some(other)) if name != other => Err(refuse(
                "InvalidArgumentException",
                "StreamARN and StreamName do not name the same stream.",
            )),
            (Some(name), _) | (None, Some(name)) => Ok(name.to_owned()),
            (None, None) => Err(refuse(
                "InvalidArgumentException",
                "Either StreamName or StreamARN must be provided.",
            )),
        }
    }

    fn missing(&self, name: &str) -> Refusal {
        refuse(
            "ResourceNotFoundException",
            format!(
                "Stream {name} under account {} not found.",
                self.scope.account
            ),
        )
    }

    fn stream(&mut self) -> Result<&mut Stream, Refusal> {
        let name = self.stream_name()?;
        if !self.streams.streams.contains_key(&name) {
            return Err(self.missing(&name));
        }
        self.streams
            .streams
            .get_mut(&name)
            .ok_or_else(|| refuse("InternalFailureException", "the stream went away"))
    }

    /// The stream, which must be ACTIVE.
    fn active_stream(&mut self) -> Result<&mut Stream, Refusal> {
        let account = self.scope.account.clone();
        let stream = self.stream()?;
        if stream.status == Status::Active {
            return Ok(stream);
        }
        Err(refuse(
            "ResourceInUseException",
            format!(
                "Stream {} under account {account} not ACTIVE, instead in state {}",
                stream.name,
                stream.status.name()
            ),
        ))
    }

    /// The stream, which must have shards to read or write.
    fn data_stream(&mut self) -> Result<&mut Stream, Refusal> {
        let name = self.stream_name()?;
        let missing = self.missing(&name);
        let stream = self.stream()?;
        if stream.accepts_data() {
            Ok(stream)
        } else {
            Err(missing)
        }
    }
}
