//! kill -9 in the middle of many records, again and again, with a function that fails in between.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::broker::Broker;
use crate::command::Home;
use crate::delivery::binding;
use crate::function::{Answer, Batch, Function};

const RECORDS: i64 = 100_000;
const PARTITIONS: i32 = 8;
const KILLS: i64 = 10;
const LIMIT: Duration = Duration::from_secs(300);
/// Every partition has a record at these offsets that no function ever takes.
const POISON: [i64; 3] = [777, 5_003, 12_000];

/// Fails now and then, is away now and then, and never takes poison.
fn decide(counter: &AtomicU64, batch: &Batch) -> Answer {
    if batch.offsets.iter().any(|offset| POISON.contains(offset)) {
        return Answer::Fail(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let count = counter.fetch_add(1, Ordering::Relaxed);
    match (count % 400, count % 17) {
        (300..340, _) => Answer::Fail(StatusCode::SERVICE_UNAVAILABLE),
        // A batch fails at most once in a row: its next try has another number.
        (_, 0) if batch.offsets.len() > 1 => Answer::Fail(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Answer::Take,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_in_a_hundred_thousand_records_on_the_sandbox() {
    survive(Broker::sandbox().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_in_a_hundred_thousand_records_on_apache_kafka() {
    if let Some(broker) = Broker::apache() {
        survive(broker).await;
    }
}

async fn survive(broker: Broker) {
    let topic = broker.topic("kill", PARTITIONS).await;
    let parked = broker.topic("kill-parked", 1).await;
    broker.send(&topic, PARTITIONS, 0..RECORDS).await;
    let counter = AtomicU64::new(1);
    let function = Function::start(move |batch| decide(&counter, batch)).await;
    let more = format!(
        "  BatchSize: 100\n  BisectBatchOnFunctionError: true\n  MaximumRetryAttempts: 3\n  \
         DestinationConfig: {{OnFailure: {{Destination: 'kafka://{parked}'}}}}\n"
    );
    let home = Home::new(&binding(&broker, &topic, &function.url, &more));
    let poison = POISON.len() * usize::try_from(PARTITIONS).unwrap();
    let wanted = usize::try_from(RECORDS).unwrap() - poison;
    let begin = Instant::now();
    for kill in 1..=KILLS {
        let bridge = home.start();
        let goal = usize::try_from(RECORDS * kill / (KILLS + 2)).unwrap();
        function.wait(goal, LIMIT).await;
        bridge.kill();
    }
    let bridge = home.start();
    function.wait(wanted, LIMIT).await;
    let committed = wait_committed(&broker, &topic).await;
    assert_eq!(
        bridge.terminate(Duration::from_secs(60)).await,
        Some(0),
        "{}",
        home.logs()
    );
    let took = begin.elapsed();
    assert_eq!(
        committed,
        [RECORDS / i64::from(PARTITIONS); PARTITIONS as usize]
    );
    report(&broker, &function, &topic, &parked, took);
    broker.close().await;
}

async fn wait_committed(broker: &Broker, topic: &str) -> Vec<i64> {
    let begin = Instant::now();
    loop {
        let committed = broker.committed(&format!("g-{topic}"), topic, PARTITIONS);
        let is_whole = committed.iter().sum::<i64>() == RECORDS;
        if is_whole || begin.elapsed() > Duration::from_secs(60) {
            return committed;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Counts, and the laws: none lost, none before one that came earlier in its partition.
fn report(broker: &Broker, function: &Function, topic: &str, parked: &str, took: Duration) {
    let mut in_destination: BTreeSet<(String, i64)> = BTreeSet::new();
    let messages = broker.parked(parked);
    for message in &messages {
        let partition = &message.headers["tidegate.error.source.partition"];
        let offset = message.headers["tidegate.error.source.offset"]
            .parse()
            .unwrap();
        in_destination.insert((format!("{topic}-{partition}"), offset));
    }
    let taken = function.taken.lock().unwrap();
    let deliveries: usize = taken.offsets.values().map(Vec::len).sum();
    let mut lost = 0;
    let mut overtaken = 0;
    for partition in 0..PARTITIONS {
        let name = format!("{topic}-{partition}");
        for offset in 0..RECORDS / i64::from(PARTITIONS) {
            let is_safe = taken.distinct[&name].contains(&offset)
                || in_destination.contains(&(name.clone(), offset));
            lost += usize::from(!is_safe);
        }
        let mut next = 0;
        for offset in &taken.offsets[&name] {
            while POISON.contains(&next) {
                next += 1;
            }
            overtaken += usize::from(*offset > next);
            next = next.max(offset + 1);
        }
    }
    eprintln!(
        "{}: {RECORDS} records, {KILLS} kills in {took:.1?}: {} delivered, {} parked ({} messages), {lost} lost, \
         {overtaken} out of order, {} delivered again, {} batches refused",
        broker.name(),
        taken.count(),
        in_destination.len(),
        messages.len(),
        deliveries - taken.count(),
        taken.refused,
    );
    assert_eq!((lost, overtaken), (0, 0));
    assert_eq!(
        in_destination.len(),
        POISON.len() * usize::try_from(PARTITIONS).unwrap()
    );
    assert!(messages.iter().all(|message| {
        let offset: i64 = message.headers["tidegate.error.source.offset"]
            .parse()
            .unwrap();
        POISON.contains(&offset)
    }));
}
