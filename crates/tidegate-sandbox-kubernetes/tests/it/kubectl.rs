//! Every kubectl that is installed, against one server each: the harness. What is run stands in `kubectl/steps.txt`.
//! Skipped loudly where none is.

mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use tidegate_sandbox_kubernetes::{Options, Server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// The oldest minor version that the server supports.
const OLDEST: u32 = 27;
/// No kubectl is that new.
const NEWEST: u32 = 60;

/// kubectl programs by minor version: those that `TIDEGATE_KUBECTL` lists (a path list), or else those named `kubectl` or
/// `kubectl.1.NN` in the folders of `PATH` and in the folder that the first of them really lies in. Listed ones run all
/// steps; of those found only the oldest and the newest do.
async fn programs() -> BTreeMap<u32, PathBuf> {
    let mut candidates: BTreeSet<PathBuf> = BTreeSet::new();
    if let Some(list) = std::env::var_os("TIDEGATE_KUBECTL") {
        candidates.extend(std::env::split_paths(&list));
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let real = folders
            .iter()
            .find_map(|folder| folder.join("kubectl").canonicalize().ok());
        folders.extend(real.as_deref().and_then(Path::parent).map(Path::to_owned));
        for folder in folders {
            candidates.insert(folder.join("kubectl"));
            candidates
                .extend((OLDEST..NEWEST).map(|minor| folder.join(format!("kubectl.1.{minor}"))));
        }
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
            // A versioned name is the program itself, a plain one may choose another.
            found.insert(minor, program);
        }
    }
    found
}

/// One kubectl with a home and a server of its own.
struct Shell {
    program: PathBuf,
    minor: u32,
    kubeconfig: PathBuf,
    home: PathBuf,
    /// What went wrong so far: one run tells of all commands.
    failures: Mutex<Vec<String>>,
}

struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Shell {
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &self.kubeconfig)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn run(&self, arguments: &str, input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that reads nothing closes its end: no failure of the test.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must end with `code` and print all of `expected` somewhere; runs of blanks are one.
    async fn check(&self, arguments: &str, input: &str, code: i32, expected: &[&str]) {
        let output = self.run(arguments, input).await;
        let all = squeezed(&format!("{}\n{}", output.out, output.err));
        let missing = expected.iter().find(|line| !all.contains(&squeezed(line)));
        if output.code != code || missing.is_some() {
            self.failures.lock().unwrap().push(format!(
                "kubectl 1.{} {arguments}\nwanted {code}, without {missing:?} got {}:\n{}{}",
                self.minor, output.code, output.out, output.err
            ));
        }
    }

    /// A command that goes on running.
    fn start(&self, arguments: &str) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Running {
            child,
            out,
            what: format!("kubectl 1.{} {arguments}", self.minor),
        }
    }
}

struct Running {
    child: Child,
    out: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    what: String,
}

impl Running {
    /// Reads on until a line has all of that in it.
    async fn until(&mut self, expected: &str) {
        let mut seen = String::new();
        while let Some(line) = self.out.next_line().await.unwrap() {
            if squeezed(&line).contains(expected) {
                return;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("{}\nended without {expected:?}:\n{seen}", self.what);
    }

    /// Waits for its end.
    async fn end(mut self, code: i32) {
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.what);
    }
}

fn squeezed(text: &str) -> String {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_kubectl_works_unchanged() {
    let programs = programs().await;
    if programs.is_empty() {
        eprintln!("SKIPPED: no kubectl is installed, so none was tried against the sandbox");
        return;
    }
    // Two hundred commands take their time: those in between prove only what changes from version to version.
    let listed = std::env::var_os("TIDEGATE_KUBECTL").is_some();
    let ends = [
        programs.keys().next().copied(),
        programs.keys().next_back().copied(),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for (minor, program) in programs {
        let whole = listed || ends.contains(&Some(minor));
        tasks.spawn(async move {
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
                failures: Mutex::default(),
            };
            if whole {
                steps::whole(&shell).await;
            } else {
                steps::some(&shell).await;
            }
            server.shutdown().await;
            shell.failures.into_inner().unwrap()
        });
    }
    let mut failures = Vec::new();
    while let Some(done) = tasks.join_next().await {
        failures.extend(done.unwrap());
    }
    assert!(
        failures.is_empty(),
        "{} commands failed:\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}
