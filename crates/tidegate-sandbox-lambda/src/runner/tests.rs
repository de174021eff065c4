//! Functions run and end, without any client.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PROCESSES, WARM};
use crate::options::LambdaOptions;
use crate::testing::{Bench, has_python};

const CODE: &str = "
import os, time
count = 0
def handler(event, context):
    global count
    count += 1
    if event.get('wait'):
        time.sleep(event['wait'])
    if event.get('fail'):
        raise KeyError(event['fail'])
    return {'count': count, 'pid': os.getpid(), 'event': event, 'version': context.function_version}
";

async fn invoke(bench: &Bench, name: &str, event: &Value) -> (u16, Value) {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    bench.ask("POST", &path, event).await
}

/// Whether a process is there and no zombie.
fn lives(pid: &Value) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.starts_with('Z'));
    state == Some(false)
}

async fn ends(pid: &Value) {
    for _ in 0..2_000 {
        if !lives(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{pid} still lives");
}

#[tokio::test]
async fn a_process_stays_warm_until_its_function_changes_or_goes() {
    if !has_python() {
        return;
    }
    let bench = Bench::start(LambdaOptions::immediate(true)).await;
    bench.function("f", CODE, &json!({})).await;
    let (status, first) = invoke(&bench, "f", &json!({"a": "ü"})).await;
    assert_eq!((status, &first["count"]), (200, &json!(1)), "{first}");
    assert_eq!(first["event"], json!({"a": "ü"}));
    let (_, second) = invoke(&bench, "f", &json!({})).await;
    assert_eq!(
        (&second["count"], &second["pid"]),
        (&json!(2), &first["pid"])
    );
    // An error of the handler keeps the process, a time-out does not.
    let (_, failed) = invoke(&bench, "f", &json!({"fail": "k"})).await;
    assert_eq!(failed["errorType"], "KeyError");
    let (_, third) = invoke(&bench, "f", &json!({})).await;
    assert_eq!(third["count"], 4);
    let path = "/2015-03-31/functions/f/configuration";
    let (status, _) = bench.ask("PUT", path, &json!({"Timeout": 1})).await;
    assert_eq!(status, 200);
    ends(&first["pid"]).await;
    let (_, fresh) = invoke(&bench, "f", &json!({})).await;
    assert_eq!(fresh["count"], 1);
    let (_, slow) = invoke(&bench, "f", &json!({"wait": 30})).await;
    assert_eq!(slow["errorType"], "Sandbox.Timedout", "{slow}");
    ends(&fresh["pid"]).await;
    let (_, last) = invoke(&bench, "f", &json!({})).await;
    let gone = bench
        .ask("DELETE", "/2015-03-31/functions/f", &Value::Null)
        .await;
    assert_eq!(gone.0, 204);
    ends(&last["pid"]).await;
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_function_that_goes_while_it_runs_leaves_no_process() {
    if !has_python() {
        return;
    }
    let bench = Bench::start(LambdaOptions::immediate(true)).await;
    bench.function("f", CODE, &json!({})).await;
    let (_, first) = invoke(&bench, "f", &json!({})).await;
    let call = json!({"wait": 0.4});
    let running = invoke(&bench, "f", &call);
    let deleting = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        bench
            .ask("DELETE", "/2015-03-31/functions/f", &Value::Null)
            .await
    };
    let ((status, answer), (deleted, _)) = tokio::join!(running, deleting);
    assert_eq!((status, deleted), (200, 204));
    assert_eq!(answer["pid"], first["pid"], "what runs runs to its end");
    ends(&first["pid"]).await;
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn nothing_is_left_when_the_sandbox_ends() {
    if !has_python() {
        return;
    }
    let bench = Bench::start(LambdaOptions::immediate(true)).await;
    bench.function("f", CODE, &json!({"Timeout": 60})).await;
    let (_, warm) = invoke(&bench, "f", &json!({})).await;
    let later = [("x-amz-invocation-type", "Event")];
    let path = "/2015-03-31/functions/f/invocations";
    let (status, _) = bench
        .ask_with("POST", path, &json!({"wait": 50}), &later)
        .await;
    assert_eq!(status, 202);
    let lambda = std::sync::Arc::clone(&bench.lambda);
    while lambda.runner.permits.available_permits() == PROCESSES {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::timeout(Duration::from_secs(20), bench.sandbox.shutdown())
        .await
        .expect("the end does not wait for a handler");
    ends(&warm["pid"]).await;
    assert_eq!(lambda.runner.permits.available_permits(), PROCESSES);
    assert!(lambda.runner.warm.lock().is_empty());
}

#[tokio::test]
async fn many_at_once_are_answered_and_bounded() {
    if !has_python() {
        return;
    }
    let bench = Bench::start(LambdaOptions::immediate(true)).await;
    bench.function("f", CODE, &json!({"Timeout": 60})).await;
    let events: Vec<Value> = (0..12).map(|n| json!({"n": n, "wait": 0.05})).collect();
    let calls = events.iter().map(|event| invoke(&bench, "f", event));
    let answers = futures_util::future::join_all(calls).await;
    for (event, (status, answer)) in events.iter().zip(answers) {
        assert_eq!((status, &answer["event"]), (200, event));
    }
    let kept: usize = bench.lambda.runner.warm.lock().values().map(Vec::len).sum();
    assert!(kept <= WARM, "{kept}");
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn functions_run_only_when_somebody_said_so() {
    let bench = Bench::start(LambdaOptions::immediate(false)).await;
    bench.function("f", CODE, &json!({})).await;
    let (status, refused) = invoke(&bench, "f", &json!({})).await;
    assert_eq!(status, 502, "{refused}");
    let words = refused["Message"].as_str().unwrap_or_default();
    assert!(words.contains("--run-functions"), "{refused}");
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn what_cannot_run_here_is_refused_in_words() {
    let options = LambdaOptions {
        python: "/nowhere/python3".into(),
        ..LambdaOptions::immediate(true)
    };
    let bench = Bench::start(options).await;
    bench.function("f", CODE, &json!({})).await;
    let (status, answer) = invoke(&bench, "f", &json!({})).await;
    let words = answer["Message"].as_str().unwrap_or_default();
    let expected = "cannot run /nowhere/python3, which python3.12 needs: it is not installed";
    assert_eq!(status, 502);
    assert!(words.contains(expected), "{answer}");
    let java = json!({"Runtime": "java21", "Handler": "a.B::c"});
    bench.function("j", CODE, &java).await;
    let (status, refused) = invoke(&bench, "j", &json!({})).await;
    assert_eq!(status, 502);
    let words = refused["Message"].as_str().unwrap_or_default();
    assert!(words.contains("none of java21"), "{refused}");
    bench.sandbox.shutdown().await;
}

#[tokio::test]
async fn states_follow_the_clock() {
    let options = LambdaOptions {
        creation: Duration::from_secs(10),
        update: Duration::from_secs(5),
        ..LambdaOptions::immediate(true)
    };
    let bench = Bench::start(options).await;
    let made = bench.function("f", CODE, &json!({})).await;
    assert_eq!(made["State"], "Pending");
    assert!(made.get("LastUpdateStatus").is_none(), "{made}");
    let (status, refused) = invoke(&bench, "f", &json!({})).await;
    assert_eq!(
        (status, &refused["code"]),
        (409, &json!("ResourceConflictException"))
    );
    bench.pass(10);
    let path = "/2015-03-31/functions/f/configuration";
    let (_, seen) = bench.ask("GET", path, &Value::Null).await;
    assert_eq!(
        (&seen["State"], &seen["LastUpdateStatus"]),
        (&json!("Active"), &json!("Successful"))
    );
    assert_ne!(seen["RevisionId"], made["RevisionId"]);
    let stale = json!({"Timeout": 4, "RevisionId": made["RevisionId"]});
    assert_eq!(bench.ask("PUT", path, &stale).await.0, 412);
    let change = json!({"Timeout": 4, "RevisionId": seen["RevisionId"]});
    let (_, changed) = bench.ask("PUT", path, &change).await;
    assert_eq!(changed["LastUpdateStatus"], "InProgress");
    let (status, busy) = bench.ask("PUT", path, &json!({"Timeout": 5})).await;
    assert_eq!(
        (status, &busy["code"]),
        (409, &json!("ResourceConflictException"))
    );
    bench.pass(4);
    assert_eq!(bench.ask("PUT", path, &json!({"Timeout": 5})).await.0, 409);
    bench.pass(1);
    assert_eq!(bench.ask("PUT", path, &json!({"Timeout": 5})).await.0, 200);
    bench.sandbox.shutdown().await;
}
