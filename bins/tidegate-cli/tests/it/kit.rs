//! A sandbox in this process, a repository of one's own, and the command run on them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidegate::sandbox::{Sandbox, SandboxOptions};
use tokio::sync::OnceCell;

/// Longest time that a command may be silent.
const LIMIT: Duration = Duration::from_secs(60);

/// The sandbox that all tests of this process share.
static SANDBOX: OnceCell<(Sandbox, TempDir)> = OnceCell::const_new();

/// Starts a sandbox whose tasks outlive the test that comes first.
async fn shared() -> &'static Sandbox {
    let (sandbox, _) = SANDBOX
        .get_or_init(|| async {
            let dir = TempDir::new().unwrap();
            let options = SandboxOptions::in_dir(dir.path());
            let sandbox = std::thread::spawn(move || {
                let runtime = Box::leak(Box::new(tokio::runtime::Runtime::new().unwrap()));
                runtime.block_on(Sandbox::start(options)).unwrap()
            })
            .join()
            .unwrap();
            (sandbox, dir)
        })
        .await;
    sandbox
}

/// The command with nothing of this process's environment that could choose a target.
pub(crate) fn tidegate(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars_os() {
        let is_ours = name
            .to_str()
            .is_some_and(|name| name.starts_with("TIDEGATE_") || name.starts_with("AWS_"));
        if is_ours || name == "KUBECONFIG" || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("USER", "tester")
        .stdin(Stdio::null());
    command
}

/// What a finished command came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Done {
    /// Fails the test unless the command ended so.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "out: {}\nerr: {}",
            self.out,
            self.err
        );
        self
    }

    /// The one document that was printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The objects that were printed, one a line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.out.lines().map(parse).collect()
    }

    /// Fails the test unless standard error says all of this.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(
                self.err.contains(part),
                "{part:?} is missing in: {}",
                self.err
            );
        }
        self
    }
}

/// A repository with one Application that goes to a namespace of its own in the shared sandbox.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) name: String,
    pub(crate) sandbox: &'static Sandbox,
}

impl World {
    /// A world whose application and namespace are called `name`.
    pub(crate) async fn new(name: &str) -> Self {
        let world = Self {
            dir: TempDir::new().unwrap(),
            name: name.to_owned(),
            sandbox: shared().await,
        };
        std::fs::create_dir_all(world.state()).unwrap();
        std::fs::create_dir_all(world.repo().join("app")).unwrap();
        std::fs::copy(
            &world.sandbox.ready().kubeconfig,
            world.state().join("kubeconfig"),
        )
        .unwrap();
        world.application("syncPolicy: {syncOptions: [CreateNamespace=true]}");
        world
    }

    /// Where the Application and its manifests are.
    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// The value of `--dir`.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Writes the Application; `spec` stands beside source and destination.
    pub(crate) fn application(&self, spec: &str) {
        write(
            &self.repo().join("application.yaml"),
            &application(&self.name, "https://git.example.com/x.git", spec),
        );
    }

    /// Writes a manifest.
    pub(crate) fn write(&self, file: &str, text: &str) -> &Self {
        write(&self.repo().join("app").join(file), text);
        self
    }

    /// A command on the Application.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = tidegate(self.dir.path());
        command
            .arg(name)
            .arg(&self.name)
            .arg("--repo")
            .arg(self.repo())
            .arg("--dir")
            .arg(self.state());
        command
    }

    /// Runs a command on the Application to its end.
    pub(crate) fn run(&self, name: &str, flags: &[&str]) -> Done {
        self.command(name).args(flags).output().unwrap().into()
    }
}

/// An Application whose objects are in the folder `app`.
pub(crate) fn application(name: &str, repo: &str, spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {name}\nspec:\n  project: default\n  \
         source: {{repoURL: '{repo}', path: app, directory: {{recurse: true}}}}\n  \
         destination: {{server: 'https://kubernetes.default.svc', namespace: {name}}}\n  {spec}\n"
    )
}

/// A ConfigMap with one value in a wave.
pub(crate) fn config_map(name: &str, wave: i32, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{argocd.argoproj.io/sync-wave: '{wave}'}}\ndata: {{value: '{value}'}}\n---\n"
    )
}

/// A Job that is a hook and takes a tenth of a second.
pub(crate) fn job(name: &str, hook: &str, policy: &str, wave: i32, command: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    argocd.argoproj.io/hook: {hook}\n    \
         argocd.argoproj.io/hook-delete-policy: {policy}\n    argocd.argoproj.io/sync-wave: '{wave}'\n    \
         sandbox.tidegate.dev/delay: 100ms\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n      restartPolicy: Never\n      \
         containers: [{{name: main, image: 'busybox:1', command: {command}}}]\n---\n"
    )
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Runs git, with nobody's configuration.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("git runs");
    assert!(
        done.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// The reasons of events.
pub(crate) fn reasons(lines: &[Value]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            line["reason"]
                .as_str()
                .expect("an event has a reason")
                .to_owned()
        })
        .collect()
}

/// A child whose standard output is read as it comes, so that its end can be waited for up to a moment.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts a command; `err` takes its standard error.
    pub(crate) fn start(command: &mut Command, err: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(err).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for the next line; none when its output has ended.
    #[track_caller]
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing more and does not end"),
        }
    }

    /// Waits for an event.
    #[track_caller]
    pub(crate) fn event(&self, reason: &str) -> Value {
        while let Some(line) = self.line() {
            let event: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if event["reason"] == reason {
                return event;
            }
        }
        panic!("it ended before {reason}");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(pid)
            .status()
            .expect("kill runs");
        assert!(done.success());
    }

    /// Waits for its end, the last lines included.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut last = Vec::new();
        while let Some(line) = self.line() {
            last.push(line);
        }
        (self.child.wait().unwrap(), last)
    }

    /// Waits for its end for so long, then kills it; none when it was killed.
    pub(crate) fn end_or_kill(mut self, after: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + after;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Some(self.child.wait().unwrap()),
                Err(RecvTimeoutError::Timeout) => {
                    self.child.kill().unwrap();
                    self.child.wait().unwrap();
                    return None;
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing that a failed test started goes on.
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}
