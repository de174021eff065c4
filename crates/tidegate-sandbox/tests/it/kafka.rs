//! Strimzi's documents in the cluster are topics and users of the broker, as Kafka clients see them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use tidegate_sandbox::{Clock, ManualClock, ResourceName, Sandbox};
use tidegate_sandbox_kubernetes::DeleteOptions;

const GROUP: &str = "kafka.strimzi.io";
const SOON: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    sandbox: Sandbox,
    clock: ManualClock,
}

impl World {
    async fn start(dir: &Path) -> Self {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let sandbox = crate::start(dir, Clock::Manual(clock.clone())).await;
        let world = Self { sandbox, clock };
        for kind in ["Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"] {
            world.define(kind);
        }
        world
    }

    fn define(&self, kind: &str) {
        let plural = format!("{}s", kind.to_lowercase());
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let body = json!({
            "metadata": {"name": format!("{plural}.{GROUP}")},
            "spec": {
                "group": GROUP, "scope": "Namespaced",
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}],
            },
        });
        let definitions = ResourceName::new("apiextensions.k8s.io", "customresourcedefinitions");
        let objects = self.sandbox.kubernetes().objects();
        objects.create(&definitions, "", body, "test").unwrap();
    }

    fn name(kind: &str) -> ResourceName {
        ResourceName::of(GROUP, &format!("{}s", kind.to_lowercase()))
    }

    /// Creates an object that belongs to a cluster.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read best with `json!` in place"
    )]
    fn create(&self, kind: &str, name: &str, cluster: &str, spec: Value) {
        let labels = json!({"strimzi.io/cluster": cluster});
        let body = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": kind,
            "metadata": {"name": name, "labels": labels}, "spec": spec,
        });
        let objects = self.sandbox.kubernetes().objects();
        objects
            .create(&Self::name(kind), space(cluster), body, "test")
            .unwrap();
    }

    /// A Kafka cluster with one broker, Ready.
    async fn cluster(&self, name: &str) {
        let namespaces = ResourceName::new("", "namespaces");
        let objects = self.sandbox.kubernetes().objects();
        let body = json!({"metadata": {"name": space(name)}});
        objects.create(&namespaces, "", body, "test").unwrap();
        let pool = json!({"replicas": 1, "roles": ["controller", "broker"], "storage": {"type": "ephemeral"}});
        self.create("KafkaNodePool", "dual", name, pool);
        let kafka = json!({
            "kafka": {"listeners": [
                {"name": "plain", "port": 9092, "type": "internal", "tls": false},
                {"name": "scram", "port": 9094, "type": "internal", "tls": false,
                    "authentication": {"type": "scram-sha-512"}},
            ]},
            "entityOperator": {"topicOperator": {}, "userOperator": {}},
        });
        self.create("Kafka", name, name, kafka);
        self.run(SOON).await;
    }

    async fn run(&self, span: Duration) {
        self.sandbox.controllers().run_for(&self.clock, span).await;
    }

    fn get(&self, kind: &str, name: &str, cluster: &str) -> Value {
        let objects = self.sandbox.kubernetes().objects();
        let found = objects.get(&Self::name(kind), space(cluster), name);
        found.unwrap().as_ref().clone()
    }

    async fn patch(&self, name: &str, patch: Value) {
        let objects = self.sandbox.kubernetes().objects();
        objects
            .merge_patch(
                &Self::name("KafkaTopic"),
                space("events"),
                name,
                None,
                &patch,
                "test",
            )
            .unwrap();
        self.run(SOON).await;
    }

    async fn delete(&self, kind: &str, name: &str) {
        let objects = self.sandbox.kubernetes().objects();
        objects
            .delete(
                &Self::name(kind),
                space("events"),
                name,
                DeleteOptions::default(),
            )
            .unwrap();
        self.run(SOON).await;
    }

    /// Reason and message of the condition `Ready` (or, of a user, `NotReady`), after its status.
    fn ready(&self, kind: &str, name: &str, cluster: &str) -> String {
        let object = self.get(kind, name, cluster);
        let condition = &object["status"]["conditions"][0];
        let part = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        let words = [
            part("type"),
            part("status"),
            part("reason"),
            part("message"),
        ];
        words.join(" ").trim_end().to_owned()
    }

    /// Every topic and its partitions, as librdkafka reads them.
    async fn topics(&self) -> BTreeMap<String, usize> {
        let bootstrap = self.sandbox.kafka().bootstrap();
        let read = move || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", bootstrap)
                .create()
                .unwrap();
            let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
            let topics = metadata.topics().iter();
            topics
                .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
                .collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// A setting of a topic, as librdkafka reads it.
    async fn setting(&self, topic: &str, key: &str) -> Option<String> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", self.sandbox.kafka().bootstrap())
            .create()
            .unwrap();
        let asked = [ResourceSpecifier::Topic(topic)];
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let mut told = admin.describe_configs(&asked, &options).await.unwrap();
        let told = told.pop().unwrap().unwrap();
        told.get(key).and_then(|entry| entry.value.clone())
    }
}

/// Every cluster has a namespace of its own.
fn space(cluster: &str) -> &str {
    match cluster {
        "events" => "streaming",
        other => other,
    }
}

fn set(settings: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    let owned = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
    settings.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_the_cluster_is_a_topic_of_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    let kafka = world.get("Kafka", "events", "events");
    let listeners = &kafka["status"]["listeners"];
    let bootstrap = world.sandbox.kafka().bootstrap();
    assert_eq!(listeners[0]["bootstrapServers"], json!(bootstrap));
    assert_eq!(
        listeners[1]["bootstrapServers"],
        json!(world.sandbox.kafka().sasl_bootstrap())
    );
    let spec = json!({"partitions": 3, "replicas": 1, "config": {"retention.ms": 60_000, "cleanup.policy": ["compact", "delete"]}});
    world.create("KafkaTopic", "orders", "events", spec);
    world.run(SOON).await;
    assert_eq!(world.ready("KafkaTopic", "orders", "events"), "Ready True");
    assert_eq!(world.topics().await.get("orders"), Some(&3));
    let expected = [
        ("retention.ms", "60000"),
        ("cleanup.policy", "compact,delete"),
    ];
    for (key, value) in expected {
        assert_eq!(world.setting("orders", key).await.as_deref(), Some(value));
    }
    match Command::new("kcat").args(["-b", &bootstrap, "-L"]).output() {
        Ok(listed) => {
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert!(
                listed.contains("topic \"orders\" with 3 partitions"),
                "{listed}"
            );
        }
        Err(_) => eprintln!("SKIPPED: kcat is not installed"),
    }
    world.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_many_replicas_takes_records() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    let spec = json!({"partitions": 1, "config": {"min.insync.replicas": 2}});
    world.create("KafkaTopic", "orders", "events", spec);
    world.run(SOON).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", world.sandbox.kafka().bootstrap())
        .set("acks", "all")
        .create()
        .unwrap();
    let record: FutureRecord<'_, str, str> = FutureRecord::to("orders").key("k").payload("v");
    let sent = producer.send(record, PATIENCE).await.unwrap();
    assert_eq!((sent.partition, sent.offset), (0, 0));
    world.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_hand_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    let spec = json!({"partitions": 2, "config": {"retention.ms": "60000"}});
    world.create("KafkaTopic", "orders", "events", spec);
    world.run(SOON).await;
    let topics = world.sandbox.kafka().topics();
    let first = topics.get("orders").unwrap();
    let by_hand = set(&[
        ("retention.ms", Some("5")),
        ("segment.bytes", Some("1048576")),
    ]);
    topics.configure("orders", &by_hand).unwrap();
    // Nobody tells the operator: it sees for itself, every two minutes.
    world.run(SOON).await;
    assert_eq!(topics.get("orders").unwrap().configs["retention.ms"], "5");
    world.run(Duration::from_secs(150)).await;
    assert_eq!(topics.get("orders"), Some(first.clone()));
    topics.delete("orders").unwrap();
    world.run(Duration::from_secs(150)).await;
    let again = topics.get("orders").unwrap();
    assert_eq!((again.partitions.len(), again.configs), (2, first.configs));
    assert_ne!(again.id, first.id);
    world.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_follow_and_refusals_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    let spec = json!({"partitions": 2, "config": {"retention.ms": "60000"}});
    world.create("KafkaTopic", "orders", "events", spec);
    world.run(SOON).await;
    let topics = world.sandbox.kafka().topics();
    let more = json!({"spec": {"partitions": 5, "config": {"retention.ms": null, "max.message.bytes": 9_000}}});
    world.patch("orders", more).await;
    let live = topics.get("orders").unwrap();
    let settings: Vec<(&str, &str)> = live
        .configs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        (live.partitions.len(), settings),
        (5, vec![("max.message.bytes", "9000")])
    );
    let fewer = json!({"spec": {"partitions": 4, "config": {"max.message.bytes": 8_000}}});
    world.patch("orders", fewer).await;
    assert_eq!(
        world.ready("KafkaTopic", "orders", "events"),
        "Ready False NotSupported Decreasing partitions not supported"
    );
    let live = topics.get("orders").unwrap();
    assert_eq!(
        (live.partitions.len(), &*live.configs["max.message.bytes"]),
        (5, "8000")
    );
    let bad = json!({"spec": {"partitions": 5, "config": {"max.message.bytes": "many"}}});
    world.patch("orders", bad).await;
    let told = world.ready("KafkaTopic", "orders", "events");
    assert!(
        told.starts_with("Ready False KafkaError org.apache.kafka.common.errors.InvalidConfigurationException: Invalid value many for configuration max.message.bytes"),
        "{told}"
    );
    world.create(
        "KafkaTopic",
        "odd",
        "events",
        json!({"config": {"no.such": 1}}),
    );
    world.run(SOON).await;
    let told = world.ready("KafkaTopic", "odd", "events");
    assert!(
        told.starts_with("Ready False KafkaError org.apache.kafka"),
        "{told}"
    );
    assert!(told.contains("no.such"), "{told}");
    assert_eq!(topics.get("odd"), None);
    world.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_gone_and_an_unmanaged_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    for name in ["orders", "kept"] {
        world.create("KafkaTopic", name, "events", json!({"partitions": 1}));
    }
    world.run(SOON).await;
    let unmanaged = json!({"metadata": {"annotations": {"strimzi.io/managed": "false"}}});
    world.patch("kept", unmanaged).await;
    world.delete("KafkaTopic", "orders").await;
    world.delete("KafkaTopic", "kept").await;
    let left: Vec<String> = world.topics().await.into_keys().collect();
    assert_eq!(left, ["kept"]);
    let objects = world.sandbox.kubernetes().objects();
    assert!(objects.list(&World::name("KafkaTopic"), None).1.is_empty());
    world.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cluster_is_words_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    world.cluster("audit").await;
    for (cluster, partitions) in [("events", 3), ("audit", 7)] {
        let spec = json!({"partitions": partitions});
        world.create("KafkaTopic", "orders", cluster, spec);
    }
    world.run(SOON).await;
    let bootstrap = |cluster: &str| {
        let kafka = world.get("Kafka", cluster, cluster);
        kafka["status"]["listeners"][0]["bootstrapServers"].clone()
    };
    let broker = json!(world.sandbox.kafka().bootstrap());
    assert_eq!(bootstrap("events"), broker);
    assert_eq!(bootstrap("audit"), "audit-kafka-bootstrap.audit.svc:9092");
    for cluster in ["events", "audit"] {
        assert_eq!(world.ready("KafkaTopic", "orders", cluster), "Ready True");
    }
    let topics = world.sandbox.kafka().topics();
    assert_eq!(topics.get("orders").unwrap().partitions.len(), 3);
    world.delete("Kafka", "events").await;
    world.run(Duration::from_secs(150)).await;
    assert_eq!(bootstrap("audit"), broker);
    assert_eq!(topics.get("orders").unwrap().partitions.len(), 7);
    world.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_its_password_rules_and_quotas_and_takes_them_along() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    world.cluster("events").await;
    let spec = json!({
        "authentication": {"type": "scram-sha-512"},
        "authorization": {"type": "simple", "acls": [
            {"resource": {"type": "topic", "name": "ord", "patternType": "prefix"}, "operations": ["Read", "Describe"]},
            {"resource": {"type": "group", "name": "g"}, "operations": ["Read"], "type": "deny"},
        ]},
        "quotas": {"producerByteRate": 1_024},
    });
    world.create("KafkaUser", "app", "events", spec);
    world.run(SOON).await;
    assert_eq!(world.ready("KafkaUser", "app", "events"), "Ready True");
    let users = world.sandbox.kafka().users();
    assert_eq!(users.list(), ["app"]);
    let mut rules: Vec<_> = users
        .acls("User:app")
        .into_iter()
        .map(|rule| {
            let numbers = (
                rule.resource_type,
                rule.pattern,
                rule.operation,
                rule.permission,
            );
            (rule.name, numbers, rule.host)
        })
        .collect();
    rules.sort();
    let any = "*".to_owned();
    assert_eq!(
        rules,
        [
            ("g".to_owned(), (3, 3, 3, 2), any.clone()),
            ("ord".to_owned(), (2, 4, 3, 3), any.clone()),
            ("ord".to_owned(), (2, 4, 8, 3), any),
        ]
    );
    assert_eq!(
        users.quotas("app"),
        [("producer_byte_rate".to_owned(), 1_024.0)].into()
    );
    world.delete("KafkaUser", "app").await;
    assert_eq!(users.list(), Vec::<String>::new());
    assert_eq!(
        (users.acls("User:app"), users.quotas("app")),
        (vec![], BTreeMap::new())
    );
    world.sandbox.shutdown().await;
}
