//! One process that runs one handler: its start, its files, and the lines that go to it and come from it.
//!
//! Calls go in by its descriptor 4, replies come out by 3, and all that it prints is its log. Must not know: the API.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_sandbox_aws::service::Refusal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::group::{Group, MARK};
use super::log::Log;
use super::{ANSWER_BYTES, Call, Job, Programs, cannot};

/// Address space that a handler may map beyond its memory: interpreters and libraries map much more than they hold.
const MAPPED_BEYOND: u64 = 1 << 30;
/// Files that a process may have open, as Lambda bounds them.
const OPEN_FILES: u32 = 1_024;

const PYTHON: &str = include_str!("../../data/bootstrap.py");
const NODE: &str = include_str!("../../data/bootstrap.mjs");
/// Puts the three pipes where the bootstraps expect them, sets limits, and becomes the runtime.
const WRAPPER: &str = "exec 3>&1 4<&0 1>&2 0</dev/null; ulimit -c 0; ulimit -n \"$1\"; \
    ulimit -f \"$2\"; if [ \"$3\" != 0 ]; then ulimit -v \"$3\"; fi; shift 3; exec \"$@\"";

/// A running handler; it ends, with all that it started, when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) revision: String,
    pub(super) log: Log,
    // Before the child: the group must end while the leader's id is still its own.
    pub(super) group: Group,
    token: String,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    child: Child,
    _files: TempDir,
}

/// What a process says about a call.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Bytes),
    /// What the handler failed with, and whether the process ends with it.
    Failure {
        shape: Value,
        ends: bool,
    },
    /// The bytes of an answer that is too large to send.
    TooLarge(u64),
    /// No more replies will come.
    Closed,
}

/// Unpacks the code and starts a process for it, whose handler is not loaded yet.
///
/// # Errors
/// The runtime is none that runs here, is not installed, or the code cannot be unpacked.
pub(super) async fn spawn(job: &Job, programs: &Programs) -> Result<Process, Refusal> {
    let Some(program) = programs.of(&job.runtime) else {
        return Err(cannot(format!(
            "the sandbox runs handlers of python and nodejs as local processes, and none of {}",
            job.runtime
        )));
    };
    let missing = || {
        cannot(format!(
            "the sandbox cannot run {}, which {} needs: it is not installed",
            program.display(),
            job.runtime
        ))
    };
    let program = installed(&program).ok_or_else(missing)?;
    let files = unpack(job).await.map_err(|error| Refusal {
        code: "InvalidZipFileException".to_owned(),
        ..cannot(format!(
            "Lambda could not unzip the deployment package: {error}"
        ))
    })?;
    let token = uuid::Uuid::new_v4().to_string();
    let mark = uuid::Uuid::new_v4().to_string();
    let mut command = command(&program, job, &files, &token);
    let mut child = command.env(MARK, &mark).spawn().map_err(|error| {
        cannot(format!(
            "the sandbox cannot run {}, which {} needs: {error}",
            program.display(),
            job.runtime
        ))
    })?;
    let group = child.id().and_then(|leader| Group::new(leader, mark));
    let (Some(group), Some(input), Some(output), Some(errors)) = (
        group,
        child.stdin.take(),
        child.stdout.take(),
        child.stderr.take(),
    ) else {
        return Err(cannot("the sandbox cannot talk to the process".to_owned()));
    };
    Ok(Process {
        revision: job.revision.clone(),
        log: Log::new(errors, token.clone()),
        group,
        token,
        input,
        output: BufReader::new(output),
        child,
        _files: files,
    })
}

/// Where a program is, when it is there: by its path, or on the search path.
fn installed(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let places = std::env::var_os("PATH")?;
    std::env::split_paths(&places)
        .map(|place| place.join(program))
        .find(|path| path.is_file())
}

async fn unpack(job: &Job) -> std::io::Result<TempDir> {
    let (code, layers) = (Arc::clone(&job.code), job.layers.clone());
    let work = move || {
        let files = tempfile::Builder::new()
            .prefix("tidegate-function")
            .tempdir()?;
        for place in ["task", "opt", "tmp"] {
            std::fs::create_dir(files.path().join(place))?;
        }
        for layer in &layers {
            layer.unpack(&files.path().join("opt"))?;
        }
        code.unpack(&files.path().join("task"))?;
        std::fs::write(files.path().join("bootstrap.py"), PYTHON)?;
        std::fs::write(files.path().join("bootstrap.mjs"), NODE)?;
        Ok(files)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

fn command(program: &Path, job: &Job, files: &TempDir, token: &str) -> Command {
    let place = |name: &str| -> PathBuf { files.path().join(name) };
    let is_node = job.runtime.starts_with("nodejs");
    // V8 reserves far more addresses than it uses, so only its heap is bounded beforehand.
    let mapped = match is_node {
        true => 0,
        false => ((job.memory << 20) + MAPPED_BEYOND) / 1_024,
    };
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", WRAPPER, "sh"])
        .arg(OPEN_FILES.to_string())
        // In blocks of 512 bytes.
        .arg((job.storage << 11).to_string())
        .arg(mapped.to_string())
        .arg(program);
    if is_node {
        command
            .arg(format!("--max-old-space-size={}", job.memory))
            .arg(place("bootstrap.mjs"));
    } else {
        command.arg("-u").arg(place("bootstrap.py"));
    }
    let kept = [
        "PATH",
        "LANG",
        "LC_ALL",
        "PYENV_ROOT",
        "PYENV_VERSION",
        "SSL_CERT_FILE",
    ];
    let passed: Vec<(&str, OsString)> = kept
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)))
        .collect();
    command
        .arg(token)
        .env_clear()
        .envs(passed)
        .envs(&job.environment)
        .env("NODE_PATH", place("opt/nodejs/node_modules"))
        .env("TIDEGATE_LAYERS", place("opt"))
        .env("TIDEGATE_ANSWER_BYTES", ANSWER_BYTES.to_string())
        .env("TMPDIR", place("tmp"))
        .env("HOME", place("tmp"))
        .env("TZ", ":UTC")
        .env("LAMBDA_TASK_ROOT", place("task"))
        .env("_HANDLER", &job.handler)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", job.memory.to_string())
        .current_dir(place("task"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

impl Process {
    /// Waits until the handler is loaded: nothing, what stood in its way, or that the process has ended.
    pub(super) async fn loaded(&mut self) -> Option<Reply> {
        match self.message().await {
            Some(message) if message.get("ready").is_some() => None,
            Some(mut message) => Some(Reply::Failure {
                shape: message["init"].take(),
                ends: true,
            }),
            None => Some(Reply::Closed),
        }
    }

    /// Hands a call over and waits for what comes of it.
    pub(super) async fn call(&mut self, job: &Job, call: &Call) -> Reply {
        let deadline = jiff::Timestamp::now().as_millisecond()
            + i64::try_from(job.timeout.as_millis()).unwrap_or(i64::MAX / 2);
        let message = json!({
            "id": call.id, "arn": call.arn, "deadline": deadline, "client": call.client,
            "event": String::from_utf8_lossy(&call.event),
            "trace": format!("Root=1-{:08x}-{};Sampled=0", deadline / 1_000, &call.id.replace('-', "")[..24]),
        });
        let mut line = message.to_string();
        line.push('\n');
        let written = match self.input.write_all(line.as_bytes()).await {
            Ok(()) => self.input.flush().await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            return Reply::Closed;
        }
        let Some(mut message) = self.message().await else {
            return Reply::Closed;
        };
        if let Some(text) = message["ok"].as_str() {
            return Reply::Answer(Bytes::from(text.to_owned()));
        }
        if let Some(size) = message["large"].as_u64() {
            return Reply::TooLarge(size);
        }
        let ends = message["ends"] == true;
        match message["error"].take() {
            Value::Null => Reply::Closed,
            shape => Reply::Failure { shape, ends },
        }
    }

    /// The next line of the bootstrap; `None` when none will come.
    async fn message(&mut self) -> Option<Value> {
        // An answer is text in JSON in a line: each byte of it may take six.
        let most = u64::try_from(ANSWER_BYTES * 6 + 4_096).unwrap_or(u64::MAX);
        loop {
            let mut line = Vec::new();
            let read = (&mut self.output)
                .take(most)
                .read_until(b'\n', &mut line)
                .await
                .ok()?;
            if read == 0 || line.last() != Some(&b'\n') {
                return None;
            }
            if let Some(text) = line.strip_prefix(self.token.as_bytes()) {
                return serde_json::from_slice(text).ok();
            }
        }
    }

    /// Waits for its end and says how it was, as Lambda does.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => exit_words(status),
            Err(_) => exit_words(ExitStatus::default()),
        }
    }
}

/// How Lambda words the end of a runtime.
fn exit_words(status: ExitStatus) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(0), _) | (None, None) => {
            return "Runtime exited without providing a reason".to_owned();
        }
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match signal {
            1 => "signal: hangup".to_owned(),
            2 => "signal: interrupt".to_owned(),
            4 => "signal: illegal instruction".to_owned(),
            6 => "signal: aborted".to_owned(),
            8 => "signal: floating point exception".to_owned(),
            9 => "signal: killed".to_owned(),
            11 => "signal: segmentation fault".to_owned(),
            13 => "signal: broken pipe".to_owned(),
            15 => "signal: terminated".to_owned(),
            other => format!("signal: signal {other}"),
        },
    };
    format!("Runtime exited with error: {how}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_worded_as_lambda_words_them() {
        for (raw, words) in [
            (0, "Runtime exited without providing a reason"),
            (3 << 8, "Runtime exited with error: exit status 3"),
            (9, "Runtime exited with error: signal: killed"),
            (11, "Runtime exited with error: signal: segmentation fault"),
            (40, "Runtime exited with error: signal: signal 40"),
        ] {
            assert_eq!(exit_words(ExitStatus::from_raw(raw)), words);
        }
    }
}
