//! Streams: events, resharding, throttles, restarts, replicas.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_bridge::{Binding, Bridge};
use tidegate_sandbox_aws::Fault;

use crate::place::{Place, until};
use crate::sink::{Seen, Sink, taken};

/// A stream in the sandbox, and what is put into it.
struct Stream<'a> {
    place: &'a Place,
    client: Client,
    name: &'static str,
}

impl<'a> Stream<'a> {
    async fn make(place: &'a Place, name: &'static str, shards: i32) -> Self {
        let client = Client::new(&place.aws.config);
        let made = client.create_stream().stream_name(name).shard_count(shards);
        made.send().await.unwrap();
        let stream = Self {
            place,
            client,
            name,
        };
        stream.active().await;
        stream
    }

    fn arn(&self) -> String {
        self.place
            .aws
            .arn("kinesis", &format!("stream/{}", self.name))
    }

    async fn active(&self) {
        until("the stream is active", async || {
            let found = self.client.describe_stream_summary().stream_name(self.name);
            let found = found.send().await.unwrap().stream_description_summary;
            found.unwrap().stream_status().as_str() == "ACTIVE"
        })
        .await;
    }

    /// Numbers as records; the key is the number modulo `keys`.
    async fn put(&self, numbers: std::ops::Range<u64>, keys: u64) {
        let numbers: Vec<u64> = numbers.collect();
        for numbers in numbers.chunks(100) {
            let entries = numbers.iter().map(|number| {
                PutRecordsRequestEntry::builder()
                    .partition_key(format!("k{}", number % keys))
                    .data(Blob::new(format!("{{\"n\":{number}}}")))
                    .build()
                    .unwrap()
            });
            let put = self.client.put_records().stream_name(self.name);
            let put = put.set_records(Some(entries.collect()));
            assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
        }
    }

    async fn shards(&self) -> Vec<aws_sdk_kinesis::types::Shard> {
        let listed = self.client.list_shards().stream_name(self.name);
        listed.send().await.unwrap().shards.unwrap()
    }

    async fn split(&self, shard: &str) {
        let shards = self.shards().await;
        let shard = shards
            .iter()
            .find(|found| found.shard_id() == shard)
            .unwrap();
        let range = shard.hash_key_range().unwrap();
        let low: u128 = range.starting_hash_key().parse().unwrap();
        let high: u128 = range.ending_hash_key().parse().unwrap();
        let middle = low + (high - low) / 2;
        let split = self.client.split_shard().stream_name(self.name);
        let split = split.shard_to_split(shard.shard_id());
        split
            .new_starting_hash_key(middle.to_string())
            .send()
            .await
            .unwrap();
        self.active().await;
    }

    async fn merge(&self, one: &str, other: &str) {
        let merge = self.client.merge_shards().stream_name(self.name);
        let merge = merge.shard_to_merge(one).adjacent_shard_to_merge(other);
        merge.send().await.unwrap();
        self.active().await;
    }

    fn binding(&self, sink: &Sink, more: Value) -> Binding {
        let mut spec = json!({
            "EventSourceArn": self.arn(), "StartingPosition": "TRIM_HORIZON", "BatchSize": 20,
            "target": {"http": {"url": sink.url}}, "backoff": {"initialMillis": 20, "maximumSeconds": 1},
            "kinesis": {"pollMillis": 210, "leaseSeconds": 3},
        });
        merge(&mut spec, more);
        self.place.binding(self.name, spec)
    }

    /// Checkpoints by shard, as they stand in the lease table.
    async fn checkpoints(&self) -> BTreeMap<String, (String, Option<String>)> {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.place.aws.config);
        let scan = dynamodb
            .scan()
            .table_name(format!("tidegate-{}", self.name));
        let items = scan.send().await.unwrap().items.unwrap();
        let text = |item: &std::collections::HashMap<String, _>, name: &str| {
            let value: Option<&aws_sdk_dynamodb::types::AttributeValue> = item.get(name);
            value.and_then(|value| value.as_s().ok().cloned())
        };
        items
            .iter()
            .map(|item| {
                let checkpoint = text(item, "checkpoint").unwrap();
                let lease = (checkpoint, text(item, "leaseOwner"));
                (text(item, "leaseKey").unwrap(), lease)
            })
            .collect()
    }

    fn fault(&self, service: &str, operation: &str, code: &str, times: u32) {
        let fault = Fault {
            service: service.to_owned(),
            operation: Some(operation.to_owned()),
            code: code.to_owned(),
            message: "on demand".to_owned(),
            status: 400,
            times,
        };
        assert!(self.place.sandbox.inject(fault));
    }
}

fn merge(spec: &mut Value, more: Value) {
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
}

/// The numbers of an event, with their keys.
fn numbers(event: &Seen) -> Vec<(String, u64)> {
    let event = event.json();
    let records = event["Records"].as_array().unwrap();
    records
        .iter()
        .map(|record| {
            let data = STANDARD.decode(record["kinesis"]["data"].as_str().unwrap());
            let value: Value = serde_json::from_slice(&data.unwrap()).unwrap();
            let key = record["kinesis"]["partitionKey"].as_str().unwrap();
            (key.to_owned(), value["n"].as_u64().unwrap())
        })
        .collect()
}

fn all(sink: &Sink) -> Vec<(String, u64)> {
    sink.seen().iter().flat_map(numbers).collect()
}

fn distinct(sink: &Sink) -> usize {
    let numbers = all(sink).into_iter().map(|(_, number)| number);
    numbers.collect::<std::collections::BTreeSet<_>>().len()
}

/// Each key's records came in the order in which they were put; repetitions may begin anew.
fn assert_in_order(sink: &Sink) {
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for (key, number) in all(sink) {
        let seen = next.entry(key.clone()).or_insert(0);
        // A record that was not seen before is the next of its key.
        if number >= *seen {
            let keys = 10;
            let expected = if *seen == 0 {
                number % keys
            } else {
                *seen - 1 + keys
            };
            assert_eq!(number, expected, "key {key}");
            *seen = number + 1;
        }
    }
}

fn partitions(bridge: &Bridge) -> usize {
    let metrics = bridge.view().metrics();
    let lines = metrics.lines();
    lines
        .filter(|line| line.starts_with("tidegate_bridge_outstanding_records{"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_takes_events_as_aws_shapes_them_and_what_it_refuses_is_parked() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "orders", 1).await;
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let code = format!(
        "import base64, json\n\
         def handler(event, context):\n    \
             for record in event['Records']:\n        \
                 if json.loads(base64.b64decode(record['kinesis']['data']))['n'] == 17:\n            \
                     raise ValueError('bad record')\n    \
             with open({:?}, 'a') as out:\n        \
                 out.write(json.dumps(event) + '\\n')\n",
        log.display()
    );
    place.function("alerts", &code).await;
    let sqs = aws_sdk_sqs::Client::new(&place.aws.config);
    let made = sqs.create_queue().queue_name("parked").send().await;
    let url = made.unwrap().queue_url.unwrap();
    stream.put(0..40, 1).await;
    let binding = place.binding(
        "orders",
        json!({
            "EventSourceArn": stream.arn(), "FunctionName": "alerts", "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 10, "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 1,
            "FilterCriteria": {"Filters": [{"Pattern": "{\"data\": {\"n\": [{\"numeric\": [\"<\", 30]}]}}"}]},
            "backoff": {"initialMillis": 10, "maximumSeconds": 1},
            "DestinationConfig": {"OnFailure": {"Destination": place.aws.arn("sqs", "parked")}},
        }),
    );
    let mut bridge = Bridge::start(vec![binding]).await;
    let events = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    };
    let records = || -> Vec<Value> {
        let events = events();
        let records = events
            .iter()
            .flat_map(|event| event["Records"].as_array().unwrap().clone());
        records.collect()
    };
    until("29 records", async || records().len() >= 29).await;
    let mut found = Vec::new();
    until("the message", async || {
        let received = sqs.receive_message().queue_url(&url).send().await.unwrap();
        found.extend(received.messages.unwrap_or_default());
        !found.is_empty()
    })
    .await;
    let last = stream.client.get_shard_iterator();
    let last = last.stream_name("orders").shard_id("shardId-000000000000");
    let last = last.shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
    let iterator = last.send().await.unwrap().shard_iterator.unwrap();
    let put = stream.client.get_records().shard_iterator(iterator);
    let put = put.send().await.unwrap().records;
    until(
        "the checkpoint is behind what the filter dropped",
        async || {
            let (checkpoint, _) = stream.checkpoints().await["shardId-000000000000"].clone();
            checkpoint == put[39].sequence_number()
        },
    )
    .await;
    assert_eq!(bridge.stop().await.unclean, []);
    let records = records();
    assert_eq!(records.len(), 29, "none twice");
    let first = &put[0];
    let sequence = first.sequence_number();
    let arrival = first
        .approximate_arrival_timestamp()
        .unwrap()
        .to_millis()
        .unwrap();
    #[expect(clippy::cast_precision_loss, reason = "the event has a double too")]
    let arrival = arrival as f64 / 1000.0;
    let lambda = aws_sdk_lambda::Client::new(&place.aws.config);
    let function = lambda.get_function_configuration().function_name("alerts");
    let role = function.send().await.unwrap().role.unwrap();
    assert_eq!(
        records[0],
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "k0", "sequenceNumber": sequence,
                "data": STANDARD.encode("{\"n\":0}"), "approximateArrivalTimestamp": arrival,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0",
            "eventID": format!("shardId-000000000000:{sequence}"), "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role, "awsRegion": "eu-west-1", "eventSourceARN": stream.arn(),
        })
    );
    let document: Value = serde_json::from_str(found[0].body().unwrap()).unwrap();
    assert_eq!(
        document["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(document["responseContext"]["functionError"], "Unhandled");
    let info = &document["KinesisBatchInfo"];
    let bad = put[17].sequence_number();
    assert_eq!(
        (
            &info["shardId"],
            &info["startSequenceNumber"],
            &info["endSequenceNumber"]
        ),
        (&json!("shardId-000000000000"), &json!(bad), &json!(bad))
    );
    assert_eq!(
        (&info["batchSize"], &info["streamArn"]),
        (&json!(1), &json!(stream.arn()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_read_after_their_parents_and_throttles_lose_nothing() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "readings", 2).await;
    let sink = Sink::start(|_| taken()).await;
    stream.put(0..200, 10).await;
    stream.split("shardId-000000000000").await;
    stream.put(200..400, 10).await;
    for (code, times) in [
        ("ProvisionedThroughputExceededException", 3),
        ("ExpiredIteratorException", 2),
    ] {
        stream.fault("kinesis", "GetRecords", code, times);
    }
    stream.fault("dynamodb", "UpdateItem", "ThrottlingException", 3);
    let more = json!({"ParallelizationFactor": 4});
    let mut bridge = Bridge::start(vec![stream.binding(&sink, more)]).await;
    until("400 records", async || distinct(&sink) >= 400).await;
    // Shards change while they are read, twice over.
    stream
        .merge("shardId-000000000001", "shardId-000000000003")
        .await;
    stream.put(400..600, 10).await;
    let open = stream.shards().await;
    let newest = open.last().unwrap().shard_id().to_owned();
    stream.split(&newest).await;
    stream.put(600..1_000, 10).await;
    until("1,000 records", async || distinct(&sink) >= 1_000).await;
    let finished = |leases: &BTreeMap<String, (String, Option<String>)>| {
        let leases = leases.values();
        leases
            .filter(|(checkpoint, _)| checkpoint == "SHARD_END")
            .count()
    };
    until("four shards are finished", async || {
        finished(&stream.checkpoints().await) == 4
    })
    .await;
    until("three shards are read", async || partitions(&bridge) == 3).await;
    assert_eq!(bridge.stop().await.unclean, []);
    assert_eq!(all(&sink).len(), 1_000, "none twice");
    assert_in_order(&sink);
    let leases = stream.checkpoints().await;
    assert!(
        leases.values().all(|(_, owner)| owner.is_none()),
        "all leases are let go: {leases:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_shards_and_go_on_when_one_is_lost() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "clicks", 4).await;
    let sink = Sink::start(|_| taken()).await;
    let binding = stream.binding(&sink, json!({}));
    stream.put(0..200, 10).await;
    let first = Bridge::start(vec![binding.clone()]).await;
    until("200 records", async || distinct(&sink) >= 200).await;
    let mut second = Bridge::start(vec![binding]).await;
    let mut put = 200;
    until("two shards each", async || {
        stream.put(put..put + 20, 10).await;
        put += 20;
        partitions(&first) == 2 && partitions(&second) == 2
    })
    .await;
    until("what was put meanwhile", async || {
        distinct(&sink) as u64 >= put
    })
    .await;
    assert_eq!(
        all(&sink).len() as u64,
        put,
        "shards that move are handed over: none twice"
    );
    assert_in_order(&sink);
    drop(first);
    let lost = Instant::now();
    stream.put(put..put + 200, 10).await;
    until("the other takes over", async || {
        distinct(&sink) as u64 >= put + 200
    })
    .await;
    let took = lost.elapsed();
    assert!(took < Duration::from_secs(15), "it took {took:?}");
    assert_in_order(&sink);
    assert_eq!(second.stop().await.unclean, []);
    let leases = stream.checkpoints().await;
    assert_eq!(leases.len(), 5, "four shards and the beginning: {leases:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_took_is_not_committed() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "taken", 1).await;
    let sink = Sink::start(|_| taken()).await;
    stream.put(0..20, 10).await;
    let bridge = Bridge::start(vec![stream.binding(&sink, json!({}))]).await;
    until("20 records", async || distinct(&sink) >= 20).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&place.aws.config);
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let stolen = dynamodb
        .update_item()
        .table_name("tidegate-taken")
        .key("leaseKey", text("shardId-000000000000"))
        .update_expression("SET leaseOwner = :thief, checkpoint = :far ADD leaseCounter :one")
        .expression_attribute_values(":thief", text("thief"))
        .expression_attribute_values(":far", text("7"))
        .expression_attribute_values(
            ":one",
            aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned()),
        );
    stolen.send().await.unwrap();
    until("the shard is given up", async || partitions(&bridge) == 0).await;
    let (checkpoint, owner) = stream.checkpoints().await["shardId-000000000000"].clone();
    assert_eq!(
        (checkpoint.as_str(), owner.as_deref()),
        ("7", Some("thief"))
    );
    // The thief never renews: the lease is taken back when it is over, with the thief's checkpoint.
    until("the lease is taken back", async || partitions(&bridge) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_needs_a_directory_only_and_a_crash_repeats_little() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "alone", 2).await;
    let sink = Sink::start(|_| taken()).await;
    let folder = TempDir::new().unwrap();
    let kinesis = json!({"pollMillis": 210, "leaseSeconds": 3, "stateDirectory": folder.path()});
    let binding = stream.binding(&sink, json!({"kinesis": kinesis}));
    stream.put(0..100, 10).await;
    let mut bridge = Bridge::start(vec![binding.clone()]).await;
    until("100 records", async || distinct(&sink) >= 100).await;
    assert_eq!(bridge.stop().await.unclean, []);
    stream.put(100..200, 10).await;
    let crashed = Bridge::start(vec![binding.clone()]).await;
    until("200 records", async || distinct(&sink) >= 200).await;
    let before = all(&sink).len();
    assert_eq!(before, 200, "a clean end repeats nothing");
    drop(crashed);
    stream.put(200..300, 10).await;
    let mut bridge = Bridge::start(vec![binding]).await;
    until("300 records", async || distinct(&sink) >= 300).await;
    assert_eq!(bridge.stop().await.unclean, []);
    assert!(all(&sink).len() <= 400, "only what was not committed");
    assert_in_order(&sink);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latest_binding_misses_nothing_after_it_began_and_partial_failures_keep_order() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "latest", 2).await;
    // Refuses every record that it sees first, and what stands behind it.
    let refused = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let sink = Sink::start(move |seen| {
        let event = seen.json();
        let records = event["Records"].as_array().unwrap();
        let mut refused = refused.lock().unwrap();
        let bad = records.iter().find(|record| {
            let number = record["kinesis"]["sequenceNumber"].as_str().unwrap();
            number.ends_with('7') && refused.insert(number.to_owned())
        });
        let items: Vec<Value> = bad
            .iter()
            .map(|record| json!({"itemIdentifier": record["kinesis"]["sequenceNumber"]}))
            .collect();
        (
            StatusCode::OK,
            json!({"batchItemFailures": items}).to_string(),
        )
    })
    .await;
    stream.put(0..50, 10).await;
    let more = json!({
        "StartingPosition": "LATEST", "FunctionResponseTypes": ["ReportBatchItemFailures"], "ParallelizationFactor": 3,
    });
    let binding = stream.binding(&sink, more);
    let first = Bridge::start(vec![binding.clone()]).await;
    until("two shards", async || partitions(&first) == 2).await;
    // It goes before it reads anything; what comes in between is not lost.
    drop(first);
    stream.put(50..150, 10).await;
    let mut bridge = Bridge::start(vec![binding]).await;
    until("100 records", async || {
        let numbers = all(&sink).into_iter().map(|(_, number)| number);
        let new = numbers.filter(|number| *number >= 50);
        new.collect::<std::collections::BTreeSet<_>>().len() >= 100
    })
    .await;
    assert_eq!(bridge.stop().await.unclean, []);
    let numbers: Vec<u64> = all(&sink).into_iter().map(|(_, number)| number).collect();
    assert!(numbers.iter().all(|number| *number >= 50), "{numbers:?}");
}

/// Counts records in a tumbling window, and answers with the count as its state.
fn counting(seen: &Seen) -> (StatusCode, String) {
    let event = seen.json();
    let count = event["state"]["n"].as_u64().unwrap_or(0);
    let count = count + event["Records"].as_array().unwrap().len() as u64;
    (StatusCode::OK, json!({"state": {"n": count}}).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_count_every_record_once_over_a_resharding_and_a_restart() {
    let place = Place::start().await;
    let stream = Stream::make(&place, "windows", 1).await;
    let sink = Sink::start(counting).await;
    let binding = stream.binding(&sink, json!({"TumblingWindowInSeconds": 2}));
    let ends = || -> Vec<Value> {
        let seen = sink.seen();
        let events = seen.iter().map(Seen::json);
        let ends = events.filter(|event| event["isFinalInvokeForWindow"] == true);
        ends.collect()
    };
    let counted = || -> u64 {
        let ends = ends();
        let counts = ends.iter().map(|event| event["state"]["n"].as_u64());
        counts.map(Option::unwrap_or_default).sum()
    };
    stream.put(0..50, 10).await;
    let mut bridge = Bridge::start(vec![binding.clone()]).await;
    until("the first windows end", async || counted() == 50).await;
    stream.split("shardId-000000000000").await;
    stream.put(50..150, 10).await;
    until("windows of the children end", async || counted() == 150).await;
    assert_eq!(bridge.stop().await.unclean, []);
    // Whatever a window that was open at the end of the bridge held comes again with it.
    stream.put(150..200, 10).await;
    let mut bridge = Bridge::start(vec![binding]).await;
    until("the last windows end", async || counted() == 200).await;
    assert_eq!(bridge.stop().await.unclean, []);
    for end in ends() {
        assert_eq!(end["Records"], json!([]));
        assert_eq!(end["eventSourceARN"], json!(stream.arn()));
        let of = |name: &str| {
            let text = end["window"][name].as_str().unwrap();
            text.parse::<jiff::Timestamp>().unwrap().as_second()
        };
        assert_eq!(of("end") - of("start"), 2);
        assert_eq!(of("start") % 2, 0, "aligned to 1970");
    }
    let first = sink.seen()[0].json();
    assert_eq!(first["state"], json!({}));
    assert_eq!(first["isFinalInvokeForWindow"], false);
    assert_eq!(first["shardId"], "shardId-000000000000");
}
