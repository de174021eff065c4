//! TLS to brokers, where a throwaway Apache Kafka with a TLS listener is named: `TIDEGATE_TEST_KAFKA_TLS=HOST:PORT`, and
//! `TIDEGATE_TEST_KAFKA_CA=FILE` with the certificate of whoever signed the broker's.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use tidegate_bridge::{Bridge, Defaults, from_value};
use tidegate_manifest::{HealthStatus, Origin};

use crate::place::until;
use crate::sink::{Sink, taken};

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn broker() -> Option<(String, String)> {
    let servers = std::env::var("TIDEGATE_TEST_KAFKA_TLS");
    let authority = std::env::var("TIDEGATE_TEST_KAFKA_CA");
    let broker = servers.ok().zip(authority.ok());
    if broker.is_none() {
        eprintln!("SKIPPED: TIDEGATE_TEST_KAFKA_TLS and TIDEGATE_TEST_KAFKA_CA name no broker");
    }
    broker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_reads_over_tls_and_trusts_nobody_else() {
    let Some((servers, authority)) = broker() else {
        return;
    };
    let topic = format!("tls-{}", std::process::id());
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .set("security.protocol", "ssl")
        .set("ssl.ca.location", &authority)
        .create()
        .unwrap();
    for number in 0..100 {
        let value = number.to_string();
        let record = FutureRecord::to(&topic).key("k").payload(&value);
        producer
            .send(record, Duration::from_secs(20))
            .await
            .unwrap();
    }
    let sink = Sink::start(|_| taken()).await;
    let binding = |name: &str, properties: serde_json::Value| {
        let document = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "EventSourceBinding", "metadata": {"name": name},
            "spec": {
                "kafka": {"bootstrapServers": servers, "properties": properties},
                "Topics": [topic], "StartingPosition": "TRIM_HORIZON",
                "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": format!("{name}-{topic}")},
                "target": {"http": {"url": sink.url}},
            },
        });
        from_value(&document, &Origin::default(), &Defaults::default(), &|_| {
            None
        })
        .unwrap()
    };
    let trusting = json!({"security.protocol": "ssl", "ssl.ca.location": authority});
    // The system's authorities did not sign the broker's certificate.
    let wary = json!({"security.protocol": "ssl"});
    let mut bridge =
        Bridge::start(vec![binding("trusting", trusting), binding("wary", wary)]).await;
    let count = || {
        let seen = sink.seen();
        let batches = seen.iter().map(|seen| {
            let event = seen.json();
            event["records"][format!("{topic}-0")]
                .as_array()
                .map_or(0, Vec::len)
        });
        batches.sum::<usize>()
    };
    until("100 records", async || count() >= 100).await;
    until("the wary one says why", async || {
        let metrics = bridge.view().metrics();
        let line = "tidegate_bridge_source_errors_total{binding=\"wary\"} ";
        let found = metrics.lines().find_map(|found| found.strip_prefix(line));
        found.is_some_and(|count| count != "0")
    })
    .await;
    let health = bridge.health();
    assert_eq!(health["trusting"].status, HealthStatus::Healthy);
    assert_eq!(health["wary"].status, HealthStatus::Progressing);
    bridge.stop().await;
    assert_eq!(count(), 100, "only the trusting one read");
}
