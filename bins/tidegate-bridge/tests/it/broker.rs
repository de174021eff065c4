//! Brokers that the tests use, and what they do there besides the bridge.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};

const CALL: Duration = Duration::from_secs(20);

/// A broker.
pub(crate) struct Broker {
    pub(crate) bootstrap: String,
    sandbox: Option<SandboxKafka>,
}

/// A message of a failure destination.
pub(crate) struct Parked {
    pub(crate) value: serde_json::Value,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Broker {
    /// The sandbox's.
    pub(crate) async fn sandbox() -> Self {
        let sandbox = SandboxKafka::start(KafkaOptions::default()).await.unwrap();
        Self {
            bootstrap: sandbox.bootstrap(),
            sandbox: Some(sandbox),
        }
    }

    /// Apache Kafka, when there is one.
    pub(crate) fn apache() -> Option<Self> {
        let Ok(bootstrap) = std::env::var("TIDEGATE_TEST_KAFKA") else {
            eprintln!("SKIPPED on Apache Kafka: TIDEGATE_TEST_KAFKA is not set");
            return None;
        };
        Some(Self {
            bootstrap,
            sandbox: None,
        })
    }

    /// All that there are.
    pub(crate) async fn all() -> Vec<Self> {
        let mut all = vec![Self::sandbox().await];
        all.extend(Self::apache());
        all
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.sandbox.is_some() {
            "the sandbox's broker"
        } else {
            "Apache Kafka"
        }
    }

    pub(crate) async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.shutdown().await;
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// A new topic with a name that no test had before.
    pub(crate) async fn topic(&self, name: &str, partitions: i32) -> String {
        let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().request_timeout(Some(CALL));
        let made = admin.create_topics([&topic], &options).await.unwrap();
        made.into_iter().next().unwrap().unwrap();
        name
    }

    /// Sends records `numbers` in order within each partition: number n goes to partition n mod `partitions`, with the
    /// number as value and its partition as key.
    pub(crate) async fn send(&self, topic: &str, partitions: i32, numbers: std::ops::Range<i64>) {
        let mut config = self.config();
        config
            .set("linger.ms", "5")
            .set("enable.idempotence", "true");
        let producer: FutureProducer = config.create().unwrap();
        let mut waiting = FuturesUnordered::new();
        for number in numbers {
            let partition = i32::try_from(number % i64::from(partitions)).unwrap();
            let (key, value) = (format!("k{partition}"), format!("{{\"n\":{number}}}"));
            let record = FutureRecord::to(topic)
                .partition(partition)
                .key(&key)
                .payload(&value);
            waiting.push(
                producer
                    .send_result(record)
                    .map_err(|(error, _)| error)
                    .unwrap(),
            );
            if waiting.len() >= 5_000 {
                waiting.next().await.unwrap().unwrap().unwrap();
            }
        }
        while let Some(sent) = waiting.next().await {
            sent.unwrap().unwrap();
        }
    }

    /// Committed offsets of a group, by partition; -1 for none.
    pub(crate) fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let committed = consumer.committed_offsets(list, CALL).unwrap();
        let elements = committed.elements();
        elements
            .iter()
            .map(|element| match element.offset() {
                Offset::Offset(offset) => offset,
                _ => -1,
            })
            .collect()
    }

    /// All that a topic holds now.
    pub(crate) fn parked(&self, topic: &str) -> Vec<Parked> {
        let mut config = self.config();
        config
            .set("group.id", "reader")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let (_, end) = consumer.fetch_watermarks(topic, 0, CALL).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let mut found = Vec::new();
        let begin = Instant::now();
        while found.len() < usize::try_from(end).unwrap() && begin.elapsed() < CALL {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let headers = message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter());
            found.push(Parked {
                value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
                headers: headers
                    .map(|header| {
                        let value = header.value.unwrap_or_default();
                        (
                            header.key.to_owned(),
                            String::from_utf8_lossy(value).into_owned(),
                        )
                    })
                    .collect(),
            });
        }
        found
    }
}
