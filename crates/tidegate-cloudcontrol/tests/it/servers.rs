//! Every case on every server.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tidegate_aws::{Artifacts as _, Aws, AwsOptions, MemoryArtifacts};
use tidegate_sandbox_aws::{AwsOptions as Sandbox, Delays, SandboxAws};
use tidegate_sandbox_lambda::LambdaOptions;

use crate::bench::{Bench, Case, live};
use crate::cases::{functions, neighbours, others};
use crate::cases_more::{around, bindings, by_cloud_control};

/// What moto lacks: the beginning of what is found, and why.
const MOTO_LACKS: &[(&str, &str)] = &[
    ("Glue job:", "moto has no Cloud Control"),
    ("Firehose:", "moto has no Cloud Control"),
    (
        "API without a name of its own:",
        "moto has no Cloud Control",
    ),
    ("Schedule:", "moto has no Cloud Control"),
    ("State machine:", "moto has no Cloud Control"),
    (
        "S3 bucket:",
        "moto answers GetBucketVersioning with a root element that is not S3's",
    ),
    (
        "S3 notification:",
        "moto answers GetBucketVersioning with a root element that is not S3's",
    ),
    (
        "Lambda URL: after taking back:",
        "moto keeps a Cors that is emptied",
    ),
    (
        "Lambda URL: after healing:",
        "moto keeps a Cors that is emptied",
    ),
    (
        "Lambda invoke config: after update:",
        "moto keeps the first configuration",
    ),
    (
        "Lambda invoke config: take back:",
        "moto keeps the first configuration",
    ),
    (
        "Lambda invoke config: drift:",
        "moto keeps the first configuration",
    ),
    (
        "Kinesis consumer: foreign:",
        "moto gives no tags of consumers",
    ),
    (
        "Kinesis consumer: delete:",
        "moto fails when it is asked for a consumer that went",
    ),
    (
        "Provisioned concurrency:",
        "moto has no provisioned concurrency",
    ),
];

/// A sandbox with every service and short delays, and the way to it.
pub(crate) async fn sandbox() -> (SandboxAws, Aws) {
    let delays = Delays {
        stream: Duration::from_millis(120),
        consumer: Duration::from_millis(60),
        table: Duration::from_millis(80),
        resource_request: Duration::from_millis(100),
        queue_name_reuse: Duration::ZERO,
    };
    let options = Sandbox {
        delays,
        ..Sandbox::default()
    };
    let lambda = LambdaOptions {
        run_functions: true,
        creation: Duration::from_millis(150),
        update: Duration::from_millis(100),
        propagation: Duration::from_millis(300),
        ..LambdaOptions::default()
    };
    let sandbox = tidegate_sandbox_lambda::start(options, lambda).await;
    let sandbox = sandbox.unwrap();
    let aws = connected(sandbox.endpoint()).await;
    (sandbox, aws)
}

/// A server as the program itself connects to it.
pub(crate) async fn connected(url: String) -> Aws {
    let options = AwsOptions {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url),
        fixed_credentials: Some(("test".to_owned(), "test".to_owned())),
        ..AwsOptions::default()
    };
    Aws::connect(&options).await.unwrap()
}

/// A package with one handler, and its digest.
pub(crate) fn package(artifacts: &MemoryArtifacts, text: &str) -> String {
    let bytes: Arc<[u8]> = zip(text).into();
    let digest = STANDARD.encode(Sha256::digest(&bytes));
    artifacts.put(&digest, &bytes).unwrap();
    digest
}

async fn all(aws: &Aws, artifacts: &Arc<MemoryArtifacts>, cases: Vec<Case>) -> Vec<String> {
    let mut found = Vec::new();
    for case in cases {
        let bench = Bench::new(aws, "it", artifacts);
        found.extend(live(&bench, &case).await);
    }
    found
}

/// Only the cases whose names hold what `TIDEGATE_TEST_ONLY` says.
fn only(cases: &mut Vec<Case>) {
    if let Ok(only) = std::env::var("TIDEGATE_TEST_ONLY") {
        cases.retain(|case| case.name.contains(&only));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_live_on_the_sandbox() {
    let (server, aws) = sandbox().await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let code = [package(&artifacts, "one"), package(&artifacts, "two")];
    let mut cases = neighbours();
    cases.extend(functions(&code));
    cases.extend(around());
    cases.extend(bindings(&code));
    cases.extend(others());
    cases.extend(by_cloud_control(&code));
    only(&mut cases);
    let mut found = all(&aws, &artifacts, cases).await;
    // The sandbox's Cloud Control gives a state machine another ARN than AWS does.
    found.retain(|line| line != "State machine: foreign: Machine: Ok(Created)");
    assert!(found.is_empty(), "{}", found.join("\n"));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_live_on_an_emulator() {
    let Ok(url) = std::env::var("TIDEGATE_TEST_AWS_ENDPOINT") else {
        eprintln!("SKIPPED: TIDEGATE_TEST_AWS_ENDPOINT names no emulator");
        return;
    };
    let aws = connected(url).await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let code = [package(&artifacts, "one"), package(&artifacts, "two")];
    let mut cases = neighbours();
    cases.extend(functions(&code));
    cases.extend(around());
    cases.extend(bindings(&code));
    cases.extend(others());
    cases.extend(by_cloud_control(&code));
    only(&mut cases);
    let found = all(&aws, &artifacts, cases).await;
    let lacks = |line: &&String| MOTO_LACKS.iter().any(|(what, _)| line.starts_with(what));
    let lacking: BTreeSet<&String> = found.iter().filter(lacks).collect();
    for line in &lacking {
        let why = MOTO_LACKS.iter().find(|(what, _)| line.starts_with(what));
        eprintln!("skipped: {line} ({})", why.unwrap().1);
    }
    let wrong: Vec<&str> = found
        .iter()
        .filter(|line| !lacks(line))
        .map(String::as_str)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An archive whose handler answers with the text.
fn zip(text: &str) -> Vec<u8> {
    archive(&format!(
        "def handler(event, context):\n    return {text:?}\n"
    ))
}

/// A package of this `index.py`, and its digest.
pub(crate) fn package_of(artifacts: &MemoryArtifacts, source: &str) -> String {
    let bytes: Arc<[u8]> = archive(source).into();
    let digest = STANDARD.encode(Sha256::digest(&bytes));
    artifacts.put(&digest, &bytes).unwrap();
    digest
}

fn archive(source: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("index.py", options).unwrap();
    archive.write_all(source.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}
