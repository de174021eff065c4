//! A pipeline of a template from Git to functions that run: the shows of the serverless half, on the real binary.
//!
//! Handlers run where Python is installed; without it those parts are skipped, and that is said.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_lambda::primitives::Blob;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{Done, Running, git, tidegate};

/// How long what the sandbox does by itself may take.
const SOON: Duration = Duration::from_secs(60);
const FUNCTION: &str = "etl-sam-dev-transform";

/// A sandbox of its own and a repository that can be changed.
struct Pipeline {
    dir: TempDir,
    aws: SdkConfig,
    // Ends with the test.
    _sandbox: Running,
}

#[expect(clippy::print_stderr, reason = "what is skipped is said loudly")]
fn has_python() -> bool {
    let found = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("SKIPPED: handlers in Python, since python3 is not installed");
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Pipeline {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/etl-serverless");
        copy(&example, &dir.path().join("repo"));
        let mut command = tidegate(dir.path());
        command
            .args(["sandbox", "--run-functions", "-o", "json", "--dir"])
            .arg(dir.path().join("state"));
        let sandbox = Running::start(&mut command, Stdio::inherit());
        let ready = sandbox.event("SandboxReady");
        let credentials =
            aws_credential_types::Credentials::new("sandbox", "sandbox", None, None, "test");
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(ready["aws"].as_str().unwrap())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .load()
            .await;
        let pipeline = Self {
            dir,
            aws,
            _sandbox: sandbox,
        };
        git(&pipeline.repo(), &["init", "-q"]);
        pipeline.push("the example");
        pipeline
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    fn push(&self, message: &str) {
        git(&self.repo(), &["add", "-A"]);
        git(&self.repo(), &["commit", "-q", "-m", message]);
    }

    fn edit(&self, file: &str, change: impl Fn(&str) -> String) {
        let path = self.repo().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = change(&before);
        assert_ne!(before, after, "the change of {file} changes nothing");
        std::fs::write(path, after).unwrap();
        self.push(file);
    }

    fn run(&self, name: &str, flags: &[&str]) -> Done {
        let mut command = tidegate(self.dir.path());
        command.arg(name).arg("etl-sam-dev").arg("--repo");
        command.arg(self.repo());
        if name != "graph" {
            command.arg("--dir").arg(self.dir.path().join("state"));
        }
        command.args(flags).output().unwrap().into()
    }

    fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.aws)
    }

    async fn live_version(&self) -> String {
        let call = self.lambda().get_alias().function_name(FUNCTION);
        let found = call.name("live").send().await.unwrap();
        found.function_version().unwrap().to_owned()
    }

    async fn queues(&self) -> Vec<String> {
        let listed = aws_sdk_sqs::Client::new(&self.aws).list_queues();
        listed.send().await.unwrap().queue_urls().to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_the_stream_comes_out_of_the_function() {
    let pipeline = Pipeline::start().await;
    pipeline.run("sync", &[]).ends(0);
    pipeline.run("diff", &[]).ends(0);
    if !has_python() {
        return;
    }
    let order = json!({"orderId": "o-1", "amount": 12.5});
    let call = pipeline.lambda().invoke().function_name(FUNCTION);
    let payload = Blob::new(order.to_string());
    let answer = call.payload(payload).send().await.unwrap();
    assert_eq!(answer.function_error(), None);
    let answer: Value = serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap();
    assert_eq!(answer, json!({"orderId": "o-1", "cents": 1250}));

    let stream = aws_sdk_kinesis::Client::new(&pipeline.aws);
    for order in [json!({"orderId": "o-2", "amount": 3}), json!({"bad": true})] {
        let put = stream.put_record().stream_name("etl-sam-dev-orders");
        let data = Blob::new(order.to_string());
        put.partition_key("k").data(data).send().await.unwrap();
    }
    let table = aws_sdk_dynamodb::Client::new(&pipeline.aws);
    let objects = aws_sdk_s3::Client::new(&pipeline.aws);
    let queue = aws_sdk_sqs::Client::new(&pipeline.aws);
    let failed = pipeline.queues().await;
    let failed = failed
        .iter()
        .find(|url| url.ends_with("etl-sam-dev-failed"));
    let until = Instant::now() + SOON;
    let (mut items, mut keys, mut dead) = (Vec::new(), Vec::new(), 0);
    while Instant::now() < until && (items.is_empty() || keys.is_empty() || dead == 0) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let scanned = table.scan().table_name("etl-sam-dev-orders").send().await;
        items = scanned.unwrap().items().to_vec();
        let listed = objects
            .list_objects_v2()
            .bucket("etl-sam-dev-raw-123456789012");
        let listed = listed.send().await.unwrap();
        keys = listed
            .contents()
            .iter()
            .filter_map(|object| object.key().map(str::to_owned))
            .collect();
        let received = queue
            .receive_message()
            .queue_url(failed.unwrap())
            .send()
            .await;
        dead += received.unwrap().messages().len();
    }
    let cents = items[0]["cents"].as_n().unwrap();
    assert_eq!((items.len(), cents.as_str()), (1, "300"));
    assert_eq!(keys, ["raw/o-2.json"]);
    assert_eq!(
        dead, 1,
        "what cannot be processed is found in the queue, once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_hand_is_shown_and_healed() {
    let pipeline = Pipeline::start().await;
    pipeline.run("sync", &[]).ends(0);
    let call = pipeline.lambda().update_function_configuration();
    let sent = call.function_name(FUNCTION).memory_size(1024).send().await;
    assert_eq!(sent.unwrap().memory_size(), Some(1024));

    let shown = pipeline.run("diff", &[]).ends(3);
    assert!(
        shown
            .out
            .contains("AWS::Lambda::Function etl-sam-dev/Transform differs"),
        "{}",
        shown.out
    );
    assert!(
        shown.out.contains("~ .Properties.MemorySize 1024 -> 256"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("sam/template.yaml:"), "{}", shown.out);

    pipeline.run("sync", &[]).ends(0);
    let call = pipeline.lambda().get_function_configuration();
    let found = call.function_name(FUNCTION).send().await.unwrap();
    assert_eq!(found.memory_size(), Some(256));
    pipeline.run("diff", &[]).ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_git_is_pruned_and_what_cannot_be_changed_is_replaced() {
    let pipeline = Pipeline::start().await;
    pipeline.edit("sam/template.yaml", |text| {
        text.replacen(
            "Resources:\n",
            "Resources:\n  Extra:\n    Type: AWS::SQS::Queue\n    Properties: {QueueName: extra}\n",
            1,
        )
    });
    pipeline.run("sync", &[]).ends(0);
    let extra = |urls: Vec<String>| urls.iter().filter(|url| url.ends_with("/extra")).count();
    assert_eq!(extra(pipeline.queues().await), 1);

    pipeline.edit("sam/template.yaml", |text| {
        text.replace("QueueName: extra", "QueueName: extra-two")
    });
    let planned = pipeline.run("plan", &[]).ends(0);
    assert!(
        planned
            .out
            .contains("replace AWS::SQS::Queue etl-sam-dev/Extra"),
        "{}",
        planned.out
    );
    assert!(planned.out.contains("QueueName"), "{}", planned.out);

    git(&pipeline.repo(), &["checkout", "-q", "HEAD~2", "--", "sam"]);
    pipeline.push("without the queue");
    pipeline.run("sync", &["--prune"]).ends(0);
    assert_eq!(extra(pipeline.queues().await), 0);
    assert_eq!(pipeline.queues().await.len(), 1, "the others stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_never_moves_to_a_broken_handler() {
    if !has_python() {
        return;
    }
    let pipeline = Pipeline::start().await;
    pipeline.edit("sam/template.yaml", |text| {
        text.replace(
            "    Type: AWS::Serverless::Function\n",
            "    Type: AWS::Serverless::Function\n    Metadata:\n      tidegate.dev/smoke-test: '{\"orderId\": \"smoke\", \"amount\": 1}'\n",
        )
    });
    pipeline.run("sync", &[]).ends(0);
    assert_eq!(pipeline.live_version().await, "1");

    pipeline.edit("sam/transform/app.py", |text| {
        text.replace("import aws\n", "import aws_missing\n")
    });
    let refused = pipeline.run("sync", &[]).ends(1);
    refused.says(&[
        "the alias stays where it is",
        "fails its smoke test",
        "No module named 'aws_missing'",
        "sam/template.yaml:",
    ]);
    assert_eq!(pipeline.live_version().await, "1");

    pipeline.edit("sam/transform/app.py", |text| {
        text.replace("import aws_missing\n", "import aws  # mended\n")
    });
    pipeline.run("sync", &[]).ends(0);
    assert_ne!(pipeline.live_version().await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_shows_what_a_mapping_waits_for() {
    let pipeline = Pipeline::start().await;
    let drawn = pipeline.run("graph", &["-o", "json"]).ends(0).json();
    let edges = drawn["edges"].as_array().unwrap();
    let waits = |relation: &str, name: &str| {
        edges.iter().any(|edge| {
            edge["reason"]["relation"] == relation
                && edge["dependency"].as_str().unwrap().ends_with(name)
                && edge["dependent"]
                    .as_str()
                    .unwrap()
                    .ends_with("/OrdersToTransform")
        })
    };
    assert!(
        waits("declared", "/Job/etl-dev/sam-schema-check"),
        "{drawn}"
    );
    assert!(waits("takes an attribute of", "/Orders"), "{drawn}");
    assert!(waits("reference", "/TransformAliaslive"), "{drawn}");
}

#[test]
fn one_picture_holds_three_worlds() {
    let home = TempDir::new().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/streaming-analytics");
    let mut command = tidegate(home.path());
    command.arg("graph").arg(example).args(["-o", "json"]);
    let drawn = Done::from(command.output().unwrap()).ends(0).json();
    let nodes = drawn["nodes"].as_array().unwrap();
    let worlds: std::collections::BTreeSet<&str> = nodes
        .iter()
        .map(|node| node["target"].as_str().unwrap())
        .collect();
    let all = ["aws:sandbox", "kafka:sandbox", "kubernetes:sandbox"];
    assert_eq!(worlds, all.into());
    let edges = drawn["edges"].as_array().unwrap();
    for (name, relation) in [
        ("/KafkaTopic/analytics-dev/alerts", "topic"),
        ("/AWS::Lambda::Function/alerts-dev/Alert", "reference"),
    ] {
        let is_there = edges.iter().any(|edge| {
            edge["dependent"]
                .as_str()
                .unwrap()
                .ends_with("/EventSourceBinding/analytics-dev/alerts")
                && edge["dependency"].as_str().unwrap().ends_with(name)
                && edge["reason"]["relation"] == relation
        });
        assert!(is_there, "{name}: {edges:?}");
    }
}
