//! The serverless half beside its limit: what a large template costs to render and plan, and what the engine adds to the
//! AWS calls of a code-only change. `benches/README.md` says what each is held against.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LastUpdateStatus;
use tidegate::engine::{Control, Wanted};
use tidegate::manifest::OperationPhase;
use tidegate::sandbox::{Sandbox, SandboxOptions};
use tidegate::{Place, Tidegate};

/// Resources of the large template.
const RESOURCES: usize = 600;
/// Times that each thing is done; the middle one is shown.
const TIMES: usize = 11;

const APPLICATION: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: bench}\nspec:\n  \
     source: {repoURL: 'https://git.example.com/x.git', path: app, plugin: {name: sam}}\n  \
     destination: {name: in-cluster, namespace: default}\n";

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A line of what was measured.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

/// Functions with roles, queues, log groups and tables that refer to each other: no stack would take them at once.
fn large() -> String {
    let mut text = "Transform: AWS::Serverless-2016-10-31\nResources:\n".to_owned();
    for number in 0..RESOURCES / 4 {
        write!(
            text,
            "  F{number}:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: code/\n      Handler: app.handler\n      \
             Runtime: python3.12\n      Environment: {{Variables: {{QUEUE: !Ref Q{number}}}}}\n      \
             Policies: [{{SQSSendMessagePolicy: {{QueueName: !GetAtt Q{number}.QueueName}}}}]\n  \
             Q{number}:\n    Type: AWS::SQS::Queue\n  L{number}:\n    Type: AWS::Logs::LogGroup\n    \
             Properties: {{LogGroupName: !Sub '/aws/lambda/${{F{number}}}', RetentionInDays: 14}}\n",
        )
        .expect("a text grows");
    }
    text
}

async fn open(dir: &Path, sandbox: &Sandbox) -> Tidegate {
    Tidegate::open(dir.to_str().expect("a UTF-8 path"))
        .place(Place::Sandbox(sandbox.ready().kubeconfig.clone()))
        .dir(Some(dir.join(".state")))
        .build()
        .await
        .expect("the repository is whole")
}

async fn sync(tidegate: &Tidegate) {
    let desired = tidegate.render("bench", Wanted::Newest).await;
    let desired = desired.expect("it renders");
    let request = Tidegate::request(&desired.application);
    let done = tidegate
        .sync(&desired, request, None, &Control::none())
        .await;
    let done = done.expect("the operation runs");
    assert_eq!(done.phase, OperationPhase::Succeeded, "{}", done.message);
}

async fn large_template(sandbox: &Sandbox) {
    let dir = tempfile::TempDir::new().expect("a folder");
    let dir = dir.path();
    write(dir, "application.yaml", APPLICATION);
    write(dir, "app/template.yaml", &large());
    write(
        dir,
        "app/code/app.py",
        "def handler(event, context):\n    return event\n",
    );
    let (mut renders, mut plans) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let tidegate = open(dir, sandbox).await;
        let start = Instant::now();
        let desired = tidegate.render("bench", Wanted::Newest).await;
        renders.push(start.elapsed());
        let desired = desired.expect("it renders");
        let objects: usize = desired
            .sources
            .iter()
            .map(|source| source.objects.len())
            .sum();
        assert!(objects >= RESOURCES, "{objects} objects");
        let request = Tidegate::request(&desired.application);
        let planned = tidegate.plan_of(&desired, &request).await;
        plans.push(start.elapsed());
        planned.expect("it is planned");
    }
    say(&format!(
        "{RESOURCES} resources of one template: rendered in {:.1?}, rendered and planned in {:.1?} (target 1 s)",
        middle(renders),
        middle(plans)
    ));
}

async fn code_change(sandbox: &Sandbox) {
    let dir = tempfile::TempDir::new().expect("a folder");
    let dir = dir.path();
    write(dir, "application.yaml", APPLICATION);
    write(
        dir,
        "app/template.yaml",
        "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      \
         FunctionName: bench\n      CodeUri: code/\n      Handler: app.handler\n      Runtime: python3.12\n      AutoPublishAlias: live\n",
    );
    let code = |turn: usize| {
        write(
            dir,
            "app/code/app.py",
            &format!("# {turn}\ndef handler(event, context):\n    return event\n"),
        );
    };
    code(0);
    let tidegate = open(dir, sandbox).await;
    sync(&tidegate).await;
    let mut ours = Vec::new();
    for turn in 1..=TIMES {
        code(turn);
        let start = Instant::now();
        sync(&tidegate).await;
        ours.push(start.elapsed());
    }
    let raw = raw_code_change(sandbox).await;
    let (ours, raw) = (middle(ours), middle(raw));
    say(&format!(
        "a code-only change, known to flipped: {ours:.1?}; the AWS calls alone {raw:.1?}; the engine's own {:.1?} (target 50 ms)",
        ours.saturating_sub(raw)
    ));
}

/// The least that a code-only change needs: code, its end, a version, the alias.
async fn raw_code_change(sandbox: &Sandbox) -> Vec<Duration> {
    let credentials = aws_credential_types::Credentials::new("bench", "bench", None, None, "bench");
    let endpoint = sandbox.ready().aws.clone().expect("the sandbox has AWS");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .load()
        .await;
    let client = aws_sdk_lambda::Client::new(&config);
    let mut times = Vec::new();
    for turn in 1..=TIMES {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("app.py", zip::write::SimpleFileOptions::default())
            .expect("an entry");
        writeln!(zip, "# raw {turn}").expect("an entry grows");
        let bytes = zip.finish().expect("an archive").into_inner();
        let start = Instant::now();
        let call = client.update_function_code().function_name("bench");
        call.zip_file(Blob::new(bytes)).send().await.expect("code");
        loop {
            let call = client.get_function_configuration().function_name("bench");
            let found = call.send().await.expect("a configuration");
            if found.last_update_status() == Some(&LastUpdateStatus::Successful) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let version = client.publish_version().function_name("bench").send().await;
        let version = version.expect("a version").version.expect("a number");
        let call = client.update_alias().function_name("bench").name("live");
        call.function_version(version)
            .send()
            .await
            .expect("the alias");
        times.push(start.elapsed());
    }
    times
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let dir = tempfile::TempDir::new().expect("a folder");
        let sandbox = Sandbox::start(SandboxOptions::in_dir(dir.path())).await;
        let sandbox = sandbox.expect("loopback has free ports");
        large_template(&sandbox).await;
        code_change(&sandbox).await;
        sandbox.shutdown().await;
    });
}
