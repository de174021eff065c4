//! One bridge, one function: what is delivered, committed, retried, parked, drained.
#![expect(
    clippy::await_holding_lock,
    reason = "the guard is dropped before; the lint does not see it"
)]

use std::time::Duration;

use hyper::StatusCode;

use crate::broker::Broker;
use crate::command::Home;
use crate::function::{Answer, Function};

const LONG: Duration = Duration::from_secs(60);

/// A binding of a topic to a function, with more settings.
pub(crate) fn binding(broker: &Broker, topic: &str, url: &str, more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\n\
         kind: EventSourceBinding\n\
         metadata: {{name: b}}\n\
         spec:\n  \
           SelfManagedEventSource: {{Endpoints: {{KAFKA_BOOTSTRAP_SERVERS: ['{}']}}}}\n  \
           Topics: ['{topic}']\n  \
           SelfManagedKafkaEventSourceConfig: {{ConsumerGroupId: 'g-{topic}'}}\n  \
           StartingPosition: TRIM_HORIZON\n  \
           kafka: {{properties: {{session.timeout.ms: 6000, heartbeat.interval.ms: 1000}}}}\n  \
           backoff: {{initialMillis: 20, maximumSeconds: 1}}\n  \
           target: {{http: {{url: '{url}', timeoutSeconds: 20}}}}\n{more}",
        broker.bootstrap
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_delivered_in_order_and_committed_on_drain() {
    for broker in Broker::all().await {
        let topic = broker.topic("plain", 3).await;
        broker.send(&topic, 3, 0..3_000).await;
        let function = Function::start(|_| Answer::Take).await;
        let home = Home::new(&binding(
            &broker,
            &topic,
            &function.url,
            "  BatchSize: 70\n",
        ));
        let bridge = home.start();
        function.wait(3_000, LONG).await;
        let (_, metrics) = bridge.get("/metrics").await;
        assert!(
            metrics.contains("tidegate_bridge_delivered_records_total{binding=\"b\"} 3000"),
            "{metrics}"
        );
        assert_eq!(bridge.terminate(LONG).await, Some(0), "{}", home.logs());
        let taken = function.taken.lock().unwrap();
        for partition in 0..3 {
            let offsets = &taken.offsets[&format!("{topic}-{partition}")];
            assert_eq!(*offsets, (0..1_000).collect::<Vec<i64>>());
        }
        drop(taken);
        let committed = broker.committed(&format!("g-{topic}"), &topic, 3);
        assert_eq!(committed, [1_000, 1_000, 1_000], "{}", broker.name());
        broker.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_record_is_parked_alone_and_the_rest_goes_on() {
    for broker in Broker::all().await {
        let topic = broker.topic("poison", 1).await;
        let parked = broker.topic("parked", 1).await;
        broker.send(&topic, 1, 0..200).await;
        let function = Function::start(|batch| {
            if batch.offsets.contains(&37) {
                Answer::Fail(StatusCode::INTERNAL_SERVER_ERROR)
            } else {
                Answer::Take
            }
        })
        .await;
        let more = format!(
            "  BatchSize: 50\n  BisectBatchOnFunctionError: true\n  MaximumRetryAttempts: 2\n  \
             DestinationConfig: {{OnFailure: {{Destination: 'kafka://{parked}'}}}}\n"
        );
        let home = Home::new(&binding(&broker, &topic, &function.url, &more));
        let bridge = home.start();
        function.wait(199, LONG).await;
        assert_eq!(bridge.terminate(LONG).await, Some(0), "{}", home.logs());
        let messages = broker.parked(&parked);
        assert_eq!(messages.len(), 1);
        let document = &messages[0].value;
        assert_eq!(document["recordInfo"]["offset"], "37");
        assert_eq!(
            document["requestContext"]["condition"],
            "RetryAttemptsExhausted"
        );
        assert_eq!(messages[0].headers["tidegate.error.source.offset"], "37");
        assert_eq!(broker.committed(&format!("g-{topic}"), &topic, 1), [200]);
        broker.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_failed_part_of_a_batch_comes_again() {
    let broker = Broker::sandbox().await;
    let topic = broker.topic("partial", 1).await;
    broker.send(&topic, 1, 0..100).await;
    let seen = std::sync::atomic::AtomicBool::new(false);
    let function = Function::start(move |batch| {
        let is_first = !seen.swap(true, std::sync::atomic::Ordering::Relaxed);
        if is_first {
            Answer::TakeBefore(batch.offsets[4])
        } else {
            Answer::Take
        }
    })
    .await;
    let more = "  FunctionResponseTypes: [ReportBatchItemFailures]\n";
    let home = Home::new(&binding(&broker, &topic, &function.url, more));
    let bridge = home.start();
    function.wait(100, LONG).await;
    assert_eq!(bridge.terminate(LONG).await, Some(0), "{}", home.logs());
    let taken = function.taken.lock().unwrap();
    let offsets = &taken.offsets[&format!("{topic}-0")];
    assert_eq!(
        *offsets,
        (0..100).collect::<Vec<i64>>(),
        "none twice, none out of order"
    );
}
