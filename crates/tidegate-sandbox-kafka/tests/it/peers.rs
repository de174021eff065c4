//! Real clients against the broker: librdkafka always, kcat where it is installed.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use tidegate_sandbox_kafka::{Fault, FaultKind, KafkaOptions, SandboxKafka};

use crate::client::broker;

fn config(broker: &SandboxKafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config
}

async fn produce(broker: &SandboxKafka, topic: &str, count: usize, more: &[(&str, &str)]) {
    let mut config = config(broker);
    config.set("linger.ms", "1");
    for (key, value) in more {
        config.set(*key, *value);
    }
    let producer: FutureProducer = config.create().unwrap();
    let sent = (0..count).map(|index| {
        let producer = producer.clone();
        let topic = topic.to_owned();
        async move {
            let (key, value) = (format!("k{index}"), format!("v{index}"));
            let record = FutureRecord::to(&topic).key(&key).payload(&value);
            producer
                .send(record, Duration::from_secs(30))
                .await
                .unwrap();
        }
    });
    futures_util::future::join_all(sent).await;
    producer.flush(Duration::from_secs(10)).unwrap();
}

fn consumer(broker: &SandboxKafka, group: &str, strategy: &str) -> StreamConsumer {
    let mut config = config(broker);
    config
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200")
        .set("partition.assignment.strategy", strategy);
    config.create().unwrap()
}

async fn take(consumer: &StreamConsumer, count: usize) -> Vec<String> {
    let mut stream = consumer.stream();
    let mut values = Vec::new();
    while values.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
        let message = next.expect("no record came").unwrap().unwrap();
        values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_produces_and_consumes() {
    let broker = broker().await;
    broker.topics().create("t", 3, 1, &[].into()).unwrap();
    for (codec, idempotent) in [
        ("none", "true"),
        ("gzip", "false"),
        ("snappy", "true"),
        ("lz4", "true"),
        ("zstd", "true"),
    ] {
        produce(
            &broker,
            "t",
            200,
            &[
                ("compression.type", codec),
                ("enable.idempotence", idempotent),
            ],
        )
        .await;
    }
    let ends: i64 = broker
        .topics()
        .get("t")
        .unwrap()
        .partitions
        .iter()
        .map(|one| one.end)
        .sum();
    assert_eq!(ends, 1_000);
    let first = consumer(&broker, "g", "range");
    first.subscribe(&["t"]).unwrap();
    let mut values = take(&first, 1_000).await;
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 200);
    first.commit_consumer_state(CommitMode::Sync).unwrap();
    drop(first);
    produce(&broker, "t", 1, &[]).await;
    let second = consumer(&broker, "g", "range");
    second.subscribe(&["t"]).unwrap();
    assert_eq!(take(&second, 1).await, ["v0"]);
    drop(second);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_shares_partitions_cooperatively() {
    let broker = broker().await;
    broker.topics().create("t", 4, 1, &[].into()).unwrap();
    produce(&broker, "t", 100, &[]).await;
    let one = consumer(&broker, "g", "cooperative-sticky");
    one.subscribe(&["t"]).unwrap();
    assert_eq!(take(&one, 100).await.len(), 100);
    one.commit_consumer_state(CommitMode::Sync).unwrap();
    let two = consumer(&broker, "g", "cooperative-sticky");
    two.subscribe(&["t"]).unwrap();
    let mut shares = (0, 0);
    for _ in 0..600 {
        let wait = Duration::from_millis(25);
        let _ = tokio::time::timeout(wait, async { tokio::join!(one.recv(), two.recv()) }).await;
        shares = (
            one.assignment().unwrap().count(),
            two.assignment().unwrap().count(),
        );
        if shares == (2, 2) {
            break;
        }
    }
    assert_eq!(shares, (2, 2));
    drop(two);
    for _ in 0..600 {
        let _ = tokio::time::timeout(Duration::from_millis(25), one.recv()).await;
        if one.assignment().unwrap().count() == 4 {
            break;
        }
    }
    assert_eq!(one.assignment().unwrap().count(), 4);
    drop(one);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_lives_through_faults() {
    let broker = broker().await;
    broker.topics().create("t", 1, 1, &[].into()).unwrap();
    for kind in [
        FaultKind::NotLeader,
        FaultKind::RequestTimedOut,
        FaultKind::Disconnect,
        FaultKind::LostAnswer,
    ] {
        assert!(broker.inject(Fault::new(kind).on("Produce")));
    }
    assert!(
        broker.inject(
            Fault::new(FaultKind::CoordinatorLoading)
                .on("FindCoordinator")
                .times(2)
        )
    );
    assert!(broker.inject(Fault::new(FaultKind::NotCoordinator).on("JoinGroup")));
    produce(
        &broker,
        "t",
        100,
        &[("enable.idempotence", "true"), ("retry.backoff.ms", "20")],
    )
    .await;
    // The answer that was lost is not appended twice: its sequence is known.
    assert_eq!(broker.topics().get("t").unwrap().partitions[0].end, 100);
    let consumer = consumer(&broker, "g", "range");
    consumer.subscribe(&["t"]).unwrap();
    assert_eq!(take(&consumer, 100).await.len(), 100);
    drop(consumer);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_administers() {
    let broker = broker().await;
    let admin: AdminClient<DefaultClientContext> = config(&broker).create().unwrap();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(10)));
    let topic = NewTopic::new("t", 2, TopicReplication::Fixed(1)).set("retention.ms", "1000");
    let made = admin.create_topics([&topic], &options).await.unwrap();
    assert_eq!(made, [Ok("t".to_owned())]);
    let again = admin.create_topics([&topic], &options).await.unwrap();
    assert_eq!(
        again,
        [Err(("t".to_owned(), RDKafkaErrorCode::TopicAlreadyExists))]
    );
    let grown = admin
        .create_partitions([&NewPartitions::new("t", 3)], &options)
        .await
        .unwrap();
    assert_eq!(grown, [Ok("t".to_owned())]);
    let shrunk = admin
        .create_partitions([&NewPartitions::new("t", 2)], &options)
        .await
        .unwrap();
    assert_eq!(
        shrunk,
        [Err(("t".to_owned(), RDKafkaErrorCode::InvalidPartitions))]
    );
    let described = admin
        .describe_configs([&ResourceSpecifier::Topic("t")], &options)
        .await
        .unwrap();
    let described = described[0].as_ref().unwrap();
    assert_eq!(
        described.get("retention.ms").unwrap().value.as_deref(),
        Some("1000")
    );
    assert_eq!(described.entries.len(), 33);
    let deleted = admin.delete_topics(&["t"], &options).await.unwrap();
    assert_eq!(deleted, [Ok("t".to_owned())]);
    broker.shutdown().await;
}

#[expect(clippy::print_stderr, reason = "what is skipped is said loudly")]
fn skip(what: &str) {
    eprintln!("SKIPPED: {what}");
}

/// Runs kcat; `None`, loudly, where it is not installed.
fn kcat(arguments: &[&str], input: &str) -> Option<String> {
    use std::io::Write as _;
    let started = Command::new("kcat")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        skip("kcat is not installed");
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcat_lists_produces_and_consumes() {
    let broker = SandboxKafka::start(KafkaOptions {
        sasl_port: Some(0),
        plain_users: vec![("alice".to_owned(), "secret".to_owned())],
        ..KafkaOptions::default()
    })
    .await
    .unwrap();
    broker.topics().create("t", 1, 1, &[].into()).unwrap();
    let to = broker.bootstrap();
    let ended = tokio::task::spawn_blocking(move || {
        kcat(&["-b", &to, "-t", "t", "-P", "-K:"], "a:1\nb:2\n")?;
        let read = kcat(
            &["-b", &to, "-t", "t", "-C", "-e", "-q", "-f", "%o %k=%s\n"],
            "",
        )?;
        assert_eq!(read, "0 a=1\n1 b=2\n");
        let group = kcat(
            &[
                "-b",
                &to,
                "-G",
                "g",
                "-e",
                "-q",
                "-X",
                "auto.offset.reset=earliest",
                "-f",
                "%s\n",
                "t",
            ],
            "",
        )?;
        assert_eq!(group, "1\n2\n");
        let listed = kcat(&["-b", &to, "-L"], "")?;
        assert!(listed.contains("topic \"t\" with 1 partitions"), "{listed}");
        Some(())
    });
    ended.await.unwrap();
    let to = broker.sasl_bootstrap().unwrap();
    broker.users().set_password("bob", "hidden").unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        for (mechanism, user, password) in [
            ("PLAIN", "alice", "secret"),
            ("SCRAM-SHA-512", "bob", "hidden"),
        ] {
            if mechanism.starts_with("SCRAM") && !kcat(&["-V"], "")?.contains("sasl_scram") {
                skip(&format!(
                    "{mechanism} with kcat: this kcat was built without it"
                ));
                continue;
            }
            let (mechanism, user, password) = (
                format!("sasl.mechanism={mechanism}"),
                format!("sasl.username={user}"),
                format!("sasl.password={password}"),
            );
            let signed = [
                "-b",
                &to,
                "-L",
                "-X",
                "security.protocol=SASL_PLAINTEXT",
                "-X",
                &mechanism,
                "-X",
                &user,
                "-X",
                &password,
            ];
            assert!(kcat(&signed, "")?.contains("topic \"t\""));
        }
        Some(())
    });
    ended.await.unwrap();
    broker.shutdown().await;
}
