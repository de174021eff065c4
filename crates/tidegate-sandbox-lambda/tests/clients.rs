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

use serde_json::Value;
use tidegate_sandbox_aws::AwsOptions;
use tidegate_sandbox_lambda::LambdaOptions;
use tokio::process::Command;

/// Calls whose answer differs from moto's, with the reason.
const MOTO_DIFFERS: [(&str, &str); 27] = [
    (
        "role.create.malformed",
        "moto takes any text for a trust policy",
    ),
    ("role.get.none", "moto words it differently"),
    ("role.inline.get.none", "moto words it differently"),
    (
        "policy.delete.conflict",
        "moto deletes policies that are attached",
    ),
    ("function.wrong.runtime", "moto takes any runtime"),
    (
        "function.wrong.role",
        "moto writes the pattern with another group",
    ),
    ("function.wrong.name", "moto takes any name"),
    ("alias.create.again", "moto's code is not that of AWS"),
    ("alias.move", "moto shows empty weights"),
    ("alias.list", "moto shows empty weights"),
    ("permission.add.again", "moto takes a statement twice"),
    ("permission.account", "moto leaves accounts as they come"),
    ("permission.get", "follows from the two before"),
    ("permission.remove.none", "moto words it differently"),
    (
        "settings.put",
        "moto leaves $LATEST and empty destinations out",
    ),
    (
        "settings.get",
        "moto leaves $LATEST and empty destinations out",
    ),
    (
        "settings.update",
        "moto forgets what an update does not name",
    ),
    ("settings.list", "moto's list does not see the update"),
    ("settings.none", "moto leaves $LATEST out"),
    ("layer.get.none", "moto words it differently"),
    ("mapping.stream", "moto gives no defaults of mappings"),
    (
        "mapping.stream.position",
        "moto asks for no starting position",
    ),
    ("mapping.function.none", "moto's code is not that of AWS"),
    ("mapping.batch.wrong", "moto takes any batch size of queues"),
    ("group.retention.wrong", "moto takes any number of days"),
    ("stream.create.again", "moto speaks of the group"),
    ("role.delete.none", "moto words it differently"),
];

/// How long one script may take.
const PATIENCE: Duration = Duration::from_secs(1_200);

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
    println!("{}", on_sandbox(&peers, name).await);
}

/// Runs a script against a sandbox of its own, which leaves no process behind; gives what it printed.
async fn on_sandbox(peers: &Path, name: &str) -> String {
    let sandbox = tidegate_sandbox_lambda::start(AwsOptions::default(), running(peers))
        .await
        .unwrap();
    let endpoint = sandbox.endpoint();
    let printed = python(peers, name, &endpoint).await;
    sandbox.shutdown().await;
    // What was killed is gone once the system has taken it away, which takes a busy machine a moment.
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while !processes_of(&endpoint).is_empty() && std::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(processes_of(&endpoint), Vec::<String>::new());
    printed
}

async fn python(peers: &Path, name: &str, endpoint: &str) -> String {
    let mut command = Command::new(peers.join("aws/bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    ended_well(&run(command.arg(script(name)).arg(endpoint)).await)
}

/// The processes whose environment names an endpoint as that of their sandbox.
fn processes_of(endpoint: &str) -> Vec<String> {
    let wanted = format!("AWS_ENDPOINT_URL={endpoint}");
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == wanted.as_bytes())
    })
    .map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
    .filter(|line| !line.is_empty())
    .collect()
}

/// Runs a script against moto's server; gives what it printed.
async fn on_moto(peers: &Path, name: &str) -> String {
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
    let mut tries = 0;
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        tries += 1;
        assert!(tries < 600, "moto's server does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let printed = python(peers, name, &format!("http://127.0.0.1:{port}")).await;
    moto.kill().await.unwrap();
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_calls_get_the_answers_of_moto() {
    let Some(peers) = peers() else {
        return;
    };
    let read = |printed: &str| -> Vec<(String, Value)> {
        let lines = printed.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let ours = on_sandbox(&peers, "compare.py").await;
    let theirs = read(&on_moto(&peers, "compare.py").await);
    for line in ours.lines().filter(|line| line.starts_with('#')) {
        println!("{line}");
    }
    let ours = read(&ours);
    assert_eq!(ours.len(), theirs.len());
    let mut equal = 0;
    let mut wrong = Vec::new();
    for ((name, our), (_, their)) in ours.iter().zip(&theirs) {
        match MOTO_DIFFERS.iter().find(|(known, _)| known == name) {
            Some((_, reason)) if our != their => println!("differs: {name}: {reason}"),
            None if our == their => equal += 1,
            _ => wrong.push(format!("{name}\n  sandbox {our}\n  moto {their}")),
        }
    }
    println!(
        "{equal} answers of {} equal moto's, {} differ for a reason",
        ours.len(),
        MOTO_DIFFERS.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

#[tokio::test(flavor = "multi_thread")]
async fn other_services_invoke_functions() {
    boto3("deliveries.py").await;
}
