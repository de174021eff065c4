//! Records to functions of Lambda; what they refuse, to a queue and to a bucket.

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_bridge::Bridge;

use crate::place::{Place, until};

/// Writes the offsets that it takes to a file, and refuses batches with the value `bad`.
fn code(log: &std::path::Path) -> String {
    format!(
        "import base64\n\
         def handler(event, context):\n    \
             assert event['eventSource'] == 'SelfManagedKafka', event\n    \
             for records in event['records'].values():\n        \
                 for record in records:\n            \
                     if base64.b64decode(record['value']) == b'\"bad\"':\n                \
                         raise ValueError('bad record')\n        \
                 with open({:?}, 'a') as out:\n            \
                     out.write(''.join(f\"{{record['offset']}}\\n\" for record in records))\n",
        log.display()
    )
}

fn offsets(log: &std::path::Path) -> Vec<i64> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_takes_records_and_what_it_refuses_is_parked_in_a_queue() {
    let place = Place::start().await;
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    place.function("alerts", &code(&log)).await;
    let sqs = aws_sdk_sqs::Client::new(&place.aws.config);
    let queue = sqs
        .create_queue()
        .queue_name("parked")
        .send()
        .await
        .unwrap();
    let url = queue.queue_url.unwrap();
    let values = (0..40).map(|number| {
        if number == 17 {
            "\"bad\"".to_owned()
        } else {
            number.to_string()
        }
    });
    place.send("orders", values).await;
    let binding = place.binding(
        "orders",
        json!({
            "Topics": ["orders"], "FunctionName": "alerts", "StartingPosition": "TRIM_HORIZON", "BatchSize": 10,
            "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 1,
            "backoff": {"initialMillis": 10, "maximumSeconds": 1},
            "DestinationConfig": {"OnFailure": {"Destination": place.aws.arn("sqs", "parked")}},
        }),
    );
    let mut bridge = Bridge::start(vec![binding]).await;
    until("39 records", async || offsets(&log).len() >= 39).await;
    let mut found = Vec::new();
    until("the message", async || {
        let received = sqs.receive_message().queue_url(&url).send().await.unwrap();
        found.extend(received.messages.unwrap_or_default());
        !found.is_empty()
    })
    .await;
    let health = bridge.health();
    assert_eq!(
        health["orders"].status,
        tidegate_manifest::HealthStatus::Healthy,
        "{health:?}"
    );
    assert_eq!(bridge.stop().await.unclean, []);
    let expected: Vec<i64> = (0..40).filter(|offset| *offset != 17).collect();
    assert_eq!(offsets(&log), expected, "in order, none twice");
    let document: Value = serde_json::from_str(found[0].body().unwrap()).unwrap();
    assert_eq!(
        document["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(
        document["requestContext"]["functionArn"],
        place.aws.arn("lambda", "function:alerts")
    );
    assert_eq!(document["responseContext"]["functionError"], "Unhandled");
    let info = &document["KafkaBatchInfo"]["recordsInfo"]["orders-0"];
    assert_eq!(
        (&info["firstRecordOffset"], &info["lastRecordOffset"]),
        (&json!("17"), &json!("17"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_drop_parking_in_a_bucket_and_a_changed_binding_goes_on_where_it_was() {
    let place = Place::start().await;
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    place.function("alerts", &code(&log)).await;
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&place.aws.config)
            .force_path_style(true)
            .build(),
    );
    s3.create_bucket()
        .bucket("parked")
        .create_bucket_configuration(
            aws_sdk_s3::types::CreateBucketConfiguration::builder()
                .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuWest1)
                .build(),
        )
        .send()
        .await
        .unwrap();
    place
        .send(
            "readings",
            (0..20).map(|number| format!("{{\"t\":{number}}}")),
        )
        .await;
    let spec = |pattern: &str| {
        json!({
            "Topics": ["readings"], "FunctionName": "alerts", "StartingPosition": "TRIM_HORIZON",
            "MaximumBatchingWindowInSeconds": 0, "MaximumRetryAttempts": 0,
            "FilterCriteria": {"Filters": [{"Pattern": pattern}]},
            "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::parked"}},
        })
    };
    let hot = r#"{"value":{"t":[{"numeric":[">=",15]}]}}"#;
    let mut bridge = Bridge::start(vec![place.binding("readings", spec(hot))]).await;
    until("five records", async || offsets(&log).len() >= 5).await;
    let all = place.binding("readings", spec(""));
    let change = bridge.put(all.clone()).await;
    assert_eq!(
        (change.stopped, change.started),
        (vec!["readings".to_owned()], vec!["readings".to_owned()])
    );
    assert_eq!(
        bridge.put(all).await,
        tidegate_bridge::Change::default(),
        "nothing changed"
    );
    place
        .send(
            "readings",
            ["1".to_owned(), "\"bad\"".to_owned()].into_iter(),
        )
        .await;
    until("the object", async || {
        let listed = s3.list_objects_v2().bucket("parked").send().await.unwrap();
        listed.contents().iter().any(|object| {
            object
                .key()
                .unwrap()
                .starts_with("aws/lambda/readings/readings-0/")
        })
    })
    .await;
    bridge.remove("readings").await;
    assert_eq!(bridge.health().len(), 0);
    let taken = offsets(&log);
    assert_eq!(taken[..5], [15, 16, 17, 18, 19], "what the pattern takes");
    assert!(
        taken.iter().all(|offset| *offset >= 15),
        "what was passed over is not read again: {taken:?}"
    );
}
