//! The order of the steps in `steps.txt`, and those that need two commands at once.

use std::path::Path;

use super::Shell;

const STEPS: &str = include_str!("steps.txt");

/// The steps of one section.
fn section(name: &str) -> Vec<Step<'static>> {
    let mut steps: Vec<Step<'static>> = Vec::new();
    let lines = STEPS
        .lines()
        .skip_while(|line| line.strip_prefix("# ") != Some(name))
        .skip(1);
    for line in lines.take_while(|line| !line.starts_with("# ")) {
        if let Some(command) = line.strip_prefix("$ ") {
            let (command, code) = command.split_once(" => ").unwrap_or((command, "0"));
            let (arguments, file) = command.split_once(" < ").unwrap_or((command, ""));
            steps.push(Step {
                arguments,
                file,
                code: code.parse().unwrap(),
                expected: Vec::new(),
            });
        } else if let Some(expected) = line.strip_prefix("  ") {
            steps.last_mut().unwrap().expected.push(expected);
        }
    }
    assert!(!steps.is_empty(), "there is no section {name}");
    steps
}

struct Step<'a> {
    arguments: &'a str,
    file: &'a str,
    code: i32,
    expected: Vec<&'a str>,
}

fn document(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kubectl");
    if file.is_empty() {
        String::new()
    } else {
        std::fs::read_to_string(folder.join(file)).unwrap()
    }
}

async fn all(shell: &Shell, name: &str) {
    for step in section(name) {
        shell
            .check(
                step.arguments,
                &document(step.file),
                step.code,
                &step.expected,
            )
            .await;
    }
}

/// What differs most between versions: how they apply, compare and delete.
pub(super) async fn some(shell: &Shell) {
    all(shell, "applying").await;
    all(shell, "deleting one").await;
}

pub(super) async fn whole(shell: &Shell) {
    all(shell, "server").await;
    if shell.minor >= 28 {
        shell.check("auth whoami", "", 0, &["sandbox-admin"]).await;
    }
    all(shell, "creating").await;
    all(shell, "reading").await;
    watching(shell).await;
    all(shell, "changing").await;
    all(shell, "applying").await;
    all(shell, "workloads").await;
    all(shell, "custom").await;
    all(shell, "deleting one").await;
    all(shell, "deleting more").await;
    waiting(shell).await;
}

/// A watch prints what there is and what comes.
async fn watching(shell: &Shell) {
    let mut watch = shell.start("get cm -w -o wide");
    watch.until("c1 1").await;
    shell
        .check(
            "create cm seen --from-literal=a=b --from-literal=c=d",
            "",
            0,
            &[],
        )
        .await;
    watch.until("seen 2").await;
    shell
        .check("delete cm seen", "", 0, &["configmap \"seen\" deleted"])
        .await;
    watch.until("seen 2").await;
    let mut events = shell.start("get cm c1 -w --output-watch-events");
    events.until("ADDED c1 1").await;
    shell
        .check(
            "annotate cm c1 touched=yes",
            "",
            0,
            &["configmap/c1 annotate"],
        )
        .await;
    events.until("MODIFIED c1 1").await;
}

/// A deletion waits until the last finalizer is gone.
async fn waiting(shell: &Shell) {
    shell
        .check("apply -f -", &document("guarded.yaml"), 0, &["created"])
        .await;
    let mut deletion = shell.start("delete cm held");
    deletion.until("configmap \"held\" deleted").await;
    shell
        .check(
            "get cm held -o jsonpath={.metadata.deletionTimestamp}",
            "",
            0,
            &["20"],
        )
        .await;
    let release = "patch cm held --type=merge -p {\"metadata\":{\"finalizers\":null}}";
    shell.check(release, "", 0, &["patched"]).await;
    deletion.end(0).await;
    shell
        .check("wait --for=delete cm/held --timeout=60s", "", 0, &[])
        .await;
}
