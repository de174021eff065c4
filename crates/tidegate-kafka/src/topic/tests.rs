//! Comparison, risks and health of topics, as values.

use tidegate_manifest::{Target, TargetKind};
use uuid::Uuid;

use super::*;
use crate::admin::{Config, Partition};

fn key() -> ResourceKey {
    ResourceKey {
        target: Target::new(TargetKind::Kafka, "test"),
        group: "kafka.strimzi.io".to_owned(),
        kind: "KafkaTopic".to_owned(),
        namespace: String::new(),
        name: "orders".to_owned(),
    }
}

fn spec(spec: &Value) -> TopicSpec {
    TopicSpec::read(&json!({"spec": spec}), &key()).unwrap()
}

fn topic(partitions: i32, replicas: usize, in_sync: usize, own: &[(&str, &str)]) -> LiveTopic {
    let partition = |index| Partition {
        index,
        has_leader: true,
        replicas,
        in_sync,
    };
    let config = |value: &str| Config {
        value: Some(value.to_owned()),
        is_own: true,
    };
    let mut configs: BTreeMap<String, Config> = own
        .iter()
        .map(|(key, value)| ((*key).to_owned(), config(value)))
        .collect();
    for (key, value) in [("retention.ms", "604800000"), ("cleanup.policy", "delete")] {
        let default = Config {
            value: Some(value.to_owned()),
            is_own: false,
        };
        configs.entry(key.to_owned()).or_insert(default);
    }
    LiveTopic {
        name: "orders".to_owned(),
        id: Uuid::nil(),
        partitions: (0..partitions).map(partition).collect(),
        configs,
        is_internal: false,
    }
}

#[test]
fn values_are_compared_as_kafka_reads_them() {
    for (a, b) in [
        ("1", "01"),
        ("TRUE", "true"),
        ("0.5", "0.50"),
        ("1.0E1", "10.0"),
    ] {
        assert!(same_value(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("1", "2"),
        ("true", "false"),
        ("a", "A"),
        ("99999999999999999998", "99999999999999999999"),
    ] {
        assert!(!same_value(a, b), "{a} {b}");
    }
    let list = spec(&json!({"config": {"cleanup.policy": "compact, delete", "a": [1, true, "x"]}}));
    assert_eq!(list.config["cleanup.policy"], "compact,delete");
    assert_eq!(list.config["a"], "1,true,x");
}

#[test]
fn defaults_of_the_broker_are_no_drift() {
    let live = topic(1, 1, 1, &[("segment.ms", "5")]);
    let wanted = spec(&json!({"config": {"retention.ms": 604_800_000}}));
    assert!(compare(&wanted, None, &live).unwrap().is_empty());
    let last = spec(&json!({"config": {"retention.ms": 5, "cleanup.policy": "delete"}}));
    assert!(compare(&wanted, Some(&last), &live).unwrap().is_empty());
    let last = spec(&json!({"config": {"segment.ms": 5}}));
    let changes = compare(&wanted, Some(&last), &live).unwrap();
    assert_eq!(
        changes.config,
        BTreeMap::from([("segment.ms".to_owned(), None)])
    );
}

fn risks_of(live: &LiveTopic, wanted: &Value, last: Option<&Value>) -> Vec<String> {
    let (wanted, last) = (spec(wanted), last.map(spec));
    let changes = compare(&wanted, last.as_ref(), live).unwrap();
    risks(&wanted, live, &changes)
}

#[test]
fn risks_are_told_and_harmless_changes_are_not() {
    let live = topic(
        2,
        1,
        1,
        &[("cleanup.policy", "compact"), ("retention.ms", "1000")],
    );
    for (wanted, parts) in [
        (
            json!({"partitions": 3}),
            &[
                "order across the change is lost",
                "old values of a key stay",
            ][..],
        ),
        (
            json!({"config": {"retention.ms": 500}}),
            &["from 1000 to 500"],
        ),
        (
            json!({"config": {"cleanup.policy": "delete"}}),
            &["compaction off"],
        ),
        (
            json!({"config": {"min.insync.replicas": 2}}),
            &["acks=all will fail"],
        ),
    ] {
        let told = risks_of(&live, &wanted, None).join("\n");
        for part in parts {
            assert!(told.contains(part), "{wanted}: {told}");
        }
    }
    let plain = topic(2, 1, 1, &[]);
    let told = risks_of(
        &plain,
        &json!({"config": {"cleanup.policy": "compact"}}),
        None,
    );
    assert!(
        told[0].contains("records without a key are refused"),
        "{told:?}"
    );
    let last = json!({"config": {"retention.ms": 1000}});
    let told = risks_of(&live, &json!({}), Some(&last));
    assert!(told[0].contains("broker's default"), "{told:?}");
    for harmless in [
        json!({"config": {"retention.ms": -1}}),
        json!({"config": {"retention.ms": 2000}}),
    ] {
        assert_eq!(risks_of(&live, &harmless, None), Vec::<String>::new());
    }
}

#[test]
fn health_is_of_leaders_and_replicas_in_sync() {
    let state = |topic: &LiveTopic| health(topic).status;
    assert_eq!(state(&topic(2, 3, 3, &[])), HealthStatus::Healthy);
    let behind = health(&topic(2, 3, 2, &[("min.insync.replicas", "2")]));
    assert_eq!(behind.status, HealthStatus::Healthy);
    assert!(
        behind.message.contains("2 partitions"),
        "{}",
        behind.message
    );
    let few = topic(2, 3, 1, &[("min.insync.replicas", "2")]);
    assert_eq!(state(&few), HealthStatus::Degraded);
    let mut lost = topic(2, 3, 3, &[]);
    lost.partitions[1].has_leader = false;
    assert_eq!(state(&lost), HealthStatus::Degraded);
}
