//! Three replicas of one group, one of which is lost.
#![expect(
    clippy::await_holding_lock,
    reason = "the guard is dropped before; the lint does not see it"
)]

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::command::{Home, Running};
use crate::delivery::binding;
use crate::function::{Answer, Function};

const PARTITIONS: i32 = 6;
const LONG: Duration = Duration::from_secs(90);

/// Partitions that a replica has, by its metrics.
pub(crate) async fn held(replica: &Running) -> usize {
    let (_, metrics) = replica.get("/metrics").await;
    let lines = metrics.lines();
    lines
        .filter(|line| line.starts_with("tidegate_bridge_outstanding_records{"))
        .count()
}

async fn wait_shared(replicas: &[Running]) {
    let begin = Instant::now();
    loop {
        let mut shares = Vec::new();
        for replica in replicas {
            shares.push(held(replica).await);
        }
        let even = usize::try_from(PARTITIONS).unwrap() / replicas.len();
        if shares.iter().all(|share| *share == even) {
            return;
        }
        assert!(
            begin.elapsed() < LONG,
            "the partitions are held as {shares:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_replicas_go_on() {
    for broker in Broker::all().await {
        let topic = broker.topic("replicas", PARTITIONS).await;
        let function = Function::start(|_| Answer::Take).await;
        let more = "  BatchSize: 50\n  MaximumBatchingWindowInSeconds: 0\n";
        let home = Home::new(&binding(&broker, &topic, &function.url, more));
        let mut replicas: Vec<Running> = (0..3).map(|_| home.start()).collect();
        wait_shared(&replicas).await;
        broker.send(&topic, PARTITIONS, 0..6_000).await;
        function.wait(6_000, LONG).await;
        replicas.pop().unwrap().kill();
        let begin = Instant::now();
        broker.send(&topic, PARTITIONS, 6_000..12_000).await;
        function.wait(12_000, LONG).await;
        let killed = begin.elapsed();
        wait_shared(&replicas).await;
        // One more leaves in order: the last takes over at once.
        let begin = Instant::now();
        let code = replicas.pop().unwrap().terminate(LONG).await;
        assert_eq!(code, Some(0), "{}", home.logs());
        broker.send(&topic, PARTITIONS, 12_000..18_000).await;
        function.wait(18_000, LONG).await;
        let left = begin.elapsed();
        let taken = function.taken.lock().unwrap();
        let deliveries: usize = taken.offsets.values().map(Vec::len).sum();
        eprintln!(
            "{}: three replicas; after kill -9 of one (session 6 s) all came within {killed:.1?}, after SIGTERM of \
             another within {left:.1?}; {} of 18000 delivered again",
            broker.name(),
            deliveries - taken.count()
        );
        drop(taken);
        // A session of 6 seconds, then a rebalance.
        assert!(killed < Duration::from_secs(30), "{killed:?}");
        broker.close().await;
    }
}
