//! A stream with three replicas, one of which is killed: leases in a table, nothing lost, nothing out of order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_sandbox_aws::{AwsOptions, SandboxAws};
use tidegate_sandbox_lambda::LambdaOptions;

use crate::command::{Home, Running};
use crate::function::{Answer, Function};
use crate::replicas::held;

const SHARDS: usize = 6;
const LONG: Duration = Duration::from_secs(90);

/// A call of Kinesis; the sandbox believes every signature.
async fn call(aws: &SandboxAws, operation: &str, body: Value) -> Value {
    let response = reqwest::Client::new()
        .post(aws.endpoint())
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("content-type", "application/x-amz-json-1.1")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{operation}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

async fn put(aws: &SandboxAws, numbers: std::ops::Range<i64>) {
    let numbers: Vec<i64> = numbers.collect();
    for numbers in numbers.chunks(500) {
        let records: Vec<Value> = numbers
            .iter()
            .map(|number| json!({"Data": "e30=", "PartitionKey": number.to_string()}))
            .collect();
        let body = json!({"StreamName": "readings", "Records": records});
        let put = call(aws, "PutRecords", body).await;
        assert_eq!(put["FailedRecordCount"], 0);
    }
}

async fn wait_shared(replicas: &[Running], log: impl Fn() -> String) {
    let begin = Instant::now();
    loop {
        let mut shares = Vec::new();
        for replica in replicas {
            shares.push(held(replica).await);
        }
        if shares.iter().all(|share| *share == SHARDS / replicas.len()) {
            return;
        }
        assert!(begin.elapsed() < LONG, "{shares:?}: {}", log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_replicas_take_over_the_shards_of_the_third() {
    let options = AwsOptions {
        region: "eu-west-1".to_owned(),
        ..AwsOptions::default()
    };
    let aws = tidegate_sandbox_lambda::start(options, LambdaOptions::immediate(false));
    let aws = aws.await.unwrap();
    let stream = json!({"StreamName": "readings", "ShardCount": SHARDS});
    call(&aws, "CreateStream", stream).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    put(&aws, 0..6_000).await;
    let function = Function::start(|_| Answer::Take).await;
    let binding = format!(
        "apiVersion: tidegate.dev/v1alpha1\n\
         kind: EventSourceBinding\n\
         metadata: {{name: readings}}\n\
         spec:\n  \
           EventSourceArn: 'arn:aws:kinesis:eu-west-1:123456789012:stream/readings'\n  \
           StartingPosition: TRIM_HORIZON\n  \
           kinesis: {{leaseSeconds: 3, pollMillis: 250}}\n  \
           aws: {{endpointUrl: '{}'}}\n  \
           target: {{http: {{url: '{}'}}}}\n",
        aws.endpoint(),
        function.url
    );
    let home = Home::new(&binding);
    let env = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let mut replicas: Vec<Running> = (0..3).map(|_| home.start_with(&env)).collect();
    function.wait(6_000, LONG).await;
    wait_shared(&replicas, || home.logs()).await;
    let before: usize = {
        let taken = function.taken.lock().unwrap();
        taken.offsets.values().map(Vec::len).sum()
    };
    assert_eq!(before, 6_000, "shards that move repeat nothing");
    replicas.pop().unwrap().kill();
    let begin = Instant::now();
    put(&aws, 6_000..12_000).await;
    function.wait(12_000, LONG).await;
    let killed = begin.elapsed();
    wait_shared(&replicas, || home.logs()).await;
    for replica in replicas {
        assert_eq!(replica.terminate(LONG).await, Some(0), "{}", home.logs());
    }
    let taken = function.taken.lock().unwrap();
    assert_eq!(taken.count(), 12_000);
    for (shard, offsets) in &taken.offsets {
        let mut newest = -1;
        let mut firsts = Vec::new();
        for offset in offsets {
            if *offset > newest {
                newest = *offset;
                firsts.push(*offset);
            }
        }
        assert_eq!(
            firsts.len(),
            taken.distinct[shard].len(),
            "{shard}: none was overtaken"
        );
    }
    eprintln!("a replica of a stream was killed: all records in {killed:.1?}");
    assert!(killed < Duration::from_secs(15), "it took {killed:?}");
}
