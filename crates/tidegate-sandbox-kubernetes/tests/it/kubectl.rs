//! Every kubectl that is installed, against one server each. Skipped loudly where none is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tidegate_sandbox_kubernetes::{Options, Server};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The oldest minor version that the server supports.
const OLDEST: u32 = 27;

/// kubectl programs by minor version: those in `TIDEGATE_KUBECTLS` (a path list of programs) and those in the folders of
/// `PATH`, links followed to where several versions may lie side by side, named `kubectl` or `kubectl.1.NN`.
async fn programs() -> BTreeMap<u32, PathBuf> {
    let mut candidates: Vec<PathBuf> = Vec::new();
    if let Some(list) = std::env::var_os("TIDEGATE_KUBECTLS") {
        candidates.extend(std::env::split_paths(&list));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for folder in folders.clone() {
        let target = folder.join("kubectl").canonicalize().ok();
        folders.extend(target.as_deref().and_then(Path::parent).map(Path::to_owned));
    }
    for folder in folders {
        candidates.push(folder.join("kubectl"));
        candidates.extend((OLDEST..60).map(|minor| folder.join(format!("kubectl.1.{minor}"))));
    }
    let mut found = BTreeMap::new();
    for program in candidates.into_iter().filter(|program| program.is_file()) {
        let output = Command::new(&program)
            .args(["version", "--client", "-o", "json"])
            .output()
            .await;
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let version: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let minor = version["clientVersion"]["minor"].as_str().unwrap_or("");
        let minor: u32 = minor.trim_end_matches('+').parse().unwrap_or(0);
        if minor >= OLDEST {
            found.entry(minor).or_insert(program);
        }
    }
    found
}

struct Shell {
    program: PathBuf,
    minor: u32,
    kubeconfig: PathBuf,
    home: PathBuf,
}

struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Shell {
    async fn run(&self, arguments: &str, input: &str) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must end with `code` and print `expected` somewhere.
    async fn check(&self, arguments: &str, input: &str, code: i32, expected: &str) {
        let output = self.run(arguments, input).await;
        let all = format!("{}{}", output.out, output.err);
        assert!(
            output.code == code && all.contains(expected),
            "kubectl 1.{} {arguments}\nwanted {code} with {expected:?}, got {}:\n{all}",
            self.minor,
            output.code
        );
    }
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c1\ndata:\n  a: \"1\"\n";
const CHANGED: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c1\ndata:\n  a: \"2\"\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 0\n  selector:\n    matchLabels: {app: web}\n  template:\n    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n      - name: c\n        image: nginx:1\n";

async fn scenario(shell: &Shell) {
    shell.check("version", "", 0, "v1.36.0+tidegate").await;
    shell.check("api-resources", "", 0, "deployments").await;
    shell.check("get ns", "", 0, "default").await;
    shell
        .check("create -f -", MAP, 0, "configmap/c1 created")
        .await;
    shell
        .check("create -f -", MAP, 1, "configmaps \"c1\" already exists")
        .await;
    shell
        .check("get cm c1 -o jsonpath={.data.a}", "", 0, "1")
        .await;
    shell.check("label cm c1 x=y", "", 0, "labeled").await;
    shell.check("annotate cm c1 x=y", "", 0, "configmap/c1 annotate").await;
    shell
        .check("get cm -l x=y -o name", "", 0, "configmap/c1")
        .await;
    shell
        .check(
            "patch cm c1 --type=merge -p {\"data\":{\"b\":\"3\"}}",
            "",
            0,
            "patched",
        )
        .await;
    shell
        .check(
            "apply --server-side --force-conflicts -f -",
            CHANGED,
            0,
            "serverside-applied",
        )
        .await;
    shell.check("diff --server-side -f -", CHANGED, 0, "").await;
    shell
        .check(
            "diff --server-side --force-conflicts -f -",
            MAP,
            1,
            "-  a: \"2\"",
        )
        .await;
    shell
        .check(
            "apply --server-side --field-manager=other -f -",
            MAP,
            1,
            "conflict with \"kubectl\"",
        )
        .await;
    shell
        .check("delete cm c1", "", 0, "configmap \"c1\" deleted")
        .await;
    shell
        .check("get cm c1", "", 1, "configmaps \"c1\" not found")
        .await;
    shell.check("apply -f -", MAP, 0, "created").await;
    shell.check("apply -f -", MAP, 0, "unchanged").await;
    shell.check("apply -f -", CHANGED, 0, "configured").await;
    shell
        .check("apply --dry-run=server -f -", MAP, 0, "server dry run")
        .await;
    shell.check("create ns team", "", 0, "created").await;
    shell
        .check("create cm c2 --from-literal=a=b -n team", "", 0, "created")
        .await;
    shell.check("auth can-i create pods", "", 0, "yes").await;
    shell
        .check(
            "apply --server-side -f -",
            DEPLOYMENT,
            0,
            "deployment.apps/web serverside-applied",
        )
        .await;
    shell
        .check("scale deploy web --replicas=2", "", 0, "scaled")
        .await;
    shell
        .check("get deploy web -o jsonpath={.spec.replicas}", "", 0, "2")
        .await;
    let patch = "patch deploy web --subresource=status --type=merge -p {\"status\":{\"observedGeneration\":2,\"replicas\":2,\"updatedReplicas\":2,\"readyReplicas\":2,\"availableReplicas\":2,\"conditions\":[{\"type\":\"Available\",\"status\":\"True\"}]}}";
    shell.check(patch, "", 0, "patched").await;
    shell
        .check(
            "rollout status deploy web --timeout=20s",
            "",
            0,
            "successfully rolled out",
        )
        .await;
    shell
        .check(
            "wait --for=condition=Available deploy/web --timeout=20s",
            "",
            0,
            "condition met",
        )
        .await;
    shell
        .check("set image deploy/web c=nginx:2", "", 0, "image updated")
        .await;
    shell
        .check("rollout restart deploy web", "", 0, "restarted")
        .await;
    shell.check("get all", "", 0, "deployment.apps/web").await;
    shell
        .check("delete deploy web --cascade=foreground", "", 0, "deleted")
        .await;
    shell.check("delete ns team", "", 0, "deleted").await;
    shell.check("get --raw /readyz", "", 0, "ok").await;
}

#[tokio::test]
async fn every_kubectl_works_unchanged() {
    let programs = programs().await;
    if programs.is_empty() {
        eprintln!("SKIPPED: no kubectl is installed, so none was tried against the sandbox");
        return;
    }
    let mut running = tokio::task::JoinSet::new();
    for (minor, program) in programs {
        running.spawn(alone(minor, program));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// One kubectl against a server of its own.
async fn alone(minor: u32, program: PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let server = Server::start(options).await.unwrap();
    let kubeconfig = server.kubeconfig_path().map(Path::to_owned).unwrap();
    let shell = Shell {
        program,
        minor,
        kubeconfig,
        home: dir.path().to_owned(),
    };
    scenario(&shell).await;
    server.shutdown().await;
}
