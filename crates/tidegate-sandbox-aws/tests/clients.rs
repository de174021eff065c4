//! The sandbox held to the real clients: boto3 and the AWS CLI, and to moto's server on the happy path.
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

use serde_json::Value;
use tidegate_sandbox_aws::{AwsOptions, SandboxAws};
use tokio::process::Command;

/// How long one script may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where moto's answer differs from AWS's, with the reason.
const MOTO_DIFFERS: [(&str, &str); 2] = [
    ("kinesis.describe", "moto leaves StreamModeDetails out"),
    ("events.delivered", "moto's event has no account"),
];

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

async fn run(command: &mut Command) -> Output {
    command.kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

#[track_caller]
fn ended_well(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

async fn boto3(name: &str) {
    let Some(peers) = peers() else {
        return;
    };
    let sandbox = SandboxAws::start(AwsOptions::default()).await.unwrap();
    let mut command = Command::new(peers.join("aws/bin/python"));
    let output = run(command.arg(script(name)).arg(sandbox.endpoint())).await;
    println!("{}", ended_well(&output));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_tables() {
    boto3("streams.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_topics_rules_and_schedules() {
    boto3("messages.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_objects() {
    boto3("objects.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_control_secrets_parameters_and_tags() {
    boto3("control.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_machines() {
    boto3("machines.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_happy_path_equals_motos() {
    let Some(peers) = peers() else {
        return;
    };
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut moto = Command::new(peers.join("bin/moto_server"))
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let sandbox = SandboxAws::start(AwsOptions::default()).await.unwrap();
    let python = peers.join("aws/bin/python");
    let ours = run(Command::new(&python)
        .arg(script("happy.py"))
        .arg(sandbox.endpoint()))
    .await;
    let ours = ended_well(&ours);
    let mut tries = 0;
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        tries += 1;
        assert!(tries < 600, "moto's server does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let endpoint = format!("http://127.0.0.1:{port}");
    let theirs = run(Command::new(&python).arg(script("happy.py")).arg(endpoint)).await;
    let theirs = ended_well(&theirs);
    moto.kill().await.unwrap();
    let mut equal = 0;
    for (our, their) in ours.lines().zip(theirs.lines()) {
        let name: Value = serde_json::from_str(our).unwrap();
        let name = name[0].as_str().unwrap();
        match MOTO_DIFFERS.iter().find(|(known, _)| *known == name) {
            Some((_, reason)) => println!("passed over: {name}: {reason}"),
            None => {
                assert_eq!(our, their);
                equal += 1;
            }
        }
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    println!(
        "{equal} answers equal moto's, {} passed over",
        MOTO_DIFFERS.len()
    );
    assert!(equal > 30);
    sandbox.shutdown().await;
}

/// Runs the AWS CLI; gives what it printed.
async fn aws(peers: &Path, endpoint: &str, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = Command::new(peers.join("bin/aws"));
    command
        .args([
            "--endpoint-url",
            endpoint,
            "--region",
            "eu-west-1",
            "--output",
            "json",
        ])
        .args(&words)
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_PAGER", "");
    ended_well(&run(&mut command).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_works_unchanged() {
    let Some(peers) = peers() else {
        return;
    };
    let sandbox = SandboxAws::start(AwsOptions::default()).await.unwrap();
    let endpoint = sandbox.endpoint();
    let call = async |line: &str| aws(&peers, &endpoint, line).await;
    let json = async |line: &str| -> Value { serde_json::from_str(&call(line).await).unwrap() };
    call("kinesis create-stream --stream-name s --shard-count 1").await;
    call("kinesis wait stream-exists --stream-name s").await;
    let put = json("kinesis put-record --stream-name s --partition-key k --data aGVsbG8=").await;
    assert_eq!(put["ShardId"], "shardId-000000000000");
    let queue = json("sqs create-queue --queue-name q").await["QueueUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    call(&format!(
        "sqs send-message --queue-url {queue} --message-body hello"
    ))
    .await;
    let got = json(&format!("sqs receive-message --queue-url {queue}")).await;
    assert_eq!(got["Messages"][0]["Body"], "hello");
    let topic = json("sns create-topic --name t").await;
    assert_eq!(topic["TopicArn"], "arn:aws:sns:eu-west-1:123456789012:t");
    call("dynamodb create-table --table-name table --billing-mode PAY_PER_REQUEST --key-schema AttributeName=k,KeyType=HASH --attribute-definitions AttributeName=k,AttributeType=S").await;
    call("dynamodb wait table-exists --table-name table").await;
    call("dynamodb put-item --table-name table --item {\"k\":{\"S\":\"a\"},\"n\":{\"N\":\"1\"}}")
        .await;
    let item = json("dynamodb get-item --table-name table --key {\"k\":{\"S\":\"a\"}}").await;
    assert_eq!(item["Item"]["n"]["N"], "1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.txt");
    std::fs::write(&file, "content").unwrap();
    call("s3 mb s3://bucket").await;
    call(&format!("s3 cp {} s3://bucket/a/file.txt", file.display())).await;
    assert!(call("s3 ls s3://bucket/a/").await.contains("file.txt"));
    let back = dir.path().join("back.txt");
    call(&format!("s3 cp s3://bucket/a/file.txt {}", back.display())).await;
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "content");
    call("s3 rb s3://bucket --force").await;
    let made = json("cloudcontrol create-resource --type-name AWS::Glue::Database --desired-state {\"CatalogId\":\"123456789012\",\"DatabaseInput\":{\"Name\":\"d\"},\"DatabaseName\":\"d\"}").await;
    let token = made["ProgressEvent"]["RequestToken"]
        .as_str()
        .unwrap()
        .to_owned();
    call(&format!(
        "cloudcontrol wait resource-request-success --request-token {token}"
    ))
    .await;
    let rule = json("events put-rule --name r --event-pattern {\"source\":[\"x\"]}").await;
    assert_eq!(
        rule["RuleArn"],
        "arn:aws:events:eu-west-1:123456789012:rule/r"
    );
    call("ssm put-parameter --name /a/b --value 1 --type String").await;
    call("secretsmanager create-secret --name s --secret-string v").await;
    let tagged = json("resourcegroupstaggingapi get-resources").await;
    assert_eq!(tagged["ResourceTagMappingList"], serde_json::json!([]));
    sandbox.shutdown().await;
}
