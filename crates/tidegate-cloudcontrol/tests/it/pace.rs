//! Many resources at once, while the service throttles; and what is not tried again.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tidegate_applier::{ChangeOutcome, ErrorKind};
use tidegate_aws::MemoryArtifacts;
use tidegate_sandbox_aws::Fault;

use crate::bench::{Bench, resources};
use crate::cases::{function, role};
use crate::servers::{package, sandbox};

const FUNCTIONS: usize = 200;

fn fault(operation: &str, code: &str, status: u16, times: u32) -> Fault {
    Fault {
        service: "lambda".to_owned(),
        operation: Some(operation.to_owned()),
        code: code.to_owned(),
        message: "Rate exceeded".to_owned(),
        status,
        times,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_functions_are_made_although_the_service_throttles() {
    let (server, aws) = sandbox().await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let code = package(&artifacts, "one");
    let bench = Bench::new(&aws, "it", &artifacts);
    let mut template = json!({"Role": role("crowd-role")});
    for number in 0..FUNCTIONS {
        template[format!("F{number}")] = function(&format!("crowd-{number}"), &code);
    }
    let all = resources("crowd", &template);
    assert!(server.inject(fault(
        "CreateFunction",
        "TooManyRequestsException",
        429,
        150
    )));
    assert!(server.inject(fault("GetFunction", "TooManyRequestsException", 429, 150)));
    let begun = Instant::now();
    let answers = bench.apply(&all, false).await;
    let took = begun.elapsed();
    for answer in &answers {
        let answer = answer.as_ref().unwrap_or_else(|error| panic!("{error}"));
        // One that was throttled half-way is found by the next try.
        assert_ne!(answer.outcome, ChangeOutcome::Replaced);
    }
    for plan in bench.plan(&all).await {
        assert_eq!(plan.unwrap().outcome, ChangeOutcome::Unchanged);
    }
    eprintln!("{FUNCTIONS} functions with 300 throttles: {took:?}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_asked_once() {
    let (server, aws) = sandbox().await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let code = package(&artifacts, "one");
    let bench = Bench::new(&aws, "it", &artifacts);
    let template: Value = json!({"Role": role("once-role"), "Function": function("once", &code)});
    let all = resources("once", &template);
    // Two wait: a second request would meet the second, and a third would succeed.
    assert!(server.inject(fault(
        "CreateFunction",
        "CodeStorageExceededException",
        400,
        2
    )));
    let mut answers = bench.apply(&all, false).await;
    let place = all.iter().position(|one| one.logical_id == "Function");
    let error = answers.swap_remove(place.unwrap()).unwrap_err();
    assert_eq!((error.kind, error.retryable), (ErrorKind::Invalid, false));
    assert!(
        error.message.contains("CodeStorageExceededException"),
        "{error}"
    );
    let mut answers = bench.apply(&all, false).await;
    assert!(answers.swap_remove(place.unwrap()).is_err());
    let mut answers = bench.apply(&all, false).await;
    let made = answers.swap_remove(place.unwrap()).unwrap();
    assert_eq!(made.outcome, ChangeOutcome::Created);
    server.shutdown().await;
}
