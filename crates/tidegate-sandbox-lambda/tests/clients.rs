//! The sandbox with functions held to the real clients: boto3 and the AWS CLI, and to moto's server on the happy path.
//!
//! The tools are those that `cargo xtask peers install aws` puts into the cache; without them a test says so and ends.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(
    clippy::print_stdout,
    reason = "a skipped test says so, a comparison tells its count"
)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tidegate_sandbox_aws::AwsOptions;
use tidegate_sandbox_lambda::LambdaOptions;
use tokio::process::Command;

/// How long one script may take.
const PATIENCE: Duration = Duration::from_secs(480);

fn peers() -> Option<PathBuf> {
    let cache = match std::env::var_os("TIDEGATE_PEERS") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let base = std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| {
                    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"))
                })?;
            base.join("tidegate-peers")
        }
    };
    let found = cache.join("aws/bin/python").exists() && cache.join("bin/aws").exists();
    if !found {
        println!(
            "SKIPPED: boto3 and the AWS CLI are not installed (cargo xtask peers install aws)"
        );
    }
    found.then_some(cache)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

async fn run(command: &mut Command) -> Output {
    command.kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap()
}

#[track_caller]
fn ended_well(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

/// Handlers run with the peers' Python, which has boto3.
fn running(peers: &Path) -> LambdaOptions {
    LambdaOptions {
        run_functions: true,
        retry: Duration::from_millis(100),
        python: peers.join("aws/bin/python"),
        ..LambdaOptions::default()
    }
}

async fn boto3(name: &str) {
    let Some(peers) = peers() else {
        return;
    };
    let sandbox = tidegate_sandbox_lambda::start(AwsOptions::default(), running(&peers))
        .await
        .unwrap();
    let mut command = Command::new(peers.join("aws/bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let output = run(command.arg(script(name)).arg(sandbox.endpoint())).await;
    println!("{}", ended_well(&output));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_what_belongs_to_them() {
    boto3("functions.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_run() {
    boto3("run.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_policies_and_logs() {
    boto3("access.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_poll() {
    boto3("mappings.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_by_the_command_line() {
    boto3("pipeline.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_do_harm() {
    boto3("hostile.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn function_urls() {
    boto3("urls.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_on_demand() {
    boto3("faults.py").await;
}
