//! Asynchronous invocations on a clock that is moved by hand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::options::LambdaOptions;
use crate::testing::{Bench, has_python};

const EVENT: &[(&str, &str)] = &[("x-amz-invocation-type", "Event")];

async fn bench() -> Bench {
    let options = LambdaOptions {
        retry: Duration::from_secs(60),
        ..LambdaOptions::immediate(true)
    };
    Bench::start(options).await
}

async fn with_destinations(bench: &Bench, text: &str, settings: &Value) {
    let dead = bench.queue("dead");
    let failed = bench.queue("failed");
    bench
        .function("f", text, &json!({"DeadLetterConfig": {"TargetArn": dead}}))
        .await;
    let mut config = json!({"DestinationConfig": {"OnFailure": {"Destination": failed}}});
    for (field, value) in settings.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    let path = "/2019-09-25/functions/f/event-invoke-config";
    let (status, answer) = bench.ask("PUT", path, &config).await;
    assert_eq!(status, 200, "{answer}");
}

async fn invoke(bench: &Bench) {
    let path = "/2015-03-31/functions/f/invocations";
    let (status, answer) = bench.ask_with("POST", path, &json!({"n": 1}), EVENT).await;
    assert_eq!((status, answer), (202, Value::Null));
}

fn body(message: &Value) -> Value {
    serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_throttled_event_is_given_up_when_it_is_too_old() {
    let bench = bench().await;
    let settings = json!({"MaximumEventAgeInSeconds": 90});
    with_destinations(&bench, "def handler(e, c): pass", &settings).await;
    let concurrency = json!({"ReservedConcurrentExecutions": 1});
    bench
        .ask("PUT", "/2017-10-31/functions/f/concurrency", &concurrency)
        .await;
    let key = ("eu-west-1".to_owned(), "f".to_owned());
    bench.lambda.running.lock().insert(key, 1);
    invoke(&bench).await;
    let advance = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bench.pass(10);
        }
    };
    let told = tokio::select! {
        told = bench.messages("failed") => body(&told[0]),
        () = advance => unreachable!(),
    };
    assert_eq!(told["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(told["requestPayload"], json!({"n": 1}));
    assert!(told.get("responsePayload").is_none(), "{told}");
    assert_eq!(body(&bench.messages("dead").await[0]), json!({"n": 1}));
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_function_that_may_never_run_gives_its_events_up_at_once() {
    let bench = bench().await;
    with_destinations(&bench, "def handler(e, c): pass", &json!({})).await;
    let concurrency = json!({"ReservedConcurrentExecutions": 0});
    bench
        .ask("PUT", "/2017-10-31/functions/f/concurrency", &concurrency)
        .await;
    invoke(&bench).await;
    let told = body(&bench.messages("failed").await[0]);
    assert_eq!(
        told["requestContext"]["condition"],
        "ZeroReservedConcurrency"
    );
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 0);
    let letter = bench.messages("dead").await;
    let code = &letter[0]["MessageAttributes"]["ErrorCode"]["StringValue"];
    assert_eq!(code, "429");
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_failing_function_is_tried_as_often_as_it_says() {
    if !has_python() {
        return;
    }
    for (attempts, runs) in [(0, 1), (1, 2)] {
        let bench = bench().await;
        let settings = json!({"MaximumRetryAttempts": attempts});
        with_destinations(
            &bench,
            "def handler(e, c): raise ValueError(\"x\")",
            &settings,
        )
        .await;
        invoke(&bench).await;
        let advance = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                bench.pass(30);
            }
        };
        let told = tokio::select! {
            told = bench.messages("failed") => body(&told[0]),
            () = advance => unreachable!(),
        };
        assert_eq!(told["requestContext"]["condition"], "RetriesExhausted");
        assert_eq!(told["requestContext"]["approximateInvokeCount"], runs);
        assert_eq!(told["responsePayload"]["errorType"], "ValueError");
        bench.sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn a_function_that_is_gone_takes_its_events_with_it() {
    let bench = bench().await;
    with_destinations(&bench, "def handler(e, c): pass", &json!({})).await;
    let concurrency = json!({"ReservedConcurrentExecutions": 1});
    bench
        .ask("PUT", "/2017-10-31/functions/f/concurrency", &concurrency)
        .await;
    let key = ("eu-west-1".to_owned(), "f".to_owned());
    bench.lambda.running.lock().insert(key, 1);
    invoke(&bench).await;
    let path = "/2015-03-31/functions/f";
    assert_eq!(bench.ask("DELETE", path, &Value::Null).await.0, 204);
    let waiting = || bench.lambda.later.available_permits();
    for _ in 0..1_000 {
        bench.pass(60);
        tokio::time::sleep(Duration::from_millis(2)).await;
        if waiting() == super::WAITING {
            break;
        }
    }
    assert_eq!(waiting(), super::WAITING);
    bench.sandbox.shutdown().await;
}
