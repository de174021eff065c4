//! Handlers as local processes: one invocation at a time in each, kept warm for the next one, bounded in number, time,
//! memory and output.
//!
//! The protocol with the bootstraps (`data/`): one line of JSON per invocation in, one line of JSON per result out, each
//! marked with a token that only this process and the bootstrap know. Must not know: the API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_sandbox_aws::service::{Refusal, refuse};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Semaphore, mpsc};

use crate::code::Code;
use crate::lambda::Guarded;

/// Processes that run or wait at once.
const PROCESSES: usize = 48;
/// Warm processes of one version.
const WARM: usize = 8;
/// Bytes of an answer.
pub(crate) const ANSWER_BYTES: usize = 6 << 20;
/// Bytes of a log line that are kept.
const LINE_BYTES: u64 = 64 << 10;
/// Log lines of one invocation that are kept.
const LINES: usize = 10_000;
/// How long a handler may take to load.
const LOADING: Duration = Duration::from_secs(20);

const PYTHON: &str = include_str!("../data/bootstrap.py");
const NODE: &str = include_str!("../data/bootstrap.mjs");

/// What a process is started for.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The function's ARN without a qualifier.
    pub(crate) function: String,
    /// `$LATEST` or a number.
    pub(crate) version: String,
    /// Another one, another process.
    pub(crate) revision: String,
    pub(crate) runtime: String,
    pub(crate) handler: String,
    pub(crate) memory: u64,
    pub(crate) timeout: Duration,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) code: Arc<Code>,
    pub(crate) layers: Vec<Arc<Code>>,
}

/// One event for a handler.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// The ARN as it was asked for.
    pub(crate) arn: String,
    pub(crate) event: Bytes,
    /// The client's context, decoded.
    pub(crate) client: Value,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// What the handler returned, or what it failed with in Lambda's shape.
    pub(crate) result: Result<Bytes, (&'static str, Value)>,
    /// What it wrote.
    pub(crate) log: Vec<String>,
    pub(crate) duration: Duration,
    /// How long it took to load, when it was loaded for this call.
    pub(crate) loading: Option<Duration>,
}

/// Runs handlers.
#[derive(Debug)]
pub(crate) struct Runner {
    permits: Arc<Semaphore>,
    warm: Guarded<BTreeMap<(String, String), Vec<Process>>>,
}

#[derive(Debug)]
struct Process {
    revision: String,
    token: String,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    log: mpsc::UnboundedReceiver<String>,
    // Killed when dropped; the files go with it.
    _child: Child,
    _files: TempDir,
}

/// The program that runs a runtime's handlers.
fn program(runtime: &str) -> Option<&'static str> {
    if runtime.starts_with("python") {
        Some("python3")
    } else if runtime.starts_with("nodejs") {
        Some("node")
    } else {
        None
    }
}

fn cannot(message: String) -> Refusal {
    refuse("InvalidRuntimeException", message).status(502)
}

impl Runner {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(PROCESSES)),
            warm: Guarded::default(),
        }
    }

    /// Ends warm processes of a function, or of one version of it.
    pub(crate) fn forget(&self, function: &str, version: Option<&str>) {
        let mut warm = self.warm.lock();
        warm.retain(|(name, number), _| name != function || version.is_some_and(|v| v != number));
    }

    /// Runs one call.
    ///
    /// # Errors
    /// No process can be had for it: the runtime is not installed, or is none that runs here.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process.
    pub(crate) async fn run(&self, job: &Job, call: &Call) -> Result<Outcome, Refusal> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| cannot("the sandbox ends".to_owned()))?;
        let (process, loading) = match self.take(job) {
            Some(process) => (Ok(process), None),
            None => {
                let began = std::time::Instant::now();
                let started = start(job).await?;
                (started, Some(began.elapsed()))
            }
        };
        let mut process = match process {
            Ok(process) => process,
            Err((shape, log)) => {
                return Ok(Outcome {
                    result: Err(("Unhandled", shape)),
                    log,
                    duration: Duration::ZERO,
                    loading,
                });
            }
        };
        let began = std::time::Instant::now();
        let answered = tokio::time::timeout(job.timeout, process.call(job, call)).await;
        let duration = began.elapsed();
        let (result, reusable) = match answered {
            Ok(Some(reply)) => (reply, true),
            Ok(None) => {
                let message = format!(
                    "RequestId: {} Error: Runtime exited without providing a reason",
                    call.id
                );
                (
                    Err(json!({"errorType": "Runtime.ExitError", "errorMessage": message})),
                    false,
                )
            }
            Err(_) => {
                let seconds = job.timeout.as_secs_f64();
                let at = jiff::Timestamp::now()
                    .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
                    .to_string();
                let message = format!("{at} {} Task timed out after {seconds:.2} seconds", call.id);
                (
                    Err(json!({"errorType": "Sandbox.Timedout", "errorMessage": message})),
                    false,
                )
            }
        };
        let log = process.drain(reusable).await;
        if reusable {
            self.keep(job, process);
        }
        let result = match result {
            Ok(bytes) if bytes.len() > ANSWER_BYTES => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes)."
                );
                let shape =
                    json!({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message});
                Err(("Unhandled", shape))
            }
            Ok(bytes) => Ok(bytes),
            Err(shape) => Err(("Unhandled", shape)),
        };
        Ok(Outcome {
            result,
            log,
            duration,
            loading,
        })
    }

    fn take(&self, job: &Job) -> Option<Process> {
        let mut warm = self.warm.lock();
        let kept = warm.get_mut(&(job.function.clone(), job.version.clone()))?;
        kept.retain(|process| process.revision == job.revision);
        kept.pop()
    }

    fn keep(&self, job: &Job, process: Process) {
        let mut warm = self.warm.lock();
        let total: usize = warm.values().map(Vec::len).sum();
        let kept = warm
            .entry((job.function.clone(), job.version.clone()))
            .or_default();
        kept.retain(|known| known.revision == process.revision);
        if kept.len() < WARM && total < PROCESSES {
            kept.push(process);
        }
    }
}

type Loaded = Result<Process, (Value, Vec<String>)>;

/// Starts a process and waits until its handler is loaded.
async fn start(job: &Job) -> Result<Loaded, Refusal> {
    let Some(program) = program(&job.runtime) else {
        return Err(cannot(format!(
            "the sandbox runs handlers of python and nodejs as local processes, and none of {:?}",
            job.runtime
        )));
    };
    let files = unpack(job).await.map_err(|error| {
        cannot(format!(
            "the sandbox cannot unpack the function's code: {error}"
        ))
    })?;
    let token = uuid::Uuid::new_v4().to_string();
    let mut command = command(program, job, &files, &token);
    let mut child = command.spawn().map_err(|error| {
        cannot(format!(
            "the sandbox cannot run {program}, which {} needs: {error}",
            job.runtime
        ))
    })?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(cannot("the sandbox cannot talk to the process".to_owned()));
    };
    let (told, log) = mpsc::unbounded_channel();
    tokio::spawn(read_log(errors, told));
    let mut process = Process {
        revision: job.revision.clone(),
        token,
        input,
        output: BufReader::new(output),
        log,
        _child: child,
        _files: files,
    };
    let ready = tokio::time::timeout(LOADING, process.reply()).await;
    let shape = match ready {
        Ok(Some(reply)) if reply.get("ready").is_some() => return Ok(Ok(process)),
        Ok(Some(mut reply)) => reply["init"].take(),
        Ok(None) => {
            json!({"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited without providing a reason"})
        }
        Err(_) => {
            json!({"errorType": "Sandbox.Timedout", "errorMessage": format!("the handler was not loaded within {} seconds", LOADING.as_secs())})
        }
    };
    let log = process.drain(false).await;
    Ok(Err((shape, log)))
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

fn command(program: &str, job: &Job, files: &TempDir, token: &str) -> Command {
    let place = |name: &str| -> PathBuf { files.path().join(name) };
    let mut command = Command::new(program);
    if program == "node" {
        command
            .arg(format!("--max-old-space-size={}", job.memory))
            .arg(place("bootstrap.mjs"))
            .env("NODE_PATH", place("opt/nodejs/node_modules"));
    } else {
        command
            .arg("-u")
            .arg(place("bootstrap.py"))
            .env("TIDEGATE_LAYERS", place("opt"));
    }
    command.arg(token);
    let kept = [
        "PATH",
        "LANG",
        "LC_ALL",
        "PYENV_ROOT",
        "PYENV_VERSION",
        "SSL_CERT_FILE",
    ];
    let passed: Vec<(&str, std::ffi::OsString)> = kept
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)))
        .collect();
    let own: Vec<(std::ffi::OsString, std::ffi::OsString)> = command
        .as_std()
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command
        .env_clear()
        .envs(passed)
        .envs(own)
        .envs(&job.environment)
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
        .kill_on_drop(true);
    command
}

/// Hands the lines of a log on, cut where they are too long; ends with the process.
async fn read_log(errors: tokio::process::ChildStderr, told: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(errors);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut lines)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await;
        match read {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                if told
                    .send(text.trim_end_matches(['\n', '\r']).to_owned())
                    .is_err()
                {
                    return;
                }
            }
        }
    }
}

impl Process {
    async fn call(&mut self, job: &Job, call: &Call) -> Option<Result<Bytes, Value>> {
        let deadline = jiff::Timestamp::now().as_millisecond()
            + i64::try_from(job.timeout.as_millis()).unwrap_or(i64::MAX / 2);
        let message = json!({
            "id": call.id, "arn": call.arn, "deadline": deadline, "client": call.client,
            "event": String::from_utf8_lossy(&call.event),
            "trace": format!("Root=1-{:08x}-{};Sampled=0", deadline / 1_000, &call.id.replace('-', "")[..24]),
        });
        let mut line = message.to_string();
        line.push('\n');
        self.input.write_all(line.as_bytes()).await.ok()?;
        self.input.flush().await.ok()?;
        let reply = self.reply().await?;
        if let Some(text) = reply["ok"].as_str() {
            return Some(Ok(Bytes::from(text.to_owned())));
        }
        reply.get("error").map(|shape| Err(shape.clone()))
    }

    /// The next reply; `None` when the process has ended or says what is too long.
    async fn reply(&mut self) -> Option<Value> {
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

    /// What was logged up to now; of a process that ends, all of it.
    async fn drain(&mut self, lives: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let pause = Duration::from_millis(if lives { 3 } else { 100 });
        while lines.len() < LINES {
            match tokio::time::timeout(pause, self.log.recv()).await {
                Ok(Some(line)) => lines.push(line),
                Ok(None) | Err(_) => break,
            }
        }
        lines
    }
}
