//! Streams, queues and tables' change logs read from inside the process: what pollers of event-source mappings use.
//!
//! Must not know: mappings, functions, HTTP.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

pub use crate::dynamodb::{LogBatch, LogOrigin};
use crate::hub::Hub;
pub use crate::kinesis::{Batch, Origin, Position, Record, Sequence, ShardView};
use crate::regions::Scope;
use crate::sqs;

/// Reads what the sandbox's services hold; clones read the same.
#[derive(Clone, Debug)]
pub struct Feeds {
    hub: Arc<Hub>,
}

/// The region and the last part of an ARN.
fn parts(arn: &str) -> (&str, &str) {
    let region = arn.split(':').nth(3).unwrap_or("");
    let resource = arn.splitn(6, ':').nth(5).unwrap_or("");
    (region, resource)
}

/// The stream's name in the ARN of a stream or of its consumer.
fn stream_name(arn: &str) -> &str {
    let (_, resource) = parts(arn);
    resource
        .strip_prefix("stream/")
        .and_then(|rest| rest.split('/').next())
        .unwrap_or("")
}

impl Feeds {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    fn now(&self) -> Timestamp {
        self.hub.clock().now()
    }

    fn scope(&self, arn: &str) -> Scope {
        Scope {
            account: self.hub.options.account.clone(),
            region: parts(arn).0.to_owned(),
            endpoint: String::new(),
            now: self.now(),
        }
    }

    /// Changes whenever a request or a delivery may have added something to read.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.hub.changes()
    }

    /// The shards of the stream with this ARN (or of a consumer's stream); `None` while it cannot be read.
    pub fn shards(&self, arn: &str) -> Option<Vec<ShardView>> {
        let mut streams = self.hub.streams.lock();
        streams
            .get(parts(arn).0)
            .shards(stream_name(arn), self.now())
    }

    /// The position at which an origin begins in a shard.
    pub fn position(&self, arn: &str, shard: &str, origin: Origin) -> Option<Position> {
        let mut streams = self.hub.streams.lock();
        streams
            .get(parts(arn).0)
            .position(stream_name(arn), shard, origin)
    }

    /// Reads a shard: at most `limit` records and about `bytes` bytes of them; `None` when stream or shard is gone.
    pub fn read(
        &self,
        arn: &str,
        shard: &str,
        from: &Position,
        limit: usize,
        bytes: usize,
    ) -> Option<Batch> {
        let mut streams = self.hub.streams.lock();
        streams
            .get(parts(arn).0)
            .read(stream_name(arn), shard, from, limit, bytes, self.now())
    }

    /// Receives up to `count` messages of the queue with this ARN, as records of Lambda's event; each hidden for
    /// `timeout` seconds, the queue's own when `None`. `None` when there is no such queue.
    pub fn receive(&self, arn: &str, count: usize, timeout: Option<i64>) -> Option<Vec<Value>> {
        let scope = self.scope(arn);
        let mut queues = self.hub.queues.lock();
        let messages = queues
            .get(&scope.region)
            .poll(arn, count, timeout, scope.now)?;
        Some(
            messages
                .iter()
                .map(|message| sqs::event_record(message, arn, &scope))
                .collect(),
        )
    }

    /// Deletes a received message by its receipt handle.
    pub fn acknowledge(&self, arn: &str, receipt: &str) {
        self.hub
            .queues
            .lock()
            .get(parts(arn).0)
            .acknowledge(arn, receipt);
    }

    /// Makes a received message visible again at once.
    pub fn release(&self, arn: &str, receipt: &str) {
        let now = self.now();
        self.hub
            .queues
            .lock()
            .get(parts(arn).0)
            .release(arn, receipt, now);
    }

    /// The number at which an origin begins in the change log with this ARN; `None` when there is none.
    pub fn log_origin(&self, arn: &str, origin: LogOrigin) -> Option<u64> {
        self.hub
            .tables
            .lock()
            .get(parts(arn).0)
            .log_origin(arn, origin)
    }

    /// Reads at most `limit` records of a table's change log from a number on; `None` when there is none.
    pub fn read_log(&self, arn: &str, from: u64, limit: usize) -> Option<LogBatch> {
        let now = self.now();
        self.hub
            .tables
            .lock()
            .get(parts(arn).0)
            .read_log(arn, from, limit, now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::options::{AwsOptions, Delays};

    fn hub() -> (Arc<Hub>, Feeds, Scope) {
        let hub = Arc::new(Hub::new(AwsOptions {
            delays: Delays::none(),
            ..AwsOptions::default()
        }));
        let feeds = Feeds::new(Arc::clone(&hub));
        let scope = feeds.scope("arn:aws:kinesis:us-east-1:123456789012:stream/s");
        (hub, feeds, scope)
    }

    #[test]
    fn a_stream_is_read_shard_by_shard() {
        let (hub, feeds, scope) = hub();
        let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
        assert!(feeds.shards(arn).is_none());
        hub.call_now(
            &scope,
            "kinesis",
            "CreateStream",
            &json!({"StreamName": "s", "ShardCount": 1}),
        )
        .unwrap();
        let shard = feeds.shards(arn).unwrap()[0].clone();
        let late = feeds.position(arn, &shard.id, Origin::Latest).unwrap();
        for n in 0..3 {
            let input = json!({"StreamName": "s", "PartitionKey": n.to_string(), "Data": "eA=="});
            hub.call_now(&scope, "kinesis", "PutRecord", &input)
                .unwrap();
        }
        let batch = feeds.read(arn, &shard.id, &late, 2, 1 << 20).unwrap();
        assert_eq!((batch.records.len(), batch.finished), (2, false));
        let input =
            json!({"StreamName": "s", "ShardToSplit": shard.id, "NewStartingHashKey": "100"});
        hub.call_now(&scope, "kinesis", "SplitShard", &input)
            .unwrap();
        let rest = feeds
            .read(arn, &shard.id, &batch.next, 10, 1 << 20)
            .unwrap();
        assert_eq!((rest.records.len(), rest.finished), (1, true));
        assert_eq!(feeds.shards(arn).unwrap()[1].parents, [shard.id]);
    }

    #[test]
    fn a_queue_gives_records_of_lambdas_event() {
        let (hub, feeds, scope) = hub();
        let arn = "arn:aws:sqs:us-east-1:123456789012:q";
        assert!(feeds.receive(arn, 10, None).is_none());
        hub.call_now(&scope, "sqs", "CreateQueue", &json!({"QueueName": "q"}))
            .unwrap();
        hub.call_now(
            &scope,
            "sqs",
            "SendMessage",
            &json!({"QueueUrl": "q", "MessageBody": "x"}),
        )
        .unwrap();
        let records = feeds.receive(arn, 10, None).unwrap();
        assert_eq!(records[0]["body"], "x");
        assert_eq!(records[0]["eventSourceARN"], arn);
        assert_eq!(records[0]["attributes"]["ApproximateReceiveCount"], "1");
        let receipt = records[0]["receiptHandle"].as_str().unwrap().to_owned();
        assert!(feeds.receive(arn, 10, None).unwrap().is_empty());
        feeds.release(arn, &receipt);
        let again = feeds.receive(arn, 10, None).unwrap();
        feeds.acknowledge(arn, again[0]["receiptHandle"].as_str().unwrap());
        assert!(feeds.receive(arn, 10, Some(0)).unwrap().is_empty());
    }

    #[test]
    fn a_tables_log_is_read_in_order() {
        let (hub, feeds, scope) = hub();
        let table = json!({
            "TableName": "table", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
        });
        let made = hub
            .call_now(&scope, "dynamodb", "CreateTable", &table)
            .unwrap();
        let arn = made["TableDescription"]["LatestStreamArn"]
            .as_str()
            .unwrap()
            .to_owned();
        for key in ["a", "b"] {
            let input = json!({"TableName": "table", "Item": {"k": {"S": key}}});
            hub.call_now(&scope, "dynamodb", "PutItem", &input).unwrap();
        }
        let from = feeds.log_origin(&arn, LogOrigin::TrimHorizon).unwrap();
        let batch = feeds.read_log(&arn, from, 10).unwrap();
        let keys: Vec<&Value> = batch
            .records
            .iter()
            .map(|record| &record["dynamodb"]["Keys"]["k"]["S"])
            .collect();
        assert_eq!(keys, ["a", "b"]);
        assert!(batch.records[0]["dynamodb"].get("NewImage").is_none());
        assert_eq!(feeds.log_origin(&arn, LogOrigin::Latest), Some(batch.next));
    }
}
